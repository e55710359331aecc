//! Changes by hand: `ipvsadm` and whatever else speaks to the control socket.

use std::collections::BTreeSet;
use std::net::IpAddr;

use caribe_dataplane::Snapshot;
use caribe_model::{ServiceKey, Table, TableError, Timeouts};

use super::Director;
use super::desired::Stale;
use crate::overrides::WeightRule;
use crate::{Change, ChangeRefusal, Effect, Intent, Notice, Phase};

impl Director {
    /// Makes changes by hand, one after the other, and says what to do about them: what came of
    /// each, and the effects of all. When the data plane refuses the table that comes of it, the
    /// next [`crate::Event::Applied`] takes all of them back.
    ///
    /// A change is refused that IPVS would refuse, or that a monitor would undo at once; it
    /// changes nothing then.
    pub fn change(&mut self, changes: &[Change]) -> (Vec<Result<(), ChangeRefusal>>, Vec<Effect>) {
        let runs = matches!(self.phase, Phase::Running | Phase::Reloading);
        let Some(intent) = self.intent.as_ref().filter(|_| runs) else {
            return (vec![Err(ChangeRefusal::NotRunning); changes.len()], vec![]);
        };
        let mut draining = self.draining.clone();
        let mut overrides = self.overrides.clone();
        let before = self.timeouts(intent);
        let mut effects = Vec::new();
        let mut results = Vec::with_capacity(changes.len());
        let mut stale = Stale::default();
        // Whether a server is in is for its monitors to say; its weight is the wanted one.
        let weight: WeightRule<'_> =
            &|service, server| self.weight(service, server).map(|_| server.server.weight);
        for change in changes {
            let mut result = overrides.change(change, intent, weight);
            if let (Change::RemoveServer(key, server), Err(ChangeRefusal::NoServer(..))) =
                (change, &result)
                && draining.end(*key, *server)
            {
                result = Ok(());
            }
            if result.is_ok() {
                effects.push(Effect::Log(Notice::Changed(change.clone())));
                match change.service() {
                    Some(key) => stale.add(*key),
                    None => stale = Stale::Everything,
                }
            }
            results.push(result);
        }
        let timeouts = overrides.timeouts.unwrap_or(intent.timeouts);
        if timeouts != before {
            effects.push(Effect::SetTimeouts(timeouts));
        }
        let previous = std::mem::replace(&mut self.overrides, overrides);
        self.draining = draining;
        let applied = effects.len();
        self.stale.join(stale);
        self.reconcile(&mut effects);
        if effects.len() > applied {
            self.undo = Some(previous);
        }
        if changes.iter().any(|change| self.may_change_watch(change)) {
            self.renew_watch_of_servers(&mut effects);
        }
        self.settle(false, &mut effects);
        (results, effects)
    }

    /// Whether a change may lead to a way that is not kept warm, or away from one that is.
    fn may_change_watch(&self, change: &Change) -> bool {
        match change {
            Change::AddServer(_, server) => !self.hops.contains_key(&server.key.address),
            Change::AddService(..)
            | Change::EditService(..)
            | Change::EditServer(..)
            | Change::SetTimeouts { .. } => false,
            Change::RemoveService(_)
            | Change::RemoveServer(..)
            | Change::Clear
            | Change::Revert => true,
        }
    }

    /// The table as it would be with every server up, which is what a file can say of it; and the
    /// interface for VIPs of services that no block has.
    ///
    /// # Errors
    ///
    /// When no table can hold it: then none does.
    pub fn to_save(&self) -> Result<(Table, Option<String>), TableError> {
        let mut table = Table::default();
        let Some(intent) = &self.intent else {
            return Ok((table, None));
        };
        let weight: WeightRule<'_> = &|_, server| Some(server.server.weight);
        let configured = intent.services.iter().map(|service| &service.key);
        for key in configured.chain(self.overrides.added(intent)) {
            if let Some(service) = self.overrides.service(key, intent, weight) {
                table.insert(*key, service)?;
            }
        }
        let interface = intent.addresses.first().map(|it| it.interface.clone());
        Ok((table, interface))
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

    /// Takes back the changes by hand whose table was refused.
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
        effects.push(Effect::Log(Notice::ChangeTakenBack));
        match timeouts(self) {
            Some(after) if Some(after) != before => effects.push(Effect::SetTimeouts(after)),
            _ => {}
        }
        self.stale = Stale::Everything;
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
            self.overrides.prune(intent);
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
        servers.extend(self.draining.addresses());
        servers.extend(self.overrides.server_addresses());
        self.renew_watch(servers, effects);
    }
}

#[cfg(test)]
mod tests;
