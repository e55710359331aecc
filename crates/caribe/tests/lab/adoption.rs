//! The director is killed under traffic and started anew: nobody notices.

use std::thread;
use std::time::Duration;

use caribe_lab::{Curl, wait};

use crate::bed::Bed;
use crate::director::{Director, SOON};
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::showing::Held;
use crate::spread::{ask, shares};
use crate::traces::{KernelObjects, addresses};

const SERVICES: [Balanced; 4] = [
    Balanced::tcp4(Way::Nat),
    Balanced::tcp6(Way::Nat),
    Balanced::tcp4(Way::Direct),
    Balanced::tcp6(Way::Tunnel),
];

/// What the counters of all services say together.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    connections: u64,
    active: u32,
    inactive: u32,
    alive: u64,
}

fn counts(director: &Director) -> Counts {
    let status = director.status();
    let servers = || status.services.iter().flat_map(|service| &service.servers);
    Counts {
        connections: status
            .services
            .iter()
            .map(|service| service.traffic.connections)
            .sum(),
        active: servers().map(|server| server.active).sum(),
        inactive: servers().map(|server| server.inactive).sum(),
        alive: status.dataplane.connections.alive,
    }
}

#[test]
fn kill_9_loses_nothing_and_the_next_start_adopts() {
    let file = LvsCf::rr(&SERVICES);
    let mut bed = Bed::with_body("adoption", &file, 1_000_000_000);
    let wanted = bed.body.as_ref().expect("a body").digest().clone();
    let Bed { director, net, .. } = &mut bed;
    let client = &net.client;
    // A gigabyte in ten seconds: long enough to be killed and restarted in.
    let curl = Curl::on(client)
        .time_limit(Duration::from_secs(90))
        .rate(100_000_000);
    let one_each = shares(&[("web1", 1), ("web2", 1), ("web3", 1)]);
    let mut held: Vec<Held> = SERVICES
        .iter()
        .flat_map(|service| (0..3).map(|_| Held::open(client, *service)))
        .collect();
    // So many connections there are by now and will be.
    let mut opened: u64 = 12;
    let (nat, direct) = (SERVICES[0], SERVICES[2]);
    thread::scope(|scope| {
        let transfers = [nat, direct].map(|service| {
            let (curl, url) = (&curl, format!("{}big", service.url()));
            scope.spawn(move || curl.digest(&url).expect("a body"))
        });
        opened += 2;
        let counted = || {
            let counts = counts(director);
            let right = counts.connections == opened && counts.active == 14;
            right.then_some(()).ok_or(format!("{counts:?}"))
        };
        wait::until("everything to be counted", SOON, counted).expect("12 held, 2 transfers");
        let objects = KernelObjects::of(&director.pins);
        let up = addresses(&net.director);

        director.kill();
        // What forwards is in the kernel, and stays.
        assert_eq!(objects.alive(), objects);
        assert_eq!(addresses(&net.director), up);
        for service in SERVICES {
            assert_eq!(ask(client, service, 3), one_each, "{service} in the gap");
            opened += 3;
        }
        for held in &mut held {
            held.ask();
        }
        wait::pause(Duration::from_secs(1));
        for transfer in &transfers {
            assert!(!transfer.is_finished(), "they go on");
        }

        director.launch(&[]);
        director.wait_until_answers();
        assert!(director.status().dataplane.adopted);
        let first = counts(director);
        assert_eq!((first.connections, first.active), (opened, 14), "{first:?}");
        for transfer in &transfers {
            assert!(!transfer.is_finished(), "they go on");
        }
        // Servers serve from the first moment: nobody waits for their first check.
        for service in SERVICES {
            assert_eq!(ask(client, service, 3), one_each, "{service} at once");
            opened += 3;
        }
        for held in &mut held {
            held.ask();
        }
        for transfer in transfers {
            assert_eq!(transfer.join().expect("no panic"), wanted);
        }
    });
    // The maps are those from before; the programs are replaced by the new one's.
    director.wait_until(None, true, SOON);
    let counted = || {
        let counts = counts(director);
        let right = counts.connections == opened
            && counts.active == 12
            && u64::from(counts.active + counts.inactive) == counts.alive
            && counts.alive == opened;
        right.then_some(()).ok_or(format!("{counts:?} of {opened}"))
    };
    wait::until("exact counts", SOON, counted).expect("the counters go on");
    drop(held);
    let none_active = || {
        let counts = counts(director);
        let right = counts.active == 0 && u64::from(counts.inactive) == counts.alive;
        right.then_some(()).ok_or(format!("{counts:?}"))
    };
    wait::until("no active connection", SOON, none_active).expect("all are closed");
    bed.leave();
}

#[test]
fn ten_kills_in_a_row_do_no_harm() {
    let file = LvsCf::rr(&SERVICES);
    let mut bed = Bed::start("kills", &file);
    let maps = KernelObjects::lasting_maps(&bed.director.pins);
    assert!(maps.len() > 10, "{maps:?}");
    let mut held: Vec<Held> = SERVICES
        .iter()
        .map(|service| Held::open(&bed.net.client, *service))
        .collect();
    for round in 0..10 {
        bed.director.kill();
        bed.director.launch(&[]);
        // Killed at ever later moments of its start.
        if round % 2 == 0 {
            wait::pause(Duration::from_millis(40 * round));
        } else {
            bed.director.wait_until_answers();
        }
        for held in &mut held {
            held.ask();
        }
    }
    bed.director.wait_until_answers();
    bed.director.wait_until(None, true, SOON);
    let now = KernelObjects::of(&bed.director.pins);
    let maps_now = KernelObjects::lasting_maps(&bed.director.pins);
    assert_eq!(maps_now, maps, "none was lost, none is made anew");
    assert_eq!((now.programs.len(), now.links.len()), (1, 2), "{now:?}");
    for service in SERVICES {
        let spread = ask(&bed.net.client, service, 9);
        assert_eq!(spread, shares(&[("web1", 3), ("web2", 3), ("web3", 3)]));
    }
    bed.leave();
}
