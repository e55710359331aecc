//! A server's climb to its weight after a recovery.

use std::time::Duration;

use caribe_model::Monotonic;

use crate::weight::{ramp_next, ramp_start};

/// Where a server is on its climb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Climb {
    weight: u32,
    every: Duration,
    next: Monotonic,
}

impl Climb {
    /// Begins at the foot.
    pub(crate) fn started(configured: u32, every: Duration, now: Monotonic) -> Self {
        Climb {
            weight: ramp_start(configured),
            every,
            next: now + every,
        }
    }

    /// Goes on from a weight that was found, if a climb passes through it.
    pub(crate) fn resumed(
        weight: u32,
        configured: u32,
        every: Duration,
        now: Monotonic,
    ) -> Option<Self> {
        let mut climb = Climb::started(configured, every, now);
        while !climb.has_arrived(configured) {
            if climb.weight == weight {
                return Some(climb);
            }
            climb.weight = ramp_next(climb.weight, configured);
        }
        None
    }

    /// Makes the steps that are due; tells whether there were any.
    pub(crate) fn go_on(&mut self, configured: u32, now: Monotonic) -> bool {
        let before = self.weight;
        while self.next <= now && !self.has_arrived(configured) {
            self.weight = ramp_next(self.weight, configured);
            self.next = self.next + self.every.max(Duration::from_millis(1));
        }
        self.weight != before
    }

    pub(crate) fn has_arrived(&self, configured: u32) -> bool {
        self.weight >= configured
    }

    /// The weight now; never above the configured one, which may have changed.
    pub(crate) fn weight(&self, configured: u32) -> u32 {
        self.weight.min(configured)
    }
}
