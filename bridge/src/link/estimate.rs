//! What a link is believed to carry: written by the congestion controller, read by the lanes and by metrics.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of the rate of a link, all in bits per second of QUIC packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimits {
    /// Rate before anything is known.
    pub initial_bps: u64,
    /// Never below: what audio of a large room needs.
    pub floor_bps: u64,
    /// Never above: what the operator lets a link take.
    pub cap_bps: u64,
}

impl RateLimits {
    pub(super) fn clamp(&self, bps: u64) -> u64 {
        bps.clamp(self.floor_bps.min(self.cap_bps), self.cap_bps)
    }
}

impl Default for RateLimits {
    /// 100 Mbit/s to begin with, 500 kbit/s at least, 1 Gbit/s at most.
    fn default() -> Self {
        Self {
            initial_bps: 100_000_000,
            floor_bps: 500_000,
            cap_bps: 1_000_000_000,
        }
    }
}

/// The shared view of one link. Each field is a value of its own; nobody needs two of them to agree.
#[derive(Debug)]
pub struct LinkEstimate {
    rate_bps: AtomicU64,
    capacity_bps: AtomicU64,
    wanted_bps: AtomicU64,
    cap_bps: u64,
    probing: AtomicBool,
    delivered_bps: AtomicU64,
    queue_us: AtomicU64,
    loss_ppm: AtomicU32,
    held_back: AtomicBool,
}

impl LinkEstimate {
    /// A link of which nothing is known yet.
    #[must_use]
    pub fn new(limits: &RateLimits) -> Self {
        Self {
            rate_bps: AtomicU64::new(limits.clamp(limits.initial_bps)),
            capacity_bps: AtomicU64::new(limits.clamp(limits.initial_bps)),
            wanted_bps: AtomicU64::new(0),
            cap_bps: limits.cap_bps,
            probing: AtomicBool::new(false),
            delivered_bps: AtomicU64::new(0),
            queue_us: AtomicU64::new(0),
            loss_ppm: AtomicU32::new(0),
            held_back: AtomicBool::new(false),
        }
    }

    /// Bits per second the link is believed to carry. What the lanes may send is less while a queue is drained.
    #[must_use]
    pub fn capacity_bps(&self) -> u64 {
        self.capacity_bps.load(Ordering::Relaxed)
    }

    /// Whether more is wished for than the link is believed to carry, and it is time to find out whether it carries more:
    /// the lanes send padding up to their rate.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        let most = self.wanted_bps.load(Ordering::Relaxed).min(self.cap_bps);
        self.probing.load(Ordering::Relaxed) && self.rate_bps() < most
    }

    /// Bits per second the lanes may send.
    #[must_use]
    pub fn rate_bps(&self) -> u64 {
        self.rate_bps.load(Ordering::Relaxed)
    }

    /// Bits per second the peer confirmed in the last round.
    #[must_use]
    pub fn delivered_bps(&self) -> u64 {
        self.delivered_bps.load(Ordering::Relaxed)
    }

    /// Delay that stands in queues on the way, as of the last round.
    #[must_use]
    pub fn queue(&self) -> Duration {
        Duration::from_micros(self.queue_us.load(Ordering::Relaxed))
    }

    /// Lost share of what was sent, in parts per million, over the last few hundred packets.
    #[must_use]
    pub fn loss_ppm(&self) -> u32 {
        self.loss_ppm.load(Ordering::Relaxed)
    }

    pub(super) fn set_rate_bps(&self, bps: u64) {
        self.rate_bps.store(bps, Ordering::Relaxed);
    }

    pub(super) fn set_capacity_bps(&self, bps: u64) {
        self.capacity_bps.store(bps, Ordering::Relaxed);
    }

    pub(super) fn set_probing(&self, probing: bool) {
        self.probing.store(probing, Ordering::Relaxed);
    }

    /// What would cross if it could; zero where all does.
    pub(super) fn set_wanted_bps(&self, bps: u64) {
        self.wanted_bps.store(bps, Ordering::Relaxed);
    }

    pub(super) fn set_round(&self, delivered_bps: u64, queue: Duration) {
        self.delivered_bps.store(delivered_bps, Ordering::Relaxed);
        self.queue_us.store(
            u64::try_from(queue.as_micros()).unwrap_or(u64::MAX),
            Ordering::Relaxed,
        );
    }

    pub(super) fn set_loss_ppm(&self, ppm: u32) {
        self.loss_ppm.store(ppm, Ordering::Relaxed);
    }

    /// The lanes had more to send than the rate allowed: only then does it make sense to try a higher one.
    pub(super) fn note_held_back(&self) {
        self.held_back.store(true, Ordering::Relaxed);
    }

    pub(super) fn take_held_back(&self) -> bool {
        self.held_back.swap(false, Ordering::Relaxed)
    }
}
