//! Internet checksums: incremental updates (RFC 1624) and sums over short, fixed headers.
//!
//! All arithmetic is on 16-bit words as they lie in memory. The one's complement sum does not
//! care about byte order as long as sum and checksum agree (RFC 1071, 2.B), so nothing is swapped.

/// The difference that a rewrite makes to every checksum which covers the rewritten bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Difference(u64);

impl Difference {
    /// Nothing rewritten yet.
    #[inline(always)]
    pub const fn none() -> Self {
        Difference(0)
    }

    /// Notes that a 16-bit word changed.
    #[inline(always)]
    pub const fn replace_u16(self, old: u16, new: u16) -> Self {
        Difference(self.0 + (!old) as u64 + new as u64)
    }

    /// Notes that an aligned 32-bit word changed.
    #[inline(always)]
    pub const fn replace_u32(self, old: u32, new: u32) -> Self {
        let old = !old;
        Difference(
            self.0
                + (old & 0xffff) as u64
                + (old >> 16) as u64
                + (new & 0xffff) as u64
                + (new >> 16) as u64,
        )
    }

    /// Notes that an aligned 64-bit word changed.
    #[inline(always)]
    pub const fn replace_u64(self, old: u64, new: u64) -> Self {
        self.replace_u32(old as u32, new as u32)
            .replace_u32((old >> 32) as u32, (new >> 32) as u32)
    }

    /// Both rewrites.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Difference(self.0 + other.0)
    }

    /// The checksum after the rewrite: RFC 1624, equation 3.
    #[inline(always)]
    pub const fn apply(self, checksum: u16) -> u16 {
        !fold(self.0 + (!checksum) as u64)
    }

    /// As [`Difference::apply`] for UDP, where 0 on the wire means "no checksum": 0 stays 0
    /// (RFC 768; only legal over IPv4), and a result of 0 is sent as 0xffff.
    #[inline(always)]
    pub const fn apply_udp(self, checksum: u16) -> u16 {
        if checksum == 0 {
            return 0;
        }
        match self.apply(checksum) {
            0 => 0xffff,
            other => other,
        }
    }
}

/// Folds a sum of 16-bit words to 16 bits, carries added back in.
#[inline(always)]
pub const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

/// A full sum over words given one by one, for headers that we build ourselves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// An empty sum.
    #[inline(always)]
    pub const fn new() -> Self {
        Sum(0)
    }

    /// Adds two bytes as they lie in memory.
    #[inline(always)]
    pub const fn add_bytes(self, bytes: [u8; 2]) -> Self {
        Sum(self.0 + u16::from_ne_bytes(bytes) as u64)
    }

    /// Adds an even number of bytes as they lie in memory; a last odd byte counts as padded
    /// with zero.
    #[inline(always)]
    pub fn add_slice(self, bytes: &[u8]) -> Self {
        let mut sum = self;
        let mut at = 0;
        while at + 1 < bytes.len() {
            sum = sum.add_bytes([bytes[at], bytes[at + 1]]);
            at += 2;
        }
        if at < bytes.len() {
            sum = sum.add_bytes([bytes[at], 0]);
        }
        sum
    }

    /// Adds an array of an even number of bytes as they lie in memory.
    #[inline(always)]
    pub const fn add_array<const LENGTH: usize>(self, bytes: [u8; LENGTH]) -> Self {
        const { assert!(LENGTH.is_multiple_of(2), "words are of two bytes") };
        let mut sum = self;
        let mut at = 0;
        while at + 1 < LENGTH {
            sum = sum.add_bytes([bytes[at], bytes[at + 1]]);
            at += 2;
        }
        sum
    }

    /// Adds another sum.
    #[inline(always)]
    pub const fn add(self, other: Sum) -> Self {
        Sum(self.0 + other.0)
    }

    /// Takes another sum away.
    #[inline(always)]
    pub const fn subtract(self, other: Sum) -> Self {
        Sum(self.0 + !fold(other.0) as u64)
    }

    /// The sum folded to 16 bits, not complemented, as it lies in memory.
    #[inline(always)]
    pub const fn folded(self) -> [u8; 2] {
        fold(self.0).to_ne_bytes()
    }

    /// A sum that was made elsewhere, of words as they lie in memory.
    #[inline(always)]
    pub const fn from_raw(sum: u32) -> Self {
        Sum(sum as u64)
    }

    /// The checksum of what was added, as it lies in memory.
    #[inline(always)]
    pub const fn finish(self) -> [u8; 2] {
        (!fold(self.0)).to_ne_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(words: &[u16]) -> u16 {
        !fold(words.iter().map(|word| u64::from(*word)).sum())
    }

    /// The example of RFC 1624, section 4: the naive method gives 0xffff where 0x0000 is right.
    #[test]
    fn rfc_1624_example() {
        let difference = Difference::none().replace_u16(0x5555, 0x3285);
        assert_eq!(difference.apply(0xdd2f), 0x0000);
    }

    #[test]
    fn incremental_equals_full_for_many_rewrites() {
        let mut random = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..100_000 {
            let mut words = [0u16; 12];
            for word in &mut words {
                random = random.wrapping_mul(6364136223846793005).wrapping_add(1);
                *word = (random >> 48) as u16;
            }
            words[11] |= 1; // A packet is never all zero, so its sum has one representation.
            let before = full(&words);
            let old = u32::from(words[2]) | u32::from(words[3]) << 16;
            let new = random as u32;
            words[2] = new as u16;
            words[3] = (new >> 16) as u16;
            let port = words[5];
            words[5] = (random >> 17) as u16;
            let difference = Difference::none()
                .replace_u32(old, new)
                .replace_u16(port, words[5]);
            assert_eq!(difference.apply(before), full(&words));
        }
    }

    #[test]
    fn udp_without_checksum_stays_without() {
        assert_eq!(Difference::none().replace_u16(1, 2).apply_udp(0), 0);
        // A sum that comes out as zero is sent as 0xffff.
        let difference = Difference::none().replace_u16(0x0001, 0x0002);
        assert_eq!(difference.apply(0x0001), 0x0000);
        assert_eq!(difference.apply_udp(0x0001), 0xffff);
    }

    #[test]
    fn odd_slices_are_padded() {
        assert_eq!(
            Sum::new().add_slice(&[1, 2, 3]).finish(),
            Sum::new().add_slice(&[1, 2, 3, 0]).finish()
        );
    }
}
