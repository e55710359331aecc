//! The watcher tells of what happens on a real segment.

mod segment;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::mpsc;
use std::time::Duration;

use caribe_model::{MacAddress, NextHop};
use caribe_network::{Change, Network, WatchHandle, Watcher};
use segment::{Segment, address, inside, ip, mac};
use tokio::sync::mpsc::Receiver;

type Told = (IpAddr, Option<NextHop>);

fn watch(addresses: &[&str]) -> (WatchHandle, Receiver<Told>) {
    let (network, changes) = Network::connect().expect("netlink");
    let (handle, received) = Watcher::spawn(network, changes);
    handle.watch(addresses.iter().map(|text| address(text)).collect());
    (handle, received)
}

/// What is told within a time.
async fn told(received: &mut Receiver<Told>, within: Duration) -> Option<Told> {
    tokio::time::timeout(within, received.recv())
        .await
        .ok()
        .map(|told| told.expect("the watcher lives"))
}

const LONG: Duration = Duration::from_secs(15);

#[test]
fn a_watched_address_is_told_when_it_is_resolved_and_when_its_route_goes() {
    let segment = Segment::addressed("net-watch");
    let peer_mac = mac(&segment.peer);
    inside(&segment.ours, async |_| {
        let (handle, mut received) = watch(&["192.0.2.2", "2001:db8::2"]);
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let (server, next_hop) = told(&mut received, LONG).await.expect("told");
            assert_eq!(next_hop.expect("a way").destination_mac, peer_mac);
            seen.insert(server);
        }
        assert_eq!(
            seen,
            BTreeSet::from([address("192.0.2.2"), address("2001:db8::2")])
        );

        let nothing = told(&mut received, Duration::from_secs(4)).await;
        assert_eq!(nothing, None, "nothing changed");

        handle.watch(BTreeSet::from([address("192.0.2.2")]));
        ip(&segment.ours, "addr del 192.0.2.1/24 dev eth0");
        assert_eq!(
            told(&mut received, Duration::from_secs(2)).await,
            Some((address("192.0.2.2"), None)),
            "its route went with the address"
        );
        ip(&segment.ours, "addr add 192.0.2.1/24 dev eth0");
        let (server, next_hop) = told(&mut received, LONG).await.expect("told");
        assert_eq!(server, address("192.0.2.2"));
        assert_eq!(next_hop.expect("a way").destination_mac, peer_mac);
    });
}

#[test]
fn an_announced_move_is_told_at_once() {
    let segment = Segment::addressed("net-move");
    // Otherwise the kernel holds a fresh entry against change for a second.
    let ours = &segment.ours;
    ours.sysctl("net/ipv4/neigh/eth0/locktime", "0")
        .expect("set");
    let moved = MacAddress([0x02, 0, 0, 0, 0, 0x77]);
    let (ready, resolved) = mpsc::channel();
    std::thread::scope(|scope| {
        let watching = scope.spawn(move || {
            inside(ours, async |_| {
                let (_handle, mut received) = watch(&["192.0.2.2", "2001:db8::2"]);
                for _ in 0..2 {
                    told(&mut received, LONG).await.expect("told");
                }
                ready.send(()).expect("the test waits");
                let mut macs = Vec::new();
                for _ in 0..2 {
                    // Before a silent neighbour would be given up.
                    let (_, next_hop) = told(&mut received, Duration::from_secs(3))
                        .await
                        .expect("the move is told within three seconds");
                    macs.push(next_hop.expect("a way").destination_mac);
                }
                macs
            })
        });
        resolved.recv().expect("both are resolved");
        ip(&segment.peer, "link set eth0 address 02:00:00:00:00:77");
        inside(&segment.peer, async |network| {
            for vip in ["192.0.2.2", "2001:db8::2"] {
                let announced = network.announce("eth0", address(vip)).await;
                announced.expect("announced");
            }
        });
        assert_eq!(watching.join().expect("told"), [moved, moved]);
    });
}

#[test]
fn a_silent_neighbour_is_kept_while_it_is_probed_and_then_lost_and_found_again() {
    let segment = Segment::addressed("net-silent");
    let ours = &segment.ours;
    for (key, value) in [
        ("base_reachable_time_ms", "200"),
        ("delay_first_probe_time", "1"),
    ] {
        let key = format!("net/ipv4/neigh/eth0/{key}");
        ours.sysctl(&key, value).expect("set");
    }
    let (step, steps) = mpsc::channel();
    std::thread::scope(|scope| {
        let watching = scope.spawn(move || {
            inside(ours, async |_| {
                let (_handle, mut received) = watch(&["192.0.2.3"]);
                let (_, first) = told(&mut received, LONG).await.expect("told");
                step.send(()).expect("the test waits");
                let early = told(&mut received, Duration::from_secs(3)).await;
                assert_eq!(early, None, "the last way is kept while it is probed");
                let lost = told(&mut received, LONG).await;
                assert_eq!(lost, Some((address("192.0.2.3"), None)));
                step.send(()).expect("the test waits");
                let (_, again) = told(&mut received, LONG).await.expect("told");
                assert_eq!(again, first);
            });
        });
        steps.recv().expect("it is resolved");
        ip(&segment.peer, "addr del 192.0.2.3/24 dev eth0");
        steps.recv().expect("it is lost");
        ip(&segment.peer, "addr add 192.0.2.3/24 dev eth0");
        watching.join().expect("told");
    });
}

#[test]
fn a_storm_of_changes_leaves_the_watcher_sound() {
    let segment = Segment::addressed("net-storm");
    let peer_mac = mac(&segment.peer);
    // Each line is told to every listener; far more than a socket's buffer holds.
    let storm: String = (0..20_000)
        .map(|i| format!("route add 10.{}.{}.0/24 dev eth0\n", i / 250, i % 250))
        .collect();
    let batch = segment.ours.file("storm");
    std::fs::write(&batch, storm).expect("written");
    inside(&segment.ours, async |_| {
        let (_network, mut changes) = Network::connect().expect("netlink");
        let (_handle, mut received) = watch(&["192.0.2.2"]);
        told(&mut received, LONG).await.expect("told");
        // The runtime does not run meanwhile, so the changes pile up unread.
        ip(&segment.ours, &format!("-batch {}", batch.display()));
        ip(&segment.ours, "addr flush dev eth0");
        let overrun = async { while changes.next().await != Some(Change::Lost) {} };
        let overrun = tokio::time::timeout(LONG, overrun).await;
        overrun.expect("the storm is more than the buffer holds, and that is told");
        let lost = told(&mut received, LONG).await;
        assert_eq!(lost, Some((address("192.0.2.2"), None)));
        ip(&segment.ours, "addr add 192.0.2.1/24 dev eth0");
        let (_, next_hop) = told(&mut received, LONG).await.expect("told");
        assert_eq!(next_hop.expect("a way").destination_mac, peer_mac);
    });
}
