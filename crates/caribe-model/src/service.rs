//! Virtual services and their real servers: what the data plane should hold.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Encapsulation, MarkRule, Netmask, Persistence, Policy, Scheduler, SchedulerOptions, Thresholds,
};

/// A word that is not one of a closed set, with the set, for messages.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown {what} `{word}`: expected one of {expected}")]
pub struct UnknownWord {
    /// What the word should have named, e.g. "scheduler".
    pub what: &'static str,
    /// The word as given.
    pub word: String,
    /// The accepted words, separated by commas.
    pub expected: &'static str,
}

/// Address family of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl From<IpAddr> for Family {
    fn from(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Family::V4
        } else {
            Family::V6
        }
    }
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP, IP protocol 6.
    Tcp,
    /// UDP, IP protocol 17.
    Udp,
    /// SCTP, IP protocol 132.
    Sctp,
}

impl Protocol {
    /// The protocol number of the IP header.
    pub const fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }
}

impl fmt::Display for Protocol {
    /// The upper-case name of `ipvsadm -L`; pads as asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// How a packet reaches a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Forwarding {
    /// The destination is rewritten; replies come back through the director (`-m`).
    Nat,
    /// The frame is sent to the server's MAC address, unchanged but for its TTL (`-g`).
    Direct,
    /// The packet is wrapped in an outer IP header addressed to the server (`-i`).
    Tunnel,
}

impl fmt::Display for Forwarding {
    /// The word of lvs.cf's `network` key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Forwarding::Nat => "nat",
            Forwarding::Direct => "direct",
            Forwarding::Tunnel => "tunnel",
        })
    }
}

impl FromStr for Forwarding {
    type Err = UnknownWord;

    fn from_str(word: &str) -> Result<Self, UnknownWord> {
        match word {
            "nat" => Ok(Forwarding::Nat),
            "direct" => Ok(Forwarding::Direct),
            "tunnel" => Ok(Forwarding::Tunnel),
            _ => Err(UnknownWord {
                what: "forwarding method",
                word: word.to_owned(),
                expected: "nat, direct, tunnel",
            }),
        }
    }
}

/// What makes a virtual service unique, as in IPVS: an address with protocol and port, or a
/// firewall mark with a family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServiceKey {
    /// Packets to this address, protocol and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// The VIP.
        address: IpAddr,
        /// Virtual port, host order.
        port: u16,
    },
    /// Packets that carry this firewall mark.
    Mark {
        /// Address family of the packets.
        family: Family,
        /// The mark; zero means "unmarked" and so cannot name a service.
        mark: NonZeroU32,
    },
}

impl ServiceKey {
    /// Address family of the packets that this service takes.
    pub fn family(&self) -> Family {
        match self {
            ServiceKey::Address { address, .. } => Family::from(*address),
            ServiceKey::Mark { family, .. } => *family,
        }
    }

    /// Whether a service of this identity may have a server, apart from the others that it has.
    ///
    /// # Errors
    ///
    /// Refuses a server that its forwarding method cannot reach, and a weight that is too large.
    pub fn admits(&self, server: &Server) -> Result<(), TableError> {
        if Family::from(server.key.address) != self.family()
            && server.forwarding != Forwarding::Tunnel
        {
            return Err(TableError::MixedFamily {
                service: *self,
                server: server.key,
            });
        }
        if server.weight > Server::MAX_WEIGHT {
            return Err(TableError::Weight {
                service: *self,
                server: server.key,
                weight: server.weight,
            });
        }
        Ok(())
    }

    /// Whether a service of this identity may have that persistence, or none.
    ///
    /// # Errors
    ///
    /// Refuses all ports without persistence, and a netmask of the other family.
    pub fn admits_persistence(&self, persistence: Option<&Persistence>) -> Result<(), TableError> {
        let Some(persistence) = persistence else {
            return match self {
                ServiceKey::Address { port: 0, .. } => Err(TableError::AllPorts(*self)),
                _ => Ok(()),
            };
        };
        let fits = match (self.family(), persistence.netmask) {
            (Family::V4, Netmask::V4(_)) => true,
            (Family::V6, Netmask::V6(prefix)) => (1..=128).contains(&prefix),
            _ => false,
        };
        if fits {
            Ok(())
        } else {
            Err(TableError::Netmask(*self))
        }
    }
}

impl fmt::Display for ServiceKey {
    /// `TCP 192.0.2.1:80`, `UDP [2001:db8::1]:53`, `FWM 7`, `FWM 7 IPv6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => {
                write!(f, "{protocol} {}", SocketAddr::new(*address, *port))
            }
            ServiceKey::Mark {
                family: Family::V4,
                mark,
            } => write!(f, "FWM {mark}"),
            ServiceKey::Mark {
                family: Family::V6,
                mark,
            } => write!(f, "FWM {mark} IPv6"),
        }
    }
}

/// What makes a real server unique inside its service: address and port, as in IPVS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServerKey {
    /// Address of the real server.
    pub address: IpAddr,
    /// Port on the real server, host order; 0 keeps the port of the packet.
    pub port: u16,
}

impl fmt::Display for ServerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// A real server as an entry of one virtual service (IPVS: destination).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Server {
    /// Identity inside the service.
    pub key: ServerKey,
    /// How packets reach it. Connections keep the method they were created with.
    pub forwarding: Forwarding,
    /// Share of new connections, 0 to 2,147,483,647; 0 means quiesced: established connections
    /// go on and no new one comes.
    pub weight: u32,
    /// How a tunnel to it wraps packets.
    #[serde(default)]
    pub encapsulation: Encapsulation,
    /// How many connections it takes.
    #[serde(default)]
    pub thresholds: Thresholds,
}

impl Server {
    /// The largest weight that ipvsadm 1.31 accepts.
    pub const MAX_WEIGHT: u32 = i32::MAX as u32;
}

/// A virtual service with its real servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// How the next server is chosen.
    pub scheduler: Scheduler,
    /// The scheduler's flags and sizes.
    #[serde(default)]
    pub options: SchedulerOptions,
    /// Client affinity.
    #[serde(default)]
    pub persistence: Option<Persistence>,
    /// One-packet scheduling: every datagram is scheduled by itself, and no connection is kept.
    /// For UDP, and for the UDP of a firewall mark.
    #[serde(default)]
    pub one_packet: bool,
    /// How connections are treated at the edges of their lives.
    #[serde(default)]
    pub policy: Policy,
    /// In the order in which they were added. IPVS keeps its list the other way round, newest
    /// first, and so does every iteration and tie-break in the data plane.
    pub servers: Vec<Server>,
}

/// The whole of what the data plane should hold.
///
/// A table is derived (from configuration, verdicts and overrides) and compared, never edited in
/// place by two hands; [`crate::diff`] tells what must change to get from one to another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// Shared by the tables that are derived from each other: one that changes in one service is
    /// neither copied nor compared as a whole. And shared as a whole by a table's clones.
    services: Arc<BTreeMap<ServiceKey, Arc<Service>>>,
    /// Number of servers in all services.
    servers: usize,
    marks: Vec<MarkRule>,
}

/// Why a service cannot be part of a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Two services with one identity.
    #[error("virtual service {0} is defined twice")]
    DuplicateService(ServiceKey),
    /// Two servers with one identity in one service.
    #[error("real server {server} is defined twice in virtual service {service}")]
    DuplicateServer {
        /// The service that holds both.
        service: ServiceKey,
        /// The repeated server.
        server: ServerKey,
    },
    /// Only a tunnel can carry one address family over the other.
    #[error(
        "real server {server} of virtual service {service} is of the other address family: \
         only forwarding method `tunnel` can reach it"
    )]
    MixedFamily {
        /// The service.
        service: ServiceKey,
        /// The server of the other family.
        server: ServerKey,
    },
    /// Port 0, which means all ports, without persistence: IPVS would send a client's control
    /// and data connections to different servers.
    #[error("virtual service {0} takes all ports (port 0) and is not persistent")]
    AllPorts(ServiceKey),
    /// A netmask of the other family, or an IPv6 prefix that is none.
    #[error("virtual service {0}: the netmask of its persistence is of the other address family")]
    Netmask(ServiceKey),
    /// A rule for marks that no packet can match.
    #[error("mark {mark}: {address}/{prefix} is not a network")]
    MarkNetwork {
        /// Its mark.
        mark: NonZeroU32,
        /// Its address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
    },
    /// A weight over [`Server::MAX_WEIGHT`].
    #[error(
        "real server {server} of virtual service {service}: weight {weight} is over 2147483647"
    )]
    Weight {
        /// The service.
        service: ServiceKey,
        /// The server.
        server: ServerKey,
        /// The refused weight.
        weight: u32,
    },
}

impl Table {
    /// Adds a service.
    ///
    /// # Errors
    ///
    /// Refuses a repeated service, a repeated server, and a server that its forwarding method
    /// cannot reach; the table is then unchanged.
    pub fn insert(&mut self, key: ServiceKey, service: Service) -> Result<(), TableError> {
        if self.services.contains_key(&key) {
            return Err(TableError::DuplicateService(key));
        }
        key.admits_persistence(service.persistence.as_ref())?;
        let mut seen = HashSet::with_capacity(service.servers.len());
        for server in &service.servers {
            if !seen.insert(server.key) {
                return Err(TableError::DuplicateServer {
                    service: key,
                    server: server.key,
                });
            }
            key.admits(server)?;
        }
        self.servers += service.servers.len();
        Arc::make_mut(&mut self.services).insert(key, Arc::new(service));
        Ok(())
    }

    /// Replaces the rules by which packets get marks, in the order in which they are applied.
    ///
    /// # Errors
    ///
    /// Refuses a rule whose prefix is longer than its address; the table is then unchanged.
    pub fn set_marks(&mut self, marks: Vec<MarkRule>) -> Result<(), TableError> {
        for rule in &marks {
            let longest = match rule.family() {
                Family::V4 => 32,
                Family::V6 => 128,
            };
            if rule.prefix > longest {
                return Err(TableError::MarkNetwork {
                    mark: rule.mark,
                    address: rule.address,
                    prefix: rule.prefix,
                });
            }
        }
        self.marks = marks;
        Ok(())
    }

    /// The rules by which packets get marks, in the order in which they are applied.
    pub fn marks(&self) -> &[MarkRule] {
        &self.marks
    }

    /// Takes a service out.
    pub fn remove(&mut self, key: &ServiceKey) -> Option<Service> {
        let removed = Arc::make_mut(&mut self.services).remove(key)?;
        self.servers -= removed.servers.len();
        Some(Arc::unwrap_or_clone(removed))
    }

    /// One service.
    pub fn service(&self, key: &ServiceKey) -> Option<&Service> {
        self.services.get(key).map(Arc::as_ref)
    }

    /// All services, ordered by key.
    pub fn services(&self) -> impl Iterator<Item = (&ServiceKey, &Service)> {
        let services = self.services.iter();
        services.map(|(key, service)| (key, service.as_ref()))
    }

    /// All services, ordered by key, as they are shared.
    pub(crate) fn shared(&self) -> impl Iterator<Item = (&ServiceKey, &Arc<Service>)> {
        self.services.iter()
    }

    /// Number of servers in all services.
    pub fn servers(&self) -> usize {
        self.servers
    }

    /// Number of services.
    pub fn len(&self) -> usize {
        self.services.len()
    }

    /// True when there is no service.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty()
    }
}
