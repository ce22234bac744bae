//! The estimate: down with a standing queue or unusual loss, up slowly with what arrives and quickly with probes.

use super::delivery::Delivery;
use super::loss::Loss;
use super::probe::{Finding, Prober};
use super::queue::QueueDelay;
use super::sound::SoundRate;
use super::train::Train;
use super::{Arrivals, BandwidthEstimator, SentBytes};
use relay_proto::unit::Bitrate;
use std::time::{Duration, Instant};

/// Where a new path starts, sound included: a small picture at once, and the first probe asks for twice as much.
const START: Bitrate = Bitrate(300_000);
/// Least estimate: below it there is nothing to choose.
const LEAST: Bitrate = Bitrate(30_000);
/// Largest estimate: no viewer takes more.
const MOST: Bitrate = Bitrate(100_000_000);
/// A queue that stands longer than this is ours to drain. Half of what a conversation notices, and above the jitter
/// that is left in the smallest delay of a quarter of a second.
const QUEUE_TARGET: Duration = Duration::from_millis(30);
/// Where others keep the queue full whatever we do, the target follows up to here: a call beside a download must not
/// starve.
const MAX_QUEUE_TARGET: Duration = Duration::from_millis(150);
/// Time constant of that.
const TARGET_TIME: f64 = 6.0;
/// Where a queue stands, the estimate becomes this part of what arrives, so that the queue drains.
const BACK_OFF: f64 = 0.85;
/// Time for a change to show before the next: half a second of a full queue.
const SETTLE: Duration = Duration::from_millis(400);
/// Growth a second while all is well; near the rate at which the path was last full, a quarter of it.
const GROWTH: f64 = 0.10;
/// Growth stops at this part above what arrives: nothing is known of more.
const MOST_ABOVE_DELIVERY: f64 = 1.5;
/// Where packets come this much faster in their fastest 60 ms than on average, it is not a full path that they queue in.
const HELD_BACK_PEAK: f64 = 2.5;
/// Even then sending less is tried once it has gone on for this long.
const HELD_BACK: Duration = Duration::from_secs(3);
/// A train of packets that comes at less than this part of the estimate shows a path that has become narrower.
const COLLAPSED: f64 = 0.3;
/// What is sent is averaged over this time, in µs.
const DEPARTURES_WINDOW_US: i64 = 500_000;
/// What a viewer that reports nothing keeps after each such time.
const SILENT_FACTOR: f64 = 0.5;
const SILENCE: Duration = Duration::from_secs(2);
/// Windows for the rate of arrival where the path is full, and where it has filled up suddenly, in µs.
const FULL_WINDOW_US: i64 = 300_000;
const SUDDEN_WINDOW_US: i64 = 100_000;
/// A queue of this many times the target is a sudden one.
const SUDDEN: f64 = 3.0;
/// A queue that still fills needs less than that.
const FILLING: f64 = 2.0;
/// Growth ends at this part of the rate at which the path was last full: only a probe shows more.
const MOST_ABOVE_FULL: f64 = 1.02;
/// That rate is forgotten when nothing has confirmed it for this long: several probes, or none that could be read.
const FULL_KNOWN: Duration = Duration::from_secs(15);

/// Estimates one viewer's path. Cost: a few operations a packet reported. Memory: about 2 KiB.
#[derive(Debug)]
pub struct Estimator {
    /// Of all that is sent, numbered or not: they share the path.
    total: f64,
    sound: SoundRate,
    queue: QueueDelay,
    train: Train,
    delivery: Delivery,
    departures: Delivery,
    loss: Loss,
    prober: Prober,
    queue_target: f64,
    /// Rate at which the path was last full, and when that was seen.
    full_at: Option<(f64, Instant)>,
    changed_at: Option<Instant>,
    /// Since when the queue has stood above its target at every report.
    full_since: Option<Instant>,
    fed_at: Option<Instant>,
    sent_before: u64,
    sent_at: Option<Instant>,
    silent_since: Option<Instant>,
    /// When the path began; what left before says nothing of it.
    since: Option<Instant>,
}

impl Default for Estimator {
    fn default() -> Self {
        Self {
            total: START.0 as f64,
            sound: SoundRate::default(),
            queue: QueueDelay::default(),
            train: Train::default(),
            delivery: Delivery::default(),
            departures: Delivery::default(),
            loss: Loss::default(),
            prober: Prober::default(),
            queue_target: QUEUE_TARGET.as_secs_f64(),
            full_at: None,
            changed_at: None,
            full_since: None,
            fed_at: None,
            sent_before: 0,
            sent_at: None,
            silent_since: None,
            since: None,
        }
    }
}

impl Estimator {
    /// The viewer is reached by another path from now on (Wi-Fi to LTE): nothing is known of it but what sound takes. What
    /// the old one was without a queue would make a longer new one look full for half a minute.
    pub fn begin_path(&mut self, now: Instant) {
        let sound = std::mem::take(&mut self.sound);
        *self = Self {
            total: (START.0 as f64).max(sound.rate() * MOST_ABOVE_DELIVERY),
            sound,
            sent_before: self.sent_before,
            since: Some(now),
            ..Self::default()
        };
    }

    /// How long a packet queues now, as far as is known.
    pub fn queued(&self) -> Duration {
        self.queue.standing().unwrap_or_default()
    }

    /// What sound takes of the path.
    #[must_use]
    pub fn sound(&self) -> Bitrate {
        Bitrate(self.sound.rate() as u64)
    }

    /// Bytes of padding to send now: towards `wanted`, what the viewer would get of pictures if there were room. Call
    /// every tick while [`Self::is_probing`], else several times a second.
    pub fn poll_padding(&mut self, now: Instant, wanted: Bitrate, sent: SentBytes) -> Option<usize> {
        self.sound.sent(now, sent.beside);
        if self.fed_at.is_none() && self.changed_at.is_none() && self.sound.rate() >= self.total {
            // Sound goes whatever is thought of the path. Where it alone takes more than that, as where somebody comes into a
            // room full of voices, there was no room for any picture, and so nothing the viewer could report on.
            self.total = self.sound.rate() * MOST_ABOVE_DELIVERY;
        }
        self.watch_silence(now, sent.numbered);
        if let Some(finding) = self.prober.expire(now) {
            self.on_finding(now, finding);
        }
        if self.is_settling(now) {
            return None;
        }
        let sound = self.sound();
        let wanted = Bitrate(wanted.0.saturating_add(sound.0));
        self.prober
            .poll(now, Bitrate(self.total as u64), wanted, sound, sent)
    }

    /// Whether a probe is being sent, so that [`Self::poll_padding`] must be called with every tick.
    #[must_use]
    pub const fn is_probing(&self) -> bool {
        self.prober.is_sending()
    }

    /// A viewer that gets packets and says nothing of them gets less and less: nobody knows what it carries.
    fn watch_silence(&mut self, now: Instant, sent_bytes: u64) {
        if sent_bytes == self.sent_before {
            return;
        }
        self.sent_before = sent_bytes;
        let paused = self
            .sent_at
            .is_some_and(|at| now.saturating_duration_since(at) >= SILENCE / 2);
        self.sent_at = Some(now);
        if paused {
            // What was sent last may have been lost, report and all: it is counted from here.
            self.silent_since = Some(now);
        }
        let since = *self.silent_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= SILENCE {
            self.set(now, self.total * SILENT_FACTOR);
            self.prober.stop(now);
            self.silent_since = Some(now);
        }
    }

    fn set(&mut self, now: Instant, total: f64) {
        self.total = total.clamp(LEAST.0 as f64, MOST.0 as f64);
        self.changed_at = Some(now);
    }

    fn is_settling(&self, now: Instant) -> bool {
        self.changed_at
            .is_some_and(|at| now.saturating_duration_since(at) < SETTLE)
    }

    fn on_full(&mut self, now: Instant, window_us: i64, loses: bool) {
        if self.is_settling(now) {
            return;
        }
        let delivered = self.delivery.rate(window_us).map(|rate| rate.0 as f64);
        let held_back = delivered
            .is_some_and(|delivered| self.delivery.peak(window_us).0 as f64 > HELD_BACK_PEAK * delivered);
        let target = match delivered {
            // It came faster than on average once it came: no narrow link held it back, but the receiver itself, unless
            // much is lost. If that goes on for long, sending less is tried.
            _ if held_back && !loses && !self.is_full_for_long(now) => return,
            Some(delivered) if !held_back && self.is_loaded() => {
                self.full_at = Some((delivered, now));
                (delivered * BACK_OFF).min(self.total)
            }
            // Who fills the path is not known: less is sent than it was thought to carry.
            _ => self.total * BACK_OFF,
        };
        self.set(now, target);
        self.look_anew(now);
    }

    /// The path hands out packets at much less than it was thought to carry.
    fn on_collapse(&mut self, now: Instant, carried: Bitrate) {
        let carried = carried.0 as f64;
        self.full_at = Some((carried, now));
        self.set(now, carried * BACK_OFF);
        self.look_anew(now);
    }

    /// What was seen before a change is not to be judged again.
    fn look_anew(&mut self, now: Instant) {
        self.full_since = None;
        self.queue.look_anew();
        self.train.look_anew();
        self.prober.stop(now);
    }

    fn is_full_for_long(&self, now: Instant) -> bool {
        self.full_since
            .is_some_and(|since| now.saturating_duration_since(since) >= HELD_BACK)
    }

    /// Whether about as much is sent as the path is thought to carry.
    fn is_loaded(&self) -> bool {
        let sent = self.departures.rate(DEPARTURES_WINDOW_US);
        sent.is_some_and(|sent| sent.0 as f64 * 2.0 >= self.total)
    }

    fn grow(&mut self, now: Instant, elapsed: Duration) {
        self.full_at = self
            .full_at
            .filter(|(_, at)| now.saturating_duration_since(*at) < FULL_KNOWN);
        let near_full = self.full_at.is_some_and(|(full, _)| self.total > 0.8 * full);
        let growth = if near_full { GROWTH / 4.0 } else { GROWTH };
        let grown = self.total * (1.0 + growth * elapsed.as_secs_f64().min(1.0));
        let delivered = self.delivery.rate(1_000_000).map_or(0.0, |rate| rate.0 as f64);
        let full = self.full_at.map_or(MOST.0 as f64, |(full, _)| full) * MOST_ABOVE_FULL;
        let most = (delivered * MOST_ABOVE_DELIVERY).min(full).min(MOST.0 as f64);
        if grown <= most {
            self.total = grown;
        }
    }

    fn on_finding(&mut self, now: Instant, finding: Finding) {
        match finding {
            Finding::AtLeast(rate) => {
                self.total = self.total.max(rate.0 as f64).min(MOST.0 as f64);
                if self.full_at.is_some_and(|(full, _)| self.total > full) {
                    self.full_at = None;
                }
            }
            Finding::Exactly(rate) => {
                self.full_at = Some((rate.0 as f64, now));
                self.total = self.total.max(0.95 * rate.0 as f64).min(MOST.0 as f64);
            }
        }
    }
}

impl BandwidthEstimator for Estimator {
    fn on_reports(&mut self, now: Instant, arrivals: &Arrivals) {
        let first = self.since.map_or(0, |since| {
            let since_us = arrivals.since_epoch_us(since);
            arrivals
                .packets
                .partition_point(|packet| packet.sent_us < since_us)
        });
        let reports = &arrivals.packets[first..];
        if reports.is_empty() {
            return;
        }
        self.silent_since = None;
        let elapsed = self
            .fed_at
            .map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        self.fed_at = Some(now);
        self.queue.on_reports(reports);
        self.delivery.on_reports(reports);
        self.departures.on_departures(reports);
        let lost = self.loss.on_reports(now, reports);
        if let Some(carried) = self.train.on_reports(reports)
            && (carried.0 as f64) < self.total * COLLAPSED
            && !self.is_settling(now)
        {
            return self.on_collapse(now, carried);
        }
        let standing = self.queue.standing().map_or(0.0, |queue| queue.as_secs_f64());
        let rising = self.queue.rising().map_or(0.0, |queue| queue.as_secs_f64());
        let follow = (elapsed.as_secs_f64() / TARGET_TIME).min(1.0);
        let towards = standing.clamp(QUEUE_TARGET.as_secs_f64(), MAX_QUEUE_TARGET.as_secs_f64());
        self.queue_target += (towards - self.queue_target) * follow;
        if standing > self.queue_target {
            self.full_since.get_or_insert(now);
        } else {
            self.full_since = None;
        }
        let climbing = self.queue.climbing().map_or(0.0, |queue| queue.as_secs_f64());
        if rising > SUDDEN * self.queue_target || climbing > FILLING * self.queue_target {
            return self.on_full(now, SUDDEN_WINDOW_US, lost.is_some());
        }
        if standing > self.queue_target || lost.is_some() {
            return self.on_full(now, FULL_WINDOW_US, lost.is_some());
        }
        if let Some(finding) = self.prober.on_reports(now, arrivals) {
            self.on_finding(now, finding);
        }
        if !self.is_settling(now) && standing < self.queue_target / 2.0 {
            self.grow(now, elapsed);
        }
    }

    fn estimate(&self) -> Bitrate {
        Bitrate((self.total - self.sound.rate()).max(0.0) as u64)
    }
}
