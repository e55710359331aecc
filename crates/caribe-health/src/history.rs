//! What happened to a server in the last day.

use std::collections::VecDeque;
use std::time::Duration;

use caribe_model::Monotonic;

/// What happened, and when: bounded in time and number.
#[derive(Debug, Clone)]
pub struct History<T> {
    entries: VecDeque<(Monotonic, T)>,
}

impl<T> History<T> {
    /// How long something is remembered.
    pub const AGE: Duration = Duration::from_secs(24 * 3600);
    /// How much is remembered; of a server that flaps all the time it is the latest.
    pub const LENGTH: usize = 128;

    /// Nothing yet.
    pub fn new() -> Self {
        History {
            entries: VecDeque::new(),
        }
    }

    /// Notes what happened now, and forgets what is too old.
    pub fn note(&mut self, what: T, now: Monotonic) {
        let old = |moment: Monotonic| now.since(moment) > Self::AGE;
        while self.entries.len() >= Self::LENGTH
            || self.entries.front().is_some_and(|(moment, _)| old(*moment))
        {
            self.entries.pop_front();
        }
        self.entries.push_back((now, what));
    }

    /// What happened in the day before `now`, the latest last.
    pub fn entries(&self, now: Monotonic) -> impl Iterator<Item = (Monotonic, &T)> {
        let recent = self.entries.iter();
        recent
            .filter(move |(moment, _)| now.since(*moment) <= Self::AGE)
            .map(|(moment, what)| (*moment, what))
    }
}

impl<T> Default for History<T> {
    fn default() -> Self {
        History::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hour(hours: u64) -> Monotonic {
        Monotonic::after_origin(Duration::from_secs(hours * 3600))
    }

    #[test]
    fn a_day_is_remembered_and_no_more_than_fits() {
        let mut history = History::new();
        for hours in 0..30 {
            history.note(hours, hour(hours));
        }
        let seen: Vec<u64> = history.entries(hour(30)).map(|(_, what)| *what).collect();
        assert_eq!(seen, (6..30).collect::<Vec<u64>>());
        assert_eq!(history.entries(hour(60)).count(), 0);
        for number in 0..1000 {
            history.note(number, hour(30));
        }
        let seen: Vec<u64> = history.entries(hour(30)).map(|(_, what)| *what).collect();
        assert_eq!(seen, (872..1000).collect::<Vec<u64>>());
    }
}
