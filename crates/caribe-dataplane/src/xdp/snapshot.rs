//! The live state, read back from the maps.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;

use caribe_model::ServiceKey;
use caribe_packet::event::Event;
use caribe_packet::key::Endpoints;
use caribe_packet::server::Load;
use caribe_packet::verdict::{COUNTERS, Verdict};

use super::connection_table::{Flow, LiveConnection, wanted4, wanted6};
use super::{XdpDataplane, next_hops};
use crate::{DataplaneError, LiveRoom, LiveServer, LiveService, Snapshot, Traffic, table};

impl XdpDataplane {
    /// See [`Dataplane::snapshot`](crate::Dataplane::snapshot).
    pub(super) fn take_snapshot(&self) -> Result<Snapshot, DataplaneError> {
        let of_removed = self.live.traffic_of_removed(
            |index| self.maps.servers.read(index).service,
            |index| self.maps.traffic(index),
        );
        let services = self.live.services.iter();
        let services = services
            .map(|(key, service)| {
                let removed = of_removed.get(&service.id).copied().unwrap_or_default();
                self.service(key, service, removed)
            })
            .collect();
        let connections = (1..self.maps.loads.len()).map(|server| self.load(server).total());
        let templates = self.persistent.values().copied().map(u64::from);
        let counters = self.maps.counters()?;
        let verdicts = Verdict::ALL
            .iter()
            .zip(counters)
            .map(|(verdict, count)| (verdict.name().to_owned(), count))
            .collect::<BTreeMap<_, _>>();
        let events = Event::ALL
            .iter()
            .zip(&counters[COUNTERS..])
            .map(|(event, count)| (event.name().to_owned(), *count))
            .collect();
        Ok(Snapshot {
            services,
            events,
            connections: connections.sum::<u64>() + templates.sum::<u64>(),
            capacity: self.capacity(),
            memory: self.maps.connections4.memory() + self.maps.connections6.memory(),
            room: LiveRoom {
                services: self.maps.sizes.room.services,
                servers: self.maps.sizes.room.servers,
                memory: self.maps.sizes.memory().total(),
            },
            verdicts,
            interfaces: self.interfaces(),
        })
    }

    fn load(&self, server: u32) -> Load {
        Load(self.maps.loads.word(server).load(Ordering::Acquire))
    }

    /// A service, whose removed servers had the traffic `removed`.
    fn service(
        &self,
        key: &ServiceKey,
        service: &table::LiveService,
        removed: Traffic,
    ) -> LiveService {
        let mut traffic = self.maps.ledger(service.id).plus(&removed);
        let mut servers = Vec::with_capacity(service.servers.len());
        for index in service.servers.iter().rev() {
            let server = &self.live.servers[index];
            let load = self.load(*index);
            let live = LiveServer {
                key: server.key,
                forwarding: server.forwarding,
                weight: server.weights.now,
                encapsulation: server.encapsulation,
                thresholds: server.thresholds,
                overloaded: load.overloaded() != 0,
                active: load.active(),
                inactive: load.inactive(),
                persistent: self.persistent.get(index).copied().unwrap_or(0),
                traffic: self.maps.traffic(*index),
                next_hop: next_hops::read(&self.maps.servers.read(*index)),
            };
            traffic = traffic.plus(&live.traffic);
            servers.push(live);
        }
        LiveService {
            key: *key,
            scheduler: service.schedule.scheduler(),
            options: service.schedule.options(),
            persistence: service.terms.persistence,
            one_packet: service.terms.one_packet,
            policy: service.terms.policy,
            servers,
            traffic,
        }
    }

    /// The connections, in the order of the table; IPv4 first. Each is read while packets flow:
    /// a listing is no photograph of one moment.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn connections(&self) -> Result<impl Iterator<Item = LiveConnection>, DataplaneError> {
        let now = super::now()?;
        let (of4, of6) = (&self.maps.connections4, &self.maps.connections6);
        let servers = &self.maps.servers;
        let of4 = of4
            .occupied()
            .filter_map(move |seen| of4.show(seen.slot, servers, now));
        let of6 = of6
            .occupied()
            .filter_map(move |seen| of6.show(seen.slot, servers, now));
        Ok(of4.chain(of6))
    }

    /// The connection of a flow, found the way a packet finds it.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn find(&self, flow: &Flow) -> Result<Option<LiveConnection>, DataplaneError> {
        let now = super::now()?;
        let settings = self.maps.settings.read(0);
        let endpoints = Endpoints {
            client_port: flow.client.port().to_be_bytes(),
            peer_port: flow.vip.port().to_be_bytes(),
            protocol: flow.protocol.number(),
        };
        Ok(match (flow.client.ip(), flow.vip.ip()) {
            (IpAddr::V4(client), IpAddr::V4(vip)) => {
                let table = &self.maps.connections4;
                table
                    .find(&wanted4(client, vip, endpoints), &settings)
                    .and_then(|slot| table.show(slot, &self.maps.servers, now))
            }
            (IpAddr::V6(client), IpAddr::V6(vip)) => {
                let table = &self.maps.connections6;
                table
                    .find(&wanted6(client, vip, endpoints), &settings)
                    .and_then(|slot| table.show(slot, &self.maps.servers, now))
            }
            _ => None,
        })
    }
}
