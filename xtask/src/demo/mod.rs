//! `cargo xtask demo`: the real binary, a real `lvs.cf`, real HTTP.
//!
//! Two processes. The one that the user started only watches the other, which builds the network
//! and runs the story; when that one ends, for whatever reason, or somebody presses Ctrl-C, the
//! watcher removes what may be left. So nothing remains of a demo that failed halfway either.

mod configuration;
mod director;
mod network;
mod story;
mod tally;

use std::env;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caribe_lab::{Lab, wait};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use xshell::{Shell, cmd};

use crate::interrupt::Interrupt;
use crate::machine::{self, Purpose};
use crate::report::step;
use crate::repository::Repository;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Keep the lab up afterwards, print commands to play with, and wait for Ctrl-C.
    #[arg(long)]
    stay: bool,
}

/// Tells the second process its role.
const ROLE: &str = "CARIBE_DEMO_STORY";

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    if env::var_os(ROLE).is_some() {
        return tell(repository, arguments);
    }
    machine::prepare(&[Purpose::Lab])?;
    if !machine::is_root() {
        bail!("the demo makes network namespaces and loads XDP programs: run it as root");
    }
    build(repository)?;
    let interrupt = Interrupt::watch()?;
    let mut story = start(arguments)?;
    let status = loop {
        if let Some(status) = story.try_wait().context("cannot watch the demo")? {
            break if status.success() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            };
        }
        if interrupt.came() {
            println!("\nending the demo");
            story.kill().context("cannot end the demo")?;
            story.wait().context("cannot reap the demo")?;
            break if arguments.stay {
                ExitCode::SUCCESS
            } else {
                Interrupt::status()
            };
        }
        wait::pause(Duration::from_millis(50));
    };
    let removed = Lab::remove_leftovers()?;
    if !removed.is_empty() {
        println!("the lab is removed");
    }
    Ok(status)
}

fn build(repository: &Repository) -> Result<()> {
    step("Building caribe");
    let shell = Shell::new()?;
    shell.change_dir(repository.root());
    cmd!(shell, "cargo build --package caribe")
        .quiet()
        .run()
        .context("cannot build caribe")
}

/// Starts the second process, out of reach of the terminal's Ctrl-C.
fn start(arguments: &Arguments) -> Result<Child> {
    let program = env::current_exe().context("cannot find this program itself")?;
    let mut command = Command::new(program);
    command.arg("demo").env(ROLE, "1").process_group(0);
    if arguments.stay {
        command.arg("--stay");
    }
    command.spawn().context("cannot start the demo")
}

/// The second process.
fn tell(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    // Should the watcher be killed, the story ends as well; the next lab cleans up after it.
    prctl::set_pdeathsig(Signal::SIGKILL).context("cannot tie the demo to its watcher")?;
    let binary = repository.target().join("debug/caribe");
    let good = story::tell(&binary, arguments.stay)?;
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
