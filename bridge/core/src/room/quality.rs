//! How good a client's connection is, from what its media session sees: losses both ways, round trip, room and silence.
//!
//! What is shown follows what is seen late, so that nothing flaps: it gets worse after three seconds in which everything
//! seen was worse, better after eight. Only *lost* is shown at once, and only where nothing authentic has come for ten
//! seconds in which this node itself did not stand still: clients give up a connection that is called lost.

use super::window::Window;
use crate::bandwidth::Arrivals;
use relay_proto::room::ConnectionQuality::{self, Excellent, Good, Lost, Poor};
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// How often a connection is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Nobody looked for this long: it was this node that stood still.
const STOOD_STILL: Duration = Duration::from_secs(3);
/// Silence after which a connection is lost: clients check theirs every five seconds at most (RFC 7675).
const SILENT: Duration = Duration::from_secs(10);
/// Worse is shown after this time, better after that.
const WORSE_AFTER: Duration = Duration::from_secs(3);
const BETTER_AFTER: Duration = Duration::from_secs(8);
/// Loss, in parts of one, from which a connection is good or poor. Repair hides less than the first.
const GOOD_LOSS: f64 = 0.03;
const POOR_LOSS: f64 = 0.10;
/// Round trips from which it is good or poor (ITU-T G.114: talking over each other begins at 400 ms one way).
const GOOD_RTT: Duration = Duration::from_millis(400);
const POOR_RTT: Duration = Duration::from_millis(800);

/// What a media session sees of its client at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Media packets expected from it and received, counted from its beginning.
    pub uplink: (u64, u64),
    /// What its path carries.
    pub estimate: Bitrate,
    /// What it would take to carry all it wishes.
    pub wanted: Bitrate,
    /// A picture is paused for want of room.
    pub paused: bool,
    /// Time since anything authentic came; none where that cannot be told.
    pub silent: Option<Duration>,
}

/// Judges one connection. Cost: a few operations a second, and one per packet the client reports on.
#[derive(Debug, Default)]
pub struct QualityMeter {
    uplink: Window,
    downlink: Window,
    uplink_before: (u64, u64),
    rtt: Option<Duration>,
    looked_at: Option<Instant>,
    /// Silence before this says nothing: this node stood still.
    trusted_from: Option<Instant>,
    shown: Option<ConnectionQuality>,
    /// Since when everything seen was worse, or better, than what is shown, and the nearest to it of that time.
    leaning: Option<(Instant, ConnectionQuality)>,
}

impl QualityMeter {
    /// Takes what the client says of the packets it was sent.
    pub fn count_arrivals(&mut self, now: Instant, arrivals: &Arrivals) {
        let reports = &arrivals.packets;
        self.downlink.expected += reports.len() as f64;
        self.downlink.lost += reports
            .iter()
            .filter(|report| report.arrived_us.is_none())
            .count() as f64;
        let newest = reports.iter().rev().find(|report| report.arrived_us.is_some());
        if let Some(newest) = newest {
            // Reports are gathered for a while before they are sent: the shortest time is nearest to the round trip.
            let took = now.saturating_duration_since(arrivals.sent(newest));
            self.rtt = Some(self.rtt.map_or(took, |known| known.min(took)));
        }
    }

    /// Whether it is time to look.
    #[must_use]
    pub fn is_due(&self, now: Instant) -> bool {
        self.looked_at
            .is_none_or(|at| now.saturating_duration_since(at) >= INTERVAL)
    }

    /// Looks; what is to be shown from now on where that has changed.
    pub fn look(&mut self, now: Instant, seen: Seen) -> Option<ConnectionQuality> {
        if self
            .looked_at
            .is_some_and(|at| now.saturating_duration_since(at) >= STOOD_STILL)
        {
            self.trusted_from = Some(now);
        }
        self.looked_at = Some(now);
        let verdict = self.verdict(now, seen);
        let shown = self.follow(now, verdict);
        let changed = self.shown != Some(shown);
        self.shown = Some(shown);
        changed.then_some(shown)
    }

    fn verdict(&mut self, now: Instant, seen: Seen) -> ConnectionQuality {
        let (expected, received) = (
            seen.uplink.0.saturating_sub(self.uplink_before.0),
            seen.uplink.1.saturating_sub(self.uplink_before.1),
        );
        self.uplink_before = seen.uplink;
        self.uplink.expected += expected as f64;
        self.uplink.lost += expected.saturating_sub(received) as f64;
        let loss = self.uplink.loss().max(self.downlink.loss());
        self.uplink.fade();
        self.downlink.fade();
        let rtt = self.rtt.take().unwrap_or_default();
        let trusted = self
            .trusted_from
            .is_none_or(|from| now.saturating_duration_since(from) >= SILENT);
        if seen.silent.is_some_and(|silent| silent >= SILENT) && trusted {
            Lost
        } else if loss >= POOR_LOSS || rtt >= POOR_RTT || seen.paused {
            Poor
        } else if loss >= GOOD_LOSS || rtt >= GOOD_RTT || seen.estimate.0 < seen.wanted.0 / 2 {
            Good
        } else {
            Excellent
        }
    }

    /// What to show now that `verdict` was seen.
    fn follow(&mut self, now: Instant, verdict: ConnectionQuality) -> ConnectionQuality {
        let shown = match (self.shown, verdict) {
            (None, _) | (_, Lost) => verdict,
            // It is back; how good it is must show.
            (Some(Lost), _) => Poor,
            (Some(shown), _) => shown,
        };
        if verdict == shown || self.shown != Some(shown) {
            self.leaning = None;
            return shown;
        }
        let worse = verdict < shown;
        let (since, nearest) = match self.leaning {
            Some((since, nearest)) if worse && nearest < shown => (since, nearest.max(verdict)),
            Some((since, nearest)) if !worse && nearest > shown => (since, nearest.min(verdict)),
            _ => (now, verdict),
        };
        let after = if worse { WORSE_AFTER } else { BETTER_AFTER };
        if now.saturating_duration_since(since) >= after {
            self.leaning = None;
            nearest
        } else {
            self.leaning = Some((since, nearest));
            shown
        }
    }
}

#[cfg(test)]
mod tests;
