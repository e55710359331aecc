//! Schedulers, laid out as runs of slots: pure code.
//!
//! The packet path knows a few ways to choose: to *rotate* through a run, to take the *best* slot of
//! a run by load and weight, the better of two that are *drawn*, or
//! the slot of a *hash*; or to go by what is *remembered* for a destination, and else by load. What the run holds, in which order, is worked out here from IPVS's rules, so
//! that the sequence of picks is the one that IPVS would make, down to the state that edits leave
//! behind: a [`Schedule`] is that state, advanced by the picks that the packet path has counted
//! and changed by additions, edits and removals.

mod hashed;
mod round_robin;
mod weighted;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use caribe_model::{Family, Scheduler, SchedulerOptions, ServerKey};
use caribe_packet::hash::{fold4, fold6, origin};
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
    /// The last weight above 0 since the server was added; 0 if there was none.
    pub(crate) last_weight: u32,
    /// What mh hashes of the server: its folded address and its port.
    pub(crate) origin: u32,
}

impl Member {
    /// A server of a service for this address family.
    pub(crate) fn new(server: u32, family: Family, key: &ServerKey, weights: Weights) -> Self {
        let folded = match (family, key.address) {
            (_, IpAddr::V4(address)) => fold4(address.octets()),
            (Family::V6, IpAddr::V6(address)) => fold6(address.octets()),
            // IPVS folds by the service's family: of a tunnel's IPv6 server, the first four bytes.
            (Family::V4, IpAddr::V6(address)) => (address.to_bits() >> 96) as u32,
        };
        Member {
            server,
            weight: weights.now,
            last_weight: weights.last,
            origin: origin(folded, Some(key.port.to_be_bytes())),
        }
    }
}

/// A server's weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Weights {
    /// The weight; 0 takes no new connections.
    pub(crate) now: u32,
    /// The last weight above 0 since the server was added; 0 if there was none.
    pub(crate) last: u32,
}

impl Weights {
    /// Those of a server that is added.
    pub(crate) fn added(weight: u32) -> Self {
        Weights {
            now: weight,
            last: weight,
        }
    }

    /// Those after an edit.
    pub(crate) fn edited(self, weight: u32) -> Self {
        Weights {
            now: weight,
            last: if weight > 0 { weight } else { self.last },
        }
    }
}

/// The state of a service's scheduler.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schedule {
    scheduler: Scheduler,
    options: SchedulerOptions,
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

/// More servers than a scheduler has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyServers {
    /// Which servers, in the plural.
    pub(crate) what: &'static str,
    /// How many there are.
    pub(crate) servers: usize,
    /// How many there may be.
    pub(crate) room: u32,
}

impl Schedule {
    /// The schedule of a service without servers.
    pub(crate) fn new(scheduler: Scheduler, options: SchedulerOptions) -> Self {
        let state = State::initial(scheduler, &[]);
        Schedule {
            scheduler,
            options,
            members: Vec::new(),
            state,
        }
    }

    /// The schedule that [`Schedule::word`] was taken from.
    pub(crate) fn restore(
        scheduler: Scheduler,
        options: SchedulerOptions,
        members: Vec<Member>,
        word: u64,
    ) -> Self {
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
            options,
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

    /// Its flags and sizes.
    pub(crate) fn options(&self) -> SchedulerOptions {
        self.options
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
            if weight > 0 {
                member.last_weight = weight;
            }
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

    /// Changes the scheduler and its options; a different one starts afresh.
    pub(crate) fn set_scheduler(&mut self, scheduler: Scheduler, options: SchedulerOptions) {
        self.options = options;
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
    /// The packet path compares no more than [`MOST_SLOTS`] servers, and mh has to have a slot for
    /// each.
    pub(crate) fn layout(&self) -> Result<Layout, TooManyServers> {
        let (servers, scaled) = match self.state {
            State::RoundRobin { last } => (round_robin::cycle(&self.members, last), false),
            State::Weighted { last, current } => {
                let (weights, scaled) = weighted::fit(&self.members);
                (weighted::cycle(&weights, last, current), scaled)
            }
            State::Stateless => {
                return match self.scheduler {
                    Scheduler::Dh | Scheduler::Sh | Scheduler::Mh => self.table(),
                    _ => self.scan(),
                };
            }
        };
        let slots = turns(&servers)
            .into_iter()
            .zip(servers)
            .map(|(weight, server)| Slot { server, weight })
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
                what: "real servers with a weight in one service whose scheduler compares them",
                servers: slots.len(),
                room: MOST_SLOTS,
            });
        }
        Ok(Layout {
            choice: choice(self.scheduler),
            slots,
            cycle_start: 0,
            scaled: scaled.then_some(LARGEST_DRAWN_SUM),
        })
    }

    /// The table of a hash; empty when nobody takes connections.
    fn table(&self) -> Result<Layout, TooManyServers> {
        let size = self.options.table_size;
        if self.scheduler == Scheduler::Mh && self.members.len() > size.slots() as usize {
            return Err(TooManyServers {
                what: "real servers in one service whose mh table has fewer slots",
                servers: self.members.len(),
                room: size.slots(),
            });
        }
        let slots = if self.members.iter().all(|member| member.weight == 0) {
            Vec::new()
        } else {
            match self.scheduler {
                Scheduler::Dh => hashed::destination(&self.members),
                Scheduler::Sh => hashed::source(&self.members),
                _ => hashed::maglev(&self.members, size),
            }
        };
        Ok(Layout {
            choice: choice(self.scheduler),
            slots,
            cycle_start: 0,
            scaled: None,
        })
    }
}

/// For each place of a cycle, how much further the next one of another server is; once round if
/// there is none.
fn turns(cycle: &[u32]) -> Vec<u32> {
    // No cycle is longer than `LONGEST_RUN`.
    let mut turns = vec![cycle.len() as u32; cycle.len()];
    // Twice backwards, so that the end has seen the start.
    for at in (0..cycle.len() * 2).rev().map(|at| at % cycle.len()) {
        let next = (at + 1) % cycle.len();
        turns[at] = if cycle[at] != cycle[next] {
            1
        } else {
            (turns[next] + 1).min(cycle.len() as u32)
        };
    }
    turns
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
        Scheduler::Lblc => Choice::Locality,
        Scheduler::Lblcr => Choice::Replicated,
        Scheduler::Dh => Choice::DestinationHash,
        Scheduler::Sh => Choice::SourceHash,
        Scheduler::Mh => Choice::Maglev,
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
