//! Question and answer by datagrams: what is lost is sent again.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use super::Code;
use super::deadline::Deadline;
use super::finding::{Found, Step};
use super::socket::code_of;

/// A question is sent so often within the limit.
const TRIES: u32 = 3;

/// Datagrams that are no answer, at most, before the probe gives up.
const MOST_STRAYS: usize = 1000;

/// The largest datagram there is.
const LARGEST: usize = 65_535;

/// Sends a question until a datagram comes that `accept` takes. A datagram that it does not take
/// is somebody else's, or late.
pub(super) async fn ask<T>(
    socket: &UdpSocket,
    question: &[u8],
    what: &str,
    deadline: &Deadline,
    mut accept: impl FnMut(&[u8]) -> Option<T>,
) -> Step<T> {
    let patience = (deadline.left() / TRIES).max(Duration::from_millis(1));
    let asking = async {
        let mut buffer = vec![0; LARGEST];
        let mut strays = 0;
        loop {
            if let Err(error) = socket.send(question).await {
                return Err(failure(what, &error));
            }
            let answer = timeout(patience, async {
                while strays < MOST_STRAYS {
                    let length = socket.recv(&mut buffer).await?;
                    if let Some(answer) = accept(&buffer[..length]) {
                        return Ok(Some(answer));
                    }
                    strays += 1;
                }
                Ok(None)
            });
            match answer.await {
                Err(_lost) => {}
                Ok(Ok(Some(answer))) => return Ok(answer),
                Ok(Ok(None)) => {
                    return Err(Found::new(
                        Code::L7Response,
                        format_args!("{what}: {MOST_STRAYS} datagrams came, and none is an answer"),
                    ));
                }
                Ok(Err(error)) => return Err(failure(what, &error)),
            }
        }
    };
    deadline.bound(Code::L7Timeout, what, asking).await?
}

/// What the network said instead of the server.
pub(super) fn failure(what: &str, error: &std::io::Error) -> Found {
    if error.kind() == std::io::ErrorKind::ConnectionRefused {
        return Found::new(
            Code::L4Refused,
            format_args!("{what}: refused by ICMP, nothing listens on that port"),
        );
    }
    Found::new(code_of(error), format_args!("{what} failed: {error}"))
}
