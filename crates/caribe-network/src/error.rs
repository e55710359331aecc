//! Why the network could not tell or do what it was asked.

use std::io;
use std::net::IpAddr;

/// Why a request to the kernel's network failed.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No netlink socket could be opened.
    #[error("cannot open a netlink socket: {0}")]
    Connect(#[source] io::Error),
    /// The kernel refused a request, or could not be asked.
    #[error("cannot {action}: {source}{hint}")]
    Request {
        /// What was tried, on what.
        action: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
        /// What to do about it, with its leading separator; empty when there is nothing to add.
        hint: &'static str,
    },
    /// There is no interface of that name.
    #[error("there is no interface `{name}`; `ip link` lists those that exist")]
    NoInterface {
        /// The name asked for.
        name: String,
    },
    /// The interface cannot do what was asked of it.
    #[error("cannot {action} on interface `{interface}`: {reason}")]
    Unsuitable {
        /// What was tried.
        action: &'static str,
        /// Name of the interface.
        interface: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// A specification that no kernel would take.
    #[error("cannot put {address}/{prefix} on interface `{interface}`: {reason}")]
    Specification {
        /// Name of the interface.
        interface: String,
        /// The address.
        address: IpAddr,
        /// Its prefix length.
        prefix: u8,
        /// What is wrong, and what to do.
        reason: String,
    },
}

impl NetworkError {
    /// Wraps the answer to a netlink request; `action` completes "cannot ...".
    pub(crate) fn request(action: impl Into<String>, error: rtnetlink::Error) -> Self {
        Self::io(action, into_io(error))
    }

    /// Wraps an I/O error; `action` completes "cannot ...".
    pub(crate) fn io(action: impl Into<String>, source: io::Error) -> Self {
        let hint = match source.kind() {
            io::ErrorKind::PermissionDenied => {
                "; this needs root, or the capabilities CAP_NET_ADMIN and CAP_NET_RAW"
            }
            io::ErrorKind::NetworkDown => "; set the interface up first",
            _ => "",
        };
        NetworkError::Request {
            action: action.into(),
            source,
            hint,
        }
    }
}

/// The kernel's error number where there is one, else the words of the netlink library.
pub(crate) fn into_io(error: rtnetlink::Error) -> io::Error {
    match error {
        rtnetlink::Error::NetlinkError(message) => message.to_io(),
        rtnetlink::Error::RequestFailed => {
            io::Error::other("the netlink connection is closed; its task has ended")
        }
        other => io::Error::other(other.to_string()),
    }
}
