//! Schedulers, laid out as runs of slots: pure code.
//!
//! The packet path knows a few ways to choose: to *rotate* through a run, to take the *best* slot of
//! a run by load and weight, or the better of two that are *drawn*. What the run holds, in which order, is worked out here from IPVS's rules, so
//! that the sequence of picks is the one that IPVS would make, down to the state that edits leave
//! behind: a [`Schedule`] is that state, advanced by the picks that the packet path has counted
//! and changed by additions, edits and removals.

mod round_robin;
mod weighted;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use caribe_model::Scheduler;
use caribe_packet::least::{LARGEST_DRAWN_SUM, MOST_SLOTS};
use caribe_packet::service::{Choice, Slot};

/// The longest run that a rotation is laid out as. Weights that would need more are scaled down
/// to it: shares are then right to about one part in this number, and the sequence is that of
/// the scaled weights.
pub(crate) const LONGEST_RUN: u32 = 65_536;

/// A server of a service, as schedulers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Member {
    /// Index of the server, never 0.
    pub(crate) server: u32,
    /// Weight; 0 takes no new connections.
    pub(crate) weight: u32,
}

/// The state of a service's scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    scheduler: Scheduler,
    /// Newest first, the order in which IPVS walks its list.
    members: Vec<Member>,
    state: State,
}

/// Where the last pick left the scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// rr: the server picked last; `None` is the head of the list.
    RoundRobin { last: Option<u32> },
    /// wrr: the server picked last, and the weight that the current walk of the list asks for.
    Weighted { last: Option<u32>, current: u32 },
    /// The others remember nothing.
    Stateless,
}

/// A schedule as the packet path reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout {
    /// How to choose.
    pub(crate) choice: Choice,
    /// The run; empty when no server takes new connections.
    pub(crate) slots: Vec<Slot>,
    /// Where a rotation starts over.
    pub(crate) cycle_start: u32,
    /// What weights were scaled down to: to fit [`LONGEST_RUN`], or for twos to add up to no more
    /// than can be drawn from. `None` when they were not.
    pub(crate) scaled: Option<u64>,
}

/// More servers than the packet path compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyServers {
    /// Servers with a weight above 0.
    pub(crate) servers: usize,
}

impl Schedule {
    /// The schedule of a service without servers.
    pub(crate) fn new(scheduler: Scheduler) -> Self {
        let state = State::initial(scheduler, &[]);
        Schedule {
            scheduler,
            members: Vec::new(),
            state,
        }
    }

    /// The schedule that [`Schedule::word`] was taken from.
    pub(crate) fn restore(scheduler: Scheduler, members: Vec<Member>, word: u64) -> Self {
        let last = Some(word as u32).filter(|server| *server != 0);
        let state = match scheduler {
            Scheduler::Rr => State::RoundRobin { last },
            Scheduler::Wrr => State::Weighted {
                last,
                current: (word >> 32) as u32,
            },
            _ => State::Stateless,
        };
        Schedule {
            scheduler,
            members,
            state,
        }
    }

    /// The state in a word, for a director that adopts running maps: server picked last below,
    /// wrr's current weight above.
    pub(crate) fn word(&self) -> u64 {
        match self.state {
            State::RoundRobin { last } => u64::from(last.unwrap_or(0)),
            State::Weighted { last, current } => {
                u64::from(last.unwrap_or(0)) | u64::from(current) << 32
            }
            State::Stateless => 0,
        }
    }

    /// The scheduler.
    pub(crate) fn scheduler(&self) -> Scheduler {
        self.scheduler
    }

    /// Makes the state that of `picks` picks later.
    pub(crate) fn advance(&mut self, picks: u64) {
        match &mut self.state {
            State::RoundRobin { last } => round_robin::advance(&self.members, last, picks),
            State::Weighted { last, current } => {
                let (weights, _) = weighted::fit(&self.members);
                weighted::advance(&weights, last, current, picks);
            }
            State::Stateless => {}
        }
    }

    /// Adds a server: the newest goes to the head of the list.
    pub(crate) fn add(&mut self, member: Member) {
        self.members.insert(0, member);
        self.changed();
    }

    /// Changes a server's weight. To be called for every edit of a server, as IPVS's wrr starts
    /// its list over at each.
    pub(crate) fn edit(&mut self, server: u32, weight: u32) {
        if let Some(member) = self
            .members
            .iter_mut()
            .find(|member| member.server == server)
        {
            member.weight = weight;
        }
        self.changed();
    }

    /// Removes a server.
    pub(crate) fn remove(&mut self, server: u32) {
        let Some(position) = self
            .members
            .iter()
            .position(|member| member.server == server)
        else {
            return;
        };
        if let State::RoundRobin { last } = &mut self.state
            && *last == Some(server)
        {
            *last = position
                .checked_sub(1)
                .map(|before| self.members[before].server);
        }
        self.members.remove(position);
        self.changed();
    }

    /// Changes the scheduler; a different one starts afresh.
    pub(crate) fn set_scheduler(&mut self, scheduler: Scheduler) {
        if scheduler != self.scheduler {
            self.scheduler = scheduler;
            self.state = State::initial(scheduler, &self.members);
        }
    }

    /// What wrr does after every change of its list.
    fn changed(&mut self) {
        if let State::Weighted { last, current } = &mut self.state {
            let (weights, _) = weighted::fit(&self.members);
            *last = None;
            *current = weighted::after_change(&weights, *current);
        }
    }

    /// The run from this state on.
    ///
    /// # Errors
    ///
    /// The packet path compares no more than [`MOST_SLOTS`] servers.
    pub(crate) fn layout(&self) -> Result<Layout, TooManyServers> {
        let (servers, scaled) = match self.state {
            State::RoundRobin { last } => (round_robin::cycle(&self.members, last), false),
            State::Weighted { last, current } => {
                let (weights, scaled) = weighted::fit(&self.members);
                (weighted::cycle(&weights, last, current), scaled)
            }
            State::Stateless => return self.scan(),
        };
        let slots = servers
            .into_iter()
            .map(|server| Slot { server, weight: 1 })
            .collect();
        Ok(Layout {
            choice: choice(self.scheduler),
            slots,
            cycle_start: 0,
            scaled: scaled.then_some(u64::from(LONGEST_RUN)),
        })
    }

    /// Servers with a weight, newest first, because of equals the first one wins.
    fn scan(&self) -> Result<Layout, TooManyServers> {
        let (members, scaled) = match self.scheduler {
            Scheduler::Twos => weighted::scale(&self.members, LARGEST_DRAWN_SUM),
            _ => (self.members.clone(), false),
        };
        let slots: Vec<Slot> = members
            .iter()
            .filter(|member| member.weight > 0)
            .map(|member| Slot {
                server: member.server,
                weight: if self.scheduler == Scheduler::Lc {
                    1
                } else {
                    member.weight
                },
            })
            .collect();
        if slots.len() > MOST_SLOTS as usize {
            return Err(TooManyServers {
                servers: slots.len(),
            });
        }
        Ok(Layout {
            choice: choice(self.scheduler),
            slots,
            cycle_start: 0,
            scaled: scaled.then_some(LARGEST_DRAWN_SUM),
        })
    }
}

/// How the packet path chooses for a scheduler.
pub(crate) fn choice(scheduler: Scheduler) -> Choice {
    match scheduler {
        Scheduler::Rr | Scheduler::Wrr => Choice::Rotate,
        Scheduler::Lc | Scheduler::Wlc => Choice::Overhead,
        Scheduler::Fo => Choice::Highest,
        Scheduler::Ovf => Choice::Overflow,
        Scheduler::Sed => Choice::ShortestDelay,
        Scheduler::Nq => Choice::NeverQueue,
        Scheduler::Twos => Choice::TwoDrawn,
    }
}

impl State {
    fn initial(scheduler: Scheduler, members: &[Member]) -> Self {
        match scheduler {
            Scheduler::Rr => State::RoundRobin { last: None },
            Scheduler::Wrr => {
                let (weights, _) = weighted::fit(members);
                State::Weighted {
                    last: None,
                    current: weighted::highest(&weights),
                }
            }
            _ => State::Stateless,
        }
    }
}
