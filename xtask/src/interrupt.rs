//! Ctrl-C and its like, as a flag: what was started must be taken down before this program ends.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result};
use nix::sys::signal::Signal;

/// Set once somebody wants this program to end.
#[derive(Debug, Clone)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Catches SIGINT, SIGTERM and SIGHUP from now on. Children started later do not inherit
    /// that.
    pub(crate) fn watch() -> Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            signal_hook::flag::register(signal as i32, Arc::clone(&flag))
                .with_context(|| format!("cannot watch for {signal}"))?;
        }
        Ok(Interrupt(flag))
    }

    /// True once a signal came.
    pub(crate) fn came(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What a shell expects of a program that ended for it.
    pub(crate) fn status() -> ExitCode {
        ExitCode::from(130)
    }
}
