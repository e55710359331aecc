//! The binary as a user meets it, in a temporary directory; nothing here needs root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const GOOD: &str = "\
serial_no = 7
service = lvs
network = direct
virtual shop {
     active = 1
     address = 192.0.2.80 eth0:1
     port = 80
     protocol = tcp
     scheduler = wlc
     timeout = 6
     reentry = 15
     server web1 {
         address = 10.20.0.101
         active = 1
         weight = 1
     }
     server web2 {
         address = 10.20.0.102
         active = 0
         weight = 1
     }
}
";

fn caribe(directory: &Path, words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_caribe"))
        .args(words)
        .current_dir(directory)
        .env_remove("CARIBE_RUNTIME_DIR")
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

fn directory() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

#[test]
fn check_accepts_a_good_file() {
    let directory = directory();
    fs::write(directory.path().join("lvs.cf"), GOOD).expect("written");
    let output = caribe(directory.path(), &["check", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        "lvs.cf: usable: 0 errors, 0 warnings; 1 active virtual service with 1 active real \
         server\n"
    );
    let output = caribe(directory.path(), &["check", "--strict", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

#[test]
fn check_shows_every_error_with_its_place() {
    let directory = directory();
    let bad = GOOD
        .replace("protocol = tcp", "protocol = ddp")
        .replace("timeout = 6", "timeout = soon");
    fs::write(directory.path().join("lvs.cf"), bad).expect("written");
    let output = caribe(directory.path(), &["check", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = text(&output.stderr);
    let place = |line: &str| shown.lines().any(|shown| shown.starts_with(line));
    assert!(place("lvs.cf:8:") && place("lvs.cf:10:"), "{shown}");
    assert!(
        shown.ends_with("lvs.cf: not usable: 2 errors, 0 warnings\n"),
        "{shown}"
    );
}

#[test]
fn check_recommends_what_is_better_than_ipvss_default() {
    let directory = directory();
    let udp = GOOD
        .replace("protocol = tcp", "protocol = udp\n     monitor = none")
        .replace("active = 0", "active = 1");
    fs::write(directory.path().join("lvs.cf"), &udp).expect("written");
    let output = caribe(directory.path(), &["check", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let shown = text(&output.stderr);
    assert!(shown.starts_with("lvs.cf:8:17: note: "), "{shown}");
    assert!(shown.contains("expire_nodest_conn = 1"), "{shown}");
    let summary = text(&output.stdout);
    assert!(
        summary.contains(": 0 errors, 0 warnings, 1 recommendation; "),
        "{summary}"
    );
    // Followed, it is gone.
    let better = udp.replace("service = lvs", "service = lvs\nexpire_nodest_conn = 1");
    fs::write(directory.path().join("lvs.cf"), better).expect("written");
    let output = caribe(directory.path(), &["check", "lvs.cf"]);
    assert!(!text(&output.stderr).contains("note"), "{output:?}");
}

#[test]
fn check_recommends_other_weights_where_sh_cannot_follow_them() {
    let directory = directory();
    let check = |weights: [u32; 2]| {
        let servers = weights.iter().zip(1..).map(|(weight, host)| {
            format!(
                "server s{host} {{\n active = 1\n address = 10.0.0.{host}\n weight = {weight}\n}}\n"
            )
        });
        let file = format!(
            "serial_no = 1\nservice = lvs\nnetwork = direct\nvirtual web {{\n active = 1\n \
             address = 192.0.2.1 eth0:1\n port = 80\n scheduler = sh\n \
             scheduler_flags = sh-fallback\n{}}}\n",
            servers.collect::<String>()
        );
        fs::write(directory.path().join("lvs.cf"), file).expect("written");
        let output = caribe(directory.path(), &["check", "lvs.cf"]);
        assert_eq!(output.status.code(), Some(0), "{output:?}");
        text(&output.stderr)
    };
    // The last of the file is the newest, whose turn is first.
    let shown = check([100, 200]);
    assert!(
        shown.contains(
            "gives the server `s2` 78.1 % of the clients, where its weight asks for 66.7 %"
        ),
        "{shown}"
    );
    assert!(
        shown.contains("write the weights 1, 2, in the order"),
        "{shown}"
    );
    // Followed, it is gone.
    assert_eq!(check([1, 2]), "");
    // No smaller weights have these ratios.
    let shown = check([101, 200]);
    assert!(shown.contains("write `scheduler = mh`"), "{shown}");
    assert!(!shown.contains("write the weights"), "{shown}");
}

#[test]
fn strict_refuses_what_piranha_refused() {
    let directory = directory();
    let own = GOOD.replace("network = direct", "network = direct\ninterface = eth1");
    fs::write(directory.path().join("lvs.cf"), own).expect("written");
    let output = caribe(directory.path(), &["check", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let output = caribe(directory.path(), &["check", "--strict", "lvs.cf"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn check_of_a_missing_file_names_it() {
    let directory = directory();
    let output = caribe(directory.path(), &["check", "nothing.cf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nothing.cf"), "{output:?}");
}

#[test]
fn status_without_a_director_says_how_to_start_one() {
    let directory = directory();
    let output = caribe(directory.path(), &["status", "--runtime-dir", "run"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        text(&output.stderr),
        "caribe status: no director is running with runtime directory run: start one with \
         `caribe director --config FILE`, or name another directory with --runtime-dir\n"
    );
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn explain_without_a_director_says_how_to_start_one() {
    let directory = directory();
    let (client, vip) = ("198.51.100.7:4000", "192.0.2.80:80");
    let words = ["explain", "tcp", client, vip, "--runtime-dir", "run"];
    let output = caribe(directory.path(), &words);
    assert_eq!(output.status.code(), Some(1));
    let told = text(&output.stderr);
    assert!(
        told.starts_with("caribe explain: no director is running with runtime directory run: "),
        "{told}"
    );
    assert_eq!(text(&output.stdout), "");
}

#[test]
fn explain_refuses_what_is_no_packet() {
    let directory = directory();
    let (v4, v6) = ("198.51.100.7:4000", "[2001:db8::1]:80");
    for (words, told) in [
        (
            &["explain", "tcp", v4, v6][..],
            "are not of one address family",
        ),
        (
            &["explain", "tcp", "198.51.100.7", v4],
            "invalid socket address",
        ),
        (
            &["explain", "tcp", v4, "192.0.2.1:http"],
            "invalid socket address",
        ),
        (&["explain", "icmp", v4, v4], "needs tcp, udp or sctp"),
        (
            &["explain", "tcp", v4, v4, "--flags", "syn,ece"],
            "possible values: fin, syn",
        ),
        (
            &["explain", "tcp", v4, v4, "--payload", "1401"],
            "more than the 1400",
        ),
        (&["explain", "tcp", v4], "VIP:PORT"),
    ] {
        let output = caribe(directory.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {output:?}");
        assert!(text(&output.stderr).contains(told), "{words:?}: {output:?}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn ipvsadm_without_a_director_fails_as_without_ipvs() {
    let directory = directory();
    let output = caribe(
        directory.path(),
        &["ipvsadm", "--runtime-dir", "run", "-L", "-n"],
    );
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no director is running"),
        "{output:?}"
    );
}

#[test]
fn ipvsadm_by_its_own_name() {
    let directory = directory();
    let name = directory.path().join("ipvsadm");
    symlink(env!("CARGO_BIN_EXE_caribe"), &name).expect("linked");
    let run = |words: &[&str]| {
        Command::new(&name)
            .args(words)
            .env("CARIBE_RUNTIME_DIR", directory.path().join("run"))
            .output()
            .expect("the binary runs")
    };
    let output = run(&["-Ln"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no director is running"),
        "{output:?}"
    );
    let output = run(&["-n", "-L"]);
    assert_eq!(output.status.code(), Some(255));
    assert!(
        text(&output.stderr).ends_with("ipvsadm --help' for more information.\n"),
        "{output:?}"
    );
    let output = run(&["-A", "-t", "10.0.0.1:80"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("no director is running"),
        "{output:?}"
    );
    let output = run(&["-A", "-t", "10.0.0.1:80", "-w", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(
        text(&output.stderr),
        "Illegal 'weight' option with the 'add-service' command\n"
    );
    // What no director could do in this release is told without one.
    let output = run(&["-A", "-u", "10.0.0.1:5060", "--pe", "sip"]);
    assert_eq!(output.status.code(), Some(255));
    assert_eq!(
        text(&output.stderr),
        "not supported in this release: persistence engines (--pe)\n"
    );
    let output = run(&["--version"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        text(&output.stdout).starts_with("ipvsadm v1.31 "),
        "{output:?}"
    );
    assert_eq!(run(&["-h"]).status.code(), Some(0));
}

#[test]
fn the_wrappers_of_ipvsadm_by_their_names() {
    let directory = directory();
    let run = |name: &str, words: &[&str]| {
        let link = directory.path().join(name);
        if !link.exists() {
            symlink(env!("CARGO_BIN_EXE_caribe"), &link).expect("linked");
        }
        Command::new(&link)
            .args(words)
            .env("CARIBE_RUNTIME_DIR", directory.path().join("run"))
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the binary runs")
    };
    for (name, words) in [("ipvsadm-save", &["-n"][..]), ("ipvsadm-restore", &[])] {
        let output = run(name, words);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            text(&output.stderr).contains("no director is running"),
            "{output:?}"
        );
    }
    let output = run("ipvsadm-save", &["-x"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stderr).contains("With -n"), "{output:?}");
}

#[test]
fn bad_arguments_are_refused_with_2() {
    let directory = directory();
    for words in [
        &["nonsense"][..],
        &["director", "--log-format", "poetry"],
        &["check"],
        &["status", "--yaml"],
        &[],
    ] {
        let output = caribe(directory.path(), words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(!output.stderr.is_empty(), "{words:?}");
    }
}

#[test]
fn a_director_refuses_a_broken_file_with_every_diagnostic() {
    let directory = directory();
    let bad = GOOD
        .replace("protocol = tcp", "protocol = ddp")
        .replace("timeout = 6", "timeout = soon");
    fs::write(directory.path().join("lvs.cf"), bad).expect("written");
    let output = caribe(
        directory.path(),
        &[
            "director",
            "--config",
            "lvs.cf",
            "--runtime-dir",
            "run",
            "--pin-dir",
            "pins",
            "--log-format",
            "human",
        ],
    );
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let shown = text(&output.stderr);
    assert!(
        shown.contains("lvs.cf:8:") && shown.contains("lvs.cf:10:"),
        "{shown}"
    );
    assert!(
        !directory.path().join("pins").exists(),
        "nothing was touched"
    );
}

#[test]
fn a_director_refuses_an_interface_that_cannot_be() {
    let directory = directory();
    let words = ["director", "--interface", "eth0:1", "--log-format", "human"];
    let output = caribe(directory.path(), &words);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("`eth0:1`"), "{output:?}");
}
