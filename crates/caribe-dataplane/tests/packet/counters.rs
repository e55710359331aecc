//! Load and traffic of real servers: exact, whatever became of a packet.

use caribe_packet::server::{IN_SERVICE, Server, Traffic};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, Transport, natted, replied, routed, tunnelled};
use crate::frame::{ACK, FIN, RST};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("counters::traffic of nat, both ways {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let mut right = Traffic::default();
                for (at, length) in [0, 1, 100, 1300].into_iter().enumerate() {
                    // Bytes are those of IP, without Ethernet and padding.
                    let request = flow.request(1).payload(length);
                    let request = request.with(|frame| frame.padding = vec![0; 20]);
                    let sent = natted(&request, index, server);
                    let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &request, forwarded);
                    right.connections = 1;
                    right.packets_in += 1;
                    right.bytes_in += request.packet.length() as u64;
                    assert_eq!(bench.plane.traffic_of(index), right, "request {at}");
                    let reply = flow.reply(index, server, 1).payload(length * 2 % 1400);
                    let sent = replied(&reply, 1, flow.vip());
                    let forwarded = Expected::Redirected(Verdict::ForwardedReply, sent);
                    bench.expect(Side::Back, &reply, forwarded);
                    right.packets_out += 1;
                    right.bytes_out += reply.packet.length() as u64;
                    assert_eq!(bench.plane.traffic_of(index), right, "reply {at}");
                }
            },
        );
        cases.add(
            format!(
                "counters::traffic of a tunnel is without it {}",
                flow.name()
            ),
            move |bench| {
                let (from, to) = (Net::V6.tunnel_source(), Net::V6.server(3));
                let index = bench.server(NewServer::tunnel(to, from));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let request = flow.request(1);
                let sent = tunnelled(&request, index, from, to);
                let forwarded = Expected::Redirected(Verdict::ForwardedTunnel, sent);
                bench.expect(Side::Front, &request, forwarded);
                let right = Traffic {
                    connections: 1,
                    packets_in: 1,
                    bytes_in: request.packet.length() as u64,
                    ..Traffic::default()
                };
                assert_eq!(bench.plane.traffic_of(index), right);
            },
        );
        cases.add(
            format!("counters::what is not forwarded {}", flow.name()),
            move |bench| {
                let new = NewServer::direct(flow.net.server(1));
                let index = bench.server(new);
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let not_ours = flow.request(1).ports(CPORT, 81);
                let ftp_data = flow.request(1).ports(20, 80);
                for (frame, verdict) in [
                    (not_ours, Verdict::PassedNotOurs),
                    (ftp_data, Verdict::PassedFtpData),
                ] {
                    bench.expect(Side::Front, &frame, Expected::Passed(verdict));
                }
                assert_eq!(bench.plane.traffic_of(index), Traffic::default());
                bench.expect_load(index, 0, 0);
                // A spent TTL was a client's packet all the same, and IPVS counts it and keeps the
                // connection.
                let spent = flow.request(1).ttl(1);
                let (verdict, _, _) = bench.send(Side::Front, 0, &spent.bytes());
                assert_eq!(verdict, Verdict::AnsweredTtl);
                let mut right = Traffic {
                    connections: 1,
                    packets_in: 1,
                    bytes_in: spent.packet.length() as u64,
                    ..Traffic::default()
                };
                assert_eq!(bench.plane.traffic_of(index), right);
                let big = flow.later(1).payload(1480);
                let (verdict, _, _) = bench.send(Side::Front, 0, &big.bytes());
                assert_eq!(verdict, Verdict::AnsweredTooBig);
                right.packets_in += 1;
                right.bytes_in += big.packet.length() as u64;
                assert_eq!(bench.plane.traffic_of(index), right);
                // No next hop: counted for a connection, not for who could not even start one.
                let line = Server {
                    flags: IN_SERVICE,
                    ..bench.line_of(index, &new)
                };
                bench.plane.set_server(index, line);
                let unreachable = Expected::Dropped(Verdict::DroppedUnreachable);
                bench.expect(Side::Front, &flow.request(2), unreachable.clone());
                assert_eq!(bench.plane.traffic_of(index), right);
                bench.expect(Side::Front, &flow.later(1), unreachable);
                right.packets_in += 1;
                right.bytes_in += flow.later(1).packet.length() as u64;
                assert_eq!(bench.plane.traffic_of(index), right);
            },
        );
        cases.add(
            format!("counters::load of two servers {}", flow.name()),
            move |bench| {
                let servers =
                    [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
                bench.rotating(flow.vip(), flow.number(), &servers);
                for client in 1..=9 {
                    let frame = flow.request(client);
                    let index = servers[usize::from(client - 1) % 2];
                    let sent = routed(&frame, index);
                    let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, forwarded);
                }
                for client in 1..=9 {
                    // The same flows again are no new connections.
                    let (verdict, _, _) = bench.send(Side::Front, 0, &flow.later(client).bytes());
                    assert_eq!(verdict, Verdict::ForwardedDirect);
                }
                match flow.transport != Transport::Udp {
                    true => {
                        bench.expect_load(servers[0], 5, 0);
                        bench.expect_load(servers[1], 4, 0);
                    }
                    false => {
                        bench.expect_load(servers[0], 0, 5);
                        bench.expect_load(servers[1], 0, 4);
                    }
                }
                recount(bench, &servers);
            },
        );
    }
    for flow in Flow::TCP {
        cases.add(
            format!("counters::load through states {}", flow.name()),
            move |bench| {
                let server = (flow.net.server(7), 8080);
                let index = bench.server(NewServer::nat(server.0, server.1));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let send = |bench: &mut Bench<'_>, client: u8, flags: u8, active, inactive| {
                    let frame = flow.request(client).flags(flags);
                    let (verdict, _, _) = bench.send(Side::Front, 0, &frame.bytes());
                    assert_eq!(verdict, Verdict::ForwardedNat);
                    bench.expect_load(index, active, inactive);
                    recount(bench, &[index]);
                };
                let syn = crate::frame::SYN;
                send(bench, 1, syn, 1, 0);
                send(bench, 2, syn, 2, 0);
                send(bench, 3, syn, 3, 0);
                send(bench, 1, ACK, 3, 0);
                send(bench, 1, FIN | ACK, 2, 1);
                send(bench, 1, ACK, 2, 1);
                // In SYN_RECV the client's own reset changes nothing, in ESTABLISHED it closes.
                send(bench, 2, RST, 2, 1);
                send(bench, 2, ACK, 2, 1);
                send(bench, 2, RST, 1, 2);
                send(bench, 2, RST, 1, 2);
                send(bench, 1, syn, 2, 1);
                send(bench, 3, ACK, 2, 1);
                send(bench, 3, FIN, 1, 2);
            },
        );
    }
}

/// The load counters are what the table says.
fn recount(bench: &Bench<'_>, servers: &[u32]) {
    let entries = bench.plane.entries();
    for server in servers {
        let own = entries.iter().filter(|entry| entry.server == *server);
        let inactive = own.clone().filter(|entry| entry.flags & 0x100 != 0).count() as u32;
        bench.expect_load(*server, own.count() as u32 - inactive, inactive);
    }
}
