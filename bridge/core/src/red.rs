//! Redundant audio (RFC 2198): a packet that carries the frames before its own once more.
//!
//! A frame that was lost is heard from the next packet, 20 ms later, where a repair takes a round trip. Redundancy is of
//! one hop: clients may send it, caches and links hold plain frames, and a leg repeats frames only where its viewer's
//! path loses packets.

use relay_proto::room::TrackRecord;

/// Most frames repeated in one packet: bursts of as many losses are mended.
pub const MAX_EARLIER: usize = 2;
/// Most blocks of an incoming packet that are looked through.
const MAX_BLOCKS: usize = 8;
/// Largest time offset, 14 bits: 341 ms at 48 kHz.
const MAX_TIME_OFFSET: u32 = (1 << 14) - 1;
/// Largest repeated frame, 10 bits.
const MAX_BLOCK_BYTES: usize = (1 << 10) - 1;
/// Header of a repeated frame, and of the frame itself.
const BLOCK_HEADER_BYTES: usize = 4;
const LAST_HEADER_BYTES: usize = 1;

/// A frame repeated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Block<'b> {
    /// By how many RTP time units it is older than the packet's own frame; at most 16,383.
    pub time_offset: u32,
    /// The frame.
    pub payload: &'b [u8],
}

/// The frames right before a packet's own, nearest first, without a hole: the nth is that of the nth packet before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Earlier<'b> {
    blocks: [Block<'b>; MAX_EARLIER],
    count: usize,
}

impl<'b> Earlier<'b> {
    /// Adds the frame before the last one added; false where it is too old, too long or one too many.
    pub fn push(&mut self, time_offset: u32, payload: &'b [u8]) -> bool {
        let fits = time_offset <= MAX_TIME_OFFSET && payload.len() <= MAX_BLOCK_BYTES;
        match self.blocks.get_mut(self.count) {
            Some(place) if fits => {
                *place = Block { time_offset, payload };
                self.count += 1;
                true
            }
            _ => false,
        }
    }

    /// The frames, nearest first.
    #[must_use]
    pub fn blocks(&self) -> &[Block<'b>] {
        &self.blocks[..self.count]
    }

    /// Whether nothing is repeated.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes by which a payload grows when it carries them; 0 where there are none, because then it stays plain.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let repeated = |block: &Block<'_>| BLOCK_HEADER_BYTES + block.payload.len();
        match self.count {
            0 => 0,
            _ => LAST_HEADER_BYTES + self.blocks().iter().map(repeated).sum::<usize>(),
        }
    }

    /// Appends the payload of a packet that carries them and `own`, all of payload type `pt`.
    pub fn write(&self, buf: &mut Vec<u8>, pt: u8, own: &[u8]) {
        for block in self.blocks().iter().rev() {
            let word = 1 << 31
                | u32::from(pt & 0x7f) << 24
                | (block.time_offset & MAX_TIME_OFFSET) << 10
                | (block.payload.len() & MAX_BLOCK_BYTES) as u32;
            buf.extend_from_slice(&word.to_be_bytes());
        }
        buf.push(pt & 0x7f);
        for block in self.blocks().iter().rev() {
            buf.extend_from_slice(block.payload);
        }
        buf.extend_from_slice(own);
    }
}

/// Whether a track's frames may be repeated: not where its publisher forbids it, or encrypts them. A client decrypts a
/// payload as a whole, and only a publisher could make one of several frames that it would understand.
#[must_use]
pub fn may_be_repeated(record: &TrackRecord) -> bool {
    !record.client.red_disabled && record.client.encryption == 0
}

/// Takes a redundant payload apart: what it repeats (the nearest [`MAX_EARLIER`] frames) and its own frame. None where
/// it does not add up, or where a block is of another payload type than `pt`. No allocation.
#[must_use]
pub fn read(payload: &[u8], pt: u8) -> Option<(Earlier<'_>, &[u8])> {
    let mut headers = [(0_u32, 0_usize); MAX_BLOCKS];
    let (mut count, mut at) = (0, 0);
    loop {
        let first = *payload.get(at)?;
        if first & 0x7f != pt {
            return None;
        }
        if first & 0x80 == 0 {
            at += LAST_HEADER_BYTES;
            break;
        }
        let word = u32::from_be_bytes(*payload.get(at..)?.first_chunk()?);
        *headers.get_mut(count)? = (word >> 10 & MAX_TIME_OFFSET, word as usize & MAX_BLOCK_BYTES);
        count += 1;
        at += BLOCK_HEADER_BYTES;
    }
    let headers = &headers[..count];
    let mut end = at + headers.iter().map(|(_, bytes)| bytes).sum::<usize>();
    let own = payload.get(end..)?;
    let mut earlier = Earlier::default();
    for &(time_offset, bytes) in headers.iter().rev() {
        let block = payload.get(end - bytes..end)?;
        // An empty block stands for a frame that is not repeated; what is older cannot be counted from here.
        if block.is_empty() || !earlier.push(time_offset, block) {
            break;
        }
        end -= bytes;
    }
    Some((earlier, own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut earlier = Earlier::default();
        assert!(earlier.push(960, b"before"));
        assert!(earlier.push(1_920, b"long before"));
        assert!(!earlier.push(2_880, b"too many"));
        let mut payload = Vec::new();
        earlier.write(&mut payload, 111, b"own");
        assert_eq!(payload.len(), b"own".len() + earlier.bytes());
        assert_eq!(read(&payload, 111), Some((earlier, b"own".as_slice())));
        assert_eq!(read(&payload, 96), None, "of another payload type");
    }

    /// One block of distance one, by hand after RFC 2198 section 3.
    #[test]
    fn a_packet_of_the_wire_is_read() {
        let payload = [0x80 | 111, 0x0f, 0x00, 0x02, 111, 0xaa, 0xbb, 0xcc];
        let (earlier, own) = read(&payload, 111).expect("well-formed");
        assert_eq!(
            earlier.blocks(),
            [Block {
                time_offset: 960,
                payload: &[0xaa, 0xbb]
            }]
        );
        assert_eq!(own, [0xcc]);
    }

    #[test]
    fn of_many_blocks_the_nearest_are_kept() {
        let mut payload = Vec::new();
        for back in (1..=4_u32).rev() {
            let word = 1 << 31 | 111 << 24 | (back * 960) << 10 | 1;
            payload.extend_from_slice(&word.to_be_bytes());
        }
        payload.extend_from_slice(&[111, 4, 3, 2, 1, 0]);
        let (earlier, own) = read(&payload, 111).expect("well-formed");
        let frames: Vec<&[u8]> = earlier.blocks().iter().map(|block| block.payload).collect();
        assert_eq!(frames, [[1].as_slice(), &[2]]);
        assert_eq!(own, [0]);
    }

    #[test]
    fn what_does_not_add_up_is_refused() {
        let good = [0x80 | 111, 0x0f, 0x00, 0x02, 111, 0xaa, 0xbb, 0xcc];
        for len in 0..7 {
            assert_eq!(read(&good[..len], 111), None, "cut at {len}");
        }
        assert_eq!(read(&[0xff; 200], 127), None, "blocks without end");
        assert_eq!(read(&[111], 111), Some((Earlier::default(), [].as_slice())));
    }

    #[test]
    fn frames_too_old_or_too_long_are_not_repeated() {
        let long = [0; MAX_BLOCK_BYTES + 1];
        let mut earlier = Earlier::default();
        assert!(!earlier.push(MAX_TIME_OFFSET + 1, b"x"));
        assert!(!earlier.push(960, &long));
        assert!(earlier.is_empty());
        assert_eq!(earlier.bytes(), 0);
    }
}
