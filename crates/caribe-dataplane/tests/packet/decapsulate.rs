//! The program for real servers: it unwraps what is for a VIP and leaves everything else alone.

use crate::bench::{Bench, Cases, NewServer, Side};
use crate::fields::compare;
use crate::flow::{FRONT_MAC, Flow, Net, TCP4, TCP6, Transport, UDP4, routed, tunnelled};
use crate::frame::{Body, Frame, Packet};
use crate::plane::Action;

pub(crate) fn cases(cases: &mut Cases) {
    for outer in Net::BOTH {
        for flow in Flow::ALL {
            let name = format!("{} in {}", flow.name(), outer.name());
            cases.add(format!("decapsulate::unwraps {name}"), move |bench| {
                bench.plane.add_decapsulate_vip(flow.net.vip());
                for request in [flow.request(1), flow.later(1).payload(1300)] {
                    unwraps(bench, &wrapped(&request, outer));
                }
                let padded = flow.request(1).with(|frame| frame.padding = vec![0; 17]);
                unwraps(bench, &wrapped(&padded, outer));
                assert_eq!(bench.plane.decapsulated(), [3, 0, 0]);
            });
            cases.add(
                format!("decapsulate::undoes what the director does {name}"),
                move |bench| {
                    let (from, to) = (outer.tunnel_source(), outer.server(3));
                    let index = bench.server(NewServer::tunnel(to, from));
                    bench.rotating(flow.vip(), flow.number(), &[index]);
                    bench.plane.add_decapsulate_vip(flow.net.vip());
                    let request = flow.request(1);
                    let (_, _, tunnelled) = bench.send(Side::Front, 0, &request.bytes());
                    let (action, output) = bench.decapsulate(&tunnelled);
                    assert_eq!(action, Action::Pass);
                    same(&routed(&request, index).bytes(), &output);
                },
            );
            cases.add(
                format!("decapsulate::refuses another destination {name}"),
                move |bench| {
                    bench.plane.add_decapsulate_vip(flow.net.elsewhere());
                    // Even an address that begins or ends alike.
                    let mut alike = crate::frame::mapped(flow.net.vip());
                    alike[0] ^= 1;
                    bench
                        .plane
                        .add_decapsulate_vip(std::net::Ipv6Addr::from(alike).into());
                    untouched(bench, &wrapped(&flow.request(1), outer).bytes());
                    assert_eq!(bench.plane.decapsulated(), [0, 0, 1]);
                },
            );
        }
        cases.add(
            format!("decapsulate::one layer of two {}", outer.name()),
            move |bench| {
                bench.plane.add_decapsulate_vip(Net::V4.vip());
                // A tunnel in a tunnel, both to VIPs: the inner one is left for another look.
                let inner = wrapped(&TCP4.request(1), Net::V4)
                    .with(|frame| frame.packet.destination = Net::V4.vip());
                unwraps(bench, &wrapped(&inner, outer));
                // The inner destination of the first layer counts, not that of the second.
                let astray = wrapped(&TCP4.request(1), Net::V4);
                untouched(bench, &wrapped(&astray, outer).bytes());
                assert_eq!(bench.plane.decapsulated(), [1, 0, 1]);
            },
        );
        cases.add(
            format!("decapsulate::cut anywhere in {}", outer.name()),
            move |bench| {
                bench.plane.add_decapsulate_vip(Net::V4.vip());
                bench.plane.add_decapsulate_vip(Net::V6.vip());
                for flow in [TCP4, TCP6] {
                    let frame = wrapped(&flow.request(1), outer).bytes();
                    for length in 14..14 + outer.header() + flow.net.header() {
                        untouched(bench, &frame[..length]);
                    }
                }
                let [unwrapped, _, refused] = bench.plane.decapsulated();
                assert_eq!((unwrapped, refused), (0, 0));
            },
        );
        cases.add(
            format!("decapsulate::any mac address and service {}", outer.name()),
            move |bench| {
                bench.plane.add_decapsulate_vip(Net::V4.vip());
                for service in [0, 0x2e, 0xfd] {
                    let frame = wrapped(&UDP4.request(1), outer).with(|frame| {
                        frame.packet.service = service;
                        frame.packet.ttl = 1;
                        frame.destination = [0xff; 6];
                    });
                    unwraps(bench, &frame);
                }
            },
        );
    }
    cases.add("decapsulate::leaves what is no tunnel", |bench| {
        bench.plane.add_decapsulate_vip(Net::V4.vip());
        bench.plane.add_decapsulate_vip(Net::V6.vip());
        let mut count = 0;
        let mut passes = |bench: &mut Bench<'_>, frame: &[u8]| {
            untouched(bench, frame);
            count += 1;
            assert_eq!(bench.plane.decapsulated(), [0, count, 0]);
        };
        for flow in Flow::ALL {
            passes(bench, &flow.request(1).bytes());
        }
        let echo = Body::Icmp {
            kind: 8,
            code: 0,
            rest: [0; 4],
            payload: vec![3; 40],
        };
        passes(
            bench,
            &TCP4
                .request(1)
                .with(|frame| frame.packet.body = echo)
                .bytes(),
        );
        // GRE with a version or fields that nobody has, ESP, and an IPv6 extension header before
        // the tunnel.
        for protocol in [47, 50, 60] {
            for net in Net::BOTH {
                let body = Body::Raw(protocol, vec![0x45; 60]);
                let frame = Flow {
                    net,
                    transport: Transport::Tcp,
                }
                .request(1);
                passes(bench, &frame.with(|frame| frame.packet.body = body).bytes());
            }
        }
        let arp = [&[0xff; 6][..], &FRONT_MAC, &[0x08, 0x06], &[0; 28]].concat();
        passes(bench, &arp);
        let plain = wrapped(&TCP4.request(1), Net::V4).bytes();
        passes(
            bench,
            &[&plain[..12], &[0x81, 0x00, 0x00, 0x05], &plain[12..]].concat(),
        );
    });
    cases.add(
        "decapsulate::leaves outer options and fragments to the stack",
        |bench| {
            bench.plane.add_decapsulate_vip(Net::V4.vip());
            let plain = wrapped(&TCP4.request(1), Net::V4);
            untouched(
                bench,
                &plain
                    .clone()
                    .with(|frame| frame.packet.options = vec![1; 4])
                    .bytes(),
            );
            for fragment in [(true, 0), (true, 9), (false, 9)] {
                let fragment = plain.clone().with(|frame| {
                    frame.packet.do_not_fragment = false;
                    frame.packet.fragment = fragment;
                });
                untouched(bench, &fragment.bytes());
            }
            assert_eq!(bench.plane.decapsulated(), [0, 4, 0]);
            unwraps(bench, &plain);
        },
    );
    cases.add(
        "decapsulate::is not mistaken about the family inside",
        |bench| {
            // Protocol 4 is IPv4 and 41 is IPv6, whatever the addresses in it would say.
            bench.plane.add_decapsulate_vip(Net::V6.vip());
            let frame = wrapped(&TCP6.request(1), Net::V4);
            let packet = match &frame.packet.body {
                Body::Inner(inner) => inner.bytes(),
                other => panic!("no tunnel: {other:?}"),
            };
            let lying = frame.with(|frame| frame.packet.body = Body::Raw(4, packet));
            untouched(bench, &lying.bytes());
            assert_eq!(bench.plane.decapsulated(), [0, 0, 1]);
        },
    );
}

/// A client's frame as a director somewhere tunnels it to this server.
fn wrapped(frame: &Frame, outer: Net) -> Frame {
    tunnelled(frame, 5, outer.tunnel_source(), outer.server(3))
}

/// The frame loses its outer header and nothing else.
fn unwraps(bench: &mut Bench<'_>, frame: &Frame) {
    let inner: &Packet = match &frame.packet.body {
        Body::Inner(inner) => inner,
        other => panic!("no tunnel: {other:?}"),
    };
    let wanted = Frame {
        packet: inner.clone(),
        ..frame.clone()
    };
    let before = bench.plane.decapsulated();
    let (action, output) = bench.decapsulate(&frame.bytes());
    assert_eq!(action, Action::Pass);
    same(&wanted.bytes(), &output);
    let [unwrapped, passed, refused] = before;
    assert_eq!(bench.plane.decapsulated(), [unwrapped + 1, passed, refused]);
}

/// The frame goes up the stack as it is.
fn untouched(bench: &mut Bench<'_>, frame: &[u8]) {
    let before: u64 = bench.plane.decapsulated().iter().sum();
    let (action, output) = bench.decapsulate(frame);
    assert_eq!(action, Action::Pass);
    same(frame, &output);
    let after: u64 = bench.plane.decapsulated().iter().sum();
    assert_eq!(after, before + 1, "counted once");
}

fn same(wanted: &[u8], output: &[u8]) {
    assert!(
        wanted == output,
        "decapsulated wrongly\n{}",
        compare(wanted, output)
    );
}
