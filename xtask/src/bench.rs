//! `cargo xtask bench NAME`: runs a benchmark of the workspace, built for release.

use std::process::ExitCode;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use crate::machine::{self, Purpose};
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

/// What can be measured: each a benchmark target of a crate.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Subject {
    /// Nanoseconds per packet and bytes per connection of the built XDP program.
    Packet,
}

impl Subject {
    /// Package and target.
    fn target(self) -> (&'static str, &'static str) {
        match self {
            Subject::Packet => ("caribe-dataplane", "packet"),
        }
    }
}

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    machine::prepare(&[Purpose::Lab])?;
    let (package, target) = arguments.subject.target();
    let rest = &arguments.rest;
    let shell = Shell::new()?;
    shell.change_dir(repository.root());
    cmd!(
        shell,
        "cargo bench --package {package} --bench {target} -- {rest...}"
    )
    .run()
    .with_context(|| format!("benchmark `{target}` of {package} failed"))?;
    Ok(ExitCode::SUCCESS)
}
