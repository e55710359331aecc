//! What expires and what a dead director leaves behind is swept, on the real kernel.

mod support;

use std::time::Duration;

use aya::maps::{Array, Map, MapData};
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_dataplane::{Dataplane as _, Swept};
use caribe_model::{Forwarding, Protocol, Scheduler, Timeouts};
use caribe_packet::connection::{Life, Meta};
use caribe_packet::server::Load;
use support::*;

const VIP: &str = "192.0.2.1:53";

/// A pinned array, opened beside the director.
fn array<V: aya::Pod>(private: &Private, name: &str) -> Array<MapData, V> {
    let data = MapData::from_pin(private.layout().join(name)).expect("a pinned map");
    Array::try_from(Map::Array(data)).expect("an array of this type")
}

/// Elements that are not zero, with their indexes.
fn used<V: aya::Pod + PartialEq>(array: &Array<MapData, V>, zero: V) -> Vec<(u32, V)> {
    let all = (0..array.len()).map(|index| (index, array.get(&index, 0).expect("an element")));
    all.filter(|(_, element)| *element != zero).collect()
}

/// A slot of the IPv4 table, as words; the third is that of life, state, flags and deadline.
type Slot = [u64; 8];

fn short(private: &Private) -> Options {
    let timeouts = Timeouts {
        udp: Duration::from_millis(300),
        ..Timeouts::default()
    };
    Options {
        timeouts,
        ..private.options()
    }
}

/// The time, for what a test measures of itself.
#[expect(clippy::disallowed_methods, reason = "a test's own stop-watch")]
fn clock() -> std::time::Instant {
    std::time::Instant::now()
}

fn datagram(dataplane: &XdpDataplane, port: u16) -> Option<u8> {
    send(
        dataplane,
        &frame(Protocol::Udp, &format!("198.51.100.7:{port}"), VIP, 0),
    )
}

fn nat_table() -> caribe_model::Table {
    let servers = [("10.0.0.2:5353", 1), ("10.0.0.3:5353", 1)];
    table(Forwarding::Nat, &[(udp(VIP), Scheduler::Rr, &servers)])
}

/// Fifty NAT connections come and go; tags, keys, words of life and replies are then all zero.
fn come_and_go<const SLOT_WORDS: usize>(vip: &str, client: &str, servers: [&str; 2], family: u8) {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&short(&private)).expect("open");
    let servers = servers.map(|server| (server, 1));
    apply(
        &mut dataplane,
        &table(Forwarding::Nat, &[(udp(vip), Scheduler::Rr, &servers)]),
    );
    let datagram = |dataplane: &XdpDataplane, port: u16| {
        send(
            dataplane,
            &frame(Protocol::Udp, &format!("{client}:{port}"), vip, 0),
        )
    };
    for port in 1000..1050 {
        assert!(datagram(&dataplane, port).is_some());
    }
    assert_eq!(loads(&dataplane), [(0, 25), (0, 25)]);
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 50,
            removed: 0
        }
    );
    let replies = array::<[u64; 8]>(&private, &format!("REPLIES{family}"));
    let words = used(&replies, [0; 8])
        .into_iter()
        .flat_map(|(_, words)| words);
    assert_eq!(words.filter(|word| *word != 0).count(), 50);

    wait(200);
    assert!(datagram(&dataplane, 1000).is_some()); // Keeps its connection alive.
    wait(200);
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 1,
            removed: 49
        }
    );
    assert_eq!(dataplane.connections().expect("list").count(), 1);
    assert_eq!(snapshot(&dataplane).connections, 1);
    wait(400);
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 0,
            removed: 1
        }
    );
    assert_eq!(loads(&dataplane), [(0, 0), (0, 0)]);
    assert_eq!(
        used(&array::<u64>(&private, &format!("TAGS{family}")), 0),
        []
    );
    assert_eq!(used(&replies, [0; 8]), []);
    let slots = array::<[u64; SLOT_WORDS]>(&private, &format!("CONNECTIONS{family}"));
    let meta = SLOT_WORDS * 3 / 8;
    for slot in 0..slots.len() {
        let words = slots.get(&slot, 0).expect("a slot");
        assert!(
            words[..meta].iter().all(|word| *word == 0),
            "slot {slot}: {words:x?}"
        );
    }
    dataplane.remove().expect("remove");
}

#[test]
fn what_expired_leaves_no_trace() {
    come_and_go::<8>(VIP, "198.51.100.7", ["10.0.0.2:5353", "10.0.0.3:5353"], 4);
}

#[test]
fn what_expired_leaves_no_trace_in_ipv6() {
    come_and_go::<16>(
        "[2001:db8::1]:53",
        "[2001:db8:1::7]",
        ["[fd00::2]:5353", "[fd00::3]:5353"],
        6,
    );
}

/// An expired connection is not swept yet when the same flow comes again: it takes the slot over,
/// with another server, and the word that led to it from the former server goes.
#[test]
fn a_flow_that_comes_again_gets_a_new_connection() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&short(&private)).expect("open");
    apply(&mut dataplane, &nat_table());
    let former: Vec<_> = (1000..1020)
        .map(|port| datagram(&dataplane, port))
        .collect();
    datagram(&dataplane, 1020); // So that the turn comes to the other server.
    dataplane
        .set_timeouts(Timeouts {
            udp: Duration::from_secs(30),
            ..Timeouts::default()
        })
        .expect("set timeouts");
    wait(400);
    for (port, former) in (1000..).zip(former) {
        assert_ne!(datagram(&dataplane, port), former);
    }
    assert_eq!(loads(&dataplane).iter().map(|load| load.1).sum::<u32>(), 21);
    let replies = array::<[u64; 8]>(&private, "REPLIES4");
    let words = || {
        let words = used(&replies, [0; 8])
            .into_iter()
            .flat_map(|(_, words)| words);
        words.filter(|word| *word != 0).count()
    };
    assert_eq!(words(), 41, "each of 20 flows has left a word behind");
    for _ in 0..2 {
        for _ in 0..16 {
            dataplane.sweep().expect("sweep");
        }
        wait(450);
    }
    assert_eq!(words(), 20);
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 20,
            removed: 0
        }
    );
    assert_eq!(loads(&dataplane), [(0, 10), (0, 10)]);
    dataplane.remove().expect("remove");
}

#[test]
fn a_connection_lives_as_long_as_its_packets_come() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&short(&private)).expect("open");
    apply(&mut dataplane, &nat_table());
    let server = datagram(&dataplane, 1000);
    for _ in 0..8 {
        wait(150);
        assert_eq!(
            dataplane.sweep().expect("sweep"),
            Swept {
                alive: 1,
                removed: 0
            }
        );
        assert_eq!(datagram(&dataplane, 1000), server);
    }
    // New timeouts hold from the next packet on.
    let longer = Timeouts {
        udp: Duration::from_secs(30),
        ..Timeouts::default()
    };
    dataplane.set_timeouts(longer).expect("set timeouts");
    datagram(&dataplane, 1000);
    wait(500);
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 1,
            removed: 0
        }
    );
    dataplane.remove().expect("remove");
}

#[test]
fn counters_that_a_dead_director_left_wrong_are_counted_anew() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &nat_table());
    for port in 1000..1010 {
        datagram(&dataplane, port);
    }
    drop(dataplane);
    let mut counters = array::<u64>(&private, "LOADS");
    let counted = used(&counters, 0);
    assert_eq!(
        counted.iter().map(|(_, load)| *load).sum::<u64>(),
        10 * Load::INACTIVE
    );
    let (index, right) = counted[0];
    counters
        .set(index, right + 3 * Load::ACTIVE - 2 * Load::INACTIVE, 0)
        .expect("spoil");

    let mut dataplane = private.open();
    assert_eq!(used(&counters, 0), counted, "right at once");
    // And while the director lives, after some sweeps.
    counters
        .set(index, right + 7 * Load::INACTIVE, 0)
        .expect("spoil");
    for _ in 0..3 {
        dataplane.sweep().expect("sweep");
    }
    assert_eq!(used(&counters, 0), counted);
    dataplane.remove().expect("remove");
}

#[test]
fn what_a_dead_director_began_is_finished() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &nat_table());
    for port in 1000..1003 {
        datagram(&dataplane, port);
    }
    drop(dataplane);
    // One slot was being taken away, its counter not yet; one was claimed and never filled; and
    // a word of the reply index leads nowhere.
    let mut slots = array::<Slot>(&private, "CONNECTIONS4");
    let [(leaving, mut one), (filling, mut other), _] = used(&slots, [0; 8])[..] else {
        panic!("three connections")
    };
    one[2] = Meta(one[2]).with_life(Life::Leaving).0;
    slots.set(leaving, one, 0).expect("spoil");
    other[2] = Meta(other[2]).with_life(Life::Filling).0;
    slots.set(filling, other, 0).expect("spoil");
    let mut replies = array::<Slot>(&private, "REPLIES4");
    let free = (0..replies.len())
        .find(|bucket| replies.get(bucket, 0).expect("a bucket") == [0; 8])
        .expect("a free bucket");
    replies
        .set(
            free,
            [
                0,
                0,
                0x1234_5678_0000_0007,
                0,
                0,
                0,
                0,
                0xffff_ffff_ffff_ffff,
            ],
            0,
        )
        .expect("spoil");

    let mut dataplane = private.open();
    assert_eq!(
        loads(&dataplane)
            .iter()
            .map(|(active, inactive)| active + inactive)
            .sum::<u32>(),
        1
    );
    for _ in 0..3 {
        for _ in 0..16 {
            dataplane.sweep().expect("sweep");
        }
        wait(450);
    }
    assert_eq!(
        dataplane.sweep().expect("sweep"),
        Swept {
            alive: 1,
            removed: 0
        }
    );
    assert_eq!(
        used(&slots, [0; 8])
            .iter()
            .filter(|(_, slot)| slot[2] != 0)
            .count(),
        1
    );
    let words = used(&replies, [0; 8])
        .into_iter()
        .flat_map(|(_, words)| words);
    assert_eq!(words.filter(|word| *word != 0).count(), 1);
    let tags = used(&array::<u64>(&private, "TAGS4"), 0);
    let tags = tags
        .iter()
        .flat_map(|(_, word)| word.to_le_bytes())
        .filter(|tag| *tag != 0);
    assert_eq!(tags.count(), 1);
    assert_eq!(snapshot(&dataplane).connections, 1);
    dataplane.remove().expect("remove");
}

/// Sweeps run while another thread opens and refreshes connections: nothing that is alive is
/// lost, and the counters are exact in the end.
#[test]
fn sweeping_under_load_loses_nothing_and_counts_right() {
    let private = Private::enter();
    let mut options = short(&private);
    options.connections = 50_000;
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    apply(&mut dataplane, &nat_table());
    let path = private.layout().join("director");
    let program = aya::programs::Xdp::from_pin(path, aya_obj::programs::XdpAttachType::Interface)
        .expect("the program");
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            use aya::programs::{TestRun as _, TestRunOptions};
            let run = |packet: &[u8]| {
                let mut out = vec![0; 256];
                let options = TestRunOptions {
                    data_in: Some(packet),
                    data_out: Some(&mut out),
                    ..TestRunOptions::default()
                };
                let result = program.test_run(options).expect("probe");
                assert!(matches!(result.return_value, 3 | 4), "not forwarded");
                out[5]
            };
            let lasting = frame(Protocol::Udp, "203.0.113.1:999", VIP, 0);
            let mut server = run(&lasting);
            let mut refreshed = clock();
            let (mut round, mut kept) = (0u16, 0);
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                round = round.wrapping_add(1);
                for port in 1000..1200 {
                    let client = format!("198.18.{}.{}:{port}", round >> 8, round & 0xff);
                    run(&frame(Protocol::Udp, &client, VIP, 0));
                }
                // Where the machine stood still for longer, the connection expired, and rightly.
                let in_time = clock() - refreshed < Duration::from_millis(150);
                let now = run(&lasting);
                refreshed = clock();
                if in_time {
                    assert_eq!(now, server, "the connection that lasts was lost");
                    kept += 1;
                }
                server = now;
                wait(5);
            }
            kept
        });
        let mut removed = 0;
        for _ in 0..50 {
            wait(20);
            removed += dataplane.sweep().expect("sweep").removed;
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        let kept = load.join().expect("no packet was lost");
        assert!(kept >= 10, "refreshed in time only {kept} times");
        assert!(removed > 1000, "{removed} connections expired under load");
    });
    let counted = dataplane.connections().expect("list").count();
    wait(400);
    let swept = dataplane.sweep().expect("sweep");
    assert_eq!(swept.alive, 0, "of {counted} connections");
    for (active, inactive) in loads(&dataplane) {
        assert_eq!((active, inactive), (0, 0), "counters drifted");
    }
    assert_eq!(used(&array::<u64>(&private, "TAGS4"), 0), []);
    assert_eq!(used(&array::<Slot>(&private, "REPLIES4"), [0; 8]), []);
    dataplane.remove().expect("remove");
}
