//! Defences: `drop_packet`, and what happens above the flood guard.

use caribe_packet::event::Event;
use caribe_packet::policy::{PERSISTENT, Policy, REUSE};
use caribe_packet::service::Choice;
use caribe_packet::state::is_established;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, VPORT, natted, routed};
use crate::frame::Frame;
use crate::plane::IPVS;

fn goes_to(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let expected = Expected::Redirected(Verdict::ForwardedDirect, routed(frame, index));
    bench.expect(Side::Front, frame, expected);
}

/// One server by direct routing.
fn one(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    let index = bench.server(NewServer::direct(flow.net.server(1)));
    bench.rotating(flow.vip(), flow.number(), &[index]);
    index
}

/// From the next packet on, there is a flood.
fn flood(bench: &mut Bench<'_>) {
    bench.plane.settings.flood_guard = 1;
    bench.plane.write_settings();
}

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("defence::case 123 drop_packet {}", flow.name()),
            move |bench| {
                let index = one(bench, flow);
                goes_to(bench, &flow.request(200), index);
                bench.plane.settings.drop_rate = 4;
                bench.plane.write_settings();
                for client in 1..=12 {
                    if client % 4 == 0 {
                        let dropped = Expected::Dropped(Verdict::DroppedDefence);
                        bench.expect(Side::Front, &flow.request(client), dropped);
                    } else {
                        goes_to(bench, &flow.request(client), index);
                    }
                    // What is established is not concerned.
                    goes_to(bench, &flow.later(200), index);
                }
            },
        );
        cases.add(
            format!("defence::drop_packet of every packet {}", flow.name()),
            move |bench| {
                one(bench, flow);
                bench.plane.settings.drop_rate = 1;
                bench.plane.write_settings();
                for client in 1..=3 {
                    let dropped = Expected::Dropped(Verdict::DroppedDefence);
                    bench.expect(Side::Front, &flow.request(client), dropped);
                }
            },
        );
        stateless(cases, flow);
    }
    for flow in Flow::TCP {
        displacing(cases, flow);
        displacing_nat(cases, flow);
    }
}

/// Whom a hash chooses for is served without a connection.
fn stateless(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("flood::a hash serves without connections {}", flow.name()),
        move |bench| {
            let index = bench.server(NewServer::direct(flow.net.server(1)));
            let slots = [(index, 1); 5];
            bench.choosing(flow.vip(), flow.number(), Choice::Maglev, &slots);
            flood(bench);
            goes_to(bench, &flow.request(1), index);
            assert_eq!(bench.plane.entries().len(), 1, "no flood yet");
            for client in 2..=20 {
                goes_to(bench, &flow.request(client), index);
            }
            assert_eq!(bench.plane.entries().len(), 1);
            assert_eq!(bench.plane.event(Event::ForwardedStateless), 19);
            assert_eq!(bench.plane.event(Event::Flood), 19);
            if let Some(answer) = flow.stray(7) {
                // Who answers the server is no forged address: the answer makes the connection.
                goes_to(bench, &answer, index);
                let entries = bench.plane.entries();
                let entry = entries
                    .iter()
                    .find(|entry| entry.client.0 == flow.net.client(7));
                let entry = entry.expect("a connection");
                assert!(is_established(entry.state));
                let reset = flow.reset(8);
                let passed = Expected::Passed(Verdict::PassedNoConnection);
                bench.expect(Side::Front, &reset, passed);
            }
        },
    );
    cases.add(
        format!("flood::nat needs its connections {}", flow.name()),
        move |bench| {
            let server = (flow.net.server(1), 8080);
            let index = bench.server(NewServer::nat(server.0, server.1));
            bench.choosing(flow.vip(), flow.number(), Choice::Maglev, &[(index, 1); 5]);
            flood(bench);
            for client in 1..=5 {
                let frame = flow.request(client);
                let sent = natted(&frame, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
            }
            assert_eq!(bench.plane.entries().len(), 5);
            assert_eq!(bench.plane.event(Event::ForwardedStateless), 0);
        },
    );
    cases.add(
        format!("flood::persistence needs its connections {}", flow.name()),
        move |bench| {
            let index = bench.server(NewServer::direct(flow.net.server(1)));
            bench.choosing(flow.vip(), flow.number(), Choice::Maglev, &[(index, 1); 5]);
            let policy = Policy {
                flags: REUSE | PERSISTENT,
                timeout: 60,
                mask: [0xff; 16],
                ..IPVS
            };
            bench.plane.set_policy(1, policy);
            flood(bench);
            for client in 1..=3 {
                goes_to(bench, &flow.request(client), index);
            }
            assert_eq!(bench.plane.entries().len(), 6);
        },
    );
}

/// A displaced connection's replies are looked for no more.
fn displacing_nat(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!(
            "flood::displaced connections leave no reply words {}",
            flow.name()
        ),
        move |bench| {
            let server = (flow.net.server(1), 8080);
            let index = bench.server(NewServer::nat(server.0, server.1));
            bench.rotating(flow.vip(), flow.number(), &[index]);
            bench.plane.settings.buckets4 = 1;
            bench.plane.settings.buckets6 = 1;
            flood(bench);
            for client in 1..=40 {
                let frame = flow.request(client);
                let sent = natted(&frame, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
            }
            assert_eq!(bench.plane.event(Event::DisplacedEmbryonic), 32);
            assert_eq!(bench.plane.entries().len(), 8);
            assert_eq!(bench.plane.reply_entries(flow.net == Net::V4), 8);
        },
    );
}

/// A full bucket: the newest takes the place of one that got no further than its SYN.
fn displacing(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("flood::embryonic connections are displaced {}", flow.name()),
        move |bench| {
            let index = one(bench, flow);
            // One bucket is eight connections.
            bench.plane.settings.buckets4 = 1;
            bench.plane.settings.buckets6 = 1;
            bench.plane.write_settings();
            let established = |client: u8| client <= 5;
            for client in 1..=8 {
                goes_to(bench, &flow.request(client), index);
                if established(client) {
                    goes_to(bench, &flow.later(client), index);
                }
            }
            let full = Expected::Dropped(Verdict::DroppedTableFull);
            bench.expect(Side::Front, &flow.request(9), full.clone());
            flood(bench);
            // The first packet is within the guard.
            bench.expect(Side::Front, &flow.request(9), full.clone());
            for client in 10..=40 {
                goes_to(bench, &flow.request(client), index);
            }
            assert_eq!(bench.plane.event(Event::DisplacedEmbryonic), 31);
            assert_eq!(bench.plane.entries().len(), 8);
            bench.expect_load(index, 8, 0);
            for client in 1..=5 {
                goes_to(bench, &flow.later(client), index);
            }
            // The newest is there to stay, once its client answers.
            goes_to(bench, &flow.later(40), index);
            let again = flow.request(40).ports(CPORT, VPORT);
            goes_to(bench, &again, index);
            // None but established ones: these stay, and the table is full.
            for client in 41..=42 {
                goes_to(bench, &flow.request(client), index);
                goes_to(bench, &flow.later(client), index);
            }
            bench.expect(Side::Front, &flow.request(43), full);
        },
    );
}
