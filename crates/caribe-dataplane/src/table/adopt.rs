//! From what is found in the maps to the table, in whatever state the last director died.
//!
//! A change is a list of steps, and the last director may have ended between any two: a server
//! may have its entry but no slot yet, or no slot any more; a service may be gone and its servers
//! still be marked as in service. None of that reaches packets: a service's value and the run
//! that it names are always whole.

use std::collections::BTreeMap;

use caribe_model::{
    Encapsulation, Forwarding, Scheduler, SchedulerFlags, SchedulerOptions, ServerKey, ServiceKey,
    TableSize, Thresholds,
};
use caribe_packet::service::Slot;

use super::{Discarded, LiveServer, LiveService, LiveTable, Room, Step, Terms};
use crate::schedule::{Member, Schedule, Weights};
use crate::slots::Run;

/// A service as found in the maps.
#[derive(Debug, Clone)]
pub(crate) struct FoundService {
    /// Index of its counters.
    pub(crate) id: u32,
    /// The scheduler.
    pub(crate) scheduler: Scheduler,
    /// Its flags.
    pub(crate) flags: SchedulerFlags,
    /// What it asks for beside its scheduler.
    pub(crate) terms: Terms,
    /// Its slots.
    pub(crate) run: Run,
    /// What the slots hold.
    pub(crate) slots: Vec<Slot>,
    /// Its cursor.
    pub(crate) cursor: u32,
    /// The state from which the run starts.
    pub(crate) state: u64,
}

/// A server as found in the maps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundServer {
    /// Id of its service; 0 for a discarded one whose service is gone.
    pub(crate) service: u32,
    /// Identity.
    pub(crate) key: ServerKey,
    /// Method.
    pub(crate) forwarding: Forwarding,
    /// How a tunnel to it wraps packets.
    pub(crate) encapsulation: Encapsulation,
    /// Weight.
    pub(crate) weights: Weights,
    /// How many connections it takes.
    pub(crate) thresholds: Thresholds,
    /// Its place in the order of additions.
    pub(crate) sequence: u64,
    /// False for a discarded server.
    pub(crate) in_service: bool,
}

impl LiveTable {
    /// The table that a director left in the maps, in whatever state it died, and the steps that
    /// finish what it had begun. `service_of` tells to which service a server's connections
    /// belong, if there are any.
    ///
    /// # Errors
    ///
    /// Says what is contradictory in the maps.
    pub(crate) fn adopt(
        room: Room,
        services: BTreeMap<ServiceKey, FoundService>,
        servers: BTreeMap<u32, FoundServer>,
        service_of: &BTreeMap<u32, ServiceKey>,
        now: u32,
    ) -> Result<(Self, Vec<Step>), String> {
        let mut live = LiveTable::new(room);
        let mut steps = Vec::new();
        let by_id: BTreeMap<u32, ServiceKey> = services
            .iter()
            .map(|(key, service)| (service.id, *key))
            .collect();
        if by_id.len() != services.len() {
            return Err("two services share one id".to_owned());
        }
        let mut members: BTreeMap<u32, Vec<(u64, u32)>> = BTreeMap::new();
        for (index, server) in &servers {
            let service = by_id.get(&server.service).copied();
            live.spare.next_sequence = live.spare.next_sequence.max(server.sequence + 1);
            if let (true, Some(service)) = (server.in_service, service) {
                members
                    .entry(server.service)
                    .or_default()
                    .push((server.sequence, *index));
                let server = LiveServer {
                    service,
                    key: server.key,
                    forwarding: server.forwarding,
                    encapsulation: server.encapsulation,
                    weights: server.weights,
                    thresholds: server.thresholds,
                };
                live.replace_server(*index, Some(server));
                continue;
            }
            if server.in_service {
                steps.push(Step::Discard(*index));
                steps.push(Step::Orphan(*index));
            }
            let terms = service.and_then(|key| Some(services.get(&key)?.terms));
            let discarded = Discarded {
                is_doomed: terms.is_some_and(|terms| terms.policy.expire_nodest_conn),
                service: service.or_else(|| service_of.get(index).copied()),
                key: server.key,
                since: now,
                unreferenced_since: None,
            };
            live.replace_in_trash(*index, Some(discarded));
        }
        live.spare
            .servers
            .retain(|index| !servers.contains_key(index));
        for (key, found) in services {
            let mut order = members.remove(&found.id).unwrap_or_default();
            order.sort_unstable();
            live.adopt_service(
                key,
                found,
                order.into_iter().map(|(_, index)| index).collect(),
            )?;
        }
        Ok((live, steps))
    }

    fn adopt_service(
        &mut self,
        key: ServiceKey,
        found: FoundService,
        servers: Vec<u32>,
    ) -> Result<(), String> {
        let Some(at) = self.spare.services.iter().position(|id| *id == found.id) else {
            return Err(format!(
                "service {key} has id {}, which is out of range",
                found.id
            ));
        };
        self.spare.services.remove(at);
        if !self.spare.slots.take_exactly(found.run) {
            return Err(format!(
                "the slots of service {key} are out of range or another's too"
            ));
        }
        let cursor = Run {
            base: found.cursor,
            length: 1,
        };
        if found.cursor != 0 && !self.spare.cursors.take_exactly(cursor) {
            return Err(format!(
                "the cursor of service {key} is out of range or another's too"
            ));
        }
        let members = servers
            .iter()
            .rev()
            .map(|index| {
                let server = &self.servers[index];
                Member::new(*index, key.family(), &server.key, server.weights)
            })
            .collect();
        let options = SchedulerOptions {
            flags: found.flags,
            // Of an empty table the size is not known: if it is another, the next change says so.
            table_size: match found.scheduler {
                Scheduler::Mh => TableSize::try_from(found.run.length).unwrap_or_default(),
                _ => TableSize::default(),
            },
        };
        let schedule = Schedule::restore(found.scheduler, options, members, found.state);
        if !schedule
            .layout()
            .is_ok_and(|layout| layout.slots == found.slots)
        {
            self.unsettled.insert(key);
        }
        let model = caribe_model::Service {
            scheduler: found.scheduler,
            options,
            servers: servers
                .iter()
                .map(|index| self.servers[index].model())
                .collect(),
            one_packet: found.terms.one_packet,
            persistence: found.terms.persistence,
            policy: found.terms.policy,
        };
        self.table
            .insert(key, model)
            .map_err(|error| error.to_string())?;
        let service = LiveService {
            id: found.id,
            servers,
            terms: found.terms,
            schedule,
            run: found.run,
            cursor: found.cursor,
        };
        self.replace_service(key, Some(service));
        Ok(())
    }
}
