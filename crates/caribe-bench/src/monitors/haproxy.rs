//! HAProxy's checks, on one thread: the rival.

use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_lab::Process;

use super::bed::Bed;
use super::servers::Kind;
use crate::usage::Used;

/// The running program; ends when dropped.
pub(crate) struct Haproxy {
    process: Process,
}

impl Haproxy {
    /// Starts it on the director's processor.
    pub(crate) fn start(
        bed: &Bed,
        kind: Kind,
        targets: impl Iterator<Item = SocketAddr>,
        interval: Duration,
    ) -> Result<Haproxy> {
        let host = &bed.director;
        let (file, socket) = (host.file("haproxy.cfg"), host.file("haproxy.sock"));
        let milliseconds = interval.as_millis();
        let check = match kind {
            Kind::Tcp => "",
            Kind::Http => "    option httpchk GET /\n",
        };
        let mut text = format!(
            "global\n    nbthread 1\n    maxconn 1000\n    no strict-limits\ndefaults\n    mode tcp\n    \
             timeout connect {milliseconds}ms\n    timeout client 1s\n    timeout server 1s\n    \
             timeout check {milliseconds}ms\n    default-server inter {milliseconds}ms rise 1 \
             fall 1\nlisten bench\n    bind unix@{}\n{check}",
            socket.display()
        );
        for (number, target) in targets.enumerate() {
            // Writing to a string does not fail.
            let _ = writeln!(text, "    server s{number} {target} check");
        }
        fs::write(&file, text).context("cannot write HAProxy's configuration")?;
        let process = host
            .command("taskset")
            .package("util-linux")
            .args(["--cpu-list", &bed.sides.measured.to_string()])
            .args(["haproxy", "-db", "-f"])
            .arg(&file)
            .spawn()?;
        Ok(Haproxy { process })
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.process.ended()? {
            None => Ok(()),
            Some(status) => anyhow::bail!("HAProxy ended ({status}): {}", self.process.log()),
        }
    }

    pub(crate) fn used(&self) -> Used {
        Used::by_process(self.process.pid())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }
}
