//! What operators order stands until it is lifted.

use caribe_director::{ServerState, ServerStatus};
use caribe_lab::wait;

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

const SERVICE: Balanced = Balanced::tcp4(Way::Nat);

fn order(bed: &Bed, words: &[&str]) {
    let said = bed.director.ask(&[&["server"], words].concat());
    let said = said.expect("the order is taken");
    assert!(said.contains(words[2]) && said.contains(" (10."), "{said}");
}

fn servers(bed: &Bed) -> Vec<ServerStatus> {
    bed.director.status().services.remove(0).servers
}

/// web1 drained, web2 in maintenance, web3 with another weight: whoever asks, and by whom.
fn stands(bed: &Bed) {
    assert_eq!(ask(bed.client(), SERVICE, 6), shares(&[("web3", 6)]));
    let expected = [
        (ServerState::Quiesced, Some(0)),
        (ServerState::Maintenance, None),
        (ServerState::Up, Some(7)),
    ];
    // After a start they are `checking` until their first check.
    let servers = wait::until("the orders to be heeded", SOON, || {
        let servers = servers(bed);
        let found: Vec<_> = servers.iter().map(|it| (it.state, it.weight)).collect();
        (found == expected)
            .then_some(servers)
            .ok_or(format!("{found:?}"))
    });
    let servers = servers.expect("they are");
    let text = bed.director.ask(&["status"]).expect("a status");
    for (server, what) in servers.iter().zip(["drain", "maintenance", "weight 7"]) {
        let given = server.watch.order.as_ref().expect("it stands");
        assert!(given.by.contains("uid 0"), "{given:?}");
        assert!(given.given > 1_700_000_000, "seconds since 1970: {given:?}");
        let line = format!("  ! {}: {what}, ordered by ", server.name);
        let line = text.lines().find(|it| it.starts_with(&line));
        let line = line.unwrap_or_else(|| panic!("no order of {what} in:\n{text}"));
        assert!(line.contains("uid 0") && line.ends_with(" ago"), "{line}");
    }
}

#[test]
fn orders_stand_over_a_reload_and_a_kill_until_they_are_lifted() {
    let mut file = LvsCf::rr(&[SERVICE]);
    let mut bed = Bed::start("orders", &file);
    order(&bed, &["drain", "nat4tcp", "web1"]);
    order(&bed, &["maintenance", "10.1.0.201", "web2"]);
    order(&bed, &["weight", "10.1.0.201:80", "web3", "7"]);
    stands(&bed);
    file.serial_no = 2;
    file.blocks[0].scheduler = "wrr";
    bed.director.reload(&file.to_string(), 2);
    stands(&bed);
    bed.director.kill();
    bed.director.launch(&[]);
    bed.director.wait_until_answers();
    stands(&bed);
    for server in ["web1", "web2", "web3"] {
        order(&bed, &["ready", "nat4tcp", server]);
    }
    bed.director.wait_until(None, true, SOON);
    let all = shares(&[("web1", 3), ("web2", 3), ("web3", 3)]);
    assert_eq!(ask(bed.client(), SERVICE, 9), all);
    let history = bed.director.ask(&["server", "history", "nat4tcp", "web2"]);
    let history = history.expect("its history");
    assert!(history.contains("ready, ordered by"), "{history}");
    bed.leave();
}
