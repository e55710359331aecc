use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::Timing;
use crate::probe::tcp::TcpCheck;
use crate::probe::{Check, Code, Load, Target, Text};

fn second(second: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_secs(second))
}

fn name(name: &str) -> MonitorName {
    MonitorName::from(name)
}

fn monitor_with(name: &str, initial: Initial, advises: bool) -> Arc<Settings> {
    Arc::new(Settings {
        name: MonitorName::from(name),
        check: Arc::new(Check::Tcp(TcpCheck::default())),
        target: Target::new(SocketAddr::from(([10, 0, 0, 1], 80))),
        timing: Timing {
            initial,
            ..Timing::piranha(Duration::from_secs(10), Duration::from_secs(20))
        },
        advises,
    })
}

fn monitor(name: &str) -> Arc<Settings> {
    monitor_with(name, Initial::LastKnown, false)
}

fn rules(weight: u32) -> ServerRules {
    ServerRules {
        weight,
        quiesce: false,
        ramp: Some(Duration::from_secs(20)),
        by_load: false,
    }
}

fn finding(passed: bool) -> Finding {
    Finding {
        code: if passed { Code::L7Ok } else { Code::L7Status },
        text: Text::new(if passed { "200" } else { "500" }),
        latency: Duration::from_millis(3),
        reading: None,
    }
}

fn judge(state: &mut ServerHealth, monitor: &str, passed: bool, now: u64) {
    assert!(state.judged(&name(monitor), passed, finding(passed), second(now)));
}

fn failed(weight: u32) -> Claim {
    Claim::Failed {
        weight,
        quiesced: false,
    }
}

#[test]
fn every_monitor_must_pass_and_the_first_reason_is_told() {
    let monitors = [monitor("http"), monitor("tcp")];
    let mut state = ServerHealth::new(rules(5), &monitors, None, second(0));
    assert_eq!(state.claim(None), Claim::Awaited);
    judge(&mut state, "tcp", true, 1);
    assert_eq!(state.claim(None), Claim::Awaited);
    judge(&mut state, "http", true, 2);
    assert_eq!(state.claim(None), Claim::Serves(5));
    judge(&mut state, "tcp", false, 7);
    judge(&mut state, "http", false, 8);
    assert_eq!(state.claim(None), failed(5));
    let (monitor, reason) = state.trouble().expect("a reason");
    assert_eq!((monitor.as_str(), reason.code), ("tcp", Code::L7Status));
    judge(&mut state, "tcp", true, 9);
    assert_eq!(state.claim(None), failed(5), "http still fails");
    assert_eq!(state.since(), second(7));
    judge(&mut state, "http", true, 10);
    assert_eq!(state.standing(), Standing::Up);
    assert_eq!((state.since(), state.flaps()), (second(10), 1));
    let history: Vec<String> = state
        .history(second(11))
        .map(|(moment, what)| {
            let what = match what {
                Occurrence::Verdict {
                    monitor, passed, ..
                } => format!("{monitor} {passed}"),
                other => format!("{other:?}"),
            };
            format!("{} {what}", moment.since(second(0)).as_secs())
        })
        .collect();
    assert_eq!(
        history,
        [
            "1 tcp true",
            "2 http true",
            "2 Standing(Up)",
            "7 tcp false",
            "7 Standing(Down)",
            "8 http false",
            "9 tcp true",
            "10 http true",
            "10 Standing(Up)",
        ]
    );
}

#[test]
fn without_monitors_a_server_is_up_from_the_start() {
    let state = ServerHealth::new(rules(5), &[], None, second(0));
    assert_eq!(state.claim(None), Claim::Serves(5));
    let adviser = [monitor_with("load", Initial::Checking, true)];
    let state = ServerHealth::new(rules(5), &adviser, None, second(0));
    assert_eq!(state.claim(None), Claim::Serves(5));
}

#[test]
fn a_server_that_comes_back_climbs_and_a_new_one_does_not() {
    let mut state = ServerHealth::new(rules(100), &[monitor("tcp")], None, second(0));
    judge(&mut state, "tcp", true, 0);
    assert_eq!(state.claim(None), Claim::Serves(100));
    judge(&mut state, "tcp", false, 1);
    judge(&mut state, "tcp", true, 30);
    let mut weights = Vec::new();
    for moment in (30..).step_by(20).take(8) {
        state.tick(second(moment));
        let Claim::Serves(weight) = state.claim(None) else {
            panic!("it serves");
        };
        weights.push(weight);
        assert!(!state.tick(second(moment + 19)), "not before its time");
    }
    assert_eq!(weights, [3, 6, 12, 24, 48, 96, 100, 100]);
    assert!(!state.climbs());
}

#[test]
fn a_long_pause_is_made_up_for_and_a_failure_begins_the_climb_anew() {
    let mut state = ServerHealth::new(rules(100), &[monitor("tcp")], None, second(0));
    judge(&mut state, "tcp", false, 0);
    judge(&mut state, "tcp", true, 10);
    assert!(state.tick(second(71)));
    assert_eq!(state.claim(None), Claim::Serves(24));
    judge(&mut state, "tcp", false, 72);
    judge(&mut state, "tcp", true, 80);
    assert_eq!(state.claim(None), Claim::Serves(3));
    state.configure(
        ServerRules {
            ramp: None,
            ..rules(100)
        },
        &[monitor("tcp")],
        second(81),
    );
    assert_eq!(state.claim(None), Claim::Serves(100));
}

#[test]
fn the_load_counts_once_the_climb_is_over() {
    let by_load = ServerRules {
        by_load: true,
        ..rules(100)
    };
    let monitors = [
        monitor("tcp"),
        monitor_with("load", Initial::LastKnown, true),
    ];
    let load = |load| Reading::Load(Load::new(load).expect("a load"));
    let mut state = ServerHealth::new(by_load, &monitors, None, second(0));
    state.read(&load(0.0), second(0));
    judge(&mut state, "tcp", true, 1);
    assert_eq!(state.claim(None), Claim::Serves(100));
    for (reading, weight) in [(0.0, 150), (0.0, 200), (0.5, 239), (0.9, 239), (1.5, 199)] {
        state.read(&load(reading), second(2));
        assert_eq!(state.claim(None), Claim::Serves(weight));
    }
    judge(&mut state, "tcp", false, 3);
    judge(&mut state, "tcp", true, 4);
    state.read(&load(0.0), second(5));
    assert_eq!(state.claim(None), Claim::Serves(3));
    state.tick(second(200));
    assert_eq!(state.claim(None), Claim::Serves(100));
    state.read(&load(0.0), second(201));
    assert_eq!(state.claim(None), Claim::Serves(150));
    state.configure(rules(100), &monitors, second(202));
    assert_eq!(state.claim(None), Claim::Serves(100));
}

#[test]
fn an_agent_weighs_drains_and_takes_out() {
    let monitors = [
        monitor("tcp"),
        monitor_with("agent", Initial::LastKnown, true),
    ];
    let mut state = ServerHealth::new(rules(8), &monitors, None, second(0));
    judge(&mut state, "tcp", true, 1);
    for (line, claim) in [
        ("75%", Claim::Serves(6)),
        ("1%", Claim::Serves(1)),
        ("0%", Claim::Serves(0)),
        ("200%", Claim::Serves(16)),
        ("drain", Claim::Serves(0)),
        ("50%", Claim::Serves(0)),
        ("ready", Claim::Serves(4)),
        ("maint", Claim::Absent),
        ("up", Claim::Absent),
        ("ready 100%", Claim::Serves(8)),
    ] {
        let report = AgentReport::parse(line.as_bytes()).expect(line);
        state.read(&Reading::Agent(report), second(2));
        assert_eq!(state.claim(None), claim, "{line}");
    }
}

#[test]
fn an_adviser_counts_only_when_it_speaks_against_the_server() {
    let monitors = [
        monitor("tcp"),
        monitor_with("load", Initial::LastKnown, true),
    ];
    let mut state = ServerHealth::new(rules(10), &monitors, None, second(0));
    judge(&mut state, "tcp", true, 1);
    assert_eq!(state.standing(), Standing::Up, "nobody waits for it");
    judge(&mut state, "load", false, 2);
    assert_eq!(state.standing(), Standing::Down);
    let trouble = state.trouble().map(|(monitor, _)| monitor.as_str());
    assert_eq!(trouble, Some("load"));
    judge(&mut state, "load", true, 3);
    assert_eq!(state.standing(), Standing::Up);
}

#[test]
fn an_order_stands_above_all_but_a_failure() {
    let mut state = ServerHealth::new(rules(8), &[monitor("tcp")], None, second(0));
    assert_eq!(state.claim(Some(Order::Weight(3))), Claim::Awaited);
    judge(&mut state, "tcp", true, 1);
    assert_eq!(state.claim(Some(Order::Weight(3))), Claim::Serves(3));
    assert_eq!(state.claim(Some(Order::Drain)), Claim::Serves(0));
    assert_eq!(state.claim(Some(Order::Maintenance)), Claim::Absent);
    judge(&mut state, "tcp", false, 1);
    assert_eq!(state.claim(Some(Order::Weight(3))), failed(3));
    assert_eq!(state.claim(Some(Order::Drain)), failed(0));
    assert_eq!(state.claim(Some(Order::Maintenance)), Claim::Absent);
}

#[test]
fn a_server_that_never_served_is_not_quiesced() {
    let quiesce = ServerRules {
        quiesce: true,
        ..rules(8)
    };
    let mut state = ServerHealth::new(quiesce, &[monitor("tcp")], None, second(0));
    judge(&mut state, "tcp", false, 1);
    assert_eq!(state.claim(None), failed(8));
    judge(&mut state, "tcp", true, 2);
    judge(&mut state, "tcp", false, 3);
    let quiesced = Claim::Failed {
        weight: 8,
        quiesced: true,
    };
    assert_eq!(state.claim(None), quiesced);
}

#[test]
fn the_initial_state_is_as_configured() {
    use Initial::{Checking, LastKnown, Up};
    use Presumption::{Serving, Unknown};
    let cases = [
        (Checking, None, Claim::Awaited, Unknown),
        (Checking, Some(8), Claim::Awaited, Unknown),
        (Up, None, Claim::Serves(8), Serving),
        (Up, Some(8), Claim::Serves(8), Serving),
        (Up, Some(0), Claim::Serves(0), Unknown),
        (LastKnown, None, Claim::Awaited, Unknown),
        (LastKnown, Some(8), Claim::Serves(8), Serving),
        (LastKnown, Some(0), Claim::Serves(0), Unknown),
    ];
    for (initial, adopted, claim, presumption) in cases {
        let monitors = [monitor_with("tcp", initial, false)];
        let mut state = ServerHealth::new(rules(8), &monitors, adopted, second(0));
        assert_eq!(state.claim(None), claim, "{initial:?} {adopted:?}");
        assert_eq!(
            state.presumption(&monitors[0]),
            presumption,
            "{initial:?} {adopted:?}"
        );
        judge(&mut state, "tcp", true, 1);
        assert_eq!(
            state.claim(None),
            Claim::Serves(8),
            "{initial:?} {adopted:?}"
        );
    }
}

#[test]
fn a_restart_goes_on_with_a_climb_and_with_a_weight_by_load() {
    let monitors = [monitor("tcp")];
    let mut state = ServerHealth::new(rules(100), &monitors, Some(24), second(0));
    assert_eq!(state.claim(None), Claim::Serves(24));
    judge(&mut state, "tcp", true, 1);
    assert_eq!(state.claim(None), Claim::Serves(24));
    assert!(state.tick(second(20)));
    assert_eq!(state.claim(None), Claim::Serves(48));
    // 25 is no weight of a climb to 100: the file has changed meanwhile.
    let state = ServerHealth::new(rules(100), &monitors, Some(25), second(0));
    assert_eq!(state.claim(None), Claim::Serves(100));
    let by_load = ServerRules {
        by_load: true,
        ..rules(100)
    };
    let state = ServerHealth::new(by_load, &monitors, Some(239), second(0));
    assert_eq!(state.claim(None), Claim::Serves(239));
    let state = ServerHealth::new(rules(100), &monitors, Some(239), second(0));
    assert_eq!(state.claim(None), Claim::Serves(100));
}

#[test]
fn a_server_that_serves_goes_on_while_a_new_monitor_makes_up_its_mind() {
    let mut state = ServerHealth::new(rules(8), &[monitor("tcp")], None, second(0));
    judge(&mut state, "tcp", true, 1);
    state.configure(rules(9), &[monitor("tcp"), monitor("http")], second(2));
    assert_eq!(state.claim(None), Claim::Serves(9));
    judge(&mut state, "http", false, 3);
    assert_eq!(state.claim(None), failed(9));
    // The monitor that speaks against it goes, and with it the reason.
    state.configure(rules(9), &[monitor("tcp")], second(4));
    assert_eq!(state.standing(), Standing::Up);
    assert!(!state.judged(&name("http"), false, finding(false), second(5)));
    assert_eq!(state.standing(), Standing::Up);
}

proptest! {
    /// A server serves if and only if every monitor said so last (or it served, and nobody has
    /// spoken against it since), whatever came in whatever order; orders stand above it.
    #[test]
    fn a_server_serves_if_and_only_if_its_rules_say_so(
        verdicts in prop::collection::vec((0usize..3, any::<bool>(), 0u64..40), 0..60),
        adopted in prop::option::of(0u32..3),
        quiesce in any::<bool>(),
        weight in 1u32..200,
    ) {
        let names = ["a", "b", "c"];
        let monitors = names.map(monitor);
        let rules = ServerRules { quiesce, ..rules(weight) };
        let mut state = ServerHealth::new(rules, &monitors, adopted, second(0));
        let mut said = [None; 3];
        let mut now = 0;
        let mut served = adopted.is_some();
        for (monitor, passed, later) in verdicts {
            now += later;
            state.tick(second(now));
            judge(&mut state, names[monitor], passed, now);
            said[monitor] = Some(passed);
            let down = said.contains(&Some(false));
            let up = said.iter().all(|said| *said == Some(true));
            let claim = state.claim(None);
            match claim {
                Claim::Serves(0) => prop_assert!(!up && !down && adopted == Some(0)),
                Claim::Serves(own) => {
                    prop_assert!(!down && (up || adopted.is_some()));
                    prop_assert!(own <= weight);
                }
                Claim::Failed { quiesced, .. } => {
                    prop_assert!(down);
                    prop_assert_eq!(quiesced, quiesce && served);
                }
                Claim::Awaited => prop_assert!(!down && !up && adopted.is_none()),
                Claim::Absent => prop_assert!(false, "nobody took it out"),
            }
            served |= up;
            prop_assert_eq!(state.claim(Some(Order::Maintenance)), Claim::Absent);
            prop_assert!(!matches!(state.claim(Some(Order::Drain)), Claim::Serves(1..)));
        }
    }
}
