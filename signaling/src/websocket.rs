//! One connection: frames of the client go to the hub, frames of the hub go to the client.

use crate::limits::{Limits, TokenBucket, WRITE_TIMEOUT};
use crate::protocol::decode_request;
use crate::task::Input;
use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use relay_proto::id::SessionId;
use std::time::Instant;
use tokio::sync::mpsc;

/// Carries frames both ways until either side ends, then tells the hub. `first_frame` is called when the hub has
/// something to say: the session is open, or refused.
pub(crate) async fn serve(
    socket: WebSocket,
    (id, outbox): (SessionId, mpsc::Receiver<Bytes>),
    inputs: mpsc::Sender<Input>,
    limits: &Limits,
    first_frame: impl FnOnce(),
) {
    let (mut sink, stream) = socket.split();
    tokio::select! {
        () = write(&mut sink, outbox, first_frame) => {}
        fault = read(stream, id, &inputs, limits) => if let Some(fault) = fault {
            tracing::info!(session = %id, reason = %fault.reason, "connection closed");
            write_one(&mut sink, Message::Close(Some(fault))).await;
        },
    }
    // When the hub is gone there is nobody left to tell.
    let _ = inputs.send(Input::Disconnected { id }).await;
}

/// Sends until the hub drops the queue, then says good-bye. Ends early when the client does not read.
async fn write(
    sink: &mut SplitSink<WebSocket, Message>,
    mut outbox: mpsc::Receiver<Bytes>,
    first_frame: impl FnOnce(),
) {
    let mut first_frame = Some(first_frame);
    while let Some(frame) = outbox.recv().await {
        if let Some(call) = first_frame.take() {
            call();
        }
        if !write_one(sink, Message::Binary(frame)).await {
            return;
        }
    }
    write_one(sink, Message::Close(None)).await;
}

/// Sends one frame; `false` when the connection is gone or the client does not read.
async fn write_one(sink: &mut SplitSink<WebSocket, Message>, frame: Message) -> bool {
    matches!(
        tokio::time::timeout(WRITE_TIMEOUT, sink.send(frame)).await,
        Ok(Ok(()))
    )
}

/// Receives until the client ends, breaks the framing, or sends too much. What it did wrong, if anything.
async fn read(
    mut stream: SplitStream<WebSocket>,
    id: SessionId,
    inputs: &mpsc::Sender<Input>,
    limits: &Limits,
) -> Option<CloseFrame> {
    let mut bucket = TokenBucket::new(limits.frames_per_second, limits.frame_burst, Instant::now());
    while let Some(received) = stream.next().await {
        let input = match received {
            Ok(Message::Binary(frame)) => match decode_request(&frame) {
                Ok(request) => Some(Input::Requested { id, request }),
                Err(_) => Some(Input::Malformed { id }),
            },
            Ok(Message::Text(_)) => Some(Input::Malformed { id }),
            // The WebSocket library answers pings; what counts as a sign of life are requests.
            Ok(Message::Ping(_) | Message::Pong(_)) => None,
            Ok(Message::Close(_)) => return None,
            Err(error) => return fault_of(&error),
        };
        let flooded = !bucket.take(Instant::now());
        let input = if flooded {
            Some(Input::Flooded { id })
        } else {
            input
        };
        let Some(input) = input else { continue };
        if inputs.send(input).await.is_err() {
            return None;
        }
        if flooded {
            // The hub closes the connection: wait for that without reading on.
            std::future::pending::<()>().await;
        }
    }
    None
}

/// What to tell a client whose framing is broken; nothing when its connection is simply gone.
fn fault_of(error: &axum::Error) -> Option<CloseFrame> {
    let text = error.to_string();
    let (code, reason) = if text.contains("too long") || text.contains("too big") {
        (close_code::SIZE, "the frame is larger than this server takes")
    } else if text.contains("protocol") && !text.contains("without closing handshake") {
        (close_code::PROTOCOL, "the frame breaks the WebSocket protocol")
    } else {
        return None;
    };
    Some(CloseFrame {
        code,
        reason: reason.into(),
    })
}
