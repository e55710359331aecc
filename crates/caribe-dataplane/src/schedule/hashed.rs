//! dh, sh and mh: tables from which a packet's hash takes its server.
//!
//! A server of weight 0 keeps its slots, as in IPVS: its clients get no server, or with the
//! fallback flag another one, and everybody else keeps theirs.

use caribe_model::{HASH_BUCKETS, TableSize, greatest_common_divisor, source_hash_buckets};
use caribe_packet::hash::{BUCKETS, maglev_walk};
use caribe_packet::service::Slot;

use super::Member;

impl Member {
    fn slot(&self) -> Slot {
        Slot {
            server: self.server,
            weight: self.weight,
        }
    }
}

/// dh: slots to servers in turn, whatever their weights.
pub(super) fn destination(members: &[Member]) -> Vec<Slot> {
    let turns = members.iter().cycle().map(Member::slot);
    turns.take(BUCKETS as usize).collect()
}

/// sh: to each server in turn as many slots as its weight says, at least one.
pub(super) fn source(members: &[Member]) -> Vec<Slot> {
    let weights: Vec<u32> = members.iter().map(|member| member.weight).collect();
    let places = source_hash_buckets(&weights);
    places.map(|place| members[place].slot()).collect()
}

/// The packet path's tables are as large.
const _: () = assert!(HASH_BUCKETS == BUCKETS as usize);

/// mh: every server in turn claims slots along a walk of its own, as many as its share of the
/// weights says. Empty when no server ever had a weight.
pub(super) fn maglev(members: &[Member], size: TableSize) -> Vec<Slot> {
    let slots = size.slots();
    let turns = turns(members, size);
    let mut walks: Vec<Walk<'_>> = members
        .iter()
        .zip(turns)
        .filter(|(_, turns)| *turns > 0)
        .map(|(member, turns)| {
            let (at, skip) = maglev_walk(member.origin, slots);
            Walk {
                member,
                turns,
                at,
                skip,
            }
        })
        .collect();
    let mut table: Vec<Slot> = vec![Slot::default(); slots as usize];
    let mut left = slots;
    while left > 0 && !walks.is_empty() {
        for walk in &mut walks {
            for _ in 0..walk.turns.min(left) {
                // There is a free slot, and a walk in a table of a prime size meets every slot.
                while table[walk.at as usize].server != 0 {
                    walk.at = (walk.at + walk.skip) % slots;
                }
                table[walk.at as usize] = walk.member.slot();
                left -= 1;
            }
        }
    }
    if left > 0 { Vec::new() } else { table }
}

/// A server on its way through mh's table.
struct Walk<'a> {
    member: &'a Member,
    /// Slots that it claims in its turn.
    turns: u32,
    at: u32,
    skip: u32,
}

/// How many slots each server claims in its turn: its last weight above 0 in proportion, but so
/// that no turn is too long for the size of the table.
fn turns(members: &[Member], size: TableSize) -> Vec<u32> {
    let divisor = members
        .iter()
        .fold(0, |divisor, member| {
            greatest_common_divisor(divisor, member.last_weight)
        })
        .max(1);
    let largest = members
        .iter()
        .map(|member| member.last_weight / divisor)
        .max()
        .unwrap_or(0);
    let shift = (u32::BITS - largest.leading_zeros()).saturating_sub(size.index() / 2);
    let turns = |member: &Member| match member.last_weight {
        0 => 0,
        weight => ((weight / divisor) >> shift).max(1),
    };
    members.iter().map(turns).collect()
}
