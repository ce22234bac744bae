//! From an HTTP request to a WebSocket.
//!
//! The handshake is the WebSocket library's; own is only that the connection is handed over as the library's stream
//! and not as axum's, which cannot send a message in fragments (see [`crate::websocket`]).

use crate::gather::Gather;
use crate::websocket::{self, Connection};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::future::Future;
use thiserror::Error;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::Role;

/// A request that may become a WebSocket.
pub(super) struct Upgrade {
    answer: Response,
    connection: OnUpgrade,
}

/// Why a request cannot become a WebSocket.
#[derive(Debug, Error)]
pub(super) enum NoUpgrade {
    /// It does not ask for one in the way of RFC 6455.
    #[error("this is the address of a WebSocket: {0}")]
    Handshake(String),
    /// The connection below cannot be taken over.
    #[error("this connection cannot become a WebSocket")]
    Connection,
}

impl IntoResponse for NoUpgrade {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Handshake(_) => StatusCode::BAD_REQUEST,
            Self::Connection => StatusCode::UPGRADE_REQUIRED,
        };
        (status, self.to_string()).into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Upgrade {
    type Rejection = NoUpgrade;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoUpgrade> {
        let mut request = Request::new(());
        request.method_mut().clone_from(&parts.method);
        *request.version_mut() = parts.version;
        request.headers_mut().clone_from(&parts.headers);
        let answer = create_response_with_body(&request, Body::empty)
            .map_err(|error| NoUpgrade::Handshake(error.to_string()))?;
        let connection = parts
            .extensions
            .remove::<OnUpgrade>()
            .ok_or(NoUpgrade::Connection)?;
        Ok(Self { answer, connection })
    }
}

impl Upgrade {
    /// Says yes; once that has gone out, `serve` gets the connection. It takes messages of up to `frame_bytes`.
    pub(super) fn then<F>(
        self,
        frame_bytes: usize,
        serve: impl FnOnce(Connection) -> F + Send + 'static,
    ) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let Self { answer, connection } = self;
        tokio::spawn(async move {
            match connection.await {
                Ok(upgraded) => {
                    let stream = Gather::new(TokioIo::new(upgraded));
                    let config = websocket::config(frame_bytes);
                    serve(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await).await;
                }
                // Whoever asked has gone before the answer was out.
                Err(error) => tracing::debug!(%error, "no connection to take over"),
            }
        });
        answer
    }
}
