//! One directed link as a pure state machine: it says when a datagram leaves the far end, or why it never
//! does.
//!
//! A datagram passes, in this order: a queue bounded in time, a line of fixed rate, a lossy path, and a delay
//! with jitter. A lost datagram has used its share of the line, as on a real path. Order is always preserved.
//! Nothing here reads a clock or ambient randomness: `now` and the seed are arguments, so a run repeats
//! exactly.

mod loss;
pub(crate) mod random;
#[cfg(test)]
mod tests;

use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use loss::LossProcess;
pub use loss::{GilbertElliott, Loss, LossError, Probability};
use random::SplitMix64;

/// Bytes of IPv4 and UDP header that each datagram adds on the line; rates count them.
pub const HEADER_BYTES: usize = 28;

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

    /// How long the line is busy with `bytes`, rounded up to a nanosecond.
    pub fn time_for(self, bytes: usize) -> Duration {
        let bit_nanoseconds = bytes as u128 * 8 * 1_000_000_000;
        let nanoseconds = bit_nanoseconds.div_ceil(u128::from(self.as_bps()));
        Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
    }
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
    /// Rate of the line; `None` is infinitely fast. [`HEADER_BYTES`] count.
    pub rate: Option<BitRate>,
    /// Longest wait for the line; a datagram that would wait longer is dropped. No meaning without a rate.
    pub queue: Duration,
}

impl Default for LinkProperties {
    fn default() -> Self {
        Self {
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            loss: Loss::None,
            rate: None,
            queue: Duration::from_millis(50),
        }
    }
}

/// What becomes of an offered datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It leaves the far end at `due`: never before `now` plus the delay, never before an earlier datagram.
    Deliver {
        /// When it leaves the far end.
        due: Instant,
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

    /// Decides about a datagram with `payload_bytes` of UDP payload that arrives at `now`.
    pub fn offer(&mut self, now: Instant, payload_bytes: usize) -> Verdict {
        let Some(on_path_at) = self.cross_line(now, payload_bytes) else {
            return Verdict::QueueFull;
        };
        if self.loss.next_is_lost(&mut self.random) {
            return Verdict::Lost;
        }
        let due = on_path_at + self.properties.delay + self.draw_jitter();
        let due = self.latest_due.map_or(due, |latest| latest.max(due));
        self.latest_due = Some(due);
        Verdict::Deliver { due }
    }

    /// When the last bit is on the path, or `None` when the queue is full.
    fn cross_line(&mut self, now: Instant, payload_bytes: usize) -> Option<Instant> {
        let Some(rate) = self.properties.rate else {
            return Some(now);
        };
        let start = self.line_free_at.map_or(now, |free| free.max(now));
        if start.duration_since(now) > self.properties.queue {
            return None;
        }
        let finish = start + rate.time_for(payload_bytes + HEADER_BYTES);
        self.line_free_at = Some(finish);
        Some(finish)
    }

    fn draw_jitter(&mut self) -> Duration {
        if self.properties.jitter.is_zero() {
            return Duration::ZERO;
        }
        self.properties.jitter.mul_f64(self.random.next_unit())
    }
}
