//! The sending end of a link and the path behind it in virtual time: the real lanes, pace and controller, a bottleneck
//! with a buffer, random loss, and acknowledgements as QUIC sends them.

use crate::link::congestion::RateController;
use crate::link::lanes::{Lane, Lanes};
use crate::link::pump::{PADDING_BYTES, Step};
use crate::link::{LinkEstimate, Pace, RateLimits};
use bridge_core::allocation::Class;
use bridge_core::allocation::link::{TrackKey, WIRE_OVERHEAD_BYTES};
use bytes::Bytes;
use quinn::congestion::Controller as _;
use relay_proto::id::Layer;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const STEP: Duration = Duration::from_millis(1);
/// As [`crate::link::transport`] asks for.
const ACK_EVERY: usize = 10;
const ACK_DELAY: Duration = Duration::from_millis(10);
/// Packets after a lost one by which QUIC knows.
const LOSS_PACKETS: u64 = 3;

/// What the path is like now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub(super) bps: u64,
    pub(super) one_way: Duration,
    /// What the bottleneck holds before it throws away what comes.
    pub(super) buffer: Duration,
    pub(super) loss: f64,
}

impl Path {
    pub(super) const fn of(bps: u64) -> Self {
        Self {
            bps,
            one_way: Duration::from_millis(38),
            buffer: Duration::from_millis(200),
            loss: 0.0,
        }
    }
}

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) path: Path,
    pub(super) estimate: Arc<LinkEstimate>,
    pub(super) lanes: Lanes,
    /// Layers for which a keyframe is wanted.
    pub(super) asked: Vec<(TrackKey, Layer)>,
    pub(super) padding_bytes: u64,
    controller: RateController,
    pace: Pace,
    random: u64,
    free_at: Instant,
    number: u64,
    unsettled: BTreeMap<u64, (Instant, u64)>,
    in_flight_bytes: u64,
    arriving: VecDeque<(Instant, u64, Bytes)>,
    unacknowledged: Vec<u64>,
    acknowledge_at: Option<Instant>,
    acknowledgements: VecDeque<(Instant, Vec<u64>)>,
}

impl World {
    pub(super) fn new(path: Path, limits: RateLimits) -> Self {
        let now = Instant::now();
        let estimate = Arc::new(LinkEstimate::new(&limits));
        Self {
            now,
            path,
            controller: RateController::new(estimate.clone(), limits, now),
            pace: Pace::new(estimate.clone(), now),
            estimate,
            lanes: Lanes::default(),
            asked: Vec::new(),
            padding_bytes: 0,
            random: 0x9e37_79b9_7f4a_7c15,
            free_at: now,
            number: 0,
            unsettled: BTreeMap::new(),
            in_flight_bytes: 0,
            arriving: VecDeque::new(),
            unacknowledged: Vec::new(),
            acknowledge_at: None,
            acknowledgements: VecDeque::new(),
        }
    }

    pub(super) fn push(&mut self, lane: Lane, datagram: Bytes) {
        let bps = self.estimate.capacity_bps();
        self.lanes.push(self.now, lane, bps, datagram);
    }

    pub(super) fn push_picture(&mut self, class: Class, datagram: Bytes) {
        let bps = self.estimate.capacity_bps();
        self.lanes.push_picture(self.now, class, bps, datagram);
    }

    /// What stands in the bottleneck's buffer now.
    pub(super) fn queue(&self) -> Duration {
        self.free_at.saturating_duration_since(self.now)
    }

    pub(super) fn unit(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Sends what may go, lets a millisecond pass, and answers what arrives in it.
    pub(super) fn step(&mut self) -> Vec<Bytes> {
        loop {
            let mut batch = Vec::new();
            let lanes = (&mut self.lanes, &mut batch);
            match Step::of(self.now, lanes, &mut self.pace, &self.estimate, true) {
                Step::Send => batch.into_iter().for_each(|departing| self.send(departing.bytes)),
                Step::Pad => {
                    self.padding_bytes += PADDING_BYTES as u64;
                    self.send(Bytes::from(relay_proto::datagram::encode_padding(
                        relay_proto::id::NodeId(0),
                        PADDING_BYTES,
                    )));
                }
                Step::Ask(key, layer) => self.asked.push((key, layer)),
                Step::Wait(_) | Step::Idle => break,
            }
        }
        self.now += STEP;
        let arrived = self.arrive();
        self.hear();
        arrived
    }

    fn send(&mut self, datagram: Bytes) {
        let bytes = (datagram.len() + WIRE_OVERHEAD_BYTES) as u64;
        self.number += 1;
        self.controller.on_sent(self.now, bytes, self.number);
        self.unsettled.insert(self.number, (self.now, bytes));
        self.in_flight_bytes += bytes;
        if self.queue() > self.path.buffer {
            return;
        }
        let takes = Duration::from_secs_f64(bytes as f64 * 8.0 / self.path.bps as f64);
        self.free_at = self.free_at.max(self.now) + takes;
        if self.unit() >= self.path.loss {
            let at = self.free_at + self.path.one_way;
            self.arriving.push_back((at, self.number, datagram));
        }
    }

    fn arrive(&mut self) -> Vec<Bytes> {
        let mut arrived = Vec::new();
        while self.arriving.front().is_some_and(|(at, ..)| *at <= self.now) {
            let Some((_, number, datagram)) = self.arriving.pop_front() else {
                break;
            };
            self.unacknowledged.push(number);
            self.acknowledge_at.get_or_insert(self.now + ACK_DELAY);
            arrived.push(datagram);
            if self.unacknowledged.len() >= ACK_EVERY {
                self.acknowledge();
            }
        }
        if self.acknowledge_at.is_some_and(|at| at <= self.now) {
            self.acknowledge();
        }
        arrived
    }

    fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        let numbers = std::mem::take(&mut self.unacknowledged);
        self.acknowledgements
            .push_back((self.now + self.path.one_way, numbers));
    }

    fn hear(&mut self) {
        while self
            .acknowledgements
            .front()
            .is_some_and(|(at, _)| *at <= self.now)
        {
            let Some((_, numbers)) = self.acknowledgements.pop_front() else {
                break;
            };
            for number in &numbers {
                if let Some((sent, bytes)) = self.unsettled.remove(number) {
                    self.in_flight_bytes -= bytes;
                    self.controller.acknowledge(self.now, sent, bytes);
                }
            }
            let newest = numbers.last().copied().unwrap_or_default();
            self.controller
                .on_end_acks(self.now, self.in_flight_bytes, false, Some(newest));
            self.lose_before(newest.saturating_sub(LOSS_PACKETS - 1));
        }
    }

    fn lose_before(&mut self, number: u64) {
        let kept = self.unsettled.split_off(&number);
        let lost = std::mem::replace(&mut self.unsettled, kept);
        let bytes: u64 = lost.values().map(|(_, bytes)| bytes).sum();
        if let Some((sent, _)) = lost.into_values().last() {
            self.in_flight_bytes -= bytes;
            self.controller.on_congestion_event(self.now, sent, false, bytes);
        }
    }
}
