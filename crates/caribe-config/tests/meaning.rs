//! What the good files of the corpus mean, in full.

mod support;

use std::collections::HashSet;
use std::net::IpAddr;
use std::num::{NonZeroU16, NonZeroU32};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use caribe_config::config::{
    BodyMatch, CommandLine, Config, ConfiguredTimeouts, Expectation, FloatingAddress, Http,
    HttpMethod, HttpVersion, Initial, Limits, LoadMonitor, LoadWatch, Mark, Monitor, MonitorBlock,
    MonitorKind, Probe, Quorum, RealServer, RecordType, Redundancy, SlowStart, StatusSet, Timing,
    Tls, TlsIdentity, Trust, VirtualService,
};
use caribe_config::keys::{KEYS, Place};
use caribe_config::tree::{Body, Document};
use caribe_config::{Mode, Severity, Source};
use caribe_model::{
    Defence, Encapsulation, Forwarding, MarkRule, MssClamp, Netmask, Persistence, Policy,
    PortRange, Protocol, ReuseMode, Scheduler, SchedulerFlags, SchedulerOptions, TableSize,
    Thresholds, Tuning,
};

fn meaning(name: &str) -> Config {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus/good")
        .join(name);
    let text = std::fs::read(path).expect("the file is there");
    let parsed = support::parse_text(text, Mode::Lenient);
    parsed
        .config
        .unwrap_or_else(|| panic!("{name} is refused: {:#?}", parsed.diagnostics))
}

fn meant(text: &str) -> Config {
    let parsed = support::parse_text(text, Mode::Lenient);
    parsed
        .config
        .unwrap_or_else(|| panic!("refused: {:#?}", parsed.diagnostics))
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("a literal address")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn floating(address: &str, label: &str, prefix: u8) -> FloatingAddress {
    FloatingAddress {
        address: ip(address),
        interface: label.split(':').next().unwrap_or_default().to_owned(),
        label: label.to_owned(),
        prefix,
    }
}

fn server(
    name: &str,
    active: bool,
    address: &str,
    port: u16,
    weight: u32,
    forwarding: Forwarding,
) -> RealServer {
    RealServer {
        name: name.to_owned(),
        active,
        address: ip(address),
        port,
        weight,
        forwarding,
        ..RealServer::new(name)
    }
}

fn persistence(timeout: u32, mask: &str) -> Persistence {
    Persistence {
        timeout,
        netmask: Netmask::V4(mask.parse().expect("a mask")),
    }
}

fn reuse(bits: u8) -> ReuseMode {
    ReuseMode::from_bits(bits).expect("two bits")
}

fn milliseconds(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn command(words: &[&str]) -> CommandLine {
    CommandLine::new(words.iter().map(|word| (*word).to_owned()).collect()).expect("not empty")
}

/// What a service is when its block says nothing.
fn unsaid() -> VirtualService {
    VirtualService::new("", floating("192.0.2.1", "eth0", 32))
}

#[test]
fn sample_a_nat() {
    let web = |name: &str, active, last: u8, weight| {
        server(
            name,
            active,
            &format!("10.20.0.{last}"),
            8080,
            weight,
            Forwarding::Nat,
        )
    };
    let expected = Config {
        serial_no: 12,
        network: Forwarding::Nat,
        nat_router: Some(floating("10.20.0.1", "eth1:1", 24)),
        interfaces: Vec::new(),
        connections: None,
        keep_overrides: false,
        control_group: None,
        timeouts: ConfiguredTimeouts {
            tcp: Some(seconds(900)),
            tcp_fin: Some(seconds(120)),
            udp: Some(seconds(300)),
        },
        redundancy: Redundancy {
            primary: Some(ip("192.0.2.11")),
            primary_private: Some(ip("10.20.0.11")),
            backup: Some(ip("192.0.2.12")),
            backup_private: Some(ip("10.20.0.12")),
            backup_active: true,
            heartbeat_port: 539,
            keepalive: seconds(6),
            deadtime: seconds(18),
            monitor_links: true,
            sync: true,
            sync_interface: "eth1".to_owned(),
            sync_id: 7,
            active_command: None,
            inactive_command: None,
        },
        services: [
            VirtualService {
                name: "shop_http".to_owned(),
                active: true,
                address: floating("192.0.2.80", "eth0:1", 24),
                mark: None,
                port: 80,
                protocol: Protocol::Tcp,
                scheduler: Scheduler::Wlc,
                options: SchedulerOptions::IPVS,
                sorry_server: None,
                persistence: None,
                monitor: Monitor {
                    timeout: seconds(6),
                    reentry: seconds(30),
                    send: Some(b"GET /healthz HTTP/1.0\r\nHost: shop.example\r\n\r\n".to_vec()),
                    expect: Some("HTTP/1.1 200".to_owned()),
                    ..Monitor::default()
                },
                quiesce: false,
                servers: vec![
                    web("web1", true, 101, 100),
                    web("web2", true, 102, 100),
                    web("web3", false, 103, 50),
                ],
                ..unsaid()
            },
            VirtualService {
                name: "resolver".to_owned(),
                active: true,
                address: floating("192.0.2.53", "eth0:2", 24),
                mark: None,
                port: 53,
                protocol: Protocol::Udp,
                scheduler: Scheduler::Rr,
                options: SchedulerOptions::IPVS,
                sorry_server: None,
                persistence: None,
                monitor: Monitor {
                    kind: MonitorKind::Piranha,
                    timeout: seconds(5),
                    reentry: seconds(15),
                    expect: Some("OK".to_owned()),
                    send_program: Some(command(&["/usr/local/libexec/check_dns", "%h", "%p"])),
                    ..Monitor::default()
                },
                quiesce: false,
                servers: vec![
                    server("ns1", true, "10.20.0.111", 53, 1, Forwarding::Nat),
                    server("ns2", true, "10.20.0.112", 53, 1, Forwarding::Nat),
                ],
                ..unsaid()
            },
        ]
        .map(Arc::new)
        .into(),
        ..Config::default()
    };
    assert_eq!(meaning("sample-a-nat.cf"), expected);
}

#[test]
fn sample_b_direct() {
    let expected = Config {
        serial_no: 48,
        network: Forwarding::Direct,
        nat_router: None,
        interfaces: Vec::new(),
        connections: None,
        keep_overrides: false,
        control_group: None,
        timeouts: ConfiguredTimeouts::default(),
        redundancy: Redundancy {
            primary: Some(ip("198.51.100.2")),
            backup: Some(ip("198.51.100.3")),
            backup_active: true,
            deadtime: seconds(6),
            sync: true,
            sync_id: 1,
            active_command: Some("/etc/sysconfig/ha/on_active.sh".to_owned()),
            inactive_command: Some("/etc/sysconfig/ha/on_standby.sh".to_owned()),
            ..Redundancy::default()
        },
        services: [VirtualService {
            name: "site_http".to_owned(),
            active: true,
            address: floating("198.51.100.10", "eth0:1", 32),
            mark: NonZeroU32::new(80),
            port: 80,
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Wlc,
            options: SchedulerOptions::IPVS,
            sorry_server: Some(server(
                "sorry_server",
                true,
                "198.51.100.99",
                80,
                1,
                Forwarding::Direct,
            )),
            persistence: Some(persistence(600, "255.255.255.0")),
            monitor: Monitor {
                reentry: seconds(60),
                send: Some(b"GET / HTTP/1.0\r\n\r\n".to_vec()),
                expect: Some("^HTTP/1[.][01] (200|302)".to_owned()),
                use_regex: true,
                ..Monitor::default()
            },
            load: Some(LoadWatch {
                source: LoadMonitor::Uptime {
                    shell: command(&["ssh"]),
                },
                interval: None,
            }),
            quiesce: true,
            servers: vec![
                server("r1", true, "198.51.100.21", 80, 10, Forwarding::Direct),
                server("r2", true, "198.51.100.22", 80, 20, Forwarding::Direct),
            ],
            ..unsaid()
        }]
        .map(Arc::new)
        .into(),
        ..Config::default()
    };
    assert_eq!(meaning("sample-b-direct.cf"), expected);
}

/// The fos sample means nothing to Caribe but this refusal; the corpus holds the rest of it.
#[test]
fn sample_c_fos_is_refused_for_that_reason_alone() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/bad/sample-c-fos.cf");
    let parsed = support::parse_text(std::fs::read(path).expect("it is there"), Mode::Lenient);
    assert_eq!(parsed.config, None);
    let errors: Vec<&str> = parsed
        .diagnostics
        .iter()
        .filter(|found| found.severity == Severity::Error)
        .map(|found| found.code)
        .collect();
    assert_eq!(errors, ["fos"]);
}

#[test]
fn sample_d_tunnel() {
    let expected = Config {
        serial_no: 1,
        network: Forwarding::Tunnel,
        nat_router: None,
        interfaces: Vec::new(),
        connections: None,
        keep_overrides: false,
        control_group: None,
        timeouts: ConfiguredTimeouts::default(),
        redundancy: Redundancy {
            primary: Some(ip("192.0.2.31")),
            keepalive: seconds(6),
            deadtime: seconds(18),
            ..Redundancy::default()
        },
        services: [VirtualService {
            name: "ftp21".to_owned(),
            active: true,
            address: floating("192.0.2.40", "eth0:1", 32),
            mark: NonZeroU32::new(21),
            port: 21,
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Lc,
            options: SchedulerOptions::IPVS,
            sorry_server: None,
            persistence: Some(persistence(300, "255.255.255.255")),
            monitor: Monitor {
                timeout: seconds(6),
                reentry: seconds(15),
                send: Some(b"quit\r\n".to_vec()),
                expect: Some("220".to_owned()),
                ..Monitor::default()
            },
            quiesce: false,
            servers: vec![
                server("far1", true, "198.18.0.10", 21, 1, Forwarding::Tunnel),
                server("far2", true, "198.19.0.10", 21, 3, Forwarding::Tunnel),
            ],
            ..unsaid()
        }]
        .map(Arc::new)
        .into(),
        ..Config::default()
    };
    assert_eq!(meaning("sample-d-tunnel.cf"), expected);
}

/// Every key of the table is set in this file, to something else than its default.
#[test]
fn every_key_has_its_meaning() {
    let timing = Timing {
        interval: seconds(4),
        timeout: seconds(4),
        rise: 1,
        fall: 1,
        fast_interval: None,
        jitter: 10,
        initial: Initial::LastKnown,
    };
    let probes = [
        Probe::Tcp {
            send: Some(b"\x00\xff\n".to_vec()),
            expect: Some(Expectation::Regex("^a.c".to_owned())),
        },
        Probe::Tls(Tls {
            server_name: Some("tls.example".to_owned()),
            trust: Trust::System,
            identity: None,
        }),
        Probe::Udp {
            payload: b"ping\x01".to_vec(),
            expect: Some(Expectation::Prefix(b"pong".to_vec())),
        },
        Probe::Dns {
            record: RecordType::Mx,
            name: "example".to_owned(),
            answer: Some("10 mail.example.".to_owned()),
        },
        Probe::Smtp {
            helo: "director.example".to_owned(),
        },
        Probe::Ping,
        Probe::Script(command(&["/bin/check", "%h"])),
        Probe::Grpc {
            service: "shop".to_owned(),
            tls: Some(Tls {
                server_name: None,
                trust: Trust::Any,
                identity: None,
            }),
        },
        Probe::Agent {
            send: Some(b"hello\n".to_vec()),
        },
    ];
    let probes = probes
        .map(|probe| MonitorBlock {
            interface: matches!(probe, Probe::Ping).then(|| "eth1".to_owned()),
            probe,
            port: None,
            through_vip: false,
            source: None,
            timing,
        })
        .to_vec();
    let expected = Config {
        serial_no: -3,
        network: Forwarding::Tunnel,
        nat_router: None,
        interfaces: ["eth0", "eth1", "eth2"].map(str::to_owned).to_vec(),
        connections: Some(1_000),
        keep_overrides: true,
        control_group: Some("lvsadmin".to_owned()),
        timeouts: ConfiguredTimeouts {
            tcp: Some(seconds(100)),
            tcp_fin: Some(seconds(20)),
            udp: Some(seconds(30)),
        },
        limits: Limits {
            services: 10_000,
            servers: 100_000,
        },
        tuning: Tuning {
            drop_entry: Defence::Automatic,
            drop_packet: Defence::On,
            drop_rate: 4,
            flood_guard: 5_000,
            nat_icmp_send: true,
            schedule_icmp: true,
            lblc_expiration: 3_600,
            lblcr_expiration: 7_200,
        },
        policy: Policy {
            expire_nodest_conn: true,
            expire_quiescent_template: true,
            conn_reuse_mode: reuse(2),
            sloppy_tcp: true,
            sloppy_sctp: true,
            secure_tcp: false,
            cache_bypass: true,
            pmtu_disc: false,
            mss_clamp: MssClamp::Off,
        },
        secure_tcp: Defence::Automatic,
        marks: vec![Mark {
            name: "web".to_owned(),
            rule: MarkRule {
                mark: NonZeroU32::MAX,
                address: ip("192.0.2.80"),
                prefix: 31,
                protocol: Some(Protocol::Udp),
                ports: [(443, 443), (8000, 8999)]
                    .map(|(first, last)| PortRange::new(first, last).expect("in order"))
                    .to_vec(),
            },
        }],
        redundancy: Redundancy {
            primary: Some(ip("192.0.2.1")),
            primary_private: Some(ip("10.1.0.1")),
            backup: Some(ip("192.0.2.2")),
            backup_private: Some(ip("10.1.0.2")),
            backup_active: true,
            heartbeat_port: 1050,
            keepalive: seconds(3),
            deadtime: seconds(9),
            monitor_links: true,
            sync: true,
            sync_interface: "eth3".to_owned(),
            sync_id: 255,
            active_command: Some("/usr/local/bin/up now".to_owned()),
            inactive_command: Some("/usr/local/bin/down".to_owned()),
        },
        services: [VirtualService {
            name: "web".to_owned(),
            active: true,
            address: floating("192.0.2.80", "eth0:1", 25),
            mark: NonZeroU32::new(u32::MAX),
            port: 8000,
            protocol: Protocol::Udp,
            scheduler: Scheduler::Mh,
            options: SchedulerOptions {
                flags: SchedulerFlags::PORT.with(SchedulerFlags::FALLBACK),
                table_size: TableSize::try_from(65_521).expect("a size"),
            },
            sorry_server: Some(server(
                "sorry_server",
                true,
                "192.0.2.99",
                8_080,
                7,
                Forwarding::Nat,
            )),
            persistence: Some(persistence(600, "255.255.255.0")),
            monitor: Monitor {
                kind: MonitorKind::Tcp,
                timeout: seconds(4),
                reentry: seconds(0),
                send: Some(b"a\tb".to_vec()),
                expect: Some("OK".to_owned()),
                use_regex: true,
                send_program: Some(command(&["/bin/check", "%h", "%p"])),
            },
            monitors: vec![MonitorBlock {
                probe: Probe::Http(Box::new(Http {
                    tls: Some(Tls {
                        server_name: Some("shop.example".to_owned()),
                        trust: Trust::Issuers("/etc/ssl/ca.pem".into()),
                        identity: Some(TlsIdentity {
                            certificate: "/etc/ssl/own.pem".into(),
                            key: "/etc/ssl/own.key".into(),
                        }),
                    }),
                    version: HttpVersion::V2,
                    method: HttpMethod::Head,
                    path: "/health?full=1".to_owned(),
                    host: Some("www.example:8443".to_owned()),
                    headers: vec![
                        ("X-Check".to_owned(), "director".to_owned()),
                        ("Accept".to_owned(), "*/*".to_owned()),
                    ],
                    status: StatusSet::new(vec![200..=204, 301..=301]).expect("codes"),
                    body: vec![
                        BodyMatch::Contains("all is well".to_owned()),
                        BodyMatch::Regex("^ok$".to_owned()),
                    ],
                })),
                port: NonZeroU16::new(8443),
                through_vip: true,
                source: Some(ip("192.0.2.1")),
                interface: None,
                timing: Timing {
                    interval: milliseconds(1_500),
                    timeout: milliseconds(800),
                    rise: 3,
                    fall: 4,
                    fast_interval: Some(milliseconds(250)),
                    jitter: 50,
                    initial: Initial::Checking,
                },
            }],
            quorum: Quorum {
                down_below: 2,
                up_from: 3,
                keep_below: 25,
            },
            slow_start: SlowStart::Every(seconds(5)),
            load: Some(LoadWatch {
                source: LoadMonitor::Agent {
                    port: NonZeroU16::new(5_555).expect("not 0"),
                },
                interval: Some(seconds(7)),
            }),
            notify: Some(command(&["/bin/tell", "service"])),
            quiesce: true,
            one_packet: true,
            drain_timeout: seconds(90),
            policy: Policy {
                expire_nodest_conn: false,
                expire_quiescent_template: false,
                conn_reuse_mode: reuse(0),
                sloppy_tcp: false,
                sloppy_sctp: false,
                secure_tcp: true,
                cache_bypass: false,
                pmtu_disc: true,
                mss_clamp: MssClamp::Bytes(1400),
            },
            secure_tcp: Defence::On,
            servers: vec![
                RealServer {
                    name: "a".to_owned(),
                    active: true,
                    address: ip("192.0.2.101"),
                    port: 8001,
                    weight: 2_147_483_647,
                    forwarding: Forwarding::Direct,
                    encapsulation: Encapsulation::Ipip,
                    thresholds: Thresholds::new(1000, 800).expect("not crossed"),
                    monitors: probes,
                },
                RealServer {
                    encapsulation: Encapsulation::Gre { checksum: false },
                    ..server("b", true, "192.0.2.102", 8000, 1, Forwarding::Tunnel)
                },
            ],
        }]
        .map(Arc::new)
        .into(),
    };
    assert_eq!(meaning("everything.cf"), expected);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/good/everything.cf");
    let text = std::fs::read(path).expect("the file is there");
    let (document, _) = Document::read(&Source::new("everything.cf", text), Mode::Lenient);
    let mut set = HashSet::new();
    collect(Place::Global, document.body(), &mut set);
    for key in KEYS.iter().filter(|key| key.place != Place::Failover) {
        assert!(
            set.contains(&(key.place, key.name.to_owned())),
            "`{}` is not set in {:?}",
            key.name,
            key.place
        );
    }
}

fn collect(place: Place, body: &Body, set: &mut HashSet<(Place, String)>) {
    let keys = body
        .entries()
        .map(|entry| String::from_utf8_lossy(entry.key()).into_owned());
    set.extend(keys.map(|key| (place, key)));
    for block in body.blocks() {
        collect(block.kind().into(), block.body(), set);
    }
}

#[test]
fn a_tcp_monitor_connects_no_further_than_it_must() {
    let probe = |keys: &str| {
        let text = format!(
            "virtual v {{\naddress = 192.0.2.80 eth0:1\nmonitor tcp {{\n{keys}}}\nserver s {{\n}}\n}}\n"
        );
        let config = meant(&text);
        config.services[0].monitors[0].probe.clone()
    };
    assert_eq!(probe(""), Probe::Syn);
    assert_eq!(probe("handshake = half\n"), Probe::Syn);
    let whole = |send: Option<&str>| Probe::Tcp {
        send: send.map(|text| text.as_bytes().to_vec()),
        expect: None,
    };
    assert_eq!(probe("handshake = full\n"), whole(None));
    assert_eq!(probe("send = hello\n"), whole(Some("hello")));
}

#[test]
fn an_empty_service_has_piranhas_and_ipvss_defaults() {
    let config = meant("virtual v {\naddress = 192.0.2.80 eth0:1\nserver s {\n}\n}\n");
    let policy = Policy {
        expire_nodest_conn: false,
        expire_quiescent_template: false,
        conn_reuse_mode: reuse(1),
        sloppy_tcp: false,
        sloppy_sctp: false,
        secure_tcp: false,
        cache_bypass: false,
        pmtu_disc: true,
        mss_clamp: MssClamp::Off,
    };
    let expected = Config {
        serial_no: 0,
        network: Forwarding::Nat,
        nat_router: None,
        interfaces: Vec::new(),
        connections: None,
        keep_overrides: false,
        control_group: None,
        timeouts: ConfiguredTimeouts::default(),
        limits: Limits {
            services: 1_024,
            servers: 16_384,
        },
        tuning: Tuning {
            drop_entry: Defence::Off,
            drop_packet: Defence::Off,
            drop_rate: 10,
            flood_guard: 200_000,
            nat_icmp_send: false,
            schedule_icmp: false,
            lblc_expiration: 86_400,
            lblcr_expiration: 86_400,
        },
        policy,
        secure_tcp: Defence::Off,
        marks: Vec::new(),
        redundancy: Redundancy {
            primary: None,
            primary_private: None,
            backup: None,
            backup_private: None,
            backup_active: false,
            heartbeat_port: 539,
            keepalive: seconds(2),
            deadtime: seconds(5),
            monitor_links: false,
            sync: false,
            sync_interface: "eth0".to_owned(),
            sync_id: 0,
            active_command: None,
            inactive_command: None,
        },
        services: [VirtualService {
            name: "v".to_owned(),
            active: false,
            address: floating("192.0.2.80", "eth0:1", 32),
            mark: None,
            port: 80,
            protocol: Protocol::Tcp,
            scheduler: Scheduler::Wlc,
            options: SchedulerOptions::IPVS,
            sorry_server: None,
            persistence: None,
            one_packet: false,
            drain_timeout: Duration::ZERO,
            policy,
            secure_tcp: Defence::Off,
            monitor: Monitor {
                kind: MonitorKind::Piranha,
                timeout: seconds(10),
                reentry: seconds(180),
                send: None,
                expect: None,
                use_regex: false,
                send_program: None,
            },
            monitors: Vec::new(),
            quorum: Quorum {
                down_below: 1,
                up_from: 1,
                keep_below: 0,
            },
            slow_start: SlowStart::Nanny,
            load: None,
            notify: None,
            quiesce: false,
            servers: vec![RealServer {
                name: "s".to_owned(),
                active: false,
                address: ip("0.0.0.0"),
                port: 80,
                weight: 1,
                forwarding: Forwarding::Nat,
                encapsulation: Encapsulation::Ipip,
                thresholds: Thresholds::NONE,
                monitors: Vec::new(),
            }],
        }]
        .map(Arc::new)
        .into(),
    };
    assert_eq!(config, expected);
    // What is meant is also what the types' own defaults say, which tests elsewhere build on.
    assert_eq!(
        Config {
            services: Vec::new(),
            ..config
        },
        Config::default()
    );
    let service = VirtualService {
        servers: vec![RealServer::new("s")],
        ..VirtualService::new("v", floating("192.0.2.80", "eth0:1", 32))
    };
    assert_eq!(expected.services, [Arc::new(service)]);
}

#[test]
fn ipv6_and_caribes_own_keys() {
    let config = meaning("ipv6.cf");
    assert_eq!(config.interfaces, ["eth0", "eth1"]);
    assert_eq!(config.connections, Some(1 << 20));
    assert!(!config.keep_overrides);
    assert_eq!(config.nat_router, Some(floating("fd00:1::1", "eth1", 64)));
    let [web, dns] = config.services.as_slice() else {
        panic!("two services, not {:?}", config.services);
    };
    assert_eq!(web.address, floating("2001:db8::80", "eth0:1", 64));
    assert_eq!(
        web.servers,
        [
            server("a", true, "fd00:1::a", 8443, 3, Forwarding::Nat),
            server("b", true, "fd00:1::b", 443, 1, Forwarding::Nat),
        ]
    );
    assert_eq!(dns.address, floating("2001:db8::53", "eth0", 128));
    assert_eq!((dns.port, dns.protocol), (53, Protocol::Udp));
    assert_eq!(dns.monitor.kind, MonitorKind::None);
    assert_eq!(
        dns.servers,
        [
            server("a", true, "2001:db8::101", 53, 1, Forwarding::Direct),
            server("b", true, "2001:db8::6", 53, 1, Forwarding::Tunnel),
        ]
    );
}

#[test]
fn a_tunnel_may_carry_ipv4_to_an_ipv6_server() {
    let config = meaning("mixed-families.cf");
    let service = &config.services[0];
    assert_eq!(service.address.prefix, 24);
    assert_eq!(
        service.servers,
        [
            server("far", true, "2001:db8::101", 80, 1, Forwarding::Tunnel),
            server("near", true, "192.0.2.101", 80, 1, Forwarding::Direct),
        ]
    );
}

#[test]
fn quirks_mean_what_they_say() {
    let config = meaning("quirks.cf");
    assert_eq!((config.serial_no, config.network), (7, Forwarding::Direct));
    let web = &config.services[0];
    assert_eq!(web.name, "web");
    assert_eq!(web.port, 80);
    assert_eq!(web.scheduler, Scheduler::Lc);
    assert_eq!(
        web.monitor.send.as_deref(),
        Some(b"GET \"/\" HTTP/1.0\r\n\r\n".as_slice())
    );
    assert_eq!(
        web.monitor.expect.as_deref(),
        Some("say \"hi\" # not a comment")
    );
    let load = web.load.as_ref().map(|load| &load.source);
    assert_eq!(load, Some(&LoadMonitor::Program(command(&["a=b"]))));
    assert_eq!(
        web.servers,
        [server("a", true, "192.0.2.101", 80, 8, Forwarding::Direct)]
    );
    let off = &config.services[1];
    assert!(!off.active);
    assert_eq!(off.servers[0].name, "[unnamed]");
}

#[test]
fn a_file_from_another_system_is_read_to_its_end() {
    let config = meaning("carriage-returns.cf");
    assert_eq!(config.network, Forwarding::Direct);
    let service = &config.services[0];
    assert_eq!(service.monitor.expect.as_deref(), Some("HTTP"));
    assert_eq!(service.servers.len(), 1);
}

#[test]
fn services_that_share_a_vip_agree_about_it() {
    let config = meaning("shared-vip.cf");
    let settled = floating("192.0.2.80", "eth0:1", 24);
    for name in ["off", "http", "https", "other"] {
        let service = config.services.iter().find(|service| service.name == name);
        assert_eq!(
            service.map(|service| &service.address),
            Some(&settled),
            "{name}"
        );
    }
}

#[test]
fn a_backup_without_address_is_no_backup() {
    assert!(!meaning("warnings.cf").redundancy.backup_active);
    assert!(meaning("two-directors-public.cf").redundancy.backup_active);
}

#[test]
fn expect_program_counts_only_with_a_send_program() {
    let text = |program: &str| {
        format!(
            "virtual v {{\naddress = 192.0.2.80 eth0:1\nexpect = a\nexpect_program = b\n{program}}}\n"
        )
    };
    let without = meant(&text(""));
    assert_eq!(without.services[0].monitor.expect.as_deref(), Some("a"));
    let with = meant(&text("send_program = /bin/true\n"));
    assert_eq!(with.services[0].monitor.expect.as_deref(), Some("b"));
}

#[test]
fn the_method_of_a_server_goes_before_that_of_its_service_and_of_the_file() {
    let config = meant(
        "network = direct\n\
         virtual a {\naddress = 192.0.2.80 eth0:1\n\
         server x {\n}\nserver y {\nforward = tunnel\n}\n}\n\
         virtual b {\naddress = 192.0.2.81 eth0:2\n\
         server x {\n}\nserver y {\nforward = direct\n}\nforward = nat\n}\n",
    );
    let methods: Vec<Forwarding> = config
        .services
        .iter()
        .flat_map(|service| &service.servers)
        .map(|server| server.forwarding)
        .collect();
    assert_eq!(
        methods,
        [
            Forwarding::Direct,
            Forwarding::Tunnel,
            Forwarding::Nat,
            Forwarding::Direct
        ]
    );
}
