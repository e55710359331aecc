//! The way to an address: a route look-up, then the neighbour that the route leads to.

use std::fmt;
use std::net::IpAddr;

use caribe_model::NextHop;

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
    /// The address is a loopback address.
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
            NoWay::Local => write!(f, "it is a loopback address"),
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
            // As in IPVS, no packet from elsewhere is delivered to a loopback address.
            Err(NoWay::Local) if !address.is_loopback() => {
                return Ok(Way::Resolved {
                    next_hop: NextHop::local(address),
                    neighbour: address,
                });
            }
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
}
