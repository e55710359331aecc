//! Does a kernel's verifier take the built programs? On this kernel, and on Debian's in an
//! emulated guest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use caribe_lab::guest::{Guest, Initramfs, Kernel};
use xshell::{Shell, cmd};

use crate::repository::Repository;

/// Loads the object here; gives what the verifier walked.
pub(crate) fn on_this_kernel(repository: &Repository, object: &Path) -> Result<String> {
    let loader = loader(repository)?;
    let shell = Shell::new()?;
    let release = cmd!(shell, "uname -r").quiet().read()?;
    let refused = || format!("kernel {release} refuses the BPF object");
    let said = cmd!(shell, "{loader} {object}").quiet().read();
    let explaining = cmd!(shell, "{loader} {object} explain").quiet().read();
    let (said, explaining) = (
        said.with_context(refused)?,
        explaining.with_context(refused)?,
    );
    told(&release, &format!("{said}\n{explaining}"))
}

/// Loads the object into Debian's kernel, in a guest; gives what the verifier walked.
pub(crate) fn on_debian(repository: &Repository, object: &Path) -> Result<String> {
    let loader = loader(repository)?;
    let kernel = Kernel::of_debian(&repository.kernels())?;
    let mut files = Initramfs::with_busybox()?;
    files.program(Path::new("/bin/guest-load"), &loader)?;
    files.file(Path::new("/caribe.bpf.o"), object)?;
    let load = "guest-load /caribe.bpf.o";
    let guest = Guest::new(&kernel).time_limit(TIME_LIMIT);
    let said = guest.run(files, &format!("uname -r; {load} && {load} explain"))?;
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
    told(release, programs)
}

/// An emulated processor verifies some million instructions in a minute or two; a busy machine
/// takes several times that.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Instructions that a program may take the verifier: half of what it gives up at, since the
/// kernels between the two that are asked walk more or fewer.
const MOST_INSTRUCTIONS: u64 = 500_000;

/// One line about a kernel, if every program stayed within bounds.
fn told(release: &str, programs: &str) -> Result<String> {
    let lines: Vec<&str> = programs.lines().map(|line| line.trim()).collect();
    for line in &lines {
        let walked: Option<u64> = line
            .split_once(": ")
            .and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        match walked {
            Some(walked) if walked <= MOST_INSTRUCTIONS => {}
            Some(_) => {
                bail!("kernel {release}: {line}, more than {MOST_INSTRUCTIONS}: divide the program")
            }
            None => bail!("kernel {release}: the loader said `{line}`, which names no number"),
        }
    }
    Ok(format!("kernel {release}: {}", lines.join(", ")))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_beyond_the_bound_is_refused() {
        let said = "program a: 500000 instructions verified\nprogram b: 7 instructions verified\n";
        assert_eq!(
            told("6.1", said).expect("within bounds"),
            "kernel 6.1: program a: 500000 instructions verified, program b: 7 instructions \
             verified"
        );
        told("6.1", "program a: 500001 instructions verified").expect_err("beyond");
        told("6.1", "program a: many").expect_err("no number");
    }
}
