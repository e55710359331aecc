//! The compiler and linker of the BPF object.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use xshell::{Shell, cmd};

use crate::machine;

/// The release of bpf-linker that is installed when there is none.
const BPF_LINKER: &str = "0.13.0";

/// A complete toolchain.
#[derive(Debug)]
pub(crate) struct Toolchain {
    compiler: Compiler,
    strip: PathBuf,
    versions: Versions,
}

/// Where the compiler and its sources come from.
#[derive(Debug)]
enum Compiler {
    /// Debian's rustc, whose LLVM is the one that bpf-linker is built with. It is a stable
    /// release that is told to act like a nightly one.
    Debian,
    /// rustup's nightly toolchain with rust-src, as is usual elsewhere.
    Nightly,
}

/// What the object was made with: the same versions make the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Versions {
    /// `rustc --version`.
    pub(crate) rustc: String,
    /// LLVM of rustc.
    pub(crate) llvm: String,
    /// `bpf-linker --version`.
    pub(crate) bpf_linker: String,
}

impl Toolchain {
    /// Finds the toolchain, and installs Debian's where something of it is missing.
    pub(crate) fn find_or_install() -> Result<Toolchain> {
        let shell = Shell::new()?;
        if debian_has_it(&shell) {
            let missing: Vec<&str> = machine::BPF_PACKAGES
                .iter()
                .filter(|(sign, _)| !machine::is_there(sign))
                .map(|(_, package)| *package)
                .collect();
            machine::install(&missing)?;
            if !machine::is_there("bpf-linker") {
                install_linker(&shell)?;
            }
            return Toolchain::assemble(
                &shell,
                Compiler::Debian,
                PathBuf::from("/usr/lib/llvm-22/bin/llvm-strip"),
            );
        }
        let sources = cmd!(shell, "rustc +nightly --print sysroot")
            .quiet()
            .ignore_stderr()
            .read()
            .map(|root| Path::new(&root).join("lib/rustlib/src/rust/library"));
        let strip = machine::find_program("llvm-strip");
        match (sources, strip) {
            (Ok(sources), Some(strip)) if sources.is_dir() && machine::is_there("bpf-linker") => {
                Toolchain::assemble(&shell, Compiler::Nightly, strip)
            }
            _ => bail!(
                "the BPF object needs a nightly compiler with its sources, bpf-linker and \
                 llvm-strip. On Debian 12 this command installs rustc-web, rust-web-src, \
                 llvm-22-dev and libpolly-22-dev by itself; elsewhere: `rustup toolchain install \
                 nightly --component rust-src`, `cargo install bpf-linker`, and LLVM"
            ),
        }
    }

    fn assemble(shell: &Shell, compiler: Compiler, strip: PathBuf) -> Result<Toolchain> {
        let rustc = match compiler {
            Compiler::Debian => cmd!(shell, "/usr/bin/rustc --version --verbose"),
            Compiler::Nightly => cmd!(shell, "rustc +nightly --version --verbose"),
        };
        let said = rustc.quiet().read()?;
        let line = |prefix: &str| {
            said.lines()
                .find_map(|line| line.strip_prefix(prefix))
                .map(str::to_owned)
                .with_context(|| format!("rustc does not tell its `{prefix}`"))
        };
        let versions = Versions {
            rustc: line("rustc ")?,
            llvm: line("LLVM version: ")?,
            bpf_linker: cmd!(shell, "bpf-linker --version").quiet().read()?,
        };
        Ok(Toolchain {
            compiler,
            strip,
            versions,
        })
    }

    /// What it is made of.
    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// Removes debugging data from an object.
    pub(crate) fn strip(&self) -> &Path {
        &self.strip
    }

    /// Sets the environment of a build up.
    pub(crate) fn prepare(&self, shell: &Shell) {
        match self.compiler {
            Compiler::Debian => {
                shell.set_var("RUSTC", "/usr/bin/rustc");
                shell.set_var("RUSTC_BOOTSTRAP", "1");
            }
            Compiler::Nightly => shell.set_var("RUSTUP_TOOLCHAIN", "nightly"),
        }
        // Debian's rustc may be older than what the newest dependencies ask for.
        shell.set_var("CARGO_RESOLVER_INCOMPATIBLE_RUST_VERSIONS", "fallback");
    }

    /// The directory with the compiler's own sources.
    pub(crate) fn sources(&self, shell: &Shell) -> Result<PathBuf> {
        let root = match self.compiler {
            Compiler::Debian => cmd!(shell, "/usr/bin/rustc --print sysroot"),
            Compiler::Nightly => cmd!(shell, "rustc +nightly --print sysroot"),
        };
        Ok(Path::new(&root.quiet().read()?).join("lib/rustlib/src/rust"))
    }
}

/// True when Debian's own toolchain is here or to be had.
fn debian_has_it(shell: &Shell) -> bool {
    if machine::BPF_PACKAGES
        .iter()
        .all(|(sign, _)| machine::is_there(sign))
    {
        return true;
    }
    if !machine::is_debian() {
        return false;
    }
    let known = || {
        cmd!(shell, "apt-cache show rustc-web llvm-22-dev")
            .quiet()
            .ignore_stdout()
            .ignore_stderr()
            .run()
            .is_ok()
    };
    // On a fresh machine apt knows nothing yet.
    known()
        || (machine::is_root() && cmd!(shell, "apt-get -q update").quiet().run().is_ok() && known())
}

fn install_linker(shell: &Shell) -> Result<()> {
    println!("installing bpf-linker {BPF_LINKER} with cargo (about a minute and a half)");
    let _llvm = shell.push_env("LLVM_PREFIX", "/usr/lib/llvm-22");
    // Cargo must not take this build's settings for its own.
    let _flags = shell.push_env("RUSTFLAGS", "");
    cmd!(
        shell,
        "cargo install --locked bpf-linker --version {BPF_LINKER} --no-default-features --features llvm-22"
    )
    .quiet()
    .run()
    .context("cannot install bpf-linker")?;
    if machine::is_there("bpf-linker") {
        return Ok(());
    }
    bail!("bpf-linker is installed, but not in PATH: add cargo's bin directory to it")
}
