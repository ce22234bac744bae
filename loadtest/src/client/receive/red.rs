//! Redundant sound (RFC 2198): a packet that carries the frames before its own once more.

/// Most blocks of a packet that are looked through.
const MOST_BLOCKS: usize = 32;

/// A frame repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block<'p> {
    /// By how many RTP time units it is older than the packet's own.
    pub(super) time_offset: u32,
    pub(super) payload: &'p [u8],
}

/// The frames a payload repeats, the nearest first, and its own. None where it does not add up.
pub(super) fn read(payload: &[u8]) -> Option<(Vec<Block<'_>>, &[u8])> {
    let mut headers = Vec::new();
    let mut rest = payload;
    while rest.first()? & 0x80 != 0 {
        let (head, after) = rest.split_first_chunk::<4>()?;
        let word = u32::from_be_bytes(*head);
        headers.push((word >> 10 & 0x3fff, word as usize & 0x3ff));
        rest = after;
        if headers.len() > MOST_BLOCKS {
            return None;
        }
    }
    rest = rest.get(1..)?;
    let mut blocks = Vec::with_capacity(headers.len());
    for (time_offset, bytes) in headers {
        let (payload, after) = rest.split_at_checked(bytes)?;
        blocks.push(Block { time_offset, payload });
        rest = after;
    }
    blocks.reverse();
    Some((blocks, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_taken_apart_nearest_first() {
        let mut payload = Vec::new();
        for (offset, bytes) in [(1_920_u32, 1_u32), (960, 2)] {
            payload.extend_from_slice(&(1 << 31 | 111 << 24 | offset << 10 | bytes).to_be_bytes());
        }
        payload.extend_from_slice(&[111, 9, 5, 6, 7]);
        let (blocks, own) = read(&payload).expect("well-formed");
        let expected = [(960, [5, 6].as_slice()), (1_920, &[9])];
        assert_eq!(blocks.len(), 2);
        for (block, (time_offset, payload)) in blocks.iter().zip(expected) {
            assert_eq!((block.time_offset, block.payload), (time_offset, payload));
        }
        assert_eq!(own, [7]);
        assert_eq!(read(&payload[..9]), None, "cut");
    }
}
