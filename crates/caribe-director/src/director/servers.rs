//! What is known about each server, and what of each service is in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caribe_health::{
    Claim, MonitorId, News, Order, Placement, Pool, Report, ServerId, Settings, Standing,
};
use caribe_model::{Monotonic, Server, ServiceKey};

use super::Director;
use crate::{Effect, Happening, Notice, WantedServer, WantedService, What};

/// A service's servers together, and what of them is in the table.
#[derive(Debug, Clone)]
pub(super) struct Placed {
    pool: Pool,
    placement: Placement,
}

impl Placed {
    /// The weight of a server in the table; `None` leaves it out.
    pub(super) fn weight(&self, server: &WantedServer) -> Option<u32> {
        self.placement.weights.get(&server.server.key).copied()
    }

    /// The sorry server serves.
    pub(super) fn sorry(&self) -> bool {
        self.placement.sorry
    }

    /// Too few servers can serve.
    pub(super) fn has_lost_quorum(&self) -> bool {
        self.pool.has_lost_quorum()
    }

    /// The server has failed and serves all the same.
    pub(super) fn keeps(&self, server: &WantedServer) -> bool {
        self.pool.keeps(server.server.key)
    }
}

impl Director {
    /// Takes news of a monitor.
    pub(super) fn heed(&mut self, report: Report, now: Monotonic, effects: &mut Vec<Effect>) {
        let Report { id, news } = report;
        // A monitor that was stopped meanwhile.
        let Some(watched) = self.servers.get(&id.server) else {
            return;
        };
        let before = watched.health.standing();
        match news {
            News::Verdict { passed, finding } => {
                let is_news = self.servers.change(&id.server, |watched| {
                    let health = &mut watched.health;
                    health.judged(&id.name, passed, finding.clone(), now)
                });
                if is_news != Some(true) {
                    return;
                }
                let MonitorId { server, name } = id;
                let what = What::Verdict {
                    server: server.server,
                    monitor: name,
                    passed,
                    finding,
                };
                self.happened(server.service, what, effects);
                self.note_standing(server, before, effects);
                self.stale.add(server.service);
            }
            News::Reading(reading) => {
                self.servers.change(&id.server, |watched| {
                    watched.health.read(&reading, now);
                });
                self.stale.add(id.server.service);
            }
        }
    }

    /// Tells when a server stands differently.
    fn note_standing(&mut self, id: ServerId, before: Standing, effects: &mut Vec<Effect>) {
        let Some(watched) = self.servers.get(&id) else {
            return;
        };
        let health = &watched.health;
        if health.standing() == before {
            return;
        }
        match (health.standing(), health.trouble()) {
            (Standing::Up, _) => effects.push(Effect::Log(Notice::ServerUp(id))),
            (Standing::Down, Some((_, finding))) => {
                effects.push(Effect::Log(Notice::ServerDown(id, finding.clone())));
            }
            _ => {}
        }
        let what = What::Server {
            server: id.server,
            standing: health.standing(),
            reason: health.trouble().map(|(_, finding)| finding.clone()),
        };
        self.happened(id.service, what, effects);
        self.note_lack_of_servers(&id, effects);
    }

    /// Goes on with the climbs.
    pub(super) fn climb(&mut self, now: Monotonic) {
        for id in self.servers.climbing() {
            let climbed = self.servers.change(&id, |watched| watched.health.tick(now));
            if climbed == Some(true) {
                self.stale.add(id.service);
            }
        }
    }

    /// Decides anew about the servers of a configured service.
    pub(super) fn place(&mut self, key: &ServiceKey, effects: &mut Vec<Effect>) {
        let Some(wanted) = self.wanted(key) else {
            self.placements.remove(key);
            return;
        };
        let (name, sorry) = (wanted.name.clone(), wanted.sorry.clone());
        let placed = self.placed(wanted);
        let (lost, serving) = (placed.has_lost_quorum(), placed.serving());
        let before = self.placements.insert(*key, placed);
        let had_lost = before.is_some_and(|before| before.has_lost_quorum());
        if lost == had_lost {
            return;
        }
        if let Some(sorry) = sorry {
            effects.push(Effect::Log(Notice::SorryServer {
                name,
                key: *key,
                sorry: sorry.key,
                serving: lost.then_some(serving),
            }));
        }
        self.happened(*key, What::Quorum { lost }, effects);
    }

    /// Decides anew about every service.
    pub(super) fn place_all(&mut self, effects: &mut Vec<Effect>) {
        let services = self.intent.iter().flat_map(|intent| &intent.services);
        let keys: BTreeSet<ServiceKey> = services.map(|wanted| wanted.key).collect();
        self.placements.retain(|key, _| keys.contains(key));
        for key in keys {
            self.place(&key, effects);
        }
    }

    /// The weight of a server in the table; `None` leaves it out.
    pub(super) fn weight(&self, service: &WantedService, server: &WantedServer) -> Option<u32> {
        self.placements.get(&service.key)?.weight(server)
    }

    /// The sorry server of a service, while it serves.
    pub(super) fn sorry(&self, key: &ServiceKey) -> Option<&Server> {
        let placed = self.placements.get(key)?;
        let sorry = self.wanted(key)?.sorry.as_ref();
        sorry.filter(|_| placed.sorry())
    }

    fn wanted(&self, key: &ServiceKey) -> Option<&WantedService> {
        self.intent.as_ref()?.service(key)
    }

    /// What of a service is in the table, going on from what was.
    fn placed(&self, wanted: &WantedService) -> Placed {
        let mut pool = match self.placements.get(&wanted.key) {
            Some(placed) => placed.pool.clone(),
            None => Pool::default(),
        };
        let claims: Vec<_> = wanted
            .active_servers()
            .map(|server| {
                let id = ServerId {
                    service: wanted.key,
                    server: server.server.key,
                };
                let by_hand = self.overrides.weight(&id).map(Order::Weight);
                let order = self.orders.get(&id).map(|given| given.order).or(by_hand);
                let claim = match self.servers.get(&id) {
                    Some(watched) => watched.health.claim(order),
                    None => Claim::Awaited,
                };
                (id.server, claim)
            })
            .collect();
        let placement = pool.place(&wanted.pool, &claims);
        Placed { pool, placement }
    }

    fn note_lack_of_servers(&self, id: &ServerId, effects: &mut Vec<Effect>) {
        let Some(service) = self.wanted(&id.service) else {
            return;
        };
        // Servers that were not judged yet may still turn out well.
        let hopeless = service.active_servers().all(|server| {
            let id = ServerId {
                service: service.key,
                server: server.server.key,
            };
            let watched = self.servers.get(&id);
            watched.is_some_and(|watched| watched.health.standing() == Standing::Down)
        });
        if hopeless && service.sorry.is_none() {
            effects.push(Effect::Log(Notice::NoServers {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }

    /// Tells whoever listens, and runs the program of the service.
    pub(super) fn happened(&mut self, key: ServiceKey, what: What, effects: &mut Vec<Effect>) {
        let wanted = self.wanted(&key);
        let program = wanted.and_then(|wanted| wanted.notify.clone());
        let happening = Happening {
            number: self.happenings + 1,
            service: key,
            name: wanted.map(|wanted| wanted.name.clone()).unwrap_or_default(),
            server_name: wanted.and_then(|wanted| {
                let server = what.server()?;
                let mut servers = wanted.active_servers();
                let named = servers.find(|named| named.server.key == server)?;
                Some(named.name.clone())
            }),
            what,
        };
        self.happenings += 1;
        effects.push(Effect::Tell(Box::new(happening), program));
    }
}

impl Placed {
    fn serving(&self) -> usize {
        let weights = self.placement.weights.values();
        weights.filter(|weight| **weight > 0).count()
    }
}

/// The monitors that a new list of them lacks, and those that it has more or differently.
pub(super) struct MonitorChanges {
    pub(super) stopped: Vec<MonitorId>,
    pub(super) started: Vec<Arc<Settings>>,
    pub(super) retuned: Vec<Arc<Settings>>,
}

impl MonitorChanges {
    pub(super) fn between(
        id: ServerId,
        before: &[Arc<Settings>],
        after: &[Arc<Settings>],
    ) -> MonitorChanges {
        let old: BTreeMap<_, _> = before.iter().map(|one| (&one.name, one)).collect();
        let new: BTreeMap<_, _> = after.iter().map(|one| (&one.name, one)).collect();
        let gone = old.keys().filter(|name| !new.contains_key(*name));
        let monitor = |name: &&caribe_health::MonitorName| MonitorId {
            server: id,
            name: (*name).clone(),
        };
        let mut changes = MonitorChanges {
            stopped: gone.map(monitor).collect(),
            started: Vec::new(),
            retuned: Vec::new(),
        };
        for (name, settings) in new {
            match old.get(name) {
                None => changes.started.push(Arc::clone(settings)),
                Some(known) if *known != settings => changes.retuned.push(Arc::clone(settings)),
                Some(_) => {}
            }
        }
        changes
    }
}
