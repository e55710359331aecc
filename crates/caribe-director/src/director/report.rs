//! The director's state, for people and programs.

use std::collections::HashMap;
use std::time::Duration;

use caribe_dataplane::{LiveServer, LiveService, Snapshot, Traffic};
use caribe_health::MonitorId;
use caribe_model::{Monotonic, ServiceKey, Timeouts};

use super::addresses::State;
use super::servers::Standing;
use super::{Director, Taken};
use crate::notice::place;
use crate::{
    AddressStatus, ConfigurationStatus, ConnectionsStatus, DataplaneStatus, LiveTable, ServerState,
    ServerStatus, ServiceStatus, Status, TableService, TableStatus, WantedServer, WantedService,
};

impl Director {
    /// Everything about the director, with the live counters of `snapshot`.
    pub fn status(&self, snapshot: &Snapshot, now: Monotonic) -> Status {
        let services = self.intent.iter().flat_map(|intent| &intent.services);
        let live: HashMap<ServiceKey, &LiveService> = snapshot
            .services
            .iter()
            .map(|live| (live.key, live))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            phase: self.phase,
            running_seconds: now.since(self.started).as_secs(),
            configuration: ConfigurationStatus {
                file: self.setup.file.clone(),
                serial_no: self.intent.as_ref().map_or(0, |intent| intent.serial_no),
                loaded_seconds_ago: now.since(self.loaded).as_secs(),
                reloads: self.reloads,
                refused: self.refused.clone(),
            },
            overrides: self.overrides.describe(),
            draining: self.draining.describe(now),
            abandoned_connections: self.draining.abandoned(),
            dataplane: DataplaneStatus {
                adopted: self.setup.adopted.is_some(),
                problem: self.problem().map(str::to_owned),
                interfaces: snapshot.interfaces.clone(),
                connections: ConnectionsStatus {
                    alive: snapshot.connections,
                    capacity: snapshot.capacity,
                    memory_bytes: snapshot.memory,
                },
                table: table_status(snapshot),
                verdicts: snapshot.verdicts.clone(),
            },
            addresses: self.address_statuses(),
            services: services
                .map(|service| self.service_status(service, live.get(&service.key).copied(), now))
                .collect(),
        }
    }

    /// The live table with its rates, as `ipvsadm` lists it; counters are those since they were
    /// zeroed.
    pub fn table(&self, snapshot: &Snapshot) -> LiveTable {
        let services = snapshot.services.iter().map(|live| TableService {
            live: self.zeroed.since(live),
            rates: self.rates.service(live.key),
            server_rates: live
                .servers
                .iter()
                .map(|server| self.rates.server(live.key, server.key))
                .collect(),
        });
        let intent = self.intent.as_ref();
        LiveTable {
            services: services.collect(),
            timeouts: intent.map_or_else(Timeouts::default, |intent| self.timeouts(intent)),
        }
    }

    /// One line for the service manager.
    pub(super) fn summary(&self) -> String {
        let services = self
            .intent
            .as_ref()
            .map_or(0, |intent| intent.services.len());
        let up = self
            .servers
            .values()
            .filter(|watched| watched.standing == Standing::Up)
            .count();
        let mut line = format!(
            "{services} virtual services, {up} of {} real servers up",
            self.servers.len()
        );
        if let Some(problem) = self.problem() {
            line.push_str("; data plane: ");
            line.push_str(problem);
        }
        if !self.refused.is_empty() {
            line.push_str("; the last configuration was refused");
        }
        line
    }

    /// What is wrong with the data plane, the worst first.
    fn problem(&self) -> Option<&str> {
        match (&self.taken, &self.detached) {
            (Taken::No { problem, .. }, _) | (_, Some((problem, _))) => Some(problem),
            _ => None,
        }
    }

    fn address_statuses(&self) -> Vec<AddressStatus> {
        self.addresses
            .known()
            .map(|known| AddressStatus {
                address: known.floating.address,
                prefix: known.floating.prefix,
                interface: known.floating.interface.clone(),
                label: place(&known.floating).to_owned(),
                present: known.state == State::Present,
                own: known.own,
                problem: known.problem.clone(),
            })
            .collect()
    }

    fn service_status(
        &self,
        wanted: &WantedService,
        live: Option<&LiveService>,
        now: Monotonic,
    ) -> ServiceStatus {
        ServiceStatus {
            name: wanted.name.clone(),
            key: wanted.key,
            scheduler: wanted.scheduler,
            traffic: live.map(|live| live.traffic).unwrap_or_default(),
            rates: self.rates.service(wanted.key),
            servers: wanted
                .servers
                .iter()
                .map(|server| self.server_status(wanted, server, live, now))
                .collect(),
        }
    }

    fn server_status(
        &self,
        service: &WantedService,
        wanted: &WantedServer,
        live: Option<&LiveService>,
        now: Monotonic,
    ) -> ServerStatus {
        let key = wanted.server.key;
        let live: Option<&LiveServer> =
            live.and_then(|live| live.servers.iter().find(|live| live.key == key));
        let (state, since, reason) = self.server_state(service, wanted, live, now);
        ServerStatus {
            name: wanted.name.clone(),
            address: key.address,
            port: key.port,
            forwarding: wanted.server.forwarding,
            state,
            since_seconds: since.as_secs(),
            reason,
            configured_weight: wanted.server.weight,
            weight: live.map(|live| live.weight),
            active: live.map_or(0, |live| live.active),
            inactive: live.map_or(0, |live| live.inactive),
            traffic: live.map_or_else(Traffic::default, |live| live.traffic),
            rates: self.rates.server(service.key, key),
            // What the data plane uses; for a server that it does not hold, what it would use.
            next_hop: match live {
                Some(live) => live.next_hop,
                None => self.hops.get(&key.address).copied().flatten(),
            },
        }
    }

    fn server_state(
        &self,
        service: &WantedService,
        wanted: &WantedServer,
        live: Option<&LiveServer>,
        now: Monotonic,
    ) -> (ServerState, Duration, Option<String>) {
        let id = MonitorId {
            service: service.key,
            server: wanted.server.key,
        };
        let Some(watched) = self.servers.get(&id) else {
            let since = now.since(self.loaded);
            let reason = "switched off in the configuration".to_owned();
            return (ServerState::Inactive, since, Some(reason));
        };
        let since = now.since(watched.since);
        match &watched.standing {
            Standing::Checking { adopted: None } => (ServerState::Checking, since, None),
            Standing::Checking { adopted: Some(_) } => {
                let reason = "as the data plane was found, until the first check".to_owned();
                (ServerState::Checking, since, Some(reason))
            }
            Standing::Up if wanted.server.weight == 0 => {
                let reason = "weight 0 in the configuration".to_owned();
                (ServerState::Quiesced, since, Some(reason))
            }
            Standing::Up => (ServerState::Up, since, None),
            Standing::Down { failure, .. } => {
                let state = match live {
                    Some(_) => ServerState::Quiesced,
                    None => ServerState::Down,
                };
                (state, since, Some(failure.to_string()))
            }
        }
    }
}

fn table_status(snapshot: &Snapshot) -> TableStatus {
    let servers = snapshot.services.iter();
    TableStatus {
        services: snapshot.services.len() as u64,
        services_capacity: snapshot.room.services.into(),
        servers: servers.map(|service| service.servers.len() as u64).sum(),
        servers_capacity: snapshot.room.servers.into(),
        memory_bytes: snapshot.room.memory,
    }
}
