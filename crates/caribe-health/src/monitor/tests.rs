use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn piranha(timeout: u64, reentry: u64) -> Timing {
    Timing::piranha(Duration::from_secs(timeout), Duration::from_secs(reentry))
}

fn second(second: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_secs(second))
}

fn outcome(good: bool) -> Outcome {
    if good { Outcome::Good } else { Outcome::Bad }
}

/// Runs probes that are answered at once, and returns the verdict after each.
fn verdicts(timing: &Timing, presumption: Presumption, good: &[bool]) -> Vec<Option<bool>> {
    let mut monitor = Monitor::new(presumption, 1);
    let mut now = Monotonic::ORIGIN;
    let probes = good.iter().map(|good| {
        let step = monitor.ended(outcome(*good), timing, now, now);
        assert!(step.next > now);
        now = step.next;
        step.verdict
    });
    probes.collect()
}

#[test]
fn first_success_admits_at_once() {
    assert_eq!(
        verdicts(&piranha(6, 180), Presumption::Unknown, &[true, true]),
        [Some(true), None]
    );
}

#[test]
fn one_failure_puts_out_and_reentry_is_earned_anew() {
    // reentry 15, timeout 6: two good checks in a row.
    assert_eq!(
        verdicts(
            &piranha(6, 15),
            Presumption::Unknown,
            &[true, false, true, false, true, true, true]
        ),
        [Some(true), Some(false), None, None, None, Some(true), None]
    );
}

#[test]
fn reentry_below_timeout_brings_back_at_once() {
    assert_eq!(
        verdicts(&piranha(10, 9), Presumption::Unknown, &[false, true]),
        [Some(false), Some(true)]
    );
}

#[test]
fn piranhas_defaults_take_eighteen_good_checks() {
    let mut good = vec![false];
    good.extend([true; 18]);
    let seen = verdicts(&piranha(10, 180), Presumption::Unknown, &good);
    assert_eq!(seen[0], Some(false));
    assert_eq!(seen[1..18], [None; 17]);
    assert_eq!(seen[18], Some(true));
}

#[test]
fn a_server_found_serving_is_confirmed_or_put_out() {
    let timing = piranha(5, 10);
    assert_eq!(
        verdicts(&timing, Presumption::Serving, &[false]),
        [Some(false)]
    );
    assert_eq!(
        verdicts(&timing, Presumption::Serving, &[true, true]),
        [Some(true), None]
    );
}

#[test]
fn rise_and_fall_are_counted_in_a_row() {
    let timing = Timing {
        rise: 2,
        fall: 3,
        ..piranha(5, 0)
    };
    let history = [
        true, false, false, true, false, false, false, true, false, true, true,
    ];
    let seen = verdicts(&timing, Presumption::Unknown, &history);
    let none = None;
    assert_eq!(
        seen,
        [
            Some(true),
            none,
            none,
            none,
            none,
            none,
            Some(false),
            none,
            none,
            none,
            Some(true)
        ]
    );
    assert_eq!(
        verdicts(&timing, Presumption::Serving, &[false, false, true]),
        [None, None, Some(true)],
        "a presumption is confirmed by a success, not by a failure that is not enough"
    );
}

#[test]
fn probes_start_one_interval_apart_however_long_they_take() {
    let timing = piranha(6, 0);
    let mut monitor = Monitor::new(Presumption::Unknown, 1);
    let step = monitor.ended(Outcome::Good, &timing, second(1), second(3));
    assert_eq!(step.next, second(7));
    let step = monitor.ended(Outcome::Good, &timing, second(7), second(14));
    assert_eq!(step.next, second(14));
}

#[test]
fn a_silent_server_stays_away_for_reentry_from_the_end_of_its_last_failure() {
    let timing = piranha(5, 15);
    let mut monitor = Monitor::new(Presumption::Serving, 1);
    let step = monitor.ended(Outcome::Bad, &timing, second(0), second(5));
    assert_eq!((step.verdict, step.next), (Some(false), second(10)));
    for moment in [10, 15, 20] {
        let step = monitor.ended(Outcome::Good, &timing, second(moment), second(moment));
        assert_eq!(step.verdict == Some(true), moment == 5 + 15);
        assert_eq!(step.next, second(moment + 5));
    }
}

#[test]
fn the_interval_is_fast_while_the_state_changes() {
    let timing = Timing {
        rise: 3,
        fall: 2,
        fast_interval: Some(Duration::from_secs(1)),
        ..piranha(10, 0)
    };
    let mut monitor = Monitor::new(Presumption::Unknown, 1);
    let mut now = second(0);
    let mut waits = Vec::new();
    for good in [true, true, false, false, false, true, true, true] {
        let next = monitor.ended(outcome(good), &timing, now, now).next;
        waits.push(next.since(now).as_secs());
        now = next;
    }
    assert_eq!(waits, [10, 10, 1, 10, 10, 1, 1, 10]);
}

#[test]
fn the_directors_own_trouble_changes_nothing() {
    let timing = piranha(5, 10);
    for presumption in [Presumption::Unknown, Presumption::Serving] {
        let mut monitor = Monitor::new(presumption, 1);
        let before = monitor.verdict();
        let step = monitor.ended(Outcome::Void, &timing, second(0), second(1));
        assert_eq!((step.verdict, monitor.verdict()), (None, before));
        assert!(step.next >= second(5));
    }
}

/// The specification's table of nanny, with fall and rise.
fn table(timing: &Timing, serving_at_start: bool, good: &[bool]) -> Vec<bool> {
    let (rise, fall) = (timing.rise.max(1), timing.fall.max(1));
    let (mut serving, mut known) = (serving_at_start, serving_at_start);
    let (mut successes, mut failures) = (0, 0);
    let after = good.iter().map(|good| {
        (successes, failures) = if *good {
            (successes + 1, 0)
        } else {
            (0, failures + 1)
        };
        if !known {
            serving = *good;
            known = true;
        } else if serving && failures >= fall {
            serving = false;
        } else if !serving && successes >= rise {
            serving = true;
        }
        serving
    });
    after.collect()
}

proptest! {
    #[test]
    fn agrees_with_the_table(
        rise in 0u32..6,
        fall in 0u32..5,
        at_start in any::<bool>(),
        good in prop::collection::vec(any::<bool>(), 0..80),
    ) {
        let timing = Timing { rise, fall, ..piranha(5, 0) };
        let presumption = if at_start { Presumption::Serving } else { Presumption::Unknown };
        let mut state = at_start;
        let mut confirmations = 0;
        let expected = table(&timing, at_start, &good);
        for (verdict, expected) in verdicts(&timing, presumption, &good).into_iter().zip(expected) {
            confirmations += usize::from(verdict == Some(state));
            state = verdict.unwrap_or(state);
            prop_assert_eq!(state, expected);
        }
        prop_assert!(confirmations <= 1, "only the first verdict may be no change");
    }
}
