//! Overrides in words, for status and log.

use caribe_model::Timeouts;

use super::{Overrides, ServiceOverride};
use crate::change::Shown;

impl Overrides {
    /// Each change in words.
    pub(crate) fn describe(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (key, change) in &self.services {
            match change.as_ref() {
                ServiceOverride::Removed => lines.push(format!("{key}: removed")),
                ServiceOverride::Replaced { settings, servers } => {
                    lines.push(format!("{key}: by hand ({settings})"));
                    let servers = servers.iter();
                    lines.extend(servers.map(|server| format!("{key}: {}", Shown(server))));
                }
                ServiceOverride::Adjusted { settings, servers } => {
                    let settings = settings.iter();
                    lines.extend(settings.map(|it| format!("{key}: scheduler {it}")));
                    lines.extend(servers.iter().map(|(server, change)| match change {
                        Some(server) => format!("{key}: {}", Shown(server)),
                        None => format!("{key}: {server} removed"),
                    }));
                }
            }
        }
        if let Some(Timeouts { tcp, tcp_fin, udp }) = self.timeouts {
            lines.push(format!(
                "timeouts: tcp {}, tcpfin {}, udp {}",
                tcp.as_secs(),
                tcp_fin.as_secs(),
                udp.as_secs()
            ));
        }
        lines
    }
}
