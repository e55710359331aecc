//! The table that another director left in the maps.
//!
//! Whatever that director was doing when it ended, at worst one step of a change is half done:
//! a server may have its entry but no slot, or a service may be gone and its servers not yet.
//! [`LiveTable::adopt`] sees through that; here the maps are read for it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use caribe_model::{NextHop, SchedulerFlags, ServiceKey};
use caribe_packet::connection::TEMPLATE;
use caribe_packet::server::{Bounds, IN_SERVICE};
use caribe_packet::service::Service;

use super::connection_table::{ConnectionTable, Family};
use super::maps::Maps;
use super::{XdpDataplane, encoding, next_hops, policies};
use crate::DataplaneError;
use crate::schedule::choice;
use crate::slots::Run;
use crate::table::{FoundServer, FoundService, LiveTable, Room, Step};

/// A table, with what is left to be done; or what is contradictory in the maps.
type Adopted = Result<(LiveTable, Vec<Step>), String>;

/// Reads the maps.
///
/// # Errors
///
/// The outer error is the kernel's, the inner one says what is contradictory in the maps.
pub(super) fn read(maps: &Maps, room: Room, now: u32) -> Result<Adopted, DataplaneError> {
    let services = maps.services()?;
    let parse = || -> Adopted {
        let mut found = BTreeMap::new();
        for (key, service) in services {
            let key = key.ok_or("a service has a protocol that is not balanced")?;
            found.insert(key, found_service(maps, &key, &service)?);
        }
        let servers = found_servers(maps)?;
        let mut service_of = BTreeMap::new();
        note_services(&maps.connections4, &mut service_of);
        note_services(&maps.connections6, &mut service_of);
        let (mut live, steps) = LiveTable::adopt(room, found, servers, &service_of, now)?;
        if maps.marks.any() {
            live.unsettle_marks();
        }
        Ok((live, steps))
    };
    Ok(parse())
}

fn found_service(maps: &Maps, key: &ServiceKey, service: &Service) -> Result<FoundService, String> {
    let run = Run {
        base: service.base,
        length: service.length,
    };
    let end = u64::from(run.base) + u64::from(run.length);
    if end > u64::from(maps.slots.len()) {
        return Err(format!("the slots of service {key} are out of range"));
    }
    if service.id >= maps.policies.len() {
        return Err(format!(
            "service {key} has id {}, which is out of range",
            service.id
        ));
    }
    let scheduler = encoding::scheduler_from_number(service.scheduler)
        .filter(|scheduler| choice(*scheduler) as u8 == service.choice)
        .ok_or_else(|| format!("service {key} has no known scheduler"))?;
    let cursor = maps
        .cursor_of(service.cursor)
        .ok_or_else(|| format!("the cursor of service {key} is out of range"))?;
    Ok(FoundService {
        id: service.id,
        scheduler,
        flags: SchedulerFlags::from_bits(service.flags)
            .ok_or_else(|| format!("service {key} has unknown flags"))?,
        terms: policies::decode(&maps.policies.read(service.id), key.family())
            .map_err(|problem| format!("service {key}: {problem}"))?,
        run,
        // Below the array's length, which is a u32.
        slots: (run.base..end as u32)
            .map(|slot| maps.slots.read(slot))
            .collect(),
        cursor,
        state: maps.cursor_state(cursor),
    })
}

fn found_servers(maps: &Maps) -> Result<BTreeMap<u32, FoundServer>, String> {
    let mut found = BTreeMap::new();
    for index in 1..maps.servers.len() {
        let server = maps.servers.read(index);
        let in_service = server.flags & IN_SERVICE != 0;
        if !in_service && server.address == [0; 16] {
            continue; // Free.
        }
        let forwarding = encoding::forwarding_from_number(server.forwarding)
            .ok_or_else(|| format!("server {index} has no known forwarding method"))?;
        let encapsulation = encoding::encapsulation(&server)
            .ok_or_else(|| format!("server {index} has no known encapsulation"))?;
        let (sequence, weights) =
            encoding::from_roster_word(maps.roster.read(index), server.weight);
        let server = FoundServer {
            service: server.service,
            key: encoding::server_key(&server),
            forwarding,
            encapsulation,
            weights,
            thresholds: encoding::thresholds(Bounds(maps.bounds.read(index)))
                .ok_or_else(|| format!("server {index} has thresholds that cross"))?,
            sequence,
            in_service,
        };
        found.insert(index, server);
    }
    Ok(found)
}

/// Notes for every server that has connections to which service they go.
fn note_services<F: Family>(
    table: &ConnectionTable<F>,
    service_of: &mut BTreeMap<u32, ServiceKey>,
) {
    for occupied in table.occupied() {
        let Some((slot, meta)) = table.read_alive(occupied.slot) else {
            continue;
        };
        // A template may be of a mark, or of more ports than one.
        if meta.flags() & TEMPLATE != 0 {
            continue;
        }
        let endpoints = F::endpoints(&slot);
        let key = encoding::key_from_parts(F::peer(&slot), endpoints.peer_port, endpoints.protocol);
        if let Some(key) = key {
            service_of.entry(F::server(&slot)).or_insert(key);
        }
    }
}

/// The ways that servers in service have.
pub(super) fn next_hops(maps: &Maps) -> BTreeMap<IpAddr, NextHop> {
    (1..maps.servers.len())
        .map(|index| maps.servers.read(index))
        .filter(|server| server.flags & IN_SERVICE != 0)
        .filter_map(|server| {
            Some((
                encoding::server_key(&server).address,
                next_hops::read(&server)?,
            ))
        })
        .collect()
}

impl XdpDataplane {
    /// Reads the table anew, after a step of a change failed.
    pub(super) fn mend(&mut self) -> Result<(), DataplaneError> {
        let found = read(&self.maps, self.maps.sizes.room, super::now()?)?;
        let (live, steps) = found.map_err(super::error::kernel("read the table back"))?;
        self.live = live;
        for step in &steps {
            self.take(step)?;
        }
        self.correct_vips()?;
        self.put_wide_services(self.live.wide_services());
        self.torn = false;
        Ok(())
    }

    /// Makes the marked addresses those of the services.
    pub(super) fn correct_vips(&mut self) -> Result<(), DataplaneError> {
        let (wanted, found) = (self.live.vips(), BTreeSet::from_iter(self.maps.vips()?));
        for address in found.difference(&wanted) {
            self.maps.delete_vip(*address)?;
        }
        for address in wanted.difference(&found) {
            self.maps.put_vip(*address)?;
        }
        Ok(())
    }
}
