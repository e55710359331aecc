//! What is asked about servers, and ordered about them.

use std::time::Duration;

use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query as Parameters, State};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use tokio::sync::{mpsc, watch};

use super::{Query, answer, ask, failure, gone, settled};
use crate::shell::peer::Peer;
use crate::{HappeningsQuery, HistoryQuery, OrderRequest};

pub(super) async fn order(
    State(queries): State<mpsc::Sender<Query>>,
    Extension(peer): Extension<Peer>,
    body: Result<Json<OrderRequest>, JsonRejection>,
) -> Response {
    match body {
        Ok(Json(request)) => {
            let by = peer.name().await;
            settled(ask(&queries, |sender| Query::Order(request, by, sender)).await)
        }
        Err(rejection) => failure(rejection.status(), &rejection.body_text()),
    }
}

/// Answers at once if something has happened, else when it does or the time is over.
pub(super) async fn events(
    State(queries): State<mpsc::Sender<Query>>,
    parameters: Result<Parameters<HappeningsQuery>, QueryRejection>,
) -> Response {
    let query = match parameters {
        Ok(Parameters(query)) => query,
        Err(rejection) => return failure(rejection.status(), &rejection.body_text()),
    };
    let wait = Duration::from_secs(query.wait.min(HappeningsQuery::LONGEST));
    let more = match ask(&queries, |sender| Query::Happenings(query.after, sender)).await {
        Some((page, more)) if page.happenings.is_empty() && !wait.is_zero() => more,
        Some((page, _)) => return Json(page).into_response(),
        None => return gone(),
    };
    wait_for_more(more, wait).await;
    match ask(&queries, |sender| Query::Happenings(query.after, sender)).await {
        Some((page, _)) => Json(page).into_response(),
        None => gone(),
    }
}

async fn wait_for_more(mut more: watch::Receiver<u64>, wait: Duration) {
    // Whether it came, the time is over or the director ends: the next question tells.
    let _ = tokio::time::timeout(wait, more.changed()).await;
}

pub(super) async fn history(
    State(queries): State<mpsc::Sender<Query>>,
    parameters: Result<Parameters<HistoryQuery>, QueryRejection>,
) -> Response {
    match parameters {
        Ok(Parameters(query)) => answer(&queries, |sender| Query::History(query, sender)).await,
        Err(rejection) => failure(rejection.status(), &rejection.body_text()),
    }
}
