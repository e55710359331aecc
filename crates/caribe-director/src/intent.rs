//! What a configuration asks of a director, in the director's own terms.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use caribe_config::config::{Config, FloatingAddress, Limits, VirtualService};
use caribe_model::{
    Defence, Family, Forwarding, MarkRule, Policy, ServiceKey, Table, TableError, Timeouts, Tuning,
};

use crate::WantedService;

/// A configuration, reduced to what the director acts on.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// `serial_no`.
    pub serial_no: i64,
    /// Active services, in the order of the file. Blocks that share a firewall mark are one
    /// service, as they are for IPVS: that of the first, with the servers of all. Those whose block
    /// did not change are shared with the configuration before.
    pub services: Vec<Arc<WantedService>>,
    /// Floating addresses, each once, in the order of the file; the NAT router's first, as
    /// Piranha raises it.
    pub addresses: Vec<FloatingAddress>,
    /// Where the data plane belongs.
    pub interfaces: BTreeSet<String>,
    /// Idle timeouts of connections.
    pub timeouts: Timeouts,
    /// What holds for the whole data plane.
    pub tuning: Tuning,
    /// By which rules packets get firewall marks; the last one that matches counts.
    pub marks: Vec<MarkRule>,
    /// Capacity of the connection table per family, if the file gives one.
    pub connections: Option<u32>,
    /// How much the data plane has room for.
    pub limits: Limits,
    /// Loading it leaves in place what was changed by hand.
    pub keep_overrides: bool,
    /// The group that may use the control socket.
    pub control_group: Option<String>,
    /// The policy of services that are added by hand.
    pub policy: Policy,
    /// `secure_tcp` of services that are added by hand.
    pub secure_tcp: Defence,
    /// Where each service is in `services`.
    places: HashMap<ServiceKey, usize>,
    /// The block that each service, in the order of `services`, comes from; the first, if there are
    /// more.
    blocks: Vec<Arc<VirtualService>>,
}

/// Why a configuration that is legal by itself cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    /// A check cannot be made of what the file says.
    #[error("the servers of virtual service `{name}` cannot be watched: {reason}")]
    Monitor {
        /// Name of the block.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// No legal table holds it.
    #[error("virtual service `{name}` cannot be used: {source}")]
    Table {
        /// Name of the block.
        name: String,
        /// What is wrong.
        #[source]
        source: TableError,
    },
    /// The rules for marks are none.
    #[error("the `mark` blocks cannot be used: {0}")]
    Marks(TableError),
}

impl Intent {
    /// Reduces a configuration; `interfaces` are those of the command line.
    ///
    /// # Errors
    ///
    /// Refuses a configuration that no legal [`Table`] can hold.
    pub fn new(config: &Config, interfaces: &[String]) -> Result<Self, IntentError> {
        Intent::after(None, config, interfaces)
    }

    /// The same, with what can be taken over from the intent before.
    ///
    /// # Errors
    ///
    /// As [`Intent::new`].
    pub fn after(
        before: Option<&Intent>,
        config: &Config,
        interfaces: &[String],
    ) -> Result<Self, IntentError> {
        let mut services: Vec<Arc<WantedService>> = Vec::new();
        let mut blocks: Vec<Arc<VirtualService>> = Vec::new();
        let mut places: HashMap<ServiceKey, usize> = HashMap::with_capacity(config.services.len());
        for block in config.services.iter().filter(|block| block.active) {
            let known = before.and_then(|before| before.made_of(block));
            let wanted = match known {
                Some(known) => Arc::clone(known),
                None => {
                    let wanted = WantedService::new(block);
                    Arc::new(wanted.map_err(|reason| IntentError::Monitor {
                        name: block.name.clone(),
                        reason,
                    })?)
                }
            };
            let shared = matches!(wanted.key, ServiceKey::Mark { .. });
            match places.get(&wanted.key).filter(|_| shared) {
                Some(place) => Arc::make_mut(&mut services[*place]).join(&wanted),
                None => {
                    places.insert(wanted.key, services.len());
                    services.push(wanted);
                    blocks.push(Arc::clone(block));
                }
            }
        }
        // What was taken over has been checked, but not who else has its identity now.
        let mut table = Table::default();
        let unique = places.len() == services.len();
        let known = |wanted: &Arc<WantedService>| {
            let known = before.and_then(|before| before.shared(&wanted.key));
            unique && known.is_some_and(|known| Arc::ptr_eq(known, wanted))
        };
        for wanted in services.iter().filter(|wanted| !known(wanted)) {
            let inserted =
                table.insert(wanted.key, wanted.with(|server| Some(server.server.weight)));
            inserted.map_err(|source| IntentError::Table {
                name: wanted.name.clone(),
                source,
            })?;
        }
        let marks: Vec<MarkRule> = config.marks.iter().map(|mark| mark.rule.clone()).collect();
        table.set_marks(marks.clone()).map_err(IntentError::Marks)?;
        let defaults = Timeouts::default();
        let addresses = addresses(config, &services);
        let carriers = addresses.iter().map(|floating| &floating.interface);
        let asked = carriers.chain(&config.interfaces).chain(interfaces);
        Ok(Intent {
            serial_no: config.serial_no,
            interfaces: asked.cloned().collect(),
            addresses,
            services,
            timeouts: Timeouts {
                tcp: config.timeouts.tcp.unwrap_or(defaults.tcp),
                tcp_fin: config.timeouts.tcp_fin.unwrap_or(defaults.tcp_fin),
                udp: config.timeouts.udp.unwrap_or(defaults.udp),
            },
            tuning: config.tuning,
            marks,
            connections: config.connections,
            limits: config.limits,
            keep_overrides: config.keep_overrides,
            control_group: config.control_group.clone(),
            policy: config.policy,
            secure_tcp: config.secure_tcp,
            places,
            blocks,
        })
    }

    /// What a block, the very same, was made into. Marks are left out: several blocks may feed one.
    fn made_of(&self, block: &Arc<VirtualService>) -> Option<&Arc<WantedService>> {
        let key = block.key();
        let place = *self.places.get(&key)?;
        let same = Arc::ptr_eq(self.blocks.get(place)?, block);
        let wanted = self.services.get(place)?;
        (same && matches!(key, ServiceKey::Address { .. })).then_some(wanted)
    }

    /// Services that are not what they were `before`, that were not there, and that are not here.
    pub(crate) fn changes(&self, before: &Intent) -> BTreeSet<ServiceKey> {
        let same = |wanted: &Arc<WantedService>| {
            let known = before.shared(&wanted.key);
            known.is_some_and(|known| Arc::ptr_eq(known, wanted) || known == wanted)
        };
        let other = self.services.iter().filter(|wanted| !same(wanted));
        let gone = before.services.iter();
        let gone = gone.filter(|known| !self.places.contains_key(&known.key));
        other.chain(gone).map(|wanted| wanted.key).collect()
    }

    fn shared(&self, key: &ServiceKey) -> Option<&Arc<WantedService>> {
        self.services.get(*self.places.get(key)?)
    }

    /// One of its services.
    pub fn service(&self, key: &ServiceKey) -> Option<&WantedService> {
        self.shared(key).map(Arc::as_ref)
    }

    /// Addresses of all servers that are watched or stand by: the ways to them are kept warm.
    pub fn server_addresses(&self) -> BTreeSet<IpAddr> {
        let servers = self
            .services
            .iter()
            .flat_map(|wanted| wanted.active_servers());
        let servers = servers.map(|server| &server.server);
        let sorry = self
            .services
            .iter()
            .filter_map(|service| service.sorry.as_ref());
        let servers = servers.chain(sorry);
        let addresses: HashSet<IpAddr> = servers.map(|server| server.key.address).collect();
        addresses.into_iter().collect()
    }

    /// Whether a server of that family is reached by NAT.
    pub fn uses_nat(&self, family: Family) -> bool {
        let mut servers = self
            .services
            .iter()
            .flat_map(|wanted| wanted.active_servers());
        servers.any(|server| {
            server.server.forwarding == Forwarding::Nat
                && Family::from(server.server.key.address) == family
        })
    }
}

/// Floating addresses: the NAT router's if anything is forwarded by NAT, then each VIP once, with
/// the device and prefix of its first service, as in Piranha: those of firewall marks as well.
fn addresses(config: &Config, services: &[Arc<WantedService>]) -> Vec<FloatingAddress> {
    let nat = config.network == Forwarding::Nat
        || services
            .iter()
            .flat_map(|wanted| wanted.active_servers())
            .any(|server| server.server.forwarding == Forwarding::Nat);
    let router = config.nat_router.iter().filter(|_| nat);
    let blocks = config.services.iter().filter(|block| block.active);
    let mut seen: HashSet<IpAddr> = HashSet::new();
    let all = router.chain(blocks.map(|block| &block.address));
    let once = all.filter(|floating| seen.insert(floating.address));
    once.cloned().collect()
}
