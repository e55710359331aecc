//! A connection is found by its whole key: that hashes collide must not lead a packet astray.
//!
//! Real collisions are too rare to wait for, so these cases make them: they write the tag of
//! another flow where a connection lies.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, VPORT, natted, replied, routed};
use crate::frame::Frame;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("collision::of replies {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = natted(&request, index, server);
                bench.expect(
                    Side::Front,
                    &request,
                    Expected::Redirected(Verdict::ForwardedNat, sent),
                );
                let slot = bench.only_entry().slot;
                let reply = flow.reply(index, server, 1);
                let other = Flow {
                    transport: flow.other(),
                    ..flow
                };
                for look_alike in [
                    reply
                        .clone()
                        .with(|frame| frame.packet.source = flow.net.server(8)),
                    reply
                        .clone()
                        .with(|frame| frame.packet.destination = flow.net.client(2)),
                    reply.clone().ports(8081, CPORT),
                    reply.clone().ports(8080, CPORT + 1),
                    other.reply(index, server, 1),
                ] {
                    bench.plane.expect_replies_from(look_alike.packet.source);
                    bench.plane.collide_reply(&look_alike.packet, slot);
                    bench.expect(
                        Side::Back,
                        &look_alike,
                        Expected::Passed(Verdict::PassedNotOurs),
                    );
                }
                let sent = replied(&reply, 1, flow.vip());
                bench.expect(
                    Side::Back,
                    &reply,
                    Expected::Redirected(Verdict::ForwardedReply, sent),
                );
            },
        );
        cases.add(
            format!("collision::with no nat connection {}", flow.name()),
            move |bench| {
                let index = direct(bench, flow);
                forwards(bench, &flow.request(1), index);
                let slot = bench.only_entry().slot;
                let reply = flow.reply(index, (flow.net.server(1), VPORT), 1);
                bench.plane.expect_replies_from(flow.net.server(1));
                bench.plane.collide_reply(&reply.packet, slot);
                bench.expect(Side::Back, &reply, Expected::Passed(Verdict::PassedNotOurs));
            },
        );
        cases.add(
            format!("collision::of requests {}", flow.name()),
            move |bench| {
                // One bucket, so that every flow looks at the same tags.
                bench.plane.settings.buckets4 = 1;
                bench.plane.settings.buckets6 = 1;
                bench.plane.write_settings();
                let index = direct(bench, flow);
                let elsewhere = (flow.net.elsewhere(), VPORT);
                bench.rotating(elsewhere, flow.number(), &[index]);
                bench.rotating((flow.net.vip(), 81), flow.number(), &[index]);
                let request = flow.request(1);
                forwards(bench, &request, index);
                let first = bench.only_entry();
                let look_alikes = [
                    request
                        .clone()
                        .with(|frame| frame.packet.source = flow.net.client(2)),
                    request
                        .clone()
                        .with(|frame| frame.packet.destination = flow.net.elsewhere()),
                    request.clone().ports(CPORT + 1, VPORT),
                    request.clone().ports(CPORT, 81),
                ];
                for (at, look_alike) in look_alikes.into_iter().enumerate() {
                    bench.plane.collide_request(&look_alike.packet, first.slot);
                    if let Some(stray) = flow.stray(1) {
                        let (source, destination) = look_alike.packet.ports();
                        let stray = stray.ports(source, destination).with(|frame| {
                            frame.packet.source = look_alike.packet.source;
                            frame.packet.destination = look_alike.packet.destination;
                        });
                        let passed = Expected::Passed(Verdict::PassedNoConnection);
                        bench.expect(Side::Front, &stray, passed);
                    } else {
                        // A connection of its own.
                        forwards(bench, &look_alike, index);
                        assert_eq!(bench.plane.entries().len(), 2 + at);
                    }
                    assert_eq!(bench.plane.look_again(&first), first);
                }
                let other = Flow {
                    transport: flow.other(),
                    ..flow
                }
                .request(1);
                bench.plane.collide_request(&other.packet, first.slot);
                bench.expect(
                    Side::Front,
                    &other,
                    Expected::Passed(Verdict::PassedNotOurs),
                );
            },
        );
    }
}

fn direct(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    let index = bench.server(NewServer::direct(flow.net.server(1)));
    bench.rotating(flow.vip(), flow.number(), &[index]);
    index
}

fn forwards(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let sent = routed(frame, index);
    bench.expect(
        Side::Front,
        frame,
        Expected::Redirected(Verdict::ForwardedDirect, sent),
    );
}
