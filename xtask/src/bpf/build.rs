//! Compiling the XDP programs to an object that is the same, byte for byte, in every checkout.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

use super::toolchain::Toolchain;
use super::wrapper;
use crate::repository::Repository;

/// Options of the compiler: type information and line numbers for the verifier's log, the
/// instruction set of Linux 5.12 and later, and loads of whole words from packets, whose headers
/// are not aligned (the kernel allows that where the processor does).
pub(crate) const OPTIONS: [&str; 4] = [
    "-Clink-arg=--btf",
    "-Cdebuginfo=2",
    "-Ctarget-cpu=v3",
    "-Ctarget-feature=+allows-misaligned-mem-access",
];

/// A binary of the package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Binary {
    /// The programs of directors and real servers; the one that is committed.
    Caribe,
    /// The programs that the benchmark measures with.
    Bench,
}

impl Binary {
    /// Its target in cargo's words, and the name of the finished object.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Binary::Caribe => ("caribe-ebpf", "caribe.bpf.o"),
            Binary::Bench => ("caribe-bench", "caribe-bench.bpf.o"),
        }
    }
}

/// Builds an object from source and gives its path below cargo's target directory.
pub(crate) fn build(
    repository: &Repository,
    toolchain: &Toolchain,
    binary: Binary,
) -> Result<PathBuf> {
    let (name, object) = binary.names();
    let target = repository.target().join("bpf");
    let shell = Shell::new()?;
    shell.change_dir(repository.ebpf());
    toolchain.prepare(&shell);
    for (name, value) in wrapper::environment().context("cannot find this program itself")? {
        shell.set_var(name, value);
    }
    let mut options: Vec<String> = OPTIONS.iter().map(|&option| option.to_owned()).collect();
    options.extend(anonymous_paths(repository, &toolchain.sources(&shell)?)?);
    // Unlike RUSTFLAGS, this lets a path hold a blank.
    shell.set_var("CARGO_ENCODED_RUSTFLAGS", options.join("\u{1f}"));
    cmd!(
        shell,
        "cargo build --quiet --locked --release --target bpfel-unknown-none -Z build-std=core --target-dir {target} --bin {name}"
    )
    .quiet()
    .run()
    .context("cannot build the XDP programs")?;
    let built = target.join("bpfel-unknown-none/release").join(name);
    let object = target.join(object);
    let strip = toolchain.strip();
    // DWARF goes; .BTF and .BTF.ext, with the line numbers, stay. No loader applies the
    // relocations of .BTF.ext.
    cmd!(
        shell,
        "{strip} --strip-debug --remove-section=.rel.BTF.ext {built} -o {object}"
    )
    .quiet()
    .run()
    .context("cannot strip the object")?;
    Ok(object)
}

/// Line numbers name files: these options cut what depends on the machine off their paths.
fn anonymous_paths(repository: &Repository, sources: &Path) -> Result<Vec<String>> {
    let mut options = vec![remap(repository.root(), "caribe"), remap(sources, "rust")];
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo")))
        .context("neither CARGO_HOME nor HOME is set")?;
    let registries = home.join("registry/src");
    if registries.is_dir() {
        for entry in fs::read_dir(&registries)
            .with_context(|| format!("cannot list {}", registries.display()))?
        {
            options.push(remap(&entry?.path(), "registry"));
        }
    }
    Ok(options)
}

fn remap(from: &Path, to: &str) -> String {
    format!("--remap-path-prefix={}={to}", from.display())
}
