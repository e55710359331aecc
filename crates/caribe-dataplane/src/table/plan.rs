//! From the table that is to the table that should be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use caribe_model::{Change, MarkRule, Server, ServerKey, Service, ServiceKey, Table, diff};
use caribe_packet::service::Choice;

use super::overlay::Overlay;
use super::spare::{Former, Spare};
use super::{Difference, Discarded, LiveServer, LiveService, LiveTable, Refusal, Step, Terms};
use crate::marks::Layout;
use crate::schedule::{Member, Schedule, Weights};
use crate::slots::Run;

/// A change, worked out.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What becomes of the table by it, for [`LiveTable::become_different`].
    pub(crate) difference: Difference,
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
        let mut draft = Draft {
            live: self,
            services: Overlay::new(&self.services),
            servers: Overlay::new(&self.servers),
            trash: Overlay::new(&self.trash),
            spare: self.spare.clone(),
            unreferenced: None,
            orphans: BTreeSet::new(),
            now,
            picks,
            touched: BTreeSet::new(),
            first: Vec::new(),
            server_steps: Vec::new(),
            marks: Vec::new(),
            last: Vec::new(),
        };
        draft.spare.end_grace(now);
        for change in &changes {
            draft.change(change)?;
        }
        let unsettled = self.unsettled.iter();
        let unsettled: Vec<ServiceKey> = unsettled
            .filter(|key| draft.services.contains_key(key))
            .copied()
            .collect();
        let mut count = changes.len();
        for key in unsettled {
            count += usize::from(!draft.touched.contains(&key));
            draft.touch(key);
        }
        if self.marks_unsettled && draft.marks.is_empty() {
            draft.set_marks(desired.marks())?;
            count += 1;
        }
        draft.doom();
        let vips = draft.vips(desired.marks());
        let flips = draft.flips()?;
        let orphans = draft.orphans.into_iter().map(Step::Orphan);
        let mut steps = draft.first;
        steps.extend(draft.server_steps);
        steps.extend(vips);
        steps.extend(flips);
        steps.extend(draft.marks);
        steps.extend(draft.last);
        steps.extend(orphans);
        Ok(Plan {
            difference: Difference {
                table: desired.clone(),
                services: draft.services.into_changes(),
                servers: draft.servers.into_changes(),
                trash: draft.trash.into_changes(),
                spare: draft.spare,
            },
            steps,
            changes: count,
        })
    }

    /// Refuses what can be refused from the numbers alone.
    fn check(&self, desired: &Table) -> Result<(), Refusal> {
        let limits = [
            ("virtual services", desired.len(), self.room.services),
            ("real servers", desired.servers(), self.room.servers),
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
    /// The table as it is.
    live: &'a LiveTable,
    services: Overlay<'a, ServiceKey, LiveService>,
    servers: Overlay<'a, u32, LiveServer>,
    trash: Overlay<'a, u32, Discarded>,
    /// What is left of the room.
    spare: Spare,
    now: u32,
    picks: &'a dyn Fn(u32) -> u64,
    /// Services that need a new run.
    touched: BTreeSet<ServiceKey>,
    /// Steps that make room: services that go.
    first: Vec<Step>,
    /// Entries of servers, before a run refers to them.
    server_steps: Vec<Step>,
    /// Rules for marks, after the services that they feed.
    marks: Vec<Step>,
    /// Servers that go, after no run refers to them.
    last: Vec<Step>,
    /// Of these and of those that went before, the ones whose service goes too.
    orphans: BTreeSet<u32>,
    /// Those in the trash that nothing refers to any more, the longest so last; made when first
    /// needed. What has left the trash meanwhile may still be there.
    unreferenced: Option<BTreeSet<(u32, u32)>>,
}

impl Draft<'_> {
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
                self.server_steps.push(Step::PutTerms { id, terms });
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
        self.marks.push(Step::PutMarks(layout));
        Ok(())
    }

    /// A service that is about to change: its scheduler is brought up to the picks made so far.
    fn touch(&mut self, key: ServiceKey) -> &mut LiveService {
        let service = self.services.get_mut(&key).expect(
            "the difference of two tables edits only services of the first, which are all here",
        );
        if self.touched.insert(key) && service.cursor != 0 {
            service.schedule.advance((self.picks)(service.cursor));
        }
        service
    }

    fn index_of(&self, service: &ServiceKey, server: &ServerKey) -> u32 {
        let of_service = self.services.get(service).into_iter();
        let mut of_service = of_service.flat_map(|service| service.servers.iter().copied());
        let is_same = |index: &u32| self.servers.get(index).is_some_and(|it| it.key == *server);
        let position = of_service.find(is_same);
        position.expect("the difference of two tables edits only servers of the first")
    }

    fn remove_service(&mut self, key: &ServiceKey) {
        let Some(service) = self.services.remove(key) else {
            return;
        };
        self.first.push(Step::DeleteService(*key));
        self.spare.retired.push(
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
        let left = self.live.trash_of(key);
        let left = left.filter(|(_, index)| self.trash.contains_key(index));
        self.orphans.extend(left.map(|(_, index)| *index));
        self.spare.services.push_back(service.id);
    }

    /// Marks the removed servers of services that change as these treat connections now; those of
    /// services that are gone stay marked as they were.
    fn doom(&mut self) {
        let mut marked = Vec::new();
        for key in &self.touched {
            let Some(service) = self.services.get(key) else {
                continue;
            };
            let is_doomed = service.terms.policy.expire_nodest_conn;
            let left = self
                .live
                .trash_of(key)
                .map(|(_, index)| (*index, is_doomed));
            marked.extend(left);
        }
        let just_removed = self.trash.changes();
        let just_removed = just_removed.filter_map(|(index, discarded)| {
            let service = self.services.get(&discarded?.service?)?;
            Some((*index, service.terms.policy.expire_nodest_conn))
        });
        marked.extend(just_removed);
        for (index, is_doomed) in marked {
            let differs = |it: &Discarded| it.is_doomed != is_doomed;
            if self.trash.get(&index).is_some_and(differs)
                && let Some(discarded) = self.trash.get_mut(&index)
            {
                discarded.is_doomed = is_doomed;
            }
        }
    }

    fn discard(&mut self, index: u32, is_doomed: bool, orphan: bool) {
        let Some(server) = self.servers.remove(&index) else {
            return;
        };
        let discarded = Discarded {
            service: Some(server.service),
            key: server.key,
            is_doomed,
            since: self.now,
            unreferenced_since: None,
        };
        self.trash.insert(index, discarded);
        self.last.push(Step::Discard(index));
        if orphan {
            self.orphans.insert(index);
        }
    }

    fn add_service(&mut self, key: ServiceKey, service: &Service) -> Result<(), Refusal> {
        let room = self.live.room.services as usize;
        let id = self.spare.services.pop_front().ok_or(Refusal::Capacity {
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
        self.services.insert(key, live);
        let terms = Terms::of(service);
        self.server_steps.push(Step::PutTerms { id, terms });
        self.server_steps.push(Step::OpenLedger(id));
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
        let sequence = self.spare.next_sequence;
        self.spare.next_sequence += 1;
        self.servers.insert(index, live);
        let service = self.touch(key);
        service.servers.push(index);
        let member = Member::new(index, key.family(), &server.key, live.weights);
        service.schedule.add(member);
        let service = service.id;
        self.server_steps.push(Step::PutServer {
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
        // What this change itself removes does not come back by it.
        let same = self.live.same_in_trash(service, key);
        let same = same
            .into_iter()
            .find(|index| self.trash.contains_key(index));
        if let Some(index) = same {
            self.trash.remove(&index);
            return Ok((index, false));
        }
        if let Some(index) = self.spare.servers.pop_front() {
            return Ok((index, true));
        }
        if let Some(index) = self.longest_unreferenced() {
            let service = self.trash.remove(&index).and_then(|it| it.service);
            let service = service.and_then(|key| Some(self.services.get(&key)?.id));
            self.server_steps
                .push(Step::CloseTraffic { index, service });
            self.orphans.remove(&index);
            return Ok((index, true));
        }
        Err(Refusal::Capacity {
            what: "real servers, with removed ones that still have connections,",
            needed: self.servers.len() + self.trash.len() + 1,
            room: self.live.room.servers as usize * 2,
            soon: false,
        })
    }

    /// The removed server that nothing has referred to for the longest time.
    fn longest_unreferenced(&mut self) -> Option<u32> {
        let (trash, now) = (&self.trash, self.now);
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

    fn edit_server(&mut self, key: ServiceKey, server: &Server) {
        let index = self.index_of(&key, &server.key);
        self.touch(key).schedule.edit(index, server.weight);
        let before = self.servers.get(&index).map(|it| it.weights);
        let before = before.unwrap_or(Weights::added(server.weight));
        let live = LiveServer {
            service: key,
            key: server.key,
            forwarding: server.forwarding,
            encapsulation: server.encapsulation,
            weights: before.edited(server.weight),
            thresholds: server.thresholds,
        };
        self.servers.insert(index, live);
        self.server_steps.push(Step::EditServer {
            index,
            server: live,
        });
    }

    /// Steps that mark and unmark addresses as VIPs; only those whose services or rules come or go
    /// are looked at.
    fn vips(&mut self, marks: &[MarkRule]) -> Vec<Step> {
        let live = self.live;
        let mut counts: BTreeMap<IpAddr, i64> = BTreeMap::new();
        let mut marks_count = live.table.marks() != marks;
        for (key, after) in self.services.changes() {
            let (was, is) = (live.services.contains_key(key), after.is_some());
            match vip(key) {
                Some(address) if was != is => {
                    *counts.entry(address).or_default() += if is { 1 } else { -1 };
                }
                Some(_) => {}
                None => marks_count |= was != is,
            }
        }
        if counts.is_empty() && !marks_count {
            return Vec::new();
        }
        let before = marked(live.table.marks(), &|key| live.services.contains_key(key));
        let after = marked(marks, &|key| self.services.contains_key(key));
        let mut addresses: BTreeSet<IpAddr> = counts.keys().copied().collect();
        addresses.extend(before.symmetric_difference(&after));
        let mut steps = Vec::new();
        for address in addresses {
            let services = live.services_at(address);
            let more = counts.get(&address).copied().unwrap_or(0);
            let was = services > 0 || before.contains(&address);
            let is = services as i64 + more > 0 || after.contains(&address);
            match (was, is) {
                (true, false) => self.first.push(Step::DeleteVip(address)),
                (false, true) => steps.push(Step::PutVip(address)),
                _ => {}
            }
        }
        steps
    }

    /// Steps that give every touched service its new run.
    fn flips(&mut self) -> Result<Vec<Step>, Refusal> {
        let mut steps = Vec::new();
        let touched = std::mem::take(&mut self.touched);
        let mut runs = BTreeMap::new();
        for key in &touched {
            let Some(service) = self.services.get(key) else {
                continue;
            };
            let layout = service
                .schedule
                .layout()
                .map_err(|refused| Refusal::Capacity {
                    what: refused.what,
                    needed: refused.servers,
                    room: refused.room as usize,
                    soon: false,
                })?;
            if let Some(most) = layout.scaled {
                tracing::warn!(
                    service = %key,
                    scheduler = %service.schedule.scheduler(),
                    most,
                    "the weights add up to more than the scheduler can tell apart: they are \
                     scaled down"
                );
            }
            runs.insert(*key, layout);
        }
        let needed: usize = runs.values().map(|layout| layout.slots.len()).sum();
        for (key, layout) in runs {
            let run = self.take_slots(layout.slots.len() as u32, needed)?;
            let cursor = match layout.choice {
                Choice::Rotate => self.take_cursor()?,
                _ => 0,
            };
            let service = self.services.get_mut(&key).expect("filtered above");
            let former = Former {
                run: service.run,
                cursor: service.cursor,
            };
            (service.run, service.cursor) = (run, cursor);
            self.spare.retired.push(self.now, former);
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
        let taken = self.spare.slots.take(length);
        taken.ok_or_else(|| Refusal::Capacity {
            what: "slots, beside those in use,",
            needed,
            room: self.spare.slots.room(),
            soon: !self.spare.retired.is_empty(),
        })
    }

    fn take_cursor(&mut self) -> Result<u32, Refusal> {
        let soon = !self.spare.retired.is_empty();
        let room = self.live.room.cursors as usize;
        let taken = self.spare.cursors.take(1).ok_or(Refusal::Capacity {
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

/// Addresses, written out in full, from which a service's mark comes.
pub(super) fn marked(rules: &[MarkRule], has: &dyn Fn(&ServiceKey) -> bool) -> BTreeSet<IpAddr> {
    let marked = rules.iter().filter(|rule| {
        let key = ServiceKey::Mark {
            family: rule.family(),
            mark: rule.mark,
        };
        let whole = if rule.address.is_ipv4() { 32 } else { 128 };
        rule.prefix == whole && has(&key)
    });
    marked.map(|rule| rule.address).collect()
}
