//! Routes and neighbours become next hops, in real namespaces.

mod support;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use caribe_model::{MacAddress, NextHop};
use caribe_network::{FloatingSpec, Network, NoWay, WatchHandle, Watcher, Way};
use netlink_packet_route::route::{RouteAttribute, RouteMetric, RouteType};
use rtnetlink::{LinkUnspec, RouteMessageBuilder};
use support::Namespace;
use tokio::sync::mpsc::Receiver;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

async fn put(network: &Network, interface: &str, address: &str, prefix: u8) {
    let spec = FloatingSpec {
        interface: interface.to_owned(),
        address: ip(address),
        prefix,
        label: None,
    };
    network
        .add_address(&spec)
        .await
        .expect("the address is added");
}

/// Two hosts on one segment: ours is 192.0.2.1 and 2001:db8::1, the peer has 2 and, in IPv4, 3.
fn segment() -> (Namespace, Namespace) {
    let (ours, peer) = (Namespace::new(), Namespace::new());
    ours.join("a0", &peer, "b0");
    ours.add_own("a0", "192.0.2.1", 24);
    ours.add_own("a0", "2001:db8::1", 64);
    peer.add_own("b0", "192.0.2.2", 24);
    peer.add_own("b0", "192.0.2.3", 24);
    peer.add_own("b0", "2001:db8::2", 64);
    (ours, peer)
}

fn mac(namespace: &Namespace, interface: &'static str) -> MacAddress {
    namespace.run(move || async move {
        let (network, _changes) = Network::connect().expect("netlink");
        let interface = network.interface(interface).await.expect("the interface");
        interface.mac.expect("an Ethernet interface")
    })
}

/// Resolves within five seconds.
async fn resolved(network: &Network, address: &str) -> NextHop {
    for _ in 0..100 {
        if let Some(next_hop) = network.resolve(ip(address)).await.expect("resolve") {
            return next_hop;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{address} was not resolved in 5 s");
}

#[test]
fn a_host_on_the_segment_is_resolved() {
    let (ours, peer) = segment();
    let (source_mac, destination_mac) = (mac(&ours, "a0"), mac(&peer, "b0"));
    ours.run(move || async move {
        let (network, _changes) = Network::connect().expect("netlink");
        let interface = network.interface("a0").await.expect("a0").index;
        assert_eq!(network.resolve(ip("192.0.2.2")).await.expect("asked"), None);
        for (address, source_address) in [
            ("192.0.2.2", ip("192.0.2.1")),
            ("2001:db8::2", ip("2001:db8::1")),
        ] {
            let expected = NextHop {
                interface,
                source_mac,
                destination_mac,
                source_address,
                mtu: 1500,
            };
            assert_eq!(resolved(&network, address).await, expected);
        }
    });
}

#[test]
fn a_route_leads_through_its_gateway_with_its_own_mtu() {
    let (ours, peer) = segment();
    let gateway_mac = mac(&peer, "b0");
    let mut v4 = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(Ipv4Addr::new(198, 51, 100, 0), 24)
        .gateway(Ipv4Addr::new(192, 0, 2, 2))
        .build();
    v4.attributes
        .push(RouteAttribute::Metrics(vec![RouteMetric::Mtu(1400)]));
    ours.add_route(v4);
    let v6 = RouteMessageBuilder::<Ipv6Addr>::new()
        .destination_prefix("2001:db8:1::".parse().expect("an address"), 48)
        .gateway("2001:db8::2".parse().expect("an address"))
        .build();
    ours.add_route(v6);
    ours.run(move || async move {
        let (network, _changes) = Network::connect().expect("netlink");
        let v4 = resolved(&network, "198.51.100.7").await;
        assert_eq!((v4.destination_mac, v4.mtu), (gateway_mac, 1400));
        assert_eq!(v4.source_address, ip("192.0.2.1"));
        let v6 = resolved(&network, "2001:db8:1::7").await;
        assert_eq!((v6.destination_mac, v6.mtu), (gateway_mac, 1500));
        assert_eq!(
            network.gateways().await.expect("asked"),
            BTreeSet::from([ip("192.0.2.2"), ip("2001:db8::2")])
        );
    });
}

#[test]
fn an_address_without_a_way_says_why() {
    let (ours, _peer) = segment();
    let mut blackhole = RouteMessageBuilder::<Ipv4Addr>::new()
        .destination_prefix(Ipv4Addr::new(203, 0, 113, 0), 24)
        .build();
    blackhole.header.kind = RouteType::BlackHole;
    ours.add_route(blackhole);
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        for own in ["192.0.2.1", "2001:db8::1", "127.0.0.1", "::1"] {
            let way = network.way(ip(own)).await.expect("asked");
            assert_eq!(way, Way::None(NoWay::Local), "{own}");
        }
        for unknown in ["198.18.0.1", "2001:db8:ffff::1", "203.0.113.9"] {
            let way = network.way(ip(unknown)).await.expect("asked");
            assert!(
                matches!(way, Way::None(NoWay::NoRoute { .. })),
                "{unknown}: {way:?}"
            );
        }
        let everyone = network.way(ip("192.0.2.255")).await.expect("asked");
        assert_eq!(everyone, Way::None(NoWay::NotUnicast));
    });
}

/// What a watcher told within a time, for one address.
async fn told(
    received: &mut Receiver<(IpAddr, Option<NextHop>)>,
    within: Duration,
) -> Option<(IpAddr, Option<NextHop>)> {
    tokio::time::timeout(within, received.recv())
        .await
        .ok()
        .map(|told| told.expect("the watcher lives"))
}

fn watcher(addresses: &[&str]) -> (WatchHandle, Receiver<(IpAddr, Option<NextHop>)>) {
    let (network, changes) = Network::connect().expect("netlink");
    let (handle, received) = Watcher::spawn(network, changes);
    handle.watch(addresses.iter().map(|address| ip(address)).collect());
    (handle, received)
}

const LONG: Duration = Duration::from_secs(15);

#[test]
fn a_watched_address_is_told_when_it_is_resolved_and_when_its_route_goes() {
    let (ours, peer) = segment();
    let peer_mac = mac(&peer, "b0");
    ours.run(move || async move {
        let (handle, mut received) = watcher(&["192.0.2.2", "2001:db8::2"]);
        let mut seen = BTreeSet::new();
        for _ in 0..2 {
            let (address, next_hop) = told(&mut received, LONG).await.expect("told");
            assert_eq!(next_hop.expect("a way").destination_mac, peer_mac);
            seen.insert(address);
        }
        assert_eq!(seen, BTreeSet::from([ip("192.0.2.2"), ip("2001:db8::2")]));

        // Nothing changes, nothing is told.
        assert_eq!(told(&mut received, Duration::from_secs(4)).await, None);

        handle.watch(BTreeSet::from([ip("192.0.2.2")]));
        let (network, _changes) = Network::connect().expect("netlink");
        let own = FloatingSpec {
            interface: "a0".to_owned(),
            address: ip("192.0.2.1"),
            prefix: 24,
            label: None,
        };
        assert!(network.remove_address(&own).await.expect("removed"));
        assert_eq!(
            told(&mut received, Duration::from_secs(2)).await,
            Some((ip("192.0.2.2"), None)),
            "its route went with the address"
        );
        put(&network, "a0", "192.0.2.1", 24).await;
        let (address, next_hop) = told(&mut received, LONG).await.expect("told");
        assert_eq!(address, ip("192.0.2.2"));
        assert_eq!(next_hop.expect("a way").destination_mac, peer_mac);
    });
}

#[test]
fn an_announced_move_is_told_at_once() {
    let (ours, peer) = segment();
    // Otherwise the kernel holds a fresh entry against change for a second.
    ours.sysctl("ipv4/neigh/a0/locktime", "0");
    let moved = MacAddress([0x02, 0, 0, 0, 0, 0x77]);
    let (announce, announced) = std::sync::mpsc::channel();
    let (done, finished) = std::sync::mpsc::channel();
    let watching = std::thread::scope(|scope| {
        let ours = &ours;
        let watching = scope.spawn(move || {
            ours.run(move || async move {
                let (_handle, mut received) = watcher(&["192.0.2.2", "2001:db8::2"]);
                for _ in 0..2 {
                    told(&mut received, LONG).await.expect("told");
                }
                announce.send(()).expect("the announcer waits");
                let mut macs = Vec::new();
                for _ in 0..2 {
                    // Well before a stale neighbour would be confirmed.
                    let (_, next_hop) = told(&mut received, Duration::from_secs(2))
                        .await
                        .expect("the move is told within two seconds");
                    macs.push(next_hop.expect("a way").destination_mac);
                }
                done.send(()).expect("the test waits");
                macs
            })
        });
        announced.recv().expect("both are resolved");
        peer.change_link(
            LinkUnspec::new_with_name("b0")
                .address(moved.0.to_vec())
                .build(),
        );
        peer.run(|| async {
            let (network, _changes) = Network::connect().expect("netlink");
            for address in ["192.0.2.2", "2001:db8::2"] {
                network
                    .announce("b0", ip(address))
                    .await
                    .expect("announced");
            }
        });
        finished.recv().expect("both moves are told");
        watching.join().expect("the watching thread")
    });
    assert_eq!(watching, [moved, moved]);
}

#[test]
fn a_silent_neighbour_is_kept_while_it_is_probed_and_then_lost_and_found_again() {
    let (ours, peer) = segment();
    ours.sysctl("ipv4/neigh/a0/base_reachable_time_ms", "200");
    ours.sysctl("ipv4/neigh/a0/delay_first_probe_time", "1");
    let own = || FloatingSpec {
        interface: "b0".to_owned(),
        address: ip("192.0.2.3"),
        prefix: 24,
        label: None,
    };
    let (step, steps) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let ours = &ours;
        let watching = scope.spawn(move || {
            ours.run(move || async move {
                let (_handle, mut received) = watcher(&["192.0.2.3"]);
                let (_, first) = told(&mut received, LONG).await.expect("told");
                step.send(()).expect("the test waits");
                let early = told(&mut received, Duration::from_secs(3)).await;
                assert_eq!(early, None, "the last way is kept while it is probed");
                let lost = told(&mut received, LONG).await;
                assert_eq!(lost, Some((ip("192.0.2.3"), None)));
                step.send(()).expect("the test waits");
                let (_, again) = told(&mut received, LONG).await.expect("told");
                assert_eq!(again, first);
            });
        });
        steps.recv().expect("it is resolved");
        peer.run(move || async move {
            let (network, _changes) = Network::connect().expect("netlink");
            assert!(network.remove_address(&own()).await.expect("removed"));
        });
        steps.recv().expect("it is lost");
        peer.run(|| async {
            let (network, _changes) = Network::connect().expect("netlink");
            put(&network, "b0", "192.0.2.3", 24).await;
        });
        watching.join().expect("the watching thread");
    });
}
