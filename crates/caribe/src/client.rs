//! The client of a director's control socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use caribe_director::{ChangeRefusal, ControlPaths};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;

/// Longest time for an answer, as a rule.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest answer, in bytes: some hundred thousand real servers.
const LARGEST_ANSWER: usize = 256 << 20;

/// Why a director could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "no director is running with runtime directory {}: start one with `caribe director \
         --config FILE`, or name another directory with --runtime-dir", .directory.display()
    )]
    NotRunning { directory: PathBuf },
    #[error(
        "not allowed to ask the director at {}: this needs root, or the group that `control_group` \
         in lvs.cf names",
        .socket.display()
    )]
    Denied { socket: PathBuf },
    #[error("cannot ask the director at {}: {source}", .socket.display())]
    Connect { socket: PathBuf, source: io::Error },
    #[error("the director at {} did not answer within {} s", .socket.display(), .limit.as_secs())]
    Timeout { socket: PathBuf, limit: Duration },
    #[error("the conversation with the director at {} broke: {reason}", .socket.display())]
    Broken { socket: PathBuf, reason: String },
    #[error("the director answered: {reason} ({status})")]
    Refused { status: StatusCode, reason: String },
    #[error(transparent)]
    Change(ChangeRefusal),
    #[error(
        "the director's answer cannot be read ({0}): is it of another version than this command?"
    )]
    Syntax(#[from] serde_json::Error),
    #[error("cannot start a task: {0}")]
    Runtime(io::Error),
}

#[derive(Deserialize)]
struct Failure {
    error: String,
    refusal: Option<serde_json::Value>,
}

/// Asks the director with one runtime directory.
#[derive(Debug)]
pub(crate) struct Client {
    directory: PathBuf,
    runtime: Runtime,
    timeout: Duration,
}

impl Client {
    pub(crate) fn new(directory: &Path) -> Result<Self, ClientError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(ClientError::Runtime)?;
        Ok(Client {
            directory: directory.to_owned(),
            runtime,
            timeout: TIMEOUT,
        })
    }

    /// The same, for what takes longer than most.
    pub(crate) fn patient(self, timeout: Duration) -> Self {
        Client { timeout, ..self }
    }

    /// Asks for a document.
    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.exchange(Method::GET, path, Bytes::new())?;
        Ok(serde_json::from_slice(&answer)?)
    }

    /// Sends a document, to which there is no answer but that it was heeded.
    pub(crate) fn post<T: Serialize>(&self, path: &str, document: &T) -> Result<(), ClientError> {
        let body = Bytes::from(serde_json::to_vec(document)?);
        self.exchange(Method::POST, path, body).map(drop)
    }

    /// Sends a document, and gets one.
    pub(crate) fn ask<T: Serialize, A: DeserializeOwned>(
        &self,
        path: &str,
        document: &T,
    ) -> Result<A, ClientError> {
        let body = Bytes::from(serde_json::to_vec(document)?);
        let answer = self.exchange(Method::POST, path, body)?;
        Ok(serde_json::from_slice(&answer)?)
    }

    fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<Bytes, ClientError> {
        let socket = ControlPaths::in_runtime_dir(&self.directory).socket;
        self.runtime.block_on(async {
            let exchange = exchange(&self.directory, &socket, method, path, body);
            tokio::time::timeout(self.timeout, exchange)
                .await
                .unwrap_or_else(|_elapsed| {
                    Err(ClientError::Timeout {
                        socket: socket.clone(),
                        limit: self.timeout,
                    })
                })
        })
    }
}

async fn exchange(
    directory: &Path,
    socket: &Path,
    method: Method,
    path: &str,
    body: Bytes,
) -> Result<Bytes, ClientError> {
    let broken = |error: &dyn std::fmt::Display| ClientError::Broken {
        socket: socket.to_owned(),
        reason: error.to_string(),
    };
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|source| match source.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::NotRunning {
                directory: directory.to_owned(),
            },
            io::ErrorKind::PermissionDenied => ClientError::Denied {
                socket: socket.to_owned(),
            },
            _ => ClientError::Connect {
                socket: socket.to_owned(),
                source,
            },
        })?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| broken(&error))?;
    // Its end, good or bad, shows in the answer below.
    tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(hyper::header::HOST, "caribe")
        .header(hyper::header::CONTENT_TYPE, "application/json")
        .body(Full::new(body))
        .map_err(|error| broken(&error))?;
    let response = sender
        .send_request(request)
        .await
        .map_err(|error| broken(&error))?;
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER)
        .collect()
        .await
        .map_err(|error| broken(&error))?
        .to_bytes();
    if status.is_success() {
        return Ok(body);
    }
    Err(match serde_json::from_slice(&body) {
        Ok(Failure { error, refusal }) => {
            // Other refusals than of a change by hand are told in words.
            match refusal.map(serde_json::from_value::<ChangeRefusal>) {
                Some(Ok(refusal)) => ClientError::Change(refusal),
                _ => ClientError::Refused {
                    status,
                    reason: error,
                },
            }
        }
        Err(_) => ClientError::Refused {
            status,
            reason: "without a reason".to_owned(),
        },
    })
}
