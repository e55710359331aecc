//! ICMP errors of our own making (RFC 792, RFC 4443).
//!
//! An error quotes the packet that it is about: the IP header and the eight bytes after it, which
//! is what a sender needs to find its socket. That is the least that the RFCs allow; a constant
//! length keeps the verifier content and the checksum cheap.

use crate::checksum::Sum;
use crate::ipv4::{Ipv4Fields, Ipv4Header};
use crate::ipv6::Ipv6Header;
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
}

impl IcmpHeader {
    /// True for "fragmentation needed", and for "packet too big" in IPv6.
    #[inline(always)]
    pub const fn is_too_big(&self, is_ipv6: bool) -> bool {
        if is_ipv6 {
            self.kind == 2
        } else {
            self.kind == 3 && self.code == 4
        }
    }

    /// True for the errors that IPVS handles: destination unreachable, source quench and time
    /// exceeded; in IPv6 every error.
    #[inline(always)]
    pub const fn is_error(kind: u8, is_ipv6: bool) -> bool {
        if is_ipv6 {
            kind < 128
        } else {
            kind == 3 || kind == 4 || kind == 11
        }
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
    /// What another router said of it: type and code.
    Relayed(u8, u8),
    /// A NAT server's packet belongs to no connection: port unreachable.
    Stray,
}

impl Problem {
    /// As a number.
    #[inline(always)]
    pub const fn pack(self) -> u32 {
        match self {
            Problem::NoServer => 0,
            Problem::TtlExceeded => 1 << 16,
            Problem::TooBig(mtu) => 2 << 16 | mtu as u32,
            Problem::Relayed(kind, code) => 3 << 16 | (kind as u32) << 8 | code as u32,
            Problem::Stray => 4 << 16,
        }
    }

    /// The other way; what is no such number is taken for the first.
    #[inline(always)]
    pub const fn unpack(number: u32) -> Self {
        match number >> 16 {
            4 => Problem::Stray,
            3 => Problem::Relayed((number >> 8) as u8, number as u8),
            2 => Problem::TooBig(number as u16),
            1 => Problem::TtlExceeded,
            _ => Problem::NoServer,
        }
    }
}

/// Writes the IPv4 and ICMP headers that go in front of the packet `quoted`. They come from the
/// address that the packet was sent to. The ICMP checksum is left zero; it has to cover what is
/// returned besides the ICMP header and everything behind it.
#[inline(always)]
pub fn error4(
    problem: Problem,
    quoted: &Ipv4Header,
    ip: &mut Ipv4Header,
    icmp: &mut IcmpHeader,
) -> Sum {
    *ip = Ipv4Header::emit(Ipv4Fields {
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
        Problem::NoServer | Problem::Stray => (3, 3, [0; 4]),
        Problem::TtlExceeded => (11, 0, [0; 4]),
        Problem::TooBig(mtu) => {
            let [high, low] = mtu.to_be_bytes();
            (3, 4, [0, 0, high, low])
        }
        Problem::Relayed(kind, code) => (kind, code, [0; 4]),
    };
    *icmp = IcmpHeader {
        kind,
        code,
        checksum: [0; 2],
        rest,
    };
    Sum::new()
}

/// As [`error4`], for IPv6, where the checksum covers both addresses as well. Fields are written one by one, because addresses that are moved about
/// in a whole header take more of the kernel's small stack than there is.
#[inline(always)]
pub fn error6(
    problem: Problem,
    quoted: &Ipv6Header,
    ip: &mut Ipv6Header,
    icmp: &mut IcmpHeader,
) -> Sum {
    let length = (IcmpHeader::LENGTH + Ipv6Header::LENGTH + QUOTED) as u16;
    ip.version_class_label = [0x60, 0, 0, 0];
    ip.payload_length = length.to_be_bytes();
    ip.next_header = ICMPV6;
    ip.hop_limit = 64;
    ip.source = quoted.destination;
    ip.destination = quoted.source;
    let (kind, code, rest) = match problem {
        Problem::NoServer | Problem::Stray => (1, 4, [0; 4]),
        Problem::TtlExceeded => (3, 0, [0; 4]),
        Problem::TooBig(mtu) => {
            let [high, low] = mtu.to_be_bytes();
            (2, 0, [0, 0, high, low])
        }
        Problem::Relayed(kind, code) => (kind, code, [0; 4]),
    };
    *icmp = IcmpHeader {
        kind,
        code,
        checksum: [0; 2],
        rest,
    };
    // Of the pseudo header (RFC 8200, 8.1): the length, the next header.
    Sum::new()
        .add_bytes(length.to_be_bytes())
        .add_bytes([0, ICMPV6])
}
