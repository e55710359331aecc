//! The live table as the director knows it, and what it takes to change it: pure code.
//!
//! [`LiveTable`] knows which index, run and cursor belongs to whom. [`LiveTable::plan`] works out
//! a change completely before anything is touched: what it makes [different](Difference), and the
//! [`Step`]s that lead there, in an order in which every packet sees the old state or the new one.
//! Neither costs more than what changes, however large the table is.

mod adopt;
mod overlay;
mod plan;
mod spare;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use caribe_model::{
    Encapsulation, Forwarding, Persistence, Policy, Protocol, Scheduler, SchedulerFlags, ServerKey,
    ServiceKey, Table, Thresholds,
};
use caribe_packet::service::Choice;
use caribe_packet::service::Slot;
use caribe_packet::settings::{ALL_PORTS, FTP};

pub(crate) use self::adopt::{FoundServer, FoundService};
pub(crate) use self::plan::Plan;
use self::spare::Spare;
use crate::Traffic;
use crate::marks::Layout;
use crate::schedule::{Schedule, Weights};
use crate::slots::Run;

/// Room for everything, from the sizes of the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    /// Services; their ids are 1 up to this.
    pub(crate) services: u32,
    /// Servers in service; there is room for as many removed ones.
    pub(crate) servers: u32,
    /// Slots of all runs.
    pub(crate) slots: u32,
    /// Cursors; number 0 is that of services which do not rotate.
    pub(crate) cursors: u32,
}

/// What a service asks for beside its scheduler.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Terms {
    /// Client affinity.
    pub(crate) persistence: Option<Persistence>,
    /// Every datagram is scheduled by itself.
    pub(crate) one_packet: bool,
    /// How connections are treated at the edges of their lives.
    pub(crate) policy: Policy,
}

impl Terms {
    /// Those of a service.
    pub(crate) fn of(service: &caribe_model::Service) -> Self {
        Terms {
            persistence: service.persistence,
            one_packet: service.one_packet,
            policy: service.policy,
        }
    }
}

/// A service in the data plane.
#[derive(Debug, Clone)]
pub(crate) struct LiveService {
    /// Index of its counters.
    pub(crate) id: u32,
    /// Indexes of its servers, oldest first.
    pub(crate) servers: Vec<u32>,
    /// What it asks for beside its scheduler.
    pub(crate) terms: Terms,
    /// The scheduler's state at the start of the run.
    pub(crate) schedule: Schedule,
    /// Its slots.
    pub(crate) run: Run,
    /// Where picks are counted; 0 when the scheduler does not rotate.
    pub(crate) cursor: u32,
}

/// A server in service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LiveServer {
    /// The service that it belongs to.
    pub(crate) service: ServiceKey,
    /// Identity.
    pub(crate) key: ServerKey,
    /// Method for new connections.
    pub(crate) forwarding: Forwarding,
    /// How a tunnel to it wraps packets.
    pub(crate) encapsulation: Encapsulation,
    /// Weight.
    pub(crate) weights: Weights,
    /// How many connections it takes.
    pub(crate) thresholds: Thresholds,
}

/// A server that was removed while connections may still refer to it. Added again, it takes its
/// index, counters and connections back, as in IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Discarded {
    /// The service that it belonged to; `None` when a director that is no more removed it and no
    /// connection tells.
    pub(crate) service: Option<ServiceKey>,
    /// Identity.
    pub(crate) key: ServerKey,
    /// Its connections are to be ended (`expire_nodest_conn`).
    pub(crate) is_doomed: bool,
    /// When it was removed, in ticks.
    pub(crate) since: u32,
    /// Since when no connection refers to it, in ticks.
    pub(crate) unreferenced_since: Option<u32>,
}

/// Ticks (126 s) for which a removed server without connections is kept, as IPVS keeps it for
/// 120 s.
pub(crate) const TRASH_PERIOD: u32 = 120_000;

/// Everything that the data plane holds, and all room that is left.
#[derive(Debug, Clone)]
pub(crate) struct LiveTable {
    room: Room,
    /// What [`caribe_model::diff`] compares with.
    table: Table,
    pub(crate) services: BTreeMap<ServiceKey, LiveService>,
    pub(crate) servers: BTreeMap<u32, LiveServer>,
    pub(crate) trash: BTreeMap<u32, Discarded>,
    /// The trash by what the servers were.
    trash_of: BTreeMap<ServiceKey, BTreeSet<(ServerKey, u32)>>,
    /// Servers in service by address: the way to one may be that of many.
    by_address: HashMap<IpAddr, BTreeSet<u32>>,
    /// How many services have an address.
    services_at: HashMap<IpAddr, usize>,
    /// Services whose run does not hold what it should, because a director died between two
    /// steps: they are laid out anew by the next plan.
    unsettled: BTreeSet<ServiceKey>,
    /// The maps hold rules for marks that nobody here knows.
    marks_unsettled: bool,
    spare: Spare,
}

/// What a plan makes different in a table. Of services, servers and trash it has what changes;
/// `None` is gone.
#[derive(Debug)]
pub(crate) struct Difference {
    table: Table,
    pub(crate) services: BTreeMap<ServiceKey, Option<LiveService>>,
    servers: BTreeMap<u32, Option<LiveServer>>,
    trash: BTreeMap<u32, Option<Discarded>>,
    spare: Spare,
}

/// One write to the maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Take a service away: its packets go to the kernel from now on.
    DeleteService(ServiceKey),
    /// No service has this address any more.
    DeleteVip(std::net::IpAddr),
    /// Write a server's entry and put it in service.
    PutServer {
        /// Its index.
        index: u32,
        /// Id of its service.
        service: u32,
        /// What to write.
        server: LiveServer,
        /// Its place in the order of additions.
        sequence: u64,
        /// False when it comes back from the trash and keeps its counters.
        fresh: bool,
    },
    /// Clear a discarded server's traffic, keeping its sum in the ledger of its service.
    CloseTraffic {
        /// Its index.
        index: u32,
        /// Id of the service, if there still is one.
        service: Option<u32>,
    },
    /// Change weight, method and encapsulation of a server in service.
    EditServer {
        /// Its index.
        index: u32,
        /// What to write.
        server: LiveServer,
    },
    /// Empty the ledger of a service that starts.
    OpenLedger(u32),
    /// Write slots that no packet reads yet.
    PutRun {
        /// Where.
        run: Run,
        /// What.
        slots: Vec<Slot>,
    },
    /// Set a cursor that no packet uses yet to zero, with the state from which its run starts.
    PutCursor {
        /// Which.
        cursor: u32,
        /// [`Schedule::word`].
        state: u64,
    },
    /// Write what a service asks for beside its scheduler.
    PutTerms {
        /// Id of the service.
        id: u32,
        /// What to write.
        terms: Terms,
    },
    /// A service has this address.
    PutVip(std::net::IpAddr),
    /// Write a service: packets use its new run from now on.
    PutService {
        /// Identity.
        key: ServiceKey,
        /// Index of its counters.
        id: u32,
        /// Its slots.
        run: Run,
        /// Where its cycle starts over.
        cycle_start: u32,
        /// Its cursor.
        cursor: u32,
        /// How packets choose.
        choice: Choice,
        /// The scheduler.
        scheduler: Scheduler,
        /// Its flags.
        flags: SchedulerFlags,
    },
    /// Put rules for firewall marks in force, in the place of all others.
    PutMarks(Layout),
    /// Take a server out of service; its connections are refused from now on.
    Discard(u32),
    /// The service of a discarded server is gone, and its id may be another's.
    Orphan(u32),
}

/// Why a table cannot be had; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Something ran out.
    Capacity {
        /// What, in the plural.
        what: &'static str,
        /// How many would be needed.
        needed: usize,
        /// How many there are.
        room: usize,
        /// True when it will fit once the grace period of what was just replaced is over.
        soon: bool,
    },
}

impl LiveTable {
    /// An empty table.
    pub(crate) fn new(room: Room) -> Self {
        LiveTable {
            room,
            table: Table::default(),
            services: BTreeMap::new(),
            servers: BTreeMap::new(),
            trash: BTreeMap::new(),
            trash_of: BTreeMap::new(),
            by_address: HashMap::new(),
            services_at: HashMap::new(),
            unsettled: BTreeSet::new(),
            marks_unsettled: false,
            spare: Spare::new(room),
        }
    }

    /// Addresses of all services: also those, written out in full, from which a service's mark
    /// comes.
    pub(crate) fn vips(&self) -> BTreeSet<IpAddr> {
        let mut vips = plan::marked(self.table.marks(), &|key| self.services.contains_key(key));
        vips.extend(self.services_at.keys());
        vips
    }

    /// How many services have that address.
    fn services_at(&self, address: IpAddr) -> usize {
        self.services_at.get(&address).copied().unwrap_or(0)
    }

    /// Servers in service that have that address.
    pub(crate) fn servers_at(&self, address: IpAddr) -> impl Iterator<Item = u32> {
        let servers = self.by_address.get(&address).into_iter();
        servers.flatten().copied()
    }

    /// The removed servers of a service, and of earlier ones with its identity.
    pub(crate) fn trash_of(&self, service: &ServiceKey) -> impl Iterator<Item = &(ServerKey, u32)> {
        self.trash_of.get(service).into_iter().flatten()
    }

    /// Where a removed server of a service may be that was this one.
    fn same_in_trash(&self, service: &ServiceKey, key: &ServerKey) -> Vec<u32> {
        let of_service = self.trash_of.get(service).into_iter();
        let same = of_service.flat_map(|it| it.range((*key, 0)..=(*key, u32::MAX)));
        same.map(|(_, index)| *index).collect()
    }

    /// Traffic of removed servers, by the id of their service. `owner` tells the id of the service
    /// that a server's traffic counts for, `traffic` what it is: each is asked once for a server,
    /// however many services there are.
    pub(crate) fn traffic_of_removed(
        &self,
        mut owner: impl FnMut(u32) -> u32,
        mut traffic: impl FnMut(u32) -> Traffic,
    ) -> BTreeMap<u32, Traffic> {
        let mut sums = BTreeMap::new();
        for (index, discarded) in &self.trash {
            let service = discarded.service.and_then(|key| self.services.get(&key));
            // Those of an earlier service of the same key are orphans: its traffic was its own.
            if let Some(service) = service
                && owner(*index) == service.id
            {
                let sum: &mut Traffic = sums.entry(service.id).or_default();
                *sum = sum.plus(&traffic(*index));
            }
        }
        sums
    }

    /// Puts a plan's result in the place of what is.
    pub(crate) fn become_different(&mut self, difference: Difference) {
        for (key, after) in difference.services {
            self.replace_service(key, after);
        }
        for (index, after) in difference.servers {
            self.replace_server(index, after);
        }
        for (index, after) in difference.trash {
            self.replace_in_trash(index, after);
        }
        self.table = difference.table;
        self.unsettled.clear();
        self.marks_unsettled = false;
        self.spare = difference.spare;
    }

    fn replace_service(&mut self, key: ServiceKey, after: Option<LiveService>) {
        let is = after.is_some();
        let was = match after {
            Some(service) => self.services.insert(key, service),
            None => self.services.remove(&key),
        };
        let Some(address) = plan::vip(&key).filter(|_| was.is_some() != is) else {
            return;
        };
        let count = self.services_at.entry(address).or_default();
        *count = if is {
            *count + 1
        } else {
            count.saturating_sub(1)
        };
        if *count == 0 {
            self.services_at.remove(&address);
        }
    }

    fn replace_server(&mut self, index: u32, after: Option<LiveServer>) {
        let address = after.map(|server| server.key.address);
        let before = match after {
            Some(server) => self.servers.insert(index, server),
            None => self.servers.remove(&index),
        };
        let before = before.map(|server| server.key.address);
        if before == address {
            return;
        }
        if let Some(address) = before
            && let Some(servers) = self.by_address.get_mut(&address)
        {
            servers.remove(&index);
            if servers.is_empty() {
                self.by_address.remove(&address);
            }
        }
        if let Some(address) = address {
            self.by_address.entry(address).or_default().insert(index);
        }
    }

    fn replace_in_trash(&mut self, index: u32, after: Option<Discarded>) {
        let place = |it: &Discarded| Some((it.service?, it.key));
        let is = after.as_ref().and_then(place);
        let before = match after {
            Some(discarded) => self.trash.insert(index, discarded),
            None => self.trash.remove(&index),
        };
        let was = before.as_ref().and_then(place);
        if was == is {
            return;
        }
        if let Some((service, key)) = was
            && let Some(of_service) = self.trash_of.get_mut(&service)
        {
            of_service.remove(&(key, index));
            if of_service.is_empty() {
                self.trash_of.remove(&service);
            }
        }
        if let Some((service, key)) = is {
            let of_service = self.trash_of.entry(service).or_default();
            of_service.insert((key, index));
        }
    }

    /// Notes that the maps hold rules for marks from before: the next plan puts its own there.
    pub(crate) fn unsettle_marks(&mut self) {
        self.marks_unsettled = true;
    }

    /// Which ports services take beside a packet's own.
    pub(crate) fn wide_services(&self) -> u32 {
        wide_services(self.services.keys())
    }

    /// Lets what was retired long enough ago be used again.
    pub(crate) fn end_grace(&mut self, now: u32) {
        self.spare.end_grace(now);
    }

    /// Notes which discarded servers no connection refers to, from a sweep that began when none
    /// of them could get a new one; returns those that have been so for long enough. The caller
    /// clears their entries and then calls [`LiveTable::forget`].
    pub(crate) fn empty_trash(&mut self, referenced: &dyn Fn(u32) -> bool, now: u32) -> Vec<u32> {
        let mut over = Vec::new();
        for (index, discarded) in &mut self.trash {
            if referenced(*index) || now.wrapping_sub(discarded.since) < crate::slots::GRACE {
                discarded.unreferenced_since = None;
                continue;
            }
            let since = *discarded.unreferenced_since.get_or_insert(now);
            if now.wrapping_sub(since) >= TRASH_PERIOD {
                over.push(*index);
            }
        }
        over
    }

    /// Lets the index of a discarded server be used again.
    pub(crate) fn forget(&mut self, index: u32) {
        if self.trash.contains_key(&index) {
            self.replace_in_trash(index, None);
            self.spare.servers.push_back(index);
        }
    }
}

/// Which ports services take beside a packet's own.
pub(crate) fn wide_services<'a>(services: impl Iterator<Item = &'a ServiceKey>) -> u32 {
    services
        .map(|key| match key {
            ServiceKey::Address { port: 0, .. } => ALL_PORTS,
            ServiceKey::Address {
                protocol: Protocol::Tcp,
                port: 21,
                ..
            } => FTP,
            _ => 0,
        })
        .fold(0, |all, one| all | one)
}

impl LiveServer {
    fn model(&self) -> caribe_model::Server {
        caribe_model::Server {
            key: self.key,
            forwarding: self.forwarding,
            weight: self.weights.now,
            encapsulation: self.encapsulation,
            thresholds: self.thresholds,
        }
    }
}
