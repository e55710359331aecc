//! The names that this machine knows: hosts by the C library, services by `/etc/services`.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, ToSocketAddrs};
use std::path::Path;

use caribe_model::Protocol;

use crate::resolver::{ResolveError, Resolver};

/// Looks names up on this machine. Looking up a host may wait for the network, for as long as
/// the C library's resolver is set to: call [`crate::parse`] where that may block.
#[derive(Debug)]
pub struct SystemResolver {
    /// Ports by name and protocol number; or why they could not be read, told when one is asked
    /// for, since most files have none.
    ports: Result<HashMap<(String, u8), u16>, String>,
}

impl SystemResolver {
    /// Reads `/etc/services`. A machine that has none knows no service by name.
    pub fn new() -> Self {
        Self::with_services(Path::new("/etc/services"))
    }

    fn with_services(path: &Path) -> Self {
        let ports = match std::fs::read(path) {
            Ok(text) => Ok(services(&String::from_utf8_lossy(&text))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(HashMap::new()),
            Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        };
        SystemResolver { ports }
    }
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self::new()
    }
}

impl Resolver for SystemResolver {
    fn host(&self, name: &str) -> Result<IpAddr, ResolveError> {
        let addresses: Vec<IpAddr> = (name, 0)
            .to_socket_addrs()
            .map_err(|error| ResolveError::Failed(error.to_string()))?
            .map(|address| address.ip())
            .collect();
        let first_v4 = addresses.iter().find(|address| address.is_ipv4());
        first_v4
            .or(addresses.first())
            .copied()
            .ok_or(ResolveError::NoAddress)
    }

    fn port(&self, service: &str, protocol: Protocol) -> Result<Option<u16>, ResolveError> {
        match &self.ports {
            Ok(ports) => Ok(ports.get(&(service.to_owned(), protocol.number())).copied()),
            Err(reason) => Err(ResolveError::Failed(reason.clone())),
        }
    }
}

/// The format of services(5): `name port/protocol alias ... # comment`; the first line that has
/// a name wins, and lines of another shape are no services.
fn services(text: &str) -> HashMap<(String, u8), u16> {
    let mut ports = HashMap::new();
    for line in text.lines() {
        let statement = line.split('#').next().unwrap_or_default();
        let mut words = statement.split_ascii_whitespace();
        let (Some(name), Some(port)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((port, protocol)) = port.split_once('/') else {
            continue;
        };
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => continue,
        };
        if let Ok(port) = port.parse() {
            for name in std::iter::once(name).chain(words) {
                ports
                    .entry((name.to_owned(), protocol.number()))
                    .or_insert(port);
            }
        }
    }
    ports
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVICES: &str = "\
# Network services
tcpmux\t\t1/tcp\t# TCP port service multiplexer
http 80/tcp www WorldWideWeb # HTTP
domain 53/tcp
domain 53/udp
tftp 69/udp
web 81/tcp www
odd 70000/tcp
odder eighty/tcp
sctpthing 9/sctp
";

    #[test]
    fn services_have_names_aliases_and_protocols() {
        let ports = services(SERVICES);
        let port = |name: &str, protocol: Protocol| {
            ports.get(&(name.to_owned(), protocol.number())).copied()
        };
        assert_eq!(port("http", Protocol::Tcp), Some(80));
        assert_eq!(port("www", Protocol::Tcp), Some(80), "the first line wins");
        assert_eq!(port("web", Protocol::Tcp), Some(81));
        assert_eq!(port("domain", Protocol::Udp), Some(53));
        assert_eq!(port("tftp", Protocol::Tcp), None);
        for none in ["odd", "odder", "sctpthing", "#", "nosuch"] {
            assert_eq!(port(none, Protocol::Tcp), None, "{none}");
        }
    }

    #[test]
    fn a_services_file_that_cannot_be_read_is_told_when_a_name_is_asked_for() {
        let resolver = SystemResolver::with_services(Path::new("/"));
        let answer = resolver.port("http", Protocol::Tcp);
        assert!(
            matches!(&answer, Err(ResolveError::Failed(reason)) if reason.contains("cannot read /")),
            "{answer:?}"
        );
        let none = SystemResolver::with_services(Path::new("/nonexistent/services"));
        assert_eq!(none.port("http", Protocol::Tcp), Ok(None));
    }

    #[test]
    fn an_address_needs_no_name_server() {
        let resolver = SystemResolver::with_services(Path::new("/nonexistent/services"));
        assert_eq!(resolver.host("192.0.2.1"), Ok(IpAddr::from([192, 0, 2, 1])));
    }
}
