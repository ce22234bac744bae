//! A viewer behind an emulated link, in virtual time: pictures in three layers sent in bursts as publishers send them,
//! sound beside them, feedback every 50 ms.

use crate::bandwidth::{Arrivals, BandwidthEstimator, PacketReport, SentBytes};
use relay_proto::unit::Bitrate;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

const FRAME_MS: u64 = 33;
const PACKET_BYTES: u64 = 1_100;
const AUDIO_BYTES: u64 = 120;
const UDP_IP_BYTES: u64 = 28;
/// What sound takes of the line, headers and all: it is not numbered, and not part of the estimate.
pub(super) const AUDIO_RATE: u64 = (AUDIO_BYTES + UDP_IP_BYTES) * 8 * 50;
const AUDIO_MS: u64 = 20;
const MOST_PEOPLE: usize = 8;
const FEEDBACK_MS: u64 = 50;
const TICK_MS: u64 = 10;

/// What of a queue is limited.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bound {
    /// Its bytes, as by Linux's `tbf` and `bfifo`: where a large packet does not fit, a small one still may.
    Bytes,
    /// The places in it: whoever comes first takes the next that is free, however large it is.
    Places,
}

/// What the link is like from a moment on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    pub(super) rate: u64,
    pub(super) delay_ms: u64,
    pub(super) jitter_ms: u64,
    pub(super) loss_percent: f64,
    pub(super) burst: f64,
    pub(super) queue_ms: u64,
    pub(super) bound: Bound,
    /// The receiver gets a processor only so often, at random: it reads what has come meanwhile all at once.
    pub(super) stall_ms: u64,
    /// The node gets one only so often too: ticks come late by up to this.
    pub(super) late_tick_ms: u64,
    /// People who speak all the time.
    pub(super) sounds: u64,
    /// People whose pictures share what is sent, each at moments of their own.
    pub(super) cameras: u64,
}

impl Line {
    pub(super) const fn of(rate: u64) -> Self {
        Self {
            rate,
            delay_ms: 20,
            jitter_ms: 0,
            loss_percent: 0.0,
            burst: 1.0,
            queue_ms: 200,
            bound: Bound::Bytes,
            stall_ms: 0,
            late_tick_ms: 0,
            sounds: 1,
            cameras: 1,
        }
    }
}

/// Estimator under test; some have no probes.
pub(super) trait Subject: BandwidthEstimator {
    fn padding(&mut self, now: Instant, wanted: Bitrate, sent: SentBytes) -> Option<usize>;
}

impl Subject for crate::bandwidth::Estimator {
    fn padding(&mut self, now: Instant, wanted: Bitrate, sent: SentBytes) -> Option<usize> {
        self.poll_padding(now, wanted, sent)
    }
}

/// One second of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Second {
    /// Mean estimate.
    pub(super) estimate: u64,
    /// Longest time between two arrivals of sound.
    pub(super) audio_gap_ms: u64,
    pub(super) audio_sent: u64,
    pub(super) audio_lost: u64,
    /// Longest time a packet of sound queued.
    pub(super) audio_queued_ms: u64,
    /// Padding sent.
    pub(super) padding_bytes: u64,
    pub(super) media_bytes: u64,
}

/// When a person's packets leave within their interval; the first's at its start.
const fn phase(seed: u64, person: u64) -> u64 {
    if person == 0 {
        0
    } else {
        (seed + person).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
    }
}

struct Random(u64);

impl Random {
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

struct InFlight {
    sent_us: u64,
    arrives_us: Option<u64>,
    bytes: u64,
    beside: u32,
}

struct World {
    start: Instant,
    random: Random,
    line: Line,
    bad: bool,
    /// When the link has sent all it holds, in µs since the start.
    free_at_us: u64,
    last_arrival_us: u64,
    /// When the receiver reads next.
    reads_at_us: u64,
    in_flight: VecDeque<InFlight>,
    sent: SentBytes,
}

impl World {
    /// When a packet arrives, if it does; with the time it queued.
    fn send(&mut self, now_us: u64, bytes: u64) -> Option<(u64, u64)> {
        let waits = self.free_at_us.saturating_sub(now_us);
        let mean = self.line.loss_percent / 100.0;
        let leave = 1.0 / self.line.burst;
        let enter = leave * mean / (1.0 - mean);
        self.bad = self.random.unit() < if self.bad { 1.0 - leave } else { enter };
        let takes = (bytes + UDP_IP_BYTES) * 8_000_000 / self.line.rate;
        let full = self.line.queue_ms * 1_000;
        let fits = match self.line.bound {
            Bound::Bytes => waits == 0 || waits + takes <= full,
            Bound::Places => waits <= full,
        };
        if !fits {
            return None;
        }
        self.free_at_us = now_us.max(self.free_at_us) + takes;
        if self.bad {
            return None;
        }
        let jitter = (self.random.unit() * (2 * self.line.jitter_ms * 1_000) as f64) as u64;
        let arrives = self.free_at_us + self.line.delay_ms * 1_000 + jitter;
        while self.reads_at_us < arrives && self.line.stall_ms > 0 {
            // Mostly short, sometimes long.
            let stall = self.random.unit().powi(10) * (self.line.stall_ms * 1_000) as f64;
            self.reads_at_us += 1_000 + stall as u64;
        }
        let arrives = arrives.max(if self.line.stall_ms > 0 {
            self.reads_at_us
        } else {
            0
        });
        self.last_arrival_us = self.last_arrival_us.max(arrives);
        Some((self.last_arrival_us, waits))
    }

    fn numbered(&mut self, now_us: u64, bytes: u64) {
        let arrives_us = self.send(now_us, bytes).map(|(at, _)| at);
        self.sent.numbered += bytes + UDP_IP_BYTES;
        self.in_flight.push_back(InFlight {
            sent_us: now_us,
            arrives_us,
            bytes: bytes + UDP_IP_BYTES,
            beside: self.sent.beside as u32,
        });
    }

    /// What the receiver can tell at `told_us`: everything up to the newest packet that has come by then.
    fn feedback(&mut self, told_us: u64) -> Arrivals {
        let newest = self
            .in_flight
            .iter()
            .rposition(|packet| packet.arrives_us.is_some_and(|at| at <= told_us));
        let packets = self
            .in_flight
            .drain(..newest.map_or(0, |newest| newest + 1))
            .map(|packet| PacketReport {
                sent_us: packet.sent_us as i64,
                // The receiver's clock has another zero.
                arrived_us: packet.arrives_us.map(|at| at as i64 + 77_000_000),
                bytes: packet.bytes as u32,
                beside: packet.beside,
            })
            .collect();
        Arrivals {
            epoch: self.start,
            packets,
        }
    }
}

/// Runs `seconds` with the line as `line_at` says for each of them; `wanted` is what there is to see.
pub(super) fn run(
    subject: &mut impl Subject,
    seed: u64,
    seconds: u64,
    layers: &[u64],
    line_at: impl Fn(u64) -> Line,
) -> Vec<Second> {
    let start = crate::rtc::testing::instant();
    let mut world = World {
        start,
        random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
        line: line_at(0),
        bad: false,
        free_at_us: 0,
        last_arrival_us: 0,
        reads_at_us: 0,
        in_flight: VecDeque::new(),
        sent: SentBytes::default(),
    };
    let wanted = Bitrate(layers.iter().max().copied().unwrap_or(0));
    let mut all = vec![Second::default(); seconds as usize];
    let mut last_audio_us = [None::<u64>; MOST_PEOPLE];
    let mut told: VecDeque<(u64, Arrivals)> = VecDeque::new();
    let mut tick_at_ms = 0;
    for ms in 0..seconds * 1_000 {
        let (now_us, now) = (ms * 1_000, start + Duration::from_millis(ms));
        let second = &mut all[(ms / 1_000) as usize];
        world.line = line_at(ms / 1_000);
        if ms % FEEDBACK_MS == 0 {
            let arrivals = world.feedback(now_us);
            told.push_back((ms + world.line.delay_ms, arrivals));
        }
        while let Some((_, arrivals)) = told.pop_front_if(|(at, _)| *at <= ms) {
            subject.on_reports(now, &arrivals);
        }
        second.estimate += subject.estimate().0 / 1_000;
        for (last, speaker) in last_audio_us.iter_mut().zip(0..world.line.sounds) {
            if (ms + phase(seed, speaker)).is_multiple_of(AUDIO_MS) {
                second.audio_sent += 1;
                world.sent.beside += AUDIO_BYTES + UDP_IP_BYTES;
                match world.send(now_us, AUDIO_BYTES) {
                    Some((at, waited)) => {
                        let gap = last.map_or(0, |last| at.saturating_sub(last) / 1_000);
                        second.audio_gap_ms = second.audio_gap_ms.max(gap);
                        second.audio_queued_ms = second.audio_queued_ms.max(waited / 1_000);
                        *last = Some(at);
                    }
                    None => second.audio_lost += 1,
                }
            }
        }
        for camera in 0..world.line.cameras {
            if !(ms + phase(seed, camera)).is_multiple_of(FRAME_MS) {
                continue;
            }
            let fits = |rate: &&u64| **rate <= subject.estimate().0 * 95 / 100;
            let rate = layers.iter().filter(fits).max().copied().unwrap_or(0);
            let keyframe = (ms / FRAME_MS + 75 * camera).is_multiple_of(300);
            // The allocator reckons with what layers are on the wire.
            let mut bytes = rate / world.line.cameras * FRAME_MS / 8_000 * 94 / 100;
            if keyframe {
                bytes *= 5;
            }
            while bytes > 0 {
                let packet = bytes.min(PACKET_BYTES);
                world.numbered(now_us, packet + 36);
                second.media_bytes += packet;
                bytes -= packet;
            }
        }
        if ms < tick_at_ms {
            continue;
        }
        // Mostly on time, sometimes very late.
        let late = world.random.unit().powi(3) * world.line.late_tick_ms as f64;
        tick_at_ms = ms + TICK_MS + late as u64;
        if let Some(bytes) = subject.padding(now, wanted, world.sent) {
            let count = bytes.div_ceil(300);
            for _ in 0..count {
                let bytes = (bytes / count).max(80) as u64;
                world.numbered(now_us, bytes - UDP_IP_BYTES);
                second.padding_bytes += bytes;
            }
        }
    }
    all
}
