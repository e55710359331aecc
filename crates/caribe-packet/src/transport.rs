//! TCP (RFC 9293), UDP (RFC 768) and SCTP (RFC 9260) headers, as far as a director looks.

use crate::checksum::Difference;

/// IP protocol number of ICMP.
pub const ICMP: u8 = 1;
/// IP protocol number of IPv4 in IP.
pub const IPIP: u8 = 4;
/// IP protocol number of TCP.
pub const TCP: u8 = 6;
/// IP protocol number of UDP.
pub const UDP: u8 = 17;
/// IP protocol number of IPv6 in IP.
pub const IPV6_IN_IP: u8 = 41;
/// IP protocol number of Generic Routing Encapsulation.
pub const GRE: u8 = 47;
/// IP protocol number of ICMPv6.
pub const ICMPV6: u8 = 58;

/// IP protocol number of SCTP.
pub const SCTP: u8 = 132;

/// The ports, which open all three headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ports {
    /// Source port, network order.
    pub source: [u8; 2],
    /// Destination port, network order.
    pub destination: [u8; 2],
}

/// A TCP header without options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct TcpHeader {
    /// Source and destination port.
    pub ports: Ports,
    /// Sequence number.
    pub sequence: [u8; 4],
    /// Acknowledgement number.
    pub acknowledgement: [u8; 4],
    /// Header length in 32-bit words (upper four bits).
    pub data_offset: u8,
    /// CWR, ECE, URG, ACK, PSH, RST, SYN, FIN.
    pub flags: u8,
    /// Window.
    pub window: [u8; 2],
    /// Checksum, network order.
    pub checksum: [u8; 2],
    /// Urgent pointer.
    pub urgent: [u8; 2],
}

/// TCP flag.
pub const FIN: u8 = 0x01;
/// TCP flag.
pub const SYN: u8 = 0x02;
/// TCP flag.
pub const RST: u8 = 0x04;
/// TCP flag.
pub const ACK: u8 = 0x10;

/// A UDP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct UdpHeader {
    /// Source and destination port.
    pub ports: Ports,
    /// Header and payload in bytes, network order.
    pub length: [u8; 2],
    /// Checksum, network order; 0 means none (IPv4 only).
    pub checksum: [u8; 2],
}

/// SCTP's common header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct SctpHeader {
    /// Source and destination port.
    pub ports: Ports,
    /// Verification tag.
    pub tag: [u8; 4],
    /// CRC32c of the whole packet, least significant byte first.
    pub checksum: [u8; 4],
}

/// The header of an SCTP chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct ChunkHeader {
    /// The chunk's type.
    pub kind: u8,
    /// Flags, which differ by type.
    pub flags: u8,
    /// Header and value in bytes, without padding, network order.
    pub length: [u8; 2],
}

impl SctpHeader {
    /// Length in bytes.
    pub const LENGTH: usize = 12;
}

impl ChunkHeader {
    /// Length in bytes.
    pub const LENGTH: usize = 4;

    /// Bytes from this chunk to the next one; 0 if the length is less than that of a header.
    #[inline(always)]
    pub const fn step(&self) -> usize {
        let length = u16::from_be_bytes(self.length) as usize;
        if length < Self::LENGTH {
            0
        } else {
            (length + 3) & !3
        }
    }
}

impl TcpHeader {
    /// Length without options, in bytes.
    pub const LENGTH: usize = 20;
    /// Where the checksum is, in bytes.
    pub const CHECKSUM_AT: usize = 16;

    /// Updates the checksum for a rewrite of addresses or ports.
    #[inline(always)]
    pub const fn patch_checksum(&mut self, difference: Difference) {
        self.checksum = difference
            .apply(u16::from_ne_bytes(self.checksum))
            .to_ne_bytes();
    }
}

impl UdpHeader {
    /// Length in bytes.
    pub const LENGTH: usize = 8;
    /// Where the checksum is, in bytes.
    pub const CHECKSUM_AT: usize = 6;

    /// Updates the checksum for a rewrite of addresses or ports. A datagram sent without one
    /// stays without.
    #[inline(always)]
    pub const fn patch_checksum(&mut self, difference: Difference) {
        self.checksum = difference
            .apply_udp(u16::from_ne_bytes(self.checksum))
            .to_ne_bytes();
    }
}

impl Ports {
    /// Rewrites the destination port; returns the difference, that of the address included.
    #[inline(always)]
    pub const fn set_destination(&mut self, port: [u8; 2], address: Difference) -> Difference {
        let difference = address.replace_u16(
            u16::from_ne_bytes(self.destination),
            u16::from_ne_bytes(port),
        );
        self.destination = port;
        difference
    }

    /// Rewrites the source port; returns the difference, that of the address included.
    #[inline(always)]
    pub const fn set_source(&mut self, port: [u8; 2], address: Difference) -> Difference {
        let difference =
            address.replace_u16(u16::from_ne_bytes(self.source), u16::from_ne_bytes(port));
        self.source = port;
        difference
    }
}
