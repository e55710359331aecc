//! A broken file: at start, and under traffic.

use std::fs;
use std::time::Duration;

use caribe_lab::wait;

use crate::bed::{Bed, network};
use crate::director::{CARIBE, Director, SOON, check};
use crate::lvs_cf::{Balanced, LvsCf, SERVERS, Way};
use crate::spread::{ask, shares};
use crate::traces::{addresses, files_below};

const SERVICE: Balanced = Balanced::tcp4(Way::Direct);

/// The file with an error, and where that is: line and column.
fn broken(file: &LvsCf) -> (String, usize, usize) {
    let text = file.to_string();
    let good = "    scheduler = rr\n";
    let bad = "    scheduler = fastest\n";
    let at = text.find(good).expect("a scheduler");
    let line = text[..at].lines().count() + 1;
    let column = bad.find("fastest").expect("the word") + 1;
    (text.replacen(good, bad, 1), line, column)
}

#[test]
fn a_broken_file_changes_nothing_and_says_where() {
    let file = LvsCf::rr(&[SERVICE]);
    let mut bed = Bed::with_body("broken", &file, 300_000_000);
    assert_eq!(
        ask(bed.client(), SERVICE, 3),
        shares(&[("web1", 1), ("web2", 1), ("web3", 1)])
    );
    let wanted = bed.body.as_ref().expect("a body").digest().clone();
    let before = bed.director.listing();
    let curl = caribe_lab::Curl::on(bed.client())
        .time_limit(Duration::from_secs(60))
        .rate(60_000_000);
    let url = format!("{}big", SERVICE.url());
    let (text, line, column) = broken(&file);
    let director = &mut bed.director;
    let server = std::thread::scope(|scope| {
        let transfer = scope.spawn(|| curl.digest(&url).expect("a body"));
        let server = wait::until("the transfer to begin", SOON, || {
            let active = active(director);
            active.first().copied().ok_or("no connection is active")
        });
        let server = server.expect("a connection");

        director.write(&text);
        director.hangup();
        let place = format!("{}:{line}:{column}", director.file.display());
        director
            .process()
            .wait_until_says(&place, SOON)
            .expect("the place is in the log");
        director
            .process()
            .wait_until_says("nothing was changed", SOON)
            .expect("the refusal is in the log");
        let status = director.status();
        let refused = status.configuration.refused.join("\n");
        assert!(refused.contains(&place), "{refused}");
        assert_eq!(status.configuration.serial_no, 1);
        assert_eq!(status.configuration.reloads, 0);
        let shown = director.ask(&["status"]).expect("a status");
        assert!(shown.contains(&place), "{shown}");
        assert!(!transfer.is_finished(), "it goes on");
        assert_eq!(active(director), [server]);
        assert_eq!(transfer.join().expect("no panic"), wanted);
        server
    });
    let after = director.listing();
    let still = |listing: &crate::listing::Listing| {
        let rows = listing.services.iter().flat_map(|it| &it.servers);
        rows.map(|it| (it.place, it.forward.clone(), it.weight))
            .collect::<Vec<_>>()
    };
    assert_eq!(still(&after), still(&before));
    // The turn goes on where it was: with the transfer, each had its two.
    let mut spread = ask(bed.client(), SERVICE, 5);
    *spread.entry(format!("web{}", server + 1)).or_default() += 1;
    assert_eq!(spread, shares(&[("web1", 2), ("web2", 2), ("web3", 2)]));

    // The file is corrected: the next SIGHUP is obeyed.
    let mut good = file.weigh(0, Some(5));
    good.serial_no = 2;
    bed.director.reload(&good.to_string(), 2);
    bed.leave();
}

/// The servers with active connections by the director's own listing, each once per connection.
fn active(director: &Director) -> Vec<u8> {
    let listing = director.listing();
    let service = listing.service(false, SERVICE.place()).expect("a service");
    let count = |index| {
        let server = service.server(SERVICE.server(index)).expect("a server");
        usize::try_from(server.active).expect("a count")
    };
    (0..SERVERS)
        .flat_map(|index| std::iter::repeat_n(index, count(index)))
        .collect()
}

#[test]
fn a_broken_file_is_no_start() {
    let (net, _alone) = network("no-start", 1500);
    let before = addresses(&net.director);
    let (text, line, column) = broken(&LvsCf::rr(&[SERVICE]));
    let file = net.lab.directory().join("lvs.cf");
    fs::write(&file, text).expect("written");
    let pins = net.lab.pin_directory("director").expect("pins");
    let (usable, said) = check(&net.director, &file);
    assert!(!usable, "{said}");
    let place = format!("{}:{line}:{column}", file.display());
    assert!(said.contains(&place), "{said}");

    let finished = net
        .director
        .command(CARIBE)
        .args(["director", "--log-format", "human", "--config"])
        .arg(&file)
        .arg("--runtime-dir")
        .arg(net.director.file("run"))
        .arg("--pin-dir")
        .arg(pins.join("pins"))
        .time_limit(SOON)
        .finish()
        .expect("it ends by itself");
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert!(said.contains(&place), "{said}");
    assert!(said.contains("cannot start"), "{said}");
    assert_eq!(files_below(&pins), Vec::<std::path::PathBuf>::new());
    assert_eq!(addresses(&net.director), before);
    net.lab.remove().expect("the lab is removed");
}
