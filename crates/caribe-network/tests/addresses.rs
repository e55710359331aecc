//! Interfaces and addresses, in a real namespace.

mod segment;

use std::net::IpAddr;

use caribe_network::{AddressOutcome, AssignedAddress, FloatingSpec, Network, NetworkError};
use segment::{Segment, inside};

fn spec(address: &str, prefix: u8, label: Option<&str>) -> FloatingSpec {
    FloatingSpec {
        interface: "eth0".to_owned(),
        address: address.parse().expect("an address"),
        prefix,
        label: label.map(str::to_owned),
    }
}

async fn find(network: &Network, address: &str) -> Option<AssignedAddress> {
    let address: IpAddr = address.parse().expect("an address");
    let all = network.addresses("eth0").await.expect("addresses");
    all.into_iter().find(|each| each.address == address)
}

#[test]
fn an_interface_is_found_by_its_name() {
    let segment = Segment::bare("net-names");
    inside(&segment.ours, async |network| {
        let eth0 = network.interface("eth0").await.expect("eth0");
        assert_eq!((eth0.name.as_str(), eth0.mtu), ("eth0", 1500));
        assert!(eth0.up && eth0.running && !eth0.loopback);
        assert!(eth0.mac.is_some());
        assert_eq!(eth0.xdp, None);

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
    let segment = Segment::bare("net-label");
    inside(&segment.ours, async |network| {
        let vip = spec("192.0.2.80", 24, Some("eth0:1"));
        assert_eq!(
            network.add_address(&vip).await.expect("added"),
            AddressOutcome::Added
        );
        assert_eq!(
            network.add_address(&vip).await.expect("there"),
            AddressOutcome::AlreadyThere
        );
        let found = find(&network, "192.0.2.80").await.expect("on eth0");
        assert_eq!(
            (found.prefix, found.label.as_deref(), found.scope),
            (24, Some("eth0:1"), 0)
        );
        assert!(network.remove_address(&vip).await.expect("removed"));
        assert!(!network.remove_address(&vip).await.expect("gone"));
        assert_eq!(find(&network, "192.0.2.80").await, None);
    });
}

#[test]
fn an_ipv6_address_is_usable_at_once_and_never_chosen_as_a_source() {
    let segment = Segment::bare("net-source");
    let own = "2001:db8::1/64".parse().expect("an address");
    segment.ours.add_address("eth0", own).expect("added");
    inside(&segment.ours, async |network| {
        let vip = spec("2001:db8::80", 128, Some("eth0:1"));
        network.add_address(&vip).await.expect("added");
        let found = find(&network, "2001:db8::80").await.expect("on eth0");
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
    let segment = Segment::bare("net-primary");
    segment
        .ours
        .sysctl("net/ipv4/conf/all/promote_secondaries", "0")
        .expect("set");
    segment
        .ours
        .sysctl("net/ipv4/conf/eth0/promote_secondaries", "0")
        .expect("set");
    inside(&segment.ours, async |network| {
        let vip = spec("192.0.2.80", 24, None);
        let own = spec("192.0.2.1", 24, Some("eth0:own"));
        network.add_address(&vip).await.expect("added");
        network.add_address(&own).await.expect("added");
        assert!(find(&network, "192.0.2.1").await.expect("there").secondary);
        assert!(network.remove_address(&vip).await.expect("removed"));
        let kept = find(&network, "192.0.2.1").await.expect("put back");
        assert_eq!(kept.label.as_deref(), Some("eth0:own"));
    });
}

#[test]
fn impossible_addresses_are_refused_before_the_kernel_sees_them() {
    let segment = Segment::bare("net-refuse");
    inside(&segment.ours, async |network| {
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
