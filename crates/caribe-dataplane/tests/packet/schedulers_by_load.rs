//! fo, ovf, sed, nq and twos. Vectors are numbered as those of the pure schedulers, of which some
//! are repeated here on the built program.

use caribe_packet::service::Choice;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Side};
use crate::flow::{Net, TCP4, TCP6, VPORT};
use crate::plane::{Plane, Sizes};
use crate::schedulers::{picks, servers};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, TCP6] {
        cases.add(
            format!("schedule::case 72 sed {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                bench.choosing(flow.vip(), 6, Choice::ShortestDelay, &[(a, 1), (b, 3)]);
                assert_eq!(picks(bench, flow, VPORT, 8), [b, b, a, b, b, b, a, b]);
                empty(bench, &[a, b]);
                let weighted = [(a, 1), (b, 2), (c, 3)];
                bench.choosing((flow.net.vip(), 81), 6, Choice::ShortestDelay, &weighted);
                let expected = [c, b, c, a, b, c, c, b, c, a, b, c];
                assert_eq!(picks(bench, flow, 81, 12), expected);
            },
        );
        cases.add(
            format!("schedule::case 73 nq {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                bench.choosing(flow.vip(), 6, Choice::NeverQueue, &[(a, 1), (b, 3)]);
                assert_eq!(picks(bench, flow, VPORT, 8), [a, b, b, b, b, b, a, b]);
                empty(bench, &[a, b]);
                let weighted = [(a, 1), (b, 2), (c, 3)];
                bench.choosing((flow.net.vip(), 81), 6, Choice::NeverQueue, &weighted);
                let expected = [a, b, c, c, b, c, c, b, c, a, b, c];
                assert_eq!(picks(bench, flow, 81, 12), expected);
            },
        );
        cases.add(
            format!("schedule::case 74 fo {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                let weighted = [(a, 1), (b, 3), (c, 3)];
                bench.choosing(flow.vip(), 6, Choice::Highest, &weighted);
                assert_eq!(picks(bench, flow, VPORT, 6), [b; 6]);
                // Without its first choice: thresholds are not in this program.
                bench.choosing((flow.net.vip(), 81), 6, Choice::Highest, &[(a, 1), (c, 3)]);
                assert_eq!(picks(bench, flow, 81, 3), [c; 3]);
            },
        );
        cases.add(
            format!("schedule::case 75 ovf {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                let weighted = [(a, 2), (b, 3), (c, 1)];
                bench.choosing(flow.vip(), 6, Choice::Overflow, &weighted);
                assert_eq!(picks(bench, flow, VPORT, 9), [b, b, b, b, a, a, a, c, c]);
                let frame = flow.request(1).ports(1, VPORT);
                let (verdict, _, _) = bench.send(Side::Front, 0, &frame.bytes());
                assert_eq!(verdict, Verdict::AnsweredNoServer);
                // Inactive connections do not count.
                bench.plane.set_load(a, 2, 1_000);
                assert_eq!(picks(bench, flow, VPORT, 1), [a]);
            },
        );
    }
    cases.add(
        "schedule::nq takes the first idle one, inactive connections or not",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            let weighted = [(a, i32::MAX as u32), (b, 1), (c, i32::MAX as u32)];
            bench.choosing(TCP4.vip(), 6, Choice::NeverQueue, &weighted);
            bench.plane.set_load(a, 1, 0);
            bench.plane.set_load(b, 0, 100_000);
            assert_eq!(picks(bench, TCP4, VPORT, 1), [b]);
        },
    );
    cases.add("schedule::sed with the largest weights", |bench| {
        let [a, b, _] = servers(bench, Net::V4);
        let most = i32::MAX as u32;
        bench.choosing(
            TCP4.vip(),
            6,
            Choice::ShortestDelay,
            &[(a, most - 1), (b, most)],
        );
        bench.plane.set_load(a, 33_000_000, 0);
        bench.plane.set_load(b, 33_000_000, 0);
        assert_eq!(picks(bench, TCP4, VPORT, 2), [b, a]);
    });
    cases.add("schedule::twos of one", |bench| {
        let [a, _, _] = servers(bench, Net::V4);
        bench.choosing(TCP4.vip(), 6, Choice::TwoDrawn, &[(a, 9)]);
        assert_eq!(picks(bench, TCP4, VPORT, 4), [a; 4]);
    });
    cases.add_alone("schedule::case 82 twos", || {
        // The inclusive range of the draw favours the first of the list.
        for (busy_first, share) in [(true, 5.0 / 9.0), (false, 8.0 / 9.0)] {
            let measured = share_of_idle(busy_first);
            assert!(
                (measured - share).abs() < 0.01,
                "the idle server got {measured} of the connections, not {share}"
            );
        }
        Ok(())
    });
}

/// Lets servers have no connections, though the table still holds some.
fn empty(bench: &mut Bench<'_>, servers: &[u32]) {
    for server in servers {
        bench.plane.set_load(*server, 0, 0);
    }
}

/// The share of 90,000 connections that twos gives to an idle server beside a busy one.
fn share_of_idle(busy_first: bool) -> f64 {
    const CONNECTIONS: u32 = 90_000;
    let mut plane = Plane::load(Sizes {
        buckets: 25_000,
        servers: 8,
        slots: 8,
    });
    // Not told to those who look at all frames: there are too many.
    let (sender, _receiver) = std::sync::mpsc::channel();
    let mut bench = Bench::new("82 twos".to_owned(), &mut plane, sender);
    let [busy, idle, _] = servers(&mut bench, Net::V4);
    let order = if busy_first {
        [busy, idle]
    } else {
        [idle, busy]
    };
    bench.choosing(
        TCP4.vip(),
        6,
        Choice::TwoDrawn,
        &order.map(|server| (server, 1)),
    );
    // Far more than all that come, so that the busy one stays the busier.
    bench.plane.set_load(busy, 1 << 20, 0);
    let front = bench.interface(Side::Front);
    for number in 0..CONNECTIONS {
        let frame = TCP4
            .request(1 + (number % 3) as u8)
            .ports(1_000 + (number / 3) as u16, VPORT);
        bench.plane.run("director", front, 0, &frame.bytes());
    }
    let (idle, busy) = (
        bench.plane.load_of(idle).active(),
        bench.plane.load_of(busy).active(),
    );
    assert_eq!(
        idle + busy - (1 << 20),
        CONNECTIONS,
        "every connection went to one of both"
    );
    f64::from(idle) / f64::from(CONNECTIONS)
}
