//! Idle timeouts of connections.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The three timeouts of `ipvsadm --set`; the rest of IPVS's timeouts are fixed by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// An established TCP connection without traffic.
    pub tcp: Duration,
    /// A TCP connection after a FIN.
    pub tcp_fin: Duration,
    /// UDP without traffic.
    pub udp: Duration,
}

impl Default for Timeouts {
    /// IPVS's defaults: 900, 120 and 300 seconds.
    fn default() -> Self {
        Timeouts {
            tcp: Duration::from_secs(900),
            tcp_fin: Duration::from_secs(120),
            udp: Duration::from_secs(300),
        }
    }
}
