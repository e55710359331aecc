//! One-packet scheduling: every datagram is scheduled by itself, and no connection is kept.

use caribe_packet::policy::{ONE_PACKET, Policy, REUSE};
use caribe_packet::verdict::Verdict;

use crate::bench::{Cases, Expected, NewServer, Side};
use crate::flow::{Flow, natted, routed};
use crate::plane::IPVS;

/// The policy of a service that schedules every datagram.
const EVERY: Policy = Policy {
    flags: REUSE | ONE_PACKET,
    ..IPVS
};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::UDP {
        cases.add(
            format!("one packet::case 119 in turn {}", flow.name()),
            move |bench| {
                let servers =
                    [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
                bench.rotating(flow.vip(), flow.number(), &servers);
                bench.plane.set_policy(1, EVERY);
                let frame = flow.request(1);
                for packet in 0..10 {
                    let index = servers[packet % 2];
                    let sent = routed(&frame, index);
                    let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
                assert!(bench.plane.entries().is_empty());
                for index in servers {
                    bench.expect_load(index, 0, 0);
                    let traffic = bench.plane.traffic_of(index);
                    assert_eq!((traffic.connections, traffic.packets_in), (5, 5));
                }
            },
        );
        cases.add(
            format!("one packet::replies are not rewritten {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                bench.plane.set_policy(1, EVERY);
                let frame = flow.request(1);
                let sent = natted(&frame, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
                let reply = flow.reply(index, server, 1);
                let passed = Expected::Passed(Verdict::PassedNotOurs);
                bench.expect(Side::Back, &reply, passed);
                assert_eq!(bench.plane.reply_entries(flow.net.name() == "v4"), 0);
            },
        );
        // IPVS binds a connection for each, and unbinds it when the packet has gone.
        cases.add(
            format!("one packet::may overload a server {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(1)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                bench.plane.set_policy(1, EVERY);
                let frame = flow.request(1);
                for (upper, lower, load, stays) in [
                    (0, 0, 9, false),
                    (6, 5, 4, false),
                    (6, 5, 5, true),
                    (6, 6, 5, false),
                    (6, 0, 5, true),
                    (2, 0, 1, false),
                    (1, 0, 0, false),
                ] {
                    bench.plane.set_bounds(index, upper, lower);
                    bench.plane.set_load(index, 0, load);
                    let sent = routed(&frame, index);
                    let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, expected);
                    let after = bench.plane.load_of(index);
                    assert_eq!(
                        (after.inactive(), after.overloaded() == 1),
                        (load, stays),
                        "{load} with {upper} and {lower}"
                    );
                }
            },
        );
    }
    for flow in Flow::TCP {
        // A service of a firewall mark may have it and take TCP as well.
        cases.add(
            format!("one packet::is for datagrams alone {}", flow.name()),
            move |bench| {
                let servers =
                    [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
                bench.rotating(flow.vip(), flow.number(), &servers);
                bench.plane.set_policy(1, EVERY);
                for frame in [flow.request(1), flow.later(1)] {
                    let sent = routed(&frame, servers[0]);
                    let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, expected);
                }
            },
        );
    }
}
