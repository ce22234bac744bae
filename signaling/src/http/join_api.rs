//! `POST /api/join`.

use super::{Peer, Shared, Signaling};
use crate::join::{JoinAnswer, JoinCall, JoinRefusal, answer_of, token_for, validated};
use crate::placement::Question;
use crate::task::clock;
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;
use std::net::IpAddr;

/// Answers with the best node, a token and the ranked alternatives.
pub(super) async fn join(
    State(signaling): State<Signaling>,
    RawQuery(query): RawQuery,
    peer: Peer,
    headers: HeaderMap,
    body: Result<Json<JoinCall>, JsonRejection>,
) -> Response {
    let shared = signaling.shared();
    let address = shared.client_address(&headers, peer);
    match assigned(shared, address, &headers, query.as_deref(), body).await {
        Ok(answer) => {
            shared.counters.joins_assigned.increment();
            Json(answer).into_response()
        }
        Err(refusal) => {
            shared.counters.joins_refused.increment();
            tracing::info!(code = refusal.code(), reason = %refusal, "join refused");
            if let JoinRefusal::NoNode(error) = &refusal {
                tracing::warn!(%error, "no node for a client");
            }
            let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let body = json!({"error": refusal.code(), "message": refusal.to_string()});
            (status, Json(body)).into_response()
        }
    }
}

async fn assigned(
    shared: &Shared,
    address: IpAddr,
    headers: &HeaderMap,
    query: Option<&str>,
    body: Result<Json<JoinCall>, JsonRejection>,
) -> Result<JoinAnswer, JoinRefusal> {
    let Json(call) = body.map_err(|rejection| JoinRefusal::Body(rejection.body_text()))?;
    let call = validated(call)?;
    let located = stated_address(shared, headers, query)?.unwrap_or(address);
    let now = clock();
    let token = token_for(
        &call,
        &shared.config,
        &mut super::SystemRandom,
        now.wall.0 / 1_000,
    )?;
    let place = shared.placement.locate(located);
    tracing::debug!(%address, %located, %place, "client located");
    let hosts = shared.placement.asked(&call.room).await;
    let question = Question {
        place,
        hosts: &hosts,
        exclude: &call.exclude,
    };
    let ranking = shared
        .placement
        .assign(&question, now.monotonic)
        .map_err(JoinRefusal::NoNode)?;
    let answer = answer_of(&ranking, token);
    for (position, alternative) in (1..).zip(&answer.alternatives) {
        tracing::info!(
            room = %call.room,
            position,
            node = alternative.node,
            reasons = alternative.reasons.join("; "),
            "ranked"
        );
    }
    Ok(answer)
}

/// The address that the request itself states, where the operator has configured that.
pub(super) fn stated_address(
    shared: &Shared,
    headers: &HeaderMap,
    query: Option<&str>,
) -> Result<Option<IpAddr>, JoinRefusal> {
    let overrides = &shared.config.overrides;
    let in_query = overrides.query_parameter.as_ref().and_then(|name| {
        let pairs = query
            .unwrap_or_default()
            .split('&')
            .filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(key, _)| key == name)
            .map(|(_, value)| value)
            .next()
    });
    let in_header = || {
        let name = overrides.header.as_ref()?;
        headers.get(name)?.to_str().ok()
    };
    let Some(stated) = in_query
        .or_else(in_header)
        .map(str::trim)
        .filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    // The colons of an IPv6 address may come percent-encoded.
    let plain = stated.replace("%3A", ":").replace("%3a", ":");
    plain.parse().map(Some).map_err(|_| JoinRefusal::StatedAddress)
}
