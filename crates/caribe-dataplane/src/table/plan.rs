//! From the table that is to the table that should be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use caribe_model::{Change, MarkRule, Server, ServerKey, Service, ServiceKey, Table, diff};
use caribe_packet::service::Choice;

use super::{Discarded, Former, LiveServer, LiveService, LiveTable, Refusal, Step, Terms};
use crate::marks::Layout;
use crate::schedule::{Member, Schedule, Weights};
use crate::slots::Run;

/// A change, worked out.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The table after it.
    pub(crate) table: LiveTable,
    /// What leads there, in order.
    pub(crate) steps: Vec<Step>,
    /// Changes between the tables; 0 when there is nothing to do.
    pub(crate) changes: usize,
}

impl LiveTable {
    /// Works out how to get to `desired`. `picks` tells how often the run of a cursor was picked
    /// from; picks made after that and before the last step are made again.
    ///
    /// # Errors
    ///
    /// Refuses what there is no room for.
    pub(crate) fn plan(
        &self,
        desired: &Table,
        now: u32,
        picks: &dyn Fn(u32) -> u64,
    ) -> Result<Plan, Refusal> {
        self.check(desired)?;
        let changes = diff(&self.table, desired);
        let mut removed: BTreeMap<ServiceKey, BTreeSet<(ServerKey, u32)>> = BTreeMap::new();
        for (index, discarded) in &self.trash {
            if let Some(service) = discarded.service {
                let of_service = removed.entry(service).or_default();
                of_service.insert((discarded.key, *index));
            }
        }
        let mut draft = Draft {
            table: self.clone(),
            removed,
            unreferenced: None,
            orphans: BTreeSet::new(),
            now,
            picks,
            touched: BTreeSet::new(),
            first: Vec::new(),
            servers: Vec::new(),
            marks: Vec::new(),
            last: Vec::new(),
        };
        draft.table.end_grace(now);
        for change in &changes {
            draft.change(change)?;
        }
        let unsettled = std::mem::take(&mut draft.table.unsettled);
        let unsettled = unsettled
            .intersection(&draft.keys())
            .copied()
            .collect::<BTreeSet<_>>();
        let count = changes.len() + unsettled.difference(&draft.touched).count();
        for key in &unsettled {
            draft.touch(*key);
        }
        let mut count = count;
        if draft.table.marks_unsettled {
            draft.set_marks(desired.marks())?;
            count += 1;
        }
        draft.table.table = desired.clone();
        draft.doom();
        let flips = draft.flips(&self.vips())?;
        let orphans = draft.orphans.into_iter().map(Step::Orphan).collect();
        let steps = [
            draft.first,
            draft.servers,
            flips,
            draft.marks,
            draft.last,
            orphans,
        ]
        .concat();
        Ok(Plan {
            table: draft.table,
            steps,
            changes: count,
        })
    }

    /// Refuses what can be refused from the numbers alone.
    fn check(&self, desired: &Table) -> Result<(), Refusal> {
        let servers = desired
            .services()
            .map(|(_, service)| service.servers.len())
            .sum();
        let limits = [
            ("virtual services", desired.len(), self.room.services),
            ("real servers", servers, self.room.servers),
        ];
        for (what, needed, room) in limits {
            if needed > room as usize {
                return Err(Refusal::Capacity {
                    what,
                    needed,
                    room: room as usize,
                    soon: false,
                });
            }
        }
        Ok(())
    }
}

/// A plan in the making.
struct Draft<'a> {
    table: LiveTable,
    now: u32,
    picks: &'a dyn Fn(u32) -> u64,
    /// Services that need a new run.
    touched: BTreeSet<ServiceKey>,
    /// Steps that make room: services that go.
    first: Vec<Step>,
    /// Entries of servers, before a run refers to them.
    servers: Vec<Step>,
    /// Rules for marks, after the services that they feed.
    marks: Vec<Step>,
    /// Servers that go, after no run refers to them.
    last: Vec<Step>,
    /// Of these and of those that went before, the ones whose service goes too.
    orphans: BTreeSet<u32>,
    /// The trash by what the servers were: a hundred thousand may be removed and come back.
    removed: BTreeMap<ServiceKey, BTreeSet<(ServerKey, u32)>>,
    /// Those in the trash that nothing refers to any more, the longest so last; made when first
    /// needed. What has left the trash meanwhile may still be there.
    unreferenced: Option<BTreeSet<(u32, u32)>>,
}

impl Draft<'_> {
    fn keys(&self) -> BTreeSet<ServiceKey> {
        self.table.services.keys().copied().collect()
    }

    fn change(&mut self, change: &Change<'_>) -> Result<(), Refusal> {
        match change {
            Change::RemoveService(key) => self.remove_service(key),
            Change::AddService(key, service) => self.add_service(*key, service)?,
            Change::EditService(key, service) => {
                let live = self.touch(*key);
                live.terms = Terms::of(service);
                live.schedule
                    .set_scheduler(service.scheduler, service.options);
                let (id, terms) = (live.id, live.terms);
                self.servers.push(Step::PutTerms { id, terms });
            }
            Change::AddServer(key, server) => self.add_server(*key, server)?,
            Change::EditServer(key, server) => self.edit_server(*key, server),
            Change::RemoveServer(key, server) => {
                let index = self.index_of(key, server);
                let service = self.touch(*key);
                service.servers.retain(|other| *other != index);
                service.schedule.remove(index);
                let is_doomed = service.terms.policy.expire_nodest_conn;
                self.discard(index, is_doomed, false);
            }
            Change::SetMarks(rules) => self.set_marks(rules)?,
        }
        Ok(())
    }

    fn set_marks(&mut self, rules: &[MarkRule]) -> Result<(), Refusal> {
        let layout = Layout::of(rules).map_err(|too_many| Refusal::Capacity {
            what: too_many.what,
            needed: too_many.needed,
            room: too_many.room,
            soon: false,
        })?;
        self.table.marks_unsettled = false;
        self.marks.push(Step::PutMarks(layout));
        Ok(())
    }

    /// A service that is about to change: its scheduler is brought up to the picks made so far.
    fn touch(&mut self, key: ServiceKey) -> &mut LiveService {
        let service = self.table.services.get_mut(&key).expect(
            "the difference of two tables edits only services of the first, which are all here",
        );
        if self.touched.insert(key) && service.cursor != 0 {
            service.schedule.advance((self.picks)(service.cursor));
        }
        service
    }

    fn index_of(&self, service: &ServiceKey, server: &ServerKey) -> u32 {
        let position = self.table.services[service]
            .servers
            .iter()
            .copied()
            .find(|index| self.table.servers[index].key == *server);
        position.expect("the difference of two tables edits only servers of the first")
    }

    fn remove_service(&mut self, key: &ServiceKey) {
        let Some(service) = self.table.services.remove(key) else {
            return;
        };
        self.first.push(Step::DeleteService(*key));
        self.table.retired.push(
            self.now,
            Former {
                run: service.run,
                cursor: service.cursor,
            },
        );
        for index in service.servers {
            let is_doomed = service.terms.policy.expire_nodest_conn;
            self.discard(index, is_doomed, true);
        }
        let left = self.removed.get(key).into_iter().flatten();
        self.orphans.extend(left.map(|(_, index)| *index));
        self.table.free_services.push_back(service.id);
    }

    /// Marks the removed servers of services as these treat connections now; those of services that
    /// are gone stay marked as they were.
    fn doom(&mut self) {
        for discarded in self.table.trash.values_mut() {
            if let Some(service) = discarded
                .service
                .and_then(|key| self.table.services.get(&key))
            {
                discarded.is_doomed = service.terms.policy.expire_nodest_conn;
            }
        }
    }

    fn discard(&mut self, index: u32, is_doomed: bool, orphan: bool) {
        let Some(server) = self.table.servers.remove(&index) else {
            return;
        };
        let discarded = Discarded {
            service: Some(server.service),
            key: server.key,
            is_doomed,
            since: self.now,
            unreferenced_since: None,
        };
        self.table.trash.insert(index, discarded);
        let removed = self.removed.entry(server.service).or_default();
        removed.insert((server.key, index));
        self.last.push(Step::Discard(index));
        if orphan {
            self.orphans.insert(index);
        }
    }

    fn add_service(&mut self, key: ServiceKey, service: &Service) -> Result<(), Refusal> {
        let room = self.table.room.services as usize;
        let id = self
            .table
            .free_services
            .pop_front()
            .ok_or(Refusal::Capacity {
                what: "virtual services",
                needed: room + 1,
                room,
                soon: false,
            })?;
        let live = LiveService {
            id,
            servers: Vec::new(),
            terms: Terms::of(service),
            schedule: Schedule::new(service.scheduler, service.options),
            run: Run { base: 0, length: 0 },
            cursor: 0,
        };
        self.table.services.insert(key, live);
        let terms = Terms::of(service);
        self.servers.push(Step::PutTerms { id, terms });
        self.servers.push(Step::OpenLedger(id));
        self.touched.insert(key);
        service
            .servers
            .iter()
            .try_for_each(|server| self.add_server(key, server))
    }

    fn add_server(&mut self, key: ServiceKey, server: &Server) -> Result<(), Refusal> {
        let (index, fresh) = self.take_index(&key, &server.key)?;
        let live = LiveServer {
            service: key,
            key: server.key,
            forwarding: server.forwarding,
            encapsulation: server.encapsulation,
            weights: Weights::added(server.weight),
            thresholds: server.thresholds,
        };
        let sequence = self.table.next_sequence;
        self.table.next_sequence += 1;
        self.table.servers.insert(index, live);
        let service = self.touch(key);
        service.servers.push(index);
        let member = Member::new(index, key.family(), &server.key, live.weights);
        service.schedule.add(member);
        let service = service.id;
        self.servers.push(Step::PutServer {
            index,
            service,
            server: live,
            sequence,
            fresh,
        });
        Ok(())
    }

    /// The index that the same server had, or a free one, or one whose last connection is gone.
    fn take_index(
        &mut self,
        service: &ServiceKey,
        key: &ServerKey,
    ) -> Result<(u32, bool), Refusal> {
        let same = self.removed.get(service).and_then(|of_service| {
            let mut same = of_service.range((*key, 0)..=(*key, u32::MAX));
            same.next().map(|(_, index)| *index)
        });
        if let Some(index) = same {
            self.take_out(index);
            return Ok((index, false));
        }
        if let Some(index) = self.table.free_servers.pop_front() {
            return Ok((index, true));
        }
        if let Some(index) = self.longest_unreferenced() {
            let service = self.take_out(index);
            let service = service.and_then(|key| Some(self.table.services.get(&key)?.id));
            self.servers.push(Step::CloseTraffic { index, service });
            self.orphans.remove(&index);
            return Ok((index, true));
        }
        Err(Refusal::Capacity {
            what: "real servers, with removed ones that still have connections,",
            needed: self.table.servers.len() + self.table.trash.len() + 1,
            room: self.table.room.servers as usize * 2,
            soon: false,
        })
    }

    /// The removed server that nothing has referred to for the longest time.
    fn longest_unreferenced(&mut self) -> Option<u32> {
        let (trash, now) = (&self.table.trash, self.now);
        let unreferenced = self.unreferenced.get_or_insert_with(|| {
            let since = |discarded: &Discarded| discarded.unreferenced_since;
            trash
                .iter()
                .filter_map(|(index, it)| Some((now.wrapping_sub(since(it)?), *index)))
                .collect()
        });
        while let Some((_, index)) = unreferenced.pop_last() {
            let left = trash.get(&index);
            if left.is_some_and(|it| it.unreferenced_since.is_some()) {
                return Some(index);
            }
        }
        None
    }

    /// Takes a server out of the trash; gives its service.
    fn take_out(&mut self, index: u32) -> Option<ServiceKey> {
        let discarded = self.table.trash.remove(&index)?;
        let service = discarded.service?;
        if let Some(of_service) = self.removed.get_mut(&service) {
            of_service.remove(&(discarded.key, index));
        }
        Some(service)
    }

    fn edit_server(&mut self, key: ServiceKey, server: &Server) {
        let index = self.index_of(&key, &server.key);
        self.touch(key).schedule.edit(index, server.weight);
        let live = LiveServer {
            service: key,
            key: server.key,
            forwarding: server.forwarding,
            encapsulation: server.encapsulation,
            weights: self.table.servers[&index].weights.edited(server.weight),
            thresholds: server.thresholds,
        };
        self.table.servers.insert(index, live);
        self.servers.push(Step::EditServer {
            index,
            server: live,
        });
    }

    /// Steps that give every touched service its new run, and addresses their mark as VIP.
    fn flips(&mut self, vips_before: &BTreeSet<IpAddr>) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        let vips_after = self.table.vips();
        for address in vips_before.difference(&vips_after) {
            self.first.push(Step::DeleteVip(*address));
        }
        for address in vips_after.difference(vips_before) {
            steps.push(Step::PutVip(*address));
        }
        let touched = std::mem::take(&mut self.touched);
        let mut runs = BTreeMap::new();
        for key in touched
            .iter()
            .filter(|key| self.table.services.contains_key(key))
        {
            let layout = self.table.services[key]
                .schedule
                .layout()
                .map_err(|refused| Refusal::Capacity {
                    what: refused.what,
                    needed: refused.servers,
                    room: refused.room as usize,
                    soon: false,
                })?;
            runs.insert(*key, layout);
        }
        let needed: usize = runs.values().map(|layout| layout.slots.len()).sum();
        for (key, layout) in runs {
            if let Some(most) = layout.scaled {
                tracing::warn!(
                    service = %key,
                    scheduler = %self.table.services[&key].schedule.scheduler(),
                    most,
                    "the weights add up to more than the scheduler can tell apart: they are \
                     scaled down"
                );
            }
            let run = self.take_slots(layout.slots.len() as u32, needed)?;
            let cursor = match layout.choice {
                Choice::Rotate => self.take_cursor()?,
                _ => 0,
            };
            let service = self.table.services.get_mut(&key).expect("filtered above");
            let former = Former {
                run: service.run,
                cursor: service.cursor,
            };
            (service.run, service.cursor) = (run, cursor);
            self.table.retired.push(self.now, former);
            if run.length > 0 {
                steps.push(Step::PutRun {
                    run,
                    slots: layout.slots,
                });
            }
            if cursor != 0 {
                steps.push(Step::PutCursor {
                    cursor,
                    state: service.schedule.word(),
                });
            }
            steps.push(Step::PutService {
                key,
                id: service.id,
                run,
                cycle_start: layout.cycle_start,
                cursor,
                choice: layout.choice,
                scheduler: service.schedule.scheduler(),
                flags: service.schedule.options().flags,
            });
        }
        Ok(steps)
    }

    fn take_slots(&mut self, length: u32, needed: usize) -> Result<Run, Refusal> {
        let soon = !self.table.retired.is_empty();
        let room = self.table.free_slots.room();
        self.table.free_slots.take(length).ok_or(Refusal::Capacity {
            what: "slots, beside those in use,",
            needed,
            room,
            soon,
        })
    }

    fn take_cursor(&mut self) -> Result<u32, Refusal> {
        let soon = !self.table.retired.is_empty();
        let room = self.table.room.cursors as usize;
        let taken = self.table.free_cursors.take(1).ok_or(Refusal::Capacity {
            what: "cursors of rotating services",
            needed: room + 1,
            room,
            soon,
        })?;
        Ok(taken.base)
    }
}

/// The address of a service that has one.
pub(super) fn vip(key: &ServiceKey) -> Option<IpAddr> {
    match key {
        ServiceKey::Address { address, .. } => Some(*address),
        ServiceKey::Mark { .. } => None,
    }
}
