//! How a leg repeats frames of sound (RFC 2198), so that a repair can be made again byte for byte: it has the number of
//! the original, and so its nonce.

use super::cache::PacketMeta;
use super::leg::LegParameters;
use super::packet::Extensions;
use super::track::LayerState;
use crate::red::Earlier;
use relay_proto::unit::MediaSeq;

/// How many frames before its own a packet of a leg repeats, by the packet's index.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Depth {
    now: u8,
    from: u64,
    before: u8,
}

impl Depth {
    /// It is `depth` from packet `next` on. Returns the first packet of which the depth is still known: only the last
    /// one is remembered.
    pub(super) const fn change(&mut self, depth: u8, next: u64) -> u64 {
        let known_from = if depth != self.now && next > self.from {
            let from = self.from;
            (self.before, self.from) = (self.now, next);
            from
        } else {
            0
        };
        self.now = depth;
        known_from
    }

    /// That of the packet with this index.
    pub(super) const fn at(self, index: u64) -> u8 {
        if index >= self.from { self.now } else { self.before }
    }
}

/// The at most `depth` frames before a packet that were held when it came. None where one of them is not any more.
pub(super) fn earlier<'a>(layer: &'a LayerState, meta: &PacketMeta, depth: u32) -> Option<Earlier<'a>> {
    let mut earlier = Earlier::default();
    for back in 1..=depth.min(u32::from(layer.earlier(meta.seq))) {
        let (before, payload) = layer.packet(MediaSeq(meta.seq.0 - back))?;
        if !earlier.push(meta.time.0.wrapping_sub(before.time.0), payload) {
            break;
        }
    }
    Some(earlier)
}

/// What a packet carries: its frame and those it repeats, or nothing but a byte of padding.
#[derive(Debug)]
pub(super) struct Body<'a> {
    pub(super) earlier: Earlier<'a>,
    pub(super) payload: &'a [u8],
    /// Dependency descriptor; empty where it has none.
    descriptor: &'a [u8],
    is_fill: bool,
}

impl<'a> Body<'a> {
    pub(super) const fn new(earlier: Earlier<'a>, payload: &'a [u8]) -> Self {
        Self {
            earlier,
            payload,
            descriptor: &[],
            is_fill: false,
        }
    }

    /// The same with a dependency descriptor.
    pub(super) const fn described(mut self, descriptor: &'a [u8]) -> Self {
        self.descriptor = descriptor;
        self
    }

    /// What stands in its header, with a transport-wide number where there is one.
    pub(super) fn extensions(&self, transport_cc: Option<u8>, parameters: LegParameters) -> Extensions<'a> {
        let descriptor = parameters.descriptor.filter(|_| !self.descriptor.is_empty());
        Extensions {
            transport_cc,
            descriptor: descriptor.map(|id| (id, self.descriptor)),
        }
    }

    /// An empty packet, so that its number is not missed.
    pub(super) fn fill() -> Self {
        Self {
            earlier: Earlier::default(),
            payload: &[],
            descriptor: &[],
            is_fill: true,
        }
    }

    pub(super) const fn is_fill(&self) -> bool {
        self.is_fill
    }

    /// The padding of an empty packet.
    pub(super) fn fill_bytes(&self) -> usize {
        usize::from(self.is_fill)
    }

    pub(super) fn bytes(&self) -> usize {
        self.payload.len() + self.earlier.bytes() + self.fill_bytes()
    }

    /// A packet that repeats nothing is a plain one.
    pub(super) fn pt(&self, parameters: LegParameters) -> u8 {
        match parameters.red {
            Some(red) if !self.earlier.is_empty() => red,
            _ => parameters.pt,
        }
    }

    pub(super) fn write(&self, buf: &mut Vec<u8>, parameters: LegParameters) {
        if self.earlier.is_empty() {
            buf.extend_from_slice(self.payload);
        } else {
            self.earlier.write(buf, parameters.pt, self.payload);
        }
    }
}
