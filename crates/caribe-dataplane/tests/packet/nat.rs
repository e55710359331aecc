//! NAT: requests to the real server, replies back from the VIP, with and without another port.

use std::net::IpAddr;

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, Transport, UDP4, UDP6, VPORT, natted, replied};
use crate::frame::{ACK, FIN, Frame, RST};

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        for (name, port) in [
            ("same port", VPORT),
            ("another port", 8080),
            ("port kept", 0),
        ] {
            cases.add(
                format!("nat::case_90_91 request and reply, {name} {}", flow.name()),
                move |bench| {
                    let nat = Nat::new(bench, flow, port);
                    nat.request(bench, &flow.request(1));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1));
                    nat.request(bench, &flow.later(1));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1).payload(100));
                    assert_eq!(bench.plane.entries().len(), 1);
                },
            );
        }
        cases.add(
            format!("nat::every length of payload {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                nat.request(bench, &flow.request(1));
                for length in (0..70).chain([1400, 1401]) {
                    nat.request(bench, &flow.later(1).payload(length));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1).payload(length));
                }
            },
        );
        cases.add(
            format!("nat::fields that nobody touches {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                for (service, id, label) in [(0, 0, 0), (0xb9, 0xffff, 0xfffff), (0x2e, 1, 0x12345)]
                {
                    let set = |frame: &mut Frame| {
                        frame.packet.service = service;
                        frame.packet.id = id;
                        frame.packet.label = label;
                        frame.packet.do_not_fragment = id != 1;
                    };
                    nat.request(bench, &flow.request(1).with(set));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1).with(set));
                }
            },
        );
        cases.add(
            format!("nat::ttl of every value {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                for ttl in 2..=255 {
                    nat.request(bench, &flow.request(1).ttl(ttl));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1).ttl(ttl));
                }
            },
        );
        cases.add(
            format!("nat::wrong checksums stay wrong {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                for error in [0x0001, 0x8000, 0x1234] {
                    let spoil = |frame: &mut Frame| {
                        frame.packet.checksum_error = error;
                        match flow.transport {
                            Transport::Tcp => frame.packet.tcp().checksum_error = error,
                            Transport::Udp => frame.packet.udp().checksum_error = error,
                            Transport::Sctp => {
                                frame.packet.sctp().checksum_error = u32::from(error) << 9;
                            }
                        }
                    };
                    nat.request(bench, &flow.request(1).with(spoil));
                    nat.reply(bench, &flow.reply(nat.index, nat.server, 1).with(spoil));
                }
            },
        );
        cases.add(
            format!("nat::padding of short frames {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                let pad = |frame: &mut Frame| frame.padding = vec![0xee; 13];
                nat.request(bench, &flow.request(1).with(pad));
                nat.reply(bench, &flow.reply(nat.index, nat.server, 1).with(pad));
            },
        );
    }
    for flow in Flow::TCP {
        cases.add(
            format!("nat::reset and fin are rewritten too {}", flow.name()),
            move |bench| {
                let nat = Nat::new(bench, flow, 8080);
                nat.request(bench, &flow.request(1));
                nat.reply(bench, &flow.reply(nat.index, nat.server, 1));
                nat.request(bench, &flow.later(1).flags(FIN | ACK));
                nat.reply(
                    bench,
                    &flow.reply(nat.index, nat.server, 1).flags(FIN | ACK),
                );
                nat.reply(bench, &flow.reply(nat.index, nat.server, 1).flags(RST));
                nat.request(bench, &flow.later(1).flags(RST));
            },
        );
    }
    cases.add(
        "nat::case_99 udp without a checksum stays without udp4",
        |bench| {
            let nat = Nat::new(bench, UDP4, 5353);
            let without = |frame: &mut Frame| frame.packet.udp().with_checksum = false;
            nat.request(bench, &UDP4.request(1).with(without));
            nat.reply(bench, &UDP4.reply(nat.index, nat.server, 1).with(without));
        },
    );
    for flow in [UDP4, UDP6] {
        cases.add(
            format!(
                "nat::a udp checksum of 0 goes out as 0xffff {}",
                flow.name()
            ),
            move |bench| {
                let nat = Nat::new(bench, flow, 5353);
                // A payload word that makes the datagram's sum after NAT complement to 0.
                let zero = flow
                    .request(1)
                    .with(|frame| frame.packet.udp().payload = vec![0, 0]);
                let word = udp_checksum(&natted(&zero, nat.index, nat.server));
                let request = zero.with(|frame| frame.packet.udp().payload = word.to_vec());
                let sent = natted(&request, nat.index, nat.server);
                assert_eq!(udp_checksum(&sent), [0xff, 0xff], "what the case is about");
                nat.request(bench, &request);
                // And the way back from one: it came in as 0xffff.
                let zero = flow.reply(nat.index, nat.server, 1);
                let zero = zero.with(|frame| frame.packet.udp().payload = vec![0, 0]);
                let word = udp_checksum(&zero);
                let reply = zero.with(|frame| frame.packet.udp().payload = word.to_vec());
                assert_eq!(udp_checksum(&reply), [0xff, 0xff], "what the case is about");
                nat.reply(bench, &reply);
            },
        );
    }
    cases.add("nat::udp shorter than its packet", |bench| {
        // Bytes after the datagram belong to nobody: they are carried along, unsummed.
        let nat = Nat::new(bench, UDP4, 5353);
        let frame = UDP4.request(1);
        let datagram = frame.packet.bytes()[20..].to_vec();
        let trailed = |frame: &Frame, datagram: &[u8]| {
            let body = crate::frame::Body::Raw(17, [datagram, &[1, 2, 3]].concat());
            frame.clone().with(|frame| frame.packet.body = body)
        };
        let sent = natted(&frame, nat.index, nat.server);
        let datagram_sent = sent.packet.bytes()[20..].to_vec();
        let forwarded = Expected::Redirected(Verdict::ForwardedNat, trailed(&sent, &datagram_sent));
        bench.expect(Side::Front, &trailed(&frame, &datagram), forwarded);
    });
    for net in Net::BOTH {
        cases.add(
            format!("nat::addresses of all ones and zeroes {}", net.name()),
            move |bench| {
                // Where one's complement sums go wrong if they do.
                let extremes: [IpAddr; 2] = match net {
                    Net::V4 => [[1, 0, 0, 0].into(), [223, 255, 255, 255].into()],
                    Net::V6 => {
                        let mut ones = [0xff; 16];
                        ones[0] = 0xfe;
                        let mut zeroes = [0; 16];
                        zeroes[0] = 0x20;
                        [zeroes.into(), ones.into()]
                    }
                };
                for (at, address) in extremes.into_iter().enumerate() {
                    for transport in [Transport::Tcp, Transport::Udp, Transport::Sctp] {
                        let flow = Flow { net, transport };
                        let vport = 1000 + at as u16;
                        let index = bench.server(NewServer::nat(address, 65_535));
                        bench.rotating((net.vip(), vport), flow.number(), &[index]);
                        let request = flow.request(1).ports(0xffff, vport);
                        let sent = natted(&request, index, (address, 65_535));
                        let forwarded = Expected::Redirected(Verdict::ForwardedNat, sent);
                        bench.expect(Side::Front, &request, forwarded);
                    }
                }
            },
        );
    }
}

/// A NAT service on one server.
struct Nat {
    flow: Flow,
    index: u32,
    /// The server's address and the port that it is reached on.
    server: (IpAddr, u16),
}

impl Nat {
    /// A server port of 0 keeps the client's.
    fn new(bench: &mut Bench<'_>, flow: Flow, port: u16) -> Nat {
        let address = flow.net.server(7);
        let index = bench.server(NewServer::nat(address, port));
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Nat {
            flow,
            index,
            server: (address, if port == 0 { VPORT } else { port }),
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

    fn reply(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = replied(frame, 1, self.flow.vip());
        bench.expect(
            Side::Back,
            frame,
            Expected::Redirected(Verdict::ForwardedReply, sent),
        );
    }
}

fn udp_checksum(frame: &Frame) -> [u8; 2] {
    let packet = frame.packet.bytes();
    let at = if frame.packet.source.is_ipv4() {
        26
    } else {
        46
    };
    [packet[at], packet[at + 1]]
}
