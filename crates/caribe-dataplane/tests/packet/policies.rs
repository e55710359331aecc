//! What a service may have otherwise than IPVS's defaults: `sloppy_tcp`, `conn_reuse_mode`,
//! `expire_nodest_conn`, `secure_tcp`.

use caribe_packet::event::Event;
use caribe_packet::policy::{
    EXPIRE_NODEST_CONN, Policy, REUSE, REUSE_FIN_WAIT, SECURE_TCP, SLOPPY_TCP,
};
use caribe_packet::tcp_state::State;
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{Flow, Transport, natted, replied, routed};
use crate::frame::{ACK, FIN, Frame, RST, SYN};
use crate::plane::IPVS;

/// A policy of these bits.
fn policy(flags: u32) -> Policy {
    Policy { flags, ..IPVS }
}

/// Sends a frame that a server must get by direct routing.
fn goes_to(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let expected = Expected::Redirected(Verdict::ForwardedDirect, routed(frame, index));
    bench.expect(Side::Front, frame, expected);
}

/// Two servers in turn, by direct routing: the first to be picked comes first.
fn two_in_turn(bench: &mut Bench<'_>, flow: Flow) -> [u32; 2] {
    let servers = [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
    bench.rotating(flow.vip(), flow.number(), &servers);
    servers
}

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::TCP {
        sloppy(cases, flow);
        reuse(cases, flow);
        secure(cases, flow);
    }
    for flow in Flow::ALL {
        nodest(cases, flow);
    }
}

fn sloppy(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("policy::case 87 sloppy tcp {}", flow.name()),
        move |bench| {
            let [first, _] = two_in_turn(bench, flow);
            let later = flow.later(1);
            let passed = Expected::Passed(Verdict::PassedNoConnection);
            bench.expect(Side::Front, &later, passed.clone());
            bench.plane.set_policy(1, policy(SLOPPY_TCP));
            bench.expect(Side::Front, &later.clone().flags(RST | ACK), passed);
            goes_to(bench, &later, first);
            assert_eq!(bench.only_entry().state, State::Established as u8);
        },
    );
}

fn reuse(cases: &mut Cases, flow: Flow) {
    // A client that closed, seen from its side alone: FIN_WAIT.
    let ended = move |bench: &mut Bench<'_>, server| {
        goes_to(bench, &flow.request(1), server);
        goes_to(bench, &flow.later(1), server);
        goes_to(bench, &flow.later(1).flags(FIN | ACK), server);
        assert_eq!(bench.only_entry().state, State::FinWait as u8);
    };
    for (mode, bits) in [
        (0, 0),
        (1, REUSE),
        (2, REUSE_FIN_WAIT),
        (3, REUSE | REUSE_FIN_WAIT),
    ] {
        cases.add(
            format!(
                "policy::case 117 reuse mode {mode} in TIME_WAIT and CLOSE {}",
                flow.name()
            ),
            move |bench| {
                let servers = two_in_turn(bench, flow);
                bench.plane.set_policy(1, policy(bits));
                for (at, state) in [State::TimeWait, State::Close].into_iter().enumerate() {
                    goes_to(bench, &flow.request(1), servers[0]);
                    let entry = bench.only_entry();
                    bench
                        .plane
                        .set_meta(&entry, state as u8, entry.flags, entry.deadline);
                    let expected = if mode == 0 { servers[0] } else { servers[1] };
                    goes_to(bench, &flow.request(1), expected);
                    assert_eq!(bench.plane.entries().len(), 1);
                    let reopened = if mode == 0 { 0 } else { at as u64 + 1 };
                    assert_eq!(bench.plane.event(Event::Reopened), reopened);
                    // Back to the first server for the other state.
                    let entry = bench.only_entry();
                    bench
                        .plane
                        .set_deadline(&entry, crate::plane::now().wrapping_sub(100));
                    if mode == 0 {
                        bench.plane.set_picks(1, 0);
                    } else {
                        bench.plane.set_picks(1, 2);
                    }
                }
            },
        );
        cases.add(
            format!(
                "policy::case 118 reuse mode {mode} in FIN_WAIT {}",
                flow.name()
            ),
            move |bench| {
                let servers = two_in_turn(bench, flow);
                bench.plane.set_policy(1, policy(bits));
                ended(bench, servers[0]);
                let expected = if mode & 2 == 0 {
                    servers[0]
                } else {
                    servers[1]
                };
                goes_to(bench, &flow.request(1), expected);
            },
        );
    }
}

fn nodest(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("policy::case 116 expire_nodest_conn {}", flow.name()),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow);
            bench
                .plane
                .set_policy(1, policy(REUSE | EXPIRE_NODEST_CONN));
            goes_to(bench, &flow.request(1), first);
            bench.remove_server(first, &NewServer::direct(flow.net.server(1)));
            if let Some(stray) = flow.stray(1) {
                // No start of a connection: to the stack, which answers it with a reset.
                let passed = Expected::Passed(Verdict::PassedNoConnection);
                bench.expect(Side::Front, &stray, passed.clone());
                bench.expect(Side::Front, &stray, passed);
            }
            goes_to(bench, &flow.request(1), second);
            assert_eq!(bench.only_entry().server, second);
            bench.expect_load(first, 0, 0);
            assert_eq!(bench.plane.event(Event::ExpiredServerGone), 1);
        },
    );
    cases.add(
        format!(
            "policy::expire_nodest_conn and a quiesced server {}",
            flow.name()
        ),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow);
            bench
                .plane
                .set_policy(1, policy(REUSE | EXPIRE_NODEST_CONN));
            goes_to(bench, &flow.request(1), first);
            bench.quiesce(first, &NewServer::direct(flow.net.server(1)));
            goes_to(bench, &flow.later(1), first);
            if flow.transport != Transport::Udp {
                // A SYN or INIT on the ports of a living connection: IPVS takes the client's word.
                goes_to(bench, &flow.request(1), second);
            } else {
                goes_to(bench, &flow.request(1), first);
            }
        },
    );
}

fn secure(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("policy::case 125 secure_tcp {}", flow.name()),
        move |bench| {
            let server = (flow.net.server(7), 8080);
            let index = bench.server(NewServer::nat(server.0, server.1));
            bench.rotating(flow.vip(), flow.number(), &[index]);
            bench.plane.set_policy(1, policy(REUSE | SECURE_TCP));
            let from_client = |bench: &mut Bench<'_>, frame: Frame| {
                let expected =
                    Expected::Redirected(Verdict::ForwardedNat, natted(&frame, index, server));
                bench.expect(Side::Front, &frame, expected);
            };
            let from_server = |bench: &mut Bench<'_>, flags: u8| {
                let frame = flow.reply(index, server, 1).flags(flags);
                let expected =
                    Expected::Redirected(Verdict::ForwardedReply, replied(&frame, 1, flow.vip()));
                bench.expect(Side::Back, &frame, expected);
            };
            from_client(bench, flow.request(1));
            assert_eq!(bench.only_entry().state, State::SynReceived as u8);
            from_server(bench, SYN | ACK);
            assert_eq!(bench.only_entry().state, State::SynAck as u8);
            from_client(bench, flow.later(1));
            assert_eq!(bench.only_entry().state, State::SynAck as u8);
            bench.expect_load(index, 1, 0);
            from_server(bench, ACK);
            assert_eq!(bench.only_entry().state, State::Established as u8);
        },
    );
}
