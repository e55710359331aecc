//! Samples of one quantity, taken in rounds.

/// One number per round.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    /// Adds the number of the next round.
    pub(crate) fn push(&mut self, sample: f64) {
        self.0.push(sample);
    }

    /// The middle one; 0 when there is none.
    pub(crate) fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// Round by round, how much more this is than another quantity of the same rounds.
    pub(crate) fn above(&self, other: &Samples) -> Samples {
        Samples(
            self.0
                .iter()
                .zip(&other.0)
                .map(|(this, that)| this - that)
                .collect(),
        )
    }

    /// The lowest and the highest.
    pub(crate) fn range(&self) -> (f64, f64) {
        self.0
            .iter()
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), sample| {
                (low.min(*sample), high.max(*sample))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_taken_round_by_round() {
        let (mut these, mut those) = (Samples::default(), Samples::default());
        for (this, that) in [(10.0, 1.0), (30.0, 22.0), (20.0, 3.0)] {
            these.push(this);
            those.push(that);
        }
        let above = these.above(&those);
        assert_eq!(above.median(), 9.0);
        assert_eq!(above.range(), (8.0, 17.0));
    }
}
