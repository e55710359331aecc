//! `cargo xtask`: builds, tests and shows Caribe, and installs what that needs on Debian.
//!
//! Policy only: what is run in which order, and what counts as a failure. How a network or a
//! guest is made is `caribe-lab`'s business. Start reading at [`Task`]; each task has a module
//! of its name.
#![forbid(unsafe_code)]

mod bench;
mod bpf;
mod demo;
mod fuzz;
mod interrupt;
mod machine;
mod report;
mod repository;
mod test;
mod verify;

use std::io::IsTerminal;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use machine::Purpose;
use repository::Repository;

/// Builds, tests and shows Caribe. Every command first installs what it lacks, and says so.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

/// What can be done.
#[derive(Debug, Subcommand)]
enum Task {
    /// Balance real HTTP in a network of namespaces: the three forwarding methods, a server's
    /// death and return, a reload. Leaves nothing behind.
    Demo(demo::Arguments),
    /// Run every check and every test, with the BPF object built fresh from source.
    Test(test::Arguments),
    /// Measure.
    Bench(bench::Arguments),
    /// Build the BPF object from source and put it where the crates take it from.
    Bpf(bpf::Arguments),
    /// Give the parsers of what others send all kinds of bytes, for a bounded time.
    Fuzz(fuzz::Arguments),
    /// Install everything that the other commands need, and do nothing else.
    Setup,
}

fn main() -> ExitCode {
    // The build of the BPF object runs this same program as cargo's compiler wrapper.
    if let Some(status) = bpf::wrapper::run_if_asked() {
        return status;
    }
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .without_time()
        .init();
    match run(arguments.task) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<ExitCode> {
    let repository = Repository::find()?;
    match task {
        Task::Demo(arguments) => demo::run(&repository, &arguments),
        Task::Test(arguments) => test::run(&repository, &arguments),
        Task::Bench(arguments) => bench::run(&repository, &arguments),
        Task::Bpf(arguments) => bpf::run(&repository, &arguments),
        Task::Fuzz(arguments) => {
            machine::prepare(&[Purpose::Fuzz])?;
            let build = fuzz::Build::start(&repository)?;
            println!("{}", fuzz::run(&repository, build, &arguments)?);
            Ok(ExitCode::SUCCESS)
        }
        Task::Setup => {
            machine::prepare(&[Purpose::Bpf, Purpose::Lab, Purpose::Guest, Purpose::Fuzz])?;
            bpf::toolchain::Toolchain::find_or_install()?;
            println!("everything is there");
            Ok(ExitCode::SUCCESS)
        }
    }
}
