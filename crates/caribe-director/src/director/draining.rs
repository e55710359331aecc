//! Servers that left the file and may finish their connections: quiesced, waited for, removed.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::Duration;

use caribe_dataplane::{LiveService, Snapshot};
use caribe_model::{Monotonic, Server, ServerKey, Service, ServiceKey};

use super::Director;
use crate::{DrainingStatus, Effect, Intent, Notice, WantedService};

/// Every server that drains, and what became of those that did.
#[derive(Debug, Clone, Default)]
pub(super) struct Draining {
    servers: BTreeMap<(ServiceKey, ServerKey), Drain>,
    /// Connections that were left when time was up, of all servers so far.
    abandoned: u64,
}

/// A server that drains.
#[derive(Debug, Clone)]
struct Drain {
    /// As the data plane holds it; its weight is 0 from now on.
    server: Server,
    since: Monotonic,
    deadline: Monotonic,
    /// Connections at the last sample; `None` before the first.
    connections: Option<u64>,
}

impl Draining {
    /// Connections of servers whose time was up.
    pub(super) fn abandoned(&self) -> u64 {
        self.abandoned
    }

    /// Addresses of servers that drain: their ways are kept.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.servers.keys().map(|(_, server)| server.address)
    }

    /// Adds the servers that drain to a service.
    pub(super) fn join(&self, key: &ServiceKey, service: &mut Service) {
        let first = (*key, FIRST);
        let of_service = self.servers.range(first..);
        for ((_, server), drain) in of_service.take_while(|((service, _), _)| service == key) {
            if !service.servers.iter().any(|other| other.key == *server) {
                service.servers.push(Server {
                    weight: 0,
                    ..drain.server.clone()
                });
            }
        }
    }

    /// Ends it for one server; whether it was draining.
    pub(super) fn end(&mut self, service: ServiceKey, server: ServerKey) -> bool {
        self.servers.remove(&(service, server)).is_some()
    }

    /// Each server that drains, for status.
    pub(super) fn describe(&self, now: Monotonic) -> Vec<DrainingStatus> {
        let servers = self.servers.iter();
        let shown = servers.map(|((service, server), drain)| DrainingStatus {
            service: *service,
            server: *server,
            connections: drain.connections,
            draining_seconds: now.since(drain.since).as_secs(),
            seconds_left: drain.deadline.since(now).as_secs(),
        });
        shown.collect()
    }
}

/// The least key of a server.
pub(super) const FIRST: ServerKey = ServerKey {
    address: IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED),
    port: 0,
};

impl Director {
    /// A configuration takes the place of another, or of what a director that is no more left:
    /// servers that it does not have any more begin to drain, those that it has again end to.
    pub(super) fn renew_draining(
        &mut self,
        before: Option<&Intent>,
        intent: &Intent,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let mut returned = Vec::new();
        let draining = std::mem::take(&mut self.draining.servers);
        for ((service, server), drain) in draining {
            let Some(wanted) = intent.service(&service) else {
                // With its service, the server has gone as well.
                continue;
            };
            if has(wanted, server) {
                returned.push(caribe_health::ServerId { service, server });
            } else {
                self.draining.servers.insert((service, server), drain);
            }
        }
        for id in returned {
            effects.push(Effect::Log(Notice::DrainCancelled(id.service, id.server)));
            // Quiesced it stays until its monitor has spoken; without a word it would be removed.
            self.adopted_weights.insert(id, 0);
        }
        for (service, server) in self.leaving(before, intent) {
            let Some(timeout) = drain_timeout(intent, &service) else {
                continue;
            };
            let place = (service, server.key);
            if self.draining.servers.contains_key(&place) {
                continue;
            }
            effects.push(Effect::Log(Notice::DrainStarted(
                service, server.key, timeout,
            )));
            let drain = Drain {
                server,
                since: now,
                deadline: now + timeout,
                connections: None,
            };
            self.draining.servers.insert(place, drain);
        }
    }

    /// Servers that the data plane holds because of the configuration before, and that `intent`
    /// does not have.
    fn leaving(&self, before: Option<&Intent>, intent: &Intent) -> Vec<(ServiceKey, Server)> {
        let mut leaving = Vec::new();
        let Some(before) = before else {
            let adopted = self.setup.adopted.iter();
            for live in adopted.flat_map(|snapshot| &snapshot.services) {
                let Some(wanted) = intent.service(&live.key) else {
                    continue;
                };
                let gone = live.servers.iter().filter(|it| !has(wanted, it.key));
                leaving.extend(gone.map(|it| (live.key, it.model())));
            }
            return leaving;
        };
        for old in &before.services {
            let Some(wanted) = intent.service(&old.key) else {
                continue;
            };
            if std::ptr::eq(old.as_ref(), wanted) {
                continue;
            }
            for server in old.active_servers().map(|server| server.server.key) {
                if has(wanted, server) {
                    continue;
                }
                // What its monitor or an administrator took out has nothing to finish.
                let held = self.desired.service(&old.key);
                let mut held = held.into_iter().flat_map(|service| &service.servers);
                leaving.extend(
                    held.find(|it| it.key == server)
                        .map(|it| (old.key, it.clone())),
                );
            }
        }
        leaving
    }

    /// Notes what is left of the connections; a server that has none any more is removed.
    pub(super) fn sample_draining(&mut self, snapshot: &Snapshot, effects: &mut Vec<Effect>) {
        if self.draining.servers.is_empty() {
            return;
        }
        let services = snapshot.services.iter();
        let services: HashMap<ServiceKey, &LiveService> =
            services.map(|live| (live.key, live)).collect();
        let mut empty = Vec::new();
        for ((service, server), drain) in &mut self.draining.servers {
            let live = services.get(service).into_iter();
            let mut live = live.flat_map(|live| &live.servers);
            let Some(live) = live.find(|live| live.key == *server) else {
                continue;
            };
            // Until the quiesced weight is in place, a new connection may still come.
            let connections = u64::from(live.active) + u64::from(live.inactive);
            if live.weight == 0 && connections == 0 {
                empty.push((*service, *server));
            }
            drain.connections = Some(connections);
        }
        for (service, server) in empty {
            self.draining.servers.remove(&(service, server));
            effects.push(Effect::Log(Notice::Drained(service, server)));
            self.stale.add(service);
        }
    }

    /// Removes servers whose time is up.
    pub(super) fn end_draining(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let over = self.draining.servers.iter();
        let over: Vec<_> = over
            .filter(|(_, drain)| drain.deadline <= now)
            .map(|(place, drain)| (*place, drain.connections.unwrap_or(0)))
            .collect();
        for ((service, server), left) in over {
            self.draining.servers.remove(&(service, server));
            self.draining.abandoned += left;
            effects.push(Effect::Log(Notice::DrainOver {
                service,
                server,
                left,
            }));
            self.stale.add(service);
        }
        // Ways to servers that are gone are kept until the next change: that costs nothing.
    }
}

fn has(wanted: &WantedService, server: ServerKey) -> bool {
    wanted.active_servers().any(|it| it.server.key == server)
}

/// How long servers of a service may drain, if at all.
fn drain_timeout(intent: &Intent, service: &ServiceKey) -> Option<Duration> {
    let timeout = intent.service(service)?.drain_timeout;
    (!timeout.is_zero()).then_some(timeout)
}

#[cfg(test)]
mod tests;
