//! The core, one behaviour at a time.

use caribe_config::config::{Config, Monitor, MonitorKind, RealServer, VirtualService};
use caribe_dataplane::{Applied, LiveService};
use caribe_health::probe::{Code, Finding, Text};
use caribe_health::{MonitorName, News, Presumption, Report};
use caribe_model::{
    Forwarding, Protocol, Scheduler, SchedulerOptions, Server, ServerKey, Service, ServiceKey,
};
use caribe_network::AddressOutcome;

use super::*;
use crate::KernelForwarding;

pub(super) fn at(seconds: u64) -> Monotonic {
    Monotonic::after_origin(Duration::from_secs(seconds))
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

pub(super) fn floating(vip: u8) -> FloatingAddress {
    FloatingAddress {
        address: address(&format!("192.0.2.{vip}")),
        interface: "eth0".to_owned(),
        label: format!("eth0:{vip}"),
        prefix: 32,
    }
}

pub(super) fn server(host: u8, weight: u32) -> RealServer {
    RealServer {
        active: true,
        address: address(&format!("10.0.0.{host}")),
        weight,
        ..RealServer::new(format!("web{host}"))
    }
}

pub(super) fn service(vip: u8, servers: Vec<RealServer>) -> VirtualService {
    VirtualService {
        active: true,
        monitor: Monitor {
            kind: MonitorKind::Tcp,
            timeout: Duration::from_secs(6),
            reentry: Duration::from_secs(15),
            ..Monitor::default()
        },
        servers,
        ..VirtualService::new(format!("service{vip}"), floating(vip))
    }
}

pub(super) fn config(services: Vec<VirtualService>) -> Config {
    Config {
        serial_no: 1,
        services: services.into_iter().map(std::sync::Arc::new).collect(),
        ..Config::default()
    }
}

pub(super) fn setup() -> Setup {
    Setup {
        file: "lvs.cf".to_owned(),
        interfaces: Vec::new(),
        keep_dataplane: false,
        adopted: None,
        attached: BTreeSet::from(["eth0".to_owned()]),
        remembered: Vec::new(),
        orders: BTreeMap::new(),
    }
}

pub(super) fn loaded(config: Config) -> Event {
    Event::ConfigLoaded {
        config: Box::new(config),
        warnings: Vec::new(),
        forwarding: KernelForwarding::default(),
    }
}

pub(super) fn id(vip: u8, host: u8) -> ServerId {
    ServerId {
        service: ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: address(&format!("192.0.2.{vip}")),
            port: 80,
        },
        server: ServerKey {
            address: address(&format!("10.0.0.{host}")),
            port: 80,
        },
    }
}

pub(super) fn finding(code: Code) -> Finding {
    Finding {
        code,
        text: Text::new("as a test wants it"),
        latency: Duration::from_millis(1),
        reading: None,
    }
}

/// The verdict of one of a server's monitors.
pub(super) fn judged(server: ServerId, monitor: &str, passed: bool) -> Report {
    let code = if passed { Code::L4Ok } else { Code::L4Refused };
    let finding = finding(code);
    Report {
        id: MonitorId {
            server,
            name: MonitorName::from(monitor),
        },
        news: News::Verdict { passed, finding },
    }
}

pub(super) fn up(server: ServerId) -> Event {
    Event::Report(judged(server, "tcp", true))
}

pub(super) fn down(server: ServerId) -> Event {
    Event::Report(judged(server, "tcp", false))
}

/// A director that has loaded `config`, put its table in place and its addresses up.
pub(super) fn running(setup: Setup, config: Config) -> Director {
    let mut director = Director::new(setup, at(0));
    director.handle(loaded(config.clone()), at(0));
    let effects = director.handle(Event::Applied(Ok(Applied::default())), at(0));
    for effect in effects {
        if let Effect::AddAddress(floating) = effect {
            director.handle(
                Event::AddressAdded(floating, Ok(AddressOutcome::Added)),
                at(0),
            );
        }
    }
    assert_eq!(director.phase, Phase::Running);
    director
}

/// (host, weight) of every server in the table, in order.
pub(super) fn weights(director: &Director) -> Vec<(String, u32)> {
    director
        .desired()
        .services()
        .flat_map(|(_, service)| &service.servers)
        .map(|server| (server.key.address.to_string(), server.weight))
        .collect()
}

pub(super) fn logs(effects: &[Effect]) -> Vec<String> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Log(notice) => Some(notice.to_string()),
            _ => None,
        })
        .collect()
}

pub(super) fn position(effects: &[Effect], wanted: impl Fn(&Effect) -> bool) -> usize {
    effects
        .iter()
        .position(wanted)
        .unwrap_or_else(|| panic!("not among {effects:?}"))
}

#[test]
fn a_start_applies_the_table_then_raises_the_vip_and_is_ready_only_then() {
    let mut director = Director::new(setup(), at(0));
    let effects = director.handle(loaded(config(vec![service(1, vec![server(1, 1)])])), at(0));
    position(&effects, |effect| matches!(effect, Effect::Apply(_)));
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::AddAddress(_))),
        "no VIP before the table: {effects:?}"
    );
    let effects = director.handle(Event::Applied(Ok(Applied::default())), at(0));
    let remember = position(&effects, |effect| {
        *effect == Effect::Remember(vec![floating(1)])
    });
    let add = position(&effects, |effect| {
        *effect == Effect::AddAddress(floating(1))
    });
    assert!(remember < add, "remembered before it is up");
    assert!(!effects.contains(&Effect::Notify(Notification::Ready)));
    let effects = director.handle(
        Event::AddressAdded(floating(1), Ok(AddressOutcome::Added)),
        at(0),
    );
    assert!(effects.contains(&Effect::Announce(floating(1))));
    assert!(effects.contains(&Effect::Notify(Notification::Ready)));
}

#[test]
fn a_server_enters_with_its_first_success_and_leaves_with_its_failure() {
    let two = config(vec![service(1, vec![server(1, 3), server(2, 1)])]);
    let mut director = running(setup(), two);
    assert_eq!(weights(&director), []);
    let effects = director.handle(up(id(1, 1)), at(1));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 3)]);
    assert_eq!(logs(&effects), ["[ active ] making 10.0.0.1:80 available"]);
    let effects = director.handle(down(id(1, 1)), at(7));
    assert_eq!(weights(&director), []);
    assert_eq!(
        logs(&effects),
        ["[inactive] shutting down 10.0.0.1:80 due to connection failure"]
    );
    let effects = director.handle(down(id(1, 2)), at(8));
    assert!(logs(&effects).contains(&"Virtual Server service1: No real servers".to_owned()));
}

#[test]
fn a_quiesced_server_stays_with_weight_0_but_only_if_it_ever_served() {
    let mut block = service(1, vec![server(1, 3), server(2, 1)]);
    block.quiesce = true;
    let mut director = running(setup(), config(vec![block]));
    director.handle(up(id(1, 1)), at(1));
    director.handle(down(id(1, 1)), at(2));
    director.handle(down(id(1, 2)), at(2));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 0)]);
    director.handle(up(id(1, 1)), at(20));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 1)]);
    // Its checks are 6 s apart, so its weight doubles every third.
    director.handle(Event::Tick, at(37));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 1)]);
    for (second, weight) in [(38, 2), (56, 3), (90, 3)] {
        director.handle(Event::Tick, at(second));
        assert_eq!(weights(&director), [("10.0.0.1".to_owned(), weight)]);
    }
}

#[test]
fn a_burst_of_verdicts_is_applied_once() {
    let mut director = running(
        setup(),
        config(vec![service(
            1,
            (1..=9).map(|host| server(host, 1)).collect(),
        )]),
    );
    let verdicts = (1..=9).map(|host| up(id(1, host)));
    let effects = director.handle_all(verdicts, at(1));
    assert_eq!(weights(&director).len(), 9);
    let applied: Vec<_> = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::Apply(_)))
        .collect();
    assert_eq!(applied, [&Effect::Apply(director.desired().clone())]);
}

#[test]
fn a_reload_touches_only_what_changed() {
    let before = config(vec![
        service(1, vec![server(1, 1), server(2, 1)]),
        service(2, vec![server(3, 1)]),
    ]);
    let mut director = running(setup(), before);
    for host in [1, 2] {
        director.handle(up(id(1, host)), at(1));
    }
    director.handle(up(id(2, 3)), at(1));
    director.handle(Event::Applied(Ok(Applied::default())), at(1));

    let effects = director.handle(Event::ReloadRequested, at(2));
    position(&effects, |effect| {
        *effect == Effect::Notify(Notification::Reloading)
    });
    position(&effects, |effect| *effect == Effect::ReadConfig);
    assert_eq!(logs(&effects), ["rereading configuration file"]);

    let after = config(vec![
        service(1, vec![server(1, 5), server(4, 1)]),
        service(3, vec![server(3, 1)]),
    ]);
    let effects = director.handle(loaded(after), at(2));
    let monitors: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartMonitor(id, ..) => Some(('+', *id)),
            Effect::StopMonitor(id) => Some(('-', id.server)),
            Effect::RetuneMonitor(id, _) => Some(('~', *id)),
            _ => None,
        })
        .collect();
    assert_eq!(
        monitors,
        [
            ('-', id(1, 2)),
            ('-', id(2, 3)),
            ('+', id(1, 4)),
            ('+', id(3, 3)),
        ]
    );
    assert_eq!(
        weights(&director),
        [("10.0.0.1".to_owned(), 5)],
        "the server that stays serves on, with its new weight"
    );
    let effects = director.handle(Event::Applied(Ok(Applied::default())), at(2));
    assert!(effects.contains(&Effect::RemoveAddress(floating(2))));
    assert!(effects.contains(&Effect::AddAddress(floating(3))));
    assert!(!effects.contains(&Effect::RemoveAddress(floating(1))));
    let effects = director.handle(
        Event::AddressAdded(floating(3), Ok(AddressOutcome::Added)),
        at(2),
    );
    assert!(effects.contains(&Effect::Notify(Notification::Ready)));
}

#[test]
fn retuned_monitors_keep_their_verdict() {
    let mut director = running(setup(), config(vec![service(1, vec![server(1, 1)])]));
    director.handle(up(id(1, 1)), at(1));
    let mut block = service(1, vec![server(1, 1)]);
    block.monitor.timeout = Duration::from_secs(2);
    director.handle(Event::Applied(Ok(Applied::default())), at(1));
    director.handle(Event::ReloadRequested, at(2));
    let effects = director.handle(loaded(config(vec![block])), at(2));
    let retuned: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::RetuneMonitor(id, settings) => Some((*id, settings.timing.interval)),
            _ => None,
        })
        .collect();
    assert_eq!(retuned, [(id(1, 1), Duration::from_secs(2))]);
    assert_eq!(weights(&director).len(), 1);
    assert!(
        effects.contains(&Effect::Notify(Notification::Ready)),
        "nothing to apply, so the reload is complete: {effects:?}"
    );
}

#[test]
fn a_broken_file_changes_nothing_and_says_why() {
    let mut director = running(setup(), config(vec![service(1, vec![server(1, 1)])]));
    director.handle(up(id(1, 1)), at(1));
    director.handle(Event::Applied(Ok(Applied::default())), at(1));
    let table = director.desired().clone();
    director.handle(Event::ReloadRequested, at(2));
    let diagnostics = vec!["lvs.cf:1:1: error: one".to_owned(), "two".to_owned()];
    let effects = director.handle(Event::ConfigRefused { diagnostics }, at(2));
    assert_eq!(
        logs(&effects)[..2],
        ["lvs.cf:1:1: error: one".to_owned(), "two".to_owned()]
    );
    assert!(
        effects
            .iter()
            .all(|effect| matches!(effect, Effect::Log(_) | Effect::Notify(_))),
        "{effects:?}"
    );
    assert!(effects.contains(&Effect::Notify(Notification::Ready)));
    assert_eq!(*director.desired(), table);
    assert_eq!(
        director
            .status(&Snapshot::default(), &[], at(3))
            .configuration
            .refused
            .len(),
        2
    );
}

#[test]
fn a_file_that_no_table_can_hold_is_refused_whole() {
    let mut director = running(setup(), config(vec![service(1, vec![server(1, 1)])]));
    director.handle(Event::ReloadRequested, at(2));
    let twice = config(vec![service(1, vec![]), service(1, vec![])]);
    let effects = director.handle(loaded(twice), at(2));
    assert!(
        logs(&effects)[0].contains("virtual service TCP 192.0.2.1:80 is defined twice"),
        "{effects:?}"
    );
    assert!(
        !effects
            .iter()
            .any(|effect| matches!(effect, Effect::StopMonitor(_)))
    );
}

fn adopted(weights: &[(u8, u32)]) -> Setup {
    let servers = weights.iter().rev().map(|(host, weight)| Server {
        key: id(1, *host).server,
        forwarding: Forwarding::Nat,
        weight: *weight,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    });
    let service = Service {
        scheduler: Scheduler::Wlc,
        options: SchedulerOptions::IPVS,
        persistence: None,
        one_packet: false,
        policy: Default::default(),
        servers: servers.collect(),
    };
    Setup {
        adopted: Some(Snapshot {
            services: vec![LiveService::fresh(id(1, 1).service, &service)],
            ..Snapshot::default()
        }),
        remembered: vec![floating(1)],
        ..setup()
    }
}

#[test]
fn an_adopted_table_serves_on_until_the_monitors_have_spoken() {
    let setup = adopted(&[(1, 7), (2, 1), (9, 1)]);
    let mut director = Director::new(setup, at(0));
    let three = config(vec![service(
        1,
        vec![server(1, 5), server(2, 1), server(3, 1)],
    )]);
    let effects = director.handle(loaded(three), at(0));
    assert_eq!(
        weights(&director),
        [("10.0.0.1".to_owned(), 5), ("10.0.0.2".to_owned(), 1)],
        "what the file still has, with the file's weights"
    );
    let presumptions: Vec<_> = effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartMonitor(id, _, presumption) => Some((*id, *presumption)),
            _ => None,
        })
        .collect();
    assert_eq!(
        presumptions,
        [
            (id(1, 1), Presumption::Serving),
            (id(1, 2), Presumption::Serving),
            (id(1, 3), Presumption::Unknown),
        ]
    );
    director.handle(down(id(1, 2)), at(1));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 5)]);
}

#[test]
fn an_adopted_quiesced_server_stays_quiesced_until_it_is_good() {
    let mut block = service(1, vec![server(1, 5)]);
    block.quiesce = true;
    let mut director = Director::new(adopted(&[(1, 0)]), at(0));
    director.handle(loaded(config(vec![block])), at(0));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 0)]);
    director.handle(down(id(1, 1)), at(1));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 0)]);
    director.handle(up(id(1, 1)), at(2));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 1)]);
    director.handle(Event::Tick, at(60));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 5)]);
}

#[test]
fn what_was_adopted_is_no_news_to_a_later_reload() {
    let setup = adopted(&[(1, 7), (2, 1)]);
    let mut director = running(setup, config(vec![service(1, vec![server(1, 5)])]));
    director.handle(Event::ReloadRequested, at(2));
    let two = config(vec![service(1, vec![server(1, 5), server(2, 1)])]);
    director.handle(loaded(two), at(2));
    assert_eq!(weights(&director), [("10.0.0.1".to_owned(), 5)]);
}

#[test]
fn a_remembered_address_is_ours_also_when_it_is_already_there() {
    let mut director = Director::new(adopted(&[]), at(0));
    director.handle(loaded(config(vec![service(1, vec![])])), at(0));
    director.handle(Event::Applied(Ok(Applied::default())), at(0));
    director.handle(
        Event::AddressAdded(floating(1), Ok(AddressOutcome::AlreadyThere)),
        at(0),
    );
    let effects = director.handle(Event::ShutdownRequested, at(1));
    assert!(effects.contains(&Effect::RemoveAddress(floating(1))));
}

#[test]
fn a_foreign_address_is_used_but_never_taken_off() {
    let mut director = Director::new(setup(), at(0));
    director.handle(loaded(config(vec![service(1, vec![])])), at(0));
    director.handle(Event::Applied(Ok(Applied::default())), at(0));
    let effects = director.handle(
        Event::AddressAdded(floating(1), Ok(AddressOutcome::AlreadyThere)),
        at(0),
    );
    assert!(effects.contains(&Effect::Remember(Vec::new())));
    let effects = director.handle(Event::ShutdownRequested, at(1));
    assert!(!effects.contains(&Effect::RemoveAddress(floating(1))));
    position(&effects, |effect| *effect == Effect::RemoveDataplane);
}

#[test]
fn an_address_left_over_by_a_killed_director_is_taken_off() {
    let setup = Setup {
        remembered: vec![floating(9)],
        ..setup()
    };
    let mut director = Director::new(setup, at(0));
    director.handle(loaded(config(vec![service(1, vec![])])), at(0));
    let effects = director.handle(Event::Applied(Ok(Applied::default())), at(0));
    assert!(effects.contains(&Effect::RemoveAddress(floating(9))));
}

#[test]
fn a_stop_takes_addresses_off_first_then_the_data_plane_then_ends() {
    let mut director = running(setup(), config(vec![service(1, vec![server(1, 1)])]));
    let effects = director.handle(Event::ShutdownRequested, at(5));
    assert!(effects.contains(&Effect::Notify(Notification::Stopping)));
    assert!(effects.contains(&Effect::StopMonitor(judged(id(1, 1), "tcp", true).id)));
    assert!(effects.contains(&Effect::RemoveAddress(floating(1))));
    assert!(!effects.contains(&Effect::RemoveDataplane));
    let effects = director.handle(Event::AddressRemoved(floating(1), Ok(true)), at(5));
    assert!(effects.ends_with(&[Effect::Remember(Vec::new()), Effect::RemoveDataplane]));
    let effects = director.handle(Event::DataplaneRemoved(Ok(())), at(5));
    assert_eq!(effects, [Effect::End(Ending::Clean)]);
}

#[test]
fn an_address_that_cannot_be_taken_off_is_remembered_and_spoils_the_ending() {
    let mut director = running(setup(), config(vec![service(1, vec![])]));
    director.handle(Event::ShutdownRequested, at(5));
    let refused = Err("cannot take it off".to_owned());
    let effects = director.handle(Event::AddressRemoved(floating(1), refused), at(5));
    assert!(effects.contains(&Effect::Remember(vec![floating(1)])));
    let effects = director.handle(Event::DataplaneRemoved(Ok(())), at(5));
    assert_eq!(
        effects,
        [Effect::End(Ending::Failed("cannot take it off".to_owned()))]
    );
}

#[test]
fn keeping_the_data_plane_leaves_everything_in_place() {
    let setup = Setup {
        keep_dataplane: true,
        ..setup()
    };
    let mut director = running(setup, config(vec![service(1, vec![server(1, 1)])]));
    let effects = director.handle(Event::ShutdownRequested, at(5));
    assert!(effects.ends_with(&[Effect::End(Ending::Clean)]));
    assert!(!effects.iter().any(|effect| matches!(
        effect,
        Effect::RemoveAddress(_) | Effect::RemoveDataplane | Effect::Remember(_)
    )));
}

#[test]
fn five_announcements_a_second_apart_and_then_piranhas_line() {
    let mut director = running(setup(), config(vec![service(1, vec![])]));
    let mut announced = 1;
    let mut finished = None;
    for half_second in 1..20 {
        let now = Monotonic::after_origin(Duration::from_millis(500 * half_second));
        let effects = director.handle(Event::Tick, now);
        announced += effects
            .iter()
            .filter(|effect| matches!(effect, Effect::Announce(_)))
            .count();
        if logs(&effects).contains(&"gratuitous lvs arps finished".to_owned()) {
            assert_eq!(finished.replace(half_second), None);
        }
    }
    assert_eq!(announced, 5);
    assert_eq!(finished, Some(8));
}

#[test]
fn an_address_that_was_refused_is_tried_again_and_does_not_hold_up_the_start() {
    let mut director = Director::new(setup(), at(0));
    director.handle(loaded(config(vec![service(1, vec![])])), at(0));
    director.handle(Event::Applied(Ok(Applied::default())), at(0));
    let refused = || Err("there is no interface `eth0`".to_owned());
    let effects = director.handle(Event::AddressAdded(floating(1), refused()), at(0));
    assert!(effects.contains(&Effect::Notify(Notification::Ready)));
    assert_eq!(logs(&effects), ["there is no interface `eth0`"]);
    assert!(
        !director
            .handle(Event::Tick, at(1))
            .contains(&Effect::AddAddress(floating(1)))
    );
    assert!(
        director
            .handle(Event::Tick, at(5))
            .contains(&Effect::AddAddress(floating(1)))
    );
    let effects = director.handle(Event::AddressAdded(floating(1), refused()), at(5));
    assert_eq!(logs(&effects), Vec::<String>::new(), "said once");
}

#[test]
fn a_table_that_is_refused_at_the_start_ends_the_director() {
    let mut director = Director::new(setup(), at(0));
    director.handle(loaded(config(vec![service(1, vec![])])), at(0));
    let effects = director.handle(Event::Applied(Err("too large".to_owned())), at(0));
    assert!(effects.ends_with(&[Effect::Remember(Vec::new()), Effect::RemoveDataplane]));
    assert_eq!(
        director.handle(Event::DataplaneRemoved(Ok(())), at(0)),
        [Effect::End(Ending::Failed("too large".to_owned()))]
    );
}

#[test]
fn a_start_that_fails_leaves_an_adopted_data_plane_alone() {
    let mut director = Director::new(adopted(&[(1, 1)]), at(0));
    let effects = director.handle(
        Event::ConfigRefused {
            diagnostics: vec!["broken".to_owned()],
        },
        at(0),
    );
    assert!(
        matches!(
            &effects[..],
            [
                Effect::Log(_),
                Effect::Log(_),
                Effect::End(Ending::Failed(_))
            ]
        ),
        "{effects:?}"
    );
}

#[test]
fn a_table_that_is_refused_later_is_tried_again() {
    let mut director = running(setup(), config(vec![service(1, vec![server(1, 1)])]));
    director.handle(up(id(1, 1)), at(1));
    let effects = director.handle(Event::Applied(Err("no memory".to_owned())), at(1));
    assert_eq!(logs(&effects), ["no memory"]);
    assert_eq!(
        director
            .status(&Snapshot::default(), &[], at(1))
            .dataplane
            .problem
            .as_deref(),
        Some("no memory")
    );
    let again = Effect::Apply(director.desired().clone());
    assert!(!director.handle(Event::Tick, at(2)).contains(&again));
    assert!(director.handle(Event::Tick, at(6)).contains(&again));
    director.handle(Event::Applied(Ok(Applied { changes: 1 })), at(6));
    assert!(!director.handle(Event::Tick, at(20)).contains(&again));
}

#[test]
fn a_reload_asked_for_during_a_reload_is_not_lost() {
    let mut director = running(setup(), config(vec![service(1, vec![])]));
    director.handle(Event::ReloadRequested, at(1));
    let effects = director.handle(Event::ReloadRequested, at(1));
    assert!(!effects.contains(&Effect::ReadConfig));
    let effects = director.handle(loaded(config(vec![service(1, vec![])])), at(1));
    assert!(effects.contains(&Effect::ReadConfig), "{effects:?}");
}

#[test]
fn interfaces_are_attached_by_vip_file_and_command_line() {
    let setup = Setup {
        interfaces: vec!["eth2".to_owned()],
        ..setup()
    };
    let mut director = Director::new(setup, at(0));
    let mut file = config(vec![service(1, vec![])]);
    file.interfaces = vec!["eth1".to_owned()];
    let effects = director.handle(loaded(file), at(0));
    let all = ["eth0", "eth1", "eth2"].map(str::to_owned);
    assert!(effects.contains(&Effect::Attach(BTreeSet::from(all))));
}

#[test]
fn an_interface_that_is_missing_is_tried_again_and_said_once() {
    let mut director = running(setup(), config(vec![service(1, vec![])]));
    let missing = || Event::Attached(Err("there is no eth9".to_owned()));
    assert_eq!(
        logs(&director.handle(missing(), at(1))),
        ["there is no eth9"]
    );
    let problem = |director: &Director| {
        director
            .status(&Snapshot::default(), &[], at(1))
            .dataplane
            .problem
    };
    assert_eq!(problem(&director).as_deref(), Some("there is no eth9"));
    let again = Effect::Attach(BTreeSet::from(["eth0".to_owned()]));
    assert!(!director.handle(Event::Tick, at(2)).contains(&again));
    assert!(director.handle(Event::Tick, at(6)).contains(&again));
    assert_eq!(
        logs(&director.handle(missing(), at(6))),
        Vec::<String>::new()
    );
    director.handle(Event::Attached(Ok(())), at(11));
    assert_eq!(problem(&director), None);
    assert!(!director.handle(Event::Tick, at(30)).contains(&again));
}

#[test]
fn inactive_services_and_servers_are_left_alone_and_marks_are_not() {
    let mut inactive = service(1, vec![server(1, 1)]);
    inactive.active = false;
    let mut marked = service(2, vec![server(1, 1)]);
    marked.mark = std::num::NonZeroU32::new(7);
    let mut half = service(3, vec![server(1, 1), server(2, 1)]);
    half.servers[1].active = false;
    let director = running(setup(), config(vec![inactive, marked, half]));
    let watched: Vec<_> = director.servers.keys().copied().collect();
    let marked = ServerId {
        service: ServiceKey::Mark {
            family: caribe_model::Family::V4,
            mark: std::num::NonZeroU32::new(7).expect("not zero"),
        },
        server: id(2, 1).server,
    };
    assert_eq!(watched, [id(3, 1), marked]);
    assert_eq!(director.desired().len(), 2);
}

#[test]
fn nat_without_forwarding_is_warned_of() {
    let mut director = Director::new(setup(), at(0));
    let effects = director.handle(
        Event::ConfigLoaded {
            config: Box::new(config(vec![service(1, vec![server(1, 1)])])),
            warnings: vec!["lvs.cf:2:1: warning: something".to_owned()],
            forwarding: KernelForwarding {
                v4: Some(false),
                v6: Some(false),
            },
        },
        at(0),
    );
    let warnings: Vec<_> = logs(&effects)
        .into_iter()
        .filter(|line| line.contains("ip_forward") || line.contains("forwarding"))
        .collect();
    assert_eq!(warnings.len(), 1, "IPv4 only: {warnings:?}");
    assert!(logs(&effects).contains(&"lvs.cf:2:1: warning: something".to_owned()));
}

#[test]
fn sweeps_and_samples_do_not_pile_up() {
    let mut director = running(setup(), config(vec![service(1, vec![])]));
    let count = |effects: &[Effect], wanted: &Effect| {
        effects.iter().filter(|effect| *effect == wanted).count()
    };
    let effects = director.handle(Event::Tick, at(1));
    assert_eq!(count(&effects, &Effect::Sweep), 1);
    assert_eq!(count(&effects, &Effect::Sample), 1);
    let effects = director.handle(Event::Tick, at(9));
    assert_eq!(count(&effects, &Effect::Sweep), 0, "still sweeping");
    assert_eq!(count(&effects, &Effect::Sample), 0, "still reading");
    director.handle(Event::Swept(Err("no".to_owned())), at(9));
    let effects = director.handle(Event::Tick, at(10));
    assert_eq!(count(&effects, &Effect::Sweep), 1);
    let effects = director.handle(Event::Swept(Err("no".to_owned())), at(10));
    assert_eq!(logs(&effects), Vec::<String>::new(), "said once");
}

#[test]
fn a_service_is_secured_while_the_connection_table_is_nearly_full() {
    let mut automatic = service(1, vec![server(1, 1)]);
    automatic.secure_tcp = caribe_model::Defence::Automatic;
    let mut director = running(
        setup(),
        config(vec![automatic, service(2, vec![server(1, 1)])]),
    );
    let secured = |director: &Director| -> Vec<bool> {
        let services = director.desired().services();
        services
            .map(|(_, service)| service.policy.secure_tcp)
            .collect()
    };
    let sampled = |connections| {
        Event::Sampled(Ok(Box::new(Snapshot {
            connections,
            capacity: 2_000,
            ..Snapshot::default()
        })))
    };
    for (connections, expected) in [(899, false), (900, true), (750, true), (749, false)] {
        director.handle(sampled(connections), at(2));
        assert_eq!(secured(&director), [expected, false], "{connections}");
        director.handle(Event::Applied(Ok(Applied::default())), at(2));
    }
}

#[test]
fn other_settings_of_the_data_plane_are_set_when_they_change() {
    let mut first = config(vec![service(1, vec![server(1, 1)])]);
    first.tuning.drop_rate = 7;
    let mut director = Director::new(setup(), at(0));
    let effects = director.handle(loaded(first.clone()), at(0));
    assert!(
        effects.contains(&Effect::SetTuning(first.tuning)),
        "{effects:?}"
    );
    let mut director = running(setup(), first.clone());
    let set = |director: &mut Director, file| -> usize {
        director.handle(Event::ReloadRequested, at(1));
        let effects = director.handle(loaded(file), at(1));
        director.handle(Event::Applied(Ok(Applied::default())), at(1));
        let set = effects.iter();
        set.filter(|effect| matches!(effect, Effect::SetTuning(_)))
            .count()
    };
    assert_eq!(set(&mut director, first.clone()), 0);
    first.tuning.drop_rate = 8;
    assert_eq!(set(&mut director, first), 1);
}

#[test]
fn the_control_socket_is_shared_at_every_load_and_taken_back() {
    let of = |group: Option<&str>| Config {
        control_group: group.map(str::to_owned),
        ..config(vec![service(1, vec![server(1, 1)])])
    };
    let shared = |effects: &[Effect]| {
        let mut shared = effects.iter().filter_map(|effect| match effect {
            Effect::ShareControl(group) => Some(group.clone()),
            _ => None,
        });
        let first = shared.next();
        assert_eq!(shared.next(), None, "once");
        first
    };
    let mut director = Director::new(setup(), at(0));
    let group = Some("lvsadmin".to_owned());
    let effects = director.handle(loaded(of(Some("lvsadmin"))), at(0));
    assert_eq!(shared(&effects), Some(group.clone()));

    let mut director = running(setup(), of(Some("lvsadmin")));
    let mut reload = |config| {
        director.handle(Event::ReloadRequested, at(1));
        let effects = director.handle(loaded(config), at(1));
        director.handle(Event::Applied(Ok(Applied::default())), at(1));
        effects
    };
    // Its number may be another by now.
    assert_eq!(shared(&reload(of(Some("lvsadmin")))), Some(group));
    assert_eq!(shared(&reload(of(None))), Some(None));
    assert_eq!(shared(&reload(of(None))), None);
    let told = director.handle(Event::ControlNotShared("no such group".to_owned()), at(2));
    assert_eq!(logs(&told), ["no such group"]);
}

/// A reader gives an unchanged service as the same `Arc`: that saves work, and changes nothing.
#[test]
fn what_configurations_share_makes_no_difference_but_in_work() {
    let servers = |hosts: &[u8]| {
        hosts
            .iter()
            .map(|host| server(*host, 1))
            .collect::<Vec<_>>()
    };
    let first = config(vec![
        service(80, servers(&[1, 2])),
        service(81, servers(&[1, 3])),
        service(82, servers(&[4])),
        service(83, servers(&[5])),
    ]);
    let mut shared = first.clone();
    let changed = std::sync::Arc::make_mut(&mut shared.services[1]);
    changed.servers[0].weight = 7;
    changed.servers.push(server(6, 1));
    changed.servers.remove(1);
    shared.services.remove(2);
    shared
        .services
        .push(std::sync::Arc::new(service(84, servers(&[8]))));
    let own = config(shared.services.iter().map(|it| (**it).clone()).collect());
    let after = |second: &Config| {
        let mut director = running(setup(), first.clone());
        for event in [up(id(80, 1)), up(id(81, 1)), up(id(83, 5))] {
            director.handle(event, at(1));
        }
        let effects = director.handle(loaded(second.clone()), at(2));
        let table = director.desired().clone();
        // And what was taken over is taken over again.
        let again = director.handle(loaded(second.clone()), at(3));
        (format!("{effects:?} {again:?}"), table)
    };
    let (with_shared, with_own) = (after(&shared), after(&own));
    assert_eq!(with_shared, with_own);
    let changed = with_shared.1.service(&id(81, 1).service);
    assert_eq!(changed.expect("it is there").servers[0].weight, 7);
    let same = with_shared.1.service(&id(80, 1).service);
    assert_eq!(same.expect("it is there").servers.len(), 1);
    assert!(with_shared.1.service(&id(82, 4).service).is_none());
}
