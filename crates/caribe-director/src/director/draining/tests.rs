//! Servers leave the file while they have connections.

use caribe_dataplane::{Applied, LiveService};

use super::super::tests::{
    at, config, id, loaded, logs, running, server, service, setup, up, weights,
};
use super::*;
use crate::{Event, Setup};

const TIMEOUT: Duration = Duration::from_secs(60);

fn file(hosts: &[u8], timeout: Duration) -> caribe_config::config::Config {
    let servers = hosts.iter().map(|host| server(*host, 5)).collect();
    let mut block = service(1, servers);
    block.drain_timeout = timeout;
    config(vec![block])
}

/// Both servers up, the file with a drain timeout.
fn director() -> Director {
    let mut director = running(setup(), file(&[1, 2], TIMEOUT));
    let verdicts = [1, 2].map(|host| up(id(1, host)));
    director.handle_all(verdicts, at(1));
    applied(&mut director);
    director
}

fn applied(director: &mut Director) {
    director.handle(Event::Applied(Ok(Applied::default())), at(1));
}

fn reload(director: &mut Director, hosts: &[u8], timeout: Duration, second: u64) -> Vec<Effect> {
    director.handle(Event::ReloadRequested, at(second));
    let effects = director.handle(loaded(file(hosts, timeout)), at(second));
    applied(director);
    effects
}

/// What the data plane would show, with so many connections on each server.
fn snapshot(director: &Director, active: u32) -> Snapshot {
    let services = director.desired().services().map(|(key, service)| {
        let mut live = LiveService::fresh(*key, service);
        for server in &mut live.servers {
            server.active = active;
        }
        live
    });
    Snapshot {
        services: services.collect(),
        ..Snapshot::default()
    }
}

fn sampled(director: &mut Director, active: u32, second: u64) -> Vec<Effect> {
    let snapshot = snapshot(director, active);
    director.handle(Event::Sampled(Ok(Box::new(snapshot))), at(second))
}

fn table(entries: &[(u8, u32)]) -> Vec<(String, u32)> {
    let entry = |(host, weight): &(u8, u32)| (format!("10.0.0.{host}"), *weight);
    entries.iter().map(entry).collect()
}

#[test]
fn a_server_that_leaves_is_quiesced_until_its_connections_have_ended() {
    let mut director = director();
    let effects = reload(&mut director, &[1], TIMEOUT, 10);
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));
    let said = logs(&effects).join("\n");
    assert!(
        said.contains("10.0.0.2:80") && said.contains("60 s"),
        "{said}"
    );

    sampled(&mut director, 3, 12);
    let status = director.status(&Snapshot::default(), &[], at(20));
    assert_eq!(status.draining.len(), 1);
    assert_eq!(status.draining[0].connections, Some(3));
    assert_eq!(status.draining[0].seconds_left, 50);
    assert_eq!(status.draining[0].draining_seconds, 10);
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));

    let effects = sampled(&mut director, 0, 22);
    assert_eq!(weights(&director), table(&[(1, 5)]));
    assert!(logs(&effects).join("\n").contains("drained"), "{effects:?}");
    let status = director.status(&Snapshot::default(), &[], at(23));
    assert_eq!(
        (status.draining.len(), status.abandoned_connections),
        (0, 0)
    );
}

#[test]
fn what_is_left_at_the_deadline_is_counted() {
    let mut director = director();
    reload(&mut director, &[1], TIMEOUT, 10);
    sampled(&mut director, 7, 60);
    director.handle(Event::Tick, at(69));
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));
    let effects = director.handle(Event::Tick, at(70));
    assert_eq!(weights(&director), table(&[(1, 5)]));
    let said = logs(&effects).join("\n");
    assert!(said.contains("7 connections"), "{said}");
    let status = director.status(&Snapshot::default(), &[], at(71));
    assert_eq!(status.abandoned_connections, 7);
}

#[test]
fn without_a_timeout_a_server_goes_at_once() {
    let mut director = director();
    reload(&mut director, &[1], Duration::ZERO, 10);
    assert_eq!(weights(&director), table(&[(1, 5)]));
}

#[test]
fn another_reload_keeps_the_deadline() {
    let mut director = director();
    reload(&mut director, &[1], TIMEOUT, 10);
    reload(&mut director, &[1], TIMEOUT, 50);
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));
    director.handle(Event::Tick, at(70));
    assert_eq!(weights(&director), table(&[(1, 5)]));
}

#[test]
fn a_server_that_comes_back_drains_no_longer_and_is_never_removed() {
    let mut director = director();
    reload(&mut director, &[1], TIMEOUT, 10);
    let effects = reload(&mut director, &[1, 2], TIMEOUT, 20);
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));
    assert!(
        logs(&effects).join("\n").contains("no longer"),
        "{effects:?}"
    );
    director.handle(up(id(1, 2)), at(21));
    assert_eq!(weights(&director), table(&[(1, 5), (2, 5)]));
    director.handle(Event::Tick, at(500));
    assert_eq!(weights(&director), table(&[(1, 5), (2, 5)]));
}

#[test]
fn a_server_that_its_monitor_took_out_has_nothing_to_drain() {
    let mut director = director();
    director.handle(super::super::tests::down(id(1, 2)), at(5));
    applied(&mut director);
    reload(&mut director, &[1], TIMEOUT, 10);
    assert_eq!(weights(&director), table(&[(1, 5)]));
}

#[test]
fn a_restart_drains_what_it_finds_and_the_file_does_not_have() {
    let before = director();
    let setup = Setup {
        adopted: Some(snapshot(&before, 2)),
        ..setup()
    };
    let mut director = running(setup, file(&[1], TIMEOUT));
    assert_eq!(weights(&director), table(&[(1, 5), (2, 0)]));
    director.handle(Event::Tick, at(60));
    assert_eq!(weights(&director), table(&[(1, 5)]));
}

#[test]
fn an_administrator_may_end_it_at_once() {
    let mut director = director();
    reload(&mut director, &[1], TIMEOUT, 10);
    let id = id(1, 2);
    let (results, _) = director.change(&[crate::Change::RemoveServer(id.service, id.server)]);
    assert_eq!(results, [Ok(())]);
    assert_eq!(weights(&director), table(&[(1, 5)]));
}
