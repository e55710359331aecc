//! Thresholds: a server that has as many connections as it may have gets no new ones, whatever the
//! scheduler.

use caribe_packet::hash::{BUCKETS, FALLBACK};
use caribe_packet::service::Choice;
use caribe_packet::tcp_state::State;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, TCP4, server_mac};
use crate::plane::{CLOCK_LAG, now};

/// The server that a new connection gets, if any.
fn picked(bench: &mut Bench<'_>, flow: Flow, port: u16) -> Option<u32> {
    let frame = flow.request(1).ports(port, flow.vip().1).bytes();
    let (verdict, _, frame) = bench.send(Side::Front, 0, &frame);
    if verdict == Verdict::AnsweredNoServer {
        return None;
    }
    assert_eq!(verdict, Verdict::ForwardedDirect);
    let index = (1..9).find(|index| frame[..6] == server_mac(*index));
    Some(index.expect("one of the servers"))
}

fn picks(bench: &mut Bench<'_>, flow: Flow, count: u16) -> Vec<Option<u32>> {
    (0..count)
        .map(|port| picked(bench, flow, CPORT + port))
        .collect()
}

fn servers(bench: &mut Bench<'_>, net: Net) -> [u32; 3] {
    [1, 2, 3].map(|number| bench.server(NewServer::direct(net.server(number))))
}

/// Makes a server overloaded, and keeps it so.
fn overload(bench: &mut Bench<'_>, server: u32) {
    bench.plane.set_bounds(server, 1, 1);
    bench.plane.overload(server);
}

pub(crate) fn cases(cases: &mut Cases) {
    in_turn(cases);
    by_load(cases);
    by_hash(cases);
    for flow in Flow::ALL {
        bounds(cases, flow);
    }
}

fn in_turn(cases: &mut Cases) {
    cases.add("overload::case 65 rr", |bench| {
        let [a, _, c] = servers(bench, Net::V4);
        // B has weight 0, and so no slot.
        bench.rotating(TCP4.vip(), 6, &[c, a]);
        overload(bench, a);
        assert_eq!(picks(bench, TCP4, 3), [Some(c); 3]);
    });
    cases.add("overload::case 68 wrr", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        let cycle = [a, a, b, a, b, c, a, b, c];
        let turns = [2, 1, 1, 1, 1, 1, 1, 1, 1];
        let slots: Vec<_> = cycle.into_iter().zip(turns).collect();
        bench.turning(TCP4.vip(), 6, &slots);
        overload(bench, a);
        let round = [b, b, c, b, c].map(Some);
        assert_eq!(picks(bench, TCP4, 10), [round, round].concat());
    });
    cases.add("overload::case 69 all overloaded", |bench| {
        let all = servers(bench, Net::V4);
        bench.rotating(TCP4.vip(), 6, &all);
        for server in all {
            overload(bench, server);
        }
        assert_eq!(picks(bench, TCP4, 2), [None; 2]);
        // The one that is relieved is the next one, and the cursor stands where it stood.
        bench.plane.relieve(all[1]);
        assert_eq!(picks(bench, TCP4, 2), [Some(all[1]); 2]);
        bench.plane.relieve(all[0]);
        bench.plane.relieve(all[2]);
        let [a, b, c] = all;
        assert_eq!(
            (0..3)
                .map(|port| picked(bench, TCP4, CPORT + 100 + port))
                .collect::<Vec<_>>(),
            [c, a, b].map(Some)
        );
    });
    cases.add("overload::twos", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        let slots = [(a, 5), (b, 1), (c, 1)];
        bench.choosing(TCP4.vip(), 6, Choice::TwoDrawn, &slots);
        overload(bench, a);
        overload(bench, c);
        assert_eq!(picks(bench, TCP4, 20), [Some(b); 20]);
        overload(bench, b);
        assert_eq!(picked(bench, TCP4, CPORT + 30), None);
    });
}

fn by_load(cases: &mut Cases) {
    cases.add("overload::case 74 fo", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        let slots = [(a, 1), (b, 3), (c, 3)];
        bench.choosing(TCP4.vip(), 6, Choice::Highest, &slots);
        assert_eq!(picks(bench, TCP4, 2), [Some(b); 2]);
        overload(bench, b);
        assert_eq!(picked(bench, TCP4, CPORT + 5), Some(c));
    });
    for choice in [
        Choice::Overhead,
        Choice::Highest,
        Choice::Overflow,
        Choice::ShortestDelay,
        Choice::NeverQueue,
    ] {
        cases.add(format!("overload::{choice:?} passes over"), move |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            let slots = [(a, 9), (b, 1), (c, 9)];
            bench.choosing(TCP4.vip(), 6, choice, &slots);
            overload(bench, a);
            overload(bench, c);
            assert_eq!(picked(bench, TCP4, CPORT), Some(b));
            overload(bench, b);
            assert_eq!(picked(bench, TCP4, CPORT + 1), None);
        });
    }
}

fn by_hash(cases: &mut Cases) {
    cases.add_sized("overload::case 76 sh", crate::plane::HASHES, |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        let list = [c, b, a];
        let slots: Vec<_> = (0..BUCKETS as usize).map(|at| (list[at % 3], 1)).collect();
        bench.hashing(TCP4.vip(), Choice::SourceHash, 0, &slots);
        let before = picked(bench, TCP4, CPORT).expect("all take connections");
        overload(bench, before);
        assert_eq!(picked(bench, TCP4, CPORT + 1), None);
        bench.hashing(TCP4.vip(), Choice::SourceHash, FALLBACK, &slots);
        let after = picked(bench, TCP4, CPORT + 2).expect("others do");
        assert_ne!(after, before);
    });
    cases.add("overload::mh", |bench| {
        let [a, b, _] = servers(bench, Net::V4);
        let slots = [(a, 1), (b, 1), (a, 1), (b, 1), (a, 1)];
        bench.hashing(TCP4.vip(), Choice::Maglev, 0, &slots);
        let before = picked(bench, TCP4, CPORT).expect("all take connections");
        overload(bench, before);
        assert_eq!(picked(bench, TCP4, CPORT + 1), None);
        bench.hashing(TCP4.vip(), Choice::Maglev, FALLBACK, &slots);
        let after = picked(bench, TCP4, CPORT + 2).expect("others do");
        assert_ne!(after, before);
    });
}

fn bounds(cases: &mut Cases, flow: Flow) {
    // Four connections; one of them ends by its port being used again after its time.
    for (name, lower, still) in [("85 three quarters", 0, 3), ("86 a lower bound", 2, 2)] {
        cases.add(
            format!("overload::case {name} {}", flow.name()),
            move |bench| {
                let [a, b, _] = servers(bench, flow.net);
                bench.rotating(flow.vip(), flow.number(), &[a]);
                bench.plane.set_bounds(a, 4, lower);
                for port in 0..4 {
                    assert_eq!(bench.plane.load_of(a).overloaded(), 0, "after {port}");
                    assert_eq!(picked(bench, flow, CPORT + port), Some(a));
                }
                assert_eq!(bench.plane.load_of(a).overloaded(), 1);
                assert_eq!(picked(bench, flow, CPORT + 9), None);
                // Their clients move on to B, one by one, when their time is over.
                bench.rotating(flow.vip(), flow.number(), &[b]);
                for left in (1..4).rev() {
                    let entries = bench.plane.entries();
                    let entry = entries.iter().find(|entry| entry.server == a);
                    let entry = entry.expect("connections are left");
                    let over = now().wrapping_sub(1 + CLOCK_LAG);
                    bench.plane.set_deadline(entry, over);
                    assert_eq!(picked(bench, flow, entry.client.1), Some(b));
                    assert_eq!(bench.plane.load_of(a).total(), left);
                    let overloaded = bench.plane.load_of(a).overloaded() == 1;
                    assert_eq!(overloaded, left >= still, "with {left} connections");
                }
            },
        );
    }
    if flow.is_tcp() {
        cases.add(
            format!(
                "overload::a change of state changes nothing {}",
                flow.name()
            ),
            move |bench| {
                let [a, ..] = servers(bench, flow.net);
                bench.rotating(flow.vip(), flow.number(), &[a]);
                bench.plane.set_bounds(a, 2, 0);
                assert_eq!(picked(bench, flow, CPORT), Some(a));
                for _ in 0..3 {
                    bench.send(Side::Front, 0, &flow.later(1).bytes());
                }
                assert_eq!(bench.plane.load_of(a).overloaded(), 0);
                assert_eq!(bench.only_entry().state, State::Established as u8);
            },
        );
    }
}
