//! Questions to dnsmasq.

use std::fs;
use std::net::SocketAddr;

use caribe_health::probe::{Check, Code};
use caribe_lab::{Host, Process};

use crate::bed::{Bed, START, assert_says, check, socket};
use crate::rogue::{Manner, Rogue};

const SERVER: &str = "127.0.0.1:5353";

/// Starts the server on port 5353 of these addresses.
pub(crate) fn start_on(host: &Host, addresses: &[&str]) -> Process {
    let long: String = (0..60)
        .map(|number| format!("txt-record=long.example.org,{}{number}\n", "x".repeat(200)))
        .collect();
    let configuration = format!(
        "no-daemon\nuser=root\npid-file=\nport=5353\nlisten-address={}\nbind-interfaces\n\
         no-resolv\nno-hosts\nlocal=/example.org/\nlog-facility=-\n\
         host-record=www.example.org,192.0.2.10,2001:db8::10\n\
         cname=alias.example.org,www.example.org\n\
         txt-record=www.example.org,state=up\n\
         mx-host=example.org,mail.example.org,10\n\
         ptr-record=10.2.0.192.in-addr.arpa,www.example.org\n\
         srv-host=_http._tcp.example.org,www.example.org,80,1,2\n{long}",
        addresses.join(",")
    );
    let file = host.file("dnsmasq.conf");
    fs::write(&file, configuration).expect("a file of the lab");
    let server = host
        .command("dnsmasq")
        .package("dnsmasq-base")
        .arg(format!("--conf-file={}", file.display()))
        .spawn()
        .expect("dnsmasq");
    for address in addresses {
        let address = SocketAddr::new(address.parse().expect("an address"), 5353);
        host.wait_until_connects(address, START)
            .unwrap_or_else(|error| panic!("{error}: {}", server.log()));
    }
    server
}

fn start(bed: &Bed) -> Process {
    start_on(&bed.host, &["127.0.0.1", "::1"])
}

/// An answer that is too long for a datagram.
pub(crate) fn long() -> Check {
    let last = format!("{}59", "x".repeat(200));
    dns(&format!(
        r#""name":"long.example.org","kind":"TXT","expect":"{last}""#
    ))
}

pub(crate) fn dns(settings: &str) -> Check {
    check(&format!(r#"{{"dns":{{{settings}}}}}"#))
}

#[test]
fn records_are_asked_for_and_compared() {
    let bed = Bed::new("dns");
    let _server = start(&bed);
    let www = r#""name":"www.example.org""#;
    for (more, code, says) in [
        ("", Code::L7Ok, "www.example.org. A: 192.0.2.10"),
        (r#","expect":"192.0.2.10""#, Code::L7Ok, ""),
        (
            r#","expect":"192.0.2.11""#,
            Code::L7Response,
            "192.0.2.10 instead of 192.0.2.11",
        ),
        (r#","kind":"AAAA","expect":"2001:db8::10""#, Code::L7Ok, ""),
        (
            r#","kind":"TXT","expect":"state=up""#,
            Code::L7Ok,
            "state=up",
        ),
        (
            r#","kind":"MX""#,
            Code::L7Ok,
            "no such record, and no error",
        ),
        (
            r#","kind":"MX","expect":"10 mail""#,
            Code::L7Response,
            "no such record",
        ),
    ] {
        let finding = bed.sees(code, &dns(&format!("{www}{more}")), SERVER);
        assert_says(&finding, says);
    }
    for (settings, says) in [
        (r#""name":"alias.example.org","expect":"192.0.2.10""#, ""),
        (
            r#""name":"alias.example.org","kind":"CNAME","expect":"WWW.example.org""#,
            "",
        ),
        (
            r#""name":"example.org","kind":"MX","expect":"10 mail.example.org.""#,
            "",
        ),
        (
            r#""name":"10.2.0.192.in-addr.arpa","kind":"PTR","expect":"www.example.org""#,
            "",
        ),
        (
            r#""name":"_http._tcp.example.org","kind":"SRV","expect":"1 2 80 www.example.org""#,
            "",
        ),
    ] {
        assert_says(&bed.sees(Code::L7Ok, &dns(settings), SERVER), says);
    }
    bed.sees(Code::L7Ok, &dns(www), "[::1]:5353");
    let finding = bed.sees(
        Code::L7Status,
        &dns(r#""name":"missing.example.org""#),
        SERVER,
    );
    assert_says(&finding, "Non-Existent Domain");
    let finding = bed.sees(
        Code::L7Status,
        &dns(r#""name":"elsewhere.example.net""#),
        SERVER,
    );
    assert_says(&finding, "Query Refused");
}

#[test]
fn an_answer_too_long_for_a_datagram_comes_by_tcp() {
    let bed = Bed::new("dnstcp");
    let _server = start(&bed);
    bed.sees(Code::L7Ok, &long(), SERVER);
}

#[test]
fn nobody_and_nothing_there_are_told_apart() {
    let bed = Bed::new("dnsgone");
    let www = dns(r#""name":"www.example.org""#);
    let finding = bed.sees(Code::L4Refused, &www, SERVER);
    assert_says(&finding, "refused by ICMP");
    // A socket that is there, and that nobody reads.
    let address = socket(SERVER);
    let _mute = bed
        .host
        .run(|| std::net::UdpSocket::bind(address))
        .expect("the host is there")
        .expect("a socket");
    let finding = bed.waits_in_vain(Code::L7Timeout, &www, SERVER);
    assert_says(&finding, "DNS query to 127.0.0.1:5353 timed out");
    // A server by TCP makes no server by UDP.
    let _rogue = Rogue::start(&bed.host, SERVER, Manner::Mute);
    bed.waits_in_vain(Code::L7Timeout, &www, SERVER);
}
