//! dh, sh and mh on the built program: empty slots and quiesced servers in tables laid out by hand.
//! Whole tables are tested through a director's data plane, in `tests/hashing.rs`.

use caribe_packet::hash::{FALLBACK, PORT, bucket, fold4, fold6, next_bucket, origin};
use caribe_packet::service::Choice;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Side};
use crate::flow::{CPORT, Flow, TCP4, TCP6, VPORT};
use crate::plane::{Plane, Sizes};
use crate::schedulers::servers;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, TCP6] {
        let sent = cases.sender();
        cases.add_alone(format!("schedule::sh's table {}", flow.name()), move || {
            let mut plane = Plane::load(Sizes {
                buckets: 32,
                servers: 8,
                slots: 1200,
            });
            let name = "sh's table".to_owned();
            let mut bench = Bench::new(name, &mut plane, sent);
            let [a, b, _] = servers(&mut bench, flow.net);
            let client = fold(flow);
            let first = bucket(client) as usize;
            let second = next_bucket(bucket(client), 0) as usize;
            let mut table = vec![(a, 1); 256];
            table[first] = (b, 1);
            for (port, flags, expected) in [(80, 0, Some(b)), (81, PORT, Some(a))] {
                // One that hashes the port elsewhere finds the others.
                assert_ne!(
                    bucket(origin(client, Some(CPORT.to_be_bytes()))) as usize,
                    first
                );
                bench.hashing((flow.net.vip(), port), Choice::SourceHash, flags, &table);
                assert_eq!(picked(&mut bench, flow, port), expected);
            }
            // Its server is quiesced.
            table[first] = (b, 0);
            bench.hashing((flow.net.vip(), 82), Choice::SourceHash, 0, &table);
            assert_eq!(picked(&mut bench, flow, 82), None);
            bench.hashing((flow.net.vip(), 83), Choice::SourceHash, FALLBACK, &table);
            assert_eq!(picked(&mut bench, flow, 83), Some(a));
            bench.finish();
            assert_ne!(first, second, "the fallback begins elsewhere");
            Ok(())
        });
    }
    cases.add(
        "schedule::a table that is cut short gives nobody",
        |bench| {
            let [a, _, _] = servers(bench, crate::flow::Net::V4);
            bench.hashing(TCP4.vip(), Choice::SourceHash, FALLBACK, &[(a, 1)]);
            assert_ne!(bucket(fold(TCP4)), 0);
            assert_eq!(picked(bench, TCP4, VPORT), None);
            bench.hashing(
                (TCP4.net.vip(), 81),
                Choice::Maglev,
                FALLBACK,
                &[(a, 1), (a, 1)],
            );
            assert_eq!(picked(bench, TCP4, 81), Some(a));
            bench.hashing(
                (TCP4.net.vip(), 82),
                Choice::Maglev,
                FALLBACK,
                &[(0, 0), (0, 0)],
            );
            assert_eq!(picked(bench, TCP4, 82), None);
        },
    );
}

/// The usual client, folded.
fn fold(flow: Flow) -> u32 {
    match flow.net.client(1) {
        std::net::IpAddr::V4(address) => fold4(address.octets()),
        std::net::IpAddr::V6(address) => fold6(address.octets()),
    }
}

/// The server that the usual client's connection goes to.
fn picked(bench: &mut Bench<'_>, flow: Flow, vport: u16) -> Option<u32> {
    let frame = flow.request(1).ports(CPORT, vport);
    let (verdict, _, output) = bench.send(Side::Front, 0, &frame.bytes());
    match verdict {
        Verdict::ForwardedDirect => Some(u32::from_be_bytes([
            output[2], output[3], output[4], output[5],
        ])),
        Verdict::AnsweredNoServer => None,
        other => panic!("{}", other.name()),
    }
}
