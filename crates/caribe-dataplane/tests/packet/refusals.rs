//! When a packet for a service cannot be balanced: no server, no way, no room.

use caribe_packet::server::{IN_SERVICE, REACHABLE};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, icmp_error, natted, replied, routed};
use crate::frame::{ACK, Frame};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("refuse::case_88_89 no server {}", flow.name()),
            move |bench| {
                bench.rotating(flow.vip(), flow.number(), &[]);
                let least = (flow.net.vip(), 81);
                bench.least(least, flow.number(), &[]);
                for port in [80, 81] {
                    let frame = flow.request(1).ports(CPORT, port);
                    let error = if flow.net == Net::V4 { (3, 3) } else { (1, 4) };
                    let answer = icmp_error(&frame, error, [0; 4]);
                    let answered = Expected::Transmitted(Verdict::AnsweredNoServer, answer);
                    bench.expect(Side::Front, &frame, answered);
                }
                assert_eq!(bench.plane.entries(), [], "nothing was entered");
            },
        );
        cases.add(
            format!(
                "refuse::no server, an established connection {}",
                flow.name()
            ),
            move |bench| {
                // Quiesced: the run is empty now, but who is connected goes on.
                let index = bench.server(NewServer::direct(flow.net.server(1)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                forwards(bench, &flow.request(1), index);
                bench.rotating(flow.vip(), flow.number(), &[]);
                forwards(bench, &flow.later(1), index);
                let frame = flow.request(2);
                let error = if flow.net == Net::V4 { (3, 3) } else { (1, 4) };
                let answer = icmp_error(&frame, error, [0; 4]);
                let answered = Expected::Transmitted(Verdict::AnsweredNoServer, answer);
                bench.expect(Side::Front, &frame, answered);
            },
        );
        cases.add(
            format!("refuse::next hop unknown {}", flow.name()),
            move |bench| {
                let new = NewServer::direct(flow.net.server(1));
                let index = bench.server(new);
                bench.rotating(flow.vip(), flow.number(), &[index]);
                set_flags(bench, index, &new, IN_SERVICE);
                let unreachable = Expected::Dropped(Verdict::DroppedUnreachable);
                bench.expect(Side::Front, &flow.request(1), unreachable.clone());
                assert_eq!(bench.plane.entries(), [], "nothing was entered");
                // Known: it works. Lost again: established packets are dropped, the connection stays.
                set_flags(bench, index, &new, IN_SERVICE | REACHABLE);
                forwards(bench, &flow.request(1), index);
                set_flags(bench, index, &new, IN_SERVICE);
                bench.expect(Side::Front, &flow.later(1), unreachable);
                set_flags(bench, index, &new, IN_SERVICE | REACHABLE);
                forwards(bench, &flow.later(1), index);
                assert_eq!(bench.plane.entries().len(), 1);
            },
        );
        cases.add(
            format!("refuse::server removed and added again {}", flow.name()),
            move |bench| {
                let new = NewServer::direct(flow.net.server(1));
                let index = bench.server(new);
                bench.rotating(flow.vip(), flow.number(), &[index]);
                forwards(bench, &flow.request(1), index);
                let counted = bench.plane.traffic_of(index);
                set_flags(bench, index, &new, 0);
                let gone = Expected::Dropped(Verdict::DroppedServerGone);
                bench.expect(Side::Front, &flow.later(1), gone);
                assert_eq!(
                    bench.plane.traffic_of(index),
                    counted,
                    "not counted as traffic"
                );
                set_flags(bench, index, &new, IN_SERVICE | REACHABLE);
                forwards(bench, &flow.later(1), index);
            },
        );
        cases.add(
            format!("refuse::table full {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(1)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                // One bucket is eight connections.
                bench.plane.settings.buckets4 = 1;
                bench.plane.settings.buckets6 = 1;
                bench.plane.write_settings();
                for client in 1..=8 {
                    forwards(bench, &flow.request(client), index);
                }
                let before = bench.plane.entries();
                assert_eq!(before.len(), 8);
                for client in 9..=12 {
                    let full = Expected::Dropped(Verdict::DroppedTableFull);
                    bench.expect(Side::Front, &flow.request(client), full);
                }
                assert_eq!(bench.plane.entries().len(), 8, "nothing was evicted");
                let load = bench.plane.load_of(index);
                assert_eq!(
                    load.active() + load.inactive(),
                    8,
                    "refused ones are not counted"
                );
                for client in 1..=8 {
                    forwards(bench, &flow.later(client), index);
                }
            },
        );
        cases.add(
            format!("refuse::reply index full {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                bench.plane.occupy_reply_index();
                let full = Expected::Dropped(Verdict::DroppedTableFull);
                bench.expect(Side::Front, &flow.request(1), full.clone());
                // What was begun is left to the sweeper, expired: no packet may use it.
                let entry = bench.only_entry();
                let late = crate::plane::now().wrapping_sub(entry.deadline) as i32;
                assert!(late > 0, "expired already, by {late} ticks");
                bench.expect_load(index, 0, 1);
                bench.expect(Side::Front, &flow.request(1), full);
                bench.expect_load(index, 0, 1);
            },
        );
    }
    cases.add("refuse::maps that contradict each other", |bench| {
        // No director writes them so; a slot that points beyond the servers is counted all the
        // same.
        let flow = Flow::ALL[0];
        bench.rotating(flow.vip(), flow.number(), &[9999]);
        bench.expect(
            Side::Front,
            &flow.request(1),
            Expected::Dropped(Verdict::DroppedInconsistent),
        );
    });
    for flow in Flow::TCP {
        cases.add(
            format!("refuse::no server, and no start either {}", flow.name()),
            move |bench| {
                bench.rotating(flow.vip(), flow.number(), &[]);
                let stray = flow.request(1).flags(ACK);
                let passed = Expected::Passed(Verdict::PassedNoConnection);
                bench.expect(Side::Front, &stray, passed);
            },
        );
        cases.add(
            format!("refuse::replies of a removed server {}", flow.name()),
            move |bench| {
                // As in IPVS: what the server still has to say reaches the client.
                let server = (flow.net.server(7), 8080);
                let new = NewServer::nat(server.0, server.1);
                let index = bench.server(new);
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = natted(&request, index, server);
                bench.expect(
                    Side::Front,
                    &request,
                    Expected::Redirected(Verdict::ForwardedNat, sent),
                );
                set_flags(bench, index, &new, 0);
                let reply = flow.reply(index, server, 1);
                let sent = replied(&reply, 1, flow.vip());
                bench.expect(
                    Side::Back,
                    &reply,
                    Expected::Redirected(Verdict::ForwardedReply, sent),
                );
            },
        );
    }
}

fn forwards(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let sent = routed(frame, index);
    bench.expect(
        Side::Front,
        frame,
        Expected::Redirected(Verdict::ForwardedDirect, sent),
    );
}

fn set_flags(bench: &mut Bench<'_>, index: u32, new: &NewServer, flags: u8) {
    let line = caribe_packet::server::Server {
        flags,
        ..bench.line_of(index, new)
    };
    bench.plane.set_server(index, line);
}
