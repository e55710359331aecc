//! Client affinity.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::Family;

/// Connections of one client, or of one network of clients, go to one real server, which a
/// *template* remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Persistence {
    /// Seconds that a template outlives the start of the client's last connection, 1 to
    /// [`Persistence::LONGEST`].
    pub timeout: u32,
    /// What makes clients one.
    pub netmask: Netmask,
}

impl Persistence {
    /// The longest timeout in seconds (23 days): what the data plane's clock can tell apart.
    /// ipvsadm takes up to 31 days; more than this one is shortened.
    pub const LONGEST: u32 = 2_000_000;
}

/// The part of an address that counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Netmask {
    /// Any bits of an IPv4 address: IPVS does not ask them to be contiguous.
    V4(Ipv4Addr),
    /// The first bits of an IPv6 address, 1 to 128.
    V6(u8),
}

impl Netmask {
    /// Every client by itself.
    pub const fn host(family: Family) -> Self {
        match family {
            Family::V4 => Netmask::V4(Ipv4Addr::BROADCAST),
            Family::V6 => Netmask::V6(128),
        }
    }
}
