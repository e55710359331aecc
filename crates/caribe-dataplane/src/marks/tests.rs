//! Rules resolved, against asking every rule of every packet.

use std::num::NonZeroU32;

use caribe_model::PortRange;
use proptest::prelude::*;

use super::*;

fn rule(network: &str, prefix: u8, protocol: Option<Protocol>, ports: &[(u16, u16)]) -> MarkRule {
    MarkRule {
        mark: NonZeroU32::MIN,
        address: network.parse().expect("an address"),
        prefix,
        protocol,
        ports: ports
            .iter()
            .map(|(first, last)| PortRange::new(*first, *last).expect("in order"))
            .collect(),
    }
}

fn marked(mark: u32, rule: MarkRule) -> MarkRule {
    MarkRule {
        mark: NonZeroU32::new(mark).expect("not zero"),
        ..rule
    }
}

/// The mark as a layout has it: the longest network, then the interval.
fn by_layout(layout: &Layout, to: IpAddr, protocol: Protocol, port: u16) -> u32 {
    let networks = layout.0.iter().filter(|network| {
        network.protocol == protocol
            && Family::from(network.address) == Family::from(to)
            && first(to, network.prefix) == network.address
    });
    let Some(network) = networks.max_by_key(|network| network.prefix) else {
        return 0;
    };
    let intervals = network.intervals.iter();
    let mut before = intervals.filter(|interval| interval.first() <= u32::from(port));
    before.next_back().expect("the first begins at 0").mark()
}

/// The mark as netfilter would set it.
fn by_rules(rules: &[MarkRule], to: IpAddr, protocol: Protocol, port: u16) -> u32 {
    let mut matching = rules.iter().filter(|rule| {
        rule.family() == Family::from(to)
            && first(to, rule.prefix) == first(rule.address, rule.prefix)
            && rule.protocol.is_none_or(|own| own == protocol)
            && (rule.ports.is_empty()
                || rule
                    .ports
                    .iter()
                    .any(|range| (range.first()..=range.last()).contains(&port)))
    });
    matching.next_back().map_or(0, |rule| rule.mark.get())
}

#[test]
fn a_bundle_of_two_ports_is_five_intervals() {
    let bundle = marked(
        80,
        rule(
            "192.0.2.1",
            32,
            Some(Protocol::Tcp),
            &[(80, 80), (443, 443)],
        ),
    );
    let layout = Layout::of(&[bundle]).expect("there is room");
    let tcp = &layout.0[0];
    let ports: Vec<(u32, u32)> = tcp
        .intervals
        .iter()
        .map(|interval| (interval.first(), interval.mark()))
        .collect();
    assert_eq!(ports, [(0, 0), (80, 80), (81, 0), (443, 80), (444, 0)]);
}

#[test]
fn the_last_port_ends_no_interval() {
    let high = marked(7, rule("192.0.2.1", 32, None, &[(1024, 65535)]));
    let layout = Layout::of(&[high]).expect("there is room");
    let to = "192.0.2.1".parse().expect("an address");
    for (port, mark) in [(1023, 0), (1024, 7), (65535, 7)] {
        assert_eq!(by_layout(&layout, to, Protocol::Udp, port), mark);
    }
}

#[test]
fn no_rules_are_no_networks() {
    assert_eq!(Layout::of(&[]), Ok(Layout::default()));
}

#[test]
fn what_there_is_no_room_for_is_refused() {
    // Every other port alone, in two networks and for three protocols.
    let ports: Vec<(u16, u16)> = (0..10_000).map(|port| (port * 2, port * 2)).collect();
    let rules = ["192.0.2.1", "192.0.2.2"].map(|address| rule(address, 32, None, &ports));
    let refused = Layout::of(&rules).expect_err("too many");
    assert_eq!(refused.room, INTERVALS as usize);
    assert!(refused.needed > refused.room);
}

fn any_rule() -> impl Strategy<Value = MarkRule> {
    let network = prop_oneof![
        (0u8..4, 28u8..=32).prop_map(|(host, prefix)| (format!("192.0.2.{host}"), prefix)),
        Just(("0.0.0.0".to_owned(), 0u8)),
        (0u8..4, 124u8..=128).prop_map(|(host, prefix)| (format!("2001:db8::{host}"), prefix)),
        Just(("::".to_owned(), 0u8)),
    ];
    let protocol = prop_oneof![
        Just(None),
        Just(Some(Protocol::Tcp)),
        Just(Some(Protocol::Udp))
    ];
    let range = (0u16..6, 0u16..6).prop_map(|(first, more)| {
        let edges = [0u16, 1, 2, 80, 65533, 65534, 65535];
        let first = edges[usize::from(first)];
        (first, first.saturating_add(more))
    });
    let ports = prop::collection::vec(range, 0..3);
    (1u32..4, network, protocol, ports).prop_map(|(mark, (network, prefix), protocol, ports)| {
        marked(mark, rule(&network, prefix, protocol, &ports))
    })
}

proptest! {
    #[test]
    fn a_layout_marks_as_its_rules_do(rules in prop::collection::vec(any_rule(), 0..8)) {
        let layout = Layout::of(&rules).expect("there is room");
        for to in ["192.0.2.0", "192.0.2.3", "192.0.2.200", "10.0.0.1", "2001:db8::2", "2001::1"] {
            let to: IpAddr = to.parse().expect("an address");
            for protocol in [Protocol::Tcp, Protocol::Udp, Protocol::Sctp] {
                for port in [0, 1, 2, 3, 5, 79, 80, 81, 85, 86, 65532, 65533, 65534, 65535] {
                    let expected = by_rules(&rules, to, protocol, port);
                    prop_assert_eq!(by_layout(&layout, to, protocol, port), expected);
                }
            }
        }
    }
}
