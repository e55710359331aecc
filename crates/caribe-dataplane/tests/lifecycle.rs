//! Start, death, adoption and removal of a data plane, on the real kernel.

mod support;

use std::fs;
use std::path::PathBuf;

use aya::maps::MapInfo;
use aya::programs::ProgramInfo;
use caribe_dataplane::xdp::{Flow, OpenError, Options, XdpDataplane};
use caribe_dataplane::{Applied, Dataplane as _, DataplaneError};
use caribe_model::{Forwarding, Protocol, Scheduler};
use support::*;

const VIP: &str = "192.0.2.1:80";

fn three_servers() -> caribe_model::Table {
    let servers = [("10.0.0.2:80", 3), ("10.0.0.3:80", 2), ("10.0.0.4:80", 1)];
    table(Forwarding::Direct, &[(tcp(VIP), Scheduler::Wrr, &servers)])
}

#[test]
fn what_runs_is_adopted_with_its_connections() {
    let private = Private::enter();
    let table = three_servers();
    let mut first = private.open();
    assert!(!first.adopted());
    apply(&mut first, &table);
    let before: Vec<_> = (1000..1003).map(|port| syn(&first, port, VIP)).collect();
    assert_eq!(before, [Some(4), Some(3), Some(2)]);
    let (connections, live) = (first.connections().expect("list").count(), snapshot(&first));
    assert_eq!(connections, 3);
    drop(first); // As kill -9 does: nothing is tidied up.

    let mut second = private.open();
    assert!(second.adopted());
    assert_eq!(snapshot(&second), live);
    assert_eq!(second.apply(&table).expect("apply"), Applied { changes: 0 });
    // The rotation goes on where it was, established connections stay where they were.
    let after: Vec<_> = (1003..1006).map(|port| syn(&second, port, VIP)).collect();
    assert_eq!(after, [Some(2), Some(3), Some(2)]);
    for (port, server) in (1000..).zip(before) {
        let packet = frame(Protocol::Tcp, &format!("198.51.100.7:{port}"), VIP, ACK);
        assert_eq!(send(&second, &packet), server);
    }
    // And so does the scheduler's state, into which an edit cuts.
    let servers = [("10.0.0.2:80", 3), ("10.0.0.3:80", 1), ("10.0.0.4:80", 1)];
    let edited = support::table(Forwarding::Direct, &[(tcp(VIP), Scheduler::Wrr, &servers)]);
    apply(&mut second, &edited);
    let picks: Vec<_> = (2000..2005).map(|port| syn(&second, port, VIP)).collect();
    assert_eq!(
        picks,
        [2, 4, 3, 2, 2].map(Some),
        "the walk at weight 2 starts over, then 1, 3"
    );
    second.remove().expect("remove");
}

#[test]
fn a_connection_is_listed_and_found_as_it_is() {
    let private = Private::enter();
    let mut dataplane = private.open();
    apply(&mut dataplane, &three_servers());
    syn(&dataplane, 1000, VIP);
    let flow = Flow {
        protocol: Protocol::Tcp,
        client: socket("198.51.100.7:1000"),
        vip: socket(VIP),
    };
    let found = dataplane
        .find(&flow)
        .expect("look")
        .expect("the connection");
    assert_eq!(
        dataplane.connections().expect("list").collect::<Vec<_>>(),
        std::slice::from_ref(&found)
    );
    assert_eq!((found.client, found.vip), (flow.client, flow.vip));
    assert_eq!(found.server, socket("10.0.0.4:80"));
    assert_eq!((found.state.as_str(), found.active), ("SYN_RECV", true));
    assert_eq!(found.forwarding, Forwarding::Direct);
    assert!(
        (58..=60).contains(&found.left.as_secs()),
        "{:?} left",
        found.left
    );
    let other = Flow {
        client: socket("198.51.100.7:1001"),
        ..flow
    };
    assert_eq!(dataplane.find(&other).expect("look"), None);
    dataplane.remove().expect("remove");
}

#[test]
fn ipv6_is_adopted_and_found_as_well() {
    let private = Private::enter();
    let vip = "[2001:db8::1]:80";
    let servers = [("[fd00::2]:8080", 2), ("[fd00::3]:8080", 1)];
    let nat = [(tcp(vip), Scheduler::Wlc, &servers[..])];
    let table = table(Forwarding::Nat, &nat);
    let mut first = private.open();
    apply(&mut first, &table);
    let packet = |flags| frame(Protocol::Tcp, "[2001:db8:1::7]:1000", vip, flags);
    assert_eq!(send(&first, &packet(SYN)), Some(3));
    let live = snapshot(&first);
    drop(first);

    let mut second = private.open();
    assert_eq!(snapshot(&second), live);
    assert_eq!(second.apply(&table).expect("apply"), Applied { changes: 0 });
    assert_eq!(send(&second, &packet(ACK)), Some(3));
    let flow = Flow {
        protocol: Protocol::Tcp,
        client: socket("[2001:db8:1::7]:1000"),
        vip: socket(vip),
    };
    let found = second.find(&flow).expect("look").expect("the connection");
    assert_eq!(
        (found.server, found.forwarding),
        (socket("[fd00::3]:8080"), Forwarding::Nat)
    );
    assert_eq!(
        second.connections().expect("list").collect::<Vec<_>>(),
        [found]
    );
    // The reply is known after the adoption, too.
    let mut reply = frame(
        Protocol::Tcp,
        "[fd00::3]:8080",
        "[2001:db8:1::7]:1000",
        SYN | ACK,
    );
    reply[..6].copy_from_slice(&OWN_MAC);
    let outcome = second.probe(&reply, None).expect("probe");
    assert_eq!(outcome.frame[..6], CLIENT_MAC, "{outcome:?}");
    assert_eq!(verdict(&snapshot(&second), "forwarded_reply"), 1);
    second.remove().expect("remove");
}

/// The array of chapters is pinned by itself: while no director runs, new connections are
/// scheduled, and an adopting director leaves none of its predecessor's behind.
#[test]
fn chapters_outlive_their_director() {
    let private = Private::enter();
    let pinned = || -> Vec<PathBuf> {
        fs::read_dir(private.layout().join("chapters"))
            .expect("the directory of chapters")
            .map(|entry| entry.expect("an entry").path())
            .collect()
    };
    let mut first = private.open();
    apply(&mut first, &three_servers());
    let [of_first] = &pinned()[..] else {
        panic!("one array of chapters, not {:?}", pinned());
    };
    drop(first);

    let second = private.open();
    assert_eq!(syn(&second, 1000, VIP), Some(4));
    assert_eq!(pinned().len(), 1, "{:?}", pinned());
    assert!(!pinned().contains(of_first));
    drop(second);
    let third = private.open();
    assert_eq!(syn(&third, 1001, VIP), Some(3));
    third.remove().expect("remove");
}

#[test]
fn removal_leaves_nothing_in_the_kernel() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    ip("link set veth0 up");
    ip("link set veth1 up");
    let options = Options {
        interfaces: vec!["veth0".to_owned()],
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    apply(&mut dataplane, &three_servers());
    syn(&dataplane, 1000, VIP);
    let directory = private.layout();
    let program = ProgramInfo::from_pin(directory.join("director"))
        .expect("a program")
        .id();
    let maps: Vec<u32> = ["SERVERS", "CONNECTIONS4", "SERVICES4", "TRAFFIC_IN"]
        .map(|name| MapInfo::from_pin(directory.join(name)).expect("a map").id())
        .to_vec();
    assert!(ip_output("link show veth0").contains("xdp"));

    dataplane.remove().expect("remove");
    assert!(
        !ip_output("link show veth0").contains("xdp"),
        "detached at once"
    );
    assert!(!private.pins().exists());
    eventually("the program is gone", || {
        aya::programs::loaded_programs()
            .flatten()
            .all(|loaded| loaded.id() != program)
    });
    eventually("the maps are gone", || {
        aya::maps::loaded_maps()
            .flatten()
            .all(|loaded| !maps.contains(&loaded.id()))
    });
}

#[test]
fn one_director_to_a_directory() {
    let private = Private::enter();
    let first = private.open();
    let refused = XdpDataplane::open(&private.options()).expect_err("the directory is taken");
    assert!(matches!(refused, OpenError::Busy { .. }), "{refused}");
    drop(first);
    private.open().remove().expect("remove");
}

#[test]
fn pins_need_a_bpffs() {
    let private = Private::enter();
    let elsewhere = tempfile::tempdir().expect("a directory");
    let options = Options {
        pin_directory: elsewhere.path().join("a/b"),
        ..private.options()
    };
    let refused = XdpDataplane::open(&options).expect_err("not a bpffs");
    assert!(matches!(refused, OpenError::NotBpffs { .. }), "{refused}");
    assert_eq!(
        fs::read_dir(elsewhere.path())
            .expect("the directory")
            .count(),
        0
    );
}

#[test]
fn sizes_that_make_no_data_plane_are_refused() {
    let private = Private::enter();
    let options = Options {
        services: 0,
        ..private.options()
    };
    let refused = XdpDataplane::open(&options).expect_err("no services");
    assert_eq!(
        refused.to_string(),
        "services must be between 1 and 1048576, not 0"
    );
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let private = Private::enter();
    let options = Options {
        interfaces: vec!["nowhere0".to_owned()],
        ..private.options()
    };
    let refused = XdpDataplane::open(&options).expect_err("no such interface");
    assert!(
        refused
            .to_string()
            .starts_with("attach to interface nowhere0: "),
        "{refused}"
    );
    assert!(!private.pins().exists());
}

#[test]
fn the_beginnings_of_a_start_are_cleared_away() {
    let private = Private::enter();
    private.open();
    // Killed before the settings were there: the other maps are of no use.
    fs::remove_file(private.layout().join("SETTINGS")).expect("remove a pin");
    let dataplane = private.open();
    assert!(!dataplane.adopted());
    dataplane.remove().expect("remove");
}

#[test]
fn damaged_pins_are_replaced_only_while_nothing_is_attached() {
    let private = Private::enter();
    ip("link add veth0 type veth peer name veth1");
    let attached = Options {
        interfaces: vec!["veth0".to_owned()],
        ..private.options()
    };
    for lost in ["SERVERS", "SETTINGS"] {
        drop(XdpDataplane::open(&attached).expect("open"));
        fs::remove_file(private.layout().join(lost)).expect("remove a pin");
        let refused = XdpDataplane::open(&attached).expect_err("a map is missing");
        assert!(matches!(refused, OpenError::Damaged { .. }), "{refused}");
        assert!(
            ip_output("link show veth0").contains("xdp"),
            "and nothing was touched"
        );

        // What the message tells to do.
        fs::remove_dir_all(private.layout()).expect("rm -r");
        eventually("the program is off", || {
            !ip_output("link show veth0").contains("xdp")
        });
        let dataplane = XdpDataplane::open(&attached).expect("open afresh");
        assert!(!dataplane.adopted());
        dataplane.remove().expect("remove");
    }

    drop(private.open());
    fs::remove_file(private.layout().join("SERVERS")).expect("remove a pin");
    let dataplane = private.open();
    assert!(!dataplane.adopted());
    dataplane.remove().expect("remove");
}

#[test]
fn a_running_data_plane_keeps_its_capacity() {
    let private = Private::enter();
    let before = private.open();
    let capacity = snapshot(&before).capacity;
    drop(before);
    let options = Options {
        connections: 50_000,
        services: 99,
        ..private.options()
    };
    let after = XdpDataplane::open(&options).expect("adopt");
    assert!(after.adopted());
    assert_eq!(snapshot(&after).capacity, capacity);
    after.remove().expect("remove");
}

#[test]
fn a_table_beyond_the_capacity_changes_nothing() {
    let private = Private::enter();
    let options = Options {
        services: 2,
        servers: 3,
        slots: 100,
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open");
    let table = three_servers();
    apply(&mut dataplane, &table);
    let live = snapshot(&dataplane);

    let four = [
        ("10.0.0.2:80", 3),
        ("10.0.0.3:80", 2),
        ("10.0.0.4:80", 1),
        ("10.0.0.5:80", 1),
    ];
    let long = [("10.0.0.2:80", 97), ("10.0.0.3:80", 89)];
    let none: [(&str, u32); 0] = [];
    let vips = ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:80"].map(tcp);
    let many = vips.map(|vip| (vip, Scheduler::Wlc, &none[..]));
    for (refused, what) in [
        (&[(tcp(VIP), Scheduler::Rr, &four[..])][..], "real servers"),
        (&[(tcp(VIP), Scheduler::Wrr, &long[..])][..], "slots"),
        (&many[..], "virtual services"),
    ] {
        let refused = support::table(Forwarding::Direct, refused);
        match dataplane.apply(&refused).expect_err("beyond the capacity") {
            DataplaneError::Capacity { what: told, .. } => assert!(told.contains(what), "{told}"),
            other => panic!("{other}"),
        }
        assert_eq!(snapshot(&dataplane), live);
    }
    assert_eq!(
        dataplane.apply(&table).expect("as it was"),
        Applied { changes: 0 }
    );
    dataplane.remove().expect("remove");
}
