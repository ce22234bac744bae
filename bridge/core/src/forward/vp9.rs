//! The VP9 payload descriptor (RFC 9628, section 4.2), as far as a forwarder needs it.

use super::rewrite::PictureId;

/// What a VP9 payload says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Descriptor {
    /// First packet of a layer's frame (B).
    pub starts_frame: bool,
    /// Last packet of a layer's frame (E).
    pub ends_frame: bool,
    /// Depends on earlier pictures (P).
    pub inter_predicted: bool,
    /// Picture id and where it stands.
    pub picture_id: Option<PictureId>,
    /// Layer indices, where the stream has any.
    pub layer: Option<Vp9Layer>,
    /// TL0PICIDX and where it stands; never in flexible mode.
    pub tl0_index: Option<(usize, u8)>,
}

/// The layer indices of a VP9 packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp9Layer {
    /// Spatial layer (SID), 0 to 7.
    pub spatial: u8,
    /// Temporal layer (TID), 0 to 7.
    pub temporal: u8,
    /// From here on a receiver may go up to this temporal layer (U).
    pub switches_up: bool,
    /// Depends on the spatial layer below, of the same picture (D).
    pub inter_layer: bool,
}

impl Vp9Descriptor {
    /// Reads the descriptor up to TL0PICIDX; none where the payload is too short for what it claims. Hot path.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let has = |bit: u8| first & bit != 0;
        let mut at = 1;
        let mut descriptor = Self {
            starts_frame: has(0x08),
            ends_frame: has(0x04),
            inter_predicted: has(0x40),
            picture_id: None,
            layer: None,
            tl0_index: None,
        };
        if has(0x80) {
            let id = PictureId::read(payload, at)?;
            at += id.bytes();
            descriptor.picture_id = Some(id);
        }
        if has(0x20) {
            let &indices = payload.get(at)?;
            descriptor.layer = Some(Vp9Layer {
                temporal: indices >> 5,
                switches_up: indices & 0x10 != 0,
                spatial: indices >> 1 & 0x07,
                inter_layer: indices & 0x01 != 0,
            });
            at += 1;
            if !has(0x10) {
                descriptor.tl0_index = Some((at, *payload.get(at)?));
            }
        }
        Some(descriptor)
    }

    /// First packet of a picture that depends on none before it: the smallest spatial layer's frame comes first.
    #[must_use]
    pub fn starts_keyframe(&self) -> bool {
        self.starts_frame && !self.inter_predicted && self.layer.is_none_or(|layer| layer.spatial == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand after RFC 9628 section 4.2, in non-flexible mode: I, L, B, V and a scalability structure; picture 0x1234,
    /// SID 0, TL0 7.
    const KEY: [u8; 8] = [0xaa, 0x92, 0x34, 0x10, 0x07, 0x18, 0x01, 0x40];

    #[test]
    fn a_keyframe_is_read() {
        let key = Vp9Descriptor::parse(&KEY).unwrap();
        assert!(key.starts_keyframe() && !key.ends_frame);
        assert_eq!(key.picture_id.unwrap().value, 0x1234);
        assert_eq!(key.tl0_index, Some((4, 7)));
        let layer = key.layer.unwrap();
        assert_eq!((layer.spatial, layer.temporal, layer.switches_up), (0, 0, true));
    }

    #[test]
    fn an_upper_layer_of_a_keyframe_and_a_delta_frame_start_none() {
        // I, L, F, B: the second spatial layer of a key picture, which depends on the first (D).
        let upper = Vp9Descriptor::parse(&[0xb8, 0x92, 0x34, 0x03]).unwrap();
        assert!(!upper.starts_keyframe());
        assert_eq!(upper.layer.unwrap().spatial, 1);
        assert!(upper.layer.unwrap().inter_layer && upper.tl0_index.is_none());
        // I, P, L, B, E: temporal layer 2, of one packet.
        let delta = Vp9Descriptor::parse(&[0xec, 0x92, 0x35, 0x40, 0x07]).unwrap();
        assert!(!delta.starts_keyframe() && delta.ends_frame);
        assert_eq!(delta.layer.unwrap().temporal, 2);
    }

    #[test]
    fn short_picture_ids_and_streams_without_layers_are_read_and_truncated_ones_refused() {
        let plain = Vp9Descriptor::parse(&[0x88, 0x21, 0x82]).unwrap();
        assert!(plain.starts_keyframe() && plain.layer.is_none());
        assert_eq!(plain.picture_id.unwrap().value, 0x21);
        for len in 0..5 {
            assert_eq!(Vp9Descriptor::parse(&KEY[..len]), None, "{len}");
        }
    }
}
