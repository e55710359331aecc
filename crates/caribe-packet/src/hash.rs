//! Choosing by a hash: dh, sh and mh, with the hash values of IPVS on 64-bit kernels.
//!
//! The hash is not keyed by a secret: directors that share a table have to agree, with each other
//! and with IPVS. User space lays the table out as a run of slots; here is which of its slots
//! belongs to a packet, and where to look next when that slot's server takes no connections.

/// Slots of dh's and sh's table.
pub const BUCKETS: u32 = 1 << BUCKET_BITS;
const BUCKET_BITS: u32 = 8;

/// Most further slots that are tried for mh's fallback: what every supported kernel's verifier can
/// follow. IPVS tries as many as the table has slots. If a share *s* of the slots is available,
/// a client finds none of them in `(1 - s)` to the power of this number of cases.
pub const MOST_PROBES: u32 = 512;

/// A bit of a service's flags: when the slot's server takes no connections, others are tried.
pub const FALLBACK: u8 = 1;
/// A bit of a service's flags: the client's port is hashed, too.
pub const PORT: u8 = 2;

/// An IPv4 address as one number.
#[inline(always)]
pub const fn fold4(address: [u8; 4]) -> u32 {
    u32::from_be_bytes(address)
}

/// An IPv6 address as one number: its four words, added without carry.
#[inline(always)]
pub const fn fold6(address: [u8; 16]) -> u32 {
    let [a, b] = crate::ipv6::words(address);
    let folded = a ^ b;
    ((folded >> 32) as u32 ^ folded as u32).swap_bytes()
}

/// What is hashed: a folded address and a port, or no port.
#[inline(always)]
pub const fn origin(folded: u32, port: Option<[u8; 2]>) -> u32 {
    match port {
        Some(port) => folded.wrapping_add(u16::from_be_bytes(port) as u32),
        None => folded,
    }
}

/// The slot of dh and sh.
#[inline(always)]
pub const fn bucket(origin: u32) -> u32 {
    origin.wrapping_mul(0x61c8_8647) >> (32 - BUCKET_BITS)
}

/// The slot that sh's fallback tries after so many.
#[inline(always)]
pub const fn next_bucket(first: u32, tried: u32) -> u32 {
    let offset = tried.wrapping_add(first) % BUCKETS;
    offset.wrapping_add(first) % BUCKETS
}

/// The key of mh's first hash, both halves of it.
const FIRST_KEY: u64 = 2_654_435_761;
/// The key of mh's second hash.
const SECOND_KEY: u64 = 2_654_446_892;

/// The slot of mh in a table of this many.
#[inline(always)]
pub const fn maglev_slot(origin: u32, slots: u32) -> u32 {
    if slots == 0 {
        return 0;
    }
    sip13(origin, FIRST_KEY) % slots
}

/// The slot that mh's fallback tries after so many.
#[inline(always)]
pub const fn next_maglev_slot(origin: u32, first: u32, tried: u32, slots: u32) -> u32 {
    if slots == 0 {
        return 0;
    }
    let offset = tried.wrapping_add(first) % slots;
    maglev_slot(origin.wrapping_add(offset), slots)
}

/// Where a server begins in mh's table of this many slots, at least 2, and how far it steps.
pub const fn maglev_walk(origin: u32, slots: u32) -> (u32, u32) {
    (
        sip13(origin, FIRST_KEY) % slots,
        sip13(origin, SECOND_KEY) % (slots - 1) + 1,
    )
}

/// SipHash-1-3 of the four bytes of a little-endian number, under a key of two equal halves;
/// the lower half of the result.
#[inline(always)]
const fn sip13(value: u32, key: u64) -> u32 {
    sip13_halves(value, [key, key])
}

#[inline(always)]
const fn sip13_halves(value: u32, [first, second]: [u64; 2]) -> u32 {
    // "somepseudorandomlygeneratedbytes"
    let state = [
        0x736f_6d65_7073_6575 ^ first,
        0x646f_7261_6e64_6f6d ^ second,
        0x6c79_6765_6e65_7261 ^ first,
        0x7465_6462_7974_6573 ^ second,
    ];
    // Less than eight bytes are one word, whose highest byte is their number.
    let word = value as u64 | 4 << 56;
    let [a, b, c, d] = state;
    let [a, b, c, d] = round([a, b, c, d ^ word]);
    let mixed = round(round(round([a ^ word, b, c ^ 0xff, d])));
    (mixed[0] ^ mixed[1] ^ mixed[2] ^ mixed[3]) as u32
}

#[inline(always)]
const fn round([mut a, mut b, mut c, mut d]: [u64; 4]) -> [u64; 4] {
    a = a.wrapping_add(b);
    b = b.rotate_left(13) ^ a;
    a = a.rotate_left(32);
    c = c.wrapping_add(d);
    d = d.rotate_left(16) ^ c;
    a = a.wrapping_add(d);
    d = d.rotate_left(21) ^ a;
    c = c.wrapping_add(b);
    b = b.rotate_left(17) ^ c;
    c = c.rotate_left(32);
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folding_and_the_multiplying_hash() {
        let folded = fold4([192, 168, 1, 5]);
        assert_eq!(folded, 0xc0a8_0105);
        assert_eq!(bucket(folded), 16);
        assert_eq!(bucket(fold4([192, 168, 1, 6])), 113);
        assert_eq!(bucket(fold4([10, 0, 0, 1])), 39);
        assert_eq!(bucket(fold4([203, 0, 113, 7])), 124);
        let mut address = [0; 16];
        address[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        address[15] = 1;
        assert_eq!(fold6(address), 0x2001_0db9);
        assert_eq!(bucket(fold6(address)), 63);
        let counting = core::array::from_fn(|at| at as u8);
        assert_eq!(
            fold6(counting),
            0x0001_0203 ^ 0x0405_0607 ^ 0x0809_0a0b ^ 0x0c0d_0e0f
        );
    }

    #[test]
    fn the_kernels_own_vectors_of_siphash() {
        let counting = u64::from_le_bytes([0, 1, 2, 3, 4, 5, 6, 7]);
        let on = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!(
            sip13_halves(u32::from_le_bytes([0, 1, 2, 3]), [counting, on]),
            0x88d3_8328
        );
        assert_eq!(sip13(0, FIRST_KEY), 0x1d5a_77c2);
        assert_eq!(sip13(1, FIRST_KEY), 0x16ec_66b2);
    }

    #[test]
    fn slots_of_maglev() {
        let slot = |address, port| maglev_slot(origin(fold4(address), port), 4093);
        assert_eq!(slot([192, 168, 1, 5], None), 3250);
        assert_eq!(slot([192, 168, 1, 6], None), 87);
        assert_eq!(slot([203, 0, 113, 7], None), 1705);
        let walk = |last| {
            let port = Some(80u16.to_be_bytes());
            maglev_walk(origin(fold4([10, 1, 0, last]), port), 4093)
        };
        assert_eq!(
            [walk(3), walk(2), walk(1)],
            [(2424, 45), (2769, 572), (310, 1461)]
        );
    }

    /// The first slot that sh's fallback tries is twice the slot, and it tries every one.
    #[test]
    fn shs_fallback_tries_every_bucket() {
        for first in [0, 16, 113, 255] {
            let mut seen = [false; BUCKETS as usize];
            assert_eq!(next_bucket(first, 0), first * 2 % BUCKETS);
            for tried in 0..BUCKETS {
                seen[next_bucket(first, tried) as usize] = true;
            }
            assert!(seen.into_iter().all(|seen| seen));
        }
    }
}
