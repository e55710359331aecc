//! Schedulers that look at loads.

use caribe_packet::least::{Candidate, LARGEST_DRAWN_SUM, draw};
use caribe_packet::server::Load;

use super::*;

const BY_LOAD: [Scheduler; 6] = [
    Scheduler::Lc,
    Scheduler::Wlc,
    Scheduler::Fo,
    Scheduler::Ovf,
    Scheduler::Sed,
    Scheduler::Nq,
];

fn load(active: u32, inactive: u32) -> Load {
    Load(u64::from(active) * Load::ACTIVE + u64::from(inactive))
}

/// Picks from a run the way the packet path does.
fn pick(layout: &Layout, load: impl Fn(u32) -> Load) -> Option<u32> {
    let rule = layout.choice.rule().expect("a choice that scans");
    let mut best = (Candidate::NOBODY, None);
    for slot in &layout.slots {
        let candidate = rule.candidate(load(slot.server), slot.weight);
        if candidate.beats(best.0) {
            best = (candidate, Some(slot.server));
        }
    }
    best.1
}

/// Picks of a list, newest server first, each adding an active connection.
fn filling(scheduler: Scheduler, list: &[(u32, u32)], count: usize) -> Vec<Option<u32>> {
    let layout = started(scheduler, list).layout().expect("few servers");
    let mut active = [0; 8];
    (0..count)
        .map(|_| {
            let picked = pick(&layout, |server| load(active[server as usize], 0))?;
            active[picked as usize] += 1;
            Some(picked)
        })
        .collect()
}

fn some<const N: usize>(servers: [u32; N]) -> Vec<Option<u32>> {
    servers.into_iter().map(Some).collect()
}

#[test]
fn case_70_lc() {
    let layout = started(Scheduler::Lc, &[(A, 9), (B, 1), (C, 5)])
        .layout()
        .expect("few servers");
    let loads = |inactive_of_b| {
        move |server| {
            [load(9, 9), load(1, 0), load(0, inactive_of_b), load(0, 256)][server as usize]
        }
    };
    assert_eq!(pick(&layout, loads(255)), Some(B));
    assert_eq!(pick(&layout, loads(257)), Some(A));
}

#[test]
fn case_71_wlc() {
    assert_eq!(
        filling(Scheduler::Wlc, &[(A, 1), (B, 3)], 8),
        some([A, B, B, B, A, B, B, B])
    );
}

#[test]
fn case_72_sed() {
    assert_eq!(
        filling(Scheduler::Sed, &[(A, 1), (B, 3)], 8),
        some([B, B, A, B, B, B, A, B])
    );
    assert_eq!(
        filling(Scheduler::Sed, &[(A, 1), (B, 2), (C, 3)], 12),
        some([C, B, C, A, B, C, C, B, C, A, B, C])
    );
}

#[test]
fn case_73_nq() {
    assert_eq!(
        filling(Scheduler::Nq, &[(A, 1), (B, 3)], 8),
        some([A, B, B, B, B, B, A, B])
    );
    assert_eq!(
        filling(Scheduler::Nq, &[(A, 1), (B, 2), (C, 3)], 12),
        some([A, B, C, C, B, C, C, B, C, A, B, C])
    );
}

/// Vector 74; its overloaded server is quiesced here.
#[test]
fn case_74_fo() {
    assert_eq!(
        filling(Scheduler::Fo, &[(A, 1), (B, 3), (C, 3)], 4),
        some([B; 4])
    );
    assert_eq!(
        filling(Scheduler::Fo, &[(A, 1), (B, 0), (C, 3)], 4),
        some([C; 4])
    );
}

#[test]
fn case_75_ovf() {
    let mut expected = some([B, B, B, B, A, A, A, C, C]);
    expected.push(None);
    assert_eq!(
        filling(Scheduler::Ovf, &[(A, 2), (B, 3), (C, 1)], 10),
        expected
    );
}

/// What twos gives to servers, in the order of the list, that are as busy as `loads` says: every
/// pair of an even number of draws.
fn twos(layout: &Layout, loads: &[Load], draws: u32) -> Vec<f64> {
    let sum = layout.slots.iter().map(|slot| u64::from(slot.weight)).sum();
    let drawn = |at: u32| {
        let random = (u64::from(2 * at + 1) << 31) / u64::from(draws);
        let number = draw(random as u32, sum);
        let mut reached = 0;
        let place = layout.slots.iter().position(|slot| {
            reached += u64::from(slot.weight);
            reached >= number
        });
        place.expect("the sum is reached")
    };
    let candidate = |place: usize| {
        caribe_packet::least::Rule::OVERHEAD.candidate(loads[place], layout.slots[place].weight)
    };
    let mut counts = vec![0.0; loads.len()];
    for first in (0..draws).map(drawn) {
        for second in (0..draws).map(drawn) {
            let wins = candidate(second).beats(candidate(first));
            counts[if wins { second } else { first }] += 1.0 / f64::from(draws * draws);
        }
    }
    counts
}

#[test]
fn case_82_twos() {
    let layout = started(Scheduler::Twos, &[(A, 1), (B, 1)])
        .layout()
        .expect("few servers");
    let shares = twos(&layout, &[load(10, 0), load(0, 0)], 300);
    assert!((shares[1] - 5.0 / 9.0).abs() < 0.001, "{shares:?}");
    let shares = twos(&layout, &[load(0, 0), load(10, 0)], 300);
    assert!((shares[0] - 8.0 / 9.0).abs() < 0.001, "{shares:?}");
}

/// The more weight, the more is drawn; only a sum that cannot be drawn from is scaled.
#[test]
fn twos_draws_by_weight() {
    let idle = [load(0, 0); 3];
    for (weights, scaled) in [
        ([300, 200, 100], None),
        (
            [1_800_000_000, 1_200_000_000, 600_000_000],
            Some(LARGEST_DRAWN_SUM),
        ),
    ] {
        let list: Vec<_> = [A, B, C].into_iter().zip(weights).collect();
        let layout = started(Scheduler::Twos, &list)
            .layout()
            .expect("few servers");
        assert_eq!(layout.scaled, scaled);
        let sum: u64 = layout.slots.iter().map(|slot| u64::from(slot.weight)).sum();
        assert!(sum <= LARGEST_DRAWN_SUM, "{sum}");
        // Of equals the first draw stays, so shares are those of one draw.
        for (share, expected) in twos(&layout, &idle, 600).into_iter().zip([3.0, 2.0, 1.0]) {
            assert!(
                (share - expected / 6.0).abs() < 0.005,
                "{share} of {expected}"
            );
        }
    }
}

#[test]
fn wlc_as_the_real_kernel_picked() {
    let schedule = added(Scheduler::Wlc, &[(2, 3), (3, 1), (4, 1)]);
    let layout = schedule.layout().expect("few servers");
    let mut active = [0; 5];
    let picks: Vec<u32> = (0..5)
        .map(|_| {
            let picked = pick(&layout, |server| load(active[server as usize], 0));
            let picked = picked.expect("a server");
            active[picked as usize] += 1;
            picked
        })
        .collect();
    assert_eq!(picks, [4, 3, 2, 2, 2]);
}

#[test]
fn servers_are_bounded_by_what_the_packet_path_compares() {
    let most = MOST_SLOTS;
    for scheduler in BY_LOAD.into_iter().chain([Scheduler::Twos]) {
        let mut schedule = Schedule::new(scheduler, OPTIONS);
        for server in 1..=most {
            schedule.add(member(server, 1));
        }
        let layout = schedule.layout().expect("just fits");
        assert_eq!(layout.slots.len(), most as usize);
        schedule.add(member(most + 1, 0));
        schedule.layout().expect("a quiesced server takes no slot");
        schedule.add(member(most + 2, 1));
        let refused = schedule.layout().expect_err("one too many");
        assert_eq!(refused.servers, most as usize + 1);
    }
}

fn any_weight() -> impl Strategy<Value = u32> {
    prop_oneof![4 => 0u32..5, 1 => Just(i32::MAX as u32), 1 => Just(i32::MAX as u32 - 1)]
}

proptest! {
    #[test]
    fn choices_by_load_are_the_reference(
        servers in prop::collection::vec((any_weight(), 0u32..4, 0u32..600), 1..8),
        scheduler in prop::sample::select(&BY_LOAD[..]),
    ) {
        let list: Vec<Member> =
            (1..).zip(&servers).map(|(server, (weight, ..))| member(server, *weight)).collect();
        let of = |server: u32| servers[server as usize - 1];
        let layout = Schedule::restore(scheduler, OPTIONS, list.clone(), 0).layout().expect("few servers");
        let picked = pick(&layout, |server| load(of(server).1, of(server).2));
        let loads = |server: u32| (u64::from(of(server).1), u64::from(of(server).2));
        prop_assert_eq!(picked, reference::by_load(scheduler, &list, &loads));
    }
}
