//! Fragments follow the first one of their packet; what has none is dropped if it is for a VIP.
//! IPv6 extension headers are walked over.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{
    Flow, Net, SCTP4, TCP4, TCP6, Transport, UDP4, UDP6, VPORT, natted, replied, routed, tunnelled,
};
use crate::frame::{Body, Frame};

/// The port of NAT servers.
const PORT: u16 = 8080;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(format!("fragment::by nat {}", flow.name()), move |bench| {
            // SCTP's checksum covers what only the last fragment tells.
            let to = (
                flow.net.server(3),
                if flow.is_sctp() { VPORT } else { PORT },
            );
            let index = bench.server(NewServer::nat(to.0, to.1));
            bench.rotating(flow.vip(), flow.number(), &[index]);
            open(bench, flow);
            let whole = large(flow.later(1));
            let sent = natted(&whole, index, to);
            goes(bench, Side::Front, &whole, &sent, Verdict::ForwardedNat);
            // And back.
            let whole = large(flow.reply(index, to, 1)).with(|frame| frame.packet.id = 9);
            let sent = replied(&whole, 1, flow.vip());
            goes(bench, Side::Back, &whole, &sent, Verdict::ForwardedReply);
            let traffic = bench.plane.traffic_of(index);
            assert_eq!((traffic.packets_in, traffic.packets_out), (4, 3));
        });
        cases.add(
            format!("fragment::by direct routing {}", flow.name()),
            move |bench| {
                let index = table(bench);
                open(bench, flow);
                let whole = large(flow.later(1));
                let sent = routed(&whole, index);
                goes(bench, Side::Front, &whole, &sent, Verdict::ForwardedDirect);
            },
        );
        cases.add(
            format!("fragment::by tunnel {}", flow.name()),
            move |bench| {
                for (outer, vport) in [(Net::V4, 80), (Net::V6, 81)] {
                    let (from, to) = (outer.tunnel_source(), outer.server(3));
                    let index = bench.server(NewServer::tunnel(to, from));
                    bench.rotating((flow.net.vip(), vport), flow.number(), &[index]);
                    let request = flow.request(1).ports(50_000, vport);
                    let (verdict, ..) = bench.send(Side::Front, 0, &request.bytes());
                    assert_eq!(verdict, Verdict::ForwardedTunnel);
                    let id = 100 + vport;
                    let whole = large(flow.later(1).ports(50_000, vport))
                        .with(|frame| frame.packet.id = id);
                    for piece in split(&whole) {
                        let sent = tunnelled(&piece, index, from, to);
                        let expected = Expected::Redirected(Verdict::ForwardedTunnel, sent);
                        bench.expect(Side::Front, &piece, expected);
                    }
                }
            },
        );
        cases.add(
            format!("fragment::before the first {}", flow.name()),
            move |bench| {
                table(bench);
                open(bench, flow);
                let pieces = split(&large(flow.later(1)));
                for piece in &pieces[1..] {
                    let dropped = Expected::Dropped(Verdict::DroppedFragment);
                    bench.expect(Side::Front, piece, dropped);
                }
                // One of another packet, or from another client, has not come before either.
                let (verdict, ..) = bench.send(Side::Front, 0, &pieces[0].bytes());
                assert_eq!(verdict, Verdict::ForwardedDirect);
                let other = large(flow.later(1)).with(|frame| frame.packet.id ^= 1);
                let stranger = large(flow.later(2));
                for whole in [other, stranger] {
                    let dropped = Expected::Dropped(Verdict::DroppedFragment);
                    bench.expect(Side::Front, &split(&whole)[1], dropped);
                }
            },
        );
        cases.add(
            format!("fragment::elsewhere {}", flow.name()),
            move |bench| {
                table(bench);
                let elsewhere = large(flow.later(1))
                    .with(|frame| frame.packet.destination = flow.net.elsewhere());
                let pieces = split(&elsewhere);
                bench.expect(
                    Side::Front,
                    &pieces[0],
                    Expected::Passed(Verdict::PassedNotOurs),
                );
                for piece in &pieces[1..] {
                    let passed = Expected::Passed(Verdict::PassedFragment);
                    bench.expect(Side::Front, piece, passed);
                }
            },
        );
        cases.add(
            format!("fragment::two that claim to be the first {}", flow.name()),
            move |bench| {
                let index = table(bench);
                open(bench, flow);
                let other = flow.request(1).ports(50_001, 80);
                let (verdict, ..) = bench.send(Side::Front, 0, &other.bytes());
                assert_eq!(verdict, Verdict::ForwardedDirect);
                let pieces = split(&large(flow.later(1)));
                let forwarded = |piece: &Frame| {
                    Expected::Redirected(Verdict::ForwardedDirect, routed(piece, index))
                };
                bench.expect(Side::Front, &pieces[0], forwarded(&pieces[0]));
                let claims = split(&large(flow.later(1).ports(50_001, 80)));
                let dropped = Expected::Dropped(Verdict::DroppedFragment);
                bench.expect(Side::Front, &claims[0], dropped);
                // The same again is the network's doing.
                bench.expect(Side::Front, &pieces[0], forwarded(&pieces[0]));
                bench.expect(Side::Front, &pieces[1], forwarded(&pieces[1]));
            },
        );
        cases.add(
            format!("fragment::opens a connection {}", flow.name()),
            move |bench| {
                let index = table(bench);
                let whole = large(flow.request(1));
                let sent = routed(&whole, index);
                goes(bench, Side::Front, &whole, &sent, Verdict::ForwardedDirect);
                assert_eq!(bench.plane.entries().len(), 1);
            },
        );
    }
    for flow in [TCP4, UDP4, SCTP4] {
        cases.add(
            format!("fragment::too small for a header {}", flow.name()),
            move |bench| {
                table(bench);
                let least = match flow.transport {
                    Transport::Tcp => 20,
                    Transport::Udp => 8,
                    Transport::Sctp => 16,
                };
                let whole = flow.later(1).packet.bytes()[20..].to_vec();
                for length in (0..least).step_by(8).filter(|length| *length < least) {
                    let piece = raw(flow.later(1), flow.number(), (true, 0), &whole[..length]);
                    let dropped = Expected::Dropped(Verdict::DroppedMalformed);
                    bench.expect(Side::Front, &piece, dropped);
                }
            },
        );
    }
    cases.add("fragment::one that would overwrite tcp's flags", |bench| {
        let index = table(bench);
        open(bench, TCP4);
        let pieces = split(&large(TCP4.later(1)));
        let sent = routed(&pieces[0], index);
        let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
        bench.expect(Side::Front, &pieces[0], expected);
        let overlap = raw(TCP4.later(1), 6, (true, 1), &[0; 16]);
        let dropped = Expected::Dropped(Verdict::DroppedMalformed);
        bench.expect(Side::Front, &overlap, dropped);
    });
    cases.add("fragment::df is no fragment", |bench| {
        let server = table(bench);
        for do_not_fragment in [true, false] {
            let frame = UDP4
                .request(1)
                .with(|frame| frame.packet.do_not_fragment = do_not_fragment);
            let sent = routed(&frame, server);
            let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
            bench.expect(Side::Front, &frame, forwarded);
        }
    });
    cases.add("fragment::ipv4 of a ping to the vip", |bench| {
        table(bench);
        let frame = UDP4.request(1).with(|frame| {
            frame.packet.fragment = (true, 0);
            frame.packet.body = Body::Icmp {
                kind: 8,
                code: 0,
                rest: [0; 4],
                payload: vec![1; 64],
            };
        });
        let passed = Expected::Passed(Verdict::PassedProtocol);
        bench.expect(Side::Front, &frame, passed);
    });
    for flow in [TCP6, UDP6] {
        let number = flow.number();
        // A fragment header on a whole packet, options of eight and of 24 bytes, a routing header
        // that has done its work, and several of them.
        let chains: [(&str, u8, Vec<u8>); 5] = [
            ("an atomic fragment", 44, vec![number, 0, 0, 0, 0, 0, 0, 9]),
            ("hop-by-hop options", 0, vec![number, 0, 1, 4, 0, 0, 0, 0]),
            (
                "destination options",
                60,
                [&[number, 2, 1, 20][..], &[0; 20]].concat(),
            ),
            (
                "a routing header",
                43,
                [&[number, 2, 4, 0][..], &[0; 20]].concat(),
            ),
            (
                "a chain",
                0,
                [
                    &[60, 0, 1, 4, 0, 0, 0, 0][..],
                    &[43, 0, 1, 4, 0, 0, 0, 0],
                    &[44, 0, 4, 0, 0, 0, 0, 0],
                    &[number, 0, 0, 0, 0, 0, 0, 7],
                ]
                .concat(),
            ),
        ];
        for (name, kind, chain) in chains {
            cases.add(format!("extension::{name} {}", flow.name()), move |bench| {
                // SCTP's checksum covers what only the last fragment tells.
                let to = (
                    flow.net.server(3),
                    if flow.is_sctp() { VPORT } else { PORT },
                );
                let index = bench.server(NewServer::nat(to.0, to.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                for whole in [flow.request(1), flow.later(1)] {
                    let sent = behind(&natted(&whole, index, to), kind, &chain);
                    let frame = behind(&whole, kind, &chain);
                    let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
                assert_eq!(bench.plane.entries().len(), 1);
                let elsewhere = behind(&flow.request(1), kind, &chain)
                    .with(|frame| frame.packet.destination = flow.net.elsewhere());
                let passed = Expected::Passed(Verdict::PassedNotOurs);
                bench.expect(Side::Front, &elsewhere, passed);
            });
        }
        cases.add(
            format!("extension::what is not followed {}", flow.name()),
            move |bench| {
                table(bench);
                let unread: [(u8, Vec<u8>); 5] = [
                    // A routing header with a segment left.
                    (43, vec![number, 0, 4, 1, 0, 0, 0, 0]),
                    // Longer than what is read, and longer than the packet.
                    (60, [&[number, 30, 1, 4][..], &[0; 244]].concat()),
                    (60, vec![number, 25, 0, 0, 0, 0, 0, 0]),
                    // Seven headers.
                    (
                        60,
                        [60, 60, 60, 60, 60, 60, number]
                            .map(|next| [next, 0, 1, 4, 0, 0, 0, 0])
                            .concat(),
                    ),
                    // Nothing behind the fixed header.
                    (44, Vec::new()),
                ];
                for (kind, chain) in unread {
                    let is_empty = chain.is_empty();
                    let frame = behind(&flow.request(1), kind, &chain).with(|frame| {
                        if is_empty {
                            frame.packet.body = Body::Raw(kind, Vec::new());
                        }
                    });
                    let dropped = Expected::Dropped(Verdict::DroppedExtensionHeader);
                    bench.expect(Side::Front, &frame, dropped);
                    let elsewhere =
                        frame.with(|frame| frame.packet.destination = flow.net.elsewhere());
                    let passed = Expected::Passed(Verdict::PassedExtensionHeader);
                    bench.expect(Side::Front, &elsewhere, passed);
                }
            },
        );
    }
    cases.add("extension::headers that are not looked into", |bench| {
        table(bench);
        // ESP, AH, no next header, mobility, HIP, Shim6; also behind options.
        for header in [50, 51, 59, 135, 139, 140] {
            let frame = TCP6
                .request(1)
                .with(|frame| frame.packet.body = Body::Raw(header, vec![6; 40]));
            let passed = || Expected::Passed(Verdict::PassedProtocol);
            bench.expect(Side::Front, &frame, passed());
            let behind = behind(&TCP6.request(1), 60, &[header, 0, 1, 4, 0, 0, 0, 0]);
            bench.expect(Side::Front, &behind, passed());
        }
    });
}

fn table(bench: &mut Bench<'_>) -> u32 {
    let server = bench.server(NewServer::direct(Net::V4.server(1)));
    for flow in Flow::ALL {
        bench.rotating(flow.vip(), flow.number(), &[server]);
    }
    server
}

fn open(bench: &mut Bench<'_>, flow: Flow) {
    let (verdict, ..) = bench.send(Side::Front, 0, &flow.request(1).bytes());
    assert!(
        verdict.name().starts_with("forwarded"),
        "{}",
        verdict.name()
    );
}

/// A packet of three fragments.
fn large(frame: Frame) -> Frame {
    frame
        .payload(2900)
        .with(|frame| frame.packet.do_not_fragment = false)
}

/// Every piece of a packet goes where the packet would go, as a piece of what it would become.
fn goes(bench: &mut Bench<'_>, side: Side, whole: &Frame, sent: &Frame, verdict: Verdict) {
    for (piece, sent) in split(whole).iter().zip(split(sent)) {
        bench.expect(side, piece, Expected::Redirected(verdict, sent));
    }
}

/// The fragments of a packet, of 1,200 bytes each.
fn split(frame: &Frame) -> Vec<Frame> {
    const SIZE: usize = 1200;
    let packet = &frame.packet;
    let payload = packet.bytes()[packet.header_length()..].to_vec();
    let protocol = match &packet.body {
        Body::Tcp(_) => 6,
        Body::Udp(_) => 17,
        Body::Sctp(_) => 132,
        other => panic!("no transport in {other:?}"),
    };
    let count = payload.len().div_ceil(SIZE);
    let pieces = payload.chunks(SIZE).enumerate();
    pieces
        .map(|(number, bytes)| {
            let (more, offset) = (number + 1 < count, (number * SIZE / 8) as u16);
            if packet.source.is_ipv4() {
                return raw(frame.clone(), protocol, (more, offset), bytes);
            }
            let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
            let [a, b] = packet.id.to_be_bytes();
            let header = [protocol, 0, high, low, 1, 2, a, b];
            frame.clone().with(|frame| {
                frame.packet.body = Body::Raw(44, [&header[..], bytes].concat());
            })
        })
        .collect()
}

/// An IPv4 fragment.
fn raw(frame: Frame, protocol: u8, fragment: (bool, u16), bytes: &[u8]) -> Frame {
    frame.with(|frame| {
        frame.packet.do_not_fragment = false;
        frame.packet.fragment = fragment;
        frame.packet.body = Body::Raw(protocol, bytes.to_vec());
    })
}

/// An IPv6 packet with extension headers before its transport header.
fn behind(frame: &Frame, kind: u8, chain: &[u8]) -> Frame {
    let transport = frame.packet.bytes()[40..].to_vec();
    let body = Body::Raw(kind, [chain, &transport].concat());
    frame.clone().with(|frame| frame.packet.body = body)
}
