//! The routing table as a whole.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::TryStreamExt;
use netlink_packet_route::route::{RouteAttribute, RouteMessage};
use rtnetlink::RouteMessageBuilder;

use crate::resolve::gateway;
use crate::{Network, NetworkError};

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
