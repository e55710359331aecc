//! Routes and neighbours become next hops, in real namespaces.

mod segment;

use std::collections::BTreeSet;
use std::net::IpAddr;

use caribe_model::NextHop;
use caribe_network::{NoWay, Way};
use segment::{Segment, address, inside, ip, mac, resolved};

#[test]
fn a_host_on_the_segment_is_resolved() {
    let segment = Segment::addressed("net-host");
    let (source_mac, destination_mac) = (mac(&segment.ours), mac(&segment.peer));
    inside(&segment.ours, async |network| {
        let interface = network.interface("eth0").await.expect("eth0").index;
        let at_first = network.resolve(address("192.0.2.2")).await.expect("asked");
        assert_eq!(at_first, None, "the neighbour has to be asked first");
        for (server, source) in [("192.0.2.2", "192.0.2.1"), ("2001:db8::2", "2001:db8::1")] {
            let expected = NextHop {
                interface,
                source_mac,
                destination_mac,
                source_address: address(source),
                mtu: 1500,
            };
            assert_eq!(resolved(&network, server).await, expected);
        }
    });
}

#[test]
fn a_route_leads_through_its_gateway_with_its_own_mtu() {
    let segment = Segment::addressed("net-gateway");
    let gateway_mac = mac(&segment.peer);
    for route in [
        "route add 198.51.100.0/24 via 192.0.2.2 mtu 1400",
        "route add 2001:db8:1::/48 via 2001:db8::2",
        "route add 203.0.113.0/24 via inet6 2001:db8::2",
    ] {
        ip(&segment.ours, route);
    }
    inside(&segment.ours, async |network| {
        let v4 = resolved(&network, "198.51.100.7").await;
        assert_eq!((v4.destination_mac, v4.mtu), (gateway_mac, 1400));
        assert_eq!(v4.source_address, address("192.0.2.1"));
        let v6 = resolved(&network, "2001:db8:1::7").await;
        assert_eq!((v6.destination_mac, v6.mtu), (gateway_mac, 1500));
        let over_v6 = resolved(&network, "203.0.113.7").await;
        assert_eq!(over_v6.destination_mac, gateway_mac);
        assert_eq!(over_v6.source_address, address("192.0.2.1"));
        assert_eq!(
            network.gateways().await.expect("asked"),
            BTreeSet::from([address("192.0.2.2"), address("2001:db8::2")])
        );
    });
}

#[test]
fn an_address_without_a_way_says_why() {
    let segment = Segment::addressed("net-noway");
    for route in [
        "route add blackhole 203.0.113.0/25",
        "route add prohibit 203.0.113.128/25",
        "route add unreachable 198.51.100.0/24",
        "-6 route add unreachable 2001:db8:2::/48",
    ] {
        ip(&segment.ours, route);
    }
    inside(&segment.ours, async |network| {
        let way = async |text: &str| -> Way {
            let address: IpAddr = address(text);
            network.way(address).await.expect("asked")
        };
        for own in ["192.0.2.1", "2001:db8::1"] {
            let local = Way::Resolved {
                next_hop: NextHop::local(address(own)),
                neighbour: address(own),
            };
            assert_eq!(way(own).await, local, "{own}");
        }
        for loopback in ["127.0.0.1", "127.1.2.3", "::1"] {
            assert_eq!(way(loopback).await, Way::None(NoWay::Local), "{loopback}");
        }
        for refused in [
            "198.18.0.1",
            "198.51.100.1",
            "203.0.113.9",
            "203.0.113.129",
            "2001:db8:2::1",
            "2001:db8:ffff::1",
        ] {
            let way = way(refused).await;
            assert!(
                matches!(way, Way::None(NoWay::NoRoute { .. })),
                "{refused}: {way:?}"
            );
        }
        let everyone = way("192.0.2.255").await;
        assert_eq!(everyone, Way::None(NoWay::NotUnicast));
    });
}

#[test]
fn an_interface_that_is_down_has_no_way() {
    let segment = Segment::addressed("net-down");
    segment.ours.take_down("eth0").expect("down");
    inside(&segment.ours, async |network| {
        let way = network.way(address("192.0.2.2")).await.expect("asked");
        assert!(matches!(way, Way::None(NoWay::NoRoute { .. })), "{way:?}");
    });
}
