//! The state of a director as a document: what `GET /v1/status` answers and `caribe status`
//! shows.

mod watch;

use std::collections::BTreeMap;
use std::net::IpAddr;

use caribe_dataplane::{LiveInterface, Traffic};
use caribe_model::{Forwarding, NextHop, Scheduler, ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

pub use watch::{
    HistoryQuery, MonitorStatus, Past, ProbeStatus, QuorumStatus, ServerHistory, WatchStatus,
};

/// The state of a director. Times are whole seconds before the answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the running director.
    pub version: String,
    /// Where in its life it is.
    pub phase: Phase,
    /// Seconds since it started.
    pub running_seconds: u64,
    /// The configuration in force.
    pub configuration: ConfigurationStatus,
    /// What was changed by hand since the configuration came into force, in words.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Servers that left the configuration and finish their connections.
    #[serde(default)]
    pub draining: Vec<DrainingStatus>,
    /// Connections that such servers still had when their time was up, since the start.
    #[serde(default)]
    pub abandoned_connections: u64,
    /// The data plane.
    pub dataplane: DataplaneStatus,
    /// Floating addresses.
    pub addresses: Vec<AddressStatus>,
    /// Virtual services, in the order of the file.
    pub services: Vec<ServiceStatus>,
}

/// A server that left the configuration and may finish its connections (`drain_timeout`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainingStatus {
    /// The service.
    pub service: ServiceKey,
    /// The server.
    pub server: ServerKey,
    /// Connections that it still has; `None` until they were counted.
    pub connections: Option<u64>,
    /// Seconds since it left the configuration.
    pub draining_seconds: u64,
    /// Seconds until it is removed in any case.
    pub seconds_left: u64,
}

/// Where in its life a director is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The first table or the addresses are not in place yet.
    Starting,
    /// All is in place.
    Running,
    /// A new configuration is being read or put in place.
    Reloading,
    /// Addresses and data plane are being taken down.
    Stopping,
}

/// The configuration in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfigurationStatus {
    /// The file.
    pub file: String,
    /// Its `serial_no`.
    pub serial_no: i64,
    /// Seconds since it was loaded.
    pub loaded_seconds_ago: u64,
    /// Reloads that took effect since the start.
    pub reloads: u64,
    /// Errors of the file as it was last read, when it was refused; the configuration in force
    /// is then the one before.
    pub refused: Vec<String>,
}

/// The data plane.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataplaneStatus {
    /// Taken over from a director that went without a clean stop.
    pub adopted: bool,
    /// Why the live table is not the desired one, or not on all its interfaces, if so.
    pub problem: Option<String>,
    /// Interfaces that carry the program, with their XDP mode.
    pub interfaces: Vec<LiveInterface>,
    /// Use of the connection table.
    pub connections: ConnectionsStatus,
    /// Use of the table of services.
    #[serde(default)]
    pub table: TableStatus,
    /// Packets by verdict.
    pub verdicts: BTreeMap<String, u64>,
}

/// Use of the connection table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsStatus {
    /// Connections alive.
    pub alive: u64,
    /// Entries that there is room for, both families together.
    pub capacity: u64,
    /// Memory of the table in bytes.
    pub memory_bytes: u64,
}

/// Use of the table of services. The sizes are those of the start; see `max_services` and
/// `max_servers`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableStatus {
    /// Virtual services in the data plane.
    pub services: u64,
    /// Virtual services that there is room for.
    pub services_capacity: u64,
    /// Real servers in the data plane, each counted once in each of its services.
    pub servers: u64,
    /// Real servers that there is room for.
    pub servers_capacity: u64,
    /// Memory of all that the data plane has in the kernel, the connection table included, in
    /// bytes.
    pub memory_bytes: u64,
}

/// A floating address.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressStatus {
    /// The address.
    pub address: IpAddr,
    /// Its prefix length.
    pub prefix: u8,
    /// The interface.
    pub interface: String,
    /// The label as configured; for IPv6, which has no labels, the interface.
    pub label: String,
    /// It is on the interface.
    pub present: bool,
    /// The director put it there and will take it off.
    pub own: bool,
    /// Why it is not there, if so.
    pub problem: Option<String>,
}

/// A virtual service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Name in the configuration.
    pub name: String,
    /// Identity.
    pub key: ServiceKey,
    /// Scheduler.
    pub scheduler: Scheduler,
    /// Traffic since the service was added.
    pub traffic: Traffic,
    /// Rates.
    pub rates: TrafficRates,
    /// Whether enough real servers can serve.
    #[serde(default)]
    pub quorum: QuorumStatus,
    /// Real servers, in the order of the file.
    pub servers: Vec<ServerStatus>,
}

/// A real server of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServerStatus {
    /// Name in the configuration.
    pub name: String,
    /// Address.
    pub address: IpAddr,
    /// Port.
    pub port: u16,
    /// Forwarding method.
    pub forwarding: Forwarding,
    /// Up, down, ...
    pub state: ServerState,
    /// Seconds in that state.
    pub since_seconds: u64,
    /// Why it is in that state, where there is more to say.
    pub reason: Option<String>,
    /// Weight as configured.
    pub configured_weight: u32,
    /// Weight in the live table; `None` while the server is not in it.
    pub weight: Option<u32>,
    /// Connections in an active state.
    pub active: u32,
    /// All other connections.
    pub inactive: u32,
    /// Traffic since the server was added.
    pub traffic: Traffic,
    /// Rates.
    pub rates: TrafficRates,
    /// The way there; `None` while it is not resolved.
    pub next_hop: Option<NextHop>,
    /// What its monitors, its agent and its operator say.
    #[serde(default)]
    pub watch: WatchStatus,
}

/// State of a real server in its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerState {
    /// Serving.
    Up,
    /// Failed, and not serving.
    Down,
    /// No verdict yet. It serves if the data plane that was adopted had it.
    Checking,
    /// In the table with weight 0: established connections go on, no new ones come.
    Quiesced,
    /// Taken out by its operator or its agent.
    Maintenance,
    /// Switched off in the configuration.
    Inactive,
}

/// Rates per second, by IPVS's estimator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrafficRates {
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
