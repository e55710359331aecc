//! How a server is watched.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a probe does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// Nothing: the server counts as good for ever.
    None,
    /// A TCP connection to the real server's port must be accepted.
    Tcp,
}

/// Settings of one monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Settings {
    /// What a probe does.
    pub check: Check,
    /// Piranha's `timeout`: the interval between the starts of two probes, the wait after a
    /// failed one, and the longest that a probe may take. Less than [`Settings::SHORTEST_TIMEOUT`] counts as that.
    pub timeout: Duration,
    /// Piranha's `reentry`: about how long a server that failed must stay good before it serves
    /// again.
    pub reentry: Duration,
}

impl Settings {
    /// Below this a monitor would do nothing but probe; nanny's whole seconds never get there.
    pub const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

    /// Interval and limit of probes.
    pub fn interval(&self) -> Duration {
        self.timeout.max(Settings::SHORTEST_TIMEOUT)
    }

    /// Consecutive good probes that bring a failed server back: nanny's
    /// `floor(reentry / timeout)`, so a `reentry` below `timeout` brings it back at once.
    pub fn required_successes(&self) -> u32 {
        let successes = self.reentry.as_nanos() / self.interval().as_nanos();
        u32::try_from(successes).unwrap_or(u32::MAX)
    }
}
