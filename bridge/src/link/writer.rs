//! The control stream towards the peer.

use super::event::CloseReason;
use super::explain::close_reason;
use super::handle::{Outgoing, Shared};
use quinn::{SendStream, WriteError};
use relay_proto::codec;
use relay_proto::control::GoodbyeCause;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// How long a closing link waits for its last message to be confirmed.
const LAST_WORD: Duration = Duration::from_millis(500);

/// Writes queued messages in order until the link is closed or the connection ends.
pub(super) async fn write_control(link: Arc<Shared>, mut queue: mpsc::Receiver<Outgoing>) -> CloseReason {
    let mut stream = match link.connection.open_uni().await {
        Ok(stream) => stream,
        Err(error) => return close_reason(&error),
    };
    while let Some(outgoing) = queue.recv().await {
        match outgoing {
            Outgoing::Message(message) => match codec::encode(&message) {
                Ok(frame) => {
                    if let Err(error) = stream.write_all(&frame).await {
                        return write_failed(&error);
                    }
                }
                // The core keeps messages within their limits; one that is not would close the link at the peer.
                Err(error) => tracing::error!(link = link.link.0, %error, "control message not sent"),
            },
            Outgoing::Close(cause) => {
                finish(&mut stream).await;
                return CloseReason::Ours(cause);
            }
        }
    }
    CloseReason::Ours(GoodbyeCause::Stopping)
}

async fn finish(stream: &mut SendStream) {
    if stream.finish().is_ok() {
        // Either the peer has everything, or it is too late to matter; the link closes both ways.
        let _ = tokio::time::timeout(LAST_WORD, stream.stopped()).await;
    }
}

fn write_failed(error: &WriteError) -> CloseReason {
    match error {
        WriteError::ConnectionLost(error) => close_reason(error),
        other => CloseReason::Protocol(format!("control stream: {other}")),
    }
}
