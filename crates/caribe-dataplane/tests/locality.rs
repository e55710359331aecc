//! lblc and lblcr over the whole data plane: what is remembered for a destination through edits,
//! removals, changes of the scheduler, indices that are used again, and a director that adopts.

mod support;

use std::num::NonZeroU32;
use std::time::Duration;

use caribe_dataplane::Dataplane as _;
use caribe_dataplane::xdp::{Options, XdpDataplane};
use caribe_model::{
    Family, Forwarding, MarkRule, Protocol, Scheduler, ServiceKey, Table, Timeouts,
};
use support::*;

const VIP: &str = "192.0.2.1:80";

fn lblc(servers: &[(&str, u32)]) -> Table {
    table(Forwarding::Direct, &[(tcp(VIP), Scheduler::Lblc, servers)])
}

/// New connections, one after the other from ports that were not used before.
struct Client {
    port: u16,
}

impl Client {
    fn opens(&mut self, dataplane: &XdpDataplane) -> Option<u8> {
        self.opens_to(dataplane, VIP)
    }

    fn opens_to(&mut self, dataplane: &XdpDataplane, vip: &str) -> Option<u8> {
        self.port += 1;
        syn(dataplane, self.port, vip)
    }
}

#[test]
fn case_83_lblc_stays_until_it_is_crowded_and_somebody_has_room() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut client = Client { port: 1000 };
    apply(&mut dataplane, &lblc(&[("10.0.0.2:80", 2)]));
    for _ in 0..5 {
        assert_eq!(client.opens(&dataplane), Some(2));
    }
    // Crowded, and the new one has room to spare for four.
    let both = [("10.0.0.2:80", 2), ("10.0.0.3:80", 4)];
    apply(&mut dataplane, &lblc(&both));
    assert_eq!(client.opens(&dataplane), Some(3));
    for _ in 0..6 {
        // Not crowded up to four; then nobody has room: the first one has five for a weight of 2.
        assert_eq!(client.opens(&dataplane), Some(3));
    }
}

#[test]
fn case_84_lblcr_chooses_among_the_set() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut client = Client { port: 1000 };
    let replicated = |servers: &[(&str, u32)]| {
        table(Forwarding::Direct, &[(tcp(VIP), Scheduler::Lblcr, servers)])
    };
    apply(&mut dataplane, &replicated(&[("10.0.0.2:80", 1)]));
    for _ in 0..2 {
        assert_eq!(client.opens(&dataplane), Some(2));
    }
    let three = [("10.0.0.2:80", 1), ("10.0.0.3:80", 9), ("10.0.0.4:80", 1)];
    apply(&mut dataplane, &replicated(&three));
    // wlc: the newest of the idle ones joins.
    assert_eq!(client.opens(&dataplane), Some(4));
    // Of the set the newest member is the least loaded until it has two.
    assert_eq!(client.opens(&dataplane), Some(4));
    // Crowded: the third joins, and has room for many.
    for _ in 0..9 {
        assert_eq!(client.opens(&dataplane), Some(3));
    }
}

#[test]
fn who_is_edited_or_removed_is_left_and_comes_back_as_it_was() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut client = Client { port: 1000 };
    let weighted = |two, three| lblc(&[("10.0.0.2:80", two), ("10.0.0.3:80", three)]);
    apply(&mut dataplane, &weighted(100, 1));
    assert_eq!(client.opens(&dataplane), Some(3));
    assert_eq!(client.opens(&dataplane), Some(3));
    apply(&mut dataplane, &weighted(100, 0));
    assert_eq!(client.opens(&dataplane), Some(2));
    // The other one is remembered now.
    apply(&mut dataplane, &weighted(100, 1000));
    assert_eq!(client.opens(&dataplane), Some(2));
    apply(&mut dataplane, &lblc(&[("10.0.0.3:80", 1000)]));
    assert_eq!(client.opens(&dataplane), Some(3));
    apply(&mut dataplane, &weighted(100, 1000));
    assert_eq!(client.opens(&dataplane), Some(3));
}

/// A server that is removed and added again soon is the one that is remembered, if nobody came
/// meanwhile.
#[test]
fn a_server_that_returns_is_remembered() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut client = Client { port: 1000 };
    apply(&mut dataplane, &lblc(&[("10.0.0.2:80", 9)]));
    assert_eq!(client.opens(&dataplane), Some(2));
    apply(&mut dataplane, &lblc(&[("10.0.0.3:80", 9)]));
    apply(
        &mut dataplane,
        &lblc(&[("10.0.0.2:80", 9), ("10.0.0.3:80", 9)]),
    );
    assert_eq!(client.opens(&dataplane), Some(2));
}

#[test]
fn another_scheduler_and_another_service_know_nothing() {
    let private = Private::enter();
    // Three numbers for services: every one comes round soon, after a table of the other kind.
    let options = Options {
        services: 3,
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open the data plane");
    let mut client = Client { port: 1000 };
    let both = [("10.0.0.2:80", 1000), ("10.0.0.3:80", 1000)];
    let with = |scheduler| table(Forwarding::Direct, &[(tcp(VIP), scheduler, &both)]);
    let only = lblc(&both[..1]);
    for _ in 0..6 {
        apply(&mut dataplane, &only);
        assert_eq!(client.opens(&dataplane), Some(2));
        apply(&mut dataplane, &Table::default());
        apply(&mut dataplane, &with(Scheduler::Lblc));
        assert_eq!(
            client.opens(&dataplane),
            Some(3),
            "the other has a connection more"
        );
        apply(&mut dataplane, &Table::default());
    }
    apply(&mut dataplane, &only);
    assert_eq!(client.opens(&dataplane), Some(2));
    apply(&mut dataplane, &with(Scheduler::Lblc));
    assert_eq!(client.opens(&dataplane), Some(2), "still the same service");
    apply(&mut dataplane, &with(Scheduler::Wlc));
    apply(&mut dataplane, &with(Scheduler::Lblc));
    assert_eq!(client.opens(&dataplane), Some(3), "wlc remembers nothing");
}

/// An index that is given to another server is not remembered as the former one's.
#[test]
fn an_index_that_is_used_again_is_not_who_was_remembered() {
    let private = Private::enter();
    // Indices for three servers and three that were removed.
    let options = Options {
        servers: 3,
        timeouts: Timeouts {
            udp: Duration::from_millis(20),
            ..Timeouts::default()
        },
        ..private.options()
    };
    let mut dataplane = XdpDataplane::open(&options).expect("open the data plane");
    let of = |servers: &[u8]| {
        let servers: Vec<String> = servers.iter().map(|it| format!("10.0.0.{it}:80")).collect();
        let servers: Vec<(&str, u32)> = servers.iter().map(|it| (it.as_str(), 9)).collect();
        table(Forwarding::Direct, &[(udp(VIP), Scheduler::Lblc, &servers)])
    };
    let opens = |dataplane: &XdpDataplane, port: u16| {
        let client = format!("198.51.100.7:{port}");
        send(dataplane, &frame(Protocol::Udp, &client, VIP, 0))
    };
    // Until a sweep finds that nobody refers to the removed ones, and a grace period is over.
    let rest = |dataplane: &mut XdpDataplane| {
        wait(1200);
        dataplane.sweep().expect("sweep");
    };
    apply(&mut dataplane, &of(&[2]));
    assert_eq!(opens(&dataplane, 1000), Some(2));
    apply(&mut dataplane, &of(&[3]));
    rest(&mut dataplane);
    for other in [4, 5, 6, 7] {
        apply(&mut dataplane, &of(&[other]));
    }
    rest(&mut dataplane);
    // The first index is the one that has been unused for the longest.
    apply(&mut dataplane, &of(&[8]));
    apply(&mut dataplane, &of(&[8, 9]));
    assert_eq!(
        opens(&dataplane, 1001),
        Some(9),
        "the newer one, as wlc chooses"
    );
}

#[test]
fn a_director_that_adopts_finds_what_is_remembered() {
    let private = Private::enter();
    let mut client = Client { port: 1000 };
    let mut dataplane = private.open();
    apply(&mut dataplane, &lblc(&[("10.0.0.2:80", 9)]));
    assert_eq!(client.opens(&dataplane), Some(2));
    let both = lblc(&[("10.0.0.2:80", 9), ("10.0.0.3:80", 9)]);
    apply(&mut dataplane, &both);
    drop(dataplane);
    let mut dataplane = private.open();
    assert!(dataplane.adopted());
    let adopted = snapshot(&dataplane);
    assert_eq!(adopted.services[0].scheduler, Scheduler::Lblc);
    apply(&mut dataplane, &both);
    assert_eq!(client.opens(&dataplane), Some(2));
}

#[test]
fn each_destination_of_a_mark_has_its_server() {
    let private = Private::enter();
    let mut dataplane = private.open();
    let mut client = Client { port: 1000 };
    let mark = NonZeroU32::new(7).expect("not zero");
    let key = ServiceKey::Mark {
        family: Family::V4,
        mark,
    };
    let servers = [("10.0.0.2:0", 50), ("10.0.0.3:0", 50), ("10.0.0.4:0", 50)];
    let mut wanted = table(Forwarding::Direct, &[(key, Scheduler::Lblc, &servers)]);
    let rule = MarkRule {
        address: "192.0.2.0".parse().expect("an address"),
        prefix: 24,
        protocol: Some(Protocol::Tcp),
        ports: Vec::new(),
        mark,
    };
    wanted.set_marks(vec![rule]).expect("a legal rule");
    apply(&mut dataplane, &wanted);
    let vips = ["192.0.2.1:80", "192.0.2.2:80", "192.0.2.3:443"];
    // Each is given to the least loaded, which is another one each time.
    let first = vips.map(|vip| client.opens_to(&dataplane, vip));
    assert_eq!(first, [Some(4), Some(3), Some(2)]);
    for _ in 0..4 {
        assert_eq!(vips.map(|vip| client.opens_to(&dataplane, vip)), first);
    }
    // The same destination by another port.
    assert_eq!(client.opens_to(&dataplane, "192.0.2.1:443"), first[0]);
}
