//! Which server a packet would get, and why: as a person reads it.

mod text;

use caribe_dataplane::ImpossibleQuestion;

pub use text::ExplanationText;

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExplainError {
    /// There is no such packet.
    #[error(transparent)]
    Impossible(#[from] ImpossibleQuestion),
    /// Nothing is balanced there.
    #[error("the director does not balance on interface {name}, but on {known}")]
    Interface {
        /// The interface that was named.
        name: String,
        /// Where it does, separated by commas.
        known: String,
    },
    /// Nothing is balanced anywhere.
    #[error(
        "the director balances on no interface: it does once the configuration has an active \
         virtual service whose interface is there"
    )]
    NoInterface,
    /// What the kernel says.
    #[error("cannot tell what would become of the packet: {0}")]
    Failed(String),
}
