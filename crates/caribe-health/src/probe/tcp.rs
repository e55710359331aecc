//! A connection that must be accepted.

use serde::{Deserialize, Serialize};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::way::Way;
use super::{Code, socket};

/// Connects and closes again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// Close with a reset: nothing of the connection is left on the director, which matters with
    /// thousands of probes a second. Some services log an error for it; a plain close is quieter.
    #[serde(default)]
    pub reset: bool,
}

impl TcpCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let stream = socket::connect_tcp(target, deadline).await?;
        if self.reset {
            stream.reset().map_err(|error| {
                Found::new(
                    Code::Local,
                    format_args!("cannot reset a connection: {error}"),
                )
            })?;
        }
        Ok(Found::new(
            Code::L4Ok,
            format_args!("{} takes connections", target.address),
        ))
    }
}
