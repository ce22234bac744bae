//! Where a packet stands among the spatial and temporal layers of a scalable stream.
//!
//! The words are those of RFC 9628 (section 3) and of AOM's payload format for AV1: a *picture* is what has one
//! timestamp; each spatial layer has a *frame* in it; temporal layers are sets of pictures.

use super::rewrite::Vp8Descriptor;
use super::vp9::Vp9Descriptor;
use relay_proto::id::MAX_LAYERS;
use relay_proto::room::Codec;

/// Largest temporal layer there is (three bits in every format).
pub const TOP_TEMPORAL: u8 = 7;

/// What a forwarder must know of a packet of a scalable stream; all zero where the stream says nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SvcPosition {
    /// Spatial layer, below [`MAX_LAYERS`]: those above count as the largest.
    pub spatial: u8,
    /// Temporal layer, 0 to 7.
    pub temporal: u8,
    /// First packet of a frame.
    pub starts_frame: bool,
    /// Last packet of a frame.
    pub ends_frame: bool,
    /// The temporal layer a receiver may go up to at this frame, where that is its own (it depends on smaller ones only)
    /// or larger (what follows depends on nothing larger before it).
    pub up_to: u8,
}

impl SvcPosition {
    /// Reads it from an RTP payload. Hot path: looks at a few bytes.
    #[must_use]
    pub fn of_payload(codec: Codec, payload: &[u8]) -> Self {
        match codec {
            Codec::Vp9 => {
                Vp9Descriptor::parse(payload).map_or_else(Self::default, |found| Self::of_vp9(&found))
            }
            Codec::Vp8 => {
                Vp8Descriptor::parse(payload).map_or_else(Self::default, |found| Self::of_vp8(&found))
            }
            Codec::Opus | Codec::H264 | Codec::Av1 => Self::default(),
        }
    }

    fn of_vp8(descriptor: &Vp8Descriptor) -> Self {
        let (temporal, syncs) = descriptor.temporal.unwrap_or_default();
        Self {
            temporal,
            starts_frame: descriptor.starts_frame,
            up_to: if syncs { temporal } else { 0 },
            ..Self::default()
        }
    }

    fn of_vp9(descriptor: &Vp9Descriptor) -> Self {
        let layer = descriptor.layer;
        Self {
            spatial: layer.map_or(0, |layer| layer.spatial.min(MAX_LAYERS as u8 - 1)),
            temporal: layer.map_or(0, |layer| layer.temporal),
            starts_frame: descriptor.starts_frame,
            ends_frame: descriptor.ends_frame,
            up_to: layer.map_or(0, |layer| if layer.switches_up { layer.temporal } else { 0 }),
        }
    }

    /// First packet of a picture: its smallest layer comes first.
    #[must_use]
    pub const fn starts_picture(&self) -> bool {
        self.starts_frame && self.spatial == 0
    }

    /// Whether a receiver of pictures up to `temporal` may go up to [`Self::up_to`] here.
    #[must_use]
    pub const fn allows_up_from(&self, temporal: u8) -> bool {
        let to_its_own = self.temporal == temporal + 1 && self.up_to == self.temporal;
        to_its_own || self.temporal <= temporal && self.up_to > temporal
    }

    /// Whether a receiver of `reach` gets the packet.
    #[must_use]
    pub const fn is_within(&self, reach: Reach) -> bool {
        self.spatial <= reach.spatial && self.temporal <= reach.temporal
    }

    /// Whether it is the last packet of its picture for a receiver of `reach`. The largest layers need no help: the
    /// publisher's own marker is on them.
    #[must_use]
    pub const fn ends_picture(&self, reach: Reach) -> bool {
        self.ends_frame && self.spatial == reach.spatial && (self.spatial as usize) < MAX_LAYERS - 1
    }
}

/// The largest layers a receiver gets of a scalable stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Spatial layer.
    pub spatial: u8,
    /// Temporal layer.
    pub temporal: u8,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vp9_says_it_in_its_descriptor() {
        // I, P, L, F, E: picture 0x21, TID 2, U, SID 1; a frame's last packet.
        let upper = SvcPosition::of_payload(Codec::Vp9, &[0xf4, 0x21, 0x52, 0x02, 0x82]);
        assert_eq!((upper.spatial, upper.temporal), (1, 2));
        assert!(upper.ends_frame && upper.up_to == 2 && !upper.starts_frame);
        let (small, half) = (
            Reach {
                spatial: 0,
                temporal: 7,
            },
            Reach {
                spatial: 1,
                temporal: 1,
            },
        );
        assert!(!upper.is_within(small) && !upper.is_within(half));
        let all = Reach {
            spatial: 1,
            temporal: 2,
        };
        assert!(upper.is_within(all) && upper.ends_picture(all));
        assert_eq!(SvcPosition::of_payload(Codec::Vp9, &[]), SvcPosition::default());
    }

    #[test]
    fn vp8_says_its_temporal_layer_and_where_to_go_up() {
        // X, S; I, L, T, K; picture 0x1234, TL0 7; TID 1, Y.
        let vp8 = SvcPosition::of_payload(Codec::Vp8, &[0x90, 0xf0, 0x92, 0x34, 0x07, 0x60, 0x01]);
        assert_eq!((vp8.spatial, vp8.temporal, vp8.up_to), (0, 1, 1));
        assert!(vp8.starts_picture() && vp8.allows_up_from(0) && !vp8.allows_up_from(1));
        // Without T, the field says nothing of layers.
        let plain = SvcPosition::of_payload(Codec::Vp8, &[0x90, 0x10, 0x60, 0x01]);
        assert_eq!((plain.temporal, plain.up_to), (0, 0));
        // T2 that depends on the base only may not be the way up from the base: T1 would come with it.
        let third = SvcPosition {
            temporal: 2,
            up_to: 2,
            ..vp8
        };
        assert!(!third.allows_up_from(0) && third.allows_up_from(1));
    }

    #[test]
    fn more_spatial_layers_than_are_told_apart_count_as_the_largest() {
        let fifth = SvcPosition::of_payload(Codec::Vp9, &[0xb4, 0x21, 0x08]);
        assert_eq!(fifth.spatial, 2);
        let all = Reach {
            spatial: 2,
            temporal: 7,
        };
        assert!(!fifth.ends_picture(all), "another layer may follow");
    }
}
