//! Changes by hand, on a director with two services of two servers each.

use std::time::Duration;

use caribe_config::config::Config;
use caribe_dataplane::{Applied, LiveService, Traffic};
use caribe_model::{
    Encapsulation, Forwarding, Netmask, Persistence, Scheduler, SchedulerFlags, Server, Service,
    Thresholds,
};

use super::super::tests::{
    address, at, config, down, id, loaded, logs, position, running, server, service, setup, up,
    weights,
};
use super::*;
use crate::{Event, ServiceSettings};

fn two_services() -> Config {
    config(vec![
        service(1, vec![server(1, 1), server(2, 2)]),
        service(2, vec![server(3, 3)]),
    ])
}

/// All servers up.
fn director() -> Director {
    let mut director = running(setup(), two_services());
    for (vip, host) in [(1, 1), (1, 2), (2, 3)] {
        director.handle(up(id(vip, host)), at(1));
        applied(&mut director);
    }
    director
}

fn applied(director: &mut Director) {
    director.handle(Event::Applied(Ok(Applied::default())), at(1));
}

fn key(vip: u8) -> ServiceKey {
    id(vip, 0).service
}

fn by_hand(host: u8, weight: u32) -> Server {
    Server {
        key: id(1, host).server,
        forwarding: Forwarding::Direct,
        weight,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    }
}

/// Makes a change that must be made, and has the data plane take it.
fn does(director: &mut Director, change: &Change) -> Vec<Effect> {
    let (results, effects) = director.change(std::slice::from_ref(change));
    assert_eq!(results, [Ok(())]);
    applied(director);
    effects
}

fn refuses(director: &mut Director, change: &Change) -> ChangeRefusal {
    let before = director.desired().clone();
    let (results, effects) = director.change(std::slice::from_ref(change));
    assert_eq!(effects, []);
    assert_eq!(*director.desired(), before);
    results[0].clone().expect_err("it is refused")
}

fn hosts(entries: &[(u8, u32)]) -> Vec<(String, u32)> {
    let entry = |(host, weight): &(u8, u32)| (format!("10.0.0.{host}"), *weight);
    entries.iter().map(entry).collect()
}

fn found(director: &Director, vip: u8) -> Option<&Service> {
    director.desired().service(&key(vip))
}

#[test]
fn a_server_comes_and_goes_by_hand_and_its_way_is_kept_warm() {
    let mut director = director();
    let effects = does(&mut director, &Change::AddServer(key(1), by_hand(9, 4)));
    assert_eq!(
        weights(&director),
        hosts(&[(1, 1), (2, 2), (9, 4), (3, 3)]),
        "newest last"
    );
    position(&effects, |effect| matches!(effect, Effect::Apply(_)));
    position(&effects, |effect| match effect {
        Effect::Watch(addresses) => addresses.contains(&address("10.0.0.9")),
        _ => false,
    });
    assert_eq!(
        logs(&effects),
        ["changed by hand: TCP 192.0.2.1:80: add 10.0.0.9:80 (direct, weight 4)"]
    );
    let remove = Change::RemoveServer(key(1), by_hand(9, 4).key);
    let effects = does(&mut director, &remove);
    assert_eq!(weights(&director), hosts(&[(1, 1), (2, 2), (3, 3)]));
    position(&effects, |effect| match effect {
        Effect::Watch(addresses) => !addresses.contains(&address("10.0.0.9")),
        _ => false,
    });
    assert!(director.overrides.is_empty());
}

#[test]
fn a_configured_server_can_be_taken_out_and_put_back() {
    let mut director = director();
    does(
        &mut director,
        &Change::RemoveServer(key(1), id(1, 1).server),
    );
    assert_eq!(weights(&director), hosts(&[(2, 2), (3, 3)]));
    does(&mut director, &Change::AddServer(key(1), by_hand(1, 5)));
    assert_eq!(weights(&director), hosts(&[(1, 5), (2, 2), (3, 3)]));
}

#[test]
fn a_monitor_still_decides_whether_its_server_serves() {
    let mut director = director();
    does(&mut director, &Change::EditServer(key(1), by_hand(1, 7)));
    assert_eq!(weights(&director), hosts(&[(1, 7), (2, 2), (3, 3)]));
    director.handle(down(id(1, 1)), at(2));
    applied(&mut director);
    assert_eq!(weights(&director), hosts(&[(2, 2), (3, 3)]));
    assert_eq!(
        refuses(&mut director, &Change::AddServer(key(1), by_hand(1, 9))),
        ChangeRefusal::Down(key(1), id(1, 1).server)
    );
    director.handle(up(id(1, 1)), at(3));
    assert_eq!(weights(&director), hosts(&[(1, 7), (2, 2), (3, 3)]));
}

#[test]
fn services_come_and_go_by_hand() {
    let mut director = director();
    let add = Change::AddService(key(9), ServiceSettings::plain(Scheduler::Rr));
    does(&mut director, &add);
    does(&mut director, &Change::AddServer(key(9), by_hand(9, 1)));
    does(
        &mut director,
        &Change::EditService(key(9), ServiceSettings::plain(Scheduler::Wrr)),
    );
    let service = found(&director, 9).expect("added");
    assert_eq!(
        (service.scheduler, service.servers.len()),
        (Scheduler::Wrr, 1)
    );

    does(&mut director, &Change::RemoveService(key(1)));
    assert_eq!(found(&director, 1), None);
    // What is removed is a new service when it is added again: without its configured servers.
    let again = Change::AddService(key(1), ServiceSettings::plain(Scheduler::Rr));
    does(&mut director, &again);
    assert_eq!(found(&director, 1).expect("added").servers, []);

    does(
        &mut director,
        &Change::EditService(key(2), ServiceSettings::plain(Scheduler::Rr)),
    );
    let service = found(&director, 2).expect("configured");
    assert_eq!(
        (service.scheduler, service.servers.len()),
        (Scheduler::Rr, 1)
    );

    let flags = SchedulerFlags::FALLBACK;
    does(
        &mut director,
        &Change::EditService(
            key(2),
            ServiceSettings {
                flags,
                ..ServiceSettings::plain(Scheduler::Sh)
            },
        ),
    );
    let service = found(&director, 2).expect("configured");
    assert_eq!(
        (service.scheduler, service.options.flags),
        (Scheduler::Sh, flags)
    );
    let described = director.overrides.describe().join("; ");
    assert!(
        described.contains("scheduler sh sh-fallback"),
        "{described}"
    );

    does(&mut director, &Change::Clear);
    assert!(director.desired().is_empty());
    does(&mut director, &Change::Revert);
    assert_eq!(weights(&director), hosts(&[(1, 1), (2, 2), (3, 3)]));
    assert!(director.overrides.is_empty());
}

#[test]
fn what_ipvs_refuses_is_refused() {
    let mut director = director();
    let (known, unknown) = (id(1, 1).server, id(1, 8).server);
    let mut refusal = |change| refuses(&mut director, &change);
    assert_eq!(
        refusal(Change::AddService(
            key(1),
            ServiceSettings::plain(Scheduler::Rr)
        )),
        ChangeRefusal::ServiceExists(key(1))
    );
    for change in [
        Change::EditService(key(7), ServiceSettings::plain(Scheduler::Rr)),
        Change::RemoveService(key(7)),
        Change::AddServer(key(7), by_hand(1, 1)),
        Change::EditServer(key(7), by_hand(1, 1)),
        Change::RemoveServer(key(7), known),
    ] {
        assert_eq!(refusal(change), ChangeRefusal::NoService(key(7)));
    }
    assert_eq!(
        refusal(Change::AddServer(key(1), by_hand(1, 1))),
        ChangeRefusal::ServerExists(key(1), known)
    );
    assert_eq!(
        refusal(Change::EditServer(key(1), by_hand(8, 1))),
        ChangeRefusal::NoServer(key(1), unknown)
    );
    assert_eq!(
        refusal(Change::RemoveServer(key(1), unknown)),
        ChangeRefusal::NoServer(key(1), unknown)
    );
    let mut other_family = by_hand(8, 1);
    other_family.key.address = address("2001:db8::8");
    let refused = refusal(Change::AddServer(key(1), other_family));
    assert!(
        matches!(&refused, ChangeRefusal::Refused(reason) if reason.contains("address family")),
        "{refused:?}"
    );
}

#[test]
fn a_table_that_the_data_plane_refuses_takes_the_change_back() {
    let mut director = director();
    let before = director.desired().clone();
    let change = Change::AddServer(key(1), by_hand(9, 1));
    let (results, _) = director.change(&[change]);
    assert_eq!(results, [Ok(())], "the core sees no reason");
    let effects = director.handle(Event::Applied(Err("too large".to_owned())), at(2));
    position(&effects, |effect| *effect == Effect::Apply(before.clone()));
    assert_eq!(*director.desired(), before);
    assert!(director.overrides.is_empty());
    let said = logs(&effects).join("\n");
    assert!(
        said.contains("too large") && said.contains("taken back"),
        "{said}"
    );
}

#[test]
fn a_later_refusal_has_nothing_to_do_with_a_change_that_was_taken() {
    let mut director = director();
    does(&mut director, &Change::AddServer(key(1), by_hand(9, 1)));
    director.handle(down(id(1, 2)), at(2));
    director.handle(Event::Applied(Err("busy".to_owned())), at(2));
    assert_eq!(weights(&director), hosts(&[(1, 1), (9, 1), (3, 3)]));
}

#[test]
fn a_reload_drops_changes_by_hand_and_says_which() {
    let mut director = director();
    does(&mut director, &Change::RemoveService(key(2)));
    does(&mut director, &Change::EditServer(key(1), by_hand(1, 0)));
    director.handle(Event::ReloadRequested, at(5));
    let effects = director.handle(loaded(two_services()), at(5));
    assert_eq!(weights(&director), hosts(&[(1, 1), (2, 2), (3, 3)]));
    let said = logs(&effects).join("\n");
    assert!(
        said.contains("dropped by the reload")
            && said.contains("TCP 192.0.2.2:80: removed")
            && said.contains("10.0.0.1:80 (direct, weight 0)"),
        "{said}"
    );
}

#[test]
fn a_refused_reload_drops_nothing() {
    let mut director = director();
    does(&mut director, &Change::RemoveService(key(2)));
    director.handle(Event::ReloadRequested, at(5));
    let diagnostics = vec!["error".to_owned()];
    director.handle(Event::ConfigRefused { diagnostics }, at(5));
    assert_eq!(found(&director, 2), None);
}

#[test]
fn a_reload_keeps_changes_by_hand_when_the_file_says_so() {
    let mut director = director();
    does(&mut director, &Change::EditServer(key(1), by_hand(1, 0)));
    does(&mut director, &Change::RemoveService(key(2)));
    does(
        &mut director,
        &Change::AddService(key(9), ServiceSettings::plain(Scheduler::Rr)),
    );
    director.handle(Event::ReloadRequested, at(5));
    // The file has no second service any more, and a new server in the first.
    let kept = Config {
        keep_overrides: true,
        ..config(vec![service(
            1,
            vec![server(1, 1), server(2, 2), server(4, 4)],
        )])
    };
    director.handle(loaded(kept), at(5));
    director.handle(up(id(1, 4)), at(6));
    assert_eq!(weights(&director), hosts(&[(1, 0), (2, 2), (4, 4)]));
    assert!(found(&director, 9).is_some());
    let described = director.overrides.describe().join("\n");
    assert!(!described.contains("192.0.2.2"), "{described}");
}

#[test]
fn timeouts_are_changed_one_by_one() {
    let mut director = director();
    let set = |tcp, tcp_fin, udp| Change::SetTimeouts { tcp, tcp_fin, udp };
    let effects = does(&mut director, &set(7200, 0, 60));
    let expected = Timeouts {
        tcp: Duration::from_secs(7200),
        tcp_fin: Duration::from_secs(120),
        udp: Duration::from_secs(60),
    };
    position(&effects, |effect| *effect == Effect::SetTimeouts(expected));
    assert_eq!(director.table(&Snapshot::default()).timeouts, expected);
    director.handle(Event::ReloadRequested, at(5));
    let effects = director.handle(loaded(two_services()), at(5));
    position(&effects, |effect| {
        *effect == Effect::SetTimeouts(Timeouts::default())
    });
}

#[test]
fn nothing_is_changed_before_the_start_and_after_the_stop() {
    let mut director = Director::new(setup(), at(0));
    assert_eq!(
        director.change(&[Change::Clear]),
        (vec![Err(ChangeRefusal::NotRunning)], vec![])
    );
    let mut director = self::director();
    director.handle(Event::ShutdownRequested, at(2));
    assert_eq!(
        director.change(&[Change::Clear]),
        (vec![Err(ChangeRefusal::NotRunning)], vec![])
    );
}

fn live(connections: u64) -> Snapshot {
    let traffic = Traffic {
        connections,
        ..Traffic::default()
    };
    let service = |vip, host| {
        let mut service = ServiceSettings::plain(Scheduler::Wlc).service();
        service.servers = vec![by_hand(host, 1)];
        let mut live = LiveService::fresh(key(vip), &service);
        live.traffic = traffic;
        live.servers[0].traffic = traffic;
        live
    };
    Snapshot {
        services: vec![service(1, 1), service(2, 3)],
        ..Snapshot::default()
    }
}

#[test]
fn counters_are_zeroed_for_one_service_or_all() {
    let mut director = director();
    let counts = |director: &Director, connections| -> Vec<[u64; 2]> {
        let table = director.table(&live(connections));
        let services = table.services.iter();
        let counts = services.map(|service| {
            let live = &service.live;
            [
                live.traffic.connections,
                live.servers[0].traffic.connections,
            ]
        });
        counts.collect()
    };
    assert_eq!(counts(&director, 10), [[10, 10], [10, 10]]);
    assert_eq!(
        director.zero(Some(&key(7)), &live(10)),
        Err(ChangeRefusal::NoService(key(7)))
    );
    assert_eq!(director.zero(Some(&key(1)), &live(10)), Ok(()));
    assert_eq!(counts(&director, 15), [[5, 5], [15, 15]]);
    assert_eq!(director.zero(None, &live(15)), Ok(()));
    assert_eq!(counts(&director, 15), [[0, 0], [0, 0]]);
    // What left the table, and came back, counts from its own start.
    let gone = Event::Sampled(Ok(Box::new(Snapshot::default())));
    director.handle(gone, at(3));
    assert_eq!(counts(&director, 3), [[3, 3], [3, 3]]);
}

#[test]
fn the_status_shows_what_was_changed_by_hand() {
    let mut director = director();
    assert_eq!(director.status(&live(0), &[], at(2)).overrides, [""; 0]);
    does(&mut director, &Change::RemoveService(key(2)));
    assert_eq!(
        director.status(&live(0), &[], at(2)).overrides,
        ["TCP 192.0.2.2:80: removed"]
    );
}

#[test]
fn a_batch_is_one_table_and_each_change_sees_those_before_it() {
    let mut director = director();
    let batch = [
        Change::RemoveService(key(1)),
        Change::AddServer(key(1), by_hand(5, 1)),
        Change::AddService(key(1), ServiceSettings::plain(Scheduler::Rr)),
        Change::AddServer(key(1), by_hand(5, 1)),
        Change::AddServer(key(1), by_hand(5, 2)),
        Change::AddServer(key(1), by_hand(6, 2)),
    ];
    let (results, effects) = director.change(&batch);
    let gone = Err(ChangeRefusal::NoService(key(1)));
    let there = Err(ChangeRefusal::ServerExists(key(1), by_hand(5, 2).key));
    assert_eq!(results, [Ok(()), gone, Ok(()), Ok(()), there, Ok(())]);
    let applied = effects.iter();
    let applied = applied.filter(|effect| matches!(effect, Effect::Apply(_)));
    assert_eq!(applied.count(), 1);
    assert_eq!(weights(&director), hosts(&[(5, 1), (6, 2), (3, 3)]));
    // Refused as a whole, it is taken back as a whole.
    director.handle(Event::Applied(Err("too large".to_owned())), at(2));
    assert_eq!(weights(&director), hosts(&[(1, 1), (2, 2), (3, 3)]));
}

#[test]
fn an_edit_replaces_all_that_ipvsadm_can_say() {
    let mut director = director();
    let persistent = ServiceSettings {
        persistence: Some(Persistence {
            timeout: 60,
            netmask: Netmask::V4([255, 255, 255, 0].into()),
        }),
        ..ServiceSettings::plain(Scheduler::Sh)
    };
    let edit = Change::EditService(key(2), persistent);
    does(&mut director, &edit);
    let service = found(&director, 2).expect("configured");
    assert_eq!(ServiceSettings::of(service), persistent);
    let described = director.overrides.describe().join("; ");
    assert!(
        described.contains("scheduler sh, persistent 60 mask 255.255.255.0"),
        "{described}"
    );
    let plain = ServiceSettings::plain(Scheduler::Rr);
    does(&mut director, &Change::EditService(key(2), plain));
    let service = found(&director, 2).expect("configured");
    assert_eq!(ServiceSettings::of(service), plain);

    let mut server = by_hand(3, 5);
    server.forwarding = Forwarding::Tunnel;
    server.encapsulation = Encapsulation::Gre { checksum: true };
    server.thresholds = Thresholds::new(100, 80).expect("in order");
    does(&mut director, &Change::EditServer(key(2), server.clone()));
    assert_eq!(found(&director, 2).expect("configured").servers, [server]);
    does(&mut director, &Change::EditServer(key(2), by_hand(3, 5)));
    let servers = &found(&director, 2).expect("configured").servers;
    assert_eq!(*servers, [by_hand(3, 5)]);
    // A mask of the other family is no service's.
    let wrong = ServiceSettings {
        persistence: Some(Persistence {
            timeout: 60,
            netmask: Netmask::V6(64),
        }),
        ..plain
    };
    let refused = refuses(&mut director, &Change::EditService(key(2), wrong));
    assert!(matches!(refused, ChangeRefusal::Refused(_)), "{refused:?}");
}

/// Changes of any kind, to services and servers that are configured, added, up, down or unknown.
fn any_change() -> impl proptest::strategy::Strategy<Value = Change> {
    use proptest::prelude::*;
    (0usize..8, 1u8..4, 1u8..6, 0u32..3).prop_map(|(kind, vip, host, weight)| {
        let server = Server {
            key: id(vip, host).server,
            ..by_hand(host, weight)
        };
        let settings = ServiceSettings::plain(Scheduler::Rr);
        match kind {
            0 => Change::AddService(key(vip), settings),
            1 => Change::EditService(key(vip), settings),
            2 => Change::RemoveService(key(vip)),
            3 => Change::Clear,
            4 | 5 => Change::AddServer(key(vip), server),
            6 => Change::EditServer(key(vip), server),
            _ => Change::RemoveServer(key(vip), server.key),
        }
    })
}

proptest::proptest! {
    /// A server is refused as being there, or as not being there, if and only if the table says
    /// so: what is asked without making the service is the same.
    #[test]
    fn changes_are_judged_by_what_the_table_holds(
        changes in proptest::collection::vec(any_change(), 1..20),
        downs in proptest::collection::vec(1u8..3, 0..3),
    ) {
        let mut director = director();
        for host in downs {
            director.handle(down(id(1, host)), at(2));
            applied(&mut director);
        }
        for change in changes {
            let before = director.desired().clone();
            let holds = |key: &ServiceKey, server: &caribe_model::ServerKey| {
                let service = before.service(key);
                service.is_some_and(|it| it.servers.iter().any(|it| it.key == *server))
            };
            let (results, _) = director.change(std::slice::from_ref(&change));
            let result = results[0].clone();
            let known = change.service().is_none_or(|key| before.service(key).is_some());
            let expected = match &change {
                Change::AddService(key, _) if known => Err(ChangeRefusal::ServiceExists(*key)),
                Change::AddService(..) => Ok(()),
                other if !known => Err(ChangeRefusal::NoService(
                    *other.service().expect("only what is about one is not known"),
                )),
                Change::AddServer(key, server) if holds(key, &server.key) => {
                    Err(ChangeRefusal::ServerExists(*key, server.key))
                }
                // Unless a monitor keeps it out, which is told below.
                Change::AddServer(key, server) => match &result {
                    Err(ChangeRefusal::Down(..)) => Err(ChangeRefusal::Down(*key, server.key)),
                    _ => Ok(()),
                },
                Change::EditServer(key, server) if !holds(key, &server.key) => {
                    Err(ChangeRefusal::NoServer(*key, server.key))
                }
                Change::RemoveServer(key, server) if !holds(key, server) => {
                    Err(ChangeRefusal::NoServer(*key, *server))
                }
                _ => Ok(()),
            };
            proptest::prop_assert_eq!(&result, &expected, "{}", change);
            let after = director.desired();
            if result.is_err() {
                proptest::prop_assert_eq!(after, &before);
            } else if let Change::AddServer(key, server) | Change::EditServer(key, server) = &change {
                let servers = &after.service(key).expect("it is there").servers;
                proptest::prop_assert!(servers.contains(server), "{change}");
            }
            applied(&mut director);
        }
    }
}
