//! A switch: a bridge in a namespace of its own, where no address can get in the way.

use std::fs;

use rtnetlink::LinkBridge;

use crate::leftovers;
use crate::namespace::Namespace;
use crate::{LabError, netlink};

/// An Ethernet segment; connect hosts to it with [`Host::connect`](crate::Host::connect).
#[derive(Debug, Clone)]
pub struct Switch {
    pub(crate) namespace: Namespace,
    /// Interface index of the bridge, which the hosts' links are attached to.
    pub(crate) bridge: u32,
}

impl Switch {
    pub(crate) fn create(lab: &str, name: &str) -> Result<Switch, LabError> {
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
        Ok(Switch { namespace, bridge })
    }

    /// Name of the switch's namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }
}
