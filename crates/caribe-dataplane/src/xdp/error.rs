//! Why an XDP data plane could not be opened.

use std::path::PathBuf;

use crate::DataplaneError;

/// Why [`XdpDataplane::open`](super::XdpDataplane::open) failed. Nothing was attached, and what
/// ran before runs on.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Programs can only be pinned on a bpffs.
    #[error(
        "cannot pin under {}: it is not on a BPF file system; mount one with \
         `mount -t bpf bpf /sys/fs/bpf`, or choose a directory on one", .directory.display()
    )]
    NotBpffs {
        /// The directory, or the nearest one above it that exists.
        directory: PathBuf,
    },
    /// Another director holds the directory.
    #[error(
        "another director is running with its pins in {}: stop it, or give this one a directory \
         of its own", .directory.display()
    )]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// A data plane of another version of Caribe is attached.
    #[error(
        "a data plane with another layout of its maps is running from {}: stop it with the \
         version that started it, or give up its connections with `rm -r {}`",
        .directory.display(), .directory.display()
    )]
    OtherLayout {
        /// The directory with its pins.
        directory: PathBuf,
    },
    /// A data plane is attached, and its maps cannot be adopted.
    #[error(
        "cannot adopt the data plane that is running from {}: {problem}; give it up, with its \
         connections, with `rm -r {}`", .directory.display(), .directory.display()
    )]
    Damaged {
        /// The directory with its pins.
        directory: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A size that makes no data plane.
    #[error("{what} must be between {least} and {most}, not {value}")]
    Size {
        /// The option.
        what: &'static str,
        /// Its value.
        value: u32,
        /// The smallest that works.
        least: u32,
        /// The largest that works.
        most: u32,
    },
    /// The machine has no room for maps of these sizes.
    #[error(
        "the maps need {needed} MiB, {connections} MiB of it for connections, and the machine has \
         {available} MiB left: lower `connections` (or `max_servers`, `max_services`), or free \
         memory"
    )]
    Memory {
        /// MiB of all maps.
        needed: u64,
        /// MiB of the connection tables.
        connections: u64,
        /// MiB that are available.
        available: u64,
    },
    /// The kernel refused an operation.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
}

/// An error with what was tried, and with all its causes in one line: the cause of aya's errors,
/// the kernel's number, is else told only to those who ask for sources.
pub(super) fn kernel<E>(action: impl Into<String>) -> impl FnOnce(E) -> DataplaneError
where
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let action = action.into();
    move |error| {
        let error = error.into();
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let line = error.to_string();
            if !text.ends_with(&line) {
                text = format!("{text}: {line}");
            }
            cause = error.source();
        }
        DataplaneError::Kernel {
            action,
            source: text.into(),
        }
    }
}
