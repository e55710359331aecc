//! The addresses and ports of the bench, and the director's table for them.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, Result};
use caribe_model::{
    Forwarding, MacAddress, NextHop, Protocol, Scheduler, SchedulerOptions, Server, ServerKey,
    Service, ServiceKey, Table,
};

/// The VIP.
pub(crate) const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The virtual port, and the servers'.
pub(crate) const PORT: u16 = 80;
/// The first real server.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 18, 0, 1);

/// The services and servers of a data plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Services, at ports that follow each other from [`PORT`] on.
    pub(crate) services: u16,
    /// Real servers of each: the same hosts, which are other servers in every service.
    pub(crate) servers: u16,
}

impl Shape {
    /// One service and one server: the fewest lines to keep in the cache, so that what is
    /// measured is the connection.
    pub(crate) const SMALLEST: Shape = Shape {
        services: 1,
        servers: 1,
    };

    /// Real servers of all services.
    pub(crate) fn entries(self) -> u32 {
        u32::from(self.services) * u32::from(self.servers)
    }

    /// The hosts that are servers.
    pub(crate) fn hosts(self) -> impl Iterator<Item = IpAddr> {
        (0..u32::from(self.servers)).map(|number| host(number).into())
    }

    /// The director's table.
    pub(crate) fn table(self, forwarding: Forwarding) -> Result<Table> {
        let mut table = Table::default();
        for service in 0..self.services {
            let key = ServiceKey::Address {
                protocol: Protocol::Tcp,
                address: IpAddr::V4(VIP),
                port: PORT + service,
            };
            let servers = self.hosts().map(|address| Server {
                key: ServerKey {
                    address,
                    port: PORT,
                },
                forwarding,
                weight: 1,
                encapsulation: Default::default(),
                thresholds: Default::default(),
            });
            let service = Service {
                scheduler: Scheduler::Rr,
                options: SchedulerOptions::IPVS,
                servers: servers.collect(),
                one_packet: false,
                persistence: None,
                policy: Default::default(),
            };
            table
                .insert(key, service)
                .context("cannot lay out the bench's table")?;
        }
        Ok(table)
    }
}

/// The address of a server; the first one is [`SERVER`].
fn host(number: u32) -> Ipv4Addr {
    Ipv4Addr::from(u32::from(SERVER) + number)
}

/// A next hop out of the interface by which the kernel's test mode lets frames come in, the
/// loopback: they are handed back there at next to no cost.
pub(crate) fn next_hop() -> NextHop {
    NextHop {
        interface: 1,
        source_mac: MacAddress([2, 0, 0, 0, 0, 1]),
        destination_mac: MacAddress([2, 0, 0, 0, 0, 3]),
        source_address: IpAddr::V4(Ipv4Addr::new(198, 51, 100, 254)),
        mtu: 1500,
    }
}
