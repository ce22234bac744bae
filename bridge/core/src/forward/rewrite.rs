//! What must change inside a payload so that a viewer sees one continuous stream over layer switches.

/// The parts of a VP8 payload descriptor a forwarder needs (RFC 7741, section 4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Vp8Descriptor {
    /// Length of the descriptor in bytes.
    pub len: usize,
    /// First packet of a frame (S bit, partition 0).
    pub starts_frame: bool,
    /// Picture id and where it stands; `long` has 15 bits.
    pub picture_id: Option<PictureId>,
    /// TL0PICIDX and where it stands.
    pub tl0_index: Option<(usize, u8)>,
}

/// A VP8 picture id inside a payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureId {
    /// Offset of its first byte.
    pub at: usize,
    /// 15 bits rather than 7.
    pub long: bool,
    /// The number.
    pub value: u16,
}

impl Vp8Descriptor {
    /// Reads the descriptor; none where the payload is too short for what it claims.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &first = payload.first()?;
        let mut descriptor = Self {
            len: 1,
            starts_frame: first & 0x17 == 0x10,
            picture_id: None,
            tl0_index: None,
        };
        if first & 0x80 == 0 {
            return Some(descriptor);
        }
        let &extension = payload.get(1)?;
        descriptor.len = 2;
        if extension & 0x80 != 0 {
            descriptor.read_picture_id(payload)?;
        }
        if extension & 0x40 != 0 {
            descriptor.tl0_index = Some((descriptor.len, *payload.get(descriptor.len)?));
            descriptor.len += 1;
        }
        if extension & 0x30 != 0 {
            payload.get(descriptor.len)?;
            descriptor.len += 1;
        }
        Some(descriptor)
    }

    fn read_picture_id(&mut self, payload: &[u8]) -> Option<()> {
        let at = self.len;
        let &high = payload.get(at)?;
        let long = high & 0x80 != 0;
        let value = if long {
            u16::from(high & 0x7f) << 8 | u16::from(*payload.get(at + 1)?)
        } else {
            u16::from(high)
        };
        self.picture_id = Some(PictureId { at, long, value });
        self.len += if long { 2 } else { 1 };
        Some(())
    }
}

/// What is added to the picture ids and TL0 indices of one stretch of a viewer's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vp8Offsets {
    picture: u16,
    tl0: u8,
}

/// Keeps a viewer's VP8 picture ids and TL0 indices continuous over layer switches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Vp8Rewriter {
    last: Option<(u16, u8)>,
}

impl Vp8Rewriter {
    /// The offsets with which `payload`, the first packet of a new layer, follows what was sent last.
    #[must_use]
    pub fn offsets_for(&self, payload: &[u8]) -> Vp8Offsets {
        let mut offsets = Vp8Offsets::default();
        let (Some(descriptor), Some((last_picture, last_tl0))) = (Vp8Descriptor::parse(payload), self.last)
        else {
            return offsets;
        };
        if let Some(picture) = descriptor.picture_id {
            offsets.picture = last_picture.wrapping_add(1).wrapping_sub(picture.value);
        }
        if let Some((_, tl0)) = descriptor.tl0_index {
            offsets.tl0 = last_tl0.wrapping_add(1).wrapping_sub(tl0);
        }
        offsets
    }

    /// Rewrites `payload` in place. `newest`: it is not older than what was sent before.
    pub fn rewrite(&mut self, payload: &mut [u8], offsets: Vp8Offsets, newest: bool) {
        let Some(descriptor) = Vp8Descriptor::parse(payload) else {
            return;
        };
        let mut sent = self.last.unwrap_or_default();
        if let Some(picture) = descriptor.picture_id {
            sent.0 = picture.value.wrapping_add(offsets.picture) & if picture.long { 0x7fff } else { 0x7f };
            if picture.long {
                payload[picture.at..picture.at + 2].copy_from_slice(&(sent.0 | 0x8000).to_be_bytes());
            } else {
                payload[picture.at] = sent.0 as u8;
            }
        }
        if let Some((at, tl0)) = descriptor.tl0_index {
            sent.1 = tl0.wrapping_add(offsets.tl0);
            payload[at] = sent.1;
        }
        if newest {
            self.last = Some(sent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(picture: u16, tl0: u8) -> Vec<u8> {
        let [high, low] = (picture | 0x8000).to_be_bytes();
        vec![0x90, 0xe0, high, low, tl0, 0x20, 0x00, 0x9d]
    }

    fn numbers(payload: &[u8]) -> (u16, u8) {
        let descriptor = Vp8Descriptor::parse(payload).unwrap();
        (
            descriptor.picture_id.unwrap().value,
            descriptor.tl0_index.unwrap().1,
        )
    }

    #[test]
    fn picture_ids_continue_over_a_switch_and_wrap() {
        let mut rewriter = Vp8Rewriter::default();
        let mut first = packet(0x7fff, 255);
        let start = rewriter.offsets_for(&first);
        rewriter.rewrite(&mut first, start, true);
        assert_eq!(numbers(&first), (0x7fff, 255));
        let mut second = packet(500, 9);
        let switched = rewriter.offsets_for(&second);
        rewriter.rewrite(&mut second, switched, true);
        assert_eq!(numbers(&second), (0, 0));
        let mut third = packet(501, 10);
        rewriter.rewrite(&mut third, switched, true);
        assert_eq!(numbers(&third), (1, 1));
    }

    #[test]
    fn truncated_descriptors_are_left_alone() {
        for len in 0..5 {
            let mut payload = packet(1, 1)[..len].to_vec();
            let before = payload.clone();
            Vp8Rewriter::default().rewrite(&mut payload, Vp8Offsets::default(), true);
            assert_eq!(payload, before);
        }
    }
}
