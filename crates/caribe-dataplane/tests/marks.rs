//! Services of firewall marks, on the real kernel: the rules are looked up by the program itself.

mod support;

use std::num::NonZeroU32;

use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::XdpDataplane;
use caribe_dataplane::xdp::probe::Action;
use caribe_model::{
    Family, Forwarding, MarkRule, Netmask, Persistence, Policy, PortRange, Protocol, Scheduler,
    ServiceKey, Table,
};
use support::*;

const VIP: &str = "192.0.2.1";

fn mark(family: Family, number: u32) -> ServiceKey {
    let mark = NonZeroU32::new(number).expect("not zero");
    ServiceKey::Mark { family, mark }
}

fn rule(number: u32, network: &str, protocol: Option<Protocol>, ports: &[(u16, u16)]) -> MarkRule {
    let (address, prefix) = network.split_once('/').expect("a network");
    let ports = ports.iter();
    let ports = ports.map(|(first, last)| PortRange::new(*first, *last).expect("in order"));
    MarkRule {
        mark: NonZeroU32::new(number).expect("not zero"),
        address: address.parse().expect("an address"),
        prefix: prefix.parse().expect("a length"),
        protocol,
        ports: ports.collect(),
    }
}

/// The bundle of HTTP and HTTPS on one server, and a service of an address on another.
fn bundle(rules: Vec<MarkRule>) -> Table {
    let http = format!("{VIP}:80");
    let mut table = table(
        Forwarding::Direct,
        &[
            (mark(Family::V4, 7), Scheduler::Rr, &[("10.0.0.7:0", 1)]),
            (mark(Family::V4, 8), Scheduler::Rr, &[("10.0.0.8:0", 1)]),
            (mark(Family::V6, 7), Scheduler::Rr, &[("[fd00::6]:0", 1)]),
            (tcp(&http), Scheduler::Rr, &[("10.0.0.2:80", 1)]),
        ],
    );
    table.set_marks(rules).expect("legal rules");
    table
}

/// To which server a new connection goes, told by the last byte of its address.
fn goes(dataplane: &XdpDataplane, protocol: Protocol, client_port: u16, to: &str) -> Option<u8> {
    let client = if to.starts_with('[') {
        format!("[2001:db8:f::7]:{client_port}")
    } else {
        format!("198.51.100.7:{client_port}")
    };
    send(dataplane, &frame(protocol, &client, to, SYN))
}

fn https_and_http() -> MarkRule {
    let ports = [(80, 80), (443, 443)];
    rule(7, "192.0.2.1/32", Some(Protocol::Tcp), &ports)
}

#[test]
fn case_120_a_mark_comes_before_an_address() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let table = bundle(vec![https_and_http()]);
    apply(&mut dataplane, &table);
    reach(&mut dataplane, &table);
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    assert_eq!(goes(&dataplane, tcp, 1000, "192.0.2.1:80"), Some(7));
    assert_eq!(goes(&dataplane, tcp, 1001, "192.0.2.1:443"), Some(7));
    assert_eq!(goes(&dataplane, tcp, 1002, "192.0.2.1:444"), None);
    assert_eq!(goes(&dataplane, udp, 1003, "192.0.2.1:443"), None);
    assert_eq!(goes(&dataplane, tcp, 1004, "192.0.2.2:443"), None);
    // The packet's port is kept, as the server has none of its own.
    let live = snapshot(&dataplane);
    let served = live
        .services
        .iter()
        .find(|it| it.key == mark(Family::V4, 7));
    assert_eq!(served.expect("the service").traffic.connections, 2);
    let mut ports: Vec<u16> = dataplane
        .connections()
        .expect("a list")
        .map(|connection| connection.server.port())
        .collect();
    ports.sort_unstable();
    assert_eq!(ports, [80, 443]);
}

#[test]
fn without_rules_a_marks_service_gets_nothing() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let table = bundle(vec![]);
    apply(&mut dataplane, &table);
    reach(&mut dataplane, &table);
    let tcp = Protocol::Tcp;
    assert_eq!(goes(&dataplane, tcp, 1000, "192.0.2.1:80"), Some(2));
    assert_eq!(goes(&dataplane, tcp, 1001, "192.0.2.1:443"), None);
}

#[test]
fn the_last_rule_counts_and_a_mark_of_no_service_is_none() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let rules = vec![
        rule(7, "192.0.2.0/24", None, &[]),
        rule(8, "192.0.2.1/32", Some(Protocol::Tcp), &[(1024, 65535)]),
        rule(99, "192.0.2.1/32", Some(Protocol::Tcp), &[(80, 80)]),
        rule(7, "0.0.0.0/0", Some(Protocol::Udp), &[(53, 53)]),
    ];
    let table = bundle(rules);
    apply(&mut dataplane, &table);
    reach(&mut dataplane, &table);
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let expected = [
        (tcp, "192.0.2.1:1023", Some(7)),
        (tcp, "192.0.2.1:1024", Some(8)),
        (tcp, "192.0.2.1:65535", Some(8)),
        // Mark 99 has no service: the address has one.
        (tcp, "192.0.2.1:80", Some(2)),
        (tcp, "192.0.2.200:2000", Some(7)),
        (udp, "192.0.2.1:2000", Some(7)),
        (udp, "203.0.113.9:53", Some(7)),
        (udp, "203.0.113.9:54", None),
        (tcp, "203.0.113.9:53", None),
    ];
    for (port, (protocol, to, server)) in (1000..).zip(expected) {
        assert_eq!(
            goes(&dataplane, protocol, port, to),
            server,
            "{protocol} {to}"
        );
    }
}

#[test]
fn ipv6_has_marks_of_its_own() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let table = bundle(vec![rule(7, "2001:db8::/64", None, &[(80, 443)])]);
    apply(&mut dataplane, &table);
    reach(&mut dataplane, &table);
    let tcp = Protocol::Tcp;
    assert_eq!(goes(&dataplane, tcp, 1000, "[2001:db8::1]:443"), Some(6));
    assert_eq!(goes(&dataplane, tcp, 1001, "[2001:db8::1]:444"), None);
    assert_eq!(goes(&dataplane, tcp, 1002, "[2001:db8:1::1]:80"), None);
    assert_eq!(goes(&dataplane, tcp, 1003, "192.0.2.1:80"), Some(2));
}

#[test]
fn rules_are_replaced_and_outlive_a_director() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let first = bundle(vec![https_and_http()]);
    apply(&mut dataplane, &first);
    reach(&mut dataplane, &first);
    let tcp = Protocol::Tcp;
    for round in 0..4 {
        let port = 100 + round;
        let rules = vec![rule(8, "192.0.2.1/32", Some(tcp), &[(port, port)])];
        apply(&mut dataplane, &bundle(rules));
        let client = 2000 + round * 10;
        assert_eq!(
            goes(&dataplane, tcp, client, &format!("{VIP}:{port}")),
            Some(8)
        );
        assert_eq!(goes(&dataplane, tcp, client + 1, "192.0.2.1:443"), None);
        let before = format!("{VIP}:{}", port - 1);
        assert_eq!(goes(&dataplane, tcp, client + 2, &before), None);
    }

    // Killed; the rules stay until the next director has its own.
    drop(dataplane);
    let mut dataplane = XdpDataplane::open(&private.options()).expect("adopted");
    assert!(dataplane.adopted());
    assert_eq!(goes(&dataplane, tcp, 3000, "192.0.2.1:103"), Some(8));
    let none = bundle(vec![]);
    let applied = dataplane.apply(&none).expect("applied");
    assert_eq!(applied.changes, 1, "the rules that were found are replaced");
    assert_eq!(goes(&dataplane, tcp, 3001, "192.0.2.1:103"), None);
    assert_eq!(dataplane.apply(&none).expect("applied").changes, 0);
}

#[test]
fn case_112_a_client_has_one_server_on_every_port_of_a_mark() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let key = mark(Family::V4, 7);
    let servers: &[(&str, u32)] = &[("10.0.0.2:0", 1), ("10.0.0.3:0", 1), ("10.0.0.4:0", 1)];
    let plain = table(Forwarding::Direct, &[(key, Scheduler::Rr, servers)]);
    let service = caribe_model::Service {
        persistence: Some(Persistence {
            timeout: 60,
            netmask: Netmask::host(Family::V4),
        }),
        ..plain.service(&key).expect("it is there").clone()
    };
    let mut table = Table::default();
    table.insert(key, service).expect("legal");
    table.set_marks(vec![https_and_http()]).expect("legal");
    apply(&mut dataplane, &table);
    let tcp = Protocol::Tcp;
    let first = goes(&dataplane, tcp, 1000, "192.0.2.1:80").expect("a server");
    for (port, to) in [
        (1001, "192.0.2.1:443"),
        (1002, "192.0.2.1:80"),
        (1003, "192.0.2.1:443"),
    ] {
        assert_eq!(goes(&dataplane, tcp, port, to), Some(first), "{to}");
    }
    let other = frame(tcp, "198.51.100.8:1000", "192.0.2.1:443", SYN);
    assert_ne!(send(&dataplane, &other), Some(first), "another client");
}

#[test]
fn case_126_with_cache_bypass_what_no_server_can_take_goes_where_it_was_going() {
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    let key = mark(Family::V4, 7);
    let plain = table(Forwarding::Direct, &[(key, Scheduler::Rr, &[])]);
    for cache_bypass in [false, true] {
        let service = caribe_model::Service {
            policy: Policy {
                cache_bypass,
                ..Policy::default()
            },
            ..plain.service(&key).expect("it is there").clone()
        };
        let mut table = Table::default();
        table.insert(key, service).expect("legal");
        table.set_marks(vec![https_and_http()]).expect("legal");
        apply(&mut dataplane, &table);
        let packet = frame(Protocol::Tcp, "198.51.100.7:9", "192.0.2.1:443", SYN);
        let outcome = dataplane.probe(&packet, None).expect("probe");
        if cache_bypass {
            assert_eq!(outcome.action, Action::Pass);
            assert_eq!(outcome.frame, packet, "as it came");
        } else {
            assert_eq!(outcome.action, Action::Transmit, "an ICMP error");
        }
    }
    assert_eq!(dataplane.connections().expect("a list").count(), 0);
}
