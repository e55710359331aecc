//! Every check over TCP meets every kind of bad server: each ends in time, with the right reason.

use caribe_health::probe::{Check, Code};

use crate::bed::{AMPLE, Bed, SHORT, assert_says, check, look, target};
use crate::rogue::{Manner, Rogue};

const ADDRESS: &str = "127.0.0.1:7000";

/// Each check that asks something over TCP.
fn checks() -> Vec<Check> {
    [
        r#"{"send-expect":{"send":"hello\\r\\n","expect":{"prefix":"welcome"}}}"#,
        r#"{"send-expect":{"send":"hello\\r\\n","expect":{"regex":"^welcome"}}}"#,
        r#"{"http":{}}"#,
        r#"{"http":{"version":"2"}}"#,
        r#"{"http":{"tls":{}}}"#,
        r#"{"tls":{}}"#,
        r#"{"smtp":{}}"#,
        r#"{"grpc":{}}"#,
        r#"{"agent":{}}"#,
    ]
    .map(check)
    .into()
}

/// The layer above the connection that the check talks first.
fn speaks_tls(check: &Check) -> bool {
    check.kind() == "tls" || check.kind() == "https"
}

#[test]
fn nobody_answers_the_connection() {
    let bed = Bed::new("lost");
    bed.host
        .command("nft")
        .args([
            "add table ip lost; add chain ip lost in { type filter hook input priority 0; }; \
                add rule ip lost in tcp dport 7000 drop",
        ])
        .run()
        .expect("a rule that drops");
    let mut all = checks();
    all.push(check(r#"{"tcp":{}}"#));
    for check in all {
        let finding = bed.waits_in_vain(Code::L4Timeout, &check, ADDRESS);
        assert_says(&finding, "CONNECT to 127.0.0.1:7000 timed out after 1 s");
    }
}

#[test]
fn the_connection_is_refused() {
    let bed = Bed::new("refused");
    let mut all = checks();
    all.push(check(r#"{"tcp":{}}"#));
    for check in all {
        let finding = bed.sees(Code::L4Refused, &check, ADDRESS);
        assert_says(&finding, "CONNECT to 127.0.0.1:7000 was refused");
    }
}

#[test]
fn a_mute_server_takes_connections_and_no_more() {
    let bed = Bed::new("mute");
    let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Mute);
    for check in checks() {
        let code = if speaks_tls(&check) {
            Code::L6Timeout
        } else {
            Code::L7Timeout
        };
        let finding = bed.waits_in_vain(code, &check, ADDRESS);
        assert_says(&finding, "timed out after 1 s");
    }
    let connects = r#"{"tcp":{}}"#;
    bed.sees(Code::L4Ok, &check(connects), ADDRESS);
    bed.sees(Code::L4Ok, &check(r#"{"tcp":{"orderly":true}}"#), ADDRESS);
    bed.sees(
        Code::L4Ok,
        &check(r#"{"send-expect":{"send":"hello"}}"#),
        ADDRESS,
    );
}

#[test]
fn a_server_that_closes_at_once_has_not_answered() {
    let bed = Bed::new("goes");
    let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::SaysAndGoes(b""));
    for check in checks() {
        let code = if speaks_tls(&check) {
            Code::L6Response
        } else {
            Code::L7Response
        };
        bed.sees(code, &check, ADDRESS);
    }
}

#[test]
fn garbage_is_no_answer() {
    let bed = Bed::new("babble");
    let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Babbles);
    for check in checks() {
        let code = if speaks_tls(&check) {
            Code::L6Response
        } else {
            Code::L7Response
        };
        let finding = bed.sees(code, &check, ADDRESS);
        assert!(finding.text.as_str().len() <= 300, "{finding}");
    }
}

#[test]
fn an_answer_cut_off_half_way_is_none() {
    let cases: [(&str, &'static [u8]); 7] = [
        (
            r#"{"send-expect":{"send":"x","expect":{"prefix":"welcome"}}}"#,
            b"welc",
        ),
        (
            r#"{"send-expect":{"send":"x","expect":{"regex":"come$"}}}"#,
            b"welc",
        ),
        (r#"{"http":{}}"#, b"HTTP/1.1 200 OK\r\nContent-Le"),
        (
            r#"{"http":{"body":[{"contains":"all is well"}]}}"#,
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nall is",
        ),
        (r#"{"smtp":{}}"#, b"220-mail.exa"),
        (r#"{"smtp":{}}"#, b"220 mail.example\r\n"),
        (r#"{"agent":{}}"#, b"maxco"),
    ];
    for (number, (json, said)) in cases.into_iter().enumerate() {
        let bed = Bed::new(&format!("half{number}"));
        let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::SaysAndGoes(said));
        bed.sees(Code::L7Response, &check(json), ADDRESS);
    }
}

#[test]
fn a_byte_a_second_does_not_stretch_the_limit() {
    let cases: [(&str, &'static [u8], Code); 7] = [
        (
            r#"{"send-expect":{"expect":{"prefix":"xxxxxxxxxxxx"}}}"#,
            b"",
            Code::L7Timeout,
        ),
        (
            r#"{"send-expect":{"expect":{"regex":"y"}}}"#,
            b"",
            Code::L7Timeout,
        ),
        (r#"{"http":{}}"#, b"HTTP/1.1 200 OK\r\nX: ", Code::L7Timeout),
        (
            r#"{"http":{"body":[{"contains":"well"}]}}"#,
            b"HTTP/1.1 200 OK\r\n\r\n",
            Code::L7Timeout,
        ),
        (r#"{"smtp":{}}"#, b"220 mail", Code::L7Timeout),
        (r#"{"agent":{}}"#, b"up", Code::L7Timeout),
        // The beginning of a TLS record, whose rest never comes.
        (r#"{"tls":{}}"#, b"\x16\x03\x03\x40\x00", Code::L6Timeout),
    ];
    for (number, (json, said, code)) in cases.into_iter().enumerate() {
        let bed = Bed::new(&format!("drip{number}"));
        let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Drips(said));
        bed.waits_in_vain(code, &check(json), ADDRESS);
    }
}

#[test]
fn a_gigabyte_is_not_read() {
    let cases: [(&str, &'static [u8], Code); 8] = [
        (
            r#"{"send-expect":{"expect":{"prefix":"wel"}}}"#,
            b"welcome",
            Code::L7Ok,
        ),
        (
            r#"{"send-expect":{"expect":{"regex":"y"}}}"#,
            b"",
            Code::L7Response,
        ),
        (r#"{"http":{}}"#, b"HTTP/1.1 200 OK\r\n\r\n", Code::L7Ok),
        (
            r#"{"http":{}}"#,
            b"HTTP/1.1 200 OK\r\nX: ",
            Code::L7Response,
        ),
        (
            r#"{"http":{"body":[{"contains":"well"}]}}"#,
            b"HTTP/1.1 200 OK\r\n\r\n",
            Code::L7Response,
        ),
        (
            r#"{"http":{"body":[{"matches":"^all is well"}]}}"#,
            b"HTTP/1.1 200 OK\r\n\r\nall is well",
            Code::L7Ok,
        ),
        (r#"{"smtp":{}}"#, b"220 ", Code::L7Response),
        (r#"{"agent":{}}"#, b"up ", Code::L7Response),
    ];
    for (number, (json, said, code)) in cases.into_iter().enumerate() {
        let bed = Bed::new(&format!("flood{number}"));
        let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Floods(said));
        bed.sees(code, &check(json), ADDRESS);
    }
}

#[test]
fn what_a_protocol_lets_a_server_repeat_has_an_end() {
    let cases: [(&str, &'static [u8], &str); 4] = [
        (
            r#"{"http":{}}"#,
            b"HTTP/1.1 100 Continue\r\n\r\n",
            "more than 1048576 bytes and no end",
        ),
        (
            r#"{"http":{"version":"2"}}"#,
            H2_SETTINGS,
            "more than 1048576 bytes and no end",
        ),
        (
            r#"{"grpc":{}}"#,
            H2_SETTINGS,
            "more than 1048576 bytes and no end",
        ),
        (r#"{"smtp":{}}"#, b"220-welcome\r\n", "the reply has no end"),
    ];
    for (number, (json, said, says)) in cases.into_iter().enumerate() {
        let bed = Bed::new(&format!("repeat{number}"));
        let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Repeats(said));
        let finding = bed.sees(Code::L7Response, &check(json), ADDRESS);
        assert_says(&finding, says);
    }
}

/// A frame of settings without any.
const H2_SETTINGS: &[u8] = b"\0\0\0\x04\0\0\0\0\0";

#[test]
fn an_answer_in_pieces_is_put_together() {
    let bed = Bed::new("pieces");
    let _rogue = Rogue::start(&bed.host, ADDRESS, Manner::Drips(b"welcome "));
    let json = r#"{"send-expect":{"expect":{"prefix":"welcome xx"}}}"#;
    let finding = look(&bed.host, &check(json), &target(ADDRESS), AMPLE);
    assert_eq!(finding.code, Code::L7Ok, "{finding}");
    assert!(finding.latency > SHORT, "{:?}", finding.latency);
}

#[test]
fn what_a_server_says_cannot_harm_a_terminal() {
    let bed = Bed::new("escape");
    let manner = Manner::Says(b"\x1b[2J\x07\r\n\xe2\x80\xae evil");
    let _rogue = Rogue::start(&bed.host, ADDRESS, manner);
    for json in [
        r#"{"send-expect":{"expect":{"prefix":"welcome"}}}"#,
        r#"{"smtp":{}}"#,
        r#"{"agent":{}}"#,
    ] {
        let finding = bed.sees(Code::L7Response, &check(json), ADDRESS);
        let text = finding.text.as_str();
        assert!(
            text.chars().all(|c| c == ' ' || c.is_ascii_graphic()),
            "{text}"
        );
        assert_says(&finding, "\\u{1b}[2J");
    }
}
