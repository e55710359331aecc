//! The way of a probe: source address and interface.

use caribe_health::probe::{Check, Code, InterfaceName, Target};
use caribe_lab::{Lab, Port};

use crate::bed::{AMPLE, Bed, START, assert_says, check, look, socket, target};
use crate::rogue::{Manner, Rogue};

fn connects() -> Check {
    check(r#"{"tcp":{}}"#)
}

#[test]
fn source_and_interface_reach_the_kernel() {
    let mut lab = Lab::new("way").expect("a lab");
    let lan = lab.switch("lan").expect("a switch");
    let director = lab.host("director").expect("a host");
    let server = lab.host("server").expect("a host");
    let port = |name: &str, address: &str| Port::new(name).address(address);
    director
        .connect(&lan, port("eth0", "10.9.0.1/24"))
        .expect("connected");
    director
        .connect(&lan, port("eth1", "10.9.0.3/24"))
        .expect("connected");
    director
        .add_address("eth0", "10.9.0.9/24".parse().expect("an address"))
        .expect("added");
    server
        .connect(&lan, port("eth0", "10.9.0.2/24"))
        .expect("connected");
    let _rogue = Rogue::start(&server, "10.9.0.2:7000", Manner::Mute);
    director
        .wait_until_connects(socket("10.9.0.2:7000"), START)
        .expect("the way is there");
    // One counter for each way, on the way in and on the way out.
    let count = |host: &caribe_lab::Host, rules: &str| {
        host.command("nft").arg(rules).run().expect("counters");
    };
    count(
        &server,
        "add table ip w; add chain ip w in { type filter hook input priority 0; }; \
         add rule ip w in tcp dport 7000 tcp flags & (syn | ack) == syn ip saddr 10.9.0.9 counter",
    );
    count(
        &director,
        "add table ip w; add chain ip w out { type filter hook output priority 0; }; \
         add rule ip w out meta oifname eth1 tcp flags & (syn | ack) == syn counter",
    );
    let counted = |host: &caribe_lab::Host| -> Vec<u64> {
        let listing = host
            .command("nft")
            .args(["list", "table", "ip", "w"])
            .run()
            .expect("a listing");
        let words: Vec<&str> = listing.split_whitespace().collect();
        words
            .windows(3)
            .filter(|words| words[..2] == ["counter", "packets"])
            .map(|words| words[2].parse().expect("a number"))
            .collect()
    };
    let plain = target("10.9.0.2:7000");
    let see = |way: &Target| {
        let finding = look(&director, &connects(), way, AMPLE);
        assert_eq!(finding.code, Code::L4Ok, "{finding}");
    };
    see(&plain);
    assert_eq!((counted(&server), counted(&director)), (vec![0], vec![0]));
    see(&Target {
        source: Some("10.9.0.9".parse().expect("an address")),
        ..plain.clone()
    });
    assert_eq!(counted(&server), [1]);
    see(&Target {
        interface: Some(InterfaceName::try_from("eth1".to_owned()).expect("a name")),
        ..plain
    });
    assert_eq!(counted(&director), [1]);
}

#[test]
fn a_way_that_is_not_there_is_the_directors_trouble() {
    let bed = Bed::new("noway");
    let plain = target("127.0.0.1:7000");
    let sourced = Target {
        source: Some("192.0.2.1".parse().expect("an address")),
        ..plain.clone()
    };
    let finding = bed.sees_by(Code::Local, &connects(), &sourced);
    assert_says(&finding, "cannot send from 192.0.2.1");
    let led = Target {
        interface: Some(InterfaceName::try_from("eth9".to_owned()).expect("a name")),
        ..plain
    };
    let finding = bed.sees_by(Code::Local, &connects(), &led);
    assert_says(&finding, "cannot send by interface eth9");
    let finding = bed.sees(Code::L4Refused, &connects(), "192.0.2.1:80");
    assert_says(&finding, "unreachable");
}
