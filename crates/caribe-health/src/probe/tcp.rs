//! A connection that must be accepted.

use serde::{Deserialize, Serialize};

use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::way::Way;
use super::{Code, socket};

/// Sees whether the server takes connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TcpCheck {
    /// Connect and close in order. Otherwise the server's answer to the SYN is enough, and gets a
    /// reset, as HAProxy does it: the program behind the port never learns of it, and nothing of
    /// it stays behind on either side, which matters with thousands of probes a second.
    #[serde(default)]
    pub orderly: bool,
}

impl TcpCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        if self.orderly {
            socket::shake_hands(target, deadline).await?;
        } else {
            socket::knock(target, deadline).await?;
        }
        Ok(Found::new(
            Code::L4Ok,
            format_args!("{} takes connections", target.address),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::TcpListener;
    use std::time::Duration;

    use super::super::{Check, Target, probe};
    use super::*;

    /// Connections that a server got from so many checks.
    async fn accepted(check: TcpCheck, checks: usize) -> usize {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let target = Target::new(listener.local_addr().expect("its address"));
        for _ in 0..checks {
            let finding = probe(&Check::Tcp(check), &target, Duration::from_secs(20)).await;
            assert_eq!(finding.code, Code::L4Ok, "{finding}");
        }
        listener.set_nonblocking(true).expect("does not block");
        let count = std::iter::from_fn(|| match listener.accept() {
            Ok(_) => Some(()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => panic!("cannot accept: {error}"),
        });
        count.count()
    }

    #[tokio::test]
    async fn the_server_learns_of_a_connection_only_if_that_is_wanted() {
        assert_eq!(accepted(TcpCheck { orderly: true }, 10).await, 10);
        // The kernel completes a handshake after 40 ms, which a busy machine may lose.
        let got = accepted(TcpCheck { orderly: false }, 10).await;
        assert!(got < 5, "{got} of 10 handshakes were completed");
    }
}
