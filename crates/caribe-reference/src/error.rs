//! Why a scenario could not be played.

use std::io;

/// Why a scenario could not be played; not that two directors did different things.
#[derive(Debug, thiserror::Error)]
pub enum PlayError {
    /// The operating system refused something.
    #[error("cannot {action}: {source}")]
    System {
        /// What was tried, on what; completes "cannot".
        action: String,
        /// The reason.
        #[source]
        source: io::Error,
    },
    /// A program failed that only prepares.
    #[error("`{command}` failed: {said}")]
    Failed {
        /// The command.
        command: String,
        /// What it said.
        said: String,
    },
    /// The director under test did not do its part.
    #[error("the director {0}")]
    Director(String),
    /// What the guest was given, or has said, is not what was expected.
    #[error("{what} is not readable: {reason}")]
    Unreadable {
        /// What.
        what: String,
        /// Why.
        reason: String,
    },
}

impl PlayError {
    /// Says what was tried; for `map_err`.
    pub fn system<E: Into<io::Error>>(action: impl Into<String>) -> impl FnOnce(E) -> PlayError {
        let action = action.into();
        move |source| PlayError::System {
            action,
            source: source.into(),
        }
    }
}
