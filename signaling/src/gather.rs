//! Gathers what a connection is to send, so that it leaves in full TCP segments.
//!
//! A segment sent is one of the ten that may be under way before the first is acknowledged (RFC 6928), however little it
//! holds. What answers a join are five messages, the longest in fragments: sent one by one they take more than ten, and the
//! rest waits for a round trip (measured: `s12`, 100 ms). The buffers of the WebSocket library and of tokio would gather as
//! well, and be kept as long as the connection lasts.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most that is gathered: what fills ten segments, rounded up.
pub(crate) const GATHERED_BYTES: usize = 16 << 10;

/// A stream that sends when it is flushed, or when [`GATHERED_BYTES`] have come together. Memory: nothing is kept between
/// two flushes.
#[derive(Debug)]
pub(crate) struct Gather<S> {
    below: S,
    gathered: Vec<u8>,
    /// Of these, so many have been sent.
    sent: usize,
}

impl<S> Gather<S> {
    pub(crate) const fn new(below: S) -> Self {
        Self {
            below,
            gathered: Vec::new(),
            sent: 0,
        }
    }
}

impl<S: AsyncWrite + Unpin> Gather<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.gathered.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let sent = ready!(Pin::new(&mut self.below).poll_write(context, rest))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += sent;
        }
        (self.gathered, self.sent) = (Vec::new(), 0);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gather<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.gathered.len() >= GATHERED_BYTES {
            ready!(self.poll_send(context))?;
        }
        let taken = bytes.len().min(GATHERED_BYTES - self.gathered.len());
        self.gathered.extend_from_slice(&bytes[..taken]);
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.below).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.below).poll_shutdown(context)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gather<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.below).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt as _;

    /// Takes at most 10,000 bytes at a time and remembers how many.
    #[derive(Default)]
    struct Below {
        writes: Vec<usize>,
        bytes: Vec<u8>,
    }

    impl AsyncWrite for Below {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let taken = bytes.len().min(10_000);
            self.writes.push(taken);
            self.bytes.extend_from_slice(&bytes[..taken]);
            Poll::Ready(Ok(taken))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_is_written_before_a_flush_leaves_together_and_nothing_is_kept() {
        let mut gather = Gather::new(Below::default());
        for part in [&b"one "[..], b"two ", b"three"] {
            gather.write_all(part).await.unwrap();
        }
        assert!(gather.below.writes.is_empty());
        gather.flush().await.unwrap();
        assert_eq!(gather.below.writes, [13]);
        assert_eq!(gather.below.bytes, b"one two three");
        assert_eq!(gather.gathered.capacity(), 0);
        gather.write_all(b"end").await.unwrap();
        gather.shutdown().await.unwrap();
        assert_eq!(gather.below.bytes, b"one two threeend");
    }

    #[tokio::test]
    async fn more_than_is_gathered_leaves_in_between_and_in_order() {
        let all: Vec<u8> = (0..50_000_u32).map(|at| (at % 251) as u8).collect();
        let mut gather = Gather::new(Below::default());
        for part in all.chunks(1_000) {
            gather.write_all(part).await.unwrap();
            assert!(gather.gathered.len() <= GATHERED_BYTES);
        }
        assert!(!gather.below.writes.is_empty());
        gather.flush().await.unwrap();
        assert_eq!(gather.below.bytes, all);
    }
}
