use std::num::NonZeroU16;

use caribe_packet::tunnel::overhead;

use super::*;
use crate::path::packet::Transport;
use crate::path::packet::tests::packet;

const ALL: [Encapsulation; 6] = [
    Encapsulation::Ipip,
    Encapsulation::Gre { checksum: false },
    Encapsulation::Gre { checksum: true },
    gue(GueChecksum::None),
    gue(GueChecksum::Full),
    gue(GueChecksum::Remote),
];

const fn gue(checksum: GueChecksum) -> Encapsulation {
    let port = NonZeroU16::new(6080).expect("not zero");
    Encapsulation::Gue { port, checksum }
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A tunnel's headers and what is behind them.
fn wrapped(v6: bool, over6: bool, encapsulation: Encapsulation) -> (Vec<u8>, Vec<u8>) {
    let ends = if v6 {
        ["[fd00::1]:61000", "[2001:db8::1]:53"]
    } else {
        ["10.0.0.1:61000", "192.0.2.1:53"]
    };
    let [from, to] = ends.map(|text| text.parse().expect("an address with a port"));
    let mut inner = packet(Transport::Udp, from, to, b"an odd number of bytes!");
    let between = if over6 {
        (address("fd00::1"), address("fd00::9"))
    } else {
        (address("10.0.0.1"), address("10.0.0.9"))
    };
    let segment = Segment::parse(&inner).expect("whole");
    let mut frame = Vec::new();
    outer(&segment, &mut inner, encapsulation, between, &mut frame).expect("wrapped");
    (frame, inner)
}

#[test]
fn every_tunnel_has_the_headers_that_the_data_plane_writes() {
    for encapsulation in ALL {
        for (v6, over6) in [(false, false), (false, true), (true, false), (true, true)] {
            let (headers, inner) = wrapped(v6, over6, encapsulation);
            let outer_flag = if over6 {
                caribe_packet::server::OUTER_IPV6
            } else {
                0
            };
            let length = overhead(flags(encapsulation) | outer_flag);
            assert_eq!(headers.len(), usize::from(length), "{encapsulation:?}");
            let (told, protocol) = if over6 {
                (
                    40 + u16::from_be_bytes([headers[4], headers[5]]),
                    headers[6],
                )
            } else {
                (u16::from_be_bytes([headers[2], headers[3]]), headers[9])
            };
            assert_eq!(usize::from(told), headers.len() + inner.len());
            let expected = match encapsulation {
                Encapsulation::Ipip if v6 => 41,
                Encapsulation::Ipip => 4,
                Encapsulation::Gre { .. } => 47,
                Encapsulation::Gue { .. } => 17,
            };
            assert_eq!(protocol, expected);
        }
    }
}

#[test]
fn checksums_of_tunnels_cover_all_that_is_inside() {
    for (v6, over6) in [(false, false), (false, true), (true, false), (true, true)] {
        let behind = if over6 { 40 } else { 20 };
        let (headers, inner) = wrapped(v6, over6, Encapsulation::Gre { checksum: true });
        let covered = Sum::new().add_slice(&headers[behind..]).add_slice(&inner);
        assert_eq!(covered.finish(), [0, 0]);
        for checksum in [GueChecksum::Full, GueChecksum::Remote] {
            let (headers, inner) = wrapped(v6, over6, gue(checksum));
            let datagram = [&headers[behind..], &inner].concat();
            let addresses = if over6 { 8..40 } else { 12..20 };
            let length = u16::try_from(datagram.len()).expect("short");
            let sum = Sum::new()
                .add_slice(&headers[addresses])
                .add_bytes([0, 17])
                .add_bytes(length.to_be_bytes())
                .add_slice(&datagram);
            assert_eq!(sum.finish(), [0, 0], "{checksum:?}");
        }
        // What the receiver of remote checksum offload does gives the right packet.
        let (headers, mut inner) = wrapped(v6, over6, gue(GueChecksum::Remote));
        let place = |at: usize| usize::from(u16::from_be_bytes([headers[at], headers[at + 1]]));
        let (start, offset) = (place(headers.len() - 4), place(headers.len() - 2));
        let checksum = Sum::new().add_slice(&inner[start..]).finish();
        inner[offset..offset + 2].copy_from_slice(&checksum);
        let (_, plain) = wrapped(v6, over6, gue(GueChecksum::Full));
        assert_eq!(inner, plain);
    }
}

#[test]
fn ends_of_different_families_have_no_tunnel() {
    let [from, to] = ["10.0.0.1:61000", "192.0.2.1:53"].map(|text| text.parse().expect("one"));
    let mut inner = packet(Transport::Udp, from, to, b"");
    let segment = Segment::parse(&inner).expect("whole");
    let between = (address("10.0.0.1"), address("fd00::9"));
    let mut frame = Vec::new();
    let none = outer(
        &segment,
        &mut inner,
        Encapsulation::Ipip,
        between,
        &mut frame,
    );
    assert_eq!(none, None);
}
