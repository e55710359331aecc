use std::collections::BTreeMap;
use std::net::IpAddr;

use caribe_dataplane::{LiveInterface, Traffic};
use caribe_health::Order;
use caribe_health::probe::{Code, Text};
use caribe_model::{Forwarding, MacAddress, NextHop, Protocol, Scheduler, ServiceKey};

use super::*;
use crate::{
    AddressStatus, ConfigurationStatus, ConnectionsStatus, DataplaneStatus, MonitorStatus,
    ProbeStatus, QuorumStatus, StandingOrder, TableStatus, TrafficRates, WatchStatus,
};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn server(name: &str, place: &str, state: ServerState) -> ServerStatus {
    let serving = state == ServerState::Up;
    ServerStatus {
        name: name.to_owned(),
        address: address(place),
        port: 8080,
        forwarding: Forwarding::Nat,
        state,
        since_seconds: 125,
        reason: (!serving).then(|| format!("CONNECT to {place}:8080 timed out after 6 s")),
        configured_weight: 100,
        weight: serving.then_some(100),
        active: 3,
        inactive: 17,
        traffic: Traffic::default(),
        rates: TrafficRates {
            connections: 12,
            packets_in: 100,
            bytes_in: 123_456,
            packets_out: 80,
            bytes_out: 0,
        },
        next_hop: serving.then_some(NextHop {
            interface: 2,
            source_mac: MacAddress::default(),
            destination_mac: MacAddress::default(),
            source_address: address("10.0.0.254"),
            mtu: 1500,
        }),
        watch: WatchStatus::default(),
    }
}

fn status() -> Status {
    Status {
        version: "0.1.0".to_owned(),
        phase: Phase::Running,
        running_seconds: 7_260,
        configuration: ConfigurationStatus {
            file: "/etc/caribe/lvs.cf".to_owned(),
            serial_no: 12,
            loaded_seconds_ago: 59,
            reloads: 1,
            refused: vec!["lvs.cf:3:1: error: unknown key `prot`".to_owned()],
        },
        overrides: vec!["TCP 192.0.2.1:80: removed".to_owned()],
        draining: vec![],
        abandoned_connections: 0,
        dataplane: DataplaneStatus {
            adopted: true,
            problem: None,
            interfaces: vec![
                LiveInterface {
                    name: "eth0".to_owned(),
                    index: 2,
                    mode: "native".to_owned(),
                },
                LiveInterface {
                    name: "eth1".to_owned(),
                    index: 3,
                    mode: "generic".to_owned(),
                },
            ],
            table: TableStatus {
                services: 1,
                services_capacity: 1_024,
                servers: 3,
                servers_capacity: 16_384,
                memory_bytes: 150_000_000,
            },
            connections: ConnectionsStatus {
                alive: 20,
                capacity: 1_048_576,
                memory_bytes: 134_217_728,
            },
            verdicts: BTreeMap::from([
                ("forwarded".to_owned(), 1000),
                ("dropped_for_a_reason_that_never_was".to_owned(), 0),
                ("passed_not_ours".to_owned(), 7),
            ]),
        },
        addresses: vec![AddressStatus {
            address: address("192.0.2.1"),
            prefix: 24,
            interface: "eth0".to_owned(),
            label: "eth0:1".to_owned(),
            present: true,
            own: true,
            problem: None,
        }],
        services: vec![ServiceStatus {
            name: "shop".to_owned(),
            key: ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: address("192.0.2.1"),
                port: 80,
            },
            scheduler: Scheduler::Wlc,
            traffic: Traffic {
                connections: 4_242,
                ..Traffic::default()
            },
            rates: TrafficRates::default(),
            quorum: QuorumStatus::default(),
            servers: vec![
                server("web1", "10.0.0.1", ServerState::Up),
                server("web2", "10.0.0.2", ServerState::Down),
            ],
        }],
    }
}

fn text(status: &Status) -> String {
    let now = 1_800_000_000;
    StatusText { status, now }.to_string()
}

#[test]
fn everything_an_operator_asks_is_on_one_page() {
    let expected = "\
director 0.1.0 running, started 2h1m ago
configuration /etc/caribe/lvs.cf, serial_no 12, loaded 59s ago
  ! the file as it is now was refused; the configuration above is still in force:
    lvs.cf:3:1: error: unknown key `prot`
  ! changed by hand, with ipvsadm:
    TCP 192.0.2.1:80: removed
data plane XDP on eth0 (native), eth1 (generic), adopted
connections 20 of 1048576, table of 134MB
room for 1024 services (1 used) and 16384 servers (3 used), 150MB in all
address 192.0.2.1/24 on eth0:1

shop TCP 192.0.2.1:80 (wlc): 4242 connections, 0/s, 0/s packets in, 0/s out, 0B/s in, 0B/s out
  server  address        method  state  for   check  flaps    weight  active  inactive  conn/s  pkt/s   B/s
  web1    10.0.0.1:8080  nat     up     2m5s  -          0       100       3        17      12    180  123k
  web2    10.0.0.2:8080  nat     down   2m5s  -          0  - of 100       3        17      12    180  123k
  ! web2: CONNECT to 10.0.0.2:8080 timed out after 6 s
  ! web2: the way to 10.0.0.2 is not known (no route, or no MAC address): nothing is sent there

packets 1007
  forwarded        1000
  passed_not_ours  7
";
    assert_eq!(text(&status()), expected);
}

#[test]
fn what_needs_attention_is_said_in_words() {
    let mut status = status();
    let monitor = |name: &str, passed, code, text: &str, latency_us| MonitorStatus {
        name: name.into(),
        passed: Some(passed),
        advises: false,
        since_seconds: 61,
        last: Some(ProbeStatus {
            code,
            text: Text::new(text),
            latency_us,
        }),
    };
    let servers = &mut status.services[0].servers;
    servers[0].watch = WatchStatus {
        monitors: vec![
            monitor("tcp", true, Code::L4Ok, "takes connections", 350),
            monitor("http", true, Code::L7Ok, "status 200 (OK)", 2_700),
        ],
        flaps: 4,
        climbing: true,
        ..WatchStatus::default()
    };
    servers[1].reason = Some("http: L7STS: status 500".to_owned());
    servers[1].next_hop = servers[0].next_hop;
    servers[1].watch = WatchStatus {
        monitors: vec![
            monitor("tcp", true, Code::L4Ok, "takes connections", 900_000),
            monitor("http", false, Code::L7Status, "status 500", 1_250_000),
            monitor(
                "http-2",
                false,
                Code::L4Timeout,
                "CONNECT timed out",
                2_000_000,
            ),
        ],
        flaps: 1,
        kept: true,
        order: Some(StandingOrder {
            order: Order::Weight(5),
            by: "ann (uid 1000)".to_owned(),
            given: 1_800_000_000 - 7_200,
        }),
        wish: Some("drain".to_owned()),
        ..WatchStatus::default()
    };
    let text = text(&status);
    let expected = "\
  server  address        method  state  for   check        flaps    weight  active  inactive  conn/s  pkt/s   B/s
  web1    10.0.0.1:8080  nat     up     2m5s  L7OK 2ms         4       100       3        17      12    180  123k
  web2    10.0.0.2:8080  nat     down   2m5s  L4TOUT 2.0s      1  - of 100       3        17      12    180  123k
  web1: climbs to its weight after a recovery
  ! web2: weight 5, ordered by ann (uid 1000), 2h0m ago
  ! web2: has failed, and serves all the same: too few would be left (keep_below)
  ! web2: http has failed for 1m1s: L7STS: status 500 (1.2s)
  ! web2: http-2 has failed for 1m1s: L4TOUT: CONNECT timed out (2.0s)
  ! web2: its agent wants drain
";
    assert!(text.contains(expected), "{text}");
}

#[test]
fn the_document_survives_its_way_through_json() {
    let status = status();
    let json = serde_json::to_string(&status).expect("serializable");
    let back: Status = serde_json::from_str(&json).expect("the same document");
    assert_eq!(back, status);
}

#[test]
fn large_numbers_and_times_are_short() {
    let large = |number| Large(number).to_string();
    assert_eq!(
        [
            large(99_999),
            large(100_000),
            large(100_000_000),
            large(u64::MAX)
        ],
        ["99999", "100k", "100M", "18446744073G"]
    );
    let ago = |seconds| Ago(seconds).to_string();
    assert_eq!(
        [ago(0), ago(61), ago(3_600), ago(90_000)],
        ["0s", "1m1s", "1h0m", "1d1h"]
    );
}
