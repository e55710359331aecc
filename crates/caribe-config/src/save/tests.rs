//! Tables changed by hand, and the files that come of them.

use std::num::{NonZeroU16, NonZeroU32};

use caribe_model::{
    Encapsulation, Family, Forwarding, GueChecksum, MssClamp, Netmask, Persistence, Protocol,
    Scheduler, SchedulerFlags, SchedulerOptions, Server, ServerKey, Service, Thresholds,
};
use proptest::prelude::*;

use super::*;
use crate::FixedResolver;

const FILE: &str = "\
# The shop.
serial_no = 3   # by hand
network = direct

mark web {
    active = 1
    mark = 7
    address = 192.0.2.90
}

virtual shop {
    active = 1
    address = 192.0.2.80 eth0:1
    vip_nmask = 255.255.255.0
    port = 80
    scheduler = wrr     # weights by memory
    # The old machine.
    server old {
        address = 192.0.2.101
        active = 1
        weight = 1      # it is slow
    }
    server new {
        address = 192.0.2.102
        active = 1
        weight = 3
    }
    server spare {
        address = 192.0.2.103
        active = 0
        weight = 9
    }
}
# Not yet.
virtual tls {
    active = 0
    address = 192.0.2.80 eth0:1
    port = 443
    server a {
        address = 192.0.2.101
        active = 1
    }
}";

fn key(protocol: Protocol, vip: &str, port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol,
        address: vip.parse().expect("an address"),
        port,
    }
}

fn shop() -> ServiceKey {
    key(Protocol::Tcp, "192.0.2.80", 80)
}

fn server(address: &str, port: u16, weight: u32) -> Server {
    Server {
        key: ServerKey {
            address: address.parse().expect("an address"),
            port,
        },
        forwarding: Forwarding::Direct,
        weight,
        encapsulation: Encapsulation::Ipip,
        thresholds: Thresholds::NONE,
    }
}

fn service(servers: Vec<Server>) -> Service {
    Service {
        scheduler: Scheduler::Wlc,
        options: SchedulerOptions::IPVS,
        persistence: None,
        one_packet: false,
        policy: Default::default(),
        servers,
    }
}

/// The table that a text asks for.
fn table(text: &str) -> Table {
    let parsed = parse(
        &Source::new("lvs.cf", text),
        Mode::Lenient,
        &FixedResolver::default(),
    );
    let config = parsed.config.expect("no errors");
    let mut table = Table::default();
    for service in config.services.iter().filter(|service| service.active) {
        table
            .insert(service.key(), service.service())
            .expect("legal");
    }
    table
}

fn saved(text: &str, wanted: &Table) -> String {
    let saved = save(
        &Source::new("lvs.cf", text),
        wanted,
        Some("eth0"),
        &FixedResolver::default(),
    );
    let saved = saved.expect("it can be saved");
    assert_eq!(saved.unsaved, []);
    String::from_utf8(saved.text).expect("text")
}

/// The table with a service changed.
fn changed(mut table: Table, key: ServiceKey, change: impl FnOnce(&mut Service)) -> Table {
    let mut service = table.remove(&key).expect("it is there");
    change(&mut service);
    table.insert(key, service).expect("legal");
    table
}

#[test]
fn an_unchanged_table_gives_the_file_byte_for_byte() {
    assert_eq!(saved(FILE, &table(FILE)), FILE);
}

#[test]
fn a_weight_is_changed_where_it_stands() {
    let wanted = changed(table(FILE), shop(), |service| service.servers[0].weight = 5);
    let expected = FILE.replace(
        "weight = 1      # it is slow",
        "weight = 5      # it is slow",
    );
    assert_eq!(saved(FILE, &wanted), expected);
}

#[test]
fn a_server_that_is_gone_is_made_inactive_and_comes_back() {
    let wanted = changed(table(FILE), shop(), |service| {
        service.servers.remove(1);
    });
    let without = FILE.replace(
        "192.0.2.102\n        active = 1",
        "192.0.2.102\n        active = 0",
    );
    assert_eq!(saved(FILE, &wanted), without);
    assert_eq!(saved(&without, &table(FILE)), FILE);
}

#[test]
fn a_new_server_takes_the_block_that_waits_for_it_or_a_new_one() {
    let wanted = changed(table(FILE), shop(), |service| {
        service.servers.push(server("192.0.2.103", 80, 9));
        service.servers.push(server("192.0.2.104", 80, 2));
    });
    let expected = FILE
        .replace(
            "192.0.2.103\n        active = 0",
            "192.0.2.103\n        active = 1",
        )
        .replace(
            "        weight = 9\n    }\n",
            "        weight = 9\n    }\n    server server_192.0.2.104 {\n        \
             address = 192.0.2.104\n        active = 1\n        weight = 2\n    }\n",
        );
    assert_eq!(saved(FILE, &wanted), expected);
}

#[test]
fn services_come_and_go() {
    let mut wanted = Table::default();
    let tls = key(Protocol::Tcp, "192.0.2.80", 443);
    let inactive = table(&FILE.replace(
        "active = 0\n    address = 192.0.2.80",
        "active = 1\n    address = 192.0.2.80",
    ));
    let service_of_tls = inactive.service(&tls).expect("activated").clone();
    wanted.insert(tls, service_of_tls).expect("legal");
    let mark = ServiceKey::Mark {
        family: Family::V4,
        mark: NonZeroU32::new(7).expect("not 0"),
    };
    wanted
        .insert(mark, service(vec![server("192.0.2.101", 0, 1)]))
        .expect("legal");
    let dns = key(Protocol::Udp, "2001:db8::53", 53);
    wanted
        .insert(dns, service(vec![server("2001:db8::101", 53, 1)]))
        .expect("legal");
    let text = saved(FILE, &wanted);
    let expected = FILE
        .replace(
            "virtual shop {\n    active = 1",
            "virtual shop {\n    active = 0",
        )
        .replace(
            "virtual tls {\n    active = 0",
            "virtual tls {\n    active = 1",
        );
    let added = "
virtual udp_2001:db8::53_53 {
     active = 1
     address = 2001:db8::53 eth0
     port = 53
     protocol = udp
     server server_2001:db8::101 {
         address = 2001:db8::101
         active = 1
         weight = 1
     }
}
virtual mark_7 {
     active = 1
     address = 192.0.2.90 eth0
     fwmark = 7
     port = 0
     server server_192.0.2.101 {
         address = 192.0.2.101
         active = 1
         weight = 1
     }
}
";
    assert_eq!(text, expected + added);
    assert_eq!(saved(&text, &wanted), text);
}

#[test]
fn a_whole_service_can_be_said() {
    let everything = Service {
        scheduler: Scheduler::Mh,
        options: SchedulerOptions {
            flags: SchedulerFlags::FALLBACK,
            ..SchedulerOptions::IPVS
        },
        persistence: Some(Persistence {
            timeout: 300,
            netmask: Netmask::V4([255, 255, 255, 0].into()),
        }),
        policy: caribe_model::Policy {
            expire_nodest_conn: true,
            secure_tcp: true,
            mss_clamp: MssClamp::Auto,
            ..Default::default()
        },
        servers: vec![
            Server {
                forwarding: Forwarding::Tunnel,
                encapsulation: Encapsulation::Gue {
                    port: NonZeroU16::new(6080).expect("not 0"),
                    checksum: GueChecksum::Remote,
                },
                thresholds: Thresholds::new(9, 3).expect("not crossed"),
                ..server("192.0.2.101", 80, 0)
            },
            Server {
                forwarding: Forwarding::Nat,
                ..server("192.0.2.102", 8080, 7)
            },
        ],
        ..service(Vec::new())
    };
    let mut wanted = table(FILE);
    let before = wanted.clone();
    wanted.remove(&shop());
    wanted.insert(shop(), everything).expect("legal");
    let text = saved(FILE, &wanted);
    assert!(
        text.contains("scheduler = mh     # weights by memory\n"),
        "{text}"
    );
    // And back again: persistence, flags and tunnels go.
    let back = saved(&text, &before);
    assert_eq!(table(&back), before);
    assert!(back.contains("server old {"), "{back}");
}

#[test]
fn what_lvs_cf_cannot_say_is_named_and_the_rest_is_saved() {
    let mut wanted = changed(table(FILE), shop(), |service| service.servers[0].weight = 5);
    let mark = ServiceKey::Mark {
        family: Family::V4,
        mark: NonZeroU32::new(9).expect("not 0"),
    };
    wanted.insert(mark, service(Vec::new())).expect("legal");
    let odd = key(Protocol::Tcp, "192.0.2.81", 80);
    let persistence = Persistence {
        timeout: 60,
        netmask: Netmask::V4([255, 0, 255, 0].into()),
    };
    let odd_service = Service {
        persistence: Some(persistence),
        ..service(Vec::new())
    };
    wanted.insert(odd, odd_service).expect("legal");
    let homeless = key(Protocol::Tcp, "192.0.2.82", 80);
    wanted.insert(homeless, service(Vec::new())).expect("legal");
    let source = Source::new("lvs.cf", FILE);
    let saved = save(&source, &wanted, None, &FixedResolver::default()).expect("in part");
    let left_out: Vec<ServiceKey> = saved
        .unsaved
        .iter()
        .map(|unsaved| unsaved.service)
        .collect();
    assert_eq!(left_out, [odd, homeless, mark]);
    assert!(
        saved
            .unsaved
            .iter()
            .all(|unsaved| !unsaved.reason.is_empty())
    );
    let text = String::from_utf8(saved.text).expect("text");
    assert_eq!(text, FILE.replace("weight = 1 ", "weight = 5 "));
}

#[test]
fn a_broken_file_and_an_impossible_table_are_refused() {
    let source = Source::new("lvs.cf", "virtual a {\n");
    let resolver = FixedResolver::default();
    assert_eq!(
        save(&source, &Table::default(), None, &resolver),
        Err(SaveError::Broken {
            file: "lvs.cf".to_owned()
        })
    );
    // Its own VIP as a server: lvs.cf refuses that.
    let wanted = changed(table(FILE), shop(), |service| {
        service.servers.push(server("192.0.2.80", 80, 1));
    });
    let refused = save(&Source::new("lvs.cf", FILE), &wanted, None, &resolver);
    assert!(
        matches!(refused, Err(SaveError::Refused { .. })),
        "{refused:?}"
    );
}

/// Services that share a mark are one in the table.
#[test]
fn blocks_that_share_a_mark_are_one_service() {
    let block = |name: &str, host: u8| {
        format!(
            "virtual {name} {{\nactive = 1\naddress = 192.0.2.80 eth0:1\nfwmark = 7\n\
             server s {{\nactive = 1\naddress = 192.0.2.{host}\n}}\n}}\n"
        )
    };
    let text = format!("network = direct\n{}{}", block("a", 101), block("b", 102));
    let mark = ServiceKey::Mark {
        family: Family::V4,
        mark: NonZeroU32::new(7).expect("not 0"),
    };
    let mut wanted = Table::default();
    let both = vec![server("192.0.2.101", 80, 1), server("192.0.2.102", 80, 4)];
    wanted.insert(mark, service(both)).expect("legal");
    let expected = text.replace("192.0.2.102\n", "192.0.2.102\nweight = 4\n");
    assert_eq!(saved(&text, &wanted), expected);
}

fn any_server(port: u16) -> impl Strategy<Value = Server> {
    let encapsulation = prop_oneof![
        Just(Encapsulation::Ipip),
        Just(Encapsulation::Gre { checksum: true }),
        Just(Encapsulation::Gre { checksum: false }),
        Just(Encapsulation::Gue {
            port: NonZeroU16::MAX,
            checksum: GueChecksum::Full,
        }),
    ];
    let method = prop_oneof![
        Just(Forwarding::Nat),
        Just(Forwarding::Direct),
        Just(Forwarding::Tunnel)
    ];
    (
        101..112_u8,
        method,
        encapsulation,
        0..4_u32,
        0..9_u32,
        0..9_u32,
    )
        .prop_map(
            move |(host, forwarding, encapsulation, weight, one, other)| Server {
                forwarding,
                encapsulation: match forwarding {
                    Forwarding::Tunnel => encapsulation,
                    _ => Encapsulation::Ipip,
                },
                weight,
                thresholds: Thresholds::new(one.max(other), one.min(other)).expect("in order"),
                ..server(&format!("192.0.2.{host}"), port, 1)
            },
        )
}

fn any_service(port: u16) -> impl Strategy<Value = Service> {
    let scheduler = prop::sample::select(&Scheduler::ALL[..]);
    let persistence = prop_oneof![
        Just(None),
        (1..1000_u32, 1..=32_u32).prop_map(|(timeout, length)| {
            Some(Persistence {
                timeout,
                netmask: Netmask::V4((u32::MAX << (32 - length)).into()),
            })
        })
    ];
    let servers = prop::collection::vec(any_server(port), 0..5);
    (
        scheduler,
        any::<bool>(),
        persistence,
        any::<[bool; 3]>(),
        servers,
    )
        .prop_map(|(scheduler, flag, persistence, policy, mut servers)| {
            servers.sort_by_key(|server| server.key);
            servers.dedup_by_key(|server| server.key);
            let flags = SchedulerFlags::of(scheduler).first().filter(|_| flag);
            Service {
                scheduler,
                options: SchedulerOptions {
                    flags: flags.map(|(_, flag)| *flag).unwrap_or_default(),
                    ..SchedulerOptions::IPVS
                },
                persistence,
                policy: caribe_model::Policy {
                    expire_nodest_conn: policy[0],
                    secure_tcp: policy[1],
                    pmtu_disc: policy[2],
                    ..Default::default()
                },
                ..service(servers)
            }
        })
}

fn any_table() -> impl Strategy<Value = Table> {
    let ports = [80, 443, 8080];
    let services = ports.map(|port| prop::option::of(any_service(port)));
    services.prop_map(move |services| {
        let mut table = Table::default();
        for (port, service) in ports.into_iter().zip(services) {
            if let Some(service) = service {
                let key = key(Protocol::Tcp, "192.0.2.80", port);
                table.insert(key, service).expect("legal");
            }
        }
        table
    })
}

fn sorted(table: &Table) -> Vec<(ServiceKey, Service)> {
    let services = table.services().map(|(key, service)| {
        let mut service = service.clone();
        service.servers.sort_by_key(|server| server.key);
        (*key, service)
    });
    services.collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// From any table to any other and back: the file follows, and saving twice changes nothing.
    #[test]
    fn the_file_means_what_the_table_holds(first in any_table(), second in any_table()) {
        let text = saved(FILE, &first);
        prop_assert_eq!(sorted(&table(&text)), sorted(&first));
        prop_assert_eq!(&saved(&text, &first), &text);
        let text = saved(&text, &second);
        prop_assert_eq!(sorted(&table(&text)), sorted(&second));
        prop_assert!(text.contains("# The shop.") && text.contains("# it is slow"));
    }
}
