//! The program for real servers takes every kind of tunnel, and what the director wraps comes out
//! as it went in.

use crate::bench::{Bench, Cases, Side};
use crate::checksums;
use crate::fields::compare;
use crate::flow::{Flow, Net, TCP4, TCP6, Transport, UDP4, routed};
use crate::frame::{Body, Frame};
use crate::plane::Action;
use crate::tunnel_wrapping::{Tunnel, WRAPPINGS, Wrapping};

pub(crate) fn cases(cases: &mut Cases) {
    for wrapping in WRAPPINGS {
        for outer in Net::BOTH {
            for flow in Flow::ALL {
                let name = format!("{} by {} over {}", flow.name(), wrapping.name, outer.name());
                cases.add(
                    format!("decapsulate::undoes what the director wraps {name}"),
                    move |bench| undoes(bench, flow, outer, wrapping),
                );
            }
            let name = format!("{} over {}", wrapping.name, outer.name());
            cases.add(
                format!("decapsulate::damage is found {name}"),
                move |bench| {
                    finds_damage(bench, outer, wrapping);
                },
            );
            cases.add(format!("decapsulate::congestion {name}"), move |bench| {
                carries_marks_over(bench, outer, wrapping);
            });
            cases.add(format!("decapsulate::cut anywhere {name}"), move |bench| {
                bench.plane.add_decapsulate_vip(Net::V4.vip());
                let tunnel = Tunnel::new(bench, UDP4, outer, wrapping);
                let frame = tunnel.wrapped(&UDP4.request(1)).bytes();
                for length in 14..frame.len() {
                    let (action, output) = bench.decapsulate(&frame[..length]);
                    // What is long enough to show the inner destination may be corrupt; none of
                    // it is changed.
                    assert!(matches!(action, Action::Pass | Action::Drop));
                    if action == Action::Drop {
                        assert_eq!(output, &frame[..length]);
                    }
                }
            });
        }
    }
    cases.add("decapsulate::a datagram like GUE is left alone", |bench| {
        bench.plane.add_decapsulate_vip(Net::V4.elsewhere());
        let tunnel = Tunnel::new(bench, TCP4, Net::V4, WRAPPINGS[1]);
        let frame = tunnel.wrapped(&TCP4.request(1)).bytes();
        let (action, output) = bench.decapsulate(&frame);
        assert_eq!((action, output), (Action::Pass, frame));
        assert_eq!(bench.plane.decapsulation(), [0, 1, 0, 0, 0]);
    });
    cases.add("decapsulate::options of GUE that nobody knows", |bench| {
        bench.plane.add_decapsulate_vip(Net::V6.vip());
        let tunnel = Tunnel::new(bench, TCP6, Net::V4, WRAPPINGS[1]);
        let frame = tunnel.wrapped(&TCP6.request(1)).bytes();
        // Version 1, a control message, options without flags, flags without options, another
        // protocol.
        for (at, byte) in [
            (42, 0x40),
            (42, 0x20),
            (42, 1),
            (44, 0x80),
            (45, 1),
            (43, 17),
        ] {
            let mut other = frame.clone();
            other[at] = byte;
            let (action, output) = bench.decapsulate(&other);
            assert_eq!((action, output), (Action::Pass, other));
        }
        assert_eq!(bench.plane.decapsulation(), [0, 6, 0, 0, 0]);
    });
}

fn undoes(bench: &mut Bench<'_>, flow: Flow, outer: Net, wrapping: Wrapping) {
    bench.plane.add_decapsulate_vip(flow.net.vip());
    let tunnel = Tunnel::new(bench, flow, outer, wrapping);
    let mut frames = vec![flow.request(1)];
    frames.extend(
        [0, 1, 2, 3, 127, 128, 129, 1000, 1340].map(|length| flow.later(1).payload(length)),
    );
    if flow.transport == Transport::Udp && flow.net == Net::V4 {
        let bare = |frame: &mut Frame| frame.packet.udp().with_checksum = false;
        frames.push(flow.request(1).payload(333).with(bare));
    }
    for frame in &frames {
        let (_, _, wrapped) = bench.send(Side::Front, 0, &frame.bytes());
        let (action, output) = bench.decapsulate(&wrapped);
        assert_eq!(action, Action::Pass);
        let wanted = routed(frame, tunnel.index()).bytes();
        assert!(
            output == wanted,
            "unwrapped wrongly\n{}",
            compare(&wanted, &output)
        );
        checksums::verify(&output).expect("every checksum inside is right");
    }
    let count = frames.len() as u64;
    assert_eq!(bench.plane.decapsulation(), [count, 0, 0, 0, 0]);
}

/// A bit that flips anywhere under a tunnel's checksum is found; without one it passes.
fn finds_damage(bench: &mut Bench<'_>, outer: Net, wrapping: Wrapping) {
    bench.plane.add_decapsulate_vip(Net::V4.vip());
    let tunnel = Tunnel::new(bench, UDP4, outer, wrapping);
    let sound = tunnel.wrapped(&UDP4.request(1).payload(201)).bytes();
    let covered = tunnel.is_checked();
    for at in sound.len() - 150..sound.len() {
        let mut damaged = sound.clone();
        damaged[at] ^= 1 << (at % 8);
        let (action, _) = bench.decapsulate(&damaged);
        let wanted = if covered { Action::Drop } else { Action::Pass };
        assert_eq!(action, wanted, "byte {at} of {}", sound.len());
    }
    let [unwrapped, _, _, corrupt, _] = bench.plane.decapsulation();
    assert_eq!(
        (unwrapped, corrupt),
        if covered { (0, 150) } else { (150, 0) }
    );
    // What came to the director with a wrong checksum leaves so that it is found out: at the
    // tunnel's end where that has a checksum, and by the server itself where not.
    let wrong = UDP4
        .request(1)
        .with(|frame| frame.packet.udp().checksum_error = 0x0102);
    let (_, _, wrapped) = bench.send(Side::Front, 0, &wrong.bytes());
    let (action, output) = bench.decapsulate(&wrapped);
    if covered {
        assert_eq!(action, Action::Drop);
    } else {
        assert_eq!(action, Action::Pass);
        checksums::verify(&output).expect_err("a wrong checksum stays wrong");
    }
}

/// RFC 6040: a mark made on the way through the tunnel reaches the packet inside, or the packet
/// is dropped.
fn carries_marks_over(bench: &mut Bench<'_>, outer: Net, wrapping: Wrapping) {
    bench.plane.add_decapsulate_vip(Net::V4.vip());
    bench.plane.add_decapsulate_vip(Net::V6.vip());
    let mut congested = 0;
    for flow in [TCP4, TCP6] {
        let tunnel = Tunnel::new(bench, flow, outer, wrapping);
        for inside in 0..4 {
            for outside in 0..4 {
                let request = flow
                    .request(1)
                    .with(|frame| frame.packet.service = 0x28 | inside);
                let wrapped = tunnel
                    .wrapped(&request)
                    .with(|frame| frame.packet.service = 0xb8 | outside);
                let (action, output) = bench.decapsulate(&wrapped.bytes());
                let service = match (inside, outside) {
                    (0, 3) => {
                        congested += 1;
                        assert_eq!(action, Action::Drop);
                        continue;
                    }
                    (1 | 2, 3) => 0x2b,
                    (2, 1) => 0x29,
                    _ => 0x28 | inside,
                };
                assert_eq!(action, Action::Pass);
                let wanted = routed(&request, tunnel.index())
                    .with(|frame| frame.packet.service = service)
                    .bytes();
                assert!(
                    output == wanted,
                    "inside {inside}, outside {outside}\n{}",
                    compare(&wanted, &output)
                );
            }
        }
    }
    assert_eq!(bench.plane.decapsulation()[4], congested);
}

impl Tunnel {
    /// True if the tunnel has a checksum of its own.
    fn is_checked(&self) -> bool {
        let empty = UDP4.request(1);
        match self.wrapped(&empty).packet.body {
            Body::Gue(gue) => gue.with_checksum,
            Body::Gre(with_checksum, _) => with_checksum,
            _ => false,
        }
    }
}
