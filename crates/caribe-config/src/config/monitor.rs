//! How a real server is watched: Piranha's one check, and `monitor` blocks. All must pass.

mod http;
mod probe;
mod timing;

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::time::Duration;

pub use http::{BodyMatch, Http, HttpMethod, HttpVersion, StatusSet};
pub use probe::{CommandLine, Expectation, Probe, RecordType, Tls, TlsIdentity, Trust};
pub use timing::{Initial, Timing};

/// Piranha's check of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MonitorKind {
    /// As nanny does: by `send_program`; else by `send` and `expect` over the service's protocol;
    /// without either by a GET if the service's port is 80, and by a TCP connection if not. The
    /// default of TCP services, and of others that have a `send_program` or an `expect`.
    Piranha,
    /// By a TCP connection, with `send` and `expect` if there are any, whatever the service's
    /// protocol: `monitor = tcp`.
    Tcp,
    /// Not at all: a server without `monitor` blocks is always taken as up. The default of other
    /// services, and of all that have `monitor` blocks.
    None,
}

/// Piranha's settings for a service.
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
    /// `use_regex`: `expect` is a regular expression, a legal one.
    pub use_regex: bool,
    /// `send_program`.
    pub send_program: Option<CommandLine>,
}

impl Default for Monitor {
    /// What Piranha takes when the file says nothing.
    fn default() -> Self {
        Monitor {
            kind: MonitorKind::Piranha,
            timeout: Duration::from_secs(10),
            reentry: Duration::from_secs(180),
            send: None,
            expect: None,
            use_regex: false,
            send_program: None,
        }
    }
}

/// A `monitor` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MonitorBlock {
    /// What is checked; its kind is the name of the block.
    pub probe: Probe,
    /// `port`; `None`: the server's.
    pub port: Option<NonZeroU16>,
    /// `through = vip`: addressed to the VIP, on the way of the data to this server.
    pub through_vip: bool,
    /// `source`.
    pub source: Option<IpAddr>,
    /// `interface`.
    pub interface: Option<String>,
    /// When it is checked, and how often to be believed.
    pub timing: Timing,
}

/// Where a server's load comes from, by which its weight is changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadMonitor {
    /// `rup`: rstatd, by Sun RPC.
    Rup,
    /// `ruptime`: rwhod's broadcasts.
    Ruptime,
    /// `uptime`, by `rsh_command`, and `ssh`: what `uptime` says there.
    Uptime {
        /// The remote shell with its arguments; address and `uptime` follow.
        shell: CommandLine,
    },
    /// `agent`: a text that the server gives on this TCP port.
    Agent {
        /// `agent_port`.
        port: NonZeroU16,
    },
    /// A command that prints the load; the server's address follows.
    Program(CommandLine),
}

/// `load_monitor` with its interval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadWatch {
    /// Where the load comes from.
    pub source: LoadMonitor,
    /// `load_interval`; `None`: nanny's cadence.
    pub interval: Option<Duration>,
}

/// How a server that comes back gets its weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SlowStart {
    /// A 32nd, doubled about every 20 seconds: what nanny does.
    #[default]
    Nanny,
    /// A 32nd, doubled so often.
    Every(Duration),
    /// All of it at once.
    Off,
}

/// When a service has enough servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quorum {
    /// `quorum`: with fewer servers the service is down; at least 1.
    pub down_below: u32,
    /// `quorum_up`: with so many it is up again; at least `down_below`.
    pub up_from: u32,
    /// `keep_below`: when fewer than so many percent of the servers would be left, those that
    /// fail are kept; 0: never.
    pub keep_below: u8,
}

impl Default for Quorum {
    /// One server is enough, and each that fails leaves.
    fn default() -> Self {
        Quorum {
            down_below: 1,
            up_from: 1,
            keep_below: 0,
        }
    }
}
