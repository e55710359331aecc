//! A server that leaves the file finishes what it has begun, for as long as the file says.

use std::thread;
use std::time::Duration;

use caribe_lab::{Curl, Digest, Host, LabError, wait};

use crate::bed::Bed;
use crate::director::SOON;
use crate::lvs_cf::{Balanced, LvsCf, Way};

/// Direct routing: what comes back goes past the director, and still counts as one connection.
const SERVICE: Balanced = Balanced::tcp4(Way::Direct);
/// Bytes of a download, and bytes of it in a second.
const BODY: u64 = 24_000_000;
const RATE: u32 = 2_000_000;
/// Downloads at once: two for each server.
const DOWNLOADS: usize = 6;
/// Far more than a download takes.
const LIMIT: Duration = Duration::from_secs(60);

/// Enough for a download, and not too long to wait for those that never end.
const SHORT: Duration = Duration::from_secs(30);

fn file(serial_no: u32, seconds: u32) -> LvsCf {
    let mut file = LvsCf::rr(&[SERVICE]);
    file.serial_no = serial_no;
    // What is closed is over soon.
    file.more = "tcpfin_timeout = 2".to_owned();
    file.blocks[0].more = format!("    drain_timeout = {seconds}");
    file
}

/// A slow download.
fn download(client: &Host, limit: Duration) -> Result<Digest, LabError> {
    let curl = Curl::on(client).rate(RATE).time_limit(limit);
    curl.digest(&format!("{}big", SERVICE.url()))
}

/// Connections of the second server, if it is in the table.
fn of_second(bed: &Bed) -> Option<u32> {
    let status = bed.director.status();
    let server = &status.services[0].servers[1];
    server.weight.map(|_| server.active)
}

#[test]
fn a_server_that_leaves_the_file_finishes_its_downloads() {
    let mut bed = Bed::with_body("drain", &file(1, 60), BODY);
    let wanted = bed.body.as_ref().expect("a body").digest().clone();
    let client = bed.net.client.clone();
    thread::scope(|scope| {
        let downloads: Vec<_> = (0..DOWNLOADS)
            .map(|_| scope.spawn(|| download(&client, LIMIT)))
            .collect();
        wait::until_true("downloads from the second server", SOON, || {
            of_second(&bed).is_some_and(|active| active >= 2)
        })
        .expect("they begin");
        let fewer = file(2, 60).weigh(1, None);
        bed.director.reload(&fewer.to_string(), 2);
        wait::until_true("the connections are counted", SOON, || {
            let draining = bed.director.status().draining;
            draining.len() == 1 && draining[0].connections.is_some_and(|count| count >= 2)
        })
        .expect("status shows how it goes");
        let draining = bed.director.status().draining[0];
        assert_eq!(draining.server.address, SERVICE.server(1).ip());
        assert!((1..=60).contains(&draining.seconds_left), "{draining:?}");
        // Nothing new goes there.
        let burst = Curl::on(&client).time_limit(LIMIT);
        let burst = burst.burst(&SERVICE.url(), 60, 2).expect("curl runs");
        assert_eq!(burst.failed(), 0, "{burst:?}");
        let servers: Vec<&str> = burst.answers.keys().map(String::as_str).collect();
        assert_eq!(servers, ["web1", "web3"]);
        for download in downloads {
            let got = download.join().expect("no panic").expect("a whole body");
            assert_eq!(got, wanted);
        }
    });
    wait::until_true("the server is removed", SOON, || {
        bed.director.status().draining.is_empty()
    })
    .expect("it has drained");
    let log = bed.director.log();
    assert!(log.contains("has drained"), "{log}");
    assert_eq!(bed.director.status().abandoned_connections, 0);

    // Back again, and away again, with less time than a download takes.
    bed.director.reload(&file(3, 3).to_string(), 3);
    bed.director.wait_until(Some("web2"), true, SOON);
    thread::scope(|scope| {
        let downloads: Vec<_> = (0..DOWNLOADS)
            .map(|_| scope.spawn(|| download(&client, SHORT)))
            .collect();
        wait::until_true("downloads from the second server", SOON, || {
            of_second(&bed).is_some_and(|active| active >= 2)
        })
        .expect("they begin");
        let fewer = file(4, 3).weigh(1, None);
        bed.director.reload(&fewer.to_string(), 4);
        wait::until_true("the time is up", SOON, || {
            bed.director.status().draining.is_empty()
        })
        .expect("it ends");
        let status = bed.director.status();
        assert!(
            status.abandoned_connections >= 2,
            "{}",
            status.abandoned_connections
        );
        let log = bed.director.log();
        assert!(
            log.contains("to drain is up: it is removed, with 2"),
            "{log}"
        );
        let ended = downloads.into_iter().map(|it| it.join().expect("no panic"));
        let whole = ended.filter(Result::is_ok).count();
        assert_eq!(whole, DOWNLOADS - 2, "those of the others go on");
    });
    bed.leave();
}
