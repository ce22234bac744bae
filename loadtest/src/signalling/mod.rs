//! A light client's side of the client protocol: `/rtc/v1` over a WebSocket that never blocks.
//!
//! [`token`], `message` and `session` are pure: what to say, what was said, when to say it. `connection` owns the
//! socket (`stream`: plain or TLS) and nothing else; it is made for one epoll loop over hundreds of clients. Media is none of this folder's
//! business: session descriptions pass through as text.

mod connection;
mod endpoint;
mod message;
mod session;
mod stream;
pub mod token;

use thiserror::Error;

pub use connection::{Connection, Interest};
pub use endpoint::Endpoint;
pub use message::{Event, Join, Participant, Picture, PublishedTrack, Request, Track};
pub use stream::{Secure, Stream, Trust, Wire};

/// Longest text of a server that is repeated in an error.
const MOST_TEXT_BYTES: usize = 200;

/// Why signalling failed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SignallingError {
    /// The URL is none, or of a kind that is not served.
    #[error("{url:?} is no address of a server: {reason}")]
    Url {
        /// As given.
        url: String,
        /// What is wrong.
        reason: &'static str,
    },
    /// No authority to believe a server's certificate by.
    #[error("cannot check certificates: {0}")]
    Trust(String),
    /// The name leads nowhere, or nobody listens.
    #[error("cannot reach {address}: {reason}")]
    Unreachable {
        /// Where to.
        address: String,
        /// What the system says.
        reason: String,
    },
    /// The server answered with an HTTP status.
    #[error("the server refused the client: HTTP {status} {text}")]
    Refused {
        /// The status.
        status: u16,
        /// What it says, shortened.
        text: String,
    },
    /// It does not speak the protocol.
    #[error("the server does not speak the client protocol: {0}")]
    Protocol(String),
    /// No TLS, or a certificate nobody vouches for.
    #[error("TLS: {0}; name the authority of its certificate with --ca")]
    Tls(String),
    /// It was silent for too long.
    #[error("the server said nothing {0}")]
    Silent(&'static str),
    /// The connection ended.
    #[error("the server closed the connection")]
    Closed,
    /// We say more than it takes.
    #[error("the server does not read what the client says")]
    Backlog,
    /// No token could be signed.
    #[error("cannot sign a token: {0}")]
    Token(String),
}

/// A server's text, short and on one line.
fn shortened(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(MOST_TEXT_BYTES)]);
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .collect()
}
