//! The bytes of an outgoing RTP packet: header, transport-wide number, seal.

/// Length of an RTP header without CSRC and extension (viewers know the SSRC from the answer).
pub(super) const PLAIN_HEADER_BYTES: usize = 12;
/// Length of a header that carries the transport-wide number and nothing else: one element in one word (RFC 8285,
/// section 4.2).
#[cfg(test)]
pub(super) const NUMBERED_HEADER_BYTES: usize = 20;
/// Longest element of the one-byte form; a longer one makes it the two-byte form (RFC 8285, section 4.3).
const MAX_SHORT_ELEMENT_BYTES: usize = 16;
/// The block of extensions begins with its profile and its length in words.
const EXTENSIONS_AT: usize = PLAIN_HEADER_BYTES + 4;
/// Largest padding of a packet: its last byte counts it (RFC 3550 section 5.1).
pub(super) const MAX_PADDING_BYTES: usize = 255;

/// Numbers and seals outgoing RTP for one client. Implemented by its transport.
pub trait SealRtp {
    /// Bytes a seal adds.
    fn tag_bytes(&self) -> usize;
    /// Id of the header extension with the transport-wide number, where the client wants it; 1 to 14.
    fn transport_cc(&self) -> Option<u8>;
    /// The transport-wide number of a packet of `bytes` that is sent next.
    fn number(&mut self, bytes: usize) -> u16;
    /// A packet of `bytes` is sent next that has no number.
    fn pass(&mut self, bytes: usize);
    /// Seals `packet[..len]` in place (the rest is room for the tag) and returns the sealed length.
    /// `index` is the 48-bit packet index (rollover counter and sequence number).
    fn seal_rtp(&mut self, packet: &mut [u8], header_len: usize, len: usize, ssrc: u32, index: u64) -> usize;
}

/// Fields of a header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields {
    pub(super) pt: u8,
    pub(super) marker: bool,
    pub(super) seq: u16,
    pub(super) time: u32,
    pub(super) ssrc: u32,
}

/// What stands in a header's extensions.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extensions<'a> {
    /// Id of the transport-wide number, which is filled in at the end.
    pub(super) transport_cc: Option<u8>,
    /// Id and bytes of the dependency descriptor.
    pub(super) descriptor: Option<(u8, &'a [u8])>,
}

impl Extensions<'_> {
    /// Bytes around the data of an element: two, where the descriptor is long.
    fn around(&self) -> usize {
        let is_long = self
            .descriptor
            .is_some_and(|(_, bytes)| bytes.len() > MAX_SHORT_ELEMENT_BYTES);
        if is_long { 2 } else { 1 }
    }

    /// Length of the header with them.
    pub(super) fn header_bytes(&self) -> usize {
        let around = self.around();
        let number = self.transport_cc.map_or(0, |_| around + 2);
        let descriptor = self.descriptor.map_or(0, |(_, bytes)| around + bytes.len());
        match number + descriptor {
            0 => PLAIN_HEADER_BYTES,
            elements => EXTENSIONS_AT + elements.next_multiple_of(4),
        }
    }
}

/// A packet that is being written at the end of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    start: usize,
    header_bytes: usize,
    number_at: Option<usize>,
    descriptor_at: Option<usize>,
    ssrc: u32,
}

impl Draft {
    /// Writes the header; [`Self::finish`] fills in the transport-wide number.
    pub(super) fn begin(buf: &mut Vec<u8>, fields: Fields, extensions: Extensions<'_>) -> Self {
        let mut draft = Self {
            start: buf.len(),
            header_bytes: extensions.header_bytes(),
            number_at: None,
            descriptor_at: None,
            ssrc: fields.ssrc,
        };
        let mut header = [0; EXTENSIONS_AT];
        header[0] = 0x80;
        header[1] = fields.pt | u8::from(fields.marker) << 7;
        header[2..4].copy_from_slice(&fields.seq.to_be_bytes());
        header[4..8].copy_from_slice(&fields.time.to_be_bytes());
        header[8..12].copy_from_slice(&fields.ssrc.to_be_bytes());
        if draft.header_bytes == PLAIN_HEADER_BYTES {
            buf.extend_from_slice(&header[..PLAIN_HEADER_BYTES]);
            return draft;
        }
        let around = extensions.around();
        header[0] |= 0x10;
        let profile: u16 = if around == 1 { 0xbede } else { 0x1000 };
        header[12..14].copy_from_slice(&profile.to_be_bytes());
        header[15] = ((draft.header_bytes - EXTENSIONS_AT) / 4) as u8;
        buf.extend_from_slice(&header);
        let mut element = |id: u8, data: &[u8]| {
            if around == 1 {
                buf.push(id << 4 | (data.len() - 1) as u8);
            } else {
                buf.extend_from_slice(&[id, data.len() as u8]);
            }
            let at = buf.len();
            buf.extend_from_slice(data);
            at
        };
        draft.number_at = extensions.transport_cc.map(|id| element(id, &[0; 2]));
        draft.descriptor_at = extensions.descriptor.map(|(id, bytes)| element(id, bytes));
        buf.resize(draft.payload_at(), 0);
        draft
    }

    /// Where the payload begins.
    pub(super) const fn payload_at(&self) -> usize {
        self.start + self.header_bytes
    }

    /// Where the dependency descriptor begins, if there is one.
    pub(super) const fn descriptor_at(&self) -> Option<usize> {
        self.descriptor_at
    }

    /// Appends `bytes` of padding, at most 255.
    pub(super) fn pad(&self, buf: &mut Vec<u8>, bytes: usize) {
        if bytes > 0 {
            buf[self.start] |= 0x20;
            buf.resize(buf.len() + bytes - 1, 0);
            buf.push(bytes as u8);
        }
    }

    /// Numbers and seals what has been written since [`Self::begin`].
    pub(super) fn finish(self, buf: &mut Vec<u8>, index: u64, seal: &mut impl SealRtp) {
        let len = buf.len() - self.start;
        if let Some(at) = self.number_at {
            let number = seal.number(len + seal.tag_bytes());
            buf[at..at + 2].copy_from_slice(&number.to_be_bytes());
        } else {
            seal.pass(len + seal.tag_bytes());
        }
        buf.resize(buf.len() + seal.tag_bytes(), 0);
        let sealed = seal.seal_rtp(&mut buf[self.start..], self.header_bytes, len, self.ssrc, index);
        buf.truncate(self.start + sealed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: Fields = Fields {
        pt: 45,
        marker: true,
        seq: 7,
        time: 9,
        ssrc: 5,
    };

    fn written(transport_cc: Option<u8>, descriptor: &[u8]) -> (Vec<u8>, Draft) {
        let extensions = Extensions {
            transport_cc,
            descriptor: (!descriptor.is_empty()).then_some((12, descriptor)),
        };
        let mut buf = b"before".to_vec();
        let draft = Draft::begin(&mut buf, FIELDS, extensions);
        assert_eq!(draft.payload_at(), buf.len());
        assert_eq!(extensions.header_bytes(), buf.len() - 6);
        (buf.split_off(6), draft)
    }

    #[test]
    fn a_plain_header_has_no_extensions_and_a_number_takes_two_words() {
        let (plain, _) = written(None, &[]);
        assert_eq!(plain, [0x80, 0xad, 0, 7, 0, 0, 0, 9, 0, 0, 0, 5]);
        let (numbered, _) = written(Some(3), &[]);
        assert_eq!(numbered.len(), NUMBERED_HEADER_BYTES);
        assert_eq!(numbered[12..], [0xbe, 0xde, 0, 1, 0x31, 0, 0, 0]);
    }

    #[test]
    fn a_short_descriptor_stands_behind_the_number_and_a_long_one_makes_it_the_two_byte_form() {
        let (short, draft) = written(Some(3), &[1, 2, 3]);
        assert_eq!(short[12..], [0xbe, 0xde, 0, 2, 0x31, 0, 0, 0xc2, 1, 2, 3, 0]);
        assert_eq!(draft.descriptor_at(), Some(6 + 20));
        let long: Vec<u8> = (1..=17).collect();
        let (two_byte, draft) = written(Some(3), &long);
        assert_eq!(two_byte[12..22], [0x10, 0, 0, 6, 3, 2, 0, 0, 12, 17]);
        assert_eq!(two_byte[22..39], long);
        assert_eq!(draft.descriptor_at(), Some(6 + 22));
        let (alone, _) = written(None, &long[..16]);
        assert_eq!(alone[12..17], [0xbe, 0xde, 0, 5, 0xcf]);
    }
}
