//! How a frame gets from the director to a real server.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct MacAddress(pub [u8; 6]);

impl fmt::Display for MacAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// The resolved way to one address: kept warm from netlink, so that the packet path needs no
/// route or neighbour look-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextHop {
    /// Index of the outgoing interface.
    pub interface: u32,
    /// MAC address of that interface.
    pub source_mac: MacAddress,
    /// MAC address of the neighbour: the server itself, or the gateway towards it.
    pub destination_mac: MacAddress,
    /// Source address that the routing table selects: the outer source of a tunnel.
    pub source_address: IpAddr,
    /// MTU of the route, in bytes of IP packet.
    pub mtu: u16,
}
