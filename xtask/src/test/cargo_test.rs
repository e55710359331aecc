//! One run of `cargo test` over the workspace, with its results counted.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caribe_lab::wait::{self, Deadline};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use xshell::Shell;

use super::{INCREMENTAL, OBJECT};
use crate::interrupt::Interrupt;
use crate::report::{Report, Stopwatch, step};

/// A run about to be made.
#[derive(Debug)]
pub(super) struct Run<'a> {
    name: &'a str,
    /// Which targets, in cargo's words.
    targets: &'a [&'a str],
    filter: Option<&'a str>,
    parallel: bool,
    /// A run in a group of its own does not hear of Ctrl-C by itself.
    interrupt: &'a Interrupt,
}

/// The sums of the `test result:` lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl<'a> Run<'a> {
    /// Tests of these targets, one at a time.
    pub(super) fn new(name: &'a str, targets: &'a [&'a str], interrupt: &'a Interrupt) -> Run<'a> {
        Run {
            name,
            targets,
            filter: None,
            parallel: false,
            interrupt,
        }
    }

    /// Only tests with this in their name.
    pub(super) fn filter(self, filter: Option<&'a str>) -> Run<'a> {
        Run { filter, ..self }
    }

    /// As many tests at once as there are cores.
    pub(super) fn in_parallel(self) -> Run<'a> {
        Run {
            parallel: true,
            ..self
        }
    }

    /// Makes the run and puts its outcome into the report.
    pub(super) fn run(self, shell: &Shell, limit: Duration, may_skip: bool, report: &mut Report) {
        if self.interrupt.came() {
            return;
        }
        step(self.name);
        let watch = Stopwatch::start();
        let (counts, remark) = match self.count(shell, limit) {
            Ok((counts, true)) => (counts, String::new()),
            // A target that does not build, or died, has no result line that counts it.
            Ok((counts, false)) => {
                let failed = counts.failed.max(1);
                (Counts { failed, ..counts }, "cargo test failed".to_owned())
            }
            Err(error) => {
                eprintln!("{}: {error:#}", self.name);
                let failed = Counts {
                    failed: 1,
                    ..Counts::default()
                };
                (failed, format!("{error:#}"))
            }
        };
        report.add(
            self.name,
            counts.passed,
            counts.failed,
            watch.elapsed(),
            remark,
        );
        if counts.ignored > 0 {
            report.not_run(
                format!(
                    "{} of {}, which are marked #[ignore]",
                    counts.ignored, self.name
                ),
                may_skip,
            );
        }
    }

    /// Runs cargo, shows and counts what it says; tells whether it was content.
    fn count(&self, shell: &Shell, limit: Duration) -> Result<(Counts, bool)> {
        let mut command = Command::new("cargo");
        command
            .args(["test", "--quiet", "--workspace", "--no-fail-fast"])
            .args(self.targets)
            .args(self.filter)
            .current_dir(shell.current_dir())
            // Own copies of what xshell would set for its own commands.
            .envs(
                [OBJECT, INCREMENTAL]
                    .into_iter()
                    .filter_map(|name| Some((name, shell.var_os(name)?))),
            )
            .stdout(Stdio::piped())
            // A group of its own, to end a run that hangs as a whole.
            .process_group(0);
        if !self.parallel {
            command.env("RUST_TEST_THREADS", "1");
        }
        let mut child = command.spawn().context("cannot run cargo test")?;
        let stdout = child.stdout.take().context("cargo test has no output")?;
        let reader = thread::spawn(move || show_and_count(BufReader::new(stdout)));
        let status = wait_at_most(&mut child, limit, self.interrupt);
        let counts = match reader.join() {
            Ok(counts) => counts?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        Ok((counts, status?))
    }
}

/// Waits for the end of a run, and brings it about when it is overdue.
fn wait_at_most(child: &mut Child, limit: Duration, interrupt: &Interrupt) -> Result<bool> {
    let deadline = Deadline::after(limit);
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for cargo test")? {
            return Ok(status.success());
        }
        if deadline.passed() || interrupt.came() {
            let group = Pid::from_raw(child.id().cast_signed());
            killpg(group, Signal::SIGKILL).context("cannot end a run that hangs")?;
            child.wait().context("cannot reap cargo test")?;
            if interrupt.came() {
                bail!("interrupted");
            }
            bail!(
                "took longer than {} minutes and was ended",
                limit.as_secs() / 60
            );
        }
        wait::pause(Duration::from_millis(50));
    }
}

/// Passes the output on, line by line, and adds its results up.
fn show_and_count(from: impl BufRead) -> Result<Counts> {
    let mut sum = Counts::default();
    for line in from.lines() {
        let line = line.context("cannot read the output of cargo test")?;
        println!("{line}");
        if let Some(counts) = parse(&line) {
            sum.passed += counts.passed;
            sum.failed += counts.failed;
            sum.ignored += counts.ignored;
        }
    }
    Ok(sum)
}

/// Reads `test result: ok. 7 passed; 0 failed; 0 ignored; ...`.
fn parse(line: &str) -> Option<Counts> {
    let results = line
        .trim()
        .strip_prefix("test result: ")?
        .split_once(". ")?
        .1;
    let mut counts = Counts::default();
    for part in results.split("; ") {
        match part.split_once(' ') {
            Some((count, "passed")) => counts.passed = count.parse().ok()?,
            Some((count, "failed")) => counts.failed = count.parse().ok()?,
            Some((count, "ignored")) => counts.ignored = count.parse().ok()?,
            _ => {}
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_lines_are_added_up() {
        let said = "
running 2 tests
..
test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 1 filtered out; finished in 0.06s

test result: FAILED. 3 passed; 4 failed; 5 ignored; 0 measured; 0 filtered out; finished in 1s
";
        let counts = show_and_count(said.as_bytes()).expect("counts");
        let expected = Counts {
            passed: 5,
            failed: 4,
            ignored: 5,
        };
        assert_eq!(counts, expected);
    }

    #[test]
    fn other_lines_are_no_results() {
        assert_eq!(parse("test result_of_nothing ... ok"), None);
        assert_eq!(parse("3 passed; 0 failed"), None);
    }
}
