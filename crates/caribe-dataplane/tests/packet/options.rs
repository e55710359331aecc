//! IPv4 options: balanced like any packet, by every method, and carried along.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, TCP4, UDP4, natted, replied, routed, tunnelled};
use crate::frame::Frame;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, UDP4] {
        cases.add(
            format!("options::nat, both ways {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                for length in lengths() {
                    let request = with_options(flow.request(1), length);
                    let sent = natted(&request, index, server);
                    let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &request, forwarded);
                    let reply = with_options(flow.reply(index, server, 1), length);
                    let sent = replied(&reply, 1, flow.vip());
                    let forwarded = Expected::Redirected(Verdict::ForwardedReply, sent);
                    bench.expect(Side::Back, &reply, forwarded);
                }
            },
        );
        cases.add(
            format!("options::direct routing {}", flow.name()),
            move |bench| {
                let index = direct(bench, flow);
                for length in lengths() {
                    let request = with_options(flow.request(1), length);
                    let sent = routed(&request, index);
                    let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &request, forwarded);
                }
            },
        );
        for outer in Net::BOTH {
            let name = format!("options::tunnel {} in {}", flow.name(), outer.name());
            cases.add(name, move |bench| {
                let (from, to) = (outer.tunnel_source(), outer.server(3));
                let index = bench.server(NewServer::tunnel(to, from));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                for length in lengths() {
                    let request = with_options(flow.request(1), length);
                    let sent = tunnelled(&request, index, from, to);
                    let forwarded = Expected::Redirected(Verdict::ForwardedTunnel, sent);
                    bench.expect(Side::Front, &request, forwarded);
                }
            });
        }
        cases.add(
            format!("options::no icmp answer {}", flow.name()),
            move |bench| {
                // The quote has a fixed length that options would not fit into.
                let _ = direct(bench, flow);
                for length in lengths() {
                    let spent = with_options(flow.request(1), length).ttl(1);
                    bench.expect(Side::Front, &spent, Expected::Dropped(Verdict::DroppedTtl));
                }
                bench.rotating((flow.net.vip(), 81), flow.number(), &[]);
                let refused = with_options(flow.request(1).ports(50_000, 81), 4);
                bench.expect(
                    Side::Front,
                    &refused,
                    Expected::Dropped(Verdict::DroppedNoServer),
                );
                let big = with_options(flow.later(1).payload(1480), 4);
                bench.expect(Side::Front, &flow.request(1), {
                    Expected::Redirected(Verdict::ForwardedDirect, routed(&flow.request(1), 1))
                });
                bench.expect(Side::Front, &big, Expected::Dropped(Verdict::DroppedTooBig));
            },
        );
    }
    cases.add("options::cut short", |bench| {
        let _ = direct(bench, TCP4);
        let frame = with_options(TCP4.request(1), 40).bytes();
        for length in 34..frame.len() {
            let dropped = Expected::Dropped(Verdict::DroppedMalformed);
            bench.expect_bytes(Side::Front, &frame[..length], dropped);
        }
    });
    cases.add("options::not ours", |bench| {
        let _ = direct(bench, TCP4);
        let frame = with_options(TCP4.request(1), 8).ports(50_000, 22);
        bench.expect(
            Side::Front,
            &frame,
            Expected::Passed(Verdict::PassedNotOurs),
        );
    });
}

/// Every length that options can have.
fn lengths() -> impl Iterator<Item = usize> {
    (4..=40).step_by(4)
}

/// No-operations, and the end of the list.
fn with_options(frame: Frame, length: usize) -> Frame {
    frame.with(|frame| {
        frame.packet.options = vec![1; length];
        frame.packet.options[length - 1] = 0;
    })
}

fn direct(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    let index = bench.server(NewServer::direct(flow.net.server(1)));
    bench.rotating(flow.vip(), flow.number(), &[index]);
    index
}
