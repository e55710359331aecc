//! What runs in the guest: servers, and programs that check them in turns.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use caribe_health::Limits;
use caribe_health::probe::Check;
use caribe_health::probe::tcp::TcpCheck;
use caribe_lab::guest::Guest;
use caribe_lab::wait::{Deadline, pause};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::INTERVAL;
use super::bed::server;
use super::caribe::Watch;
use super::keepalived::Keepalived;
use super::listener::Listener;
use crate::usage::{Used, connections};

/// The sub-command that runs it.
pub(crate) const COMMAND: &str = "in-guest";
/// Servers that are checked.
pub(crate) const SERVERS: u32 = 1000;
/// Seconds that each program is watched for.
pub(crate) const SECONDS: u32 = 5;
/// What begins a line with a [`Cost`].
const MARK: &str = "@@cost";
/// Where keepalived has its files.
const DIRECTORY: &str = "/run";

/// A program that checks, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    /// Caribe, as it does by default.
    Half,
    /// Caribe with `handshake = full`: what keepalived does.
    Whole,
    Keepalived,
}

impl Program {
    pub(crate) const ALL: [Program; 3] = [Program::Half, Program::Whole, Program::Keepalived];

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Program::Half => "Caribe",
            Program::Whole => "Caribe, `handshake = full`",
            Program::Keepalived => "keepalived",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Program::Half => "half",
            Program::Whole => "whole",
            Program::Keepalived => "keepalived",
        }
    }
}

/// What checks cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) program: Program,
    pub(crate) checks: u64,
    time: Duration,
    /// KiB that a thousand servers take.
    pub(crate) memory: Option<u64>,
}

impl Cost {
    /// Instructions for a check.
    pub(crate) fn instructions(&self) -> u64 {
        let instructions = self.time.as_nanos() / Guest::INSTRUCTION.as_nanos();
        u64::try_from(instructions).unwrap_or(u64::MAX) / self.checks.max(1)
    }

    /// A line for the console.
    fn write(&self) -> String {
        let memory = self
            .memory
            .map_or("-".to_owned(), |memory| memory.to_string());
        let nanoseconds = self.time.as_nanos();
        let word = self.program.word();
        format!("{MARK} {word} {} {nanoseconds} {memory}", self.checks)
    }

    /// Reads a line of the console, if it is one of these.
    pub(crate) fn read(line: &str) -> Option<Cost> {
        let mut words = line.strip_prefix(MARK)?.split_whitespace();
        let word = words.next()?;
        Some(Cost {
            program: Program::ALL.into_iter().find(|it| it.word() == word)?,
            checks: words.next()?.parse().ok()?,
            time: Duration::from_nanos(words.next()?.parse().ok()?),
            memory: match words.next()? {
                "-" => None,
                memory => Some(memory.parse().ok()?),
            },
        })
    }
}

/// Measures all of them, and tells the console.
pub(crate) fn run() -> Result<()> {
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot tell how many files")?;
    setrlimit(Resource::RLIMIT_NOFILE, files, files).context("cannot open more files")?;
    let _servers = Listener::start_here(0)?;
    for program in Program::ALL {
        let cost = match program {
            Program::Half => caribe(program, false)?,
            Program::Whole => caribe(program, true)?,
            Program::Keepalived => keepalived()?,
        };
        println!("{}", cost.write());
    }
    Ok(())
}

fn caribe(program: Program, orderly: bool) -> Result<Cost> {
    let mut watch = Watch::start_here(Limits::default())?;
    let check = Check::Tcp(TcpCheck { orderly });
    watch.add_check(check, (0..SERVERS).map(server), INTERVAL);
    let used = watch.used.clone();
    let cost = measure(program, &used, || watch.take_reports())?;
    ensure!(
        watch.bad == 0,
        "{} checks of servers that answer failed",
        watch.bad
    );
    Ok(cost)
}

fn keepalived() -> Result<Cost> {
    let directory = Path::new(DIRECTORY);
    let mut alone = Keepalived::start(directory, (0..1).map(server))?;
    pause(INTERVAL * 5);
    alone.check()?;
    let least = alone.resident()?;
    alone.end()?;
    let mut many = Keepalived::start(directory, (0..SERVERS).map(server))?;
    let used = many.used();
    let cost = measure(Program::Keepalived, &used, || many.check())?;
    let grown = many.resident()?.saturating_sub(least);
    many.end()?;
    Ok(Cost {
        memory: Some(grown * 1000 / u64::from(SERVERS)),
        ..cost
    })
}

/// Waits until all servers are checked regularly, and then counts.
fn measure(
    program: Program,
    used: &Used,
    mut meanwhile: impl FnMut() -> Result<()>,
) -> Result<Cost> {
    // keepalived counts its interval from the end of a check, and comes late.
    let enough = |checks: u64, seconds: u32| checks >= u64::from(SERVERS * seconds) / 2;
    let deadline = Deadline::after(Duration::from_secs(60));
    loop {
        let before = connections()?;
        pause(INTERVAL);
        meanwhile()?;
        let checks = connections()? - before;
        if enough(checks, 1) {
            break;
        }
        ensure!(
            !deadline.passed(),
            "{} does {checks} checks a second of {SERVERS} servers",
            program.describe()
        );
    }
    let (before, began) = (connections()?, used.processor_time()?);
    pause(INTERVAL * SECONDS);
    let time = used.processor_time()?.saturating_sub(began);
    let checks = connections()? - before;
    meanwhile()?;
    ensure!(
        enough(checks, SECONDS),
        "{} did {checks} checks only",
        program.describe()
    );
    Ok(Cost {
        program,
        checks,
        time,
        memory: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn costs_are_told_over_a_console() {
        for memory in [None, Some(70)] {
            let cost = Cost {
                program: Program::Whole,
                checks: 5000,
                time: Duration::from_millis(200),
                memory,
            };
            assert_eq!(Cost::read(&cost.write()), Some(cost));
            assert_eq!(cost.instructions(), 10_000);
        }
        for line in ["", "@@cost", "@@cost other 1 2 -", "@@cost half 1 -2 -"] {
            assert_eq!(Cost::read(line), None, "{line}");
        }
    }
}
