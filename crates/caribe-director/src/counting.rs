//! Counters from zero on, though the data plane's only ever grow.

use std::collections::{BTreeMap, HashSet};

use caribe_dataplane::{LiveService, Snapshot, Traffic};
use caribe_model::{ServerKey, ServiceKey};

/// What counters stood at when they were zeroed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zeroed {
    bases: BTreeMap<(ServiceKey, Option<ServerKey>), Traffic>,
}

impl Zeroed {
    /// Counts a service and its servers from here on.
    pub(crate) fn zero(&mut self, live: &LiveService) {
        self.bases.insert((live.key, None), live.traffic);
        for server in &live.servers {
            self.bases
                .insert((live.key, Some(server.key)), server.traffic);
        }
    }

    /// Forgets what is gone, so that it begins afresh if it comes back.
    pub(crate) fn keep(&mut self, snapshot: &Snapshot) {
        if self.bases.is_empty() {
            return;
        }
        let services = snapshot.services.iter();
        let there: HashSet<(ServiceKey, Option<ServerKey>)> = services
            .flat_map(|live| {
                let servers = live.servers.iter().map(|server| Some(server.key));
                servers.chain([None]).map(|server| (live.key, server))
            })
            .collect();
        self.bases.retain(|key, _| there.contains(key));
    }

    /// A service with its counters since they were zeroed.
    pub(crate) fn since(&self, live: &LiveService) -> LiveService {
        let mut since = live.clone();
        since.traffic = self.difference((live.key, None), live.traffic);
        for server in &mut since.servers {
            server.traffic = self.difference((live.key, Some(server.key)), server.traffic);
        }
        since
    }

    fn difference(&self, key: (ServiceKey, Option<ServerKey>), now: Traffic) -> Traffic {
        let Some(base) = self.bases.get(&key) else {
            return now;
        };
        // A counter under its base has begun afresh.
        let since = |now: u64, base: u64| now.checked_sub(base).unwrap_or(now);
        Traffic {
            connections: since(now.connections, base.connections),
            packets_in: since(now.packets_in, base.packets_in),
            bytes_in: since(now.bytes_in, base.bytes_in),
            packets_out: since(now.packets_out, base.packets_out),
            bytes_out: since(now.bytes_out, base.bytes_out),
        }
    }
}
