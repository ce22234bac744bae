//! From the lanes to QUIC, at the pace the link carries; and padding, where it is to be found out whether it carries more.

use super::estimate::LinkEstimate;
use super::event::{CloseReason, DatagramSink, LinkEvent};
use super::explain::close_reason;
use super::handle::{Shared, lock};
use super::lanes::{Lane, Lanes};
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
    fn sent(&mut self, now: Instant, datagram: &[u8]) -> Option<Bytes> {
        if !self.sender.is_on() {
            return None;
        }
        let (header, _) = Header::decode(datagram).ok()?;
        if !ParityReceiver::concerns(&header) {
            return None;
        }
        self.sender.sent(now, &header, datagram).map(Bytes::from)
    }

    /// The parity of a group that has lasted long enough.
    fn due(&mut self, now: Instant) -> Option<Bytes> {
        self.sender.poll_due(now).map(Bytes::from)
    }
}

/// What a link does next.
#[derive(Debug)]
pub(super) enum Step {
    /// Sends a datagram.
    Send(Bytes),
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
    loop {
        // One look at the clock for each datagram.
        let now = Instant::now();
        parity.adapt(now, &link);
        if let Some(sum) = parity.due(now) {
            link.parities.fetch_add(1, Ordering::Relaxed);
            link.lanes().push(now, Lane::Audio, 0, sum);
        }
        match parity.before(now, next_step(now, &link, &mut pace)) {
            Step::Send(datagram) => {
                if let Some(sum) = parity.sent(now, &datagram) {
                    link.parities.fetch_add(1, Ordering::Relaxed);
                    link.lanes().push(now, Lane::Audio, 0, sum);
                }
                if let Err(reason) = send(&link, datagram).await {
                    return reason;
                }
            }
            Step::Pad => {
                link.padding_bytes
                    .fetch_add(PADDING_BYTES as u64, Ordering::Relaxed);
                if let Err(reason) = hand_to_quic(&link, padding.clone()).await {
                    return reason;
                }
            }
            Step::Ask(key, layer) => {
                let header = Header::plain(Kind::KeyframeRequest, key.origin, key.track, layer);
                if let Some(peer) = peer.get() {
                    sink.deliver(*peer, &header, Bytes::copy_from_slice(&header.encode()));
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

fn next_step(now: Instant, link: &Shared, pace: &mut Pace) -> Step {
    let listens = link.peer_has(Features::ALLOWANCES);
    let mut lanes = link.lanes();
    Step::of(now, &mut lanes, pace, &link.estimate, listens)
}

impl Step {
    /// What is to be done now. `listens` says whether the peer understands what crosses, and padding. Pure: time is an
    /// argument.
    pub(super) fn of(
        now: Instant,
        lanes: &mut Lanes,
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
        if let Some((lane, bytes)) = lanes.next() {
            return match pace.take(now, lane, bytes) {
                Err(wait) => Self::Wait(wait),
                Ok(()) => lanes.pop().map_or(Self::Idle, Self::Send),
            };
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

async fn send(link: &Shared, datagram: Bytes) -> Result<(), CloseReason> {
    let header = Header::decode(&datagram).ok().map(|(header, _)| header);
    let bytes = datagram.len();
    if hand_to_quic(link, datagram).await? {
        lock(&link.sent).count(header.as_ref(), bytes);
    }
    Ok(())
}

/// False where it is too large for the path.
async fn hand_to_quic(link: &Shared, datagram: Bytes) -> Result<bool, CloseReason> {
    let bytes = datagram.len();
    let room = link.connection.datagram_send_buffer_space();
    debug_assert!(room <= SEND_BUFFER_BYTES);
    let result = if room > bytes + ENTRY_BYTES {
        link.connection.send_datagram(datagram)
    } else {
        // The local socket is full: wait rather than let quinn drop its oldest, which may be audio.
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
