//! keepalived's checker, where it runs at all: it wants the kernel's IPVS.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caribe_lab::Host;
use caribe_lab::wait::{Deadline, pause};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::bed::server;
use crate::usage::{self, Used};

/// A service with these servers, each of which is connected to once a second.
fn configuration(targets: impl Iterator<Item = SocketAddr>) -> String {
    let mut text = "virtual_server 192.0.2.1 80 {\n  delay_loop 1\n  lb_algo rr\n  lb_kind DR\n  \
                    protocol TCP\n"
        .to_owned();
    for target in targets {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  real_server {} {} {{\n    TCP_CHECK {{\n      connect_timeout 1\n    }}\n  }}",
            target.ip(),
            target.port()
        );
    }
    text + "}\n"
}

/// Checks only, in the foreground, with its files in a directory.
fn arguments(directory: &Path) -> Vec<String> {
    let file = |name: &str| directory.join(name).display().to_string();
    let mut arguments = ["--check", "--dont-fork", "--log-console"]
        .map(str::to_owned)
        .to_vec();
    for (option, name) in [
        ("--use-file", CONFIGURATION),
        ("--pid", "keepalived.pid"),
        ("--checkers_pid", "checkers.pid"),
    ] {
        arguments.extend([option.to_owned(), file(name)]);
    }
    arguments
}

const CONFIGURATION: &str = "keepalived.conf";

/// Asks keepalived's checker to check one server, and gives what it says when it will not.
/// `None` means that it runs here.
pub(crate) fn refusal(host: &Host) -> Result<Option<String>> {
    let file = host.file(CONFIGURATION);
    let directory = file.parent().context("the host has no directory")?;
    let text = configuration([server(0)].into_iter());
    fs::write(&file, text).context("cannot write keepalived's configuration")?;
    // It runs for as long as it is let, if it runs.
    let said = host
        .command("timeout")
        .package("coreutils")
        .args(["10", "keepalived"])
        .args(arguments(directory))
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

/// The running program, on a machine that has nothing else to do; ends when dropped.
pub(crate) struct Keepalived {
    child: Child,
    log: PathBuf,
}

impl Keepalived {
    /// Starts it, with its files in a directory.
    pub(crate) fn start(
        directory: &Path,
        targets: impl Iterator<Item = SocketAddr>,
    ) -> Result<Keepalived> {
        let file = directory.join(CONFIGURATION);
        fs::write(&file, configuration(targets)).context("cannot write the configuration")?;
        let log = directory.join("keepalived.log");
        let output = File::create(&log).context("cannot make keepalived's log")?;
        let child = Command::new("keepalived")
            .args(arguments(directory))
            // Without a daemon for it, the log would go to the guest's console.
            .arg("--no-syslog")
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .context("cannot start keepalived")?;
        Ok(Keepalived { child, log })
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else {
            return Ok(());
        };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        bail!("keepalived ended ({status}): {log}");
    }

    pub(crate) fn used(&self) -> Used {
        Used::Family(self.child.id())
    }

    /// KiB of memory that it has.
    pub(crate) fn resident(&self) -> Result<u64> {
        let family = usage::family(self.child.id())?;
        family.into_iter().map(usage::resident).sum()
    }

    /// Ends it as an administrator would, so that it takes its service out of IPVS.
    pub(crate) fn end(mut self) -> Result<()> {
        let pid = Pid::from_raw(i32::try_from(self.child.id())?);
        kill(pid, Signal::SIGTERM).context("cannot end keepalived")?;
        let deadline = Deadline::after(Duration::from_secs(20));
        while self.child.try_wait()?.is_none() {
            anyhow::ensure!(!deadline.passed(), "keepalived does not end");
            pause(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Keepalived {
    fn drop(&mut self) {
        // One that has ended is not killed.
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            eprintln!("cannot end keepalived: {error}");
        }
    }
}
