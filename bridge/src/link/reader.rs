//! What arrives on a link: the peer's control stream and its datagrams.

use super::event::{CloseReason, DatagramSink, LinkEvent};
use super::explain::close_reason;
use super::handle::{Shared, lock};
use super::tls::PeerNames;
use bridge_core::relay::parity::ParityReceiver;
use bytes::Bytes;
use quinn::{ReadError, RecvStream};
use relay_proto::codec::{CodecError, FrameReader};
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::datagram::{HEADER_BYTES, Header, Kind};
use relay_proto::id::NodeId;
use relay_proto::version::Features;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Bytes read from the control stream at a time.
const CHUNK_BYTES: usize = 64 << 10;
/// Datagrams handed over as one batch at most.
const MAX_BATCH: usize = 64;

/// Reads the control stream. The first message must be a hello whose name the certificate proves; `peer` is set
/// from it. Waits where events are not taken, and the peer waits with it.
pub(super) async fn read_control(
    link: Arc<Shared>,
    names: PeerNames,
    peer: Arc<OnceLock<NodeId>>,
    events: mpsc::Sender<LinkEvent>,
) -> CloseReason {
    let mut stream = match link.connection.accept_uni().await {
        Ok(stream) => stream,
        Err(error) => return close_reason(&error),
    };
    let mut frames = FrameReader::default();
    loop {
        match read_some(&mut stream, &mut frames).await {
            Ok(true) => {}
            // The peer has said its last word; it closes the connection itself.
            Ok(false) => return close_reason(&link.connection.closed().await),
            Err(reason) => return reason,
        }
        loop {
            let message = match frames.next_message() {
                Ok(Some(message)) => message,
                Ok(None) => break,
                Err(error) => return refused(&error),
            };
            if let Err(reason) = admit(&message, &names, &peer) {
                return reason;
            }
            if let ControlMessage::Hello(hello) = &message {
                link.peer_features.get_or_init(|| hello.features);
            }
            let event = LinkEvent::Control {
                link: link.link,
                message: Box::new(message),
            };
            if events.send(event).await.is_err() {
                return CloseReason::Ours(GoodbyeCause::Stopping);
            }
        }
    }
}

async fn read_some(stream: &mut RecvStream, frames: &mut FrameReader) -> Result<bool, CloseReason> {
    match stream.read_chunk(CHUNK_BYTES, true).await {
        Ok(Some(chunk)) => {
            frames.push(&chunk.bytes);
            Ok(true)
        }
        Ok(None) => Ok(false),
        Err(ReadError::ConnectionLost(error)) => Err(close_reason(&error)),
        Err(other) => Err(CloseReason::Protocol(format!("control stream: {other}"))),
    }
}

fn refused(error: &CodecError) -> CloseReason {
    match error {
        CodecError::Version(_) => {
            tracing::warn!(%error, "a peer speaks another version of the control stream");
            CloseReason::Ours(GoodbyeCause::VersionMismatch)
        }
        other => CloseReason::Protocol(other.to_string()),
    }
}

fn admit(message: &ControlMessage, names: &PeerNames, peer: &OnceLock<NodeId>) -> Result<(), CloseReason> {
    match (peer.get(), message) {
        (None, ControlMessage::Hello(hello)) if names.prove(&hello.name) => {
            peer.get_or_init(|| NodeId::of(hello.name.as_str()));
            Ok(())
        }
        (None, ControlMessage::Hello(hello)) => Err(CloseReason::Protocol(format!(
            "it calls itself {}, but its certificate names {names}",
            hello.name
        ))),
        (None, ControlMessage::Goodbye(cause)) => Err(CloseReason::Peers(*cause)),
        (None, _) => Err(CloseReason::Protocol("its first message is no hello".to_owned())),
        (Some(_), ControlMessage::Hello(_)) => Err(CloseReason::Protocol("it says hello twice".to_owned())),
        (Some(_), _) => Ok(()),
    }
}

/// Most probes taken from one peer in a second: a node sends and answers ten. The rest would crowd out those of others, which
/// wait for the same task.
const MAX_PROBES_PER_SECOND: u32 = 200;

/// Counts the probes of a second.
struct ProbeGate {
    began: Instant,
    count: u32,
}

impl ProbeGate {
    const fn new(now: Instant) -> Self {
        Self { began: now, count: 0 }
    }

    fn admits(&mut self, now: Instant) -> bool {
        if now.duration_since(self.began) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.count += 1;
        if self.count == MAX_PROBES_PER_SECOND + 1 {
            tracing::warn!(
                "a peer sends more probes than {MAX_PROBES_PER_SECOND} a second; the rest is dropped"
            );
        }
        self.count <= MAX_PROBES_PER_SECOND
    }
}

/// Reads datagrams: probes become events (dropped where the node is too busy to take them, which is what a probe is
/// to find out), everything else goes to the sink once the peer is known.
pub(super) async fn read_datagrams(
    link: Arc<Shared>,
    peer: Arc<OnceLock<NodeId>>,
    events: mpsc::Sender<LinkEvent>,
    sink: Arc<dyn DatagramSink>,
) -> CloseReason {
    let mut incoming = Incoming {
        link: link.clone(),
        events,
        parity: ParityReceiver::default(),
        probes: ProbeGate::new(Instant::now()),
        media: Vec::with_capacity(MAX_BATCH),
    };
    loop {
        let first = match link.connection.read_datagram().await {
            Ok(datagram) => datagram,
            Err(error) => return close_reason(&error),
        };
        incoming.sort(Instant::now(), peer.get(), first);
        if let Some(from) = peer.get()
            && !incoming.media.is_empty()
        {
            sink.deliver(*from, &mut incoming.media);
            sink.flush();
        }
        // Reading what has already arrived does not wait; without this a flood would starve other tasks.
        tokio::task::coop::consume_budget().await;
    }
}

/// What a future has to say without waiting. Dropped otherwise, so only for futures that lose nothing by that.
fn at_once<F: Future>(future: F) -> Option<F::Output> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

/// What arrives on a link, sorted by who takes it.
struct Incoming {
    link: Arc<Shared>,
    events: mpsc::Sender<LinkEvent>,
    parity: ParityReceiver,
    probes: ProbeGate,
    /// For the sink.
    media: Vec<(Header, Bytes)>,
}

impl Incoming {
    /// Takes a datagram, and those that have come with it. Hot path: what has come is counted under one lock.
    fn sort(&mut self, now: Instant, peer: Option<&NodeId>, first: Bytes) {
        let link = self.link.clone();
        // Of an error that comes behind the first datagram the next read tells again.
        let more = std::iter::from_fn(|| at_once(link.connection.read_datagram())?.ok());
        let mut received = lock(&link.received);
        for datagram in std::iter::once(first).chain(more).take(MAX_BATCH) {
            match Header::decode(&datagram) {
                Ok((header, _)) if peer.is_some() => {
                    received.count(Some(&header), datagram.len());
                    received.last_at = Some(now);
                    self.take(now, header, datagram);
                }
                _ => {
                    link.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    fn take(&mut self, now: Instant, header: Header, datagram: Bytes) {
        let link = &self.link;
        if ParityReceiver::concerns(&header) && link.peer_has(Features::PARITY) {
            self.parity.received(&header, datagram.clone());
        }
        match header.kind {
            Kind::Ping | Kind::Pong if !self.probes.admits(now) => {
                link.refused.fetch_add(1, Ordering::Relaxed);
            }
            Kind::Ping | Kind::Pong => {
                let _ = self.events.try_send(LinkEvent::Probe {
                    link: link.link,
                    bytes: datagram,
                });
            }
            Kind::Media | Kind::Clock | Kind::KeyframeRequest | Kind::Nack | Kind::Allowance => {
                self.media.push((header, datagram));
            }
            Kind::Padding => {}
            Kind::Parity => {
                if let Some(rebuilt) = self.parity.recover(&datagram[HEADER_BYTES..]) {
                    link.recovered.fetch_add(1, Ordering::Relaxed);
                    self.media.push(rebuilt);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_probes_takes_no_more_than_its_share() {
        let now = Instant::now();
        let mut gate = ProbeGate::new(now);
        let taken = (0..10_000).filter(|_| gate.admits(now)).count();
        assert_eq!(taken, MAX_PROBES_PER_SECOND as usize);
        assert!(gate.admits(now + Duration::from_secs(1)));
    }
}
