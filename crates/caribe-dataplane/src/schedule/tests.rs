//! Vectors from the kernel's own schedulers, and properties against [`super::reference`].

mod by_hash;
mod by_load;

use caribe_packet::service::{further, rotate};
use proptest::prelude::*;

use super::*;

fn member(server: u32, weight: u32) -> Member {
    let key = ServerKey {
        address: [10, 1, 0, server as u8].into(),
        port: 80,
    };
    Member::new(server, Family::V4, &key, Weights::added(weight))
}

/// The servers that the packet path would pick from a layout.
fn rotation(layout: &Layout, picks: u64) -> Vec<u32> {
    let length = layout.slots.len() as u32;
    if layout.slots.is_empty() {
        return Vec::new();
    }
    (0..picks)
        .map(|pick| layout.slots[rotate(length, layout.cycle_start, pick) as usize].server)
        .collect()
}

fn picks(schedule: &Schedule, count: u64) -> Vec<u32> {
    rotation(&schedule.layout().expect("few servers"), count)
}

/// A service to which servers were added one by one, oldest first.
fn added(scheduler: Scheduler, members: &[(u32, u32)]) -> Schedule {
    let mut schedule = Schedule::new(scheduler, OPTIONS);
    for (server, weight) in members {
        schedule.add(member(*server, *weight));
    }
    schedule
}

/// A service that got its scheduler with its list in place (newest first): the vectors' set-up.
fn started(scheduler: Scheduler, list: &[(u32, u32)]) -> Schedule {
    let other = if scheduler == Scheduler::Wlc {
        Scheduler::Lc
    } else {
        Scheduler::Wlc
    };
    let oldest_first: Vec<_> = list.iter().rev().copied().collect();
    let mut schedule = added(other, &oldest_first);
    schedule.set_scheduler(scheduler, OPTIONS);
    schedule
}

/// No flags, IPVS's sizes.
const OPTIONS: SchedulerOptions = SchedulerOptions::IPVS;

const A: u32 = 1;
const B: u32 = 2;
const C: u32 = 3;

#[test]
fn the_real_kernel_with_servers_added_one_by_one() {
    assert_eq!(
        picks(&added(Scheduler::Rr, &[(2, 1), (3, 1), (4, 1)]), 6),
        [4, 3, 2, 4, 3, 2]
    );
    assert_eq!(
        picks(&added(Scheduler::Wrr, &[(2, 3), (3, 2), (4, 1)]), 6),
        [4, 3, 2, 2, 3, 2]
    );
}

#[test]
fn case_64_rr_takes_turns_newest_first() {
    let schedule = added(Scheduler::Rr, &[(A, 1), (B, 1), (C, 1)]);
    assert_eq!(picks(&schedule, 7), [C, B, A, C, B, A, C]);
}

/// Vector 65 with its overloaded server taken out: thresholds are not scheduled here.
#[test]
fn case_65_rr_leaves_quiesced_servers_out() {
    let schedule = added(Scheduler::Rr, &[(A, 0), (B, 0), (C, 1)]);
    assert_eq!(picks(&schedule, 3), [C, C, C]);
}

#[test]
fn case_66_wrr() {
    let schedule = started(Scheduler::Wrr, &[(A, 4), (B, 3), (C, 2)]);
    let round = [A, A, B, A, B, C, A, B, C];
    assert_eq!(picks(&schedule, 18), [round, round].concat());
}

#[test]
fn case_67_wrr_divides_weights() {
    for weights in [[100, 50], [4, 2]] {
        let schedule = started(Scheduler::Wrr, &[(A, weights[0]), (B, weights[1])]);
        assert_eq!(picks(&schedule, 6), [A, A, B, A, A, B]);
    }
    let schedule = started(Scheduler::Wrr, &[(A, 5), (B, 1), (C, 1)]);
    assert_eq!(picks(&schedule, 7), [A, A, A, A, A, B, C]);
}

/// Vector 68 with its overloaded server quiesced instead: the round is then that of the others.
#[test]
fn case_68_wrr_of_the_rest() {
    let schedule = started(Scheduler::Wrr, &[(A, 0), (B, 3), (C, 2)]);
    assert_eq!(picks(&schedule, 10), [B, B, C, B, C, B, B, C, B, C]);
}

#[test]
fn case_69_nobody_to_pick() {
    for scheduler in Scheduler::ALL {
        for list in [&[][..], &[(A, 0), (B, 0)]] {
            let layout = started(scheduler, list).layout().expect("few servers");
            assert_eq!(layout.slots, [], "{scheduler}");
        }
    }
}

#[test]
fn huge_weights_are_scaled_and_keep_their_shares() {
    let schedule = started(
        Scheduler::Wrr,
        &[(A, 2_147_483_647), (B, 1_073_741_823), (C, 1)],
    );
    let layout = schedule.layout().expect("few servers");
    assert_eq!(layout.scaled, Some(u64::from(LONGEST_RUN)));
    assert!(layout.slots.len() <= LONGEST_RUN as usize);
    let count = |server| {
        layout
            .slots
            .iter()
            .filter(|slot| slot.server == server)
            .count()
    };
    assert_eq!(count(C), 1);
    let share = count(A) as f64 / count(B) as f64;
    assert!(
        (share - 2.0).abs() < 0.001,
        "A gets {share} times what B gets"
    );
}

#[test]
fn the_longest_run_bounds_every_service() {
    let servers = LONGEST_RUN / 2 + 10;
    let mut members: Vec<Member> = (1..=servers).map(|server| member(server, 7)).collect();
    members[0].weight = 2_147_483_647;
    let (fitted, scaled) = weighted::fit(&members);
    let sum: u64 = fitted.iter().map(|member| u64::from(member.weight)).sum();
    assert!(scaled && sum <= u64::from(LONGEST_RUN), "{sum} slots");
}

/// A change of the list, or some picks.
#[derive(Debug, Clone)]
enum Action {
    Add(u32),
    Edit(usize, u32),
    Remove(usize),
    Pick(u64),
}

fn any_actions() -> impl Strategy<Value = Vec<Action>> {
    let weight = prop_oneof![0u32..6, Just(100), Just(60), Just(64)];
    let action = prop_oneof![
        2 => weight.clone().prop_map(Action::Add),
        2 => (any::<usize>(), weight).prop_map(|(at, weight)| Action::Edit(at, weight)),
        1 => any::<usize>().prop_map(Action::Remove),
        3 => (0u64..40).prop_map(Action::Pick),
    ];
    prop::collection::vec(action, 1..40)
}

/// Runs the same actions on a schedule and on the reference, comparing every pick; a director
/// that was restarted in between is simulated by taking the state through its word.
macro_rules! same_as_reference {
    ($actions:expr, $scheduler:expr, $reference:expr) => {{
        let (mut schedule, mut reference) = (Schedule::new($scheduler, OPTIONS), $reference);
        let mut next = 1;
        for action in $actions {
            match action {
                Action::Add(weight) => {
                    schedule.add(member(next, weight));
                    reference.add(member(next, weight));
                    next += 1;
                }
                Action::Edit(at, weight) if !reference.list.is_empty() => {
                    let server = reference.list[at % reference.list.len()].server;
                    schedule.edit(server, weight);
                    reference.edit(server, weight);
                }
                Action::Remove(at) if !reference.list.is_empty() => {
                    let server = reference.list[at % reference.list.len()].server;
                    schedule.remove(server);
                    reference.remove(server);
                }
                Action::Edit(..) | Action::Remove(_) => {}
                Action::Pick(count) => {
                    let expected: Vec<u32> = (0..count).map_while(|_| reference.pick()).collect();
                    prop_assert_eq!(picks(&schedule, count), expected);
                    schedule.advance(count);
                    schedule = Schedule::restore(
                        $scheduler,
                        OPTIONS,
                        schedule.members.clone(),
                        schedule.word(),
                    );
                }
            }
        }
    }};
}

proptest! {
    #[test]
    fn rr_is_the_reference(actions in any_actions()) {
        same_as_reference!(actions, Scheduler::Rr, reference::RoundRobin::default());
    }

    #[test]
    fn wrr_is_the_reference(actions in any_actions()) {
        same_as_reference!(actions, Scheduler::Wrr, reference::Weighted::new(Vec::new()));
    }

    #[test]
    fn wrr_gives_each_server_its_share(weights in prop::collection::vec(0u32..50, 1..10)) {
        let list: Vec<(u32, u32)> = (1..).zip(weights).collect();
        let layout = started(Scheduler::Wrr, &list).layout().expect("few servers");
        let sum: u64 = list.iter().map(|(_, weight)| u64::from(*weight)).sum();
        for (server, weight) in &list {
            let count = layout.slots.iter().filter(|slot| slot.server == *server).count() as u64;
            prop_assert_eq!(count * sum, u64::from(*weight) * layout.slots.len() as u64);
        }
    }
}

#[test]
fn a_turn_leads_to_the_next_slot_of_another_server() {
    assert_eq!(turns(&[]), Vec::<u32>::new());
    assert_eq!(turns(&[7]), [1]);
    assert_eq!(turns(&[7, 7, 7]), [3, 3, 3]);
    assert_eq!(turns(&[1, 2, 3]), [1, 1, 1]);
    assert_eq!(
        turns(&[1, 1, 2, 1, 2, 3, 1, 2, 3]),
        [2, 1, 1, 1, 1, 1, 1, 1, 1]
    );
    assert_eq!(turns(&[1, 2, 2, 1, 1]), [1, 2, 1, 3, 2]);
}

/// A rotation with overloaded servers, walked as the packet path does; `None` where it gives up.
fn passing_over(layout: &Layout, overloaded: &[u32], picks: usize) -> Vec<Option<u32>> {
    let length = layout.slots.len() as u32;
    let mut cursor = 0;
    let mut walk = || {
        let mut at = rotate(length, layout.cycle_start, cursor);
        cursor += 1;
        let mut passed = 0;
        loop {
            let slot = layout.slots[at as usize];
            if !overloaded.contains(&slot.server) {
                return Some(slot.server);
            }
            passed += slot.weight;
            if passed >= length {
                return None;
            }
            cursor += u64::from(slot.weight);
            at = further(length, layout.cycle_start, at, slot.weight);
        }
    };
    (0..picks).map(|_| walk()).collect()
}

proptest! {
    /// Over a cycle, each server is picked as often as its weight says: rr and wrr share exactly.
    #[test]
    fn rotations_share_by_weight(
        weights in prop::collection::vec(0u32..40, 1..12),
        is_weighted: bool,
    ) {
        let scheduler = if is_weighted { Scheduler::Wrr } else { Scheduler::Rr };
        let members: Vec<_> = (1..).zip(weights).collect();
        let layout = added(scheduler, &members).layout().expect("few servers");
        let total: u64 = members
            .iter()
            .map(|(_, weight)| u64::from(if is_weighted { *weight } else { (*weight).min(1) }))
            .sum();
        let cycle = layout.slots.len() as u64;
        for (server, weight) in members {
            let share = if is_weighted { weight } else { weight.min(1) };
            let slots = layout.slots.iter().filter(|slot| slot.server == server).count();
            prop_assert_eq!(slots as u64 * total, u64::from(share) * cycle);
        }
    }

    /// Overloaded servers are passed over, and the others keep their order and their shares.
    #[test]
    fn turns_pass_over_the_overloaded(
        weights in prop::collection::vec(1u32..9, 1..8),
        overloaded in prop::collection::vec(1u32..9, 0..6),
    ) {
        let members: Vec<_> = (1..).zip(weights).collect();
        let layout = added(Scheduler::Wrr, &members).layout().expect("few servers");
        let open: Vec<u32> = layout
            .slots
            .iter()
            .map(|slot| slot.server)
            .filter(|server| !overloaded.contains(server))
            .collect();
        let picks = passing_over(&layout, &overloaded, 50);
        let expected: Vec<Option<u32>> = if open.is_empty() {
            vec![None; 50]
        } else {
            open.iter().copied().map(Some).cycle().take(50).collect()
        };
        prop_assert_eq!(picks, expected);
    }
}
