//! Scripts that judge a server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caribe_health::probe::{Check, Code, probe};
use caribe_lab::wait;

use crate::bed::{Bed, START, assert_says, check, target};

const SERVER: &str = "192.0.2.7:8080";

fn script(bed: &Bed, name: &str, text: &str) -> PathBuf {
    let path = bed.file(name, &format!("#!/bin/sh\n{text}\n"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("executable");
    path
}

fn run(words: &[&str], verdict: &str) -> Check {
    let words = serde_json::to_string(words).expect("words");
    check(&format!(
        r#"{{"program":{{"command":{words},"verdict":{verdict}}}}}"#
    ))
}

#[test]
fn output_and_exit_status_decide() {
    let bed = Bed::new("script");
    let echo = script(&bed, "echo.sh", r#"echo "$@""#);
    let echo = echo.to_str().expect("a path");
    let fail = script(&bed, "fail.sh", "echo OK; echo trouble >&2; exit 3");
    let fail = fail.to_str().expect("a path");
    let die = script(&bed, "die.sh", "echo OK; kill -SEGV $$");
    let die = die.to_str().expect("a path");
    let ok = r#"{"output":{"exactly":"OK"}}"#;
    for (words, verdict, code, says) in [
        (vec![echo, "OK"], ok, Code::ProgramOk, "said `OK`"),
        (
            vec![echo, "FAIL"],
            ok,
            Code::ProgramError,
            "said `FAIL` instead of `OK`",
        ),
        (
            vec![echo, "http://%h:%p/", "%x"],
            r#"{"output":{"exactly":"http://192.0.2.7:8080/ %x"}}"#,
            Code::ProgramOk,
            "",
        ),
        (
            vec![echo, "OK"],
            r#"{"output":null}"#,
            Code::ProgramError,
            "there is no `expect`",
        ),
        (
            vec![echo],
            r#"{"output":"anything"}"#,
            Code::ProgramError,
            "instead of anything",
        ),
        (vec![echo], r#""exit""#, Code::ProgramOk, "ended well"),
        (
            vec![fail],
            ok,
            Code::ProgramError,
            "exited with 3 and said `trouble`",
        ),
        (vec![fail], r#""exit""#, Code::ProgramError, "exited with 3"),
        (vec![die], ok, Code::ProgramError, "died of SIGSEGV"),
        (
            vec!["/nowhere/check"],
            r#""exit""#,
            Code::ProgramError,
            "cannot run /nowhere/check",
        ),
        (
            vec![echo, "load average: 0.75, 1, 1"],
            r#""load""#,
            Code::ProgramOk,
            "load 0.75",
        ),
    ] {
        let finding = bed.sees(code, &run(&words, verdict), SERVER);
        assert_says(&finding, says);
    }
    let finding = bed.sees(Code::ProgramOk, &run(&[echo, "2.5"], r#""load""#), SERVER);
    assert_eq!(finding.load().map(|load| load.value()), Some(2.5));
}

/// A script that says OK, starts a child, notes both and does not end; the file of the note.
fn endless(bed: &Bed) -> (Check, PathBuf) {
    let pids = bed.host.file("pids");
    let text = format!(
        "sleep 600 & echo $! > {0}.new; echo $$ >> {0}.new; mv {0}.new {0}; echo OK; wait",
        pids.display()
    );
    let slow = script(bed, "slow.sh", &text);
    let slow = slow.to_str().expect("a path");
    let check = run(&[slow], r#"{"output":{"exactly":"OK"}}"#);
    (check, pids)
}

fn assert_both_end(pids: &Path) {
    let pids = fs::read_to_string(pids).expect("both started");
    assert_eq!(pids.lines().count(), 2);
    for pid in pids.lines() {
        wait::until_true(format!("process {pid} to be gone"), START, || is_gone(pid))
            .expect("killed");
    }
}

#[test]
fn an_overdue_script_is_killed_with_all_its_children() {
    let bed = Bed::new("overdue");
    let (check, pids) = endless(&bed);
    let finding = bed.waits_in_vain(Code::ProgramTimeout, &check, SERVER);
    assert_says(&finding, "timed out after 1 s");
    assert_both_end(&pids);
}

#[test]
fn a_probe_that_is_dropped_takes_its_script_with_it() {
    let bed = Bed::new("dropped");
    let (check, pids) = endless(&bed);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let (target, long) = (target(SERVER), Duration::from_secs(600));
    runtime.block_on(async {
        let started = async {
            while !pids.exists() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            finding = probe(&check, &target, long) => panic!("it ended: {finding}"),
            () = started => {}
        }
    });
    assert_both_end(&pids);
}

/// Gone, or dead and waiting for a parent that does not come.
fn is_gone(pid: &str) -> bool {
    match fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(stat) => stat
            .rsplit(") ")
            .next()
            .is_some_and(|rest| rest.starts_with('Z')),
        Err(_) => true,
    }
}

#[test]
fn a_talkative_script_is_ended() {
    let bed = Bed::new("talker");
    let yes = run(&["yes"], r#""exit""#);
    let finding = bed.sees(Code::ProgramError, &yes, SERVER);
    assert_says(&finding, "said more than 65536 bytes");
}

#[test]
fn a_script_may_leave_a_daemon_behind() {
    let bed = Bed::new("leaver");
    let text = "sleep 30 & echo OK";
    let leaver = script(&bed, "leave.sh", text);
    let leaver = leaver.to_str().expect("a path");
    let check = run(&[leaver], r#"{"output":{"exactly":"OK"}}"#);
    // The lab ends what is left with the host.
    bed.sees(Code::ProgramOk, &check, SERVER);
}
