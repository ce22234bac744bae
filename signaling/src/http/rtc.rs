//! `/rtc/v1` and `/rtc`: from an HTTP request to an open connection, or to a reason.
//!
//! Version 0, at `/rtc`, says in single parameters what a join request says, and has two peer connections.

use super::join_api::stated_address;
use super::upgrade::{NoUpgrade, Upgrade};
use super::{Peer, Signaling};
use crate::limits::Crowded;
use crate::protocol::{ClientFacts, Join, JoinError, decode_join};
use crate::session::Newcomer;
use crate::task::{Input, clock};
use crate::token::{self, TokenError};
use crate::websocket::{self, Connection};
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, RawQuery, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use relay_proto::id::ParticipantSid;
use serde::Deserialize;
use std::net::IpAddr;
use thiserror::Error;
use tokio::sync::mpsc;

/// Query of the upgrade.
#[derive(Debug, Default, Deserialize)]
pub(super) struct RtcQuery {
    #[serde(default)]
    access_token: String,
    join_request: Option<String>,
    reconnect: Option<String>,
    sid: Option<String>,
    auto_subscribe: Option<String>,
    #[serde(default)]
    sdk: String,
    #[serde(default)]
    version: String,
    #[serde(default)]
    protocol: String,
    #[serde(default)]
    client_protocol: String,
    /// Set by clients that go to another node where they are told to.
    follows: Option<String>,
}

impl RtcQuery {
    /// What a client of version 0 says of itself.
    fn flat_join(&self) -> Join {
        Join {
            client: ClientFacts::named(&self.sdk, &self.version, &self.protocol, &self.client_protocol),
            auto_subscribe: !self
                .auto_subscribe
                .as_deref()
                .is_some_and(|value| value == "0" || value == "false"),
            ..Join::default()
        }
    }
}

/// Which version of the protocol a path stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    /// Two peer connections; the server offers on the one to receive on.
    Dual,
    /// One peer connection; the client offers.
    Single,
}

/// Why a client is not let in.
#[derive(Debug, Error)]
enum Refused {
    #[error("{0}")]
    Token(#[from] TokenError),
    #[error("{0}")]
    Join(#[from] JoinError),
    #[error("join_request is missing; version 1 of the protocol begins with one")]
    NoJoinRequest,
    #[error("the query cannot be read")]
    Query,
    #[error("{0}")]
    Crowded(#[from] Crowded),
    #[error("this node takes nobody any more; join again to be sent to another one")]
    Draining,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Token(error) if error.is_forbidden() => StatusCode::FORBIDDEN,
            Self::Token(_) => StatusCode::UNAUTHORIZED,
            Self::Join(JoinError::TooLarge { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Join(_) | Self::NoJoinRequest | Self::Query => StatusCode::BAD_REQUEST,
            Self::Crowded(Crowded::Address) => StatusCode::TOO_MANY_REQUESTS,
            Self::Crowded(Crowded::Node | Crowded::Pending) | Self::Draining => {
                StatusCode::SERVICE_UNAVAILABLE
            }
        };
        (status, self.to_string()).into_response()
    }
}

/// Opens a connection.
pub(super) async fn upgrade(
    State(signaling): State<Signaling>,
    query: Result<Query<RtcQuery>, QueryRejection>,
    RawQuery(raw): RawQuery,
    peer: Peer,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Response {
    let newcomer = checked(&signaling, query, &headers, Version::Single);
    upgraded(signaling, newcomer, peer, (&headers, raw.as_deref()), upgrade).await
}

/// Opens a connection of version 0.
pub(super) async fn upgrade_dual(
    State(signaling): State<Signaling>,
    query: Result<Query<RtcQuery>, QueryRejection>,
    RawQuery(raw): RawQuery,
    peer: Peer,
    headers: HeaderMap,
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Response {
    let newcomer = checked(&signaling, query, &headers, Version::Dual);
    upgraded(signaling, newcomer, peer, (&headers, raw.as_deref()), upgrade).await
}

async fn upgraded(
    signaling: Signaling,
    newcomer: Result<Newcomer, Refused>,
    peer: Peer,
    (headers, query): (&HeaderMap, Option<&str>),
    upgrade: Result<Upgrade, NoUpgrade>,
) -> Response {
    let mut newcomer = match newcomer {
        Ok(newcomer) => newcomer,
        Err(refused) => return refused.into_response(),
    };
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(rejection) => return rejection.into_response(),
    };
    let address = signaling.shared().client_address(headers, peer);
    // One that cannot be read is none: whoever states it is let in all the same.
    let stated = stated_address(signaling.shared(), headers, query).ok().flatten();
    newcomer.address = Some(stated.unwrap_or(address));
    let place = match Place::taken(&signaling, address) {
        Ok(place) => place,
        Err(crowded) => return Refused::from(crowded).into_response(),
    };
    // Where its media belongs depends on who is there already.
    signaling.shared().placement.asked(&newcomer.claims.room()).await;
    let frame_bytes = signaling.shared().config.limits.frame_bytes;
    upgrade.then(frame_bytes, move |socket| {
        connected(signaling, newcomer, place, socket)
    })
}

/// Says whether [`upgrade`] would let the client in: browsers do not show scripts why an upgrade failed.
pub(super) async fn validate(
    State(signaling): State<Signaling>,
    query: Result<Query<RtcQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    verdict(&signaling, checked(&signaling, query, &headers, Version::Single))
}

/// The same for [`upgrade_dual`].
pub(super) async fn validate_dual(
    State(signaling): State<Signaling>,
    query: Result<Query<RtcQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    verdict(&signaling, checked(&signaling, query, &headers, Version::Dual))
}

/// While the node drains, a connection is opened only to say where to go instead; here that is said at once.
fn verdict(signaling: &Signaling, newcomer: Result<Newcomer, Refused>) -> Response {
    match newcomer {
        Ok(newcomer) if signaling.is_draining() && !newcomer.join.reconnect => {
            Refused::Draining.into_response()
        }
        Ok(_) => (StatusCode::OK, "success").into_response(),
        Err(refused) => refused.into_response(),
    }
}

/// Versions of the protocol that are not spoken here: clients try another one on 404.
pub(super) async fn unknown() -> Response {
    (
        StatusCode::NOT_FOUND,
        "this server speaks version 1 of the protocol, at /rtc/v1, and version 0, at /rtc",
    )
        .into_response()
}

/// Checks token and join request.
fn checked(
    signaling: &Signaling,
    query: Result<Query<RtcQuery>, QueryRejection>,
    headers: &HeaderMap,
    version: Version,
) -> Result<Newcomer, Refused> {
    let result = examined(signaling, query, headers, version);
    if let Err(refused) = &result {
        let counters = &signaling.shared().counters;
        match refused {
            Refused::Token(_) => counters.refused_token.increment(),
            _ => counters.refused_join_request.increment(),
        }
        tracing::info!(reason = %refused, "client refused");
    }
    result
}

fn examined(
    signaling: &Signaling,
    query: Result<Query<RtcQuery>, QueryRejection>,
    headers: &HeaderMap,
    version: Version,
) -> Result<Newcomer, Refused> {
    let Query(query) = query.map_err(|_| Refused::Query)?;
    let config = &signaling.shared().config;
    let bearer = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    let token = bearer.map_or(query.access_token.as_str(), str::trim);
    let claims = token::admit(token, &config.keys, clock().wall.0 / 1_000)?;
    let mut join = match (query.join_request.as_deref(), version) {
        (Some(parameter), _) => decode_join(parameter, config.limits.join_request_bytes)?,
        (None, Version::Dual) => query.flat_join(),
        (None, Version::Single) => return Err(Refused::NoJoinRequest),
    };
    join.dual = version == Version::Dual;
    join.reconnect |= query
        .reconnect
        .is_some_and(|value| value == "1" || value == "true");
    join.participant = join.participant.or_else(|| query.sid.map(ParticipantSid));
    join.follows = query.follows.is_some_and(|value| value == "1");
    Ok(Newcomer {
        claims,
        join,
        address: None,
    })
}

/// A counted place among the sessions of the node; given back when dropped.
struct Place {
    signaling: Signaling,
    address: IpAddr,
    pending: bool,
}

impl Place {
    fn taken(signaling: &Signaling, address: IpAddr) -> Result<Self, Crowded> {
        let shared = signaling.shared();
        shared
            .with_admission(|admission| admission.enter(address, &shared.config.limits))
            .inspect_err(|crowded| {
                shared.counters.refused_limit.increment();
                tracing::warn!(reason = %crowded, "client refused");
                tracing::debug!(%address, "client refused");
            })?;
        Ok(Self {
            signaling: signaling.clone(),
            address,
            pending: true,
        })
    }

    fn opened(&mut self) {
        self.signaling
            .shared()
            .with_admission(crate::limits::Admission::opened);
        self.pending = false;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let (address, pending) = (self.address, self.pending);
        self.signaling
            .shared()
            .with_admission(|admission| admission.left(address, pending));
    }
}

/// Tells the hub of the connection and serves it until it ends.
async fn connected(signaling: Signaling, newcomer: Newcomer, mut place: Place, socket: Connection) {
    let shared = signaling.shared();
    let id = shared.next_session();
    tracing::debug!(session = %id, address = %place.address, "connected");
    let (outbox, frames) = mpsc::channel(shared.config.limits.send_queue_frames);
    let input = Input::Connected {
        id,
        newcomer: Box::new(newcomer),
        outbox,
    };
    if shared.inputs.send(input).await.is_err() {
        // The node is stopping; the client sees the connection close and tries elsewhere.
        return;
    }
    let first_frame = || place.opened();
    websocket::serve(
        socket,
        (id, frames),
        shared.inputs.clone(),
        &shared.config.limits,
        first_frame,
    )
    .await;
}
