//! A datagram, and what comes back: an answer, an ICMP error, or nothing.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::deadline::Deadline;
use super::expect::Expect;
use super::finding::{Found, Step};
use super::text::Quoted;
use super::way::Way;
use super::{Code, Octets, datagram, socket};

/// Sends a datagram.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UdpCheck {
    /// What is sent; an empty datagram when nothing is said.
    #[serde(default)]
    pub send: Octets,
    /// What must come back.
    pub expect: UdpExpect,
}

/// What must come back.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UdpExpect {
    /// An answer of this kind. The datagram is sent up to three times.
    Answer(Expect),
    /// No ICMP error: silence is good. It is waited for so long, or up to the limit if that is
    /// shorter, because an ICMP error comes soon if it comes; an answer ends the wait.
    NoError {
        /// How long to wait.
        patience: Duration,
    },
}

impl UdpExpect {
    /// Long enough for an ICMP error to come from anywhere near.
    pub const PATIENCE: Duration = Duration::from_secs(1);
}

impl UdpCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let address = target.address;
        let socket = socket::connect_udp(target, deadline).await?;
        let what = format!("READ to {address}");
        let patience = match &self.expect {
            UdpExpect::Answer(expect) => {
                let judged =
                    datagram::ask(&socket, self.send.as_bytes(), &what, deadline, |answer| {
                        let verdict = expect.judge_whole(answer);
                        Some(verdict.map(|()| Quoted(answer).to_string()))
                    })
                    .await?;
                return match judged {
                    Ok(answer) => Ok(Found::new(Code::L7Ok, format_args!("answered {answer}"))),
                    Err(reason) => Err(Found::new(
                        Code::L7Response,
                        format_args!("READ from {address}: {reason}"),
                    )),
                };
            }
            UdpExpect::NoError { patience } => (*patience).min(deadline.left()),
        };
        let mut buffer = [0; 1];
        let answer = timeout(patience, async {
            socket.send(self.send.as_bytes()).await?;
            socket.recv(&mut buffer).await
        });
        match answer.await {
            Ok(Ok(_length)) => Ok(Found::new(Code::L7Ok, format_args!("{address} answered"))),
            Ok(Err(error)) => Err(datagram::failure(&what, &error)),
            Err(_silence) => Ok(Found::new(
                Code::L4Ok,
                format_args!(
                    "no answer and no ICMP error from {address} within {} s",
                    patience.as_secs_f64()
                ),
            )),
        }
    }
}
