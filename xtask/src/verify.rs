//! Does a kernel's verifier take the built programs? On this kernel, and on Debian's in an
//! emulated guest.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use caribe_lab::guest::{Guest, Initramfs, Kernel};
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// Loads the object here; gives what the verifier walked.
pub(crate) fn on_this_kernel(repository: &Repository, object: &Path) -> Result<String> {
    let loader = loader(repository)?;
    let shell = Shell::new()?;
    let release = cmd!(shell, "uname -r").quiet().read()?;
    let said = cmd!(shell, "{loader} {object}")
        .quiet()
        .read()
        .with_context(|| format!("kernel {release} refuses the BPF object"))?;
    Ok(told(&release, &said))
}

/// Loads the object into Debian's kernel, in a guest; gives what the verifier walked.
pub(crate) fn on_debian(repository: &Repository, object: &Path) -> Result<String> {
    let loader = loader(repository)?;
    let kernel = Kernel::of_debian(&repository.kernels())?;
    let mut files = Initramfs::with_busybox()?;
    files.program(Path::new("/bin/guest-load"), &loader)?;
    files.file(Path::new("/caribe.bpf.o"), object)?;
    let said = Guest::new(&kernel).run(files, "uname -r; guest-load /caribe.bpf.o")?;
    if said.status != 0 {
        bail!(
            "kernel {} refuses the BPF object (status {}):\n{}",
            kernel.release(),
            said.status,
            said.output
        );
    }
    let (release, programs) = said
        .output
        .split_once('\n')
        .with_context(|| format!("the guest said only `{}`", said.output))?;
    if release != kernel.release() {
        bail!("the guest ran kernel {release}, not {}", kernel.release());
    }
    Ok(told(release, programs))
}

/// One line about a kernel.
fn told(release: &str, programs: &str) -> String {
    let programs: Vec<&str> = programs.lines().map(|line| line.trim()).collect();
    format!("kernel {release}: {}", programs.join(", "))
}

/// The program that loads and tells, built.
fn loader(repository: &Repository) -> Result<PathBuf> {
    let shell = Shell::new()?;
    shell.change_dir(repository.root());
    cmd!(
        shell,
        "cargo build --quiet --package caribe-lab --bin guest-load"
    )
    .quiet()
    .run()
    .context("cannot build the loader of BPF objects")?;
    Ok(repository.target().join("debug/guest-load"))
}
