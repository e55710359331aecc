//! What becomes of servers that fail, recover, advise, or are watched differently: several
//! services on one bed, each with rules of its own.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use caribe_director::{MonitorStatus, ServerState, ServerStatus, ServiceStatus};
use caribe_lab::{Curl, Digest, Host, LabError, Process, wait};
use caribe_model::Server as Limits;

use crate::bed::Bed;
use crate::director::{CARIBE, SOON};
use crate::lvs_cf::{Balanced, LvsCf, Way};
use crate::spread::{ask, shares};

/// Climbs, and has its changes told to a program.
const CLIMBING: Balanced = Balanced::tcp4(Way::Nat);
/// Quiesces what fails.
const QUIESCING: Balanced = Balanced::tcp4(Way::Direct);
/// Keeps servers when too few would be left.
const KEEPING: Balanced = Balanced::tcp4(Way::Tunnel);
/// Asks an agent.
const ADVISED: Balanced = Balanced::tcp6(Way::Nat);
/// Goes by the load that rstatd tells.
const LOADED: Balanced = Balanced::udp4(Way::Direct);

const SERVICES: [Balanced; 5] = [CLIMBING, QUIESCING, KEEPING, ADVISED, LOADED];

const WEIGHT: u32 = 100;
/// A body that takes a download some seconds, and does not fit into buffers.
const BODY: u64 = 24_000_000;
const RATE: u32 = 3_000_000;

/// A monitor that looks at a page of its own, five times a second.
fn page(name: &str) -> String {
    format!(
        "monitor http {{\n path = /health/{name}\n status = 200\n interval = 200ms\n \
         timeout = 1\n rise = 1\n fall = 2\n jitter = 0\n }}\n"
    )
}

fn file(notify: &str) -> LvsCf {
    let mut file = LvsCf::wrr(&SERVICES);
    for (block, more) in file.blocks.iter_mut().zip([
        format!("slow_start = 1\n notify = {notify}\n{}", page("climbing")),
        format!(
            "slow_start = off\n quiesce_server = 1\n{}",
            page("quiescing")
        ),
        format!("slow_start = off\n keep_below = 60\n{}", page("keeping")),
        "slow_start = off\n monitor = tcp\n load_monitor = agent\n agent_port = 9777\n \
         load_interval = 200ms\n"
            .to_owned(),
        "slow_start = off\n monitor = none\n load_monitor = rup\n load_interval = 200ms\n"
            .to_owned(),
    ]) {
        block.more = more;
        block.weights = [Some(WEIGHT); 3];
    }
    file.well = vec!["climbing", "quiescing", "keeping"];
    file
}

fn service(bed: &Bed, of: Balanced) -> ServiceStatus {
    let services = bed.director.status().services;
    let found = services.into_iter().find(|it| it.name == of.to_string());
    found.expect("the service is there")
}

fn server(bed: &Bed, of: Balanced, index: usize) -> ServerStatus {
    service(bed, of).servers.remove(index)
}

/// Waits until a server is as it should be.
fn until(bed: &Bed, of: Balanced, index: usize, what: &str, is_so: impl Fn(&ServerStatus) -> bool) {
    let told = format!("web{} of {of} to be {what}", index + 1);
    wait::until(told, SOON, || {
        let server = server(bed, of, index);
        is_so(&server).then_some(()).ok_or(format!("{server:?}"))
    })
    .expect("it is so");
}

fn is_whole(server: &ServerStatus) -> bool {
    server.state == ServerState::Up && server.weight == Some(WEIGHT)
}

fn monitor<'a>(server: &'a ServerStatus, name: &str) -> &'a MonitorStatus {
    let mut monitors = server.watch.monitors.iter();
    let found = monitors.find(|it| it.name.as_str() == name);
    found.unwrap_or_else(|| panic!("no monitor {name}: {server:?}"))
}

/// The program that is told: it writes what it was told, and hangs when somebody is down.
struct Told {
    program: PathBuf,
    directory: PathBuf,
}

impl Told {
    fn new(directory: PathBuf) -> Told {
        let program = directory.join("tell");
        let text = format!(
            "#!/bin/sh\nenv | grep ^CARIBE_ > {0}/part\nmv {0}/part {0}/$CARIBE_NUMBER.told\n\
             [ $CARIBE_STATE = up ] || exec sleep 300\n",
            directory.display()
        );
        fs::write(&program, text).expect("a program");
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(&program, executable).expect("executable");
        Told { program, directory }
    }

    /// Everything it was told, each as lines of `NAME=value`.
    fn all(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.directory).expect("the directory");
        let paths = entries.map(|entry| entry.expect("an entry").path());
        let told = paths.filter(|path| path.extension().is_some_and(|it| it == "told"));
        told.map(|path| fs::read_to_string(path).expect("readable"))
            .collect()
    }
}

#[test]
fn servers_are_judged_by_the_rules_of_their_services() {
    let directory = tempfile::tempdir().expect("a directory");
    let told = Told::new(directory.path().to_owned());
    let file = file(&told.program.display().to_string());
    let mut bed = Bed::start_unwell_with_body("watching", &file, BODY);
    let agents = agents(&bed);
    for of in [CLIMBING, QUIESCING, KEEPING] {
        for index in 0..3 {
            // None of them climbs: they have not failed before.
            until(&bed, of, index, "up", is_whole);
        }
    }
    recovers_by_steps(&bed, &told);
    quiesced_finishes_what_it_has(&bed);
    too_few_would_be_left(&bed);
    goes_by_its_agent(&bed);
    goes_by_its_load(&bed);
    is_watched_differently(&mut bed, file);
    drop(agents);
    bed.leave();
}

/// nanny's ramp, a step a second; and the program that is told, which hangs and holds nobody up.
fn recovers_by_steps(bed: &Bed, told: &Told) {
    let mut follower = bed
        .net
        .director
        .command(CARIBE)
        .args(["events", "--follow", "--runtime-dir"])
        .arg(&bed.director.runtime)
        .spawn()
        .expect("it follows");
    wait::until_true("what was before to be shown", SOON, || {
        follower.log().contains("web1 (10.2.0.11:8080) in nat4tcp")
    })
    .expect("it is shown");
    bed.well(0, "climbing", false);
    until(bed, CLIMBING, 0, "out", |it| it.weight.is_none());
    assert_eq!(
        ask(bed.client(), CLIMBING, 4),
        shares(&[("web2", 2), ("web3", 2)])
    );
    bed.well(0, "climbing", true);
    until(bed, CLIMBING, 0, "back", |it| it.weight.is_some());
    let climb = wait::Deadline::after(SOON * 2);
    let mut seen: Vec<u32> = Vec::new();
    while seen.last() != Some(&WEIGHT) {
        let weight = server(bed, CLIMBING, 0).weight.expect("it stays");
        if seen.last() != Some(&weight) {
            seen.push(weight);
        }
        assert!(!climb.passed(), "it never gets to {WEIGHT}: {seen:?}");
        wait::pause(Duration::from_millis(100));
    }
    // A look that comes late may miss a step, and never sees another one.
    let ramp = [3, 6, 12, 24, 48, 96, 100];
    let mut steps = ramp.iter();
    let in_order = seen.iter().all(|weight| steps.any(|step| step == weight));
    assert!(in_order && seen.len() >= 4, "{seen:?} of {ramp:?}");
    let took = climb.elapsed();
    assert!(took > Duration::from_secs(4), "{took:?}: {seen:?}");
    let history = bed.director.ask(&["server", "history", "nat4tcp", "web1"]);
    let history = history.expect("its history");
    assert!(
        history.contains("Z  http fails: L7STS: status 500"),
        "{history}"
    );
    wait::until_true("what happens to be shown", SOON, || {
        follower.log().contains("DOWN: L7STS: status 500")
    })
    .expect("it is shown");
    follower.kill().expect("it ends");
    let events = bed.director.ask(&["events"]).expect("events");
    for words in [
        "web1 (10.2.0.11:8080) in nat4tcp (TCP 10.1.0.201:80): DOWN: L7STS: status 500",
        "web1 (10.2.0.11:8080) in nat4tcp (TCP 10.1.0.201:80): http passes: L7OK",
    ] {
        assert!(events.contains(words), "no `{words}` in:\n{events}");
    }
    let down = wait::until("the program to be told", SOON, || {
        let mut all = told.all().into_iter();
        let down = all.find(|it| it.contains("CARIBE_STATE=down"));
        down.ok_or("not yet".to_owned())
    });
    let down = down.expect("that web1 went down");
    for line in [
        "CARIBE_EVENT=server",
        "CARIBE_SERVICE=TCP 10.1.0.201:80",
        "CARIBE_SERVICE_NAME=nat4tcp",
        "CARIBE_SERVER=10.2.0.11:8080",
        "CARIBE_SERVER_NAME=web1",
        "CARIBE_CODE=L7STS",
        "CARIBE_REASON=status 500",
        "CARIBE_NUMBER=",
    ] {
        let is_there = down.lines().any(|it| it.starts_with(line));
        assert!(is_there, "no `{line}` in:\n{down}");
    }
}

/// What is established goes on at a server of weight 0, and nothing new comes.
fn quiesced_finishes_what_it_has(bed: &Bed) {
    let wanted = bed.body.as_ref().expect("a body").digest().clone();
    let client = bed.client().clone();
    let download = |client: &Host| -> Result<Digest, LabError> {
        let curl = Curl::on(client).rate(RATE).time_limit(SOON * 4);
        curl.digest(&format!("{}big", QUIESCING.url()))
    };
    thread::scope(|scope| {
        let downloads: Vec<_> = (0..3).map(|_| scope.spawn(|| download(&client))).collect();
        until(bed, QUIESCING, 0, "busy", |it| it.active > 0);
        bed.well(0, "quiescing", false);
        until(bed, QUIESCING, 0, "quiesced", |it| {
            it.state == ServerState::Quiesced && it.weight == Some(0)
        });
        let quiesced = server(bed, QUIESCING, 0);
        assert!(quiesced.active > 0, "the download goes on: {quiesced:?}");
        let spread = ask(bed.client(), QUIESCING, 4);
        assert_eq!(spread, shares(&[("web2", 2), ("web3", 2)]));
        for download in downloads {
            let digest = download.join().expect("a thread").expect("a download");
            assert_eq!(digest, wanted);
        }
    });
    bed.well(0, "quiescing", true);
    until(bed, QUIESCING, 0, "back", is_whole);
}

/// When all fail at once, those that were left go on.
fn too_few_would_be_left(bed: &Bed) {
    bed.well(2, "keeping", false);
    until(bed, KEEPING, 2, "out", |it| it.weight.is_none());
    for index in [0, 1] {
        bed.well(index, "keeping", false);
    }
    for index in [0, 1] {
        until(bed, KEEPING, index, "kept", |it| {
            it.watch.kept && it.weight == Some(WEIGHT)
        });
    }
    assert_eq!(
        ask(bed.client(), KEEPING, 4),
        shares(&[("web1", 2), ("web2", 2)])
    );
    for index in 0..3 {
        bed.well(index, "keeping", true);
    }
    for index in 0..3 {
        until(bed, KEEPING, index, "good", |it| {
            is_whole(it) && !it.watch.kept
        });
    }
}

/// The agents of the project itself, each with a file of words.
fn agents(bed: &Bed) -> Vec<Process> {
    let start = |host: &Host| {
        host.command(CARIBE)
            .args(["real-server", "agent", "--interval", "1", "--words"])
            .arg(host.file("words"))
            .spawn()
            .expect("the agent starts")
    };
    bed.servers
        .iter()
        .map(|server| start(&server.host))
        .collect()
}

fn goes_by_its_agent(bed: &Bed) {
    let say = |words: &str| {
        let file = bed.servers[0].host.file("words");
        fs::write(file, words).expect("words");
    };
    // A share of the weight, as much of it as the machine is idle.
    until(bed, ADVISED, 0, "weighed", |it| {
        let told = monitor(it, "load").last.as_ref();
        told.is_some_and(|it| it.text.as_str().contains('%'))
            && it
                .weight
                .is_some_and(|weight| (1..=WEIGHT).contains(&weight))
    });
    say("drain\n");
    until(bed, ADVISED, 0, "drained", |it| it.weight == Some(0));
    assert_eq!(server(bed, ADVISED, 0).watch.wish.as_deref(), Some("drain"));
    say("maint\n");
    until(bed, ADVISED, 0, "away", |it| {
        it.state == ServerState::Maintenance && it.weight.is_none()
    });
    say("down # disk full\n");
    until(bed, ADVISED, 0, "down", |it| {
        it.state == ServerState::Down && it.weight.is_none()
    });
    let reason = server(bed, ADVISED, 0).reason.unwrap_or_default();
    assert!(reason.contains("disk full"), "{reason}");
    say("up\n");
    until(bed, ADVISED, 0, "back", |it| {
        it.state == ServerState::Up && it.weight.is_some_and(|weight| weight > 0)
    });
}

/// rstatd tells the machine's load, whatever that is: above 1 the weight stays, below it grows.
fn goes_by_its_load(bed: &Bed) {
    let line = "mount -t tmpfs tmpfs /run && rpcbind -w && rpc.rstatd && sleep 600";
    let rstatd = bed.servers[0]
        .host
        .command("unshare")
        .package("rpcbind, rstatd")
        .args(["--mount", "sh", "-c", line])
        .spawn()
        .expect("unshare");
    let load = |server: &ServerStatus| -> Option<f64> {
        let last = monitor(server, "load").last.as_ref()?;
        last.text.as_str().strip_prefix("load ")?.parse().ok()
    };
    until(bed, LOADED, 0, "weighed by its load", |it| {
        let grown = it.weight.is_some_and(|weight| weight > WEIGHT);
        load(it).is_some_and(|load| {
            // Between these the formula may still say either.
            (load < 0.8) == grown || (0.8..=1.0).contains(&load)
        })
    });
    let found = server(bed, LOADED, 0);
    let weight = found.weight.expect("it serves");
    assert!((WEIGHT..=10 * WEIGHT).contains(&weight) && weight <= Limits::MAX_WEIGHT);
    // web2 has no rstatd, which takes nothing from it.
    let other = server(bed, LOADED, 1);
    assert_eq!(other.weight, Some(WEIGHT), "{other:?}");
    drop(rstatd);
}

/// A reload that changes one monitor leaves alone what the others know.
fn is_watched_differently(bed: &mut Bed, mut file: LvsCf) {
    let before = server(bed, CLIMBING, 1);
    let flaps = before.watch.flaps;
    for index in 0..3 {
        bed.well(index, "second", index != 2);
    }
    file.serial_no = 2;
    let more = &mut file.blocks[0].more;
    *more = format!("{more}{}", page("second"));
    bed.director.reload(&file.to_string(), 2);
    // The new monitor puts out whom it finds unwell, and nobody else for a moment.
    until(bed, CLIMBING, 2, "out", |it| it.weight.is_none());
    let reason = server(bed, CLIMBING, 2).reason.unwrap_or_default();
    assert!(reason.starts_with("http-2: L7STS"), "{reason}");
    for index in [0, 1] {
        until(bed, CLIMBING, index, "looked at twice", |it| {
            is_whole(it) && it.watch.monitors.iter().all(|it| it.passed == Some(true))
        });
    }
    let after = server(bed, CLIMBING, 1);
    assert_eq!(after.watch.flaps, flaps);
    let known_for = |it: &ServerStatus| monitor(it, "http").since_seconds;
    assert!(known_for(&after) >= known_for(&before), "{after:?}");
    assert!(after.since_seconds >= before.since_seconds, "{after:?}");
    let other = server(bed, KEEPING, 0);
    assert!(is_whole(&other), "{other:?}");
}
