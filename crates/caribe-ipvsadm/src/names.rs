//! Names for addresses and ports, in both directions.

use std::net::{IpAddr, Ipv4Addr};

use crate::Protocol;

/// The machine's resolver and services database.
pub trait Names {
    /// The host name of an address; `None` prints the address.
    fn host(&self, address: IpAddr) -> Option<String>;
    /// The name of a port; `None` prints the number.
    fn service(&self, protocol: Protocol, port: u16) -> Option<String>;
    /// The first IPv4 address of a host.
    fn address(&self, host: &str) -> Option<Ipv4Addr>;
    /// The port of a service by name.
    fn port(&self, protocol: Protocol, name: &str) -> Option<u16>;
}

/// Nothing has a name: what `-n` shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Numeric;

impl Names for Numeric {
    fn host(&self, _address: IpAddr) -> Option<String> {
        None
    }

    fn service(&self, _protocol: Protocol, _port: u16) -> Option<String> {
        None
    }

    fn address(&self, _host: &str) -> Option<Ipv4Addr> {
        None
    }

    fn port(&self, _protocol: Protocol, _name: &str) -> Option<u16> {
        None
    }
}
