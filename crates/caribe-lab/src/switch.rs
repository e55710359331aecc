//! A switch: a bridge in a namespace of its own, where no address can get in the way.

use std::fs;
use std::path::Path;

use rtnetlink::LinkBridge;

use crate::leftovers;
use crate::namespace::Namespace;
use crate::{Host, LabError, netlink};

/// An Ethernet segment; connect hosts to it with [`Host::connect`](crate::Host::connect).
#[derive(Debug, Clone)]
pub struct Switch {
    pub(crate) namespace: Namespace,
    /// Interface index of the bridge, which the hosts' links are attached to.
    pub(crate) bridge: u32,
    /// The namespace once more, to run programs in.
    station: Host,
}

impl Switch {
    pub(crate) fn create(lab: &str, name: &str, directory: &Path) -> Result<Switch, LabError> {
        let namespace = Namespace::create(format!("{}{name}", leftovers::namespace_prefix(lab)))?;
        // A switch has no addresses, so nothing of its own may speak on the wire.
        for scope in ["all", "default"] {
            let path = format!("/proc/sys/net/ipv6/conf/{scope}/disable_ipv6");
            namespace
                .run(|| fs::write(&path, "1"))?
                .map_err(LabError::io(format!("write {path}")))?;
        }
        let bridge = netlink::converse(&namespace, "make a bridge", async |handle| {
            // Without a querier, snooping would sooner or later lose neighbour discovery.
            let bridge = LinkBridge::new("br0").mcast_snooping(false).build();
            handle.link().add(bridge).execute().await?;
            Ok(netlink::link(&handle, "br0").await?.header.index)
        })?;
        let station = Host::inside(name, namespace.clone(), directory);
        Ok(Switch {
            namespace,
            bridge,
            station,
        })
    }

    /// The switch as a place to run programs, e.g. to capture on the port of a host, which is
    /// named `HOST.PORT`: what is there has left its sender and has not reached the programs of
    /// its receiver.
    pub fn station(&self) -> &Host {
        &self.station
    }

    /// Name of the switch's namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }
}
