//! The routing table: one look-up, and all its gateways.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};
use rtnetlink::RouteMessageBuilder;

use crate::error::into_io;
use crate::{Network, NetworkError, NoWay};

impl Network {
    /// Every address that some route uses as its gateway, in all tables and both families.
    ///
    /// # Errors
    ///
    /// [`NetworkError::Request`] when the kernel could not be asked.
    pub async fn gateways(&self) -> Result<BTreeSet<IpAddr>, NetworkError> {
        let mut gateways = BTreeSet::new();
        for request in [
            RouteMessageBuilder::<Ipv4Addr>::new().build(),
            RouteMessageBuilder::<Ipv6Addr>::new().build(),
        ] {
            let routes = self.handle.route().get(request).execute();
            let mut routes = Box::pin(routes);
            while let Some(route) = routes
                .try_next()
                .await
                .map_err(|error| NetworkError::request("list the routes", error))?
            {
                gateways.extend(of_route(&route));
            }
        }
        Ok(gateways)
    }

    /// What the routing table says of an address.
    pub(crate) async fn route(
        &self,
        address: IpAddr,
    ) -> Result<Result<Route, NoWay>, NetworkError> {
        let message = match address {
            IpAddr::V4(address) => RouteMessageBuilder::<Ipv4Addr>::new()
                .destination_prefix(address, 32)
                .build(),
            IpAddr::V6(address) => RouteMessageBuilder::<Ipv6Addr>::new()
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
}

/// What the routing table says of an address.
pub(crate) struct Route {
    /// Index of the outgoing interface.
    pub(crate) interface: u32,
    /// The gateway; `None` when the address is on the link itself.
    pub(crate) gateway: Option<IpAddr>,
    /// The source address to use.
    pub(crate) source: IpAddr,
    /// The MTU that the route itself has, in bytes of IP packet.
    pub(crate) mtu: Option<u32>,
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
fn gateway(attribute: &RouteAttribute) -> Option<IpAddr> {
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

fn of_route(route: &RouteMessage) -> Vec<IpAddr> {
    let mut gateways = Vec::new();
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::MultiPath(hops) => {
                gateways.extend(
                    hops.iter()
                        .flat_map(|hop| &hop.attributes)
                        .filter_map(gateway),
                );
            }
            other => gateways.extend(gateway(other)),
        }
    }
    gateways
}
