//! Services and servers as a configuration wants them.

use std::time::Duration;

use caribe_config::config::{MonitorKind, VirtualService};
use caribe_health::{Check, Settings};
use caribe_model::{
    Defence, Family, Persistence, Policy, Protocol, Scheduler, SchedulerOptions, Server, ServerKey,
    Service, ServiceKey,
};

/// A virtual service to be balanced.
#[derive(Debug, Clone, PartialEq)]
pub struct WantedService {
    /// Name of the block.
    pub name: String,
    /// Identity.
    pub key: ServiceKey,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// The scheduler's flags and sizes.
    pub options: SchedulerOptions,
    /// Client affinity.
    pub persistence: Option<Persistence>,
    /// Every datagram is scheduled by itself.
    pub one_packet: bool,
    /// How its connections are treated at the edges of their lives.
    pub policy: Policy,
    /// When established connections ask for the server's own word.
    pub secure_tcp: Defence,
    /// How long a server that leaves the file may finish its connections; zero: it is removed at
    /// once.
    pub drain_timeout: Duration,
    /// A failed server keeps its place with weight 0.
    pub quiesce: bool,
    /// How its servers are watched.
    pub settings: Settings,
    /// Its servers, inactive ones included, in the order of the file.
    pub servers: Vec<WantedServer>,
}

/// A real server of a [`WantedService`].
#[derive(Debug, Clone, PartialEq)]
pub struct WantedServer {
    /// Name of the block.
    pub name: String,
    /// `active`: others are neither watched nor used.
    pub active: bool,
    /// As the data plane shall hold it while it serves.
    pub server: Server,
}

impl WantedService {
    pub(crate) fn new(block: &VirtualService) -> Self {
        let key = match block.mark {
            Some(mark) => ServiceKey::Mark {
                family: Family::from(block.address.address),
                mark,
            },
            None => ServiceKey::Address {
                protocol: block.protocol,
                address: block.address.address,
                port: block.port,
            },
        };
        WantedService {
            name: block.name.clone(),
            key,
            scheduler: block.scheduler,
            options: block.options,
            persistence: block.persistence,
            one_packet: block.one_packet,
            policy: block.policy,
            secure_tcp: block.secure_tcp,
            drain_timeout: block.drain_timeout,
            quiesce: block.quiesce,
            settings: Settings {
                check: match block.monitor.kind {
                    MonitorKind::Piranha if block.protocol != Protocol::Tcp => Check::None,
                    MonitorKind::Piranha | MonitorKind::Tcp => Check::Tcp,
                    MonitorKind::None => Check::None,
                },
                timeout: block.monitor.timeout,
                reentry: block.monitor.reentry,
            },
            servers: block
                .servers
                .iter()
                .map(|server| WantedServer {
                    name: server.name.clone(),
                    active: server.active,
                    server: Server {
                        key: ServerKey {
                            address: server.address,
                            port: server.port,
                        },
                        forwarding: server.forwarding,
                        weight: server.weight,
                        encapsulation: server.encapsulation,
                        thresholds: server.thresholds,
                    },
                })
                .collect(),
        }
    }

    /// Takes the servers of a service with the same mark, those that it has already excepted.
    pub(crate) fn join(&mut self, other: WantedService) {
        for server in other.servers {
            let known = |own: &WantedServer| own.active && own.server.key == server.server.key;
            if !(server.active && self.servers.iter().any(known)) {
                self.servers.push(server);
            }
        }
    }

    /// Servers that are watched and used.
    pub fn active_servers(&self) -> impl Iterator<Item = &WantedServer> {
        self.servers.iter().filter(|server| server.active)
    }

    /// The service as the data plane shall hold it, but for its servers.
    pub(crate) fn without_servers(&self) -> Service {
        Service {
            scheduler: self.scheduler,
            options: self.options,
            persistence: self.persistence,
            one_packet: self.one_packet,
            policy: self.policy,
            servers: Vec::new(),
        }
    }

    /// The service as the data plane shall hold it: each active server with the weight that
    /// `weight` gives it, or left out on `None`.
    pub fn with(&self, weight: impl Fn(&WantedServer) -> Option<u32>) -> Service {
        let servers = self.active_servers().filter_map(|server| {
            Some(Server {
                weight: weight(server)?,
                ..server.server.clone()
            })
        });
        Service {
            servers: servers.collect(),
            ..self.without_servers()
        }
    }
}
