//! Names to numbers, passed in: the reading of a configuration does no I/O of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;

use caribe_model::Protocol;

/// Knows hosts and services by name.
pub trait Resolver {
    /// The address of a host: the first IPv4 address if it has one, else its first IPv6 address.
    ///
    /// # Errors
    ///
    /// Says why there is none.
    fn host(&self, name: &str) -> Result<IpAddr, ResolveError>;

    /// The port of a service; `None` when the name is unknown.
    ///
    /// # Errors
    ///
    /// Says why the names of services could not be looked up at all.
    fn port(&self, service: &str, protocol: Protocol) -> Result<Option<u16>, ResolveError>;
}

/// Why a name has no number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ResolveError {
    /// The name has no address.
    #[error("no address is known for that name")]
    NoAddress,
    /// The look-up failed, for this reason.
    #[error("{0}")]
    Failed(String),
}

/// A resolver that knows what it was told, for tests and for reading a file without its network.
#[derive(Debug, Clone, Default)]
pub struct FixedResolver {
    hosts: BTreeMap<String, IpAddr>,
    ports: BTreeMap<(String, u8), u16>,
}

impl FixedResolver {
    /// Adds a host.
    #[must_use]
    pub fn with_host(mut self, name: &str, address: IpAddr) -> Self {
        self.hosts.insert(name.to_owned(), address);
        self
    }

    /// Adds a service.
    #[must_use]
    pub fn with_port(mut self, service: &str, protocol: Protocol, port: u16) -> Self {
        self.ports
            .insert((service.to_owned(), protocol.number()), port);
        self
    }
}

impl Resolver for FixedResolver {
    fn host(&self, name: &str) -> Result<IpAddr, ResolveError> {
        self.hosts.get(name).copied().ok_or(ResolveError::NoAddress)
    }

    fn port(&self, service: &str, protocol: Protocol) -> Result<Option<u16>, ResolveError> {
        Ok(self
            .ports
            .get(&(service.to_owned(), protocol.number()))
            .copied())
    }
}
