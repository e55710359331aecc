use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn settings(timeout: u64, reentry: u64) -> Settings {
    Settings {
        check: Check::Tcp,
        timeout: Duration::from_secs(timeout),
        reentry: Duration::from_secs(reentry),
    }
}

fn failure() -> ProbeFailure {
    ProbeFailure::Refused {
        target: SocketAddr::from(([10, 0, 0, 1], 80)),
    }
}

fn second(second: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_secs(second))
}

/// Runs one probe per interval, each answered at once, and returns the verdict after each.
fn verdicts(settings: Settings, presumption: Presumption, good: &[bool]) -> Vec<Option<bool>> {
    let (mut monitor, effects) = Monitor::new(settings, presumption, Monotonic::ORIGIN);
    assert_eq!(effects, [MonitorEffect::Wake(Monotonic::ORIGIN)]);
    let mut now = Monotonic::ORIGIN;
    let mut seen = Vec::new();
    for good in good {
        assert_eq!(
            monitor.handle(MonitorEvent::Woke, now),
            [MonitorEffect::Probe]
        );
        let result = if *good { Ok(()) } else { Err(failure()) };
        let mut verdict = None;
        for effect in monitor.handle(MonitorEvent::Probed(result), now) {
            match effect {
                MonitorEffect::Verdict(Verdict::Up) => verdict = Some(true),
                MonitorEffect::Verdict(Verdict::Down(_)) => verdict = Some(false),
                MonitorEffect::Wake(next) => now = next,
                MonitorEffect::Probe => panic!("a probe right after a probe"),
            }
        }
        seen.push(verdict);
    }
    seen
}

#[test]
fn first_success_admits_at_once() {
    assert_eq!(
        verdicts(settings(6, 180), Presumption::Unknown, &[true, true]),
        [Some(true), None]
    );
}

#[test]
fn one_failure_is_enough_and_return_takes_reentry_over_timeout_good_probes() {
    assert_eq!(
        verdicts(
            settings(6, 18),
            Presumption::Unknown,
            &[true, false, true, true, true, true]
        ),
        [Some(true), Some(false), None, None, Some(true), None]
    );
}

#[test]
fn a_failure_on_the_way_back_starts_the_count_again() {
    assert_eq!(
        verdicts(
            settings(5, 10),
            Presumption::Unknown,
            &[true, false, true, false, true, true]
        ),
        [Some(true), Some(false), None, None, None, Some(true)]
    );
}

#[test]
fn a_server_that_fails_its_first_probe_must_stay_good_too() {
    assert_eq!(
        verdicts(settings(5, 10), Presumption::Unknown, &[false, true, true]),
        [Some(false), None, Some(true)]
    );
}

#[test]
fn reentry_below_timeout_brings_a_server_back_at_once() {
    assert_eq!(
        verdicts(settings(10, 5), Presumption::Unknown, &[true, false, true]),
        [Some(true), Some(false), Some(true)]
    );
}

#[test]
fn a_server_found_serving_leaves_at_its_first_failure() {
    assert_eq!(
        verdicts(settings(5, 10), Presumption::Serving, &[false]),
        [Some(false)]
    );
    assert_eq!(
        verdicts(settings(5, 10), Presumption::Serving, &[true, true]),
        [Some(true), None]
    );
}

#[test]
fn probes_start_one_interval_apart_however_long_they_take() {
    let (mut monitor, _) = Monitor::new(settings(6, 0), Presumption::Unknown, second(1));
    assert_eq!(monitor.handle(MonitorEvent::Woke, second(0)), []);
    assert_eq!(
        monitor.handle(MonitorEvent::Woke, second(1)),
        [MonitorEffect::Probe]
    );
    assert_eq!(
        monitor.handle(MonitorEvent::Probed(Ok(())), second(3)),
        [
            MonitorEffect::Verdict(Verdict::Up),
            MonitorEffect::Wake(second(7))
        ]
    );
    monitor.handle(MonitorEvent::Woke, second(7));
    assert_eq!(
        monitor.handle(MonitorEvent::Probed(Ok(())), second(14)),
        [MonitorEffect::Wake(second(14))]
    );
}

#[test]
fn a_silent_server_stays_away_for_reentry_from_the_end_of_its_last_failure() {
    let (mut monitor, _) = Monitor::new(settings(5, 15), Presumption::Serving, second(0));
    monitor.handle(MonitorEvent::Woke, second(0));
    let failed = monitor.handle(MonitorEvent::Probed(Err(failure())), second(5));
    assert_eq!(
        failed,
        [
            MonitorEffect::Verdict(Verdict::Down(failure())),
            MonitorEffect::Wake(second(10))
        ]
    );
    for moment in [10, 15, 20] {
        assert_eq!(
            monitor.handle(MonitorEvent::Woke, second(moment)),
            [MonitorEffect::Probe]
        );
        let good = monitor.handle(MonitorEvent::Probed(Ok(())), second(moment));
        assert_eq!(
            good.contains(&MonitorEffect::Verdict(Verdict::Up)),
            moment == 5 + 15
        );
    }
}

#[test]
fn an_unchecked_server_is_up_from_the_start_and_never_probed() {
    let unchecked = Settings {
        check: Check::None,
        ..settings(6, 15)
    };
    let (mut monitor, effects) = Monitor::new(unchecked, Presumption::Unknown, second(0));
    assert_eq!(effects, [MonitorEffect::Verdict(Verdict::Up)]);
    assert_eq!(monitor.handle(MonitorEvent::Woke, second(100)), []);
}

#[test]
fn retuning_keeps_the_verdict_and_shortens_the_wait() {
    let (mut monitor, _) = Monitor::new(settings(60, 0), Presumption::Unknown, second(0));
    monitor.handle(MonitorEvent::Woke, second(0));
    monitor.handle(MonitorEvent::Probed(Ok(())), second(0));
    assert_eq!(
        monitor.handle(MonitorEvent::Retuned(settings(5, 0)), second(10)),
        [MonitorEffect::Wake(second(15))]
    );
    let unchecked = Settings {
        check: Check::None,
        ..settings(5, 0)
    };
    assert_eq!(
        monitor.handle(MonitorEvent::Retuned(unchecked), second(11)),
        [],
        "it was up and stays up"
    );
    assert_eq!(
        monitor.handle(MonitorEvent::Retuned(settings(5, 0)), second(20)),
        [MonitorEffect::Wake(second(20))]
    );
}

#[test]
fn a_down_server_comes_up_when_its_check_is_switched_off() {
    let (mut monitor, _) = Monitor::new(settings(5, 60), Presumption::Unknown, second(0));
    monitor.handle(MonitorEvent::Woke, second(0));
    monitor.handle(MonitorEvent::Probed(Err(failure())), second(0));
    let unchecked = Settings {
        check: Check::None,
        ..settings(5, 60)
    };
    assert_eq!(
        monitor.handle(MonitorEvent::Retuned(unchecked), second(1)),
        [MonitorEffect::Verdict(Verdict::Up)]
    );
}

/// nanny's rules, written down the way the specification's table has them.
fn nanny(required: u32, serving_at_start: bool, good: &[bool]) -> Vec<bool> {
    let mut count = u64::from(required);
    let mut serving = serving_at_start;
    good.iter()
        .map(|good| {
            if *good {
                count += 1;
                serving = serving || count >= u64::from(required);
            } else {
                count = 0;
                serving = false;
            }
            serving
        })
        .collect()
}

proptest! {
    #[test]
    fn agrees_with_nanny(
        timeout in 1u64..20,
        reentry in 0u64..60,
        serving in any::<bool>(),
        good in prop::collection::vec(any::<bool>(), 0..60),
    ) {
        let settings = settings(timeout, reentry);
        let presumption = if serving { Presumption::Serving } else { Presumption::Unknown };
        let expected = nanny(settings.required_successes(), serving, &good);
        let mut state = serving;
        for (verdict, expected) in verdicts(settings, presumption, &good).into_iter().zip(expected) {
            state = verdict.unwrap_or(state);
            prop_assert_eq!(state, expected);
        }
    }
}
