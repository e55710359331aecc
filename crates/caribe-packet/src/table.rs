//! Where a connection lies: the geometry of the connection table.
//!
//! The table is an array of slots, eight to a bucket, beside an array with one *tag* byte per
//! slot, eight to a 64-bit word. A flow has two buckets by its hash. To find it, both tag words
//! are compared with its tag, all eight bytes at once, and only a slot whose tag agrees is read:
//! one cache line. The tags of a million connections fit into the processor's cache, so a hit
//! costs about one memory miss and a stranger costs none; the kernel's own hash map costs two or
//! three. A slot is claimed by a compare-and-swap on its tag word, so no lock is taken.
//!
//! Replies of a NAT connection carry another tuple. They are found by a second index of the same
//! geometry whose entries are words of their own: a tag of 32 bits above the slot's number.
//!
//! Rooms are never moved, so user space can walk, list and sweep the mapped array while packets
//! flow.

/// Slots in a bucket, and tags in a word.
pub const WAYS: u32 = 8;

/// Buckets for a number of connections: 4.8 of 8 ways in use when the table is full. At that
/// load, two choices leave no flow without room in practice (see the tests).
pub const fn buckets_for(connections: u32) -> u32 {
    let buckets = (connections as u64 * 10).div_ceil(48);
    if buckets == 0 { 1 } else { buckets as u32 }
}

/// The two buckets of a flow, and its tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The bucket that is tried first.
    pub primary: u32,
    /// The other one; may be the same.
    pub secondary: u32,
    /// What marks the flow's slot in the tag word; never 0.
    pub tag: u8,
    /// What marks the flow in the reply index; its lowest bit is set.
    pub wide_tag: u32,
}

impl Place {
    /// Where the flow with this hash may lie in a table of `buckets` buckets.
    #[inline(always)]
    pub const fn new(hash: u64, buckets: u32) -> Self {
        let high = hash >> 32;
        let low = hash & 0xffff_ffff;
        let tag = high as u8;
        Place {
            primary: ((high * buckets as u64) >> 32) as u32,
            secondary: ((low * buckets as u64) >> 32) as u32,
            tag: tag | (tag == 0) as u8,
            wide_tag: (high ^ low.rotate_left(7)) as u32 | 1,
        }
    }
}

const LOW_SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
const EVERY_BYTE: u64 = 0x0101_0101_0101_0101;

/// Ways of a bucket, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ways(u64);

impl Ways {
    /// The ways whose tag is `tag`; with tag 0, the free ones.
    #[inline(always)]
    pub const fn with_tag(word: u64, tag: u8) -> Self {
        let difference = word ^ EVERY_BYTE.wrapping_mul(tag as u64);
        // The high bit of each byte that is zero, exactly (no borrow runs between bytes).
        Ways(!(((difference & LOW_SEVEN) + LOW_SEVEN) | difference | LOW_SEVEN))
    }

    /// True when no way is left.
    #[inline(always)]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// How many ways there are.
    #[inline(always)]
    pub const fn count(self) -> u32 {
        ((self.0 >> 7).wrapping_mul(EVERY_BYTE) >> 56) as u32
    }

    /// The lowest way and the others. Meaningless when empty.
    #[inline(always)]
    pub const fn split(self) -> (u32, Ways) {
        let lowest = self.0 & self.0.wrapping_neg();
        // `lowest >> 7` is one byte with the value 1: the product moves that byte's number up.
        let way = (lowest >> 7).wrapping_mul(0x0001_0203_0405_0607) >> 56;
        (way as u32, Ways(self.0 ^ lowest))
    }
}

/// A tag word with one tag set.
#[inline(always)]
pub const fn set_tag(word: u64, way: u32, tag: u8) -> u64 {
    let shift = (way & 7) * 8;
    word & !(0xff << shift) | (tag as u64) << shift
}

/// True when a new flow should go to the secondary bucket: only once the primary is nearly full,
/// because a flow in its primary bucket is found with one look less.
#[inline(always)]
pub const fn prefer_secondary(primary_word: u64, secondary_word: u64) -> bool {
    let free = Ways::with_tag(primary_word, 0).count();
    free <= 2 && Ways::with_tag(secondary_word, 0).count() > free
}

/// A word of the reply index.
#[inline(always)]
pub const fn reply_entry(wide_tag: u32, slot: u32) -> u64 {
    (wide_tag as u64) << 32 | slot as u64
}

/// 1 for a word of the reply index that is in use, 0 for a free one: the lowest bit of the tag,
/// which every tag has. (A branch per word would multiply the paths that the verifier follows.)
#[inline(always)]
pub const fn is_used(entry: u64) -> u64 {
    entry >> 32 & 1
}

/// The slot that an entry of the reply index points to, if the entry carries this tag.
#[inline(always)]
pub const fn reply_slot(entry: u64, wide_tag: u32) -> Option<u32> {
    if entry >> 32 == wide_tag as u64 {
        Some(entry as u32)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use std::vec;

    use super::*;
    use crate::key::{Endpoints, Key4};

    #[test]
    fn tags_are_found_exactly() {
        let mut random = 1u64;
        for _ in 0..100_000 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            // Few different bytes, so that equal and neighbouring ones are common.
            let word = random & 0x0381_0301_0380_0103;
            for tag in [0, 1, 2, 3, 0x80, 0x81] {
                let mut ways = Ways::with_tag(word, tag);
                let count = word
                    .to_le_bytes()
                    .iter()
                    .filter(|byte| **byte == tag)
                    .count();
                assert_eq!(ways.count() as usize, count);
                for (way, byte) in word.to_le_bytes().into_iter().enumerate() {
                    if byte == tag {
                        let (lowest, rest) = ways.split();
                        assert_eq!(lowest as usize, way);
                        ways = rest;
                    }
                }
                assert!(ways.is_empty());
            }
        }
    }

    #[test]
    fn setting_a_tag_touches_no_other() {
        let word = 0x0807_0605_0403_0201;
        assert_eq!(set_tag(word, 0, 0xff), 0x0807_0605_0403_02ff);
        assert_eq!(set_tag(word, 7, 0), 0x0007_0605_0403_0201);
    }

    /// Fills a table to its capacity with flows of a handful of clients, counting upwards, which
    /// is what a weak hash handles worst.
    #[test]
    fn a_full_table_has_room_for_nearly_every_flow() {
        let capacity = 400_000;
        let buckets = buckets_for(capacity);
        let mut words = vec![0u64; buckets as usize];
        let (mut refused, mut secondary) = (0, 0);
        for flow in 0..capacity {
            let endpoints = Endpoints {
                client_port: (flow as u16).to_be_bytes(),
                peer_port: [0, 80],
                protocol: 6,
            };
            let client = [10, 0, 0, (flow >> 16) as u8];
            let hash = Key4::new(client, [192, 0, 2, 1], endpoints).hash([3, 5]);
            let place = Place::new(hash, buckets);
            let mut bucket = place.primary as usize;
            if prefer_secondary(words[bucket], words[place.secondary as usize]) {
                bucket = place.secondary as usize;
                secondary += 1;
            }
            let free = Ways::with_tag(words[bucket], 0);
            if free.is_empty() {
                refused += 1;
            } else {
                words[bucket] = set_tag(words[bucket], free.split().0, place.tag);
            }
        }
        assert!(
            refused * 10_000 <= capacity,
            "{refused} of {capacity} flows found no room"
        );
        assert!(
            secondary * 4 < capacity,
            "{secondary} of {capacity} flows are in their second"
        );
    }
}
