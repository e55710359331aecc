//! A host: a network namespace with interfaces, addresses, routes and programs.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ipnet::IpNet;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressHeaderFlags};
use rtnetlink::packet_route::link::LinkAttribute;
use rtnetlink::packet_route::rule::RuleAction;
use rtnetlink::{AddressMessageBuilder, RouteMessageBuilder};

use crate::namespace::Namespace;
use crate::{Command, LabError, Port, Switch, leftovers, link, netlink, wait};

/// A handle on a host of a lab; clones name the same host.
#[derive(Debug, Clone)]
pub struct Host {
    name: String,
    namespace: Namespace,
    /// The lab's directory, for logs and configuration files of the host's programs.
    directory: PathBuf,
}

/// An interface of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its index inside the host.
    pub index: u32,
    /// Its Ethernet address; empty for the loopback of some kernels.
    pub mac: Vec<u8>,
    /// In bytes of IP packet.
    pub mtu: u32,
}

impl Host {
    pub(crate) fn create(lab: &str, name: &str, directory: &Path) -> Result<Host, LabError> {
        let namespace = Namespace::create(format!("{}{name}", leftovers::namespace_prefix(lab)))?;
        let host = Host {
            name: name.to_owned(),
            namespace,
            directory: directory.to_owned(),
        };
        // No duplicate address detection: a test must not wait a second for an address of its
        // own. No reverse path filter: replies of direct routing take another way on purpose.
        // What a machine's distribution set for new namespaces must not matter either.
        for scope in ["all", "default"] {
            host.sysctl(&format!("net/ipv6/conf/{scope}/disable_ipv6"), "0")?;
            host.sysctl(&format!("net/ipv6/conf/{scope}/accept_dad"), "0")?;
            host.sysctl(&format!("net/ipv4/conf/{scope}/rp_filter"), "0")?;
        }
        link::set_up(&host.namespace, "lo")?;
        Ok(host)
    }

    /// A handle on a namespace that exists already.
    pub(crate) fn inside(name: &str, namespace: Namespace, directory: &Path) -> Host {
        Host {
            name: name.to_owned(),
            namespace,
            directory: directory.to_owned(),
        }
    }

    /// The host's name in the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Name of the host's namespace, for `ip netns exec`.
    pub fn namespace(&self) -> &str {
        self.namespace.name()
    }

    /// The file that names the host's namespace, for `nsenter --net=`.
    pub fn namespace_path(&self) -> PathBuf {
        self.namespace.path()
    }

    /// A path for a file of this host in the lab's directory, which goes with the lab.
    pub fn file(&self, name: &str) -> PathBuf {
        self.directory.join(format!("{}-{name}", self.name))
    }

    /// Plugs the host into a switch.
    ///
    /// # Errors
    ///
    /// Needs a port of at most 6 characters that the host does not have yet, with legal
    /// addresses.
    pub fn connect(&self, switch: &Switch, port: Port) -> Result<(), LabError> {
        let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        if port.name.is_empty() || port.name.len() > 6 || !port.name.chars().all(legal) {
            return Err(LabError::Name {
                what: "port",
                name: port.name,
                rule: "1 to 6 of a-z and 0-9",
            });
        }
        let addresses = port.parsed_addresses()?;
        link::connect(
            &self.namespace,
            &self.name,
            &switch.namespace,
            switch.bridge,
            &port,
            &self.directory.join(leftovers::BPFFS),
        )?;
        for address in addresses {
            self.add_address(&port.name, address)?;
        }
        Ok(())
    }

    /// Puts an address on an interface, without duplicate address detection.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn add_address(&self, interface: &str, address: IpNet) -> Result<(), LabError> {
        let action = format!("add {address} to {interface}");
        netlink::converse(&self.namespace, action, async |handle| {
            let index = netlink::link(&handle, interface).await?.header.index;
            let mut request = handle
                .address()
                .add(index, address.addr(), address.prefix_len());
            if address.addr().is_ipv6() {
                let message = request.message_mut();
                message.header.flags |= AddressHeaderFlags::Nodad;
                let flags = AddressAttribute::Flags(AddressFlags::Nodad);
                message.attributes.push(flags);
            }
            request.execute().await
        })
    }

    /// Takes an address off an interface.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused, e.g. that there is no such address.
    pub fn remove_address(&self, interface: &str, address: IpNet) -> Result<(), LabError> {
        let action = format!("remove {address} from {interface}");
        netlink::converse(&self.namespace, action, async |handle| {
            let index = netlink::link(&handle, interface).await?.header.index;
            let message = match address {
                IpNet::V4(net) => AddressMessageBuilder::<std::net::Ipv4Addr>::new()
                    .index(index)
                    .address(net.addr(), net.prefix_len())
                    .build(),
                IpNet::V6(net) => AddressMessageBuilder::<std::net::Ipv6Addr>::new()
                    .index(index)
                    .address(net.addr(), net.prefix_len())
                    .build(),
            };
            handle.address().del(message).execute().await
        })
    }

    /// Adds a route to `destination` through `gateway`; `0.0.0.0/0` or `::/0` is the default
    /// route.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn add_route(&self, destination: IpNet, gateway: IpAddr) -> Result<(), LabError> {
        let action = format!("add a route to {destination} via {gateway}");
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(destination.addr(), destination.prefix_len())
            .and_then(|route| route.gateway(gateway))
            .map_err(|_| LabError::Name {
                what: "route",
                name: format!("{destination} via {gateway}"),
                rule: "a destination and a gateway of one address family",
            })?
            .build();
        netlink::converse(&self.namespace, action, async |handle| {
            handle.route().add(route).execute().await
        })
    }

    /// Sends whatever has a source address in `source` to `gateway`, by a routing table of its
    /// own: what a real server with two interfaces needs, to answer NAT through the director.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn add_route_from(
        &self,
        source: IpNet,
        gateway: IpAddr,
        table: u8,
    ) -> Result<(), LabError> {
        let action = format!("send what comes from {source} to {gateway}");
        let route = RouteMessageBuilder::<IpAddr>::new()
            .destination_prefix(unspecified(gateway), 0)
            .and_then(|route| route.gateway(gateway))
            .map_err(|_| LabError::Name {
                what: "gateway",
                name: gateway.to_string(),
                rule: "an address",
            })?
            .table_id(u32::from(table))
            .build();
        netlink::converse(&self.namespace, action, async |handle| {
            handle.route().add(route).execute().await?;
            let rule = handle
                .rule()
                .add()
                .table_id(u32::from(table))
                .action(RuleAction::ToTable);
            match source {
                IpNet::V4(net) => {
                    let rule = rule.v4().source_prefix(net.network(), net.prefix_len());
                    rule.execute().await
                }
                IpNet::V6(net) => {
                    let rule = rule.v6().source_prefix(net.network(), net.prefix_len());
                    rule.execute().await
                }
            }
        })
    }

    /// Sets a kernel parameter of this host; `key` with slashes, e.g. `net/ipv4/ip_forward`.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<(), LabError> {
        let path = format!("/proc/sys/{key}");
        self.run(|| fs::write(&path, value))?
            .map_err(LabError::io(format!(
                "write `{value}` to {path} on {}",
                self.name
            )))
    }

    /// What the host knows of an interface.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused, e.g. that there is no such interface.
    pub fn interface(&self, name: &str) -> Result<Interface, LabError> {
        let action = format!("look at {name}");
        let link = netlink::converse(&self.namespace, action, async |handle| {
            netlink::link(&handle, name).await
        })?;
        let mut interface = Interface {
            index: link.header.index,
            mac: Vec::new(),
            mtu: 0,
        };
        for attribute in link.attributes {
            match attribute {
                LinkAttribute::Address(mac) => interface.mac = mac,
                LinkAttribute::Mtu(mtu) => interface.mtu = mtu,
                _ => {}
            }
        }
        Ok(interface)
    }

    /// Takes an interface down: what a pulled cable looks like from both ends.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn take_down(&self, interface: &str) -> Result<(), LabError> {
        link::set_down(&self.namespace, interface)
    }

    /// Brings an interface up again. Routes through gateways are lost when it went down.
    ///
    /// # Errors
    ///
    /// Reports what the kernel refused.
    pub fn bring_up(&self, interface: &str) -> Result<(), LabError> {
        link::set_up(&self.namespace, interface)
    }

    /// Runs `work` on a thread inside the host. Sockets made there stay in the host, wherever
    /// they are used from.
    ///
    /// # Errors
    ///
    /// Fails when the host cannot be entered; a panic of `work` goes on in the caller.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.namespace.run(work)
    }

    /// A program to run inside the host.
    pub fn command(&self, program: &str) -> Command {
        Command::in_namespace(
            &self.namespace,
            &self.name,
            program,
            Some(self.directory.join("log")),
        )
    }

    /// Waits until the host can open a TCP connection to `address`.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`].
    pub fn wait_until_connects(
        &self,
        address: SocketAddr,
        limit: Duration,
    ) -> Result<(), LabError> {
        let what = format!("{} to connect to {address}", self.name);
        self.run(|| {
            wait::until(what, limit, || {
                TcpStream::connect_timeout(&address, limit.min(Duration::from_secs(1))).map(drop)
            })
        })?
    }

    /// Waits until `address` answers a ping from this host.
    ///
    /// # Errors
    ///
    /// [`LabError::Deadline`], or that `ping` is missing.
    pub fn wait_until_pings(&self, address: IpAddr, limit: Duration) -> Result<(), LabError> {
        let what = format!("{} to ping {address}", self.name);
        wait::until(what, limit, || self.ping(address))
    }

    /// Sends one ping and waits at most a second for the answer.
    ///
    /// # Errors
    ///
    /// [`LabError::Failed`] when none came.
    pub fn ping(&self, address: IpAddr) -> Result<(), LabError> {
        self.command("ping")
            .package("iputils-ping")
            .args(["-n", "-c", "1", "-W", "1", &address.to_string()])
            .run()
            .map(drop)
    }

    /// Waits until this host refuses nothing more to itself on `port`, over both families.
    pub(crate) fn wait_until_serves(&self, port: u16, limit: Duration) -> Result<(), LabError> {
        for address in [
            IpAddr::from([127, 0, 0, 1]),
            IpAddr::from([0u16, 0, 0, 0, 0, 0, 0, 1]),
        ] {
            self.wait_until_connects(SocketAddr::new(address, port), limit)?;
        }
        Ok(())
    }

    /// Writes a file of this host and gives its path.
    pub(crate) fn write_file(&self, name: &str, text: &str) -> Result<PathBuf, LabError> {
        let path = self.file(name);
        fs::write(&path, text).map_err(|source: io::Error| {
            LabError::io(format!("write {}", path.display()))(source)
        })?;
        Ok(path)
    }
}

/// `0.0.0.0` or `::`, of the same family.
fn unspecified(address: IpAddr) -> IpAddr {
    if address.is_ipv4() {
        IpAddr::from([0, 0, 0, 0])
    } else {
        IpAddr::from([0u16; 8])
    }
}
