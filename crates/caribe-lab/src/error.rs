//! Why a lab could not do what it was asked.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Any failure of the lab: what was tried, on what, and why it failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces need root.
    #[error("a lab makes network namespaces, which needs root: run this as root (or with sudo)")]
    NotRoot,
    /// A name that would not make a legal file or interface name.
    #[error("`{name}` cannot name a {what}: use {rule}")]
    Name {
        /// What was to be named.
        what: &'static str,
        /// The refused name.
        name: String,
        /// What would be accepted.
        rule: &'static str,
    },
    /// This process already runs a lab of that name.
    #[error("this process already runs a lab named `{0}`: give each lab a name of its own")]
    Taken(String),
    /// The operating system refused something.
    #[error("{action}: {source}")]
    Io {
        /// What was tried, on what.
        action: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// The kernel refused a change to links, addresses or routes.
    #[error("{action}: {source}")]
    Netlink {
        /// What was tried, on what.
        action: String,
        /// The kernel's answer.
        #[source]
        source: rtnetlink::Error,
    },
    /// The XDP program of a link could not be put in place.
    #[error("{action}: {source}")]
    Pass {
        /// What was tried, on what.
        action: String,
        /// The reason.
        #[source]
        source: Box<crate::PassError>,
    },
    /// A program of the lab is not installed.
    #[error("cannot start `{program}` on {host}: not found (Debian: apt-get install {package})")]
    Missing {
        /// The program.
        program: String,
        /// The host.
        host: String,
        /// The Debian package that brings it.
        package: String,
    },
    /// A program ended with a failure.
    #[error("`{command}` on {host} ended with {status}; it said:\n{said}")]
    Failed {
        /// The command line.
        command: String,
        /// The host.
        host: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its output.
        said: String,
    },
    /// Something did not happen in time.
    #[error("waited {waited:?} in vain for {what}: {last}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// How long.
        waited: Duration,
        /// The last thing seen instead.
        last: String,
    },
    /// A program's output was not understood.
    #[error("cannot understand the output of `{program}`: {reason}; it said:\n{said}")]
    Output {
        /// The program.
        program: &'static str,
        /// What was missing.
        reason: String,
        /// The output.
        said: String,
    },
}

impl LabError {
    /// Says what was tried when the operating system refused it; for `map_err`.
    pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(io::Error) -> LabError {
        let action = action.into();
        move |source| LabError::Io { action, source }
    }

    /// As [`LabError::io`], for calls that answer with a bare error number.
    pub(crate) fn errno(action: impl Into<String>) -> impl FnOnce(nix::Error) -> LabError {
        let action = action.into();
        move |error| LabError::Io {
            action,
            source: error.into(),
        }
    }
}
