//! `cargo xtask fuzz`: every fuzz target, or one, for a bounded time; a part of `cargo xtask test`.
//!
//! The targets are built by the stable compiler: what cargo-fuzz adds is flags that LLVM knows,
//! but for the address sanitizer, which safe code does not miss. `cargo +nightly fuzz run NAME`
//! finds the same targets, and runs them for as long as one likes.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::Deserialize;
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// Arguments of `fuzz`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Only this target.
    target: Option<String>,
    /// Seconds for each target. What it finds is kept below fuzz/corpus for the next time.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

impl Arguments {
    /// What `cargo xtask test` asks for.
    pub(crate) const SHORT: Arguments = Arguments {
        target: None,
        seconds: 4,
    };
}

/// What counts here of the package's manifest.
#[derive(Debug, Deserialize)]
struct Manifest {
    package: Package,
    bin: Vec<Target>,
}

#[derive(Debug, Deserialize)]
struct Package {
    metadata: Metadata,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    /// Directories of inputs, by target.
    seeds: BTreeMap<String, Vec<PathBuf>>,
}

#[derive(Debug, Deserialize)]
struct Target {
    name: String,
}

/// What makes LLVM tell libFuzzer which code an input has reached.
const FLAGS: [&str; 8] = [
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Ccodegen-units=1",
    "-Cdebug-assertions",
];

/// The targets while they are built.
#[derive(Debug)]
pub(crate) struct Build(Child);

impl Build {
    /// Begins to build all targets.
    pub(crate) fn start(repository: &Repository) -> Result<Build> {
        Build::spawn(Command::new("cargo"), repository)
    }

    /// The same with what the processors have left: what else is measured meanwhile, by time, does
    /// not notice.
    pub(crate) fn start_in_idle_time(repository: &Repository) -> Result<Build> {
        let mut command = Command::new("chrt");
        command.args(["--idle", "0", "cargo"]);
        Build::spawn(command, repository)
    }

    fn spawn(mut command: Command, repository: &Repository) -> Result<Build> {
        let directory = directory(repository);
        // With a target named, the flags are not for build scripts and macros.
        command
            .args(["build", "--quiet", "--release", "--target"])
            .arg(host()?)
            .env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"))
            .current_dir(&directory)
            .stdin(Stdio::null())
            .process_group(0);
        let child = command
            .spawn()
            .context("cannot begin to build the fuzz targets")?;
        Ok(Build(child))
    }

    /// Waits for the end.
    fn finish(mut self) -> Result<()> {
        let status = self
            .0
            .wait()
            .context("cannot wait for the fuzz targets' build")?;
        ensure!(status.success(), "the fuzz targets do not build");
        Ok(())
    }
}

impl Drop for Build {
    /// A build that nobody waits for ends with all that it started.
    fn drop(&mut self) {
        if let Ok(None) = self.0.try_wait() {
            let group = Pid::from_raw(self.0.id().cast_signed());
            if let Err(error) = killpg(group, Signal::SIGKILL) {
                eprintln!("cannot end the build of the fuzz targets: {error}");
            }
            if let Err(error) = self.0.wait() {
                eprintln!("cannot wait for the build of the fuzz targets: {error}");
            }
        }
    }
}

fn directory(repository: &Repository) -> PathBuf {
    repository.root().join("fuzz")
}

/// Runs each target that was built; fails with the input that a target fell over.
pub(crate) fn run(repository: &Repository, build: Build, arguments: &Arguments) -> Result<String> {
    build.finish()?;
    let directory = directory(repository);
    let manifest = manifest(&directory.join("Cargo.toml"))?;
    let shell = Shell::new()?;
    shell.change_dir(&directory);
    let host = host()?;
    let targets: Vec<&str> = manifest
        .bin
        .iter()
        .map(|target| target.name.as_str())
        .filter(|name| arguments.target.as_deref().is_none_or(|only| only == *name))
        .collect();
    if targets.is_empty() {
        bail!("there is no such fuzz target; see fuzz/Cargo.toml");
    }
    for name in &targets {
        let seeds = manifest.package.metadata.seeds.get(*name);
        let program = format!("target/{host}/release/{name}");
        let seeds = seeds.map_or(&[][..], Vec::as_slice);
        run_one(&shell, name, &program, seeds, arguments.seconds)?;
    }
    let seconds = arguments.seconds;
    Ok(format!("{} targets, {seconds} s each", targets.len()))
}

fn manifest(path: &Path) -> Result<Manifest> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))
}

fn run_one(
    shell: &Shell,
    name: &str,
    program: &str,
    seeds: &[PathBuf],
    seconds: u32,
) -> Result<()> {
    let seconds = seconds.to_string();
    let found = format!("corpus/{name}");
    let fallen = format!("artifacts/{name}/");
    shell.create_dir(&found)?;
    shell.create_dir(&fallen)?;
    let output = cmd!(
        shell,
        "{program} -max_total_time={seconds} -timeout=10 -rss_limit_mb=1024
            -artifact_prefix={fallen} {found} {seeds...}"
    )
    .quiet()
    .ignore_status()
    .output()?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        bail!("fuzz target {name} fell over; the input is below fuzz/{fallen}\n{said}");
    }
    let runs = said
        .lines()
        .find_map(|line| line.strip_prefix("Done ")?.split(' ').next())
        .with_context(|| format!("fuzz target {name} does not tell how often it ran\n{said}"))?;
    println!("{name}: {runs} inputs");
    Ok(())
}

/// The triple of this machine.
fn host() -> Result<String> {
    let shell = Shell::new()?;
    let said = cmd!(shell, "rustc --version --verbose").quiet().read()?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not tell its host")
}
