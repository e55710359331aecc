//! Synchronization daemons, and the timeouts of `--set`.

use std::fmt;
use std::net::IpAddr;

/// Which way a daemon synchronizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DaemonRole {
    /// It tells its connections to others.
    Master,
    /// It listens.
    Backup,
}

impl DaemonRole {
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "master" => Some(DaemonRole::Master),
            "backup" => Some(DaemonRole::Backup),
            _ => None,
        }
    }
}

impl fmt::Display for DaemonRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            DaemonRole::Master => "master",
            DaemonRole::Backup => "backup",
        })
    }
}

/// A synchronization daemon. What is `None` was not said, and the kernel's own default holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemon {
    /// Which way.
    pub role: DaemonRole,
    /// `--mcast-interface`, at most 15 bytes.
    pub interface: String,
    /// `--syncid`.
    pub sync_id: u8,
    /// `--sync-maxlen`: longest message in bytes, 1 to 65507.
    pub longest: Option<u16>,
    /// `--mcast-group`: a multicast address.
    pub group: Option<IpAddr>,
    /// `--mcast-port`, not 0.
    pub port: Option<u16>,
    /// `--mcast-ttl`, not 0.
    pub ttl: Option<u8>,
}

impl Daemon {
    /// The interface when none is given.
    pub(crate) const INTERFACE: &'static str = "eth0";
}

/// Idle timeouts of connections, in seconds. In `--set`, 0 leaves one as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// An established TCP connection.
    pub tcp: u32,
    /// A TCP connection after a FIN.
    pub tcp_fin: u32,
    /// UDP.
    pub udp: u32,
}
