//! A set of addresses that may say "maybe" wrongly, but never "no": one bit by a hash.
//!
//! It keeps packets that cannot be replies of a NAT server from being looked up as such, which
//! would cost each of them a memory miss.

/// Words of the set: 65,536 bits, 8 KiB, which stay in the first-level cache.
pub const WORDS: usize = 1024;

/// Where an address's bit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bit {
    /// Index of the word.
    pub word: u32,
    /// The bit in that word.
    pub mask: u64,
}

/// The bit of an IPv4 address.
#[inline(always)]
pub const fn bit4(address: [u8; 4]) -> Bit {
    bit(u32::from_le_bytes(address) as u64)
}

/// The bit of an IPv6 address.
#[inline(always)]
pub const fn bit6(address: [u8; 16]) -> Bit {
    let [a, b] = crate::ipv6::words(address);
    bit(a.wrapping_mul(3) ^ b)
}

#[inline(always)]
const fn bit(address: u64) -> Bit {
    let hash = address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
    Bit {
        word: (hash >> 6) as u32,
        mask: 1 << (hash & 63),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_servers_have_bits_of_their_own() {
        let mut seen = [0u64; WORDS];
        for host in 0..=255 {
            let bit = bit4([10, 0, 0, host]);
            assert_eq!(seen[bit.word as usize] & bit.mask, 0);
            seen[bit.word as usize] |= bit.mask;
        }
    }
}
