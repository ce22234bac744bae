//! How the rest of a node uses a link.

use super::estimate::LinkEstimate;
use super::event::{CloseReason, close_code};
use super::lanes::{Dropped, Lane, Lanes};
use super::traffic::Traffic;
use bridge_core::allocation::link::{ShedTotals, TrackKey};
use bridge_core::mesh::io::{LinkDirection, LinkId};
use bridge_core::relay::egress::RelayTransmit;
use bytes::Bytes;
use quinn::Connection;
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::version::Features;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// First number of the datagram kinds that are feedback: small, and worth more than any packet of media.
const FIRST_FEEDBACK_KIND: u8 = 2;

/// Control messages that wait for the stream; one more closes the link (the peer has stopped reading).
pub(super) const MAX_QUEUED_CONTROL: usize = 4_096;

/// What goes to the task that writes the control stream.
#[derive(Debug)]
pub(super) enum Outgoing {
    Message(Box<ControlMessage>),
    Close(GoodbyeCause),
}

/// A link, for everybody who sends on it. Cheap to clone; works from any thread; outlives its connection harmlessly.
#[derive(Clone)]
pub struct LinkHandle(pub(super) Arc<Shared>);

/// The control queue has overflowed; the link is closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the control queue is full")]
pub struct ControlQueueFull;

pub(super) struct Shared {
    pub(super) link: LinkId,
    pub(super) direction: LinkDirection,
    pub(super) connection: Connection,
    pub(super) estimate: Arc<LinkEstimate>,
    pub(super) control: mpsc::Sender<Outgoing>,
    pub(super) lanes: Mutex<Lanes>,
    pub(super) lanes_filled: Notify,
    pub(super) sent: Mutex<Traffic>,
    pub(super) received: Mutex<Traffic>,
    /// Datagrams received that are none of ours, and media before the hello.
    pub(super) refused: AtomicU64,
    /// Datagrams that had become too large for the path between routing and sending.
    pub(super) oversized: AtomicU64,
    /// Bytes sent to find out what the link carries.
    pub(super) padding_bytes: AtomicU64,
    /// Datagrams of sound made from parities, and parities sent.
    pub(super) recovered: AtomicU64,
    pub(super) parities: AtomicU64,
    /// What the peer can do, once it has said hello.
    pub(super) peer_features: OnceLock<Features>,
    pub(super) close_reason: OnceLock<CloseReason>,
}

/// Counters of a link at one moment.
#[derive(Clone, Debug, Default)]
pub struct LinkStats {
    /// Datagrams given to QUIC.
    pub sent: Traffic,
    /// Datagrams taken from QUIC.
    pub received: Traffic,
    /// Dropped before QUIC, per lane.
    pub dropped: Dropped,
    /// Dropped because the path had shrunk.
    pub oversized: u64,
    /// Received and refused.
    pub refused: u64,
    /// What is held back of pictures, because the link carries no more.
    pub shed: ShedTotals,
    /// Bytes of padding sent to find out what the link carries.
    pub padding_bytes: u64,
    /// Datagrams of sound that were lost and made from parities.
    pub recovered: u64,
    /// Parities of sound sent.
    pub parities: u64,
    /// Bits per second the link is taken to carry.
    pub rate_bps: u64,
    /// Bits per second the peer confirmed lately.
    pub delivered_bps: u64,
    /// Delay that stands in queues on the way.
    pub queue: Duration,
    /// Lost share of QUIC packets, in parts per million.
    pub loss_ppm: u32,
}

impl LinkHandle {
    /// Number of the link on this node.
    #[must_use]
    pub fn link(&self) -> LinkId {
        self.0.link
    }

    /// Who opened it.
    #[must_use]
    pub fn direction(&self) -> LinkDirection {
        self.0.direction
    }

    /// Where the peer is.
    #[must_use]
    pub fn remote_address(&self) -> SocketAddr {
        self.0.connection.remote_address()
    }

    /// Queues a control message behind the earlier ones.
    ///
    /// # Errors
    /// [`ControlQueueFull`], after which the link is closing; nothing where it is already closed.
    pub fn send_control(&self, message: Box<ControlMessage>) -> Result<(), ControlQueueFull> {
        match self.0.control.try_send(Outgoing::Message(message)) {
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.0.close_now(CloseReason::ControlOverflow);
                Err(ControlQueueFull)
            }
        }
    }

    /// Queues a datagram on its lane. Never blocks for longer than another sender holds the queue; what does not
    /// fit is dropped and counted.
    pub fn send_datagram(&self, now: Instant, lane: Lane, datagram: Bytes) {
        let capacity_bps = self.0.estimate.capacity_bps();
        self.0.lanes().push(now, lane, capacity_bps, datagram);
        self.wake();
    }

    /// The same for many, which are taken out: those of pictures by their class, and only where their layer crosses the
    /// link; everything else goes before them. One call for many also lets QUIC send them together.
    pub(crate) fn send_all(&self, now: Instant, waiting: &mut Vec<RelayTransmit>) {
        let capacity_bps = self.0.estimate.capacity_bps();
        let mut lanes = self.0.lanes();
        for transmit in waiting.drain(..) {
            if transmit.audio || is_feedback(&transmit.bytes) {
                lanes.push(now, Lane::Audio, capacity_bps, transmit.bytes);
            } else {
                lanes.push_picture(now, transmit.class, capacity_bps, transmit.bytes);
            }
        }
        drop(lanes);
        self.wake();
    }

    fn wake(&self) {
        self.0.lanes_filled.notify_one();
    }

    /// Closes the link once everything queued on the control stream has arrived (or half a second has passed).
    pub fn close(&self, cause: GoodbyeCause) {
        if self.0.control.try_send(Outgoing::Close(cause)).is_err() {
            self.0.close_now(CloseReason::Ours(cause));
        }
    }

    /// Closes the link at once, whatever is queued.
    pub fn abort(&self, reason: CloseReason) {
        self.0.close_now(reason);
    }

    /// Forgets the counters of a track that has ended, so that they cannot pile up.
    pub fn forget_track(&self, origin: NodeId, track: TrackAlias) {
        self.0.lanes().allocator_mut().forget(TrackKey { origin, track });
        for traffic in [&self.0.sent, &self.0.received] {
            lock(traffic)
                .streams
                .retain(|key, _| (key.origin, key.track) != (origin, track));
        }
    }

    /// Largest datagram the path takes now, in bytes.
    #[must_use]
    pub fn max_datagram_bytes(&self) -> usize {
        self.0.connection.max_datagram_size().unwrap_or(0)
    }

    /// UDP payload the path is known to take.
    #[must_use]
    pub fn mtu(&self) -> u16 {
        self.0.connection.stats().path.current_mtu
    }

    /// How many datagrams have come so far, and when the last one did; none before the first.
    #[must_use]
    pub fn heard(&self) -> Option<(u64, Instant)> {
        let received = lock(&self.0.received);
        received.last_at.map(|at| (received.datagrams, at))
    }

    /// Counters now. Cost: copies the per-stream table; for operators, not for the hot path.
    #[must_use]
    pub fn stats(&self) -> LinkStats {
        let (dropped, shed) = {
            let lanes = self.0.lanes();
            (lanes.dropped(), lanes.allocator().totals())
        };
        LinkStats {
            sent: lock(&self.0.sent).clone(),
            received: lock(&self.0.received).clone(),
            dropped,
            oversized: self.0.oversized.load(Ordering::Relaxed),
            refused: self.0.refused.load(Ordering::Relaxed),
            shed,
            padding_bytes: self.0.padding_bytes.load(Ordering::Relaxed),
            recovered: self.0.recovered.load(Ordering::Relaxed),
            parities: self.0.parities.load(Ordering::Relaxed),
            rate_bps: self.0.estimate.capacity_bps(),
            delivered_bps: self.0.estimate.delivered_bps(),
            queue: self.0.estimate.queue(),
            loss_ppm: self.0.estimate.loss_ppm(),
        }
    }
}

impl std::fmt::Debug for LinkHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LinkHandle({}, {:?})", self.0.link.0, self.0.direction)
    }
}

impl Shared {
    pub(super) fn lanes(&self) -> MutexGuard<'_, Lanes> {
        lock(&self.lanes)
    }

    /// Whether the peer has said that it can do this.
    pub(super) fn peer_has(&self, features: Features) -> bool {
        self.peer_features
            .get()
            .is_some_and(|theirs| theirs.has(features))
    }

    /// Ends the connection at once. The first reason stands.
    pub(super) fn close_now(&self, reason: CloseReason) {
        let reason = self.close_reason.get_or_init(|| reason);
        self.connection
            .close(close_code(reason.cause()), reason.to_string().as_bytes());
    }
}

fn is_feedback(datagram: &[u8]) -> bool {
    datagram
        .first()
        .is_some_and(|byte| byte & 0x0f >= FIRST_FEEDBACK_KIND)
}

/// Locks data that stays valid even where another thread has panicked while holding it: counters and queues.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
