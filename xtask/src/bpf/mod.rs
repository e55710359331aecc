//! `cargo xtask bpf`: the BPF object, built from source and committed beside its crate, so that
//! the rest of Caribe needs stable Rust and nothing else.

mod build;
mod sources;
pub(crate) mod toolchain;
pub(crate) mod wrapper;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

use crate::machine::{self, Purpose};
use crate::report::step;
use crate::repository::Repository;
use crate::verify;
use build::Binary;
use toolchain::{Toolchain, Versions};

/// Arguments of `bpf`.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing; fail if the committed object is stale.
    #[arg(long)]
    check: bool,
    /// Also load the object into this kernel and, emulated, into Debian's.
    #[arg(long)]
    verify: bool,
}

/// What is written beside the committed object.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    /// Digest of the sources that the object was built from.
    sources: String,
    /// Digest of the object.
    object: String,
    /// What it was built with.
    toolchain: Versions,
}

/// Heads the record.
const NOTE: &str = "# Written by `cargo xtask bpf`: what caribe.bpf.o was built from and with.\n";

pub(crate) fn run(repository: &Repository, arguments: &Arguments) -> Result<ExitCode> {
    machine::prepare(&[Purpose::Bpf])?;
    let toolchain = Toolchain::find_or_install()?;
    step("Building the XDP programs");
    let object = build::build(repository, &toolchain, Binary::Caribe)?;
    if arguments.check {
        println!("{}", check(repository, &toolchain, &object)?);
    } else {
        commit(repository, &toolchain, &object)?;
    }
    if arguments.verify {
        machine::prepare(&[Purpose::Guest])?;
        println!("{}", verify::on_this_kernel(repository, &object)?);
        println!("{}", verify::on_debian(repository, &object)?);
    }
    Ok(ExitCode::SUCCESS)
}

/// Builds the object fresh, for tests, and gives its path with the outcome of comparing it to
/// the committed one.
pub(crate) fn fresh(repository: &Repository) -> Result<(PathBuf, Result<String>)> {
    let toolchain = Toolchain::find_or_install()?;
    let object = build::build(repository, &toolchain, Binary::Caribe)?;
    let outcome = check(repository, &toolchain, &object);
    Ok((object, outcome))
}

/// Builds the benchmark's object and gives its path.
pub(crate) fn for_bench(repository: &Repository) -> Result<PathBuf> {
    build::build(repository, &Toolchain::find_or_install()?, Binary::Bench)
}

fn committed(repository: &Repository) -> (PathBuf, PathBuf) {
    let directory = repository.ebpf();
    (
        directory.join("caribe.bpf.o"),
        directory.join("caribe.bpf.toml"),
    )
}

/// Puts the object and its record beside the crate.
fn commit(repository: &Repository, toolchain: &Toolchain, object: &Path) -> Result<()> {
    let (to, record_path) = committed(repository);
    let bytes = read(object)?;
    let record = Record {
        sources: sources::digest(repository)?,
        object: sources::sha256(&bytes),
        toolchain: toolchain.versions().clone(),
    };
    let text = format!("{NOTE}{}", toml::to_string(&record)?);
    fs::write(&to, &bytes).with_context(|| format!("cannot write {}", to.display()))?;
    fs::write(&record_path, text)
        .with_context(|| format!("cannot write {}", record_path.display()))?;
    println!(
        "{} bytes in {}, built with rustc {}, LLVM {}, {}",
        bytes.len(),
        to.display(),
        record.toolchain.rustc,
        record.toolchain.llvm,
        record.toolchain.bpf_linker
    );
    Ok(())
}

/// Compares the committed object with what the sources give now.
fn check(repository: &Repository, toolchain: &Toolchain, fresh: &Path) -> Result<String> {
    let (path, record_path) = committed(repository);
    let bytes = read(&path)?;
    let text = String::from_utf8(read(&record_path)?)
        .with_context(|| format!("{} is not text", record_path.display()))?;
    let record: Record = toml::from_str(&text)
        .with_context(|| format!("{} is not a record of a build", record_path.display()))?;
    if record.object != sources::sha256(&bytes) {
        bail!(
            "the committed BPF object is not the one that its record tells of: run `cargo xtask \
             bpf` and commit both"
        );
    }
    if record.sources != sources::digest(repository)? {
        bail!(
            "the committed BPF object is stale: its sources have changed since; run `cargo xtask \
             bpf` and commit caribe.bpf.o and caribe.bpf.toml"
        );
    }
    if record.toolchain != *toolchain.versions() {
        return Ok(format!(
            "up to date by its sources; built with rustc {} here, so bytes are not compared",
            toolchain.versions().rustc
        ));
    }
    if bytes != read(fresh)? {
        bail!(
            "the committed BPF object differs from a fresh build of the same sources with the \
             same toolchain: run `cargo xtask bpf` and commit it"
        );
    }
    Ok(format!("up to date, byte for byte ({} bytes)", bytes.len()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}
