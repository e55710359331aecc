//! Outer headers of tunnelled packets (RFC 2003, RFC 2473), by the rules of IPVS.

use crate::ethernet::{ETHER_TYPE_IPV4, ETHER_TYPE_IPV6};
use crate::gre::{GreChecksum, GreHeader};
use crate::gue::{GueHeader, RemoteChecksum};
use crate::ipv4::{Ipv4Fields, Ipv4Header};
use crate::ipv6::Ipv6Header;
use crate::server::{GRE, GUE, OUTER_IPV6, REMOTE_CHECKSUM, TUNNEL_CHECKSUM};
use crate::transport::{self, IPIP, IPV6_IN_IP, UdpHeader};

/// What an outer header takes from the packet inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inner {
    /// Length of the whole inner packet in bytes.
    pub length: u16,
    /// TOS or traffic class.
    pub service: u8,
    /// TTL or hop limit, already decremented.
    pub ttl: u8,
    /// The DF bit; false for IPv6.
    pub do_not_fragment: bool,
    /// True when the inner packet is IPv6.
    pub is_ipv6: bool,
}

impl Inner {
    /// IP protocol of the inner packet.
    #[inline(always)]
    pub const fn protocol(&self) -> u8 {
        if self.is_ipv6 { IPV6_IN_IP } else { IPIP }
    }

    /// EtherType of the inner packet, network order.
    #[inline(always)]
    pub const fn ether_type(&self) -> [u8; 2] {
        if self.is_ipv6 {
            ETHER_TYPE_IPV6
        } else {
            ETHER_TYPE_IPV4
        }
    }

    /// Differentiated services are copied; so is ECN, except that a mark set on the way here
    /// (CE) is not blamed on the outer path: it goes out as ECT(0) (RFC 3168, 9.1.1).
    #[inline(always)]
    const fn outer_service(&self) -> u8 {
        if self.service & 3 == 3 {
            self.service & !3 | 2
        } else {
            self.service
        }
    }
}

/// Bytes that a tunnel to a server with these flags puts in front of a packet: the outer IP header
/// and what follows it. What is left of the way's MTU is the effective one.
#[inline(always)]
pub const fn overhead(flags: u8) -> u16 {
    let outer = if flags & OUTER_IPV6 != 0 {
        Ipv6Header::LENGTH
    } else {
        Ipv4Header::LENGTH
    };
    (outer + between(flags)) as u16
}

/// Bytes between the outer IP header and the packet.
#[inline(always)]
pub const fn between(flags: u8) -> usize {
    if flags & GUE != 0 {
        let option = if flags & REMOTE_CHECKSUM != 0 {
            RemoteChecksum::LENGTH
        } else {
            0
        };
        UdpHeader::LENGTH + GueHeader::LENGTH + option
    } else if flags & GRE != 0 {
        let checksum = if flags & TUNNEL_CHECKSUM != 0 {
            GreChecksum::LENGTH
        } else {
            0
        };
        GreHeader::LENGTH + checksum
    } else {
        0
    }
}

/// Protocol of the outer IP header.
#[inline(always)]
const fn outer_protocol(inner: &Inner, flags: u8) -> u8 {
    if flags & GUE != 0 {
        transport::UDP
    } else if flags & GRE != 0 {
        transport::GRE
    } else {
        inner.protocol()
    }
}

/// An outer IPv4 header for a server with these flags.
#[inline(always)]
pub fn outer4(
    inner: &Inner,
    flags: u8,
    source: [u8; 4],
    destination: [u8; 4],
    id: u16,
) -> Ipv4Header {
    Ipv4Header::emit(Ipv4Fields {
        service: inner.outer_service(),
        total_length: inner
            .length
            .wrapping_add((Ipv4Header::LENGTH + between(flags)) as u16),
        identification: id,
        do_not_fragment: inner.do_not_fragment,
        ttl: inner.ttl,
        protocol: outer_protocol(inner, flags),
        source,
        destination,
    })
}

/// Writes an outer IPv6 header for a server with these flags; its flow label is zero. Field by
/// field, because the kernel's small stack has no room for another copy of its addresses.
#[inline(always)]
pub fn outer6(
    inner: &Inner,
    flags: u8,
    source: &[u8; 16],
    destination: &[u8; 16],
    header: &mut Ipv6Header,
) {
    let service = inner.outer_service();
    header.version_class_label = [0x60 | service >> 4, service << 4, 0, 0];
    header.payload_length = inner
        .length
        .wrapping_add(between(flags) as u16)
        .to_be_bytes();
    header.next_header = outer_protocol(inner, flags);
    header.hop_limit = inner.ttl;
    header.source = *source;
    header.destination = *destination;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn congestion_marks_are_not_blamed_on_the_outer_path() {
        for (service, outer) in [(0b1011_1011, 0b1011_1010), (0x29, 0x29), (2, 2), (0, 0)] {
            let inner = Inner {
                length: 40,
                service,
                ttl: 9,
                do_not_fragment: true,
                is_ipv6: false,
            };
            let header = outer4(&inner, 0, [10, 0, 0, 1], [10, 0, 0, 2], 7);
            assert_eq!(
                (header.service, header.ttl, header.protocol),
                (outer, 9, IPIP)
            );
            assert_eq!(header.total_length(), 60);
            assert!(header.do_not_fragment());
            assert_eq!(header.checksum, header.full_checksum());
        }
    }

    /// The table of IPVS: effective MTUs of a way with an MTU of 1500.
    #[test]
    fn effective_mtus() {
        for (flags, over4, over6) in [
            (0, 1480, 1460),
            (GUE, 1468, 1448),
            (GUE | TUNNEL_CHECKSUM, 1468, 1448),
            (GUE | TUNNEL_CHECKSUM | REMOTE_CHECKSUM, 1460, 1440),
            (GRE, 1476, 1456),
            (GRE | TUNNEL_CHECKSUM, 1472, 1452),
        ] {
            assert_eq!(1500 - overhead(flags), over4);
            assert_eq!(1500 - overhead(flags | OUTER_IPV6), over6);
        }
    }
}
