//! The segment size in a SYN is lowered where the service has it so, in every direction that the
//! director sees, and never raised or added.

use std::net::IpAddr;

use caribe_packet::policy::{MSS_AUTO, Policy, REUSE};
use caribe_packet::server::{GRE, GUE, TUNNEL_CHECKSUM};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::checksums::GUE as GUE_PORT;
use crate::flow::{Flow, Net, TCP4, TCP6, VPORT, natted, replied, routed, tunnelled};
use crate::frame::{ACK, Body, Frame, Gue, SYN};
use crate::plane::IPVS;

/// The port of NAT servers.
const PORT: u16 = 8080;

/// The option alone.
fn mss(value: u16) -> Vec<u8> {
    let [high, low] = value.to_be_bytes();
    vec![2, 4, high, low]
}

fn announces(frame: Frame, options: Vec<u8>) -> Frame {
    frame.with(|frame| frame.packet.tcp().options = options)
}

fn policy(bench: &mut Bench<'_>, flags: u32, mss: u16) {
    let flags = REUSE | flags;
    let policy = Policy { flags, mss, ..IPVS };
    bench.plane.set_policy(1, policy);
}

fn nat(bench: &mut Bench<'_>, flow: Flow, mtu: u16) -> (u32, (IpAddr, u16)) {
    let server = (flow.net.server(7), PORT);
    let index = bench.server(NewServer::nat(server.0, server.1).mtu(mtu));
    bench.rotating(flow.vip(), 6, &[index]);
    (index, server)
}

/// What an end announces, and what the other one is told, for a limit.
const ANNOUNCED: [u16; 8] = [0, 1, 536, 1299, 1300, 1301, 1460, u16::MAX];

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, TCP6] {
        cases.add(
            format!("mss::a number, by nat both ways {}", flow.name()),
            move |bench| {
                let (index, server) = nat(bench, flow, 1500);
                policy(bench, 0, 1300);
                for value in ANNOUNCED {
                    let lowered = mss(value.min(1300));
                    // A SYN of a new connection, and one that is sent again.
                    let syn = announces(flow.request(1), mss(value));
                    let sent = natted(&announces(syn.clone(), lowered.clone()), index, server);
                    let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &syn, expected);
                    let answer = announces(flow.reply(index, server, 1), mss(value));
                    let sent = replied(&announces(answer.clone(), lowered), 1, flow.vip());
                    let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
                    bench.expect(Side::Back, &answer, expected);
                }
            },
        );
        cases.add(
            format!("mss::auto is what fits the way {}", flow.name()),
            move |bench| {
                let (index, server) = nat(bench, flow, 1400);
                policy(bench, MSS_AUTO, 0);
                let fits = 1400 - flow.net.header() as u16 - 20;
                let syn = announces(flow.request(1), mss(1460));
                let sent = natted(&announces(syn.clone(), mss(fits)), index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &syn, expected);
                let answer = announces(flow.reply(index, server, 1), mss(fits + 1));
                let sent = replied(&announces(answer.clone(), mss(fits)), 1, flow.vip());
                let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &answer, expected);
            },
        );
        cases.add(
            format!("mss::by direct routing {}", flow.name()),
            move |bench| {
                let index = bench.server(NewServer::direct(flow.net.server(7)));
                bench.rotating(flow.vip(), 6, &[index]);
                policy(bench, 0, 1000);
                let syn = flow.request(1);
                let told = announces(syn.clone(), {
                    let mut options = vec![2, 4, 0x03, 0xe8];
                    options.extend([4, 2, 1, 3, 3, 7, 1, 0]);
                    options
                });
                let sent = routed(&told, index);
                let expected = Expected::Redirected(Verdict::ForwardedDirect, sent);
                bench.expect(Side::Front, &syn, expected);
            },
        );
        for (bits, overhead) in [(0, 0), (GRE, 4), (GUE | TUNNEL_CHECKSUM, 12)] {
            for outer in Net::BOTH {
                cases.add(
                    format!(
                        "mss::auto counts the headers of tunnel {bits:#04x} over {} {}",
                        outer.name(),
                        flow.name()
                    ),
                    move |bench| through_a_tunnel(bench, flow, outer, bits, overhead),
                );
            }
        }
        cases.add(
            format!("mss::options in any order {}", flow.name()),
            move |bench| {
                let (index, server) = nat(bench, flow, 1500);
                policy(bench, 0, 1300);
                let lowered: [(Vec<u8>, usize); 4] = [
                    // Behind an odd number of bytes: the value lies across two words.
                    (vec![1, 2, 4, 0xff, 0xfe, 1, 1, 0], 3),
                    (vec![4, 2, 3, 3, 7, 2, 4, 0x12, 0x34, 0, 0, 0], 7),
                    (vec![8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 2, 4, 5, 0xb4, 0, 0], 12),
                    ([&[1; 36][..], &[2, 4, 5, 0xb4]].concat(), 38),
                ];
                for (options, at) in lowered {
                    let mut told = options.clone();
                    told[at..at + 2].copy_from_slice(&1300u16.to_be_bytes());
                    let syn = announces(flow.request(1), options);
                    let sent = natted(&announces(syn.clone(), told), index, server);
                    let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &syn, expected);
                }
                for options in [
                    vec![],
                    vec![0, 0, 0, 0, 2, 4, 5, 0xb4],
                    vec![2, 3, 0xff, 0],
                    vec![2, 0, 0xff, 0xff],
                    vec![3, 1, 2, 4, 0xff, 0xff, 0, 0],
                    vec![1, 1, 1, 2],
                    vec![8, 255, 2, 4, 0xff, 0xff, 0, 0],
                    vec![1; 40],
                ] {
                    let syn = announces(flow.request(1), options);
                    let sent = natted(&syn, index, server);
                    let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                    bench.expect(Side::Front, &syn, expected);
                }
            },
        );
        cases.add(
            format!("mss::what is no syn is left {}", flow.name()),
            move |bench| {
                let (index, server) = nat(bench, flow, 1500);
                policy(bench, 0, 1300);
                let (verdict, ..) = bench.send(Side::Front, 0, &flow.request(1).bytes());
                assert_eq!(verdict, Verdict::ForwardedNat);
                let later = announces(flow.later(1), mss(1460));
                let expected =
                    Expected::Redirected(Verdict::ForwardedNat, natted(&later, index, server));
                bench.expect(Side::Front, &later, expected);
                let reply = announces(flow.reply(index, server, 1), mss(1460)).flags(ACK);
                let sent = replied(&reply, 1, flow.vip());
                let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &reply, expected);
                // Nor is anything without the key.
                policy(bench, 0, 0);
                let syn = announces(flow.request(1), mss(u16::MAX));
                let sent = natted(&syn, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &syn, expected);
            },
        );
        cases.add(
            format!("mss::a wrong checksum stays wrong {}", flow.name()),
            move |bench| {
                let (index, server) = nat(bench, flow, 1500);
                policy(bench, 0, 1300);
                let syn = announces(flow.request(1), mss(1460))
                    .with(|frame| frame.packet.tcp().checksum_error = 0x1234);
                let sent = natted(&announces(syn.clone(), mss(1300)), index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &syn, expected);
            },
        );
    }
}

fn through_a_tunnel(bench: &mut Bench<'_>, flow: Flow, outer: Net, bits: u8, overhead: u16) {
    let (from, to) = (outer.tunnel_source(), outer.server(3));
    let server = NewServer::tunnel(to, from).wrapping(bits, GUE_PORT);
    let index = bench.server(server);
    bench.rotating((flow.net.vip(), VPORT), 6, &[index]);
    policy(bench, MSS_AUTO, 0);
    let headers = outer.header() + flow.net.header() + 20;
    let fits = 1500 - overhead - headers as u16;
    let syn = announces(flow.request(1), mss(1460)).flags(SYN);
    let told = announces(syn.clone(), mss(fits));
    let sent = tunnelled(&told, index, from, to).with(|frame| {
        let Body::Inner(inner) = frame.packet.body.clone() else {
            panic!("no tunnel: {frame:?}");
        };
        if bits & GUE != 0 {
            frame.packet.body = Body::Gue(Gue {
                source: 0,
                destination: GUE_PORT,
                with_checksum: true,
                is_remote: false,
                inner,
            });
        } else if bits & GRE != 0 {
            frame.packet.body = Body::Gre(false, inner);
        }
    });
    let expected = Expected::Redirected(Verdict::ForwardedTunnel, sent);
    bench.expect(Side::Front, &syn, expected);
}
