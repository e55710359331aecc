//! Frames to be sent: a packet of a flow, in bytes.

use std::net::{IpAddr, SocketAddr};

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
    };
    written.map_err(|error| wrong(error.to_string()))?;
    Ok(bytes)
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
