//! Outer headers of tunnelled packets (RFC 2003, RFC 2473), by the rules of IPVS.

use crate::ipv4::{Ipv4Fields, Ipv4Header};
use crate::ipv6::{Ipv6Fields, Ipv6Header};
use crate::transport::{IPIP, IPV6_IN_IP};

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
    #[inline(always)]
    const fn protocol(&self) -> u8 {
        if self.is_ipv6 { IPV6_IN_IP } else { IPIP }
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

/// An outer IPv4 header.
#[inline(always)]
pub fn outer4(inner: &Inner, source: [u8; 4], destination: [u8; 4], id: u16) -> Ipv4Header {
    Ipv4Header::emit(Ipv4Fields {
        service: inner.outer_service(),
        total_length: inner.length.wrapping_add(Ipv4Header::LENGTH as u16),
        identification: id,
        do_not_fragment: inner.do_not_fragment,
        ttl: inner.ttl,
        protocol: inner.protocol(),
        source,
        destination,
    })
}

/// An outer IPv6 header.
#[inline(always)]
pub fn outer6(inner: &Inner, source: [u8; 16], destination: [u8; 16]) -> Ipv6Header {
    Ipv6Header::emit(Ipv6Fields {
        traffic_class: inner.outer_service(),
        payload_length: inner.length,
        next_header: inner.protocol(),
        hop_limit: inner.ttl,
        source,
        destination,
    })
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
            let header = outer4(&inner, [10, 0, 0, 1], [10, 0, 0, 2], 7);
            assert_eq!(
                (header.service, header.ttl, header.protocol),
                (outer, 9, IPIP)
            );
            assert_eq!(header.total_length(), 60);
            assert!(header.do_not_fragment());
            assert_eq!(header.checksum, header.full_checksum());
        }
    }
}
