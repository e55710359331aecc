//! What is known about real servers, for people and programs.

use std::collections::BTreeMap;
use std::time::Duration;

use caribe_dataplane::LiveServer;
use caribe_health::probe::Finding;
use caribe_health::probe::agent::AgentWish;
use caribe_health::{MonitorId, Order, ServerId, Standing};
use caribe_model::{Monotonic, ServiceKey};

use super::Director;
use super::servers::Placed;
use super::watched::Watched;
use crate::{
    HistoryQuery, MonitorStatus, Past, ProbeStatus, QuorumStatus, ServerHistory, ServerState,
    WantedServer, WantedService, WatchStatus,
};

impl Director {
    /// How a service stands as a whole.
    pub(super) fn quorum_status(&self, wanted: &WantedService) -> QuorumStatus {
        let placed = self.placements.get(&wanted.key);
        QuorumStatus {
            lost: placed.is_some_and(Placed::has_lost_quorum),
            sorry: wanted.sorry.as_ref().map(|sorry| sorry.key),
        }
    }

    /// What is known about a server; `latest` is what its monitors found last.
    pub(super) fn watch_status(
        &self,
        service: &WantedService,
        wanted: &WantedServer,
        latest: &BTreeMap<&MonitorId, &Finding>,
        now: Monotonic,
    ) -> WatchStatus {
        let id = identity(service, wanted);
        let order = self.orders.get(&id).cloned();
        let Some(Watched { health, .. }) = self.servers.get(&id) else {
            return WatchStatus {
                order,
                ..WatchStatus::default()
            };
        };
        let monitors = health.opinions().iter().map(|(name, opinion)| {
            let id = MonitorId {
                server: id,
                name: name.clone(),
            };
            let last = latest.get(&id).copied().or(opinion.finding.as_ref());
            MonitorStatus {
                name: id.name,
                passed: opinion.verdict,
                advises: opinion.advises,
                since_seconds: now.since(opinion.since).as_secs(),
                last: last.map(|finding| ProbeStatus {
                    code: finding.code,
                    text: finding.text.clone(),
                    latency_us: u64::try_from(finding.latency.as_micros()).unwrap_or(u64::MAX),
                }),
            }
        });
        let placed = self.placements.get(&service.key);
        WatchStatus {
            monitors: monitors.collect(),
            flaps: health.flaps(),
            climbing: health.climbs(),
            kept: placed.is_some_and(|placed| placed.keeps(wanted)),
            order,
            wish: health.wish().map(|wish| word(wish).to_owned()),
        }
    }

    /// A server's state in one word, since when, and why.
    pub(super) fn server_state(
        &self,
        service: &WantedService,
        wanted: &WantedServer,
        live: Option<&LiveServer>,
        now: Monotonic,
    ) -> (ServerState, Duration, Option<String>) {
        let id = identity(service, wanted);
        let Some(Watched { health, .. }) = self.servers.get(&id) else {
            let since = now.since(self.loaded);
            let reason = "switched off in the configuration".to_owned();
            return (ServerState::Inactive, since, Some(reason));
        };
        let since = now.since(health.since());
        let order = self.orders.get(&id);
        let ordered = order.map(|given| format!("{}, ordered by {}", given.order, given.by));
        if order.is_some_and(|given| given.order == Order::Maintenance) {
            return (ServerState::Maintenance, since, ordered);
        }
        let wish = health.wish();
        let wished = wish.map(|wish| format!("its agent says {}", word(wish)));
        if wish == Some(AgentWish::Maint) {
            return (ServerState::Maintenance, since, wished);
        }
        let placed = self.placements.get(&service.key);
        match health.standing() {
            Standing::Checking => {
                let reason = "as the data plane was found, until the first check".to_owned();
                let reason = health.is_as_found().then_some(reason);
                (ServerState::Checking, since, reason.or(ordered))
            }
            Standing::Up if placed.is_some_and(Placed::sorry) => {
                let reason = "the service has lost its quorum: the sorry server serves";
                (ServerState::Quiesced, since, Some(reason.to_owned()))
            }
            Standing::Up if placed.and_then(|placed| placed.weight(wanted)) == Some(0) => {
                let configured = "weight 0 in the configuration".to_owned();
                let reason = ordered.or(wished).unwrap_or(configured);
                (ServerState::Quiesced, since, Some(reason))
            }
            Standing::Up => (ServerState::Up, since, ordered),
            Standing::Down => {
                let kept = placed.is_some_and(|placed| placed.keeps(wanted));
                let state = match live {
                    _ if kept => ServerState::Up,
                    Some(_) => ServerState::Quiesced,
                    None => ServerState::Down,
                };
                let reason = health.trouble().map(|(name, finding)| {
                    let kept = if kept {
                        "; kept, because too few would be left"
                    } else {
                        ""
                    };
                    format!("{name}: {finding}{kept}")
                });
                (state, since, reason)
            }
        }
    }

    /// What happened to servers in the last day.
    pub fn history(&self, query: &HistoryQuery, now: Monotonic) -> Vec<ServerHistory> {
        let services = self.intent.iter().flat_map(|intent| &intent.services);
        let asked = services.filter(|service| {
            query.vip.is_none_or(|vip| match service.key {
                ServiceKey::Address { address, .. } => address == vip,
                ServiceKey::Mark { .. } => false,
            })
        });
        let histories = asked.flat_map(|service| {
            service.active_servers().filter_map(move |wanted| {
                let key = wanted.server.key;
                if query.server.is_some_and(|server| server != key.address) {
                    return None;
                }
                let watched = self.servers.get(&identity(service, wanted))?;
                let past = watched.health.history(now).map(|(moment, what)| Past {
                    seconds_ago: now.since(moment).as_secs(),
                    what: what.clone(),
                });
                Some(ServerHistory {
                    service: service.key,
                    service_name: service.name.clone(),
                    server: key,
                    server_name: wanted.name.clone(),
                    past: past.collect(),
                })
            })
        });
        histories.collect()
    }
}

fn identity(service: &WantedService, wanted: &WantedServer) -> ServerId {
    ServerId {
        service: service.key,
        server: wanted.server.key,
    }
}

fn word(wish: AgentWish) -> &'static str {
    match wish {
        AgentWish::Ready => "ready",
        AgentWish::Drain => "drain",
        AgentWish::Maint => "maint",
    }
}
