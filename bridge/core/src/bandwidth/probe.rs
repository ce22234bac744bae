//! Padding that shows whether the path carries more than the media on it.
//!
//! A probe is 100 ms at a rate above the estimate, media and padding together. If it arrives as fast as it was sent,
//! the path carries that much; if not, the rate of arrival is what it carries. It follows at once while it finds more,
//! and after a pause once it has found the end.

use super::{Arrivals, PacketReport, SentBytes};
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// How long a probe lasts.
const LENGTH: Duration = Duration::from_millis(100);
/// Feedback for its last packet is there by then, or never: what is known then has to do.
const PATIENCE: Duration = Duration::from_millis(700);
/// Pause after one that found no more. A path that has become wider is found within it.
const PAUSE: Duration = Duration::from_millis(2_000);
/// Pause after one that found more.
const SHORT_PAUSE: Duration = Duration::from_millis(50);
/// Pause after one that said nothing, and how often it doubles while none does: a viewer may never report; one that
/// reports, but sleeps so much that nothing can be read from it, is asked again sooner.
const RETRY: Duration = Duration::from_millis(400);
const MOST_DOUBLINGS: u32 = 4;
const MOST_DOUBLINGS_HEARD: u32 = 1;
/// Pause after one of which nothing could be sent: there is no stream yet to carry it.
const UNSENT_PAUSE: Duration = Duration::from_millis(50);
/// Rate of a probe at first and after a success, and of one after a failure, in eighths of the estimate.
const ONWARD: u64 = 16;
const CAREFUL: u64 = 12;
/// A slower probe would have too few packets to say anything, and nothing would ever grow again. That of padding counts
/// apart from sound, which may take more than the path was once thought to carry.
const LEAST_RATE: u64 = 300_000;
const LEAST_PADDING_RATE: u64 = 200_000;
/// Room above what is wanted: just enough of it.
const WANTED_EIGHTHS: u64 = 9;
/// A probe that says something has at least so many packets and took so long to arrive.
const MIN_PACKETS: usize = 8;
const MIN_SPAN_US: i64 = 20_000;
/// It arrived as fast as it was sent if its rate is at least this many eighths of what was sent.
const AS_FAST_EIGHTHS: u64 = 7;

/// What a probe has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Finding {
    /// The path carries at least this.
    AtLeast(Bitrate),
    /// It carries this and no more.
    Exactly(Bitrate),
}

#[derive(Debug)]
enum Phase {
    /// Not before.
    Resting { until: Option<Instant> },
    /// Sending since `since`; `sent_before` bytes had been sent by then.
    Sending {
        since: Instant,
        rate: Bitrate,
        sent_before: SentBytes,
    },
    /// All sent between `since` and `end`; waiting for the feedback.
    Waiting {
        since: Instant,
        end: Instant,
        until: Instant,
    },
}

/// When to send padding, and what came of it.
#[derive(Debug)]
pub(super) struct Prober {
    phase: Phase,
    eighths: u64,
    /// Probes in a row that said nothing.
    mute: u32,
    /// What the path was thought to carry when the probe began.
    estimate: Bitrate,
    /// Of the probe's packets, in the order of sending.
    packets: Vec<PacketReport>,
}

impl Default for Prober {
    fn default() -> Self {
        Self {
            phase: Phase::Resting { until: None },
            eighths: ONWARD,
            mute: 0,
            estimate: Bitrate(0),
            packets: Vec::new(),
        }
    }
}

impl Prober {
    /// Bytes of padding due now, `sent` having been sent so far. `estimate` and `wanted` are with the `sound` that is
    /// part of them. Call every few milliseconds.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        estimate: Bitrate,
        wanted: Bitrate,
        sound: Bitrate,
        sent: SentBytes,
    ) -> Option<usize> {
        match self.phase {
            Phase::Resting { until } => {
                let rested = until.is_none_or(|until| until <= now);
                if rested && wanted.0 > estimate.0 {
                    let rate = (estimate.0 * self.eighths / 8)
                        .min(wanted.0 * WANTED_EIGHTHS / 8)
                        .max(LEAST_RATE)
                        .max(sound.0 + LEAST_PADDING_RATE);
                    self.estimate = estimate;
                    self.packets.clear();
                    self.phase = Phase::Sending {
                        since: now,
                        rate: Bitrate(rate),
                        sent_before: sent,
                    };
                }
                None
            }
            Phase::Sending {
                since,
                rate,
                sent_before,
            } => {
                let elapsed = now.saturating_duration_since(since);
                let due = rate.0 * elapsed.min(LENGTH).as_micros() as u64 / 8_000_000;
                let bytes = due.saturating_sub(sent.total() - sent_before.total());
                if elapsed >= LENGTH && sent.numbered == sent_before.numbered {
                    self.rest(now, UNSENT_PAUSE, self.eighths);
                } else if elapsed >= LENGTH {
                    // A tick that comes late sends what is left of it, which is part of it.
                    self.phase = Phase::Waiting {
                        since,
                        end: if bytes > 0 { now } else { since + LENGTH },
                        until: now + PATIENCE,
                    };
                }
                (bytes > 0).then_some(bytes as usize)
            }
            Phase::Waiting { .. } => None,
        }
    }

    /// Whether a probe is on its way out.
    pub(super) const fn is_sending(&self) -> bool {
        matches!(self.phase, Phase::Sending { .. })
    }

    /// Gives up a probe and waits: the path is full.
    pub(super) fn stop(&mut self, now: Instant) {
        self.rest(now, PAUSE, CAREFUL);
    }

    fn rest(&mut self, now: Instant, pause: Duration, eighths: u64) {
        self.phase = Phase::Resting {
            until: Some(now + pause),
        };
        self.eighths = eighths;
        // Given back: most paths are at rest most of the time, and a wide one has taken kilobytes.
        self.packets = Vec::new();
    }

    /// Takes the packets of one feedback; what the probe has shown, once its last packet is reported on.
    pub(super) fn on_reports(&mut self, now: Instant, arrivals: &Arrivals) -> Option<Finding> {
        let (since, end, ended) = match self.phase {
            Phase::Resting { .. } => return None,
            Phase::Sending { since, .. } => (since, now, false),
            Phase::Waiting { since, end, .. } => (since, end, true),
        };
        let [since_us, end_us] = [since, end].map(|at| arrivals.since_epoch_us(at));
        let packets = &arrivals.packets;
        let of_probe = packets
            .iter()
            .filter(|packet| packet.sent_us > since_us && packet.sent_us <= end_us);
        self.packets.extend(of_probe);
        if !ended || packets.last().is_none_or(|last| last.sent_us < end_us) {
            return None;
        }
        self.conclude(now)
    }

    /// What a probe has shown whose last packet is not going to be reported on any more. Call before [`Self::poll`].
    pub(super) fn expire(&mut self, now: Instant) -> Option<Finding> {
        match self.phase {
            Phase::Waiting { until, .. } if until <= now => self.conclude(now),
            _ => None,
        }
    }

    fn conclude(&mut self, now: Instant) -> Option<Finding> {
        let finding = self.read();
        let heard = self.packets.iter().any(|report| report.arrived_us.is_some());
        let most = if heard {
            MOST_DOUBLINGS_HEARD
        } else {
            MOST_DOUBLINGS
        };
        let mute = std::mem::take(&mut self.mute);
        match finding {
            Some(Finding::AtLeast(_)) => self.rest(now, SHORT_PAUSE, ONWARD),
            Some(Finding::Exactly(_)) => self.rest(now, PAUSE, CAREFUL),
            None => {
                self.rest(now, RETRY * (1 << mute.min(most)), CAREFUL);
                self.mute = mute.saturating_add(1);
            }
        }
        finding
    }

    /// Rates from the first packet (not counted) to the last, both of departure and of arrival; what goes without a
    /// number between them is in the same queue and counts too.
    fn read(&self) -> Option<Finding> {
        let arrived: Vec<(i64, &PacketReport)> = self
            .packets
            .iter()
            .filter_map(|report| Some((report.arrived_us?, report)))
            .collect();
        let ((first_arrived, first), rest) = arrived.split_first()?;
        let (_, last) = rest.last()?;
        let last_arrived = rest.iter().map(|(at, _)| *at).max()?;
        let numbered: u64 = rest.iter().map(|(_, report)| u64::from(report.bytes)).sum();
        let bytes = numbered + super::beside_between(first.beside, last.beside);
        let sent_us = last.sent_us - first.sent_us;
        let arrived_us = last_arrived - first_arrived;
        if arrived.len() < MIN_PACKETS || sent_us < MIN_SPAN_US {
            return None;
        }
        // A narrow link hands packets out evenly; a receiver that slept reads them all at once. The link then carries at
        // least what came in all that time.
        let rate = |span_us: i64| bytes * 8_000_000 / span_us as u64;
        let pauses = arrived.windows(2).map(|pair| pair[1].0 - pair[0].0);
        let slept = pauses.max().is_some_and(|pause| pause * 2 > arrived_us);
        if slept || arrived_us < MIN_SPAN_US {
            let all_came = arrived.len() == self.packets.len();
            let least = rate(arrived_us.max(sent_us));
            let is_news = arrived_us <= sent_us || least > self.estimate.0;
            return (all_came && is_news).then_some(Finding::AtLeast(Bitrate(least)));
        }
        let (sent, delivered) = (rate(sent_us), rate(arrived_us));
        if delivered >= sent * AS_FAST_EIGHTHS / 8 {
            Some(Finding::AtLeast(Bitrate(delivered.min(sent))))
        } else {
            Some(Finding::Exactly(Bitrate(delivered)))
        }
    }
}
