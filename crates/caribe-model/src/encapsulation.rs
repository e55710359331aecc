//! How a tunnel wraps packets.

use std::fmt;
use std::num::NonZeroU16;

use serde::{Deserialize, Serialize};

/// What stands between the outer and the inner IP header of a tunnelled packet. Other forwarding
/// methods do not heed it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encapsulation {
    /// Nothing: IP in IP, protocol 4 or 41.
    #[default]
    Ipip,
    /// UDP and the four bytes of Generic UDP Encapsulation. Routers and network cards spread such
    /// packets by the outer source port, which is a hash of the flow.
    Gue {
        /// UDP port on which the real server decapsulates.
        port: NonZeroU16,
        /// The outer UDP checksum.
        checksum: GueChecksum,
    },
    /// The four bytes of Generic Routing Encapsulation, protocol 47.
    Gre {
        /// Four more, with a checksum of the whole.
        checksum: bool,
    },
}

/// The outer UDP checksum of GUE.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GueChecksum {
    /// Zero: none, over IPv6 as well.
    #[default]
    None,
    /// Of the whole datagram.
    Full,
    /// Remote checksum offload: an option tells the receiver which inner checksum it may take as
    /// given, so that the outer one covers everything.
    Remote,
}

impl fmt::Display for Encapsulation {
    /// The word of `ipvsadm --tun-type`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Encapsulation::Ipip => "ipip",
            Encapsulation::Gue { .. } => "gue",
            Encapsulation::Gre { .. } => "gre",
        })
    }
}
