//! Which packets are replies of a NAT connection, and where they go: exactly the connection's,
//! and the way by which its client's packets come.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{
    CPORT, FRONT_MAC, Flow, Net, TCP4, UDP4, VPORT, client_mac, natted, replied, routed,
};
use crate::frame::{ACK, Frame, RST, SYN};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("reply::look-alikes pass {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow);
                nat.request(bench, &flow.request(1));
                let reply = flow.reply(nat.index, nat.server, 1);
                let other = Flow {
                    transport: flow.other(),
                    ..flow
                };
                let look_alikes = [
                    reply
                        .clone()
                        .with(|frame| frame.packet.source = flow.net.server(8)),
                    reply
                        .clone()
                        .with(|frame| frame.packet.destination = flow.net.client(2)),
                    reply.clone().ports(8081, CPORT),
                    reply.clone().ports(8080, CPORT + 1),
                    // The bytes of a port swapped, and both ports swapped.
                    reply.clone().ports(u16::swap_bytes(8080), CPORT),
                    reply.clone().ports(CPORT, 8080),
                    other.reply(nat.index, nat.server, 1),
                    // From the VIP's port, which is not what the server speaks from.
                    reply.clone().ports(VPORT, CPORT),
                ];
                // The other server is known too: the filter in front of the index lets it through.
                bench.plane.expect_replies_from(flow.net.server(8));
                for frame in &look_alikes {
                    bench.expect(Side::Back, frame, Expected::Passed(Verdict::PassedNotOurs));
                }
                nat.reply(bench, &reply, 1);
            },
        );
        cases.add(
            format!("reply::of direct routing is not ours {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(1)));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = routed(&request, index);
                let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
                bench.expect(Side::Front, &request, forwarded);
                for source in [flow.net.vip(), flow.net.server(1)] {
                    let reply = flow.reply(index, (source, VPORT), 1);
                    bench.expect(Side::Back, &reply, Expected::Passed(Verdict::PassedNotOurs));
                }
                assert_eq!(bench.plane.reply_entries(flow.net == Net::V4), 0);
            },
        );
        cases.add(
            format!("reply::two clients with the same port {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow);
                for client in 1..=9 {
                    nat.request(bench, &flow.request(client));
                }
                for client in (1..=9).rev() {
                    nat.reply(bench, &flow.reply(nat.index, nat.server, client), client);
                }
                assert_eq!(bench.plane.reply_entries(flow.net == Net::V4), 9);
            },
        );
        cases.add(
            format!("reply::a vip on several ports {}", flow.name()),
            move |bench| {
                let server = flow.net.server(7);
                for (vport, port) in [(80, 8080), (443, 8443), (8080, 80)] {
                    let index = bench.server(NewServer::nat(server, port));
                    bench.rotating((flow.net.vip(), vport), flow.number(), &[index]);
                    let request = flow.request(1).ports(CPORT, vport);
                    let sent = natted(&request, index, (server, port));
                    let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &request, forwarded);
                    let reply = flow.reply(index, (server, port), 1);
                    let sent = replied(&reply, 1, (flow.net.vip(), vport));
                    let forwarded = Expected::Redirected(Verdict::ForwardedReply, sent);
                    bench.expect(Side::Back, &reply, forwarded);
                }
                assert_eq!(bench.plane.entries().len(), 3);
            },
        );
        cases.add(
            format!(
                "reply::two vips, one server, one client port {}",
                flow.name()
            ),
            move |bench| {
                // Only the VIP tells them apart, and a reply does not carry it: as in IPVS, the
                // first that is found gets it. It must be one of the two, in full.
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                for vport in [80, 81] {
                    bench.rotating((flow.net.vip(), vport), flow.number(), &[index]);
                    let request = flow.request(1).ports(CPORT, vport);
                    let sent = natted(&request, index, server);
                    let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &request, forwarded);
                }
                let reply = flow.reply(index, server, 1);
                let (verdict, _, output) = bench.send(Side::Back, 0, &reply.bytes());
                assert_eq!(verdict, Verdict::ForwardedReply);
                let either =
                    [80, 81].map(|vport| replied(&reply, 1, (flow.net.vip(), vport)).bytes());
                assert!(either.contains(&output), "from neither VIP");
            },
        );
        cases.add(
            format!("reply::the client's router changes {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow);
                nat.request(bench, &flow.request(1));
                let reply = flow.reply(nat.index, nat.server, 1);
                nat.reply(bench, &reply, 1);
                // The same client by another router, to another MAC address of ours.
                let own = [0x02, 0, 0, 0, 0x0d, 0x99];
                let moved = flow.later(1).with(|frame| {
                    frame.source = client_mac(77);
                    frame.destination = own;
                });
                nat.request(bench, &moved);
                let sent = replied(&reply, 1, flow.vip()).with(|frame| {
                    frame.destination = client_mac(77);
                    frame.source = own;
                });
                bench.expect(
                    Side::Back,
                    &reply,
                    Expected::Redirected(Verdict::ForwardedReply, sent),
                );
                assert_eq!(bench.only_entry().client_mac, client_mac(77));
            },
        );
        cases.add(
            format!(
                "reply::the client comes by another interface {}",
                flow.name()
            ),
            move |bench| {
                let nat = Nat::new(bench, flow);
                nat.request(bench, &flow.request(1));
                assert_eq!(bench.only_entry().client_interface, bench.plane.front);
                let reply = flow.reply(nat.index, nat.server, 1);
                nat.reply(bench, &reply, 1);
                // In by the back: out by the back, where the server is too.
                let request = flow.later(1);
                let sent = natted(&request, nat.index, nat.server);
                let forwarded = Expected::Transmitted(Verdict::ForwardedNat, sent);
                bench.expect(Side::Back, &request, forwarded);
                assert_eq!(bench.only_entry().client_interface, bench.plane.back);
                let sent = replied(&reply, 1, flow.vip());
                let forwarded = Expected::Transmitted(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &reply, forwarded);
            },
        );
        cases.add(
            format!("reply::goes on when the service is gone {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow);
                nat.request(bench, &flow.request(1));
                bench
                    .plane
                    .remove_service(flow.net.vip(), VPORT, flow.number());
                nat.reply(bench, &flow.reply(nat.index, nat.server, 1), 1);
                nat.request(bench, &flow.later(1));
                let stranger = flow.request(2);
                bench.expect(
                    Side::Front,
                    &stranger,
                    Expected::Passed(Verdict::PassedNotOurs),
                );
            },
        );
    }
    for flow in Flow::TCP {
        cases.add(
            format!(
                "reply::what a server starts by itself passes {}",
                flow.name()
            ),
            move |bench| {
                let nat = Nat::new(bench, flow);
                for flags in [SYN, SYN | ACK, ACK, RST] {
                    let frame = flow.reply(nat.index, nat.server, 1).flags(flags);
                    bench.expect(Side::Back, &frame, Expected::Passed(Verdict::PassedNotOurs));
                }
                assert_eq!(bench.plane.entries(), []);
            },
        );
    }
    cases.add("reply::a server that is a client of the vip", |bench| {
        // It is balanced like any client, to itself if the scheduler says so.
        let nat = Nat::new(bench, TCP4);
        let request = TCP4.request(1).with(|frame| {
            frame.packet.source = nat.server.0;
            frame.source = crate::flow::server_mac(nat.index);
            frame.destination = crate::flow::BACK_MAC;
        });
        let sent = natted(&request, nat.index, nat.server);
        bench.expect(
            Side::Back,
            &request,
            Expected::Transmitted(Verdict::ForwardedNat, sent),
        );
    });
    cases.add(
        "reply::frames not for the client's port leave no trace",
        |bench| {
            let nat = Nat::new(bench, UDP4);
            nat.request(bench, &UDP4.request(1));
            let before = bench.only_entry();
            let look_alike = UDP4.reply(nat.index, nat.server, 2);
            bench.expect(
                Side::Back,
                &look_alike,
                Expected::Passed(Verdict::PassedNotOurs),
            );
            assert_eq!(bench.only_entry(), before);
            assert_eq!(bench.plane.traffic_of(nat.index).packets_out, 0);
        },
    );
    cases.add(
        "reply::carries the mac address that the client sent to",
        |bench| {
            let nat = Nat::new(bench, UDP4);
            nat.request(bench, &UDP4.request(1));
            let entry = bench.only_entry();
            assert_eq!(
                (entry.client_mac, entry.own_mac),
                (client_mac(1), FRONT_MAC)
            );
            assert_eq!((entry.server_address, entry.server_port), nat.server);
        },
    );
}

/// A NAT service on one server.
struct Nat {
    flow: Flow,
    index: u32,
    server: (std::net::IpAddr, u16),
}

impl Nat {
    fn new(bench: &mut Bench<'_>, flow: Flow) -> Nat {
        let server = (flow.net.server(7), 8080);
        let index = bench.server(NewServer::nat(server.0, server.1));
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Nat {
            flow,
            index,
            server,
        }
    }

    fn request(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = natted(frame, self.index, self.server);
        bench.expect(
            Side::Front,
            frame,
            Expected::Redirected(Verdict::ForwardedNat, sent),
        );
    }

    fn reply(&self, bench: &mut Bench<'_>, frame: &Frame, client: u8) {
        let sent = replied(frame, client, self.flow.vip());
        bench.expect(
            Side::Back,
            frame,
            Expected::Redirected(Verdict::ForwardedReply, sent),
        );
    }
}
