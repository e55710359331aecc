//! TTL and MTU: a packet that cannot go further, and the ICMP error that says so.

use std::net::IpAddr;

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, SCTP4, TCP4, UDP4, icmp_error, natted, replied, routed, tunnelled};
use crate::frame::{Frame, v4, v6};

/// The ways to a server.
#[derive(Debug, Clone, Copy)]
enum Method {
    Nat,
    Direct,
    Tunnel4,
    Tunnel6,
}

const METHODS: [Method; 4] = [
    Method::Nat,
    Method::Direct,
    Method::Tunnel4,
    Method::Tunnel6,
];

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        for method in METHODS {
            let name = format!("{} {method:?}", flow.name());
            cases.add(
                format!("answer::case_92 ttl exceeded {name}"),
                move |bench| {
                    let way = Way::new(bench, flow, method, 1500);
                    for ttl in [0, 1] {
                        answers_ttl(bench, Side::Front, &flow.request(1).ttl(ttl));
                    }
                    way.forwards(bench, &flow.request(1).ttl(2));
                    answers_ttl(bench, Side::Front, &flow.later(1).ttl(1));
                },
            );
            cases.add(format!("answer::too big {name}"), move |bench| {
                let way = Way::new(bench, flow, method, 1500);
                way.forwards(bench, &flow.request(1));
                let room = 1500 - method.overhead();
                let rest = flow.later(1).payload(0).packet.length();
                way.forwards(bench, &flow.later(1).payload(room - rest));
                for excess in [1, 2, 200] {
                    let big = flow.later(1).payload(room - rest + excess);
                    answers_too_big(bench, &big, room);
                }
            });
        }
        cases.add(
            format!("answer::ttl of a reply {}", flow.name()),
            move |bench| {
                let way = Way::new(bench, flow, Method::Nat, 1500);
                way.forwards(bench, &flow.request(1));
                let server = (flow.net.server(7), 8080);
                answers_ttl(bench, Side::Back, &flow.reply(1, server, 1).ttl(1));
                let reply = flow.reply(1, server, 1).ttl(2);
                let sent = replied(&reply, 1, flow.vip());
                bench.expect(
                    Side::Back,
                    &reply,
                    Expected::Redirected(Verdict::ForwardedReply, sent),
                );
            },
        );
        cases.add(
            format!("answer::the mtu of the way {}", flow.name()),
            move |bench| {
                for (at, mtu) in [576u16, 1280, 1400, 1499].into_iter().enumerate() {
                    let index = bench.server(NewServer::direct(flow.net.server(1)).mtu(mtu));
                    let port = 2000 + at as u16;
                    bench.rotating((flow.net.vip(), port), flow.number(), &[index]);
                    let start = flow.request(1).ports(50_000, port);
                    let forwarded =
                        Expected::Redirected(Verdict::ForwardedDirect, routed(&start, index));
                    bench.expect(Side::Front, &start, forwarded);
                    let rest = flow.later(1).payload(0).packet.length();
                    let big = flow.later(1).payload(1500 - rest).ports(50_000, port);
                    answers_too_big(bench, &big, usize::from(mtu));
                }
            },
        );
        cases.add(
            format!("answer::to no single host {}", flow.name()),
            move |bench| {
                let _way = Way::new(bench, flow, Method::Direct, 1500);
                bench.rotating((flow.net.vip(), 81), flow.number(), &[]);
                for source in no_single_hosts(flow.net) {
                    let from = |frame: Frame| frame.with(|frame| frame.packet.source = source);
                    let spent = from(flow.request(1)).ttl(1);
                    bench.expect(Side::Front, &spent, Expected::Dropped(Verdict::DroppedTtl));
                    let refused = from(flow.request(1)).ports(50_000, 81);
                    bench.expect(
                        Side::Front,
                        &refused,
                        Expected::Dropped(Verdict::DroppedNoServer),
                    );
                    let big = from(flow.request(1)).payload(1480);
                    bench.expect(Side::Front, &big, Expected::Dropped(Verdict::DroppedTooBig));
                }
            },
        );
    }
    for flow in [TCP4, UDP4, SCTP4] {
        for method in METHODS {
            let name = format!("{} {method:?}", flow.name());
            cases.add(
                format!("answer::too big without df is dropped {name}"),
                move |bench| {
                    // The kernel would fragment it; a program cannot, and counts it.
                    let way = Way::new(bench, flow, method, 1400);
                    way.forwards(bench, &flow.request(1));
                    let big = flow.later(1).payload(1400);
                    let big = big.with(|frame| frame.packet.do_not_fragment = false);
                    bench.expect(Side::Front, &big, Expected::Dropped(Verdict::DroppedTooBig));
                },
            );
        }
        cases.add(
            format!("answer::ttl without df is answered {}", flow.name()),
            move |bench| {
                let _way = Way::new(bench, flow, Method::Direct, 1500);
                let frame = flow.request(1).ttl(1).with(|frame| {
                    frame.packet.do_not_fragment = false;
                    frame.packet.id = 0xbeef;
                    frame.packet.service = 0xff;
                });
                answers_ttl(bench, Side::Front, &frame);
            },
        );
    }
    for flow in Flow::ALL {
        cases.add(
            format!("answer::ttl comes before mtu {}", flow.name()),
            move |bench| {
                let _way = Way::new(bench, flow, Method::Nat, 1000);
                answers_ttl(bench, Side::Front, &flow.request(1).payload(1200).ttl(1));
            },
        );
        cases.add(
            format!("answer::the quote is what came in {}", flow.name()),
            move |bench| {
                // Not what NAT would have made of it; a wrong checksum included.
                let _way = Way::new(bench, flow, Method::Nat, 1500);
                let frame = flow.request(1).ttl(1).with(|frame| {
                    frame.packet.label = 0xf_0f0f;
                    frame.packet.service = 0x55;
                    frame.padding = vec![0; 9];
                });
                answers_ttl(bench, Side::Front, &frame);
            },
        );
    }
}

impl Method {
    const fn overhead(self) -> usize {
        match self {
            Method::Nat | Method::Direct => 0,
            Method::Tunnel4 => 20,
            Method::Tunnel6 => 40,
        }
    }
}

/// A service on one server.
struct Way {
    flow: Flow,
    method: Method,
    index: u32,
}

impl Way {
    fn new(bench: &mut Bench<'_>, flow: Flow, method: Method, mtu: u16) -> Way {
        let server = match method {
            Method::Nat => NewServer::nat(flow.net.server(7), 8080),
            Method::Direct => NewServer::direct(flow.net.server(7)),
            Method::Tunnel4 => NewServer::tunnel(Net::V4.server(7), Net::V4.tunnel_source()),
            Method::Tunnel6 => NewServer::tunnel(Net::V6.server(7), Net::V6.tunnel_source()),
        };
        let index = bench.server(server.mtu(mtu));
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Way {
            flow,
            method,
            index,
        }
    }

    fn forwards(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let tunnel = |net: Net| {
            let sent = tunnelled(frame, self.index, net.tunnel_source(), net.server(7));
            (Verdict::ForwardedTunnel, sent)
        };
        let (verdict, sent) = match self.method {
            Method::Nat => {
                let server = (self.flow.net.server(7), 8080);
                (Verdict::ForwardedNat, natted(frame, self.index, server))
            }
            Method::Direct => (Verdict::ForwardedDirect, routed(frame, self.index)),
            Method::Tunnel4 => tunnel(Net::V4),
            Method::Tunnel6 => tunnel(Net::V6),
        };
        bench.expect(Side::Front, frame, Expected::Redirected(verdict, sent));
    }
}

fn answers_ttl(bench: &mut Bench<'_>, side: Side, frame: &Frame) {
    let error = if frame.packet.source.is_ipv4() {
        (11, 0)
    } else {
        (3, 0)
    };
    let answer = icmp_error(frame, error, [0; 4]);
    bench.expect(
        side,
        frame,
        Expected::Transmitted(Verdict::AnsweredTtl, answer),
    );
}

fn answers_too_big(bench: &mut Bench<'_>, frame: &Frame, mtu: usize) {
    let [high, low] = u16::try_from(mtu).expect("an MTU").to_be_bytes();
    let error = if frame.packet.source.is_ipv4() {
        (3, 4)
    } else {
        (2, 0)
    };
    let answer = icmp_error(frame, error, [0, 0, high, low]);
    bench.expect(
        Side::Front,
        frame,
        Expected::Transmitted(Verdict::AnsweredTooBig, answer),
    );
}

/// Source addresses to which no error may be sent (RFC 1122, 3.2.2; RFC 4443, 2.4).
fn no_single_hosts(net: Net) -> Vec<IpAddr> {
    match net {
        Net::V4 => [
            "0.0.0.0",
            "0.1.2.3",
            "127.0.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
        ]
        .map(v4)
        .to_vec(),
        Net::V6 => ["::", "ff02::1", "ff0e::1234"].map(v6).to_vec(),
    }
}
