//! The real `caribe` on the director: the daemon, and the commands that ask it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caribe_lab::{Host, Lab, Process, wait};
use nix::sys::signal::Signal;
use serde_json::Value;

use super::configuration::SERVERS;

/// A running director.
#[derive(Debug)]
pub(super) struct Director {
    process: Process,
    host: Host,
    caribe: PathBuf,
    pub(super) configuration: PathBuf,
    pub(super) runtime: PathBuf,
}

impl Director {
    /// Checks the configuration and starts the daemon.
    pub(super) fn start(
        caribe: &Path,
        lab: &Lab,
        host: &Host,
        configuration: &str,
    ) -> Result<Director> {
        let file = lab.directory().join("lvs.cf");
        fs::write(&file, configuration)
            .with_context(|| format!("cannot write {}", file.display()))?;
        let program = caribe.to_string_lossy();
        host.command(&program)
            .arg("check")
            .arg(&file)
            .run()
            .context("caribe refuses the demo's lvs.cf")?;
        let runtime = host.file("run");
        let process = host
            .command(&program)
            .arg("director")
            .arg("--config")
            .arg(&file)
            .arg("--runtime-dir")
            .arg(&runtime)
            .arg("--pin-dir")
            .arg(lab.pin_directory("director")?)
            .spawn()?;
        Ok(Director {
            process,
            host: host.clone(),
            caribe: caribe.to_owned(),
            configuration: file,
            runtime,
        })
    }

    /// Its process number.
    pub(super) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// `caribe ipvsadm -Ln`.
    pub(super) fn listing(&self) -> Result<String> {
        self.ask(&["ipvsadm", "-L", "-n"])
    }

    /// `caribe status`.
    pub(super) fn status(&self) -> Result<String> {
        self.ask(&["status"])
    }

    fn ask(&self, arguments: &[&str]) -> Result<String> {
        let answer = self
            .host
            .command(&self.caribe.to_string_lossy())
            .args(arguments)
            .arg("--runtime-dir")
            .arg(&self.runtime)
            .run()?;
        Ok(answer)
    }

    /// For each service, its name and the servers that are up, from `caribe status --json`.
    fn up(&self) -> Result<Vec<(String, Vec<String>)>> {
        let status: Value = serde_json::from_str(&self.ask(&["status", "--json"])?)
            .context("caribe status --json is not JSON")?;
        let services = status["services"]
            .as_array()
            .context("the status has no services")?;
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        Ok(services
            .iter()
            .map(|service| {
                let servers = service["servers"].as_array().into_iter().flatten();
                let up = servers
                    // In the table, with a way to get there.
                    .filter(|server| {
                        server["weight"].as_u64().is_some_and(|weight| weight > 0)
                            && !server["next_hop"].is_null()
                    })
                    .map(|server| text(&server["name"]))
                    .collect();
                (text(&service["name"]), up)
            })
            .collect())
    }

    /// Waits until a server serves (or does not) in all services; gives how long it took.
    pub(super) fn wait_until_serves(
        &mut self,
        server: &str,
        serves: bool,
        limit: Duration,
    ) -> Result<Duration> {
        let word = if serves { "to serve" } else { "to be out" };
        let watch = wait::Deadline::after(limit);
        wait::until(format!("{server} {word} in all services"), limit, || {
            self.must_run().map_err(|error| format!("{error:#}"))?;
            let services = self.up().map_err(|error| format!("{error:#}"))?;
            let is = |(_, up): &(String, Vec<String>)| up.iter().any(|name| name == server);
            if !services.is_empty() && services.iter().all(|service| is(service) == serves) {
                Ok(())
            } else {
                Err(format!("serving are {services:?}"))
            }
        })
        .map_err(|error| anyhow::Error::new(error).context(self.last_words()))?;
        Ok(watch.elapsed())
    }

    /// Waits until every server serves in all services.
    pub(super) fn wait_until_all_serve(&mut self, limit: Duration) -> Result<()> {
        for number in 1..=SERVERS {
            self.wait_until_serves(&format!("web{number}"), true, limit)?;
        }
        Ok(())
    }

    /// Puts a new configuration in place, sends SIGHUP and waits until the table shows `weight`.
    pub(super) fn reload(&mut self, configuration: &str, weight: u32) -> Result<()> {
        fs::write(&self.configuration, configuration)
            .with_context(|| format!("cannot write {}", self.configuration.display()))?;
        self.process.signal(Signal::SIGHUP)?;
        let shows = |line: &str| line.split_whitespace().nth(3) == Some(&weight.to_string());
        wait::until(
            "the new weight in the table",
            Duration::from_secs(5),
            || {
                let listing = self.listing().map_err(|error| format!("{error:#}"))?;
                let servers = listing.lines().filter(|line| line.contains("->"));
                // The header's line shows no number.
                if servers.filter(|line| shows(line)).count() == 6 {
                    Ok(())
                } else {
                    Err(listing)
                }
            },
        )?;
        Ok(())
    }

    /// Stops it cleanly.
    pub(super) fn stop(self) -> Result<()> {
        let status = self.process.stop(Duration::from_secs(10))?;
        if status.success() {
            return Ok(());
        }
        bail!("the director ended with {status}");
    }

    /// A daemon that died will never answer: no use in waiting for it.
    fn must_run(&mut self) -> Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!("the director ended with {status}");
        }
        Ok(())
    }

    fn last_words(&self) -> String {
        let log = self.process.log();
        let lines: Vec<&str> = log.lines().collect();
        let end = lines[lines.len().saturating_sub(30)..].join("\n");
        format!("the director's log ends with:\n{end}\n")
    }
}
