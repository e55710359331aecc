//! A million connections, an administrator who looks at all of them, and a director that goes on
//! with its work meanwhile.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use caribe_director::{ControlPaths, LiveTable, Status};
use caribe_lab::{Lab, wait};
use caribe_reference::network::{self, Family, GATEWAY_MAC, Side};
use caribe_reference::{PlayError, Wire, ip_batch};
use etherparse::PacketBuilder;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::bed::alone;
use crate::director::{Director, SOON};

const CONNECTIONS: u32 = 1_000_000;

/// The client of the first connection; the others follow it.
const FIRST_CLIENT: Ipv4Addr = Ipv4Addr::new(11, 0, 0, 0);

/// As long as `caribe status` waits for its answer; the whole listing takes longer.
const LONGEST_ANSWER: Duration = Duration::from_secs(10);

/// How long a director may say nothing before it is taken for dead.
const PATIENCE: Duration = Duration::from_secs(60);

/// From one question to the next; they are not to be what keeps the director busy.
const PAUSE: Duration = Duration::from_millis(100);

#[test]
fn a_million_connections_are_listed_while_the_director_goes_on() {
    let _alone = alone();
    let mut lab = Lab::new("crowded").expect("a lab");
    let host = lab.host("director").expect("a host");
    let network = || {
        let wire = Wire::open()?;
        ip_batch(&network::commands())?;
        Ok::<Wire, PlayError>(wire)
    };
    let wire = host.run(network).expect("the host is there");
    let wire = wire.expect("two links");
    let mut director = Director::start(&lab, &host, &file(1, 1));
    director.wait_until(None, true, SOON);
    let made = fill(&wire);
    // A few in ten thousand find both of their buckets full.
    assert!(
        made > CONNECTIONS - CONNECTIONS / 1000,
        "{made} connections"
    );

    let socket = ControlPaths::in_runtime_dir(&director.runtime).socket;
    let pages = AtomicU32::new(0);
    let (listed, answers, longest) = std::thread::scope(|scope| {
        let listing = scope.spawn(|| list(&socket, &pages));
        wait::until("the first pages", SOON, || {
            let pages = pages.load(Ordering::Relaxed);
            (pages > 1).then_some(()).ok_or(format!("{pages} pages"))
        })
        .expect("pages");
        director.write(&file(2, 7));
        director.hangup();
        let (mut answers, mut longest, mut reloaded) = (0u32, Duration::ZERO, false);
        while !listing.is_finished() {
            let (status, status_took): (Status, _) = timed(&socket, ControlPaths::STATUS);
            let (table, table_took): (LiveTable, _) = timed(&socket, ControlPaths::TABLE);
            longest = longest.max(status_took).max(table_took);
            answers += 2;
            wait::pause(PAUSE);
            let weights = table
                .services
                .iter()
                .flat_map(|service| &service.live.servers)
                .map(|server| server.weight);
            reloaded |=
                status.configuration.serial_no == 2 && weights.eq([7]) && !listing.is_finished();
        }
        assert!(reloaded, "the new file was not in force before the end");
        (listing.join().expect("no panic"), answers, longest)
    });
    assert_eq!(listed, made, "each is listed once");
    assert!(longest < LONGEST_ANSWER, "an answer took {longest:?}");
    println!(
        "{listed} connections in {} pages; {answers} answers meanwhile, the longest took \
         {longest:?}",
        pages.into_inner()
    );
    director.stop();
    drop((wire, director));
    lab.remove().expect("the lab is removed");
}

/// A service of one server with this weight, and room for all connections.
fn file(serial_no: u32, weight: u32) -> String {
    let room = CONNECTIONS + CONNECTIONS / 8;
    let server = network::server(Family::V4, 0);
    let (front, back) = (Side::Front.interface(), Side::Back.interface());
    // Nothing expires, however slow the machine.
    format!(
        "serial_no = {serial_no}\nservice = lvs\ninterface = {back}\nconnections = {room}\n\
         udp_timeout = 86400\n\
         virtual names {{\n    active = 1\n    address = {vip} {front}:1\n    port = 53\n    \
         protocol = udp\n    forward = direct\n    scheduler = wrr\n    server one {{\n        \
         active = 1\n        address = {server}\n        weight = {weight}\n    }}\n}}\n",
        vip = network::vip(Family::V4, 1, 0),
    )
}

/// One datagram from each client; gives how many got to the server.
fn fill(wire: &Wire) -> u32 {
    let IpAddr::V4(vip) = network::vip(Family::V4, 1, 0) else {
        panic!("a VIP of the other family");
    };
    let builder = PacketBuilder::ethernet2(GATEWAY_MAC, Side::Front.mac())
        .ipv4(FIRST_CLIENT.octets(), vip.octets(), 64)
        .udp(1000, 53);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[]).expect("a frame");
    let mut made = 0;
    for number in 0..CONNECTIONS {
        // What the header's checksum then is does not matter to a balancer, which changes it by
        // what it changes.
        let client = Ipv4Addr::from(u32::from(FIRST_CLIENT) + number);
        frame[14 + 12..14 + 16].copy_from_slice(&client.octets());
        let sent = wire.exchange(Side::Front, &frame).expect("a live wire");
        made += u32::from(sent.iter().any(|(side, _)| *side == Side::Back));
    }
    made
}

/// What is read of a page of connections.
#[derive(Deserialize)]
struct Page {
    connections: Vec<Row>,
    next: Option<u64>,
}

#[derive(Deserialize)]
struct Row {
    client: SocketAddr,
}

/// Reads all connections, page by page; gives how many there are, each of them once.
fn list(socket: &Path, pages: &AtomicU32) -> u32 {
    let mut seen = vec![false; CONNECTIONS as usize];
    let mut path = ControlPaths::CONNECTIONS.to_owned();
    loop {
        let page: Page = ask(socket, &path);
        for Row { client } in page.connections {
            let IpAddr::V4(address) = client.ip() else {
                panic!("{client} is no client of this test");
            };
            let number = u32::from(address) - u32::from(FIRST_CLIENT);
            let again = std::mem::replace(&mut seen[number as usize], true);
            assert!(!again, "{client} is listed twice");
        }
        pages.fetch_add(1, Ordering::Relaxed);
        match page.next {
            Some(next) => path = format!("{}?after={next}", ControlPaths::CONNECTIONS),
            None => return seen.into_iter().map(u32::from).sum(),
        }
    }
}

fn timed<T: DeserializeOwned>(socket: &Path, path: &str) -> (T, Duration) {
    let clock = wait::Deadline::after(LONGEST_ANSWER);
    let answer = ask(socket, path);
    (answer, clock.elapsed())
}

/// Asks the director for a document.
fn ask<T: DeserializeOwned>(socket: &Path, path: &str) -> T {
    let mut stream = UnixStream::connect(socket).expect("the director listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket");
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\r\n"
    )
    .expect("the question is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {answer}");
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error} in {body}"))
}
