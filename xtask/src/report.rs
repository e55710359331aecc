//! Saying what is done, and keeping count of what came of it.

use std::time::{Duration, Instant};

/// Says what comes next.
pub(crate) fn step(what: &str) {
    println!("\n==> {what}");
}

/// Measures how long something takes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    #[expect(
        clippy::disallowed_methods,
        reason = "a build tool tells how long things took"
    )]
    pub(crate) fn start() -> Stopwatch {
        Stopwatch(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// What came of one check or one run of tests.
#[derive(Debug)]
struct Line {
    name: String,
    passed: usize,
    failed: usize,
    took: Duration,
    remark: String,
}

/// What came of a whole run.
#[derive(Debug, Default)]
pub(crate) struct Report {
    lines: Vec<Line>,
    not_run: Vec<String>,
}

impl Report {
    /// Does a check, with its name said before and its outcome kept.
    pub(crate) fn check(&mut self, name: &str, check: impl FnOnce() -> anyhow::Result<String>) {
        step(name);
        let watch = Stopwatch::start();
        let (passed, failed, remark) = match check() {
            Ok(remark) => (1, 0, remark),
            Err(error) => {
                eprintln!("{name}: FAILED: {error:#}");
                (0, 1, first_line(&format!("{error:#}")))
            }
        };
        self.add(name, passed, failed, watch.elapsed(), remark);
    }

    /// Keeps the outcome of a run of tests.
    pub(crate) fn add(
        &mut self,
        name: &str,
        passed: usize,
        failed: usize,
        took: Duration,
        remark: String,
    ) {
        self.lines.push(Line {
            name: name.to_owned(),
            passed,
            failed,
            took,
            remark,
        });
    }

    /// Keeps that something could not be run. Where nothing may be skipped, that is a failure.
    pub(crate) fn not_run(&mut self, what: String, may_skip: bool) {
        eprintln!("\n!!! NOT RUN: {what}");
        if may_skip {
            self.not_run.push(what);
        } else {
            self.add(&what, 0, 1, Duration::ZERO, "could not be run".to_owned());
        }
    }

    /// Prints the table and, alone on the last line, the sums. True when nothing failed.
    pub(crate) fn print(&self, took: Duration) -> bool {
        let (mut passed, mut failed) = (0, 0);
        step(&format!("Summary, after {} s", took.as_secs()));
        for line in &self.lines {
            passed += line.passed;
            failed += line.failed;
            println!(
                "{:4} {:5} passed {:3} failed {:6.1} s  {}{}",
                if line.failed == 0 { "ok" } else { "FAIL" },
                line.passed,
                line.failed,
                line.took.as_secs_f64(),
                line.name,
                if line.remark.is_empty() {
                    String::new()
                } else {
                    format!(": {}", line.remark)
                }
            );
        }
        for what in &self.not_run {
            println!("!!!  NOT RUN: {what}");
        }
        println!("\n{passed} passed, {failed} failed");
        failed == 0
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}
