//! Real servers of a service.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What makes a real server unique in its service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationId {
    /// Its address.
    pub address: IpAddr,
    /// Its port; 0 keeps the port of the packet.
    pub port: u16,
}

impl fmt::Display for DestinationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SocketAddr::new(self.address, self.port).fmt(f)
    }
}

/// Checksum of an encapsulation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Checksum {
    /// None.
    #[default]
    Without,
    /// Over the packet.
    With,
    /// Remote checksum offload (GUE only).
    Remote,
}

/// How a tunnelled packet is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tunnel {
    /// IP in IP.
    #[default]
    Ipip,
    /// Generic UDP encapsulation.
    Gue {
        /// Destination port; never 0.
        port: u16,
        /// Its checksum.
        checksum: Checksum,
    },
    /// Generic routing encapsulation.
    Gre {
        /// Its checksum.
        checksum: Checksum,
    },
}

/// How a packet reaches a real server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forwarding {
    /// `-m`: the destination is rewritten.
    Masquerade,
    /// The director is the server. No option asks for it: the kernel decides.
    Local,
    /// `-i`: wrapped.
    Tunnel(Tunnel),
    /// `-g`: sent to the server's link address, unchanged. The default.
    Direct,
}

impl Forwarding {
    /// The name in the listing.
    pub const fn name(self) -> &'static str {
        match self {
            Forwarding::Masquerade => "Masq",
            Forwarding::Local => "Local",
            Forwarding::Tunnel(_) => "Tunnel",
            Forwarding::Direct => "Route",
        }
    }
}

/// A real server as an entry of one service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Destination {
    /// Identity.
    pub id: DestinationId,
    /// How packets reach it.
    pub forwarding: Forwarding,
    /// `-w`, 0 to 2,147,483,647.
    pub weight: u32,
    /// `-x`: connections from which on no new one is sent here; 0 means no limit.
    pub upper_threshold: u32,
    /// `-y`: connections below which new ones are sent here again.
    pub lower_threshold: u32,
}
