//! The arithmetic of weights: nanny's ramp after a recovery, and its answer to a server's load.

use std::time::Duration;

/// The load-adjusted weight is at most this many times the configured one: nanny's `--scale`,
/// which lvsd never sets.
pub const LOAD_SCALE: u32 = 10;

/// The weight of a server that has just recovered: a 32nd of what it is configured with, and at
/// least 1. A configured weight of 0 stays 0 (nanny makes 1 of it, so that nobody could be
/// quiesced in the file).
pub fn ramp_start(configured: u32) -> u32 {
    (configured / 32).max(1).min(configured)
}

/// The weight that follows in the ramp: twice as much, up to the configured one.
pub fn ramp_next(weight: u32, configured: u32) -> u32 {
    weight.max(1).saturating_mul(2).min(configured)
}

/// How often nanny adjusts a weight: every check if they are more than 20 s apart, else every
/// `floor(20 s / interval)`-th, which is every 11 to 20 s.
pub fn cadence(interval: Duration) -> Duration {
    const ABOUT: Duration = Duration::from_secs(20);
    let interval = interval.max(Duration::from_millis(1));
    if interval > ABOUT {
        return interval;
    }
    let checks = ABOUT.as_nanos() / interval.as_nanos();
    interval.saturating_mul(u32::try_from(checks).unwrap_or(u32::MAX))
}

/// The weight that nanny gives a server of weight `current` and configured weight `configured`
/// whose load average is `load`: more below a load of 1, less above, between the configured
/// weight and [`LOAD_SCALE`] times as much; changes of less than a quarter of the configured
/// weight are not made.
pub fn load_adjusted(configured: u32, current: u32, load: f64) -> u32 {
    if configured == 0 || load.is_nan() || load < 0.0 || load == 1.0 {
        return current;
    }
    let base = f64::from(configured);
    let highest = base * f64::from(LOAD_SCALE);
    let step = base / 2.0 * (1.0 - load).abs().cbrt();
    let now = f64::from(current);
    let new = if load < 1.0 {
        (now + step).trunc().min(highest)
    } else {
        (now - step).trunc().max(base)
    };
    if (new - now).abs() < base / 4.0 {
        return current;
    }
    // In range by the bounds above; a product beyond u32 saturates.
    new as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ramp(configured: u32) -> Vec<u32> {
        let mut weights = vec![ramp_start(configured)];
        while *weights.last().expect("one at least") < configured {
            weights.push(ramp_next(weights[weights.len() - 1], configured));
        }
        weights
    }

    #[test]
    fn nannys_ramp() {
        assert_eq!(ramp(100), [3, 6, 12, 24, 48, 96, 100]);
        assert_eq!(ramp(1), [1]);
        assert_eq!(ramp(3), [1, 2, 3]);
        assert_eq!(ramp(32), [1, 2, 4, 8, 16, 32]);
        assert_eq!(ramp(0), [0]);
        assert_eq!(*ramp(u32::MAX).last().expect("ends"), u32::MAX);
    }

    #[test]
    fn nannys_example_of_load() {
        let loads = [0.0, 0.0, 0.5, 0.9, 1.5, 3.0, 9.0];
        let mut weight = 100;
        let weights = loads.map(|load| {
            weight = load_adjusted(100, weight, load);
            weight
        });
        assert_eq!(weights, [150, 200, 239, 239, 199, 136, 100]);
    }

    #[test]
    fn a_load_of_one_or_none_at_all_changes_nothing() {
        for load in [1.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(load_adjusted(100, 160, load), 160);
        }
        assert_eq!(load_adjusted(0, 0, 0.0), 0);
        assert_eq!(load_adjusted(100, 1000, 0.0), 1000, "ten times is the most");
        assert_eq!(load_adjusted(100, 1000, f64::INFINITY), 100);
    }

    #[test]
    fn weights_are_adjusted_about_every_twenty_seconds() {
        let second = Duration::from_secs(1);
        for (interval, between) in [
            (1, 20),
            (6, 18),
            (7, 14),
            (10, 20),
            (11, 11),
            (20, 20),
            (21, 21),
        ] {
            assert_eq!(cadence(second * interval), second * between);
        }
    }

    proptest! {
        #[test]
        fn a_weight_by_load_stays_in_its_range(
            configured in 1u32..100_000,
            loads in prop::collection::vec(0.0f64..50.0, 0..60),
        ) {
            let mut weight = configured;
            for load in loads {
                weight = load_adjusted(configured, weight, load);
                prop_assert!((configured..=configured * LOAD_SCALE).contains(&weight));
            }
        }
    }
}
