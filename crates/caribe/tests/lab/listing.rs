//! A strict reader of `ipvsadm -Ln`: to the column, as scripts out there depend on it.

use std::net::SocketAddr;

/// A whole listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) services: Vec<Service>,
}

/// A service of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Service {
    pub(crate) udp: bool,
    pub(crate) place: SocketAddr,
    pub(crate) scheduler: String,
    pub(crate) servers: Vec<Server>,
}

/// A real server of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Server {
    pub(crate) place: SocketAddr,
    pub(crate) forward: String,
    pub(crate) weight: u32,
    pub(crate) active: u32,
    pub(crate) inactive: u32,
}

const HEAD: [&str; 3] = [
    "IP Virtual Server version 1.2.1 (size=4096)",
    "Prot LocalAddress:Port Scheduler Flags",
    "  -> RemoteAddress:Port           Forward Weight ActiveConn InActConn",
];

impl Listing {
    /// Reads a listing.
    ///
    /// # Panics
    ///
    /// On anything that ipvsadm 1.31 would not have written.
    pub(crate) fn parse(text: &str) -> Listing {
        assert!(text.ends_with('\n'), "cut short: {text:?}");
        let mut lines = text.lines();
        for head in HEAD {
            assert_eq!(lines.next(), Some(head), "{text}");
        }
        let mut services: Vec<Service> = Vec::new();
        for line in lines {
            if line.starts_with(' ') {
                let service = services.last_mut().expect("a server belongs to a service");
                service.servers.push(Server::parse(line));
            } else {
                services.push(Service::parse(line));
            }
        }
        let order: Vec<_> = services.iter().map(Service::rank).collect();
        assert!(order.is_sorted(), "services are out of order: {text}");
        for service in &services {
            let order: Vec<_> = service.servers.iter().map(|it| it.place).collect();
            assert!(order.is_sorted(), "servers are out of order: {text}");
        }
        Listing { services }
    }

    /// The service at a place.
    pub(crate) fn service(&self, udp: bool, place: SocketAddr) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.udp == udp && service.place == place)
    }

    /// Whether a real server is in any service.
    pub(crate) fn has(&self, server: SocketAddr) -> bool {
        self.services
            .iter()
            .flat_map(|service| &service.servers)
            .any(|it| it.place == server)
    }
}

impl Service {
    fn parse(line: &str) -> Service {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [protocol, place, scheduler] = words[..] else {
            panic!("no service: {line:?}");
        };
        assert_eq!(line, format!("{protocol:<4} {place} {scheduler}"));
        let service = Service {
            udp: match protocol {
                "TCP" => false,
                "UDP" => true,
                _ => panic!("no protocol: {line:?}"),
            },
            place: place.parse().expect("an address and a port"),
            scheduler: scheduler.to_owned(),
            servers: Vec::new(),
        };
        assert_eq!(service.place.to_string(), place, "written otherwise");
        service
    }

    /// IPv4 first, then by protocol, address and port. (ipvsadm's comparison wraps; within the
    /// lab's networks it does not matter.)
    fn rank(&self) -> (bool, bool, SocketAddr) {
        (self.place.is_ipv6(), self.udp, self.place)
    }

    /// The server at a place.
    pub(crate) fn server(&self, place: SocketAddr) -> Option<&Server> {
        self.servers.iter().find(|server| server.place == place)
    }
}

impl Server {
    fn parse(line: &str) -> Server {
        let words: Vec<&str> = line.split_whitespace().collect();
        let ["->", place, forward, weight, active, inactive] = words[..] else {
            panic!("no server: {line:?}");
        };
        assert_eq!(
            line,
            format!("  -> {place:<28} {forward:<7} {weight:<6} {active:<10} {inactive:<10}"),
        );
        assert!(
            ["Masq", "Route", "Tunnel"].contains(&forward),
            "no forwarding method: {line:?}"
        );
        Server {
            place: place.parse().expect("an address and a port"),
            forward: forward.to_owned(),
            weight: weight.parse().expect("a weight"),
            active: active.parse().expect("a count"),
            inactive: inactive.parse().expect("a count"),
        }
    }
}

#[test]
fn a_listing_of_the_real_thing_is_read() {
    let text = "IP Virtual Server version 1.2.1 (size=4096)\n\
                Prot LocalAddress:Port Scheduler Flags\n  \
                -> RemoteAddress:Port           Forward Weight ActiveConn InActConn\n\
                TCP  10.1.0.200:80 wrr\n  \
                -> 10.2.0.11:8080               Masq    3      1          42        \n";
    let listing = Listing::parse(text);
    let place = "10.1.0.200:80".parse().expect("a place");
    let service = listing.service(false, place).expect("a service");
    assert_eq!(service.scheduler, "wrr");
    assert_eq!(service.servers[0].inactive, 42);
}

#[test]
#[should_panic(expected = "left == right")]
fn a_column_that_is_off_is_noticed() {
    let text = format!(
        "{}\nTCP  10.1.0.200:80 wrr\n  -> 10.2.0.11:8080 Masq 3 1 42\n",
        HEAD.join("\n")
    );
    Listing::parse(&text);
}
