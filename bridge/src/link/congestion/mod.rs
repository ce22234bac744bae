//! Congestion control for media between nodes: an estimate of the rate a link carries, never a window that blocks.
//!
//! Stock controllers read every loss as congestion. Over 76 ms of round trip, 0.1 % of random loss made quinn's
//! default lose half of all datagrams and 1 % lost 92 % (measured: performance study, 2.4), because a shrunken
//! window fills the datagram buffer, which then drops. This one separates the two causes:
//!
//! * **A queue that grows** from one handful of acknowledgements to the next means that less comes out of the link than goes
//!   in (`overuse`). Then next to nothing is sent until what is under way is what the link holds without a queue, and
//!   from then on a little less than was handed out meanwhile: a link that falls from 50 to 5 Mbit/s is found within three
//!   round trips or so.
//! * **A standing queue** means a little too much is sent: in three rounds running even the *smallest* round trip is 20 ms
//!   above the smallest of the last ten seconds. (One round is not enough: a busy machine or a radio link stalls for
//!   longer than that.) Then the rate falls below what was delivered until the queue is drained, so that the
//!   smallest round trip stays honest. A delay that does not react was not ours: the path is longer, and the rate is
//!   what it was before. A queue on a link that delivers what it is given, at well below its rate, is not ours either.
//! * **Loss as a rate**: below 10 % it is taken for the path's own and changes nothing. Above, the rate falls by
//!   half the loss, as in GCC (draft-ietf-rmcat-gcc-02, 6); together with a queue of any length, or where a third and more is
//!   lost, as above: a buffer overflows that is too short to be seen as a queue.
//! * Without any of these the rate grows, first by 5 % a round, then faster (by 1 to 2 % near where the link was last full),
//!   and only while the lanes are really held back by it, or pad what they send because layers are held back for want of
//!   room ([`LinkEstimate::is_probing`]). After the link was found full nothing grows for two seconds, and where it is
//!   found full at the same rate again, for twice as long each time.
//!
//! quinn is told a window above `u32::MAX`, which never blocks and also turns its pacer off (it would add delay to
//! bursts). The real cap is enforced above quinn, where priorities are known: the pace of the lanes releases datagrams
//! at this rate, probes and audio first. A cut link is found by the mesh's own pings in under a second; where
//! quinn sees everything of a while lost ("persistent congestion"), the rate halves.

mod full;
mod overuse;
mod round;
mod window;

use super::estimate::{LinkEstimate, RateLimits};
use full::{Draining, Flush, Hold};
use overuse::Overuse;
use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;
use round::{LossSample, Round};
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use window::WindowedMin;

/// Delay above the smallest round trip that counts as a standing queue, or as one that grows.
const STANDING_QUEUE: Duration = Duration::from_millis(20);
/// Shortest round over which a decision is made.
const MIN_ROUND: Duration = Duration::from_millis(50);
/// How long the smallest round trip is believed.
const MIN_RTT_MEMORY: Duration = Duration::from_secs(10);
/// Rounds for which a queue must stand before it counts.
const STANDING_ROUNDS: u32 = 3;
/// The same where the rate has just grown.
const TRIED_QUEUE: (Duration, u32) = (Duration::from_millis(10), 2);
/// Rounds over which it is seen what the link delivers.
const ROUNDS: usize = STANDING_ROUNDS as usize;
/// A queue below this is drained.
const DRAINED: Duration = Duration::from_millis(8);
/// A link that is given less than this share of its rate is not filled by us,
const USED: f64 = 0.5;
/// unless it delivers less than this share of what it is given.
const KEEPING_UP: f64 = 0.85;
/// Bytes that may be under way at either end of the rounds compared.
const UNDER_WAY_BYTES: u64 = 20_000;
/// Share of loss that is taken for the path's own.
const TOLERATED_LOSS: f64 = 0.10;
/// Packets over which loss is measured: 10 % is told from 5 % with more than five standard deviations.
const LOSS_SAMPLE_PACKETS: u64 = 400;
/// And the longest time that may take.
const LOSS_SAMPLE_TIME: Duration = Duration::from_secs(2);
/// Packets without which a loss share says nothing.
const LOSS_MIN_PACKETS: u64 = 20;
/// Share of loss that is an overflowing buffer, and the bytes after which that is certain.
const OVERFLOW_LOSS: f64 = 0.35;
const OVERFLOW_BYTES: u64 = 70_000;

/// Share of what the link carries that drains its queue; then of each round's delivery; and the least of all.
const DRAIN: f64 = 0.85;
const DRAIN_FURTHER: f64 = 0.95;
const DRAIN_FLOOR: f64 = 0.5;
/// Part of what the link carries that is sent while its queue is flushed, and the queue at which that is done.
const FLUSH: f64 = 0.1;
const FLUSHED: Duration = Duration::from_millis(5);
/// And the longest it may take: a queue that does not end by then was none.
const FLUSH_TIME: Duration = Duration::from_secs(3);
/// A flush that lasted for less has not measured what the link carries.
const FLUSH_MEASURES: Duration = Duration::from_millis(80);
/// Part of what the link carries that is used once it was found full.
const FULL: f64 = 0.95;
/// Growth per round, first and at most; it doubles as long as nothing speaks against it.
const GROWTH: (f64, f64) = (0.05, 0.12);
/// The same within a tenth of the rate at which the link was last full: slow, so that it overshoots by little.
const GROWTH_NEAR_FULL: (f64, f64) = (0.01, 0.02);

/// Above `u32::MAX`: quinn neither blocks nor paces. Half of `u64` leaves room for its sums.
const OPEN_WINDOW: u64 = u64::MAX / 2;

/// Makes the controllers of one link; they share its [`LinkEstimate`], also after the path has moved.
#[derive(Debug)]
pub struct RateControllerFactory {
    /// Where results go.
    pub estimate: Arc<LinkEstimate>,
    /// Bounds of the rate.
    pub limits: RateLimits,
}

impl ControllerFactory for RateControllerFactory {
    fn build(self: Arc<Self>, now: Instant, _: u16) -> Box<dyn Controller> {
        Box::new(RateController::new(self.estimate.clone(), self.limits, now))
    }
}

/// The controller of one link.
#[derive(Clone, Debug)]
pub struct RateController {
    estimate: Arc<LinkEstimate>,
    limits: RateLimits,
    min_rtt: WindowedMin,
    round: Round,
    loss: LossSample,
    overuse: Overuse,
    standing_rounds: u32,
    draining: Option<Draining>,
    flush: Option<Flush>,
    /// What was sent before tells of a queue that was there then.
    valid_from: Instant,
    hold: Hold,
    /// What the last rounds delivered: the most of them is what the link carries, also where a stall has cut one short.
    delivered_bps: [u64; ROUNDS],
    /// Bytes the last rounds sent and saw delivered.
    exchanged_bytes: [(u64, u64); ROUNDS],
    last_full_bps: u64,
    growth: f64,
}

impl RateController {
    /// A controller that starts at the rate the estimate already holds.
    #[must_use]
    pub fn new(estimate: Arc<LinkEstimate>, limits: RateLimits, now: Instant) -> Self {
        Self {
            estimate,
            limits,
            min_rtt: WindowedMin::new(MIN_RTT_MEMORY),
            round: Round::new(now),
            loss: LossSample::new(now),
            overuse: Overuse::new(),
            standing_rounds: 0,
            draining: None,
            flush: None,
            valid_from: now,
            hold: Hold::none(),
            delivered_bps: [0; ROUNDS],
            exchanged_bytes: [(0, 0); ROUNDS],
            last_full_bps: 0,
            growth: 0.0,
        }
    }

    fn end_round(&mut self, now: Instant) {
        let round = std::mem::replace(&mut self.round, Round::new(now));
        let Some(round_rtt) = round.min_rtt else {
            return;
        };
        let base = self.min_rtt.offer(now, round_rtt);
        let queue = round_rtt.saturating_sub(base);
        let elapsed = now.duration_since(round.started).as_secs_f64().max(0.001);
        let delivered_bps = (round.delivered_bytes as f64 * 8.0 / elapsed) as u64;
        self.estimate.set_round(delivered_bps, queue);
        self.delivered_bps.rotate_right(1);
        self.delivered_bps[0] = delivered_bps;
        self.exchanged_bytes.rotate_right(1);
        self.exchanged_bytes[0] = (round.sent_bytes, round.delivered_bytes);
        // What has come while we tried for more is ours, and taken for a queue sooner.
        let (most, rounds) = if self.growth > 0.0 {
            TRIED_QUEUE
        } else {
            (STANDING_QUEUE, STANDING_ROUNDS)
        };
        let standing = (queue > most && self.could_be_ours()) || round.marked;
        self.standing_rounds = if standing { self.standing_rounds + 1 } else { 0 };
        match self.draining {
            None if self.standing_rounds >= rounds => self.start_draining(now, queue),
            // Worse although less is sent: the bottleneck has become narrower.
            Some(draining) if queue > draining.first_queue.mul_f64(1.2) => self.start_draining(now, queue),
            Some(draining) if queue > DRAINED || round.marked => self.drain(now, draining, queue),
            None if queue > DRAINED => {}
            Some(draining) => self.end_draining(now, draining),
            None => self.grow(now),
        }
        let probes = self.draining.is_none()
            && queue <= DRAINED
            && self.hold.is_over(now)
            && self.loss.share() < TOLERATED_LOSS;
        self.estimate.set_probing(probes);
    }

    /// Whether what we send may be what stands in the queue: we use much of the rate, or the link falls behind.
    fn could_be_ours(&self) -> bool {
        let carried_bps = self.delivered_bps.into_iter().max().unwrap_or_default();
        let (sent, delivered) = self
            .exchanged_bytes
            .into_iter()
            .fold((0, 0), |sum, round| (sum.0 + round.0, sum.1 + round.1));
        let behind = (delivered + UNDER_WAY_BYTES) as f64 <= sent as f64 * KEEPING_UP;
        behind || carried_bps as f64 >= self.estimate.rate_bps() as f64 * USED
    }

    fn start_draining(&mut self, now: Instant, queue: Duration) {
        let carried_bps = self.delivered_bps.into_iter().max().unwrap_or_default();
        let now_bps = (self.estimate.rate_bps(), self.last_full_bps);
        let before_bps = self.draining.map_or(now_bps, |draining| draining.before_bps);
        self.last_full_bps = carried_bps;
        self.limit_rate(carried_bps as f64 * DRAIN);
        self.estimate
            .set_capacity_bps(self.limits.clamp((carried_bps as f64 * FULL) as u64));
        self.drain(
            now,
            Draining {
                first_queue: queue,
                carried_bps,
                rounds: 0,
                started: now,
                longest_queue: queue,
                before_bps,
            },
            queue,
        );
    }

    /// The queue is gone.
    fn end_draining(&mut self, now: Instant, draining: Draining) {
        self.draining = None;
        let full = (draining.carried_bps as f64 * FULL) as u64;
        self.set_rate(full.min(draining.before_bps.0).max(self.estimate.rate_bps()));
        self.hold.full(now, draining.carried_bps);
    }

    fn drain(&mut self, now: Instant, mut draining: Draining, queue: Duration) {
        self.estimate.take_held_back();
        self.growth = 0.0;
        draining.rounds += 1;
        draining.longest_queue = draining.longest_queue.max(queue);
        if draining.is_futile(now, queue, self.min_rtt.least().unwrap_or_default()) {
            self.min_rtt.forget();
            self.draining = None;
            let (rate_bps, last_full_bps) = draining.before_bps;
            self.set_rate(rate_bps);
            self.last_full_bps = last_full_bps;
            return;
        }
        let further = self.delivered_bps[0] as f64 * DRAIN_FURTHER;
        self.limit_rate(further.max(draining.carried_bps as f64 * DRAIN_FLOOR));
        self.draining = Some(draining);
    }

    /// Holds back for a while.
    fn limit_rate(&self, bps: f64) {
        let rate = self.estimate.rate_bps().min(bps as u64);
        self.estimate.set_rate_bps(self.limits.clamp(rate));
    }

    /// Takes the link for one that carries `bps`.
    fn set_rate(&self, bps: u64) {
        self.estimate.set_rate_bps(self.limits.clamp(bps));
        self.estimate.set_capacity_bps(self.limits.clamp(bps));
    }

    fn grow(&mut self, now: Instant) {
        let rate = self.estimate.rate_bps();
        let tried = self.estimate.take_held_back() || self.delivered_bps[0] as f64 > 0.8 * rate as f64;
        if !tried || !self.hold.is_over(now) || self.loss.share() >= TOLERATED_LOSS {
            self.growth = 0.0;
            return;
        }
        let near_full = rate.abs_diff(self.last_full_bps) < self.last_full_bps / 10;
        let (first, most) = if near_full { GROWTH_NEAR_FULL } else { GROWTH };
        self.growth = (self.growth * 2.0).clamp(first, most);
        self.set_rate((rate as f64 * (1.0 + self.growth)) as u64);
    }

    /// Far more is under way than the link holds: next to nothing more until that has changed.
    fn start_flush(&mut self, now: Instant, carried_bps: u64) {
        let before_bps = self
            .draining
            .take()
            .map_or_else(|| self.estimate.rate_bps(), |draining| draining.before_bps.0);
        self.flush = Some(Flush {
            started: now,
            carried_bps,
            delivered_bytes: 0,
            before_bps,
        });
        self.growth = 0.0;
        self.standing_rounds = 0;
        self.estimate.set_probing(false);
        self.limit_rate(carried_bps as f64 * FLUSH);
        self.estimate
            .set_capacity_bps(self.limits.clamp((carried_bps as f64 * FULL) as u64));
    }

    /// Looks whether what is under way fits the link again.
    fn flush_further(&mut self, now: Instant, flush: Flush, in_flight_bytes: u64) {
        let base = self.min_rtt.least().unwrap_or_default();
        let elapsed = now.saturating_duration_since(flush.started);
        let measured = elapsed >= FLUSH_MEASURES;
        let carried = if measured {
            flush.delivered_bytes as f64 * 8.0 / elapsed.as_secs_f64()
        } else {
            flush.carried_bps as f64
        };
        let holds = carried / 8.0 * (base + FLUSHED).as_secs_f64();
        let futile = elapsed >= FLUSH_TIME;
        if in_flight_bytes as f64 > holds && !futile {
            return;
        }
        if futile {
            self.min_rtt.forget();
        }
        self.flush = None;
        self.last_full_bps = carried as u64;
        self.set_rate(((carried * FULL) as u64).min(flush.before_bps));
        self.hold.full(now, carried as u64);
        self.begin_anew(now);
    }

    /// Forgets what was seen of packets that were sent before.
    fn begin_anew(&mut self, now: Instant) {
        self.valid_from = now;
        self.overuse.forget();
        self.round = Round::new(now);
        self.loss = LossSample::new(now);
        self.estimate.take_held_back();
        (self.delivered_bps, self.exchanged_bytes) = ([0; ROUNDS], [(0, 0); ROUNDS]);
    }

    /// A third and more of what is sent is lost.
    fn look_for_overflow(&mut self, now: Instant) {
        let settled = self.loss.delivered_bytes + self.loss.lost_bytes;
        if self.flush.is_some() || settled < OVERFLOW_BYTES || self.loss.share() < OVERFLOW_LOSS {
            return;
        }
        let elapsed = now.saturating_duration_since(self.loss.started).as_secs_f64();
        let since = (self.loss.delivered_bytes as f64 * 8.0 / elapsed.max(0.001)) as u64;
        self.estimate
            .set_loss_ppm((self.loss.share() * 1_000_000.0) as u32);
        self.start_flush(now, self.overuse.delivered_bps().unwrap_or(since));
    }

    fn end_loss_sample(&mut self, now: Instant) {
        let full = self.loss.delivered_packets >= LOSS_SAMPLE_PACKETS;
        let old = now.duration_since(self.loss.started) >= LOSS_SAMPLE_TIME;
        if !full && !old {
            return;
        }
        let sample = std::mem::replace(&mut self.loss, LossSample::new(now));
        if sample.delivered_packets < LOSS_MIN_PACKETS {
            return;
        }
        let share = sample.share();
        self.estimate.set_loss_ppm((share * 1_000_000.0) as u32);
        if share <= TOLERATED_LOSS {
            return;
        }
        let queue = self.estimate.queue();
        if queue > DRAINED && self.draining.is_none() {
            // A queue and loss together: the bottleneck's buffer overflows, no need to see it stand any longer.
            self.start_draining(now, queue);
        } else {
            self.limit_rate(self.estimate.rate_bps() as f64 * (1.0 - 0.5 * share));
        }
    }
}

impl Controller for RateController {
    fn on_sent(&mut self, _: Instant, bytes: u64, _: u64) {
        self.round.sent_bytes += bytes;
    }

    fn on_ack(&mut self, now: Instant, sent: Instant, bytes: u64, _: bool, _: &RttEstimator) {
        self.acknowledge(now, sent, bytes);
    }

    fn on_end_acks(&mut self, now: Instant, in_flight_bytes: u64, _: bool, _: Option<u64>) {
        self.decide(now, in_flight_bytes);
    }

    fn on_congestion_event(&mut self, now: Instant, sent: Instant, persistent: bool, lost_bytes: u64) {
        if self.flush.is_some() || sent < self.valid_from {
            return;
        }
        // quinn reports ECN marks as a loss of nothing.
        self.round.marked |= lost_bytes == 0;
        self.loss.lost_bytes += lost_bytes;
        if persistent {
            self.set_rate(self.estimate.rate_bps() / 2);
        }
        self.look_for_overflow(now);
        if self.flush.is_none() {
            self.end_loss_sample(now);
        }
    }

    fn on_mtu_update(&mut self, _: u16) {}

    fn window(&self) -> u64 {
        OPEN_WINDOW
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(self.clone())
    }

    fn initial_window(&self) -> u64 {
        OPEN_WINDOW
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

impl RateController {
    /// A packet sent at `sent` has arrived. Hot path.
    pub(super) fn acknowledge(&mut self, now: Instant, sent: Instant, bytes: u64) {
        if let Some(flush) = &mut self.flush {
            flush.delivered_bytes += bytes;
        }
        if sent < self.valid_from {
            return;
        }
        let rtt = now.saturating_duration_since(sent);
        self.round.min_rtt = Some(self.round.min_rtt.map_or(rtt, |least| least.min(rtt)));
        self.round.delivered_bytes += bytes;
        self.loss.delivered_packets += 1;
        self.loss.delivered_bytes += bytes;
        self.overuse.acknowledged(now, sent, bytes);
    }

    fn decide(&mut self, now: Instant, in_flight_bytes: u64) {
        if let Some(flush) = self.flush {
            return self.flush_further(now, flush, in_flight_bytes);
        }
        if let Some(growing) = self.overuse.look(now)
            && let Some(base) = self.min_rtt.least()
            && growing.rtt > base + STANDING_QUEUE
        {
            let carried_bps = self.overuse.delivered_bps().unwrap_or_default();
            if growing.collapses || carried_bps as f64 >= self.estimate.rate_bps() as f64 * USED {
                return self.start_flush(now, carried_bps);
            }
        }
        let round_time = self.min_rtt.least().unwrap_or(MIN_ROUND).max(MIN_ROUND);
        if now.saturating_duration_since(self.round.started) >= round_time {
            self.end_round(now);
        }
        self.end_loss_sample(now);
    }
}

#[cfg(test)]
mod tests;
