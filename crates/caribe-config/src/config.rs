//! What an lvs.cf means, once it is known to be legal.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use caribe_model::{Forwarding, Protocol, Scheduler, SchedulerOptions};

/// A whole lvs.cf.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `serial_no`: the administrator's version counter.
    pub serial_no: i64,
    /// `network`: forwarding method of every server that has none of its own.
    pub network: Forwarding,
    /// `nat_router` and `nat_nmask`: the floating inside address that NAT servers use as gateway;
    /// `None` also when nothing in the file is forwarded by NAT.
    pub nat_router: Option<FloatingAddress>,
    /// `interface` (Caribe's own, a list): where the data plane is attached in addition to the
    /// devices that carry a floating address.
    pub interfaces: Vec<String>,
    /// `connections` (Caribe's own): capacity of the connection table, per address family.
    pub connections: Option<u32>,
    /// `keep_overrides` (Caribe's own): loading this file leaves in place what was changed by
    /// hand.
    pub keep_overrides: bool,
    /// `tcp_timeout`, `tcpfin_timeout`, `udp_timeout`; `None` (key absent or 0) leaves IPVS's
    /// default.
    pub timeouts: ConfiguredTimeouts,
    /// Heartbeat, takeover and connection sync.
    pub redundancy: Redundancy,
    /// The `virtual` blocks, in the order of the file.
    pub services: Vec<VirtualService>,
}

/// Idle timeouts as configured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ConfiguredTimeouts {
    /// `tcp_timeout`.
    pub tcp: Option<Duration>,
    /// `tcpfin_timeout`.
    pub tcp_fin: Option<Duration>,
    /// `udp_timeout`.
    pub udp: Option<Duration>,
}

/// Everything about the second director. Nothing acts on it yet; it is kept as written.
#[derive(Debug, Clone, PartialEq)]
pub struct Redundancy {
    /// `primary`: own address of the primary director.
    pub primary: Option<IpAddr>,
    /// `primary_private`: its second heartbeat address.
    pub primary_private: Option<IpAddr>,
    /// `backup`: own address of the backup director; `None` when absent or 0.0.0.0.
    pub backup: Option<IpAddr>,
    /// `backup_private`: its second heartbeat address.
    pub backup_private: Option<IpAddr>,
    /// `backup_active`: there is a backup director.
    pub backup_active: bool,
    /// `heartbeat_port`.
    pub heartbeat_port: u16,
    /// `keepalive`: interval between heartbeats.
    pub keepalive: Duration,
    /// `deadtime`: silence after which the peer is dead.
    pub deadtime: Duration,
    /// `monitor_links`: give up activity when an own link loses carrier.
    pub monitor_links: bool,
    /// `syncdaemon`: replicate connections.
    pub sync: bool,
    /// `syncd_iface`.
    pub sync_interface: String,
    /// `syncd_id`, 0 to 255.
    pub sync_id: u8,
    /// `active_cmd`.
    pub active_command: Option<String>,
    /// `inactive_cmd`.
    pub inactive_command: Option<String>,
}

/// An address that the director puts on an interface and takes off again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FloatingAddress {
    /// The address.
    pub address: IpAddr,
    /// The real interface, e.g. `eth0` of `eth0:1`.
    pub interface: String,
    /// The label as written, e.g. `eth0:1`; only IPv4 addresses can carry it.
    pub label: String,
    /// Prefix length from `vip_nmask` or `nat_nmask`; 32 or 128 when the file gives none.
    pub prefix: u8,
}

/// A `virtual` block.
#[derive(Debug, Clone, PartialEq)]
pub struct VirtualService {
    /// Name of the block.
    pub name: String,
    /// `active`: inactive services are skipped completely.
    pub active: bool,
    /// `address` and `vip_nmask`: the VIP. Services that share a VIP hold equal values here:
    /// those of the first active one, as in Piranha.
    pub address: FloatingAddress,
    /// `fwmark`: the service is keyed by this mark instead of protocol, VIP and port.
    pub mark: Option<NonZeroU32>,
    /// `port`.
    pub port: u16,
    /// `protocol`.
    pub protocol: Protocol,
    /// `scheduler`.
    pub scheduler: Scheduler,
    /// `scheduler_flags` and `mh_table_size` (Caribe's own).
    pub options: SchedulerOptions,
    /// `sorry_server`: serves while no real server can.
    pub sorry_server: Option<IpAddr>,
    /// `persistent` and `pmask`.
    pub persistence: Option<Persistence>,
    /// How servers are watched.
    pub monitor: Monitor,
    /// `quiesce_server`: a failed server gets weight 0 instead of being removed.
    pub quiesce: bool,
    /// The `server` blocks, in the order of the file.
    pub servers: Vec<RealServer>,
}

/// Client affinity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// Lifetime of a template.
    pub timeout: Duration,
    /// Prefix length that groups clients: 32 or 128 is every client by itself.
    pub prefix: u8,
}

/// How a real server is found good or bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorKind {
    /// By a TCP connection to the server's address and port; the default of TCP services.
    Tcp,
    /// Not at all: an active server is always taken as up. The default of UDP services.
    None,
}

/// nanny's settings for a service.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// `monitor` (Caribe's own).
    pub kind: MonitorKind,
    /// `timeout`: check interval and limit of each I/O step, at least a second.
    pub timeout: Duration,
    /// `reentry`: how long a server that failed must stay good before it serves again.
    pub reentry: Duration,
    /// `send`, with its escapes expanded.
    pub send: Option<Vec<u8>>,
    /// `expect`, with its escapes expanded.
    pub expect: Option<String>,
    /// `use_regex`.
    pub use_regex: bool,
    /// `send_program`.
    pub send_program: Option<String>,
    /// `load_monitor`; `None` when absent or `none`.
    pub load_monitor: Option<String>,
}

/// A `server` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// Name of the block.
    pub name: String,
    /// `active`: an inactive server is neither watched nor used.
    pub active: bool,
    /// `address`.
    pub address: IpAddr,
    /// `port`; the service's when absent.
    pub port: u16,
    /// `weight`.
    pub weight: u32,
    /// `forward` of the server, else of the service, else `network`.
    pub forwarding: Forwarding,
}
