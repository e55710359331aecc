//! Fragments and IPv6 extension headers: dropped when they are for a VIP, because what belongs to
//! which connection cannot be told; passed otherwise.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, TCP4, UDP4, routed};
use crate::frame::{Body, Frame};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, UDP4] {
        cases.add(
            format!("fragment::ipv4 to a vip {}", flow.name()),
            move |bench| {
                table(bench);
                for fragment in [(true, 0), (true, 1), (true, 185), (false, 1), (false, 8191)] {
                    let frame = fragment_of(flow, fragment);
                    bench.expect(
                        Side::Front,
                        &frame,
                        Expected::Dropped(Verdict::DroppedFragment),
                    );
                }
            },
        );
        cases.add(
            format!("fragment::ipv4 elsewhere {}", flow.name()),
            move |bench| {
                table(bench);
                for fragment in [(true, 0), (true, 185), (false, 185)] {
                    let frame = fragment_of(flow, fragment)
                        .with(|frame| frame.packet.destination = Net::V4.elsewhere());
                    bench.expect(
                        Side::Front,
                        &frame,
                        Expected::Passed(Verdict::PassedFragment),
                    );
                }
            },
        );
    }
    cases.add("fragment::ipv4 too short for a transport header", |bench| {
        table(bench);
        for length in [0, 1, 8] {
            let frame = UDP4.request(1).with(|frame| {
                frame.packet.fragment = (false, 100);
                frame.packet.body = Body::Raw(17, vec![0xaa; length]);
            });
            bench.expect(
                Side::Front,
                &frame,
                Expected::Dropped(Verdict::DroppedFragment),
            );
        }
    });
    cases.add("fragment::ipv4 of an established connection", |bench| {
        let server = table(bench);
        let frame = UDP4.request(1);
        let sent = routed(&frame, server);
        bench.expect(
            Side::Front,
            &frame,
            Expected::Redirected(Verdict::ForwardedDirect, sent),
        );
        let fragment = fragment_of(UDP4, (true, 0));
        bench.expect(
            Side::Front,
            &fragment,
            Expected::Dropped(Verdict::DroppedFragment),
        );
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
        bench.expect(
            Side::Front,
            &frame,
            Expected::Passed(Verdict::PassedProtocol),
        );
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
    for flow in [
        Flow {
            net: Net::V6,
            is_tcp: true,
        },
        Flow {
            net: Net::V6,
            is_tcp: false,
        },
    ] {
        cases.add(format!("fragment::ipv6 {}", flow.name()), move |bench| {
            table(bench);
            // An atomic fragment, a first one and a later one.
            for offset_and_more in [[0, 0], [0, 1], [5, 0xc0]] {
                let [high, low] = offset_and_more;
                let header = [flow.number(), 0, high, low, 0, 0, 0, 9];
                both_ways(
                    bench,
                    flow,
                    44,
                    &header,
                    [
                        Expected::Dropped(Verdict::DroppedFragment),
                        Expected::Passed(Verdict::PassedFragment),
                    ],
                );
            }
        });
        cases.add(
            format!("fragment::ipv6 extension headers {}", flow.name()),
            move |bench| {
                table(bench);
                // Hop-by-hop options, routing, destination options.
                for extension in [0, 43, 60] {
                    let header = [flow.number(), 0, 1, 4, 0, 0, 0, 0];
                    both_ways(
                        bench,
                        flow,
                        extension,
                        &header,
                        [
                            Expected::Dropped(Verdict::DroppedExtensionHeader),
                            Expected::Passed(Verdict::PassedExtensionHeader),
                        ],
                    );
                }
            },
        );
    }
    cases.add("fragment::ipv6 headers that are not looked into", |bench| {
        table(bench);
        // ESP, AH, no next header, mobility, HIP, Shim6.
        for header in [50, 51, 59, 135, 139, 140] {
            let frame = Flow {
                net: Net::V6,
                is_tcp: true,
            }
            .request(1);
            let frame = frame.with(|frame| frame.packet.body = Body::Raw(header, vec![6; 40]));
            bench.expect(
                Side::Front,
                &frame,
                Expected::Passed(Verdict::PassedProtocol),
            );
        }
    });
    for (name, protocol) in [("fragment", 44), ("extension header", 60)] {
        cases.add(format!("fragment::ipv6 {name} cut short"), move |bench| {
            table(bench);
            // Nothing behind the fixed header is read, so its length does not matter.
            let frame = Flow {
                net: Net::V6,
                is_tcp: true,
            }
            .request(1);
            let frame = frame.with(|frame| frame.packet.body = Body::Raw(protocol, Vec::new()));
            let verdict = if protocol == 44 {
                Verdict::DroppedFragment
            } else {
                Verdict::DroppedExtensionHeader
            };
            bench.expect(Side::Front, &frame, Expected::Dropped(verdict));
        });
    }
}

fn table(bench: &mut Bench<'_>) -> u32 {
    let server = bench.server(NewServer::direct(Net::V4.server(1)));
    for flow in Flow::ALL {
        bench.rotating(flow.vip(), flow.number(), &[server]);
    }
    server
}

fn fragment_of(flow: Flow, fragment: (bool, u16)) -> Frame {
    flow.request(1).with(|frame| {
        frame.packet.do_not_fragment = false;
        frame.packet.fragment = fragment;
    })
}

/// Sends a packet with an extension header to the VIP, and elsewhere.
fn both_ways(
    bench: &mut Bench<'_>,
    flow: Flow,
    kind: u8,
    header: &[u8],
    [to_vip, to_elsewhere]: [Expected; 2],
) {
    let frame = flow.request(1);
    let transport = frame.packet.bytes()[40..].to_vec();
    let body = Body::Raw(kind, [header, &transport].concat());
    let frame = frame.with(|frame| frame.packet.body = body);
    bench.expect(Side::Front, &frame, to_vip);
    let elsewhere = frame.with(|frame| frame.packet.destination = flow.net.elsewhere());
    bench.expect(Side::Front, &elsewhere, to_elsewhere);
}
