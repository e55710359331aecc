//! Floating addresses: put up, announced, remembered, taken off.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use caribe_config::config::FloatingAddress;
use caribe_model::Monotonic;
use caribe_network::AddressOutcome;

use super::RETRY;
use crate::{Effect, Notice};

/// Piranha announces an address five times, a second apart.
const ANNOUNCEMENTS: u32 = 5;
const BETWEEN_ANNOUNCEMENTS: Duration = Duration::from_secs(1);

/// Every floating address that the director deals with.
#[derive(Debug, Default)]
pub(super) struct Addresses {
    known: BTreeMap<IpAddr, Known>,
    /// Addresses under way onto an interface that are not wanted any more. Whether one is the
    /// director's own, to be taken off again, is known when it has arrived.
    abandoned: Vec<FloatingAddress>,
    /// Addresses under way off an interface.
    leaving: Vec<FloatingAddress>,
    /// Addresses that could not be taken off, with the reason. They stay remembered.
    stuck: Vec<(FloatingAddress, String)>,
    announcing: BTreeMap<IpAddr, Announcing>,
    /// What was last remembered; `None` before the first time.
    remembered: Option<Vec<FloatingAddress>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) floating: FloatingAddress,
    pub(super) state: State,
    /// The director put it up: it is to be taken off at the end.
    pub(super) own: bool,
    /// Why it could not be put up when that was last tried.
    pub(super) problem: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum State {
    /// Found in the memory of an earlier director; not looked at yet.
    Remembered,
    /// Under way onto the interface.
    Adding,
    /// On the interface.
    Present,
    /// Refused by the kernel.
    Failed { retry: Monotonic },
}

#[derive(Debug)]
struct Announcing {
    left: u32,
    due: Monotonic,
}

impl Addresses {
    /// Starts with what an earlier director put up.
    pub(super) fn remembering(remembered: &[FloatingAddress]) -> Self {
        let known = remembered.iter().map(|floating| {
            let known = Known {
                floating: floating.clone(),
                state: State::Remembered,
                own: true,
                problem: None,
            };
            (floating.address, known)
        });
        Addresses {
            known: known.collect(),
            ..Addresses::default()
        }
    }

    /// Brings the addresses to what is wanted: takes off first, then puts up.
    pub(super) fn reconcile<'a>(
        &mut self,
        wanted: impl Iterator<Item = &'a FloatingAddress> + Clone,
        effects: &mut Vec<Effect>,
    ) {
        let leaving: Vec<IpAddr> = self
            .known
            .iter()
            .filter(|(_, known)| !wanted.clone().any(|wanted| *wanted == known.floating))
            .map(|(address, _)| *address)
            .collect();
        for address in leaving {
            self.let_go(address, effects);
        }
        let mut additions = Vec::new();
        for floating in wanted {
            let left_over = self.stuck.iter().any(|(stuck, _)| stuck == floating);
            self.stuck.retain(|(stuck, _)| stuck != floating);
            let known = self.known.entry(floating.address).or_insert_with(|| Known {
                floating: floating.clone(),
                state: State::Remembered,
                own: left_over,
                problem: None,
            });
            if known.state == State::Remembered {
                known.state = State::Adding;
                additions.push(Effect::AddAddress(floating.clone()));
            }
        }
        self.put_up(additions, effects);
    }

    fn put_up(&mut self, additions: Vec<Effect>, effects: &mut Vec<Effect>) {
        if !additions.is_empty() {
            // Before the address is up, so that it cannot outlive a killed director unnoticed.
            effects.push(self.remember());
            effects.extend(additions);
        }
    }

    pub(super) fn added(
        &mut self,
        floating: &FloatingAddress,
        result: Result<AddressOutcome, String>,
        now: Monotonic,
        effects: &mut Vec<Effect>,
    ) {
        let abandoned = self.take_abandoned(floating);
        let known = self.known.get_mut(&floating.address);
        let Some(known) = known.filter(|known| known.floating == *floating) else {
            if abandoned {
                self.take_off_again(floating, &result, effects);
                self.remember_if_new(effects);
            }
            return;
        };
        match result {
            Ok(outcome) => {
                match outcome {
                    AddressOutcome::Added => {
                        known.own = true;
                        effects.push(Effect::Log(Notice::AddressAdded(floating.clone())));
                    }
                    AddressOutcome::AlreadyThere if known.own => {
                        effects.push(Effect::Log(Notice::AddressAdded(floating.clone())));
                    }
                    AddressOutcome::AlreadyThere => {
                        effects.push(Effect::Log(Notice::AddressForeign(floating.clone())));
                    }
                }
                known.state = State::Present;
                known.problem = None;
                self.announcing.insert(
                    floating.address,
                    Announcing {
                        left: ANNOUNCEMENTS - 1,
                        due: now + BETWEEN_ANNOUNCEMENTS,
                    },
                );
                effects.push(Effect::Announce(floating.clone()));
            }
            Err(problem) => {
                if known.problem.as_ref() != Some(&problem) {
                    effects.push(Effect::Log(Notice::Trouble(problem.clone())));
                    known.problem = Some(problem);
                }
                known.state = State::Failed { retry: now + RETRY };
            }
        }
        self.remember_if_new(effects);
    }

    /// The same while the director goes down, and wants no address any more; whether that was
    /// waited for.
    pub(super) fn added_at_the_end(
        &mut self,
        floating: &FloatingAddress,
        result: &Result<AddressOutcome, String>,
        effects: &mut Vec<Effect>,
    ) -> bool {
        let abandoned = self.take_abandoned(floating);
        if abandoned {
            self.take_off_again(floating, result, effects);
        }
        abandoned
    }

    fn take_abandoned(&mut self, floating: &FloatingAddress) -> bool {
        let at = self.abandoned.iter().position(|it| it == floating);
        at.map(|at| self.abandoned.swap_remove(at)).is_some()
    }

    /// An address that is not wanted any more has arrived, or has not.
    fn take_off_again(
        &mut self,
        floating: &FloatingAddress,
        result: &Result<AddressOutcome, String>,
        effects: &mut Vec<Effect>,
    ) {
        if matches!(result, Ok(AddressOutcome::Added)) {
            self.leaving.push(floating.clone());
            effects.push(Effect::RemoveAddress(floating.clone()));
        }
    }

    pub(super) fn removed(
        &mut self,
        floating: &FloatingAddress,
        result: Result<bool, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.removed_at_the_end(floating, result, effects);
        self.remember_if_new(effects);
    }

    pub(super) fn removed_at_the_end(
        &mut self,
        floating: &FloatingAddress,
        result: Result<bool, String>,
        effects: &mut Vec<Effect>,
    ) {
        self.leaving.retain(|leaving| leaving != floating);
        match result {
            Ok(true) => effects.push(Effect::Log(Notice::AddressRemoved(floating.clone()))),
            Ok(false) => {}
            Err(problem) => {
                effects.push(Effect::Log(Notice::Trouble(problem.clone())));
                self.stuck.push((floating.clone(), problem));
            }
        }
    }

    /// Announces what is due and tries again what failed.
    pub(super) fn tick(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        let mut additions = Vec::new();
        for known in self.known.values_mut() {
            if matches!(known.state, State::Failed { retry } if retry <= now) {
                known.state = State::Adding;
                additions.push(Effect::AddAddress(known.floating.clone()));
            }
        }
        self.put_up(additions, effects);
        if self.announcing.is_empty() {
            return;
        }
        let known = &self.known;
        self.announcing.retain(|address, announcing| {
            let Some(known) = known.get(address) else {
                return false;
            };
            if announcing.due <= now {
                effects.push(Effect::Announce(known.floating.clone()));
                announcing.left -= 1;
                announcing.due = now + BETWEEN_ANNOUNCEMENTS;
            }
            announcing.left > 0
        });
        if self.announcing.is_empty() {
            effects.push(Effect::Log(Notice::AnnouncementsFinished));
        }
    }

    /// Takes off everything that is the director's own, once more what could not be taken off.
    pub(super) fn remove_all(&mut self, effects: &mut Vec<Effect>) {
        self.announcing.clear();
        let addresses: Vec<IpAddr> = self.known.keys().copied().collect();
        for address in addresses {
            self.let_go(address, effects);
        }
        for (floating, _) in std::mem::take(&mut self.stuck) {
            self.leaving.push(floating.clone());
            effects.push(Effect::RemoveAddress(floating));
        }
    }

    /// The effect that makes the present state outlive the process.
    pub(super) fn remember(&mut self) -> Effect {
        let own = self.own();
        self.remembered = Some(own.clone());
        Effect::Remember(own)
    }

    /// Whether an address is on its way onto an interface for the first time.
    pub(super) fn pending(&self) -> bool {
        let mut known = self.known.values();
        known.any(|known| matches!(known.state, State::Adding))
    }

    /// Whether an address is on its way off an interface, or may have to be taken off again.
    pub(super) fn removing(&self) -> bool {
        !self.leaving.is_empty() || !self.abandoned.is_empty()
    }

    /// Why an address is left over, if one is.
    pub(super) fn leftover(&self) -> Option<String> {
        self.stuck.first().map(|(_, problem)| problem.clone())
    }

    pub(super) fn known(&self) -> impl Iterator<Item = &Known> {
        self.known.values()
    }

    fn let_go(&mut self, address: IpAddr, effects: &mut Vec<Effect>) {
        self.announcing.remove(&address);
        let Some(known) = self.known.remove(&address) else {
            return;
        };
        if known.own {
            self.leaving.push(known.floating.clone());
            effects.push(Effect::RemoveAddress(known.floating));
        } else if known.state == State::Adding {
            self.abandoned.push(known.floating);
        }
    }

    fn remember_if_new(&mut self, effects: &mut Vec<Effect>) {
        if self.remembered.as_ref() != Some(&self.own()) {
            effects.push(self.remember());
        }
    }

    /// Addresses that must not be forgotten: own ones, those about to become so, and those that
    /// are still to go.
    fn own(&self) -> Vec<FloatingAddress> {
        let known = self
            .known
            .values()
            .filter(|known| known.own || known.state == State::Adding)
            .map(|known| &known.floating);
        let stuck = self.stuck.iter().map(|(floating, _)| floating);
        let known = known.chain(&self.abandoned).chain(&self.leaving);
        known.chain(stuck).cloned().collect()
    }
}
