//! How regularly servers were checked, as they saw it.

use std::collections::HashMap;
use std::time::Duration;

/// A check as its server saw it: whose, and when since the recording began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub(crate) target: u32,
    pub(crate) at: Duration,
}

/// What a recording shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Intervals {
    /// Checks that came.
    pub(crate) arrivals: usize,
    /// Targets that were checked at all.
    pub(crate) targets: usize,
    /// Waits from one check of a target to its next.
    pub(crate) waits: usize,
    /// Of these, those that took more than a tenth longer than they should, and those that had
    /// not ended when the recording did although they should have.
    pub(crate) late: usize,
    /// The longest wait.
    pub(crate) longest: Duration,
}

impl Intervals {
    /// Judges a recording of this length, in the order of time.
    pub(crate) fn of(arrivals: &[Arrival], interval: Duration, length: Duration) -> Intervals {
        let most = interval + interval / 10;
        let mut last: HashMap<u32, Duration> = HashMap::new();
        let mut found = Intervals {
            arrivals: arrivals.len(),
            targets: 0,
            waits: 0,
            late: 0,
            longest: Duration::ZERO,
        };
        let mut count = |wait: Duration, has_ended: bool| {
            let is_late = wait > most;
            found.waits += usize::from(has_ended || is_late);
            found.late += usize::from(is_late);
            found.longest = found.longest.max(wait);
        };
        for arrival in arrivals {
            if let Some(before) = last.insert(arrival.target, arrival.at) {
                count(arrival.at.saturating_sub(before), true);
            }
        }
        for before in last.values() {
            count(length.saturating_sub(*before), false);
        }
        found.targets = last.len();
        found
    }

    /// Late waits among a thousand, those of so many targets included that were never checked.
    pub(crate) fn late_per_thousand(&self, never: usize) -> f64 {
        (self.late + never) as f64 * 1000.0 / (self.waits + never).max(1) as f64
    }
}

/// The most checks that came within any stretch of this length.
pub(crate) fn densest(arrivals: &[Arrival], stretch: Duration) -> usize {
    let mut first = 0;
    let mut most = 0;
    for (number, arrival) in arrivals.iter().enumerate() {
        while arrivals[first].at + stretch <= arrival.at {
            first += 1;
        }
        most = most.max(number + 1 - first);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn arrivals(list: &[(u32, u64)]) -> Vec<Arrival> {
        let arrival = |&(target, moment)| Arrival {
            target,
            at: at(moment),
        };
        list.iter().map(arrival).collect()
    }

    #[test]
    fn a_wait_is_late_from_a_tenth_on_and_when_it_has_not_ended() {
        let seen = arrivals(&[(1, 0), (2, 10), (3, 20), (1, 110), (2, 121), (1, 210)]);
        let found = Intervals::of(&seen, at(100), at(300));
        assert_eq!((found.arrivals, found.targets), (6, 3));
        // Target 1 waited 110 and 100, 2 waited 111 and is awaited again, and so is 3.
        assert_eq!((found.waits, found.late), (5, 3));
        assert_eq!(found.longest, at(280));
        assert_eq!(found.late_per_thousand(0), 600.0);
    }

    #[test]
    fn the_densest_stretch_is_found_wherever_it_begins() {
        let seen = arrivals(&[(1, 0), (2, 90), (3, 110), (4, 150), (5, 189), (6, 190)]);
        assert_eq!(densest(&seen, at(100)), 4);
        assert_eq!(densest(&[], at(100)), 0);
    }
}
