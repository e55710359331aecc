//! dh, sh and mh.

use caribe_model::{SchedulerFlags, TableSize};
use caribe_packet::hash::{
    BUCKETS, bucket, fold4, maglev_slot, next_bucket, next_maglev_slot, origin,
};

use super::*;

/// Picks from a table the way the packet path does.
fn pick(layout: &Layout, flags: SchedulerFlags, client: [u8; 4], port: u16) -> Option<u32> {
    let size = layout.slots.len() as u32;
    let port = flags
        .contains(SchedulerFlags::PORT)
        .then(|| port.to_be_bytes());
    let origin = origin(fold4(client), port);
    let is_maglev = layout.choice == Choice::Maglev;
    let first = if is_maglev {
        maglev_slot(origin, size)
    } else {
        bucket(origin)
    };
    let further = (0..size).map(|tried| {
        if is_maglev {
            next_maglev_slot(origin, first, tried, size)
        } else {
            next_bucket(first, tried)
        }
    });
    let further = further.filter(|_| flags.contains(SchedulerFlags::FALLBACK));
    std::iter::once(first)
        .chain(further)
        .map(|at| layout.slots.get(at as usize))
        .map_while(|slot| slot)
        .find(|slot| slot.weight > 0)
        .map(|slot| slot.server)
}

const NONE: SchedulerFlags = SchedulerOptions::IPVS.flags;
const FALLBACK: SchedulerFlags = SchedulerFlags::FALLBACK;
const PORT: SchedulerFlags = SchedulerFlags::PORT;

fn layout(scheduler: Scheduler, list: &[(u32, u32)]) -> Layout {
    started(scheduler, list).layout().expect("few servers")
}

const CLIENT_5: [u8; 4] = [192, 168, 1, 5];
const CLIENT_6: [u8; 4] = [192, 168, 1, 6];
const CLIENTS: [[u8; 4]; 4] = [CLIENT_5, CLIENT_6, [10, 0, 0, 1], [203, 0, 113, 7]];

/// Vector 76; its overloaded server is quiesced here.
#[test]
fn case_76_sh() {
    let all = layout(Scheduler::Sh, &[(C, 1), (B, 1), (A, 1)]);
    let picks = CLIENTS.map(|client| pick(&all, NONE, client, 0));
    assert_eq!(picks, [B, A, C, B].map(Some));
    let ports = [50_000, 50_001, 50_002].map(|port| pick(&all, PORT, CLIENT_5, port));
    assert_eq!(ports, [A, B, A].map(Some));
    let without = layout(Scheduler::Sh, &[(C, 1), (B, 0), (A, 1)]);
    assert_eq!(pick(&without, NONE, CLIENT_5, 0), None);
    assert_eq!(pick(&without, FALLBACK, CLIENT_5, 0), Some(A));
}

#[test]
fn case_77_sh_with_weights() {
    let layout = layout(Scheduler::Sh, &[(C, 3), (B, 2), (A, 1)]);
    let picks = CLIENTS.map(|client| pick(&layout, NONE, client, 0));
    assert_eq!(picks, [B, A, B, B].map(Some));
}

#[test]
fn case_78_sh_keeps_the_slots_of_a_quiesced_server() {
    let layout = layout(Scheduler::Sh, &[(C, 0), (B, 1)]);
    assert_eq!(pick(&layout, NONE, CLIENT_5, 0), None);
    assert_eq!(pick(&layout, FALLBACK, CLIENT_5, 0), Some(B));
}

/// The servers of the vectors of mh are 10.1.0.1 to 10.1.0.3, so their numbers are theirs.
#[test]
fn case_79_mh() {
    let list = [(3, 1), (2, 1), (1, 1)];
    let table = layout(Scheduler::Mh, &list);
    assert_eq!(table.slots.len(), 4093);
    assert_eq!(
        [3, 2, 1].map(|server| slots_of(&table, server)),
        [1365, 1364, 1364]
    );
    let indexes = [
        0, 0, 0, 2, 0, 1, 0, 1, 0, 2, 1, 2, 0, 2, 0, 2, 0, 2, 0, 1, 1, 1, 1, 1,
    ];
    let first: Vec<u32> = table
        .slots
        .iter()
        .take(24)
        .map(|slot| slot.server)
        .collect();
    assert_eq!(first, indexes.map(|index: usize| list[index].0));
    let picks = [CLIENT_5, CLIENT_6, [203, 0, 113, 7]].map(|client| pick(&table, NONE, client, 0));
    assert_eq!(picks, [2, 1, 1].map(Some));
    let ports = [50_000, 50_001, 50_002].map(|port| pick(&table, PORT, CLIENT_5, port));
    assert_eq!(ports, [1, 2, 3].map(Some));
    // Without 10.1.0.3, hardly any slot of the others goes elsewhere.
    let fewer = layout(Scheduler::Mh, &list[1..]);
    assert_eq!(moved(&table, &fewer, |server| server == 3), 5);
}

#[test]
fn case_79_mh_with_weights() {
    let table = layout(Scheduler::Mh, &[(3, 3), (2, 2), (1, 1)]);
    assert_eq!(
        [3, 2, 1].map(|server| slots_of(&table, server)),
        [2047, 1364, 682]
    );
    let table = layout(Scheduler::Mh, &[(2, 1000), (1, 1)]);
    assert_eq!([2, 1].map(|server| slots_of(&table, server)), [4029, 64]);
}

#[test]
fn case_80_mh_keeps_the_slots_of_a_quiesced_server() {
    let mut schedule = started(Scheduler::Mh, &[(3, 1), (2, 1), (1, 1)]);
    let before = schedule.layout().expect("few servers");
    schedule.edit(2, 0);
    let after = schedule.layout().expect("few servers");
    assert_eq!(moved(&before, &after, |_| false), 0);
    assert_eq!(pick(&after, NONE, CLIENT_5, 0), None);
    assert_eq!(pick(&after, FALLBACK, CLIENT_5, 0), Some(3));
    // Its weight is the last one that was not 0; a server that is added with 0 has none.
    schedule.edit(3, 0);
    schedule.add(member(4, 0));
    let again = schedule.layout().expect("few servers");
    assert_eq!(moved(&before, &again, |_| false), 0);
}

#[test]
fn case_81_dh() {
    let table = layout(Scheduler::Dh, &[(C, 1), (B, 9), (A, 1)]);
    assert_eq!(pick(&table, NONE, [10, 0, 0, 1], 0), Some(C));
    assert_eq!(slots_of(&table, C), 86);
    let without = layout(Scheduler::Dh, &[(C, 0), (B, 9), (A, 1)]);
    assert_eq!(pick(&without, NONE, [10, 0, 0, 1], 0), None);
}

#[test]
fn ipv6_servers_are_folded_by_the_service() {
    let key = ServerKey {
        address: "2001:db8:1:2:3:4:5:6".parse().expect("an address"),
        port: 80,
    };
    let origin = |family| Member::new(1, family, &key, Weights::added(1)).origin;
    let words = [0x2001_0db8_u32, 0x0001_0002, 0x0003_0004, 0x0005_0006];
    assert_eq!(origin(Family::V4), words[0] + 80);
    assert_eq!(
        origin(Family::V6),
        words.iter().fold(0, |sum, word| sum ^ word) + 80
    );
}

/// A table of mh needs a slot for each server; those of dh and sh leave the oldest out.
#[test]
fn more_servers_than_slots() {
    let options = SchedulerOptions {
        table_size: TableSize::try_from(251).expect("a size"),
        ..OPTIONS
    };
    let mut schedule = Schedule::new(Scheduler::Mh, options);
    for server in 1..=251 {
        schedule.add(member(server, 1));
    }
    let layout = schedule.layout().expect("just fits");
    assert!((1..=251).all(|server| slots_of(&layout, server) == 1));
    schedule.add(member(252, 1));
    let refused = schedule.layout().expect_err("one too many");
    assert_eq!((refused.servers, refused.room), (252, 251));
    for scheduler in [Scheduler::Dh, Scheduler::Sh] {
        schedule.set_scheduler(scheduler, options);
        for server in 253..=300 {
            schedule.add(member(server, 1));
        }
        let layout = schedule.layout().expect("any number");
        assert_eq!(layout.slots.len(), BUCKETS as usize);
        assert_eq!(layout.slots[0].server, schedule.members[0].server);
        schedule = started(Scheduler::Sh, &[]);
    }
}

/// Slots of others that changed owner when servers were removed: the table of figures that are
/// known for Maglev with servers of equal weight.
#[test]
fn mh_moves_few_clients_of_the_servers_that_stay() {
    for (slots, servers, removed, most) in [
        (251, 10, 1, 0.065),
        (4_093, 10, 1, 0.015),
        (4_093, 100, 1, 0.036),
        (16_381, 100, 1, 0.016),
        (65_521, 3, 1, 0.001),
        (65_521, 10, 1, 0.005),
        (65_521, 100, 1, 0.009),
        (65_521, 400, 1, 0.012),
        (65_521, 1_000, 1, 0.009),
        (65_521, 1_000, 10, 0.027),
        (65_521, 1_000, 100, 0.040),
        (131_071, 1_000, 1, 0.009),
    ] {
        let options = SchedulerOptions {
            table_size: TableSize::try_from(slots).expect("a size"),
            ..OPTIONS
        };
        let table = |from: u32| {
            let mut schedule = Schedule::new(Scheduler::Mh, options);
            for server in from..=servers {
                let key = ServerKey {
                    address: std::net::Ipv4Addr::from(0x0a01_0000 + server).into(),
                    port: 80,
                };
                schedule.add(Member::new(server, Family::V4, &key, Weights::added(1)));
            }
            schedule.layout().expect("few servers")
        };
        let (before, after) = (table(1), table(1 + removed));
        let share =
            f64::from(moved(&before, &after, |server| server <= removed)) / f64::from(slots);
        assert!(
            share <= most,
            "{slots} slots, {servers} servers less {removed}: {share} of the slots moved"
        );
        let average = f64::from(slots) / f64::from(servers);
        for server in 1..=servers {
            let load = f64::from(slots_of(&before, server));
            assert!(
                (load - average).abs() <= 1.0,
                "server {server} has {load} of {average}"
            );
        }
    }
}

fn slots_of(layout: &Layout, server: u32) -> u32 {
    layout
        .slots
        .iter()
        .filter(|slot| slot.server == server)
        .count() as u32
}

/// Slots that have another owner, but for those of servers that went.
fn moved(before: &Layout, after: &Layout, went: impl Fn(u32) -> bool) -> u32 {
    let pairs = before.slots.iter().zip(&after.slots);
    let moved = pairs.filter(|(one, other)| one.server != other.server && !went(one.server));
    moved.count() as u32
}

proptest! {
    /// Shares of mh are those of the weights, within 1 % of all slots, in a table that is large for
    /// its weights: the last lap of servers is cut off at the table's end.
    #[test]
    fn mh_gives_each_server_its_share(weights in prop::collection::vec(0u32..60, 1..12)) {
        let list: Vec<(u32, u32)> = (1..).zip(weights).collect();
        let sum: u32 = list.iter().map(|(_, weight)| weight).sum();
        let mut schedule = started(Scheduler::Mh, &list);
        let table_size = TableSize::try_from(65_521).expect("a size");
        schedule.set_scheduler(Scheduler::Mh, SchedulerOptions { table_size, ..OPTIONS });
        let table = schedule.layout().expect("few servers");
        prop_assert_eq!(table.slots.is_empty(), sum == 0);
        for (server, weight) in &list {
            let share = f64::from(slots_of(&table, *server)) / 65_521.0;
            let wanted = f64::from(*weight) / f64::from(sum.max(1));
            prop_assert!((share - wanted).abs() < 0.01, "{server}: {share}, not {wanted}");
        }
    }

    /// Clients of a quiesced server alone go elsewhere, and only with the fallback.
    #[test]
    fn only_clients_of_the_quiesced_server_move(
        scheduler in prop::sample::select(&[Scheduler::Sh, Scheduler::Mh][..]),
        servers in 2u32..6,
        quiesced in 1u32..6,
        clients in prop::collection::vec(any::<[u8; 4]>(), 1..50),
    ) {
        let list = |weight: u32| -> Vec<(u32, u32)> {
            (1..=servers)
                .map(|server| (server, if server == quiesced { weight } else { 1 }))
                .collect()
        };
        let before = layout(scheduler, &list(1));
        // An edit rather than an addition: mh goes by the last weight.
        let mut schedule = started(scheduler, &list(1));
        schedule.edit(quiesced, 0);
        let after = schedule.layout().expect("few servers");
        for client in clients {
            let was = pick(&before, NONE, client, 0).expect("all are available");
            let plain = pick(&after, NONE, client, 0);
            let fallback = pick(&after, FALLBACK, client, 0);
            if was == quiesced {
                prop_assert_eq!(plain, None);
                prop_assert!(fallback.is_some_and(|server| server != quiesced));
            } else {
                prop_assert_eq!((plain, fallback), (Some(was), Some(was)));
            }
        }
    }
}
