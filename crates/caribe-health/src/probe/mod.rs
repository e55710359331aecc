//! nanny's eyes: one look at one real server.
//!
//! A [`Check`] says what to do, a [`Target`] whom to do it to, and a [`Finding`] what came of it:
//! a [`Code`] of a closed vocabulary, a text for the operator, the time taken, and what the server
//! told of its own load. [`probe`] does it all at once; a [`Prober`] has read the check's files
//! before, and probes again and again.
//!
//! There is one file per kind of check. In each, the reply's parser and judge are pure functions,
//! which unit tests and fuzzers call; what moves bytes is beside them. Rules for all of them:
//!
//! - A probe ends within its limit, all its stages together, and reads a bounded number of bytes,
//!   whatever the server does.
//! - Dropping the future ends the probe: sockets are closed, programs killed with all that they
//!   started.
//! - No thread per probe, and nothing that blocks on the runtime.
//! - Text from a server is quoted, cut and free of control characters before anybody sees it.
//!
//! What a finding means for the server, after how many of them and for how long, is not decided
//! here. Start reading at [`Prober::probe`].

pub mod agent;
mod code;
pub mod command_line;
mod connection;
mod datagram;
mod deadline;
pub mod dns;
pub mod expect;
mod finding;
pub mod grpc;
pub mod http;
mod load;
mod octets;
mod pattern;
pub mod ping;
pub mod piranha;
mod process;
pub mod program;
pub mod rstat;
pub mod rwho;
pub mod send_expect;
pub mod smtp;
mod socket;
pub mod ssh;
mod target;
pub mod tcp;
mod text;
pub mod tls;
pub mod udp;
mod way;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use agent::AgentCheck;
use deadline::Deadline;
use dns::DnsCheck;
use grpc::GrpcCheck;
use http::HttpCheck;
use ping::PingCheck;
use program::ProgramCheck;
use rstat::RstatCheck;
use rwho::{RwhoCheck, RwhoListener};
use send_expect::SendExpectCheck;
use smtp::SmtpCheck;
use ssh::SshCheck;
use tcp::TcpCheck;
use tls::{Connector, TlsCheck, TlsOptions};
use udp::UdpCheck;
use way::Way;

pub use code::{Code, Layer, UnknownCode};
pub use finding::{Finding, Reading};
pub use load::{Load, LoadError};
pub use octets::{Octets, OctetsError};
pub use pattern::{Pattern, PatternError};
pub use target::{InterfaceName, InterfaceNameError, Target, Through};
pub use text::Text;

use crate::path::DataPath;
use finding::{Found, Step};

/// Everything that a probe can do, with all its settings.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// A TCP connection.
    Tcp(TcpCheck),
    /// Something sent and something expected, over TCP: Piranha's own check.
    SendExpect(SendExpectCheck),
    /// HTTP or HTTPS.
    Http(HttpCheck),
    /// A TLS handshake.
    Tls(TlsCheck),
    /// A datagram.
    Udp(UdpCheck),
    /// A question to a name server.
    Dns(DnsCheck),
    /// A mail server's greeting.
    Smtp(SmtpCheck),
    /// An ICMP echo.
    Ping(PingCheck),
    /// A program on the director, which judges the server or tells its load.
    Program(ProgramCheck),
    /// The gRPC health protocol.
    Grpc(GrpcCheck),
    /// HAProxy's agent protocol.
    Agent(AgentCheck),
    /// The load average from rstatd (`rup`).
    Rstat(RstatCheck),
    /// The load average from rwhod (`ruptime`).
    Rwho(RwhoCheck),
    /// The load average from `uptime` by ssh.
    Ssh(SshCheck),
}

impl Check {
    /// The check's name for listings.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::Tcp(_) => "tcp",
            Check::SendExpect(_) => "send-expect",
            Check::Http(check) if check.tls.is_some() => "https",
            Check::Http(_) => "http",
            Check::Tls(_) => "tls",
            Check::Udp(_) => "udp",
            Check::Dns(_) => "dns",
            Check::Smtp(_) => "smtp",
            Check::Ping(_) => "ping",
            Check::Program(_) => "program",
            Check::Grpc(_) => "grpc",
            Check::Agent(_) => "agent",
            Check::Rstat(_) => "rup",
            Check::Rwho(_) => "ruptime",
            Check::Ssh(_) => "ssh",
        }
    }

    /// The TLS that the check speaks, and what it offers by ALPN.
    fn tls(&self) -> Option<(&TlsOptions, &'static [&'static [u8]])> {
        match self {
            Check::Tls(check) => Some((&check.tls, &[])),
            Check::Http(check) => check.tls.as_ref().map(|tls| (tls, check.alpn())),
            Check::Grpc(check) => check.tls.as_ref().map(|tls| (tls, GrpcCheck::ALPN)),
            _ => None,
        }
    }
}

/// Why a check cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A file is missing, or is not what it should be.
    #[error("cannot read {what} from {}: {reason}", path.display())]
    File {
        /// What was looked for.
        what: &'static str,
        /// Where.
        path: PathBuf,
        /// What was wrong.
        reason: String,
    },
    /// The machine trusts nobody.
    #[error(
        "this machine has no certificate authorities to verify by ({reason}): install ca-certificates, or name a file"
    )]
    NoSystemAuthorities {
        /// What kept them from being read.
        reason: String,
    },
    /// A name that TLS cannot ask for.
    #[error("`{0}` is no name that TLS could ask for")]
    Name(String),
    /// The settings contradict each other.
    #[error("TLS cannot be set up: {0}")]
    Tls(rustls::Error),
    /// The files could not be read because the program is ending.
    #[error("interrupted while certificates were read")]
    Interrupted,
}

impl PrepareError {
    fn file(what: &'static str, path: &Path, reason: impl fmt::Display) -> PrepareError {
        PrepareError::File {
            what,
            path: path.to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// A check made ready: its files are read and TLS is set up. It may probe any number of targets
/// at once. To take up changed files, prepare another.
#[derive(Debug, Clone)]
pub struct Prober {
    check: Check,
    connector: Option<Connector>,
    rwho: Option<RwhoListener>,
}

impl Prober {
    /// Makes a check ready.
    ///
    /// # Errors
    ///
    /// The files of certificates that it names must be there and be legal.
    pub async fn prepare(check: Check) -> Result<Prober, PrepareError> {
        if check.tls().is_none() {
            return Ok(Prober {
                check,
                connector: None,
                rwho: None,
            });
        }
        let preparing = tokio::task::spawn_blocking(move || {
            let connector = match check.tls() {
                Some((options, alpn)) => Some(Connector::prepare(options, alpn)?),
                None => None,
            };
            Ok(Prober {
                check,
                connector,
                rwho: None,
            })
        });
        match preparing.await {
            Ok(prepared) => prepared,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_cancelled) => Err(PrepareError::Interrupted),
            },
        }
    }

    /// Lets a check of kind [`Check::Rwho`] look up what this listener heard. Without one it
    /// listens itself, for as long as its limit lets it.
    #[must_use]
    pub fn with_rwho(self, listener: RwhoListener) -> Prober {
        Prober {
            rwho: Some(listener),
            ..self
        }
    }

    /// The check.
    pub fn check(&self) -> &Check {
        &self.check
    }

    /// Probes a target; takes `limit` at most, and what it takes to be scheduled.
    pub async fn probe(&self, target: &Target, limit: Duration) -> Finding {
        self.probe_by(target, limit, None).await
    }

    /// As [`Prober::probe`], with the data path that a target needs which is reached through its
    /// VIP.
    pub async fn probe_by(
        &self,
        target: &Target,
        limit: Duration,
        path: Option<&DataPath>,
    ) -> Finding {
        let deadline = Deadline::after(limit);
        let found = self.run(&Way::new(target, path), &deadline).await;
        found.unwrap_or_else(|bad| bad).after(deadline.elapsed())
    }

    async fn run(&self, target: &Way<'_>, deadline: &Deadline) -> Step<Found> {
        let connector = self.connector.as_ref();
        // Most are in boxes of their own: together they are as large as the largest of them, and
        // TCP's, of which there may be the most, should not be.
        match &self.check {
            Check::Tcp(check) => check.run(target, deadline).await,
            Check::SendExpect(check) => Box::pin(check.run(target, deadline)).await,
            Check::Http(check) => Box::pin(check.run(connector, target, deadline)).await,
            Check::Tls(check) => match connector {
                Some(connector) => Box::pin(check.run(connector, target, deadline)).await,
                // It was prepared with one.
                None => Err(Found::new(Code::Local, "TLS is not set up")),
            },
            Check::Udp(check) => Box::pin(check.run(target, deadline)).await,
            Check::Dns(check) => Box::pin(check.run(target, deadline)).await,
            Check::Smtp(check) => Box::pin(check.run(target, deadline)).await,
            Check::Ping(check) => Box::pin(check.run(target, deadline)).await,
            Check::Program(check) => Box::pin(check.run(target, deadline)).await,
            Check::Grpc(check) => Box::pin(check.run(connector, target, deadline)).await,
            Check::Agent(check) => Box::pin(check.run(target, deadline)).await,
            Check::Rstat(check) => Box::pin(check.run(target, deadline)).await,
            Check::Rwho(check) => Box::pin(check.run(self.rwho.as_ref(), target, deadline)).await,
            Check::Ssh(check) => Box::pin(check.run(target, deadline)).await,
        }
    }
}

/// Makes a check ready and probes once. Whoever probes again keeps a [`Prober`].
pub async fn probe(check: &Check, target: &Target, limit: Duration) -> Finding {
    let deadline = Deadline::after(limit);
    let preparing = deadline.bound(
        Code::Local,
        "reading certificates",
        Prober::prepare(check.clone()),
    );
    let found = match preparing.await {
        Ok(Ok(prober)) => prober.run(&Way::plain(target), &deadline).await,
        Ok(Err(error)) => Err(Found::new(Code::Local, error)),
        Err(found) => Err(found),
    };
    found.unwrap_or_else(|bad| bad).after(deadline.elapsed())
}

#[cfg(test)]
mod tests;
