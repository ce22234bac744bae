//! Liveness of one link from the echoes of our pings. Pure: it is told what was sent and heard, and says a verdict.
//!
//! Only echoes prove a link, because only they prove both directions. Silence is measured from the arrival of the last
//! echo, so that the round trip cancels out of the verdict: a long link is judged as fast as a short one.
//!
//! A link that carries media is suspect sooner: where packets came every few milliseconds and then nothing at all does, not
//! even the peer's own pings, three pings need not be waited for. What that costs where it is wrong is a few packets over
//! another way.

use super::config::MeshTiming;
use relay_proto::unit::PartsPerMillion;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What the echoes say of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Alive,
    Suspect,
    Dead,
}

/// Pings without echo that are remembered; older ones count as lost.
const MAX_OUTSTANDING: usize = 64;
/// Weight of a new sample in the smoothed round trip (RFC 6298 section 2).
const RTT_WEIGHT: f64 = 1.0 / 8.0;
/// Weight of a new difference in the jitter (RFC 3550 section 6.4.1).
const JITTER_WEIGHT: f64 = 1.0 / 16.0;
/// Weight of one ping in the loss: about the last ten seconds at the default interval.
const LOSS_WEIGHT: f64 = 1.0 / 64.0;

/// Datagrams a second from which on a link is busy: one sound, and the pings of both sides.
const BUSY_PER_SECOND: u128 = 45;
/// Shortest time over which that is measured.
const BUSY_WINDOW: Duration = Duration::from_millis(250);

/// Round trips of which the smallest counts: two seconds of them, and up to as many before.
const ECHOES_PER_WINDOW: u32 = 20;

/// A ping whose echo has not come.
#[derive(Debug)]
struct Outstanding {
    number: u32,
    sent_at: Instant,
    /// When it is given up and counts as lost.
    lost_at: Instant,
}

#[derive(Debug)]
pub(super) struct Detector {
    timing: MeshTiming,
    next_number: u32,
    outstanding: VecDeque<Outstanding>,
    /// Silence counts from here: the arrival of the last echo, and the time after it in which nobody listened.
    silent_since: Instant,
    last_rtt: Option<Duration>,
    smoothed_rtt: Option<Duration>,
    min_rtt: Option<Duration>,
    /// Smallest round trip of the window that fills, and of the one before it.
    least_rtts: [Option<Duration>; 2],
    echoes_in_window: u32,
    jitter: Duration,
    loss: f64,
    /// Media comes by this link: it is asked twice as often, and suspected sooner.
    brisk: bool,
    /// Datagrams of every kind that have come, and when the last one did.
    heard: (u64, Instant),
    /// The same where the window began over which the link is found busy or not. It ends with a datagram: silence makes no link
    /// idle.
    heard_before: (u64, Instant),
    busy: bool,
}

impl Detector {
    /// A detector of a link that has just come up.
    pub(super) fn new(timing: MeshTiming, now: Instant) -> Self {
        Self {
            timing,
            next_number: 1,
            outstanding: VecDeque::new(),
            silent_since: now,
            last_rtt: None,
            smoothed_rtt: None,
            min_rtt: None,
            least_rtts: [None; 2],
            echoes_in_window: 0,
            jitter: Duration::ZERO,
            loss: 0.0,
            brisk: false,
            heard: (0, now),
            heard_before: (0, now),
            busy: false,
        }
    }

    /// Notes how many datagrams of every kind have come so far, and when the last one did.
    pub(super) fn on_heard(&mut self, datagrams: u64, last_at: Instant) {
        if datagrams == self.heard.0 {
            return;
        }
        self.heard = (datagrams, last_at.max(self.heard.1));
        let (before, since) = self.heard_before;
        let window = self.heard.1.saturating_duration_since(since);
        if window >= BUSY_WINDOW {
            let came = u128::from(datagrams.saturating_sub(before));
            self.busy = came * 1_000 >= BUSY_PER_SECOND * window.as_millis();
            self.heard_before = self.heard;
        }
    }

    /// Says whether media comes by this link. Whoever waits for it looks elsewhere after 225 ms of silence, instead of 350:
    /// four echoes of 50 ms must be missing, which 5 % of random loss each way brings about once in nine minutes.
    pub(super) const fn set_brisk(&mut self, brisk: bool) {
        self.brisk = brisk;
    }

    /// Between two pings.
    pub(super) fn interval(&self) -> Duration {
        self.timing.ping_interval / if self.brisk { 2 } else { 1 }
    }

    /// Notes that a ping leaves now; answers its number.
    pub(super) fn on_ping_sent(&mut self, now: Instant) -> u32 {
        self.give_up_on_old(now);
        let number = self.next_number;
        self.next_number = self.next_number.wrapping_add(1);
        self.outstanding.push_back(Outstanding {
            number,
            sent_at: now,
            lost_at: now + self.timing.ping_interval * self.timing.down_after_missed,
        });
        number
    }

    /// Takes time in which this node itself stood still out of the silence: `late` until `now`. Echoes that came
    /// meanwhile wait to be read, so their absence says nothing of the link.
    pub(super) fn on_stall(&mut self, now: Instant, late: Duration) {
        self.silent_since = (self.silent_since + late).min(now);
        self.heard.1 = (self.heard.1 + late).min(now);
        for ping in &mut self.outstanding {
            ping.lost_at += late;
        }
    }

    /// Notes an echo. One that answers no outstanding ping (late, doubled or invented) changes nothing.
    pub(super) fn on_echo(&mut self, now: Instant, number: u32) {
        let Some(at) = self.outstanding.iter().position(|ping| ping.number == number) else {
            return;
        };
        let Some(ping) = self.outstanding.remove(at) else {
            return;
        };
        self.note_loss(false);
        self.silent_since = now;
        self.heard.1 = self.heard.1.max(now);
        self.on_round_trip(now.saturating_duration_since(ping.sent_at));
    }

    fn on_round_trip(&mut self, rtt: Duration) {
        if let Some(last) = self.last_rtt {
            let difference = rtt.abs_diff(last);
            self.jitter = self.jitter.mul_f64(1.0 - JITTER_WEIGHT) + difference.mul_f64(JITTER_WEIGHT);
        }
        self.last_rtt = Some(rtt);
        self.smoothed_rtt = Some(self.smoothed_rtt.map_or(rtt, |smoothed| {
            smoothed.mul_f64(1.0 - RTT_WEIGHT) + rtt.mul_f64(RTT_WEIGHT)
        }));
        self.min_rtt = Some(self.min_rtt.map_or(rtt, |min| min.min(rtt)));
        if self.echoes_in_window == ECHOES_PER_WINDOW {
            self.least_rtts = [None, self.least_rtts[0]];
            self.echoes_in_window = 0;
        }
        self.echoes_in_window += 1;
        let [filling, _] = &mut self.least_rtts;
        *filling = Some(filling.map_or(rtt, |least| least.min(rtt)));
    }

    fn give_up_on_old(&mut self, now: Instant) {
        while let Some(oldest) = self.outstanding.front() {
            if now <= oldest.lost_at && self.outstanding.len() < MAX_OUTSTANDING {
                return;
            }
            self.outstanding.pop_front();
            self.note_loss(true);
        }
    }

    fn note_loss(&mut self, lost: bool) {
        self.loss += (f64::from(u8::from(lost)) - self.loss) * LOSS_WEIGHT;
    }

    /// The verdict at `now`.
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        if now >= self.dead_at() {
            Verdict::Dead
        } else if now >= self.suspect_at() {
            Verdict::Suspect
        } else {
            Verdict::Alive
        }
    }

    /// When the verdict changes if nothing is heard; none once it is `Dead`.
    pub(super) fn next_verdict_at(&self, now: Instant) -> Option<Instant> {
        [self.suspect_at(), self.dead_at()]
            .into_iter()
            .find(|at| *at > now)
    }

    fn suspect_at(&self) -> Instant {
        let missed = self.timing.suspect_after_missed + u32::from(self.brisk);
        let by_echoes = self.silent_for(missed, self.interval());
        if self.busy {
            by_echoes.min(self.heard.1 + self.timing.busy_silence + self.grace())
        } else {
            by_echoes
        }
    }

    fn dead_at(&self) -> Instant {
        self.silent_for(self.timing.down_after_missed, self.timing.ping_interval)
    }

    /// Half an interval more than `missed` of them, so that the last one had its chance to arrive.
    fn silent_for(&self, missed: u32, interval: Duration) -> Instant {
        self.silent_since + interval * missed + interval / 2 + self.grace()
    }

    /// What is added to either verdict.
    fn grace(&self) -> Duration {
        match self.last_rtt {
            Some(_) => (self.jitter * 4).min(self.timing.jitter_allowance),
            None => self.timing.first_echo_grace,
        }
    }

    /// Smoothed round trip, once measured.
    pub(super) const fn smoothed_rtt(&self) -> Option<Duration> {
        self.smoothed_rtt
    }

    /// Smallest round trip of the last few seconds, once measured: how long the link is. What waits for a processor or in a
    /// queue makes it no longer.
    pub(super) fn least_rtt(&self) -> Option<Duration> {
        self.least_rtts.iter().flatten().min().copied()
    }

    /// Smallest round trip, once measured.
    pub(super) const fn min_rtt(&self) -> Option<Duration> {
        self.min_rtt
    }

    /// Smoothed difference of successive round trips.
    pub(super) const fn jitter(&self) -> Duration {
        self.jitter
    }

    /// Smoothed share of pings without echo.
    pub(super) fn loss(&self) -> PartsPerMillion {
        PartsPerMillion((self.loss * 1e6) as u32)
    }
}
