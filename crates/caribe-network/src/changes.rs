//! What changes in the network, as the kernel tells it.

use std::net::IpAddr;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use crate::neighbour;

/// A change in the network of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An interface appeared, changed (state, MAC address, MTU) or went.
    Link {
        /// Its index.
        index: u32,
    },
    /// An address was put on an interface or taken off.
    Address,
    /// A route or a routing rule was added, replaced or deleted.
    Route,
    /// The kernel's knowledge of a neighbour changed.
    Neighbour {
        /// The neighbour; `None` when the kernel did not say.
        address: Option<IpAddr>,
    },
    /// Changes came faster than they were read and some are lost: anything may have changed.
    Lost,
}

/// The stream of [`Change`]s that [`Network::connect`](crate::Network::connect) opens.
pub struct Changes {
    stream: BoxStream<'static, NetlinkMessage<RouteNetlinkMessage>>,
    /// Never asks anything: the connection lives as long as it has a handle.
    _listener: rtnetlink::Handle,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn new<A: Send + 'static>(
        messages: impl futures_util::Stream<Item = (NetlinkMessage<RouteNetlinkMessage>, A)>
        + Send
        + 'static,
        listener: rtnetlink::Handle,
    ) -> Self {
        Changes {
            stream: messages.map(|(message, _)| message).boxed(),
            _listener: listener,
        }
    }

    /// The next change; `None` when the connection has ended. Safe to cancel.
    pub async fn next(&mut self) -> Option<Change> {
        loop {
            if let Some(change) = change(self.stream.next().await?) {
                return Some(change);
            }
        }
    }
}

fn change(message: NetlinkMessage<RouteNetlinkMessage>) -> Option<Change> {
    use RouteNetlinkMessage as Message;
    let inner = match message.payload {
        NetlinkPayload::InnerMessage(inner) => inner,
        NetlinkPayload::Overrun(_) => return Some(Change::Lost),
        _ => return None,
    };
    match inner {
        Message::NewLink(link) | Message::DelLink(link) => Some(Change::Link {
            index: link.header.index,
        }),
        Message::NewAddress(_) | Message::DelAddress(_) => Some(Change::Address),
        Message::NewRoute(_) | Message::DelRoute(_) | Message::NewRule(_) | Message::DelRule(_) => {
            Some(Change::Route)
        }
        Message::NewNeighbour(neighbour) | Message::DelNeighbour(neighbour) => {
            // A bridge tells of every station that it learns; those are no IP neighbours.
            let ip = [AddressFamily::Inet, AddressFamily::Inet6];
            if !ip.contains(&neighbour.header.family) {
                return None;
            }
            Some(Change::Neighbour {
                address: neighbour::address(&neighbour),
            })
        }
        _ => None,
    }
}
