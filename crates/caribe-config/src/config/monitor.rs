//! How a real server is watched.

use std::time::Duration;

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

impl Default for Monitor {
    /// What Piranha takes when the file says nothing.
    fn default() -> Self {
        Monitor {
            kind: MonitorKind::Tcp,
            timeout: Duration::from_secs(10),
            reentry: Duration::from_secs(180),
            send: None,
            expect: None,
            use_regex: false,
            send_program: None,
            load_monitor: None,
        }
    }
}
