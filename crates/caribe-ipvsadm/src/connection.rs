//! Connections, as `-L -c` lists them.

use std::fmt;
use std::net::SocketAddr;

use crate::Protocol;

/// Protocol of a connection entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectionProtocol {
    /// A transport protocol.
    Transport(Protocol),
    /// The template of a firewall mark: no protocol; the "VIP" is the mark.
    Mark,
}

impl fmt::Display for ConnectionProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectionProtocol::Transport(protocol) => protocol.fmt(f),
            ConnectionProtocol::Mark => f.pad("IP"),
        }
    }
}

/// A connection or template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Protocol.
    pub protocol: ConnectionProtocol,
    /// Seconds until it expires.
    pub expires: u64,
    /// Name of its state.
    pub state: String,
    /// The client.
    pub client: SocketAddr,
    /// What it talks to. For a firewall mark the mark as an address: 7 is `0.0.0.7:0`.
    pub virtual_address: SocketAddr,
    /// The real server.
    pub destination: SocketAddr,
    /// What a persistence engine keeps, if one does.
    pub engine: Option<EngineData>,
}

/// What a persistence engine keeps with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineData {
    /// Name of the engine.
    pub name: String,
    /// Its data.
    pub data: String,
}
