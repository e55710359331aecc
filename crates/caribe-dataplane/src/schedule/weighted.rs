//! wrr: walks of the list with a falling threshold.
//!
//! IPVS walks its list with a threshold, the *current weight*: a walk picks every server whose
//! weight reaches it. At the list's end the threshold falls by the greatest common divisor of
//! all weights, and at 0 it starts over from the highest. So a round is one walk per threshold,
//! `sum of weights / divisor` picks, and whatever state the scheduler is in lies on that round:
//! the cycle is the round, turned to begin there.
//!
//! Every function here takes members whose weights [`fit`].

use std::collections::BTreeMap;

use super::{LONGEST_RUN, Member};
use caribe_model::greatest_common_divisor;

/// The members with weights of which a round fits into [`LONGEST_RUN`] picks, and whether they
/// had to be scaled for that. No weight above 0 becomes 0.
pub(super) fn fit(members: &[Member]) -> (Vec<Member>, bool) {
    if sum(members) / u64::from(divisor(members)) <= u64::from(LONGEST_RUN) {
        return (members.to_vec(), false);
    }
    scale(members, u64::from(LONGEST_RUN))
}

/// The members with weights that add up to `most` or less, and whether they had to be scaled for
/// that. No weight above 0 becomes 0, so there may not be more of them than `most`.
pub(super) fn scale(members: &[Member], most: u64) -> (Vec<Member>, bool) {
    let sum = sum(members);
    if sum <= most {
        return (members.to_vec(), false);
    }
    let some = members.iter().filter(|member| member.weight > 0).count() as u64;
    // Rounding up from 0 adds at most one for each server.
    let room = most.saturating_sub(some).max(1);
    let scaled = members
        .iter()
        .map(|member| {
            let weight = u128::from(member.weight) * u128::from(room) / u128::from(sum);
            // A part of the weight, which a u32 holds.
            let weight = if member.weight > 0 {
                (weight as u32).max(1)
            } else {
                0
            };
            Member { weight, ..*member }
        })
        .collect();
    (scaled, true)
}

fn sum(members: &[Member]) -> u64 {
    members.iter().map(|member| u64::from(member.weight)).sum()
}

/// The greatest common divisor of the weights above 0; 1 if there is none.
fn divisor(members: &[Member]) -> u32 {
    let common = members.iter().fold(0, |divisor, member| {
        greatest_common_divisor(divisor, member.weight)
    });
    common.max(1)
}

/// The highest threshold: the largest weight, less the divisor, plus one; 0 without servers.
pub(super) fn highest(members: &[Member]) -> u32 {
    let largest = members
        .iter()
        .map(|member| member.weight)
        .max()
        .unwrap_or(0);
    largest.saturating_sub(divisor(members) - 1)
}

/// The threshold after a change of the list; the walk starts over at the list's head.
pub(super) fn after_change(members: &[Member], current: u32) -> u32 {
    let (divisor, highest) = (divisor(members), highest(members));
    if current > highest || current == 0 {
        highest
    } else if divisor > 1 {
        current / divisor * divisor + 1
    } else {
        current
    }
}

/// A threshold and the server picked under it.
type Pick = (u32, u32);

/// A whole round from the state on: the rest of the walk after `last`, the walks below it, and
/// around again up to `last` itself.
fn round(members: &[Member], last: Option<u32>, current: u32) -> Vec<Pick> {
    let (divisor, highest) = (divisor(members), highest(members));
    if highest == 0 {
        return Vec::new();
    }
    // From the highest weight down: who takes part from which threshold on.
    let mut by_weight: Vec<(u32, usize)> = members
        .iter()
        .enumerate()
        .filter(|(_, member)| member.weight > 0)
        .map(|(position, member)| (member.weight, position))
        .collect();
    by_weight.sort_unstable_by_key(|(weight, _)| std::cmp::Reverse(*weight));
    let mut joining = by_weight.into_iter().peekable();
    let mut walk: BTreeMap<usize, u32> = BTreeMap::new();

    let start_position = last
        .and_then(|last| members.iter().position(|member| member.server == last))
        .map_or(0, |position| position + 1);
    let mut picks = Vec::new();
    let mut start = 0;
    let mut threshold = highest;
    loop {
        while let Some((_, position)) = joining.next_if(|(weight, _)| *weight >= threshold) {
            walk.insert(position, members[position].server);
        }
        if threshold == current {
            start = picks.len() + walk.range(..start_position).count();
        }
        picks.extend(walk.values().map(|server| (threshold, *server)));
        match threshold.checked_sub(divisor) {
            None | Some(0) => break,
            Some(lower) => threshold = lower,
        }
    }
    // A state at a walk's end stands before the first pick of the next walk.
    start %= picks.len().max(1);
    picks.rotate_left(start);
    picks
}

/// A round of picks.
pub(super) fn cycle(members: &[Member], last: Option<u32>, current: u32) -> Vec<u32> {
    round(members, last, current)
        .into_iter()
        .map(|(_, server)| server)
        .collect()
}

/// Moves to the state after `picks` picks.
pub(super) fn advance(members: &[Member], last: &mut Option<u32>, current: &mut u32, picks: u64) {
    let Some(before) = picks.checked_sub(1) else {
        return;
    };
    let round = round(members, *last, *current);
    if round.is_empty() {
        return;
    }
    // The remainder is less than the length of a vector.
    let (threshold, server) = round[(before % round.len() as u64) as usize];
    (*last, *current) = (Some(server), threshold);
}
