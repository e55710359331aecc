//! nanny's arithmetic of weights: the ramp after a recovery, and the weight that follows the load.
//!
//! It is Piranha's, number for number, but for two cures: a configured weight of 0 stays 0, and
//! a load may bring a weight below the configured one where [`LoadBounds`] let it.

use std::time::Duration;

use crate::probe::Load;

/// The largest weight that IPVS and ipvsadm take.
const LARGEST: u32 = i32::MAX as u32;

/// The weight of a server that has just come back: a 32nd of its own, and at least 1.
pub fn ramp_start(base: u32) -> u32 {
    match base {
        0 => 0,
        _ => (base / 32).max(1),
    }
}

/// The weight after the next adjustment on the way to `base`: doubled, up to `base`.
pub fn ramp_next(current: u32, base: u32) -> u32 {
    match current {
        // Whoever set it to nothing did not mean it to stay there.
        0 => ramp_start(base),
        _ => current.saturating_mul(2).min(base),
    }
}

/// After how many good checks, `interval` apart, a weight is adjusted: about every 20 seconds.
pub fn checks_per_adjustment(interval: Duration) -> u32 {
    const CADENCE: Duration = Duration::from_secs(20);
    if interval > CADENCE || interval.is_zero() {
        return 1;
    }
    let checks = CADENCE.as_nanos() / interval.as_nanos();
    u32::try_from(checks).unwrap_or(u32::MAX)
}

/// Between which weights a load may move a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadBounds {
    /// The weight of a server with any load, however high.
    pub lowest: u32,
    /// The weight of a server that stays idle.
    pub highest: u32,
}

impl LoadBounds {
    /// Piranha's: never below the configured weight, and up to ten times as much.
    pub fn piranha(base: u32) -> LoadBounds {
        LoadBounds {
            lowest: base.min(LARGEST),
            highest: base.saturating_mul(10).min(LARGEST),
        }
    }
}

/// The weight that a load makes of `current`, if it is worth a change.
///
/// Below a load of 1 the weight grows by half the base times the cube root of what is missing to
/// 1; above, it shrinks by half the base times the cube root of what is too much. A change of less
/// than a quarter of the base is none.
pub fn weight_for_load(base: u32, current: u32, load: Load, bounds: LoadBounds) -> Option<u32> {
    let missing = 1.0 - load.value();
    let step = f64::from(base) / 2.0 * missing.abs().cbrt();
    let wanted = if missing > 0.0 {
        truncated(f64::from(current) + step).min(bounds.highest)
    } else if missing < 0.0 {
        truncated(f64::from(current) - step).max(bounds.lowest)
    } else {
        return None;
    };
    let change = wanted.abs_diff(current);
    let is_worth_it = u64::from(change) * 4 >= u64::from(base) && change > 0;
    is_worth_it.then_some(wanted)
}

/// The whole part, within what a weight can be.
fn truncated(weight: f64) -> u32 {
    // A float's cast stays within the type, and NaN is not among what gets here.
    (weight.max(0.0) as u32).min(LARGEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn load(value: f64) -> Load {
        Load::new(value).expect("a load")
    }

    /// The ramp's weights up to the base.
    fn ramp(base: u32) -> Vec<u32> {
        let mut weights = vec![ramp_start(base)];
        while *weights.last().expect("the start") != base {
            weights.push(ramp_next(*weights.last().expect("the start"), base));
        }
        weights
    }

    #[test]
    fn a_weight_of_100_is_regained_in_seven_steps() {
        assert_eq!(ramp(100), [3, 6, 12, 24, 48, 96, 100]);
    }

    #[test]
    fn small_and_large_weights_are_regained_too() {
        assert_eq!(ramp(1), [1]);
        assert_eq!(ramp(3), [1, 2, 3]);
        assert_eq!(ramp(32), [1, 2, 4, 8, 16, 32]);
        assert_eq!(ramp(0), [0]);
        assert_eq!(ramp(LARGEST).last(), Some(&LARGEST));
        assert_eq!(ramp(LARGEST).len(), 7);
    }

    #[test]
    fn adjustments_are_about_20_seconds_apart() {
        let checks = |seconds| checks_per_adjustment(Duration::from_secs(seconds));
        assert_eq!(
            [1, 6, 7, 10, 11, 19, 20, 21, 60].map(checks),
            [20, 3, 2, 2, 1, 1, 1, 1, 1]
        );
        assert_eq!(checks(0), 1);
    }

    #[test]
    fn the_example_of_a_weight_of_100() {
        let mut weight = 100;
        for (told, after) in [
            (0.0, 150),
            (0.0, 200),
            (0.5, 239),
            (0.9, 239),
            (1.0, 239),
            (1.5, 199),
            (3.0, 136),
            (9.0, 100),
        ] {
            let bounds = LoadBounds::piranha(100);
            weight = weight_for_load(100, weight, load(told), bounds).unwrap_or(weight);
            assert_eq!(weight, after, "after a load of {told}");
        }
    }

    #[test]
    fn a_small_change_is_none() {
        let bounds = LoadBounds::piranha(100);
        assert_eq!(weight_for_load(100, 239, load(0.9), bounds), None);
        assert_eq!(weight_for_load(100, 500, load(1.0), bounds), None);
        assert_eq!(weight_for_load(100, 1000, load(0.0), bounds), None);
        assert_eq!(weight_for_load(100, 100, load(50.0), bounds), None);
    }

    #[test]
    fn a_weight_may_sink_below_its_base_if_it_is_let() {
        let bounds = LoadBounds {
            lowest: 10,
            highest: 100,
        };
        assert_eq!(weight_for_load(100, 100, load(2.0), bounds), Some(50));
        assert_eq!(weight_for_load(100, 50, load(9.0), bounds), Some(10));
    }

    proptest! {
        #[test]
        fn a_weight_stays_within_its_bounds(
            base in 0..=LARGEST,
            factor in 1.0..10.0f64,
            told in 0.0..=Load::HIGHEST,
        ) {
            let bounds = LoadBounds::piranha(base);
            let current = truncated(f64::from(base) * factor).clamp(bounds.lowest, bounds.highest);
            if let Some(weight) = weight_for_load(base, current, load(told), bounds) {
                prop_assert!((bounds.lowest..=bounds.highest).contains(&weight));
                prop_assert_eq!(weight > current, told < 1.0);
            }
        }

        #[test]
        fn a_ramp_never_falls_and_ends_at_the_base(base in 0..=LARGEST) {
            let weights = ramp(base);
            prop_assert!(weights.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert!(weights.len() <= 7);
        }
    }
}
