//! Datagrams to an echo, to nobody, and to somebody mute.

use std::net::UdpSocket;

use caribe_health::probe::{Check, Code};
use caribe_lab::UdpEcho;

use crate::bed::{Bed, assert_says, check, socket};

fn udp(settings: &str) -> Check {
    check(&format!(r#"{{"udp":{{{settings}}}}}"#))
}

const NO_ERROR: &str =
    r#""send":"hello","expect":{"no-error":{"patience":{"secs":0,"nanos":300000000}}}"#;

#[test]
fn an_echo_answers() {
    let bed = Bed::new("udp");
    let addresses = ["127.0.0.1:7007", "[::1]:7007"];
    let _echo = UdpEcho::start(&bed.host, &addresses.map(socket)).expect("an echo");
    for address in addresses {
        let send = r#""send":"marco\\x00\\xff""#;
        // The lab's echo says its host's name first.
        let finding = bed.sees(
            Code::L7Ok,
            &udp(&format!(
                r#"{send},"expect":{{"answer":{{"regex":"marco(?-u:\\x00\\xff)"}}}}"#
            )),
            address,
        );
        assert_says(&finding, "marco\\u{0}\\xff");
        bed.sees(
            Code::L7Ok,
            &udp(&format!(r#"{send},"expect":{{"answer":"anything"}}"#)),
            address,
        );
        let finding = bed.sees(
            Code::L7Response,
            &udp(&format!(
                r#"{send},"expect":{{"answer":{{"prefix":"polo"}}}}"#
            )),
            address,
        );
        assert_says(&finding, "does not begin with `polo`");
        bed.sees(Code::L7Ok, &udp(NO_ERROR), address);
    }
}

#[test]
fn an_icmp_error_is_heard_and_silence_is_judged_as_asked() {
    let bed = Bed::new("udpgone");
    let answer = udp(r#""send":"hello","expect":{"answer":"anything"}"#);
    for address in ["127.0.0.1:7007", "[::1]:7007"] {
        for check in [udp(NO_ERROR), answer.clone()] {
            let finding = bed.sees(Code::L4Refused, &check, address);
            assert_says(&finding, "refused by ICMP");
        }
    }
    let _mute = bed
        .host
        .run(|| UdpSocket::bind(socket("127.0.0.1:7007")))
        .expect("the host is there")
        .expect("a socket");
    let finding = bed.sees(Code::L4Ok, &udp(NO_ERROR), "127.0.0.1:7007");
    assert_says(&finding, "no answer and no ICMP error");
    bed.waits_in_vain(Code::L7Timeout, &answer, "127.0.0.1:7007");
}
