//! The control socket: HTTP and JSON over a Unix socket in the runtime directory.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/snapshot` | [`Snapshot`]: the live table, as `ipvsadm -L` lists it |
//!
//! Errors are `{"error": "..."}` with a status of 4xx or 5xx.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use caribe_dataplane::Snapshot;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::DirectorError;
use crate::Status;

/// Connections at one time; more wait in the socket's backlog.
const CONNECTIONS: usize = 32;
/// A client must have sent its request's head after this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this, whatever it is doing.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body of a request, in bytes.
const LARGEST_BODY: usize = 64 << 10;

/// Where a director listens; shared with its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPaths {
    /// The Unix socket.
    pub socket: PathBuf,
}

impl ControlPaths {
    /// Path of the status document.
    pub const STATUS: &'static str = "/v1/status";
    /// Path of the live table.
    pub const SNAPSHOT: &'static str = "/v1/snapshot";

    /// The paths of the director with that runtime directory.
    pub fn in_runtime_dir(directory: &Path) -> Self {
        ControlPaths {
            socket: directory.join("caribe.sock"),
        }
    }
}

/// A question to the actor.
#[derive(Debug)]
pub(super) enum Query {
    Status(oneshot::Sender<Result<Status, String>>),
    Snapshot(oneshot::Sender<Result<Snapshot, String>>),
}

/// The socket; its file is removed with it.
#[derive(Debug)]
pub(super) struct Control {
    path: PathBuf,
}

impl Control {
    /// Listens. The lock on the runtime directory must be held: a socket that is there was left
    /// by a director that was killed.
    pub(super) fn listen(path: PathBuf) -> Result<(Self, mpsc::Receiver<Query>), DirectorError> {
        let failed = |action: &'static str| {
            let path = path.clone();
            move |source| DirectorError::RuntimeDir {
                action,
                path,
                source,
            }
        };
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove the old control socket")(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&path).map_err(failed("listen on control socket"))?;
        let permissions = fs::Permissions::from_mode(0o660);
        fs::set_permissions(&path, permissions).map_err(failed("set the mode of"))?;
        let (queries, inbox) = mpsc::channel(CONNECTIONS);
        tokio::spawn(accept(listener, router(queries)));
        Ok((Control { path }, inbox))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "cannot remove the control socket");
        }
    }
}

async fn accept(listener: UnixListener, router: Router) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            // The semaphore is never closed.
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let router = router.clone();
                tokio::spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                // Out of descriptors, most likely: others may be closed in a moment.
                tracing::warn!(%error, "cannot accept a connection on the control socket");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn serve(stream: UnixStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(CONNECTION_TIMEOUT, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "a connection to the control socket broke"),
        Err(_elapsed) => tracing::debug!("a connection to the control socket took too long"),
    }
}

fn router(queries: mpsc::Sender<Query>) -> Router {
    Router::new()
        .route(ControlPaths::STATUS, get(status))
        .route(ControlPaths::SNAPSHOT, get(snapshot))
        .fallback(async || failure(StatusCode::NOT_FOUND, "there is nothing of that name"))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(queries)
}

async fn status(State(queries): State<mpsc::Sender<Query>>) -> Response {
    answer(&queries, Query::Status).await
}

async fn snapshot(State(queries): State<mpsc::Sender<Query>>) -> Response {
    answer(&queries, Query::Snapshot).await
}

async fn answer<T: serde::Serialize>(
    queries: &mpsc::Sender<Query>,
    query: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Query,
) -> Response {
    let (sender, receiver) = oneshot::channel();
    if queries.send(query(sender)).await.is_err() {
        return failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "the director is going down",
        );
    }
    match receiver.await {
        Ok(Ok(document)) => Json(document).into_response(),
        Ok(Err(reason)) => failure(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        Err(_) => failure(
            StatusCode::SERVICE_UNAVAILABLE,
            "the director is going down",
        ),
    }
}

fn failure(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "error": reason }))).into_response()
}

#[cfg(test)]
mod tests;
