//! Changes of the table under packets, on the real kernel.

mod support;

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use aya::maps::{HashMap, Map, MapData};
use aya::programs::{TestRun as _, TestRunOptions, Xdp};
use aya_obj::programs::XdpAttachType;
use caribe_dataplane::{Applied, Dataplane as _};
use caribe_model::{Forwarding, Protocol, Scheduler};
use support::*;

const VIP: &str = "192.0.2.1:80";
const DIRECT: Forwarding = Forwarding::Direct;

fn picks(dataplane: &caribe_dataplane::xdp::XdpDataplane, ports: std::ops::Range<u16>) -> Vec<u8> {
    ports
        .map(|port| syn(dataplane, port, VIP).expect("forwarded"))
        .collect()
}

#[test]
fn wrr_picks_as_ipvs_does_through_edits() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let [a, b, c] = ["10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
    let service = |servers: &[(&str, u32)]| table(DIRECT, &[(tcp(VIP), Scheduler::Wrr, servers)]);
    apply(&mut dataplane, &service(&[(a, 3), (b, 2), (c, 1)]));
    assert_eq!(picks(&dataplane, 1001..1008), [4, 3, 2, 2, 3, 2, 4]);
    // Now inside the walk at weight 1. An edit starts the list over: 4 comes again.
    apply(&mut dataplane, &service(&[(a, 3), (b, 2), (c, 2)]));
    assert_eq!(picks(&dataplane, 1010..1017), [4, 3, 2, 2, 4, 3, 2]);
    // In the walk at weight 2. All weights even: the walk is taken back to 2 / 2 * 2 + 1 = 3,
    // which is all of the new round (highest weight 4, less the divisor, plus 1).
    apply(&mut dataplane, &service(&[(a, 4), (b, 2), (c, 2)]));
    assert_eq!(picks(&dataplane, 1020..1025), [2, 4, 3, 2, 2]);
    // A removed server is not picked again.
    apply(&mut dataplane, &service(&[(a, 1), (b, 1)]));
    assert_eq!(picks(&dataplane, 1030..1034), [3, 2, 3, 2]);
    dataplane.remove().expect("remove");
}

#[test]
fn every_scheduler_picks_in_its_order() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let servers = [("10.0.0.2:80", 3), ("10.0.0.3:80", 1), ("10.0.0.4:80", 1)];
    let mut ports = 1;
    for (scheduler, expected) in [
        (Scheduler::Rr, [4, 3, 2, 4, 3]),
        (Scheduler::Wlc, [4, 3, 2, 2, 2]),
        (Scheduler::Lc, [4, 3, 2, 4, 3]),
    ] {
        // A VIP for each, so that none inherits connections.
        let vip = format!("192.0.2.{}:80", 10 + ports);
        apply(
            &mut dataplane,
            &table(DIRECT, &[(tcp(&vip), scheduler, &servers)]),
        );
        let picks: Vec<_> = (ports..ports + 5)
            .map(|port| syn(&dataplane, port, &vip))
            .collect();
        assert_eq!(picks, expected.map(Some), "{scheduler}");
        ports += 5;
    }
    dataplane.remove().expect("remove");
}

#[test]
fn a_quiesced_server_keeps_its_connections_and_gets_no_new_ones() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let [a, b] = ["10.0.0.2:80", "10.0.0.3:80"];
    apply(
        &mut dataplane,
        &table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[(a, 1), (b, 1)])]),
    );
    assert_eq!(picks(&dataplane, 1..3), [3, 2]);
    apply(
        &mut dataplane,
        &table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[(a, 1), (b, 0)])]),
    );
    assert_eq!(picks(&dataplane, 3..6), [2, 2, 2]);
    let packet = frame(Protocol::Tcp, "198.51.100.7:1", VIP, ACK);
    assert_eq!(send(&dataplane, &packet), Some(3));
    apply(
        &mut dataplane,
        &table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[(a, 0), (b, 0)])]),
    );
    assert_eq!(syn(&dataplane, 6, VIP), None);
    let snapshot = snapshot(&dataplane);
    assert_eq!(
        verdict(&snapshot, "answered_no_server") + verdict(&snapshot, "dropped_no_server"),
        1
    );
    dataplane.remove().expect("remove");
}

#[test]
fn a_removed_server_that_returns_takes_its_connections_back() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let [a, b] = ["10.0.0.2:80", "10.0.0.3:80"];
    let both = table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[(a, 1), (b, 1)])]);
    let one = table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[(a, 1)])]);
    apply(&mut dataplane, &both);
    assert_eq!(picks(&dataplane, 1..5), [3, 2, 3, 2]);
    let before = snapshot(&dataplane).services[0].traffic;

    apply(&mut dataplane, &one);
    let packet = frame(Protocol::Tcp, "198.51.100.7:1", VIP, ACK);
    assert_eq!(send(&dataplane, &packet), None);
    assert_eq!(verdict(&snapshot(&dataplane), "dropped_server_gone"), 1);
    assert_eq!(loads(&dataplane), [(2, 0)]);
    let service = snapshot(&dataplane).services[0].traffic;
    assert_eq!(
        service, before,
        "a service counts what its removed servers did"
    );

    // Across the death of a director, too.
    drop(dataplane);
    let mut dataplane = private.open();
    assert_eq!(snapshot(&dataplane).services[0].traffic, before);
    apply(&mut dataplane, &both);
    assert_eq!(loads(&dataplane), [(2, 0), (2, 0)]);
    assert_eq!(send(&dataplane, &packet), Some(3));
    let server = &snapshot(&dataplane).services[0].servers[0];
    assert_eq!((server.key, server.traffic.connections), (server_key(b), 2));

    // And when its whole service was gone meanwhile.
    dataplane
        .apply(&caribe_model::Table::default())
        .expect("apply");
    assert_eq!(snapshot(&dataplane).services, []);
    drop(dataplane);
    let mut dataplane = private.open();
    apply(&mut dataplane, &both);
    assert_eq!(loads(&dataplane), [(2, 0), (2, 0)]);
    assert_eq!(send(&dataplane, &packet), Some(3));
    dataplane.remove().expect("remove");
}

#[test]
fn a_changed_method_is_that_of_new_connections() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let servers = [("10.0.0.2:80", 1)];
    apply(
        &mut dataplane,
        &table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &servers)]),
    );
    syn(&dataplane, 1, VIP);
    let tunnel = table(Forwarding::Tunnel, &[(tcp(VIP), Scheduler::Rr, &servers)]);
    assert_eq!(
        dataplane.apply(&tunnel).expect("apply"),
        Applied { changes: 1 }
    );
    let old = dataplane
        .probe(&frame(Protocol::Tcp, "198.51.100.7:1", VIP, ACK), None)
        .expect("probe");
    let new = dataplane
        .probe(&frame(Protocol::Tcp, "198.51.100.7:2", VIP, SYN), None)
        .expect("probe");
    assert_eq!(
        new.frame.len(),
        old.frame.len() + 20,
        "wrapped in an outer header"
    );
    let methods: Vec<Forwarding> = {
        let mut connections: Vec<_> = dataplane.connections().expect("list").collect();
        connections.sort_by_key(|connection| connection.client);
        connections
            .iter()
            .map(|connection| connection.forwarding)
            .collect()
    };
    assert_eq!(methods, [DIRECT, Forwarding::Tunnel]);
    dataplane.remove().expect("remove");
}

#[test]
fn servers_are_reached_while_their_way_is_known() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let table = table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &[("10.0.0.2:80", 1)])]);
    dataplane.apply(&table).expect("apply");
    assert_eq!(syn(&dataplane, 1, VIP), None);
    let address = socket("10.0.0.2:80").ip();
    dataplane
        .set_next_hop(address, Some(hop(address)))
        .expect("set the way");
    assert_eq!(syn(&dataplane, 2, VIP), Some(2));
    dataplane
        .set_next_hop(address, None)
        .expect("the way is lost");
    assert_eq!(syn(&dataplane, 3, VIP), None);
    assert_eq!(verdict(&snapshot(&dataplane), "dropped_unreachable"), 2);
    assert_eq!(snapshot(&dataplane).services[0].servers[0].next_hop, None);

    // Kept for servers that are added later, and read back by the next director.
    dataplane
        .set_next_hop(address, Some(hop(address)))
        .expect("set the way");
    let udp = udp("192.0.2.9:53");
    let two = support::table(
        DIRECT,
        &[
            (tcp(VIP), Scheduler::Rr, &[("10.0.0.2:80", 1)]),
            (udp, Scheduler::Rr, &[("10.0.0.2:53", 1)]),
        ],
    );
    dataplane.apply(&two).expect("apply");
    drop(dataplane);
    let mut dataplane = private.open();
    let three = support::table(
        DIRECT,
        &[
            (tcp(VIP), Scheduler::Rr, &[("10.0.0.2:80", 1)]),
            (udp, Scheduler::Rr, &[("10.0.0.2:53", 1)]),
            (tcp("192.0.2.9:443"), Scheduler::Rr, &[("10.0.0.2:443", 1)]),
        ],
    );
    dataplane.apply(&three).expect("apply");
    for (protocol, vip) in [
        (Protocol::Tcp, VIP),
        (Protocol::Udp, "192.0.2.9:53"),
        (Protocol::Tcp, "192.0.2.9:443"),
    ] {
        let packet = frame(protocol, "198.51.100.7:9", vip, SYN);
        assert_eq!(send(&dataplane, &packet), Some(2), "{vip}");
    }
    dataplane.remove().expect("remove");
}

/// The kernel refuses a step in the middle of a change: the next change starts from what is
/// really there.
#[test]
fn a_change_that_failed_half_way_is_made_good() {
    let private = Private::enter();
    let options = caribe_dataplane::xdp::Options {
        services: 2,
        ..private.options()
    };
    let mut dataplane = caribe_dataplane::xdp::XdpDataplane::open(&options).expect("open");
    let servers = [("10.0.0.2:80", 1), ("10.0.0.3:80", 1)];
    let other = "192.0.2.2:80";
    let before = table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &servers)]);
    let after = table(
        DIRECT,
        &[
            (tcp(VIP), Scheduler::Rr, &servers[..1]),
            (tcp(other), Scheduler::Rr, &servers),
        ],
    );
    apply(&mut dataplane, &before);

    // Someone else fills the last place in the map of services.
    let map = MapData::from_pin(private.layout().join("SERVICES4")).expect("the map");
    let mut map =
        HashMap::<_, [u8; 8], [u32; 6]>::try_from(Map::HashMap(map)).expect("a map of services");
    let theirs = [203, 0, 113, 9, 0, 80, 6, 0];
    map.insert(theirs, [9, 0, 0, 0, 0, 0], 0).expect("insert");
    let refused = dataplane
        .apply(&after)
        .expect_err("no place for the new service");
    assert!(
        refused
            .to_string()
            .starts_with("write to the map SERVICES4: "),
        "{refused}"
    );
    assert_eq!(syn(&dataplane, 1000, other), None);
    assert_eq!(syn(&dataplane, 1001, VIP), Some(2));

    map.remove(&theirs).expect("remove");
    dataplane.apply(&after).expect("apply");
    let live = snapshot(&dataplane);
    let counts: Vec<usize> = live
        .services
        .iter()
        .map(|service| service.servers.len())
        .collect();
    assert_eq!(counts, [1, 2]);
    assert_eq!(picks(&dataplane, 1010..1013), [2, 2, 2]);
    let picks: Vec<_> = (1020..1024)
        .map(|port| syn(&dataplane, port, other))
        .collect();
    assert_eq!(picks, [3, 2, 3, 2].map(Some));
    assert_eq!(
        dataplane.apply(&after).expect("apply"),
        Applied { changes: 0 }
    );
    dataplane.remove().expect("remove");
}

/// Two tables that share no server, changed forth and back while another thread opens
/// connections: every one goes to a server of one of them, in the order of one of them.
#[test]
fn a_reload_under_load_never_mixes() {
    let private = Private::enter();
    let options = caribe_dataplane::xdp::Options {
        connections: 1_000_000,
        ..private.options()
    };
    let mut dataplane = caribe_dataplane::xdp::XdpDataplane::open(&options).expect("open");
    let old = [("10.0.0.2:80", 1), ("10.0.0.3:80", 1), ("10.0.0.4:80", 1)];
    let new = [("10.0.0.12:80", 3), ("10.0.0.13:80", 2)];
    let old = table(DIRECT, &[(tcp(VIP), Scheduler::Rr, &old)]);
    let new = table(DIRECT, &[(tcp(VIP), Scheduler::Wrr, &new)]);
    reach(&mut dataplane, &new);
    apply(&mut dataplane, &old);

    let program = private.layout().join("director");
    let program = Xdp::from_pin(program, XdpAttachType::Interface).expect("the program");
    let stop = AtomicBool::new(false);
    // Odd while a change is made.
    let version = AtomicU32::new(0);
    let (sent, changes) = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = Vec::new();
            // Fewer than the table holds, and every one a flow of its own.
            for flow in 0u32..900_000 {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let [_, high, middle, low] = flow.to_be_bytes();
                let client = format!(
                    "198.{}.{middle}.{low}:{}",
                    18 + high % 2,
                    1000 + u16::from(high)
                );
                let packet = frame(Protocol::Tcp, &client, VIP, SYN);
                let mut out = vec![0; 256];
                let before = version.load(Ordering::SeqCst);
                let result = program
                    .test_run(TestRunOptions {
                        data_in: Some(&packet),
                        data_out: Some(&mut out),
                        ..TestRunOptions::default()
                    })
                    .expect("probe");
                assert!(
                    matches!(result.return_value, 3 | 4),
                    "flow {flow} was not forwarded"
                );
                sent.push((before, out[5], version.load(Ordering::SeqCst)));
            }
            sent
        });
        let mut changes = 0;
        while changes < 60 {
            wait(20);
            let next = if changes % 2 == 0 { &new } else { &old };
            version.fetch_add(1, Ordering::SeqCst);
            dataplane.apply(next).expect("apply under load");
            version.fetch_add(1, Ordering::SeqCst);
            changes += 1;
        }
        stop.store(true, Ordering::Relaxed);
        (load.join().expect("every packet was forwarded"), changes)
    });
    assert!(sent.len() > 1000, "{} packets are no load", sent.len());
    // The order of picks inside each table; a change starts a sequence anew at any place.
    let (cycle_old, cycle_new): (&[u8], &[u8]) = (&[4, 3, 2, 4], &[13, 12, 12, 13, 12, 13]);
    let (mut flips, mut in_order) = (0, 0);
    for pair in sent.windows(2) {
        let [(before, first, _), (_, second, after)] = [pair[0], pair[1]];
        let of_old = |server: u8| cycle_old.contains(&server);
        let known = |server: u8| of_old(server) || cycle_new.contains(&server);
        assert!(
            known(first) && known(second),
            "{first} or {second} is in no table"
        );
        flips += i32::from(of_old(first) != of_old(second));
        if before == after && before % 2 == 0 {
            let next = cycle_old.windows(2).chain(cycle_new.windows(2));
            assert!(
                next.clone().any(|next| next == [first, second]),
                "{first}, then {second}"
            );
            in_order += 1;
        }
    }
    assert!(
        in_order > sent.len() / 4,
        "{in_order} of {} picks were between changes",
        sent.len()
    );
    assert!(flips >= changes / 2, "{flips} flips were seen of {changes}");
    let snapshot = snapshot(&dataplane);
    for (name, count) in &snapshot.verdicts {
        let expected = if name == "forwarded_direct" {
            sent.len() as u64
        } else {
            0
        };
        assert_eq!(*count, expected, "{name}");
    }
    dataplane.remove().expect("remove");
}
