//! Why the reference could not be asked.

/// Why scenarios could not be played to the kernel in the guest.
#[derive(Debug, thiserror::Error)]
pub enum GuestError {
    /// The guest could not be made or run.
    #[error(transparent)]
    Guest(#[from] caribe_lab::guest::GuestError),
    /// A program is needed in the guest and not on this machine.
    #[error("`{0}` is needed for the guest and not there: install it (`cargo xtask setup` does)")]
    NoProgram(&'static str),
    /// A scenario could not be written, or a transcript not read.
    #[error("a scenario or transcript is not readable: {0}")]
    Unreadable(#[from] serde_json::Error),
    /// The agent in the guest gave up.
    #[error("the guest played {played} of {asked} scenarios and said:\n{said}")]
    NotPlayed {
        /// Scenarios that were played.
        played: usize,
        /// Scenarios that it had.
        asked: usize,
        /// What it said on its console.
        said: String,
    },
}
