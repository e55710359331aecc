//! The table that the data plane should hold: derived from the configuration, the verdicts and
//! the overrides, as far as one of them changed.

use std::collections::BTreeSet;

use caribe_dataplane::Snapshot;
use caribe_model::{Defence, Service, ServiceKey, Table};

use super::{Director, Taken};
use crate::overrides::WeightRule;
use crate::{Effect, Intent, Notice};

/// What of the desired table has to be derived anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Stale {
    /// These services.
    Services(BTreeSet<ServiceKey>),
    /// All of it.
    Everything,
}

impl Default for Stale {
    fn default() -> Self {
        Stale::Services(BTreeSet::new())
    }
}

impl Stale {
    /// One service more.
    pub(super) fn add(&mut self, key: ServiceKey) {
        if let Stale::Services(services) = self {
            services.insert(key);
        }
    }

    /// All that `other` has, too.
    pub(super) fn join(&mut self, other: Stale) {
        match (&mut *self, other) {
            (Stale::Services(services), Stale::Services(mut others)) => {
                services.append(&mut others);
            }
            _ => *self = Stale::Everything,
        }
    }
}

impl Director {
    /// Derives what is stale, and sends the table when it is not what was last sent. This is the
    /// one place where a table is derived.
    pub(super) fn reconcile(&mut self, effects: &mut Vec<Effect>) {
        let mut changed = self.taken == Taken::Never;
        match std::mem::take(&mut self.stale) {
            Stale::Services(services) => {
                for key in services {
                    self.place(&key, effects);
                    changed |= self.derive_service(&key, effects);
                }
            }
            Stale::Everything => {
                self.place_all(effects);
                changed |= self.derive_everything(effects);
            }
        }
        if changed && self.intent.is_some() {
            self.taken = Taken::Pending;
            effects.push(Effect::Apply(self.desired.clone()));
        }
    }

    /// Adds what neither the file nor a change by hand says of a service.
    fn complete(&self, key: &ServiceKey, service: &mut Service, intent: &Intent) {
        self.draining.join(key, service);
        let wanted = intent.service(key);
        let secure_tcp = wanted.map_or(intent.secure_tcp, |wanted| wanted.secure_tcp);
        if self.crowded && secure_tcp == Defence::Automatic {
            service.policy.secure_tcp = true;
        }
    }

    /// Notes how full the connection table is: services that say `secure_tcp` 1 or 2 are secured
    /// while it is nearly full. Memory is taken at the start here, so that is what can run out.
    pub(super) fn sample_crowd(&mut self, snapshot: &Snapshot) {
        // Each family has half of the room, and may be the one that fills it.
        let (connections, room) = (snapshot.connections, snapshot.capacity / 2);
        let crowded = if self.crowded {
            connections * 4 >= room * 3
        } else {
            room > 0 && connections * 10 >= room * 9
        };
        if crowded != self.crowded {
            self.crowded = crowded;
            self.stale = Stale::Everything;
        }
    }

    /// Puts one service into the desired table; whether that changed it.
    fn derive_service(&mut self, key: &ServiceKey, effects: &mut Vec<Effect>) -> bool {
        let Some(intent) = &self.intent else {
            return false;
        };
        let mut service = self.derived(key, intent);
        if let Some(service) = &mut service {
            self.complete(key, service, intent);
        }
        if service.as_ref() == self.desired.service(key) {
            return false;
        }
        self.desired.remove(key);
        if let Some(Err(error)) = service.map(|service| self.desired.insert(*key, service)) {
            effects.push(Effect::Log(Notice::Trouble(error.to_string())));
        }
        true
    }

    /// A service as the table shall hold it.
    fn derived(&self, key: &ServiceKey, intent: &Intent) -> Option<Service> {
        let weight: WeightRule<'_> = &|service, server| self.weight(service, server);
        let mut service = self.overrides.service(key, intent, weight)?;
        if let Some(sorry) = self.sorry(key)
            && !self.overrides.replaces(key)
            && !service.servers.iter().any(|server| server.key == sorry.key)
        {
            service.servers.push(sorry.clone());
        }
        Some(service)
    }

    /// Derives the desired table from nothing; whether that changed it.
    fn derive_everything(&mut self, effects: &mut Vec<Effect>) -> bool {
        let Some(intent) = &self.intent else {
            return false;
        };
        let configured = intent.services.iter().map(|service| &service.key);
        let mut table = Table::default();
        // `Intent::new` has inserted the same services, and `change` what overrides add to them.
        for key in configured.chain(self.overrides.added(intent)) {
            let Some(mut service) = self.derived(key, intent) else {
                continue;
            };
            self.complete(key, &mut service, intent);
            if let Err(error) = table.insert(*key, service) {
                effects.push(Effect::Log(Notice::Trouble(error.to_string())));
            }
        }
        if let Err(error) = table.set_marks(intent.marks.clone()) {
            effects.push(Effect::Log(Notice::Trouble(error.to_string())));
        }
        if table == self.desired {
            return false;
        }
        self.desired = table;
        true
    }
}
