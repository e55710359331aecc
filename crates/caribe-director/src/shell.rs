//! The imperative shell: it carries bytes and runs effects, and decides nothing.

mod actor;
mod chronicle;
mod control;
mod explaining;
mod journal;
mod kept_file;
mod kernel;
mod loading;
mod manager;
mod memory;
mod notifier;
mod order_book;
mod peer;
mod plane;
mod runtime_dir;
mod saving;

use std::path::PathBuf;

pub use control::ControlPaths;

use caribe_dataplane::xdp::OpenError;
use caribe_network::NetworkError;

/// How to run a director.
#[derive(Debug, Clone)]
pub struct Options {
    /// The lvs.cf.
    pub config: PathBuf,
    /// Interfaces for the data plane, besides those that the file names.
    pub interfaces: Vec<String>,
    /// Where the lock, the control socket and the memory of own addresses live.
    pub runtime_dir: PathBuf,
    /// Where what outlives a reboot is kept: operators' orders.
    pub state_dir: PathBuf,
    /// Where on a bpffs the data plane is pinned.
    pub pin_dir: PathBuf,
    /// On stop, leave the data plane forwarding and the addresses up.
    pub keep_dataplane: bool,
}

/// Why a director could not start, or did not end cleanly.
#[derive(Debug, thiserror::Error)]
pub enum DirectorError {
    /// The runtime directory or a file in it could not be used.
    #[error("cannot {action} {}: {source}", path.display())]
    RuntimeDir {
        /// What was tried; completes "cannot".
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Another director holds the runtime directory.
    #[error(
        "another director{} uses {}: stop it, or give this one a directory of its own \
         with --runtime-dir",
        pid.map(|pid| format!(" (process {pid})")).unwrap_or_default(),
        path.display()
    )]
    Locked {
        /// The directory.
        path: PathBuf,
        /// The other one's process id, if known.
        pid: Option<u32>,
    },
    /// The configuration file could not be read or has errors.
    #[error("{diagnostics}\ncannot start: {} is not usable", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// Every error and warning, rendered.
        diagnostics: String,
    },
    /// What operators ordered cannot be read; to forget it could put a server that is being
    /// repaired back to work.
    #[error(
        "cannot read the operators' orders in {}: {reason}; correct the file, or remove it, which \
         lifts all orders", path.display()
    )]
    Orders {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// No netlink connection.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// The data plane could not be loaded or adopted.
    #[error("cannot start the data plane: {0}")]
    Dataplane(#[from] OpenError),
    /// A thread or a signal handler could not be had.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried; completes "cannot".
        action: &'static str,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// The director ended, and not as it should.
    #[error("{0}")]
    Ended(String),
}

/// Runs a director until it is told to stop by SIGTERM or SIGINT. To be called inside a tokio
/// runtime, in the network namespace that the director balances.
///
/// # Errors
///
/// What kept it from starting, or from taking everything down.
pub async fn run(options: Options) -> Result<(), DirectorError> {
    let directory = runtime_dir::RuntimeDir::lock(&options.runtime_dir)?;
    actor::Actor::start(options, directory).await?.run().await
}
