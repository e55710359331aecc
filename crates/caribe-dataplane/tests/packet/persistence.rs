//! Persistence: a client's connections go to one server, which a template remembers.

use caribe_packet::connection::{TEMPLATE, TEMPLATE_ASSURED};
use caribe_packet::policy::{EXPIRE_QUIESCENT_TEMPLATE, PERSISTENT, Policy, REUSE};
use caribe_packet::settings::{ALL_PORTS, FTP, ticks_of_seconds};
use caribe_packet::verdict::Verdict;

use crate::bench::{Bench, Cases, Expected, NewServer, Side};
use crate::flow::{CPORT, Flow, Net, VPORT, natted, replied, routed};
use crate::frame::{COOKIE_ACK, Frame};
use crate::plane::{CLOCK_LAG, Entry, IPVS, now};

/// Persistent for a minute, under a mask of so many leading bits.
fn persistent(bits: u32, net: Net, flags: u32) -> Policy {
    let mut mask = [0; 16];
    let bytes = match net {
        Net::V4 => 4,
        Net::V6 => 16,
    };
    for bit in 0..bits as usize {
        assert!(bit / 8 < bytes);
        mask[bit / 8] |= 0x80 >> (bit % 8);
    }
    Policy {
        flags: REUSE | PERSISTENT | flags,
        timeout: 60,
        mask,
        ..IPVS
    }
}

fn host(net: Net) -> u32 {
    match net {
        Net::V4 => 32,
        Net::V6 => 128,
    }
}

/// Two servers in turn, by direct routing.
fn two_in_turn(bench: &mut Bench<'_>, flow: Flow, port: u16) -> [u32; 2] {
    let servers = [1, 2].map(|number| bench.server(NewServer::direct(flow.net.server(number))));
    bench.rotating((flow.net.vip(), port), flow.number(), &servers);
    servers
}

fn goes_to(bench: &mut Bench<'_>, frame: &Frame, index: u32) {
    let expected = Expected::Redirected(Verdict::ForwardedDirect, routed(frame, index));
    bench.expect(Side::Front, frame, expected);
}

/// The templates in the table.
fn templates(bench: &Bench<'_>) -> Vec<Entry> {
    let entries = bench.plane.entries();
    entries
        .into_iter()
        .filter(|entry| entry.flags & TEMPLATE != 0)
        .collect()
}

fn only_template(bench: &Bench<'_>) -> Entry {
    match templates(bench)[..] {
        [template] => template,
        ref others => panic!("not one template but {others:#?}"),
    }
}

/// Seconds until an entry's deadline.
fn seconds_left(entry: &Entry) -> u32 {
    entry.deadline.wrapping_sub(now()) / ticks_of_seconds(1)
}

pub(crate) fn cases(cases: &mut Cases) {
    for flow in Flow::ALL {
        one_client(cases, flow);
        networks(cases, flow);
        quiesced(cases, flow);
        over(cases, flow);
        all_ports(cases, flow);
        assured(cases, flow);
    }
    for flow in Flow::TCP {
        ftp(cases, flow);
    }
}

fn one_client(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!(
            "persistence::case 109 one client, one server {}",
            flow.name()
        ),
        move |bench| {
            let server = (flow.net.server(1), 8080);
            let other = (flow.net.server(2), 8080);
            let [first, second] =
                [server, other].map(|server| bench.server(NewServer::nat(server.0, server.1)));
            bench.rotating(flow.vip(), flow.number(), &[first, second]);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            let sends = |bench: &mut Bench<'_>, client, port, index, server| {
                let frame = flow.request(client).ports(port, VPORT);
                let expected =
                    Expected::Redirected(Verdict::ForwardedNat, natted(&frame, index, server));
                bench.expect(Side::Front, &frame, expected);
            };
            sends(bench, 1, CPORT, first, server);
            let template = only_template(bench);
            assert_eq!(template.client, (flow.net.client(1), 0));
            assert_eq!(template.peer, flow.vip());
            assert_eq!((template.server, template.server_port), (first, 8080));
            assert_eq!((template.protocol, template.state), (flow.number(), 0));
            assert!((58..=60).contains(&seconds_left(&template)));
            sends(bench, 1, CPORT + 1, first, server);
            sends(bench, 2, CPORT, second, other);
            sends(bench, 1, CPORT + 2, first, server);
            sends(bench, 2, CPORT + 1, second, other);
            assert_eq!(templates(bench).len(), 2);
            // Templates are in no server's load.
            let total = |load: caribe_packet::server::Load| load.active() + load.inactive();
            assert_eq!(total(bench.plane.load_of(first)), 3);
            assert_eq!(total(bench.plane.load_of(second)), 2);
        },
    );
}

fn networks(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!(
            "persistence::case 110 a network is one client {}",
            flow.name()
        ),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow, VPORT);
            let bits = host(flow.net) - 8;
            bench.plane.set_policy(1, persistent(bits, flow.net, 0));
            for client in [1, 2, 200] {
                goes_to(bench, &flow.request(client), first);
            }
            let elsewhere = flow
                .request(1)
                .with(|frame| frame.packet.source = flow.net.elsewhere());
            goes_to(bench, &elsewhere, second);
            assert_eq!(templates(bench).len(), 2);
        },
    );
}

fn quiesced(cases: &mut Cases, flow: Flow) {
    for gives_up in [false, true] {
        cases.add(
            format!(
                "persistence::case 111 a quiesced server, {} {}",
                if gives_up { "given up" } else { "kept" },
                flow.name()
            ),
            move |bench| {
                let [first, second] = two_in_turn(bench, flow, VPORT);
                let flag = if gives_up {
                    EXPIRE_QUIESCENT_TEMPLATE
                } else {
                    0
                };
                bench
                    .plane
                    .set_policy(1, persistent(host(flow.net), flow.net, flag));
                goes_to(bench, &flow.request(1), first);
                bench.quiesce(first, &NewServer::direct(flow.net.server(1)));
                let again = flow.request(1).ports(CPORT + 1, VPORT);
                goes_to(bench, &again, if gives_up { second } else { first });
                // What is established goes on.
                goes_to(bench, &flow.later(1), first);
                let once_more = flow.request(1).ports(CPORT + 2, VPORT);
                goes_to(bench, &once_more, if gives_up { second } else { first });
                assert_eq!(templates(bench).len(), 1);
            },
        );
    }
    cases.add(
        format!("persistence::a removed server {}", flow.name()),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow, VPORT);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            goes_to(bench, &flow.request(1), first);
            bench.remove_server(first, &NewServer::direct(flow.net.server(1)));
            goes_to(bench, &flow.request(1).ports(CPORT + 1, VPORT), second);
            assert_eq!(only_template(bench).server, second);
        },
    );
    cases.add(
        format!(
            "persistence::an overloaded server keeps its clients {}",
            flow.name()
        ),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow, VPORT);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            bench.plane.set_bounds(first, 1, 0);
            goes_to(bench, &flow.request(1), first);
            assert_eq!(bench.plane.load_of(first).overloaded(), 1);
            goes_to(bench, &flow.request(1).ports(CPORT + 1, VPORT), first);
            goes_to(bench, &flow.request(2), second);
            goes_to(bench, &flow.request(3), second);
        },
    );
}

fn over(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!(
            "persistence::a template that is over is forgotten {}",
            flow.name()
        ),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow, VPORT);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            goes_to(bench, &flow.request(1), first);
            // The sweeper may be late by a moment: it knows whether connections are left.
            let template = only_template(bench);
            bench.plane.set_deadline(&template, now().wrapping_sub(500));
            goes_to(bench, &flow.request(1).ports(CPORT + 1, VPORT), first);
            let template = only_template(bench);
            assert!((58..=60).contains(&seconds_left(&template)), "begun anew");
            let late = ticks_of_seconds(2) + CLOCK_LAG + 100;
            bench
                .plane
                .set_deadline(&template, now().wrapping_sub(late));
            goes_to(bench, &flow.request(1).ports(CPORT + 2, VPORT), second);
            assert_eq!(only_template(bench).server, second);
        },
    );
}

fn all_ports(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("persistence::case 113 all ports {}", flow.name()),
        move |bench| {
            let server = flow.net.server(1);
            let other = flow.net.server(2);
            // A port of its own counts for nothing here.
            let [first, second] =
                [server, other].map(|address| bench.server(NewServer::nat(address, 8080)));
            bench.rotating((flow.net.vip(), 0), flow.number(), &[first, second]);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            let unknown = Expected::Passed(Verdict::PassedNotOurs);
            bench.expect(Side::Front, &flow.request(1), unknown);
            bench.plane.settings.wide_services = ALL_PORTS;
            bench.plane.write_settings();
            for port in [80, 443, 5000] {
                let frame = flow.request(1).ports(CPORT, port);
                let sent = natted(&frame, first, (server, port));
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
            }
            let frame = flow.request(2).ports(CPORT, 443);
            let sent = natted(&frame, second, (other, 443));
            let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
            bench.expect(Side::Front, &frame, expected);
            for template in templates(bench) {
                assert_eq!(template.peer, (flow.net.vip(), 0));
                assert_eq!(template.server_port, 0);
            }
        },
    );
}

fn ftp(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!("persistence::case 121 ftp {}", flow.name()),
        move |bench| {
            let [first, second] = two_in_turn(bench, flow, 21);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            bench.plane.settings.wide_services = FTP;
            bench.plane.write_settings();
            goes_to(bench, &flow.request(1).ports(CPORT, 21), first);
            for port in [40_000, 1024, 20] {
                goes_to(bench, &flow.request(1).ports(CPORT, port), first);
            }
            let passed = Expected::Passed(Verdict::PassedNotOurs);
            for port in [80, 1023, 22] {
                let frame = flow.request(1).ports(CPORT, port);
                bench.expect(Side::Front, &frame, passed.clone());
            }
            goes_to(bench, &flow.request(2).ports(CPORT, 40_000), second);
            goes_to(bench, &flow.request(2).ports(CPORT, 21), second);
            for template in templates(bench) {
                assert_eq!((template.peer.1, template.server_port), (0, 0));
            }
        },
    );
    cases.add(
        format!("persistence::case 122 from port 20 {}", flow.name()),
        move |bench| {
            two_in_turn(bench, flow, 21);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            let data = flow.request(1).ports(20, 21);
            let passed = Expected::Passed(Verdict::PassedFtpData);
            bench.expect(Side::Front, &data, passed);
        },
    );
    cases.add(
        format!(
            "persistence::ftp without it takes its port alone {}",
            flow.name()
        ),
        move |bench| {
            let [first, _] = two_in_turn(bench, flow, 21);
            bench.plane.settings.wide_services = FTP;
            bench.plane.write_settings();
            let passed = Expected::Passed(Verdict::PassedNotOurs);
            bench.expect(Side::Front, &flow.request(1).ports(CPORT, 40_000), passed);
            goes_to(bench, &flow.request(1).ports(CPORT, 21), first);
        },
    );
}

fn assured(cases: &mut Cases, flow: Flow) {
    cases.add(
        format!(
            "persistence::assured once a connection got far {}",
            flow.name()
        ),
        move |bench| {
            let server = (flow.net.server(1), 8080);
            let index = bench.server(NewServer::nat(server.0, server.1));
            bench.rotating(flow.vip(), flow.number(), &[index]);
            bench
                .plane
                .set_policy(1, persistent(host(flow.net), flow.net, 0));
            let to_server = |bench: &mut Bench<'_>, frame: Frame| {
                let sent = natted(&frame, index, server);
                let expected = Expected::Redirected(Verdict::ForwardedNat, sent);
                bench.expect(Side::Front, &frame, expected);
            };
            to_server(bench, flow.request(1));
            assert_eq!(only_template(bench).state, 0);
            let reply = flow.reply(index, server, 1);
            let expected =
                Expected::Redirected(Verdict::ForwardedReply, replied(&reply, 1, flow.vip()));
            bench.expect(Side::Back, &reply, expected);
            if let Some(answer) = flow.stray(1) {
                assert_eq!(only_template(bench).state, 0);
                to_server(bench, answer);
            }
            if flow.is_sctp() {
                assert_eq!(only_template(bench).state, 0);
                let reply = reply.chunks(vec![(COOKIE_ACK, Vec::new())]);
                let sent = replied(&reply, 1, flow.vip());
                let expected = Expected::Redirected(Verdict::ForwardedReply, sent);
                bench.expect(Side::Back, &reply, expected);
            }
            assert_eq!(only_template(bench).state, TEMPLATE_ASSURED);
        },
    );
}
