//! Tunnelling: an outer header of either family around a packet of either family, by the rules
//! of IPVS for TTL, DF, differentiated services and ECN.

use std::collections::HashSet;
use std::net::IpAddr;

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, TCP4, Transport, UDP4, tunnelled};
use crate::frame::Frame;

pub(crate) fn cases(cases: &mut Cases) {
    for outer in Net::BOTH {
        for flow in Flow::ALL {
            let name = format!("{} in {}", flow.name(), outer.name());
            cases.add(
                format!("tunnel::first and later packets {name}"),
                move |bench| {
                    let tunnel = Tunnel::new(bench, flow, outer);
                    tunnel.forwards(bench, &flow.request(1));
                    tunnel.forwards(bench, &flow.later(1));
                    tunnel.forwards(bench, &flow.later(1).payload(1201));
                    assert_eq!(bench.plane.entries().len(), 1);
                },
            );
        }
        for inner in Net::BOTH {
            let flow = Flow {
                net: inner,
                transport: Transport::Tcp,
            };
            let name = format!("{} in {}", inner.name(), outer.name());
            cases.add(format!("tunnel::services and ecn {name}"), move |bench| {
                let tunnel = Tunnel::new(bench, flow, outer);
                for service in 0..=255 {
                    let frame = flow.request(1).with(|frame| frame.packet.service = service);
                    tunnel.forwards(bench, &frame);
                }
            });
            cases.add(format!("tunnel::ttl {name}"), move |bench| {
                let tunnel = Tunnel::new(bench, flow, outer);
                for ttl in 2..=255 {
                    tunnel.forwards(bench, &flow.request(1).ttl(ttl));
                }
            });
            cases.add(format!("tunnel::exactly the mtu {name}"), move |bench| {
                let tunnel = Tunnel::new(bench, flow, outer);
                let rest = flow.later(1).payload(0).packet.length() + outer.header();
                tunnel.forwards(bench, &flow.request(1));
                let frame = flow.later(1).payload(1500 - rest);
                assert_eq!(
                    tunnelled(&frame, 1, tunnel.from, tunnel.to).packet.length(),
                    1500
                );
                tunnel.forwards(bench, &frame);
            });
        }
    }
    for outer in Net::BOTH {
        cases.add(
            format!("tunnel::a packet without df, v4 in {}", outer.name()),
            move |bench| {
                let tunnel = Tunnel::new(bench, UDP4, outer);
                let frame = UDP4
                    .request(1)
                    .with(|frame| frame.packet.do_not_fragment = false);
                tunnel.forwards(bench, &frame);
                assert!(
                    !tunnelled(&frame, 1, tunnel.from, tunnel.to)
                        .packet
                        .do_not_fragment,
                    "what the case is about"
                );
            },
        );
        cases.add(
            format!("tunnel::padding and flow label in {}", outer.name()),
            move |bench| {
                let tunnel = Tunnel::new(bench, TCP4, outer);
                let frame = TCP4.request(1).with(|frame| {
                    frame.packet.tcp().options.clear();
                    frame.padding = vec![0; 6];
                });
                tunnel.forwards(bench, &frame);
                let flow = Flow {
                    net: Net::V6,
                    transport: Transport::Udp,
                };
                let index = bench.server(NewServer::tunnel(outer.server(9), outer.tunnel_source()));
                bench.rotating(flow.vip(), flow.number(), &[index]);
                let tunnel = Tunnel {
                    index,
                    from: outer.tunnel_source(),
                    to: outer.server(9),
                };
                let frame = flow.request(1).with(|frame| frame.packet.label = 0xabcde);
                tunnel.forwards(bench, &frame);
            },
        );
    }
    cases.add(
        "tunnel::outer identifications differ where fragments may be made",
        |bench| {
            let tunnel = Tunnel::new(bench, UDP4, Net::V4);
            let frame = UDP4
                .request(1)
                .with(|frame| frame.packet.do_not_fragment = false);
            let mut ids = HashSet::new();
            for _ in 0..64 {
                let (verdict, _, output) = bench.send(Side::Front, 0, &frame.bytes());
                assert_eq!(verdict, Verdict::ForwardedTunnel);
                ids.insert([output[18], output[19]]);
            }
            tunnel.forwards(bench, &frame);
            assert!(
                ids.len() > 32,
                "of 64 identifications only {} differ",
                ids.len()
            );
        },
    );
    cases.add("tunnel::wrong checksums inside stay wrong", |bench| {
        let tunnel = Tunnel::new(bench, TCP4, Net::V4);
        let frame = TCP4.request(1).with(|frame| {
            frame.packet.checksum_error = 0x0203;
            frame.packet.tcp().checksum_error = 0x0405;
        });
        tunnel.forwards(bench, &frame);
    });
}

struct Tunnel {
    index: u32,
    from: IpAddr,
    to: IpAddr,
}

impl Tunnel {
    fn new(bench: &mut Bench<'_>, flow: Flow, outer: Net) -> Tunnel {
        let (from, to) = (outer.tunnel_source(), outer.server(3));
        let index = bench.server(NewServer::tunnel(to, from));
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Tunnel { index, from, to }
    }

    fn forwards(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = tunnelled(frame, self.index, self.from, self.to);
        bench.expect(
            Side::Front,
            frame,
            Expected::Redirected(Verdict::ForwardedTunnel, sent),
        );
    }
}
