//! The real `caribe director` between two TAP devices, in a namespace of a lab.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use caribe_director::{ControlPaths, LiveTable, Phase, Status};
use caribe_lab::wait::{self, Deadline};
use caribe_lab::{Host, Lab, LabError, Process};
use caribe_reference::network::{self, Side};
use caribe_reference::scenario::Step;
use caribe_reference::{
    Director, PlayError, Rules, Said, Scenario, Transcript, Wire, ip_batch, play, restore, run,
};
use nix::sys::signal::Signal;
use serde::de::DeserializeOwned;

const CARIBE: &str = env!("CARGO_BIN_EXE_caribe");

/// How long something may take that takes milliseconds.
const SOON: Duration = Duration::from_secs(20);

/// How long a start may take: the kernel verifies the programs, in seconds on a machine that does
/// nothing else.
const START: Duration = Duration::from_secs(180);

/// Past this, connections of short timeouts may have expired before they were looked at, and the
/// scenario is played again.
const SLOW: Duration = Duration::from_secs(8);

/// A router that says what it has to say, as often as it has to: as in the guest.
const SYSCTLS: &[(&str, &str)] = &[
    ("ipv4/ip_forward", "1"),
    ("ipv4/icmp_ratelimit", "0"),
    ("ipv4/icmp_msgs_per_sec", "1000000"),
    ("ipv4/icmp_msgs_burst", "1000000"),
    ("ipv6/conf/all/forwarding", "1"),
    ("ipv6/icmp/ratelimit", "0"),
];

/// The director sweeps every half second, and counts templates then.
const SWEPT: Duration = Duration::from_millis(1200);

/// Times that a scenario is played when the machine is slow.
const TRIES: usize = 5;

/// Rules of netfilter as the kernel's tools saved them, by the scenario's number.
pub(crate) type Saved = BTreeMap<u32, String>;

/// Directors at a time. They mostly wait: for programs, and for the sweeps that count templates.
const DIRECTORS: usize = 2;

/// Plays scenarios to some directors, to each one after the other: they have addresses of their
/// own. Those with rules of netfilter come last, once `saved` brings what the guests' tools made of
/// these. The transcripts are in the order of the scenarios.
pub(crate) fn play_all(
    scenarios: &[Scenario],
    saved: Receiver<Saved>,
) -> Result<Vec<Transcript>, String> {
    let mut lab = Lab::new("kernel").map_err(|error| error.to_string())?;
    let played = play_in(&mut lab, scenarios, saved);
    let removed = lab.remove().map_err(|error| error.to_string());
    let mut transcripts = played?;
    let place = |number: u32| scenarios.iter().position(|it| it.number == number);
    transcripts.sort_by_key(|transcript| place(transcript.number));
    removed.map(|()| transcripts)
}

fn play_in(
    lab: &mut Lab,
    scenarios: &[Scenario],
    saved: Receiver<Saved>,
) -> Result<Vec<Transcript>, String> {
    let has_rules = |scenario: &&Scenario| scenario.netfilter.is_some();
    let (with_rules, others): (Vec<_>, Vec<_>) = scenarios.iter().partition(has_rules);
    let share = others.len().div_ceil(DIRECTORS).max(1);
    let mut shares: Vec<Vec<&Scenario>> = others.chunks(share).map(<[_]>::to_vec).collect();
    match shares.last_mut() {
        Some(last) => last.extend(with_rules),
        None => shares.push(with_rules),
    }
    let beds = (1..=shares.len()).map(|number| Bed::new(lab, &format!("bed{number}")));
    let beds: Vec<Bed> = beds
        .collect::<Result<_, _>>()
        .map_err(|error| error.to_string())?;
    // The last one's alone.
    let mut saved = Some(saved);
    std::thread::scope(|scope| {
        let mut playing = Vec::new();
        for (bed, share) in beds.iter().zip(&shares).rev() {
            let saved = saved.take();
            playing.push(scope.spawn(move || bed.host.run(|| bed.play(share, saved))));
        }
        let mut transcripts = Vec::new();
        for thread in playing {
            let played = thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            let played = played.map_err(|error| error.to_string())?;
            transcripts.extend(played.map_err(|error| error.to_string())?);
        }
        Ok(transcripts)
    })
}

/// Where a director runs.
struct Bed {
    host: Host,
    file: PathBuf,
    runtime: PathBuf,
    pins: PathBuf,
}

impl Bed {
    fn new(lab: &mut Lab, name: &str) -> Result<Bed, LabError> {
        let host = lab.host(name)?;
        Ok(Bed {
            pins: lab.pin_directory(name)?,
            file: host.file("lvs.cf"),
            runtime: host.file("run"),
            host,
        })
    }

    fn play(
        &self,
        scenarios: &[&Scenario],
        saved: Option<Receiver<Saved>>,
    ) -> Result<Vec<Transcript>, PlayError> {
        let wire = Wire::open()?;
        for (key, value) in SYSCTLS {
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
            if scenario.netfilter.is_some() && caribe.saved.is_empty() {
                let brought = saved.as_ref().and_then(|saved| saved.recv().ok());
                let none = || PlayError::Director("gets no rules: the guests failed".to_owned());
                caribe.saved = brought.ok_or_else(none)?;
            }
            let mut tries = 1;
            loop {
                if let Some(transcript) = caribe.play(scenario, &wire)? {
                    transcripts.push(transcript);
                    break;
                }
                if tries == TRIES {
                    return Err(PlayError::Director(format!(
                        "took longer than {SLOW:?} for a scenario, {TRIES} times: the machine is \
                         too busy to compare anything with time limits in it"
                    )));
                }
                tries += 1;
                // Connections of the first try must not be there at the second.
                let saved = std::mem::take(&mut caribe.saved);
                caribe.stop()?;
                caribe = Caribe::start(self)?;
                caribe.saved = saved;
            }
        }
        caribe.stop()?;
        Ok(transcripts)
    }
}

impl Bed {
    fn write_configuration(
        &self,
        serial_no: u32,
        scenario: Option<&Scenario>,
        blocks: &str,
    ) -> Result<(), PlayError> {
        let text = configuration(serial_no, scenario) + blocks;
        fs::write(&self.file, text).map_err(PlayError::system("write lvs.cf"))
    }
}

/// The director's file, with what a scenario has of marks and settings.
fn configuration(serial_no: u32, scenario: Option<&Scenario>) -> String {
    let front = Side::Front.interface();
    let mut text = format!(
        "serial_no = {serial_no}\nservice = lvs\ninterface = {front}\nconnections = 20000\n"
    );
    let Some(scenario) = scenario else {
        return text;
    };
    for (key, value) in &scenario.settings {
        text += &format!("{key} = {value}\n");
    }
    for (name, rule) in scenario.marks.iter().enumerate() {
        let vip = network::vip(rule.family, scenario.number, rule.vip);
        let mark = network::mark(scenario.number, rule.mark);
        let protocol = rule.protocol.to_string().to_lowercase();
        let port = rule.port;
        text += &format!(
            "mark m{name} {{\n    active = 1\n    mark = {mark}\n    address = {vip}\n    \
             protocol = {protocol}\n    port = {port}\n}}\n"
        );
    }
    text
}

/// A running director.
struct Caribe<'a> {
    bed: &'a Bed,
    process: Process,
    /// That of the file in force.
    serial_no: u32,
    /// Whether that file has neither marks nor settings.
    plain: bool,
    /// Whether the scenario has templates.
    persistent: bool,
    saved: Saved,
}

impl Caribe<'_> {
    fn start(bed: &Bed) -> Result<Caribe<'_>, PlayError> {
        let back = Side::Back.interface();
        bed.write_configuration(1, None, "")?;
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
        let mut caribe = Caribe {
            bed,
            process,
            serial_no: 1,
            plain: true,
            persistent: false,
            saved: Saved::new(),
        };
        caribe.wait("does not answer", START, |_| true)?;
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

    /// Plays a scenario; `None` when that took so long that the transcript means nothing.
    fn play(&mut self, scenario: &Scenario, wire: &Wire) -> Result<Option<Transcript>, PlayError> {
        let clock = Deadline::after(SLOW);
        let transcript = play(scenario, wire, self)?;
        Ok((!clock.passed()).then_some(transcript))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(CARIBE);
        command
            .arg("ipvsadm")
            .env("CARIBE_RUNTIME_DIR", &self.bed.runtime);
        command
    }

    /// Waits until the table is as it should be.
    fn wait(
        &mut self,
        what: &str,
        limit: Duration,
        check: impl Fn(&LiveTable) -> bool,
    ) -> Result<(), PlayError> {
        let deadline = Deadline::after(limit);
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

    /// Puts a file with the scenario's marks and settings in force, and these blocks.
    fn reload(&mut self, scenario: &Scenario, blocks: &str) -> Result<(), PlayError> {
        self.serial_no += 1;
        self.bed
            .write_configuration(self.serial_no, Some(scenario), blocks)?;
        self.process.signal(Signal::SIGHUP).map_err(lab)?;
        let deadline = Deadline::after(SOON);
        loop {
            let status: Result<Status, String> = self.ask(ControlPaths::STATUS);
            let in_force = |status: &Status| {
                status.configuration.serial_no == i64::from(self.serial_no)
                    && status.phase == Phase::Running
            };
            if status.as_ref().is_ok_and(in_force) {
                return Ok(());
            }
            if self.process.ended().map_err(lab)?.is_some() || deadline.passed() {
                let state = status.map_or_else(|error| error, |it| format!("{it:?}"));
                let log = self.process.log();
                return Err(PlayError::Director(format!(
                    "does not reload: {state}\n{log}"
                )));
            }
            wait::pause(Duration::from_millis(2));
        }
    }

    /// Asks for the live table.
    fn table(&self) -> Result<LiveTable, String> {
        self.ask(ControlPaths::TABLE)
    }

    /// Asks for a document.
    fn ask<T: DeserializeOwned>(&self, path: &str) -> Result<T, String> {
        let socket = ControlPaths::in_runtime_dir(&self.bed.runtime).socket;
        let ask = || {
            let mut stream = UnixStream::connect(&socket)?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: caribe\r\nConnection: close\r\n\r\n"
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

    fn begin(&mut self, scenario: &Scenario) -> Result<Option<Rules>, PlayError> {
        self.persistent = scenario.steps.iter().any(|step| match step {
            Step::Ipvsadm(words) => words.contains(" -p"),
            Step::Client(..) | Step::Server(..) => false,
        });
        let (rules, blocks) = match self.saved.get(&scenario.number) {
            Some(saved) => {
                let (rules, blocks) = import(saved)?;
                (Some(rules), blocks)
            }
            None => (None, String::new()),
        };
        let plain = scenario.marks.is_empty() && scenario.settings.is_empty() && blocks.is_empty();
        if !(plain && self.plain) {
            self.reload(scenario, &blocks)?;
            self.plain = plain;
        }
        for words in [&["-C"][..], &["--set", "900", "120", "300"]] {
            let output = self.command().args(words).output();
            let output = output.map_err(PlayError::system("run caribe ipvsadm"))?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr);
                return Err(PlayError::Director(format!("refused {words:?}: {said}")));
            }
        }
        self.settle()?;
        Ok(rules)
    }

    fn settle(&mut self) -> Result<(), PlayError> {
        self.wait("does not find its servers", SOON, |table| {
            let mut servers = table
                .services
                .iter()
                .flat_map(|service| &service.live.servers);
            servers.all(|server| server.next_hop.is_some())
        })
    }

    fn finish_packet(&mut self) {
        // It is done when it is sent.
    }

    fn count(&mut self) {
        // Counters are read from the data plane when they are asked for.
    }

    fn count_templates(&mut self) {
        if self.persistent {
            wait::pause(SWEPT);
        }
    }
}

/// What `caribe import marks` makes of rules: the blocks, and which rules it says have none.
fn import(text: &str) -> Result<(Rules, String), PlayError> {
    let said = run(Command::new(CARIBE).args(["import", "marks"]), text)?;
    let unlike = |line: &str| {
        PlayError::Director(format!(
            "imports marks and says `{line}`, which names no line"
        ))
    };
    let number = |line: &str| {
        let (number, _) = line.strip_prefix("line ")?.split_once(": not translated")?;
        number.parse().ok()
    };
    let named = said.error.lines();
    let left_out = named.map(|line| number(line).ok_or_else(|| unlike(line)));
    let rules = Rules {
        text: text.to_owned(),
        left_out: left_out.collect::<Result<_, _>>()?,
    };
    Ok((rules, said.out))
}

fn lab(error: LabError) -> PlayError {
    PlayError::Director(error.to_string())
}
