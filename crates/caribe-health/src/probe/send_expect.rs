//! Piranha's own check: something is sent, and something expected in return.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::connection::Connection;
use super::deadline::Deadline;
use super::expect::{Expect, Judgement};
use super::finding::{Found, Step};
use super::text::Quoted;
use super::way::Way;
use super::{Code, Octets, socket};

/// A line over TCP: connect, send, read, compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendExpectCheck {
    /// What is sent first, if anything.
    #[serde(default)]
    pub send: Option<Octets>,
    /// What the answer must be; without it nothing is waited for.
    #[serde(default)]
    pub expect: Option<Expect>,
}

impl SendExpectCheck {
    pub(super) async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let mut stream = socket::connect_tcp(target, deadline).await?;
        if let Some(send) = &self.send {
            write(&mut stream, send.as_bytes(), target, deadline).await?;
        }
        match &self.expect {
            None => Ok(Found::new(
                Code::L4Ok,
                format_args!("{} takes connections", target.address),
            )),
            Some(expect) => read(&mut stream, expect, target, deadline).await,
        }
    }
}

/// Writes a request; the wording is nanny's.
pub(super) async fn write(
    stream: &mut Connection,
    bytes: &[u8],
    target: &Way<'_>,
    deadline: &Deadline,
) -> Step<()> {
    let address = target.address;
    deadline
        .bound(
            Code::L7Timeout,
            format_args!("WRITE to {address}"),
            stream.write_all(bytes),
        )
        .await?
        .map_err(|error| {
            Found::new(
                Code::L7Response,
                format_args!("WRITE operation for {address} returned error: {error}"),
            )
        })
}

async fn read(
    stream: &mut Connection,
    expect: &Expect,
    target: &Way<'_>,
    deadline: &Deadline,
) -> Step<Found> {
    let address = target.address;
    let mut answer = Vec::new();
    let mut buffer = [0; 1024];
    loop {
        let room = buffer.len().min(Expect::LONGEST - answer.len());
        let received = deadline
            .bound(
                Code::L7Timeout,
                format_args!("READ to {address} after {} bytes", answer.len()),
                stream.read(&mut buffer[..room]),
            )
            .await?
            .map_err(|error| {
                Found::new(
                    Code::L7Response,
                    format_args!("READ from {address} failed: {error}"),
                )
            })?;
        answer.extend(&buffer[..received]);
        match expect.judge(&answer, received == 0) {
            Judgement::Good => {
                return Ok(Found::new(
                    Code::L7Ok,
                    format_args!("answered {}", Quoted(&answer)),
                ));
            }
            Judgement::Bad(reason) => {
                return Err(Found::new(
                    Code::L7Response,
                    format_args!("READ from {address}: {reason}"),
                ));
            }
            Judgement::Undecided => {}
        }
    }
}
