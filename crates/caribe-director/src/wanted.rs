//! Services and servers as a configuration wants them.

mod checks;
mod monitoring;

use std::sync::Arc;
use std::time::Duration;

use caribe_config::config::{RealServer, VirtualService};
use caribe_health::{PoolRules, ServerRules, Settings};
use caribe_model::{
    Defence, Family, Persistence, Policy, Scheduler, SchedulerOptions, Server, ServerKey, Service,
    ServiceKey,
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
    /// What its servers' monitors come to together.
    pub pool: PoolRules,
    /// The server that serves alone without a quorum.
    pub sorry: Option<Server>,
    /// What is run when something happens to it.
    pub notify: Option<NotifyProgram>,
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
    /// What is configured about its weight.
    pub rules: ServerRules,
    /// How it is watched; all of them must pass.
    pub monitors: Vec<Arc<Settings>>,
}

/// A program that is run when something happens, with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NotifyProgram(pub Vec<String>);

impl WantedService {
    /// What a block asks.
    ///
    /// # Errors
    ///
    /// Why a monitor cannot be made of what the block says.
    pub(crate) fn new(block: &VirtualService) -> Result<Self, String> {
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
        Ok(WantedService {
            name: block.name.clone(),
            key,
            scheduler: block.scheduler,
            options: block.options,
            persistence: block.persistence,
            one_packet: block.one_packet,
            policy: block.policy,
            secure_tcp: block.secure_tcp,
            drain_timeout: block.drain_timeout,
            pool: monitoring::pool(block),
            sorry: block.sorry_server.as_ref().map(server),
            notify: block
                .notify
                .as_ref()
                .map(|program| NotifyProgram(program.words().to_vec())),
            servers: monitoring::servers(block)?,
        })
    }

    /// Takes the servers of a service with the same mark, those that it has already excepted.
    pub(crate) fn join(&mut self, other: &WantedService) {
        for server in &other.servers {
            let known = |own: &WantedServer| own.active && own.server.key == server.server.key;
            if !(server.active && self.servers.iter().any(known)) {
                self.servers.push(server.clone());
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

/// A server as the data plane shall hold it.
fn server(block: &RealServer) -> Server {
    Server {
        key: ServerKey {
            address: block.address,
            port: block.port,
        },
        forwarding: block.forwarding,
        weight: block.weight,
        encapsulation: block.encapsulation,
        thresholds: block.thresholds,
    }
}
