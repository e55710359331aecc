//! Names for addresses and ports, from the machine's resolver and services database.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};

use caribe_ipvsadm::{Names, Protocol};

/// The machine's names. Each address is looked up once.
#[derive(Debug)]
pub(crate) struct SystemNames {
    services: Services,
    hosts: RefCell<HashMap<IpAddr, Option<String>>>,
}

impl SystemNames {
    /// Reads the services database; a missing one means numbers.
    pub(crate) fn new() -> Self {
        let database = std::fs::read("/etc/services").unwrap_or_default();
        SystemNames {
            services: Services::parse(&String::from_utf8_lossy(&database)),
            hosts: RefCell::default(),
        }
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
        self.services.names.get(&(protocol, port)).cloned()
    }

    fn address(&self, host: &str) -> Option<Ipv4Addr> {
        let mut addresses = dns_lookup::lookup_host(host).ok()?;
        addresses.find_map(|address| match address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        })
    }

    fn port(&self, protocol: Protocol, name: &str) -> Option<u16> {
        let key = (protocol, name.to_owned());
        self.services.ports.get(&key).copied()
    }
}

/// What services(5) says. Of two lines for one thing, the first counts.
#[derive(Debug, Default)]
struct Services {
    names: HashMap<(Protocol, u16), String>,
    /// By name and by alias.
    ports: HashMap<(Protocol, String), u16>,
}

impl Services {
    fn parse(database: &str) -> Self {
        let mut services = Services::default();
        for line in database.lines() {
            let entry = line.split('#').next().unwrap_or_default();
            let mut words = entry.split_whitespace();
            let (Some(name), Some(place)) = (words.next(), words.next()) else {
                continue;
            };
            let Some((port, protocol)) = place.split_once('/') else {
                continue;
            };
            let known = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
            let mut known = known.into_iter();
            let protocol = known.find(|known| known.database_name() == protocol);
            let (Some(protocol), Ok(port)) = (protocol, port.parse()) else {
                continue;
            };
            services
                .names
                .entry((protocol, port))
                .or_insert_with(|| name.to_owned());
            for name in [name].into_iter().chain(words) {
                services
                    .ports
                    .entry((protocol, name.to_owned()))
                    .or_insert(port);
            }
        }
        services
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_port_is_its_name() {
        let services = Services::parse(
            "# comment\n\
             http\t\t80/tcp\t\twww\t# WorldWideWeb HTTP\n\
             other 80/tcp\n\
             domain 53/udp\n\
             broken\n\
             worse 99999/tcp\n\
             diameter 3868/sctp\n\
             odd 80/ddp\n",
        );
        assert_eq!(services.names.len(), 3);
        assert_eq!(services.names[&(Protocol::Tcp, 80)], "http");
        assert_eq!(services.names[&(Protocol::Udp, 53)], "domain");
        assert_eq!(services.names[&(Protocol::Sctp, 3868)], "diameter");
        let port = |name: &str| services.ports.get(&(Protocol::Tcp, name.to_owned()));
        assert_eq!([port("http"), port("www"), port("other")], [Some(&80); 3]);
        assert_eq!([port("domain"), port("WorldWideWeb")], [None; 2]);
    }
}
