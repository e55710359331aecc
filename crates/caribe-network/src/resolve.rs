//! The way to an address: a route look-up, then the neighbour that the route leads to.

use std::fmt;
use std::io;
use std::net::IpAddr;

use caribe_model::{MacAddress, NextHop};
use futures_util::{StreamExt, TryStreamExt};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::RouteMessageBuilder;

use crate::error::into_io;
use crate::{Network, NetworkError};

/// How frames get to an address, as far as it is known now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Known to the last byte.
    Resolved {
        /// The way.
        next_hop: NextHop,
        /// The neighbour that the frames go to: the address itself, or the gateway towards it.
        neighbour: IpAddr,
    },
    /// The route is known, and the kernel has been asked to find the neighbour's MAC address.
    Pending {
        /// The neighbour that is being sought.
        neighbour: IpAddr,
        /// An earlier search has just ended without an answer.
        failed: bool,
    },
    /// There is none.
    None(NoWay),
}

/// Why there is no way to an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoWay {
    /// The address is one of this machine's own.
    Local,
    /// It is a multicast or broadcast address.
    NotUnicast,
    /// The routing table refuses: no route, or one of type unreachable, prohibit or blackhole.
    NoRoute {
        /// The kernel's words.
        reason: String,
    },
    /// The route's interface has no Ethernet addresses, so that no frame can be built for it.
    NotEthernet {
        /// Name of the interface.
        interface: String,
    },
    /// The route's interface is down or gone.
    Down {
        /// Name or index of the interface.
        interface: String,
    },
    /// The machine has no address of that family to send from.
    NoSource,
}

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NoWay::Local => write!(f, "it is an address of this machine itself"),
            NoWay::NotUnicast => write!(f, "it is a multicast or broadcast address"),
            NoWay::NoRoute { reason } => write!(f, "there is no route to it: {reason}"),
            NoWay::NotEthernet { interface } => write!(
                f,
                "the route leads through `{interface}`, which is not an Ethernet interface"
            ),
            NoWay::Down { interface } => {
                write!(f, "the route leads through `{interface}`, which is down")
            }
            NoWay::NoSource => write!(f, "this machine has no source address towards it"),
        }
    }
}

impl Network {
    /// The next hop towards an address, if it is known now.
    ///
    /// When only the neighbour's MAC address is missing, the kernel is asked to find it, and a
    /// later call will tell; [`Watcher`](crate::Watcher) does the waiting. See
    /// [`Network::way`] for the reason of a `None`.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] when the kernel could not be asked.
    pub async fn resolve(&self, address: IpAddr) -> Result<Option<NextHop>, NetworkError> {
        match self.way(address).await? {
            Way::Resolved { next_hop, .. } => Ok(Some(next_hop)),
            Way::Pending { neighbour, .. } => {
                tracing::debug!(%address, %neighbour, "neighbour is being resolved");
                Ok(None)
            }
            Way::None(reason) => {
                tracing::debug!(%address, %reason, "no way to the address");
                Ok(None)
            }
        }
    }

    /// The way to an address, or why there is none. A neighbour that is not known, or not
    /// confirmed of late, is sought by the kernel from now on.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] when the kernel could not be asked.
    pub async fn way(&self, address: IpAddr) -> Result<Way, NetworkError> {
        let route = match self.route(address).await? {
            Ok(route) => route,
            Err(no_way) => return Ok(Way::None(no_way)),
        };
        let Some(interface) = self.interface_by_index(route.interface).await? else {
            return Ok(Way::None(NoWay::Down {
                interface: format!("index {}", route.interface),
            }));
        };
        if !interface.up {
            return Ok(Way::None(NoWay::Down {
                interface: interface.name,
            }));
        }
        let Some(source_mac) = interface.mac else {
            return Ok(Way::None(NoWay::NotEthernet {
                interface: interface.name,
            }));
        };
        let neighbour = route.gateway.unwrap_or(address);
        let entry = self.neighbour(interface.index, neighbour).await?;
        if !entry.confirmed {
            self.seek(interface.index, neighbour).await?;
        }
        Ok(match entry.mac {
            Some(destination_mac) => Way::Resolved {
                next_hop: NextHop {
                    interface: interface.index,
                    source_mac,
                    destination_mac,
                    source_address: route.source,
                    // An interface may have an MTU beyond 16 bits (loopback, jumbo); no packet
                    // has.
                    mtu: u16::try_from(route.mtu.unwrap_or(interface.mtu)).unwrap_or(u16::MAX),
                },
                neighbour,
            },
            None => Way::Pending {
                neighbour,
                failed: entry.failed,
            },
        })
    }

    async fn route(&self, address: IpAddr) -> Result<Result<Route, NoWay>, NetworkError> {
        let message = match address {
            IpAddr::V4(address) => RouteMessageBuilder::<std::net::Ipv4Addr>::new()
                .destination_prefix(address, 32)
                .build(),
            IpAddr::V6(address) => RouteMessageBuilder::<std::net::Ipv6Addr>::new()
                .destination_prefix(address, 128)
                .build(),
        };
        let mut answers = Box::pin(self.handle.route().get(message).execute());
        match answers.try_next().await.map_err(into_io) {
            Ok(Some(answer)) => Ok(Route::from_message(&answer)),
            Ok(None) => Ok(Err(NoWay::NoRoute {
                reason: "the kernel gave no answer".to_owned(),
            })),
            Err(error) if is_refusal(&error) => Ok(Err(NoWay::NoRoute {
                reason: error.to_string(),
            })),
            Err(error) => Err(NetworkError::io(
                format!("look up the route to {address}"),
                error,
            )),
        }
    }

    async fn neighbour(&self, interface: u32, address: IpAddr) -> Result<Entry, NetworkError> {
        let action = || format!("look up neighbour {address} on interface {interface}");
        let mut message = NeighbourMessage::default();
        message.header.ifindex = interface;
        let destination = match address {
            IpAddr::V4(address) => {
                message.header.family = AddressFamily::Inet;
                NeighbourAddress::Inet(address)
            }
            IpAddr::V6(address) => {
                message.header.family = AddressFamily::Inet6;
                NeighbourAddress::Inet6(address)
            }
        };
        message
            .attributes
            .push(NeighbourAttribute::Destination(destination));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::GetNeighbour(message));
        request.header.flags = NLM_F_REQUEST;
        let mut answers = self
            .handle
            .clone()
            .request(request)
            .map_err(|error| NetworkError::request(action(), error))?;
        while let Some(answer) = answers.next().await {
            match answer.payload {
                NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNeighbour(entry)) => {
                    return Ok(Entry::from_message(&entry));
                }
                NetlinkPayload::Error(error) => {
                    let error = error.to_io();
                    return match error.kind() {
                        io::ErrorKind::NotFound => Ok(Entry::default()),
                        _ => Err(NetworkError::io(action(), error)),
                    };
                }
                _ => {}
            }
        }
        Ok(Entry::default())
    }

    /// Asks the kernel to find, or to confirm, a neighbour, as if a packet had been sent to it.
    async fn seek(&self, interface: u32, neighbour: IpAddr) -> Result<(), NetworkError> {
        let sought = self
            .handle
            .neighbours()
            .add(interface, neighbour)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace()
            .execute()
            .await;
        match sought.map_err(into_io) {
            Ok(()) => Ok(()),
            // The interface went down or away meanwhile; the next look-up will say so.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NetworkDown | io::ErrorKind::NotFound
                ) || error.raw_os_error() == Some(ENODEV) =>
            {
                Ok(())
            }
            Err(error) => Err(NetworkError::io(
                format!("seek neighbour {neighbour} on interface {interface}"),
                error,
            )),
        }
    }
}

/// "No such device" of errno(3).
const ENODEV: i32 = 19;

/// True for the answers that mean "no route", and that RTM_GETROUTE gives as errors: no route or
/// type unreachable, prohibit, blackhole (EINVAL).
fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{HostUnreachable, InvalidInput, NetworkUnreachable, PermissionDenied};
    // EPERM is a matter of rights, EACCES is how a prohibit route answers; both are
    // PermissionDenied to std.
    const EACCES: i32 = 13;
    match error.kind() {
        NetworkUnreachable | HostUnreachable | InvalidInput => true,
        PermissionDenied => error.raw_os_error() == Some(EACCES),
        _ => false,
    }
}

/// What the routing table says of an address.
struct Route {
    interface: u32,
    gateway: Option<IpAddr>,
    source: IpAddr,
    mtu: Option<u32>,
}

impl Route {
    fn from_message(message: &RouteMessage) -> Result<Self, NoWay> {
        match message.header.kind {
            RouteType::Unicast => {}
            RouteType::Local => return Err(NoWay::Local),
            RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => {
                return Err(NoWay::NotUnicast);
            }
            other => {
                return Err(NoWay::NoRoute {
                    reason: format!("the route is of type {other:?}"),
                });
            }
        }
        let (mut interface, mut gateway, mut source, mut mtu) = (None, None, None, None);
        for attribute in &message.attributes {
            gateway = gateway.or_else(|| self::gateway(attribute));
            match attribute {
                RouteAttribute::Oif(index) => interface = Some(*index),
                RouteAttribute::PrefSource(address) => source = ip(address),
                RouteAttribute::Metrics(metrics) => {
                    mtu = metrics.iter().find_map(|metric| match metric {
                        RouteMetric::Mtu(mtu) if *mtu > 0 => Some(*mtu),
                        _ => None,
                    });
                }
                _ => {}
            }
        }
        Ok(Route {
            interface: interface.ok_or_else(|| NoWay::NoRoute {
                reason: "the route names no interface".to_owned(),
            })?,
            gateway,
            source: source.ok_or(NoWay::NoSource)?,
            mtu,
        })
    }
}

/// The gateway that an attribute of a route names; it may be of the other family (RFC 5549).
pub(crate) fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
    match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(RouteVia::Inet(address)) => Some((*address).into()),
        RouteAttribute::Via(RouteVia::Inet6(address)) => Some((*address).into()),
        _ => None,
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some((*address).into()),
        RouteAddress::Inet6(address) => Some((*address).into()),
        _ => None,
    }
}

/// What the neighbour table says of an address.
#[derive(Debug, Default)]
struct Entry {
    /// Present while the kernel would still send to it.
    mac: Option<MacAddress>,
    /// Needs no nudge: reachable of late, or static, or being probed already.
    confirmed: bool,
    /// The last search ended without an answer.
    failed: bool,
}

impl Entry {
    fn from_message(message: &NeighbourMessage) -> Self {
        use NeighbourState::{
            Delay, Failed, Incomplete, Noarp, Permanent, Probe, Reachable, Stale,
        };
        let state = message.header.state;
        let mac = message
            .attributes
            .iter()
            .find_map(|attribute| match attribute {
                NeighbourAttribute::LinkLayerAddress(bytes) => {
                    <[u8; 6]>::try_from(bytes.as_slice()).ok().map(MacAddress)
                }
                _ => None,
            });
        Entry {
            mac: mac
                .filter(|_| matches!(state, Reachable | Stale | Delay | Probe | Noarp | Permanent)),
            confirmed: matches!(
                state,
                Reachable | Delay | Probe | Noarp | Permanent | Incomplete
            ),
            failed: state == Failed,
        }
    }
}
