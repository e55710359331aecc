//! Frames to be sent: a packet of a flow, in bytes.

use std::net::{IpAddr, SocketAddr};

use crc::{CRC_32_ISCSI, Crc};
use etherparse::{
    IpDscp, IpEcn, IpHeaders, IpNumber, Ipv4Header, Ipv6Header, PacketBuilder, TcpHeader,
};

use crate::PlayError;
use crate::scenario::{Packet, Protocol};

/// A frame from one end to another.
pub(crate) fn frame(
    macs: ([u8; 6], [u8; 6]),
    protocol: Protocol,
    from: SocketAddr,
    to: SocketAddr,
    packet: &Packet,
) -> Result<Vec<u8>, PlayError> {
    let wrong = |reason: String| PlayError::Unreadable {
        what: format!("a packet from {from} to {to}"),
        reason,
    };
    let ip = ip_header(from.ip(), to.ip(), packet)
        .ok_or_else(|| wrong("its ends are of two address families".to_owned()))?;
    let payload: Vec<u8> = (0..packet.payload).map(|number| number as u8).collect();
    let mut bytes = Vec::new();
    let builder = PacketBuilder::ethernet2(macs.0, macs.1).ip(ip);
    let written = match protocol {
        Protocol::Tcp => {
            let mut header = TcpHeader::new(from.port(), to.port(), 1_000_000, 4096);
            header.syn = packet.flags.syn;
            header.ack = packet.flags.ack;
            header.fin = packet.flags.fin;
            header.rst = packet.flags.rst;
            if header.ack {
                header.acknowledgment_number = 2_000_000;
            }
            builder.tcp_header(header).write(&mut bytes, &payload)
        }
        Protocol::Udp => builder
            .udp(from.port(), to.port())
            .write(&mut bytes, &payload),
        Protocol::Sctp => {
            let ports = (from.port(), to.port());
            builder.write(&mut bytes, IpNumber::SCTP, &sctp(ports, packet, &payload))
        }
    };
    written.map_err(|error| wrong(error.to_string()))?;
    Ok(bytes)
}

/// An SCTP packet of one chunk.
fn sctp(ports: (u16, u16), packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let mut bytes = ports.0.to_be_bytes().to_vec();
    bytes.extend(ports.1.to_be_bytes());
    // A verification tag, and the checksum's place.
    bytes.extend([0, 0x0f, 0x42, 0x40, 0, 0, 0, 0]);
    bytes.extend([packet.chunk as u8, 0]);
    bytes.extend((4 + packet.payload).to_be_bytes());
    bytes.extend(payload);
    let checksum = crc32c(&bytes);
    bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

/// SCTP's checksum (RFC 9260, appendix A) of a packet that has none yet.
pub(crate) fn crc32c(packet: &[u8]) -> u32 {
    Crc::<u32>::new(&CRC_32_ISCSI).checksum(packet)
}

fn ip_header(from: IpAddr, to: IpAddr, packet: &Packet) -> Option<IpHeaders> {
    // Both are of 6 and 2 bits.
    let dscp = IpDscp::try_new(packet.tos >> 2).ok()?;
    let ecn = IpEcn::try_new(packet.tos & 3).ok()?;
    match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let header = Ipv4Header {
                dscp,
                ecn,
                identification: 77,
                dont_fragment: packet.dont_fragment,
                time_to_live: packet.ttl,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv4Header::default()
            };
            Some(IpHeaders::Ipv4(
                header,
                etherparse::Ipv4Extensions::default(),
            ))
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let header = Ipv6Header {
                traffic_class: packet.tos,
                next_header: IpNumber::TCP,
                hop_limit: packet.ttl,
                source: from.octets(),
                destination: to.octets(),
                ..Ipv6Header::default()
            };
            Some(IpHeaders::Ipv6(
                header,
                etherparse::Ipv6Extensions::default(),
            ))
        }
        _ => None,
    }
}
