//! The director as its own real server: its packets go up the stack as they came.

use caribe_packet::server::{LOCAL, REACHABLE, Server};
use caribe_packet::verdict::Verdict;

use crate::bench::{Cases, Expected, NewServer, Side};
use crate::flow::{Flow, VPORT};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        let address = flow.net.server(3);
        let methods = [
            ("direct", NewServer::direct(address)),
            (
                "tunnel",
                NewServer::tunnel(address, flow.net.tunnel_source()),
            ),
            ("nat", NewServer::nat(address, VPORT)),
            ("nat that keeps the port", NewServer::nat(address, 0)),
        ];
        for (name, server) in methods {
            cases.add(format!("local::by {name} {}", flow.name()), move |bench| {
                let index = bench.server(server.wrapping(LOCAL, 0));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let passed = || Expected::Passed(Verdict::ForwardedLocal);
                bench.expect(Side::Front, &flow.request(1), passed());
                bench.expect(Side::Front, &flow.later(1), passed());
                // It goes no further, so its TTL may end here and its length does not matter.
                bench.expect(Side::Front, &flow.later(1).ttl(1), passed());
                bench.expect(Side::Front, &flow.later(1).payload(3000), passed());
                let entry = bench.only_entry();
                assert_eq!(entry.server, index);
                let traffic = bench.plane.traffic_of(index);
                assert_eq!((traffic.connections, traffic.packets_in), (1, 4));
            });
        }
        cases.add(
            format!("local::nat to another port {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::nat(address, VPORT + 1).wrapping(LOCAL, 0));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let dropped = Expected::Dropped(Verdict::DroppedUnreachable);
                bench.expect(Side::Front, &flow.request(1), dropped);
            },
        );
        cases.add(
            format!("local::while the address is gone {}", flow.name()),
            move |bench| {
                let new = NewServer::direct(address).wrapping(LOCAL, 0);
                let index = bench.server(new);
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let line = bench.line_of(index, &new);
                let flags = line.flags & !REACHABLE;
                bench.plane.set_server(index, Server { flags, ..line });
                let dropped = Expected::Dropped(Verdict::DroppedUnreachable);
                bench.expect(Side::Front, &flow.request(1), dropped);
            },
        );
    }
}
