//! Changes by hand: `ipvsadm` and whatever else speaks to the control socket.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use caribe_dataplane::Snapshot;
use caribe_model::{ServerKey, ServiceKey, Table, Timeouts};

use super::Director;
use super::servers::Placed;
use crate::overrides::Overrides;
use crate::{Change, ChangeRefusal, Effect, Intent, Notice, Phase, WantedServer};

impl Director {
    /// Makes a change by hand, and says what to do about it. When the data plane refuses the
    /// table that comes of it, the next [`crate::Event::Applied`] takes the change back.
    ///
    /// # Errors
    ///
    /// Refuses what IPVS would refuse, and what a monitor would undo at once; nothing is changed
    /// then.
    pub fn change(&mut self, change: &Change) -> Result<Vec<Effect>, ChangeRefusal> {
        let Some(intent) = &self.intent else {
            return Err(ChangeRefusal::NotRunning);
        };
        if !matches!(self.phase, Phase::Running | Phase::Reloading) {
            return Err(ChangeRefusal::NotRunning);
        }
        let mut overrides = self.overrides.clone();
        let before = self.timeouts(intent);
        overrides.change(change, &self.desired, &intent.services, before)?;
        let placements: BTreeMap<ServiceKey, Placed> = intent
            .services
            .iter()
            .filter(|wanted| change.service().is_none_or(|key| key == wanted.key))
            .map(|wanted| (wanted.key, self.placed(wanted, &overrides)))
            .collect();
        let (table, problems) = self.derive(intent, &overrides, &placements);
        if let Some(problem) = problems.into_iter().next() {
            return Err(ChangeRefusal::Refused(problem));
        }
        if let Change::AddServer(key, server) = change
            && !holds(&table, key, server.key)
        {
            return Err(ChangeRefusal::Down(*key, server.key));
        }
        let timeouts = overrides.timeouts.unwrap_or(intent.timeouts);
        let previous = std::mem::replace(&mut self.overrides, overrides);
        let touched = placements.into_keys().collect();
        let mut effects = vec![Effect::Log(Notice::Changed(change.clone()))];
        if timeouts != before {
            effects.push(Effect::SetTimeouts(timeouts));
        }
        self.replace(touched, &mut effects);
        let applied = effects.len();
        self.reconcile(&mut effects);
        if effects.len() > applied {
            self.undo = Some(previous);
        }
        self.renew_watch_of_servers(&mut effects);
        self.settle(&mut effects);
        Ok(effects)
    }

    /// Counts a service and its servers, or all, from zero on, in the table of `ipvsadm`.
    ///
    /// # Errors
    ///
    /// There is no such service.
    pub fn zero(
        &mut self,
        service: Option<&ServiceKey>,
        snapshot: &Snapshot,
    ) -> Result<(), ChangeRefusal> {
        let mut found = false;
        for live in &snapshot.services {
            if service.is_none_or(|key| live.key == *key) {
                found = true;
                self.zeroed.zero(live);
                self.rates.zero(live);
            }
        }
        match service {
            Some(key) if !found => Err(ChangeRefusal::NoService(*key)),
            _ => Ok(()),
        }
    }

    /// The timeouts in force.
    pub(super) fn timeouts(&self, intent: &Intent) -> Timeouts {
        self.overrides.timeouts.unwrap_or(intent.timeouts)
    }

    /// The table that follows from a configuration, the verdicts and overrides; and what of it no
    /// table can hold.
    /// `placements` stand for those in force.
    pub(super) fn derive(
        &self,
        intent: &Intent,
        overrides: &Overrides,
        placements: &BTreeMap<ServiceKey, Placed>,
    ) -> (Table, Vec<String>) {
        let mut table = Table::default();
        let mut problems = Vec::new();
        let configured = intent.services.iter().filter_map(|wanted| {
            let placed = placements.get(&wanted.key);
            let placed = placed.or_else(|| self.placements.get(&wanted.key));
            let weight = |server: &WantedServer| placed.and_then(|placed| placed.weight(server));
            let mut service = overrides.applied(wanted, weight)?;
            if let (Some(sorry), true) = (&wanted.sorry, placed.is_some_and(Placed::sorry)) {
                service.servers.push(sorry.clone());
            }
            Some((wanted.key, service))
        });
        let added = overrides.added(&intent.services);
        let added = added.map(|(key, service)| (key, service.clone()));
        for (key, service) in configured.chain(added) {
            if let Err(error) = table.insert(key, service) {
                problems.push(error.to_string());
            }
        }
        (table, problems)
    }

    /// Takes back the change by hand whose table was refused.
    pub(super) fn undo(&mut self, effects: &mut Vec<Effect>) {
        let Some(previous) = self.undo.take() else {
            return;
        };
        let timeouts = |director: &Self| {
            let intent = director.intent.as_ref()?;
            Some(director.timeouts(intent))
        };
        let before = timeouts(self);
        self.overrides = previous;
        self.replace_all(effects);
        effects.push(Effect::Log(Notice::ChangeTakenBack));
        match timeouts(self) {
            Some(after) if Some(after) != before => effects.push(Effect::SetTimeouts(after)),
            _ => {}
        }
        self.reconcile(effects);
        self.renew_watch_of_servers(effects);
    }

    /// Keeps or drops the overrides at a reload, as the new file says.
    pub(super) fn settle_overrides(&mut self, intent: &Intent, effects: &mut Vec<Effect>) {
        self.undo = None;
        if self.overrides.is_empty() {
            return;
        }
        if intent.keep_overrides {
            self.overrides.prune(&intent.services);
            effects.push(Effect::Log(Notice::OverridesKept(
                self.overrides.describe(),
            )));
        } else {
            let dropped = std::mem::take(&mut self.overrides);
            effects.push(Effect::Log(Notice::OverridesDropped(dropped.describe())));
        }
    }

    pub(super) fn renew_watch_of_servers(&mut self, effects: &mut Vec<Effect>) {
        let Some(intent) = &self.intent else {
            return;
        };
        let mut servers: BTreeSet<IpAddr> = intent.server_addresses();
        servers.extend(self.overrides.server_addresses());
        self.renew_watch(servers, effects);
    }
}

fn holds(table: &Table, service: &ServiceKey, server: ServerKey) -> bool {
    let service = table.service(service);
    service.is_some_and(|service| service.servers.iter().any(|other| other.key == server))
}

#[cfg(test)]
mod tests;
