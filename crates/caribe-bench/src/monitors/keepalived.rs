//! keepalived's checker, where it runs at all: it wants the kernel's IPVS.

use std::fs;

use anyhow::{Context, Result};
use caribe_lab::Host;

/// Asks keepalived's checker to check one server, and gives what it says when it will not.
///
/// `None` means that it runs here, so that it ought to be measured.
pub(crate) fn refusal(host: &Host) -> Result<Option<String>> {
    let (file, pid, child) = (
        host.file("keepalived.conf"),
        host.file("keepalived.pid"),
        host.file("checkers.pid"),
    );
    let text = "virtual_server 10.96.255.1 80 {\n  delay_loop 1\n  lb_algo rr\n  lb_kind DR\n  \
                protocol TCP\n  real_server 10.96.0.1 80 {\n    TCP_CHECK {\n      \
                connect_timeout 1\n    }\n  }\n}\n";
    fs::write(&file, text).context("cannot write keepalived's configuration")?;
    // It runs for as long as it is let, if it runs.
    let said = host
        .command("timeout")
        .package("coreutils")
        .args([
            "10",
            "keepalived",
            "--check",
            "--dont-fork",
            "--log-console",
        ])
        .arg("--use-file")
        .arg(&file)
        .arg("--pid")
        .arg(&pid)
        .arg("--checkers_pid")
        .arg(&child)
        .finish()?;
    /// What `timeout` gives when it had to end the program.
    const OVERSTAYED: i32 = 124;
    if said.status.code() == Some(OVERSTAYED) {
        return Ok(None);
    }
    let all = format!("{}{}", said.stdout, said.stderr);
    let line = all.lines().find(|line| line.contains("IPVS:"));
    let reason = line.or(all.lines().last()).unwrap_or("it says nothing");
    // What precedes the words is the date.
    let words = reason
        .split_once("IPVS:")
        .map_or(reason, |(_, words)| words);
    Ok(Some(words.trim().to_owned()))
}
