//! How much one viewer's path carries, from what its transport-wide feedback says of each packet.
//!
//! [`Estimator`] combines four observations: how long packets queue (`queue`), how fast a few in a row are handed
//! out (`train`), how much arrives (`delivery`) and what is lost (`loss`). Media alone cannot show room for more
//! than is being sent, so `probe` says when to send padding and reads what came of it. All of it is arithmetic on
//! reports; the forward path only numbers its packets.
//!
//! The forwarder does not pace: what a publisher sends in a burst goes out in a burst. So delay is read from the
//! *first* packet of each burst, which has met what stood in the queue before, not from the burst's own length.
//!
//! What may not live here: layers and viewers' wishes (see [`crate::allocation`]), packets, sessions.

mod delivery;
mod estimator;
mod loss;
mod probe;
mod queue;
mod sound;
#[cfg(test)]
mod tests;
mod train;

pub use estimator::Estimator;

use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// What one feedback says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// When the first of all packets left: departures are counted from here, and it stays the same for a sender.
    pub epoch: Instant,
    /// What became of each packet, in the order of sending.
    pub packets: Vec<PacketReport>,
}

impl Arrivals {
    /// When a packet left.
    #[must_use]
    pub fn sent(&self, packet: &PacketReport) -> Instant {
        self.epoch + Duration::from_micros(packet.sent_us.max(0) as u64)
    }

    /// A moment in the time of departures; negative before the first packet.
    fn since_epoch_us(&self, at: Instant) -> i64 {
        match at.checked_duration_since(self.epoch) {
            Some(after) => after.as_micros() as i64,
            None => -(self.epoch.duration_since(at).as_micros() as i64),
        }
    }
}

/// What became of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketReport {
    /// When it left, in µs after [`Arrivals::epoch`].
    pub sent_us: i64,
    /// When it came, in µs of the receiver's clock; none where it is lost.
    pub arrived_us: Option<i64>,
    /// Its size on the wire, IP and UDP included.
    pub bytes: u32,
    /// Bytes of packets without a number that had left before it: a counter that wraps. They share the queue.
    pub beside: u32,
}

/// What has been sent on a path so far, in bytes on the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentBytes {
    /// With a number, to be reported on.
    pub numbered: u64,
    /// Without one: sound.
    pub beside: u64,
}

impl SentBytes {
    pub(super) const fn total(self) -> u64 {
        self.numbered + self.beside
    }
}

/// Bytes that left between two packets without a number; none where the later one is named first.
fn beside_between(earlier: u32, later: u32) -> u64 {
    u64::try_from(later.wrapping_sub(earlier) as i32).unwrap_or(0)
}

/// An estimator of what a path carries: fed with reports, asked for a rate.
pub trait BandwidthEstimator {
    /// Takes what one feedback says.
    fn on_reports(&mut self, now: Instant, arrivals: &Arrivals);

    /// What the path carries now of numbered packets: what goes without a number has its room already.
    fn estimate(&self) -> Bitrate;
}
