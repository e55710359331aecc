//! Firewall marks without a firewall.

use std::net::IpAddr;
use std::num::NonZeroU32;

use serde::{Deserialize, Serialize};

use crate::{Family, Protocol};

/// Packets that carry a mark, and so belong to the service of that mark.
///
/// Of several rules that match a packet, the last one decides, as with netfilter, whose rules
/// overwrite one another's marks.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct MarkRule {
    /// The mark.
    pub mark: NonZeroU32,
    /// Destination address of the packets.
    pub address: IpAddr,
    /// Leading bits of the address that count, 0 to 32 or 128.
    pub prefix: u8,
    /// Their protocol; `None` for every one that is balanced.
    pub protocol: Option<Protocol>,
    /// Their destination ports; none given means all.
    pub ports: Vec<PortRange>,
}

impl MarkRule {
    /// Address family of the packets.
    pub fn family(&self) -> Family {
        Family::from(self.address)
    }
}

/// Ports from one to another, both included, host order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// All ports from `first` to `last`; `None` when they are the wrong way round.
    pub const fn new(first: u16, last: u16) -> Option<Self> {
        if first <= last {
            Some(PortRange { first, last })
        } else {
            None
        }
    }

    /// The lowest port.
    pub const fn first(self) -> u16 {
        self.first
    }

    /// The highest port.
    pub const fn last(self) -> u16 {
        self.last
    }
}
