//! What is known about each server, and the weight that follows from it.

use caribe_health::{MonitorId, Presumption, ProbeFailure, Settings, Verdict};
use caribe_model::Monotonic;

use super::Director;
use crate::{Effect, Notice, WantedServer, WantedService};

/// A monitor that runs, and what is known by it.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) settings: Settings,
    pub(super) standing: Standing,
    /// When `standing` began.
    pub(super) since: Monotonic,
}

/// Where a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// No verdict yet. The weight is the one that an adopted data plane had for it: traffic flows
    /// on as it did until the first verdict.
    Checking { adopted: Option<u32> },
    /// Its monitor says that it shall serve.
    Up,
    /// Its monitor says that it shall not.
    Down {
        failure: ProbeFailure,
        /// It has served before: only then is there something to quiesce.
        served: bool,
    },
}

impl Watched {
    pub(super) fn new(settings: Settings, adopted: Option<u32>, now: Monotonic) -> Self {
        Watched {
            settings,
            standing: Standing::Checking { adopted },
            since: now,
        }
    }

    /// What its monitor is to believe at first. A server that was found with weight 0 was
    /// quiesced: that it serves is not what its monitor should assume.
    pub(super) fn presumption(&self) -> Presumption {
        match self.standing {
            Standing::Checking {
                adopted: Some(weight),
            } if weight > 0 => Presumption::Serving,
            _ => Presumption::Unknown,
        }
    }
}

impl Director {
    pub(super) fn judge(
        &mut self,
        id: MonitorId,
        verdict: Verdict,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        // A monitor that was stopped meanwhile.
        let Some(watched) = self.servers.get_mut(&id) else {
            return;
        };
        let standing = match verdict {
            Verdict::Up => {
                effects.push(Effect::Log(Notice::ServerUp(id)));
                Standing::Up
            }
            Verdict::Down(failure) => {
                effects.push(Effect::Log(Notice::ServerDown(id, failure.clone())));
                let served = match &watched.standing {
                    Standing::Up => true,
                    Standing::Checking { adopted } => adopted.is_some(),
                    Standing::Down { served, .. } => *served,
                };
                Standing::Down { failure, served }
            }
        };
        let failed = matches!(standing, Standing::Down { .. });
        watched.standing = standing;
        watched.since = now;
        if failed {
            self.note_lack_of_servers(&id, effects);
        }
        self.stale.add(id.service);
    }

    /// The weight of a server in the table; `None` leaves it out.
    pub(super) fn weight(&self, service: &WantedService, server: &WantedServer) -> Option<u32> {
        let id = MonitorId {
            service: service.key,
            server: server.server.key,
        };
        match &self.servers.get(&id)?.standing {
            Standing::Checking { adopted: None } => None,
            // Quiesced it was, quiesced it stays until its monitor has spoken.
            Standing::Checking { adopted: Some(0) } => Some(0),
            Standing::Checking { adopted: Some(_) } | Standing::Up => Some(server.server.weight),
            Standing::Down { served, .. } => (service.quiesce && *served).then_some(0),
        }
    }

    fn note_lack_of_servers(&self, id: &MonitorId, effects: &mut Vec<Effect>) {
        let intent = self.intent.as_ref();
        let Some(service) = intent.and_then(|intent| intent.service(&id.service)) else {
            return;
        };
        // Servers that were not judged yet may still turn out well.
        let hopeless = service.active_servers().all(|server| {
            let id = MonitorId {
                service: service.key,
                server: server.server.key,
            };
            let standing = self.servers.get(&id).map(|watched| &watched.standing);
            matches!(standing, Some(Standing::Down { .. }))
        });
        if hopeless {
            effects.push(Effect::Log(Notice::NoServers {
                name: service.name.clone(),
                key: service.key,
            }));
        }
    }
}
