//! A veth pair between a host and a switch, with the settings that XDP needs.

use std::os::fd::AsRawFd;
use std::path::Path;

use ipnet::IpNet;
use rtnetlink::{LinkUnspec, LinkVeth};

use crate::namespace::Namespace;
use crate::process::Command;
use crate::{LabError, netlink, pass};

/// The host's end of a link, as it shall be.
#[derive(Debug, Clone)]
pub struct Port {
    pub(crate) name: String,
    pub(crate) mtu: u32,
    pub(crate) addresses: Vec<String>,
}

impl Port {
    /// A port of at most 6 characters, e.g. `eth0`, without addresses, MTU 1500.
    pub fn new(name: &str) -> Port {
        Port {
            name: name.to_owned(),
            mtu: 1500,
            addresses: Vec::new(),
        }
    }

    /// MTU of both ends, in bytes of IP packet.
    pub fn mtu(self, mtu: u32) -> Port {
        Port { mtu, ..self }
    }

    /// Adds an address with its prefix length, e.g. `10.1.0.1/24` or `fd00:1::1/64`.
    pub fn address(mut self, address: impl ToString) -> Port {
        self.addresses.push(address.to_string());
        self
    }

    /// The addresses, parsed.
    pub(crate) fn parsed_addresses(&self) -> Result<Vec<IpNet>, LabError> {
        self.addresses
            .iter()
            .map(|text| {
                text.parse().map_err(|_| LabError::Name {
                    what: "address of a port",
                    name: text.clone(),
                    rule: "ADDRESS/PREFIX-LENGTH",
                })
            })
            .collect()
    }
}

/// Makes a veth pair: `port` on the host, an end named after both on the switch's bridge.
///
/// Three traps are avoided on the way. A frame that XDP sends out of a veth is lost unless the
/// other end has an XDP program or GRO on, so GRO is on at both ends. It may also lie there for
/// seconds unless that end has an XDP program: see [`pass`]. And a veth announces checksum
/// offload that it does not do: a packet would leave its sender with half a checksum, which NAT
/// then spoils; so transmit checksumming is off at both ends.
///
/// `pins` is a directory on the lab's bpffs.
pub(crate) fn connect(
    host: &Namespace,
    host_name: &str,
    switch: &Namespace,
    bridge: u32,
    port: &Port,
    pins: &Path,
) -> Result<(), LabError> {
    let switch_end = format!("{host_name}.{}", port.name);
    let action = format!("link {host_name} {} to {}", port.name, switch.name());
    let host_file = host.open()?;
    let own = netlink::converse(switch, action, async |handle| {
        // The host's end gets its name only inside the host: two hosts may both have an `eth0`.
        let pair = LinkVeth::new(&switch_end, "passing").mtu(port.mtu).build();
        handle.link().add(pair).execute().await?;
        let passing = netlink::link(&handle, "passing").await?.header.index;
        let moved = LinkUnspec::new_with_index(passing)
            .name(&port.name)
            .mtu(port.mtu)
            .setns_by_fd(host_file.as_raw_fd())
            .build();
        handle.link().set(moved).execute().await?;
        let own = netlink::link(&handle, &switch_end).await?.header.index;
        let attached = LinkUnspec::new_with_index(own).controller(bridge).build();
        handle.link().set(attached).execute().await?;
        Ok(own)
    })?;
    set_offloads(switch, &switch_end)?;
    set_offloads(host, &port.name)?;
    set_up(switch, &switch_end)?;
    set_up(host, &port.name)?;
    switch
        .run(|| pass::attach(own, &pins.join(format!("link-{host_name}-{}", port.name))))?
        .map_err(|source| LabError::Pass {
            action: format!("attach an XDP program to {switch_end} in {}", switch.name()),
            source: Box::new(source),
        })
}

/// Brings an interface up.
pub(crate) fn set_up(namespace: &Namespace, name: &str) -> Result<(), LabError> {
    netlink::converse(namespace, format!("bring {name} up"), async |handle| {
        let index = netlink::link(&handle, name).await?.header.index;
        let up = LinkUnspec::new_with_index(index).up().build();
        handle.link().set(up).execute().await
    })
}

/// Takes an interface down: what a pulled cable looks like from both ends.
pub(crate) fn set_down(namespace: &Namespace, name: &str) -> Result<(), LabError> {
    netlink::converse(namespace, format!("take {name} down"), async |handle| {
        let index = netlink::link(&handle, name).await?.header.index;
        let down = LinkUnspec::new_with_index(index).down().build();
        handle.link().set(down).execute().await
    })
}

/// No crate can set these features yet, so the `ethtool` program does.
fn set_offloads(namespace: &Namespace, name: &str) -> Result<(), LabError> {
    Command::in_namespace(namespace, "ethtool", "ethtool", None)
        .args(["-K", name, "tx", "off", "gro", "on"])
        .run()
        .map(drop)
}
