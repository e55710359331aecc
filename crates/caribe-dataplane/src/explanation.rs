//! Which server a packet would get, and why: the question and its answer.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use caribe_model::{Forwarding, NextHop, Protocol, Scheduler, ServerKey, ServiceKey};
use serde::{Deserialize, Serialize};

use crate::xdp::LiveConnection;

/// A packet that is asked about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Where it comes from.
    pub client: SocketAddr,
    /// Where it goes. Of the same address family.
    pub vip: SocketAddr,
    /// TCP's flags, as in its header; no matter for other protocols.
    pub tcp_flags: u8,
    /// Bytes behind the transport header.
    pub payload: u16,
    /// The interface by which it comes in; none for the first that the director balances on.
    #[serde(default)]
    pub interface: Option<String>,
}

impl Question {
    /// Whether there can be such a packet.
    ///
    /// # Errors
    ///
    /// Says why there cannot.
    pub fn check(&self) -> Result<(), ImpossibleQuestion> {
        let (client, vip) = (self.client, self.vip);
        if client.is_ipv4() != vip.is_ipv4() {
            return Err(ImpossibleQuestion::Families { client, vip });
        }
        if self.payload > LARGEST_PAYLOAD {
            return Err(ImpossibleQuestion::Payload(self.payload));
        }
        Ok(())
    }
}

/// Why there is no packet as it is asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImpossibleQuestion {
    /// IPv4 and IPv6 in one packet.
    #[error(
        "{client} and {vip} are not of one address family: no packet goes from one to the other"
    )]
    Families {
        /// Where it would come from.
        client: SocketAddr,
        /// Where it would go.
        vip: SocketAddr,
    },
    /// Too long.
    #[error("{0} bytes are more than the {LARGEST_PAYLOAD} that a packet may be asked about with")]
    Payload(u16),
}

/// Most bytes behind the transport header that a question may have.
pub const LARGEST_PAYLOAD: u16 = 1400;

/// What would become of a packet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Name of the verdict, as it is counted.
    pub verdict: String,
    /// What that means.
    pub meaning: String,
    /// What becomes of the packet.
    pub fate: Fate,
    /// The service that it is for, if the packet belongs to no connection.
    pub service: Option<ExplainedService>,
    /// The connection that it belongs to, or would belong to were that not over.
    pub connection: Option<LiveConnection>,
    /// Why that connection does not count any more.
    pub over: Option<Over>,
    /// The template that names the client's server.
    pub template: Option<LiveConnection>,
    /// How the scheduler chose, if it was asked.
    pub choice: Option<Choice>,
    /// What the packet would leave behind.
    pub makes: Vec<Made>,
    /// The server.
    pub server: Option<ExplainedServer>,
    /// What is different about the packet that goes out.
    pub changes: Vec<Difference>,
}

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    /// It is sent on.
    Forwarded,
    /// Its sender is told by ICMP why not.
    Answered,
    /// The kernel gets it.
    Passed,
    /// It is dropped.
    Dropped,
}

/// A service, and by what it was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedService {
    /// Identity.
    pub key: ServiceKey,
    /// The firewall mark that the packet has, if the service was found by it.
    pub mark: Option<NonZeroU32>,
    /// Scheduler.
    pub scheduler: Option<Scheduler>,
}

/// Why a connection does not count any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Over {
    /// Its time is over, and it is about to be removed.
    Expired,
    /// The client uses its ports anew.
    Reopened,
    /// Its server is gone or quiesced.
    ServerGone,
}

/// What a packet would leave behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Made {
    /// A connection.
    Connection,
    /// A template: the client's next connections go to the same server.
    Template,
}

/// How the scheduler chose.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// The next slot of a cycle.
    Rotation {
        /// Slots that were taken since the cycle was laid out.
        picks: u64,
        /// Slots of the cycle.
        slots: u32,
        /// Servers that were passed over because they are overloaded.
        passed_over: u32,
    },
    /// The best by load and weight of all, in this order, the first of equals.
    Compared {
        /// All servers with a weight.
        servers: Vec<Compared>,
    },
    /// The less loaded of two that were drawn by weight. The next packet draws anew.
    Drawn {
        /// The two.
        servers: Vec<Compared>,
    },
    /// The slot of a hash.
    Hashed {
        /// The number that was hashed.
        origin: u32,
        /// The slot, in the table of the service.
        slot: u32,
        /// Slots of the table.
        slots: u32,
        /// The server of that slot.
        owner: Option<Compared>,
        /// Further slots that were tried, as the owner takes no connections.
        tried: u32,
    },
    /// A server that is remembered for the destination.
    Remembered {
        /// The destination.
        destination: IpAddr,
        /// Servers that are remembered, the last to join first.
        remembered: Vec<Compared>,
        /// None of them was taken: all are compared.
        given_up: bool,
        /// All servers with a weight, if they were compared.
        servers: Vec<Compared>,
    },
}

/// A server that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// Identity.
    pub key: ServerKey,
    /// Weight, as the scheduler sees it.
    pub weight: u32,
    /// Connections in an active state.
    pub active: u32,
    /// All others.
    pub inactive: u32,
    /// It has as many connections as it may have.
    pub overloaded: bool,
    /// It is the one that was chosen.
    pub chosen: bool,
}

/// The server that gets a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedServer {
    /// Identity.
    pub key: ServerKey,
    /// The port that the packet goes to there.
    pub port: u16,
    /// Forwarding method.
    pub forwarding: Option<Forwarding>,
    /// Weight.
    pub weight: u32,
    /// False for one that was removed.
    pub in_service: bool,
    /// Connections in an active state.
    pub active: u32,
    /// All others.
    pub inactive: u32,
    /// The way there; `None` when it is not known.
    pub next_hop: Option<NextHop>,
}

/// What is different about the packet that goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What.
    pub field: String,
    /// As it came in; empty for what was not there.
    pub before: String,
    /// As it goes out.
    pub after: String,
}
