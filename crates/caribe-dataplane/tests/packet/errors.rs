//! ICMP errors reach the end that they concern: cases 100 to 103 of IPVS's list, in both families
//! and for every forwarding method, and errors about tunnels of every kind.

use std::net::IpAddr;

use caribe_packet::server::Server;
use caribe_packet::settings::SCHEDULE_ICMP;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{
    BACK_MAC, CPORT, FRONT_MAC, Flow, Net, TCP4, TCP6, Transport, UDP4, VPORT, client_mac,
    icmp_error, natted, routed, server_mac, tunnelled,
};
use crate::frame::{Body, Frame, Packet, v4, v6};
use crate::plane::{Action, now};
use crate::tunnel_wrapping::{Tunnel, WRAPPINGS, Wrapping};

/// The port of NAT servers.
const PORT: u16 = 8080;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("case_100 to a nat server {}", flow.name()),
            move |bench| {
                let index = nat(bench, flow);
                for (kind, rest) in errors(flow.net) {
                    let quoted = answer_of(flow);
                    let frame = error(flow.net, (kind, rest), &quoted, flow.net.vip(), Side::Front);
                    let to = (flow.net.server(3), PORT);
                    let sent = routed(&frame, index).with(|frame| {
                        frame.packet.destination = to.0;
                        requote(frame, flow.net, 0, to);
                    });
                    let expected = Expected::Redirected(Verdict::ForwardedError, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
        cases.add(
            format!("case_100 to a direct server {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(3)));
                open(bench, flow, index);
                for (kind, rest) in errors(flow.net) {
                    let quoted = answer_of(flow);
                    let frame = error(flow.net, (kind, rest), &quoted, flow.net.vip(), Side::Front);
                    let sent = routed(&frame, index);
                    let expected = Expected::Redirected(Verdict::ForwardedError, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
        cases.add(
            format!("case_100 to a tunnelled server {}", flow.name()),
            move |bench| {
                for (outer, vport) in [(Net::V4, VPORT), (Net::V6, VPORT + 1)] {
                    let (from, to) = (outer.tunnel_source(), outer.server(3));
                    let index = bench.server(NewServer::tunnel(to, from));
                    bench.rotating((flow.net.vip(), vport), flow.number(), &[index]);
                    let request = flow.request(1).ports(CPORT, vport);
                    let (verdict, ..) = bench.send(Side::Front, 0, &request.bytes());
                    assert_eq!(verdict, Verdict::ForwardedTunnel);
                    let mut quoted = answer_of(flow);
                    quoted.set_ports(vport, CPORT);
                    let what = errors(flow.net)[0];
                    let frame = error(flow.net, what, &quoted, flow.net.vip(), Side::Front);
                    let sent = tunnelled(&frame, index, from, to);
                    let expected = Expected::Redirected(Verdict::ForwardedError, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
        cases.add(
            format!("case_100 from a nat server {}", flow.name()),
            move |bench| {
                nat(bench, flow);
                for from in [flow.net.server(3), router(flow.net)] {
                    for (kind, rest) in errors(flow.net) {
                        let mut quoted = flow.later(1).packet;
                        quoted.destination = flow.net.server(3);
                        quoted.ttl -= 1;
                        quoted.set_ports(CPORT, PORT);
                        let client = flow.net.client(1);
                        let frame = error(flow.net, (kind, rest), &quoted, client, Side::Back)
                            .with(|frame| frame.packet.source = from);
                        let sent = frame.clone().with(|frame| {
                            frame.destination = client_mac(1);
                            frame.source = FRONT_MAC;
                            frame.packet.ttl -= 1;
                            frame.packet.source = flow.net.vip();
                            requote(frame, flow.net, 1, (flow.net.vip(), VPORT));
                        });
                        let expected = Expected::Redirected(Verdict::ForwardedReplyError, sent);
                        bench.expect(Side::Back, &frame, expected);
                    }
                }
            },
        );
        cases.add(
            format!("case_103 of no connection {}", flow.name()),
            move |bench| {
                nat(bench, flow);
                let mut other = answer_of(flow);
                other.set_ports(VPORT, CPORT + 1);
                let mut elsewhere = answer_of(flow);
                elsewhere.source = flow.net.elsewhere();
                for quoted in [other, elsewhere] {
                    let what = errors(flow.net)[0];
                    let frame = error(flow.net, what, &quoted, flow.net.vip(), Side::Front);
                    let expected = Expected::Passed(Verdict::PassedProtocol);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
        cases.add(
            format!("case_103 schedule_icmp, by nat {}", flow.name()),
            move |bench| {
                let to = (flow.net.server(3), PORT);
                let index = bench.server(NewServer::nat(to.0, to.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                schedule_icmp(bench);
                let frame = about_unknown(flow);
                let sent = routed(&frame, index).with(|frame| {
                    frame.packet.destination = to.0;
                    requote(frame, flow.net, 0, to);
                });
                scheduled(bench, flow, index, &frame, sent);
                // The client's next packet finds the connection.
                let later = flow.later(1);
                let expected =
                    Expected::Redirected(Verdict::ForwardedNat, natted(&later, index, to));
                bench.expect(Side::Front, &later, expected);
                assert_eq!(bench.plane.traffic_of(index).connections, 1);
            },
        );
        cases.add(
            format!("case_103 schedule_icmp, by direct routing {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(3)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                schedule_icmp(bench);
                let frame = about_unknown(flow);
                scheduled(bench, flow, index, &frame, routed(&frame, index));
            },
        );
        cases.add(
            format!("case_103 schedule_icmp, by tunnelling {}", flow.name()),
            move |bench| {
                let (from, to) = (Net::V4.tunnel_source(), Net::V4.server(4));
                let index = bench.server(NewServer::tunnel(to, from));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                schedule_icmp(bench);
                let frame = about_unknown(flow);
                let sent = tunnelled(&frame, index, from, to);
                scheduled(bench, flow, index, &frame, sent);
            },
        );
        cases.add(
            format!("case_103 schedule_icmp, for nobody {}", flow.name()),
            move |bench| {
                bench.rotating(flow.vip(), flow.number(), &[]);
                schedule_icmp(bench);
                let dropped = Expected::Dropped(Verdict::DroppedNoServer);
                bench.expect(Side::Front, &about_unknown(flow), dropped);
                let passed = || Expected::Passed(Verdict::PassedProtocol);
                let what = errors(flow.net)[0];
                // Of an address, and of a port, without a service.
                let mut elsewhere = answer_of(flow);
                elsewhere.source = flow.net.elsewhere();
                let mut other = answer_of(flow);
                other.set_ports(VPORT + 1, CPORT);
                for quoted in [elsewhere, other] {
                    let frame = error(flow.net, what, &quoted, flow.net.vip(), Side::Front);
                    bench.expect(Side::Front, &frame, passed());
                }
                assert_eq!(bench.plane.entries(), []);
            },
        );
        cases.add(
            format!("error::of a removed server {}", flow.name()),
            move |bench| {
                let index = nat(bench, flow);
                let line = bench.line_of(index, &NewServer::nat(flow.net.server(3), PORT));
                let gone = Server {
                    flags: line.flags & !1,
                    ..line
                };
                bench.plane.set_server(index, gone);
                let what = errors(flow.net)[0];
                let frame = error(
                    flow.net,
                    what,
                    &answer_of(flow),
                    flow.net.vip(),
                    Side::Front,
                );
                let expected = Expected::Dropped(Verdict::DroppedServerGone);
                bench.expect(Side::Front, &frame, expected);
                bench.plane.set_server(index, line);
                let expected = Expected::Dropped(Verdict::DroppedTtl);
                bench.expect(Side::Front, &frame.ttl(1), expected);
            },
        );
        cases.add(
            format!("error::cut anywhere {}", flow.name()),
            move |bench| {
                nat(bench, flow);
                let quoted = answer_of(flow);
                let (what, header) = (errors(flow.net)[0], flow.net.header());
                for length in 0..header + 8 {
                    let frame = error(flow.net, what, &quoted, flow.net.vip(), Side::Front);
                    let frame = frame.with(|frame| payload(frame).truncate(length));
                    let expected = Expected::Passed(Verdict::PassedProtocol);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
    }
    for flow in [TCP4, UDP4] {
        cases.add(
            format!("error::about a later fragment {}", flow.name()),
            move |bench| {
                nat(bench, flow);
                let mut quoted = answer_of(flow);
                quoted.do_not_fragment = false;
                quoted.fragment = (true, 100);
                let what = errors(flow.net)[0];
                let frame = error(flow.net, what, &quoted, flow.net.vip(), Side::Front);
                let expected = Expected::Passed(Verdict::PassedProtocol);
                bench.expect(Side::Front, &frame, expected);
            },
        );
    }
    for net in Net::BOTH {
        cases.add(
            format!("case_102 what is no error {}", net.name()),
            move |bench| {
                let flow = Flow {
                    net,
                    transport: Transport::Tcp,
                };
                nat(bench, flow);
                // Echo, and for IPv4 redirects and the like.
                let kinds: &[u8] = match net {
                    Net::V4 => &[0, 5, 8, 12, 13],
                    Net::V6 => &[128, 129, 133, 134, 135, 136],
                };
                for kind in kinds {
                    let what = ((*kind, 0), [0; 4]);
                    let frame = error(net, what, &answer_of(flow), net.vip(), Side::Front);
                    let expected = Expected::Passed(Verdict::PassedProtocol);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
    }
    for wrapping in WRAPPINGS {
        for outer in Net::BOTH {
            for flow in [TCP4, TCP6] {
                let name = format!("{} by {} over {}", flow.name(), wrapping.name, outer.name());
                cases.add(format!("case_101 about a tunnel {name}"), move |bench| {
                    about_a_tunnel(bench, flow, outer, wrapping);
                });
            }
        }
    }
}

/// The path MTU that a router between director and server reports.
const PATH: u16 = 1400;

fn about_a_tunnel(bench: &mut Bench<'_>, flow: Flow, outer: Net, wrapping: Wrapping) {
    let tunnel = Tunnel::new(bench, flow, outer, wrapping);
    let (_, _, wrapped) = bench.send(Side::Front, 0, &flow.request(1).bytes());
    let inner = routed(&flow.request(1), tunnel.index()).packet;
    let overhead = wrapped.len() - 14 - inner.length();
    let room = PATH - overhead as u16;
    let too_big = match outer {
        Net::V4 => (3, 4),
        Net::V6 => (2, 0),
    };
    let [high, low] = PATH.to_be_bytes();
    let about = |what, quote: &[u8]| {
        let quote = quote[14..quote.len().min(14 + 548)].to_vec();
        error_quoting(outer, what, quote, outer.tunnel_source(), Side::Back)
    };
    // What the client is told: as if the VIP had sent it, about what the director forwarded.
    let told = |(kind, code), rest| {
        let seen = Frame {
            destination: FRONT_MAC,
            source: client_mac(1),
            packet: inner.clone(),
            padding: Vec::new(),
        };
        Expected::Redirected(
            Verdict::ForwardedTunnelError,
            icmp_error(&seen, (kind, code), rest),
        )
    };
    let mtu = |room: u16| {
        let [high, low] = room.to_be_bytes();
        [0, 0, high, low]
    };
    let to_client = match flow.net {
        Net::V4 => (3, 4),
        Net::V6 => (2, 0),
    };
    // Somebody else's tunnel, or somebody's guess.
    let mut astray = wrapped.clone();
    let last = 14 + outer.header() - 1;
    astray[last] ^= 1;
    let passed = || Expected::Passed(Verdict::PassedProtocol);
    bench.expect(
        Side::Back,
        &about((too_big, [0, 0, high, low]), &astray),
        passed(),
    );
    // A quote that does not reach into the inner packet.
    let short = &wrapped[..14 + outer.header() + 8];
    bench.expect(
        Side::Back,
        &about((too_big, [0, 0, high, low]), short),
        passed(),
    );
    // Too big: exactly what is left of the path's MTU.
    let frame = about((too_big, [0, 0, high, low]), &wrapped);
    bench.expect(Side::Back, &frame, told(to_client, mtu(room)));
    // It is remembered: the next packet that is too big does not get that far.
    let empty = flow.later(1).payload(0).packet.length();
    let fits = flow.later(1).payload(usize::from(room) - empty);
    let (verdict, ..) = bench.send(Side::Front, 0, &fits.bytes());
    assert_eq!(verdict, Verdict::ForwardedTunnel);
    let long = flow.later(1).payload(usize::from(room) - empty + 1);
    let answer = icmp_error(&long, to_client, mtu(room));
    let expected = Expected::Transmitted(Verdict::AnsweredTooBig, answer);
    bench.expect(Side::Front, &long, expected);
    // A larger MTU raises nothing, one that no link has is not believed.
    let frame = about((too_big, [0, 0, 0x05, 0xdc]), &wrapped);
    bench.expect(Side::Back, &frame, told(to_client, mtu(room)));
    // Other errors keep their meaning inside a family and have none across.
    let unreachable = match outer {
        Net::V4 => (3, 1),
        Net::V6 => (1, 3),
    };
    let frame = about((unreachable, [0; 4]), &wrapped);
    let expected = if flow.net == outer {
        told(unreachable, [0; 4])
    } else {
        Expected::Dropped(Verdict::DroppedTunnelError)
    };
    bench.expect(Side::Back, &frame, expected);
    let least = match outer {
        Net::V4 => 552,
        Net::V6 => 1280,
    };
    let room = least - overhead as u16;
    let room = if flow.net == Net::V6 {
        room.max(1280)
    } else {
        room
    };
    let frame = about((too_big, [0, 0, 0, 68]), &wrapped);
    bench.expect(Side::Back, &frame, told(to_client, mtu(room)));
    // Without DF there is nothing that the client could do better.
    if flow.net == Net::V4 {
        let request = flow
            .request(1)
            .with(|frame| frame.packet.do_not_fragment = false);
        let (_, _, wrapped) = bench.send(Side::Front, 0, &request.bytes());
        let frame = about((too_big, [0, 0, high, low]), &wrapped);
        let expected = Expected::Dropped(Verdict::DroppedTunnelError);
        bench.expect(Side::Back, &frame, expected);
    }
    // Quotes of any length are read safely.
    for length in 0..wrapped.len() - 14 {
        let frame = about((too_big, [0, 0, high, low]), &wrapped[..14 + length]);
        let (_, action, _) = bench.send(Side::Back, 0, &frame.bytes());
        assert_ne!(action, Action::Aborted);
    }
}

/// A NAT server with a connection.
fn nat(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    let index = bench.server(NewServer::nat(flow.net.server(3), PORT));
    open(bench, flow, index);
    index
}

fn open(bench: &mut Bench<'_>, flow: Flow, index: u32) {
    bench.rotating(flow.vip(), flow.number(), &[index]);
    let (_, action, _) = bench.send(Side::Front, 0, &flow.request(1).bytes());
    assert_eq!(action, Action::Redirect);
}

/// Errors about connections that are not known are scheduled.
fn schedule_icmp(bench: &mut Bench<'_>) {
    bench.plane.settings.flags = SCHEDULE_ICMP;
    bench.plane.write_settings();
}

/// An error about an answer of which no connection is known.
fn about_unknown(flow: Flow) -> Frame {
    let what = errors(flow.net)[0];
    error(
        flow.net,
        what,
        &answer_of(flow),
        flow.net.vip(),
        Side::Front,
    )
}

/// An error makes a connection that no packet has moved yet, and goes its way.
fn scheduled(bench: &mut Bench<'_>, flow: Flow, index: u32, frame: &Frame, sent: Frame) {
    let start = now();
    let expected = Expected::Redirected(Verdict::ForwardedError, sent);
    bench.expect(Side::Front, frame, expected);
    let entry = bench.only_entry();
    assert_eq!(entry.client, (flow.net.client(1), CPORT));
    assert_eq!(entry.peer, flow.vip());
    assert_eq!(entry.protocol, flow.number());
    let first = match flow.transport {
        Transport::Tcp => 0,
        Transport::Udp => 11,
        Transport::Sctp => 16,
    };
    assert_eq!(entry.state, first);
    crate::lifecycle::assert_deadline(&entry, start, 3, 0);
    bench.expect_load(index, 0, 1);
    let traffic = bench.plane.traffic_of(index);
    assert_eq!((traffic.connections, traffic.packets_in), (1, 1));
    assert_eq!(traffic.bytes_in, frame.packet.length() as u64);
}

/// A router that neither is a client nor a server.
fn router(net: Net) -> IpAddr {
    match net {
        Net::V4 => v4("192.0.2.254"),
        Net::V6 => v6("2001:db8:f::254"),
    }
}

/// Errors that are handled: type and code, and the field after the checksum.
fn errors(net: Net) -> Vec<((u8, u8), [u8; 4])> {
    match net {
        Net::V4 => vec![
            ((3, 4), [0, 0, 0x05, 0x14]),
            ((3, 1), [0; 4]),
            ((4, 0), [0; 4]),
            ((11, 0), [0; 4]),
        ],
        Net::V6 => vec![
            ((2, 0), [0, 0, 0x05, 0x14]),
            ((1, 3), [0; 4]),
            ((3, 0), [0; 4]),
            ((4, 1), [0, 0, 0, 6]),
        ],
    }
}

/// A server's packet to the client, as the client's side sees it.
fn answer_of(flow: Flow) -> Packet {
    let frame = flow.reply(1, (flow.net.vip(), VPORT), 1);
    frame.payload(200).packet
}

/// An error of a router about a packet, quoting 64 bytes after its IP header.
fn error(net: Net, what: ((u8, u8), [u8; 4]), quoted: &Packet, to: IpAddr, side: Side) -> Frame {
    let mut quote = quoted.bytes();
    quote.truncate(net.header() + 64);
    error_quoting(net, what, quote, to, side)
}

fn error_quoting(
    net: Net,
    ((kind, code), rest): ((u8, u8), [u8; 4]),
    payload: Vec<u8>,
    to: IpAddr,
    side: Side,
) -> Frame {
    let (destination, source) = match side {
        Side::Front => (FRONT_MAC, client_mac(9)),
        Side::Back => (BACK_MAC, server_mac(9)),
    };
    Frame {
        destination,
        source,
        packet: Packet::new(
            router(net),
            to,
            Body::Icmp {
                kind,
                code,
                rest,
                payload,
            },
        ),
        padding: Vec::new(),
    }
}

fn payload(frame: &mut Frame) -> &mut Vec<u8> {
    match &mut frame.packet.body {
        Body::Icmp { payload, .. } => payload,
        other => panic!("no ICMP in {other:?}"),
    }
}

/// Replaces one end of the quoted packet: its source (0) or destination (1).
fn requote(frame: &mut Frame, net: Net, end: usize, (address, port): (IpAddr, u16)) {
    let quote = payload(frame);
    let (at, header) = match net {
        Net::V4 => (12 + 4 * end, 20),
        Net::V6 => (8 + 16 * end, 40),
    };
    match address {
        IpAddr::V4(address) => {
            quote[at..at + 4].copy_from_slice(&address.octets());
            quote[10..12].fill(0);
            let checksum = etherparse::checksum::Sum16BitWords::new()
                .add_slice(&quote[..20])
                .ones_complement();
            quote[10..12].copy_from_slice(&checksum.to_ne_bytes());
        }
        IpAddr::V6(address) => quote[at..at + 16].copy_from_slice(&address.octets()),
    }
    let at = header + 2 * end;
    quote[at..at + 2].copy_from_slice(&port.to_be_bytes());
}
