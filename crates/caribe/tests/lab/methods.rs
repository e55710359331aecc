//! Three forwarding methods, two families, two protocols: what comes through, how it spreads, and
//! what is on the wire.

use std::net::IpAddr;

use caribe_lab::topology::{DIRECTOR, lan_v4, lan_v6};
use caribe_lab::{Capture, Curl, Packet};

use crate::bed::{Bed, client_address};
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

#[test]
fn everything_comes_through_and_spreads_evenly() {
    let file = LvsCf::rr(&Balanced::every());
    let bed = Bed::start("methods", &file);
    for service in file.services() {
        assert_eq!(
            ask(bed.client(), service, 30),
            shares(&[("web1", 10), ("web2", 10), ("web3", 10)]),
            "{service}"
        );
        if !service.udp {
            // The next in turn; nginx tells what it took for the client's address.
            let answer = Curl::on(bed.client()).get(&format!("{}who", service.url()));
            let answer = answer.expect("an answer");
            let (_, client) = answer.trim().split_once(' ').expect("name and address");
            assert_eq!(client, client_address(service.v6).to_string(), "{service}");
        }
    }
    bed.leave();
}

#[test]
fn weights_give_exact_shares() {
    let services = [
        Balanced::tcp4(Way::Nat),
        Balanced::tcp6(Way::Direct),
        Balanced::udp4(Way::Tunnel),
    ];
    let file = LvsCf::wrr(&services)
        .weigh(0, Some(3))
        .weigh(1, Some(2))
        .weigh(2, Some(1));
    let bed = Bed::start("weights", &file);
    for service in file.services() {
        assert_eq!(
            ask(bed.client(), service, 60),
            shares(&[("web1", 30), ("web2", 20), ("web3", 10)]),
            "{service}"
        );
    }
    bed.leave();
}

/// What tshark is asked of each packet.
const FIELDS: [&str; 17] = [
    "frame.protocols",
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ip.ttl",
    "ip.checksum.status",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.hlim",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.checksum.status",
    "tcp.flags.syn",
    "udp.srcport",
    "udp.dstport",
    "udp.checksum.status",
];

/// Requests of every kind, and protocols that carry one IP inside another.
const FILTER: &str = "tcp port 80 or tcp port 8080 or udp port 7000 or udp port 7007 \
                      or ip proto 4 or ip proto 41 or ip6 proto 4 or ip6 proto 41";

#[test]
fn the_wire_carries_what_it_should_with_good_checksums() {
    let file = LvsCf::rr(&Balanced::every());
    let bed = Bed::start("wire", &file);
    let capture = |switch: &caribe_lab::Switch, port: &str| {
        Capture::start(switch.station(), port, FILTER).expect("tshark")
    };
    // On the switches' ports to one server: after the director, before the server's own program.
    let lan = capture(&bed.net.lan, "web1.eth0");
    let inside = capture(&bed.net.inside, "web1.eth1");
    for service in file.services() {
        assert_eq!(ask(bed.client(), service, 9)["web1"], 3, "{service}");
    }
    let lan = lan.finish(&FIELDS).expect("packets");
    let inside = inside.finish(&FIELDS).expect("packets");

    for packet in lan.iter().chain(&inside) {
        for field in [
            "ip.checksum.status",
            "tcp.checksum.status",
            "udp.checksum.status",
        ] {
            // tshark's word for good.
            let good = values(packet, field).all(|status| status == "1");
            assert!(good, "{field} in {packet:?}");
        }
    }
    let web1 = &bed.servers[0].host;
    for service in file.services() {
        let (packets, director_port, server_port) = match service.way {
            Way::Nat => (&inside, "eth1", "eth1"),
            _ => (&lan, "eth0", "eth0"),
        };
        let way = Expected {
            service,
            source_mac: mac(&bed.net.director, director_port),
            destination_mac: mac(web1, server_port),
        };
        let (mut requests, mut starts) = (0, 0);
        for packet in packets.iter().filter(|packet| way.concerns(packet)) {
            way.check(packet);
            requests += 1;
            starts += values(packet, "tcp.flags.syn")
                .filter(|flag| ["1", "True"].contains(flag))
                .count();
        }
        if service.udp {
            assert_eq!(requests, 3, "{service}: datagrams");
        } else {
            assert_eq!(starts, 3, "{service}: SYNs");
            assert!(requests >= 12, "{service}: {requests} packets");
        }
    }
    bed.leave();
}

/// What a client's packets look like on their way from the director to the first server.
struct Expected {
    service: Balanced,
    source_mac: String,
    destination_mac: String,
}

impl Expected {
    /// Whether a packet is a client's to this service, and not an answer or a check.
    fn concerns(&self, packet: &Packet) -> bool {
        let Expected { service, .. } = self;
        let destination = match service.way {
            Way::Nat => service.server(0),
            _ => service.place(),
        };
        let (port, family) = (
            if service.udp {
                "udp.dstport"
            } else {
                "tcp.dstport"
            },
            if service.v6 { "ipv6" } else { "ip" },
        );
        let client = client_address(service.v6).to_string();
        let is = |field: &str, wanted: &str| values(packet, field).last() == Some(wanted);
        is(&format!("{family}.src"), &client)
            && is(&format!("{family}.dst"), &destination.ip().to_string())
            && is(port, &destination.port().to_string())
    }

    fn check(&self, packet: &Packet) {
        let Expected { service, .. } = self;
        let all = |field: &str| values(packet, field).collect::<Vec<_>>();
        assert_eq!(all("eth.src"), [&self.source_mac], "{packet:?}");
        assert_eq!(all("eth.dst"), [&self.destination_mac], "{packet:?}");
        let inner = if service.v6 { "ipv6" } else { "ip" };
        let outer = match (service.way, service.v6) {
            (Way::Tunnel, false) => Some("ip"),
            (Way::Tunnel, true) | (Way::TunnelOver6, _) => Some("ipv6"),
            (Way::Nat | Way::Direct, _) => None,
        };
        let transport = if service.udp { "udp" } else { "tcp" };
        let protocols = match outer {
            Some(outer) => format!(":{outer}:{inner}:{transport}"),
            None => format!("ethertype:{inner}:{transport}"),
        };
        let seen = all("frame.protocols").join("");
        assert!(
            seen.contains(&protocols),
            "{service}: no {protocols}: {packet:?}"
        );
        // The client sent 64 and the director took one off.
        let ttl = if service.v6 { "ipv6.hlim" } else { "ip.ttl" };
        assert_eq!(values(packet, ttl).last(), Some("63"), "{packet:?}");
        if let Some(outer) = outer {
            let own: IpAddr = match (service.way, outer) {
                (_, "ip") => lan_v4(DIRECTOR).into(),
                _ => lan_v6(DIRECTOR).into(),
            };
            let first = |field: &str| values(packet, &format!("{outer}.{field}")).next();
            assert_eq!(first("src"), Some(own.to_string().as_str()), "{packet:?}");
            let server = service.server(0).ip().to_string();
            assert_eq!(first("dst"), Some(server.as_str()), "{packet:?}");
        }
    }
}

fn values<'a>(packet: &'a Packet, field: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    packet.get(field).into_iter().flatten().map(String::as_str)
}

fn mac(host: &caribe_lab::Host, port: &str) -> String {
    let bytes = host.interface(port).expect("an interface").mac;
    let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    digits.join(":")
}
