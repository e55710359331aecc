//! lblc and lblcr: servers that are remembered for a destination. Loads and times are set, not
//! waited for.

use caribe_packet::locality::{Destination, MOST_MEMBERS};
use caribe_packet::server::Server;
use caribe_packet::service::Choice;
use caribe_packet::settings::ticks_of_seconds;

use crate::bench::{Bench, Cases, NewServer};
use crate::flow::{Flow, Net, TCP4, TCP6, VPORT};
use crate::plane::now;
use crate::schedulers::{picks, servers};

/// The service of every case: the first of its bench.
const SERVICE: u32 = 1;

pub(crate) fn cases(cases: &mut Cases) {
    for flow in [TCP4, TCP6] {
        cases.add(
            format!("schedule::case 83 lblc {}", flow.name()),
            move |bench| {
                let [a, b, _] = servers(bench, flow.net);
                start(bench, flow, Choice::Locality, &[(a, 2), (b, 10)]);
                // Nothing is known of the destination: wlc, whose choice is remembered.
                loads(bench, &[(a, 0, 0), (b, 1, 0)]);
                assert_eq!(pick(bench, flow), a);
                loads(bench, &[(a, 2, 99), (b, 0, 0)]);
                assert_eq!(
                    pick(bench, flow),
                    a,
                    "no more active connections than weight"
                );
                loads(bench, &[(a, 3, 0), (b, 5, 0)]);
                assert_eq!(pick(bench, flow), a, "nobody has room to spare");
                loads(bench, &[(a, 3, 0), (b, 1, 0)]);
                assert_eq!(pick(bench, flow), b, "as wlc chooses");
                loads(bench, &[(a, 0, 0), (b, 3, 0)]);
                assert_eq!(pick(bench, flow), b, "the other one is remembered now");
            },
        );
        cases.add(
            format!("schedule::case 84 lblcr {}", flow.name()),
            move |bench| {
                let [a, b, c] = servers(bench, flow.net);
                start(bench, flow, Choice::Replicated, &[(a, 2), (b, 2), (c, 2)]);
                loads(bench, &[(a, 0, 0), (b, 1, 0), (c, 1, 0)]);
                assert_eq!(pick(bench, flow), a);
                // Another one joins when the set is crowded and somebody has room to spare.
                loads(bench, &[(a, 3, 0), (b, 0, 0), (c, 0, 1)]);
                assert_eq!(pick(bench, flow), b);
                assert_eq!(members(bench, flow), [b, a]);
                // The least loaded of the set, whoever else were idle.
                loads(bench, &[(a, 1, 0), (b, 2, 0), (c, 0, 0)]);
                assert_eq!(pick(bench, flow), a);
                assert_eq!(members(bench, flow), [b, a]);
                // The set has not changed for as long as it may: the most loaded leaves.
                let day = ticks_of_seconds(86_400);
                bench.plane.settings.lblcr_expiration = day;
                bench.plane.write_settings();
                last_changed(bench, flow, day - 1000);
                loads(bench, &[(a, 1, 0), (b, 2, 0), (c, 0, 0)]);
                assert_eq!(pick(bench, flow), a);
                assert_eq!(members(bench, flow), [b, a]);
                last_changed(bench, flow, day + 1000);
                loads(bench, &[(a, 1, 0), (b, 2, 0), (c, 0, 0)]);
                assert_eq!(pick(bench, flow), a);
                assert_eq!(members(bench, flow), [a]);
            },
        );
    }
    cases.add(
        "schedule::lblcr uses whom it takes out of the set",
        |bench| {
            let [a, b, _] = servers(bench, Net::V4);
            start(bench, TCP4, Choice::Replicated, &[(a, 2), (b, 2)]);
            remember(bench, TCP4, &[a, b]);
            bench.plane.settings.lblcr_expiration = 1000;
            bench.plane.write_settings();
            last_changed(bench, TCP4, 2000);
            // Of equals the first is both the least and the most loaded.
            assert_eq!(pick(bench, TCP4), a);
            assert_eq!(members(bench, TCP4), [b]);
        },
    );
    cases.add(
        "schedule::lblc leaves who is quiesced or removed",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            start(bench, TCP4, Choice::Locality, &[(a, 1), (b, 1), (c, 1)]);
            remember(bench, TCP4, &[c]);
            assert_eq!(pick(bench, TCP4), c);
            weigh(bench, c, 0);
            assert_eq!(pick(bench, TCP4), a);
            assert_eq!(members(bench, TCP4), [a]);
            let a_server = NewServer::direct(Net::V4.server(1));
            bench.remove_server(a, &a_server);
            loads(bench, &[(a, 0, 0), (b, 0, 0), (c, 1, 0)]);
            // A removed server is in no slot.
            bench.choosing(
                (Net::V4.vip(), VPORT),
                6,
                Choice::Locality,
                &[(b, 1), (c, 1)],
            );
            own(bench, 2, &[(b, 1), (c, 1)]);
            assert_eq!(pick(bench, TCP4), b);
        },
    );
    cases.add(
        "schedule::what another service remembers is not asked",
        |bench| {
            let [a, b, c] = servers(bench, Net::V4);
            start(bench, TCP4, Choice::Locality, &[(a, 1), (b, 1)]);
            remember(bench, TCP4, &[b]);
            assert_eq!(pick(bench, TCP4), b);
            // The index is another service's by now.
            own(bench, 7, &[(b, 1)]);
            assert_eq!(pick(bench, TCP4), a);
            // And a service of its own knows nothing of that destination.
            bench.choosing((Net::V4.vip(), 81), 6, Choice::Locality, &[(c, 1), (b, 1)]);
            own(bench, 2, &[(c, 1), (b, 1)]);
            assert_eq!(picks(bench, TCP4, 81, 1), [c]);
        },
    );
    cases.add(
        "schedule::lblc asks no threshold of whom it remembers",
        |bench| {
            let [a, b, _] = servers(bench, Net::V4);
            start(bench, TCP4, Choice::Locality, &[(a, 1), (b, 1)]);
            remember(bench, TCP4, &[a]);
            bench.plane.overload(a);
            assert_eq!(pick(bench, TCP4), a);
        },
    );
    cases.add("schedule::lblcr passes over who is overloaded", |bench| {
        let [a, b, c] = servers(bench, Net::V4);
        start(bench, TCP4, Choice::Replicated, &[(a, 1), (b, 1), (c, 1)]);
        remember(bench, TCP4, &[a, b]);
        loads(bench, &[(a, 0, 0), (b, 1, 0), (c, 0, 0)]);
        bench.plane.overload(a);
        assert_eq!(pick(bench, TCP4), b);
        bench.plane.overload(b);
        assert_eq!(pick(bench, TCP4), c);
        assert_eq!(members(bench, TCP4), [c, a, b]);
        bench.plane.overload(c);
        let (verdict, _, _) = bench.send(
            crate::bench::Side::Front,
            0,
            &TCP4.request(1).ports(9, VPORT).bytes(),
        );
        assert_eq!(verdict, caribe_packet::verdict::Verdict::AnsweredNoServer);
    });
    cases.add(
        "schedule::a full set of lblcr loses its most loaded",
        |bench| {
            let servers: Vec<u32> = (0..MOST_MEMBERS as u8 + 1)
                .map(|number| bench.server(NewServer::direct(Net::V4.server(number + 1))))
                .collect();
            let weighted: Vec<(u32, u32)> = servers.iter().map(|server| (*server, 1)).collect();
            start(bench, TCP4, Choice::Replicated, &weighted);
            let (idle, set) = servers.split_last().expect("more than one");
            remember(bench, TCP4, set);
            for server in set {
                bench.plane.set_load(*server, 2, 0);
            }
            bench.plane.set_load(set[4], 9, 0);
            assert_eq!(pick(bench, TCP4), *idle);
            let mut expected = vec![*idle];
            expected.extend(set.iter().filter(|server| **server != set[4]));
            assert_eq!(members(bench, TCP4), expected);
        },
    );
    cases.add("schedule::lblc without servers", |bench| {
        start(bench, TCP4, Choice::Locality, &[]);
        let frame = TCP4.request(1).bytes();
        let (verdict, _, _) = bench.send(crate::bench::Side::Front, 0, &frame);
        assert_eq!(verdict, caribe_packet::verdict::Verdict::AnsweredNoServer);
        assert_eq!(bench.plane.destination(SERVICE, Net::V4.vip()), None);
    });
}

/// Enters the service of a case, with its servers and their weights.
fn start(bench: &mut Bench<'_>, flow: Flow, choice: Choice, weighted: &[(u32, u32)]) {
    bench.choosing(flow.vip(), 6, choice, weighted);
    own(bench, SERVICE, weighted);
}

/// Makes servers those of a service, with these weights.
fn own(bench: &mut Bench<'_>, service: u32, weighted: &[(u32, u32)]) {
    for (server, weight) in weighted {
        let line = bench.plane.server(*server);
        let line = Server {
            service,
            weight: *weight,
            ..line
        };
        bench.plane.set_server(*server, line);
    }
}

fn weigh(bench: &mut Bench<'_>, server: u32, weight: u32) {
    let line = bench.plane.server(server);
    bench.plane.set_server(server, Server { weight, ..line });
}

fn loads(bench: &mut Bench<'_>, loads: &[(u32, u32, u32)]) {
    for (server, active, inactive) in loads {
        bench.plane.set_load(*server, *active, *inactive);
    }
}

/// The server that a new connection gets.
fn pick(bench: &mut Bench<'_>, flow: Flow) -> u32 {
    picks(bench, flow, VPORT, 1)[0]
}

/// Servers that are remembered for the VIP, the last to join first.
fn members(bench: &Bench<'_>, flow: Flow) -> Vec<u32> {
    let known = bench.plane.destination(SERVICE, flow.net.vip());
    let members = known.expect("the VIP is known").members;
    members.into_iter().take_while(|it| *it != 0).collect()
}

/// Makes servers those that are remembered for the VIP.
fn remember(bench: &mut Bench<'_>, flow: Flow, servers: &[u32]) {
    let now = now();
    let mut known = Destination::new(servers[0], now);
    known.members[..servers.len()].copy_from_slice(servers);
    bench.plane.set_destination(SERVICE, flow.net.vip(), known);
}

/// Lets the set for the VIP have changed so many ticks ago.
fn last_changed(bench: &mut Bench<'_>, flow: Flow, ago: u32) {
    let vip = flow.net.vip();
    let known = bench.plane.destination(SERVICE, vip).expect("known");
    let last_change = now().wrapping_sub(ago);
    let known = Destination {
        last_change,
        ..known
    };
    bench.plane.set_destination(SERVICE, vip, known);
}
