//! SCTP's checksum (RFC 9260, appendix A) after a rewrite, without reading the packet.
//!
//! A CRC is linear over GF(2): the checksums of two packets of one length differ by what a CRC
//! that starts from zero makes of the packets' difference. Of that, a director has only the ports
//! in the first four bytes, and zeroes behind them. A word followed by `n` bytes of zeroes leaves
//! the word times x^(8n), modulo the polynomial; that power comes from two tables, one for each
//! byte of `n`. So what it costs does not depend on the length of the packet, and a checksum that
//! came in wrong goes out wrong.

/// CRC32c's polynomial (Castagnoli), bits reversed: the highest power is the lowest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// x^0 in the reversed order of bits.
const ONE: u32 = 1 << 31;

/// The product of two polynomials, modulo CRC32c's. It takes as long for any two numbers.
#[inline(always)]
const fn multiply(one: u32, other: u32) -> u32 {
    let mut product = 0;
    let mut factor = one;
    let mut power = other;
    let mut bit = 0;
    while bit < 32 {
        // All ones where the factor has the power.
        product ^= power & ((factor as i32) >> 31) as u32;
        factor <<= 1;
        power = power >> 1 ^ POLYNOMIAL & (power & 1).wrapping_neg();
        bit += 1;
    }
    product
}

/// The powers of a polynomial, from the one with exponent 0 on.
const fn powers(of: u32) -> [u32; 256] {
    let mut powers = [ONE; 256];
    let mut exponent = 1;
    while exponent < 256 {
        powers[exponent] = multiply(powers[exponent - 1], of);
        exponent += 1;
    }
    powers
}

/// x^8: one byte of zeroes.
const BYTE: u32 = ONE >> 8;

/// x^(8n), for n up to 255.
static FEW: [u32; 256] = powers(BYTE);

/// x^(8 * 256 * n), for n up to 255.
static MANY: [u32; 256] = powers(multiply(powers(BYTE)[255], BYTE));

/// What a rewrite of the first four bytes of a packet does to its checksum, both as they lie in
/// memory; `length` is the packet's, from those four bytes to its end.
#[inline(always)]
pub fn difference(before: [u8; 4], after: [u8; 4], length: u16) -> [u8; 4] {
    let changed = u32::from_le_bytes(before) ^ u32::from_le_bytes(after);
    let [few, many] = length.to_le_bytes();
    let moved = multiply(FEW[few as usize], changed);
    multiply(MANY[many as usize], moved).to_le_bytes()
}

/// A checksum after a [`difference`].
#[inline(always)]
pub const fn apply(checksum: [u8; 4], difference: [u8; 4]) -> [u8; 4] {
    (u32::from_ne_bytes(checksum) ^ u32::from_ne_bytes(difference)).to_ne_bytes()
}

#[cfg(test)]
mod tests {
    use crc::{CRC_32_ISCSI, Crc};
    use proptest::prelude::*;

    use super::*;

    /// The checksum as it lies in a packet, by code that is not ours.
    fn full(packet: &[u8]) -> [u8; 4] {
        Crc::<u32>::new(&CRC_32_ISCSI)
            .checksum(packet)
            .to_le_bytes()
    }

    fn rewritten(packet: &[u8], ports: [u8; 4]) -> (Vec<u8>, [u8; 4]) {
        let before = *packet.first_chunk().expect("ports");
        let length = u16::try_from(packet.len()).expect("a packet");
        let mut after = packet.to_vec();
        after[..4].copy_from_slice(&ports);
        (after, difference(before, ports, length))
    }

    proptest! {
        #[test]
        fn the_difference_is_that_of_two_full_checksums(
            packet in prop::collection::vec(any::<u8>(), 12..9000),
            ports: [u8; 4],
        ) {
            let (after, difference) = rewritten(&packet, ports);
            prop_assert_eq!(apply(full(&packet), difference), full(&after));
        }

        #[test]
        fn a_wrong_checksum_stays_wrong(
            packet in prop::collection::vec(any::<u8>(), 12..200),
            ports: [u8; 4],
            error in 1..=u32::MAX,
        ) {
            let (after, difference) = rewritten(&packet, ports);
            let spoiled = apply(full(&packet), error.to_le_bytes());
            prop_assert_eq!(
                apply(apply(spoiled, difference), error.to_le_bytes()),
                full(&after)
            );
        }
    }

    #[test]
    fn every_length_is_right() {
        // The longest that an IP packet can be, and all whose tables' indices are at an edge.
        let edges = [
            12,
            255,
            256,
            257,
            511,
            512,
            65_279,
            65_280,
            u16::MAX as usize,
        ];
        for length in (12..2000).chain(edges) {
            let packet: Vec<u8> = (0..length).map(|at| (at * 31) as u8).collect();
            let (after, difference) = rewritten(&packet, [0xff, 0, 1, 0x80]);
            assert_eq!(apply(full(&packet), difference), full(&after), "{length}");
        }
    }

    #[test]
    fn what_stays_changes_nothing() {
        assert_eq!(difference([1, 2, 3, 4], [1, 2, 3, 4], 1500), [0; 4]);
    }
}
