//! Tunnels with GUE and GRE: cases 94 to 98 of IPVS's list for every way to wrap, both families
//! inside and outside, and checksums that cover what the program never reads.

use std::collections::HashSet;
use std::net::IpAddr;

use caribe_packet::policy::{NO_PMTU_DISCOVERY, Policy, REUSE};
use caribe_packet::server::{GRE, GUE, REMOTE_CHECKSUM, TUNNEL_CHECKSUM};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::checksums::GUE as GUE_PORT;
use crate::flow::{Flow, Net, SCTP4, TCP4, UDP4, UDP6, icmp_error, tunnelled};
use crate::frame::{Body, Frame, Gue};
use crate::plane::IPVS;

/// A way to wrap: name, bits of the server's flags, bytes between outer and inner IP header.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wrapping {
    pub(crate) name: &'static str,
    pub(crate) bits: u8,
    length: usize,
}

pub(crate) const WRAPPINGS: [Wrapping; 6] = [
    wrapping("ipip", 0, 0),
    wrapping("gue", GUE, 12),
    wrapping("gue with checksum", GUE | TUNNEL_CHECKSUM, 12),
    wrapping(
        "gue with remote checksum",
        GUE | TUNNEL_CHECKSUM | REMOTE_CHECKSUM,
        20,
    ),
    wrapping("gre", GRE, 4),
    wrapping("gre with checksum", GRE | TUNNEL_CHECKSUM, 8),
];

const fn wrapping(name: &'static str, bits: u8, length: usize) -> Wrapping {
    Wrapping { name, bits, length }
}

/// A tunnel of some kind as the one server of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tunnel {
    wrapping: Wrapping,
    index: u32,
    from: IpAddr,
    to: IpAddr,
}

impl Tunnel {
    pub(crate) fn new(bench: &mut Bench<'_>, flow: Flow, outer: Net, wrapping: Wrapping) -> Tunnel {
        let (from, to) = (outer.tunnel_source(), outer.server(3));
        let server = NewServer::tunnel(to, from).wrapping(wrapping.bits, GUE_PORT);
        let index = bench.server(server);
        bench.rotating(flow.vip(), flow.number(), &[index]);
        Tunnel {
            wrapping,
            index,
            from,
            to,
        }
    }

    /// The frame as it leaves.
    pub(crate) fn wrapped(&self, frame: &Frame) -> Frame {
        let bits = self.wrapping.bits;
        tunnelled(frame, self.index, self.from, self.to).with(|frame| {
            let Body::Inner(inner) = frame.packet.body.clone() else {
                panic!("no tunnel: {frame:?}");
            };
            // A datagram without a checksum has none that the receiver could compute, and SCTP's is
            // none that the option is for.
            let has_checksum = match &inner.body {
                Body::Udp(udp) => udp.with_checksum,
                Body::Sctp(_) => false,
                _ => true,
            };
            if bits & GUE != 0 {
                frame.packet.body = Body::Gue(Gue {
                    source: 0,
                    destination: GUE_PORT,
                    with_checksum: bits & TUNNEL_CHECKSUM != 0,
                    is_remote: bits & REMOTE_CHECKSUM != 0 && has_checksum,
                    inner,
                });
            } else if bits & GRE != 0 {
                frame.packet.body = Body::Gre(bits & TUNNEL_CHECKSUM != 0, inner);
            }
        })
    }

    /// Its server.
    pub(crate) fn index(&self) -> u32 {
        self.index
    }

    fn forwards(&self, bench: &mut Bench<'_>, frame: &Frame) {
        let sent = self.wrapped(frame);
        let expected = Expected::Redirected(Verdict::ForwardedTunnel, sent);
        bench.expect(Side::Front, frame, expected);
    }

    /// Bytes in front of the inner packet.
    fn overhead(&self) -> usize {
        self.wrapping.length + if self.to.is_ipv6() { 40 } else { 20 }
    }
}

pub(crate) fn cases(cases: &mut Cases) {
    for wrapping in WRAPPINGS {
        for outer in Net::BOTH {
            for flow in Flow::ALL {
                let name = format!("{} by {} over {}", flow.name(), wrapping.name, outer.name());
                cases.add(format!("case_94_98 effective mtu {name}"), move |bench| {
                    effective_mtu(bench, flow, outer, wrapping);
                });
                cases.add(format!("case_95 every length {name}"), move |bench| {
                    let tunnel = Tunnel::new(bench, flow, outer, wrapping);
                    tunnel.forwards(bench, &flow.request(1));
                    for length in (0..140).chain([511, 512, 513, 1027, 1300, 1301, 1302, 1303]) {
                        tunnel.forwards(bench, &flow.later(1).payload(length));
                    }
                });
                cases.add(format!("case_97 services and ecn {name}"), move |bench| {
                    let tunnel = Tunnel::new(bench, flow, outer, wrapping);
                    for service in [0, 1, 2, 3, 0x2e << 2, 0xb9, 0xba, 0xbb, 0xff] {
                        let frame = flow.request(1).with(|frame| frame.packet.service = service);
                        tunnel.forwards(bench, &frame.ttl(2 + service / 2));
                    }
                });
            }
            let name = format!("by {} over {}", wrapping.name, outer.name());
            cases.add(format!("case_96 pmtu_disc 0 {name}"), move |bench| {
                without_discovery(bench, outer, wrapping);
            });
            cases.add(format!("case_95 without df {name}"), move |bench| {
                without_df(bench, outer, wrapping);
            });
            cases.add(format!("tunnel::no checksum inside {name}"), move |bench| {
                let tunnel = Tunnel::new(bench, UDP4, outer, wrapping);
                let bare = |frame: &mut Frame| frame.packet.udp().with_checksum = false;
                for length in (0..300).chain([1023, 1024, 1025, 1400]) {
                    tunnel.forwards(bench, &UDP4.request(1).payload(length).with(bare));
                }
            });
            cases.add(format!("tunnel::ip options inside {name}"), move |bench| {
                let tunnel = Tunnel::new(bench, UDP4, outer, wrapping);
                for words in [1, 4, 10] {
                    let options = |frame: &mut Frame| frame.packet.options = vec![1; 4 * words];
                    tunnel.forwards(bench, &UDP4.request(1).with(options));
                }
            });
        }
    }
    for flow in [TCP4, UDP6] {
        cases.add(
            format!("tunnel::outer source port {}", flow.name()),
            move |bench| {
                outer_source_port(bench, flow);
            },
        );
    }
}

/// What fits goes, what is a byte longer is answered with what would have fitted.
fn effective_mtu(bench: &mut Bench<'_>, flow: Flow, outer: Net, wrapping: Wrapping) {
    let tunnel = Tunnel::new(bench, flow, outer, wrapping);
    tunnel.forwards(bench, &flow.request(1));
    let room = 1500 - tunnel.overhead();
    let empty = flow.later(1).payload(0).packet.length();
    let fits = flow.later(1).payload(room - empty);
    // The option for which room is kept is none for SCTP.
    let unused = if flow.is_sctp() && wrapping.bits & REMOTE_CHECKSUM != 0 {
        8
    } else {
        0
    };
    assert_eq!(tunnel.wrapped(&fits).packet.length() + unused, 1500);
    tunnel.forwards(bench, &fits);
    let frame = flow.later(1).payload(room - empty + 1);
    let [high, low] = (room as u16).to_be_bytes();
    let error = match flow.net {
        Net::V4 => (3, 4),
        Net::V6 => (2, 0),
    };
    let answer = icmp_error(&frame, error, [0, 0, high, low]);
    let expected = Expected::Transmitted(Verdict::AnsweredTooBig, answer);
    bench.expect(Side::Front, &frame, expected);
}

/// Without path MTU discovery the outer header has no DF, whatever the packet has, and nobody is
/// told what does not fit. IPv6 knows no fragments on the way, so there nothing changes.
fn without_discovery(bench: &mut Bench<'_>, outer: Net, wrapping: Wrapping) {
    for flow in [TCP4, UDP4, SCTP4, UDP6] {
        let tunnel = Tunnel::new(bench, flow, outer, wrapping);
        let flags = REUSE | NO_PMTU_DISCOVERY;
        bench.plane.set_policy(1, Policy { flags, ..IPVS });
        let may_be_cut = |frame: &Frame| {
            tunnel
                .wrapped(frame)
                .with(|frame| frame.packet.do_not_fragment = false)
        };
        let request = flow.request(1);
        let forwarded = Expected::Redirected(Verdict::ForwardedTunnel, may_be_cut(&request));
        bench.expect(Side::Front, &request, forwarded);
        let room = 1500 - tunnel.overhead();
        let empty = flow.later(1).payload(0).packet.length();
        let fits = flow.later(1).payload(room - empty);
        let forwarded = Expected::Redirected(Verdict::ForwardedTunnel, may_be_cut(&fits));
        bench.expect(Side::Front, &fits, forwarded);
        let long = flow.later(1).payload(room - empty + 1);
        let expected = if flow.net == Net::V4 {
            Expected::Dropped(Verdict::DroppedTooBig)
        } else {
            let [high, low] = (room as u16).to_be_bytes();
            let answer = icmp_error(&long, (2, 0), [0, 0, high, low]);
            Expected::Transmitted(Verdict::AnsweredTooBig, answer)
        };
        bench.expect(Side::Front, &long, expected);
    }
}

/// Without DF inside there is none outside. What is too big cannot be fragmented here.
fn without_df(bench: &mut Bench<'_>, outer: Net, wrapping: Wrapping) {
    let tunnel = Tunnel::new(bench, UDP4, outer, wrapping);
    let empty = UDP4.request(1).payload(0).packet.length();
    let room = 1500 - tunnel.overhead();
    let of_length = |length: usize| {
        UDP4.request(1)
            .payload(length - empty)
            .with(|frame| frame.packet.do_not_fragment = false)
    };
    assert!(!tunnel.wrapped(&of_length(room)).packet.do_not_fragment);
    tunnel.forwards(bench, &of_length(room));
    let dropped = Expected::Dropped(Verdict::DroppedTooBig);
    bench.expect(Side::Front, &of_length(room + 1), dropped);
}

/// It is the same for all packets of a flow, in the range of an operating system's own ports, and
/// different for different flows.
fn outer_source_port(bench: &mut Bench<'_>, flow: Flow) {
    let tunnel = Tunnel::new(bench, flow, Net::V4, WRAPPINGS[1]);
    let mut ports = HashSet::new();
    // As many flows as the table surely has room for.
    for client in 0..60 {
        let mut own = HashSet::new();
        for frame in [flow.request(1), flow.later(1), flow.later(1).payload(900)] {
            let frame = frame.ports(50_000 + client, crate::flow::VPORT);
            let (verdict, _, output) = bench.send(Side::Front, 0, &frame.bytes());
            assert_eq!(verdict, Verdict::ForwardedTunnel);
            own.insert(u16::from_be_bytes([output[34], output[35]]));
        }
        assert_eq!(own.len(), 1, "one flow, one port");
        ports.extend(own);
    }
    assert!(ports.iter().all(|port| (32_768..=60_999).contains(port)));
    assert!(ports.len() > 50, "60 flows have only {} ports", ports.len());
    tunnel.forwards(bench, &flow.later(1).ports(50_000, crate::flow::VPORT));
}
