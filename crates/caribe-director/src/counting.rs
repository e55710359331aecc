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

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use caribe_model::{
        Forwarding, Policy, Protocol, Scheduler, SchedulerOptions, Server, Service,
    };

    use super::*;

    fn traffic(packets_in: u64) -> Traffic {
        Traffic {
            packets_in,
            bytes_in: packets_in * 100,
            ..Traffic::default()
        }
    }

    /// A service with two servers whose counters add up to its own.
    fn live(port: u16, packets: [u64; 2]) -> LiveService {
        let server = |host| Server {
            key: ServerKey {
                address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, host)),
                port,
            },
            forwarding: Forwarding::Nat,
            weight: 1,
            encapsulation: Default::default(),
            thresholds: Default::default(),
        };
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            port,
        };
        let service = Service {
            scheduler: Scheduler::Rr,
            options: SchedulerOptions::IPVS,
            persistence: None,
            one_packet: false,
            policy: Policy::default(),
            servers: vec![server(1), server(2)],
        };
        let mut live = LiveService::fresh(key, &service);
        live.traffic = traffic(packets.iter().sum());
        for (server, packets) in live.servers.iter_mut().zip(packets) {
            server.traffic = traffic(packets);
        }
        live
    }

    fn sums(live: &LiveService) -> (u64, u64) {
        let servers = live.servers.iter();
        (
            live.traffic.bytes_in,
            servers.map(|server| server.traffic.bytes_in).sum(),
        )
    }

    #[test]
    fn case_127_zeroing_one_service_leaves_the_others_and_every_sum() {
        let mut zeroed = Zeroed::default();
        zeroed.zero(&live(80, [3, 4]));
        let web = zeroed.since(&live(80, [5, 5]));
        assert_eq!(sums(&web), (300, 300));
        let other = zeroed.since(&live(81, [1, 6]));
        assert_eq!(sums(&other), (700, 700));
    }
}
