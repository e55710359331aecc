//! `-L --daemon` and `-L --timeout`.

use std::fmt::Write as _;

use crate::{Daemon, Timeouts};

/// The line of a daemon. What it does not tell is left out.
pub(crate) fn daemon(daemon: &Daemon) -> String {
    let mut text = format!(
        "{} sync daemon (mcast={}, syncid={}",
        daemon.role, daemon.interface, daemon.sync_id
    );
    if let Some(longest) = daemon.longest {
        let _infallible = write!(text, ", maxlen={longest}");
    }
    if let Some(group) = daemon.group {
        let _infallible = write!(text, ", group={group}");
    }
    if let Some(port) = daemon.port {
        let _infallible = write!(text, ", port={port}");
    }
    if let Some(ttl) = daemon.ttl {
        let _infallible = write!(text, ", ttl={ttl}");
    }
    text.push_str(")\n");
    text
}

/// The line of the timeouts.
pub(crate) fn timeouts(timeouts: &Timeouts) -> String {
    format!(
        "Timeout (tcp tcpfin udp): {} {} {}\n",
        timeouts.tcp, timeouts.tcp_fin, timeouts.udp
    )
}
