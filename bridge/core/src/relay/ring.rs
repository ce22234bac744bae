//! Memory for datagrams that are kept for a while: written one behind the other into chunks that are used in turn. Nothing is
//! allocated once all chunks are there, and nothing is counted: what stands in a chunk is gone when its turn comes again.

/// Bytes of a chunk, where there is room for enough of them.
const CHUNK_BYTES: usize = 64 << 10;
/// So many chunks where that leaves each large enough, so that little is gone at a time.
const MANY_CHUNKS: usize = 16;
/// A datagram fits every chunk, however few there are: none is larger than an Ethernet packet.
const LEAST_CHUNK_BYTES: usize = 2 << 10;

/// Where a datagram stands.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// Number of its chunk, counted from the first that was ever written.
    chunk: u64,
    start: u32,
    bytes: u32,
}

impl Span {
    /// Number of its chunk: grows with every one that is begun.
    pub(super) const fn chunk(self) -> u64 {
        self.chunk
    }
}

/// The chunks of one cache. Memory: at most as many bytes as it was made for, and 24 a chunk.
#[derive(Debug)]
pub(super) struct Ring {
    chunks: Vec<Vec<u8>>,
    chunk_bytes: usize,
    most: usize,
    /// Number of the chunk that is being written.
    newest: u64,
}

impl Ring {
    pub(super) fn new(max_bytes: usize) -> Self {
        let chunk_bytes = (max_bytes / MANY_CHUNKS).clamp(LEAST_CHUNK_BYTES, CHUNK_BYTES);
        Self {
            chunks: Vec::new(),
            chunk_bytes,
            most: max_bytes / chunk_bytes,
            newest: 0,
        }
    }

    /// Writes a datagram; none where it is too large to be kept. Cost: a copy.
    pub(super) fn write(&mut self, datagram: &[u8]) -> Option<Span> {
        if datagram.len() > self.chunk_bytes || self.most == 0 {
            return None;
        }
        let full = |chunk: &Vec<u8>| chunk.len() + datagram.len() > self.chunk_bytes;
        if self.chunks.get(self.slot(self.newest)).is_none_or(full) {
            self.begin_chunk();
        }
        let slot = self.slot(self.newest);
        let chunk = &mut self.chunks[slot];
        let start = chunk.len() as u32;
        chunk.extend_from_slice(datagram);
        Some(Span {
            chunk: self.newest,
            start,
            bytes: datagram.len() as u32,
        })
    }

    /// What was written there; none where the chunk has been begun anew since.
    pub(super) fn get(&self, span: Span) -> Option<&[u8]> {
        if span.chunk < self.oldest() {
            return None;
        }
        let chunk = &self.chunks[self.slot(span.chunk)];
        chunk.get(span.start as usize..(span.start + span.bytes) as usize)
    }

    /// Number of the oldest chunk that still stands.
    pub(super) const fn oldest(&self) -> u64 {
        (self.newest + 1).saturating_sub(self.chunks.len() as u64)
    }

    fn begin_chunk(&mut self) {
        if !self.chunks.is_empty() {
            self.newest += 1;
        }
        let slot = self.slot(self.newest);
        match self.chunks.get_mut(slot) {
            Some(chunk) => chunk.clear(),
            None => self.chunks.push(Vec::with_capacity(self.chunk_bytes)),
        }
    }

    const fn slot(&self, chunk: u64) -> usize {
        (chunk % self.most as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_last_stands_and_memory_is_bounded() {
        let mut ring = Ring::new(32 << 10);
        let spans: Vec<Span> = (0..200_u8)
            .map(|number| ring.write(&[number; 600]).unwrap())
            .collect();
        // Sixteen chunks, three datagrams in each; the last one has two.
        let held = spans.iter().filter(|span| ring.get(**span).is_some()).count();
        assert_eq!((held, ring.chunks.len()), (47, 16));
        for (number, span) in spans.iter().enumerate().skip(153) {
            assert_eq!(ring.get(*span), Some(&[number as u8; 600][..]));
        }
        let capacities = ring.chunks.iter().map(Vec::capacity);
        assert!(capacities.sum::<usize>() <= 32 << 10);
    }

    #[test]
    fn however_little_room_there_is_the_newest_is_kept() {
        let mut ring = Ring::new(3 << 10);
        for number in 0..9_u8 {
            let span = ring.write(&[number; 1_400]).unwrap();
            assert_eq!(ring.get(span), Some(&[number; 1_400][..]));
        }
        assert_eq!(ring.chunks.len(), 1);
    }

    #[test]
    fn what_is_too_large_is_not_kept() {
        assert!(Ring::new(32 << 10).write(&[0; 2_049]).is_none());
        assert!(Ring::new(0).write(&[0; 1]).is_none());
        assert!(Ring::new(0).write(&[]).is_none());
    }
}
