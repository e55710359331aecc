//! The director's state, for people and programs.

use std::collections::{BTreeMap, HashMap};

use caribe_dataplane::{LiveServer, LiveService, Snapshot, Traffic};
use caribe_health::MonitorId;
use caribe_health::probe::Finding;
use caribe_model::{Monotonic, ServiceKey, Timeouts};

use super::addresses::State;
use super::{Director, Taken};
use crate::notice::place;
use crate::{
    AddressStatus, ConfigurationStatus, ConnectionsStatus, DataplaneStatus, LiveTable,
    ServerStatus, ServiceStatus, Status, TableService, TableStatus, WantedServer, WantedService,
};

impl Director {
    /// Everything about the director, with the live counters of `snapshot`, and what each monitor
    /// found last.
    pub fn status(
        &self,
        snapshot: &Snapshot,
        latest: &[(MonitorId, Finding)],
        now: Monotonic,
    ) -> Status {
        let latest = latest.iter().map(|(id, finding)| (id, finding)).collect();
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
                .map(|service| {
                    let live = live.get(&service.key).copied();
                    self.service_status(service, live, &latest, now)
                })
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
        let up = self.servers.up();
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
        latest: &BTreeMap<&MonitorId, &Finding>,
        now: Monotonic,
    ) -> ServiceStatus {
        ServiceStatus {
            name: wanted.name.clone(),
            key: wanted.key,
            scheduler: wanted.scheduler,
            traffic: live.map(|live| live.traffic).unwrap_or_default(),
            rates: self.rates.service(wanted.key),
            quorum: self.quorum_status(wanted),
            servers: wanted
                .servers
                .iter()
                .map(|server| self.server_status(wanted, server, live, latest, now))
                .collect(),
        }
    }

    fn server_status(
        &self,
        service: &WantedService,
        wanted: &WantedServer,
        live: Option<&LiveService>,
        latest: &BTreeMap<&MonitorId, &Finding>,
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
            watch: self.watch_status(service, wanted, latest, now),
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
