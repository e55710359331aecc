//! IPVS's rate estimator: an exponentially weighted average over samples 2 seconds apart.

use std::time::Duration;

/// What is counted; it sets the fixed point of the average.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Connections or packets: averages carry 10 fractional bits.
    Events,
    /// Bytes: averages carry 5 fractional bits.
    Bytes,
}

impl Unit {
    /// Turns the difference of a 2-second interval into a rate per second in fixed point.
    const fn shift(self) -> u32 {
        match self {
            Unit::Events => 9,
            Unit::Bytes => 4,
        }
    }
}

/// The average rate of one counter, to the bit as the kernel's IPVS shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimator {
    unit: Unit,
    last: u64,
    average: i64,
}

impl Estimator {
    /// Time between two samples.
    pub const INTERVAL: Duration = Duration::from_secs(2);

    /// An estimator for a counter that stands at `count` now; the rate is 0.
    pub const fn new(unit: Unit, count: u64) -> Self {
        Estimator {
            unit,
            last: count,
            average: 0,
        }
    }

    /// Takes the counter's value [`Estimator::INTERVAL`] after the one before. A counter that
    /// went backwards was started anew and counts from zero.
    pub fn sample(&mut self, count: u64) {
        let delta = count.checked_sub(self.last).unwrap_or(count);
        self.last = count;
        // Kept well inside i64, so that the sums below cannot overflow: 2^50 events in 2 s.
        let delta = i64::try_from(delta.min(1 << 50)).unwrap_or(1 << 50);
        let rate = delta << self.unit.shift();
        self.average += (rate - self.average) >> 2;
    }

    /// The rate per second, rounded as IPVS does.
    pub fn per_second(&self) -> u64 {
        let fraction = self.unit.shift() + 1;
        let half = (1i64 << (fraction - 1)) - 1;
        u64::try_from((self.average + half) >> fraction).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(unit: Unit, per_interval: &[u64]) -> Vec<u64> {
        let mut estimator = Estimator::new(unit, 1000);
        let mut count = 1000;
        per_interval
            .iter()
            .map(|delta| {
                count += delta;
                estimator.sample(count);
                estimator.per_second()
            })
            .collect()
    }

    /// 100 connections a second, then none.
    #[test]
    fn case_128_connections_rise_and_fall_as_in_ipvs() {
        let mut deltas = vec![200; 20];
        deltas.extend([0; 10]);
        let shown = series(Unit::Events, &deltas);
        assert_eq!(
            shown[..12],
            [25, 44, 58, 68, 76, 82, 87, 90, 92, 94, 96, 97]
        );
        assert_eq!(shown[19], 100);
        assert_eq!(shown[20..], [75, 56, 42, 32, 24, 18, 13, 10, 7, 6]);
    }

    #[test]
    fn case_128_bytes_rise_as_in_ipvs() {
        assert_eq!(
            series(Unit::Bytes, &[2_000_000; 5]),
            [250_000, 437_500, 578_125, 683_594, 762_695]
        );
    }

    #[test]
    fn half_a_connection_a_second_shows_as_none() {
        assert_eq!(series(Unit::Events, &[1; 60]), [0; 60]);
    }

    #[test]
    fn a_restarted_counter_counts_from_zero() {
        let mut estimator = Estimator::new(Unit::Events, 1_000_000);
        estimator.sample(200);
        assert_eq!(estimator.per_second(), 25);
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let mut estimator = Estimator::new(Unit::Events, 0);
        for count in [u64::MAX, 0, u64::MAX, 1 << 63] {
            estimator.sample(count);
            assert!(estimator.per_second() <= 1 << 50);
        }
    }
}
