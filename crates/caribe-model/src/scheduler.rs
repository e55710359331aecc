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
    /// Failover: the largest weight.
    Fo,
    /// Overflow: the largest weight among servers with at most as many active connections.
    Ovf,
    /// Shortest expected delay: the smallest `(active + 1) / weight`.
    Sed,
    /// Never queue: the newest server without an active connection, else as `sed`.
    Nq,
    /// Power of two choices: the less loaded of two servers drawn by weight.
    Twos,
    /// Locality-based least connection: the server that the packet's destination address last got,
    /// unless it has more active connections than weight while another one has room to spare;
    /// then, and for a destination that is not known, as `wlc`.
    Lblc,
    /// The same with several servers for a destination: the least loaded of them, by `wlc`'s
    /// measure. A set that has not changed for long loses its most loaded server.
    Lblcr,
    /// Destination hash: by the address that the packet is for.
    Dh,
    /// Source hash: by the client's address.
    Sh,
    /// Maglev hash: by the client's address; other clients mostly keep their servers when a
    /// server comes or goes.
    Mh,
}

impl Scheduler {
    /// Every scheduler, in the order of the manual.
    pub const ALL: [Scheduler; 14] = [
        Scheduler::Rr,
        Scheduler::Wrr,
        Scheduler::Lc,
        Scheduler::Wlc,
        Scheduler::Fo,
        Scheduler::Ovf,
        Scheduler::Sed,
        Scheduler::Nq,
        Scheduler::Twos,
        Scheduler::Lblc,
        Scheduler::Lblcr,
        Scheduler::Dh,
        Scheduler::Sh,
        Scheduler::Mh,
    ];

    /// The name in lvs.cf and in ipvsadm.
    pub const fn name(self) -> &'static str {
        match self {
            Scheduler::Rr => "rr",
            Scheduler::Wrr => "wrr",
            Scheduler::Lc => "lc",
            Scheduler::Wlc => "wlc",
            Scheduler::Fo => "fo",
            Scheduler::Ovf => "ovf",
            Scheduler::Sed => "sed",
            Scheduler::Nq => "nq",
            Scheduler::Twos => "twos",
            Scheduler::Lblc => "lblc",
            Scheduler::Lblcr => "lblcr",
            Scheduler::Dh => "dh",
            Scheduler::Sh => "sh",
            Scheduler::Mh => "mh",
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
                expected: "rr, wrr, lc, wlc, fo, ovf, sed, nq, twos, lblc, lblcr, dh, sh, mh",
            })
    }
}
