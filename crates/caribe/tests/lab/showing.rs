//! What the director shows is what happened.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use caribe_dataplane::Explanation;
use caribe_lab::{Host, wait};

use crate::bed::{Bed, client_address};
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::ask;

/// A connection to a service that stays open, and can be asked again and again.
pub(crate) struct Held {
    stream: TcpStream,
    service: Balanced,
}

impl Held {
    pub(crate) fn open(client: &Host, service: Balanced) -> Held {
        let limit = Duration::from_secs(5);
        let place = service.place();
        let stream = client
            .run(|| TcpStream::connect_timeout(&place, limit))
            .expect("the client can be entered")
            .unwrap_or_else(|error| panic!("{service}: {error}"));
        stream.set_read_timeout(Some(limit)).expect("a socket");
        let mut held = Held { stream, service };
        held.ask();
        held
    }

    /// One request; gives the name of the server.
    pub(crate) fn ask(&mut self) -> String {
        let request = b"GET / HTTP/1.1\r\nHost: vip\r\n\r\n";
        self.stream.write_all(request).expect("the request is sent");
        let mut answer = String::new();
        let mut buffer = [0; 4096];
        // The body is the name and a line feed.
        while !answer.contains("\r\n\r\n") || !answer.ends_with('\n') || answer.ends_with("\r\n") {
            let count = self.stream.read(&mut buffer).expect("an answer");
            assert!(count > 0, "{}: closed after {answer:?}", self.service);
            answer.push_str(std::str::from_utf8(&buffer[..count]).expect("text"));
        }
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let body = answer.lines().last().expect("a body");
        assert!(body.starts_with("web"), "{answer}");
        body.to_owned()
    }
}

#[test]
fn the_listing_and_the_status_count_what_was_sent() {
    let file = LvsCf::rr(&Balanced::every());
    let bed = Bed::start("showing", &file);
    // Closed connections first, then open ones: two on each server.
    let mut held = Vec::new();
    for service in file.services() {
        ask(bed.client(), service, 12);
        if !service.udp {
            held.extend((0..6).map(|_| Held::open(bed.client(), service)));
        }
    }
    // The last FINs may still be under way.
    wait::until("exact counts", SOON, || {
        let listing = bed.director.listing();
        for service in file.services() {
            let listed = listing.service(service.udp, service.place());
            let listed = listed.ok_or(format!("no {service} in {listing:?}"))?;
            // A UDP flow is never active, as in IPVS.
            let expected = if service.udp { [0, 4] } else { [2, 4] };
            for server in &listed.servers {
                if [server.active, server.inactive] != expected {
                    return Err(format!("{service}: {server:?}, not {expected:?}"));
                }
            }
        }
        Ok(())
    })
    .expect("connections are counted");

    let listing = bed.director.listing();
    assert_eq!(listing.services.len(), file.blocks.len());
    let status = bed.director.status();
    assert_eq!(status.services.len(), file.blocks.len());
    let (mut packets, mut alive) = (0, 0);
    for (service, shown) in file.services().zip(&status.services) {
        assert_eq!(shown.name, service.to_string());
        let listed = listing.service(service.udp, service.place()).expect("it");
        assert_eq!(listed.scheduler, "rr");
        let sent: u64 = if service.udp { 12 } else { 18 };
        assert_eq!(shown.traffic.connections, sent, "{service}");
        assert_eq!(shown.servers.len(), 3);
        assert_eq!(listed.servers.len(), 3);
        for (index, server) in (0..).zip(&shown.servers) {
            let place = service.server(index);
            assert_eq!((server.address, server.port), (place.ip(), place.port()));
            let row = listed.server(place).expect("it is listed");
            assert_eq!(row.forward, service.way.listed());
            assert_eq!(row.weight, 1);
            assert_eq!([row.active, row.inactive], [server.active, server.inactive]);
            assert_eq!(server.traffic.connections, sent / 3, "{service}");
            alive += u64::from(server.active + server.inactive);
        }
        let traffic = shown.traffic;
        if service.udp {
            assert_eq!(traffic.packets_in, 12, "{service}: a datagram each");
        } else {
            // SYN, ACK, request, ACK, FIN at the least.
            assert!(
                traffic.packets_in >= 12 * 5 + 6 * 3,
                "{service}: {traffic:?}"
            );
        }
        // Only NAT's replies pass the director.
        let replies = traffic.packets_out > 0;
        assert_eq!(replies, service.way == Way::Nat, "{service}: {traffic:?}");
        packets += traffic.packets_in;
    }
    assert_eq!(status.dataplane.connections.alive, alive);
    let verdicts = &status.dataplane.verdicts;
    let forwarded = ["nat", "direct", "tunnel"].map(|way| verdicts[&format!("forwarded_{way}")]);
    assert_eq!(forwarded.iter().sum::<u64>(), packets, "{verdicts:?}");

    shown_for_people(&bed, &file);
    explained(&bed, &file, &mut held);

    // Established connections are inactive once they are closed.
    drop(held);
    wait::until("closed connections to count as such", SOON, || {
        let listing = bed.director.listing();
        let servers = listing.services.iter().flat_map(|it| &it.servers);
        let active: u32 = servers.map(|it| it.active).sum();
        (active == 0)
            .then_some(())
            .ok_or(format!("{active} active"))
    })
    .expect("none is active");
    bed.leave();
}

/// `caribe explain` tells who gets the next connection, and asking gives it to nobody.
fn explained(bed: &Bed, file: &LvsCf, held: &mut Vec<Held>) {
    for service in file.services() {
        let client = SocketAddr::new(client_address(service.place().is_ipv6()), 4000);
        let (client, place) = (client.to_string(), service.place().to_string());
        let protocol = if service.udp { "udp" } else { "tcp" };
        let words = ["explain", protocol, &client, &place];
        let text = bed.director.ask(&words).expect("an explanation");
        let rotation = "scheduler   takes the next of a cycle of 3, after ";
        for line in [
            "verdict     is forwarded: ",
            rotation,
            "next hop    ",
            "makes       a con",
        ] {
            assert!(text.contains(line), "no `{line}` in:\n{text}");
        }
        let words = [&words[..], &["--json"]].concat();
        let json = bed.director.ask(&words).expect("an explanation");
        let said: Explanation = serde_json::from_str(&json).expect("an explanation");
        let server = said.server.expect("somebody gets it").key;
        if !service.udp {
            let mut next = Held::open(bed.client(), service);
            let index = (0..3).find(|index| service.server(*index).ip() == server.address);
            let name = format!("web{}", index.expect("one of its servers") + 1);
            assert_eq!(next.ask(), name, "{service}: {text}");
            held.push(next);
        }
    }
    let refused = bed.director.ask(&[
        "explain",
        "tcp",
        "10.1.0.1:1",
        "10.1.0.2:80",
        "--interface",
        "eth7",
    ]);
    let refused = refused.expect_err("there is no such interface").to_string();
    let words = "the director does not balance on interface eth7, but on eth0, eth1";
    assert!(refused.contains(words), "{refused}");
}

/// `caribe status` for people, and one service of `caribe ipvsadm`.
fn shown_for_people(bed: &Bed, file: &LvsCf) {
    let text = bed.director.ask(&["status"]).expect("a status");
    assert!(
        text.contains("data plane XDP on eth0 (native), eth1 (native)\n"),
        "{text}"
    );
    for service in file.services() {
        let protocol = if service.udp { "UDP" } else { "TCP" };
        let head = format!("{service} {protocol} {} (rr): ", service.place());
        let line = text.lines().find(|line| line.starts_with(&head));
        let line = line.unwrap_or_else(|| panic!("no `{head}` in:\n{text}"));
        let connections = if service.udp { 12 } else { 18 };
        assert!(
            line.contains(&format!(" {connections} connections, ")),
            "{line}"
        );
        for index in 0..3 {
            let server = service.server(index).to_string();
            assert!(text.contains(&server), "no {server} in:\n{text}");
        }
        let option = if service.udp { "-u" } else { "-t" };
        let place = service.place().to_string();
        let one = bed.director.ask(&["ipvsadm", "-L", "-n", option, &place]);
        let one = one.expect("a listing");
        assert_eq!(one.lines().count(), 2 + 1 + 3, "{one}");
        let row = format!("{protocol:<4} {place} rr");
        assert_eq!(one.lines().nth(2), Some(row.as_str()), "{one}");
    }
}
