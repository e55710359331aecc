//! Headers that are cut short or contradict themselves are dropped, wherever they are bound for,
//! and never read beyond their end.

use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Net, TCP4, TCP6, Transport, UDP4, routed};

const ETHERNET: usize = 14;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        cases.add(
            format!("malformed::cut anywhere {}", flow.name()),
            move |bench| {
                table(bench);
                let frame = flow.request(1).payload(23).bytes();
                // The kernel hands over no frame shorter than its Ethernet header.
                for length in ETHERNET..frame.len() {
                    dropped(bench, &frame[..length]);
                }
            },
        );
        cases.add(
            format!("malformed::cut with lengths that agree {}", flow.name()),
            move |bench| {
                table(bench);
                let header = flow.net.header();
                let transport = match flow.transport {
                    Transport::Tcp => 32,
                    Transport::Udp => 8,
                    // With the header of a chunk.
                    Transport::Sctp => 16,
                };
                for kept in 0..transport {
                    let mut frame = flow.request(1).bytes();
                    frame.truncate(ETHERNET + header + kept);
                    set_ip_length(&mut frame, flow.net, header + kept);
                    dropped(bench, &frame);
                    // The same with the rest as Ethernet padding: it must not be read as header.
                    frame.extend([0x50; 64]);
                    dropped(bench, &frame);
                }
            },
        );
    }
    cases.add("malformed::ip version", |bench| {
        table(bench);
        for version in (0..16).filter(|version| *version != 4) {
            dropped(
                bench,
                &changed(&TCP4.request(1).bytes(), ETHERNET, version << 4 | 5),
            );
        }
        for version in (0..16).filter(|version| *version != 6) {
            dropped(
                bench,
                &changed(&TCP6.request(1).bytes(), ETHERNET, version << 4),
            );
        }
    });
    cases.add("malformed::ipv4 header length", |bench| {
        table(bench);
        let frame = TCP4.request(1).bytes();
        for words in 0..5 {
            dropped(bench, &changed(&frame, ETHERNET, 0x40 | words));
        }
        // Header longer than the packet.
        let mut short = frame;
        set_ip_length(&mut short, Net::V4, 40);
        dropped(bench, &changed(&short, ETHERNET, 0x4f));
    });
    for net in Net::BOTH {
        cases.add(
            format!("malformed::ip length beyond the frame {}", net.name()),
            move |bench| {
                table(bench);
                let frame = Flow {
                    net,
                    transport: Transport::Tcp,
                }
                .request(1)
                .bytes();
                let whole = frame.len() - ETHERNET;
                for length in [whole + 1, whole + 8, 2000, 65_535] {
                    let mut long = frame.clone();
                    set_ip_length(&mut long, net, length);
                    dropped(bench, &long);
                }
            },
        );
    }
    cases.add("malformed::ipv4 length below its header", |bench| {
        table(bench);
        for length in 0..20 {
            let mut short = TCP4.request(1).bytes();
            set_ip_length(&mut short, Net::V4, length);
            dropped(bench, &short);
        }
    });
    for flow in Flow::TCP {
        cases.add(
            format!("malformed::tcp data offset {}", flow.name()),
            move |bench| {
                table(bench);
                let frame = flow.request(1).bytes();
                let at = ETHERNET + flow.net.header() + 12;
                // The segment is 32 bytes: 5 to 8 words are inside.
                for words in (0..5).chain(9..16) {
                    dropped(bench, &changed(&frame, at, words << 4));
                }
            },
        );
    }
    for flow in Flow::UDP {
        cases.add(
            format!("malformed::udp length {}", flow.name()),
            move |bench| {
                table(bench);
                let frame = flow.request(1).bytes();
                let at = ETHERNET + flow.net.header() + 4;
                for length in (0..8).chain([18, 19, 1000, 65_535]) {
                    let mut wrong = frame.clone();
                    wrong[at..at + 2].copy_from_slice(&u16::to_be_bytes(length));
                    dropped(bench, &wrong);
                }
            },
        );
    }
    cases.add("malformed::also when it is not for a vip", |bench| {
        table(bench);
        let frame = UDP4
            .request(1)
            .with(|frame| frame.packet.destination = Net::V4.elsewhere())
            .bytes();
        dropped(bench, &frame[..frame.len() - 1]);
    });
    cases.add("malformed::a short frame's padding is no error", |bench| {
        let server = table(bench);
        let frame = TCP4.request(1).with(|frame| {
            frame.packet.tcp().options.clear();
            frame.padding = vec![0; 6];
        });
        assert_eq!(frame.bytes().len(), 60);
        let sent = routed(&frame, server);
        bench.expect(
            Side::Front,
            &frame,
            Expected::Redirected(Verdict::ForwardedDirect, sent),
        );
    });
    cases.add(
        "malformed::wrong checksums are not ours to judge",
        |bench| {
            let server = table(bench);
            // They stay exactly as wrong as they were, so that the server sees it.
            let frame = TCP4.request(1).with(|frame| {
                frame.packet.checksum_error = 0x0101;
                frame.packet.tcp().checksum_error = 0x8001;
            });
            let sent = routed(&frame, server);
            bench.expect(
                Side::Front,
                &frame,
                Expected::Redirected(Verdict::ForwardedDirect, sent),
            );
        },
    );
}

fn table(bench: &mut Bench<'_>) -> u32 {
    let server = bench.server(NewServer::direct(Net::V4.server(1)));
    for flow in Flow::ALL {
        bench.rotating(flow.vip(), flow.number(), &[server]);
    }
    server
}

fn dropped(bench: &mut Bench<'_>, frame: &[u8]) {
    bench.expect_bytes(
        Side::Front,
        frame,
        Expected::Dropped(Verdict::DroppedMalformed),
    );
}

fn changed(frame: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut frame = frame.to_vec();
    frame[at] = byte;
    frame
}

/// Sets the length that the IP header tells, header included; checksums are left behind.
fn set_ip_length(frame: &mut [u8], net: Net, length: usize) {
    let (at, length) = match net {
        Net::V4 => (ETHERNET + 2, length),
        Net::V6 => (ETHERNET + 4, length.saturating_sub(40)),
    };
    let length = u16::try_from(length).expect("fits the field");
    frame[at..at + 2].copy_from_slice(&length.to_be_bytes());
}
