//! Congestion control for media between nodes: an estimate of the rate a link carries, never a window that blocks.
//!
//! Stock controllers read every loss as congestion. Over 76 ms of round trip, 0.1 % of random loss made quinn's
//! default lose half of all datagrams and 1 % lost 92 % (measured: performance study, 2.4), because a shrunken
//! window fills the datagram buffer, which then drops. This one separates the two causes:
//!
//! * **A standing queue** means too much is sent: in three rounds running even the *smallest* round trip is 30 ms
//!   above the smallest of the last ten seconds. (One round is not enough: a busy machine or a radio link stalls for
//!   longer than that.) Then the rate falls below what was delivered until the queue is drained, so that the
//!   smallest round trip stays honest. A delay that does not react was not ours: the path is longer, and the rate is
//!   what it was before. A queue on a link that delivers what it is given, at well below its rate, is not ours either.
//! * **Loss as a rate**: below 10 % it is taken for the path's own and changes nothing. Above, the rate falls by
//!   half the loss, as in GCC (draft-ietf-rmcat-gcc-02, 6); together with a queue of any length, as above.
//! * Without either the rate grows, first by 5 % a round, then faster (by 1 to 2 % near where the link was last full),
//!   and only while the lanes are really held back by it.
//!
//! quinn is told a window above `u32::MAX`, which never blocks and also turns its pacer off (it would add delay to
//! bursts). The real cap is enforced above quinn, where priorities are known: the pace of the lanes releases datagrams
//! at this rate, probes and audio first. A cut link is found by the mesh's own pings in under a second; where
//! quinn sees everything of a while lost ("persistent congestion"), the rate halves.

mod window;

use super::estimate::{LinkEstimate, RateLimits};
use quinn::congestion::{Controller, ControllerFactory};
use quinn_proto::RttEstimator;
use std::any::Any;
use std::sync::Arc;
use std::time::{Duration, Instant};
use window::WindowedMin;

/// Delay above the smallest round trip that counts as a standing queue.
const STANDING_QUEUE: Duration = Duration::from_millis(30);
/// Shortest round over which a decision is made.
const MIN_ROUND: Duration = Duration::from_millis(50);
/// How long the smallest round trip is believed.
const MIN_RTT_MEMORY: Duration = Duration::from_secs(10);
/// Rounds for which a queue must stand before it counts.
const STANDING_ROUNDS: u32 = 3;
/// A queue below this is drained.
const DRAINED: Duration = Duration::from_millis(8);
/// Rounds of draining without a shorter queue after which the path itself is taken to be longer.
const FUTILE_ROUNDS: u32 = 8;
/// Share of the expected shortening that counts as one.
const REACTION: f64 = 0.3;
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

/// Share of what the link carries that drains its queue; then of each round's delivery; and the least of all.
const DRAIN: f64 = 0.85;
const DRAIN_FURTHER: f64 = 0.95;
const DRAIN_FLOOR: f64 = 0.5;
/// Growth per round, first and at most; it doubles as long as nothing speaks against it.
const GROWTH: (f64, f64) = (0.05, 0.25);
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
    standing_rounds: u32,
    draining: Option<Draining>,
    /// What the last rounds delivered: the most of them is what the link carries, also where a stall has cut one short.
    delivered_bps: [u64; STANDING_ROUNDS as usize],
    /// Bytes the last rounds sent and saw delivered.
    exchanged_bytes: [(u64, u64); STANDING_ROUNDS as usize],
    last_full_bps: u64,
    growth: f64,
}

/// A standing queue that is being drained.
#[derive(Clone, Copy, Debug)]
struct Draining {
    first_queue: Duration,
    carried_bps: u64,
    rounds: u32,
    started: Instant,
    longest_queue: Duration,
    /// Rate and last full rate before, for when it turns out that the queue was not ours.
    before_bps: (u64, u64),
}

impl Draining {
    /// Whether the queue has had time to become shorter by what we hold back, and has not.
    ///
    /// What is measured now was sent a round trip ago, so holding back shows only after that.
    fn is_futile(&self, now: Instant, queue: Duration, base: Duration) -> bool {
        let elapsed = now.saturating_duration_since(self.started);
        if self.rounds <= FUTILE_ROUNDS || elapsed < (base + self.first_queue) * 2 {
            return false;
        }
        let shown = elapsed.saturating_sub(base + queue).mul_f64(1.0 - DRAIN);
        self.longest_queue.saturating_sub(queue) < shown.mul_f64(REACTION)
    }
}

/// What is gathered between two decisions.
#[derive(Clone, Debug)]
struct Round {
    started: Instant,
    min_rtt: Option<Duration>,
    sent_bytes: u64,
    delivered_bytes: u64,
    marked: bool,
}

#[derive(Clone, Debug)]
struct LossSample {
    started: Instant,
    delivered_packets: u64,
    delivered_bytes: u64,
    lost_bytes: u64,
}

impl Round {
    const fn new(started: Instant) -> Self {
        Self {
            started,
            min_rtt: None,
            sent_bytes: 0,
            delivered_bytes: 0,
            marked: false,
        }
    }
}

impl LossSample {
    const fn new(started: Instant) -> Self {
        Self {
            started,
            delivered_packets: 0,
            delivered_bytes: 0,
            lost_bytes: 0,
        }
    }

    fn share(&self) -> f64 {
        let settled = self.delivered_bytes + self.lost_bytes;
        if settled == 0 {
            0.0
        } else {
            self.lost_bytes as f64 / settled as f64
        }
    }
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
            standing_rounds: 0,
            draining: None,
            delivered_bps: [0; STANDING_ROUNDS as usize],
            exchanged_bytes: [(0, 0); STANDING_ROUNDS as usize],
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
        let standing = (queue > STANDING_QUEUE && self.could_be_ours()) || round.marked;
        self.standing_rounds = if standing { self.standing_rounds + 1 } else { 0 };
        match self.draining {
            None if self.standing_rounds >= STANDING_ROUNDS => self.start_draining(now, queue),
            // Worse although less is sent: the bottleneck has become narrower.
            Some(draining) if queue > draining.first_queue.mul_f64(1.2) => self.start_draining(now, queue),
            Some(draining) if queue > DRAINED || round.marked => self.drain(now, draining, queue),
            None if queue > DRAINED => {}
            _ => {
                self.draining = None;
                self.grow();
            }
        }
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

    fn drain(&mut self, now: Instant, mut draining: Draining, queue: Duration) {
        self.estimate.take_held_back();
        self.growth = 0.0;
        draining.rounds += 1;
        draining.longest_queue = draining.longest_queue.max(queue);
        if draining.is_futile(now, queue, self.min_rtt.least().unwrap_or_default()) {
            self.min_rtt.forget();
            self.draining = None;
            let (rate_bps, last_full_bps) = draining.before_bps;
            self.estimate.set_rate_bps(self.limits.clamp(rate_bps));
            self.last_full_bps = last_full_bps;
            return;
        }
        let further = self.delivered_bps[0] as f64 * DRAIN_FURTHER;
        self.limit_rate(further.max(draining.carried_bps as f64 * DRAIN_FLOOR));
        self.draining = Some(draining);
    }

    fn limit_rate(&self, bps: f64) {
        let rate = self.estimate.rate_bps().min(bps as u64);
        self.estimate.set_rate_bps(self.limits.clamp(rate));
    }

    fn grow(&mut self) {
        let rate = self.estimate.rate_bps();
        let tried = self.estimate.take_held_back() || self.delivered_bps[0] as f64 > 0.8 * rate as f64;
        if !tried || self.loss.share() >= TOLERATED_LOSS {
            return;
        }
        let near_full = rate.abs_diff(self.last_full_bps) < self.last_full_bps / 10;
        let (first, most) = if near_full { GROWTH_NEAR_FULL } else { GROWTH };
        self.growth = (self.growth * 2.0).clamp(first, most);
        let grown = (rate as f64 * (1.0 + self.growth)) as u64;
        self.estimate.set_rate_bps(self.limits.clamp(grown));
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

    fn on_end_acks(&mut self, now: Instant, _: u64, _: bool, _: Option<u64>) {
        self.decide(now);
    }

    fn on_congestion_event(&mut self, now: Instant, _: Instant, persistent: bool, lost_bytes: u64) {
        // quinn reports ECN marks as a loss of nothing.
        self.round.marked |= lost_bytes == 0;
        self.loss.lost_bytes += lost_bytes;
        if persistent {
            self.estimate
                .set_rate_bps(self.limits.clamp(self.estimate.rate_bps() / 2));
        }
        self.end_loss_sample(now);
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
    fn acknowledge(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let rtt = now.saturating_duration_since(sent);
        self.round.min_rtt = Some(self.round.min_rtt.map_or(rtt, |least| least.min(rtt)));
        self.round.delivered_bytes += bytes;
        self.loss.delivered_packets += 1;
        self.loss.delivered_bytes += bytes;
    }

    fn decide(&mut self, now: Instant) {
        let round_time = self.min_rtt.least().unwrap_or(MIN_ROUND).max(MIN_ROUND);
        if now.saturating_duration_since(self.round.started) >= round_time {
            self.end_round(now);
        }
        self.end_loss_sample(now);
    }
}

#[cfg(test)]
mod tests;
