//! Not one request fails while the configuration changes under traffic.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use caribe_lab::{Curl, Host, Wrk, wait};

use crate::bed::Bed;
use crate::director::Director;
use crate::lvs_cf::{Balanced, LvsCf, Way};

/// Requests that each of the three services gets at least.
const REQUESTS: usize = 7_000;
/// Requests of one run of curl.
const RUN: usize = 500;

const SERVICES: [Balanced; 3] = [
    Balanced::tcp4(Way::Nat),
    Balanced::tcp6(Way::Direct),
    Balanced::tcp4(Way::Tunnel),
];

#[test]
fn no_request_fails_while_the_configuration_changes() {
    let begin = LvsCf::wrr(&SERVICES).weigh(2, None);
    let mut bed = Bed::start("reload", &begin);
    let changed = AtomicBool::new(false);
    let Bed { director, net, .. } = &mut bed;
    let client = &net.client;
    let (asked, kept) = thread::scope(|scope| {
        let changed = &changed;
        let asking = SERVICES.map(|service| scope.spawn(move || ask(client, service, changed)));
        // Connections that stay open all the time, with one request after the other.
        let url = SERVICES[0].url();
        let keeping = scope.spawn(move || {
            let time = Duration::from_secs(10);
            Wrk::new(4).run(client, &url, time).expect("wrk runs")
        });
        change(director, &begin);
        changed.store(true, Ordering::Relaxed);
        let asked = asking.map(|asking| asking.join().expect("no failure"));
        (asked, keeping.join().expect("wrk ends"))
    });
    let total: usize = asked.iter().map(|asked| asked.answered).sum();
    assert!(total >= 20_000, "{total} requests");
    for (service, asked) in SERVICES.iter().zip(&asked) {
        assert!(asked.answered >= REQUESTS, "{service}: {asked:?}");
        assert!(
            asked.while_changing >= RUN,
            "{service} was asked while things changed: {asked:?}"
        );
        let servers = ["web1", "web2", "web3"].map(str::to_owned);
        assert_eq!(asked.servers, BTreeSet::from(servers), "{service}");
    }
    assert!(kept.requests > 0, "{kept:?}");
    assert_eq!(kept.failures(), 0, "{kept:?}");
    let status = bed.director.status();
    assert_eq!(status.configuration.reloads, 10, "every SIGHUP was obeyed");
    let fate: u64 = status
        .dataplane
        .verdicts
        .iter()
        .filter(|(name, _)| name.starts_with("dropped_") || name.starts_with("answered_"))
        .map(|(_, packets)| packets)
        .sum();
    assert_eq!(fate, 0, "{:?}", status.dataplane.verdicts);
    bed.leave();
}

/// Ten reloads: other weights, one more server, the file as it was.
fn change(director: &mut Director, begin: &LvsCf) {
    for round in 1..=10 {
        let mut file = begin.clone();
        file.serial_no = 100 + round;
        if round >= 3 {
            file = file.weigh(2, Some(2));
        }
        // The tenth is the ninth once more but for its number.
        let weight = if round == 10 { 9 } else { round };
        file = file.weigh(0, Some(weight));
        director.reload(&file.to_string(), file.serial_no);
        wait::pause(Duration::from_millis(500));
    }
    director.wait_until(None, true, Duration::from_secs(10));
}

/// What became of the requests to one service.
#[derive(Debug, Default)]
struct Asked {
    answered: usize,
    /// How many of them in runs that ended before the last change.
    while_changing: usize,
    servers: BTreeSet<String>,
}

/// Asks until everything has changed and there were enough requests, each over a connection of
/// its own. Whatever is not a whole answer of one of the servers is a failure.
fn ask(client: &Host, service: Balanced, changed: &AtomicBool) -> Asked {
    let mut asked = Asked::default();
    loop {
        let curl = Curl::on(client).time_limit(Duration::from_secs(10));
        let burst = curl.burst(&service.url(), RUN, 4).expect("curl runs");
        assert_eq!(burst.failed(), 0, "{service}: {:?}", burst.failures);
        assert_eq!(burst.answered(), RUN, "{service}: {:?}", burst.answers);
        asked.answered += RUN;
        asked.servers.extend(burst.answers.into_keys());
        if !changed.load(Ordering::Relaxed) {
            asked.while_changing += RUN;
        } else if asked.answered >= REQUESTS {
            return asked;
        }
    }
}
