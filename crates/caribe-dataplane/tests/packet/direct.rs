//! Direct routing: another MAC address and one off the TTL, nothing else.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, routed};
use crate::frame::{ACK, FIN, Frame};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("direct::case_93 first and later packets {}", flow.name()),
            move |bench| {
                let server = table(bench, flow);
                forwards(bench, &flow.request(1), server);
                forwards(bench, &flow.later(1), server);
                forwards(bench, &flow.later(1).payload(1400), server);
                assert_eq!(bench.plane.entries().len(), 1);
            },
        );
        cases.add(
            format!("direct::every ttl, tos and label {}", flow.name()),
            move |bench| {
                let server = table(bench, flow);
                for value in 2..=255u8 {
                    let frame = flow.request(1).ttl(value).with(|frame| {
                        frame.packet.service = value;
                        frame.packet.id = u16::from(value) << 8;
                        frame.packet.label = u32::from(value) << 12;
                    });
                    forwards(bench, &frame, server);
                }
            },
        );
        cases.add(
            format!("direct::exactly the mtu {}", flow.name()),
            move |bench| {
                let server = table(bench, flow);
                let rest = flow.request(1).payload(0).packet.length();
                let frame = flow.request(1).payload(1500 - rest);
                assert_eq!(frame.packet.length(), 1500);
                forwards(bench, &frame, server);
            },
        );
    }
    for flow in Flow::TCP {
        cases.add(
            format!("direct::fin is forwarded {}", flow.name()),
            move |bench| {
                let server = table(bench, flow);
                forwards(bench, &flow.request(1), server);
                forwards(bench, &flow.later(1).flags(FIN | ACK), server);
                forwards(bench, &flow.later(1).flags(ACK), server);
            },
        );
    }
    for flow in Flow::UDP {
        cases.add(
            format!("direct::an empty datagram {}", flow.name()),
            move |bench| {
                let server = table(bench, flow);
                forwards(bench, &flow.request(1).payload(0), server);
            },
        );
    }
}

fn table(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    let server = bench.server(NewServer::direct(flow.net.server(1)));
    bench.rotating(flow.vip(), flow.number(), &[server]);
    server
}

fn forwards(bench: &mut Bench<'_>, frame: &Frame, server: u32) {
    let sent = routed(frame, server);
    bench.expect(
        Side::Front,
        frame,
        Expected::Redirected(Verdict::ForwardedDirect, sent),
    );
}
