//! A flood: a million SYNs from random sources beside a thousand established connections.

use std::collections::HashMap;

use caribe_packet::event::Event;
use caribe_packet::tcp_state::State;
use caribe_packet::verdict::Verdict;
use libtest_mimic::Failed;

use crate::bench::{Bench, Cases, NewServer};
use crate::flow::{Flow, TCP4, server_mac};
use crate::plane::{Action, Plane, Sizes};

/// Room for 32,768 connections: the flood is thirty times as large.
const SIZES: Sizes = Sizes {
    buckets: 4096,
    servers: 32,
    slots: 64,
};
const SYNS: u32 = 1_000_000;
const ESTABLISHED: u32 = 1000;
/// New connections a second from which on there is a flood.
const GUARD: u32 = 1000;

/// Where source address and port are in an IPv4 frame without options.
const SOURCE: usize = 26;
const SOURCE_PORT: usize = 34;

pub(crate) fn cases(cases: &mut Cases) {
    let sent = cases.sender();
    cases.add_alone("flood::a million syns, a thousand connections", move || {
        let mut plane = Plane::load(SIZES);
        let mut bench = Bench::new("flood".to_owned(), &mut plane, sent);
        let servers: Vec<u32> = (1..=4)
            .map(|number| bench.server(NewServer::direct(TCP4.net.server(number))))
            .collect();
        bench.rotating(TCP4.vip(), TCP4.number(), &servers);
        drop(bench);
        under_flood(&mut plane)
    });
}

/// A client's frame with another source.
fn from(frame: &[u8], address: u32, port: u16) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[SOURCE..SOURCE + 4].copy_from_slice(&address.to_be_bytes());
    frame[SOURCE_PORT..SOURCE_PORT + 2].copy_from_slice(&port.to_be_bytes());
    frame
}

/// The server that gets a frame.
fn server_of(plane: &mut Plane, frame: &[u8]) -> Result<u32, Failed> {
    let ran = plane.run("director", plane.front, 0, frame);
    if ran.action != Action::Redirect {
        return Err(format!("an established packet got {:?}", ran.action).into());
    }
    let server = (1..=4).find(|index| ran.frame[..6] == server_mac(*index));
    server.ok_or_else(|| "forwarded to no server".into())
}

fn under_flood(plane: &mut Plane) -> Result<(), Failed> {
    let flow: Flow = TCP4;
    let (syn, ack) = (flow.request(1).bytes(), flow.later(1).bytes());
    let client = |number: u32| (0x0a00_0000 | number, 1024 + (number % 60_000) as u16);
    let mut of_client = HashMap::new();
    for number in 0..ESTABLISHED {
        let (address, port) = client(number);
        let server = server_of(plane, &from(&syn, address, port))?;
        assert_eq!(server_of(plane, &from(&ack, address, port))?, server);
        of_client.insert(number, server);
    }
    plane.settings.flood_guard = GUARD;
    plane.write_settings();

    let mut random = 1u64;
    let mut later = 0;
    for number in 0..SYNS {
        random = random
            .wrapping_mul(6364136223846793005)
            .wrapping_add(1442695040888963407);
        // Sources of the upper half: none of the established ones'.
        let address = (random >> 32) as u32 | 0x8000_0000;
        plane.run_blind(
            "director",
            &from(&syn, address, (random >> 16) as u16 | 1024),
        );
        if number % 200 == 0 {
            let of = (number / 200) % ESTABLISHED;
            let (address, port) = client(of);
            let server = server_of(plane, &from(&ack, address, port))?;
            assert_eq!(server, of_client[&of], "client {of} keeps its server");
            later += 1;
        }
    }
    for (number, server) in &of_client {
        let (address, port) = client(*number);
        let now = server_of(plane, &from(&ack, address, port))?;
        assert_eq!(now, *server, "client {number} keeps its server");
    }

    let verdicts = plane.verdicts();
    let count = |verdict: Verdict| verdicts[verdict as usize];
    let (forwarded, full) = (
        count(Verdict::ForwardedDirect),
        count(Verdict::DroppedTableFull),
    );
    let sent = u64::from(SYNS) + u64::from(ESTABLISHED) * 3 + later;
    assert_eq!(verdicts.iter().sum::<u64>(), sent);
    assert_eq!(
        forwarded + full,
        sent,
        "nothing else happened: {verdicts:?}"
    );
    let entries = plane.entries();
    let established = entries
        .iter()
        .filter(|entry| entry.state == State::Established as u8)
        .count();
    assert_eq!(established, ESTABLISHED as usize);
    // Every SYN took a free slot, or that of another one, or was refused.
    let displaced = plane.event(Event::DisplacedEmbryonic);
    let embryonic = (entries.len() - established) as u64;
    assert_eq!(embryonic + displaced + full, u64::from(SYNS));
    assert!(displaced > u64::from(SYNS) / 2, "{displaced} displaced");
    let flood = plane.event(Event::Flood);
    assert!(flood >= u64::from(SYNS) / 2, "{flood} counted as a flood");
    // The servers' loads are those of the connections that are there.
    let loads: u64 = (1..=4).map(|server| plane.load_of(server).total()).sum();
    assert_eq!(loads, entries.len() as u64);
    Ok(())
}
