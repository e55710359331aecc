//! Random histories of a director in a small world, in simulated time, from seeds.

use std::collections::VecDeque;

use caribe_config::config::Config;
use caribe_dataplane::Applied;
use caribe_health::Order;
use caribe_model::Service;
use caribe_network::AddressOutcome;
use proptest::prelude::*;

use super::tests::{address, config, floating, id, judged, loaded, server, service, setup};
use super::*;
use crate::OrderRequest;

/// (VIP, quiesce, servers as (host, weight, active)) of a service.
type Block = (u8, bool, Vec<(u8, u32, bool)>);

/// What the administrator and the world do.
#[derive(Debug, Clone)]
enum Step {
    /// Load a file with these services.
    Reload(Vec<Block>),
    /// Load a file that is refused.
    ReloadBroken,
    /// The n-th running monitor judges.
    Judge(usize, bool),
    /// A monitor that may not run any more judges.
    JudgeAnyone(u8, u8, bool),
    /// An operator orders something about the n-th watched server, or lifts the order.
    Order(usize, Option<Order>),
    /// Time passes.
    Pass(u64),
    /// The data plane refuses tables from now on, or does not.
    RefuseTables(bool),
    /// The kernel refuses addresses from now on, or does not.
    RefuseAddresses(bool),
    /// The director is killed and started again.
    Kill,
}

fn any_step() -> impl Strategy<Value = Step> {
    let servers = prop::collection::vec((1u8..6, 0u32..4, any::<bool>()), 0..5);
    let services = prop::collection::vec((1u8..5, any::<bool>(), servers), 0..4);
    prop_oneof![
        2 => services.prop_map(Step::Reload),
        1 => Just(Step::ReloadBroken),
        8 => (any::<usize>(), any::<bool>()).prop_map(|(which, up)| Step::Judge(which, up)),
        1 => (1u8..5, 1u8..6, any::<bool>())
            .prop_map(|(vip, host, up)| Step::JudgeAnyone(vip, host, up)),
        3 => (any::<usize>(), any_order()).prop_map(|(which, order)| Step::Order(which, order)),
        4 => (1u64..8).prop_map(Step::Pass),
        1 => any::<bool>().prop_map(Step::RefuseTables),
        1 => any::<bool>().prop_map(Step::RefuseAddresses),
        1 => Just(Step::Kill),
    ]
}

fn any_order() -> impl Strategy<Value = Option<Order>> {
    prop_oneof![
        Just(None),
        Just(Some(Order::Drain)),
        Just(Some(Order::Maintenance)),
        (0u32..5).prop_map(|weight| Some(Order::Weight(weight))),
    ]
}

fn file(blocks: &[Block]) -> Config {
    let mut services = Vec::new();
    for (vip, quiesce, servers) in blocks {
        let servers = servers.iter().map(|(host, weight, active)| {
            let mut server = server(*host, *weight);
            server.active = *active;
            server
        });
        let mut block = service(*vip, servers.collect());
        block.quiesce = *quiesce;
        services.push(block);
    }
    config(services)
}

/// The world around a director: it does what effects ask for, or refuses.
struct World {
    director: Director,
    now: Monotonic,
    /// The table of the data plane; outlives the director.
    live: Table,
    /// Addresses on interfaces; one of them was there before the director.
    present: BTreeSet<IpAddr>,
    /// The state file.
    remembered: Vec<FloatingAddress>,
    /// The file of orders.
    orders: BTreeMap<ServerId, StandingOrder>,
    monitors: BTreeMap<ServerId, Option<bool>>,
    file: Option<Config>,
    refuse_tables: bool,
    refuse_addresses: bool,
    removed: bool,
    ended: Option<Ending>,
}

const FOREIGN: &str = "192.0.2.4";

impl World {
    fn new() -> Self {
        World {
            director: Director::new(setup(), Monotonic::ORIGIN),
            now: Monotonic::ORIGIN,
            live: Table::default(),
            present: BTreeSet::from([address(FOREIGN)]),
            remembered: Vec::new(),
            orders: BTreeMap::new(),
            monitors: BTreeMap::new(),
            file: None,
            refuse_tables: false,
            refuse_addresses: false,
            removed: false,
            ended: None,
        }
    }

    fn send(&mut self, event: Event) {
        self.play(VecDeque::from([event]));
    }

    fn play(&mut self, mut events: VecDeque<Event>) {
        while let Some(event) = events.pop_front() {
            for effect in self.director.handle(event, self.now) {
                assert_eq!(self.ended, None, "an effect after the end: {effect:?}");
                self.run(effect, &mut events);
            }
        }
    }

    fn order(&mut self, id: ServerId, order: Option<Order>) {
        let request = OrderRequest { id, order };
        let effects = self.director.order(request, "ann", 0, self.now);
        let mut events = VecDeque::new();
        for effect in effects.expect("it is watched") {
            self.run(effect, &mut events);
        }
        self.play(events);
        let kept = self.orders.get(&id).map(|standing| standing.order);
        assert_eq!(kept, order, "it was written down");
    }

    fn run(&mut self, effect: Effect, events: &mut VecDeque<Event>) {
        match effect {
            Effect::Apply(_) if self.refuse_tables => {
                events.push_back(Event::Applied(Err("refused".to_owned())));
            }
            Effect::Apply(table) => {
                self.live = table;
                events.push_back(Event::Applied(Ok(Applied::default())));
            }
            Effect::StartMonitor(id, ..) => {
                assert_eq!(self.monitors.insert(id, None), None, "started twice: {id}");
            }
            Effect::StopMonitor(id) => {
                assert!(
                    self.monitors.remove(&id.server).is_some(),
                    "not running: {id}"
                );
            }
            Effect::RetuneMonitor(id, _) => assert!(self.monitors.contains_key(&id)),
            Effect::Remember(addresses) => self.remembered = addresses,
            Effect::AddAddress(floating) => {
                let result = if self.refuse_addresses {
                    Err("refused".to_owned())
                } else if self.present.insert(floating.address) {
                    Ok(AddressOutcome::Added)
                } else {
                    Ok(AddressOutcome::AlreadyThere)
                };
                events.push_back(Event::AddressAdded(floating, result));
            }
            Effect::RemoveAddress(floating) => {
                assert_ne!(floating.address, address(FOREIGN), "not ours");
                let removed = self.present.remove(&floating.address);
                events.push_back(Event::AddressRemoved(floating, Ok(removed)));
            }
            Effect::Announce(floating) => assert!(self.present.contains(&floating.address)),
            Effect::RemoveDataplane => {
                self.removed = true;
                events.push_back(Event::DataplaneRemoved(Ok(())));
            }
            Effect::End(ending) => self.ended = Some(ending),
            Effect::ReadConfig => {
                let config = self.file.clone();
                events.push_back(match config {
                    Some(config) => loaded(config),
                    None => Event::ConfigRefused {
                        diagnostics: vec!["broken".to_owned()],
                    },
                });
            }
            Effect::Sweep => events.push_back(Event::Swept(Ok(Default::default()))),
            Effect::Sample => {
                events.push_back(Event::Sampled(Ok(Box::default())));
            }
            Effect::KeepOrders(orders) => self.orders = orders,
            Effect::Log(_)
            | Effect::Tell(..)
            | Effect::Notify(_)
            | Effect::ShareControl(_)
            | Effect::SetTimeouts(_)
            | Effect::SetTuning(_)
            | Effect::SetNextHop(..)
            | Effect::Attach(_)
            | Effect::Watch(_) => {}
        }
    }

    fn judge(&mut self, id: ServerId, up: bool) {
        if let Some(known) = self.monitors.get_mut(&id) {
            if *known == Some(up) {
                return;
            }
            *known = Some(up);
        }
        self.send(Event::Report(judged(id, "tcp", up)));
    }

    /// kill -9 and a new start: the table, the addresses and the state file stay.
    fn kill(&mut self, in_force: &Config) {
        let services = self.live.services();
        let services =
            services.map(|(key, service)| caribe_dataplane::LiveService::fresh(*key, service));
        let snapshot = Snapshot {
            services: services.collect(),
            ..Snapshot::default()
        };
        let setup = Setup {
            adopted: Some(snapshot),
            remembered: self.remembered.clone(),
            orders: self.orders.clone(),
            ..setup()
        };
        let before = self.live.clone();
        self.monitors.clear();
        self.director = Director::new(setup, self.now);
        self.refuse_tables = false;
        self.send(loaded(in_force.clone()));
        // Nobody who was in the table and is in the file may have left it, but by an order that
        // could not be heeded before.
        let intent = Intent::new(in_force, &[]).expect("it was in force");
        for wanted in &intent.services {
            let Some(was) = before.service(&wanted.key) else {
                continue;
            };
            let is = self.live.service(&wanted.key).expect("service stays");
            for server in wanted.active_servers() {
                let key = server.server.key;
                let id = ServerId {
                    service: wanted.key,
                    server: key,
                };
                let order = self.orders.get(&id).map(|standing| standing.order);
                if order == Some(Order::Maintenance) {
                    continue;
                }
                let in_table = |service: &Service| service.servers.iter().any(|s| s.key == key);
                assert!(!in_table(was) || in_table(is), "{key} left the table");
            }
        }
    }

    /// What must hold at any time when nothing is refused.
    fn check(&self, in_force: &Config) {
        let intent = Intent::new(in_force, &[]).expect("it is in force");
        let expected: BTreeSet<ServerId> = intent
            .services
            .iter()
            .flat_map(|service| {
                service.active_servers().map(|server| ServerId {
                    service: service.key,
                    server: server.server.key,
                })
            })
            .collect();
        assert!(self.monitors.keys().eq(expected.iter()), "monitors");
        assert!(
            self.director.servers.agrees(),
            "what is kept of all servers"
        );
        if !self.refuse_tables {
            assert_eq!(self.live.len(), intent.services.len());
        }
        for wanted in &intent.services {
            let Some(live) = self.live.service(&wanted.key) else {
                assert!(self.refuse_tables);
                continue;
            };
            if self.refuse_tables {
                continue;
            }
            for server in wanted.active_servers() {
                let id = ServerId {
                    service: wanted.key,
                    server: server.server.key,
                };
                let weight = live
                    .servers
                    .iter()
                    .find(|live| live.key == id.server)
                    .map(|live| live.weight);
                let order = self.orders.get(&id).map(|standing| standing.order);
                let whole = match order {
                    Some(Order::Weight(weight)) => weight,
                    Some(Order::Drain) => 0,
                    Some(Order::Maintenance) | None => server.server.weight,
                };
                let told = format!("{id}, {order:?}: {weight:?} of {whole}");
                match self.monitors[&id] {
                    _ if order == Some(Order::Maintenance) => assert_eq!(weight, None, "{told}"),
                    // One that came back climbs to its weight.
                    Some(true) => {
                        let range = whole.min(1)..=whole;
                        assert!(weight.is_some_and(|it| range.contains(&it)), "{told}");
                    }
                    Some(false) if server.rules.quiesce => {
                        assert!(matches!(weight, None | Some(0)), "{told}");
                    }
                    Some(false) => assert_eq!(weight, None, "{told}"),
                    None if order == Some(Order::Drain) => {
                        assert!(matches!(weight, None | Some(0)), "{told}");
                    }
                    None => {}
                }
            }
        }
        let own: BTreeSet<IpAddr> = self.remembered.iter().map(|own| own.address).collect();
        for present in &self.present {
            let foreign = *present == address(FOREIGN);
            assert!(
                foreign || own.contains(present),
                "{present} would be forgotten"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_happens_the_world_follows_the_file_and_the_verdicts(
        steps in prop::collection::vec(any_step(), 1..60)
    ) {
        let mut world = World::new();
        let mut in_force = config(vec![service(1, vec![server(1, 1)])]);
        world.send(loaded(in_force.clone()));
        for step in steps {
            match step {
                Step::Reload(blocks) => {
                    let config = file(&blocks);
                    world.file = Some(config.clone());
                    world.send(Event::ReloadRequested);
                    if Intent::new(&config, &[]).is_ok() {
                        in_force = config;
                    }
                }
                Step::ReloadBroken => {
                    world.file = None;
                    let live = world.live.clone();
                    world.send(Event::ReloadRequested);
                    prop_assert_eq!(&world.live, &live);
                }
                Step::Judge(which, up) => {
                    let ids: Vec<_> = world.monitors.keys().copied().collect();
                    if !ids.is_empty() {
                        world.judge(ids[which % ids.len()], up);
                    }
                }
                Step::Order(which, order) => {
                    let ids: Vec<_> = world.monitors.keys().copied().collect();
                    if !ids.is_empty() {
                        world.order(ids[which % ids.len()], order);
                    }
                }
                Step::JudgeAnyone(vip, host, up) => world.judge(id(vip, host), up),
                Step::Pass(seconds) => {
                    for _ in 0..seconds {
                        world.now = world.now + Duration::from_secs(1);
                        world.send(Event::Tick);
                    }
                }
                Step::RefuseTables(refuse) => world.refuse_tables = refuse,
                Step::RefuseAddresses(refuse) => world.refuse_addresses = refuse,
                Step::Kill => world.kill(&in_force),
            }
            if !world.refuse_tables {
                // Long enough for everything that was refused to be tried again.
                for _ in 0..6 {
                    world.now = world.now + Duration::from_secs(1);
                    world.send(Event::Tick);
                }
            }
            world.check(&in_force);
        }
        world.send(Event::ShutdownRequested);
        prop_assert_eq!(world.ended, Some(Ending::Clean));
        prop_assert!(world.removed);
        prop_assert!(world.monitors.is_empty());
        prop_assert!(world.remembered.is_empty());
        prop_assert_eq!(world.present, BTreeSet::from([address(FOREIGN)]));
        prop_assert!(!world.remembered.contains(&floating(4)));
    }
}
