//! What an lvs.cf means, once it is known to be legal.

mod monitor;
mod redundancy;
mod server;
mod service;
mod table;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use caribe_model::{Defence, Forwarding, MarkRule, Policy, Tuning};

pub use monitor::{
    BodyMatch, CommandLine, Expectation, Http, HttpMethod, HttpVersion, Initial, LoadMonitor,
    LoadWatch, Monitor, MonitorBlock, MonitorKind, Probe, Quorum, RecordType, SlowStart, StatusSet,
    Timing, Tls, TlsIdentity, Trust,
};
pub use redundancy::Redundancy;
pub use server::RealServer;
pub use service::VirtualService;

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
    /// `control_group` (Caribe's own): the group that may use the control socket, by name or
    /// number; it need not exist.
    pub control_group: Option<String>,
    /// `tcp_timeout`, `tcpfin_timeout`, `udp_timeout`; `None` (key absent or 0) leaves IPVS's
    /// default.
    pub timeouts: ConfiguredTimeouts,
    /// `max_services`, `max_servers`: settled when the director starts.
    pub limits: Limits,
    /// `flood_guard`, `drop_entry` and so on: what holds for the whole data plane.
    pub tuning: Tuning,
    /// How connections are treated where no service says otherwise: also in services that are
    /// made by hand.
    pub policy: Policy,
    /// `secure_tcp`. `policy` has it set when it is [`Defence::On`]; while it is
    /// [`Defence::Automatic`], it is for the director to switch.
    pub secure_tcp: Defence,
    /// The active `mark` blocks, in the order of the file, in which they are applied.
    pub marks: Vec<Mark>,
    /// Heartbeat, takeover and connection sync.
    pub redundancy: Redundancy,
    /// The `virtual` blocks, in the order of the file; shared with the configurations before and
    /// after, where a block does not change.
    pub services: Vec<Arc<VirtualService>>,
}

/// `flood_guard` of a file that does not say it; the reference says why.
const FLOOD_GUARD: u32 = 200_000;

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
            control_group: None,
            timeouts: ConfiguredTimeouts::default(),
            limits: Limits::default(),
            tuning: Tuning {
                flood_guard: FLOOD_GUARD,
                ..Tuning::default()
            },
            policy: Policy::default(),
            secure_tcp: Defence::Off,
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
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            services: 1_024,
            servers: 16_384,
        }
    }
}

/// An active `mark` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Name of the block.
    pub name: String,
    /// What it says.
    pub rule: MarkRule,
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
