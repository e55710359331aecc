//! One probe: a TCP connection that must be accepted in time.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Why a probe failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum ProbeFailure {
    /// No answer within the limit. The wording is nanny's.
    #[error("CONNECT to {target} timed out after {} s", limit.as_secs_f64())]
    TimedOut {
        /// Who did not answer.
        target: SocketAddr,
        /// How long the probe waited.
        limit: Duration,
    },
    /// The server's kernel answered that nothing listens there.
    #[error("CONNECT to {target} was refused: nothing listens on that port")]
    Refused {
        /// Who refused.
        target: SocketAddr,
    },
    /// The connection could not be tried or broke down otherwise.
    #[error("CONNECT to {target} failed: {reason}")]
    Failed {
        /// Whom the probe tried to reach.
        target: SocketAddr,
        /// The kernel's words.
        reason: String,
    },
}

/// Connects to `target` and closes again.
pub(crate) async fn connect(target: SocketAddr, limit: Duration) -> Result<(), ProbeFailure> {
    match timeout(limit, TcpStream::connect(target)).await {
        Ok(Ok(_accepted)) => Ok(()),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(ProbeFailure::Refused { target })
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
            Err(ProbeFailure::TimedOut { target, limit })
        }
        Ok(Err(error)) => Err(ProbeFailure::Failed {
            target,
            reason: error.to_string(),
        }),
        Err(_elapsed) => Err(ProbeFailure::TimedOut { target, limit }),
    }
}
