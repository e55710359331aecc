//! A scenario: what is typed at a director, and what clients and servers send through it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::network::{self, Family};

/// A scenario. Its text is a script that a person can follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scenario {
    /// Which of a run; decides its addresses.
    pub number: u32,
    /// Packets that get a firewall mark before they are balanced.
    pub marks: Vec<MarkRule>,
    /// What gives packets their marks instead: rules as netfilter's own tools load them.
    pub netfilter: Option<Netfilter>,
    /// IPVS's sysctls that differ from their defaults: keys of `lvs.cf` have the same names.
    pub settings: Vec<(String, u32)>,
    /// What happens, in order.
    pub steps: Vec<Step>,
}

/// Packets to a VIP's port get a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRule {
    /// Of which family.
    pub family: Family,
    /// Of which protocol.
    pub protocol: Protocol,
    /// To which of the scenario's VIPs.
    pub vip: u8,
    /// To which port.
    pub port: u16,
    /// Which of the scenario's marks: 1 to [`network::MARKS`].
    pub mark: u8,
}

/// Lists of rules, and the tool that tells afterwards what is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Netfilter {
    /// What is loaded, in order.
    pub lists: Vec<(Tool, String)>,
    /// By which it is saved, one after the other.
    pub saved_by: Vec<Tool>,
}

impl Netfilter {
    /// In the comment of rules that no `mark` block can stand for.
    pub const NO_BLOCK: &'static str = "no block";
}

/// A tool that loads netfilter's rules and saves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tool {
    /// `iptables-restore` and `iptables-save`.
    Iptables,
    /// `ip6tables-restore` and `ip6tables-save`.
    Ip6tables,
    /// `nft`.
    Nft,
}

/// One thing that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// The words of an ipvsadm command.
    Ipvsadm(String),
    /// A client sends a packet.
    Client(Flow, Packet),
    /// The real server that the last packet of the flow went to sends one back; if there is none,
    /// or the server's answers do not pass the director, nothing happens.
    Server(Flow, Packet),
}

/// A transport protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

/// A client's end and the VIP's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Flow {
    /// Address family.
    pub family: Family,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Which client, from 1.
    pub client: u8,
    /// Its port.
    pub client_port: u16,
    /// Which VIP.
    pub vip: u8,
    /// Its port.
    pub port: u16,
}

/// What a packet is besides its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// TCP's flags; no matter for other protocols.
    pub flags: Flags,
    /// SCTP's first chunk; no matter for other protocols.
    pub chunk: Chunk,
    /// Bytes of payload.
    pub payload: u16,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// IPv4's "don't fragment".
    pub dont_fragment: bool,
}

/// A kind of SCTP's chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(u8)]
pub enum Chunk {
    /// Payload data.
    Data = 0,
    /// Initiation.
    Init = 1,
    /// Its acknowledgement.
    InitAck = 2,
    /// Acknowledgement of data.
    Sack = 3,
    /// Is there anybody?
    Heartbeat = 4,
    /// The end, at once.
    Abort = 6,
    /// The end, in order.
    Shutdown = 7,
    /// Its acknowledgement.
    ShutdownAck = 8,
    /// What went wrong.
    Error = 9,
    /// The cookie of an INIT ACK, sent back.
    CookieEcho = 10,
    /// Its acknowledgement.
    CookieAck = 11,
    /// The end of the end.
    ShutdownComplete = 14,
}

impl Chunk {
    /// Every kind.
    pub const ALL: [Chunk; 12] = [
        Chunk::Data,
        Chunk::Init,
        Chunk::InitAck,
        Chunk::Sack,
        Chunk::Heartbeat,
        Chunk::Abort,
        Chunk::Shutdown,
        Chunk::ShutdownAck,
        Chunk::Error,
        Chunk::CookieEcho,
        Chunk::CookieAck,
        Chunk::ShutdownComplete,
    ];
}

/// Some of TCP's flags.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flags {
    /// SYN.
    pub syn: bool,
    /// ACK.
    pub ack: bool,
    /// FIN.
    pub fin: bool,
    /// RST.
    pub rst: bool,
}

impl Flags {
    /// A new connection.
    pub const SYN: Flags = Flags {
        syn: true,
        ack: false,
        fin: false,
        rst: false,
    };
    /// Its answer.
    pub const SYN_ACK: Flags = Flags {
        ack: true,
        ..Flags::SYN
    };
    /// Data, or an acknowledgement.
    pub const ACK: Flags = Flags {
        syn: false,
        ..Flags::SYN_ACK
    };
    /// The end.
    pub const FIN_ACK: Flags = Flags {
        fin: true,
        ..Flags::ACK
    };
    /// A reset.
    pub const RST: Flags = Flags {
        syn: false,
        ack: false,
        fin: false,
        rst: true,
    };
    /// None at all.
    pub const NONE: Flags = Flags {
        rst: false,
        ..Flags::RST
    };
}

impl Packet {
    /// A packet with these flags and nothing unusual.
    pub const fn new(flags: Flags) -> Packet {
        Packet {
            flags,
            chunk: Chunk::Data,
            payload: 0,
            ttl: 64,
            tos: 0,
            dont_fragment: true,
        }
    }

    /// A packet with this chunk, and nothing unusual.
    pub const fn of_chunk(chunk: Chunk) -> Packet {
        Packet {
            chunk,
            ..Packet::new(Flags::NONE)
        }
    }

    /// With so many bytes of payload.
    pub const fn payload(self, payload: u16) -> Packet {
        Packet { payload, ..self }
    }
}

impl Flow {
    /// The client's address in a scenario.
    pub fn client_address(&self, scenario: u32) -> IpAddr {
        network::client(self.family, scenario, self.client)
    }

    /// The VIP in a scenario.
    pub fn vip_address(&self, scenario: u32) -> IpAddr {
        network::vip(self.family, scenario, self.vip)
    }
}

impl Scenario {
    /// The same with another number, and so with other addresses.
    pub fn renumbered(&self, number: u32) -> Scenario {
        let mut scenario = self.clone();
        scenario.number = number;
        for step in &mut scenario.steps {
            if let Step::Ipvsadm(words) = step {
                *words = renumbered(words, self.number, number);
            }
        }
        scenario
    }
}

/// Words with the VIPs and marks of one scenario instead of another's. VIPs always have a port
/// after them.
fn renumbered(words: &str, from: u32, to: u32) -> String {
    let mut words = words.to_owned();
    // A command names one at most.
    let mark = |scenario, mark| format!(" -f {} ", network::mark(scenario, mark));
    let mut marks = 1..=network::MARKS;
    if let Some(found) = marks.find(|it| words.contains(&mark(from, *it))) {
        words = words.replace(&mark(from, found), &mark(to, found));
    }
    for vip in 0..network::VIPS {
        let text = |family, scenario| match network::vip(family, scenario, vip) {
            IpAddr::V4(address) => format!(" {address}:"),
            IpAddr::V6(address) => format!(" [{address}]:"),
        };
        for family in [Family::V4, Family::V6] {
            words = words.replace(&text(family, from), &text(family, to));
        }
    }
    words
}

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for rule in &self.marks {
            let vip = network::vip(rule.family, self.number, rule.vip);
            let MarkRule { protocol, port, .. } = rule;
            let mark = network::mark(self.number, rule.mark);
            writeln!(f, "mark {protocol} to {vip} port {port} with {mark}")?;
        }
        for (tool, list) in self.netfilter.iter().flat_map(|it| &it.lists) {
            writeln!(f, "{tool:?} loads:\n{list}")?;
        }
        for (key, value) in &self.settings {
            writeln!(f, "{key} = {value}")?;
        }
        for step in &self.steps {
            step.write(self.number, f)?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl Step {
    fn write(&self, scenario: u32, f: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Step::Ipvsadm(words) => write!(f, "ipvsadm {words}"),
            Step::Client(flow, packet) => {
                write!(
                    f,
                    "client {} port {} sends {} to {} port {}: {packet}",
                    flow.client_address(scenario),
                    flow.client_port,
                    flow.protocol,
                    flow.vip_address(scenario),
                    flow.port,
                )
            }
            Step::Server(flow, packet) => {
                write!(
                    f,
                    "its server answers {} port {} ({} to {} port {}): {packet}",
                    flow.client_address(scenario),
                    flow.client_port,
                    flow.protocol,
                    flow.vip_address(scenario),
                    flow.port,
                )
            }
        }
    }

    /// The step as a line of its scenario's script.
    pub fn text(&self, scenario: u32) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        let _infallible = self.write(scenario, &mut text);
        text
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

impl fmt::Display for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "flags {}, {} bytes", self.flags, self.payload)?;
        if self.chunk != Chunk::Data {
            write!(f, ", chunk {:?}", self.chunk)?;
        }
        let usual = Packet::new(self.flags);
        if self.ttl != usual.ttl {
            write!(f, ", TTL {}", self.ttl)?;
        }
        if self.tos != usual.tos {
            write!(f, ", TOS {:#04x}", self.tos)?;
        }
        if !self.dont_fragment {
            f.write_str(", may be fragmented")?;
        }
        Ok(())
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = [
            (self.syn, "S"),
            (self.fin, "F"),
            (self.rst, "R"),
            (self.ack, "A"),
        ];
        let set: String = names
            .iter()
            .filter(|(set, _)| *set)
            .map(|(_, name)| *name)
            .collect();
        f.write_str(if set.is_empty() { "-" } else { &set })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_number_is_another_address() {
        let step = |words: &str| Step::Ipvsadm(words.to_owned());
        let scenario = Scenario {
            number: 1,
            marks: Vec::new(),
            netfilter: None,
            settings: Vec::new(),
            steps: vec![
                step("-A -t 10.128.0.4:80 -s rr"),
                step("-A -t [fd00:1:1::2]:80"),
                step("-a -f 6 -r 10.2.0.11:80 -m"),
            ],
        };
        let other = scenario.renumbered(10);
        let expected = [
            step("-A -t 10.128.0.40:80 -s rr"),
            step("-A -t [fd00:1:a::2]:80"),
            step("-a -f 42 -r 10.2.0.11:80 -m"),
        ];
        assert_eq!(other.steps, expected);
        assert_eq!(other.renumbered(1), scenario);
    }
}
