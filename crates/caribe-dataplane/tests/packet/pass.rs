//! What is not ours goes to the kernel, untouched.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{BACK_MAC, FRONT_MAC, Flow, Net, TCP4, UDP4, client_mac, routed};
use crate::frame::{ACK, Body, FIN, Frame, Packet, RST, SYN};

pub(crate) fn cases(cases: &mut Cases) {
    cases.add("pass::arp", |bench| {
        table(bench);
        let mut frame = ethernet([0x08, 0x06]);
        frame.extend([0, 1, 8, 0, 6, 4, 0, 1]);
        frame.extend([0; 20]);
        bench.expect_bytes(Side::Front, &frame, Expected::Passed(Verdict::PassedNotIp));
    });
    cases.add("pass::other ether types", |bench| {
        table(bench);
        // LLDP, MPLS, PPPoE, 802.3 length fields, loopback.
        for ether_type in [
            [0x88, 0xcc],
            [0x88, 0x47],
            [0x88, 0x64],
            [0x00, 0x26],
            [0x90, 0x00],
        ] {
            let mut frame = ethernet(ether_type);
            frame.extend([0x45; 46]);
            bench.expect_bytes(Side::Front, &frame, Expected::Passed(Verdict::PassedNotIp));
        }
    });
    for flow in Flow::ALL {
        let name = flow.name();
        cases.add(
            format!("pass::broadcast and multicast {name}"),
            move |bench| {
                table(bench);
                for group in [
                    [0xff; 6],
                    [1, 0, 0x5e, 0, 0, 1],
                    [0x33, 0x33, 0, 0, 0, 1],
                    [3, 0xbf, 1, 2, 3, 4],
                ] {
                    let frame = flow.request(1).with(|frame| frame.destination = group);
                    let passed = Expected::Passed(Verdict::PassedGroup);
                    bench.expect(Side::Front, &frame, passed);
                }
            },
        );
    }
    for (name, tag) in [("802.1q", [0x81, 0x00]), ("802.1ad", [0x88, 0xa8])] {
        cases.add(
            format!("pass::vlan tag {name}, though a VIP is inside"),
            move |bench| {
                table(bench);
                let plain = TCP4.request(1).bytes();
                let tagged = [&plain[..12], &tag, &[0x00, 0x07], &plain[12..]].concat();
                bench.expect_bytes(Side::Front, &tagged, Expected::Passed(Verdict::PassedVlan));
            },
        );
    }
    for net in Net::BOTH {
        cases.add(
            format!("pass::ping to the vip {}", net.name()),
            move |bench| {
                table(bench);
                let (echo, reply) = if net == Net::V4 { (8, 0) } else { (128, 129) };
                for kind in [echo, reply] {
                    let rest = [0x12, 0x34, 0, 1];
                    let body = Body::Icmp {
                        kind,
                        code: 0,
                        rest,
                        payload: vec![0x61; 56],
                    };
                    passes(bench, &to_vip(net, body), Verdict::PassedProtocol);
                }
            },
        );
        cases.add(
            format!("pass::icmp error to the vip {}", net.name()),
            move |bench| {
                table(bench);
                let quoted = TCP4.request(1).packet.bytes()[..28].to_vec();
                let kind = if net == Net::V4 { 3 } else { 1 };
                let body = Body::Icmp {
                    kind,
                    code: 1,
                    rest: [0; 4],
                    payload: quoted,
                };
                passes(bench, &to_vip(net, body), Verdict::PassedProtocol);
            },
        );
        cases.add(
            format!("pass::other protocols to the vip {}", net.name()),
            move |bench| {
                table(bench);
                // IGMP, IPIP, GRE, ESP, AH, OSPF, VRRP, UDP-Lite.
                for protocol in [2, 4, 47, 50, 51, 89, 112, 136] {
                    let body = Body::Raw(protocol, vec![0x11; 40]);
                    passes(bench, &to_vip(net, body), Verdict::PassedProtocol);
                }
            },
        );
    }
    for flow in Flow::ALL {
        cases.add(format!("pass::not ours {}", flow.name()), move |bench| {
            table(bench);
            let another_port = flow.request(1).ports(50_000, 81);
            passes(bench, &another_port, Verdict::PassedNotOurs);
            let elsewhere = flow
                .request(1)
                .with(|frame| frame.packet.destination = flow.net.elsewhere());
            passes(bench, &elsewhere, Verdict::PassedNotOurs);
            // The VIP's own packets, as they pass a bridge.
            let from_vip = flow.request(1).ports(80, 50_000).with(|frame| {
                frame.packet.destination = frame.packet.source;
                frame.packet.source = flow.net.vip();
            });
            passes(bench, &from_vip, Verdict::PassedNotOurs);
            assert_eq!(bench.plane.entries(), []);
        });
        cases.add(
            format!("pass::source port 20 {}", flow.name()),
            move |bench| {
                let server = table(bench);
                let ftp_data = flow.request(1).ports(20, 80);
                passes(bench, &ftp_data, Verdict::PassedFtpData);
                // To port 20 is nothing special, and neither is 5120, its bytes swapped.
                let swapped = flow.request(1).ports(5120, 80);
                let sent = routed(&swapped, server);
                let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
                bench.expect(Side::Front, &swapped, forwarded);
            },
        );
    }
    cases.add("pass::a service's port over the other protocol", |bench| {
        let server = bench.server(NewServer::direct(Net::V4.server(1)));
        bench.rotating(TCP4.vip(), 6, &[server]);
        passes(bench, &UDP4.request(1), Verdict::PassedNotOurs);
    });
    for flow in Flow::TCP {
        cases.add(
            format!("pass::tcp that starts nothing {}", flow.name()),
            move |bench| {
                table(bench);
                for flags in [
                    0,
                    ACK,
                    FIN,
                    FIN | ACK,
                    RST,
                    RST | ACK,
                    RST | SYN,
                    SYN | RST | ACK,
                ] {
                    let stray = flow.request(1).flags(flags);
                    passes(bench, &stray, Verdict::PassedNoConnection);
                }
                assert_eq!(bench.plane.entries(), [], "nothing was entered");
                assert_eq!(bench.plane.picks(1), 0, "the scheduler was not asked");
            },
        );
        cases.add(
            format!("pass::stray tcp elsewhere is not ours {}", flow.name()),
            move |bench| {
                table(bench);
                let stray = flow.request(1).flags(ACK).ports(50_000, 22);
                passes(bench, &stray, Verdict::PassedNotOurs);
            },
        );
    }
    for flow in Flow::TCP {
        cases.add(
            format!(
                "pass::odd flags with syn start a connection {}",
                flow.name()
            ),
            move |bench| {
                let server = table(bench);
                for (client, flags) in [(1, SYN | ACK), (2, SYN | FIN), (3, SYN | 0xc0)] {
                    let frame = flow.request(client).flags(flags);
                    let sent = routed(&frame, server);
                    let forwarded = Expected::Redirected(Verdict::ForwardedDirect, sent);
                    bench.expect(Side::Front, &frame, forwarded);
                }
            },
        );
    }
}

/// A service of each kind on port 80 of each VIP, all on one server by direct routing.
fn table(bench: &mut Bench<'_>) -> u32 {
    let server = bench.server(NewServer::direct(Net::V4.server(1)));
    for flow in Flow::ALL {
        bench.rotating(flow.vip(), flow.number(), &[server]);
    }
    server
}

fn passes(bench: &mut Bench<'_>, frame: &Frame, verdict: Verdict) {
    bench.expect(Side::Front, frame, Expected::Passed(verdict));
}

fn to_vip(net: Net, body: Body) -> Frame {
    Frame {
        destination: FRONT_MAC,
        source: client_mac(1),
        packet: Packet::new(net.client(1), net.vip(), body),
        padding: Vec::new(),
    }
}

fn ethernet(ether_type: [u8; 2]) -> Vec<u8> {
    [&[0xff; 6][..], &BACK_MAC, &ether_type].concat()
}
