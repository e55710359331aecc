//! The functional core: everything a director decides.

mod addresses;
mod changes;
mod configuration;
mod desired;
mod draining;
mod ordering;
mod report;
mod servers;
mod watched;
mod watching;
mod way;

#[cfg(test)]
mod placing_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use caribe_config::config::FloatingAddress;
use caribe_dataplane::Snapshot;
use caribe_health::{MonitorId, ServerId};
use caribe_model::{Monotonic, NextHop, ServiceKey, Table};

use crate::counting::Zeroed;
use crate::overrides::Overrides;
use crate::{
    Effect, Ending, Estimator, Event, Intent, Notice, Notification, Phase, Rates, StandingOrder,
};

use addresses::Addresses;
use desired::Stale;
use draining::Draining;
use servers::Placed;
use watched::{Watched, WatchedServers};

/// How long to wait before something that the kernel refused is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// What a director is started with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The configuration file, for the status.
    pub file: String,
    /// Interfaces of the command line.
    pub interfaces: Vec<String>,
    /// On stop, leave the data plane and the addresses as they are.
    pub keep_dataplane: bool,
    /// What an adopted data plane holds; `None` when it was made afresh.
    pub adopted: Option<Snapshot>,
    /// Where the data plane is to be attached, as far as it has been told.
    pub attached: BTreeSet<String>,
    /// Addresses that an earlier director of the same runtime directory put up.
    pub remembered: Vec<FloatingAddress>,
    /// Operators' orders that stand.
    pub orders: BTreeMap<ServerId, StandingOrder>,
}

/// The director: the one owner of all state.
#[derive(Debug)]
pub struct Director {
    setup: Setup,
    started: Monotonic,
    phase: Phase,
    /// The configuration in force; `None` until the first is loaded.
    intent: Option<Intent>,
    loaded: Monotonic,
    reloads: u64,
    /// Diagnostics of the file as last read, when it was refused.
    refused: Vec<String>,
    /// A reload was asked for while one was being read.
    reload_again: bool,
    /// Whether the file is being read.
    reading: bool,
    /// Weights in the data plane that was adopted, until the first configuration has used them.
    adopted_weights: BTreeMap<ServerId, u32>,
    /// Every server that is watched, and what is known about it.
    servers: WatchedServers,
    /// What of each configured service is in the table.
    placements: BTreeMap<ServiceKey, Placed>,
    /// Operators' orders that stand.
    orders: BTreeMap<ServerId, StandingOrder>,
    /// How much has happened since the start.
    happenings: u64,
    /// What was changed by hand since the configuration came into force.
    overrides: Overrides,
    /// What `overrides` were before the last change by hand, until its table is taken.
    undo: Option<Overrides>,
    /// The connection table is nearly full.
    crowded: bool,
    /// Servers that left the file and finish their connections.
    draining: Draining,
    /// The table as last sent to the data plane.
    desired: Table,
    /// What of it has to be derived anew.
    stale: Stale,
    /// How the last table was taken.
    taken: Taken,
    /// Ways to servers as last reported.
    hops: BTreeMap<IpAddr, Option<NextHop>>,
    /// Why the data plane is not on all its interfaces, and when that is tried again.
    detached: Option<(String, Monotonic)>,
    /// Interfaces whose lack of a program was complained about.
    unseen: BTreeSet<u32>,
    addresses: Addresses,
    sweeping: bool,
    sampling: bool,
    next_sample: Monotonic,
    rates: Rates,
    /// Counters at the time when they were zeroed by hand.
    zeroed: Zeroed,
    /// The status line last told to the service manager.
    told: Option<String>,
    sweep_trouble: Grievance,
    sample_trouble: Grievance,
    /// Why the director goes down, when it was not asked to.
    failure: Option<String>,
}

/// A trouble that would repeat itself every half second, and is logged only when it is new.
#[derive(Debug, Default)]
struct Grievance {
    last: Option<String>,
}

impl Grievance {
    fn note(&mut self, problem: Option<String>, effects: &mut Vec<Effect>) {
        if self.last != problem {
            effects.extend(
                problem
                    .clone()
                    .map(|text| Effect::Log(Notice::Trouble(text))),
            );
            self.last = problem;
        }
    }
}

/// What became of the table that was last sent to the data plane.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Taken {
    /// No table was sent yet.
    Never,
    /// It is under way.
    Pending,
    /// The data plane holds it.
    Yes,
    /// The data plane refused it.
    No { problem: String, retry: Monotonic },
}

impl Director {
    /// A director that has no configuration yet.
    pub fn new(setup: Setup, now: Monotonic) -> Self {
        let addresses = Addresses::remembering(&setup.remembered);
        let adopted_weights = adopted_weights(setup.adopted.as_ref());
        let orders = setup.orders.clone();
        Director {
            setup,
            started: now,
            phase: Phase::Starting,
            intent: None,
            loaded: now,
            reloads: 0,
            refused: Vec::new(),
            reload_again: false,
            reading: false,
            adopted_weights,
            servers: WatchedServers::default(),
            placements: BTreeMap::new(),
            orders,
            happenings: 0,
            overrides: Overrides::default(),
            undo: None,
            crowded: false,
            draining: Draining::default(),
            desired: Table::default(),
            stale: Stale::Everything,
            taken: Taken::Never,
            hops: BTreeMap::new(),
            detached: None,
            unseen: BTreeSet::new(),
            addresses,
            sweeping: false,
            sampling: false,
            next_sample: now,
            rates: Rates::default(),
            zeroed: Zeroed::default(),
            told: None,
            sweep_trouble: Grievance::default(),
            sample_trouble: Grievance::default(),
            failure: None,
        }
    }

    /// Takes an event and says what to do about it.
    pub fn handle(&mut self, event: Event, now: Monotonic) -> Vec<Effect> {
        self.handle_all([event], now)
    }

    /// Takes events that happened together, such as a burst of verdicts: one table follows from
    /// all of them.
    pub fn handle_all(
        &mut self,
        events: impl IntoIterator<Item = Event>,
        now: Monotonic,
    ) -> Vec<Effect> {
        let mut effects = Vec::new();
        let mut quiet = true;
        for event in events {
            quiet &= event.is_quiet();
            if self.phase == Phase::Stopping {
                self.handle_while_stopping(event, &mut effects);
            } else {
                self.take(event, now, &mut effects);
            }
        }
        if self.phase != Phase::Stopping {
            if self.stale != Stale::default() {
                self.reconcile(&mut effects);
            }
            self.settle(quiet, &mut effects);
        }
        effects
    }

    fn take(&mut self, event: Event, now: Monotonic, effects: &mut Vec<Effect>) {
        match event {
            Event::ReloadRequested => self.begin_reload(effects),
            Event::ConfigLoaded {
                config,
                warnings,
                forwarding,
            } => self.load(&config, warnings, forwarding, now, effects),
            Event::ConfigRefused { diagnostics } => self.refuse(diagnostics, effects),
            Event::Report(report) => self.heed(report, now, effects),
            Event::NextHop(address, hop) => self.way(address, hop, effects),
            Event::Applied(result) => self.applied(result.err(), now, effects),
            Event::AddressAdded(floating, result) => {
                self.addresses.added(&floating, result, now, effects);
            }
            Event::AddressRemoved(floating, result) => {
                self.addresses.removed(&floating, result, effects);
            }
            Event::Swept(result) => {
                self.sweeping = false;
                self.sweep_trouble.note(result.err(), effects);
            }
            Event::Sampled(result) => self.sampled(result, effects),
            Event::Attached(result) => self.attached(result.err(), now, effects),
            Event::NextHopRefused(_, trouble)
            | Event::TimeoutsRefused(trouble)
            | Event::TuningRefused(trouble)
            | Event::AnnouncementFailed(_, trouble)
            | Event::NotRemembered(trouble)
            | Event::OrdersNotKept(trouble)
            | Event::ControlNotShared(trouble)
            | Event::DataplaneRemoved(Err(trouble)) => {
                effects.push(Effect::Log(Notice::Trouble(trouble)));
            }
            Event::DataplaneRemoved(Ok(())) => {}
            Event::Tick => self.tick(now, effects),
            Event::ShutdownRequested => self.stop(effects),
        }
    }

    /// The table that the data plane should hold now.
    pub fn desired(&self) -> &Table {
        &self.desired
    }

    fn tick(&mut self, now: Monotonic, effects: &mut Vec<Effect>) {
        if !self.sweeping {
            self.sweeping = true;
            effects.push(Effect::Sweep);
        }
        if !self.sampling && self.next_sample <= now {
            self.sampling = true;
            // From the time it was due, so that the average interval is exact; after a long
            // pause from now, so that none is made up for.
            let due = self.next_sample + Estimator::INTERVAL;
            self.next_sample = if due > now {
                due
            } else {
                now + Estimator::INTERVAL
            };
            effects.push(Effect::Sample);
        }
        if let Taken::No { retry, .. } = &mut self.taken
            && *retry <= now
        {
            *retry = now + RETRY;
            effects.push(Effect::Apply(self.desired.clone()));
        }
        if let (Some((_, retry)), Some(intent)) = (&mut self.detached, &self.intent)
            && *retry <= now
        {
            *retry = now + RETRY;
            effects.push(Effect::Attach(intent.interfaces.clone()));
        }
        self.end_draining(now, effects);
        self.addresses.tick(now, effects);
        self.climb(now);
    }

    fn sampled(&mut self, result: Result<Box<Snapshot>, String>, effects: &mut Vec<Effect>) {
        self.sampling = false;
        match result {
            Ok(snapshot) => {
                self.rates.sample(&snapshot);
                self.zeroed.keep(&snapshot);
                self.sample_draining(&snapshot, effects);
                self.sample_crowd(&snapshot);
                self.complain_of_unseen_replies(&snapshot, effects);
                self.sample_trouble.note(None, effects);
            }
            Err(problem) => self.sample_trouble.note(Some(problem), effects),
        }
    }

    fn applied(&mut self, problem: Option<String>, now: Monotonic, effects: &mut Vec<Effect>) {
        let Some(problem) = problem else {
            self.taken = Taken::Yes;
            self.undo = None;
            let wanted = self.intent.iter().flat_map(|intent| &intent.addresses);
            self.addresses.reconcile(wanted, effects);
            return;
        };
        if self.phase == Phase::Starting {
            self.fail(problem, effects);
            return;
        }
        let news = !matches!(&self.taken, Taken::No { problem: known, .. } if *known == problem);
        if news {
            effects.push(Effect::Log(Notice::Trouble(problem.clone())));
        }
        self.taken = Taken::No {
            problem,
            retry: now + RETRY,
        };
        self.undo(effects);
    }

    /// Reports readiness once nothing is under way, and the status line when it changed.
    ///
    /// The line counts all servers, so it is not made anew after events that leave it as it is.
    fn settle(&mut self, quiet: bool, effects: &mut Vec<Effect>) {
        if self.phase == Phase::Stopping {
            return;
        }
        let under_way = self.reading
            || matches!(self.taken, Taken::Pending | Taken::Never)
            || self.addresses.pending();
        if matches!(self.phase, Phase::Starting | Phase::Reloading) && !under_way {
            let in_force = self.refused.is_empty() && self.taken == Taken::Yes;
            if self.phase == Phase::Reloading && in_force {
                self.reloads += 1;
                let serial_no = self.intent.as_ref().map_or(0, |intent| intent.serial_no);
                effects.push(Effect::Log(Notice::Reloaded { serial_no }));
            }
            self.phase = Phase::Running;
            effects.push(Effect::Notify(Notification::Ready));
            if std::mem::take(&mut self.reload_again) {
                self.begin_reload(effects);
            }
        }
        let may_have_changed = !quiet || self.told.is_none();
        if self.phase != Phase::Starting && may_have_changed {
            let line = self.summary();
            if self.told.as_ref() != Some(&line) {
                effects.push(Effect::Notify(Notification::Status(line.clone())));
                self.told = Some(line);
            }
        }
    }

    fn stop(&mut self, effects: &mut Vec<Effect>) {
        let keep = self.setup.keep_dataplane;
        self.phase = Phase::Stopping;
        effects.push(Effect::Log(Notice::Stopping { keep }));
        effects.push(Effect::Notify(Notification::Stopping));
        for (server, watched) in std::mem::take(&mut self.servers).into_all() {
            let names = watched
                .monitors
                .iter()
                .map(|settings| settings.name.clone());
            let ids = names.map(|name| MonitorId { server, name });
            effects.extend(ids.map(Effect::StopMonitor));
        }
        if keep {
            effects.push(Effect::End(Ending::Clean));
            return;
        }
        self.take_down(effects);
    }

    /// Gives up a start, leaving things as they were found: an adopted data plane forwards on.
    fn fail(&mut self, reason: String, effects: &mut Vec<Effect>) {
        self.phase = Phase::Stopping;
        if self.setup.adopted.is_some() {
            effects.push(Effect::End(Ending::Failed(reason)));
            return;
        }
        self.failure = Some(reason);
        self.take_down(effects);
    }

    fn take_down(&mut self, effects: &mut Vec<Effect>) {
        for wanted in self.intent.iter().flat_map(|intent| &intent.services) {
            effects.push(Effect::Log(Notice::ServiceStopped {
                name: wanted.name.clone(),
                key: wanted.key,
            }));
        }
        // Addresses first: while the data plane still takes the packets, clients get no reset
        // from this machine's own TCP.
        self.addresses.remove_all(effects);
        self.remove_dataplane_when_addresses_are_off(effects);
    }

    fn handle_while_stopping(&mut self, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::AddressRemoved(floating, result) => {
                self.addresses
                    .removed_at_the_end(&floating, result, effects);
                self.remove_dataplane_when_addresses_are_off(effects);
            }
            Event::AddressAdded(floating, result) => {
                let abandoned = self.addresses.added_at_the_end(&floating, &result, effects);
                // Others have not been waited for.
                if abandoned {
                    self.remove_dataplane_when_addresses_are_off(effects);
                }
            }
            Event::DataplaneRemoved(result) => {
                let failure = self.failure.take().or(result.err());
                let failure = failure.or_else(|| self.addresses.leftover());
                effects.push(Effect::End(failure.map_or(Ending::Clean, Ending::Failed)));
            }
            Event::NotRemembered(trouble) => effects.push(Effect::Log(Notice::Trouble(trouble))),
            // Whatever else is still under way does not matter any more.
            _ => {}
        }
    }

    fn remove_dataplane_when_addresses_are_off(&mut self, effects: &mut Vec<Effect>) {
        if !self.addresses.removing() {
            effects.push(self.addresses.remember());
            effects.push(Effect::RemoveDataplane);
        }
    }
}

fn adopted_weights(adopted: Option<&Snapshot>) -> BTreeMap<ServerId, u32> {
    let services = adopted.into_iter().flat_map(|snapshot| &snapshot.services);
    services
        .flat_map(|service| {
            service.servers.iter().map(|server| {
                let id = ServerId {
                    service: service.key,
                    server: server.key,
                };
                (id, server.weight)
            })
        })
        .collect()
}
