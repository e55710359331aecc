//! The servers of a service together: which of them the table shall hold.
//!
//! Each server makes a [`Claim`] by what its monitors, its agent and its operator say. The pool
//! decides about all of them: it keeps failed servers when too few would be left, and it tells
//! when the service has lost its quorum, so that the sorry server takes over.

use std::collections::{BTreeMap, BTreeSet};

use caribe_model::ServerKey;
use serde::{Deserialize, Serialize};

/// What a server would have by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is in the table with this weight; with 0 it is quiesced.
    Serves(u32),
    /// It is not in the table, because nothing is known of it yet.
    Awaited,
    /// Its monitors put it out.
    Failed {
        /// The weight that it would have, were it good.
        weight: u32,
        /// It keeps its place with weight 0.
        quiesced: bool,
    },
    /// Its operator or its agent took it out.
    Absent,
}

/// The rules of a service about its servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PoolRules {
    /// With fewer servers of a weight above 0 the service has lost its quorum; at least 1.
    pub quorum: u32,
    /// With so many it has its quorum again; at least `quorum`.
    pub regain: u32,
    /// If fewer than so many percent of the servers would be left, those that fail are kept:
    /// when everything fails at once, the monitors are more likely to be wrong than every
    /// server. 0: never.
    pub keep_below: u8,
    /// There is a sorry server, which serves alone without a quorum.
    pub sorry: bool,
}

impl Default for PoolRules {
    /// Piranha's: one server is a quorum, and a failed one leaves.
    fn default() -> Self {
        PoolRules {
            quorum: 1,
            regain: 1,
            keep_below: 0,
            sorry: false,
        }
    }
}

/// The state of a service's servers together.
#[derive(Debug, Clone, Default)]
pub struct Pool {
    /// Servers that the last placement let serve, sorry server or not.
    serving: BTreeSet<ServerKey>,
    /// Of these, those that have failed.
    kept: BTreeSet<ServerKey>,
    lost: bool,
}

/// What the table shall hold of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The weight of each server that is in the table.
    pub weights: BTreeMap<ServerKey, u32>,
    /// The sorry server is in the table.
    pub sorry: bool,
}

impl Pool {
    /// Whether the service has lost its quorum.
    pub fn has_lost_quorum(&self) -> bool {
        self.lost
    }

    /// Whether a server has failed and serves all the same, because too few would be left.
    pub fn keeps(&self, server: ServerKey) -> bool {
        self.kept.contains(&server)
    }

    /// Places the servers, given the claim of each.
    pub fn place(&mut self, rules: &PoolRules, claims: &[(ServerKey, Claim)]) -> Placement {
        self.kept = self.to_keep(rules, claims);
        let serves = |(key, claim): &(ServerKey, Claim)| match claim {
            Claim::Serves(weight) => *weight > 0,
            Claim::Failed { .. } => self.kept.contains(key),
            Claim::Awaited | Claim::Absent => false,
        };
        let serving: BTreeSet<ServerKey> = claims
            .iter()
            .filter(|entry| serves(entry))
            .map(|(key, _)| *key)
            .collect();
        self.serving = serving;
        self.count_quorum(rules, claims);
        let sorry = rules.sorry && self.lost;
        let weights = claims.iter().filter_map(|(key, claim)| {
            let weight = match claim {
                Claim::Serves(weight) => Some(*weight),
                Claim::Failed { weight, .. } if self.kept.contains(key) => Some(*weight),
                Claim::Failed { quiesced: true, .. } => Some(0),
                Claim::Failed { .. } | Claim::Awaited | Claim::Absent => None,
            };
            // Beside the sorry server, what is left of the others finishes its connections.
            Some((*key, if sorry { 0 } else { weight? })).filter(|_| weight.is_some())
        });
        Placement {
            weights: weights.collect(),
            sorry,
        }
    }

    /// Failed servers that stay: those that served until now, when without them fewer than
    /// `keep_below` percent of the servers would be left. Servers that are meant not to serve do
    /// not count.
    fn to_keep(&self, rules: &PoolRules, claims: &[(ServerKey, Claim)]) -> BTreeSet<ServerKey> {
        let (mut good, mut all) = (0_u64, 0_u64);
        for (_, claim) in claims {
            match claim {
                Claim::Serves(0) | Claim::Absent => {}
                Claim::Serves(_) => {
                    good += 1;
                    all += 1;
                }
                Claim::Failed { .. } | Claim::Awaited => all += 1,
            }
        }
        if good * 100 >= u64::from(rules.keep_below) * all {
            return BTreeSet::new();
        }
        let failed = claims.iter().filter(|(key, claim)| {
            let would_serve = matches!(claim, Claim::Failed { weight, .. } if *weight > 0);
            would_serve && self.serving.contains(key)
        });
        failed.map(|(key, _)| *key).collect()
    }

    fn count_quorum(&mut self, rules: &PoolRules, claims: &[(ServerKey, Claim)]) {
        let serving = u32::try_from(self.serving.len()).unwrap_or(u32::MAX);
        let quorum = rules.quorum.max(1);
        if self.lost {
            self.lost = serving < rules.regain.max(quorum);
        } else {
            // Servers of which nothing is known yet may still turn out well.
            let awaited = claims.iter().any(|(_, claim)| *claim == Claim::Awaited);
            self.lost = serving < quorum && !awaited;
        }
    }
}

#[cfg(test)]
mod tests;
