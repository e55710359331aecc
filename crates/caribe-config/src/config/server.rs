//! Real servers.

use std::net::{IpAddr, Ipv4Addr};

use caribe_model::{Encapsulation, Forwarding, Thresholds};

use super::MonitorBlock;

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
    /// Its own `monitor` blocks, besides those of the service.
    pub monitors: Vec<MonitorBlock>,
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
            thresholds: Thresholds::NONE,
            monitors: Vec::new(),
        }
    }
}
