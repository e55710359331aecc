//! Services and servers, and an administrator's changes to them.

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
const METHODS: &[&[&str]] = &[&["-m"], &["-m"], &["-g"], &["-i"], &["-m", "-g", "-i"]];

const WEIGHTS: &[u32] = &[0, 1, 1, 1, 2, 3, 4, 5, 10, 100];

/// What is (probably) in the director's table.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) services: Vec<Service>,
}

/// A service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) family: Family,
    pub(super) protocol: Protocol,
    pub(super) vip: u8,
    pub(super) port: u16,
    servers: Vec<(u8, u16)>,
    /// What its servers' methods are drawn from.
    methods: &'static [&'static str],
}

impl Service {
    /// As ipvsadm's option.
    fn words(&self, scenario: u32) -> String {
        let option = match self.protocol {
            Protocol::Tcp => "-t",
            Protocol::Udp => "-u",
        };
        let vip = network::vip(self.family, scenario, self.vip);
        format!(
            "{option} {}",
            place(self.family, &vip.to_string(), self.port)
        )
    }

    /// The method of a server: one for a whole scenario (see the deviations).
    fn method(&self, server: u8) -> &'static str {
        self.methods[usize::from(server) % self.methods.len()]
    }

    fn server_words(&self, server: (u8, u16)) -> String {
        let address = network::server(self.family, server.0).to_string();
        format!("-r {}", place(self.family, &address, server.1))
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
        let service = Service {
            family: *random.one(&[Family::V4, Family::V4, Family::V6]),
            protocol: *random.one(&[Protocol::Tcp, Protocol::Tcp, Protocol::Tcp, Protocol::Udp]),
            vip: random.below(VIPS.into()) as u8,
            port: *random.one(&[80, 443, 53, 8080]),
            servers: Vec::new(),
            methods: METHODS[random.below(METHODS.len())],
        };
        let words = service.words(scenario);
        steps.push(Step::Ipvsadm(format!("-A {words}{}", scheduling(random))));
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
                let settings = settings(random, service.method(server.0));
                let server = service.server_words(server);
                steps.push(Step::Ipvsadm(format!("-e {words} {server}{settings}")));
            }
            12..15 => {
                let server = service.a_server(random);
                let server_words = service.server_words(server);
                steps.push(Step::Ipvsadm(format!("-d {words} {server_words}")));
                self.services[index].servers.retain(|it| *it != server);
            }
            15..17 => steps.push(Step::Ipvsadm(format!("-E {words}{}", scheduling(random)))),
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
        // Direct routing and tunnels take the service's port, whatever is said.
        let port = *random.one(&[service.port, service.port, 8000]);
        let server = (random.below(SERVERS.into()) as u8, port);
        let words = (service.words(scenario), service.server_words(server));
        let settings = settings(random, service.method(server.0));
        steps.push(Step::Ipvsadm(format!(
            "-a {} {}{settings}",
            words.0, words.1
        )));
        service.servers.push(server);
    }

    /// Firewall marks that services of this table are for.
    pub(super) fn marks(&self) -> Vec<MarkRule> {
        Vec::new()
    }
}

impl Service {
    /// One of the servers; now and then one that may not be there.
    fn a_server(&self, random: &mut Random) -> (u8, u16) {
        if self.servers.is_empty() || random.once_in(10) {
            return (random.below(SERVERS.into()) as u8, self.port);
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

/// A server's forwarding method and weight.
fn settings(random: &mut Random, method: &str) -> String {
    let mut words = format!(" {method}");
    if !random.once_in(4) {
        words += &format!(" -w {}", random.one(WEIGHTS));
    }
    words
}
