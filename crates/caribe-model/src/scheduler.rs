//! Names of the schedulers.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::UnknownWord;

/// How a service chooses the real server of a new connection. The rules are IPVS's, down to its
/// tie-breaks: the list is walked newest server first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Scheduler {
    /// Round robin: each available server in turn.
    Rr,
    /// Weighted round robin: each server as often per cycle as its weight says.
    Wrr,
    /// Least connection: the smallest `active * 256 + inactive`.
    Lc,
    /// Weighted least connection: the smallest `(active * 256 + inactive) / weight`. The default.
    Wlc,
}

impl Scheduler {
    /// Every scheduler, in the order of the manual.
    pub const ALL: [Scheduler; 4] = [Scheduler::Rr, Scheduler::Wrr, Scheduler::Lc, Scheduler::Wlc];

    /// The name in lvs.cf and in ipvsadm.
    pub const fn name(self) -> &'static str {
        match self {
            Scheduler::Rr => "rr",
            Scheduler::Wrr => "wrr",
            Scheduler::Lc => "lc",
            Scheduler::Wlc => "wlc",
        }
    }
}

impl fmt::Display for Scheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Scheduler {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        Scheduler::ALL
            .into_iter()
            .find(|scheduler| scheduler.name() == word)
            .ok_or(UnknownWord {
                what: "scheduler",
                word: word.to_owned(),
                expected: "rr, wrr, lc, wlc",
            })
    }
}
