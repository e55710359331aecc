//! `nat_icmp_send`: NAT servers that go on with a connection which is no more are told.

use caribe_packet::settings::NAT_ICMP_SEND;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, icmp_error, natted, replied};
use crate::frame::{ABORT, ACK, Frame, RST, SHUTDOWN};

/// The port of the NAT server.
const PORT: u16 = 8080;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("strays::a nat server is told {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), PORT);
                asks(bench, flow, flow.number());
                tells(bench, &flow.reply(1, server, 1));
                // What it says of a connection that there is goes to the client.
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = natted(&request, index, server);
                let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &request, forwarded);
                let reply = flow.reply(index, server, 1);
                let sent = replied(&reply, 1, flow.vip());
                let forwarded = Expected::Redirected(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &reply, forwarded);
                tells(bench, &flow.reply(index, server, 2));
            },
        );
        cases.add(
            format!("strays::others are the kernel's {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), PORT);
                let other = Flow {
                    transport: flow.other(),
                    ..flow
                };
                let stray = flow.reply(1, server, 1);
                let passed = || Expected::Passed(Verdict::PassedNotOurs);
                bench.plane.put_nat_end(server, flow.number());
                // Nobody asked for it.
                bench.expect(Side::Back, &stray, passed());
                asks(bench, flow, flow.number());
                let others = [
                    stray.clone().ports(PORT + 1, CPORT),
                    stray.with(|frame| frame.packet.source = flow.net.server(8)),
                    other.reply(1, server, 1),
                ];
                for frame in &others {
                    bench.expect(Side::Back, frame, passed());
                }
            },
        );
        cases.add(
            format!("strays::of a firewall mark {}", flow.name()),
            move |bench| {
                asks(bench, flow, 0);
                tells(bench, &flow.reply(1, (flow.net.server(7), PORT), 1));
            },
        );
        cases.add(
            format!("strays::over the limit of icmp {}", flow.name()),
            move |bench| {
                asks(bench, flow, flow.number());
                bench.plane.settings.icmp_limit = 0;
                bench.plane.write_settings();
                let stray = flow.reply(1, (flow.net.server(7), PORT), 1);
                let dropped = Expected::Dropped(Verdict::DroppedStray);
                bench.expect(Side::Back, &stray, dropped);
            },
        );
    }
    for net in [Net::V4, Net::V6] {
        let name = if net == Net::V4 { "ipv4" } else { "ipv6" };
        cases.add(
            format!("strays::what ends a connection is not answered {name}"),
            move |bench| {
                for flow in Flow::ALL.into_iter().filter(|flow| flow.net == net) {
                    asks(bench, flow, flow.number());
                    let stray = flow.reply(1, (net.server(7), PORT), 1);
                    let (ends, goes_on) = match flow.number() {
                        6 => (stray.clone().flags(RST | ACK), stray.clone().flags(ACK)),
                        132 => (
                            stray.clone().chunks(vec![(ABORT, Vec::new())]),
                            stray.clone().chunks(vec![(SHUTDOWN, vec![0; 4])]),
                        ),
                        _ => continue,
                    };
                    bench.expect(Side::Back, &ends, Expected::Passed(Verdict::PassedNotOurs));
                    tells(bench, &goes_on);
                }
            },
        );
    }
    cases.add("strays::a family's addresses are its own", |bench| {
        // The same sixteen bytes, of the other family.
        let flow = Flow::ALL[0];
        let server = (flow.net.server(7), PORT);
        asks(bench, flow, flow.number());
        bench
            .plane
            .turn_nat_end_to_the_other_family(server, flow.number());
        let stray = flow.reply(1, server, 1);
        bench.expect(Side::Back, &stray, Expected::Passed(Verdict::PassedNotOurs));
    });
}

/// Makes a NAT server known that answers by a protocol, and `nat_icmp_send` 1.
fn asks(bench: &mut Bench<'_>, flow: Flow, protocol: u8) {
    bench
        .plane
        .put_nat_end((flow.net.server(7), PORT), protocol);
    bench.plane.settings.flags = NAT_ICMP_SEND;
    bench.plane.write_settings();
}

/// The sender of a frame is told that its port cannot be reached.
fn tells(bench: &mut Bench<'_>, frame: &Frame) {
    let error = if frame.packet.source.is_ipv4() {
        (3, 3)
    } else {
        (1, 4)
    };
    let answer = icmp_error(frame, error, [0; 4]);
    let told = Expected::Transmitted(Verdict::AnsweredStray, answer);
    bench.expect(Side::Back, frame, told);
}
