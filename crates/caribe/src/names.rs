//! Names for addresses and ports, from the machine's resolver and services database.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::IpAddr;

use caribe_director::listing::Names;
use caribe_model::Protocol;

/// The machine's names. Each address is looked up once.
#[derive(Debug)]
pub(crate) struct SystemNames {
    services: HashMap<(Protocol, u16), String>,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
}

impl SystemNames {
    /// Reads the services database; a missing one means numbers.
    pub(crate) fn new() -> Self {
        let database = std::fs::read("/etc/services").unwrap_or_default();
        SystemNames {
            services: services(&String::from_utf8_lossy(&database)),
            hosts: RefCell::default(),
        }
    }

    /// The port of a service by name.
    pub(crate) fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        let mut services = self.services.iter();
        services
            .find(|((of, _), known)| *of == protocol && *known == name)
            .map(|((_, port), _)| *port)
    }
}

impl Names for SystemNames {
    fn host(&self, address: IpAddr) -> Option<String> {
        let mut hosts = self.hosts.borrow_mut();
        let host = hosts.entry(address).or_insert_with(|| {
            // Without a name the resolver answers with the address.
            let name = dns_lookup::lookup_addr(&address).ok()?;
            (name != address.to_string()).then_some(name)
        });
        host.clone()
    }

    fn service(&self, protocol: Protocol, port: u16) -> Option<String> {
        self.services.get(&(protocol, port)).cloned()
    }
}

/// Names of services(5): the first name of a port and protocol is its name.
fn services(database: &str) -> HashMap<(Protocol, u16), String> {
    let mut services = HashMap::new();
    for line in database.lines() {
        let entry = line.split('#').next().unwrap_or_default();
        let mut words = entry.split_whitespace();
        let (Some(name), Some(place)) = (words.next(), words.next()) else {
            continue;
        };
        let Some((port, protocol)) = place.split_once('/') else {
            continue;
        };
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => continue,
        };
        if let Ok(port) = port.parse() {
            services
                .entry((protocol, port))
                .or_insert_with(|| name.to_owned());
        }
    }
    services
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_port_is_its_name() {
        let services = services(
            "# comment\n\
             http\t\t80/tcp\t\twww\t# WorldWideWeb HTTP\n\
             other 80/tcp\n\
             domain 53/udp\n\
             broken\n\
             worse 99999/tcp\n\
             odd 80/sctp\n",
        );
        assert_eq!(services.len(), 2);
        assert_eq!(services[&(Protocol::Tcp, 80)], "http");
        assert_eq!(services[&(Protocol::Udp, 53)], "domain");
    }
}
