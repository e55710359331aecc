//! Real servers.

use std::net::{IpAddr, Ipv4Addr};
use std::num::{NonZeroU16, NonZeroU32};

use caribe_model::Forwarding;

/// A `server` block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RealServer {
    /// Name of the block.
    pub name: String,
    /// `active`: an inactive server is neither watched nor used.
    pub active: bool,
    /// `address`.
    pub address: IpAddr,
    /// `port`; the service's when absent.
    pub port: u16,
    /// `weight`.
    pub weight: u32,
    /// `forward` of the server, else of the service, else `network`.
    pub forwarding: Forwarding,
    /// How packets are wrapped while `forwarding` is by tunnel; [`Encapsulation::Ipip`] for others.
    pub encapsulation: Encapsulation,
    /// `upper_threshold` and `lower_threshold`.
    pub thresholds: Thresholds,
}

impl RealServer {
    /// A server as an empty block means it: inactive, without address, with weight 1.
    pub fn new(name: impl Into<String>) -> Self {
        RealServer {
            name: name.into(),
            active: false,
            address: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            port: 80,
            weight: 1,
            forwarding: Forwarding::Nat,
            encapsulation: Encapsulation::Ipip,
            thresholds: Thresholds::default(),
        }
    }
}

/// How a packet is wrapped on its way through a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Encapsulation {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// UDP port on the real server.
        port: NonZeroU16,
        /// Checksum of the UDP header.
        checksum: GueChecksum,
    },
    /// GRE.
    Gre {
        /// With GRE's checksum.
        checksum: bool,
    },
}

/// Checksum of the UDP header of GUE.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum GueChecksum {
    /// Zero.
    #[default]
    None,
    /// Over all of it.
    Full,
    /// Remote checksum offload.
    Remote,
}

/// How many connections a server may have; IPVS's thresholds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Thresholds {
    /// With so many, active and inactive, the server is overloaded and gets no new ones.
    pub upper: Option<NonZeroU32>,
    /// When so few are left, it is no longer; at most `upper`. `None`: three quarters of it.
    pub lower: Option<NonZeroU32>,
}
