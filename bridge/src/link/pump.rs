//! From the lanes to QUIC, at the pace the link carries; and padding, where it is to be found out whether it carries more.

use super::estimate::LinkEstimate;
use super::event::{CloseReason, DatagramSink, LinkEvent};
use super::explain::close_reason;
use super::handle::{Shared, lock};
use super::lanes::{Departing, Lane, Lanes};
use super::pace::Pace;
use super::transport::SEND_BUFFER_BYTES;
use bridge_core::allocation::link::TrackKey;
use bridge_core::relay::parity::{ParityReceiver, ParitySender};
use bytes::Bytes;
use quinn::SendDatagramError;
use relay_proto::control::GoodbyeCause;
use relay_proto::datagram::{Header, Kind, encode_padding};
use relay_proto::id::{Layer, NodeId};
use relay_proto::unit::PartsPerMillion;
use relay_proto::version::Features;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// How often a changed datagram limit is looked for. quinn tells nobody; its own search takes a second or so.
const LIMIT_CHECK: Duration = Duration::from_millis(100);

/// quinn accounts this much per datagram besides its bytes.
const ENTRY_BYTES: usize = 64;

/// Most datagrams taken from the lanes at once: about a burst of video. Sound that comes meanwhile waits behind them, which is a
/// matter of microseconds: they have passed the pace.
const MAX_BATCH: usize = 16;

/// A datagram of padding: as large as fits every path.
pub(super) const PADDING_BYTES: usize = 1_100;
/// How often a link that is being probed is looked at, where nothing else is sent.
const PROBE_INTERVAL: Duration = Duration::from_millis(2);

/// When sound is given parities, looked at this often.
const ADAPT_INTERVAL: Duration = Duration::from_millis(200);

/// The parities of a link's sound, by the clock.
#[derive(Debug, Default)]
struct Parities {
    sender: ParitySender,
    adapted_at: Option<Instant>,
}

impl Parities {
    fn adapt(&mut self, now: Instant, link: &Shared) {
        let due = |at: Instant| now.saturating_duration_since(at) >= ADAPT_INTERVAL;
        if self.adapted_at.is_none_or(due) && link.peer_has(Features::PARITY) {
            self.adapted_at = Some(now);
            let loss = PartsPerMillion(link.estimate.loss_ppm());
            self.sender.adapt(now, link.connection.rtt(), loss);
        }
    }

    /// What is done next, where a group of sound may end before.
    fn before(&self, now: Instant, step: Step) -> Step {
        let left = || {
            let at = self.sender.poll_timeout()?;
            Some(at.saturating_duration_since(now))
        };
        match step {
            Step::Wait(time) => Step::Wait(left().map_or(time, |left| left.min(time))),
            Step::Idle => left().map_or(Step::Idle, Step::Wait),
            other => other,
        }
    }

    /// A datagram is sent; the parity of a group that is complete with it.
    fn sent(&mut self, now: Instant, departing: &Departing) -> Option<Bytes> {
        if !self.sender.is_on() {
            return None;
        }
        let header = departing.header.filter(ParityReceiver::concerns)?;
        self.sender.sent(now, &header, &departing.bytes).map(Bytes::from)
    }

    /// The parity of a group that has lasted long enough.
    fn due(&mut self, now: Instant) -> Option<Bytes> {
        self.sender.poll_due(now).map(Bytes::from)
    }
}

/// What a link does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Sends what it has taken from the lanes.
    Send,
    /// Sends padding.
    Pad,
    /// Asks for a keyframe.
    Ask(TrackKey, Layer),
    /// Looks again after this time, or when something has come.
    Wait(Duration),
    /// Waits until something comes.
    Idle,
}

/// Sends what the lanes hold until the connection ends. Layers that need a keyframe to cross again are asked of `sink`, as if
/// the peer had asked.
pub(super) async fn pump(
    link: Arc<Shared>,
    peer: Arc<OnceLock<NodeId>>,
    sink: Arc<dyn DatagramSink>,
) -> CloseReason {
    let mut pace = Pace::new(link.estimate.clone(), Instant::now());
    let padding = Bytes::from(encode_padding(NodeId(0), PADDING_BYTES));
    let mut parity = Parities::default();
    let mut batch = Vec::with_capacity(MAX_BATCH);
    loop {
        // One look at the clock for each batch.
        let now = Instant::now();
        parity.adapt(now, &link);
        if let Some(sum) = parity.due(now) {
            link.parities.fetch_add(1, Ordering::Relaxed);
            link.lanes().push(now, Lane::Audio, 0, sum);
        }
        match parity.before(now, next_step(now, &link, &mut pace, &mut batch)) {
            Step::Send => {
                for sum in batch.iter().filter_map(|departing| parity.sent(now, departing)) {
                    link.parities.fetch_add(1, Ordering::Relaxed);
                    link.lanes().push(now, Lane::Audio, 0, sum);
                }
                if let Err(reason) = send(&link, &mut batch).await {
                    return reason;
                }
            }
            Step::Pad => {
                link.padding_bytes
                    .fetch_add(PADDING_BYTES as u64, Ordering::Relaxed);
                let mut room = 0;
                if let Err(reason) = hand_to_quic(&link, padding.clone(), &mut room).await {
                    return reason;
                }
            }
            Step::Ask(key, layer) => {
                let header = Header::plain(Kind::KeyframeRequest, key.origin, key.track, layer);
                if let Some(peer) = peer.get() {
                    let asked = Bytes::copy_from_slice(&header.encode());
                    sink.deliver(*peer, &mut vec![(header, asked)]);
                    sink.flush();
                }
            }
            Step::Wait(time) => {
                tokio::select! {
                    () = tokio::time::sleep(time) => {}
                    () = link.lanes_filled.notified() => {}
                }
            }
            Step::Idle => link.lanes_filled.notified().await,
        }
    }
}

fn next_step(now: Instant, link: &Shared, pace: &mut Pace, batch: &mut Vec<Departing>) -> Step {
    let listens = link.peer_has(Features::ALLOWANCES);
    let mut lanes = link.lanes();
    Step::of(now, (&mut lanes, batch), pace, &link.estimate, listens)
}

impl Step {
    /// What is to be done now; what is to be sent goes from the lanes into the empty `batch`. `listens` says whether the peer
    /// understands what crosses, and padding. Pure: time is an argument.
    pub(super) fn of(
        now: Instant,
        (lanes, batch): (&mut Lanes, &mut Vec<Departing>),
        pace: &mut Pace,
        estimate: &LinkEstimate,
        listens: bool,
    ) -> Self {
        lanes.expire(now);
        lanes.review(now, estimate.capacity_bps(), listens);
        estimate.set_wanted_bps(lanes.allocator().wanted().0);
        if let Some((key, layer)) = lanes.allocator_mut().poll_keyframe() {
            return Self::Ask(key, layer);
        }
        while batch.len() < MAX_BATCH
            && let Some((lane, bytes)) = lanes.next()
        {
            match pace.take(now, lane, bytes) {
                Ok(()) => batch.extend(lanes.pop()),
                Err(wait) if batch.is_empty() => return Self::Wait(wait),
                Err(_) => break,
            }
        }
        if !batch.is_empty() {
            return Self::Send;
        }
        match lanes.allocator().poll_timeout() {
            Some(_) if listens && estimate.is_probing() => {
                if pace.take_padding(now, PADDING_BYTES) {
                    Self::Pad
                } else {
                    Self::Wait(PROBE_INTERVAL)
                }
            }
            Some(at) => Self::Wait(at.saturating_duration_since(now)),
            None => Self::Idle,
        }
    }
}

/// Hands the batch to QUIC and empties it.
async fn send(link: &Shared, batch: &mut Vec<Departing>) -> Result<(), CloseReason> {
    let (mut room, mut lengths) = (0, [0; MAX_BATCH]);
    for (departing, length) in batch.iter_mut().zip(&mut lengths) {
        let datagram = std::mem::take(&mut departing.bytes);
        let bytes = datagram.len();
        if hand_to_quic(link, datagram, &mut room).await? {
            *length = bytes;
        }
    }
    let mut traffic = lock(&link.sent);
    for (departing, bytes) in batch.drain(..).zip(lengths).filter(|(_, bytes)| *bytes > 0) {
        traffic.count(departing.header.as_ref(), bytes);
    }
    Ok(())
}

/// False where it is too large for the path. `room` is what QUIC's queue was found to have, less what has been put there since:
/// at least so much is left.
async fn hand_to_quic(link: &Shared, datagram: Bytes, room: &mut usize) -> Result<bool, CloseReason> {
    let takes = datagram.len() + ENTRY_BYTES;
    if *room <= takes {
        *room = link.connection.datagram_send_buffer_space();
        debug_assert!(*room <= SEND_BUFFER_BYTES);
    }
    let result = if *room > takes {
        *room -= takes;
        link.connection.send_datagram(datagram)
    } else {
        // The local socket is full: wait rather than let quinn drop its oldest, which may be audio.
        *room = 0;
        link.connection.send_datagram_wait(datagram).await
    };
    match result {
        Ok(()) => return Ok(true),
        Err(SendDatagramError::TooLarge) => {
            link.oversized.fetch_add(1, Ordering::Relaxed);
        }
        Err(SendDatagramError::ConnectionLost(error)) => return Err(close_reason(&error)),
        Err(SendDatagramError::UnsupportedByPeer | SendDatagramError::Disabled) => {
            return Err(CloseReason::Protocol("the peer takes no datagrams".to_owned()));
        }
    }
    Ok(false)
}

/// Reports the largest datagram of the path whenever it has changed, until nobody listens.
pub(super) async fn watch_datagram_limit(link: Arc<Shared>, events: mpsc::Sender<LinkEvent>) -> CloseReason {
    let mut known = 0;
    let mut ticks = tokio::time::interval(LIMIT_CHECK);
    loop {
        ticks.tick().await;
        let bytes = link.connection.max_datagram_size().unwrap_or(0);
        if bytes == known {
            continue;
        }
        known = bytes;
        if events
            .send(LinkEvent::DatagramLimitChanged {
                link: link.link,
                bytes,
            })
            .await
            .is_err()
        {
            return CloseReason::Ours(GoodbyeCause::Stopping);
        }
    }
}
