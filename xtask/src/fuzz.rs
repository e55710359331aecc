//! `cargo xtask fuzz`: every fuzz target, or one, for a bounded time; a part of `cargo xtask test`.
//!
//! The targets are built by the stable compiler: what cargo-fuzz adds is flags that LLVM knows,
//! but for the address sanitizer, which safe code does not miss. `cargo +nightly fuzz run NAME`
//! finds the same targets, and runs them for as long as one likes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
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

/// Builds all targets and runs each; fails with the input that a target fell over.
pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<String> {
    let directory = repository.root().join("fuzz");
    let path = directory.join("Cargo.toml");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).with_context(|| format!("cannot understand {}", path.display()))?;
    let shell = Shell::new()?;
    shell.change_dir(&directory);
    let host = host(&shell)?;
    {
        // With a target named, the flags are not for build scripts and macros.
        let _flags = shell.push_env("CARGO_ENCODED_RUSTFLAGS", FLAGS.join("\x1f"));
        cmd!(shell, "cargo build --quiet --release --target {host}")
            .quiet()
            .run()
            .context("the fuzz targets do not build")?;
    }
    let targets: Vec<&str> = manifest
        .bin
        .iter()
        .map(|target| target.name.as_str())
        .filter(|name| arguments.target.as_deref().is_none_or(|only| only == *name))
        .collect();
    if targets.is_empty() {
        bail!("there is no such fuzz target; see {}", path.display());
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
fn host(shell: &Shell) -> Result<String> {
    let said = cmd!(shell, "rustc --version --verbose").quiet().read()?;
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not tell its host")
}
