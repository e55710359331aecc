//! Generic Routing Encapsulation (RFC 2784): four bytes, or eight with a checksum.

use crate::checksum::Sum;

/// The first four bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GreHeader {
    /// Which fields follow, and the version.
    pub flags: [u8; 2],
    /// EtherType of what is inside, network order.
    pub protocol: [u8; 2],
}

/// The field that the checksum bit announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct GreChecksum {
    /// Over the GRE header and everything inside, as it lies in memory.
    pub checksum: [u8; 2],
    /// Zero.
    pub reserved: [u8; 2],
}

/// In [`GreHeader::flags`]: a checksum follows.
const CHECKSUM: [u8; 2] = [0x80, 0];

impl GreHeader {
    /// Length without optional fields, in bytes.
    pub const LENGTH: usize = 4;

    /// The header in front of a packet of an EtherType.
    #[inline(always)]
    pub const fn emit(protocol: [u8; 2], with_checksum: bool) -> Self {
        GreHeader {
            flags: if with_checksum { CHECKSUM } else { [0, 0] },
            protocol,
        }
    }

    /// True for version 0 without any optional field.
    #[inline(always)]
    pub const fn is_plain(&self) -> bool {
        self.flags[0] | self.flags[1] == 0
    }

    /// True for version 0 with a checksum and nothing else.
    #[inline(always)]
    pub const fn has_checksum(&self) -> bool {
        self.flags[0] == CHECKSUM[0] && self.flags[1] == CHECKSUM[1]
    }

    /// The checksum of this header in front of a packet with the sum `inner`.
    #[inline(always)]
    pub const fn checksum(&self, inner: Sum) -> GreChecksum {
        GreChecksum {
            checksum: inner
                .add_bytes(self.flags)
                .add_bytes(self.protocol)
                .finish(),
            reserved: [0, 0],
        }
    }
}

impl GreChecksum {
    /// Length in bytes.
    pub const LENGTH: usize = 4;
}
