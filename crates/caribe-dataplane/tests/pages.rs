//! Connections in pages, on the real kernel.

mod support;

use std::collections::BTreeSet;
use std::net::SocketAddr;

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
