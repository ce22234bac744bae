//! One directed link as a pure state machine: it says when a datagram leaves the far end, or why it never
//! does.
//!
//! A datagram passes, in this order: a queue bounded in time, a line of fixed rate, a lossy path, and a delay
//! with jitter. A lost datagram has used its share of the line, as on a real path. Order is preserved, except
//! for the share that [`Reorder`] holds back. A copy ([`LinkProperties::duplicate`]) is made on the path, behind
//! the line, and leaves right after its original. Nothing here reads a clock or ambient randomness: `now` and the seed are arguments, so a run repeats
//! exactly.

mod loss;
mod packet;
pub(crate) mod random;
#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use loss::LossProcess;
pub use loss::{GilbertElliott, Loss, LossError, Probability};
pub use packet::{HEADER_BYTES, PacketBytes};
use random::SplitMix64;

/// A transmission rate in bits per second, never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitRate(NonZeroU64);

impl BitRate {
    /// A rate of `bits_per_second`; `None` for zero, which would never send anything.
    pub fn from_bps(bits_per_second: u64) -> Option<Self> {
        NonZeroU64::new(bits_per_second).map(Self)
    }

    /// The rate in bits per second.
    pub fn as_bps(self) -> u64 {
        self.0.get()
    }

    /// How long the line is busy with a packet, rounded up to a nanosecond.
    pub fn time_for(self, packet: PacketBytes) -> Duration {
        let bit_nanoseconds = packet.get() as u128 * 8 * 1_000_000_000;
        let nanoseconds = bit_nanoseconds.div_ceil(u128::from(self.as_bps()));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
}

/// Some datagrams are held back and may be overtaken by those behind them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reorder {
    /// How many are held back, each by itself.
    pub share: Probability,
    /// How much longer than its delay such a datagram takes.
    pub by: Duration,
}

/// What a link does to datagrams. The default is a perfect link.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkProperties {
    /// One-way delay that every datagram sees at least.
    pub delay: Duration,
    /// Extra delay, uniform between zero and this. A datagram held back holds back those behind it.
    pub jitter: Duration,
    /// Which datagrams vanish.
    pub loss: Loss,
    /// Which datagrams are overtaken; `None` preserves order.
    pub reorder: Option<Reorder>,
    /// How many datagrams arrive twice, each by itself.
    pub duplicate: Probability,
    /// Rate of the line; `None` is infinitely fast. Headers count: see [`PacketBytes`].
    pub rate: Option<BitRate>,
    /// What the queue before the line holds, as the time the line takes for it; a datagram that does not fit is dropped. It
    /// counts bytes, as Linux's `tbf` and `bfifo` do: where a large datagram does not fit, a small one still may. No
    /// meaning without a rate.
    pub queue: Duration,
}

impl Default for LinkProperties {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            reorder: None,
            duplicate: Probability::ZERO,
            rate: None,
            queue: Duration::from_millis(50),
        }
    }
}

/// What becomes of an offered datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves the far end at `due`: never before `now` plus the delay, and never before an earlier datagram
    /// unless that one was held back.
    Deliver {
        /// When it leaves the far end.
        due: Instant,
        /// Whether it was held back, so that later ones may overtake it.
        held_back: bool,
        /// Whether a copy leaves right after it.
        twice: bool,
    },
    /// The path lost it.
    Lost,
    /// The queue before the line was full.
    QueueFull,
}

/// One directed link. Feed it datagrams in order of time; it costs tens of nanoseconds each and allocates
/// nothing.
#[derive(Debug)]
pub struct Link {
    properties: LinkProperties,
    random: SplitMix64,
    loss: LossProcess,
    line_free_at: Option<Instant>,
    latest_due: Option<Instant>,
}

impl Link {
    /// A link with its own stream of randomness: equal seeds and equal offers give equal verdicts.
    pub fn new(properties: LinkProperties, seed: u64) -> Self {
        let loss = LossProcess::new(&properties.loss);
        Self {
            properties,
            random: SplitMix64::new(seed),
            loss,
            line_free_at: None,
            latest_due: None,
        }
    }

    /// The properties now in force.
    pub fn properties(&self) -> &LinkProperties {
        &self.properties
    }

    /// Changes the properties for datagrams offered from now on; those under way keep their times, and order
    /// holds across the change.
    pub fn change(&mut self, properties: LinkProperties) {
        self.loss = LossProcess::new(&properties.loss);
        self.properties = properties;
    }

    /// Decides about a datagram of this size that arrives at `now`.
    pub fn offer(&mut self, now: Instant, packet: PacketBytes) -> Verdict {
        let Some(on_path_at) = self.cross_line(now, packet) else {
            return Verdict::QueueFull;
        };
        if self.loss.next_is_lost(&mut self.random) {
            return Verdict::Lost;
        }
        let due = on_path_at + self.properties.delay + self.draw_jitter();
        let in_order = self.latest_due.map_or(due, |latest| latest.max(due));
        let held_back_by = self.draw_hold();
        if held_back_by.is_none() {
            self.latest_due = Some(in_order);
        }
        Verdict::Deliver {
            due: in_order + held_back_by.unwrap_or_default(),
            held_back: held_back_by.is_some(),
            twice: self.draw_duplicate(),
        }
    }

    /// When the last bit is on the path, or `None` when the queue is full.
    fn cross_line(&mut self, now: Instant, packet: PacketBytes) -> Option<Instant> {
        let Some(rate) = self.properties.rate else {
            return Some(now);
        };
        let start = self.line_free_at.map_or(now, |free| free.max(now));
        let finish = start + rate.time_for(packet);
        // A line that is free takes whatever comes.
        if start > now && finish.duration_since(now) > self.properties.queue {
            return None;
        }
        self.line_free_at = Some(finish);
        Some(finish)
    }

    fn draw_jitter(&mut self) -> Duration {
        if self.properties.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.properties.jitter.mul_f64(self.random.next_unit())
    }

    // Properties that are off draw nothing, so that a seed loses the same datagrams with and without them.

    fn draw_hold(&mut self) -> Option<Duration> {
        let reorder = self.properties.reorder?;
        reorder.share.happens(&mut self.random).then_some(reorder.by)
    }

    fn draw_duplicate(&mut self) -> bool {
        self.properties.duplicate != Probability::ZERO && self.properties.duplicate.happens(&mut self.random)
    }
}
