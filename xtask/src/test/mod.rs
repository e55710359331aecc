//! `cargo xtask test`: every check and every test, with the BPF object built fresh from source.
//!
//! Nothing is skipped in silence. What cannot be run is said loudly, and with `CI` set it is a
//! failure. The last line is `N passed, N failed`.

mod cargo_test;
mod conformance;
mod licences;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use caribe_lab::Lab;
use xshell::{Shell, cmd};

use crate::interrupt::Interrupt;
use crate::machine::{self, Purpose};
use crate::report::{Report, Stopwatch};
use crate::repository::Repository;
use crate::{bpf, fuzz, verify};
use cargo_test::Run;

/// Arguments of `test`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only tests with this in their name; checks and guests are left out.
    filter: Option<String>,
}

/// No run of tests may take longer; a hang must end and say where it hung.
const TIME_LIMIT: Duration = Duration::from_secs(40 * 60);

/// The BPF object that the workspace is built with.
const OBJECT: &str = "CARIBE_BPF_OBJECT";
/// Whether cargo keeps what the next build may use.
const INCREMENTAL: &str = "CARGO_INCREMENTAL";

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    let watch = Stopwatch::start();
    let may_skip = !std::env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false");
    machine::prepare(&[Purpose::Bpf, Purpose::Lab, Purpose::Guest, Purpose::Fuzz])?;
    let shell = Shell::new()?;
    shell.change_dir(repository.root());
    if !may_skip {
        // A checkout that is built once writes nothing for the next time.
        shell.set_var(INCREMENTAL, "0");
    }
    let mut report = Report::default();
    let everything = arguments.filter.is_none();

    if everything {
        check_style(&shell, repository, &mut report);
        report.check("Licences of all dependencies", || {
            licences::check(repository)
        });
    }

    // Everything from here on is built with the fresh object inside.
    let object = match build_object(repository, &mut report) {
        Ok(object) => object,
        Err(error) => {
            eprintln!("{error:#}");
            report.add(
                "Build the BPF object",
                0,
                1,
                Duration::ZERO,
                first_line(&error),
            );
            report.print(watch.elapsed());
            return Ok(ExitCode::FAILURE);
        }
    };
    shell.set_var(OBJECT, &object);

    if everything {
        report.check("Clippy, warnings denied", || {
            cmd!(
                shell,
                "cargo clippy --quiet --workspace --all-targets -- -D warnings"
            )
            .quiet()
            .run()
            .context("clippy has objections")?;
            Ok(String::new())
        });
    }

    if everything {
        report.check("The cases of IPVS", || {
            conformance::check(&shell, repository)
        });
    }

    // The longest build of all waits for nobody, and the tests below mostly wait for time to pass.
    let fuzz_targets = everything.then(|| fuzz::Build::start_in_idle_time(repository));
    let filter = arguments.filter.as_deref();
    let interrupt = Interrupt::watch()?;
    Run::new("Unit tests", &["--lib", "--bins"], &interrupt)
        .filter(filter)
        .in_parallel()
        .run(&shell, TIME_LIMIT, may_skip, &mut report);
    if machine::is_root() {
        // One at a time: they share the machine's two cores, and their time limits are real.
        Run::new(
            "Packet, lab and black-box tests",
            &["--test", "*"],
            &interrupt,
        )
        .filter(filter)
        .run(&shell, TIME_LIMIT, may_skip, &mut report);
    } else {
        let what = "packet and lab tests, and the verifier: they need root";
        report.not_run(what.to_owned(), may_skip);
    }
    Run::new("Examples in the documentation", &["--doc"], &interrupt)
        .filter(filter)
        .in_parallel()
        .run(&shell, TIME_LIMIT, may_skip, &mut report);

    if interrupt.came() {
        // What killed tests could not remove.
        Lab::remove_leftovers()?;
        report.print(watch.elapsed());
        return Ok(Interrupt::status());
    }
    if let Some(build) = fuzz_targets {
        report.check("Fuzz targets", || {
            fuzz::run(repository, build?, &fuzz::Arguments::SHORT)
        });
    }
    if everything && machine::is_root() {
        report.check("The verifier of this kernel", || {
            verify::on_this_kernel(repository, &object)
        });
        report.check("The verifier of Debian's kernel, emulated", || {
            verify::on_debian(repository, &object)
        });
    }
    let good = report.print(watch.elapsed());
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Formatting of the workspace, and of the packages outside it.
fn check_style(shell: &Shell, repository: &Repository, report: &mut Report) {
    report.check("Formatting", || {
        let ebpf = repository.ebpf().join("Cargo.toml");
        cmd!(shell, "cargo fmt --all --check").quiet().run()?;
        let fuzz = repository.root().join("fuzz/Cargo.toml");
        for outside in [ebpf, fuzz] {
            cmd!(shell, "cargo fmt --manifest-path {outside} --check")
                .quiet()
                .run()?;
        }
        Ok(String::new())
    });
}

/// Builds the object and, as a check of its own, compares it to the committed one.
fn build_object(repository: &Repository, report: &mut Report) -> Result<std::path::PathBuf> {
    crate::report::step("Building the BPF object from source");
    let (object, outcome) = bpf::fresh(repository)?;
    report.check("The committed BPF object", || outcome);
    Ok(object)
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}")
        .lines()
        .next()
        .unwrap_or_default()
        .to_owned()
}
