//! Unwrapping tunnels on a real server, for kernels without tunnel devices: what is inside goes
//! up the stack as if it had come so. IP in IP, GUE and GRE, over either family.
//!
//! Only packets whose inner destination is a VIP of this server are unwrapped; everything else
//! is left alone, so a tunnel to the server's own stack goes on working, and so does a UDP
//! service. GUE is taken on any port: what is inside tells it from other datagrams. Checksums are
//! verified where there are any.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::programs::XdpContext;
use caribe_packet::checksum::{Difference, Sum};
use caribe_packet::ecn::leave_tunnel;
use caribe_packet::ethernet::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, EthernetHeader};
use caribe_packet::gre::{GreChecksum, GreHeader};
use caribe_packet::gue::{GueHeader, RemoteChecksum};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::transport::{GRE, IPIP, IPV6_IN_IP, UDP, UdpHeader};

use crate::frame;
use crate::maps::{DECAPSULATE_COUNTS, DECAPSULATE_VIPS};
use crate::sum;

/// Indexes of the counters.
#[derive(Clone, Copy)]
enum Count {
    Decapsulated = 0,
    Passed = 1,
    Refused = 2,
    Corrupt = 3,
    Congested = 4,
}

/// The outer IP header.
struct Outer {
    /// Where what follows it begins in the frame.
    end: usize,
    /// What follows it.
    protocol: u8,
    /// Its TOS or traffic class.
    service: u8,
    /// Bytes that follow it.
    payload: usize,
    /// The sum of both addresses.
    addresses: Sum,
}

/// What is inside a tunnel.
struct Inside {
    /// Where it begins in the frame.
    start: usize,
    /// Its protocol: [`IPIP`] or [`IPV6_IN_IP`].
    protocol: u8,
}

/// Unwraps a frame, if it is a tunnelled packet for a VIP.
#[inline(always)]
pub fn decapsulate(context: &XdpContext) -> u32 {
    let Some(outer) = outer(context) else {
        return pass(Count::Passed);
    };
    let inside = match outer.protocol {
        IPIP | IPV6_IN_IP => Some(Inside {
            start: outer.end,
            protocol: outer.protocol,
        }),
        GRE => gre(context, &outer),
        UDP => gue(context, &outer),
        _ => None,
    };
    let Some(inside) = inside else {
        return pass(Count::Passed);
    };
    let Some((destination, ether_type)) = destination(context, &inside) else {
        return pass(Count::Passed);
    };
    // SAFETY: the value is not read.
    if unsafe { DECAPSULATE_VIPS.get(&destination) }.is_none() {
        // A datagram may merely look like GUE.
        return pass(match outer.protocol {
            UDP => Count::Passed,
            _ => Count::Refused,
        });
    }
    if !is_intact(context, &outer, &inside) {
        return drop(Count::Corrupt);
    }
    match mark(context, &outer, &inside) {
        Some(true) => {}
        Some(false) => return drop(Count::Congested),
        None => return pass(Count::Passed),
    }
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return pass(Count::Passed);
    };
    let ethernet = EthernetHeader {
        ether_type,
        ..*ethernet
    };
    if !frame::grow_head(context, EthernetHeader::LENGTH as i32 - inside.start as i32) {
        return pass(Count::Passed);
    }
    let Some(at) = frame::at::<EthernetHeader>(context, 0) else {
        return XDP_DROP;
    };
    *at = ethernet;
    pass(Count::Decapsulated)
}

/// The outer IP header. Fragments and headers with options or extensions are for the stack.
#[inline(always)]
fn outer(context: &XdpContext) -> Option<Outer> {
    let ethernet = frame::at::<EthernetHeader>(context, 0)?;
    match ethernet.ether_type {
        ETHER_TYPE_IPV4 => {
            let ip = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
            let plain = ip.is_well_formed()
                && ip.header_length() == Ipv4Header::LENGTH
                && !ip.is_fragment();
            if !plain {
                return None;
            }
            Some(Outer {
                end: EthernetHeader::LENGTH + Ipv4Header::LENGTH,
                protocol: ip.protocol,
                service: ip.service,
                payload: (ip.total_length() as usize).saturating_sub(Ipv4Header::LENGTH),
                addresses: Sum::new().add_array(ip.source).add_array(ip.destination),
            })
        }
        ETHER_TYPE_IPV6 => {
            let ip = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH)?;
            let addresses = sum::exactly::<{ 2 * 16 }>((&raw mut ip.source).cast());
            Some(Outer {
                end: EthernetHeader::LENGTH + Ipv6Header::LENGTH,
                protocol: ip.next_header,
                service: ip.traffic_class(),
                payload: ip.payload_length() as usize,
                addresses,
            })
        }
        _ => None,
    }
}

#[inline(always)]
fn gre(context: &XdpContext, outer: &Outer) -> Option<Inside> {
    let header = frame::at::<GreHeader>(context, outer.end)?;
    let optional = if header.is_plain() {
        0
    } else if header.has_checksum() {
        GreChecksum::LENGTH
    } else {
        return None;
    };
    let protocol = match header.protocol {
        ETHER_TYPE_IPV4 => IPIP,
        ETHER_TYPE_IPV6 => IPV6_IN_IP,
        _ => return None,
    };
    Some(Inside {
        start: outer.end + GreHeader::LENGTH + optional,
        protocol,
    })
}

#[inline(always)]
fn gue(context: &XdpContext, outer: &Outer) -> Option<Inside> {
    let at = outer.end + UdpHeader::LENGTH;
    let header = frame::at::<GueHeader>(context, at)?;
    let optional = if !header.is_data() {
        return None;
    } else if header.is_plain() {
        0
    } else if header.has_remote_checksum() {
        RemoteChecksum::LENGTH
    } else {
        return None;
    };
    if header.protocol != IPIP && header.protocol != IPV6_IN_IP {
        return None;
    }
    Some(Inside {
        start: at + GueHeader::LENGTH + optional,
        protocol: header.protocol,
    })
}

/// Where the inner packet goes, and its EtherType.
#[inline(always)]
fn destination(context: &XdpContext, inside: &Inside) -> Option<([u8; 16], [u8; 2])> {
    if inside.protocol == IPV6_IN_IP {
        let inner = frame::at::<Ipv6Header>(context, inside.start)?;
        return Some((inner.destination, ETHER_TYPE_IPV6));
    }
    let inner = frame::at::<Ipv4Header>(context, inside.start)?;
    let [a, b, c, d] = inner.destination;
    let mapped = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d];
    Some((mapped, ETHER_TYPE_IPV4))
}

/// False if a checksum of the tunnel is wrong. Puts the checksum of a packet that asks for it
/// into the inner packet.
#[inline(always)]
fn is_intact(context: &XdpContext, outer: &Outer, inside: &Inside) -> bool {
    if outer.protocol == GRE {
        return inside.start - outer.end == GreHeader::LENGTH
            || sums_up(context, outer.end, outer.payload, Sum::new());
    }
    if outer.protocol != UDP {
        return true;
    }
    let Some(udp) = frame::at::<UdpHeader>(context, outer.end) else {
        return false;
    };
    let length = u16::from_be_bytes(udp.length);
    let pseudo = outer
        .addresses
        .add_bytes([0, UDP])
        .add_bytes(length.to_be_bytes());
    if length as usize > outer.payload
        || udp.checksum != [0, 0] && !sums_up(context, outer.end, length as usize, pseudo)
    {
        return false;
    }
    let at = outer.end + UdpHeader::LENGTH + GueHeader::LENGTH;
    inside.start == at || finish_checksum(context, at, inside.start, outer.end + length as usize)
}

/// True if some bytes and a sum make a right checksum.
#[inline(always)]
fn sums_up(context: &XdpContext, at: usize, length: usize, more: Sum) -> bool {
    match sum::of(context, at, length) {
        Some(sum) => sum.add(more).folded() == [0xff, 0xff],
        None => false,
    }
}

/// Remote checksum offload: computes the inner checksum where the option at `at` says.
#[inline(always)]
fn finish_checksum(context: &XdpContext, at: usize, inner: usize, end: usize) -> bool {
    let Some(option) = frame::at::<RemoteChecksum>(context, at) else {
        return false;
    };
    let Some((start, offset)) = option.parse() else {
        return false;
    };
    let from = inner + (start & 0x7f) as usize;
    let place = inner + (offset & 0x7f) as usize;
    let Some(sum) = sum::of(context, from, end.wrapping_sub(from)) else {
        return false;
    };
    let Some(checksum) = frame::at::<[u8; 2]>(context, place) else {
        return false;
    };
    // Zero would tell a receiver of UDP that there is none; for TCP both are the same number.
    *checksum = match sum.finish() {
        [0, 0] if place - from == UdpHeader::CHECKSUM_AT => [0xff, 0xff],
        checksum => checksum,
    };
    true
}

/// Carries a mark of congestion over to the inner packet; false if that cannot be.
#[inline(always)]
fn mark(context: &XdpContext, outer: &Outer, inside: &Inside) -> Option<bool> {
    if inside.protocol == IPV6_IN_IP {
        let inner = frame::at::<Ipv6Header>(context, inside.start)?;
        let Some(service) = leave_tunnel(outer.service, inner.traffic_class()) else {
            return Some(false);
        };
        inner.set_traffic_class(service);
        return Some(true);
    }
    let inner = frame::at::<Ipv4Header>(context, inside.start)?;
    let Some(service) = leave_tunnel(outer.service, inner.service) else {
        return Some(false);
    };
    if service != inner.service {
        let old = u16::from_ne_bytes([inner.version_and_length, inner.service]);
        inner.service = service;
        let new = u16::from_ne_bytes([inner.version_and_length, inner.service]);
        inner.patch_checksum(Difference::none().replace_u16(old, new));
    }
    Some(true)
}

#[inline(always)]
fn pass(index: Count) -> u32 {
    count(index);
    XDP_PASS
}

#[inline(always)]
fn drop(index: Count) -> u32 {
    count(index);
    XDP_DROP
}

#[inline(always)]
fn count(index: Count) {
    if let Some(counter) = DECAPSULATE_COUNTS.get_ptr_mut(index as u32) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe { *counter += 1 };
    }
}
