//! Choosing by load: lc, wlc, fo, ovf, sed, nq and twos.
//!
//! A run of slots is walked in IPVS's order, newest server first. A slot beats the best before it
//! if its cost for its weight is *smaller*, so of equals the first one stays.
//!
//! There is no branch here: in a loop, each multiplies the paths that the verifier follows.

use crate::server::Load;

/// Most slots that are looked at: what every supported kernel's verifier can follow.
pub const MOST_SLOTS: u32 = 1024;

/// Largest sum of weights from which [`draw`] draws evenly.
pub const LARGEST_DRAWN_SUM: u64 = i32::MAX as u64;

/// What a server costs, and who is left out: a number to compute with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct Rule(pub u64);

impl Rule {
    /// lc and wlc: an active connection weighs as much as 256 inactive ones.
    pub const OVERHEAD: Rule = Rule::new(256, 1, 0);
    /// fo: the largest weight, whatever the load.
    pub const HIGHEST: Rule = Rule::new(0, 0, 1);
    /// ovf: the largest weight among those with at most as many active connections as weight.
    pub const OVERFLOW: Rule = Rule(Rule::HIGHEST.0 | 1 << Self::BY_CAPACITY);
    /// sed: active connections, with the one that is to be placed.
    pub const SHORTEST_DELAY: Rule = Rule::new(1, 0, 1);
    /// nq: the first server without active connections, which costs nothing, else as sed.
    pub const NEVER_QUEUE: Rule = Rule(Rule::SHORTEST_DELAY.0 | 1 << Self::IDLE_WINS);

    /// Where the parts of the number begin: the costs of an active and of an inactive connection
    /// and of the server itself, 16 bits each, and two bits.
    const INACTIVE: u32 = 16;
    const CONSTANT: u32 = 32;
    const BY_CAPACITY: u32 = 48;
    const IDLE_WINS: u32 = 49;

    const fn new(active: u16, inactive: u16, constant: u16) -> Rule {
        Rule(
            active as u64
                | (inactive as u64) << Self::INACTIVE
                | (constant as u64) << Self::CONSTANT,
        )
    }

    /// What a server with this load and weight is worth comparing as: its cost and its weight,
    /// for [`beats`]. A server that may not be chosen has weight 0, which beats nothing.
    #[inline(always)]
    pub const fn candidate(self, load: Load, weight: u32) -> Candidate {
        let active = load.active() as u64;
        // The sign of a difference, as the highest bit: 1 for yes.
        let is_idle = active.wrapping_sub(1) >> 63;
        let is_full = (weight as u64).wrapping_sub(active) >> 63;
        let costs_nothing = self.0 >> Self::IDLE_WINS & is_idle;
        let is_left_out = self.0 >> Self::BY_CAPACITY & is_full | load.overloaded();
        Candidate {
            cost: (self.0 & 0xffff) * active
                + (self.0 >> Self::INACTIVE & 0xffff) * load.inactive() as u64
                + (self.0 >> Self::CONSTANT & 0xffff) * (costs_nothing ^ 1),
            weight: weight as u64 * (is_left_out ^ 1),
        }
    }
}

/// A server's cost and weight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// What it costs; 0 cannot be beaten.
    pub cost: u64,
    /// Its weight, below 2^31.
    pub weight: u64,
}

impl Candidate {
    /// What everybody with a weight beats.
    pub const NOBODY: Candidate = Candidate { cost: 1, weight: 0 };

    /// True when this candidate's cost for its weight is less than that of the best so far.
    ///
    /// The products are exact below a cost of 2^33, which is 33 million active connections on one
    /// server, with any weight that ipvsadm takes; beyond, they wrap, as IPVS's do.
    #[inline(always)]
    pub const fn beats(self, best: Candidate) -> bool {
        best.cost.wrapping_mul(self.weight) > self.cost.wrapping_mul(best.weight)
    }
}

/// A number from 0 up to and including `sum`, from 32 random bits. IPVS's twos draws so; a server
/// is drawn if it is the first at which the weights add up to the number or more, so the first
/// server is favoured a little.
#[inline(always)]
pub const fn draw(random: u32, sum: u64) -> u64 {
    (random as u64 * (sum + 1)) >> 32
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn load(active: u32, inactive: u32) -> Load {
        Load((active as u64) << 32 | inactive as u64)
    }

    const fn candidate(cost: u64, weight: u64) -> Candidate {
        Candidate { cost, weight }
    }

    #[test]
    fn costs() {
        let cost = |rule: Rule, load| rule.candidate(load, 5).cost;
        assert_eq!(cost(Rule::OVERHEAD, load(2, 3)), 515);
        assert_eq!(cost(Rule::SHORTEST_DELAY, load(2, 3)), 3);
        assert_eq!(cost(Rule::SHORTEST_DELAY, load(0, 3)), 1);
        assert_eq!(cost(Rule::NEVER_QUEUE, load(2, 3)), 3);
        assert_eq!(cost(Rule::NEVER_QUEUE, load(0, 3)), 0);
        assert_eq!(cost(Rule::HIGHEST, load(2, 3)), 1);
        assert_eq!(cost(Rule::OVERFLOW, load(0, 3)), 1);
        let most = load(u32::MAX >> 1, u32::MAX);
        assert_eq!(cost(Rule::OVERHEAD, most), most.overhead());
    }

    #[test]
    fn overflow_leaves_out_who_has_more_connections_than_weight() {
        let weight = |rule: Rule, load| rule.candidate(load, 2).weight;
        assert_eq!(weight(Rule::OVERFLOW, load(2, 9)), 2);
        assert_eq!(weight(Rule::OVERFLOW, load(3, 0)), 0);
        assert_eq!(weight(Rule::HIGHEST, load(3, 0)), 2);
        assert!(!candidate(1, 0).beats(Candidate::NOBODY));
    }

    #[test]
    fn every_rule_leaves_out_who_is_overloaded() {
        for rule in [
            Rule::OVERHEAD,
            Rule::HIGHEST,
            Rule::OVERFLOW,
            Rule::SHORTEST_DELAY,
            Rule::NEVER_QUEUE,
        ] {
            let overloaded = Load(Load::OVERLOADED);
            assert!(!rule.candidate(overloaded, 5).beats(Candidate::NOBODY));
        }
    }

    #[test]
    fn nobody_is_beaten_by_all_and_an_idle_server_by_none() {
        for rule in [
            Rule::OVERHEAD,
            Rule::HIGHEST,
            Rule::OVERFLOW,
            Rule::SHORTEST_DELAY,
            Rule::NEVER_QUEUE,
        ] {
            assert!(rule.candidate(load(0, 0), 1).beats(Candidate::NOBODY));
        }
        let idle = Rule::NEVER_QUEUE.candidate(load(0, 9), 1);
        assert!(idle.beats(Rule::NEVER_QUEUE.candidate(load(1, 0), i32::MAX as u32)));
        assert!(!Rule::NEVER_QUEUE.candidate(load(0, 0), 9).beats(idle));
    }

    #[test]
    fn equals_do_not_beat_each_other() {
        assert!(!candidate(4, 2).beats(candidate(2, 1)));
        assert!(!candidate(2, 1).beats(candidate(4, 2)));
        assert!(candidate(3, 2).beats(candidate(2, 1)));
    }

    /// With the largest weights, 33 million active connections are still told apart.
    #[test]
    fn products_are_exact_below_their_bound() {
        let (cost, weight) = ((1 << 33) - 1, i32::MAX as u64);
        assert!(candidate(cost - 1, weight).beats(candidate(cost, weight)));
        assert!(!candidate(cost, weight).beats(candidate(cost - 1, weight)));
        assert!(candidate(cost, weight).beats(candidate(cost, weight - 1)));
    }

    #[test]
    fn draws_are_inclusive_and_in_range() {
        assert_eq!(draw(0, 2), 0);
        assert_eq!(draw(u32::MAX, 2), 2);
        assert_eq!(draw(u32::MAX, LARGEST_DRAWN_SUM), LARGEST_DRAWN_SUM);
        let mut counts = [0u32; 3];
        let mut random = 0u32;
        for _ in 0..30_000 {
            random = random.wrapping_add(0x9e37_79b9);
            counts[draw(random, 2) as usize] += 1;
        }
        for count in counts {
            assert!((9_900..=10_100).contains(&count), "{counts:?}");
        }
    }
}
