//! What must change inside a payload so that a viewer sees one continuous stream over layer switches.

use super::dependency::FRAME_NUMBER_AT;
use super::vp9::Vp9Descriptor;
use relay_proto::room::Codec;

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
    /// Temporal layer (TID), and whether the frame depends on the smallest one only (Y).
    pub temporal: Option<(u8, bool)>,
}

/// A VP8 or VP9 picture id inside a payload.
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
            temporal: None,
        };
        if first & 0x80 == 0 {
            return Some(descriptor);
        }
        let &extension = payload.get(1)?;
        descriptor.len = 2;
        if extension & 0x80 != 0 {
            let id = PictureId::read(payload, descriptor.len)?;
            descriptor.len += id.bytes();
            descriptor.picture_id = Some(id);
        }
        if extension & 0x40 != 0 {
            descriptor.tl0_index = Some((descriptor.len, *payload.get(descriptor.len)?));
            descriptor.len += 1;
        }
        if extension & 0x30 != 0 {
            let &layers = payload.get(descriptor.len)?;
            if extension & 0x20 != 0 {
                descriptor.temporal = Some((layers >> 6, layers & 0x20 != 0));
            }
            descriptor.len += 1;
        }
        Some(descriptor)
    }
}

impl PictureId {
    /// The picture id at `at`, which VP8 and VP9 write in the same way: one byte, or two with the highest bit set.
    pub(super) fn read(payload: &[u8], at: usize) -> Option<Self> {
        let &high = payload.get(at)?;
        let long = high & 0x80 != 0;
        let value = if long {
            u16::from(high & 0x7f) << 8 | u16::from(*payload.get(at + 1)?)
        } else {
            u16::from(high)
        };
        Some(Self { at, long, value })
    }

    /// How many bytes it takes.
    pub(super) const fn bytes(&self) -> usize {
        if self.long { 2 } else { 1 }
    }
}

/// Picture id, and TL0PICIDX and where it stands.
type PictureNumbers = (Option<PictureId>, Option<(usize, u8)>);

/// The numbers in a payload; none where it has none, or cannot be read.
fn numbers_of(codec: Codec, payload: &[u8]) -> Option<PictureNumbers> {
    match codec {
        Codec::Vp8 => Vp8Descriptor::parse(payload).map(|found| (found.picture_id, found.tl0_index)),
        Codec::Vp9 => Vp9Descriptor::parse(payload).map(|found| (found.picture_id, found.tl0_index)),
        Codec::Opus | Codec::H264 | Codec::Av1 => None,
    }
}

/// The frame number in a dependency descriptor.
fn frame_number(descriptor: &[u8]) -> Option<u16> {
    let bytes = descriptor.get(FRAME_NUMBER_AT..)?.first_chunk()?;
    Some(u16::from_be_bytes(*bytes))
}

/// What is added to the picture ids and TL0 indices of one stretch of a viewer's stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PictureOffsets {
    picture: u16,
    tl0: u8,
}

impl PictureOffsets {
    /// The same where so many pictures before have been left out.
    #[must_use]
    pub const fn less(mut self, pictures: u16) -> Self {
        self.picture = self.picture.wrapping_sub(pictures);
        self
    }
}

/// Keeps a viewer's picture ids and TL0 indices (of VP8 and VP9) continuous over layer switches.
#[derive(Clone, Copy, Debug)]
pub struct PictureRewriter {
    codec: Codec,
    last: Option<(u16, u8)>,
}

impl PictureRewriter {
    /// One that has seen nothing. Payloads of other codecs are left as they are.
    #[must_use]
    pub const fn new(codec: Codec) -> Self {
        Self { codec, last: None }
    }

    /// The offsets with which `payload`, the first packet of a new layer, follows what was sent last.
    #[must_use]
    pub fn offsets_for(&self, payload: &[u8]) -> PictureOffsets {
        let mut offsets = PictureOffsets::default();
        let (Some((picture, tl0)), Some((last_picture, last_tl0))) =
            (numbers_of(self.codec, payload), self.last)
        else {
            return offsets;
        };
        if let Some(picture) = picture {
            offsets.picture = last_picture.wrapping_add(1).wrapping_sub(picture.value);
        }
        if let Some((_, tl0)) = tl0 {
            offsets.tl0 = last_tl0.wrapping_add(1).wrapping_sub(tl0);
        }
        offsets
    }

    /// The same for the frame numbers of dependency descriptors: `descriptor` is that of the first packet.
    #[must_use]
    pub fn offsets_for_frame(&self, descriptor: &[u8]) -> PictureOffsets {
        let mut offsets = PictureOffsets::default();
        if let (Some(frame), Some((last, _))) = (frame_number(descriptor), self.last) {
            offsets.picture = last.wrapping_add(1).wrapping_sub(frame);
        }
        offsets
    }

    /// Rewrites the frame number of a dependency descriptor in place.
    pub fn rewrite_frame(&mut self, descriptor: &mut [u8], offsets: PictureOffsets, newest: bool) {
        let Some(frame) = frame_number(descriptor) else {
            return;
        };
        let sent = frame.wrapping_add(offsets.picture);
        descriptor[FRAME_NUMBER_AT..FRAME_NUMBER_AT + 2].copy_from_slice(&sent.to_be_bytes());
        if newest {
            self.last = Some((sent, 0));
        }
    }

    /// Rewrites `payload` in place. `newest`: it is not older than what was sent before.
    pub fn rewrite(&mut self, payload: &mut [u8], offsets: PictureOffsets, newest: bool) {
        let Some((picture, tl0)) = numbers_of(self.codec, payload) else {
            return;
        };
        let mut sent = self.last.unwrap_or_default();
        if let Some(picture) = picture {
            sent.0 = picture.value.wrapping_add(offsets.picture) & if picture.long { 0x7fff } else { 0x7f };
            if picture.long {
                payload[picture.at..picture.at + 2].copy_from_slice(&(sent.0 | 0x8000).to_be_bytes());
            } else {
                payload[picture.at] = sent.0 as u8;
            }
        }
        if let Some((at, tl0)) = tl0 {
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
        let mut rewriter = PictureRewriter::new(Codec::Vp8);
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
    fn those_of_vp9_continue_too_and_av1_has_none() {
        let vp9 = |picture: u16, tl0| {
            let [high, low] = (picture | 0x8000).to_be_bytes();
            vec![0xa8, high, low, 0x10, tl0, 0x82]
        };
        let mut rewriter = PictureRewriter::new(Codec::Vp9);
        let mut first = vp9(0x7ffe, 4);
        rewriter.rewrite(&mut first, PictureOffsets::default(), true);
        let mut second = vp9(9, 200);
        let switched = rewriter.offsets_for(&second);
        rewriter.rewrite(&mut second, switched, true);
        assert_eq!(second, vp9(0x7fff, 5));
        let mut third = vp9(10, 201);
        rewriter.rewrite(&mut third, switched, true);
        assert_eq!(third, vp9(0, 6));
        let mut other = third.clone();
        PictureRewriter::new(Codec::Av1).rewrite(&mut other, switched, true);
        assert_eq!(other, third);
    }

    #[test]
    fn frame_numbers_of_dependency_descriptors_continue_and_wrap() {
        let mut rewriter = PictureRewriter::new(Codec::Av1);
        let mut first = [0xc0, 0xff, 0xfe];
        let start = rewriter.offsets_for_frame(&first);
        rewriter.rewrite_frame(&mut first, start, true);
        assert_eq!(first, [0xc0, 0xff, 0xfe]);
        let mut second = [0xc0, 0x00, 0x09, 0x80];
        let switched = rewriter.offsets_for_frame(&second);
        rewriter.rewrite_frame(&mut second, switched, true);
        assert_eq!(second, [0xc0, 0xff, 0xff, 0x80]);
        let mut third = [0xc0, 0x00, 0x0a];
        rewriter.rewrite_frame(&mut third, switched, true);
        assert_eq!(third, [0xc0, 0x00, 0x00]);
        let mut short = [0xc0, 0x00];
        rewriter.rewrite_frame(&mut short, switched, true);
        assert_eq!(short, [0xc0, 0x00]);
    }

    #[test]
    fn truncated_descriptors_are_left_alone() {
        for len in 0..5 {
            let mut payload = packet(1, 1)[..len].to_vec();
            let before = payload.clone();
            PictureRewriter::new(Codec::Vp8).rewrite(&mut payload, PictureOffsets::default(), true);
            assert_eq!(payload, before);
        }
    }
}
