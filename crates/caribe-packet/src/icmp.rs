//! ICMP errors of our own making (RFC 792, RFC 4443).
//!
//! An error quotes the packet that it is about: the IP header and the eight bytes after it, which
//! is what a sender needs to find its socket. That is the least that the RFCs allow; a constant
//! length keeps the verifier content and the checksum cheap.

use crate::checksum::Sum;
use crate::ipv4::{Ipv4Fields, Ipv4Header};
use crate::ipv6::{Ipv6Fields, Ipv6Header};
use crate::transport::{ICMP, ICMPV6};

/// An ICMP or ICMPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct IcmpHeader {
    /// Type.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// Checksum.
    pub checksum: [u8; 2],
    /// The type's own field: the MTU, mostly.
    pub rest: [u8; 4],
}

impl IcmpHeader {
    /// Length in bytes.
    pub const LENGTH: usize = 8;

    #[inline(always)]
    const fn sum(&self, sum: Sum) -> Sum {
        sum.add_bytes([self.kind, self.code])
            .add_bytes([self.rest[0], self.rest[1]])
            .add_bytes([self.rest[2], self.rest[3]])
    }
}

/// Bytes quoted after the IP header.
pub const QUOTED: usize = 8;

/// What went wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Problem {
    /// No server takes new connections: port unreachable.
    NoServer,
    /// The TTL or hop limit ran out.
    TtlExceeded,
    /// The packet must be at most this long.
    TooBig(u16),
}

/// The IPv4 and ICMP headers to put in front of the packet `quoted` with the bytes after its
/// header. They come from the address that the packet was sent to.
#[inline(always)]
pub fn error4(
    problem: Problem,
    quoted: &Ipv4Header,
    payload: [u8; QUOTED],
) -> (Ipv4Header, IcmpHeader) {
    let ip = Ipv4Header::emit(Ipv4Fields {
        // Internetwork control, as RFC 1812, 4.3.2.5 asks of routers.
        service: 0xc0,
        total_length: (2 * Ipv4Header::LENGTH + IcmpHeader::LENGTH + QUOTED) as u16,
        identification: 0,
        do_not_fragment: true,
        ttl: 64,
        protocol: ICMP,
        source: quoted.destination,
        destination: quoted.source,
    });
    let (kind, code, rest) = match problem {
        Problem::NoServer => (3, 3, [0; 4]),
        Problem::TtlExceeded => (11, 0, [0; 4]),
        Problem::TooBig(mtu) => {
            let [high, low] = mtu.to_be_bytes();
            (3, 4, [0, 0, high, low])
        }
    };
    let mut icmp = IcmpHeader {
        kind,
        code,
        checksum: [0; 2],
        rest,
    };
    let sum = Sum::new()
        .add_bytes([quoted.version_and_length, quoted.service])
        .add_bytes(quoted.total_length)
        .add_bytes(quoted.identification)
        .add_bytes(quoted.fragment)
        .add_bytes([quoted.ttl, quoted.protocol])
        .add_bytes(quoted.checksum);
    let sum = sum
        .add_array(quoted.source)
        .add_array(quoted.destination)
        .add_array(payload);
    icmp.checksum = icmp.sum(sum).finish();
    (ip, icmp)
}

/// As [`error4`], for IPv6.
#[inline(always)]
pub fn error6(
    problem: Problem,
    quoted: &Ipv6Header,
    payload: [u8; QUOTED],
) -> (Ipv6Header, IcmpHeader) {
    let length = (IcmpHeader::LENGTH + Ipv6Header::LENGTH + QUOTED) as u16;
    let ip = Ipv6Header::emit(Ipv6Fields {
        traffic_class: 0,
        payload_length: length,
        next_header: ICMPV6,
        hop_limit: 64,
        source: quoted.destination,
        destination: quoted.source,
    });
    let (kind, code, rest) = match problem {
        Problem::NoServer => (1, 4, [0; 4]),
        Problem::TtlExceeded => (3, 0, [0; 4]),
        Problem::TooBig(mtu) => {
            let [high, low] = mtu.to_be_bytes();
            (2, 0, [0, 0, high, low])
        }
    };
    let mut icmp = IcmpHeader {
        kind,
        code,
        checksum: [0; 2],
        rest,
    };
    // The pseudo header (RFC 8200, 8.1): both addresses, the length, the next header.
    let pseudo = Sum::new()
        .add_array(ip.source)
        .add_array(ip.destination)
        .add_bytes(length.to_be_bytes())
        .add_bytes([0, ICMPV6]);
    let sum = pseudo
        .add_array(quoted.version_class_label)
        .add_bytes(quoted.payload_length)
        .add_bytes([quoted.next_header, quoted.hop_limit]);
    let sum = sum
        .add_array(quoted.source)
        .add_array(quoted.destination)
        .add_array(payload);
    icmp.checksum = icmp.sum(sum).finish();
    (ip, icmp)
}
