//! The table of 256 buckets from which IPVS's `sh` takes a client's server, as a rule about
//! weights: the data plane lays its table out by it, and a check of a configuration asks it what
//! comes of the weights.

use std::collections::BTreeMap;

/// Buckets of the tables of `dh` and `sh` (`IP_VS_SH_TAB_SIZE`).
pub const HASH_BUCKETS: usize = 256;

/// The server, by its place in `weights`, of each bucket: to each in turn, newest first, as many
/// buckets as its weight says, and one if that is 0, until there are no more.
pub fn source_hash_buckets(weights: &[u32]) -> impl Iterator<Item = usize> {
    let turn = |(at, weight): (usize, &u32)| {
        // No server takes more than all buckets.
        let buckets = (*weight).clamp(1, HASH_BUCKETS as u32);
        std::iter::repeat_n(at, buckets as usize)
    };
    let turns = weights.iter().enumerate().cycle().flat_map(turn);
    turns.take(HASH_BUCKETS)
}

/// A server whose share of a table is not what its weight asks for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Unfair {
    /// Its place in the list of weights.
    pub place: usize,
    /// The part of the clients that it gets, from 0 to 1.
    pub share: f64,
    /// The part that its weight asks for.
    pub fair: f64,
}

impl Unfair {
    /// How far off it is.
    pub fn deviation(&self) -> f64 {
        (self.share - self.fair).abs()
    }
}

/// The server whose share of `sh`'s table, among those with a weight, is furthest from what its
/// weight asks for; `None` without any weight. `weights` are newest first.
pub fn unfairest_of_source_hash(weights: &[u32]) -> Option<Unfair> {
    let sum: u64 = weights.iter().copied().map(u64::from).sum();
    let mut buckets: BTreeMap<usize, u32> = BTreeMap::new();
    for place in source_hash_buckets(weights).filter(|place| weights[*place] > 0) {
        *buckets.entry(place).or_default() += 1;
    }
    let taken: u32 = buckets.values().sum();
    let weighted = weights
        .iter()
        .enumerate()
        .filter(|(_, weight)| **weight > 0);
    let shares = weighted.map(|(place, weight)| Unfair {
        place,
        // More servers of weight 0 than there are buckets may be the newest.
        share: match taken {
            0 => 0.0,
            taken => f64::from(buckets.get(&place).copied().unwrap_or(0)) / f64::from(taken),
        },
        fair: f64::from(*weight) / sum as f64,
    });
    shares.max_by(|one, other| one.deviation().total_cmp(&other.deviation()))
}

/// The smallest weights that stand to each other as these do.
pub fn smallest_of_same_ratios(weights: &[u32]) -> Vec<u32> {
    let divisor = weights
        .iter()
        .fold(0, |a, b| greatest_common_divisor(a, *b));
    weights
        .iter()
        .map(|weight| weight / divisor.max(1))
        .collect()
}

/// The largest number that divides both; of 0 and another number, the other one.
pub fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn counts(weights: &[u32]) -> Vec<u64> {
        let mut counts = vec![0; weights.len()];
        source_hash_buckets(weights).for_each(|place| counts[place] += 1);
        counts
    }

    #[test]
    fn large_weights_end_where_the_table_does() {
        assert_eq!(counts(&[200, 100]), [200, 56]);
        let unfair = unfairest_of_source_hash(&[200, 100]).expect("weights");
        assert_eq!((unfair.place, unfair.share), (0, 200.0 / 256.0));
        assert_eq!(counts(&[2, 1]), [171, 85]);
        let better = unfairest_of_source_hash(&[2, 1]).expect("weights");
        assert!(better.deviation() < 0.002, "{better:?}");
        assert_eq!(smallest_of_same_ratios(&[200, 100]), [2, 1]);
        assert_eq!(counts(&[1_000_000, 1]), [256, 0]);
    }

    #[test]
    fn without_a_weight_there_is_no_share() {
        assert_eq!(unfairest_of_source_hash(&[]), None);
        assert_eq!(unfairest_of_source_hash(&[0, 0]), None);
        assert_eq!(smallest_of_same_ratios(&[0, 0]), [0, 0]);
        let quiesced = unfairest_of_source_hash(&[0, 1, 1]).expect("weights");
        assert!(quiesced.deviation() < 0.01, "those that serve share alike");
        let mut many = vec![0; 300];
        many.push(1);
        let none = unfairest_of_source_hash(&many).expect("a weight");
        assert_eq!((none.share, none.fair), (0.0, 1.0));
    }

    /// Weights from 1 that add up to a divisor of 256.
    fn dividing() -> impl Strategy<Value = Vec<u32>> {
        (0u32..9, prop::collection::vec(any::<u32>(), 0..12)).prop_map(|(power, cuts)| {
            let sum = 1u32 << power;
            let mut cuts: Vec<u32> = cuts.iter().map(|cut| cut % sum).collect();
            cuts.extend([0, sum]);
            cuts.sort_unstable();
            cuts.dedup();
            cuts.windows(2).map(|pair| pair[1] - pair[0]).collect()
        })
    }

    proptest! {
        /// Where whole rounds fill the table, shares are exact.
        #[test]
        fn shares_are_exact_where_the_weights_add_up_to_a_divisor_of_256(weights in dividing()) {
            let sum: u64 = weights.iter().copied().map(u64::from).sum();
            for (count, weight) in counts(&weights).into_iter().zip(&weights) {
                prop_assert_eq!(count * sum, u64::from(*weight) * 256);
            }
            let unfair = unfairest_of_source_hash(&weights).expect("weights");
            prop_assert!(unfair.deviation() < 1e-12);
        }

        /// In general: whole rounds, and of the last one what there is room for, from the newest
        /// server on.
        #[test]
        fn the_rest_goes_to_the_newest_servers(weights in prop::collection::vec(0u32..400, 1..20)) {
            let turns: Vec<u64> = weights.iter().map(|weight| u64::from((*weight).max(1))).collect();
            let round: u64 = turns.iter().sum();
            let (rounds, mut rest) = (256 / round, 256 % round);
            for (count, turn) in counts(&weights).into_iter().zip(&turns) {
                let more = rest.min(*turn);
                rest -= more;
                prop_assert_eq!(count, rounds * turn + more);
            }
            // Without quiesced servers nobody is further off than one turn is long.
            if weights.iter().all(|weight| *weight > 0) {
                let unfair = unfairest_of_source_hash(&weights).expect("weights");
                let turn = turns[unfair.place].min(256) as f64;
                prop_assert!(unfair.deviation() <= turn / 256.0, "{unfair:?}");
            }
        }
    }
}
