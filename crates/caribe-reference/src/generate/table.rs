//! Services and servers, and an administrator's changes to them.

use std::collections::HashMap;
use std::fmt;

use crate::network::{self, Family, SERVERS, VIPS};
use crate::random::Random;
use crate::scenario::{MarkRule, Protocol, Step};

/// Schedulers by name, with the flags that they take.
const SCHEDULERS: &[(&str, &[&str])] = &[
    ("rr", &[]),
    ("wrr", &[]),
    ("lc", &[]),
    ("wlc", &[]),
    ("fo", &[]),
    ("ovf", &[]),
    ("sed", &[]),
    ("nq", &[]),
    ("lblc", &[]),
    ("lblcr", &[]),
    ("dh", &[]),
    ("sh", &["sh-fallback", "sh-port", "sh-fallback,sh-port"]),
    ("mh", &["mh-fallback", "mh-port", "mh-fallback,mh-port"]),
];

/// Forwarding methods of a service's servers, by their numbers.
const METHODS: &[&[&str]] = &[
    &["-m"],
    &["-m"],
    &["-m"],
    &["-g"],
    &["-i"],
    &["-m", "-g", "-i"],
    &["-m", "-g", "-i"],
    &[
        "-i --tun-type gre",
        "-i --tun-type gre --tun-csum",
        "-i --tun-type gue --tun-port 6080",
        "-i --tun-type gue --tun-port 6080 --tun-csum",
    ],
];

const MARKED_PROTOCOLS: &[&[Protocol]] = &[
    &[Protocol::Tcp],
    &[Protocol::Tcp],
    &[Protocol::Udp],
    &[Protocol::Sctp],
    &[Protocol::Tcp, Protocol::Udp],
    &[Protocol::Tcp, Protocol::Sctp],
];

const MARKED_PORTS: &[&[u16]] = &[&[80, 443], &[8080], &[20, 21, 8000]];

const WEIGHTS: &[u32] = &[0, 1, 1, 1, 2, 3, 4, 5, 10, 100, 1000];

/// What is (probably) in the director's table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) services: Vec<Service>,
    /// What gives packets their marks; it stays when the service goes.
    marks: Vec<MarkRule>,
}

/// A service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) family: Family,
    key: Key,
    /// Where its clients send packets.
    pub(super) ends: Vec<End>,
    servers: Vec<(u8, u16)>,
    /// What each of them was last set to, if that was accepted.
    settings: HashMap<(u8, u16), ServerSettings>,
    /// What its servers' methods are drawn from.
    methods: &'static [&'static str],
}

/// What a service is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Address(End),
    Mark(u8),
}

/// A VIP's port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct End {
    pub(super) protocol: Protocol,
    pub(super) vip: u8,
    pub(super) port: u16,
}

impl Service {
    /// As ipvsadm's option.
    fn words(&self, scenario: u32) -> String {
        match self.key {
            Key::Address(End {
                protocol,
                vip,
                port,
            }) => {
                let option = match protocol {
                    Protocol::Tcp => "-t",
                    Protocol::Udp => "-u",
                    Protocol::Sctp => "--sctp-service",
                };
                let vip = network::vip(self.family, scenario, vip);
                format!("{option} {}", place(self.family, &vip.to_string(), port))
            }
            Key::Mark(mark) => {
                let family = match self.family {
                    Family::V4 => "",
                    Family::V6 => " -6",
                };
                format!("-f {}{family}", network::mark(scenario, mark))
            }
        }
    }

    /// What is said of a server, its method first.
    fn said(&self, server: (u8, u16), settings: ServerSettings) -> String {
        format!(" {}{settings}", self.method(server.0))
    }

    /// The method of a server: one for a whole scenario (see the deviations).
    fn method(&self, server: u8) -> &'static str {
        self.methods[usize::from(server) % self.methods.len()]
    }

    fn server_words(&self, server: (u8, u16)) -> String {
        let address = network::server(self.family, server.0).to_string();
        format!("-r {}", place(self.family, &address, server.1))
    }

    /// A port that its servers may have. Direct routing and tunnels take the service's, whatever is
    /// said.
    fn server_port(&self, random: &mut Random) -> u16 {
        let own = match self.key {
            Key::Address(end) => end.port,
            Key::Mark(_) => 0,
        };
        *random.one(&[own, own, 8000])
    }

    /// Settings for `-A` and `-E`: scheduler, persistence and so on.
    fn settings(&self, random: &mut Random) -> String {
        let (all_ports, protocol) = match self.key {
            Key::Address(end) => (end.port == 0, Some(end.protocol)),
            Key::Mark(_) => (false, None),
        };
        let mut words = scheduling(random);
        // A service of all ports has to be persistent.
        if (all_ports && !random.once_in(10)) || random.once_in(4) {
            words += *random.one(&[" -p", " -p 100", " -p 600"]);
            if random.once_in(2) {
                words += match self.family {
                    Family::V4 => *random.one(&[" -M 255.255.255.240", " -M 255.255.255.0"]),
                    Family::V6 => *random.one(&[" -M 124", " -M 120"]),
                };
            }
        }
        let may_be_of_one_packet = matches!(protocol, None | Some(Protocol::Udp));
        if may_be_of_one_packet && random.once_in(4) {
            words += " -o";
        }
        words
    }
}

fn place(family: Family, address: &str, port: u16) -> String {
    match family {
        Family::V4 => format!("{address}:{port}"),
        Family::V6 => format!("[{address}]:{port}"),
    }
}

impl Table {
    /// Adds a service with some servers.
    pub(super) fn add_service(
        &mut self,
        random: &mut Random,
        scenario: u32,
        steps: &mut Vec<Step>,
    ) {
        let family = *random.one(&[Family::V4, Family::V4, Family::V6]);
        let key = key(random);
        let ends = match key {
            Key::Address(end) => ends_of(end),
            Key::Mark(mark) => self.ends_of_mark(random, family, mark),
        };
        let service = Service {
            family,
            key,
            ends,
            servers: Vec::new(),
            settings: HashMap::new(),
            methods: METHODS[random.below(METHODS.len())],
        };
        let words = service.words(scenario);
        let settings = service.settings(random);
        steps.push(Step::Ipvsadm(format!("-A {words}{settings}")));
        let known = |other: &Service| other.words(scenario) == words;
        if self.services.iter().any(known) {
            return;
        }
        self.services.push(service);
        let index = self.services.len() - 1;
        for _ in 0..random.between(1, 5) {
            self.add_server(random, scenario, index, steps);
        }
    }

    /// One change by an administrator.
    pub(super) fn change(&mut self, random: &mut Random, scenario: u32, steps: &mut Vec<Step>) {
        if self.services.is_empty() || random.once_in(12) {
            return self.add_service(random, scenario, steps);
        }
        let index = random.below(self.services.len());
        let service = &self.services[index];
        let words = service.words(scenario);
        match random.below(20) {
            0..5 => self.add_server(random, scenario, index, steps),
            5..12 => {
                let server = service.a_server(random);
                let settings = ServerSettings::any(random);
                let server_words = service.server_words(server);
                let edit = format!(
                    "-e {words} {server_words}{}",
                    service.said(server, settings)
                );
                let service = &mut self.services[index];
                let known = service.settings.get(&server).copied();
                // An edit that changes nothing is a deviation.
                if known.is_some_and(|known| known.meaning() == settings.meaning()) {
                    return;
                }
                if known.is_some() && settings.are_accepted() {
                    service.settings.insert(server, settings);
                }
                steps.push(Step::Ipvsadm(edit));
            }
            12..15 => {
                let server = service.a_server(random);
                let server_words = service.server_words(server);
                steps.push(Step::Ipvsadm(format!("-d {words} {server_words}")));
                let service = &mut self.services[index];
                service.servers.retain(|it| *it != server);
                service.settings.remove(&server);
            }
            15..17 => {
                let settings = service.settings(random);
                steps.push(Step::Ipvsadm(format!("-E {words}{settings}")));
            }
            17 => {
                steps.push(Step::Ipvsadm(format!("-D {words}")));
                self.services.remove(index);
            }
            18 => {
                let timeouts = random.one(&["60 30 20", "0 0 40", "600 0 0"]);
                steps.push(Step::Ipvsadm(format!("--set {timeouts}")));
            }
            _ => {
                let all = random.once_in(2);
                let words = if all {
                    String::new()
                } else {
                    format!(" {words}")
                };
                steps.push(Step::Ipvsadm(format!("-Z{words}")));
            }
        }
    }

    fn add_server(
        &mut self,
        random: &mut Random,
        scenario: u32,
        index: usize,
        steps: &mut Vec<Step>,
    ) {
        let service = &mut self.services[index];
        let port = service.server_port(random);
        let server = (random.below(SERVERS.into()) as u8, port);
        let words = (service.words(scenario), service.server_words(server));
        let settings = ServerSettings::any(random);
        steps.push(Step::Ipvsadm(format!(
            "-a {} {}{}",
            words.0,
            words.1,
            service.said(server, settings)
        )));
        service.servers.push(server);
        if settings.are_accepted() {
            // A server that is there already is left as it is.
            service.settings.entry(server).or_insert(settings);
        }
    }

    /// What gets a mark, with what this service's clients send: two ports of one VIP, as in the
    /// bundles of HTTP and HTTPS that marks are for, and now and then all rules of an earlier one.
    fn ends_of_mark(&mut self, random: &mut Random, family: Family, mark: u8) -> Vec<End> {
        let known = |rule: &&MarkRule| rule.family == family && rule.mark == mark;
        if !self.marks.iter().any(|rule| known(&rule)) {
            let vip = random.below(VIPS.into()) as u8;
            let protocols = *random.one(MARKED_PROTOCOLS);
            let ports = *random.one(MARKED_PORTS);
            for (protocol, port) in protocols
                .iter()
                .flat_map(|protocol| ports.iter().map(move |port| (*protocol, *port)))
            {
                self.marks.push(MarkRule {
                    family,
                    protocol,
                    vip,
                    port,
                    mark,
                });
            }
        }
        let rules = self.marks.iter().filter(known);
        rules
            .map(|rule| End {
                protocol: rule.protocol,
                vip: rule.vip,
                port: rule.port,
            })
            .collect()
    }

    /// What gives packets their marks.
    pub(super) fn marks(&self) -> Vec<MarkRule> {
        self.marks.clone()
    }
}

/// What a service is known by: mostly a port of a VIP, now and then all of them, or a mark.
fn key(random: &mut Random) -> Key {
    if random.once_in(6) {
        return Key::Mark(random.between(1, network::MARKS.into()) as u8);
    }
    Key::Address(End {
        protocol: *random.one(&[
            Protocol::Tcp,
            Protocol::Tcp,
            Protocol::Tcp,
            Protocol::Udp,
            Protocol::Sctp,
        ]),
        vip: random.below(VIPS.into()) as u8,
        port: *random.one(&[80, 80, 443, 443, 53, 53, 8080, 21, 0]),
    })
}

/// Where packets go that are for a service of a port: also to other ports, where it takes those.
fn ends_of(end: End) -> Vec<End> {
    let ports: &[u16] = match end.port {
        0 => &[80, 443, 7000],
        21 => &[21, 21, 40_000],
        _ => &[end.port],
    };
    let at = |port: &u16| End { port: *port, ..end };
    ports.iter().map(at).collect()
}

impl Service {
    /// One of the servers; now and then one that may not be there.
    fn a_server(&self, random: &mut Random) -> (u8, u16) {
        if self.servers.is_empty() || random.once_in(10) {
            let port = self.server_port(random);
            return (random.below(SERVERS.into()) as u8, port);
        }
        *random.one(&self.servers)
    }
}

/// A scheduler with flags.
fn scheduling(random: &mut Random) -> String {
    let (name, flags) = random.one(SCHEDULERS);
    if flags.is_empty() || random.once_in(2) {
        return format!(" -s {name}");
    }
    format!(" -s {name} -b {}", random.one(flags))
}

/// What a server is added with, or changed to, but for its method.
#[derive(Debug, Clone, Copy)]
struct ServerSettings {
    weight: Option<u32>,
    upper: Option<usize>,
    lower: Option<usize>,
}

impl ServerSettings {
    fn any(random: &mut Random) -> ServerSettings {
        let mut settings = ServerSettings {
            weight: None,
            upper: None,
            lower: None,
        };
        if !random.once_in(4) {
            settings.weight = Some(*random.one(WEIGHTS));
        }
        if random.once_in(5) {
            let upper = random.between(1, 6);
            settings.upper = Some(upper);
            if random.once_in(2) {
                // One too many now and then: it must be refused.
                settings.lower = Some(random.between(0, upper + 1));
            }
        }
        settings
    }

    /// Weight, upper and lower threshold, with what ipvsadm takes for those that are not said.
    fn meaning(self) -> (u32, usize, usize) {
        (
            self.weight.unwrap_or(1),
            self.upper.unwrap_or(0),
            self.lower.unwrap_or(0),
        )
    }

    fn are_accepted(self) -> bool {
        let (_, upper, lower) = self.meaning();
        lower <= upper
    }
}

impl fmt::Display for ServerSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(weight) = self.weight {
            write!(f, " -w {weight}")?;
        }
        if let Some(upper) = self.upper {
            write!(f, " -x {upper}")?;
        }
        if let Some(lower) = self.lower {
            write!(f, " -y {lower}")?;
        }
        Ok(())
    }
}
