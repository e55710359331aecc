//! IPv4 headers (RFC 791).

use crate::checksum::{Difference, Sum};

/// The fixed part of an IPv4 header; options may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv4Header {
    /// Version (upper four bits) and header length in 32-bit words.
    pub version_and_length: u8,
    /// Differentiated services (upper six bits) and ECN.
    pub service: u8,
    /// Length of header and payload in bytes, network order.
    pub total_length: [u8; 2],
    /// Identification, network order.
    pub identification: [u8; 2],
    /// Flags and fragment offset, network order.
    pub fragment: [u8; 2],
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Header checksum, network order.
    pub checksum: [u8; 2],
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

const DO_NOT_FRAGMENT: u16 = 0x4000;
const OFFSET: u16 = 0x1fff;
const MORE_FRAGMENTS_OR_OFFSET: u16 = 0x3fff;

impl Ipv4Header {
    /// Length without options, in bytes.
    pub const LENGTH: usize = 20;

    /// True for version 4 and a header of at least 20 bytes.
    #[inline(always)]
    pub const fn is_well_formed(&self) -> bool {
        self.version_and_length >> 4 == 4 && self.version_and_length & 0x0f >= 5
    }

    /// Header length in bytes, options included: 0 to 60.
    #[inline(always)]
    pub const fn header_length(&self) -> usize {
        ((self.version_and_length & 0x0f) as usize) << 2
    }

    /// Header and payload, in bytes.
    #[inline(always)]
    pub const fn total_length(&self) -> u16 {
        u16::from_be_bytes(self.total_length)
    }

    /// True for any fragment, the first one included.
    #[inline(always)]
    pub const fn is_fragment(&self) -> bool {
        u16::from_be_bytes(self.fragment) & MORE_FRAGMENTS_OR_OFFSET != 0
    }

    /// True for any fragment but the first.
    #[inline(always)]
    pub const fn is_later_fragment(&self) -> bool {
        u16::from_be_bytes(self.fragment) & OFFSET != 0
    }

    /// True for a fragment that begins with the second eight bytes of its packet.
    #[inline(always)]
    pub const fn is_second_eight_bytes(&self) -> bool {
        u16::from_be_bytes(self.fragment) & OFFSET == 1
    }

    /// True when routers must not fragment the packet.
    #[inline(always)]
    pub const fn do_not_fragment(&self) -> bool {
        u16::from_be_bytes(self.fragment) & DO_NOT_FRAGMENT != 0
    }

    /// Takes one off the TTL, as every router does (RFC 1812, 5.3.1).
    #[inline(always)]
    pub const fn decrement_ttl(&mut self) {
        let old = u16::from_ne_bytes([self.ttl, self.protocol]);
        self.ttl = self.ttl.wrapping_sub(1);
        let new = u16::from_ne_bytes([self.ttl, self.protocol]);
        self.patch_checksum(Difference::none().replace_u16(old, new));
    }

    /// Rewrites the destination address; returns what that does to the checksums over it.
    #[inline(always)]
    pub const fn set_destination(&mut self, destination: [u8; 4]) -> Difference {
        let difference = Difference::none().replace_u32(
            u32::from_ne_bytes(self.destination),
            u32::from_ne_bytes(destination),
        );
        self.destination = destination;
        self.patch_checksum(difference);
        difference
    }

    /// Rewrites the source address; returns what that does to the checksums over it.
    #[inline(always)]
    pub const fn set_source(&mut self, source: [u8; 4]) -> Difference {
        let difference = Difference::none()
            .replace_u32(u32::from_ne_bytes(self.source), u32::from_ne_bytes(source));
        self.source = source;
        self.patch_checksum(difference);
        difference
    }

    /// Brings the header checksum up to date.
    #[inline(always)]
    pub const fn patch_checksum(&mut self, difference: Difference) {
        self.checksum = difference
            .apply(u16::from_ne_bytes(self.checksum))
            .to_ne_bytes();
    }

    /// A header of our own making, without options, its checksum filled in.
    #[inline(always)]
    pub fn emit(fields: Ipv4Fields) -> Self {
        let mut header = Ipv4Header {
            version_and_length: 0x45,
            service: fields.service,
            total_length: fields.total_length.to_be_bytes(),
            identification: fields.identification.to_be_bytes(),
            fragment: (if fields.do_not_fragment {
                DO_NOT_FRAGMENT
            } else {
                0
            })
            .to_be_bytes(),
            ttl: fields.ttl,
            protocol: fields.protocol,
            checksum: [0, 0],
            source: fields.source,
            destination: fields.destination,
        };
        header.checksum = header.full_checksum();
        header
    }

    /// The checksum over the fixed header as it stands, the checksum field taken as zero.
    #[inline(always)]
    pub const fn full_checksum(&self) -> [u8; 2] {
        Sum::new()
            .add_bytes([self.version_and_length, self.service])
            .add_bytes(self.total_length)
            .add_bytes(self.identification)
            .add_bytes(self.fragment)
            .add_bytes([self.ttl, self.protocol])
            .add_bytes([self.source[0], self.source[1]])
            .add_bytes([self.source[2], self.source[3]])
            .add_bytes([self.destination[0], self.destination[1]])
            .add_bytes([self.destination[2], self.destination[3]])
            .finish()
    }
}

/// What a header of our own making says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Fields {
    /// Differentiated services and ECN.
    pub service: u8,
    /// Header and payload, in bytes.
    pub total_length: u16,
    /// Identification; any value will do while `do_not_fragment` is set (RFC 6864).
    pub identification: u16,
    /// The DF bit.
    pub do_not_fragment: bool,
    /// Time to live.
    pub ttl: u8,
    /// Protocol of the payload.
    pub protocol: u8,
    /// Source address.
    pub source: [u8; 4],
    /// Destination address.
    pub destination: [u8; 4],
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of RFC 1071-style textbooks: 4500 0073 0000 4000 4011 b861 c0a8 0001 c0a8 00c7.
    const TEXTBOOK: Ipv4Fields = Ipv4Fields {
        service: 0,
        total_length: 0x73,
        identification: 0,
        do_not_fragment: true,
        ttl: 64,
        protocol: 17,
        source: [192, 168, 0, 1],
        destination: [192, 168, 0, 199],
    };

    #[test]
    fn emitted_header_has_the_known_checksum() {
        assert_eq!(Ipv4Header::emit(TEXTBOOK).checksum, [0xb8, 0x61]);
    }

    #[test]
    fn rewriting_keeps_the_checksum_right() {
        let mut header = Ipv4Header::emit(TEXTBOOK);
        header.decrement_ttl();
        header.set_destination([10, 1, 2, 3]);
        header.set_source([203, 0, 113, 255]);
        assert_eq!(header.ttl, 63);
        assert_eq!(header.checksum, header.full_checksum());
    }

    #[test]
    fn a_wrong_checksum_stays_wrong() {
        let mut header = Ipv4Header::emit(TEXTBOOK);
        header.checksum[0] ^= 0x40;
        header.set_destination([10, 1, 2, 3]);
        assert_ne!(header.checksum, header.full_checksum());
    }
}
