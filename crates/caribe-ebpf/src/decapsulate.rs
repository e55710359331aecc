//! Unwrapping tunnels on a real server, for kernels without tunnel devices: what is inside goes
//! up the stack as if it had come so.
//!
//! Only packets whose inner destination is a VIP of this server are unwrapped; everything else
//! is left alone, so a tunnel to the server's own stack goes on working.

use aya_ebpf::bindings::xdp_action::{XDP_DROP, XDP_PASS};
use aya_ebpf::programs::XdpContext;
use caribe_packet::ethernet::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6, EthernetHeader};
use caribe_packet::ipv4::Ipv4Header;
use caribe_packet::ipv6::Ipv6Header;
use caribe_packet::transport::{IPIP, IPV6_IN_IP};

use crate::frame;
use crate::maps::{DECAPSULATE_COUNTS, DECAPSULATE_VIPS};

/// Indexes of the counters.
#[derive(Clone, Copy)]
enum Count {
    Decapsulated = 0,
    Passed = 1,
    Refused = 2,
}

/// Unwraps a frame, if it is a tunnelled packet for a VIP.
#[inline(always)]
pub fn decapsulate(context: &XdpContext) -> u32 {
    let Some((length, protocol)) = outer(context) else {
        return count(Count::Passed);
    };
    let start = EthernetHeader::LENGTH + length;
    let (destination, ether_type) = match protocol {
        IPIP => {
            let Some(inner) = frame::at::<Ipv4Header>(context, start) else {
                return count(Count::Passed);
            };
            let [a, b, c, d] = inner.destination;
            (
                [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d],
                ETHER_TYPE_IPV4,
            )
        }
        IPV6_IN_IP => {
            let Some(inner) = frame::at::<Ipv6Header>(context, start) else {
                return count(Count::Passed);
            };
            (inner.destination, ETHER_TYPE_IPV6)
        }
        _ => return count(Count::Passed),
    };
    // SAFETY: the value is not read.
    if unsafe { DECAPSULATE_VIPS.get(&destination) }.is_none() {
        return count(Count::Refused);
    }
    let Some(ethernet) = frame::at::<EthernetHeader>(context, 0) else {
        return count(Count::Passed);
    };
    let ethernet = EthernetHeader {
        ether_type,
        ..*ethernet
    };
    if !frame::grow_head(context, -(length as i32)) {
        return count(Count::Passed);
    }
    let Some(at) = frame::at::<EthernetHeader>(context, 0) else {
        return XDP_DROP;
    };
    *at = ethernet;
    count(Count::Decapsulated)
}

/// Length of the outer IP header, and what it carries. Fragments and headers with options or
/// extensions are for the stack.
#[inline(always)]
fn outer(context: &XdpContext) -> Option<(usize, u8)> {
    let ethernet = frame::at::<EthernetHeader>(context, 0)?;
    match ethernet.ether_type {
        ETHER_TYPE_IPV4 => {
            let ip = frame::at::<Ipv4Header>(context, EthernetHeader::LENGTH)?;
            let plain = ip.is_well_formed()
                && ip.header_length() == Ipv4Header::LENGTH
                && !ip.is_fragment();
            if plain {
                Some((Ipv4Header::LENGTH, ip.protocol))
            } else {
                None
            }
        }
        ETHER_TYPE_IPV6 => {
            let ip = frame::at::<Ipv6Header>(context, EthernetHeader::LENGTH)?;
            Some((Ipv6Header::LENGTH, ip.next_header))
        }
        _ => None,
    }
}

#[inline(always)]
fn count(index: Count) -> u32 {
    if let Some(counter) = DECAPSULATE_COUNTS.get_ptr_mut(index as u32) {
        // SAFETY: the element belongs to this processor, and XDP does not nest on it.
        unsafe { *counter += 1 };
    }
    XDP_PASS
}
