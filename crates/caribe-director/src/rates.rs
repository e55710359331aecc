//! Rates of every service and server, from samples of the data plane.

use std::collections::BTreeMap;

use caribe_dataplane::{LiveService, Snapshot, Traffic};
use caribe_model::{ServerKey, ServiceKey};

use crate::status::TrafficRates;
use crate::{Estimator, Unit};

/// The estimators of all services and servers that the last sample held.
#[derive(Debug, Clone, Default)]
pub struct Rates {
    estimators: BTreeMap<(ServiceKey, Option<ServerKey>), TrafficEstimator>,
}

impl Rates {
    /// Takes a sample, [`Estimator::INTERVAL`] after the one before. What is new starts at
    /// rate 0, what is gone is forgotten.
    pub fn sample(&mut self, snapshot: &Snapshot) {
        let mut before = std::mem::take(&mut self.estimators);
        let mut take = |key, traffic: &Traffic| {
            let estimator = match before.remove(&key) {
                Some(mut estimator) => {
                    estimator.sample(traffic);
                    estimator
                }
                None => TrafficEstimator::new(traffic),
            };
            self.estimators.insert(key, estimator);
        };
        for service in &snapshot.services {
            take((service.key, None), &service.traffic);
            for server in &service.servers {
                take((service.key, Some(server.key)), &server.traffic);
            }
        }
    }

    /// Estimates a service and its servers from zero on.
    pub fn zero(&mut self, live: &LiveService) {
        let servers = live.servers.iter().map(|server| Some(server.key));
        for server in servers.chain([None]) {
            self.estimators.remove(&(live.key, server));
        }
    }

    /// Rates of a service; zero when it is unknown.
    pub fn service(&self, service: ServiceKey) -> TrafficRates {
        self.of((service, None))
    }

    /// Rates of a server in a service; zero when it is unknown.
    pub fn server(&self, service: ServiceKey, server: ServerKey) -> TrafficRates {
        self.of((service, Some(server)))
    }

    fn of(&self, key: (ServiceKey, Option<ServerKey>)) -> TrafficRates {
        self.estimators
            .get(&key)
            .map(TrafficEstimator::rates)
            .unwrap_or_default()
    }
}

#[derive(Debug, Clone, Copy)]
struct TrafficEstimator {
    connections: Estimator,
    packets_in: Estimator,
    bytes_in: Estimator,
    packets_out: Estimator,
    bytes_out: Estimator,
}

impl TrafficEstimator {
    fn new(traffic: &Traffic) -> Self {
        TrafficEstimator {
            connections: Estimator::new(Unit::Events, traffic.connections),
            packets_in: Estimator::new(Unit::Events, traffic.packets_in),
            bytes_in: Estimator::new(Unit::Bytes, traffic.bytes_in),
            packets_out: Estimator::new(Unit::Events, traffic.packets_out),
            bytes_out: Estimator::new(Unit::Bytes, traffic.bytes_out),
        }
    }

    fn sample(&mut self, traffic: &Traffic) {
        self.connections.sample(traffic.connections);
        self.packets_in.sample(traffic.packets_in);
        self.bytes_in.sample(traffic.bytes_in);
        self.packets_out.sample(traffic.packets_out);
        self.bytes_out.sample(traffic.bytes_out);
    }

    fn rates(&self) -> TrafficRates {
        TrafficRates {
            connections: self.connections.per_second(),
            packets_in: self.packets_in.per_second(),
            bytes_in: self.bytes_in.per_second(),
            packets_out: self.packets_out.per_second(),
            bytes_out: self.bytes_out.per_second(),
        }
    }
}
