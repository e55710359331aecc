//! The trait that every data plane fulfils, and the picture of itself that it gives.

use std::collections::BTreeMap;
use std::net::IpAddr;

use caribe_model::{
    Encapsulation, Forwarding, NextHop, Persistence, Policy, Scheduler, SchedulerOptions, Server,
    ServerKey, Service, ServiceKey, Table, Thresholds, Timeouts, Tuning,
};
use serde::{Deserialize, Serialize};

/// Something that forwards packets by a [`Table`].
pub trait Dataplane {
    /// Makes the live table equal to `desired`, touching only what differs; established
    /// connections of everything else go on.
    ///
    /// # Errors
    ///
    /// Refuses a table beyond the capacity of the data plane, with nothing changed, and reports
    /// what the kernel refused.
    fn apply(&mut self, desired: &Table) -> Result<Applied, DataplaneError>;

    /// Tells how frames reach a real server's address; `None` when it cannot be reached now.
    /// A server whose next hop is unknown gets no packets (they are dropped and counted).
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    fn set_next_hop(
        &mut self,
        address: IpAddr,
        next_hop: Option<NextHop>,
    ) -> Result<(), DataplaneError>;

    /// Sets the idle timeouts of connections, from their next packet on.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    fn set_timeouts(&mut self, timeouts: Timeouts) -> Result<(), DataplaneError>;

    /// Sets what concerns every service alike: defences, the flood guard, ICMP, expirations.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    fn set_tuning(&mut self, tuning: Tuning) -> Result<(), DataplaneError>;

    /// Removes expired connections and corrects counters. To be called every half second or so;
    /// a connection is removed at most a second after it expired.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    fn sweep(&mut self) -> Result<Swept, DataplaneError>;

    /// The live table with its counters, read back from the data plane itself.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    fn snapshot(&self) -> Result<Snapshot, DataplaneError>;
}

/// What [`Dataplane::apply`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Steps taken; 0 when the table was already as desired.
    pub changes: usize,
}

/// What [`Dataplane::sweep`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Swept {
    /// Connections that are alive.
    pub alive: u64,
    /// Connections that had expired and were removed.
    pub removed: u64,
}

/// Why the data plane could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DataplaneError {
    /// The table needs more room than the data plane was started with.
    #[error("the table needs {needed} {what}, the data plane was started with room for {room}")]
    Capacity {
        /// What ran out, in the plural.
        what: &'static str,
        /// How many the table needs.
        needed: usize,
        /// How many there is room for.
        room: usize,
    },
    /// The kernel refused an operation.
    #[error("{action}: {source}")]
    Kernel {
        /// What was tried, on what.
        action: String,
        /// The kernel's answer.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// The live state of the data plane.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Services, ordered by key.
    pub services: Vec<LiveService>,
    /// Connections alive, templates included.
    pub connections: u64,
    /// Capacity of the connection table (entries of both families).
    pub capacity: u64,
    /// Memory of the connection table in bytes.
    pub memory: u64,
    /// How much else there is room for.
    #[serde(default)]
    pub room: LiveRoom,
    /// Packets by verdict name, e.g. `forwarded`, `passed_not_ours`, `dropped_ttl`; every name is
    /// present. The sum is the number of packets seen.
    pub verdicts: BTreeMap<String, u64>,
    /// What happened to packets beside their verdict, by name, e.g. `displaced_embryonic`; every
    /// name is present.
    #[serde(default)]
    pub events: BTreeMap<String, u64>,
    /// Interfaces that carry the program, with the XDP mode of each.
    pub interfaces: Vec<LiveInterface>,
}

/// Sizes with which the data plane was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRoom {
    /// Virtual services.
    pub services: u32,
    /// Real servers, each counted once in each of its services.
    pub servers: u32,
    /// Memory of all maps in bytes, that of the connection table included.
    pub memory: u64,
}

/// An interface with the XDP program attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveInterface {
    /// Name of the interface.
    pub name: String,
    /// Index of the interface.
    pub index: u32,
    /// `native` (in the driver) or `generic` (in the stack: slower).
    pub mode: String,
}

/// A service as the data plane holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveService {
    /// Identity.
    pub key: ServiceKey,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// The scheduler's flags and sizes.
    #[serde(default)]
    pub options: SchedulerOptions,
    /// Client affinity.
    #[serde(default)]
    pub persistence: Option<Persistence>,
    /// Every datagram is scheduled by itself.
    #[serde(default)]
    pub one_packet: bool,
    /// How connections are treated at the edges of their lives.
    #[serde(default)]
    pub policy: Policy,
    /// Servers, newest first, as IPVS lists them.
    pub servers: Vec<LiveServer>,
    /// Traffic of the service: of its servers, removed ones included.
    pub traffic: Traffic,
}

/// A real server as the data plane holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveServer {
    /// Identity.
    pub key: ServerKey,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Weight.
    pub weight: u32,
    /// How a tunnel to it wraps packets.
    #[serde(default)]
    pub encapsulation: Encapsulation,
    /// How many connections it takes.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// It reached its upper threshold and takes no new connection.
    #[serde(default)]
    pub overloaded: bool,
    /// Connections in an active state.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Templates of persistent clients that name it, as the last sweep counted them.
    #[serde(default)]
    pub persistent: u32,
    /// Counters since the server was added.
    pub traffic: Traffic,
    /// The way there; `None` while it is not resolved.
    pub next_hop: Option<NextHop>,
}

impl LiveService {
    /// A service of a table as it begins: no traffic, no connections, no way known yet.
    pub fn fresh(key: ServiceKey, service: &Service) -> Self {
        LiveService {
            key,
            scheduler: service.scheduler,
            options: service.options,
            persistence: service.persistence,
            one_packet: service.one_packet,
            policy: service.policy,
            servers: service
                .servers
                .iter()
                .rev()
                .map(LiveServer::fresh)
                .collect(),
            traffic: Traffic::default(),
        }
    }
}

impl LiveServer {
    /// The server as a table says it.
    pub fn model(&self) -> Server {
        Server {
            key: self.key,
            forwarding: self.forwarding,
            weight: self.weight,
            encapsulation: self.encapsulation,
            thresholds: self.thresholds,
        }
    }

    /// A server of a table as it begins.
    pub fn fresh(server: &Server) -> Self {
        LiveServer {
            key: server.key,
            forwarding: server.forwarding,
            weight: server.weight,
            encapsulation: server.encapsulation,
            thresholds: server.thresholds,
            overloaded: false,
            active: 0,
            inactive: 0,
            persistent: 0,
            traffic: Traffic::default(),
            next_hop: None,
        }
    }
}

/// Monotonic counters. Bytes are IP packet lengths before any encapsulation, as in IPVS.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Connections scheduled.
    pub connections: u64,
    /// Packets from clients.
    pub packets_in: u64,
    /// Bytes from clients.
    pub bytes_in: u64,
    /// Packets to clients that passed the director.
    pub packets_out: u64,
    /// Bytes to clients that passed the director.
    pub bytes_out: u64,
}

impl Traffic {
    /// Both together; counters wrap.
    #[must_use]
    pub fn plus(&self, other: &Traffic) -> Traffic {
        Traffic {
            connections: self.connections.wrapping_add(other.connections),
            packets_in: self.packets_in.wrapping_add(other.packets_in),
            bytes_in: self.bytes_in.wrapping_add(other.bytes_in),
            packets_out: self.packets_out.wrapping_add(other.packets_out),
            bytes_out: self.bytes_out.wrapping_add(other.bytes_out),
        }
    }
}
