//! Plans carried out on maps of plain memory: after *every* step a packet would see the old table
//! or the new one, and a director that dies between any two steps leaves what the next one can
//! finish.

use std::net::{IpAddr, Ipv4Addr};

use caribe_model::{Family, Netmask, Protocol, SchedulerOptions, Server, Service};
use proptest::prelude::*;

use super::*;
use crate::slots::GRACE;

const ROOM: Room = Room {
    services: 4,
    servers: 8,
    slots: 120,
    cursors: 12,
};

/// A server's entry.
#[derive(Debug, Clone)]
struct Entry {
    service: u32,
    server: LiveServer,
    sequence: u64,
    in_service: bool,
}

/// A service's value.
#[derive(Debug, Clone)]
struct Value {
    id: u32,
    run: Run,
    cursor: u32,
    choice: Choice,
    scheduler: Scheduler,
    flags: SchedulerFlags,
}

/// The maps.
#[derive(Debug, Default)]
struct Memory {
    services: BTreeMap<ServiceKey, Value>,
    vips: BTreeSet<IpAddr>,
    servers: BTreeMap<u32, Entry>,
    terms: BTreeMap<u32, Terms>,
    slots: BTreeMap<u32, Slot>,
    /// Picks and state.
    cursors: BTreeMap<u32, (u64, u64)>,
    /// What packets in flight may still use, with the tick until which.
    in_flight: Vec<(u32, Run, u32)>,
    now: u32,
}

/// What a service's packets are spread over.
type Spread = Vec<(ServerKey, u32)>;

impl Memory {
    fn take(&mut self, step: &Step) {
        match step.clone() {
            Step::DeleteService(key) => {
                let former = self.services.remove(&key).expect("a service that is there");
                self.retire(&former);
            }
            Step::DeleteVip(address) => assert!(self.vips.remove(&address), "{address}"),
            Step::PutVip(address) => {
                self.vips.insert(address);
            }
            Step::PutServer {
                index,
                service,
                server,
                sequence,
                fresh,
            } => {
                assert!((1..=ROOM.servers * 2).contains(&index));
                if let Some(old) = self.servers.get(&index) {
                    assert!(!old.in_service, "server {index} is overwritten");
                    assert!(fresh || old.server.key == server.key, "resumed as another");
                }
                let entry = Entry {
                    service,
                    server,
                    sequence,
                    in_service: true,
                };
                self.servers.insert(index, entry);
            }
            Step::CloseTraffic { index, .. } => {
                assert!(
                    !self.servers[&index].in_service,
                    "server {index} still counts"
                );
            }
            Step::EditServer { index, server } => {
                let entry = self
                    .servers
                    .get_mut(&index)
                    .expect("a server that is there");
                assert!(entry.in_service && entry.server.key == server.key);
                entry.server = server;
            }
            Step::PutTerms { id, terms } => {
                self.terms.insert(id, terms);
            }
            Step::OpenLedger(service) => {
                assert!(self.services.values().all(|other| other.id != service));
            }
            Step::PutRun { run, slots } => {
                assert_eq!(run.length as usize, slots.len());
                assert!(run.base + run.length <= ROOM.slots);
                self.assert_unused(run);
                self.slots.extend((run.base..).zip(slots));
            }
            Step::PutCursor { cursor, state } => {
                assert!((1..ROOM.cursors).contains(&cursor));
                let in_flight = self
                    .in_flight
                    .iter()
                    .filter(|(until, ..)| !self.is_past(*until));
                assert!(in_flight.clone().all(|(.., other)| *other != cursor));
                assert!(
                    self.services
                        .values()
                        .all(|service| service.cursor != cursor)
                );
                self.cursors.insert(cursor, (0, state));
            }
            Step::PutService {
                key,
                id,
                run,
                cycle_start,
                cursor,
                choice,
                scheduler,
                flags,
            } => {
                assert!(cycle_start == 0 || cycle_start < run.length);
                let new = Value {
                    id,
                    run,
                    cursor,
                    choice,
                    scheduler,
                    flags,
                };
                if let Some(former) = self.services.insert(key, new) {
                    self.retire(&former);
                }
            }
            // None of these tables has any; the layout's own tests do.
            Step::PutMarks(layout) => assert_eq!(layout, Layout::default()),
            Step::Discard(index) => {
                self.servers
                    .get_mut(&index)
                    .expect("a server that is there")
                    .in_service = false;
            }
            Step::Orphan(index) => {
                let entry = self
                    .servers
                    .get_mut(&index)
                    .expect("a server that is there");
                assert!(!entry.in_service, "server {index} loses its service");
                entry.service = 0;
            }
        }
    }

    fn retire(&mut self, former: &Value) {
        self.in_flight
            .push((self.now.wrapping_add(GRACE), former.run, former.cursor));
    }

    fn is_past(&self, until: u32) -> bool {
        self.now.wrapping_sub(until) as i32 >= 0
    }

    /// Nothing that a packet may be reading lies in this run.
    fn assert_unused(&self, run: Run) {
        let in_flight = self
            .in_flight
            .iter()
            .filter(|(until, ..)| !self.is_past(*until));
        let in_use = self.services.values().map(|service| service.run);
        for other in in_use.chain(in_flight.map(|(_, run, _)| *run)) {
            let apart =
                run.base + run.length <= other.base || other.base + other.length <= run.base;
            assert!(
                apart || other.length == 0,
                "{run:?} is written while {other:?} is read"
            );
        }
    }

    /// What packets get at this moment, by service.
    fn spreads(&self) -> BTreeMap<ServiceKey, Spread> {
        let spread = |key: &ServiceKey, service: &Value| -> Spread {
            assert!(
                plan::vip(key).is_some_and(|vip| self.vips.contains(&vip)),
                "{key} has no VIP"
            );
            let run = service.run;
            (run.base..run.base + run.length)
                .map(|slot| {
                    let slot = self.slots[&slot];
                    let entry = &self.servers[&slot.server];
                    assert!(entry.in_service, "{key} spreads over a removed server");
                    assert_eq!(
                        entry.service, service.id,
                        "{key} spreads over another's server"
                    );
                    (entry.server.key, slot.weight)
                })
                .collect()
        };
        self.services
            .iter()
            .map(|(key, service)| (*key, spread(key, service)))
            .collect()
    }

    /// Takes steps; after each, a service's packets are spread as before or as after.
    fn take_all(&mut self, steps: &[Step]) {
        let before = self.spreads();
        let mut seen = Vec::new();
        for step in steps {
            self.take(step);
            seen.push((step, self.spreads()));
        }
        let after = self.spreads();
        for (step, spreads) in seen {
            for (key, spread) in spreads {
                assert!(
                    before.get(&key) == Some(&spread) || after.get(&key) == Some(&spread),
                    "{key} is spread over {spread:?} after {step:?}"
                );
            }
        }
    }

    /// What the next director finds.
    fn adopt(&self) -> (LiveTable, Vec<Step>) {
        let services = self.services.iter().map(|(key, service)| {
            let run = service.run;
            let found = FoundService {
                id: service.id,
                scheduler: service.scheduler,
                flags: service.flags,
                terms: self.terms[&service.id],
                run,
                slots: (run.base..run.base + run.length)
                    .map(|slot| self.slots[&slot])
                    .collect(),
                cursor: service.cursor,
                state: self
                    .cursors
                    .get(&service.cursor)
                    .map_or(0, |(_, state)| *state),
            };
            (*key, found)
        });
        let servers = self.servers.iter().map(|(index, entry)| {
            let found = FoundServer {
                service: entry.service,
                key: entry.server.key,
                forwarding: entry.server.forwarding,
                encapsulation: entry.server.encapsulation,
                weights: entry.server.weights,
                thresholds: entry.server.thresholds,
                sequence: entry.sequence,
                in_service: entry.in_service,
            };
            (*index, found)
        });
        let nothing = BTreeMap::new();
        LiveTable::adopt(
            ROOM,
            services.collect(),
            servers.collect(),
            &nothing,
            self.now,
        )
        .expect("whatever was half done can be adopted")
    }

    fn picks(&self, cursor: u32) -> u64 {
        self.cursors[&cursor].0
    }

    /// The maps hold exactly this table.
    fn assert_holds(&self, table: &Table) {
        let sorted = |servers: &mut dyn Iterator<Item = Server>| {
            let mut servers: Vec<Server> = servers.collect();
            servers.sort_by_key(|server| server.key);
            servers
        };
        assert_eq!(self.services.len(), table.len());
        for (key, service) in table.services() {
            let held = &self.services[key];
            assert_eq!(held.scheduler, service.scheduler);
            assert_eq!(held.flags, service.options.flags);
            assert_eq!(self.terms[&held.id], Terms::of(service));
            let rotates = matches!(service.scheduler, Scheduler::Rr | Scheduler::Wrr);
            assert_eq!(held.choice == Choice::Rotate, rotates);
            let entries = self.servers.values();
            let mine = entries.filter(|entry| entry.in_service && entry.service == held.id);
            assert_eq!(
                sorted(&mut mine.map(|entry| entry.server.model())),
                sorted(&mut service.servers.iter().cloned())
            );
            // Every server with a weight gets its share.
            let spread = &self.spreads()[key];
            let count = |server: &Server| {
                spread
                    .iter()
                    .filter(|(other, _)| *other == server.key)
                    .count() as u32
            };
            let sum: u32 = service.servers.iter().map(|server| server.weight).sum();
            for server in &service.servers {
                if service.scheduler == Scheduler::Wrr {
                    assert_eq!(count(server) * sum, server.weight * spread.len() as u32);
                } else {
                    assert_eq!(count(server), u32::from(server.weight > 0));
                }
            }
        }
        let in_service = self
            .servers
            .values()
            .filter(|entry| entry.in_service)
            .count();
        assert_eq!(
            in_service,
            table
                .services()
                .map(|(_, service)| service.servers.len())
                .sum()
        );
        assert_eq!(
            self.vips,
            table
                .services()
                .filter_map(|(key, _)| plan::vip(key))
                .collect()
        );
    }
}

fn any_table() -> impl Strategy<Value = Table> {
    let server = (0u8..5, 0u32..4, any::<bool>(), 0u32..3);
    let server = server.prop_map(|(host, weight, nat, upper)| Server {
        key: ServerKey {
            address: Ipv4Addr::new(10, 0, 0, host).into(),
            port: 80,
        },
        forwarding: if nat {
            Forwarding::Nat
        } else {
            Forwarding::Direct
        },
        weight,
        encapsulation: Default::default(),
        thresholds: Thresholds::new(upper, upper / 2).expect("they do not cross"),
    });
    // Those whose runs are as long as their servers' weights add up to, at most.
    let scheduler = (0usize..9, 0u8..8);
    let terms = (prop::option::of(1u32..4), any::<bool>(), any::<bool>());
    let service = (
        0u16..4,
        scheduler,
        prop::collection::vec(server, 0..4),
        terms,
    );
    prop::collection::vec(service, 0..4).prop_map(|services| {
        let mut table = Table::default();
        for (number, (scheduler, flags), servers, terms) in services {
            let (timeout, one_packet, expire_nodest_conn) = terms;
            let key = ServiceKey::Address {
                protocol: Protocol::Tcp,
                // Two VIPs with two services each.
                address: Ipv4Addr::new(192, 0, 2, (number / 2) as u8).into(),
                port: 80 + number % 2,
            };
            // Repeated services and servers are refused; the generator leaves them out.
            let _ = table.insert(
                key,
                Service {
                    scheduler: Scheduler::ALL[scheduler],
                    options: SchedulerOptions {
                        flags: SchedulerFlags::from_bits(flags).expect("three bits"),
                        ..SchedulerOptions::IPVS
                    },
                    servers,
                    one_packet,
                    persistence: timeout.map(|timeout| Persistence {
                        timeout,
                        netmask: Netmask::host(Family::V4),
                    }),
                    policy: Policy {
                        expire_nodest_conn,
                        ..Policy::default()
                    },
                },
            );
        }
        table
    })
}

/// A table to change to, ticks and picks that pass before, and where the director dies.
type Round = (Table, u32, u64, Option<usize>);

fn any_rounds() -> impl Strategy<Value = Vec<Round>> {
    let pass = prop_oneof![
        Just(0u32),
        1..GRACE,
        Just(GRACE),
        Just(TRASH_PERIOD + GRACE)
    ];
    let death = prop::option::weighted(0.3, 0usize..30);
    prop::collection::vec((any_table(), pass, 0u64..9, death), 1..12)
}

/// Lives through the rounds. A table that does not fit beside what is still in use is passed over.
fn live_through(rounds: Vec<Round>) {
    let mut memory = Memory {
        now: u32::MAX - 5_000,
        ..Memory::default()
    };
    let mut live = LiveTable::new(ROOM);
    for (table, pass, picks, death) in rounds {
        memory.now = memory.now.wrapping_add(pass);
        for cursor in memory.cursors.values_mut() {
            cursor.0 += picks;
        }
        live.end_grace(memory.now);
        for index in live.empty_trash(&|_| false, memory.now) {
            memory.servers.remove(&index);
            live.forget(index);
        }
        let mut planned = live.plan(&table, memory.now, &|cursor| memory.picks(cursor));
        if matches!(planned, Err(Refusal::Capacity { soon: true, .. })) {
            memory.now = memory.now.wrapping_add(GRACE);
            planned = live.plan(&table, memory.now, &|cursor| memory.picks(cursor));
        }
        let Ok(mut plan) = planned else {
            continue;
        };
        if let Some(at) = death.filter(|at| *at < plan.steps.len()) {
            memory.take_all(&plan.steps[..at]);
            // Starting takes longer than a packet.
            memory.now = memory.now.wrapping_add(GRACE);
            let (adopted, steps) = memory.adopt();
            memory.take_all(&steps);
            memory.vips = adopted.vips();
            let planned = adopted.plan(&table, memory.now, &|cursor| memory.picks(cursor));
            let again = planned.ok();
            live = adopted;
            let Some(again) = again else {
                continue;
            };
            plan = again;
        }
        memory.take_all(&plan.steps);
        memory.assert_holds(&table);
        live.become_different(plan.difference);
        assert_indexes_agree(&live);
        let nothing = live.plan(&table, memory.now, &|cursor| memory.picks(cursor));
        let nothing = nothing.expect("no change needs no room");
        assert_eq!((nothing.changes, nothing.steps), (0, Vec::new()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn packets_see_the_old_table_or_the_new(rounds in any_rounds()) {
        live_through(rounds);
    }

    /// The next director knows what the last one knew.
    #[test]
    fn adoption_forgets_nothing(tables in prop::collection::vec(any_table(), 1..6)) {
        let mut memory = Memory::default();
        let mut live = LiveTable::new(ROOM);
        for table in tables {
            memory.now += TRASH_PERIOD;
            let plan = live.plan(&table, memory.now, &|cursor| memory.picks(cursor));
            let Ok(plan) = plan else { continue };
            memory.take_all(&plan.steps);
            live.become_different(plan.difference);
        }
        let (adopted, steps) = memory.adopt();
        prop_assert_eq!(steps, Vec::new());
        prop_assert_eq!(&adopted.servers, &live.servers);
        let before: Vec<_> = live.services.iter().map(|(key, service)| {
            (key, service.id, &service.servers, &service.schedule, service.run, service.cursor)
        }).collect();
        let after: Vec<_> = adopted.services.iter().map(|(key, service)| {
            (key, service.id, &service.servers, &service.schedule, service.run, service.cursor)
        }).collect();
        prop_assert_eq!(after, before);
        prop_assert_eq!(
            adopted.trash.keys().collect::<Vec<_>>(), live.trash.keys().collect::<Vec<_>>()
        );
    }
}

fn one_service(servers: &[(u8, u32)]) -> Table {
    let mut table = Table::default();
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        port: 80,
    };
    let servers = servers.iter().map(|(host, weight)| Server {
        key: ServerKey {
            address: Ipv4Addr::new(10, 0, 0, *host).into(),
            port: 80,
        },
        forwarding: Forwarding::Direct,
        weight: *weight,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    });
    let service = Service {
        scheduler: Scheduler::Rr,
        options: SchedulerOptions::IPVS,
        servers: servers.collect(),
        one_packet: false,
        persistence: None,
        policy: Default::default(),
    };
    table.insert(key, service).expect("a legal table");
    table
}

/// The table that a plan leads to.
fn after(live: &LiveTable, plan: Plan) -> LiveTable {
    let mut live = live.clone();
    live.become_different(plan.difference);
    live
}

#[test]
fn an_index_rests_until_its_connections_are_gone() {
    let mut memory = Memory::default();
    let mut live = LiveTable::new(ROOM);
    let change = |live: &LiveTable, memory: &mut Memory, table: &Table| {
        let plan = live
            .plan(table, memory.now, &|cursor| memory.picks(cursor))
            .expect("room");
        memory.take_all(&plan.steps);
        after(live, plan)
    };
    live = change(&live, &mut memory, &one_service(&[(1, 1)]));
    let first = *live.servers.keys().next().expect("a server");
    live = change(&live, &mut memory, &one_service(&[(2, 1)]));
    assert_eq!(live.trash.keys().copied().collect::<Vec<_>>(), [first]);
    // Referenced, it stays whatever time passes; and it comes back as itself.
    memory.now += TRASH_PERIOD * 3;
    assert_eq!(live.empty_trash(&|index| index == first, memory.now), []);
    live = change(&live, &mut memory, &one_service(&[(2, 1), (1, 1)]));
    assert!(live.servers.contains_key(&first) && live.trash.is_empty());
    // Unreferenced, it rests for the period, counted from when that was first seen.
    live = change(&live, &mut memory, &one_service(&[(2, 1)]));
    memory.now += GRACE - 1;
    assert_eq!(live.empty_trash(&|_| false, memory.now), []);
    memory.now += TRASH_PERIOD;
    assert_eq!(
        live.empty_trash(&|_| false, memory.now),
        [],
        "not known to be free before"
    );
    memory.now += TRASH_PERIOD - 1;
    assert_eq!(live.empty_trash(&|_| false, memory.now), []);
    memory.now += 1;
    assert_eq!(live.empty_trash(&|_| false, memory.now), [first]);
}

#[test]
fn when_indexes_run_out_the_longest_unused_is_taken() {
    let mut memory = Memory::default();
    let mut live = LiveTable::new(ROOM);
    let mut hosts = 0..;
    let mut change = |live: &LiveTable, memory: &mut Memory| {
        let host = hosts.next().expect("endless");
        live.plan(&one_service(&[(host, 1)]), memory.now, &|cursor| {
            memory.picks(cursor)
        })
        .map(|plan| {
            memory.take_all(&plan.steps);
            after(live, plan)
        })
    };
    for _ in 0..ROOM.servers * 2 {
        memory.now += GRACE;
        live = change(&live, &mut memory).expect("room");
    }
    memory.now += GRACE;
    let refused = change(&live, &mut memory).expect_err("every index may have connections");
    assert!(
        matches!(refused, Refusal::Capacity { soon: false, .. }),
        "{refused:?}"
    );
    assert_eq!(live.empty_trash(&|index| index == 1, memory.now), []);
    let live = change(&live, &mut memory).expect("one is free of connections");
    assert!(
        live.trash.contains_key(&1),
        "the one with connections stays"
    );
}

#[test]
fn maps_that_contradict_themselves_are_told() {
    let key = |port| ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: Ipv4Addr::new(192, 0, 2, 1).into(),
        port,
    };
    let good = FoundService {
        id: 1,
        scheduler: Scheduler::Rr,
        flags: SchedulerFlags::default(),
        terms: Terms::default(),
        run: Run { base: 0, length: 0 },
        slots: Vec::new(),
        cursor: 1,
        state: 0,
    };
    let adopt = |services: Vec<(ServiceKey, FoundService)>| {
        let (services, none) = (services.into_iter().collect(), BTreeMap::new());
        LiveTable::adopt(ROOM, services, BTreeMap::new(), &none, 0).map(|_| ())
    };
    assert_eq!(adopt(vec![(key(1), good.clone())]), Ok(()));
    let same_id = FoundService {
        cursor: 2,
        ..good.clone()
    };
    let same_cursor = FoundService {
        id: 2,
        ..good.clone()
    };
    for (bad, word) in [
        (vec![(key(1), good.clone()), (key(2), same_id)], "id"),
        (
            vec![(key(1), good.clone()), (key(2), same_cursor)],
            "cursor",
        ),
        (
            vec![(
                key(1),
                FoundService {
                    id: 99,
                    ..good.clone()
                },
            )],
            "id 99",
        ),
        (
            vec![(
                key(1),
                FoundService {
                    cursor: 99,
                    ..good.clone()
                },
            )],
            "cursor",
        ),
        (
            vec![(
                key(1),
                FoundService {
                    run: Run {
                        base: 119,
                        length: 2,
                    },
                    ..good
                },
            )],
            "slots",
        ),
    ] {
        let problem = adopt(bad).expect_err("contradictory");
        assert!(problem.contains(word), "{problem}");
    }
}

/// A thousand services of two servers each.
fn large() -> Table {
    let mut table = Table::default();
    for port in 1..=1000 {
        let service = one_service(&[(1, 1), (2, 1)]);
        let (_, service) = service.services().next().expect("a service");
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: Ipv4Addr::new(192, 0, 2, (port % 200) as u8).into(),
            port,
        };
        table.insert(key, service.clone()).expect("a legal table");
    }
    table
}

const LARGE_ROOM: Room = Room {
    services: 1000,
    servers: 2000,
    slots: 100_000,
    cursors: 4000,
};

#[test]
fn a_plan_costs_what_it_changes() {
    let mut live = LiveTable::new(LARGE_ROOM);
    let mut table = large();
    let plan = live.plan(&table, 0, &|_| 0).expect("room");
    live.become_different(plan.difference);
    let (key, service) = table.services().next().expect("a service");
    let (key, mut service) = (*key, service.clone());
    service.servers[0].weight = 7;
    table.remove(&key).expect("it is there");
    table.insert(key, service).expect("a legal table");
    let asked = std::cell::Cell::new(0);
    let picks = |_| {
        asked.set(asked.get() + 1);
        0
    };
    let plan = live.plan(&table, 0, &picks).expect("room");
    assert_eq!(asked.get(), 1, "cursors that were read");
    let (services, servers) = (
        plan.difference.services.len(),
        plan.difference.servers.len(),
    );
    assert_eq!((services, servers, plan.difference.trash.len()), (1, 1, 0));
    assert_eq!(plan.steps.len(), 4, "{:?}", plan.steps);
}

#[test]
fn each_removed_server_is_asked_about_once_however_many_services_there_are() {
    let mut live = LiveTable::new(LARGE_ROOM);
    let table = large();
    let plan = live.plan(&table, 0, &|_| 0).expect("room");
    live.become_different(plan.difference);
    let before = live.clone();
    let mut quiet = Table::default();
    for (key, service) in table.services() {
        let mut service = service.clone();
        service.servers.pop();
        quiet.insert(*key, service).expect("a legal table");
    }
    let plan = live.plan(&quiet, 0, &|_| 0).expect("room");
    live.become_different(plan.difference);
    assert_eq!(live.trash.len(), 1000);
    let (mut owners, mut read) = (0, 0);
    let owner = |index: u32| {
        owners += 1;
        before.services[&before.servers[&index].service].id
    };
    let traffic = |_| {
        read += 1;
        Traffic {
            connections: 3,
            ..Traffic::default()
        }
    };
    let sums = live.traffic_of_removed(owner, traffic);
    assert_eq!((owners, read), (1000, 1000));
    assert_eq!(sums.len(), 1000);
    assert!(sums.values().all(|sum| sum.connections == 3));
}

/// What is kept beside the table, for look-ups, is what the table says.
fn assert_indexes_agree(live: &LiveTable) {
    let mut fresh = LiveTable::new(ROOM);
    for (key, service) in &live.services {
        fresh.replace_service(*key, Some(service.clone()));
    }
    for (index, server) in &live.servers {
        fresh.replace_server(*index, Some(*server));
    }
    for (index, discarded) in &live.trash {
        fresh.replace_in_trash(*index, Some(*discarded));
    }
    assert_eq!(live.services_at, fresh.services_at);
    assert_eq!(live.by_address, fresh.by_address);
    assert_eq!(live.trash_of, fresh.trash_of);
}
