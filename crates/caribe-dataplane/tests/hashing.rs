//! dh, sh and mh through the real program: the vectors of the kernel's own code, by real packets.
//! Thresholds are not there yet: where a vector has an overloaded server, it is quiesced here.

mod support;

use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_model::{
    Forwarding, Protocol, Scheduler, SchedulerFlags, SchedulerOptions, Server, Service, Table,
    TableSize,
};
use support::{Private, SYN, apply, frame, send, server_key, snapshot, tcp};

const VIP: &str = "10.0.0.1:80";
const FALLBACK: SchedulerFlags = SchedulerFlags::FALLBACK;
const PORT: SchedulerFlags = SchedulerFlags::PORT;

/// A table with one service; servers are listed newest first, by the last byte of 10.1.0.0/24.
fn table(
    vip: &str,
    scheduler: Scheduler,
    flags: SchedulerFlags,
    newest_first: &[(u8, u32)],
) -> Table {
    let options = SchedulerOptions {
        flags,
        ..SchedulerOptions::IPVS
    };
    sized(vip, scheduler, options, newest_first)
}

fn sized(
    vip: &str,
    scheduler: Scheduler,
    options: SchedulerOptions,
    newest_first: &[(u8, u32)],
) -> Table {
    let network = if vip.starts_with('[') {
        "[fd01::"
    } else {
        "10.1.0."
    };
    let servers = newest_first.iter().rev().map(|(last, weight)| Server {
        key: if network.starts_with('[') {
            server_key(&format!("{network}{last:x}]:80"))
        } else {
            server_key(&format!("{network}{last}:80"))
        },
        forwarding: Forwarding::Direct,
        weight: *weight,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    });
    let service = Service {
        scheduler,
        options,
        servers: servers.collect(),
        one_packet: false,
        persistence: None,
        policy: Default::default(),
    };
    let mut table = Table::default();
    table.insert(tcp(vip), service).expect("a legal table");
    table
}

/// The last byte of the server that a client's new connection goes to.
fn pick(dataplane: &XdpDataplane, client: &str, port: u16) -> Option<u8> {
    pick_of(dataplane, VIP, &format!("{client}:{port}"))
}

fn pick_of(dataplane: &XdpDataplane, vip: &str, client: &str) -> Option<u8> {
    send(dataplane, &frame(Protocol::Tcp, client, vip, SYN))
}

const CLIENTS: [&str; 4] = ["192.168.1.5", "192.168.1.6", "10.0.0.1", "203.0.113.7"];

/// Every change of the table gets a port of its own, because a connection stays with its server.
fn picks<const N: usize>(
    dataplane: &XdpDataplane,
    clients: [&str; N],
    port: u16,
) -> [Option<u8>; N] {
    clients.map(|client| pick(dataplane, client, port))
}

#[test]
fn case_76_77_78_sh() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let none = SchedulerFlags::default();
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, none, &[(3, 1), (2, 1), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, CLIENTS, 1000), [2, 1, 3, 2].map(Some));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, none, &[(3, 1), (2, 0), (1, 1)]),
    );
    assert_eq!(
        picks(&dataplane, CLIENTS, 1001),
        [None, Some(1), Some(3), None]
    );
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, FALLBACK, &[(3, 1), (2, 0), (1, 1)]),
    );
    assert_eq!(pick(&dataplane, CLIENTS[0], 1002), Some(1));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, FALLBACK, &[(3, 0), (2, 0), (1, 0)]),
    );
    assert_eq!(picks(&dataplane, CLIENTS, 1003), [None; 4]);
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, PORT, &[(3, 1), (2, 1), (1, 1)]),
    );
    let ports = [50_000, 50_001, 50_002].map(|port| pick(&dataplane, CLIENTS[0], port));
    assert_eq!(ports, [1, 2, 1].map(Some));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, none, &[(3, 3), (2, 2), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, CLIENTS, 1004), [2, 1, 2, 2].map(Some));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Sh, none, &[(3, 0), (2, 1)]),
    );
    assert_eq!(pick(&dataplane, CLIENTS[0], 1005), None);
}

#[test]
fn case_79_80_mh() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let none = SchedulerFlags::default();
    let clients = ["192.168.1.5", "192.168.1.6", "203.0.113.7"];
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Mh, none, &[(3, 1), (2, 1), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, clients, 1000), [2, 1, 1].map(Some));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Mh, PORT, &[(3, 1), (2, 1), (1, 1)]),
    );
    let ports = [50_000, 50_001, 50_002].map(|port| pick(&dataplane, clients[0], port));
    assert_eq!(ports, [1, 2, 3].map(Some));
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Mh, none, &[(3, 1), (2, 0), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, clients, 1001), [None, Some(1), Some(1)]);
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Mh, FALLBACK, &[(3, 1), (2, 0), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, clients, 1002), [3, 1, 1].map(Some));
}

/// A director that takes over knows flags, size and the last weight of a quiesced server.
#[test]
fn mh_is_adopted_with_all_that_it_goes_by() {
    let private = Private::enter();
    let options = SchedulerOptions {
        flags: FALLBACK,
        table_size: TableSize::try_from(8191).expect("a size"),
    };
    let wanted = |weight| sized(VIP, Scheduler::Mh, options, &[(3, 1), (2, weight), (1, 1)]);
    let open = || {
        let options = Options {
            slots: 40_000,
            ..private.options()
        };
        XdpDataplane::open(&options).expect("open the data plane")
    };
    let mut dataplane = open();
    apply(&mut dataplane, &wanted(5));
    apply(&mut dataplane, &wanted(0));
    let before: Vec<_> = (0..100)
        .map(|last| pick(&dataplane, &format!("10.9.9.{last}"), 1000))
        .collect();
    assert!(
        !before.contains(&Some(2)) && !before.contains(&None),
        "{before:?}"
    );
    drop(dataplane);
    let mut dataplane = open();
    assert_eq!(snapshot(&dataplane).services[0].options, options);
    assert_eq!(dataplane.apply(&wanted(0)).expect("apply").changes, 0);
    // Another server's weight is edited: the quiesced one still has the share of weight 5.
    apply(
        &mut dataplane,
        &sized(VIP, Scheduler::Mh, options, &[(3, 2), (2, 0), (1, 2)]),
    );
    apply(
        &mut dataplane,
        &sized(VIP, Scheduler::Mh, options, &[(3, 1), (2, 0), (1, 1)]),
    );
    let after: Vec<_> = (0..100)
        .map(|last| pick(&dataplane, &format!("10.9.9.{last}"), 1001))
        .collect();
    assert_eq!(before, after);
}

#[test]
fn case_81_dh() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let none = SchedulerFlags::default();
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Dh, none, &[(3, 1), (2, 1), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, CLIENTS, 1000), [Some(3); 4]);
    apply(
        &mut dataplane,
        &table(VIP, Scheduler::Dh, none, &[(3, 0), (2, 1), (1, 1)]),
    );
    assert_eq!(picks(&dataplane, CLIENTS, 1001), [None; 4]);
}

/// IPv6 clients are folded to one word: 2001:db8::1 falls into bucket 63, which with two servers
/// is the second one's.
#[test]
fn ipv6_clients() {
    const VIP6: &str = "[2001:db8::80]:80";
    let private = Private::enter();
    let mut dataplane = private.open();
    let none = SchedulerFlags::default();
    apply(
        &mut dataplane,
        &table(VIP6, Scheduler::Sh, none, &[(3, 1), (2, 1)]),
    );
    assert_eq!(pick_of(&dataplane, VIP6, "[2001:db8::1]:1000"), Some(2));
    // Swapped words fold to the same.
    assert_eq!(pick_of(&dataplane, VIP6, "[0:1:2001:db8::]:1000"), Some(2));
    assert_eq!(
        pick_of(&dataplane, VIP6, "[2001:db9::1]:1000"),
        pick_of(&dataplane, VIP6, "[2001:db8::1:0:1]:1000")
    );
}

/// With one server in fifty left, hardly a client goes without: the packet path tries 512 slots.
#[test]
fn mhs_fallback_reaches_the_last_server() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&Options {
        slots: 40_000,
        ..private.options()
    })
    .expect("open");
    let all: Vec<(u8, u32)> = (1..=50).map(|server| (server, 1)).collect();
    apply(&mut dataplane, &table(VIP, Scheduler::Mh, FALLBACK, &all));
    let last: Vec<(u8, u32)> = (1..=50)
        .map(|server| (server, u32::from(server == 7)))
        .collect();
    apply(&mut dataplane, &table(VIP, Scheduler::Mh, FALLBACK, &last));
    for client in 0..400 {
        let address = format!("10.8.{}.{}", client / 200, client % 200);
        assert_eq!(pick(&dataplane, &address, 1000), Some(7), "{address}");
    }
}
