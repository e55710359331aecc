//! Another kernel, in an emulator: boots a Linux kernel with an initramfs of our making in
//! `qemu-system-x86_64`, runs one command there, and gives what it said.
//!
//! For what the running kernel cannot show: whether an older kernel's verifier takes a program,
//! or how a kernel with other modules behaves. No KVM is needed; full emulation is slow (about
//! ten seconds to the command), so ask a guest for functions, and for no figures but numbers of
//! instructions, which [`Guest::virtual_time`] counts.
//!
//! ```no_run
//! use caribe_lab::guest::{Guest, Initramfs, Kernel};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let kernel = Kernel::of_debian("target/guest".as_ref())?;
//! let mut files = Initramfs::with_busybox()?;
//! files.program("/bin/tool".as_ref(), "target/debug/tool".as_ref())?;
//! let said = Guest::new(&kernel).run(files, "uname -r && tool")?;
//! # Ok(())
//! # }
//! ```

mod boot;
mod image;
mod initramfs;
mod kernel;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use boot::{Guest, Said};
pub use initramfs::Initramfs;
pub use kernel::Kernel;

/// Why a guest could not be made or run.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was tried, on what.
        action: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A program of this machine is needed and not there.
    #[error("cannot run `{program}`: not found (Debian: apt-get install {package})")]
    Missing {
        /// The program.
        program: &'static str,
        /// The Debian package that brings it.
        package: &'static str,
    },
    /// A program of this machine failed.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The command line.
        command: String,
        /// What it said.
        said: String,
    },
    /// No kernel was found where one was expected.
    #[error("no kernel image (vmlinuz-*) in {0}")]
    NoKernel(PathBuf),
    /// A module is needed that the kernel's package does not have.
    #[error("the kernel has no module `{0}`")]
    NoModule(String),
    /// The guest did not come to the end of its command.
    #[error("the guest did not finish its command within {limit:?}; it said:\n{said}")]
    Unfinished {
        /// How long it had.
        limit: Duration,
        /// The end of its console output.
        said: String,
    },
}

impl GuestError {
    /// Says what was tried when the operating system refused it; for `map_err`.
    fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> GuestError {
        let action = action.into();
        move |source| GuestError::Io { action, source }
    }
}

/// Runs a program of this machine to its end and gives its standard output.
fn run(
    program: &'static str,
    package: &'static str,
    command: &mut std::process::Command,
) -> Result<String, GuestError> {
    let line = format!("{command:?}");
    let output = command.output().map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => GuestError::Missing { program, package },
        _ => GuestError::io(format!("run {line}"))(source),
    })?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(GuestError::Failed {
        command: line,
        said: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
