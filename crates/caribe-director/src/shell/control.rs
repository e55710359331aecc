//! The control socket: HTTP and JSON over a Unix socket in the runtime directory.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/snapshot` | [`Snapshot`]: the data plane as it is |
//! | `GET /v1/table` | [`LiveTable`]: the live table, as `ipvsadm -L` lists it |
//! | `GET /v1/connections` | [`ConnectionsPage`]; parameters are those of [`ConnectionsQuery`] |
//! | `POST /v1/overrides` | makes the [`Change`] in the body: 204 |
//! | `POST /v1/overrides/batch` | makes up to [`ControlPaths::LARGEST_BATCH`] [`Change`]s, one after the other: an array that has `null` for each, or its [`ChangeRefusal`] |
//! | `DELETE /v1/overrides` | makes everything as configured again: 204 |
//! | `POST /v1/orders` | takes the operator's order in the body, an [`OrderRequest`]: 204 |
//! | `GET /v1/events` | what happened, a [`HappeningsPage`]; parameters are those of [`crate::HappeningsQuery`] |
//! | `GET /v1/history` | what happened to servers in the last day, [`ServerHistory`]s; parameters are those of [`HistoryQuery`] |
//! | `POST /v1/save` | writes what was changed by hand into the configuration file: [`SaveReport`] |
//! | `POST /v1/explain` | which server the packet in the body, a [`Question`], would get, and why: [`Explanation`] |
//! | `POST /v1/zero` | zeroes the counters of the service in the body, or with `null` all: 204 |
//!
//! Errors are `{"error": "..."}` with a status of 4xx or 5xx. A change that was refused is a 409
//! with the [`ChangeRefusal`] beside the words, as `"refusal"`.

mod watching;

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Query as Parameters, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use caribe_dataplane::{Explanation, Question, Snapshot};
use caribe_model::ServiceKey;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use nix::unistd::{Group, getegid};
use serde_json::json;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

use super::DirectorError;
use super::peer::Peer;
use crate::{
    Change, ChangeRefusal, ConnectionsPage, ConnectionsQuery, ExplainError, HappeningsPage,
    HistoryQuery, LiveTable, OrderRefusal, OrderRequest, SaveReport, ServerHistory, Status,
};

/// Connections at one time; more wait in the socket's backlog.
const CONNECTIONS: usize = 32;
/// A client must have sent its request's head after this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection is closed after this, whatever it is doing.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest body of a request, in bytes.
const LARGEST_BODY: usize = 64 << 10;
/// Largest body of a batch, in bytes.
const LARGEST_BATCH_BODY: usize = 2 << 20;

/// Where a director listens; shared with its clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlPaths {
    /// The Unix socket.
    pub socket: PathBuf,
}

impl ControlPaths {
    /// Path of the status document.
    pub const STATUS: &'static str = "/v1/status";
    /// Path of the data plane's own picture.
    pub const SNAPSHOT: &'static str = "/v1/snapshot";
    /// Path of the live table.
    pub const TABLE: &'static str = "/v1/table";
    /// Path of the connections.
    pub const CONNECTIONS: &'static str = "/v1/connections";
    /// Path of what is changed by hand.
    pub const OVERRIDES: &'static str = "/v1/overrides";
    /// Path of many changes by hand at once.
    pub const BATCH: &'static str = "/v1/overrides/batch";
    /// Most changes of one batch.
    pub const LARGEST_BATCH: usize = 2_000;
    /// Path of operators' orders.
    pub const ORDERS: &'static str = "/v1/orders";
    /// Path of what happened.
    pub const EVENTS: &'static str = "/v1/events";
    /// Path of what happened to servers in the last day.
    pub const HISTORY: &'static str = "/v1/history";
    /// Path where what was changed by hand is written into the configuration file.
    pub const SAVE: &'static str = "/v1/save";
    /// Path where it is told what would become of a packet.
    pub const EXPLAIN: &'static str = "/v1/explain";
    /// Path where counters are zeroed.
    pub const ZERO: &'static str = "/v1/zero";

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
    Table(oneshot::Sender<Result<LiveTable, String>>),
    Connections(
        ConnectionsQuery,
        oneshot::Sender<Result<ConnectionsPage, String>>,
    ),
    /// An order, and who gives it.
    Order(
        OrderRequest,
        String,
        oneshot::Sender<Result<(), OrderRefusal>>,
    ),
    History(
        HistoryQuery,
        oneshot::Sender<Result<Vec<ServerHistory>, String>>,
    ),
    /// What happened after that number.
    Happenings(u64, oneshot::Sender<(HappeningsPage, watch::Receiver<u64>)>),
    Change(Vec<Change>, oneshot::Sender<Vec<Result<(), ChangeRefusal>>>),
    Explain(Question, oneshot::Sender<Result<Explanation, ExplainError>>),
    Save(oneshot::Sender<Result<SaveReport, String>>),
    Zero(
        Option<ServiceKey>,
        oneshot::Sender<Result<(), ChangeRefusal>>,
    ),
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
        // Under another name until its mode is right: nobody else gets in meanwhile.
        let unready = path.with_extension("new");
        match fs::remove_file(&unready) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove the half-made control socket beside")(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&unready).map_err(failed("listen on control socket"))?;
        let permissions = fs::Permissions::from_mode(0o660);
        fs::set_permissions(&unready, permissions).map_err(failed("set the mode of"))?;
        fs::rename(&unready, &path).map_err(failed("put in place control socket"))?;
        let (queries, inbox) = mpsc::channel(CONNECTIONS);
        tokio::spawn(accept(listener, router(queries)));
        Ok((Control { path }, inbox))
    }

    /// Gives the socket to a group, by name or number; with `None` back to the director's own.
    /// When it cannot, the socket is the director's own as well, and the error says why.
    pub(super) async fn share(&self, group: Option<String>) -> Result<(), String> {
        let found = match group {
            Some(name) => group_number(name).await,
            None => Ok(None),
        };
        let number = found.as_ref().ok().copied().flatten();
        let number = number.unwrap_or_else(|| getegid().as_raw());
        let changed = chown(&self.path, None, Some(number)).map_err(|error| {
            let path = self.path.display();
            format!("cannot give the control socket {path} to group {number}: {error}")
        });
        found.and(changed)
    }
}

/// How long the look-up of a group may take: it may ask a directory over the network.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of a group that is named, or told by its number.
async fn group_number(name: String) -> Result<Option<u32>, String> {
    let asked = name.clone();
    let look_up = tokio::task::spawn_blocking(move || Group::from_name(&asked));
    let why = match tokio::time::timeout(PATIENCE, look_up).await {
        Ok(Ok(Ok(Some(group)))) => return Ok(Some(group.gid.as_raw())),
        Ok(Ok(Ok(None))) => match name.parse() {
            Ok(number) => return Ok(Some(number)),
            Err(_) => "there is no such group".to_owned(),
        },
        Ok(Ok(Err(error))) => format!("the look-up failed: {error}"),
        Ok(Err(error)) => format!("the look-up broke down: {error}"),
        Err(_elapsed) => format!("the look-up took longer than {} s", PATIENCE.as_secs()),
    };
    Err(format!(
        "`control_group = {name}`: {why}; root alone may use the control socket until the group \
         exists and the file is reloaded"
    ))
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
                let router = match stream.peer_cred() {
                    Ok(credentials) => router.clone().layer(Extension(Peer::new(credentials))),
                    Err(error) => {
                        tracing::warn!(%error, "cannot tell who is on the control socket");
                        continue;
                    }
                };
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
        .route(ControlPaths::TABLE, get(table))
        .route(ControlPaths::CONNECTIONS, get(connections))
        .route(ControlPaths::OVERRIDES, post(change).delete(revert))
        .route(
            ControlPaths::BATCH,
            post(batch).layer(DefaultBodyLimit::max(LARGEST_BATCH_BODY)),
        )
        .route(ControlPaths::ORDERS, post(watching::order))
        .route(ControlPaths::EVENTS, get(watching::events))
        .route(ControlPaths::HISTORY, get(watching::history))
        .route(ControlPaths::EXPLAIN, post(explain))
        .route(ControlPaths::SAVE, post(save))
        .route(ControlPaths::ZERO, post(zero))
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

async fn table(State(queries): State<mpsc::Sender<Query>>) -> Response {
    answer(&queries, Query::Table).await
}

async fn connections(
    State(queries): State<mpsc::Sender<Query>>,
    parameters: Result<Parameters<ConnectionsQuery>, QueryRejection>,
) -> Response {
    match parameters {
        Ok(Parameters(query)) => answer(&queries, |sender| Query::Connections(query, sender)).await,
        Err(rejection) => failure(rejection.status(), &rejection.body_text()),
    }
}

async fn change(
    State(queries): State<mpsc::Sender<Query>>,
    body: Result<Json<Change>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(change)) => make(&queries, change).await,
        Err(rejection) => failure(rejection.status(), &rejection.body_text()),
    }
}

async fn batch(
    State(queries): State<mpsc::Sender<Query>>,
    body: Result<Json<Vec<Change>>, JsonRejection>,
) -> Response {
    let changes = match body {
        Ok(Json(changes)) => changes,
        Err(rejection) => return failure(rejection.status(), &rejection.body_text()),
    };
    if changes.len() > ControlPaths::LARGEST_BATCH {
        let reason = format!(
            "{} changes are more than the {} of one batch",
            changes.len(),
            ControlPaths::LARGEST_BATCH
        );
        return failure(StatusCode::PAYLOAD_TOO_LARGE, &reason);
    }
    match ask(&queries, |sender| Query::Change(changes, sender)).await {
        Some(results) => {
            let refusals = results.into_iter().map(Result::err);
            Json(refusals.collect::<Vec<_>>()).into_response()
        }
        None => gone(),
    }
}

async fn revert(State(queries): State<mpsc::Sender<Query>>) -> Response {
    make(&queries, Change::Revert).await
}

async fn explain(
    State(queries): State<mpsc::Sender<Query>>,
    body: Result<Json<Question>, JsonRejection>,
) -> Response {
    let question = match body {
        Ok(Json(question)) => question,
        Err(rejection) => return failure(rejection.status(), &rejection.body_text()),
    };
    match ask(&queries, |sender| Query::Explain(question, sender)).await {
        Some(Ok(explanation)) => Json(explanation).into_response(),
        Some(Err(error @ ExplainError::Failed(_))) => {
            failure(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string())
        }
        Some(Err(error)) => failure(StatusCode::BAD_REQUEST, &error.to_string()),
        None => gone(),
    }
}

async fn save(State(queries): State<mpsc::Sender<Query>>) -> Response {
    match ask(&queries, Query::Save).await {
        Some(Ok(report)) => Json(report).into_response(),
        Some(Err(reason)) => failure(StatusCode::CONFLICT, &reason),
        None => gone(),
    }
}

async fn zero(
    State(queries): State<mpsc::Sender<Query>>,
    body: Result<Json<Option<ServiceKey>>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(service)) => settle(&queries, |sender| Query::Zero(service, sender)).await,
        Err(rejection) => failure(rejection.status(), &rejection.body_text()),
    }
}

/// Asks the actor; `None` when it has gone.
async fn ask<T>(
    queries: &mpsc::Sender<Query>,
    query: impl FnOnce(oneshot::Sender<T>) -> Query,
) -> Option<T> {
    let (sender, receiver) = oneshot::channel();
    queries.send(query(sender)).await.ok()?;
    receiver.await.ok()
}

async fn answer<T: serde::Serialize>(
    queries: &mpsc::Sender<Query>,
    query: impl FnOnce(oneshot::Sender<Result<T, String>>) -> Query,
) -> Response {
    match ask(queries, query).await {
        Some(Ok(document)) => Json(document).into_response(),
        Some(Err(reason)) => failure(StatusCode::INTERNAL_SERVER_ERROR, &reason),
        None => gone(),
    }
}

async fn settle(
    queries: &mpsc::Sender<Query>,
    query: impl FnOnce(oneshot::Sender<Result<(), ChangeRefusal>>) -> Query,
) -> Response {
    settled(ask(queries, query).await)
}

/// Makes one change by hand.
async fn make(queries: &mpsc::Sender<Query>, change: Change) -> Response {
    let results = ask(queries, |sender| Query::Change(vec![change], sender)).await;
    // One change has one result.
    settled(results.and_then(|mut results| results.pop()))
}

fn settled<R: std::fmt::Display + serde::Serialize>(result: Option<Result<(), R>>) -> Response {
    match result {
        Some(Ok(())) => StatusCode::NO_CONTENT.into_response(),
        Some(Err(refusal)) => {
            let body = json!({ "error": refusal.to_string(), "refusal": refusal });
            (StatusCode::CONFLICT, Json(body)).into_response()
        }
        None => gone(),
    }
}

fn gone() -> Response {
    failure(
        StatusCode::SERVICE_UNAVAILABLE,
        "the director is going down",
    )
}

fn failure(status: StatusCode, reason: &str) -> Response {
    (status, Json(json!({ "error": reason }))).into_response()
}

#[cfg(test)]
mod tests;
