//! Two hosts on one segment, for the tests. Needs root.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::IpAddr;
use std::time::Duration;

use caribe_lab::{Host, Lab, Port, Switch};
use caribe_model::{MacAddress, NextHop};
use caribe_network::Network;

pub(crate) struct Segment {
    pub(crate) ours: Host,
    pub(crate) peer: Host,
    _switch: Switch,
    _lab: Lab,
}

impl Segment {
    /// Hosts without addresses.
    pub(crate) fn bare(name: &str) -> Self {
        Self::with(name, &[], &[])
    }

    /// Ours is 192.0.2.1 and 2001:db8::1; the peer has 2 and, in IPv4, 3.
    pub(crate) fn addressed(name: &str) -> Self {
        Self::with(
            name,
            &["192.0.2.1/24", "2001:db8::1/64"],
            &["192.0.2.2/24", "192.0.2.3/24", "2001:db8::2/64"],
        )
    }

    fn with(name: &str, ours: &[&str], peer: &[&str]) -> Self {
        let mut lab = Lab::new(name).expect("a lab; these tests need root");
        let switch = lab.switch("lan").expect("a switch");
        let mut host = |name: &str, addresses: &[&str]| {
            let host = lab.host(name).expect("a host");
            let port = addresses.iter().fold(Port::new("eth0"), Port::address);
            host.connect(&switch, port).expect("connected");
            host
        };
        Segment {
            ours: host("ours", ours),
            peer: host("peer", peer),
            _switch: switch,
            _lab: lab,
        }
    }
}

/// Runs work with a network of its own inside a host.
pub(crate) fn inside<R: Send>(host: &Host, work: impl AsyncFnOnce(Network) -> R + Send) -> R {
    let ran = host.run(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async move {
            let (network, _changes) = Network::connect().expect("netlink");
            work(network).await
        })
    });
    ran.expect("inside the host")
}

/// Runs `ip` inside a host.
pub(crate) fn ip(host: &Host, words: &str) {
    let ip = host.command("ip").args(words.split(' ')).run();
    ip.expect("ip does it");
}

pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// The MAC address of a host on the segment.
pub(crate) fn mac(host: &Host) -> MacAddress {
    inside(host, async |network| {
        let interface = network.interface("eth0").await.expect("the interface");
        interface.mac.expect("an Ethernet interface")
    })
}

/// Resolves within five seconds.
pub(crate) async fn resolved(network: &Network, text: &str) -> NextHop {
    for _ in 0..100 {
        if let Some(next_hop) = network.resolve(address(text)).await.expect("asked") {
            return next_hop;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{text} was not resolved in 5 s");
}
