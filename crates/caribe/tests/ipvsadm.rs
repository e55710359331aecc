//! `caribe ipvsadm` against a real director: what it lists is what happens, and what it changes
//! balances real requests. Needs root.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use caribe_dataplane::xdp::LiveConnection;
use caribe_director::Status;
use caribe_lab::topology::{
    CLIENT, DIRECTOR, FIRST_SERVER, FIRST_VIP, TwoArmed, inside_v4, lan_v4,
};
use caribe_lab::{Curl, Finished, Lab, Nginx, Process, wait};
use nix::sys::signal::Signal;

const CARIBE: &str = env!("CARGO_BIN_EXE_caribe");
const SOON: Duration = Duration::from_secs(15);

/// A director that balances one service by NAT; its file knows one of two servers.
struct Bed {
    director: Process,
    runtime: PathBuf,
    file: PathBuf,
    _servers: Vec<Nginx>,
    net: TwoArmed,
}

fn lvs_cf(keep_overrides: bool) -> String {
    format!(
        "\
serial_no = 1
service = lvs
interface = eth1
keep_overrides = {keep}
virtual shop {{
    active = 1
    address = {vip} eth0:1
    port = 80
    protocol = tcp
    forward = nat
    scheduler = rr
    timeout = 2
    reentry = 4
    server web1 {{
        active = 1
        address = {server}
        weight = 1
    }}
}}
",
        keep = u8::from(keep_overrides),
        vip = lan_v4(FIRST_VIP),
        server = inside_v4(FIRST_SERVER),
    )
}

impl Bed {
    fn start() -> Bed {
        let lab = Lab::new("ipvsadm").expect("a lab");
        let net = TwoArmed::build(lab, 2, 1500).expect("a network");
        let servers = net.servers.iter();
        let servers = servers.map(|host| Nginx::start(host, &[80], None).expect("nginx"));
        let servers = servers.collect();
        let host = &net.director;
        let (file, runtime) = (net.lab.directory().join("lvs.cf"), host.file("run"));
        fs::write(&file, lvs_cf(false)).expect("written");
        let pins = net.lab.pin_directory("director").expect("pins");
        let director = host
            .command(CARIBE)
            .args(["director", "--log-format", "human", "--config"])
            .arg(&file)
            .arg("--runtime-dir")
            .arg(&runtime)
            .arg("--pin-dir")
            .arg(pins.join("pins"))
            .spawn()
            .expect("the director starts");
        let bed = Bed {
            director,
            runtime,
            file,
            _servers: servers,
            net,
        };
        bed.wait_until_listed(&[web(1)]);
        bed
    }

    /// Runs ipvsadm.
    fn ipvsadm(&self, words: &str) -> Finished {
        let command = self.net.director.command(CARIBE).arg("ipvsadm");
        let command = command
            .args(words.split(' '))
            .env("CARIBE_RUNTIME_DIR", &self.runtime);
        command.finish().expect("it runs")
    }

    /// Runs `caribe save`.
    fn save(&self) -> Finished {
        let command = self.net.director.command(CARIBE);
        let command = command.args(["save", "--runtime-dir"]).arg(&self.runtime);
        command.finish().expect("it runs")
    }

    /// Runs a command that must succeed; what it printed.
    fn does(&self, words: &str) -> String {
        let finished = self.ipvsadm(words);
        assert!(finished.status.success(), "{words}: {finished:?}");
        assert_eq!(finished.stderr, "", "{words}");
        finished.stdout
    }

    /// Runs a command that must be refused with exactly this.
    fn refuses(&self, words: &str, message: &str) {
        let finished = self.ipvsadm(words);
        assert_eq!(finished.status.code(), Some(255), "{words}: {finished:?}");
        assert_eq!(finished.stderr, format!("{message}\n"), "{words}");
    }

    fn wait_until_listed(&self, servers: &[String]) {
        wait::until("the servers in the table", SOON, || {
            let finished = self.ipvsadm(&format!("-Ln -t {}", vip()));
            let lines = finished.stdout.lines().skip(3);
            let listed: Vec<&str> = lines.filter_map(|line| line.split(' ').nth(3)).collect();
            (listed == servers)
                .then_some(())
                .ok_or(format!("{finished:?}"))
        })
        .expect("the table is as it should be");
    }

    fn status(&self) -> Status {
        let command = self.net.director.command(CARIBE);
        let command = command.args(["status", "--json", "--runtime-dir"]);
        let json = command.arg(&self.runtime).run().expect("a status");
        serde_json::from_str(&json).expect("a status")
    }

    /// Sends so many requests, none of which may fail, until the ways to all servers are known.
    fn requests(&self, place: &str, count: usize) {
        let url = format!("http://{place}/");
        let curl = Curl::on(&self.net.client).time_limit(Duration::from_secs(5));
        wait::until("an answer", SOON, || curl.get(&url).map(drop)).expect("it answers");
        let burst = curl.burst(&url, count, 1).expect("curl runs");
        assert_eq!(burst.failed(), 0, "{burst:?}");
    }
}

/// The VIP with its port.
fn vip() -> String {
    format!("{}:80", lan_v4(FIRST_VIP))
}

/// A server with its port.
fn web(number: u8) -> String {
    format!("{}:80", inside_v4(FIRST_SERVER + number - 1))
}

/// Connections of each server of a service, by `--stats`.
fn counted(bed: &Bed, place: &str) -> Vec<u64> {
    let text = bed.does(&format!("-Ln --stats --exact -t {place}"));
    let servers = text.lines().skip(3);
    let counts = servers.map(|line| {
        let column = line.split_whitespace().nth(2).expect("a column");
        column.parse().expect("a number")
    });
    counts.collect()
}

#[test]
fn the_table_is_listed_changed_saved_and_restored() {
    let mut bed = Bed::start();
    let (vip, own) = (vip(), format!("{}:8000", lan_v4(DIRECTOR)));

    // A server by hand takes its share of real requests.
    bed.does(&format!("-a -t {vip} -r {} -m", web(2)));
    bed.wait_until_listed(&[web(1), web(2)]);
    wait::until_true("the way to the new server", SOON, || {
        let before = counted(&bed, &vip);
        bed.requests(&vip, 20);
        let after = counted(&bed, &vip);
        after
            .iter()
            .zip(&before)
            .all(|(after, before)| after > before)
    })
    .expect("both servers answer");
    let connections = bed.does("-Lnc");
    assert!(
        connections.starts_with("IPVS connection entries\npro expire state "),
        "{connections}"
    );
    let expected = format!("{vip:<18} {}", web(2));
    let row = connections.lines().find(|line| line.ends_with(&expected));
    let row = row.unwrap_or_else(|| panic!("no connection to the new server: {connections}"));
    assert!(row.starts_with("TCP 0"), "{row}");

    bed.does("-Z");
    assert_eq!(counted(&bed, &vip), [0, 0]);
    bed.requests(&vip, 20);
    let share = counted(&bed, &vip);
    assert!(share.iter().all(|count| *count >= 10), "{share:?}");
    let rates = bed.does("-Ln --rate");
    assert!(rates.contains("CPS    InPPS   OutPPS"), "{rates}");

    // Weight 0 sends nothing more.
    bed.does(&format!("-e -t {vip} -r {} -m -w 0", web(1)));
    bed.does(&format!("-Z -t {vip}"));
    bed.requests(&vip, 10);
    assert_eq!(counted(&bed, &vip)[0], 0);

    // A service by hand, on an address of the director's own.
    bed.does(&format!("-A -t {own} -s sh -b sh-port"));
    assert!(
        bed.does("-Ln")
            .contains(&format!("\nTCP  {own} sh (sh-port)\n")),
        "flags are listed"
    );
    bed.does(&format!("-E -t {own} -s wrr"));
    bed.does(&format!("-a -t {own} -r {} -m -w 3", web(1)));
    bed.requests(&own, 5);

    // Everything that can be said of a service and its servers is listed, and saved but for the
    // thresholds. An edit forgets what it does not say.
    let (all, query) = (
        lan_v4(DIRECTOR).to_string(),
        format!("{}:53", lan_v4(DIRECTOR)),
    );
    bed.does(&format!(
        "-A -t {all}:0 -s sh -b sh-fallback -p 600 -M 255.255.255.0"
    ));
    bed.does(&format!("-A -u {query} -s rr -o"));
    bed.does(&format!(
        "-a -u {query} -r 198.51.100.9 -i --tun-type gue --tun-port 6080 --tun-csum -x 100 -y 80"
    ));
    let listed = bed.does("-Ln --tun-info");
    for line in [
        format!("TCP  {all}:0 sh (sh-fallback) persistent 600 mask 255.255.255.0\n"),
        format!("UDP  {query} rr ops\n"),
        "  -> 198.51.100.9:53              Tunnel  gue:6080:+c   1      0          0         \n"
            .to_owned(),
    ] {
        assert!(listed.contains(&line), "{line}: {listed}");
    }
    let listed = bed.does("-Ln --thresholds");
    let line = "  -> 198.51.100.9:53              100        80         0          0         \n";
    assert!(listed.contains(line), "{listed}");
    let saved = bed.does("-S -n");
    for line in [
        format!("-A -t {all}:0 -s sh -p 600 -M 255.255.255.0 -b sh-fallback\n"),
        format!("-A -u {query} -s rr -o\n"),
        format!(
            "-a -u {query} -r 198.51.100.9:53 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum\n"
        ),
    ] {
        assert!(saved.contains(&line), "{line}: {saved}");
    }
    bed.does(&format!("-e -u {query} -r 198.51.100.9 -i"));
    let listed = bed.does("-Ln --thresholds");
    let line = "  -> 198.51.100.9:53              0          0          0          0         \n";
    assert!(listed.contains(line), "{listed}");
    bed.does(&format!("-D -u {query}"));
    bed.does(&format!("-D -t {all}:0"));

    bed.does("--set 7200 0 60");
    assert_eq!(
        bed.does("-L --timeout"),
        "Timeout (tcp tcpfin udp): 7200 120 60\n"
    );

    // Saved, cleared and restored it is the same.
    let saved = bed.does("-S -n");
    assert_eq!(
        saved,
        format!(
            "-A -t {own} -s wrr\n\
             -a -t {own} -r {one} -m -w 3\n\
             -A -t {vip} -s rr\n\
             -a -t {vip} -r {one} -m -w 0\n\
             -a -t {vip} -r {two} -m -w 1\n",
            one = web(1),
            two = web(2)
        )
    );
    bed.does("-C");
    assert_eq!(bed.does("-S -n"), "");
    let script = format!("printf '%s' '{saved}' | {CARIBE} ipvsadm -R");
    let shell = bed.net.director.command("sh").args(["-c", &script]);
    let restored = shell.env("CARIBE_RUNTIME_DIR", &bed.runtime).finish();
    let restored = restored.expect("it runs");
    assert!(restored.status.success(), "{restored:?}");
    assert_eq!(bed.does("-S -n"), saved);
    bed.requests(&vip, 5);

    // What cannot be is told in ipvsadm's words, or names what is missing.
    bed.refuses(&format!("-A -t {vip}"), "Service already exists");
    bed.refuses(
        &format!("-a -t {vip} -r {} -m", web(2)),
        "Destination already exists",
    );
    bed.refuses("-D -t 192.0.2.1:80", "No such service");
    bed.refuses(&format!("-d -t {vip} -r 192.0.2.9"), "No such destination");
    bed.refuses(
        &format!("-E -t {vip} -p 300 --pe sip"),
        "not supported in this release: persistence engines (--pe)",
    );
    bed.refuses(
        &format!("-e -t {vip} -r {} -m -x 5 -y 6", web(2)),
        "Numerical result out of range",
    );
    let nosuch = format!("-E -t {vip} -s nosuch");
    bed.refuses(&nosuch, "Scheduler or persistence engine not found");

    // All of it shows as changed by hand; a reload drops it.
    let overrides = bed.status().overrides.join("\n");
    assert!(overrides.contains(&own), "{overrides}");
    bed.director.signal(Signal::SIGHUP).expect("SIGHUP");
    bed.director
        .wait_until_says("dropped by the reload", SOON)
        .expect("the log says it");
    bed.wait_until_listed(&[web(1)]);
    assert_eq!(bed.status().overrides, [""; 0]);
    assert_eq!(bed.ipvsadm(&format!("-L -t {own}")).status.code(), Some(1));
    bed.requests(&vip, 5);

    // Unless the file keeps it.
    bed.does(&format!("-a -t {vip} -r {} -m", web(2)));
    fs::write(&bed.file, lvs_cf(true)).expect("written");
    bed.director.signal(Signal::SIGHUP).expect("SIGHUP");
    bed.director
        .wait_until_says("stays in place", SOON)
        .expect("the log says it");
    bed.wait_until_listed(&[web(1), web(2)]);

    // Saved, a change is the configuration's, and a reload finds nothing to drop.
    bed.does(&format!("-e -t {vip} -r {} -m -w 5", web(1)));
    fs::write(&bed.file, format!("# other\n{}", lvs_cf(true))).expect("written");
    let refused = bed.save();
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert!(refused.stderr.contains("was changed since"), "{refused:?}");
    fs::write(&bed.file, lvs_cf(true)).expect("written");
    let saved = bed.save();
    assert!(saved.status.success(), "{saved:?}");
    let text = fs::read_to_string(&bed.file).expect("the file");
    assert!(text.contains("weight = 5\n"), "{text}");
    assert!(
        text.contains(&inside_v4(FIRST_SERVER + 1).to_string()),
        "{text}"
    );
    fs::write(
        &bed.file,
        text.replace("keep_overrides = 1", "keep_overrides = 0"),
    )
    .expect("written");
    let reloads = bed.status().configuration.reloads;
    bed.director.signal(Signal::SIGHUP).expect("SIGHUP");
    wait::until_true("the reload", SOON, || {
        bed.status().configuration.reloads > reloads
    })
    .expect("it takes effect");
    bed.wait_until_listed(&[web(1), web(2)]);
    let status = bed.status();
    assert_eq!(status.overrides, [""; 0]);
    assert_eq!(status.services[0].servers[0].configured_weight, 5);

    let Bed { director, net, .. } = bed;
    let status = director.stop(SOON).expect("it ends");
    assert!(status.success(), "{status}");
    net.lab.remove().expect("the lab is removed");
}

/// A user and a group that no file of the lab belongs to, and another group, which every Debian
/// has by this name and number.
const STRANGER: u32 = 65_534;
const GROUP: (&str, u32) = ("daemon", 1);

impl Bed {
    /// Runs the copy of caribe that is in the lab as another user, with that group and no other.
    fn as_stranger(&self, group: u32, words: &[&str]) -> Finished {
        let command = self.net.director.command("setpriv").package("util-linux");
        command
            .arg(format!("--reuid={STRANGER}"))
            .arg(format!("--regid={group}"))
            .arg("--clear-groups")
            .arg(self.net.lab.directory().join("caribe"))
            .args(words)
            .env("CARIBE_RUNTIME_DIR", &self.runtime)
            .finish()
            .expect("it runs")
    }

    /// Reloads the file with this line in it.
    fn reload_with(&mut self, line: &str) {
        fs::write(&self.file, format!("{line}\n{}", lvs_cf(false))).expect("written");
        let reloads = self.status().configuration.reloads;
        self.director.signal(Signal::SIGHUP).expect("SIGHUP");
        wait::until_true("the reload", SOON, || {
            self.status().configuration.reloads > reloads
        })
        .expect("it takes effect");
    }
}

#[test]
fn the_socket_is_for_root_and_the_group_of_the_file() {
    let mut bed = Bed::start();
    // Where the tests' own program lies, others may not look.
    fs::copy(CARIBE, bed.net.lab.directory().join("caribe")).expect("copied");
    let runtime = bed.runtime.display().to_string();
    let status = ["status", "--runtime-dir", &runtime];
    let denied = |bed: &Bed, group: u32| {
        for (words, code) in [(&status[..], 1), (&["ipvsadm", "-L", "-n"], 2)] {
            let finished = bed.as_stranger(group, words);
            assert_eq!(
                finished.status.code(),
                Some(code),
                "{words:?}: {finished:?}"
            );
            assert!(
                finished.stderr.contains("not allowed to ask the director"),
                "{finished:?}"
            );
            assert!(finished.stderr.contains("`control_group`"), "{finished:?}");
        }
    };
    denied(&bed, GROUP.1);

    bed.reload_with(&format!("control_group = {}", GROUP.0));
    let shown = bed.as_stranger(GROUP.1, &status);
    assert!(shown.status.success(), "{shown:?}");
    let (vip, second) = (vip(), web(2));
    let add = ["ipvsadm", "-a", "-t", &vip, "-r", &second, "-m"];
    let added = bed.as_stranger(GROUP.1, &add);
    assert!(added.status.success(), "{added:?}");
    bed.wait_until_listed(&[web(1), web(2)]);
    denied(&bed, STRANGER);

    // By number; another group, and the first has no way in any more.
    bed.reload_with(&format!("control_group = {STRANGER}"));
    denied(&bed, GROUP.1);
    assert!(bed.as_stranger(STRANGER, &status).status.success());

    // A group that is not there leaves root alone, and the log says so.
    bed.reload_with("control_group = nosuchgroup");
    bed.director
        .wait_until_says("there is no such group", SOON)
        .expect("the log says it");
    denied(&bed, STRANGER);
    bed.reload_with(&format!("control_group = {}", GROUP.0));
    assert!(bed.as_stranger(GROUP.1, &status).status.success());
    bed.reload_with("");
    denied(&bed, GROUP.1);

    // What is listed is what was asked for.
    bed.requests(&vip, 20);
    let connections = |words: &[&str]| {
        let command = bed.net.director.command(CARIBE).arg("connections");
        let command = command.args(["--runtime-dir", &runtime]).args(words);
        command.run().expect("a list")
    };
    let all = connections(&[]);
    assert!(all.lines().count() > 20, "{all}");
    let client = lan_v4(CLIENT).to_string();
    let asked = ["--client", &client, "--service", &vip, "--server", &web(1)];
    let found = connections(&[&asked[..], &["--protocol", "tcp"]].concat());
    let rows: Vec<&str> = found.lines().skip(1).collect();
    assert!(rows.len() >= 10, "{found}");
    assert!(rows.iter().all(|row| row.ends_with(&web(1))), "{found}");
    let states = [
        "ESTABLISHED",
        "FIN_WAIT",
        "TIME_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "CLOSE",
    ];
    let by_state: usize = states
        .iter()
        .map(|state| connections(&["--state", state]).lines().count() - 1)
        .sum();
    assert!(by_state > 0, "{all}");
    for nothing in [
        ["--client", "203.0.113.1"],
        ["--service", "192.0.2.9:80"],
        ["--protocol", "udp"],
    ] {
        let found = connections(&nothing);
        assert_eq!(found.lines().count(), 1, "{nothing:?}: {found}");
    }
    let few = connections(&["--json", "--limit", "3"]);
    assert_eq!(few.lines().count(), 3, "{few}");
    for line in few.lines() {
        let connection: LiveConnection = serde_json::from_str(line).expect("a connection");
        assert_eq!(connection.client.ip().to_string(), client);
    }

    let Bed { director, net, .. } = bed;
    let status = director.stop(SOON).expect("it ends");
    assert!(status.success(), "{status}");
    net.lab.remove().expect("the lab is removed");
}
