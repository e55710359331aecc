//! The sizes that Caribe promises, on the real kernel: ten million connections, ten thousand
//! services, a hundred thousand real servers. `cargo xtask bench limits` fills such a table to
//! the brim; here enough connections are made that every part of it holds some.

mod support;

use std::net::Ipv4Addr;
use std::time::Duration;

use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane as _, Snapshot};
use caribe_model::{
    Forwarding, Protocol, Scheduler, SchedulerOptions, Server, ServerKey, Service, ServiceKey,
    Table,
};
use nix::time::{ClockId, clock_gettime};
use support::*;

const CONNECTIONS: u32 = 10_000_000;
const SERVICES: u16 = 10_000;
const SERVERS: u16 = 10;
const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// One for each service, and ten.
const MADE: u32 = 100_000;

/// Processor time; many times what it takes, as this is a debug build.
const LONGEST_SWEEP: Duration = Duration::from_secs(10);
const LONGEST_PAGE: Duration = Duration::from_secs(1);
const LONGEST_CHANGE: Duration = Duration::from_secs(2);

fn large(private: &Private) -> Options {
    let servers = u32::from(SERVICES) * u32::from(SERVERS);
    Options {
        connections: CONNECTIONS,
        services: u32::from(SERVICES),
        servers,
        slots: Options::slots_for(u32::from(SERVICES), servers),
        ..private.options()
    }
}

/// The service at a port, with servers of its own; the first of them has this weight.
fn service(port: u16, weight: u32) -> (ServiceKey, Service) {
    let key = ServiceKey::Address {
        protocol: Protocol::Udp,
        address: VIP.into(),
        port,
    };
    let servers = (1..=SERVERS).map(|number| Server {
        key: ServerKey {
            address: Ipv4Addr::new(10, 0, 0, number as u8).into(),
            port,
        },
        forwarding: Forwarding::Direct,
        weight: if number == 1 { weight } else { 1 },
        encapsulation: Default::default(),
        thresholds: Default::default(),
    });
    let service = Service {
        scheduler: Scheduler::Wlc,
        options: SchedulerOptions::IPVS,
        servers: servers.collect(),
        one_packet: false,
        persistence: None,
        policy: Default::default(),
    };
    (key, service)
}

fn servers(snapshot: &Snapshot) -> usize {
    let services = snapshot.services.iter();
    services.map(|service| service.servers.len()).sum()
}

#[test]
fn ten_million_connections_ten_thousand_services_a_hundred_thousand_servers() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&large(&private)).expect("room for all");
    let mut table = Table::default();
    for port in 1..=SERVICES {
        let (key, service) = service(port, 1);
        table.insert(key, service).expect("a legal table");
    }
    for number in 1..=SERVERS {
        let address = Ipv4Addr::new(10, 0, 0, number as u8).into();
        let set = dataplane.set_next_hop(address, Some(hop(address)));
        set.expect("set the next hop");
    }
    dataplane.apply(&table).expect("apply the table");

    // Each service gets as many packets as it has servers, so wlc gives each server one.
    let mut frame = frame(Protocol::Udp, "198.51.100.7:1000", "192.0.2.1:1", 0);
    for client in 0..MADE {
        let port = (client % u32::from(SERVICES)) as u16 + 1;
        // The last three bytes of the client's address, and the service's port.
        frame[14 + 13..14 + 16].copy_from_slice(&client.to_be_bytes()[1..]);
        frame[14 + 22..14 + 24].copy_from_slice(&port.to_be_bytes());
        assert!(send(&dataplane, &frame).is_some(), "client {client}");
    }
    let begin = used();
    let swept = dataplane.sweep().expect("a sweep");
    let sweep = used() - begin;
    assert_eq!((swept.alive, swept.removed), (u64::from(MADE), 0));

    let seen = snapshot(&dataplane);
    assert!(
        seen.capacity >= 2 * u64::from(CONNECTIONS),
        "{}",
        seen.capacity
    );
    assert_eq!(seen.services.len(), usize::from(SERVICES));
    assert_eq!(servers(&seen), usize::from(SERVICES) * usize::from(SERVERS));
    let all = seen.services.iter().flat_map(|service| &service.servers);
    for server in all {
        assert_eq!((server.active, server.inactive), (0, 1), "{}", server.key);
    }

    let (mut listed, mut longest, mut place) = (0, Duration::ZERO, Some(0));
    while let Some(from) = place {
        let begin = used();
        let mut page = 0;
        place = dataplane
            .connections_from(from, &mut |_| {
                page += 1;
                page < 1000
            })
            .expect("a page");
        longest = longest.max(used() - begin);
        listed += page;
    }
    assert_eq!(listed, MADE, "each is listed once");

    let (key, changed) = service(5000, 7);
    table.remove(&key).expect("it is there");
    table.insert(key, changed).expect("a legal table");
    let begin = used();
    let applied = dataplane.apply(&table).expect("apply the change");
    let change = used() - begin;
    assert_eq!(applied.changes, 1);

    println!("whole {:?}", used());
    println!("sweep {sweep:?}, longest page {longest:?}, change {change:?}");
    assert!(sweep < LONGEST_SWEEP, "a sweep took {sweep:?}");
    assert!(longest < LONGEST_PAGE, "a page took {longest:?}");
    assert!(change < LONGEST_CHANGE, "a change took {change:?}");
}

#[test]
fn a_table_that_the_machine_has_no_memory_for_is_refused_before_it_is_made() {
    let private = Private::enter();
    let memory = std::fs::read_to_string("/proc/meminfo").expect("the kernel's account");
    let total = memory.split_whitespace().nth(1).expect("MemTotal");
    let total: u64 = total.parse().expect("a number of KiB");
    // A connection of each family takes 351 bytes: this is more than the machine has, and on the
    // largest of machines it is one connection more than a table may have.
    let connections = (total * 1024 / 300).min((1 << 28) + 1);
    let options = Options {
        connections: u32::try_from(connections).expect("fits"),
        ..private.options()
    };
    let refused = XdpDataplane::open(&options).expect_err("no room");
    let refused = refused.to_string();
    assert!(refused.contains("connections"), "{refused}");
    let maps = std::fs::read_dir(private.layout()).expect("its directory");
    let maps: Vec<_> = maps
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| !path.is_dir())
        .collect();
    assert!(maps.is_empty(), "pinned all the same: {maps:?}");
}

/// Time that this thread has had on a processor: how busy the machine is does not matter.
fn used() -> Duration {
    let time = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("the kernel counts");
    Duration::from(time)
}
