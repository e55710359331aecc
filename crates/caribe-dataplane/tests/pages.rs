//! Connections in pages, on the real kernel.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use caribe_dataplane::xdp::{LiveConnection, XdpDataplane};
use caribe_model::{Forwarding, Protocol, Scheduler};
use support::*;

/// Client and VIP: what makes each of these connections unique.
fn identity(connection: &LiveConnection) -> (SocketAddr, SocketAddr) {
    (connection.client, connection.vip)
}

#[test]
fn every_connection_is_in_exactly_one_page() {
    let (v4, v6) = ("192.0.2.1:53", "[2001:db8::1]:53");
    let private = Private::enter();
    let mut dataplane = XdpDataplane::open(&private.options()).expect("open");
    apply(
        &mut dataplane,
        &table(
            Forwarding::Nat,
            &[
                (udp(v4), Scheduler::Rr, &[("10.0.0.2:5353", 1)]),
                (udp(v6), Scheduler::Rr, &[("[fd00::2]:5353", 1)]),
            ],
        ),
    );
    for port in 1000..1200 {
        for (client, vip) in [("198.51.100.7", v4), ("[2001:db8:f::7]", v6)] {
            let from = format!("{client}:{port}");
            assert!(send(&dataplane, &frame(Protocol::Udp, &from, vip, 0)).is_some());
        }
    }
    let all: BTreeSet<_> = dataplane
        .connections()
        .expect("list")
        .map(|connection| identity(&connection))
        .collect();
    assert_eq!(all.len(), 400);

    let mut paged = Vec::new();
    let (mut pages, mut place) = (0, Some(0));
    while let Some(from) = place {
        let before = paged.len();
        place = dataplane
            .connections_from(from, &mut |connection| {
                paged.push(identity(&connection));
                paged.len() < before + 7
            })
            .expect("a page");
        // A bucket of eight is given whole.
        assert!(
            paged.len() <= before + 7 + 8,
            "no page is much longer than asked for"
        );
        assert!(place.is_none_or(|next| next > from), "pages go on");
        pages += 1;
    }
    assert!(pages >= 400 / 15, "{pages} pages");
    assert_eq!(paged.len(), all.len(), "none comes twice");
    assert_eq!(paged.into_iter().collect::<BTreeSet<_>>(), all);
    let beyond = dataplane.connections_from(u64::MAX, &mut |_| true);
    assert_eq!(beyond.expect("nothing"), None);
}

/// Far longer than a call takes on any machine, far shorter than what an administrator notices.
const LONGEST_CALL: Duration = Duration::from_secs(1);

#[test]
fn a_million_connections_are_listed_in_short_calls() {
    const CONNECTIONS: u32 = 1_000_000;
    let vip = "192.0.2.1:53";
    let private = Private::enter();
    let mut options = private.options();
    options.connections = CONNECTIONS + CONNECTIONS / 8;
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    let services = table(
        Forwarding::Nat,
        &[(udp(vip), Scheduler::Rr, &[("10.0.0.2:5353", 1)])],
    );
    apply(&mut dataplane, &services);
    reach(&mut dataplane, &services);
    let mut frame = frame(Protocol::Udp, "198.51.100.7:1000", vip, 0);
    let mut made = 0u32;
    for client in 0..CONNECTIONS {
        // The last three bytes of the client's address, behind Ethernet's header; what the header's
        // checksum then is does not matter to a balancer, which changes it by what it changes.
        frame[14 + 13..14 + 16].copy_from_slice(&client.to_be_bytes()[1..]);
        made += u32::from(send(&dataplane, &frame).is_some());
    }
    let (mut seen, mut longest, mut place) = (0u32, Duration::ZERO, Some(0));
    while let Some(from) = place {
        let begin = now();
        let mut page = 0;
        place = dataplane
            .connections_from(from, &mut |_| {
                page += 1;
                page < 20_000
            })
            .expect("a page");
        longest = longest.max(begin.elapsed());
        seen += page;
    }
    // A few in ten thousand find both of their buckets full.
    assert!(
        made > CONNECTIONS - CONNECTIONS / 1000,
        "{made} connections"
    );
    assert_eq!(seen, made, "each is listed once");
    assert!(longest < LONGEST_CALL, "a call took {longest:?}");
    println!("{seen} connections; the longest call took {longest:?}");
}

#[expect(clippy::disallowed_methods, reason = "the test measures real time")]
fn now() -> Instant {
    Instant::now()
}
