//! What is SCTP's alone: which chunks start an association, the checksum that NAT leaves right, and
//! fragments. What all protocols have in common is in the other files, where it is done for
//! SCTP too; the states are in [`sctp_states`](crate::sctp_states).

use std::net::IpAddr;

use caribe_packet::policy::{Policy, REUSE, SLOPPY_SCTP};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, Transport, VPORT, natted, replied, routed};
use crate::frame::{
    ABORT, Body, COOKIE_ACK, COOKIE_ECHO, DATA, ERROR, Frame, HEARTBEAT, INIT, INIT_ACK, SACK,
    SHUTDOWN, SHUTDOWN_ACK, SHUTDOWN_COMPLETE,
};
use crate::plane::{IPVS, now};

/// The port of NAT servers.
const PORT: u16 = 8080;

/// Chunks that start nothing by themselves.
const OTHERS: [u8; 11] = [
    DATA,
    INIT_ACK,
    SACK,
    HEARTBEAT,
    SHUTDOWN,
    SHUTDOWN_ACK,
    ERROR,
    COOKIE_ECHO,
    COOKIE_ACK,
    SHUTDOWN_COMPLETE,
    200,
];

/// A service on one server.
pub(crate) struct Stage {
    flow: Flow,
    pub(crate) index: u32,
    server: (IpAddr, u16),
}

impl Stage {
    pub(crate) fn new(bench: &mut Bench<'_>, net: Net, is_nat: bool) -> Stage {
        let port = if is_nat { PORT } else { VPORT };
        Stage::on(bench, net, port, is_nat)
    }

    fn on(bench: &mut Bench<'_>, net: Net, port: u16, is_nat: bool) -> Stage {
        let flow = Flow {
            net,
            transport: Transport::Sctp,
        };
        let server = (net.server(7), port);
        let index = bench.server(if is_nat {
            NewServer::nat(server.0, port)
        } else {
            NewServer::direct(server.0)
        });
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Stage {
            flow,
            index,
            server,
        }
    }

    /// Sends chunks without values from either end, which must get through.
    pub(crate) fn send(&self, bench: &mut Bench<'_>, by_client: bool, kinds: &[u8]) {
        let chunks = kinds.iter().map(|kind| (*kind, vec![0; 5])).collect();
        let (side, frame) = if by_client {
            (Side::Front, self.flow.request(1))
        } else {
            (Side::Back, self.flow.reply(self.index, self.server, 1))
        };
        let (verdict, ..) = bench.send(side, 0, &frame.chunks(chunks).bytes());
        let name = verdict.name();
        assert!(name.starts_with("forwarded_"), "{kinds:?}: {name}");
    }

    /// A client's frame gets to the server by NAT, as it should be.
    fn request(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = natted(frame, self.index, self.server);
        let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
        bench.expect(Side::Front, frame, expected);
    }

    /// A server's frame gets to the client by NAT, as it should be.
    fn reply(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = replied(frame, 1, self.flow.vip());
        let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
        bench.expect(Side::Back, frame, expected);
    }
}

fn one_chunk(frame: Frame, kind: u8) -> Frame {
    frame.chunks(vec![(kind, vec![7; 3])])
}

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::SCTP {
        starts(cases, flow);
        nat(cases, flow);
        fragments(cases, flow);
        again(cases, flow);
    }
}

fn starts(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("sctp::init alone starts an association {}", flow.name()),
        move |bench| {
            let stage = Stage::new(bench, flow.net, true);
            let passed = || Expected::Passed(Verdict::PassedNoConnection);
            for kind in OTHERS.into_iter().chain([ABORT]) {
                bench.expect(Side::Front, &one_chunk(flow.request(1), kind), passed());
            }
            // INIT behind another chunk is nothing that the standard knows.
            let behind = vec![(DATA, vec![1; 8]), (INIT, vec![0; 16])];
            bench.expect(Side::Front, &flow.request(1).chunks(behind), passed());
            assert_eq!(bench.plane.entries(), []);
            stage.request(bench, &flow.request(1));
        },
    );
    cases.add(
        format!("sctp::sloppy_sctp takes all but an abort {}", flow.name()),
        move |bench| {
            let stage = Stage::new(bench, flow.net, true);
            let flags = REUSE | SLOPPY_SCTP;
            bench.plane.set_policy(1, Policy { flags, ..IPVS });
            let passed = Expected::Passed(Verdict::PassedNoConnection);
            let abort = one_chunk(flow.request(1), ABORT);
            bench.expect(Side::Front, &abort, passed);
            for (client, kind) in (1..).zip(OTHERS) {
                stage.request(bench, &one_chunk(flow.request(client), kind));
            }
            assert_eq!(bench.plane.entries().len(), OTHERS.len());
            // IPVS looks at the first chunk alone here, and makes one that is over.
            let cookie = vec![(COOKIE_ECHO, vec![3; 5]), (ABORT, Vec::new())];
            stage.request(bench, &flow.request(99).chunks(cookie));
            let entries = bench.plane.entries();
            let closed = entries.iter().filter(|entry| entry.state == 16 + 13);
            let clients: Vec<_> = closed.map(|entry| entry.client.0).collect();
            assert!(clients.contains(&flow.net.client(99)), "{clients:?}");
        },
    );
    cases.add(
        format!("sctp::a port of another protocol {}", flow.name()),
        move |bench| {
            Stage::new(bench, flow.net, true);
            for transport in [Transport::Tcp, Transport::Udp] {
                let frame = Flow { transport, ..flow }.request(1);
                let passed = Expected::Passed(Verdict::PassedNotOurs);
                bench.expect(Side::Front, &frame, passed);
            }
        },
    );
    cases.add(
        format!("sctp::chunks of any length {}", flow.name()),
        move |bench| {
            let stage = Stage::new(bench, flow.net, true);
            stage.request(bench, &flow.request(1));
            // What the first chunk says of its length leads to the packet's end, beyond it, or
            // nowhere: nothing is looked for there.
            for length in [0u16, 1, 3, 4, 5, 8, 0x1234, 0x3fff, 0x4000, 0xfffc, 0xffff] {
                let (mut chunk, [high, low]) = (vec![COOKIE_ECHO, 0], length.to_be_bytes());
                chunk.extend([high, low, ABORT, 0, 0, 4]);
                let mut bytes = flow.request(1).packet.bytes()[flow.net.header()..][..12].to_vec();
                bytes[8..12].fill(0);
                bytes.extend(chunk);
                let checksum = crate::frame::crc32c(&bytes);
                bytes[8..12].copy_from_slice(&checksum.to_le_bytes());
                let frame = flow.request(1).with(|frame| {
                    frame.packet.body = Body::Raw(132, bytes);
                });
                let entry = bench.only_entry();
                let deadline = now().wrapping_add(1000);
                bench.plane.set_meta(&entry, 16 + 8, 0, deadline);
                let (verdict, _, output) = bench.send(Side::Front, 0, &frame.bytes());
                assert_eq!(verdict, Verdict::ForwardedNat, "{length}");
                crate::checksums::verify(&output).expect("every checksum is right");
                let is_closed = bench.only_entry().state == 16 + 13;
                assert_eq!(is_closed, length == 4, "{length}");
            }
        },
    );
}

fn nat(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("sctp::checksum for every length {}", flow.name()),
        move |bench| {
            let stage = Stage::new(bench, flow.net, true);
            stage.request(bench, &flow.request(1));
            for length in (0..260).chain([509, 510, 511, 512, 513, 1000, 1300]) {
                stage.request(bench, &flow.later(1).payload(length));
                let reply = flow.reply(stage.index, stage.server, 1);
                stage.reply(bench, &reply.payload(length));
            }
        },
    );
    cases.add(
        format!("sctp::checksum for any ports {}", flow.name()),
        move |bench| {
            for (number, (vport, port)) in [(1, 65_535), (65_535, 1), (256, 1), (80, 81)]
                .into_iter()
                .enumerate()
            {
                let server = (flow.net.server(10 + number as u8), port);
                let index = bench.server(NewServer::nat(server.0, port));
                let vip = (flow.net.vip(), vport);
                bench.rotating(vip, 132, &[index]);
                let frame = flow.request(1).ports(0xffff, vport);
                let sent = natted(&frame, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
                let frame = flow.reply(index, server, 1).ports(port, 0xffff);
                let sent = replied(&frame, 1, vip);
                let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &frame, expected);
            }
        },
    );
    cases.add(
        format!("sctp::a port that stays needs no checksum {}", flow.name()),
        move |bench| {
            let stage = Stage::on(bench, flow.net, VPORT, true);
            for error in [0, 1, 0x8000_0000, 0xdead_beef] {
                let spoil = |frame: &mut Frame| frame.packet.sctp().checksum_error = error;
                stage.request(bench, &flow.request(1).with(spoil));
                let reply = flow.reply(stage.index, stage.server, 1);
                stage.reply(bench, &reply.with(spoil));
            }
        },
    );
}

fn fragments(cases: &mut Cases, flow: Flow) {
    // A first fragment, and one behind it.
    let pieces = move |frame: Frame| {
        let bytes = frame.packet.bytes()[flow.net.header()..].to_vec();
        let (first, rest) = bytes.split_at(48);
        [(true, 0, first), (false, 6, rest)].map(|(more, offset, bytes)| {
            frame.clone().with(|frame| match flow.net {
                Net::V4 => {
                    frame.packet.do_not_fragment = false;
                    frame.packet.fragment = (more, offset);
                    frame.packet.body = Body::Raw(132, bytes.to_vec());
                }
                Net::V6 => {
                    let [high, low] = (offset << 3 | u16::from(more)).to_be_bytes();
                    let header = [132, 0, high, low, 7, 7, 7, 7];
                    frame.packet.body = Body::Raw(44, [&header[..], bytes].concat());
                }
            })
        })
    };
    cases.add(
        format!(
            "sctp::fragments whose port NAT would change {}",
            flow.name()
        ),
        move |bench| {
            let stage = Stage::new(bench, flow.net, true);
            stage.request(bench, &flow.request(1));
            let dropped = || Expected::Dropped(Verdict::DroppedFragment);
            for piece in pieces(flow.later(1).payload(200)) {
                bench.expect(Side::Front, &piece, dropped());
            }
            let reply = flow.reply(stage.index, stage.server, 1).payload(200);
            for piece in pieces(reply) {
                bench.expect(Side::Back, &piece, dropped());
            }
            // A whole packet goes on.
            stage.request(bench, &flow.later(1).payload(200));
        },
    );
    cases.add(
        format!("sctp::a first fragment without a chunk {}", flow.name()),
        move |bench| {
            Stage::new(bench, flow.net, false);
            let [first, _] = pieces(flow.request(1).payload(200));
            for length in [0, 8] {
                let cut = first.clone().with(|frame| {
                    if let Body::Raw(protocol, bytes) = &mut frame.packet.body {
                        bytes.truncate(length + if *protocol == 44 { 8 } else { 0 });
                    }
                });
                let malformed = Expected::Dropped(Verdict::DroppedMalformed);
                bench.expect(Side::Front, &cut, malformed);
            }
        },
    );
}

fn again(cases: &mut Cases, flow: Flow) {
    for (mode, flags) in [(0, 0), (1, REUSE)] {
        cases.add(
            format!(
                "sctp::reuse mode {mode} of a closed association {}",
                flow.name()
            ),
            move |bench| {
                let servers = [1, 2].map(|number| {
                    let server = NewServer::direct(flow.net.server(number));
                    bench.server(server)
                });
                bench.rotating(flow.vip(), 132, &servers);
                bench.plane.set_policy(1, Policy { flags, ..IPVS });
                let mut goes_to = |frame: Frame, index: u32| {
                    let sent = routed(&frame, index);
                    let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, expected);
                };
                goes_to(flow.request(1), servers[0]);
                goes_to(flow.later(1), servers[0]);
                // An INIT on a living association is the client's own affair.
                goes_to(flow.request(1), servers[0]);
                goes_to(one_chunk(flow.request(1), ABORT), servers[0]);
                // No other chunk starts anew what is over.
                goes_to(one_chunk(flow.request(1), DATA), servers[0]);
                let expected = servers[usize::from(mode != 0)];
                goes_to(flow.request(1), expected);
            },
        );
    }
}
