//! One connection: messages of the client go to the hub, messages of the hub go to the client.
//!
//! Long ones leave in fragments (RFC 6455, 5.4). The library keeps, for as long as a connection lasts, a buffer as large
//! as the largest frame it has sent, and the first message of a session names everybody in the room: without fragments a
//! room of 3,000 would keep 250 KiB for each of them (measured: 8 KiB at 100). What waits leaves together, in full segments
//! (see [`crate::gather`]).

use crate::gather::{GATHERED_BYTES, Gather};
use crate::limits::{Limits, TokenBucket, WRITE_TIMEOUT};
use crate::protocol::decode_request;
use crate::task::Input;
use bytes::Bytes;
use futures_util::stream::SplitStream;
use futures_util::{Sink, SinkExt as _, StreamExt as _};
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use relay_proto::id::SessionId;
use std::time::Instant;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tokio_tungstenite::tungstenite::protocol::frame::{CloseFrame, Frame};
use tokio_tungstenite::tungstenite::protocol::{Message, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, error::ProtocolError};

/// An open WebSocket.
pub(crate) type Connection = WebSocketStream<Gather<TokioIo<Upgraded>>>;

/// What a connection reads at once. Requests are small and seldom; the library would keep and touch 128 KiB for each
/// client.
const READ_BUFFER_BYTES: usize = 2 << 10;
/// Longest fragment of a message to a client.
const FRAGMENT_BYTES: usize = 2 << 10;

/// How a connection is served that takes messages of up to `frame_bytes`.
pub(crate) fn config(frame_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_message_size(Some(frame_bytes))
        .max_frame_size(Some(frame_bytes))
}

/// Carries frames both ways until either side ends, then tells the hub. `first_frame` is called when the hub has
/// something to say: the session is open, or refused.
pub(crate) async fn serve(
    socket: Connection,
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
            write_within(sink.send(Message::Close(Some(fault)))).await;
        },
    }
    // When the hub is gone there is nobody left to tell.
    let _ = inputs.send(Input::Disconnected { id }).await;
}

/// Sends until the hub drops the queue, then says good-bye. Ends early when the client does not read.
async fn write(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    mut outbox: mpsc::Receiver<Bytes>,
    first_frame: impl FnOnce(),
) {
    let mut first_frame = Some(first_frame);
    while let Some(frame) = outbox.recv().await {
        if let Some(call) = first_frame.take() {
            call();
        }
        if !write_within(send_ready(sink, frame, &mut outbox)).await {
            return;
        }
    }
    write_within(sink.send(Message::Close(None))).await;
}

/// A message as frames, in order.
fn fragments(message: Bytes) -> impl Iterator<Item = Frame> {
    let mut rest = Some(message);
    let mut data = Data::Binary;
    std::iter::from_fn(move || {
        let mut part = rest.take()?;
        if part.len() > FRAGMENT_BYTES {
            rest = Some(part.split_off(FRAGMENT_BYTES));
        }
        let opcode = OpCode::Data(std::mem::replace(&mut data, Data::Continue));
        Some(Frame::message(part, opcode, rest.is_none()))
    })
}

/// Sends a message, and with it what else waits and leaves at once.
async fn send_ready(
    sink: &mut (impl Sink<Message, Error = Error> + Unpin),
    message: Bytes,
    outbox: &mut mpsc::Receiver<Bytes>,
) -> Result<(), Error> {
    let mut next = Some(message);
    let mut bytes = 0;
    while let Some(message) = next {
        bytes += message.len();
        for frame in fragments(message) {
            sink.feed(Message::Frame(frame)).await?;
        }
        next = if bytes < GATHERED_BYTES {
            outbox.try_recv().ok()
        } else {
            None
        };
    }
    sink.flush().await
}

/// Sends; `false` when the connection is gone or the client does not read: it has the same time for many fragments as for
/// one.
async fn write_within(sending: impl Future<Output = Result<(), Error>>) -> bool {
    matches!(tokio::time::timeout(WRITE_TIMEOUT, sending).await, Ok(Ok(())))
}

/// Receives until the client ends, breaks the framing, or sends too much. What it did wrong, if anything.
async fn read(
    mut stream: SplitStream<Connection>,
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
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => None,
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
fn fault_of(error: &Error) -> Option<CloseFrame> {
    let (code, reason) = match error {
        Error::Capacity(CapacityError::MessageTooLong { .. }) => {
            (CloseCode::Size, "the frame is larger than this server takes")
        }
        Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => return None,
        Error::Protocol(_) | Error::Utf8(_) => {
            (CloseCode::Protocol, "the frame breaks the WebSocket protocol")
        }
        _ => return None,
    };
    Some(CloseFrame {
        code,
        reason: reason.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    /// Counts the bytes of messages between two flushes.
    #[derive(Default)]
    struct Flushes {
        fed: usize,
        flushed: Vec<usize>,
    }

    impl Sink<Message> for Flushes {
        type Error = Error;

        fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }

        fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), Error> {
            if let Message::Frame(frame) = message {
                self.fed += frame.payload().len();
            }
            Ok(())
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            let fed = std::mem::take(&mut self.fed);
            self.flushed.push(fed);
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_waits_together_leaves_together() {
        let (hub, outbox) = mpsc::channel(16);
        for bytes in [1_500, 60, 240, 5_500, 90] {
            hub.send(Bytes::from(vec![7; bytes])).await.unwrap();
        }
        drop(hub);
        let mut sink = Flushes::default();
        write(&mut sink, outbox, || ()).await;
        // And the farewell.
        assert_eq!(sink.flushed, [7_390, 0]);
    }

    #[tokio::test]
    async fn a_long_queue_does_not_wait_for_its_end() {
        let (hub, outbox) = mpsc::channel(16);
        for _ in 0..4 {
            hub.send(Bytes::from(vec![7; 10_000])).await.unwrap();
        }
        drop(hub);
        let mut sink = Flushes::default();
        write(&mut sink, outbox, || ()).await;
        assert_eq!(sink.flushed, [20_000, 20_000, 0]);
    }

    #[test]
    fn a_long_message_leaves_in_fragments_that_put_together_are_it() {
        for length in [0, 1, FRAGMENT_BYTES, FRAGMENT_BYTES + 1, 5 * FRAGMENT_BYTES] {
            let message: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let frames: Vec<Frame> = fragments(Bytes::from(message.clone())).collect();
            let payload: Vec<u8> = frames.iter().flat_map(|frame| frame.payload().to_vec()).collect();
            assert_eq!(payload, message);
            let finals: Vec<bool> = frames.iter().map(|frame| frame.header().is_final).collect();
            assert_eq!(finals.iter().filter(|is_final| **is_final).count(), 1);
            assert_eq!(finals.last(), Some(&true));
            assert!(frames.iter().all(|frame| frame.payload().len() <= FRAGMENT_BYTES));
            let opcodes = frames.iter().map(|frame| frame.header().opcode);
            let begins = opcodes.map(|opcode| opcode == OpCode::Data(Data::Binary));
            assert!(
                begins.eq((0..frames.len()).map(|at| at == 0)),
                "only the first says what it is"
            );
        }
    }
}
