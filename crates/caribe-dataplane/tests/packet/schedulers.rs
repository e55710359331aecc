//! Which server a new connection goes to: runs that are gone through, and the least loaded.

use std::net::IpAddr;

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, TCP4, TCP6, UDP4, VPORT};
use crate::frame::{ACK, FIN};
use crate::plane::{Plane, Sizes};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(format!("schedule::rr {}", flow.name()), move |bench| {
            let [a, b, c] = servers(bench, flow.net);
            bench.rotating(flow.vip(), flow.number(), &[c, b, a]);
            assert_eq!(picks(bench, flow, VPORT, 7), [c, b, a, c, b, a, c]);
        });
        cases.add(
            format!("schedule::wrr with weights 4 3 2 {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                let run = [a, a, b, a, b, c, a, b, c];
                bench.rotating(flow.vip(), flow.number(), &run);
                assert_eq!(picks(bench, flow, VPORT, 18), [run, run].concat());
            },
        );
        cases.add(
            format!("schedule::wlc with weights 1 3 {}", flow.name()),
            move |bench| {
                let [a, b, _] = servers(bench, flow.net);
                bench.least(flow.vip(), flow.number(), &[(a, 1), (b, 3)]);
                assert_eq!(picks(bench, flow, VPORT, 8), [a, b, b, b, a, b, b, b]);
            },
        );
    }
    cases.add("schedule::wrr with weights 4 2", |bench| {
        let [a, b, _] = servers(bench, Net::V4);
        bench.rotating(TCP4.vip(), 6, &[a, a, b]);
        assert_eq!(picks(bench, TCP4, VPORT, 6), [a, a, b, a, a, b]);
    });
    cases.add(
        "schedule::slots before the cycle are gone through once",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            bench.rotating_from(TCP4.vip(), 6, &[a, a, c, b, c], 3);
            assert_eq!(picks(bench, TCP4, VPORT, 9), [a, a, c, b, c, b, c, b, c]);
            bench.rotating_from((Net::V4.vip(), 81), 6, &[a, b, c], 2);
            assert_eq!(picks(bench, TCP4, 81, 6), [a, b, c, c, c, c]);
        },
    );
    cases.add("schedule::a cursor that is far along", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        for (at, picked) in [(3_u64, a), (4, b), (u64::from(u32::MAX), a), (1 << 32, b)] {
            let port = 100 + at as u16 % 50;
            let cursor = bench.rotating((Net::V4.vip(), port), 6, &[a, b, c]);
            bench.plane.set_picks(cursor, at);
            assert_eq!(picks(bench, TCP4, port, 1), [picked], "pick {at}");
            assert_eq!(bench.plane.picks(cursor), at + 1);
        }
    });
    cases.add("schedule::services rotate on their own", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        bench.rotating(TCP4.vip(), 6, &[a, b]);
        bench.rotating((Net::V4.vip(), 81), 6, &[b, c]);
        bench.rotating(UDP4.vip(), 17, &[c, a]);
        for _ in 0..3 {
            assert_eq!(picks(bench, TCP4, 80, 1), [a]);
            assert_eq!(picks(bench, TCP4, 81, 1), [b]);
            assert_eq!(picks(bench, UDP4, 80, 1), [c]);
            assert_eq!(picks(bench, TCP4, 81, 1), [c]);
            assert_eq!(picks(bench, TCP4, 80, 1), [b]);
            assert_eq!(picks(bench, UDP4, 80, 1), [a]);
        }
    });
    cases.add(
        "schedule::only a new connection asks the scheduler",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            let cursor = bench.rotating(TCP4.vip(), 6, &[a, b, c]);
            let (verdict, _, _) = bench.send(Side::Front, 0, &TCP4.request(1).bytes());
            assert_eq!(verdict, Verdict::ForwardedDirect);
            for flags in [crate::frame::SYN, ACK, FIN | ACK] {
                bench.send(Side::Front, 0, &TCP4.request(1).flags(flags).bytes());
            }
            bench.send(Side::Front, 0, &TCP4.request(2).flags(ACK).bytes());
            bench.send(Side::Front, 0, &TCP4.request(2).ports(20, 80).bytes());
            assert_eq!(bench.plane.picks(cursor), 1);
        },
    );
    cases.add(
        "schedule::lc takes the least, the first of equals",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            bench.least(TCP4.vip(), 6, &[(a, 1), (b, 1), (c, 1)]);
            // An active connection weighs as much as 256 inactive ones.
            for (loads, picked) in [
                ([(1, 0), (0, 255), (0, 256)], b),
                ([(1, 0), (0, 257), (0, 256)], a),
                ([(0, 256), (1, 0), (1, 0)], a),
                ([(1, 1), (1, 0), (1, 0)], b),
                ([(5, 0), (5, 0), (4, 255)], c),
                ([(5, 0), (5, 0), (4, 256)], a),
                ([(0, 0), (0, 0), (0, 0)], a),
                ([(9, 0), (0, 0), (0, 0)], b),
                ([(1_000_000, 0), (1_000_000, 1), (999_999, 300)], a),
            ] {
                for (server, (active, inactive)) in [a, b, c].into_iter().zip(loads) {
                    bench.plane.set_load(server, active, inactive);
                }
                assert_eq!(picks(bench, TCP4, VPORT, 1), [picked], "loads {loads:?}");
            }
        },
    );
    cases.add("schedule::wlc compares across weights", |bench| {
        let [a, b, c] = servers(bench, Net::V6);
        for (at, (members, picked)) in [
            // (active, inactive, weight) of each server.
            ([(10, 0, 10), (2, 0, 1), (3, 0, 1)], a),
            ([(10, 0, 5), (1, 0, 1), (3, 0, 1)], b),
            ([(4, 0, 2), (2, 0, 1), (6, 0, 3)], a),
            ([(4, 0, 2), (2, 0, 1), (6, 0, 4)], c),
            ([(0, 300, 1), (1, 0, 1), (9, 0, 1)], b),
            ([(100, 0, 65_535), (0, 1, 1), (1, 0, 65_535)], c),
            ([(1, 0, i32::MAX), (1, 0, i32::MAX - 1), (1, 0, 1)], a),
            ([(1, 0, i32::MAX - 1), (1, 0, i32::MAX), (1, 0, 1)], b),
        ]
        .into_iter()
        .enumerate()
        {
            let port = 300 + at as u16;
            let weighted: Vec<_> = [a, b, c]
                .into_iter()
                .zip(members)
                .map(|(server, (_, _, weight))| (server, weight as u32))
                .collect();
            bench.least((Net::V6.vip(), port), 6, &weighted);
            for (server, (active, inactive, _)) in [a, b, c].into_iter().zip(members) {
                bench.plane.set_load(server, active, inactive);
            }
            assert_eq!(picks(bench, TCP6, port, 1), [picked], "{members:?}");
        }
    });
    cases.add("schedule::least of one", |bench| {
        let [a, _, _] = servers(bench, Net::V4);
        bench.least(TCP4.vip(), 6, &[(a, 7)]);
        assert_eq!(picks(bench, TCP4, VPORT, 4), [a; 4]);
    });
    cases.add("schedule::one client's connections spread too", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        bench.rotating(TCP4.vip(), 6, &[a, b, c]);
        for (port, server) in [(50_000, a), (50_001, b), (1, c), (65_535, a)] {
            let frame = TCP4.request(1).ports(port, 80);
            bench.send(Side::Front, 0, &frame.bytes());
            let entries = bench.plane.entries();
            let entry = entries
                .iter()
                .find(|entry| entry.client.1 == port)
                .expect("entered");
            assert_eq!(entry.server, server);
        }
    });
    let sent = cases.sender();
    cases.add_alone("schedule::least looks at 1024 servers", move || {
        let mut plane = Plane::load(Sizes {
            buckets: 8,
            servers: 1100,
            slots: 1100,
        });
        let mut bench = Bench::new("least looks at 1024 servers".to_owned(), &mut plane, sent);
        let all: Vec<_> = (0..1024)
            .map(|_| (bench.server(NewServer::direct(Net::V4.server(1))), 1))
            .collect();
        bench.least(TCP4.vip(), 6, &all);
        for (server, _) in &all {
            bench.plane.set_load(*server, 5, 0);
        }
        for at in [1023, 0, 511] {
            bench.plane.set_load(all[at].0, 4, 0);
            assert_eq!(picks(&mut bench, TCP4, VPORT, 1), [all[at].0]);
        }
        bench.finish();
        Ok(())
    });
}

/// Three servers by direct routing.
pub(crate) fn servers(bench: &mut Bench<'_>, net: Net) -> [u32; 3] {
    [1, 2, 3].map(|number| bench.server(NewServer::direct(net.server(number))))
}

/// Opens connections from ports never used before; returns the servers that they went to, as
/// their frames tell.
pub(crate) fn picks(bench: &mut Bench<'_>, flow: Flow, vport: u16, count: usize) -> Vec<u32> {
    let vip: IpAddr = flow.net.vip();
    (0..count)
        .map(|_| {
            let cport = CPORT + bench.packets() as u16;
            let frame = flow.request(1).ports(cport, vport);
            assert_eq!(frame.packet.destination, vip);
            let (verdict, _, output) = bench.send(Side::Front, 0, &frame.bytes());
            assert_eq!(verdict, Verdict::ForwardedDirect);
            u32::from_be_bytes([output[2], output[3], output[4], output[5]])
        })
        .collect()
}
