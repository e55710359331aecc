//! How many connections a real server takes.

use serde::{Deserialize, Serialize};

/// Bounds on a real server's connections, active and inactive together, as `ipvsadm -x -y` sets
/// them. A server at its upper bound is *overloaded* and gets no new connection until the number
/// falls below the lower one, or, if that is 0, below three quarters of the upper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Thresholds {
    upper: u32,
    lower: u32,
}

/// A lower bound above the upper one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the lower threshold {lower} is above the upper threshold {upper}")]
pub struct ThresholdsCrossed {
    /// The lower one.
    pub lower: u32,
    /// The upper one.
    pub upper: u32,
}

impl Thresholds {
    /// No bounds.
    pub const NONE: Thresholds = Thresholds { upper: 0, lower: 0 };

    /// Both bounds; 0 means that there is none.
    ///
    /// # Errors
    ///
    /// A lower bound above the upper one, even if that is 0 (IPVS: `ERANGE`).
    pub const fn new(upper: u32, lower: u32) -> Result<Self, ThresholdsCrossed> {
        if lower > upper {
            return Err(ThresholdsCrossed { lower, upper });
        }
        Ok(Thresholds { upper, lower })
    }

    /// Connections from which on the server is overloaded; 0 means never.
    pub const fn upper(self) -> u32 {
        self.upper
    }

    /// Connections below which it is overloaded no longer; 0 means three quarters of the upper.
    pub const fn lower(self) -> u32 {
        self.lower
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tunnel by GUE without a port cannot even be written down.
    #[test]
    fn case_134_bounds_the_wrong_way_round_are_refused() {
        let crossed = ThresholdsCrossed { lower: 9, upper: 5 };
        assert_eq!(Thresholds::new(5, 9), Err(crossed));
        assert!(Thresholds::new(0, 1).is_err());
        assert!(Thresholds::new(5, 5).is_ok());
        assert_eq!(Thresholds::new(0, 0), Ok(Thresholds::NONE));
    }
}
