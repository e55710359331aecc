//! The real `caribe director` between two TAP devices, in a namespace of a lab.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use caribe_director::{ControlPaths, LiveTable};
use caribe_lab::wait::{self, Deadline};
use caribe_lab::{Host, Lab, LabError, Process};
use caribe_reference::network::{self, Side};
use caribe_reference::{
    Director, PlayError, Said, Scenario, Transcript, Wire, ip_batch, play, restore,
};

const CARIBE: &str = env!("CARGO_BIN_EXE_caribe");

/// How long something may take that takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// Past this, connections of short timeouts may have expired before they were looked at, and the
/// scenario is played again.
const SLOW: Duration = Duration::from_secs(8);

/// Times that a scenario is played when the machine is slow.
const TRIES: usize = 5;

/// Plays scenarios to one director, one after the other: they have addresses of their own.
pub(crate) fn play_all(scenarios: &[Scenario]) -> Result<Vec<Transcript>, String> {
    let mut lab = Lab::new("kernel").map_err(|error| error.to_string())?;
    let host = lab.host("director").map_err(|error| error.to_string())?;
    let bed = Bed {
        pins: lab
            .pin_directory("director")
            .map_err(|error| error.to_string())?,
        file: lab.directory().join("lvs.cf"),
        runtime: host.file("run"),
        host: host.clone(),
    };
    let played = host
        .run(|| bed.play(scenarios))
        .map_err(|error| error.to_string())?;
    let removed = lab.remove().map_err(|error| error.to_string());
    let played = played.map_err(|error| error.to_string())?;
    removed.map(|()| played)
}

/// Where a director runs.
struct Bed {
    host: Host,
    file: PathBuf,
    runtime: PathBuf,
    pins: PathBuf,
}

impl Bed {
    fn play(&self, scenarios: &[Scenario]) -> Result<Vec<Transcript>, PlayError> {
        let wire = Wire::open()?;
        for (key, value) in [("ipv4/ip_forward", "1"), ("ipv6/conf/all/forwarding", "1")] {
            let path = format!("/proc/sys/net/{key}");
            fs::write(&path, value).map_err(PlayError::system(format!("write {path}")))?;
        }
        let mut commands = network::commands();
        for scenario in scenarios {
            commands += &network::vip_commands("replace", scenario.number);
        }
        ip_batch(&commands)?;
        let mut caribe = Caribe::start(self)?;
        let mut transcripts = Vec::new();
        for scenario in scenarios {
            transcripts.push(caribe.play(scenario, &wire)?);
        }
        caribe.stop()?;
        Ok(transcripts)
    }
}

/// A running director.
struct Caribe<'a> {
    bed: &'a Bed,
    process: Process,
}

impl Caribe<'_> {
    fn start(bed: &Bed) -> Result<Caribe<'_>, PlayError> {
        let [front, back] = Side::ALL.map(Side::interface);
        let text =
            format!("serial_no = 1\nservice = lvs\ninterface = {front}\nconnections = 20000\n");
        fs::write(&bed.file, text).map_err(PlayError::system("write lvs.cf"))?;
        let process = bed
            .host
            .command(CARIBE)
            .args([
                "director",
                "--log-format",
                "human",
                "--interface",
                back,
                "--config",
            ])
            .arg(&bed.file)
            .arg("--runtime-dir")
            .arg(&bed.runtime)
            .arg("--pin-dir")
            .arg(bed.pins.join("pins"))
            .spawn()
            .map_err(lab)?;
        let mut caribe = Caribe { bed, process };
        caribe.wait("does not answer", |_| true)?;
        Ok(caribe)
    }

    fn stop(self) -> Result<(), PlayError> {
        let status = self.process.stop(SOON).map_err(lab)?;
        if status.success() {
            Ok(())
        } else {
            Err(PlayError::Director(format!("ended with {status}")))
        }
    }

    fn play(&mut self, scenario: &Scenario, wire: &Wire) -> Result<Transcript, PlayError> {
        for _ in 0..TRIES {
            let clock = Deadline::after(SLOW);
            let transcript = play(scenario, wire, self)?;
            if !clock.passed() {
                return Ok(transcript);
            }
        }
        Err(PlayError::Director(format!(
            "took longer than {SLOW:?} for a scenario, {TRIES} times: the machine is too busy to \
             compare anything with time limits in it"
        )))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(CARIBE);
        command
            .arg("ipvsadm")
            .env("CARIBE_RUNTIME_DIR", &self.bed.runtime);
        command
    }

    /// Waits until the table is as it should be.
    fn wait(&mut self, what: &str, check: impl Fn(&LiveTable) -> bool) -> Result<(), PlayError> {
        let deadline = Deadline::after(SOON);
        loop {
            let table = self.table();
            if table.as_ref().is_ok_and(&check) {
                return Ok(());
            }
            if self.process.ended().map_err(lab)?.is_some() || deadline.passed() {
                let state = table.map_or_else(|error| error, |table| format!("{table:?}"));
                return Err(PlayError::Director(format!(
                    "{what}: {state}\n{}",
                    self.process.log()
                )));
            }
            wait::pause(Duration::from_millis(2));
        }
    }

    /// Asks for the live table.
    fn table(&self) -> Result<LiveTable, String> {
        let socket = ControlPaths::in_runtime_dir(&self.bed.runtime).socket;
        let ask = || {
            let mut stream = UnixStream::connect(&socket)?;
            let table = ControlPaths::TABLE;
            write!(
                stream,
                "GET {table} HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\r\n"
            )?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer)?;
            Ok::<String, std::io::Error>(answer)
        };
        let answer = ask().map_err(|error| error.to_string())?;
        let (_, body) = answer.split_once("\r\n\r\n").ok_or(answer.as_str())?;
        serde_json::from_str(body).map_err(|error| format!("{error} in {answer}"))
    }
}

impl Director for Caribe<'_> {
    /// Changes are made one at a time, as by an administrator: a restore takes them together, and
    /// is a deviation.
    fn ipvsadm(&mut self, lines: &[&str]) -> Result<Said, PlayError> {
        let mut all = Said {
            out: String::new(),
            error: String::new(),
            code: Some(0),
        };
        let shows = |line: &&str| line.starts_with("-L") || line.starts_with("-S");
        for group in lines.chunk_by(|left, right| shows(left) && shows(right)) {
            let said = restore(self.command(), group)?;
            all.out += &said.out;
            all.error += &said.error;
            all.code = said.code;
            // Wrong words end a restore.
            if said.code == Some(2) {
                break;
            }
        }
        Ok(all)
    }

    fn begin(&mut self, _scenario: &Scenario) -> Result<(), PlayError> {
        for words in [&["-C"][..], &["--set", "900", "120", "300"]] {
            let output = self.command().args(words).output();
            let output = output.map_err(PlayError::system("run caribe ipvsadm"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(PlayError::Director(format!("refused {words:?}: {said}")));
            }
        }
        self.settle()
    }

    fn settle(&mut self) -> Result<(), PlayError> {
        self.wait("does not find its servers", |table| {
            let mut servers = table
                .services
                .iter()
                .flat_map(|service| &service.live.servers);
            servers.all(|server| server.next_hop.is_some())
        })
    }

    fn count(&mut self) {
        // Counters are read from the data plane when they are asked for.
    }
}

fn lab(error: LabError) -> PlayError {
    PlayError::Director(error.to_string())
}
