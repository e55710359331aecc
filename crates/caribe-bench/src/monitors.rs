//! `bench monitors`: how many checks a second the director's monitors do on one processor, how
//! regularly, and for how much time and memory, beside HAProxy's checks in turns.
//!
//! The monitors are those of the director, started by the same function. The servers are on the
//! other end of a wire, on another processor, and a recorder notes when each of them was asked:
//! a late check is one that its server waited for.

mod bed;
mod caribe;
mod guest;
mod haproxy;
pub(crate) mod inside;
mod intervals;
mod keepalived;
mod listener;
mod recorder;
mod servers;
mod web;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_health::Limits;
use caribe_lab::wait::pause;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::page;
use crate::sample::Samples;
use crate::usage::{self, Used};
use bed::Bed;
use caribe::Watch;
use haproxy::Haproxy;
use intervals::{Intervals, densest};
use servers::{Kind, Servers};

/// Arguments of `monitors`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// TCP checks a second.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    tcp: u32,
    /// HTTP checks a second.
    #[arg(long, default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    http: u32,
    /// Monitors that are started at once.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(2..=170_000))]
    start: u32,
    /// Rounds in which the programs take turns; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// Seconds that each program is watched for in a round.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=600))]
    seconds: u64,
    /// Where Debian's kernel is kept, or to be unpacked, for keepalived.
    #[arg(long, env = "CARIBE_BENCH_KERNELS")]
    kernels: PathBuf,
    /// Writes the figures into this page.
    #[arg(long)]
    write: Option<PathBuf>,
}

/// From one check of a server to the next.
const INTERVAL: Duration = Duration::from_secs(1);
/// The same for monitors that are merely started.
const LONG_INTERVAL: Duration = Duration::from_secs(60);
/// At most so many waits of a thousand may be more than a tenth too long.
const MOST_LATE: f64 = 1.0;
/// At least this share of the checks must be done.
const LEAST_DONE: f64 = 0.9;
/// The servers of a hundred that do not answer, where some do not.
const HANGING: u32 = 1;
/// At most so many times the pace of starts, in any tenth of a second.
const MOST_OVER_PACE: f64 = 2.0;

/// One program's checks of one kind, in all rounds.
#[derive(Default)]
struct Measured {
    done: Samples,
    late: Samples,
    longest: Duration,
    core: Samples,
    microseconds: Samples,
}

/// What is shown, and whether every target holds.
struct Outcome {
    rows: Vec<Vec<String>>,
    notes: Vec<String>,
    holds: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<ExitCode> {
    // As many as there may be.
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).context("cannot tell how many files")?;
    setrlimit(Resource::RLIMIT_NOFILE, files, files).context("cannot open more files")?;
    let limits = Limits::default().within(files);
    let bed = Bed::build()?;
    let mut outcome = Outcome {
        rows: Vec::new(),
        notes: Vec::new(),
        holds: true,
    };
    // First, while no memory of the process has been used before.
    start_many(&bed, arguments, limits, &mut outcome)?;
    for (kind, checks) in [(Kind::Tcp, arguments.tcp), (Kind::Http, arguments.http)] {
        take_turns(&bed, kind, checks, arguments, limits, &mut outcome)?;
    }
    let hanging = hanging(&bed, arguments, limits)?;
    outcome.note(hanging);
    let refusal = keepalived::refusal(&bed.director)?;
    bed.lab.remove()?;
    let beside = guest::take_turns(&arguments.kernels)?;
    outcome.holds &= beside.holds();
    let text = outcome.markdown(arguments) + &beside.markdown(refusal.as_deref());
    print!("{text}");
    if let Some(path) = &arguments.write {
        page::write(path, "monitors", &text)?;
    }
    Ok(match outcome.holds {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// A hundred thousand monitors are started, and come one after the other.
fn start_many(
    bed: &Bed,
    arguments: &Arguments,
    limits: Limits,
    outcome: &mut Outcome,
) -> Result<()> {
    let room = usize::try_from(arguments.start)? * 2;
    let servers = Servers::start(Kind::Tcp, bed, room)?;
    let mut watch = Watch::start(bed, limits)?;
    servers.begin()?;
    watch.add(
        Kind::Tcp,
        (0..arguments.start).map(bed::server),
        LONG_INTERVAL,
    );
    let all = usize::try_from(arguments.start)?;
    watch.wait_for_verdicts(all, LONG_INTERVAL)?;
    let (arrivals, _) = servers.end()?;
    let whole = match (arrivals.first(), arrivals.last()) {
        (Some(first), Some(last)) => last.at - first.at,
        _ => Duration::ZERO,
    };
    let tenth = Duration::from_millis(100);
    let most = densest(&arrivals, tenth);
    let pace = f64::from(limits.starts_per_second) / 10.0;
    outcome.note((
        format!(
            "{} monitors that are started at once check first within {:.1} s, at most {most} of \
             them in any tenth of a second (target: {:.0})",
            arguments.start,
            whole.as_secs_f64(),
            pace * MOST_OVER_PACE
        ),
        Some(most as f64 <= pace * MOST_OVER_PACE && watch.bad == 0),
    ));
    // Of half as many more: what a start needs for a moment only, and how much that is depends
    // on what else the machine does, is there already, free, from the first ones.
    let more = arguments.start / 2;
    let before = usage::private()?;
    let targets = (arguments.start..arguments.start + more).map(bed::server);
    watch.add(Kind::Tcp, targets, LONG_INTERVAL);
    watch.wait_for_verdicts(all + usize::try_from(more)?, LONG_INTERVAL)?;
    let grown = usage::private()?.saturating_sub(before);
    drop(watch);
    let idle = |pid: u32| usage::resident(pid);
    let alone = Haproxy::start(bed, Kind::Tcp, (0..1).map(bed::server), LONG_INTERVAL)?;
    pause(Duration::from_secs(1));
    let alone = idle(alone.pid())?;
    let mut many = Haproxy::start(
        bed,
        Kind::Tcp,
        (0..arguments.tcp).map(bed::server),
        LONG_INTERVAL,
    )?;
    pause(Duration::from_secs(5));
    many.check()?;
    let many = idle(many.pid())?.saturating_sub(alone);
    outcome.note((
        format!(
            "memory of a thousand monitors: {} KiB; of a thousand checked servers in HAProxy: \
             {} KiB, where a server is more than its check",
            grown * 1000 / u64::from(more),
            many * 1000 / u64::from(arguments.tcp)
        ),
        None,
    ));
    Ok(())
}

/// Caribe and HAProxy check the same servers in turns.
fn take_turns(
    bed: &Bed,
    kind: Kind,
    checks: u32,
    arguments: &Arguments,
    limits: Limits,
    outcome: &mut Outcome,
) -> Result<()> {
    let targets = || (0..checks).map(bed::server);
    let all = usize::try_from(checks)?;
    let room = all * usize::try_from(arguments.seconds + 2)? * 2;
    let servers = Servers::start(kind, bed, room)?;
    let window = Duration::from_secs(arguments.seconds);
    let (mut ours, mut theirs) = (Measured::default(), Measured::default());
    for _ in 0..arguments.rounds {
        let mut watch = Watch::start(bed, limits)?;
        watch.add(kind, targets(), INTERVAL);
        servers.wait_until_checked(all, INTERVAL, || watch.take_reports())?;
        let used = watch.used.clone();
        measure(&servers, &used, window, all, &mut ours)?;
        watch.take_reports()?;
        anyhow::ensure!(
            watch.bad == 0,
            "{} checks of servers that answer failed",
            watch.bad
        );
        drop(watch);
        let mut haproxy = Haproxy::start(bed, kind, targets(), INTERVAL)?;
        servers.wait_until_checked(all, INTERVAL, || haproxy.check())?;
        measure(&servers, &haproxy.used(), window, all, &mut theirs)?;
    }
    let name = match kind {
        Kind::Tcp => "TCP",
        Kind::Http => "HTTP",
    };
    let wanted = f64::from(checks) / INTERVAL.as_secs_f64();
    let holds = ours.done.median() >= wanted * LEAST_DONE && ours.late.median() <= MOST_LATE;
    outcome.holds &= holds;
    outcome
        .rows
        .push(ours.row(name, "Caribe", wanted, Some(holds)));
    outcome.rows.push(theirs.row(name, "HAProxy", wanted, None));
    Ok(())
}

/// Watches what servers see and what their checker uses.
fn measure(
    servers: &Servers,
    used: &Used,
    window: Duration,
    targets: usize,
    measured: &mut Measured,
) -> Result<()> {
    let before = used.processor_time()?;
    servers.begin()?;
    pause(window);
    let after = used.processor_time()?;
    let (arrivals, length) = servers.end()?;
    let intervals = Intervals::of(&arrivals, INTERVAL, length);
    // What was not checked at all has waited for the whole time.
    let never = targets.saturating_sub(intervals.targets);
    let time = (after - before).as_secs_f64();
    measured
        .done
        .push(intervals.arrivals as f64 / length.as_secs_f64());
    measured.late.push(intervals.late_per_thousand(never));
    measured.longest = measured.longest.max(intervals.longest);
    measured.core.push(time * 100.0 / length.as_secs_f64());
    measured
        .microseconds
        .push(time * 1e6 / intervals.arrivals as f64);
    Ok(())
}

/// Servers that do not answer trouble nobody but themselves.
fn hanging(bed: &Bed, arguments: &Arguments, limits: Limits) -> Result<(String, Option<bool>)> {
    let all = usize::try_from(arguments.tcp)?;
    let seconds = arguments.seconds;
    let servers = Servers::start(Kind::Tcp, bed, all * usize::try_from(seconds + 2)? * 2)?;
    let mut watch = Watch::start(bed, limits)?;
    let absent = (arguments.tcp * HANGING / 100).max(1);
    let before = usage::sockets()?;
    watch.add(Kind::Tcp, (0..arguments.tcp).map(bed::server), INTERVAL);
    watch.add(Kind::Tcp, (0..absent).map(bed::absent), INTERVAL);
    servers.wait_until_checked(all, INTERVAL, || watch.take_reports())?;
    let mut measured = Measured::default();
    let used = watch.used.clone();
    let window = Duration::from_secs(seconds);
    measure(&servers, &used, window, all, &mut measured)?;
    watch.take_reports()?;
    let sockets = usage::sockets()?.saturating_sub(before);
    let found = usize::try_from(absent)?;
    anyhow::ensure!(
        watch.bad == found,
        "{} servers were found down; {found} are",
        watch.bad
    );
    let late = measured.late.median();
    Ok((
        format!(
            "with {absent} servers more that never answer, {late:.1} waits of a thousand for a \
             check of the others were late (target: {MOST_LATE}), and {sockets} sockets were open \
             at the end, those that the servers keep for 200 ms included"
        ),
        Some(late <= MOST_LATE),
    ))
}

impl Measured {
    fn row(&self, kind: &str, program: &str, wanted: f64, holds: Option<bool>) -> Vec<String> {
        vec![
            format!("{kind}, {program}"),
            format!("{wanted:.0}"),
            format!("{:.0}", self.done.median()),
            format!("{:.1}", self.late.median()),
            format!("{} ms", self.longest.as_millis()),
            format!("{:.0} %", self.core.median()),
            format!("{:.1}", self.microseconds.median()),
            holds.map(page::verdict).unwrap_or_default().to_owned(),
        ]
    }
}

impl Outcome {
    fn note(&mut self, (text, holds): (String, Option<bool>)) {
        self.holds &= holds != Some(false);
        self.notes.push(match holds {
            Some(holds) => format!("{text}: {}", page::verdict(holds)),
            None => text,
        });
    }

    fn markdown(&self, arguments: &Arguments) -> String {
        let heads = [
            "checks",
            "wanted a second:",
            "done:",
            "late of 1,000:",
            "longest wait:",
            "of one core:",
            "µs per check:",
            "target",
        ];
        let mut text = format!(
            "## Monitors\n\nEach server is checked once a second. As the servers saw it: late is a \
             check that came more than 1.1 s after the one before it. The checker has one \
             processor, the servers have another; time is what the kernel counts for the \
             checker's thread, its half of TCP included. Medians of {} rounds of {} s in which \
             the programs took turns.\n\n",
            arguments.rounds, arguments.seconds
        );
        text += &page::table(&heads, &self.rows);
        text.push('\n');
        for note in &self.notes {
            text += &format!("- {note}\n");
        }
        text += &format!(
            "- targets: at least {:.0} % of the checks, and at most {MOST_LATE} late wait of a \
             thousand\n",
            LEAST_DONE * 100.0
        );
        text
    }
}
