//! Probes addressed to a VIP that is an address of the prober's own machine, and led to one server.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use caribe_health::Clock;
use caribe_health::path::{DataPath, Ways};
use caribe_health::probe::{Check, Code, Finding, Prober, Target, Through};
use caribe_lab::{Host, Lab, Nginx, Port, UdpEcho};
use caribe_model::{Encapsulation, Forwarding, MacAddress, NextHop};
use tokio::runtime;
use tokio::sync::watch;

use crate::bed::{AMPLE, START, assert_says, check, socket};
use crate::web::{EXPIRED, SECURE, Web};
use crate::{dns, grpc, smtp};

const VIPS: [&str; 2] = ["10.9.0.200", "fd00:9::200"];
const DIRECTORS: [&str; 2] = ["10.9.0.1", "fd00:9::1"];

/// A director with the VIPs, and servers of which some have them too.
struct Net {
    director: Host,
    servers: Vec<Host>,
    _lab: Lab,
}

fn server(number: usize, v6: bool) -> IpAddr {
    let text = if v6 {
        format!("fd00:9::1{number}")
    } else {
        format!("10.9.0.1{number}")
    };
    text.parse().expect("an address")
}

fn net(name: &str) -> Net {
    let mut lab = Lab::new(name).expect("a lab");
    let lan = lab.switch("lan").expect("a switch");
    let director = lab.host("director").expect("a host");
    let mut port = Port::new("eth0");
    for address in [DIRECTORS, VIPS].concat() {
        let prefix = if address.contains(':') { 64 } else { 24 };
        port = port.address(format!("{address}/{prefix}"));
    }
    director.connect(&lan, port).expect("connected");
    let servers = [1, 2].map(|number| {
        let host = lab.host(&format!("server{number}")).expect("a host");
        let port = Port::new("eth0")
            .address(format!("{}/24", server(number, false)))
            .address(format!("{}/64", server(number, true)));
        host.connect(&lan, port).expect("connected");
        for v6 in [false, true] {
            director
                .wait_until_pings(server(number, v6), START)
                .expect("in reach");
        }
        // What a server answers while it does not know the way back may be lost, and a datagram
        // is sent once only.
        for address in [DIRECTORS, VIPS].concat() {
            let address = address.parse().expect("an address");
            host.wait_until_pings(address, START).expect("in reach");
        }
        host
    });
    for host in &servers {
        host.sysctl("net/ipv4/conf/all/arp_ignore", "1")
            .expect("set");
        host.sysctl("net/ipv4/conf/all/arp_announce", "2")
            .expect("set");
    }
    Net {
        director,
        servers: servers.into(),
        _lab: lab,
    }
}

impl Net {
    /// Lets a server accept both VIPs, as direct routing needs.
    fn accept(&self, number: usize) {
        for (vip, prefix) in VIPS.into_iter().zip([32, 128]) {
            let net = format!("{vip}/{prefix}").parse().expect("a network");
            let host = &self.servers[number - 1];
            host.add_address("lo", net).expect("the VIP is there");
        }
    }

    /// The way to a server, as the director's watcher would tell it.
    fn hop(&self, number: usize, v6: bool) -> NextHop {
        let mac = |host: &Host| {
            let mac = host.interface("eth0").expect("eth0").mac;
            MacAddress(mac.try_into().expect("an Ethernet address"))
        };
        NextHop {
            interface: self.director.interface("eth0").expect("eth0").index,
            source_mac: mac(&self.director),
            destination_mac: mac(&self.servers[number - 1]),
            source_address: DIRECTORS[usize::from(v6)].parse().expect("an address"),
            mtu: 1500,
        }
    }

    /// Probes from the director, all at once, with the ways to all servers known.
    fn look(&self, probes: &[(Check, Target)], limit: Duration) -> Vec<Finding> {
        let mut ways = Ways::new();
        for (number, v6) in [(1, false), (1, true), (2, false), (2, true)] {
            ways.insert(server(number, v6), self.hop(number, v6));
        }
        let looking = async {
            let (_known, ways) = watch::channel(ways);
            let path = DataPath::start(Clock::start(), ways).await.expect("a path");
            let mut tasks = Vec::new();
            for (check, target) in probes.iter().cloned() {
                let path = path.clone();
                tasks.push(tokio::task::spawn_local(async move {
                    let prober = Prober::prepare(check).await.expect("prepared");
                    prober.probe_by(&target, limit, Some(&path)).await
                }));
            }
            let mut findings = Vec::new();
            for task in tasks {
                findings.push(task.await.expect("it ends"));
            }
            findings
        };
        let run = || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            let tasks = tokio::task::LocalSet::new();
            tasks.block_on(&runtime.expect("a runtime"), looking)
        };
        self.director.run(run).expect("the host is there")
    }
}

/// A VIP's port, led to a server.
fn through(port: u16, number: usize, v6: bool, forwarding: Forwarding) -> Target {
    let vip = VIPS[usize::from(v6)].parse().expect("an address");
    Target {
        through: Some(Through {
            server: SocketAddr::new(server(number, v6), port),
            forwarding,
            encapsulation: Encapsulation::Ipip,
        }),
        ..Target::new(SocketAddr::new(vip, port))
    }
}

fn tcp() -> Check {
    check(r#"{"tcp":{}}"#)
}

#[test]
fn each_probe_reaches_its_own_server_at_once() {
    let net = net("through");
    net.accept(1);
    net.accept(2);
    let webs = net
        .servers
        .iter()
        .map(|host| Nginx::start(host, &[80], None));
    let _webs: Vec<Nginx> = webs.map(|web| web.expect("nginx")).collect();
    let mut probes = Vec::new();
    for _ in 0..40 {
        for (number, v6) in [(1, false), (2, false), (1, true), (2, true)] {
            let page = format!(r#"{{"http":{{"body":[{{"contains":"server{number}"}}]}}}}"#);
            let target = through(80, number, v6, Forwarding::Direct);
            probes.push((check(&page), target));
        }
    }
    for finding in net.look(&probes, AMPLE) {
        assert_eq!(finding.code, Code::L7Ok, "{finding}");
    }
    // The server sees whom it answers: the director, not the VIP.
    let who = r#"{"http":{"path":"/who","body":[{"contains":"10.9.0.1"}]}}"#;
    let target = through(80, 1, false, Forwarding::Direct);
    let seen = &net.look(&[(check(who), target)], AMPLE)[0];
    assert_eq!(seen.code, Code::L7Ok, "{seen}");
}

/// Each server has an authority of its own, so a certificate tells whose it is.
#[test]
fn tls_is_spoken_with_the_server_that_is_meant() {
    let net = net("throughtls");
    net.accept(1);
    net.accept(2);
    let webs: Vec<Web> = net.servers.iter().map(Web::start_on).collect();
    let tls = |web: &Web| {
        format!(
            r#""tls":{{"server_name":"www.example.org","verify":{{"authorities":"{}"}}}}"#,
            web.authority.file().display()
        )
    };
    let mut probes = Vec::new();
    for (number, v6) in [(1, false), (2, false), (1, true), (2, true)] {
        let to = |port| through(port, number, v6, Forwarding::Direct);
        let (own, other) = (tls(&webs[number - 1]), tls(&webs[2 - number]));
        let page = r#""path":"/health","body":[{"contains":"all is well"}]"#;
        let https = |tls: &str| check(&format!(r#"{{"http":{{{page},{tls}}}}}"#));
        let handshake = check(&format!(r#"{{"tls":{{{own}}}}}"#));
        probes.push((https(&own), to(SECURE)));
        probes.push((handshake, to(SECURE)));
        probes.push((https(&other), to(SECURE)));
        probes.push((https(&own), to(EXPIRED)));
    }
    for server in net.look(&probes, AMPLE).chunks(4) {
        let codes: Vec<Code> = server.iter().map(|finding| finding.code).collect();
        let refused = Code::L6Response;
        let expected = [Code::L7Ok, Code::L6Ok, refused, refused];
        assert_eq!(codes, expected, "{server:?}");
        // All authorities of tests have one name, and keys of their own.
        assert_says(&server[2], "BadSignature");
        assert_says(&server[3], "expired");
    }
}

/// DNS by UDP and by TCP, SMTP and gRPC: of two servers that have the VIP only the first serves.
#[test]
fn each_protocol_is_spoken_with_the_server_that_is_meant() {
    let net = net("throughmore");
    net.accept(1);
    net.accept(2);
    let host = &net.servers[0];
    let _names = dns::start_on(host, &VIPS);
    let mut programs = Vec::new();
    for vip in VIPS {
        let at = |port| SocketAddr::new(vip.parse().expect("an address"), port);
        programs.push(smtp::start_on(host, at(2525)));
        programs.push(grpc::start_on(host, "health", at(5000), None));
    }
    let checks = [
        (
            dns::dns(r#""name":"www.example.org","expect":"192.0.2.10""#),
            5353,
        ),
        (dns::long(), 5353),
        (check(r#"{"smtp":{}}"#), 2525),
        (check(r#"{"grpc":{"service":"shop"}}"#), 5000),
    ];
    let mut probes = Vec::new();
    for (number, v6) in [(1, false), (1, true), (2, false), (2, true)] {
        for (check, port) in &checks {
            let target = through(*port, number, v6, Forwarding::Direct);
            probes.push((check.clone(), target));
        }
    }
    let findings = net.look(&probes, AMPLE);
    let (serving, idle) = findings.split_at(2 * checks.len());
    for finding in serving {
        assert_eq!(finding.code, Code::L7Ok, "{finding}");
    }
    for finding in idle {
        assert_eq!(finding.code, Code::L4Refused, "{finding}");
    }
}

#[test]
fn a_server_without_the_vip_is_found_and_one_that_refuses_is_told_apart() {
    let net = net("throughno");
    net.accept(2);
    let _web = Nginx::start(&net.servers[0], &[80], None).expect("nginx");
    let nobody = |number, v6| (tcp(), through(80, number, v6, Forwarding::Direct));
    let probes = [
        nobody(1, false),
        nobody(1, true),
        nobody(2, false),
        nobody(2, true),
        (tcp(), Target::new(SocketAddr::new(server(1, false), 80))),
    ];
    let limit = Duration::from_secs(2);
    let findings = net.look(&probes, limit);
    let codes: Vec<Code> = findings.iter().map(|finding| finding.code).collect();
    let [lost, refused, well] = [Code::L4Timeout, Code::L4Refused, Code::L4Ok];
    assert_eq!(codes, [lost, lost, refused, refused, well], "{findings:?}");
}

#[test]
fn datagrams_and_icmp_errors_find_their_way_back() {
    let net = net("throughudp");
    net.accept(1);
    let places = VIPS.map(|vip| SocketAddr::new(vip.parse().expect("an address"), 7000));
    let _echo = UdpEcho::start(&net.servers[0], &places).expect("an echo");
    let ask = r#"{"udp":{"send":"marco","expect":{"answer":{"regex":"marco"}}}}"#;
    let quiet =
        r#"{"udp":{"send":"marco","expect":{"no-error":{"patience":{"secs":2,"nanos":0}}}}}"#;
    let mut probes = Vec::new();
    for v6 in [false, true] {
        probes.push((check(ask), through(7000, 1, v6, Forwarding::Direct)));
        probes.push((check(quiet), through(7001, 1, v6, Forwarding::Direct)));
        // The second server does not have the VIP: nothing comes back, neither way.
        probes.push((check(quiet), through(7000, 2, v6, Forwarding::Direct)));
    }
    let findings = net.look(&probes, AMPLE);
    for family in findings.chunks(3) {
        let codes: Vec<Code> = family.iter().map(|finding| finding.code).collect();
        assert_eq!(
            codes,
            [Code::L7Ok, Code::L4Refused, Code::L4Ok],
            "{family:?}"
        );
    }
}

#[test]
fn nat_goes_to_the_server_and_comes_back_from_its_gateway() {
    let net = net("throughnat");
    let _web = Nginx::start(&net.servers[0], &[8080], None).expect("nginx");
    let mut probes = Vec::new();
    for v6 in [false, true] {
        // The server sees the VIP, where only its gateway's way leads.
        let vip = VIPS[usize::from(v6)];
        let who = format!(r#"{{"http":{{"path":"/who","body":[{{"contains":"{vip}"}}]}}}}"#);
        let mut target = through(8080, 1, v6, Forwarding::Nat);
        target.address.set_port(80);
        probes.push((check(&who), target.clone()));
        let director = DIRECTORS[usize::from(v6)];
        let who = format!(r#"{{"http":{{"path":"/who","body":[{{"contains":"{director}"}}]}}}}"#);
        target.source = Some(director.parse().expect("an address"));
        probes.push((check(&who), target.clone()));
        // Nobody listens there: the reset is translated as well.
        if let Some(through) = &mut target.through {
            through.server.set_port(8081);
        }
        probes.push((tcp(), target));
        let quiet =
            r#"{"udp":{"send":"","expect":{"no-error":{"patience":{"secs":5,"nanos":0}}}}}"#;
        probes.push((check(quiet), through(8081, 1, v6, Forwarding::Nat)));
    }
    for family in net.look(&probes, AMPLE).chunks(4) {
        let codes: Vec<Code> = family.iter().map(|finding| finding.code).collect();
        let refused = Code::L4Refused;
        assert_eq!(
            codes,
            [Code::L7Ok, Code::L7Ok, refused, refused],
            "{family:?}"
        );
    }
}

#[test]
fn what_the_director_lacks_is_its_own_trouble() {
    let net = net("throughown");
    let mut elsewhere = through(80, 1, false, Forwarding::Direct);
    elsewhere.source = Some("10.9.0.77".parse().expect("an address"));
    let mut nowhere = through(80, 1, false, Forwarding::Direct);
    if let Some(through) = &mut nowhere.through {
        through.server = socket("10.9.0.99:80");
    }
    let findings = net.look(
        &[(tcp(), elsewhere), (tcp(), nowhere)],
        Duration::from_secs(1),
    );
    assert_eq!(findings[0].code, Code::Local, "{}", findings[0]);
    assert_says(&findings[0], "cannot send from 10.9.0.77");
    // A server whose neighbour does not answer is down, whoever asks.
    assert_eq!(findings[1].code, Code::L4Timeout, "{}", findings[1]);
    assert_says(&findings[1], "no way to 10.9.0.99");
}
