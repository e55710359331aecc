//! When a monitor probes, and how many results make up its mind.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The timing of one monitor.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Timing {
    /// From the start of a probe to the start of the next; at least [`Timing::SHORTEST`].
    pub interval: Duration,
    /// The longest that a probe may take, and so a server may be silent.
    pub limit: Duration,
    /// Consecutive good probes that bring a failed server back; 0 counts as 1. The first good
    /// probe of a server of which nothing was known is always enough, as in nanny.
    pub rise: u32,
    /// Consecutive bad probes that put a server out; 0 counts as 1.
    pub fall: u32,
    /// The interval while the server's state is about to change: it has failed, but not yet
    /// `fall` times, or it is good again, but not yet `rise` times.
    pub fast_interval: Option<Duration>,
    /// Every wait is longer or shorter by a random share of up to so many percent (0 to 50), so
    /// that the probes of many servers drift apart.
    pub jitter: u8,
    /// What is believed about the server before its first probe.
    pub initial: Initial,
}

/// What is believed about a server that was not probed yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Initial {
    /// Nothing: it does not serve until its first probe succeeds, whatever was before a restart.
    Checking,
    /// That it serves, until it fails.
    Up,
    /// What the data plane that was adopted says; with a new data plane, nothing.
    #[default]
    LastKnown,
}

impl Timing {
    /// Below this a monitor would do nothing but probe.
    pub const SHORTEST: Duration = Duration::from_millis(10);

    /// nanny's timing. `timeout` is the interval, the wait after a failure and the limit of a
    /// probe; one failure is enough to leave, and `floor(reentry / timeout)` good probes bring a
    /// server back: a `reentry` below `timeout` brings it back at once.
    pub fn piranha(timeout: Duration, reentry: Duration) -> Self {
        let timeout = timeout.max(Timing::SHORTEST);
        let rise = reentry.as_nanos() / timeout.as_nanos();
        Timing {
            interval: timeout,
            limit: timeout,
            rise: u32::try_from(rise).unwrap_or(u32::MAX).max(1),
            fall: 1,
            fast_interval: None,
            jitter: 0,
            initial: Initial::LastKnown,
        }
    }

    /// How long to wait from one start to the next. `lot` is a number drawn at random.
    pub(crate) fn wait(&self, changing: bool, lot: u64) -> Duration {
        let interval = match self.fast_interval {
            Some(fast) if changing => fast,
            _ => self.interval,
        };
        let interval = interval.max(Timing::SHORTEST);
        let share = u32::from(self.jitter.min(50));
        // Thousandths of the interval, from 1000 - 10 * share to 1000 + 10 * share.
        let spread = u64::from(share * 20 + 1);
        let drawn = u32::try_from(lot % spread).unwrap_or(0);
        interval * (1000 - share * 10 + drawn) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn piranhas_reentry_is_counted_in_whole_intervals() {
        for (timeout, reentry, rise) in [(10, 180, 18), (6, 15, 2), (10, 9, 1), (10, 0, 1)] {
            let timing = Timing::piranha(SECOND * timeout, SECOND * reentry);
            assert_eq!((timing.rise, timing.fall), (rise, 1));
            assert_eq!(timing.interval, timing.limit);
        }
        assert_eq!(
            Timing::piranha(Duration::ZERO, SECOND).interval,
            Timing::SHORTEST
        );
    }

    #[test]
    fn jitter_stays_within_its_share() {
        let mut timing = Timing::piranha(SECOND * 10, SECOND);
        assert_eq!(timing.wait(false, 12_345), SECOND * 10);
        timing.jitter = 20;
        let waits: Vec<Duration> = (0..10_000).map(|lot| timing.wait(false, lot)).collect();
        assert_eq!(waits.iter().min(), Some(&(SECOND * 8)));
        assert_eq!(waits.iter().max(), Some(&(SECOND * 12)));
        timing.fast_interval = Some(SECOND);
        assert!(timing.wait(true, 0) >= SECOND * 8 / 10);
        assert!(timing.wait(true, 400) <= SECOND * 12 / 10);
    }
}
