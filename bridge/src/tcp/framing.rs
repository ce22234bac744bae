//! Packets in a stream: each behind its length in two bytes (RFC 4571 section 2).

use bytes::{Buf as _, BufMut as _, BytesMut};

/// Bytes before each packet.
const LENGTH_BYTES: usize = 2;

/// A packet is longer than any client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLong;

/// Whether a stream that begins with `first` may be framed checks. It cannot be TLS, which begins with a record of type 20
/// and up (RFC 8446 section 5.1), nor HTTP: as lengths, those are far longer than any check.
#[must_use]
pub const fn begins_with_a_check(first: u8) -> bool {
    first < 7
}

/// Finds packets in what has been read.
#[derive(Debug)]
pub(super) struct Frames {
    limit: usize,
    read: BytesMut,
}

impl Frames {
    /// Of at most `limit` bytes each.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit: limit.min(usize::from(u16::MAX)),
            read: BytesMut::new(),
        }
    }

    /// Where to read the next bytes to: always room for a whole packet, so that memory is bounded by the limit.
    pub(super) fn space(&mut self) -> &mut BytesMut {
        self.read.reserve(LENGTH_BYTES + self.limit);
        &mut self.read
    }

    /// The next whole packet, if it has come. Empty ones, which the RFC allows, are skipped.
    ///
    /// # Errors
    /// [`TooLong`]; the stream is of no use any more.
    pub(super) fn next(&mut self) -> Result<Option<BytesMut>, TooLong> {
        while let Some(&[high, low]) = self.read.first_chunk() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            if length > self.limit {
                return Err(TooLong);
            }
            if self.read.len() < LENGTH_BYTES + length {
                return Ok(None);
            }
            self.read.advance(LENGTH_BYTES);
            if length > 0 {
                return Ok(Some(self.read.split_to(length)));
            }
        }
        Ok(None)
    }
}

/// Writes a packet behind its length. One that the length cannot tell is left out: none of ours is a tenth of that.
pub(super) fn write(packet: &[u8], out: &mut BytesMut) {
    if let Ok(length) = u16::try_from(packet.len()) {
        out.put_u16(length);
        out.put_slice(packet);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: usize = 100;

    fn framed(lengths: &[usize]) -> (Vec<Vec<u8>>, BytesMut) {
        let packets: Vec<Vec<u8>> = lengths
            .iter()
            .enumerate()
            .map(|(at, length)| vec![at as u8; *length])
            .collect();
        let mut stream = BytesMut::new();
        for packet in &packets {
            write(packet, &mut stream);
        }
        (packets, stream)
    }

    /// Feeds the stream in pieces, and returns the packets and the most that was held.
    fn feed<'s>(pieces: impl Iterator<Item = &'s [u8]>) -> Result<(Vec<Vec<u8>>, usize), TooLong> {
        let mut frames = Frames::new(LIMIT);
        let (mut found, mut most) = (Vec::new(), 0);
        for piece in pieces {
            frames.space().put_slice(piece);
            most = most.max(frames.read.len());
            while let Some(packet) = frames.next()? {
                found.push(packet.to_vec());
            }
        }
        Ok((found, most))
    }

    #[test]
    fn packets_are_found_however_the_stream_is_cut() {
        let (packets, stream) = framed(&[1, LIMIT, 20, 2, 99, 1, 57]);
        for size in 1..=stream.len() {
            let (found, _) = feed(stream.chunks(size)).unwrap();
            assert_eq!(found, packets, "pieces of {size}");
        }
    }

    #[test]
    fn empty_packets_are_nothing_and_half_ones_wait() {
        let (found, _) = feed([&[0, 0, 0][..], &[0, 0, 2, 7]].into_iter()).unwrap();
        assert_eq!(found, Vec::<Vec<u8>>::new());
        let (found, _) = feed([&[0, 0, 0][..], &[0, 0, 2, 7], &[8, 0]].into_iter()).unwrap();
        assert_eq!(found, [[7, 8]]);
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_its_packet_has_come() {
        for length in [LIMIT as u16 + 1, u16::MAX] {
            assert_eq!(feed(std::iter::once(&length.to_be_bytes()[..])), Err(TooLong));
        }
        // TLS, HTTP and noise.
        for stream in [&[22, 3, 1, 2, 0][..], b"GET / HTTP/1.1\r\n", &[255; 64]] {
            assert_eq!(feed(std::iter::once(stream)), Err(TooLong));
        }
    }

    #[test]
    fn a_stream_of_one_byte_packets_holds_no_more_than_it_brings() {
        let (packets, stream) = framed(&[1; 10_000]);
        let (found, most) = feed(stream.chunks(LIMIT)).unwrap();
        assert_eq!(found.len(), packets.len());
        assert!(most <= LIMIT + LENGTH_BYTES, "{most}");
    }

    #[test]
    fn a_check_begins_unlike_anything_an_https_listener_is_sent() {
        let (_, stream) = framed(&[108]);
        assert!(begins_with_a_check(stream[0]));
        assert!(
            b"GPHODTC\x16\x80\xff"
                .iter()
                .all(|first| !begins_with_a_check(*first))
        );
    }
}
