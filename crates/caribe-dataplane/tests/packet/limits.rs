//! The limit of ICMP errors, the way out of an interface, and the room in front of a frame.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, TCP4, icmp_error, natted, replied, routed, tunnelled};
use crate::plane::Action;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("limit::icmp errors per second {}", flow.name()),
            move |bench| {
                let _server = direct(bench, flow, Side::Back);
                bench.rotating((flow.net.vip(), 81), flow.number(), &[]);
                let (verdict, _, _) = bench.send(Side::Front, 0, &flow.request(1).bytes());
                assert_eq!(verdict, Verdict::ForwardedDirect);
                let stimuli = [
                    (
                        flow.later(1).ttl(1),
                        Verdict::AnsweredTtl,
                        Verdict::DroppedTtl,
                    ),
                    (
                        flow.request(2).ports(50_000, 81),
                        Verdict::AnsweredNoServer,
                        Verdict::DroppedNoServer,
                    ),
                    (
                        flow.later(1).payload(1480),
                        Verdict::AnsweredTooBig,
                        Verdict::DroppedTooBig,
                    ),
                ];
                bench.plane.settings.icmp_limit = 2;
                bench.plane.write_settings();
                // All kinds share one budget: two are answered, the third is not. A window may end in
                // the midst, then it is done again.
                for first in 0..stimuli.len() {
                    let order = [0, 1, 2].map(|at| &stimuli[(first + at) % 3]);
                    let mut tries = 0;
                    loop {
                        bench.plane.forget_icmp_window();
                        let got = order.map(|(frame, _, _)| {
                            let (verdict, _, _) = bench.send(Side::Front, 0, &frame.bytes());
                            (verdict, bench.plane.icmp_window())
                        });
                        if got[0].1 == got[2].1 {
                            let verdicts = got.map(|(verdict, _)| verdict);
                            assert_eq!(verdicts, [order[0].1, order[1].1, order[2].2]);
                            break;
                        }
                        tries += 1;
                        assert!(tries < 10, "three packets took a second, ten times");
                    }
                }
            },
        );
    }
    cases.add("limit::a new window has a new budget", |bench| {
        let _server = direct(bench, TCP4, Side::Back);
        bench.plane.settings.icmp_limit = 1;
        bench.plane.write_settings();
        let spent = TCP4.request(1).ttl(1);
        for _ in 0..5 {
            // The window that was counted is over: some earlier one.
            bench.plane.forget_icmp_window();
            let answer = icmp_error(&spent, (11, 0), [0; 4]);
            let answered = Expected::Transmitted(Verdict::AnsweredTtl, answer);
            bench.expect(Side::Front, &spent, answered);
        }
    });
    cases.add("limit::no icmp at all", |bench| {
        let _server = direct(bench, TCP4, Side::Back);
        bench.plane.settings.icmp_limit = 0;
        bench.plane.write_settings();
        for _ in 0..3 {
            let spent = TCP4.request(1).ttl(1);
            bench.expect(Side::Front, &spent, Expected::Dropped(Verdict::DroppedTtl));
        }
    });
    for flow in Flow::ALL {
        cases.add(
            format!("exit::direct routing, same interface {}", flow.name()),
            move |bench| {
                let index = direct(bench, flow, Side::Front);
                let frame = flow.request(1);
                let sent = routed(&frame, index);
                let there = Expected::Transmitted(Verdict::ForwardedDirect, sent.clone());
                bench.expect(Side::Front, &frame, there);
                let elsewhere = Expected::Redirected(Verdict::ForwardedDirect, sent);
                bench.expect(Side::Back, &frame, elsewhere);
            },
        );
        cases.add(
            format!("exit::nat on one interface {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1).side(Side::Front));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = natted(&request, index, server);
                let forwarded = Expected::Transmitted(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &request, forwarded);
                let reply = flow.reply(index, server, 1);
                let sent = replied(&reply, 1, flow.vip());
                let forwarded = Expected::Transmitted(Verdict::ForwardedReply, sent);
                bench.expect(Side::Front, &reply, forwarded);
            },
        );
        for outer in Net::BOTH {
            let name = format!("{} in {}", flow.name(), outer.name());
            cases.add(
                format!("exit::tunnel, same interface {name}"),
                move |bench| {
                    let index = tunnel(bench, flow, outer, Side::Front);
                    let frame = flow.request(1);
                    let sent = tunnelled(&frame, index, outer.tunnel_source(), outer.server(3));
                    let forwarded = Expected::Transmitted(Verdict::ForwardedTunnel, sent);
                    bench.expect(Side::Front, &frame, forwarded);
                },
            );
            cases.add(
                format!("exit::no room for an outer header {name}"),
                move |bench| {
                    let index = tunnel(bench, flow, outer, Side::Back);
                    let frame = flow.request(1);
                    // The kernel keeps 40 bytes of the 256 in front of a frame to itself; metadata
                    // takes away more, in steps of 4.
                    let free = 256 - 40;
                    let needed = outer.header();
                    let fits = (free - needed) / 4 * 4;
                    let (verdict, action, output) = bench.send(Side::Front, fits, &frame.bytes());
                    assert_eq!(
                        (verdict, action),
                        (Verdict::ForwardedTunnel, Action::Redirect)
                    );
                    let sent = tunnelled(&frame, index, outer.tunnel_source(), outer.server(3));
                    assert_eq!(
                        output[output.len() - frame.bytes().len() + 14..],
                        sent.bytes()[needed + 14..]
                    );
                    let (verdict, action, _) =
                        bench.send(Side::Front, fits + 4, &flow.request(2).bytes());
                    assert_eq!(
                        (verdict, action),
                        (Verdict::DroppedNoHeadroom, Action::Drop)
                    );
                },
            );
        }
        cases.add(
            format!("exit::no room for an icmp error {}", flow.name()),
            move |bench| {
                let _server = direct(bench, flow, Side::Back);
                let needed = flow.net.header() + 8;
                let fits = (256 - 40 - needed) / 4 * 4;
                let spent = flow.request(1).ttl(1).bytes();
                let (verdict, _, _) = bench.send(Side::Front, fits, &spent);
                assert_eq!(verdict, Verdict::AnsweredTtl);
                let (verdict, action, _) = bench.send(Side::Front, fits + 4, &spent);
                assert_eq!(
                    (verdict, action),
                    (Verdict::DroppedNoHeadroom, Action::Drop)
                );
            },
        );
    }
}

fn direct(bench: &mut Bench<'_>, flow: Flow, side: Side) -> u32 {
    let index = bench.server(NewServer::direct(flow.net.server(1)).side(side));
    bench.rotating(flow.vip(), flow.number(), &[index]);
    index
}

fn tunnel(bench: &mut Bench<'_>, flow: Flow, outer: Net, side: Side) -> u32 {
    let new = NewServer::tunnel(outer.server(3), outer.tunnel_source()).side(side);
    let index = bench.server(new);
    bench.rotating(flow.vip(), flow.number(), &[index]);
    index
}
