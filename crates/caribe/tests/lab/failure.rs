//! A real server dies and comes back.

use std::time::Duration;

use caribe_lab::wait::{self, Deadline};

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

const SERVICES: [Balanced; 4] = [
    Balanced::tcp4(Way::Nat),
    Balanced::tcp6(Way::Nat),
    Balanced::tcp4(Way::Direct),
    Balanced::tcp6(Way::Tunnel),
];

#[test]
fn a_killed_server_is_out_in_time_and_comes_back_by_itself() {
    let file = LvsCf::rr(&SERVICES);
    let mut bed = Bed::start("failure", &file);
    let second = SERVICES.map(|service| service.server(1));
    let timeout = Duration::from_secs(u64::from(file.timeout));
    let reentry = Duration::from_secs(u64::from(file.reentry));

    bed.crash(1);
    let out = wait::until("web2 to be out", timeout + Duration::from_secs(1), || {
        let listing = bed.director.listing();
        let left: Vec<_> = second.iter().filter(|it| listing.has(**it)).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(format!("{left:?} are in {listing:?}"))
        }
    });
    out.expect("out of the table within `timeout` and a second");
    for service in SERVICES {
        assert_eq!(
            ask(bed.client(), service, 20),
            shares(&[("web1", 10), ("web3", 10)]),
            "{service}"
        );
    }
    let log = bed.director.log();
    for server in second {
        let line = format!("[inactive] shutting down {server} due to connection failure");
        assert!(log.contains(&line), "no `{line}` in:\n{log}");
    }
    let status = bed.director.status();
    for service in &status.services {
        let web2 = service.servers.iter().find(|it| it.name == "web2");
        let web2 = web2.expect("it stays in the status");
        assert_eq!(web2.weight, None, "{web2:?}");
        let reason = web2.reason.as_deref().unwrap_or_default();
        assert!(reason.contains("refused"), "{web2:?}");
    }

    bed.revive(1);
    let back = Deadline::after(reentry + 2 * timeout);
    bed.director.wait_until(Some("web2"), true, back.left());
    // It had to be good for `reentry`, which two checks in a row show.
    assert!(
        back.elapsed() >= timeout / 2,
        "back after {:?}",
        back.elapsed()
    );
    for service in SERVICES {
        assert_eq!(
            ask(bed.client(), service, 30),
            shares(&[("web1", 10), ("web2", 10), ("web3", 10)]),
            "{service}"
        );
    }
    let log = bed.director.log();
    for server in second {
        let line = format!("[ active ] making {server} available");
        assert_eq!(log.matches(&line).count(), 2, "`{line}` in:\n{log}");
    }
    bed.leave();
}

#[test]
fn a_quiesced_server_keeps_its_place_with_weight_0() {
    let mut file = LvsCf::rr(&SERVICES[..1]);
    file.blocks[0].more = "    quiesce_server = 1".to_owned();
    let mut bed = Bed::start("quiesce", &file);
    let service = SERVICES[0];
    bed.crash(2);
    wait::until("weight 0", SOON, || {
        let listing = bed.director.listing();
        let listed = listing.service(false, service.place()).expect("a service");
        let web3 = listed
            .server(service.server(2))
            .expect("it keeps its place");
        (web3.weight == 0).then_some(()).ok_or(format!("{web3:?}"))
    })
    .expect("quiesced");
    assert_eq!(
        ask(bed.client(), service, 10),
        shares(&[("web1", 5), ("web2", 5)])
    );
    bed.leave();
}

#[test]
fn without_any_server_the_client_is_told_at_once() {
    let services = [Balanced::tcp4(Way::Nat), Balanced::tcp6(Way::Direct)];
    let file = LvsCf::rr(&services);
    let mut bed = Bed::start("hopeless", &file);
    for server in 0..3 {
        bed.crash(server);
    }
    for server in ["web1", "web2", "web3"] {
        bed.director.wait_until(Some(server), false, SOON);
    }
    for service in services {
        let watch = Deadline::after(SOON);
        let curl = caribe_lab::Curl::on(bed.client());
        let error = curl.get(&service.url()).expect_err("nobody serves");
        let said = error.to_string();
        assert!(said.contains("Failed to connect"), "{service}: {said}");
        assert!(
            watch.elapsed() < Duration::from_secs(2),
            "{service}: refused only after {:?}: {said}",
            watch.elapsed()
        );
    }
    assert!(bed.director.verdict("answered_no_server") >= 2);
    let log = bed.director.log();
    for service in services {
        let line = format!("Virtual Server {service}: No real servers");
        assert!(log.contains(&line), "no `{line}` in:\n{log}");
    }
    bed.leave();
}
