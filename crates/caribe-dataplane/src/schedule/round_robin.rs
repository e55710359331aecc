//! rr: each server with a weight in turn, from the one after the server picked last.
//!
//! A pick walks the list from the element after the last one, once around, so the picks repeat
//! after as many as there are servers with a weight.

use super::Member;

/// One turn through the servers that take connections.
pub(super) fn cycle(members: &[Member], last: Option<u32>) -> Vec<u32> {
    let start = last
        .and_then(|last| members.iter().position(|member| member.server == last))
        .map_or(0, |position| position + 1);
    let (before, after) = members.split_at(start);
    after
        .iter()
        .chain(before)
        .filter(|member| member.weight > 0)
        .map(|member| member.server)
        .collect()
}

/// Moves to the server that the pick number `picks` chose.
pub(super) fn advance(members: &[Member], last: &mut Option<u32>, picks: u64) {
    let cycle = cycle(members, *last);
    if let Some(before) = picks.checked_sub(1)
        && !cycle.is_empty()
    {
        // The remainder is less than the length of a vector.
        *last = Some(cycle[(before % cycle.len() as u64) as usize]);
    }
}
