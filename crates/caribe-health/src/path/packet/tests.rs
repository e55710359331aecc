use std::net::SocketAddr;

use etherparse::{Icmpv4Type, Icmpv6Type, PacketBuilder, icmpv4, icmpv6};
use proptest::prelude::*;

use super::*;

fn at(text: &str) -> SocketAddr {
    text.parse().expect("an address with a port")
}

/// A packet of etherparse's making, with right checksums.
pub(in crate::path) fn packet(
    transport: Transport,
    from: SocketAddr,
    to: SocketAddr,
    payload: &[u8],
) -> Vec<u8> {
    let ip = match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => PacketBuilder::ipv4(from.octets(), to.octets(), 64),
        (IpAddr::V6(from), IpAddr::V6(to)) => PacketBuilder::ipv6(from.octets(), to.octets(), 64),
        _ => panic!("one family"),
    };
    let mut bytes = Vec::new();
    let written = match transport {
        Transport::Tcp => ip
            .tcp(from.port(), to.port(), 77, 1024)
            .syn()
            .write(&mut bytes, payload),
        Transport::Udp => ip.udp(from.port(), to.port()).write(&mut bytes, payload),
    };
    written.expect("written");
    bytes
}

/// "Port unreachable" about a packet, from its receiver to its sender.
pub(in crate::path) fn unreachable(about: &[u8]) -> Vec<u8> {
    let segment = Segment::parse(about).expect("whole");
    let ends = [End::Source, End::Destination].map(|end| segment.at(about, end).ip());
    let mut bytes = Vec::new();
    let written = match ends {
        [IpAddr::V4(sender), IpAddr::V4(receiver)] => {
            let kind = Icmpv4Type::DestinationUnreachable(icmpv4::DestUnreachableHeader::Port);
            PacketBuilder::ipv4(receiver.octets(), sender.octets(), 64)
                .icmpv4(kind)
                .write(&mut bytes, about)
        }
        [IpAddr::V6(sender), IpAddr::V6(receiver)] => {
            let kind = Icmpv6Type::DestinationUnreachable(icmpv6::DestUnreachableCode::Port);
            PacketBuilder::ipv6(receiver.octets(), sender.octets(), 64)
                .icmpv6(kind)
                .write(&mut bytes, about)
        }
        _ => panic!("one family"),
    };
    written.expect("written");
    bytes
}

const ENDS: [[&str; 4]; 2] = [
    [
        "10.0.0.1:61000",
        "192.0.2.1:80",
        "192.0.0.8:61000",
        "10.0.0.9:8080",
    ],
    [
        "[fd00::1]:61000",
        "[2001:db8::1]:80",
        "[100::8]:61000",
        "[fd00::9]:8080",
    ],
];

proptest! {
    #[test]
    fn a_rewritten_packet_is_the_one_that_would_have_been_sent(
        v6: bool,
        udp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let [from, to, other_from, other_to] = ENDS[usize::from(v6)].map(at);
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let mut bytes = packet(transport, from, to, &payload);
        let segment = Segment::parse(&bytes).expect("whole");
        prop_assert_eq!(segment.end, bytes.len());
        segment.rewrite(&mut bytes, End::Source, other_from);
        segment.rewrite(&mut bytes, End::Destination, other_to);
        prop_assert_eq!(bytes, packet(transport, other_from, other_to, &payload));
    }

    #[test]
    fn a_rewritten_error_is_the_one_that_would_have_been_sent(
        v6: bool,
        udp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        let [from, to, other_from, other_to] = ENDS[usize::from(v6)].map(at);
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let mut bytes = unreachable(&packet(transport, from, to, &payload));
        let error = IcmpError::parse(&bytes).expect("an error");
        prop_assert_eq!(error.destination(&bytes), from.ip());
        error.rewrite(&mut bytes, other_from, other_to);
        let again = IcmpError::parse(&bytes).expect("still one, with a right checksum");
        prop_assert_eq!(again.destination(&bytes), other_from.ip());
        prop_assert_eq!(again.quoted.at(&bytes, End::Source), other_from);
        prop_assert_eq!(again.quoted.at(&bytes, End::Destination), other_to);
    }

    #[test]
    fn a_checksum_that_was_left_to_the_card_is_finished(
        v6: bool,
        udp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..100),
    ) {
        let [from, to, ..] = ENDS[usize::from(v6)].map(at);
        let transport = if udp { Transport::Udp } else { Transport::Tcp };
        let right = packet(transport, from, to, &payload);
        let segment = Segment::parse(&right).expect("whole");
        let mut bytes = right.clone();
        segment.finish_checksum(&mut bytes);
        prop_assert_eq!(&bytes, &right, "a right one stays");
        let (offset, _, pseudo) = segment.checksum(&bytes);
        bytes[offset..offset + 2].copy_from_slice(&pseudo.folded());
        segment.finish_checksum(&mut bytes);
        prop_assert_eq!(&bytes, &right);
        // A wrong one stays wrong.
        bytes[offset] ^= 0x10;
        let wrong = bytes.clone();
        segment.finish_checksum(&mut bytes);
        prop_assert_eq!(bytes, wrong);
    }

    #[test]
    fn any_bytes_are_taken(mut bytes in prop::collection::vec(any::<u8>(), 0..200), first: u8) {
        if let Some(byte) = bytes.first_mut() {
            *byte = if first.is_multiple_of(2) { 0x45 } else { 0x60 };
        }
        if let Some(segment) = Segment::parse(&bytes) {
            segment.finish_checksum(&mut bytes);
            segment.rewrite(&mut bytes, End::Source, at("10.0.0.1:1"));
            segment.rewrite(&mut bytes, End::Destination, at("[::1]:1"));
        }
        if let Some(error) = IcmpError::parse(&bytes) {
            error.rewrite(&mut bytes, at("10.0.0.1:1"), at("10.0.0.2:1"));
        }
    }
}

#[test]
fn what_is_cut_off_or_a_fragment_is_nobodys() {
    let [from, to, ..] = ENDS[0].map(at);
    let bytes = packet(Transport::Tcp, from, to, b"hello");
    for length in 0..bytes.len() {
        assert_eq!(Segment::parse(&bytes[..length]), None, "{length}");
    }
    let mut padded = bytes.clone();
    padded.extend([0; 6]);
    assert_eq!(
        Segment::parse(&padded).map(|segment| segment.end),
        Some(bytes.len())
    );
    for fragment in [[0x20, 0], [0, 1]] {
        let mut bytes = bytes.clone();
        bytes[6..8].copy_from_slice(&fragment);
        assert_eq!(Segment::parse(&bytes), None);
    }
    let error = unreachable(&bytes);
    for length in 0..error.len() {
        assert_eq!(IcmpError::parse(&error[..length]), None, "{length}");
    }
    for byte in 20..error.len() {
        let mut error = error.clone();
        error[byte] ^= 4;
        assert_eq!(IcmpError::parse(&error), None, "byte {byte} is covered");
    }
}
