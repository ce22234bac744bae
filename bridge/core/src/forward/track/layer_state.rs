//! One layer of a track: its recent packets, what is missing of it, what it costs.

use super::Clock;
use crate::forward::asked::Asked;
use crate::forward::cache::{PacketCache, PacketMeta};
use crate::forward::dependency::DependencyReader;
use crate::forward::keyframe::KeyframeRequester;
use crate::forward::nack::{NackGenerator, NackPolicy};
use crate::forward::rate::{RateMeter, TemporalShares};
use crate::forward::sequence::SequenceExtender;
use relay_proto::unit::MediaSeq;
use std::time::{Duration, Instant};

/// Sender reports of a layer that follow more closely are ignored; clients send about one a second.
const CLOCK_INTERVAL: Duration = Duration::from_millis(100);

/// One layer of a track.
#[derive(Debug)]
pub struct LayerState {
    pub(super) cache: Option<PacketCache>,
    pub(super) extender: SequenceExtender,
    /// Missing packets.
    pub nack: NackGenerator,
    /// What is asked for again because nodes behind lack it, and it never came here.
    pub asked: Asked,
    /// Wishes for keyframes.
    pub keyframe: KeyframeRequester,
    /// How much it sends.
    pub(super) meter: RateMeter,
    /// How its bytes are divided among temporal layers.
    pub(super) shares: TemporalShares,
    /// What its dependency descriptors refer to.
    pub(super) dependencies: DependencyReader,
    /// Newest sender report.
    pub clock: Option<Clock>,
    clock_at: Option<Instant>,
}

impl LayerState {
    pub(super) fn new(policy: NackPolicy) -> Self {
        Self {
            cache: None,
            extender: SequenceExtender::default(),
            nack: NackGenerator::new(policy),
            asked: Asked::default(),
            keyframe: KeyframeRequester::default(),
            meter: RateMeter::default(),
            shares: TemporalShares::default(),
            dependencies: DependencyReader::default(),
            clock: None,
            clock_at: None,
        }
    }

    /// Takes a sender report; false where the last one is so new that this one is not worth passing on: one report
    /// becomes one for every viewer.
    pub fn take_clock(&mut self, clock: Clock, now: Instant) -> bool {
        if self
            .clock_at
            .is_some_and(|last| now.duration_since(last) < CLOCK_INTERVAL)
        {
            return false;
        }
        self.clock = Some(clock);
        self.clock_at = Some(now);
        true
    }

    /// A packet still held. Hot path.
    #[must_use]
    pub fn packet(&self, seq: MediaSeq) -> Option<(&PacketMeta, &[u8])> {
        self.cache.as_ref()?.packet(seq)
    }

    /// A packet still held, with the marker bit it came with.
    #[must_use]
    pub fn as_it_came(&self, seq: MediaSeq) -> Option<(PacketMeta, &[u8])> {
        self.cache.as_ref()?.as_it_came(seq)
    }

    /// The dependency descriptor of a packet still held; empty where it has none.
    #[must_use]
    pub fn descriptor(&self, seq: MediaSeq) -> &[u8] {
        self.cache.as_ref().map_or(&[], |cache| cache.descriptor(seq))
    }

    /// Takes over what a packet's descriptor says.
    pub(super) fn describe(&mut self, meta: &mut PacketMeta, descriptor: &[u8]) {
        if let Some(said) = self.dependencies.read(descriptor) {
            meta.position = said.position;
            meta.keyframe = said.starts_keyframe;
        }
    }

    /// A packet still held is the first of a sound after a pause.
    pub fn mark(&mut self, seq: MediaSeq) {
        if let Some(cache) = &mut self.cache {
            cache.mark(seq);
        }
    }

    /// How many packets right before this one were held when it came; at most two, and only of sound.
    #[must_use]
    pub fn earlier(&self, seq: MediaSeq) -> u8 {
        self.cache.as_ref().map_or(0, |cache| cache.earlier(seq))
    }

    /// Whether this packet is missing between those that have come and the one that comes now. Never before the first
    /// packet, nor the first one after a pause.
    #[must_use]
    pub fn lacks(&self, seq: MediaSeq) -> bool {
        self.nack.newest().is_some_and(|newest| newest < seq)
    }
}
