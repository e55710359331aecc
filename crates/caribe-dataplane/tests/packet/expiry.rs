//! A connection whose time is over is no connection, swept or not: no packet may use it, and a
//! new one of the same flow takes its slot over.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Transport, natted, replied, routed};
use crate::frame::{ACK, Frame, RST};
use crate::plane::{CLOCK_LAG, now};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::TCP {
        cases.add(
            format!("expiry::a late packet starts nothing {}", flow.name()),
            move |bench| {
                let servers = direct(bench, flow);
                forwards(bench, &flow.request(1), servers[0]);
                forwards(bench, &flow.later(1), servers[0]);
                expire(bench);
                let late = flow.later(1).flags(ACK);
                bench.expect(
                    Side::Front,
                    &late,
                    Expected::Passed(Verdict::PassedNoConnection),
                );
                // Left for the sweeper, with its load.
                bench.expect_load(servers[0], 1, 0);
                assert_eq!(bench.plane.entries().len(), 1);
            },
        );
    }
    // Case 117 of IPVS's conformance list, conn_reuse_mode 1: closed by a reset, then reopened.
    for flow in Flow::TCP {
        cases.add(
            format!(
                "expiry::a port used again is scheduled anew {}",
                flow.name()
            ),
            move |bench| {
                let servers = direct(bench, flow);
                forwards(bench, &flow.request(1), servers[0]);
                // A second SYN of a connection that is opening changes nothing.
                forwards(bench, &flow.request(1), servers[0]);
                forwards(bench, &flow.later(1).flags(ACK), servers[0]);
                forwards(bench, &flow.later(1).flags(RST), servers[0]);
                bench.expect_load(servers[0], 0, 1);
                let slot = bench.only_entry().slot;
                forwards(bench, &flow.request(1), servers[1]);
                let entry = bench.only_entry();
                assert_eq!((entry.slot, entry.server), (slot, servers[1]));
                bench.expect_load(servers[0], 0, 0);
                bench.expect_load(servers[1], 1, 0);
            },
        );
    }
    for flow in Flow::ALL {
        cases.add(
            format!("expiry::a new start takes the slot over {}", flow.name()),
            move |bench| {
                let servers = direct(bench, flow);
                // The first packet of SCTP is no active connection yet.
                let active = u32::from(flow.is_tcp());
                forwards(bench, &flow.request(1), servers[0]);
                bench.expect_load(servers[0], active, 1 - active);
                let slot = bench.only_entry().slot;
                expire(bench);
                // Scheduled anew: the next server of the rotation.
                forwards(bench, &flow.request(1), servers[1]);
                let entry = bench.only_entry();
                assert_eq!((entry.slot, entry.server), (slot, servers[1]));
                bench.expect_load(servers[0], 0, 0);
                bench.expect_load(servers[1], active, 1 - active);
                assert_eq!(bench.plane.traffic_of(servers[0]).connections, 1);
                assert_eq!(bench.plane.traffic_of(servers[1]).connections, 1);
            },
        );
        cases.add(
            format!("expiry::taken over many times {}", flow.name()),
            move |bench| {
                let servers = direct(bench, flow);
                for round in 0..50 {
                    forwards(bench, &flow.request(1), servers[round % 2]);
                    expire(bench);
                }
                assert_eq!(bench.plane.entries().len(), 1);
                let load = [0, 1].map(|at| bench.plane.load_of(servers[at]));
                let sum: u32 = load
                    .iter()
                    .map(|load| load.active() + load.inactive())
                    .sum();
                assert_eq!(sum, 1, "load does not drift");
            },
        );
        cases.add(
            format!("expiry::nat replies {}", flow.name()),
            move |bench| {
                let servers = [7, 8].map(|number| (flow.net.server(number), 8080));
                let indexes =
                    servers.map(|(address, port)| bench.server(NewServer::nat(address, port)));
                bench.rotating(flow.vip(), flow.number(), &indexes);
                let replies = [0, 1].map(|at| flow.reply(indexes[at], servers[at], 1));
                let request = flow.request(1);
                let to = |at: usize| {
                    let sent = natted(&request, indexes[at], servers[at]);
                    Expected::Redirected(Verdict::ForwardedNat, sent)
                };
                let back = |at: usize| {
                    let sent = replied(&replies[at], 1, flow.vip());
                    Expected::Redirected(Verdict::ForwardedReply, sent)
                };
                bench.expect(Side::Front, &request, to(0));
                bench.expect(Side::Back, &replies[0], back(0));
                expire(bench);
                let stranger = Expected::Passed(Verdict::PassedNotOurs);
                bench.expect(Side::Back, &replies[0], stranger.clone());
                // The slot goes to the other server; the old one's replies stay strangers, though the
                // index still points to the slot.
                bench.expect(Side::Front, &request, to(1));
                bench.expect(Side::Back, &replies[1], back(1));
                bench.expect(Side::Back, &replies[0], stranger.clone());
                // And back again: the index entry of the first life serves the third.
                expire(bench);
                bench.expect(Side::Front, &request, to(0));
                bench.expect(Side::Back, &replies[0], back(0));
                bench.expect(Side::Back, &replies[1], stranger);
                // However often that happens, the index does not fill up: a word in each of the
                // two buckets of each server's replies at most.
                for round in 0..20 {
                    expire(bench);
                    bench.expect(Side::Front, &request, to((round + 1) % 2));
                }
                let words = bench.plane.reply_entries(flow.net == crate::flow::Net::V4);
                assert!((2..=4).contains(&words), "{words} words");
            },
        );
        cases.add(
            format!("expiry::a deadline in the future is kept {}", flow.name()),
            move |bench| {
                let servers = direct(bench, flow);
                forwards(bench, &flow.request(1), servers[0]);
                let entry = bench.only_entry();
                // Ten ticks are 10 ms: enough to send one packet, at the second try at last.
                let mut tries = 0;
                loop {
                    bench.plane.set_deadline(&entry, now().wrapping_add(10));
                    let deadline = now().wrapping_add(10);
                    let (verdict, _, _) = bench.send(Side::Front, 0, &flow.later(1).bytes());
                    if verdict == Verdict::ForwardedDirect {
                        break;
                    }
                    tries += 1;
                    assert!(tries < 100 && now().wrapping_sub(deadline) as i32 > 0);
                }
            },
        );
        cases.add(
            format!(
                "expiry::deadlines are stored when they moved {}",
                flow.name()
            ),
            move |bench| {
                let servers = direct(bench, flow);
                forwards(bench, &flow.request(1), servers[0]);
                forwards(bench, &flow.later(1), servers[0]);
                let entry = bench.only_entry();
                let seconds: u64 = if flow.transport == Transport::Udp {
                    300
                } else {
                    900
                };
                let timeout = (seconds * 1_000_000_000).div_ceil(1 << 20) as u32;
                // Moved by less than 64 ticks: left as it is, to spare the cache line. The clock
                // must not run away meanwhile, so there are several tries.
                let mut kept = false;
                for _ in 0..100 {
                    let start = now();
                    let deadline = start.wrapping_add(timeout).wrapping_sub(20);
                    bench.plane.set_deadline(&entry, deadline);
                    forwards(bench, &flow.later(1), servers[0]);
                    if now().wrapping_sub(start) < 40 {
                        assert_eq!(bench.only_entry().deadline, deadline);
                        kept = true;
                        break;
                    }
                }
                assert!(kept, "a packet took 42 ms, a hundred times");
                for away in [
                    64 + CLOCK_LAG,
                    1000,
                    timeout - 1000,
                    0u32.wrapping_sub(5000),
                ] {
                    let start = now();
                    bench
                        .plane
                        .set_deadline(&entry, start.wrapping_add(timeout).wrapping_sub(away));
                    forwards(bench, &flow.later(1), servers[0]);
                    let moved = bench.only_entry().deadline.wrapping_sub(start) as i32;
                    let longest = now().wrapping_sub(start).wrapping_add(timeout) as i32;
                    let shortest = timeout.wrapping_sub(CLOCK_LAG) as i32;
                    assert!(
                        (shortest..=longest).contains(&moved),
                        "{away} ticks away: moved to {moved}, not {shortest} to {longest}"
                    );
                }
            },
        );
    }
}

/// A rotation over two servers.
fn direct(bench: &mut Bench<'_>, flow: Flow) -> [u32; 2] {
    let servers = [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
    bench.rotating(flow.vip(), flow.number(), &servers);
    servers
}

fn forwards(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let sent = routed(frame, index);
    bench.expect(
        Side::Front,
        frame,
        Expected::Redirected(Verdict::ForwardedDirect, sent),
    );
}

/// Puts the deadline of the only connection into the past, for the packet path too.
fn expire(bench: &mut Bench<'_>) {
    let entry = bench.only_entry();
    bench
        .plane
        .set_deadline(&entry, now().wrapping_sub(1 + CLOCK_LAG));
}
