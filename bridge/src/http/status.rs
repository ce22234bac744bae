//! What operators and their tools read: the mesh, health, readiness, metrics.

use crate::control::MeshFeed;
use crate::control::feed::{MeshStatus, UnreachedPeer};
use crate::link::DialState;
use crate::metrics::Metrics;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use std::sync::Arc;
use tokio::sync::watch;

/// What the operator routes read from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The mesh; none until the control task has looked at it once.
    pub feed: watch::Receiver<Option<Arc<MeshFeed>>>,
    /// What each dialler is doing, by the configured address.
    pub diallers: Arc<Vec<(String, watch::Receiver<DialState>)>>,
    /// Whether the node takes clients.
    pub ready: watch::Receiver<bool>,
    /// Figures.
    pub metrics: Metrics,
}

/// `/api/mesh`, `/healthz`, `/readyz`.
pub fn router() -> Router<Operations> {
    Router::new()
        .route("/api/mesh", get(mesh))
        .route("/healthz", get(healthy))
        .route("/readyz", get(ready))
}

/// `/metrics`.
pub fn metrics_router() -> Router<Operations> {
    Router::new().route("/metrics", get(metrics))
}

async fn mesh(State(operations): State<Operations>) -> Response {
    let feed = operations.feed.borrow().clone();
    let status: Option<MeshStatus> = feed.map(|feed| feed.status(unreached(&operations)));
    match status {
        Some(status) => Json(status).into_response(),
        None => (StatusCode::SERVICE_UNAVAILABLE, "starting\n").into_response(),
    }
}

fn unreached(operations: &Operations) -> Vec<UnreachedPeer> {
    let failing = |(address, state): &(String, watch::Receiver<DialState>)| match &*state.borrow() {
        DialState::Failing(reason) => Some(UnreachedPeer {
            address: address.clone(),
            reason: reason.clone(),
        }),
        DialState::Connecting | DialState::Linked => None,
    };
    operations.diallers.iter().filter_map(failing).collect()
}

async fn healthy() -> &'static str {
    "ok"
}

async fn ready(State(operations): State<Operations>) -> Response {
    if *operations.ready.borrow() {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready").into_response()
    }
}

async fn metrics(State(operations): State<Operations>) -> Response {
    const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match operations.metrics.encode() {
        Ok(text) => ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
