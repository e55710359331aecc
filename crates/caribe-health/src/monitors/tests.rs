use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use caribe_model::{Protocol, ServerKey, ServiceKey};
use proptest::prelude::*;

use super::*;
use crate::probe::agent::AgentReport;
use crate::probe::ssh::SshCheck;
use crate::probe::tcp::TcpCheck;
use crate::probe::{Check, Code, Load, Target, Text};
use crate::{MonitorName, Timing};

fn server(host: u8) -> ServerId {
    ServerId {
        service: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            port: 80,
        },
        server: ServerKey {
            address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
            port: 8080,
        },
    }
}

fn id(host: u8) -> MonitorId {
    MonitorId {
        server: server(host),
        name: MonitorName::from("tcp"),
    }
}

fn settings(host: u8, timeout: u64) -> Arc<Settings> {
    Arc::new(Settings {
        name: MonitorName::from("tcp"),
        check: Arc::new(Check::Tcp(TcpCheck::default())),
        target: Target::new(SocketAddr::from(([10, 0, 0, host], 8080))),
        timing: Timing::piranha(Duration::from_secs(timeout), Duration::from_secs(12)),
        advises: false,
    })
}

fn start(host: u8) -> MonitorsEvent {
    MonitorsEvent::Start(server(host), settings(host, 6), Presumption::Unknown)
}

fn finding(code: Code) -> Finding {
    Finding {
        code,
        text: Text::new("as a test wants it"),
        latency: Duration::from_millis(1),
        reading: None,
    }
}

fn moment(milliseconds: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_millis(milliseconds))
}

fn handle(monitors: &mut Monitors, event: MonitorsEvent, now: Monotonic) -> Vec<MonitorsEffect> {
    let mut effects = Vec::new();
    monitors.handle(event, now, &mut effects);
    effects
}

/// The probes that are to start: ticket and target.
fn probes(effects: &[MonitorsEffect]) -> Vec<(Ticket, SocketAddr)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            MonitorsEffect::Probe(ticket, settings) => Some((*ticket, settings.target.address)),
            _ => None,
        })
        .collect()
}

fn news(effects: &[MonitorsEffect]) -> Vec<(MonitorId, News)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            MonitorsEffect::Report(report) => Some((report.id.clone(), report.news.clone())),
            _ => None,
        })
        .collect()
}

fn immediately(probes_in_flight: usize) -> Limits {
    Limits {
        probes_in_flight,
        programs_in_flight: 1,
        spread: Duration::ZERO,
        starts_per_second: u32::MAX,
    }
}

#[test]
fn probes_leave_files_to_the_rest_of_the_process() {
    let within = |files| Limits::default().within(files).probes_in_flight;
    assert_eq!([0, 1024, 1 << 40].map(within), [1, 256, 32_768]);
}

#[test]
fn first_probes_are_spread_and_paced() {
    let mut monitors = Monitors::new(Limits::default(), 7);
    for host in 0..200 {
        handle(&mut monitors, start(host), Monotonic::ORIGIN);
    }
    let halfway = probes(&handle(&mut monitors, MonitorsEvent::Woke, moment(250))).len();
    // Two hundred at ten thousand a second take 20 ms more.
    let rest = probes(&handle(&mut monitors, MonitorsEvent::Woke, moment(520))).len();
    assert!((60..140).contains(&halfway), "{halfway} in the first half");
    assert!(halfway + rest >= 199, "all but those started at once");

    let limits = Limits {
        starts_per_second: 100,
        spread: Duration::ZERO,
        ..Limits::default()
    };
    let mut monitors = Monitors::new(limits, 7);
    let mut started = 0;
    for host in 0..200 {
        started += probes(&handle(&mut monitors, start(host), Monotonic::ORIGIN)).len();
    }
    for second in 1..=2 {
        started += probes(&handle(
            &mut monitors,
            MonitorsEvent::Woke,
            moment(second * 1000),
        ))
        .len();
        let expected = usize::try_from(second).expect("small") * 100;
        assert!(
            started.abs_diff(expected) <= 1,
            "{started} after {second} s"
        );
    }
}

/// A server in a crowd.
fn member(number: u32) -> ServerId {
    ServerId {
        server: ServerKey {
            address: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number)),
            port: 8080,
        },
        ..server(0)
    }
}

#[test]
fn a_hundred_thousand_start_one_after_the_other_and_stay_apart() {
    const CROWD: u32 = 100_000;
    const INTERVAL: u64 = 20;
    let mut monitors = Monitors::new(Limits::default(), 7);
    let same = settings(0, INTERVAL);
    for number in 0..CROWD {
        let event = MonitorsEvent::Start(member(number), Arc::clone(&same), Presumption::Unknown);
        assert!(handle(&mut monitors, event, Monotonic::ORIGIN).len() <= 1);
    }
    // Probes in each tenth of a second, for two intervals.
    let mut tenths = vec![0_u32; usize::try_from(2 * INTERVAL * 10).expect("few")];
    let mut effects = Vec::new();
    while let Some(now) = monitors.next_wake() {
        let milliseconds = now.since(Monotonic::ORIGIN).as_millis();
        let Some(tenth) = tenths.get_mut(usize::try_from(milliseconds / 100).expect("few")) else {
            break;
        };
        monitors.handle(MonitorsEvent::Woke, now, &mut effects);
        for (ticket, _) in probes(&effects) {
            *tenth += 1;
            let passed = MonitorsEvent::Probed(ticket, finding(Code::L4Ok));
            handle(&mut monitors, passed, now);
        }
        effects.clear();
    }
    let first_round: u32 = tenths[..110].iter().sum();
    assert_eq!(first_round, CROWD, "ten thousand begin in a second");
    let most = tenths.iter().max().expect("some");
    assert!(*most <= 1100, "{most} in a tenth of a second");
    // The same pace again an interval later: nothing has come together.
    let second_round: u32 = tenths[200..310].iter().sum();
    assert!(
        second_round >= CROWD - 2000,
        "{second_round} in the second round"
    );
}

#[test]
fn no_more_probes_than_allowed_and_the_longest_overdue_goes_first() {
    let mut monitors = Monitors::new(immediately(2), 0);
    let mut started = Vec::new();
    for host in 0..5 {
        started.extend(probes(&handle(
            &mut monitors,
            start(host),
            moment(host.into()),
        )));
    }
    assert_eq!(started.len(), 2);
    assert_eq!(monitors.next_wake(), None, "only the end of a probe helps");
    let end = MonitorsEvent::Probed(started[0].0, finding(Code::L4Ok));
    let effects = handle(&mut monitors, end, moment(100));
    assert_eq!(news(&effects)[0].0, id(0));
    assert_eq!(
        probes(&effects)[0].1,
        SocketAddr::from(([10, 0, 0, 2], 8080))
    );
    assert_eq!(monitors.probes_in_flight(), 2);
}

#[test]
fn programs_have_a_bound_of_their_own_and_stop_nobody_else() {
    let mut monitors = Monitors::new(immediately(10), 0);
    let program = |host| {
        let settings = Settings {
            check: Arc::new(Check::Ssh(SshCheck::default())),
            ..Settings::clone(&settings(host, 6))
        };
        MonitorsEvent::Start(server(host), Arc::new(settings), Presumption::Unknown)
    };
    let mut started = Vec::new();
    for event in [program(1), program(2), start(3), program(4), start(5)] {
        started.extend(probes(&handle(&mut monitors, event, moment(1))));
    }
    let hosts = |started: &[(Ticket, SocketAddr)]| -> Vec<String> {
        started
            .iter()
            .map(|(_, target)| target.ip().to_string())
            .collect()
    };
    assert_eq!(hosts(&started), ["10.0.0.1", "10.0.0.3", "10.0.0.5"]);
    let end = MonitorsEvent::Probed(started[0].0, finding(Code::ProgramOk));
    let next = probes(&handle(&mut monitors, end, moment(2)));
    assert_eq!(hosts(&next), ["10.0.0.2"]);
    let end = MonitorsEvent::Probed(next[0].0, finding(Code::ProgramOk));
    let next = probes(&handle(&mut monitors, end, moment(3)));
    assert_eq!(hosts(&next), ["10.0.0.4"]);
}

#[test]
fn a_stopped_monitors_probe_is_no_news_but_holds_its_place() {
    let mut monitors = Monitors::new(immediately(1), 0);
    let first = probes(&handle(&mut monitors, start(1), moment(0)));
    handle(&mut monitors, MonitorsEvent::Stop(id(1)), moment(10));
    assert!(monitors.is_empty());
    assert_eq!(
        handle(&mut monitors, start(1), moment(20)),
        [],
        "its socket is still open"
    );
    let end = MonitorsEvent::Probed(first[0].0, finding(Code::L4Ok));
    let effects = handle(&mut monitors, end, moment(30));
    assert_eq!(news(&effects), []);
    assert!(
        matches!(probes(&effects)[..], [(ticket, _)] if ticket != first[0].0),
        "the new monitor probes by itself: {effects:?}"
    );
}

#[test]
fn starting_a_running_monitor_again_keeps_what_it_knows() {
    let mut monitors = Monitors::new(immediately(8), 0);
    let first = probes(&handle(&mut monitors, start(1), moment(0)));
    let end = MonitorsEvent::Probed(first[0].0, finding(Code::L4Ok));
    handle(&mut monitors, end, moment(1));
    assert_eq!(handle(&mut monitors, start(1), moment(2)), []);
    assert_eq!(monitors.len(), 1);
    assert_eq!(
        probes(&handle(&mut monitors, MonitorsEvent::Woke, moment(5999))),
        []
    );
    let again = handle(&mut monitors, MonitorsEvent::Woke, moment(6000));
    assert_eq!(probes(&again).len(), 1);
}

#[test]
fn retuning_cuts_a_long_wait_short() {
    let mut monitors = Monitors::new(immediately(8), 0);
    let long = MonitorsEvent::Start(server(1), settings(1, 60), Presumption::Unknown);
    let first = probes(&handle(&mut monitors, long, moment(0)));
    let end = MonitorsEvent::Probed(first[0].0, finding(Code::L4Ok));
    handle(&mut monitors, end, moment(1));
    let retune = MonitorsEvent::Retune(server(1), settings(1, 5));
    handle(&mut monitors, retune, moment(10_000));
    assert_eq!(
        probes(&handle(&mut monitors, MonitorsEvent::Woke, moment(14_999))),
        []
    );
    let woken = handle(&mut monitors, MonitorsEvent::Woke, moment(15_000));
    assert_eq!(probes(&woken).len(), 1);
    assert_eq!(
        probes(&handle(&mut monitors, MonitorsEvent::Woke, moment(60_000))),
        [],
        "the old timer is out of date"
    );
}

/// Ends the one probe that is under way a millisecond after its start, and starts the next ten
/// seconds later.
fn round(
    monitors: &mut Monitors,
    ticket: Ticket,
    found: Finding,
    number: u64,
) -> (Vec<MonitorsEffect>, Ticket) {
    let now = number * 10_001 + 1;
    let effects = handle(monitors, MonitorsEvent::Probed(ticket, found), moment(now));
    let woken = handle(monitors, MonitorsEvent::Woke, moment(now + 10_000));
    (effects, probes(&woken)[0].0)
}

#[test]
fn the_directors_own_trouble_is_told_once_and_judges_nobody() {
    let mut monitors = Monitors::new(immediately(8), 0);
    let ticket = probes(&handle(&mut monitors, start(1), moment(0)))[0].0;
    let (effects, ticket) = round(&mut monitors, ticket, finding(Code::Local), 0);
    assert!(
        matches!(&effects[..], [MonitorsEffect::Blind(..)]),
        "{effects:?}"
    );
    let (effects, ticket) = round(&mut monitors, ticket, finding(Code::Local), 1);
    assert_eq!(effects, []);
    let (effects, ticket) = round(&mut monitors, ticket, finding(Code::L4Refused), 2);
    assert!(
        matches!(
            &news(&effects)[..],
            [(_, News::Verdict { passed: false, .. })]
        ),
        "{effects:?}"
    );
    let (effects, _) = round(&mut monitors, ticket, finding(Code::Local), 3);
    assert!(
        matches!(&effects[..], [MonitorsEffect::Blind(..)]),
        "{effects:?}"
    );
    let latest: Vec<Code> = monitors.latest().map(|(_, finding)| finding.code).collect();
    assert_eq!(latest, [Code::Local]);
}

#[test]
fn an_adviser_reads_and_judges_only_by_an_agents_own_word() {
    let mut monitors = Monitors::new(immediately(8), 0);
    let six = Duration::from_secs(6);
    let adviser = Settings {
        timing: Timing::piranha(six, six),
        advises: true,
        ..Settings::clone(&settings(1, 6))
    };
    let event = MonitorsEvent::Start(server(1), Arc::new(adviser), Presumption::Unknown);
    let mut ticket = probes(&handle(&mut monitors, event, moment(0)))[0].0;
    let agent =
        |weight: &str| Reading::Agent(AgentReport::parse(weight.as_bytes()).expect("a word"));
    let load = Reading::Load(Load::new(0.5).expect("a load"));
    for (number, (reading, is_news)) in (0..).zip([
        (agent("75%"), true),
        (agent("75%"), false),
        (agent("drain"), true),
        (load.clone(), true),
        (load, true),
    ]) {
        let found = Finding {
            code: Code::L7Status,
            reading: Some(reading.clone()),
            ..finding(Code::L7Ok)
        };
        let (effects, next) = round(&mut monitors, ticket, found, number);
        let expected = if is_news {
            vec![News::Reading(reading)]
        } else {
            vec![]
        };
        let told: Vec<News> = news(&effects).into_iter().map(|(_, news)| news).collect();
        assert_eq!(told, expected);
        ticket = next;
    }
    let (effects, mut ticket) = round(&mut monitors, ticket, finding(Code::L4Refused), 5);
    assert_eq!(effects, []);
    // Its own word counts, and holds while it is not to be reached.
    let says = |word: &str, code| Finding {
        reading: Some(agent(word)),
        ..finding(code)
    };
    for (number, (found, verdict)) in (6..).zip([
        (says("down", Code::L7Status), Some(false)),
        (finding(Code::L4Refused), None),
        (says("50%", Code::L7Ok), None),
        (says("up 50%", Code::L7Ok), Some(true)),
        (says("stopped", Code::L7Status), Some(false)),
    ]) {
        let (effects, next) = round(&mut monitors, ticket, found, number);
        let verdicts: Vec<bool> = news(&effects)
            .into_iter()
            .filter_map(|(_, news)| match news {
                News::Verdict { passed, .. } => Some(passed),
                News::Reading(_) => None,
            })
            .collect();
        assert_eq!(verdicts, Vec::from_iter(verdict), "{number}");
        ticket = next;
    }
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Act {
    Start(u8),
    Stop(u8),
    Retune(u8, u64),
    FinishOldest(Code),
    Pass(u64),
}

fn any_act() -> impl Strategy<Value = Act> {
    let code = prop_oneof![Just(Code::L4Ok), Just(Code::L4Refused), Just(Code::Local)];
    prop_oneof![
        (0u8..12).prop_map(Act::Start),
        (0u8..12).prop_map(Act::Stop),
        ((0u8..12), (1u64..10)).prop_map(|(host, timeout)| Act::Retune(host, timeout)),
        code.prop_map(Act::FinishOldest),
        (0u64..4000).prop_map(Act::Pass),
    ]
}

proptest! {
    /// Whatever happens: never more sockets than allowed, never two probes of one monitor, no
    /// verdict of a monitor that is not running, and nobody is forgotten.
    #[test]
    fn bounded_and_fair(acts in prop::collection::vec(any_act(), 1..300)) {
        let mut monitors = Monitors::new(immediately(3), 1);
        let mut now = moment(1);
        let mut running = BTreeSet::new();
        let mut open: Vec<Ticket> = Vec::new();
        for act in acts {
            let event = match act {
                Act::Start(host) => {
                    running.insert(id(host));
                    start(host)
                }
                Act::Stop(host) => {
                    running.remove(&id(host));
                    MonitorsEvent::Stop(id(host))
                }
                Act::Retune(host, timeout) => {
                    MonitorsEvent::Retune(server(host), settings(host, timeout))
                }
                Act::FinishOldest(code) if !open.is_empty() => {
                    MonitorsEvent::Probed(open.remove(0), finding(code))
                }
                Act::FinishOldest(_) => MonitorsEvent::Woke,
                Act::Pass(milliseconds) => {
                    now = now + Duration::from_millis(milliseconds);
                    MonitorsEvent::Woke
                }
            };
            for effect in handle(&mut monitors, event, now) {
                match effect {
                    MonitorsEffect::Probe(ticket, _) => open.push(ticket),
                    MonitorsEffect::Report(report) => prop_assert!(running.contains(&report.id)),
                    MonitorsEffect::Blind(id, _) => prop_assert!(running.contains(&id)),
                }
            }
            prop_assert!(open.len() <= 3);
            prop_assert_eq!(open.len(), monitors.probes_in_flight());
            prop_assert_eq!(running.len(), monitors.len());
            let probing = monitors.watched.iter().flatten();
            let probing = probing.filter(|one| matches!(one.activity, Activity::Probing { .. }));
            prop_assert!(probing.count() <= open.len());
        }
        // Given time and ends, everybody is probed.
        let mut probed = BTreeSet::new();
        for _ in 0..100 {
            now = now + Duration::from_secs(11);
            let mut effects = handle(&mut monitors, MonitorsEvent::Woke, now);
            while let Some(ticket) = open.pop() {
                effects.extend(handle(
                    &mut monitors,
                    MonitorsEvent::Probed(ticket, finding(Code::L4Ok)),
                    now,
                ));
            }
            open.extend(probes(&effects).into_iter().map(|(ticket, target)| {
                probed.insert(target);
                ticket
            }));
        }
        prop_assert_eq!(probed.len(), running.len());
    }
}
