//! The judgement of one monitor about one server.

use caribe_model::Monotonic;
use serde::{Deserialize, Serialize};

use crate::Timing;

/// What is believed about a server before its first probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Presumption {
    /// Nothing is known: the first probe decides.
    Unknown,
    /// It serves: it leaves only after [`Timing::fall`] failures.
    Serving,
}

/// How a probe ended, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The server passed.
    Good,
    /// The server failed.
    Bad,
    /// The director was in its own way: nothing was learnt, nothing changes.
    Void,
}

/// What follows from the end of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// When the next probe starts.
    pub next: Monotonic,
    /// The verdict, when it is news: `true` for good.
    pub verdict: Option<bool>,
}

/// A monitor: nanny's state machine for one check of one real server, with counts of good and
/// bad probes that Piranha did not have.
///
/// nanny keeps a count of consecutive good probes that starts at what is required, so that the
/// first success admits a server at once; a failed probe sets it to zero, so that a server that
/// failed must earn its place.
#[derive(Debug, Clone)]
pub struct Monitor {
    state: State,
    /// Whether a verdict was ever reported: the first one is always news.
    reported: bool,
    /// Source of the jitter; drawn anew for each wait.
    lot: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Unknown,
    /// Serves, and has failed so many times in a row.
    Good {
        failures: u32,
    },
    /// Does not serve, and was good so many times in a row.
    Bad {
        successes: u32,
    },
}

impl Monitor {
    /// A monitor that has not probed yet. `seed` is the source of its jitter.
    pub fn new(presumption: Presumption, seed: u64) -> Self {
        Monitor {
            state: match presumption {
                Presumption::Unknown => State::Unknown,
                Presumption::Serving => State::Good { failures: 0 },
            },
            reported: false,
            // An xorshift generator never leaves zero.
            lot: seed | 1,
        }
    }

    /// Takes the end of a probe that began at `started`.
    pub fn ended(
        &mut self,
        outcome: Outcome,
        timing: &Timing,
        started: Monotonic,
        now: Monotonic,
    ) -> Step {
        let verdict = self.judge(outcome, timing);
        let lot = self.draw();
        let wait = timing.wait(self.is_changing(), lot);
        let next = match self.state {
            // Counted from the end, as nanny does: the failure may have taken the whole
            // interval, and `rise` good probes make up `reentry` only if the first of them
            // comes an interval after it.
            State::Bad { successes: 0 } => now + wait,
            // A probe that used up the interval is followed by the next one at once.
            _ => (started + wait).max(now),
        };
        Step { next, verdict }
    }

    /// The verdict as it stands; `None` before the first probe of a server of which nothing was
    /// known.
    pub fn verdict(&self) -> Option<bool> {
        match self.state {
            State::Unknown => None,
            State::Good { .. } => Some(true),
            State::Bad { .. } => Some(false),
        }
    }

    fn judge(&mut self, outcome: Outcome, timing: &Timing) -> Option<bool> {
        let before = self.verdict();
        self.state = match (self.state, outcome) {
            (state, Outcome::Void) => {
                self.state = state;
                return None;
            }
            (State::Unknown, Outcome::Good) => State::Good { failures: 0 },
            (State::Unknown, Outcome::Bad) => State::Bad { successes: 0 },
            (State::Good { .. }, Outcome::Good) => State::Good { failures: 0 },
            (State::Good { failures }, Outcome::Bad) => match failures.saturating_add(1) {
                failures if failures >= timing.fall => State::Bad { successes: 0 },
                failures => State::Good { failures },
            },
            (State::Bad { .. }, Outcome::Bad) => State::Bad { successes: 0 },
            (State::Bad { successes }, Outcome::Good) => match successes.saturating_add(1) {
                successes if successes >= timing.rise => State::Good { failures: 0 },
                successes => State::Bad { successes },
            },
        };
        let verdict = self.verdict();
        // A failure that is not yet enough is no confirmation of the presumption either.
        let settled = !matches!(self.state, State::Good { failures } if failures > 0);
        let news = verdict != before || (!self.reported && settled);
        self.reported |= news;
        verdict.filter(|_| news)
    }

    fn is_changing(&self) -> bool {
        match self.state {
            State::Unknown => false,
            State::Good { failures } => failures > 0,
            State::Bad { successes } => successes > 0,
        }
    }

    /// xorshift64.
    fn draw(&mut self) -> u64 {
        self.lot ^= self.lot << 13;
        self.lot ^= self.lot >> 7;
        self.lot ^= self.lot << 17;
        self.lot
    }
}

#[cfg(test)]
mod tests;
