//! Plans from made-up systems.

use std::collections::BTreeMap;
use std::net::IpAddr;

use caribe_model::MacAddress;
use caribe_network::{AssignedAddress, AttachedXdp, Interface};

use super::*;
use crate::facts::Decapsulator;
use crate::request::{ArpMode, Method};
use crate::setting::relevant;
use crate::status::status;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn request(method: Method, arp: ArpMode) -> Request {
    Request {
        vips: BTreeMap::from([(ip("192.0.2.80"), method), (ip("2001:db8::80"), method)]),
        interface: "eth0".to_owned(),
        arp,
    }
}

fn assigned(address: &str, prefix: u8) -> AssignedAddress {
    AssignedAddress {
        address: ip(address),
        prefix,
        label: None,
        secondary: false,
        unusable: false,
        scope: 0,
    }
}

/// A machine fresh from its installation.
fn fresh() -> Facts {
    Facts {
        interface: Some(Interface {
            index: 2,
            name: "eth0".to_owned(),
            mac: Some(MacAddress([2, 0, 0, 0, 0, 2])),
            mtu: 1500,
            up: true,
            running: true,
            loopback: false,
            xdp: None,
        }),
        addresses: BTreeMap::from([
            ("lo".to_owned(), vec![assigned("127.0.0.1", 8)]),
            (
                "eth0".to_owned(),
                vec![assigned("192.0.2.2", 24), assigned("2001:db8::2", 64)],
            ),
        ]),
        settings: relevant("eth0")
            .into_iter()
            .map(|setting| (setting, 0))
            .collect(),
        ..Facts::default()
    }
}

/// The system after the steps, as far as they show in the facts.
fn after(mut facts: Facts, actions: &[Action]) -> Facts {
    for action in actions {
        match action.clone() {
            Action::Set { setting, to, .. } => {
                facts.settings.insert(setting, to);
            }
            Action::ArpRules { rules, .. } => facts.arp_rules = Some(rules),
            Action::Attach { .. } => {
                facts.decapsulator = Some(Decapsulator {
                    program: 7,
                    ..Decapsulator::default()
                });
                let interface = facts.interface.as_mut().expect("an interface");
                interface.xdp = Some(AttachedXdp {
                    program: 7,
                    native: true,
                });
            }
            Action::Decapsulate { vip } => {
                let program = facts.decapsulator.as_mut().expect("attached before");
                program.vips.insert(vip);
            }
            Action::AddAddress { interface, vip } => {
                let addresses = facts.addresses.entry(interface).or_default();
                addresses.push(assigned(&vip.to_string(), prefix(vip)));
            }
        }
    }
    facts
}

#[test]
fn a_plan_puts_everything_in_place_and_the_next_one_is_empty() {
    for method in [Method::Direct, Method::Tunnel] {
        for arp in [ArpMode::Sysctl, ArpMode::Nftables] {
            for rp_filter in [0, 1, 2] {
                let request = request(method, arp);
                let mut facts = fresh();
                for (setting, value) in &mut facts.settings {
                    if setting.key == Key::RpFilter {
                        *value = rp_filter;
                    }
                }
                assert!(!status(&request, &facts).in_place);
                let actions = plan(&request, &facts).expect("nothing speaks against it");
                let facts = after(facts, &actions);
                let status = status(&request, &facts);
                assert!(status.in_place, "{}", status.to_text());
                assert_eq!(plan(&request, &facts), Ok(vec![]), "{request:?}");
            }
        }
    }
}

#[test]
fn addresses_come_last() {
    let actions = plan(&request(Method::Tunnel, ArpMode::Sysctl), &fresh()).expect("a plan");
    let first = actions
        .iter()
        .position(|action| matches!(action, Action::AddAddress { .. }))
        .expect("an address");
    assert!(
        actions[first..]
            .iter()
            .all(|action| matches!(action, Action::AddAddress { .. })),
        "{actions:?}"
    );
    assert_eq!(actions.len() - first, 2);
}

#[test]
fn only_what_is_unfit_is_changed() {
    let mut facts = fresh();
    let all = |key| Setting {
        key,
        scope: Scope::All,
    };
    // 3 would answer for a global address on `lo`.
    facts.settings.insert(all(Key::ArpIgnore), 3);
    facts.settings.insert(all(Key::ArpAnnounce), 2);
    let request = request(Method::Direct, ArpMode::Sysctl);
    let actions = plan(&request, &facts).expect("a plan");
    let changed: Vec<_> = actions
        .iter()
        .filter_map(|action| match action {
            Action::Set { setting, from, to } => Some((setting.to_string(), *from, *to)),
            _ => None,
        })
        .collect();
    assert_eq!(
        changed,
        [
            ("net.ipv4.conf.all.arp_ignore".to_owned(), 3, 1),
            ("net.ipv4.conf.eth0.arp_ignore".to_owned(), 0, 1),
        ]
    );
}

#[test]
fn an_ipv6_vip_alone_touches_no_arp_setting() {
    let request = Request {
        vips: BTreeMap::from([(ip("2001:db8::80"), Method::Direct)]),
        ..request(Method::Direct, ArpMode::Sysctl)
    };
    let expected = Action::AddAddress {
        interface: "lo".to_owned(),
        vip: ip("2001:db8::80"),
    };
    assert_eq!(plan(&request, &fresh()), Ok(vec![expected]));
}

#[test]
fn a_mask_by_an_address_that_changed_is_replaced() {
    let std::net::IpAddr::V4(vip) = ip("192.0.2.80") else {
        panic!("an IPv4 address");
    };
    let old = vec![
        ArpRule::Ignore { vip },
        ArpRule::Mask {
            vip,
            own: [192, 0, 2, 9].into(),
        },
    ];
    let mut facts = fresh();
    facts.arp_rules = Some(old.clone());
    let actions = plan(&request(Method::Direct, ArpMode::Nftables), &facts).expect("a plan");
    let expected = Action::ArpRules {
        before: Some(old),
        rules: vec![
            ArpRule::Ignore { vip },
            ArpRule::Mask {
                vip,
                own: [192, 0, 2, 2].into(),
            },
        ],
    };
    assert_eq!(actions[0], expected);
}

#[test]
fn every_reason_against_a_request_is_given_at_once() {
    let mut facts = fresh();
    facts.gateways.insert(ip("192.0.2.80"));
    facts.interface.as_mut().expect("an interface").up = false;
    let addresses = facts.addresses.get_mut("eth0").expect("eth0");
    addresses.push(assigned("2001:db8::80", 64));
    let refused = plan(&request(Method::Direct, ArpMode::Sysctl), &facts);
    assert_eq!(
        refused,
        Err(vec![
            Refusal::Down {
                interface: "eth0".to_owned()
            },
            Refusal::Gateway {
                vip: ip("192.0.2.80")
            },
            Refusal::OnInterface {
                vip: ip("2001:db8::80"),
                interface: "eth0".to_owned()
            },
        ])
    );
}

#[test]
fn nothing_that_cannot_be_a_vip_becomes_one() {
    for address in [
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "224.0.0.18",
        "255.255.255.255",
        "240.0.0.1",
        "169.254.1.1",
        "::",
        "::1",
        "ff02::1",
        "fe80::1",
        "::ffff:192.0.2.80",
    ] {
        let request = Request {
            vips: BTreeMap::from([(ip(address), Method::Direct)]),
            ..request(Method::Direct, ArpMode::Sysctl)
        };
        let refused = plan(&request, &fresh()).expect_err(address);
        assert!(
            matches!(refused.as_slice(), [Refusal::NotAVip { .. }]),
            "{address}: {refused:?}"
        );
    }
}
