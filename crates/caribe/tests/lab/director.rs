//! The real `caribe director`, and the commands that ask it.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caribe_director::{ServerState, Status};
use caribe_lab::{Host, Lab, Process, wait};
use nix::sys::signal::Signal;

use crate::listing::Listing;

/// The program under test.
pub(crate) const CARIBE: &str = env!("CARGO_BIN_EXE_caribe");

/// How long something may take that should be there in a second or two.
pub(crate) const SOON: Duration = Duration::from_secs(15);

/// A director on its host; the process may be dead.
#[derive(Debug)]
pub(crate) struct Director {
    process: Option<Process>,
    host: Host,
    pub(crate) file: PathBuf,
    pub(crate) runtime: PathBuf,
    pub(crate) pins: PathBuf,
}

impl Director {
    /// Gives a director its places and starts it on a file with this text.
    pub(crate) fn start(lab: &Lab, host: &Host, text: &str) -> Director {
        let mut director = Director {
            process: None,
            host: host.clone(),
            file: lab.directory().join("lvs.cf"),
            runtime: host.file("run"),
            pins: lab
                .pin_directory("director")
                .expect("a directory for pins")
                .join("pins"),
        };
        director.write(text);
        director.launch(&[]);
        director.wait_until_answers();
        director
    }

    /// Starts the process, which must not run.
    pub(crate) fn launch(&mut self, options: &[&str]) {
        assert!(self.process.is_none(), "one director at a time");
        let process = self
            .host
            .command(CARIBE)
            .args(["director", "--log-format", "human", "--config"])
            .arg(&self.file)
            .arg("--runtime-dir")
            .arg(&self.runtime)
            .arg("--state-dir")
            .arg(self.host.file("state"))
            .arg("--pin-dir")
            .arg(&self.pins)
            .args(options)
            .spawn()
            .expect("the director starts");
        self.process = Some(process);
    }

    /// The running process.
    pub(crate) fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the director runs")
    }

    /// Everything it has logged since it was started last.
    pub(crate) fn log(&self) -> String {
        self.process.as_ref().expect("the director runs").log()
    }

    /// Replaces the configuration file.
    pub(crate) fn write(&self, text: &str) {
        fs::write(&self.file, text).expect("the configuration is written");
    }

    pub(crate) fn hangup(&mut self) {
        self.process().signal(Signal::SIGHUP).expect("SIGHUP");
    }

    /// Replaces the file and reloads it, until `serial_no` is in force.
    pub(crate) fn reload(&mut self, text: &str, serial_no: u32) {
        self.write(text);
        self.hangup();
        wait::until("the reload", SOON, || {
            let status = self.status();
            let now = status.configuration.serial_no;
            let refused = &status.configuration.refused;
            (now == i64::from(serial_no) && refused.is_empty())
                .then_some(())
                .ok_or(format!("serial_no {now} is in force, refused: {refused:?}"))
        })
        .expect("the new file is in force");
    }

    /// Kills it as kill -9 does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().expect("the director runs");
        process.kill().expect("killed");
    }

    /// Stops it cleanly; it must say so by its exit code.
    pub(crate) fn stop(&mut self) {
        let process = self.process.take().expect("the director runs");
        let status = process.stop(SOON).expect("it ends");
        assert!(status.success(), "the director ended with {status}");
    }

    pub(crate) fn is_running(&mut self) -> bool {
        match &mut self.process {
            Some(process) => process.ended().expect("its state").is_none(),
            None => false,
        }
    }

    /// `caribe WORDS --runtime-dir ...`, which must succeed.
    pub(crate) fn ask(&self, words: &[&str]) -> Result<String, caribe_lab::LabError> {
        self.host
            .command(CARIBE)
            .args(words)
            .arg("--runtime-dir")
            .arg(&self.runtime)
            .run()
    }

    /// `caribe status --json`.
    pub(crate) fn status(&self) -> Status {
        self.try_status().expect("a status")
    }

    fn try_status(&self) -> Result<Status, String> {
        let text = self
            .ask(&["status", "--json"])
            .map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| format!("{error} in {text}"))
    }

    /// `caribe ipvsadm -Ln`.
    pub(crate) fn listing(&self) -> Listing {
        let text = self.ask(&["ipvsadm", "-L", "-n"]).expect("a listing");
        Listing::parse(&text)
    }

    /// Waits for the control socket.
    pub(crate) fn wait_until_answers(&mut self) {
        wait::until("the director to answer", SOON, || {
            assert!(self.is_running(), "the director ended: {}", self.log());
            self.try_status().map(drop)
        })
        .expect("an answer");
    }

    /// Waits until `server` (or with `None` every one) serves in all services, or does not.
    pub(crate) fn wait_until(&mut self, server: Option<&str>, serves: bool, limit: Duration) {
        let what = format!("{server:?} to serve: {serves}");
        wait::until(what, limit, || {
            assert!(self.is_running(), "the director ended: {}", self.log());
            let status = self.try_status()?;
            let wrong: Vec<String> = status
                .services
                .iter()
                .flat_map(|service| service.servers.iter().map(move |it| (service, it)))
                .filter(|(_, it)| server.is_none_or(|name| name == it.name))
                .filter(|(_, it)| {
                    let up = it.state == ServerState::Up
                        && it.weight == Some(it.configured_weight)
                        && it.next_hop.is_some();
                    if serves { !up } else { it.weight.is_some() }
                })
                .map(|(service, it)| format!("{} in {}: {it:?}", it.name, service.name))
                .collect();
            if wrong.is_empty() && !status.services.is_empty() {
                Ok(())
            } else {
                Err(format!("not yet: {wrong:?}"))
            }
        })
        .expect("the table is as it should be");
    }

    /// A verdict's counter.
    pub(crate) fn verdict(&self, name: &str) -> u64 {
        let verdicts = self.status().dataplane.verdicts;
        *verdicts
            .get(name)
            .unwrap_or_else(|| panic!("no verdict `{name}` in {verdicts:?}"))
    }
}

/// `caribe check` of a file; gives whether it is usable, and what it said.
pub(crate) fn check(host: &Host, file: &Path) -> (bool, String) {
    let finished = host
        .command(CARIBE)
        .arg("check")
        .arg(file)
        .finish()
        .expect("caribe check runs");
    (
        finished.status.success(),
        format!("{}{}", finished.stdout, finished.stderr),
    )
}
