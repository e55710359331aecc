//! Why a real server could not be prepared, undone or examined.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use caribe_network::NetworkError;

use crate::refusal::Refusal;
use crate::setting::Setting;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum RealServerError {
    /// It would take the machine off the network, or cannot work.
    #[error("refused, nothing was changed:{}", listed(.0))]
    Refused(Vec<Refusal>),
    /// The kernel's network refused.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// A sysctl could not be read or written.
    #[error("cannot {action} {setting}: {source}")]
    Setting {
        /// `read` or `set`.
        action: &'static str,
        /// Which.
        setting: Setting,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The nftables table could not be read or changed.
    #[error(
        "cannot {action} the nftables table `arp caribe_real_server`: {source}; the kernel needs \
         nf_tables with family arp, and this command root or CAP_NET_ADMIN"
    )]
    ArpRules {
        /// What was tried.
        action: &'static str,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The decapsulating program could not be loaded, attached, pinned, read or removed.
    #[error("cannot {action}: {source}{hint}")]
    Decapsulator {
        /// What was tried, on what.
        action: String,
        /// The reason; of the verifier its log.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
        /// What to do, with its leading separator.
        hint: &'static str,
    },
    /// The state file cannot be used.
    #[error("cannot {action} the state file {}: {source}{hint}", path.display())]
    State {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The reason.
        #[source]
        source: io::Error,
        /// What to do, with its leading separator.
        hint: &'static str,
    },
    /// A step failed, and undoing the steps before it failed as well.
    #[error("{failure}; and undoing what was done before failed too: {undoing}")]
    HalfDone {
        /// The first failure.
        failure: Box<RealServerError>,
        /// The second; the state file still tells what there is to undo.
        undoing: Box<RealServerError>,
    },
    /// The agent cannot listen.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The machine's load cannot be read.
    #[error("cannot read the load from {path}: {reason}")]
    Measure {
        /// The file.
        path: &'static str,
        /// What was wrong with it.
        reason: String,
    },
    /// No tokio runtime.
    #[error("cannot start the runtime: {0}")]
    Runtime(#[source] io::Error),
    /// What was to be told could not be written.
    #[error("cannot write the answer: {0}")]
    Output(#[source] io::Error),
}

fn listed(refusals: &[Refusal]) -> String {
    refusals
        .iter()
        .map(|refusal| format!("\n  {refusal}"))
        .collect()
}
