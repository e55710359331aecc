//! What monitors and operators say, under load.

use std::fs;
use std::time::Duration;

use caribe_director::ServerState;
use caribe_lab::wait;
use caribe_lab::{Curl, Wrk};

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

const SERVICE: Balanced = Balanced::tcp4(Way::Nat);

/// Connections of the load; each may lose the request that is in flight when its server goes.
const CONNECTIONS: u32 = 4;

/// web1 and web2 with a page that says how they are; web3 is the sorry server.
fn file() -> LvsCf {
    let mut file = LvsCf::rr(&[SERVICE]).weigh(2, None);
    let sorry = SERVICE.server(2);
    file.blocks[0].more = format!(
        "    slow_start = off
    sorry_server = {}
    sorry_port = {}
    monitor http {{
        path = /upload/health
        status = 200
        interval = 1
        timeout = 1
        rise = 1
        fall = 3
    }}",
        sorry.ip(),
        sorry.port()
    );
    file
}

/// A server's page is there, or answers with an error.
fn well(bed: &Bed, index: usize, well: bool) {
    let nginx = bed.servers[index].nginx.as_ref().expect("nginx runs");
    let page = nginx.upload("health");
    let done = if well {
        fs::write(&page, "well\n")
    } else {
        fs::remove_file(&page)
    };
    done.expect("the page is as it should be");
}

/// Waits until requests to the VIP are answered by exactly these.
fn until_served_by(bed: &Bed, servers: &[&str], limit: Duration) {
    let expected = shares(&servers.iter().map(|name| (*name, 1)).collect::<Vec<_>>());
    let what = format!("{servers:?} to serve");
    wait::until(what, limit, || {
        let curl = Curl::on(bed.client());
        let burst = curl.burst(&SERVICE.url(), servers.len(), 1);
        let burst = burst.map_err(|error| error.to_string())?;
        (burst.answers == expected)
            .then_some(())
            .ok_or(format!("{:?}, failed {:?}", burst.answers, burst.failures))
    })
    .expect("they serve");
}

#[test]
fn servers_that_answer_with_an_error_leave_and_the_sorry_server_comes_and_goes() {
    // Nobody is well at first: the sorry server serves, though a connection to 80 succeeds.
    let file = file();
    let bed = Bed::start_unwell("sorry", &file);
    until_served_by(&bed, &["web3"], SOON);
    well(&bed, 0, true);
    well(&bed, 1, true);
    until_served_by(&bed, &["web1", "web2"], SOON);
    let (url, client) = (SERVICE.url(), bed.client().clone());
    let report = std::thread::scope(|scope| {
        let load = Wrk::new(CONNECTIONS).connection_per_request();
        let wrk = scope.spawn(move || load.run(&client, &url, Duration::from_secs(25)));
        well(&bed, 0, false);
        // Three checks, a second apart, and a table.
        until_served_by(&bed, &["web2"], Duration::from_secs(8));
        well(&bed, 1, false);
        until_served_by(&bed, &["web3"], Duration::from_secs(8));
        well(&bed, 0, true);
        until_served_by(&bed, &["web1"], Duration::from_secs(8));
        wrk.join().expect("wrk's thread").expect("wrk ran")
    });
    let changes = 4;
    assert!(
        report.failures() <= u64::from(CONNECTIONS) * changes,
        "{report:?}"
    );
    let log = bed.director.log();
    for line in [
        "No real servers; activate sorry_server",
        "enough real servers; deactivate sorry_server",
    ] {
        assert!(log.contains(line), "no `{line}` in:\n{log}");
    }
    let status = bed.director.status();
    let web2 = &status.services[0].servers[1];
    assert_eq!(web2.state, ServerState::Down, "{web2:?}");
    let reason = web2.reason.as_deref().unwrap_or_default();
    assert!(reason.starts_with("http: L7STS: "), "{reason}");
    bed.leave();
}

#[test]
fn an_operators_order_stands_over_a_kill_until_it_is_lifted() {
    let file = LvsCf::rr(&[SERVICE]);
    let mut bed = Bed::start("orders", &file);
    let order = |bed: &Bed, verb: &str| {
        let said = bed.director.ask(&["server", verb, "nat4tcp", "web2"]);
        let said = said.expect("the order is taken");
        assert!(said.contains("web2 (10."), "{said}");
    };
    order(&bed, "maintenance");
    let two = shares(&[("web1", 5), ("web3", 5)]);
    assert_eq!(ask(bed.client(), SERVICE, 10), two);
    bed.director.kill();
    bed.director.launch(&[]);
    bed.director.wait_until_answers();
    assert_eq!(ask(bed.client(), SERVICE, 10), two);
    let status = bed.director.status();
    let web2 = &status.services[0].servers[1];
    assert_eq!(web2.state, ServerState::Maintenance, "{web2:?}");
    let given = web2.watch.order.as_ref().expect("it stands");
    assert!(given.by.contains("uid 0"), "{given:?}");
    order(&bed, "ready");
    bed.director.wait_until(None, true, SOON);
    let all = shares(&[("web1", 3), ("web2", 3), ("web3", 3)]);
    assert_eq!(ask(bed.client(), SERVICE, 9), all);
    let history = bed.director.ask(&["server", "history", "nat4tcp", "web2"]);
    let history = history.expect("its history");
    assert!(history.contains("ready, ordered by"), "{history}");
    bed.leave();
}
