//! The life of one connection.

use super::admission::Place;
use super::counters::count;
use super::framing::{Frames, TooLong};
use super::lanes::{self, Receiver};
use super::listener::TcpMedia;
use crate::shard::ShardInbox;
use bridge_core::rtc::Mux;
use bytes::BytesMut;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

/// Bytes given to the kernel with one write, and bytes it may hold that it has not sent: what is with the kernel is not
/// overtaken any more. At 300 kbit/s they take 0.2 s, at 100 Mbit/s they are 1,500 writes a second.
const WRITE_BYTES: usize = 8 << 10;
/// A session answers every check, and clients check at least every 15 s to keep a way open (RFC 7675 section 5.1,
/// RFC 8445 section 11; Chromium checks ways that wait every 25 s at the most). Whoever is sent nothing for longer belongs to
/// no session any more; and whoever takes nothing for as long is gone.
const IDLE: Duration = Duration::from_secs(35);

/// Why a connection has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its client or its shard is gone.
    Closed,
    /// What it sends is nothing a client sends.
    Malformed,
    /// No session answered its first check in time.
    Unanswered,
    /// Nothing goes to it any more.
    Idle,
}

impl From<TooLong> for End {
    fn from(_: TooLong) -> Self {
        Self::Malformed
    }
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Serves a connection until it ends, and counts why.
pub(super) async fn serve(media: &TcpMedia, stream: TcpStream, peer: SocketAddr, place: Place) {
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%peer, %error, "packets on this connection may be late");
    }
    let end = talk(media, stream, peer, place).await;
    tracing::debug!(%peer, ?end, "media connection has ended");
    match end {
        End::Closed => {}
        End::Malformed => count(&media.counters.malformed, 1),
        End::Unanswered => count(&media.counters.unanswered, 1),
        End::Idle => count(&media.counters.idle, 1),
    }
}

/// Small packets leave at once, and few wait with the kernel.
fn prepare(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    socket2::SockRef::from(stream).set_tcp_notsent_lowat(WRITE_BYTES as u32)
}

async fn talk(media: &TcpMedia, mut stream: TcpStream, peer: SocketAddr, place: Place) -> End {
    let due = Instant::now() + media.limits.greeting_timeout;
    let mut frames = Frames::new(media.limits.frame_bytes);
    let first = match timeout_at(due, next(&mut stream, &mut frames)).await {
        Ok(Ok(first)) => first,
        Ok(Err(end)) => return end,
        Err(_) => return End::Unanswered,
    };
    let named = Mux::shard_of(&first).and_then(|shard| media.inboxes.get(usize::from(shard.0)));
    let Some(inbox) = named else {
        return End::Malformed;
    };
    let address = media.next_id().address(peer);
    let (sender, receiver) = lanes::lanes(media.limits, media.counters.clone());
    if !inbox.connected(address, sender).await || !inbox.packet(address, first).await {
        return End::Closed;
    }
    let (mut reading, mut writing) = stream.split();
    let end = tokio::select! {
        end = read(media, inbox, address, &mut reading, frames) => end,
        end = write(&mut writing, receiver, place, due) => end,
    };
    inbox.disconnected(address).await;
    end
}

async fn next(stream: &mut (impl AsyncRead + Unpin), frames: &mut Frames) -> Result<BytesMut, End> {
    loop {
        if let Some(packet) = frames.next()? {
            return Ok(packet);
        }
        if stream.read_buf(frames.space()).await? == 0 {
            return Err(End::Closed);
        }
    }
}

/// Hands packets to the shard; where that does not keep up, the client has to wait.
async fn read(
    media: &TcpMedia,
    inbox: &ShardInbox,
    address: SocketAddr,
    stream: &mut (impl AsyncRead + Unpin),
    mut frames: Frames,
) -> End {
    loop {
        match next(stream, &mut frames).await {
            Ok(packet) => {
                count(&media.counters.packets_in, 1);
                if !inbox.packet(address, packet).await {
                    return End::Closed;
                }
            }
            Err(end) => return end,
        }
    }
}

/// Writes what a session has for the client. The first packet, which must be there by `due`, is the answer to its check.
async fn write(
    stream: &mut (impl AsyncWrite + Unpin),
    mut waiting: Receiver,
    mut place: Place,
    due: Instant,
) -> End {
    let mut out = BytesMut::with_capacity(2 * WRITE_BYTES);
    let mut is_answered = false;
    loop {
        let until = if is_answered { Instant::now() + IDLE } else { due };
        match timeout_at(until, waiting.take(WRITE_BYTES, &mut out)).await {
            Ok(true) => {}
            Ok(false) => return End::Closed,
            Err(_) if is_answered => return End::Idle,
            Err(_) => return End::Unanswered,
        }
        is_answered = true;
        place.answered();
        match timeout(IDLE, stream.write_all_buf(&mut out)).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => return End::Closed,
            Err(_) => return End::Idle,
        }
    }
}
