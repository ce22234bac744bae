//! The bytes of an outgoing RTP packet: header, transport-wide number, seal.

/// Length of an RTP header without CSRC and extension (viewers know the SSRC from the answer).
pub(super) const PLAIN_HEADER_BYTES: usize = 12;
/// Length of a header that carries the transport-wide number: one extension element in one word (RFC 8285 section 4.2).
pub(super) const NUMBERED_HEADER_BYTES: usize = 20;
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

/// A packet that is being written at the end of a buffer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draft {
    start: usize,
    header_bytes: usize,
    ssrc: u32,
}

impl Draft {
    /// Writes the header; with `transport_cc` it has room for the number, which [`Self::finish`] fills in.
    pub(super) fn begin(buf: &mut Vec<u8>, fields: Fields, transport_cc: Option<u8>) -> Self {
        let start = buf.len();
        let mut header = [0; NUMBERED_HEADER_BYTES];
        header[0] = 0x80;
        header[1] = fields.pt | u8::from(fields.marker) << 7;
        header[2..4].copy_from_slice(&fields.seq.to_be_bytes());
        header[4..8].copy_from_slice(&fields.time.to_be_bytes());
        header[8..12].copy_from_slice(&fields.ssrc.to_be_bytes());
        let header_bytes = header_bytes(transport_cc);
        if let Some(id) = transport_cc {
            header[0] |= 0x10;
            header[12..17].copy_from_slice(&[0xbe, 0xde, 0, 1, id << 4 | 1]);
        }
        buf.extend_from_slice(&header[..header_bytes]);
        Self {
            start,
            header_bytes,
            ssrc: fields.ssrc,
        }
    }

    /// Where the payload begins.
    pub(super) const fn payload_at(&self) -> usize {
        self.start + self.header_bytes
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
        if self.header_bytes == NUMBERED_HEADER_BYTES {
            let number = seal.number(len + seal.tag_bytes());
            let at = self.start + PLAIN_HEADER_BYTES + 5;
            buf[at..at + 2].copy_from_slice(&number.to_be_bytes());
        } else {
            seal.pass(len + seal.tag_bytes());
        }
        buf.resize(buf.len() + seal.tag_bytes(), 0);
        let sealed = seal.seal_rtp(&mut buf[self.start..], self.header_bytes, len, self.ssrc, index);
        buf.truncate(self.start + sealed);
    }
}

/// Length of a header with or without the number.
pub(super) const fn header_bytes(transport_cc: Option<u8>) -> usize {
    if transport_cc.is_some() {
        NUMBERED_HEADER_BYTES
    } else {
        PLAIN_HEADER_BYTES
    }
}
