//! Sealed datagrams that have gone through, for those behind who ask for them again. A node that cannot open them has
//! nothing else to answer with.

use super::ring::{Ring, Span};
use relay_proto::datagram::{Header, Piece};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::MediaSeq;
use slab::Slab;
use std::collections::{HashMap, VecDeque};

/// Numbers between a packet and the newest one before it; a longer gap is another beginning.
const MAX_GAP: u32 = 4_096;

/// Of what a datagram is part: whole packets and first pieces of a layer, or its second pieces.
type Key = (NodeId, TrackAlias, Layer, bool);

/// The newest datagrams of all tracks together, up to a number of bytes.
#[derive(Debug)]
pub struct SealedCache {
    /// By what they are part of; those that hold nothing are removed.
    streams: Slab<Stream>,
    places: HashMap<Key, usize>,
    /// Where the newest datagram was put; the place may be another stream's by now.
    newest: Option<usize>,
    /// The streams of what is held, in order of arrival, and in which chunk it stands: from each its first datagram goes.
    order: VecDeque<(usize, u64)>,
    ring: Ring,
}

/// Datagrams in a row; the first one is there, as is the last.
#[derive(Debug)]
struct Stream {
    key: Key,
    first: u32,
    held: VecDeque<Option<Span>>,
}

impl SealedCache {
    /// An empty cache of so many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            streams: Slab::new(),
            places: HashMap::new(),
            newest: None,
            order: VecDeque::new(),
            ring: Ring::new(max_bytes),
        }
    }

    /// Keeps a copy of a datagram; the oldest ones make room. Hot path: one look-up in a table of streams, a copy, and no
    /// allocation once it has been full. A table of datagrams took a sixth of what a node spends on what passes through (measured:
    /// `relay_cpu`). A copy into memory that is used in turn is less than to hold the datagram: that is an allocation more to
    /// count who holds it, and one to free when nothing of it is in the processor's caches any more (seen in its profiles).
    pub fn keep(&mut self, header: &Header, datagram: &[u8]) {
        let place = self.place_of(header);
        if self.streams[place].is_elsewhere(header.seq) {
            self.forget(place);
            return self.keep(header, datagram);
        }
        if let Some(at) = self.streams[place].lacks(header.seq)
            && let Some(span) = self.ring.write(datagram)
        {
            self.streams[place].put(at, span);
            self.order.push_back((place, span.chunk()));
        }
        self.let_go_of_old();
        if self
            .streams
            .get(place)
            .is_some_and(|stream| stream.held.is_empty())
        {
            self.places.remove(&self.streams.remove(place).key);
        }
    }

    fn place_of(&mut self, header: &Header) -> usize {
        let key = key(header, header.piece == Piece::Second);
        // Packets come in rows of the same picture.
        let newest = self.newest.filter(|place| {
            let stream = self.streams.get(*place);
            stream.is_some_and(|stream| stream.key == key)
        });
        let place = newest.unwrap_or_else(|| {
            *self.places.entry(key).or_insert_with(|| {
                self.streams.insert(Stream {
                    key,
                    first: header.seq.0,
                    held: VecDeque::new(),
                })
            })
        });
        self.newest = Some(place);
        place
    }

    fn let_go_of_old(&mut self) {
        let oldest = self.ring.oldest();
        while let Some((place, _)) = self.order.pop_front_if(|(_, chunk)| *chunk < oldest) {
            self.streams[place].pop();
            if self.streams[place].held.is_empty() {
                self.places.remove(&self.streams.remove(place).key);
            }
        }
    }

    /// The datagrams of a packet of the stream in `header`; two where it came in pieces, none where it is not held.
    pub fn packet(&self, header: &Header, seq: MediaSeq) -> impl Iterator<Item = &[u8]> {
        let keys = [false, true].map(|second| key(header, second));
        keys.into_iter().filter_map(move |key| {
            let span = self.streams[*self.places.get(&key)?].get(seq)?;
            self.ring.get(span)
        })
    }

    /// Lets go of a whole stream: its numbers have begun anew. Rare, so it may walk through all that is held.
    fn forget(&mut self, place: usize) {
        self.places.remove(&self.streams.remove(place).key);
        self.order.retain(|(of, _)| *of != place);
    }
}

impl Stream {
    /// Whether a number is too far from those that are held to be of the same row.
    fn is_elsewhere(&self, seq: MediaSeq) -> bool {
        let end = u64::from(self.first) + self.held.len() as u64;
        let (seq, gap) = (u64::from(seq.0), u64::from(MAX_GAP));
        !self.held.is_empty() && (seq + gap < u64::from(self.first) || seq > end + gap)
    }

    /// Where a number has its place in the row; none where it is held already, or older than the first.
    fn lacks(&mut self, seq: MediaSeq) -> Option<usize> {
        if self.held.is_empty() {
            self.first = seq.0;
        }
        let at = seq.0.checked_sub(self.first)? as usize;
        let held = self.held.get(at).is_some_and(Option::is_some);
        (!held).then_some(at)
    }

    fn put(&mut self, at: usize, span: Span) {
        while self.held.len() <= at {
            self.held.push_back(None);
        }
        self.held[at] = Some(span);
    }

    fn get(&self, seq: MediaSeq) -> Option<Span> {
        *self.held.get(seq.0.checked_sub(self.first)? as usize)?
    }

    /// Lets go of the first datagram and of the gap behind it.
    fn pop(&mut self) {
        self.held.pop_front();
        self.first = self.first.wrapping_add(1);
        while self.held.front().is_some_and(Option::is_none) {
            self.held.pop_front();
            self.first = self.first.wrapping_add(1);
        }
    }
}

const fn key(header: &Header, second: bool) -> Key {
    (header.origin, header.track, header.layer, second)
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_proto::unit::RtpTime;

    fn header(seq: u32) -> Header {
        Header::media(NodeId(1), TrackAlias(2), Layer(0), MediaSeq(seq), RtpTime(0))
    }

    #[test]
    fn the_oldest_go_first_and_both_pieces_are_found() {
        let mut cache = SealedCache::new(16 << 10);
        for seq in 0..40 {
            cache.keep(&header(seq), &[seq as u8; 1_000]);
        }
        let held = |cache: &SealedCache, seq| cache.packet(&header(0), MediaSeq(seq)).count();
        assert_eq!([23, 24, 39].map(|seq| held(&cache, seq)), [0, 1, 1]);
        let newest = cache.packet(&header(0), MediaSeq(39)).next();
        assert_eq!(newest, Some(&[39; 1_000][..]));
        let piece = |piece| Header { piece, ..header(50) };
        cache.keep(&piece(Piece::First), &[1; 1_000]);
        cache.keep(&piece(Piece::Second), &[2; 1_000]);
        assert_eq!(held(&cache, 50), 2);
        assert_eq!((cache.order.len(), cache.streams.len()), (16, 2));
    }

    #[test]
    fn gaps_are_none_and_what_comes_twice_or_late_is_not_counted() {
        let mut cache = SealedCache::new(16 << 10);
        for seq in [5, 8, 5, 4, 6] {
            cache.keep(&header(seq), b"ten bytes.");
        }
        let held = |cache: &SealedCache, seq| cache.packet(&header(0), MediaSeq(seq)).count();
        assert_eq!(
            [4, 5, 6, 7, 8, 9].map(|seq| held(&cache, seq)),
            [0, 1, 1, 0, 1, 0]
        );
        assert_eq!(cache.order.len(), 3);
    }

    #[test]
    fn numbers_that_jump_begin_anew_and_cost_no_memory() {
        let mut cache = SealedCache::new(16 << 10);
        let held = |cache: &SealedCache, seq| cache.packet(&header(0), MediaSeq(seq)).count();
        for seq in [u32::MAX, 0, 5_000_000, 7, u32::MAX - 1] {
            cache.keep(&header(seq), b"ten bytes.");
            assert_eq!(held(&cache, seq), 1);
            assert_eq!((cache.order.len(), cache.streams.len()), (1, 1));
        }
        let Some((_, stream)) = cache.streams.iter().next() else {
            panic!("nothing is held");
        };
        assert!(stream.held.len() == 1);
    }

    #[test]
    fn streams_that_hold_nothing_are_forgotten() {
        let mut cache = SealedCache::new(16 << 10);
        for track in 0..1_000 {
            let header = Header {
                track: TrackAlias(track),
                ..header(1)
            };
            cache.keep(&header, &[0; 1_000]);
        }
        assert_eq!((cache.streams.len(), cache.places.len()), (16, 16));
    }
}
