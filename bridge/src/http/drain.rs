//! `/api/drain`: an operator orders that the node empties itself, and reads how far it has come.
//!
//! Reading is for everybody who may read `/api/mesh`. The order needs a token with the grant `nodeAdmin` for this very node,
//! signed with an API key: `causeway drain` makes it.

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::{Deserialize, Serialize};
use signaling::DrainProgress;
use signaling::token::{TokenKeys, admit_operator};
use std::time::Duration;
use tokio::sync::{mpsc, watch};

use crate::control::task::unix_now;

/// How long a reader is kept waiting for news.
const NEWS_WITHIN: Duration = Duration::from_secs(1);
/// An order is a line.
const MAX_ORDER_BYTES: usize = 1_024;

/// What the routes work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct DrainDesk {
    /// Name of this node.
    pub node: String,
    /// Keys that sign orders.
    pub keys: TokenKeys,
    /// Where orders go.
    pub orders: mpsc::Sender<Duration>,
    /// How far the node has come; none while it takes everybody.
    pub progress: watch::Receiver<Option<DrainProgress>>,
}

/// The order.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct DrainOrder {
    /// In how much time everybody is to be elsewhere, in milliseconds.
    pub within_ms: u64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DrainStatus {
    /// Name of the node.
    pub node: String,
    /// `serving`, `draining` or `drained`.
    pub state: String,
    /// People the drain began with.
    pub people: usize,
    /// How many were sent to other nodes.
    pub moved: usize,
    /// How many are still here.
    pub left: usize,
    /// Time until the node stops, whoever is left, in milliseconds.
    pub time_left_ms: u64,
}

impl DrainDesk {
    fn status(&self) -> DrainStatus {
        let progress = *self.progress.borrow();
        let state = match progress {
            None => "serving",
            Some(DrainProgress { done: false, .. }) => "draining",
            Some(DrainProgress { done: true, .. }) => "drained",
        };
        let progress = progress.unwrap_or_default();
        DrainStatus {
            node: self.node.clone(),
            state: state.to_owned(),
            people: progress.people,
            moved: progress.moved,
            left: progress.left,
            time_left_ms: u64::try_from(progress.time_left.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// `/api/drain`.
pub fn router() -> Router<DrainDesk> {
    Router::new()
        .route("/api/drain", get(read).post(order))
        .layer(DefaultBodyLimit::max(MAX_ORDER_BYTES))
}

/// While the node drains the answer waits a moment for news.
async fn read(State(mut desk): State<DrainDesk>) -> Json<DrainStatus> {
    if desk.status().state == "draining" {
        // Old news are news enough, and so is the end of whoever makes them.
        let _ = tokio::time::timeout(NEWS_WITHIN, desk.progress.changed()).await;
    }
    Json(desk.status())
}

async fn order(State(desk): State<DrainDesk>, headers: HeaderMap, order: Json<DrainOrder>) -> Response {
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let admitted = admit_operator(
        bearer.map_or("", str::trim),
        &desk.node,
        &desk.keys.0,
        unix_now().0 / 1_000,
    );
    if let Err(error) = admitted {
        tracing::warn!(%error, "an order to drain was refused");
        let status = if error.is_forbidden() {
            StatusCode::FORBIDDEN
        } else {
            StatusCode::UNAUTHORIZED
        };
        return (status, error.to_string()).into_response();
    }
    // One that waits already is as good.
    let _ = desk.orders.try_send(Duration::from_millis(order.within_ms));
    (StatusCode::ACCEPTED, Json(desk.status())).into_response()
}
