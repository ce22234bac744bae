//! Streams as libwebrtc sends them: which frame depends on which, and what its packets say of it.

use crate::forward::dependency::testing::{Kind, descriptor};
use relay_proto::room::Codec;
use std::collections::BTreeMap;

/// Spatial layers.
pub(super) const SPATIAL: u8 = 3;

/// How the layers of a picture depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// L3T3_KEY: at keyframes only.
    Key,
    /// L3T3: always.
    Full,
}

/// Picture and spatial layer.
pub(super) type Frame = (u32, u8);

/// A packet of the publisher.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    pub(super) seq: u32,
    pub(super) frame: Frame,
    pub(super) ends: bool,
    pub(super) marker: bool,
    pub(super) keyframe: bool,
    pub(super) descriptor: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

/// For each spatial layer its frames in a keyframe and in pictures of each temporal layer.
const KINDS: [Kind; 12] = [
    (0, 0, "SSSSSSSSS", &[]),
    (0, 0, "SSS------", &[12]),
    (0, 1, "-SR------", &[6]),
    (0, 2, "--D------", &[3]),
    (1, 0, "---SSSSSS", &[1]),
    (1, 0, "---SSS---", &[12]),
    (1, 1, "----SR---", &[6]),
    (1, 2, "-----D---", &[3]),
    (2, 0, "------SSS", &[1]),
    (2, 0, "------SSS", &[12]),
    (2, 1, "-------SR", &[6]),
    (2, 2, "--------D", &[3]),
];

/// Writes three temporal layers in three spatial ones (VP9 in non-flexible mode, or AV1 with dependency descriptors) or in
/// one (VP8).
pub(super) struct Encoder {
    mode: Mode,
    codec: Codec,
    picture: u32,
    /// Pictures since the keyframe.
    phase: u32,
    tl0: u8,
    pub(super) seq: u32,
    pub(super) depends: BTreeMap<Frame, Vec<Frame>>,
}

impl Encoder {
    pub(super) const fn new(mode: Mode, codec: Codec) -> Self {
        Self {
            mode,
            codec,
            picture: 0x7ff0,
            phase: 0,
            tl0: 250,
            seq: 0x1_fff0,
            depends: BTreeMap::new(),
        }
    }

    /// The packets of the next picture, so many of each frame.
    pub(super) fn encode(&mut self, key: bool, packets: [u8; SPATIAL as usize]) -> Vec<Sent> {
        self.picture += 1;
        self.phase = if key { 0 } else { self.phase + 1 };
        let temporal = [0, 2, 1, 2][self.phase as usize % 4];
        if temporal == 0 {
            self.tl0 = self.tl0.wrapping_add(1);
        }
        let before = [4, 1, 2, 1][self.phase as usize % 4];
        let mut sent = Vec::new();
        let layers = if self.codec == Codec::Vp8 { 1 } else { SPATIAL };
        for spatial in 0..layers {
            let frame = (self.picture, spatial);
            let on_lower = spatial > 0 && (key || self.mode == Mode::Full);
            let mut depends = Vec::new();
            depends.extend((!key).then_some((self.picture - before, spatial)));
            depends.extend(on_lower.then(|| (self.picture, spatial - 1)));
            self.depends.insert(frame, depends);
            let count = packets[usize::from(spatial)];
            for at in 0..count {
                let (starts, ends) = (at == 0, at + 1 == count);
                let mut payload = match self.codec {
                    Codec::Vp8 => self.vp8(key, starts, temporal),
                    _ => self.vp9(key, (starts, ends), (spatial, temporal), on_lower),
                };
                payload.resize(8, 0);
                payload.extend_from_slice(&self.seq.to_be_bytes());
                payload.resize(12 + usize::from(at) * 40, 0);
                let template = usize::from(spatial) * 4 + if key { 0 } else { 1 + usize::from(temporal) };
                let number = (self.picture * u32::from(SPATIAL)) as u16 + u16::from(spatial);
                let brings = key && starts && spatial == 0;
                let descriptor = match self.codec {
                    Codec::Av1 => descriptor(&KINDS, (starts, ends), template, number, brings),
                    _ => Vec::new(),
                };
                sent.push(Sent {
                    seq: self.seq,
                    frame,
                    ends,
                    marker: ends && spatial + 1 == layers,
                    // What AV1's payload says of it is not asked.
                    keyframe: brings && self.codec != Codec::Av1,
                    descriptor,
                    payload,
                });
                self.seq += 1;
            }
        }
        sent
    }

    fn vp9(
        &self,
        key: bool,
        (starts, ends): (bool, bool),
        (spatial, temporal): (u8, u8),
        on_lower: bool,
    ) -> Vec<u8> {
        let first = 0xa0 | u8::from(!key) << 6 | u8::from(starts) << 3 | u8::from(ends) << 2;
        let [high, low] = (self.picture as u16 | 0x8000).to_be_bytes();
        let layers = temporal << 5 | u8::from(temporal > 0) << 4 | spatial << 1 | u8::from(on_lower);
        vec![first, high, low, layers, self.tl0]
    }

    /// Every frame of the second temporal layer depends on the smallest only, and those of the third at times do.
    fn vp8(&self, key: bool, starts: bool, temporal: u8) -> Vec<u8> {
        let [high, low] = (self.picture as u16 | 0x8000).to_be_bytes();
        let syncs = temporal == 1 || temporal == 2 && self.phase % 4 == 1;
        let layers = temporal << 6 | u8::from(syncs) << 5;
        vec![
            0x80 | u8::from(starts) << 4,
            0xe0 | 0x20,
            high,
            low,
            self.tl0,
            layers,
            u8::from(!key),
        ]
    }
}
