//! Servers that answer with an error, and the sorry server, under load.

use std::time::Duration;

use caribe_director::ServerState;
use caribe_lab::wait;
use caribe_lab::{Curl, Wrk};

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::shares;

const SERVICE: Balanced = Balanced::tcp4(Way::Nat);

/// Connections of the load; each may lose the request that is in flight when its server goes.
const CONNECTIONS: u32 = 4;

/// Interval times `fall` of the file below.
const NOTICED: Duration = Duration::from_millis(600);
/// What a probe, a table and the test's own look may take on a busy machine.
const GRACE: Duration = Duration::from_secs(5);

/// web1 and web2 with a page that says how they are; web3 is the sorry server.
fn file() -> LvsCf {
    let mut file = LvsCf::rr(&[SERVICE]).weigh(2, None);
    let sorry = SERVICE.server(2);
    file.blocks[0].more = format!(
        "    slow_start = off
    sorry_server = {}
    sorry_port = {}
    monitor http {{
        path = /health/shop
        status = 200
        interval = 200ms
        timeout = 1
        rise = 1
        fall = 3
    }}",
        sorry.ip(),
        sorry.port()
    );
    file
}

/// A server's page says that it is well, or answers with status 500.
fn well(bed: &Bed, index: usize, well: bool) {
    bed.well(index, "shop", well);
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
        let wrk = scope.spawn(move || load.run(&client, &url, Duration::from_secs(12)));
        let limit = NOTICED + GRACE;
        well(&bed, 0, false);
        until_served_by(&bed, &["web2"], limit);
        well(&bed, 1, false);
        until_served_by(&bed, &["web3"], limit);
        well(&bed, 0, true);
        until_served_by(&bed, &["web1"], limit);
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
    assert!(reason.starts_with("http: L7STS: status 500"), "{reason}");
    bed.leave();
}
