//! Every server that is watched, with what is asked about all of them at every turn: there may be
//! a hundred thousand, and one verdict must not cost a walk.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use caribe_health::{ServerHealth, ServerId, Settings, Standing};
use caribe_model::ServiceKey;

use super::draining::FIRST;

/// A server that is watched.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    /// Its monitors.
    pub(super) monitors: Vec<Arc<Settings>>,
    pub(super) health: ServerHealth,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct WatchedServers {
    servers: BTreeMap<ServerId, Watched>,
    /// How many stand up.
    up: usize,
    /// Those that climb after a recovery.
    climbing: BTreeSet<ServerId>,
}

impl WatchedServers {
    pub(super) fn get(&self, id: &ServerId) -> Option<&Watched> {
        self.servers.get(id)
    }

    /// The servers of a service.
    pub(super) fn of_service(&self, service: ServiceKey) -> impl Iterator<Item = &ServerId> {
        let first = ServerId {
            service,
            server: FIRST,
        };
        let known = self.servers.range(first..).map(|(id, _)| id);
        known.take_while(move |id| id.service == service)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.servers.len()
    }

    /// How many stand up.
    pub(super) fn up(&self) -> usize {
        self.up
    }

    /// Those that climb.
    pub(super) fn climbing(&self) -> Vec<ServerId> {
        self.climbing.iter().copied().collect()
    }

    /// Changes what is known about one.
    pub(super) fn change<R>(
        &mut self,
        id: &ServerId,
        change: impl FnOnce(&mut Watched) -> R,
    ) -> Option<R> {
        let watched = self.servers.get_mut(id)?;
        let was = is_up(watched);
        let changed = change(watched);
        self.up = self.up - usize::from(was) + usize::from(is_up(watched));
        if watched.health.climbs() {
            self.climbing.insert(*id);
        } else {
            self.climbing.remove(id);
        }
        Some(changed)
    }

    /// One more, in the place of what was known about it.
    pub(super) fn insert(&mut self, id: ServerId, watched: Watched) {
        self.remove(&id);
        self.up += usize::from(is_up(&watched));
        if watched.health.climbs() {
            self.climbing.insert(id);
        }
        self.servers.insert(id, watched);
    }

    /// One less.
    pub(super) fn remove(&mut self, id: &ServerId) -> Option<Watched> {
        let watched = self.servers.remove(id)?;
        self.up -= usize::from(is_up(&watched));
        self.climbing.remove(id);
        Some(watched)
    }

    /// All of them, for the end.
    pub(super) fn into_all(self) -> BTreeMap<ServerId, Watched> {
        self.servers
    }

    #[cfg(test)]
    pub(super) fn keys(&self) -> impl Iterator<Item = &ServerId> {
        self.servers.keys()
    }

    /// Whether what is kept beside the servers is what they say.
    #[cfg(test)]
    pub(super) fn agrees(&self) -> bool {
        let up = self.servers.values().filter(|it| is_up(it)).count();
        let climbing = self.servers.iter().filter(|(_, it)| it.health.climbs());
        let climbing: BTreeSet<ServerId> = climbing.map(|(id, _)| *id).collect();
        (up, &climbing) == (self.up, &self.climbing)
    }
}

fn is_up(watched: &Watched) -> bool {
    watched.health.standing() == Standing::Up
}
