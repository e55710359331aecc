//! Interfaces and addresses, in a real namespace.

mod support;

use std::net::IpAddr;

use caribe_network::{AddressOutcome, AssignedAddress, FloatingSpec, Network, NetworkError};
use support::Namespace;

fn spec(address: &str, prefix: u8, label: Option<&str>) -> FloatingSpec {
    FloatingSpec {
        interface: "a0".to_owned(),
        address: address.parse().expect("an address"),
        prefix,
        label: label.map(str::to_owned),
    }
}

fn pair() -> (Namespace, Namespace) {
    let (ours, peer) = (Namespace::new(), Namespace::new());
    ours.join("a0", &peer, "b0");
    (ours, peer)
}

async fn find(network: &Network, address: &str) -> Option<AssignedAddress> {
    let address: IpAddr = address.parse().expect("an address");
    let all = network.addresses("a0").await.expect("addresses");
    all.into_iter().find(|each| each.address == address)
}

#[test]
fn an_interface_is_found_by_its_name() {
    let (ours, _peer) = pair();
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        let a0 = network.interface("a0").await.expect("a0");
        assert_eq!((a0.name.as_str(), a0.mtu), ("a0", 1500));
        assert!(a0.up && a0.running && !a0.loopback);
        assert!(a0.mac.is_some());
        assert_eq!(a0.xdp, None);

        let lo = network.interface("lo").await.expect("lo");
        assert!(lo.loopback);
        assert_eq!(lo.mac, None);

        for name in ["nowhere0", "", "a-name-over-fifteen-bytes"] {
            let error = network.interface(name).await.expect_err("no such");
            assert!(
                matches!(&error, NetworkError::NoInterface { .. }),
                "{name}: {error:?}"
            );
        }
    });
}

#[test]
fn an_ipv4_address_goes_on_with_its_label_and_comes_off() {
    let (ours, _peer) = pair();
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        let vip = spec("192.0.2.80", 24, Some("a0:1"));
        assert_eq!(
            network.add_address(&vip).await.expect("added"),
            AddressOutcome::Added
        );
        assert_eq!(
            network.add_address(&vip).await.expect("there"),
            AddressOutcome::AlreadyThere
        );
        let found = find(&network, "192.0.2.80").await.expect("on a0");
        assert_eq!(
            (found.prefix, found.label.as_deref(), found.scope),
            (24, Some("a0:1"), 0)
        );
        assert!(network.remove_address(&vip).await.expect("removed"));
        assert!(!network.remove_address(&vip).await.expect("gone"));
        assert_eq!(find(&network, "192.0.2.80").await, None);
    });
}

#[test]
fn an_ipv6_address_is_usable_at_once_and_never_chosen_as_a_source() {
    let (ours, _peer) = pair();
    ours.add_own("a0", "2001:db8::1", 64);
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        let vip = spec("2001:db8::80", 128, Some("a0:1"));
        network.add_address(&vip).await.expect("added");
        let found = find(&network, "2001:db8::80").await.expect("on a0");
        assert!(!found.unusable);
        // A tentative address cannot be bound.
        let bound = std::net::UdpSocket::bind("[2001:db8::80]:0").expect("bound");
        drop(bound);

        // By its longer common prefix, the VIP would win for this destination.
        let socket = std::net::UdpSocket::bind("[::]:0").expect("bound");
        socket.connect("[2001:db8::81]:9").expect("connected");
        let source = socket.local_addr().expect("a source").ip();
        assert_eq!(source, "2001:db8::1".parse::<IpAddr>().expect("an address"));

        assert!(network.remove_address(&vip).await.expect("removed"));
    });
}

#[test]
fn neighbours_of_a_removed_primary_address_stay() {
    let (ours, _peer) = pair();
    ours.sysctl("ipv4/conf/all/promote_secondaries", "0");
    ours.sysctl("ipv4/conf/a0/promote_secondaries", "0");
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        let vip = spec("192.0.2.80", 24, None);
        let own = spec("192.0.2.1", 24, Some("a0:own"));
        network.add_address(&vip).await.expect("added");
        network.add_address(&own).await.expect("added");
        assert!(find(&network, "192.0.2.1").await.expect("there").secondary);
        assert!(network.remove_address(&vip).await.expect("removed"));
        let kept = find(&network, "192.0.2.1").await.expect("put back");
        assert_eq!(kept.label.as_deref(), Some("a0:own"));
    });
}

#[test]
fn impossible_addresses_are_refused_before_the_kernel_sees_them() {
    let (ours, _peer) = pair();
    ours.run(|| async {
        let (network, _changes) = Network::connect().expect("netlink");
        for wrong in [
            spec("192.0.2.80", 33, None),
            spec("2001:db8::80", 129, None),
            spec("192.0.2.80", 24, Some("a-label-over-fifteen")),
            spec("192.0.2.80", 24, Some("")),
            spec("224.0.0.1", 32, None),
            spec("::", 128, None),
        ] {
            let error = network.add_address(&wrong).await.expect_err("refused");
            assert!(
                matches!(error, NetworkError::Specification { .. }),
                "{wrong:?}: {error:?}"
            );
        }
    });
}
