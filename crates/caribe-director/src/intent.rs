//! What a configuration asks of a director, in the director's own terms.

mod monitoring;

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use caribe_config::config::{Config, FloatingAddress, VirtualService};
use caribe_health::{PoolRules, ServerRules, Settings};
use caribe_model::{
    Family, Forwarding, Policy, Scheduler, SchedulerOptions, Server, ServerKey, Service,
    ServiceKey, Table, TableError, Timeouts,
};

/// A configuration, reduced to what the director acts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// `serial_no`.
    pub serial_no: i64,
    /// Active services that can be balanced, in the order of the file.
    pub services: Vec<WantedService>,
    /// Floating addresses, each once, in the order of the file; the NAT router's first, as
    /// Piranha raises it.
    pub addresses: Vec<FloatingAddress>,
    /// Where the data plane belongs.
    pub interfaces: BTreeSet<String>,
    /// Idle timeouts of connections.
    pub timeouts: Timeouts,
    /// Capacity of the connection table per family, if the file gives one.
    pub connections: Option<u32>,
    /// Loading it leaves in place what was changed by hand.
    pub keep_overrides: bool,
    /// The policy of services that are added by hand.
    pub policy: Policy,
    /// Where each service is in `services`.
    places: HashMap<ServiceKey, usize>,
}

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
    /// How its connections are treated at the edges of their lives.
    pub policy: Policy,
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

/// Why a configuration that is legal by itself cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// No legal table holds it.
    #[error("virtual service `{name}` cannot be used: {source}")]
    Table {
        /// Name of the block.
        name: String,
        /// What is wrong.
        #[source]
        source: TableError,
    },
}

impl Intent {
    /// Reduces a configuration; `interfaces` are those of the command line.
    ///
    /// Services keyed by a firewall mark are left out: no data plane sees marks before the
    /// kernel's stack has set them, and the parser has warned about it.
    ///
    /// # Errors
    ///
    /// Refuses a configuration that no legal [`Table`] can hold.
    pub fn new(config: &Config, interfaces: &[String]) -> Result<Self, IntentError> {
        let mut services = Vec::new();
        let mut table = Table::default();
        for block in &config.services {
            if !block.active || block.mark.is_some() {
                continue;
            }
            let wanted = WantedService::new(block);
            table
                .insert(wanted.key, wanted.with(|server| Some(server.server.weight)))
                .map_err(|source| IntentError::Table {
                    name: wanted.name.clone(),
                    source,
                })?;
            services.push(wanted);
        }
        let defaults = Timeouts::default();
        let mut intent = Intent {
            serial_no: config.serial_no,
            addresses: addresses(config, &services),
            places: places(&services),
            services,
            interfaces: BTreeSet::new(),
            timeouts: Timeouts {
                tcp: config.timeouts.tcp.unwrap_or(defaults.tcp),
                tcp_fin: config.timeouts.tcp_fin.unwrap_or(defaults.tcp_fin),
                udp: config.timeouts.udp.unwrap_or(defaults.udp),
            },
            connections: config.connections,
            keep_overrides: config.keep_overrides,
            policy: Policy::default(),
        };
        let carriers = intent.addresses.iter().map(|floating| &floating.interface);
        let asked = carriers.chain(&config.interfaces).chain(interfaces);
        intent.interfaces = asked.cloned().collect();
        Ok(intent)
    }

    /// One of its services.
    pub fn service(&self, key: &ServiceKey) -> Option<&WantedService> {
        self.services.get(*self.places.get(key)?)
    }

    /// Addresses of all servers that are watched or stand by: the ways to them are kept warm.
    pub fn server_addresses(&self) -> BTreeSet<IpAddr> {
        let servers = self.services.iter().flat_map(WantedService::active_servers);
        let servers = servers.map(|server| &server.server);
        let sorry = self
            .services
            .iter()
            .filter_map(|service| service.sorry.as_ref());
        servers
            .chain(sorry)
            .map(|server| server.key.address)
            .collect()
    }

    /// Whether a server of that family is reached by NAT.
    pub fn uses_nat(&self, family: Family) -> bool {
        let mut servers = self.services.iter().flat_map(WantedService::active_servers);
        servers.any(|server| {
            server.server.forwarding == Forwarding::Nat
                && Family::from(server.server.key.address) == family
        })
    }
}

impl WantedService {
    fn new(block: &VirtualService) -> Self {
        WantedService {
            name: block.name.clone(),
            key: ServiceKey::Address {
                protocol: block.protocol,
                address: block.address.address,
                port: block.port,
            },
            scheduler: block.scheduler,
            options: block.options,
            policy: Policy::default(),
            pool: monitoring::pool(block),
            sorry: monitoring::sorry(block),
            notify: None,
            servers: block
                .servers
                .iter()
                .map(|server| WantedServer {
                    name: server.name.clone(),
                    active: server.active,
                    rules: monitoring::rules(block, server),
                    monitors: monitoring::monitors(block, server),
                    server: Server {
                        key: ServerKey {
                            address: server.address,
                            port: server.port,
                        },
                        forwarding: server.forwarding,
                        weight: server.weight,
                        encapsulation: Default::default(),
                        thresholds: Default::default(),
                    },
                })
                .collect(),
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
            persistence: None,
            one_packet: false,
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

fn places(services: &[WantedService]) -> HashMap<ServiceKey, usize> {
    let places = services.iter().enumerate();
    places.map(|(at, service)| (service.key, at)).collect()
}

/// Floating addresses: the NAT router's if anything is forwarded by NAT, then each VIP once, with
/// the device and prefix of its first service, as in Piranha.
fn addresses(config: &Config, services: &[WantedService]) -> Vec<FloatingAddress> {
    let nat = config.network == Forwarding::Nat
        || services
            .iter()
            .flat_map(WantedService::active_servers)
            .any(|server| server.server.forwarding == Forwarding::Nat);
    let router = config.nat_router.iter().filter(|_| nat);
    let balanced = config
        .services
        .iter()
        .filter(|block| block.active && block.mark.is_none())
        .map(|block| &block.address);
    let mut found: Vec<FloatingAddress> = Vec::new();
    for floating in router.chain(balanced) {
        if !found.iter().any(|other| other.address == floating.address) {
            found.push(floating.clone());
        }
    }
    found
}
