//! What an lvs.cf means, once it is known to be legal.

mod mark;
mod monitor;
mod policy;
mod redundancy;
mod server;
mod service;

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use caribe_model::Forwarding;

pub use mark::{MarkRule, MarkedProtocols, Network, PortSet};
pub use monitor::{Monitor, MonitorKind};
pub use policy::{ConnectionReuse, Defence, DirectorPolicy, ServicePolicy};
pub use redundancy::Redundancy;
pub use server::{Encapsulation, GueChecksum, RealServer, Thresholds};
pub use service::{MssClamp, Persistence, VirtualService};

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
    /// `max_services`, `max_servers`, `flood_guard`: settled when the director starts.
    pub limits: Limits,
    /// How connections are dropped and ICMP is treated, for the whole director.
    pub policy: DirectorPolicy,
    /// How connections are kept and reused where no service says otherwise: also in services that
    /// are made by hand.
    pub service_policy: ServicePolicy,
    /// The active `mark` blocks, in the order of the file.
    pub marks: Vec<MarkRule>,
    /// Heartbeat, takeover and connection sync.
    pub redundancy: Redundancy,
    /// The `virtual` blocks, in the order of the file.
    pub services: Vec<VirtualService>,
}

impl Default for Config {
    /// What a file without a statement or a block would mean.
    fn default() -> Self {
        Config {
            serial_no: 0,
            network: Forwarding::Nat,
            nat_router: None,
            interfaces: Vec::new(),
            connections: None,
            keep_overrides: false,
            timeouts: ConfiguredTimeouts::default(),
            limits: Limits::default(),
            policy: DirectorPolicy::default(),
            service_policy: ServicePolicy::default(),
            marks: Vec::new(),
            redundancy: Redundancy::default(),
            services: Vec::new(),
        }
    }
}

/// How much the data plane has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `max_services`, 1 to 65,536.
    pub services: u32,
    /// `max_servers`, 1 to 1,048,576; a machine counts once in each service that it serves.
    pub servers: u32,
    /// `flood_guard`: new connections a second and processor above which packets are scheduled
    /// without being entered; `None`: never.
    pub flood_guard: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            services: 1_024,
            servers: 16_384,
            flood_guard: NonZeroU32::new(200_000),
        }
    }
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
