use std::net::SocketAddr;

use caribe_model::MacAddress;

use super::*;
use crate::path::packet::tests::{packet, unreachable};

const NOW: Monotonic = Monotonic::ORIGIN;
const PORT: u16 = FIRST_PORT;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

fn hop() -> NextHop {
    NextHop {
        interface: 3,
        source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddress([2, 0, 0, 0, 0, 9]),
        source_address: "10.0.0.1".parse().expect("an address"),
        mtu: 1500,
    }
}

/// One lease, of the first port, by this method.
fn leases(forwarding: Forwarding) -> Leases {
    let through = Through {
        server: at("10.0.0.9:8080"),
        forwarding,
        encapsulation: Encapsulation::Ipip,
    };
    let mut leases = Leases::default();
    let route = Route::new(at("192.0.2.1:80"), &through, hop());
    leases.lend(Transport::Tcp, PORT, route);
    leases
}

fn sent() -> Vec<u8> {
    packet(
        Transport::Tcp,
        at("192.0.0.8:61000"),
        at("192.0.2.1:80"),
        b"question",
    )
}

#[test]
fn a_packet_leaves_as_the_data_plane_would_send_it() {
    let [source, vip, server] = ["10.0.0.1:61000", "192.0.2.1:80", "10.0.0.9:8080"].map(at);
    for (forwarding, expected) in [
        (
            Forwarding::Direct,
            packet(Transport::Tcp, source, vip, b"question"),
        ),
        (
            Forwarding::Nat,
            packet(Transport::Tcp, source, server, b"question"),
        ),
    ] {
        let (interface, frame) = leases(forwarding)
            .outgoing(&mut sent())
            .expect("it is a probe's");
        assert_eq!(interface, 3);
        assert_eq!(frame[..6], hop().destination_mac.0);
        assert_eq!(frame[6..12], hop().source_mac.0);
        assert_eq!(frame[12..14], [8, 0]);
        assert_eq!(frame[14..], expected, "{forwarding}");
    }
    let (_, frame) = leases(Forwarding::Tunnel)
        .outgoing(&mut sent())
        .expect("it is a probe's");
    // The outer header: protocol 4, from the way's source to the server.
    assert_eq!(frame[23], 4);
    assert_eq!(frame[26..34], [10, 0, 0, 1, 10, 0, 0, 9]);
    let inner = packet(Transport::Tcp, source, vip, b"question");
    assert_eq!(frame[34..], inner);
}

#[test]
fn an_answer_comes_from_the_vip_whoever_sent_it() {
    let expected = packet(
        Transport::Tcp,
        at("192.0.2.1:80"),
        at("192.0.0.8:61000"),
        b"answer",
    );
    for (forwarding, answerer) in [
        (Forwarding::Direct, "192.0.2.1:80"),
        (Forwarding::Tunnel, "192.0.2.1:80"),
        (Forwarding::Nat, "10.0.0.9:8080"),
    ] {
        let leases = leases(forwarding);
        let source = at("10.0.0.1:61000");
        let mut answer = packet(Transport::Tcp, at(answerer), source, b"answer");
        assert_eq!(leases.incoming(&mut answer), Some(&expected[..]));
        let question = packet(Transport::Tcp, source, at(answerer), b"question");
        let mut error = unreachable(&question);
        let error = leases.incoming(&mut error).expect("about a probe");
        let parsed = IcmpError::parse(error).expect("still an error");
        let quoted = [End::Source, End::Destination].map(|end| parsed.quoted.at(error, end));
        assert_eq!(quoted, ["192.0.0.8:61000", "192.0.2.1:80"].map(at));
    }
}

#[test]
fn what_is_no_answer_to_a_probe_is_left_alone() {
    let leases = leases(Forwarding::Direct);
    let [vip, source] = ["192.0.2.1:80", "10.0.0.1:61000"].map(at);
    let mut strangers = vec![
        // Another sender, port, address, transport, port of the sender.
        packet(Transport::Tcp, at("10.0.0.9:80"), source, b""),
        packet(Transport::Tcp, vip, at("10.0.0.1:61001"), b""),
        packet(Transport::Tcp, vip, at("10.0.0.2:61000"), b""),
        packet(Transport::Udp, vip, source, b""),
        packet(Transport::Tcp, at("192.0.2.1:81"), source, b""),
        unreachable(&packet(Transport::Tcp, source, at("192.0.2.1:81"), b"")),
        unreachable(&packet(Transport::Tcp, at("10.0.0.2:61000"), vip, b"")),
        vec![0x45],
        Vec::new(),
    ];
    for stranger in &mut strangers {
        let before = stranger.clone();
        assert_eq!(leases.incoming(stranger), None, "{before:?}");
        assert_eq!(*stranger, before, "and untouched");
    }
    // Nor does anything leave that no probe sent: to another place, or from another address.
    let mut strays = [
        packet(
            Transport::Tcp,
            at("192.0.0.8:61000"),
            at("192.0.2.2:80"),
            b"",
        ),
        packet(Transport::Tcp, at("192.0.0.9:61000"), vip, b""),
        packet(Transport::Udp, at("192.0.0.8:61000"), vip, b""),
        packet(Transport::Tcp, at("192.0.0.8:61001"), vip, b""),
    ];
    for stray in &mut strays {
        assert_eq!(leases.outgoing(stray), None, "{stray:?}");
    }
}

#[test]
fn ports_go_round_and_rest() {
    let mut leases = leases(Forwarding::Direct);
    let route = leases.entries[&(Transport::Tcp, PORT)].route.clone();
    let first = |leases: &mut Leases, transport, now| leases.vacant(transport, now).next();
    assert_eq!(first(&mut leases, Transport::Tcp, NOW), Some(PORT + 1));
    for port in PORT + 1..PORT + PORTS {
        leases.lend(Transport::Tcp, port, route.clone());
    }
    assert_eq!(
        first(&mut leases, Transport::Tcp, NOW),
        None,
        "all are lent"
    );
    assert_eq!(first(&mut leases, Transport::Udp, NOW), Some(PORT));
    leases.release(Transport::Tcp, PORT + 5, NOW);
    assert_eq!(first(&mut leases, Transport::Tcp, NOW), None, "it rests");
    // Its last packets still find their way.
    let mut late = packet(
        Transport::Tcp,
        at("192.0.2.1:80"),
        at("10.0.0.1:61005"),
        b"",
    );
    assert!(leases.incoming(&mut late).is_some());
    let rested = NOW + REST;
    assert_eq!(first(&mut leases, Transport::Tcp, rested), Some(PORT + 5));
}
