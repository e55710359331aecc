use std::net::{IpAddr, Ipv4Addr};

use caribe_model::Protocol;
use proptest::prelude::*;

use super::*;
use crate::Check;

fn id(host: u8) -> MonitorId {
    MonitorId {
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

fn settings() -> Settings {
    Settings {
        check: Check::Tcp,
        timeout: Duration::from_secs(6),
        reentry: Duration::from_secs(12),
    }
}

fn moment(milliseconds: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_millis(milliseconds))
}

fn tickets(effects: &[MonitorsEffect]) -> Vec<Ticket> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            MonitorsEffect::Probe { ticket, .. } => Some(*ticket),
            MonitorsEffect::Verdict(..) => None,
        })
        .collect()
}

fn immediately(probes_in_flight: usize) -> Limits {
    Limits {
        probes_in_flight,
        spread: Duration::ZERO,
    }
}

#[test]
fn first_probes_are_spread_and_within_bounds() {
    let mut monitors = Monitors::new(Limits::default(), 7);
    for host in 0..200 {
        let event = MonitorsEvent::Start(id(host), settings(), Presumption::Unknown);
        monitors.handle(event, Monotonic::ORIGIN);
    }
    let halfway = monitors.handle(MonitorsEvent::Woke, moment(250));
    let rest = monitors.handle(MonitorsEvent::Woke, moment(500));
    let (halfway, rest) = (tickets(&halfway).len(), tickets(&rest).len());
    assert!((60..140).contains(&halfway), "{halfway} in the first half");
    assert!(halfway + rest >= 199, "all but those started at once");
}

#[test]
fn no_more_probes_than_allowed_and_the_longest_overdue_goes_first() {
    let mut monitors = Monitors::new(immediately(2), 0);
    let mut started = Vec::new();
    for host in 0..5 {
        let event = MonitorsEvent::Start(id(host), settings(), Presumption::Unknown);
        started.extend(tickets(&monitors.handle(event, moment(host.into()))));
    }
    assert_eq!(started.len(), 2);
    assert_eq!(monitors.next_wake(), None, "only the end of a probe helps");
    let effects = monitors.handle(MonitorsEvent::Probed(started[0], Ok(())), moment(100));
    assert_eq!(effects[0], MonitorsEffect::Verdict(id(0), Verdict::Up));
    assert!(
        matches!(effects[1], MonitorsEffect::Probe { target, .. } if target == id(2).target()),
        "{effects:?}"
    );
    assert_eq!(monitors.probes_in_flight(), 2);
}

#[test]
fn a_stopped_monitors_probe_is_no_news_but_holds_its_place() {
    let mut monitors = Monitors::new(immediately(1), 0);
    let start = MonitorsEvent::Start(id(1), settings(), Presumption::Unknown);
    let first = tickets(&monitors.handle(start.clone(), moment(0)));
    monitors.handle(MonitorsEvent::Stop(id(1)), moment(10));
    assert_eq!(
        monitors.handle(start, moment(20)),
        [],
        "its socket is still open"
    );
    let effects = monitors.handle(MonitorsEvent::Probed(first[0], Ok(())), moment(30));
    assert!(
        matches!(effects[..], [MonitorsEffect::Probe { ticket, .. }] if ticket != first[0]),
        "the new monitor probes by itself: {effects:?}"
    );
}

#[test]
fn starting_a_running_monitor_again_keeps_what_it_knows() {
    let mut monitors = Monitors::new(immediately(8), 0);
    let start = MonitorsEvent::Start(id(1), settings(), Presumption::Unknown);
    let first = tickets(&monitors.handle(start.clone(), moment(0)));
    monitors.handle(MonitorsEvent::Probed(first[0], Ok(())), moment(1));
    assert_eq!(monitors.handle(start, moment(2)), []);
    assert_eq!(monitors.next_wake(), Some(moment(6000)));
}

/// One step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Start(u8),
    Stop(u8),
    Retune(u8, u64),
    FinishOldest(bool),
    Pass(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0u8..12).prop_map(Step::Start),
        (0u8..12).prop_map(Step::Stop),
        ((0u8..12), (1u64..10)).prop_map(|(host, timeout)| Step::Retune(host, timeout)),
        any::<bool>().prop_map(Step::FinishOldest),
        (0u64..4000).prop_map(Step::Pass),
    ]
}

proptest! {
    /// Whatever happens: never more sockets than allowed, never two probes of one monitor, no
    /// verdict of a monitor that is not running, and nobody is forgotten.
    #[test]
    fn bounded_and_fair(steps in prop::collection::vec(any_step(), 1..300)) {
        let mut monitors = Monitors::new(immediately(3), 1);
        let mut now = Monotonic::ORIGIN;
        let mut running = BTreeSet::new();
        let mut open: Vec<(Ticket, SocketAddr)> = Vec::new();
        for step in steps {
            let event = match step {
                Step::Start(host) => {
                    running.insert(id(host));
                    MonitorsEvent::Start(id(host), settings(), Presumption::Unknown)
                }
                Step::Stop(host) => {
                    running.remove(&id(host));
                    MonitorsEvent::Stop(id(host))
                }
                Step::Retune(host, timeout) => MonitorsEvent::Retune(
                    id(host),
                    Settings { timeout: Duration::from_secs(timeout), ..settings() },
                ),
                Step::FinishOldest(good) if !open.is_empty() => {
                    let (ticket, target) = open.remove(0);
                    let result = if good { Ok(()) } else { Err(ProbeFailure::Refused { target }) };
                    MonitorsEvent::Probed(ticket, result)
                }
                Step::FinishOldest(_) => MonitorsEvent::Woke,
                Step::Pass(milliseconds) => {
                    now = now + Duration::from_millis(milliseconds);
                    MonitorsEvent::Woke
                }
            };
            for effect in monitors.handle(event, now) {
                match effect {
                    MonitorsEffect::Probe { ticket, target, .. } => open.push((ticket, target)),
                    MonitorsEffect::Verdict(id, _) => prop_assert!(running.contains(&id)),
                }
            }
            prop_assert!(open.len() <= 3);
            prop_assert_eq!(open.len(), monitors.probes_in_flight());
            prop_assert_eq!(running.len(), monitors.monitors.len());
            for watched in monitors.monitors.values() {
                prop_assert!(
                    watched.wake.is_some() != watched.ticket.is_some(),
                    "each monitor either waits or probes"
                );
            }
        }
    }
}
