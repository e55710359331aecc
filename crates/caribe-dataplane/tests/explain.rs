//! What the data plane says that a packet would get is what the next packet then gets, and asking
//! changes nothing.

mod support;

use std::num::NonZeroU32;
use std::path::Path;

use aya::maps::{Array, HashMap, Map, MapData, MapInfo, PerCpuArray};
use caribe_dataplane::xdp::probe::Action;
use caribe_dataplane::xdp::{Explainer, Options, XdpDataplane};
use caribe_dataplane::{Choice, Explanation, Fate, Made, Over, Question};
use caribe_model::{
    Family, Forwarding, MarkRule, Netmask, Persistence, Protocol, Scheduler, SchedulerFlags,
    SchedulerOptions, Server, Service, ServiceKey, Table, Thresholds,
};
use support::*;

const VIP: &str = "192.0.2.1:80";

fn question(protocol: Protocol, client: &str, vip: &str, tcp_flags: u8) -> Question {
    Question {
        protocol,
        client: socket(client),
        vip: socket(vip),
        tcp_flags,
        payload: 0,
        interface: None,
    }
}

/// A data plane with room for [`crowded_table`].
fn open(private: &Private) -> XdpDataplane {
    let options = Options {
        services: 64,
        servers: 256,
        slots: 60_000,
        ..private.options()
    };
    XdpDataplane::open(&options).expect("open the data plane")
}

fn asking(dataplane: &XdpDataplane) -> Explainer {
    Explainer::load(&dataplane.whereabouts()).expect("load the programs that explain")
}

fn explain(explainer: &mut Explainer, question: &Question) -> Explanation {
    explainer.explain(question, None).expect("explain")
}

/// Asks, sends the very packet, and compares what was said with what then happens.
fn ask_and_send(
    dataplane: &XdpDataplane,
    explainer: &mut Explainer,
    question: &Question,
) -> Explanation {
    let said = explain(explainer, question);
    let (frame, promised) = explainer
        .run(question, None)
        .expect("run the explaining program");
    let before = snapshot(dataplane).verdicts;
    let happened = dataplane.probe(&frame, None).expect("probe");
    let after = snapshot(dataplane).verdicts;
    let verdict = after.iter().find(|(name, count)| before[*name] != **count);
    let (verdict, _) = verdict.expect("a packet has a verdict");
    assert_eq!(said.verdict, *verdict, "{question:?}\n{said:#?}");
    assert_eq!(promised.action, happened.action, "{question:?}");
    assert_eq!(promised.frame, happened.frame, "{question:?}\n{said:#?}");
    let fate = match happened.action {
        Action::Pass => Fate::Passed,
        Action::Drop => Fate::Dropped,
        _ if happened.frame[..6] == frame[6..12] => Fate::Answered,
        _ => Fate::Forwarded,
    };
    assert_eq!(said.fate, fate, "{said:#?}");
    if fate == Fate::Forwarded {
        let server = said.server.as_ref().expect("forwarded to a server");
        let hop = server.next_hop.expect("there is a way");
        assert_eq!(happened.frame[..6], hop.destination_mac.0, "{said:#?}");
        let mac = said.changes.iter().find(|it| it.field == "destination MAC");
        assert_eq!(
            mac.expect("the frame's address is new").after,
            hop.destination_mac.to_string()
        );
    }
    said
}

/// Every byte of every pinned map.
fn contents(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .expect("the pins")
        .map(|entry| entry.expect("an entry"))
        .filter(|entry| entry.file_type().expect("a type").is_file())
        .map(|entry| entry.file_name().into_string().expect("text"))
        .filter(|name| name.to_uppercase() == *name)
        .collect();
    names.sort();
    assert!(names.len() > 20, "{names:?}");
    let dump = |name: String| {
        let path = directory.join(&name);
        let bytes = bytes_of(&path);
        assert!(!bytes.is_empty() || is_hash(&path), "{name} has elements");
        (name, bytes)
    };
    names.into_iter().map(dump).collect()
}

fn is_hash(path: &Path) -> bool {
    let info = MapInfo::from_pin(path).expect("a map");
    !matches!(
        info.map_type().expect("a type"),
        aya::maps::MapType::Array | aya::maps::MapType::PerCpuArray
    )
}

/// The bytes of an array of values of one of these sizes, or of a hash of keys and values.
fn bytes_of(path: &Path) -> Vec<u8> {
    let info = MapInfo::from_pin(path).expect("a map");
    let (key, value) = (info.key_size(), info.value_size());
    let data = MapData::from_pin(path).expect("a map");
    let mut bytes = Vec::new();
    macro_rules! array {
        ($($size:literal)+) => {
            match value {
                $($size => {
                    let array = Array::<_, [u8; $size]>::try_from(Map::Array(data)).expect("an array");
                    array.iter().for_each(|it| bytes.extend(it.expect("an element")));
                })+
                other => panic!("{}: no value has {other} bytes", path.display()),
            }
        };
    }
    macro_rules! per_processor {
        ($($size:literal)+) => {
            match value {
                $($size => {
                    let array = PerCpuArray::<_, [u8; $size]>::try_from(Map::PerCpuArray(data));
                    for element in array.expect("an array").iter() {
                        element.expect("an element").iter().for_each(|it| bytes.extend(it));
                    }
                })+
                other => panic!("{}: no value has {other} bytes", path.display()),
            }
        };
    }
    macro_rules! hash {
        ($map:ident, $(($key_size:literal, $size:literal))+) => {
            match (key, value) {
                $(($key_size, $size) => {
                    let map = HashMap::<_, [u8; $key_size], [u8; $size]>::try_from(Map::$map(data));
                    let map = map.expect("a hash");
                    let mut all: Vec<_> = map.iter().map(|it| it.expect("an element")).collect();
                    all.sort();
                    all.iter().for_each(|(key, value)| bytes.extend([&key[..], value].concat()));
                })+
                other => panic!("{}: no hash has {other:?}", path.display()),
            }
        };
    }
    match info.map_type().expect("a type") {
        aya::maps::MapType::Array => array!(8 16 32 64 128 200),
        aya::maps::MapType::PerCpuArray => per_processor!(680),
        aya::maps::MapType::Hash => hash!(HashMap, (8, 24)(20, 24)(16, 4)(20, 4)),
        aya::maps::MapType::LruHash => hash!(LruHashMap, (20, 64)),
        // Networks with a mark: no program writes them.
        _ => {}
    }
    bytes
}

/// One of every kind of thing that a packet may meet, with connections of each.
fn crowded_table() -> Table {
    let mut table = Table::default();
    let mut last = 1;
    let mut add = |key: ServiceKey, forwarding, change: &dyn Fn(&mut Service)| {
        let servers = (0..3).map(|number: u32| {
            last += 1;
            Server {
                key: server_key(&match key.family() {
                    Family::V4 => format!("10.0.0.{last}:80"),
                    Family::V6 => format!("[fd00::{last:x}]:80"),
                }),
                forwarding,
                weight: [1, 3, 2][number as usize],
                encapsulation: Default::default(),
                thresholds: Default::default(),
            }
        });
        let mut service = Service {
            scheduler: Scheduler::Rr,
            options: SchedulerOptions::IPVS,
            servers: servers.collect(),
            one_packet: false,
            persistence: None,
            policy: Default::default(),
        };
        change(&mut service);
        table.insert(key, service).expect("a legal service");
    };
    for (number, scheduler) in (0u16..).zip(Scheduler::ALL) {
        let forwarding =
            [Forwarding::Nat, Forwarding::Direct, Forwarding::Tunnel][usize::from(number) % 3];
        for host in ["192.0.2.1", "[2001:db8::1]"] {
            let vip = format!("{host}:{}", 1000 + number);
            add(tcp(&vip), forwarding, &|service| {
                service.scheduler = scheduler
            });
        }
    }
    add(udp("192.0.2.1:53"), Forwarding::Nat, &|_| {});
    add(udp("192.0.2.1:54"), Forwarding::Direct, &|service| {
        service.one_packet = true
    });
    let persistence = Persistence {
        timeout: 300,
        netmask: Netmask::host(Family::V4),
    };
    add(tcp("192.0.2.2:80"), Forwarding::Nat, &|service| {
        service.persistence = Some(persistence)
    });
    add(tcp("192.0.2.2:0"), Forwarding::Direct, &|service| {
        service.persistence = Some(persistence);
    });
    add(tcp("192.0.2.3:80"), Forwarding::Direct, &|service| {
        service.servers.clear()
    });
    add(tcp("192.0.2.4:80"), Forwarding::Direct, &|service| {
        service.servers.iter_mut().for_each(|it| it.weight = 0);
    });
    let mark = NonZeroU32::new(7).expect("not zero");
    let family = Family::V4;
    add(
        ServiceKey::Mark { family, mark },
        Forwarding::Tunnel,
        &|service| {
            service.scheduler = Scheduler::Lblcr;
        },
    );
    table
        .set_marks(vec![MarkRule {
            mark,
            address: "192.0.2.64".parse().expect("an address"),
            prefix: 26,
            protocol: None,
            ports: Vec::new(),
        }])
        .expect("legal rules");
    table
}

/// Packets of all kinds, to everything in [`crowded_table`] and beside it.
struct Packets(u64);

impl Packets {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }

    /// Few clients and ports, so that there are connections soon.
    fn next(&mut self) -> Question {
        let schedulers = Scheduler::ALL.len() as u64;
        let host = self.one(&[
            "192.0.2.1",
            "192.0.2.1",
            "[2001:db8::1]",
            "192.0.2.2",
            "192.0.2.3",
            "192.0.2.4",
            "192.0.2.70",
            "192.0.2.71",
            "203.0.113.5",
        ]);
        let is_first = host == "192.0.2.1" || host.starts_with('[');
        let port = if is_first && self.below(8) > 0 {
            1000 + self.below(schedulers)
        } else {
            self.one(&[80, 53, 54, 443])
        };
        let (client, number) = (self.below(4), self.below(6));
        let client = if host.starts_with('[') {
            format!("[2001:db8:c::{client}]:{}", 4000 + number)
        } else {
            format!("198.51.100.{client}:{}", 4000 + number)
        };
        let protocol = self.one(&[Protocol::Tcp, Protocol::Tcp, Protocol::Tcp, Protocol::Udp]);
        let flags = self.one(&[SYN, SYN, SYN, ACK, ACK, 0x11, 0x04]);
        let mut question = question(protocol, &client, &format!("{host}:{port}"), flags);
        question.payload = self.one(&[0, 0, 0, 100, 1400]);
        question
    }
}

#[test]
fn what_is_said_is_what_happens() {
    let private = Private::enter();
    let mut dataplane = open(&private);
    let mut table = crowded_table();
    apply(&mut dataplane, &table);
    let mut explainer = asking(&dataplane);
    let mut packets = Packets(7);
    let mut fates = std::collections::BTreeMap::<String, u32>::new();
    for round in 0..1500 {
        let question = packets.next();
        // twos draws anew for each packet, so what it said is no promise.
        let draws = question.vip.port() == 1000 + twos();
        if draws {
            explain(&mut explainer, &question);
            let (frame, _) = explainer.run(&question, None).expect("run");
            dataplane.probe(&frame, None).expect("probe");
        } else {
            let said = ask_and_send(&dataplane, &mut explainer, &question);
            *fates.entry(said.verdict).or_default() += 1;
        }
        if round % 100 == 50 {
            // An administrator: weights, a removal, a return.
            let (keys, at) = (
                table.services().map(|(key, _)| *key).collect::<Vec<_>>(),
                round / 100,
            );
            for key in keys {
                let mut service = table.remove(&key).expect("a service of the table");
                let count = service.servers.len();
                if count > 1 && at % 3 == 0 {
                    let gone = service.servers.remove(at % count);
                    service.servers.push(gone);
                } else if count > 1 {
                    service.servers[at % count].weight = (at % 4) as u32;
                    service.servers[0].thresholds = Thresholds::new(5, 0).expect("in order");
                }
                table.insert(key, service).expect("still legal");
            }
            apply(&mut dataplane, &table);
        }
    }
    // The packets were of many kinds.
    for verdict in [
        "forwarded_nat",
        "forwarded_direct",
        "forwarded_tunnel",
        "answered_no_server",
        "passed_not_ours",
        "passed_no_connection",
    ] {
        assert!(
            fates.get(verdict).is_some_and(|count| *count > 5),
            "{verdict}: {fates:?}"
        );
    }
}

fn twos() -> u16 {
    let at = Scheduler::ALL.iter().position(|it| *it == Scheduler::Twos);
    at.expect("one of all") as u16
}

#[test]
fn asking_changes_nothing() {
    let private = Private::enter();
    let mut dataplane = open(&private);
    apply(&mut dataplane, &crowded_table());
    let mut explainer = asking(&dataplane);
    let mut packets = Packets(3);
    // Connections, templates, destinations, replies.
    for _ in 0..300 {
        let question = packets.next();
        let (frame, _) = explainer.run(&question, None).expect("run");
        dataplane.probe(&frame, None).expect("probe");
    }
    let before = contents(&private.layout());
    for _ in 0..1000 {
        explain(&mut explainer, &packets.next());
    }
    let after = contents(&private.layout());
    for ((name, before), (_, after)) in before.iter().zip(&after) {
        assert!(before == after, "asking changed the map {name}");
    }
    // The comparison is of what changes.
    let question = question(Protocol::Tcp, "198.51.100.200:9", "192.0.2.1:1000", SYN);
    let (frame, _) = explainer.run(&question, None).expect("run");
    dataplane.probe(&frame, None).expect("probe");
    let changed: Vec<String> = contents(&private.layout())
        .into_iter()
        .zip(&after)
        .filter(|((_, now), (_, then))| now != then)
        .map(|((name, _), _)| name)
        .collect();
    for map in [
        "CONNECTIONS4",
        "COUNTERS",
        "CURSORS",
        "LOADS",
        "REPLIES4",
        "TAGS4",
        "TRAFFIC_IN",
    ] {
        assert!(
            changed.iter().any(|it| it == map),
            "{map} is not among {changed:?}"
        );
    }
}

#[test]
fn every_scheduler_says_how_it_chose() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut explainer = asking(&dataplane);
    let mut explained = |scheduler, flags| {
        let servers = [("10.0.0.2:80", 1), ("10.0.0.3:80", 2)];
        let mut wanted = table(Forwarding::Direct, &[(tcp(VIP), scheduler, &servers)]);
        let mut service = wanted.remove(&tcp(VIP)).expect("the service");
        service.options.flags = flags;
        wanted.insert(tcp(VIP), service).expect("legal");
        apply(&mut dataplane, &wanted);
        let asked = question(Protocol::Tcp, "198.51.100.7:4000", VIP, SYN);
        explain(&mut explainer, &asked)
    };
    let none = SchedulerFlags::default();
    let said = explained(Scheduler::Wrr, none);
    let service = said.service.expect("found");
    assert_eq!(
        (service.key, service.scheduler),
        (tcp(VIP), Some(Scheduler::Wrr))
    );
    let rotation = Choice::Rotation {
        picks: 0,
        slots: 3,
        passed_over: 0,
    };
    assert_eq!(said.choice, Some(rotation));
    assert_eq!(said.makes, [Made::Connection]);
    let server = said.server.expect("chosen");
    assert_eq!((server.key, server.port), (server_key("10.0.0.3:80"), 80));
    assert_eq!(server.forwarding, Some(Forwarding::Direct));
    let ttl = said
        .changes
        .iter()
        .find(|it| it.field == "TTL")
        .expect("less by one");
    assert_eq!((ttl.before.as_str(), ttl.after.as_str()), ("64", "63"));

    let Some(Choice::Compared { servers }) = explained(Scheduler::Wlc, none).choice else {
        panic!("wlc compares");
    };
    let compared: Vec<_> = servers
        .iter()
        .map(|it| (it.key.to_string(), it.weight, it.chosen))
        .collect();
    assert_eq!(
        compared,
        [
            ("10.0.0.3:80".to_owned(), 2, true),
            ("10.0.0.2:80".to_owned(), 1, false)
        ]
    );
    let Some(Choice::Hashed {
        slots,
        tried,
        owner,
        ..
    }) = explained(Scheduler::Sh, none).choice
    else {
        panic!("sh goes by a hash");
    };
    assert_eq!((slots, tried), (256, 0));
    assert!(owner.expect("a full table").chosen);
    let Some(Choice::Drawn { servers }) = explained(Scheduler::Twos, none).choice else {
        panic!("twos draws");
    };
    assert_eq!(servers.len(), 2);
    let Some(Choice::Remembered {
        remembered,
        servers,
        given_up,
        ..
    }) = explained(Scheduler::Lblc, none).choice
    else {
        panic!("lblc remembers");
    };
    assert_eq!((remembered.len(), servers.len(), given_up), (0, 2, false));
}

#[test]
fn an_association_is_explained_as_it_then_begins() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut explainer = asking(&dataplane);
    let (vip4, vip6) = ("192.0.2.1:2905", "[2001:db8::1]:2905");
    for (forwarding, port) in [
        (Forwarding::Nat, 4000),
        (Forwarding::Direct, 4001),
        (Forwarding::Tunnel, 4002),
    ] {
        // NAT translates the port, which SCTP's checksum covers.
        let wanted = table(
            forwarding,
            &[
                (
                    sctp(vip4),
                    Scheduler::Rr,
                    &[("10.0.0.2:3905", 1), ("10.0.0.3:3905", 1)],
                ),
                (sctp(vip6), Scheduler::Wlc, &[("[fd00::2]:3905", 1)]),
            ],
        );
        apply(&mut dataplane, &wanted);
        for (client, vip) in [("198.51.100.7", vip4), ("[2001:db8:c::7]", vip6)] {
            let init = question(Protocol::Sctp, &format!("{client}:{port}"), vip, 0);
            let said = ask_and_send(&dataplane, &mut explainer, &init);
            assert_eq!(said.fate, Fate::Forwarded, "{said:#?}");
            assert_eq!(said.service.expect("found").key, sctp(vip));
            assert_eq!(
                (said.connection, said.makes),
                (None, vec![Made::Connection])
            );
            let server = said.server.expect("chosen").key;
            // The same packet again belongs to what the first one began.
            let said = ask_and_send(&dataplane, &mut explainer, &init);
            let connection = said.connection.expect("there is one");
            assert_eq!(connection.state, "INIT1");
            assert_eq!((said.choice, said.makes), (None, Vec::new()));
            assert_eq!(said.server.expect("its own").key, server);
        }
        let nobody = question(Protocol::Sctp, "198.51.100.7:4000", "192.0.2.1:2906", 0);
        let said = ask_and_send(&dataplane, &mut explainer, &nobody);
        assert_eq!(said.fate, Fate::Passed, "{said:#?}");
    }
    let all: Vec<_> = dataplane.connections().expect("list").collect();
    assert_eq!(all.len(), 6, "{all:?}");
    assert!(all.iter().all(|it| it.protocol == 132), "{all:?}");
}

#[test]
fn connections_templates_and_their_ends_are_told() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut wanted = table(
        Forwarding::Nat,
        &[(
            tcp(VIP),
            Scheduler::Rr,
            &[("10.0.0.2:8080", 1), ("10.0.0.3:8080", 1)],
        )],
    );
    apply(&mut dataplane, &wanted);
    let mut explainer = asking(&dataplane);
    let opens = question(Protocol::Tcp, "198.51.100.7:4000", VIP, SYN);
    let said = ask_and_send(&dataplane, &mut explainer, &opens);
    assert_eq!((said.connection, said.template), (None, None));
    let port = said
        .changes
        .iter()
        .find(|it| it.field == "destination port");
    assert_eq!(port.expect("rewritten").after, "8080");
    let goes_on = Question {
        tcp_flags: ACK,
        ..opens.clone()
    };
    let said = ask_and_send(&dataplane, &mut explainer, &goes_on);
    let connection = said.connection.expect("there is one");
    assert_eq!(connection.state, "SYN_RECV");
    assert_eq!(
        (said.choice, said.service, said.makes),
        (None, None, vec![])
    );
    assert_eq!(said.server.expect("its server").port, 8080);
    // A reset closes it; then a SYN of the same ports begins anew.
    for flags in [0x04, SYN] {
        let said = ask_and_send(
            &dataplane,
            &mut explainer,
            &Question {
                tcp_flags: flags,
                ..opens.clone()
            },
        );
        let is_anew = flags == SYN;
        assert_eq!(said.over, is_anew.then_some(Over::Reopened));
        assert_eq!(said.choice.is_some(), is_anew);
    }
    let mut service = wanted.remove(&tcp(VIP)).expect("the service");
    service.persistence = Some(Persistence {
        timeout: 300,
        netmask: Netmask::host(Family::V4),
    });
    wanted.insert(tcp(VIP), service).expect("legal");
    apply(&mut dataplane, &wanted);
    let client = |port: u16| question(Protocol::Tcp, &format!("198.51.100.9:{port}"), VIP, SYN);
    let said = ask_and_send(&dataplane, &mut explainer, &client(1));
    assert_eq!(said.makes, [Made::Connection, Made::Template]);
    let first = said.server.expect("chosen").key;
    let said = ask_and_send(&dataplane, &mut explainer, &client(2));
    assert!(said.template.expect("it has one by now").template);
    assert_eq!((said.choice, said.makes), (None, vec![Made::Connection]));
    assert_eq!(said.server.expect("the same").key, first);
}
