//! Scenarios with names: behaviour that is worth a case of its own, whatever random ones show.

use crate::netfilter;
use crate::network::{self, Family};
use crate::scenario::{Chunk, Flags, Flow, MarkRule, Packet, Protocol, Scenario, Step};

/// A scenario with a name.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is compared.
    pub name: &'static str,
    /// How.
    pub scenario: Scenario,
}

/// Numbers of cases begin here; those of random scenarios are below.
const FIRST: u32 = 60_001;
/// Numbers of lists of netfilter's rules begin here.
const FIRST_LIST: u32 = 61_001;

/// All cases.
pub fn cases() -> Vec<Case> {
    type Write = fn(&mut Script);
    let cases: [(&str, Write); 21] = [
        ("tcp_lifecycle_nat", tcp_lifecycle_nat),
        ("tcp_lifecycle_direct", tcp_lifecycle_direct),
        ("reset_by_the_client", reset_by_the_client),
        ("timeouts_set", timeouts_set),
        ("udp_is_never_active", udp_is_never_active),
        ("nobody_to_take_it", nobody_to_take_it),
        ("ttl_ends", ttl_ends),
        ("removed_server_comes_back", removed_server_comes_back),
        ("stray_packets", stray_packets),
        ("stray_answers", stray_answers),
        ("sctp_lifecycle_nat", sctp_lifecycle_nat),
        ("sctp_lifecycle_direct", sctp_lifecycle_direct),
        ("direct_after_an_edit", direct_after_an_edit),
        ("thresholds_edited", thresholds_edited),
        (
            "service_removed_with_connections",
            service_removed_with_connections,
        ),
        ("lblc_remembers_a_server", lblc_remembers_a_server),
        ("lblcr_remembers_servers", lblcr_remembers_servers),
        (
            "sloppy_connections_assure_templates",
            sloppy_connections_assure_templates,
        ),
        ("one_packet_overloads", one_packet_overloads),
        ("refusals_in_order", refusals_in_order),
        (
            "template_of_a_server_that_comes_back",
            template_of_a_server_that_comes_back,
        ),
    ];
    let numbered = (FIRST..).zip(cases);
    let mut cases: Vec<Case> = numbered
        .map(|(number, (name, write))| {
            let mut script = Script {
                number,
                marks: Vec::new(),
                settings: Vec::new(),
                steps: Vec::new(),
            };
            write(&mut script);
            Case {
                name,
                scenario: Scenario {
                    number,
                    marks: script.marks,
                    netfilter: None,
                    settings: script.settings,
                    steps: script.steps,
                },
            }
        })
        .collect();
    // Last, because a director needs what the kernel's tools made of them.
    let lists = netfilter::scenarios(FIRST_LIST).into_iter();
    cases.extend(lists.map(|(name, scenario)| Case { name, scenario }));
    cases
}

/// The mark of a scenario that has one.
const MARK: u8 = 1;

/// A scenario being written.
struct Script {
    number: u32,
    marks: Vec<MarkRule>,
    settings: Vec<(String, u32)>,
    steps: Vec<Step>,
}

impl Script {
    /// Words of ipvsadm, in which `V` is the VIP, `F` the mark, and `1` to `8` after `@` a server.
    fn ipvsadm(&mut self, words: &str) {
        let mut words = words.replace('V', &network::vip(Family::V4, self.number, 0).to_string());
        words = words.replace('F', &network::mark(self.number, MARK).to_string());
        for server in 0..network::SERVERS {
            let address = network::server(Family::V4, server).to_string();
            words = words.replace(&format!("@{}", server + 1), &address);
        }
        self.steps.push(Step::Ipvsadm(words));
    }

    fn list(&mut self) {
        self.ipvsadm("-L -n");
        self.ipvsadm("-L -n -c");
    }

    fn client(&mut self, flow: Flow, flags: Flags) {
        self.steps.push(Step::Client(flow, Packet::new(flags)));
    }

    fn server(&mut self, flow: Flow, flags: Flags) {
        self.steps.push(Step::Server(flow, Packet::new(flags)));
    }

    /// Packets of SCTP, with a listing after each; `true` for those of the client.
    fn sctp(&mut self, flow: Flow, packets: &[(bool, Chunk)]) {
        for (by_client, chunk) in packets {
            // A length that is no multiple of four: the checksum covers what is there.
            let packet = Packet::of_chunk(*chunk).payload(21);
            self.steps.push(if *by_client {
                Step::Client(flow, packet)
            } else {
                Step::Server(flow, packet)
            });
            self.ipvsadm("-L -n -c");
        }
        self.list();
    }

    /// A service of the mark, which all VIPs' port 80 have, as for destinations behind a cluster of
    /// caches: a small server that everything goes to first, and two large ones.
    fn marked_service(&mut self, scheduler: &str) {
        self.marks = (0..network::VIPS)
            .map(|vip| MarkRule {
                family: Family::V4,
                protocol: Protocol::Tcp,
                vip,
                port: 80,
                mark: MARK,
            })
            .collect();
        self.ipvsadm(&format!("-A -f F -s {scheduler}"));
        for (server, weight) in [(3, 10), (2, 10), (1, 2)] {
            self.ipvsadm(&format!("-a -f F -r @{server} -m -w {weight}"));
        }
    }

    /// Connections to a VIP, which all stay active.
    fn connect(&mut self, vip: u8, client_ports: impl IntoIterator<Item = u16>) {
        for client_port in client_ports {
            self.client(marked(vip, client_port), Flags::SYN);
        }
    }

    /// Connections to every VIP, one after the other.
    fn connect_everywhere<const N: usize>(&mut self, client_ports: [u16; N]) {
        for vip in 0..network::VIPS {
            self.connect(vip, client_ports);
        }
    }

    /// Ends connections to a VIP; before they are established a reset changes nothing.
    fn reset(&mut self, vip: u8, client_ports: impl IntoIterator<Item = u16>) {
        for client_port in client_ports {
            self.client(marked(vip, client_port), Flags::ACK);
            self.client(marked(vip, client_port), Flags::RST);
        }
    }

    /// A TCP service at port 80 with a server by each of these methods.
    fn service(&mut self, methods: &[&str]) {
        self.ipvsadm("-A -t V:80 -s rr");
        for (number, method) in (1..).zip(methods) {
            self.ipvsadm(&format!("-a -t V:80 -r @{number}:80 {method}"));
        }
    }
}

/// A connection to one of the VIPs that have the mark.
fn marked(vip: u8, client_port: u16) -> Flow {
    Flow {
        vip,
        ..tcp(client_port)
    }
}

fn tcp(client_port: u16) -> Flow {
    Flow {
        family: Family::V4,
        protocol: Protocol::Tcp,
        client: 7,
        client_port,
        vip: 0,
        port: 80,
    }
}

fn udp(client_port: u16) -> Flow {
    Flow {
        protocol: Protocol::Udp,
        port: 53,
        ..tcp(client_port)
    }
}

fn sctp(client_port: u16) -> Flow {
    Flow {
        protocol: Protocol::Sctp,
        port: 3868,
        ..tcp(client_port)
    }
}

/// A life from one end to the other; then one with an INIT that is sent again, and a refusal.
fn sctp_lifecycle_nat(script: &mut Script) {
    script.ipvsadm("-A --sctp-service V:3868 -s rr");
    script.ipvsadm("-a --sctp-service V:3868 -r @1:3868 -m");
    script.ipvsadm("-a --sctp-service V:3868 -r @2:3869 -m");
    // To the server at another port, then to the one at the service's.
    for flow in [sctp(1024), sctp(1025)] {
        script.sctp(
            flow,
            &[
                (true, Chunk::Init),
                (false, Chunk::InitAck),
                (true, Chunk::CookieEcho),
                (false, Chunk::CookieAck),
                (true, Chunk::Data),
                (false, Chunk::Sack),
                (false, Chunk::Heartbeat),
                (true, Chunk::Shutdown),
                (false, Chunk::ShutdownAck),
                (true, Chunk::ShutdownComplete),
                // What is over is opened anew.
                (true, Chunk::Data),
                (true, Chunk::Init),
                (true, Chunk::Init),
            ],
        );
    }
    script.sctp(
        sctp(1026),
        &[
            (true, Chunk::Init),
            (true, Chunk::Init),
            (false, Chunk::Abort),
        ],
    );
    // What is refused lives for four seconds, so it is not left at that.
    script.sctp(
        sctp(1027),
        &[
            (true, Chunk::Init),
            (false, Chunk::Abort),
            (true, Chunk::Init),
        ],
    );
    script.sctp(sctp(1028), &[(true, Chunk::Data), (true, Chunk::Abort)]);
}

fn sctp_lifecycle_direct(script: &mut Script) {
    script.ipvsadm("-A --sctp-service V:3868 -s wlc");
    script.ipvsadm("-a --sctp-service V:3868 -r @1:3868 -g");
    script.ipvsadm("-a --sctp-service V:3868 -r @2:3868 -i");
    for flow in [sctp(1024), sctp(1025), sctp(1026)] {
        script.sctp(
            flow,
            &[
                (true, Chunk::Init),
                (true, Chunk::CookieEcho),
                (true, Chunk::Data),
                (true, Chunk::Shutdown),
                (true, Chunk::ShutdownComplete),
            ],
        );
    }
}

fn tcp_lifecycle_nat(script: &mut Script) {
    script.service(&["-m"]);
    let flow = tcp(1024);
    script.client(flow, Flags::SYN);
    script.list();
    script.server(flow, Flags::SYN_ACK);
    script.list();
    script.client(flow, Flags::ACK);
    script.list();
    script.client(flow, Flags::FIN_ACK);
    script.list();
    script.server(flow, Flags::FIN_ACK);
    script.list();
    script.client(flow, Flags::ACK);
}

fn tcp_lifecycle_direct(script: &mut Script) {
    script.service(&["-g", "-i"]);
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::SYN);
        script.list();
        script.client(flow, Flags::ACK);
        script.list();
        script.client(flow, Flags::FIN_ACK);
        script.list();
        script.client(flow, Flags::ACK);
    }
}

fn reset_by_the_client(script: &mut Script) {
    script.service(&["-m", "-g"]);
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::SYN);
        script.client(flow, Flags::ACK);
        script.client(flow, Flags::RST);
        script.list();
        script.client(flow, Flags::SYN);
    }
}

fn timeouts_set(script: &mut Script) {
    script.ipvsadm("--set 40 30 20");
    script.service(&["-m"]);
    script.ipvsadm("-A -u V:53 -s rr");
    script.ipvsadm("-a -u V:53 -r @2:53 -m");
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::SYN);
        script.client(flow, Flags::ACK);
    }
    script.client(tcp(1025), Flags::FIN_ACK);
    script.server(tcp(1024), Flags::FIN_ACK);
    script.client(udp(1026), Flags::NONE);
    script.list();
    script.ipvsadm("-L --timeout");
}

fn udp_is_never_active(script: &mut Script) {
    script.ipvsadm("-A -u V:53 -s rr");
    script.ipvsadm("-a -u V:53 -r @1:53 -m");
    script.ipvsadm("-a -u V:53 -r @2:5353 -m");
    for flow in [udp(1024), udp(1025), udp(1024)] {
        script.client(flow, Flags::NONE);
        script.server(flow, Flags::NONE);
        script.list();
    }
}

fn nobody_to_take_it(script: &mut Script) {
    script.ipvsadm("-A -t V:80 -s wlc");
    script.client(tcp(1024), Flags::SYN);
    script.ipvsadm("-a -t V:80 -r @1:80 -m -w 0");
    script.client(tcp(1025), Flags::SYN);
    script.ipvsadm("-A -u V:53 -s rr");
    script.client(udp(1026), Flags::NONE);
}

fn ttl_ends(script: &mut Script) {
    script.service(&["-m", "-g", "-i"]);
    for port in 1024..1027 {
        let last = Packet {
            ttl: 1,
            ..Packet::new(Flags::SYN)
        };
        script.steps.push(Step::Client(tcp(port), last));
        script.client(tcp(port), Flags::SYN);
        script.list();
    }
}

fn removed_server_comes_back(script: &mut Script) {
    script.service(&["-m", "-m"]);
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::SYN);
        script.client(flow, Flags::ACK);
    }
    script.ipvsadm("-d -t V:80 -r @1:80");
    script.list();
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::ACK);
    }
    script.client(tcp(1026), Flags::SYN);
    script.ipvsadm("-a -t V:80 -r @1:80 -m");
    script.list();
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::ACK);
    }
}

fn stray_packets(script: &mut Script) {
    script.service(&["-m"]);
    for flags in [
        Flags::ACK,
        Flags::FIN_ACK,
        Flags::SYN_ACK,
        Flags::RST,
        Flags::NONE,
    ] {
        script.client(tcp(1024), flags);
        script.client(
            Flow {
                client_port: 20,
                ..tcp(1024)
            },
            flags,
        );
        script.client(
            Flow {
                port: 81,
                ..tcp(1024)
            },
            flags,
        );
        script.list();
    }
    script.client(
        Flow {
            client_port: 20,
            ..tcp(1024)
        },
        Flags::SYN,
    );
    script.client(udp(1026), Flags::NONE);
}

fn direct_after_an_edit(script: &mut Script) {
    script.service(&["-g"]);
    script.client(tcp(1024), Flags::SYN);
    script.client(tcp(1024), Flags::ACK);
    script.list();
    script.ipvsadm("-e -t V:80 -r @1:80 -m");
    script.list();
    script.client(tcp(1024), Flags::ACK);
    script.client(tcp(1024), Flags::RST);
    script.list();
}

fn thresholds_edited(script: &mut Script) {
    script.ipvsadm("-A -t V:80 -s fo");
    script.ipvsadm("-a -t V:80 -r @1:80 -m -w 9");
    script.ipvsadm("-a -t V:80 -r @2:80 -m -w 1");
    for port in 1024..1028 {
        script.client(tcp(port), Flags::SYN);
    }
    // Too many at once; as many as it has; more, but not many fewer than before; many more; none.
    let bounds = [(3, 0), (4, 2), (5, 0), (5, 5), (9, 2), (2, 1), (0, 0)];
    for ((upper, lower), port) in bounds.into_iter().zip(1028..) {
        let words = format!("-e -t V:80 -r @1:80 -m -w 9 -x {upper} -y {lower}");
        script.ipvsadm(&words);
        script.client(tcp(port), Flags::SYN);
    }
    script.ipvsadm("-L -n --thresholds");
}

fn service_removed_with_connections(script: &mut Script) {
    script.service(&["-g", "-m"]);
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::SYN);
        script.client(flow, Flags::ACK);
    }
    script.ipvsadm("-D -t V:80");
    script.list();
    for flow in [tcp(1024), tcp(1025)] {
        script.client(flow, Flags::ACK);
    }
    script.list();
    script.client(tcp(1024), Flags::SYN);
}

/// Every destination has a server, until that has more than it should, is quiesced or removed.
fn lblc_remembers_a_server(script: &mut Script) {
    crowd_quiesce_and_remove(script, "lblc");
}

/// Every destination has a set of servers: another one joins those that have more than they should,
/// and who is quiesced or removed is asked again when it is back.
fn lblcr_remembers_servers(script: &mut Script) {
    crowd_quiesce_and_remove(script, "lblcr");
}

fn crowd_quiesce_and_remove(script: &mut Script, scheduler: &str) {
    script.marked_service(scheduler);
    // Twice to every destination.
    for client_port in [1024, 1025] {
        script.connect_everywhere([client_port]);
    }
    script.list();
    // More active connections than weight, while others have room to spare.
    script.connect(0, 1026..1030);
    script.list();
    // The first server is idle again, and has less to do than the one that came instead or joined.
    script.reset(0, 1024..1027);
    script.connect(0, 1030..1032);
    script.list();
    // Two are quiesced, and get their weight back.
    for weight in [0, 10] {
        for server in [2, 3] {
            script.ipvsadm(&format!("-e -f F -r @{server} -m -w {weight}"));
        }
        script.connect_everywhere([1032 + weight, 1033 + weight]);
        script.list();
    }
    // One is removed, and comes back.
    script.ipvsadm("-d -f F -r @1");
    script.connect_everywhere([1050]);
    script.ipvsadm("-a -f F -r @1 -m -w 100");
    script.connect_everywhere([1051]);
}

/// What NAT servers are told when they speak of connections that are not known.
fn stray_answers(script: &mut Script) {
    script.settings.push(("nat_icmp_send".to_owned(), 1));
    // One-packet scheduling keeps no connection that an answer could belong to.
    script.ipvsadm("-A -u V:53 -s rr -o");
    script.ipvsadm("-a -u V:53 -r @1:53 -m");
    let flow = udp(1024);
    script.client(flow, Flags::NONE);
    script.server(flow, Flags::NONE);
    // Quiesced, it is still in service.
    script.ipvsadm("-e -u V:53 -r @1:53 -m -w 0");
    script.server(flow, Flags::NONE);
    // By another method, and out of service, it is nobody whom the director knows.
    script.ipvsadm("-e -u V:53 -r @1:53 -g");
    script.server(flow, Flags::NONE);
    script.ipvsadm("-d -u V:53 -r @1:53");
    script.server(flow, Flags::NONE);
    script.ipvsadm("-a -u V:53 -r @1:53 -m");
    script.server(flow, Flags::NONE);
    script.list();
}

fn sloppy_connections_assure_templates(script: &mut Script) {
    script.settings.push(("sloppy_tcp".to_owned(), 1));
    script.ipvsadm("-A -t V:80 -s rr -p 600");
    script.ipvsadm("-a -t V:80 -r @1:80 -m");
    script.ipvsadm("-a -t V:80 -r @2:80 -g");
    // One that begins as it should: its template is assured once it is established.
    for client in [7, 8] {
        let flow = Flow {
            client,
            ..tcp(1024)
        };
        script.client(flow, Flags::SYN);
        script.list();
        script.client(flow, Flags::ACK);
        script.list();
    }
    // One that was established before it was seen.
    for client in [9, 10] {
        let flow = Flow {
            client,
            ..tcp(1024)
        };
        script.client(flow, Flags::ACK);
        script.list();
        script.client(flow, Flags::FIN_ACK);
        script.list();
    }
}

/// A datagram's connection counts while the datagram is on its way.
fn one_packet_overloads(script: &mut Script) {
    script.ipvsadm("-A -u V:53 -s rr");
    for server in [1, 2, 3] {
        script.ipvsadm(&format!("-a -u V:53 -r @{server}:53 -m"));
    }
    for client_port in 1024..1030 {
        script.client(udp(client_port), Flags::NONE);
    }
    script.ipvsadm("-E -u V:53 -s rr -o");
    // Two connections each: one more is too many for the first two, and only for a moment for the
    // second.
    for (server, bounds) in [(1, "-x 3 -y 2"), (2, "-x 3 -y 3"), (3, "-x 9")] {
        script.ipvsadm(&format!("-e -u V:53 -r @{server}:53 -m {bounds}"));
    }
    for client_port in 1030..1040 {
        script.client(udp(client_port), Flags::NONE);
    }
    script.list();
}

/// What is wrong in two ways is refused for what the kernel finds first.
fn refusals_in_order(script: &mut Script) {
    script.service(&["-m"]);
    for service in ["V:80", "V:81"] {
        for server in ["@1:80", "@2:80"] {
            for command in ["-a", "-e"] {
                script.ipvsadm(&format!("{command} -t {service} -r {server} -m -x 6 -y 7"));
            }
            script.ipvsadm(&format!("-d -t {service} -r {server}"));
        }
    }
}

/// The client's template is invalid then, and stays so.
fn template_of_a_server_that_comes_back(script: &mut Script) {
    script.ipvsadm("-A -t V:80 -s rr -p 600");
    script.ipvsadm("-a -t V:80 -r @1:80 -m");
    script.ipvsadm("-a -t V:80 -r @2:80 -m");
    script.connect(0, 1024..1026);
    script.ipvsadm("-d -t V:80 -r @2:80");
    script.connect(0, 1026..1028);
    script.ipvsadm("-a -t V:80 -r @2:80 -m");
    script.connect(0, 1028..1030);
    script.list();
}
