use std::num::NonZeroU32;

use caribe_dataplane::Traffic;
use caribe_model::{Family, Forwarding, Scheduler, SchedulerOptions};

use super::*;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn service(key: ServiceKey, scheduler: Scheduler, servers: Vec<LiveServer>) -> LiveService {
    LiveService {
        key,
        scheduler,
        options: SchedulerOptions::IPVS,
        servers,
        traffic: Traffic::default(),
    }
}

fn at(protocol: Protocol, place: &str) -> ServiceKey {
    let place: SocketAddr = place.parse().expect("address and port");
    ServiceKey::Address {
        protocol,
        address: place.ip(),
        port: place.port(),
    }
}

fn server(place: &str, forwarding: Forwarding, weight: u32) -> LiveServer {
    let place: SocketAddr = place.parse().expect("address and port");
    LiveServer {
        key: ServerKey {
            address: place.ip(),
            port: place.port(),
        },
        forwarding,
        weight,
        active: 3,
        inactive: 7,
        traffic: Traffic::default(),
        next_hop: None,
    }
}

fn mark(mark: u32, family: Family) -> ServiceKey {
    ServiceKey::Mark {
        family,
        mark: NonZeroU32::new(mark).expect("not zero"),
    }
}

fn snapshot(services: Vec<LiveService>) -> Snapshot {
    Snapshot {
        services,
        ..Snapshot::default()
    }
}

fn numeric(services: Vec<LiveService>) -> String {
    listing(&snapshot(services), None, &Numeric).expect("a whole listing")
}

/// What a real ipvsadm 1.31 printed for such a table; `$` stands for the end of a line, because
/// the blanks before it are real.
#[test]
fn as_ipvsadm_prints_it_byte_for_byte() {
    use Forwarding::{Direct, Nat, Tunnel};
    let text = numeric(vec![
        service(
            mark(8, Family::V6),
            Scheduler::Wrr,
            vec![server("[2001:db8::10]:0", Direct, 1)],
        ),
        service(
            mark(7, Family::V4),
            Scheduler::Wrr,
            vec![server("10.3.0.1:0", Direct, 1)],
        ),
        service(
            at(Protocol::Tcp, "[2001:db8::80]:80"),
            Scheduler::Lc,
            vec![server("[2001:db8::a0a0]:80", Nat, 3)],
        ),
        service(at(Protocol::Udp, "10.0.0.60:5060"), Scheduler::Rr, vec![]),
        service(
            at(Protocol::Udp, "10.0.0.53:53"),
            Scheduler::Wlc,
            vec![server("10.1.1.1:53", Direct, 0)],
        ),
        service(
            at(Protocol::Tcp, "10.0.0.5:443"),
            Scheduler::Rr,
            vec![server("10.2.0.9:443", Tunnel, 10)],
        ),
        service(
            at(Protocol::Tcp, "207.175.44.110:80"),
            Scheduler::Rr,
            vec![
                server("192.168.10.2:8080", Nat, 5),
                server("192.168.10.1:80", Nat, 1),
            ],
        ),
    ]);
    let expected = "\
IP Virtual Server version 1.2.1 (size=4096)$
Prot LocalAddress:Port Scheduler Flags$
  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn$
TCP  207.175.44.110:80 rr$
  -> 192.168.10.1:80              Masq    1      3          7         $
  -> 192.168.10.2:8080            Masq    5      3          7         $
TCP  10.0.0.5:443 rr$
  -> 10.2.0.9:443                 Tunnel  10     3          7         $
UDP  10.0.0.53:53 wlc$
  -> 10.1.1.1:53                  Route   0      3          7         $
UDP  10.0.0.60:5060 rr$
TCP  [2001:db8::80]:80 lc$
  -> [2001:db8::a0a0]:80          Masq    3      3          7         $
FWM  7 wrr$
  -> 10.3.0.1:0                   Route   1      3          7         $
FWM  8 IPv6 wrr$
  -> [2001:db8::10]:0             Route   1      3          7         $
";
    assert_eq!(text, expected.replace('$', ""));
}

#[test]
fn an_empty_table_is_its_headers() {
    assert_eq!(
        numeric(vec![]),
        "IP Virtual Server version 1.2.1 (size=4096)\n\
         Prot LocalAddress:Port Scheduler Flags\n  \
         -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n"
    );
}

#[test]
fn one_service_comes_without_the_version() {
    let key = at(Protocol::Tcp, "10.0.0.1:80");
    let other = at(Protocol::Tcp, "10.0.0.2:80");
    let snapshot = snapshot(vec![service(key, Scheduler::Rr, vec![])]);
    assert_eq!(
        listing(&snapshot, Some(&key), &Numeric).expect("it is there"),
        "Prot LocalAddress:Port Scheduler Flags\n  \
         -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
         TCP  10.0.0.1:80 rr\n"
    );
    assert_eq!(listing(&snapshot, Some(&other), &Numeric), None);
}

#[test]
fn addresses_half_the_range_apart_come_in_wrapped_order() {
    let order: Vec<_> = merge_sort(
        vec![address("1.1.1.1"), address("223.255.255.254")],
        |a, b| compare_words(words(*a), words(*b)),
    );
    assert_eq!(order, [address("223.255.255.254"), address("1.1.1.1")]);
}

#[test]
fn an_intransitive_set_is_sorted_somehow_and_complete() {
    let mut all = Vec::new();
    for step in 0u32..300 {
        all.push(step.wrapping_mul(0x9e37_79b9));
    }
    let mut sorted = merge_sort(all.clone(), |a, b| wrapping(*a, *b));
    sorted.sort_unstable();
    all.sort_unstable();
    assert_eq!(sorted, all);
}

#[test]
fn ports_order_servers_of_one_address() {
    let text = numeric(vec![service(
        at(Protocol::Tcp, "10.0.0.1:80"),
        Scheduler::Rr,
        vec![
            server("10.0.0.9:8081", Forwarding::Nat, 1),
            server("10.0.0.9:8080", Forwarding::Nat, 1),
        ],
    )]);
    let first = text.find(":8080").expect("listed");
    let second = text.find(":8081").expect("listed");
    assert!(first < second, "{text}");
}

#[test]
fn long_ipv6_names_push_the_columns_aside() {
    let text = numeric(vec![service(
        at(Protocol::Tcp, "[2001:db8:1111:2222:3333:4444:5555:6666]:80"),
        Scheduler::Rr,
        vec![server(
            "[2001:db8:1111:2222:3333:4444:5555:7777]:8080",
            Forwarding::Direct,
            1,
        )],
    )]);
    assert!(text.ends_with(
        "TCP  [2001:db8:1111:2222:3333:4444:5555:6666]:80 rr\n  \
         -> [2001:db8:1111:2222:3333:4444:5555:7777]:8080 Route   1      3          7         \n"
    ));
}

struct Database;

impl Names for Database {
    fn host(&self, host: IpAddr) -> Option<String> {
        (host == address("10.0.0.1"))
            .then(|| "a-very-long-host-name.department.example.com".to_owned())
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<String> {
        (protocol == Protocol::Tcp && port == 80).then(|| "http".to_owned())
    }
}

#[test]
fn names_are_cut_to_the_columns_of_ipv4() {
    let snapshot = snapshot(vec![service(
        at(Protocol::Tcp, "10.0.0.1:80"),
        Scheduler::Rr,
        vec![
            server("10.0.0.1:80", Forwarding::Nat, 1),
            server("10.0.0.2:80", Forwarding::Nat, 1),
            server("10.0.0.3:8080", Forwarding::Nat, 1),
        ],
    )]);
    let text = listing(&snapshot, None, &Database).expect("a whole listing");
    assert!(
        text.ends_with(
            "TCP  a-very-long-host-name.depart rr\n  \
             -> a-very-long-host-name.depart Masq    1      3          7         \n  \
             -> 10.0.0.2:http                Masq    1      3          7         \n  \
             -> 10.0.0.3:8080                Masq    1      3          7         \n"
        ),
        "{text}"
    );
}

#[test]
fn servers_of_a_mark_keep_their_port_as_a_number() {
    let snapshot = snapshot(vec![service(
        mark(1, Family::V4),
        Scheduler::Rr,
        vec![server("10.0.0.2:80", Forwarding::Nat, 1)],
    )]);
    let text = listing(&snapshot, None, &Database).expect("a whole listing");
    assert!(text.contains("  -> 10.0.0.2:80  "), "{text}");
}
