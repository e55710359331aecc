//! `cargo xtask bench NAME`: runs a benchmark of the workspace, built for release.

use std::process::ExitCode;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::bpf;
use crate::machine::{self, Purpose};
use crate::report::step;
use crate::repository::Repository;

/// Arguments of `bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// What to measure.
    #[arg(value_enum)]
    subject: Subject,
    /// Passed on to the benchmark.
    #[arg(last = true)]
    rest: Vec<String>,
}

/// What can be measured.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// Nanoseconds per packet and bytes per connection of the built XDP program.
    Packet,
    /// Seconds that a director takes for ten thousand services of ten servers each.
    Table,
    /// Checks a second on one processor, beside HAProxy's.
    Monitors,
    /// A data plane with ten million connections.
    Limits,
}

impl Subject {
    fn name(self) -> &'static str {
        match self {
            Subject::Packet => "packet",
            Subject::Table => "table",
            Subject::Monitors => "monitors",
            Subject::Limits => "limits",
        }
    }

    /// What the machine must have for it.
    fn purposes(self) -> &'static [Purpose] {
        match self {
            Subject::Packet | Subject::Limits => &[Purpose::Bpf, Purpose::Lab],
            Subject::Table => &[Purpose::Lab],
            Subject::Monitors => &[Purpose::Lab, Purpose::Rivals, Purpose::Guest],
        }
    }
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    machine::prepare(arguments.subject.purposes())?;
    step("Building the programs that measure");
    let (subject, rest) = (arguments.subject.name(), &arguments.rest);
    let shell = Shell::new()?;
    shell.change_dir(repository.root());
    match arguments.subject {
        Subject::Packet | Subject::Limits => {
            shell.set_var("CARIBE_BENCH_OBJECT", bpf::for_bench(repository)?);
        }
        Subject::Table => {
            cmd!(shell, "cargo build --quiet --release --package caribe")
                .quiet()
                .run()
                .context("cannot build the program")?;
            let program = repository.target().join("release/caribe");
            shell.set_var("CARIBE_BENCH_PROGRAM", program);
        }
        Subject::Monitors => shell.set_var("CARIBE_BENCH_KERNELS", repository.kernels()),
    }
    cmd!(
        shell,
        "cargo run --quiet --release --package caribe-bench -- {subject} {rest...}"
    )
    .quiet()
    .run()
    .with_context(|| format!("benchmark `{subject}` failed"))?;
    Ok(ExitCode::SUCCESS)
}
