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
/// The one real server.
pub(crate) const SERVER: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// A table with one service and one server: the fewest lines to keep in the cache, so that what
/// is measured is the connection.
pub(crate) fn table(forwarding: Forwarding) -> Result<Table> {
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: IpAddr::V4(VIP),
        port: PORT,
    };
    let server = Server {
        key: ServerKey {
            address: IpAddr::V4(SERVER),
            port: PORT,
        },
        forwarding,
        weight: 1,
        encapsulation: Default::default(),
        thresholds: Default::default(),
    };
    let mut table = Table::default();
    table
        .insert(
            key,
            Service {
                scheduler: Scheduler::Rr,
                options: SchedulerOptions::IPVS,
                servers: vec![server],
                one_packet: false,
                persistence: None,
                policy: Default::default(),
            },
        )
        .context("cannot lay out the bench's table")?;
    Ok(table)
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
