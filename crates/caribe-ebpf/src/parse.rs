//! First stage: which flow does a frame belong to?

use aya_ebpf::programs::XdpContext;
use caribe_packet::chapter::Chapter;
use caribe_packet::ethernet::{
    ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, ETHER_TYPE_SERVICE_VLAN, ETHER_TYPE_VLAN, EthernetHeader,
};
use caribe_packet::icmp::IcmpHeader;
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::{DESTINATION_OPTIONS, FRAGMENT, HOP_BY_HOP, Ipv6Header, ROUTING};
use caribe_packet::transport::{ICMP, ICMPV6, Ports, SCTP, TCP, TcpHeader, UDP, UdpHeader};
use caribe_packet::verdict::Verdict;

use crate::chapter;
use crate::family::{V4, V6};
use crate::flow;
use crate::frame;
use crate::maps::VIPS;
use crate::packet::Packet;
use crate::sctp;
use crate::verdict::{Outcome, drop, pass};

/// Follows a frame to its verdict.
#[inline(always)]
pub fn parse(context: &XdpContext) -> Outcome {
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return drop(Verdict::DroppedMalformed);
    };
    match ethernet.ether_type {
        ETHER_TYPE_IPV4 | ETHER_TYPE_IPV6 if ethernet.is_for_group() => pass(Verdict::PassedGroup),
        ETHER_TYPE_IPV4 => parse4(context),
        ETHER_TYPE_IPV6 => parse6(context),
        ETHER_TYPE_VLAN | ETHER_TYPE_SERVICE_VLAN => pass(Verdict::PassedVlan),
        _ => pass(Verdict::PassedNotIp),
    }
}

#[inline(always)]
fn parse4(context: &XdpContext) -> Outcome {
    let Some(ip) = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    let header_length = ip.header_length();
    let length = ip.total_length();
    if !ip.is_well_formed()
        || (length as usize) < header_length
        || frame::length(context) < EthernetHeader::LENGTH + length as usize
    {
        return drop(Verdict::DroppedMalformed);
    }
    if ip.protocol == ICMP && !ip.is_fragment() {
        let at = EthernetHeader::LENGTH + header_length;
        return error_or_not(context, at, false);
    }
    if !matches!(ip.protocol, TCP | UDP | SCTP) {
        return pass(Verdict::PassedProtocol);
    }
    if ip.is_fragment() {
        return chapter::turn_to(context, Chapter::Fragments4);
    }
    let transport = EthernetHeader::LENGTH + header_length;
    let payload = length as usize - header_length;
    match transport_header(context, ip.protocol, transport, payload, false) {
        Some((ports, flags)) => flow::follow::<V4, 2>(
            context,
            &Packet {
                source: ip.source,
                destination: ip.destination,
                ports,
                protocol: ip.protocol,
                flags,
                is_later_fragment: false,
                is_fragment: false,
                length,
                transport,
            },
        ),
        None => drop(Verdict::DroppedMalformed),
    }
}

#[inline(always)]
fn parse6(context: &XdpContext) -> Outcome {
    let Some(ip) = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH) else {
        return drop(Verdict::DroppedMalformed);
    };
    let payload = ip.payload_length();
    let transport = EthernetHeader::LENGTH + Ipv6Header::LENGTH;
    if !ip.is_well_formed() || frame::length(context) < transport + payload as usize {
        return drop(Verdict::DroppedMalformed);
    }
    match ip.next_header {
        TCP | UDP | SCTP => {}
        HOP_BY_HOP | ROUTING | DESTINATION_OPTIONS | FRAGMENT => {
            return chapter::turn_to(context, Chapter::Extended6);
        }
        ICMPV6 => return error_or_not(context, transport, true),
        _ => return pass(Verdict::PassedProtocol),
    }
    match transport_header(context, ip.next_header, transport, payload as usize, false) {
        Some((ports, flags)) => flow::follow::<V6, 5>(
            context,
            &Packet {
                source: ip.source,
                destination: ip.destination,
                ports,
                protocol: ip.next_header,
                flags,
                is_later_fragment: false,
                is_fragment: false,
                length: (Ipv6Header::LENGTH as u16).wrapping_add(payload),
                transport,
            },
        ),
        None => drop(Verdict::DroppedMalformed),
    }
}

/// ICMP: errors have a chapter of their own, the rest is for the kernel.
#[inline(always)]
fn error_or_not(context: &XdpContext, at: usize, is_ipv6: bool) -> Outcome {
    let Some(icmp) = frame::at::<IcmpHeader>(context, at) else {
        return pass(Verdict::PassedProtocol);
    };
    if !IcmpHeader::is_error(icmp.kind, is_ipv6) {
        return pass(Verdict::PassedProtocol);
    }
    let chapter = if is_ipv6 {
        Chapter::Errors6
    } else {
        Chapter::Errors4
    };
    chapter::turn_to(context, chapter)
}

/// Ports and flags, if a whole transport header is there, and for SCTP that of a chunk. Of a first
/// fragment the rest of the datagram may be elsewhere.
#[inline(always)]
pub fn transport_header(
    context: &XdpContext,
    protocol: u8,
    offset: usize,
    payload: usize,
    is_first_fragment: bool,
) -> Option<(Ports, u8)> {
    if protocol == TCP {
        let tcp = frame::at::<TcpHeader>(context, offset)?;
        let length = (tcp.data_offset >> 4) as usize * 4;
        if length < TcpHeader::LENGTH || payload < length {
            return None;
        }
        Some((tcp.ports, tcp.flags))
    } else if protocol == SCTP {
        sctp::header(context, offset, payload)
    } else {
        let udp = frame::at::<UdpHeader>(context, offset)?;
        let length = u16::from_be_bytes(udp.length) as usize;
        let least = if is_first_fragment {
            UdpHeader::LENGTH
        } else {
            length
        };
        if length < UdpHeader::LENGTH || payload < least {
            return None;
        }
        Some((udp.ports, 0))
    }
}

/// Drops what cannot be balanced if it is addressed to a VIP, and passes it otherwise.
#[inline(always)]
pub fn only_for_strangers(destination: &[u8; 16], passed: Verdict, dropped: Verdict) -> Outcome {
    // SAFETY: the value is not read.
    if unsafe { VIPS.get(destination) }.is_some() {
        drop(dropped)
    } else {
        pass(passed)
    }
}
