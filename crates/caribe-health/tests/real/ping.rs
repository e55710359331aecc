//! Pings, by both kinds of sockets and over both families.

use caribe_health::probe::{Check, Code};
use caribe_lab::{Lab, Port};

use crate::bed::{Bed, SHORT, assert_says, check, look, target};

fn ping() -> Check {
    check(r#"{"ping":{}}"#)
}

#[test]
fn loopback_answers_whatever_socket_there_is() {
    let bed = Bed::new("ping");
    // First nobody may use datagram sockets, then everybody.
    for range in ["1 0", "0 2147483647"] {
        bed.host
            .sysctl("net/ipv4/ping_group_range", range)
            .expect("a parameter");
        for address in ["127.0.0.1:80", "[::1]:80"] {
            let finding = bed.sees(Code::L3Ok, &ping(), address);
            assert_says(&finding, "answers pings");
        }
    }
}

#[test]
fn silence_is_waited_out_and_unreachability_is_not() {
    let bed = Bed::new("noping");
    for key in [
        "net/ipv4/icmp_echo_ignore_all",
        "net/ipv6/icmp/echo_ignore_all",
    ] {
        bed.host.sysctl(key, "1").expect("a parameter");
    }
    for address in ["127.0.0.1:80", "[::1]:80"] {
        bed.waits_in_vain(Code::L3Timeout, &ping(), address);
    }
    let finding = bed.sees(Code::L3Unreachable, &ping(), "192.0.2.1:80");
    assert_says(&finding, "unreachable");
}

#[test]
fn many_pings_at_once_do_not_take_each_others_replies() {
    let mut lab = Lab::new("pings").expect("a lab");
    let lan = lab.switch("lan").expect("a switch");
    let near = lab.host("near").expect("a host");
    let far = lab.host("far").expect("a host");
    let port = |address: &str| Port::new("eth0").address(address);
    near.connect(&lan, port("10.7.0.1/24")).expect("connected");
    far.connect(&lan, port("10.7.0.2/24")).expect("connected");
    let findings = std::thread::scope(|scope| {
        let good = scope.spawn(|| {
            (0..20)
                .map(|_| look(&near, &ping(), &target("10.7.0.2:0"), crate::bed::AMPLE))
                .collect::<Vec<_>>()
        });
        // Nobody has this address; the other pings' replies must not be taken for its own.
        let bad = scope.spawn(|| look(&near, &ping(), &target("10.7.0.3:0"), SHORT));
        let bad = bad.join().expect("no panic");
        assert!(!bad.passed(), "{bad}");
        good.join().expect("no panic")
    });
    for finding in findings {
        assert_eq!(finding.code, Code::L3Ok, "{finding}");
    }
}
