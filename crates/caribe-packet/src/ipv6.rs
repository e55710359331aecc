//! IPv6 headers (RFC 8200).

use crate::checksum::Difference;

/// The fixed IPv6 header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct Ipv6Header {
    /// Version (4 bits), traffic class (8) and flow label (20), network order.
    pub version_class_label: [u8; 4],
    /// Length of everything after this header, in bytes, network order.
    pub payload_length: [u8; 2],
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// Extension headers that can stand before the transport header.
pub const HOP_BY_HOP: u8 = 0;
/// Routing header.
pub const ROUTING: u8 = 43;
/// Fragment header.
pub const FRAGMENT: u8 = 44;
/// Destination options.
pub const DESTINATION_OPTIONS: u8 = 60;

impl Ipv6Header {
    /// Length in bytes.
    pub const LENGTH: usize = 40;

    /// True for version 6.
    #[inline(always)]
    pub const fn is_well_formed(&self) -> bool {
        self.version_class_label[0] >> 4 == 6
    }

    /// Bytes after this header.
    #[inline(always)]
    pub const fn payload_length(&self) -> u16 {
        u16::from_be_bytes(self.payload_length)
    }

    /// Traffic class: differentiated services (upper six bits) and ECN.
    #[inline(always)]
    pub const fn traffic_class(&self) -> u8 {
        self.version_class_label[0] << 4 | self.version_class_label[1] >> 4
    }

    /// Sets the traffic class.
    #[inline(always)]
    pub const fn set_traffic_class(&mut self, class: u8) {
        self.version_class_label[0] = 0x60 | class >> 4;
        self.version_class_label[1] = class << 4 | self.version_class_label[1] & 0x0f;
    }

    /// Takes one off the hop limit; no checksum covers it.
    #[inline(always)]
    pub const fn decrement_hop_limit(&mut self) {
        self.hop_limit = self.hop_limit.wrapping_sub(1);
    }

    /// Rewrites the destination address; returns what that does to the checksums over it.
    #[inline(always)]
    pub const fn set_destination(&mut self, destination: [u8; 16]) -> Difference {
        let difference = difference(words(self.destination), words(destination));
        self.destination = destination;
        difference
    }

    /// Rewrites the source address; returns what that does to the checksums over it.
    #[inline(always)]
    pub const fn set_source(&mut self, source: [u8; 16]) -> Difference {
        let difference = difference(words(self.source), words(source));
        self.source = source;
        difference
    }

    /// A header of our own making; the flow label is zero.
    #[inline(always)]
    pub const fn emit(fields: Ipv6Fields) -> Self {
        Ipv6Header {
            version_class_label: [
                0x60 | fields.traffic_class >> 4,
                fields.traffic_class << 4,
                0,
                0,
            ],
            payload_length: fields.payload_length.to_be_bytes(),
            next_header: fields.next_header,
            hop_limit: fields.hop_limit,
            source: fields.source,
            destination: fields.destination,
        }
    }
}

/// What a header of our own making says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv6Fields {
    /// Differentiated services and ECN.
    pub traffic_class: u8,
    /// Bytes after the header.
    pub payload_length: u16,
    /// Protocol of what follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: [u8; 16],
    /// Destination address.
    pub destination: [u8; 16],
}

/// An address as two words, as they lie in memory.
#[inline(always)]
pub const fn words(address: [u8; 16]) -> [u64; 2] {
    let word = u128::from_le_bytes(address);
    [word as u64, (word >> 64) as u64]
}

/// The inverse of [`words`].
#[inline(always)]
pub const fn address(words: [u64; 2]) -> [u8; 16] {
    (words[0] as u128 | (words[1] as u128) << 64).to_le_bytes()
}

#[inline(always)]
const fn difference(old: [u64; 2], new: [u64; 2]) -> Difference {
    Difference::none()
        .replace_u64(old[0], new[0])
        .replace_u64(old[1], new[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_class_survives_emit() {
        for class in 0..=255 {
            let header = Ipv6Header::emit(Ipv6Fields {
                traffic_class: class,
                payload_length: 8,
                next_header: 17,
                hop_limit: 64,
                source: [1; 16],
                destination: [2; 16],
            });
            assert!(header.is_well_formed());
            assert_eq!(header.traffic_class(), class);
        }
    }

    #[test]
    fn words_and_address_are_inverse() {
        let bytes = core::array::from_fn(|at| at as u8 * 7);
        assert_eq!(address(words(bytes)), bytes);
    }
}
