//! The frame of a packet that is asked about, and what became of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use caribe_model::{MacAddress, Protocol};

use crate::{Difference, Question};

/// Where frames that are asked about come from, and go to: nobody has these addresses.
const CLIENT_MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];
const OWN_MAC: [u8; 6] = [2, 0, 0, 0, 0, 2];

/// The frame of a packet with right checksums of its headers.
pub(super) fn frame(question: &Question) -> Vec<u8> {
    let mut transport = transport(question);
    transport.resize(transport.len() + usize::from(question.payload), 0);
    let (client, vip) = (question.client.ip(), question.vip.ip());
    // A question is bounded, and so is its frame.
    let length = transport.len() as u16;
    let protocol = question.protocol.number();
    let mut frame = [OWN_MAC, CLIENT_MAC].concat();
    let (ip, pseudo) = match (client, vip) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            frame.extend([0x08, 0x00]);
            let mut ip = vec![0x45, 0];
            ip.extend((20 + length).to_be_bytes());
            ip.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            ip.extend(source.octets());
            ip.extend(destination.octets());
            let sum = checksum(&ip);
            ip[10..12].copy_from_slice(&sum);
            let [high, low] = length.to_be_bytes();
            let pseudo = [
                &source.octets()[..],
                &destination.octets(),
                &[0, protocol, high, low],
            ];
            (ip, pseudo.concat())
        }
        (source, destination) => {
            let (source, destination) = (wide(source), wide(destination));
            frame.extend([0x86, 0xdd]);
            let [high, low] = length.to_be_bytes();
            let mut ip = vec![0x60, 0, 0, 0, high, low, protocol, 64];
            ip.extend(source);
            ip.extend(destination);
            let tail = [0, 0, high, low, 0, 0, 0, protocol];
            (ip, [&source[..], &destination, &tail].concat())
        }
    };
    let place = match question.protocol {
        Protocol::Tcp => Some(16),
        Protocol::Udp => Some(6),
        // Its checksum is another one, and nothing here asks for it.
        Protocol::Sctp => None,
    };
    if let Some(place) = place {
        let sum = checksum(&[&pseudo[..], &transport].concat());
        transport[place..place + 2].copy_from_slice(&sum);
    }
    frame.extend(ip);
    frame.extend(transport);
    frame
}

fn transport(question: &Question) -> Vec<u8> {
    let (client, vip) = (question.client.port(), question.vip.port());
    let mut header = [client.to_be_bytes(), vip.to_be_bytes()].concat();
    match question.protocol {
        Protocol::Tcp => {
            header.extend([0; 8]);
            header.extend([5 << 4, question.tcp_flags, 0xff, 0xff, 0, 0, 0, 0]);
        }
        Protocol::Udp => {
            header.extend((8 + question.payload).to_be_bytes());
            header.extend([0, 0]);
        }
        // Tag and checksum, then a whole INIT chunk: tag, window, streams and sequence number.
        Protocol::Sctp => {
            header.extend([0; 8]);
            header.extend([1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1]);
        }
    }
    header
}

fn wide(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => address.octets(),
    }
}

fn checksum(bytes: &[u8]) -> [u8; 2] {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    // Folded to 16 bits.
    (!(sum as u16)).to_be_bytes()
}

/// What a person would read of a frame: fields in the order of the headers.
fn fields(frame: &[u8]) -> Option<Vec<(String, String)>> {
    let mac = |at: usize| {
        let bytes: [u8; 6] = frame.get(at..at + 6)?.try_into().ok()?;
        Some(MacAddress(bytes).to_string())
    };
    let mut fields = vec![
        ("destination MAC".to_owned(), mac(0)?),
        ("source MAC".to_owned(), mac(6)?),
    ];
    let packet = headers(frame.get(14..)?)?;
    fields.extend(packet);
    Some(fields)
}

/// An IP header, what is inside, and its ports.
struct Header {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    protocol: u8,
    length: usize,
}

fn header(packet: &[u8]) -> Option<Header> {
    if packet.first()? >> 4 == 4 {
        let address = |at: usize| {
            let bytes: [u8; 4] = packet.get(at..at + 4)?.try_into().ok()?;
            Some(IpAddr::V4(Ipv4Addr::from(bytes)))
        };
        return Some(Header {
            source: address(12)?,
            destination: address(16)?,
            ttl: *packet.get(8)?,
            protocol: *packet.get(9)?,
            length: usize::from(packet[0] & 15) * 4,
        });
    }
    let address = |at: usize| {
        let bytes: [u8; 16] = packet.get(at..at + 16)?.try_into().ok()?;
        Some(IpAddr::V6(Ipv6Addr::from(bytes)))
    };
    Some(Header {
        source: address(8)?,
        destination: address(24)?,
        ttl: *packet.get(7)?,
        protocol: *packet.get(6)?,
        length: 40,
    })
}

fn headers(packet: &[u8]) -> Option<Vec<(String, String)>> {
    let ip = header(packet)?;
    let payload = packet.get(ip.length..)?;
    let inner = match ip.protocol {
        4 | 41 => Some(("IP in IP".to_owned(), 0)),
        // The length of GUE's and GRE's headers is told by their first bits.
        17 if is_gue(payload) => {
            let port = port(payload, 2)?;
            let options = usize::from(payload.get(8)? & 31) * 4;
            Some((format!("GUE to port {port}"), 12 + options))
        }
        47 => {
            let checksum = payload.first()? & 0x80 != 0;
            Some(("GRE".to_owned(), if checksum { 8 } else { 4 }))
        }
        _ => None,
    };
    let mut fields = Vec::new();
    if let Some((name, length)) = inner {
        fields.push((
            "outer header".to_owned(),
            format!("{name}, {} to {}", ip.source, ip.destination),
        ));
        fields.extend(headers(payload.get(length..)?)?);
        return Some(fields);
    }
    fields.push(("source".to_owned(), ip.source.to_string()));
    fields.push(("destination".to_owned(), ip.destination.to_string()));
    fields.push(("TTL".to_owned(), ip.ttl.to_string()));
    if matches!(ip.protocol, 6 | 17 | 132) {
        fields.push(("source port".to_owned(), port(payload, 0)?.to_string()));
        fields.push(("destination port".to_owned(), port(payload, 2)?.to_string()));
    }
    if ip.protocol == 6 {
        fields.extend(segment_size(payload));
    }
    Some(fields)
}

/// TCP's option of the largest segment, if it is the first.
fn segment_size(tcp: &[u8]) -> Option<(String, String)> {
    match *tcp.get(20..24)? {
        [2, 4, high, low] => {
            let size = u16::from_be_bytes([high, low]);
            Some(("MSS".to_owned(), size.to_string()))
        }
        _ => None,
    }
}

/// True for the header of a packet in UDP: of version 0, with a packet inside.
fn is_gue(udp: &[u8]) -> bool {
    udp.get(8).is_some_and(|first| first >> 5 == 0)
        && matches!(udp.get(9), Some(4 | 41))
        && udp.get(12..).is_some_and(|rest| rest.len() >= 20)
}

fn port(transport: &[u8], at: usize) -> Option<u16> {
    let bytes: [u8; 2] = transport.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_be_bytes(bytes))
}

/// What is different about the frame that came out. What the frame that went in was addressed to
/// on its Ethernet means nothing, so only the new addresses are told.
pub(super) fn differences(before: &[u8], after: &[u8]) -> Vec<Difference> {
    let (Some(before), Some(after)) = (fields(before), fields(after)) else {
        return Vec::new();
    };
    let changed = after.iter().filter_map(|(field, after)| {
        let former = before.iter().find(|(name, _)| name == field);
        let before = former.map_or("", |(_, value)| value);
        (before != after).then(|| Difference {
            field: field.clone(),
            before: if field.ends_with("MAC") { "" } else { before }.to_owned(),
            after: after.clone(),
        })
    });
    changed.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question(protocol: Protocol, client: &str, vip: &str) -> Question {
        Question {
            protocol,
            client: client.parse().expect("an address"),
            vip: vip.parse().expect("an address"),
            tcp_flags: 2,
            payload: 3,
            interface: None,
        }
    }

    #[test]
    fn frames_are_read_by_an_independent_reader() {
        for (client, vip) in [
            ("198.51.100.7:4000", "192.0.2.1:80"),
            ("[2001:db8::7]:4000", "[2001:db8::1]:80"),
        ] {
            for protocol in [Protocol::Tcp, Protocol::Udp] {
                let asked = question(protocol, client, vip);
                let frame = frame(&asked);
                let read = etherparse::PacketHeaders::from_ethernet_slice(&frame).expect("a frame");
                let transport = read.transport.expect("a transport header");
                let payload = read.payload.slice();
                assert_eq!(payload, [0; 3]);
                let ip = read.net.expect("an IP header");
                let (ports, found, right) = match (transport, &ip) {
                    (
                        etherparse::TransportHeader::Tcp(tcp),
                        etherparse::NetHeaders::Ipv4(ip, _),
                    ) => {
                        assert!(tcp.syn);
                        assert_eq!(ip.header_checksum, ip.calc_header_checksum());
                        let sum = tcp.calc_checksum_ipv4(ip, payload);
                        ((tcp.source_port, tcp.destination_port), tcp.checksum, sum)
                    }
                    (
                        etherparse::TransportHeader::Udp(udp),
                        etherparse::NetHeaders::Ipv4(ip, _),
                    ) => {
                        let sum = udp.calc_checksum_ipv4(ip, payload);
                        ((udp.source_port, udp.destination_port), udp.checksum, sum)
                    }
                    (
                        etherparse::TransportHeader::Tcp(tcp),
                        etherparse::NetHeaders::Ipv6(ip, _),
                    ) => {
                        let sum = tcp.calc_checksum_ipv6(ip, payload);
                        ((tcp.source_port, tcp.destination_port), tcp.checksum, sum)
                    }
                    (
                        etherparse::TransportHeader::Udp(udp),
                        etherparse::NetHeaders::Ipv6(ip, _),
                    ) => {
                        let sum = udp.calc_checksum_ipv6(ip, payload);
                        ((udp.source_port, udp.destination_port), udp.checksum, sum)
                    }
                    other => panic!("{other:?}"),
                };
                assert_eq!(ports, (4000, 80));
                assert_eq!(found, right.expect("short"), "{asked:?}");
            }
        }
    }

    #[test]
    fn differences_are_named() {
        let asked = question(Protocol::Tcp, "198.51.100.7:4000", "192.0.2.1:80");
        let before = frame(&asked);
        let mut after = before.clone();
        after[5] = 9;
        after[22] = 63;
        after[30..34].copy_from_slice(&[10, 0, 0, 2]);
        after[36..38].copy_from_slice(&8080u16.to_be_bytes());
        let told: Vec<String> = differences(&before, &after)
            .into_iter()
            .map(|it| format!("{}: {} -> {}", it.field, it.before, it.after))
            .collect();
        assert_eq!(
            told,
            [
                "destination MAC:  -> 02:00:00:00:00:09",
                "destination: 192.0.2.1 -> 10.0.0.2",
                "TTL: 64 -> 63",
                "destination port: 80 -> 8080",
            ]
        );
        assert_eq!(differences(&before, &before), []);
    }

    #[test]
    fn an_outer_header_is_told_apart() {
        let asked = question(Protocol::Udp, "198.51.100.7:4000", "192.0.2.1:80");
        let before = frame(&asked);
        let mut outer = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 4, 0, 0];
        outer.extend([10, 0, 0, 254, 10, 0, 0, 2]);
        let after = [&before[..14], &outer, &before[14..]].concat();
        let told = differences(&before, &after);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].after, "IP in IP, 10.0.0.254 to 10.0.0.2");
    }

    #[test]
    fn whatever_is_cut_short_is_not_read() {
        let whole = frame(&question(
            Protocol::Tcp,
            "198.51.100.7:4000",
            "192.0.2.1:80",
        ));
        for length in 0..38 {
            assert_eq!(fields(&whole[..length]), None, "{length} bytes");
        }
    }
}
