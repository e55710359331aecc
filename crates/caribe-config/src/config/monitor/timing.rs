//! When a server is checked, and how often to be believed.

use std::time::Duration;

/// The timing of a `monitor` block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// `interval`: from the start of one check to the start of the next; 10 ms to a day.
    pub interval: Duration,
    /// `timeout`: the longest that a check may take; 10 ms to a day.
    pub timeout: Duration,
    /// `rise`: good checks in a row that bring a failed server back; at least 1.
    pub rise: u32,
    /// `fall`: bad checks in a row that put a server out; at least 1.
    pub fall: u32,
    /// `fast_interval`: the interval while the state is about to change.
    pub fast_interval: Option<Duration>,
    /// `jitter`: each wait is up to so many percent longer or shorter, 0 to 50.
    pub jitter: u8,
    /// `initial`.
    pub initial: Initial,
}

/// What holds before the first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Initial {
    /// The server stays out until it is found good.
    Checking,
    /// It serves until it fails.
    Up,
    /// What was so before a restart; for new servers as [`Initial::Checking`].
    #[default]
    LastKnown,
}
