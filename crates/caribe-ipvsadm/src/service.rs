//! Virtual services, in the whole of IPVS's vocabulary.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;

use caribe_model::Family;

use crate::{SchedulerFlags, SchedulerName};

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// The name in services(5).
    pub const fn database_name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        }
    }
}

impl fmt::Display for Protocol {
    /// The upper-case name of a listing; pads as asked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
            Protocol::Sctp => "SCTP",
        })
    }
}

/// What makes a service unique.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServiceId {
    /// Packets to this protocol, address and port.
    Address {
        /// Transport protocol.
        protocol: Protocol,
        /// The VIP.
        address: IpAddr,
        /// Virtual port; 0 stands for every port of a persistent service.
        port: u16,
    },
    /// Packets that carry this firewall mark.
    Mark {
        /// The mark.
        mark: NonZeroU32,
        /// Address family of the packets.
        family: Family,
    },
}

impl ServiceId {
    /// Address family of the service.
    pub fn family(&self) -> Family {
        match self {
            ServiceId::Address { address, .. } => Family::from(*address),
            ServiceId::Mark { family, .. } => *family,
        }
    }

    /// Port of the service; 0 for a firewall mark.
    pub fn port(&self) -> u16 {
        match self {
            ServiceId::Address { port, .. } => *port,
            ServiceId::Mark { .. } => 0,
        }
    }

    /// Protocol of the service; a firewall mark has none.
    pub fn protocol(&self) -> Option<Protocol> {
        match self {
            ServiceId::Address { protocol, .. } => Some(*protocol),
            ServiceId::Mark { .. } => None,
        }
    }
}

impl fmt::Display for ServiceId {
    /// `TCP 192.0.2.1:80`, `FWM 7`, `FWM 7 IPv6`: for messages; listings have their own columns.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServiceId::Address {
                protocol,
                address,
                port,
            } => write!(f, "{protocol} {}", SocketAddr::new(*address, *port)),
            ServiceId::Mark { mark, family } => {
                let family = if *family == Family::V6 { " IPv6" } else { "" };
                write!(f, "FWM {mark}{family}")
            }
        }
    }
}

/// Granularity of persistence: which part of a client's address names its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Netmask {
    /// A mask of IPv4 addresses, contiguous or not.
    V4(Ipv4Addr),
    /// A prefix length of IPv6 addresses. ipvsadm hands out 1 to 128; the kernel refuses others.
    V6(u32),
}

impl Netmask {
    /// The mask that keeps the whole address.
    pub const fn whole(family: Family) -> Self {
        match family {
            Family::V4 => Netmask::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Netmask::V6(128),
        }
    }

    /// Whether the whole address is kept.
    pub fn is_whole(self) -> bool {
        matches!(self, Netmask::V4(Ipv4Addr::BROADCAST) | Netmask::V6(128))
    }
}

impl fmt::Display for Netmask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Netmask::V4(mask) => mask.fmt(f),
            Netmask::V6(prefix) => prefix.fmt(f),
        }
    }
}

/// A client's next connections go to the server of its first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persistence {
    /// How long after the last connection, in seconds.
    pub timeout: u32,
}

impl Persistence {
    /// `-p` without a value. The manual page says 300; the program says this.
    pub const DEFAULT: Persistence = Persistence { timeout: 360 };
}

/// A virtual service, without its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Identity.
    pub id: ServiceId,
    /// Scheduler.
    pub scheduler: SchedulerName,
    /// Flags of the scheduler.
    pub flags: SchedulerFlags,
    /// `-p`.
    pub persistence: Option<Persistence>,
    /// `-M`. It is kept, and matters, also without persistence: a later edit may turn that on.
    pub netmask: Netmask,
    /// `--pe`: persistence engine, at most 16 bytes.
    pub engine: Option<String>,
    /// `-o`: every datagram is scheduled by itself.
    pub one_packet: bool,
}
