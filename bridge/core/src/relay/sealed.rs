//! Sealed datagrams that have gone through, for those behind who ask for them again. A node that cannot open them has
//! nothing else to answer with.

use bytes::Bytes;
use relay_proto::datagram::{Header, Piece};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::unit::MediaSeq;
use std::collections::{HashMap, VecDeque};

/// Which packet a datagram holds, or half of.
type Key = (NodeId, TrackAlias, Layer, MediaSeq, bool);

/// The newest datagrams of all tracks together, up to a number of bytes.
#[derive(Debug)]
pub struct SealedCache {
    held: HashMap<Key, Bytes>,
    order: VecDeque<Key>,
    bytes: usize,
    max_bytes: usize,
}

impl SealedCache {
    /// An empty cache of so many bytes.
    #[must_use]
    pub fn new(max_bytes: usize) -> Self {
        Self {
            held: HashMap::new(),
            order: VecDeque::new(),
            bytes: 0,
            max_bytes,
        }
    }

    /// Keeps a datagram; the oldest ones make room. Hot path: allocates nothing once it has been full.
    pub fn keep(&mut self, header: &Header, datagram: Bytes) {
        let key = key(header, header.piece == Piece::Second);
        self.bytes += datagram.len();
        if let Some(old) = self.held.insert(key, datagram) {
            self.bytes -= old.len();
        } else {
            self.order.push_back(key);
        }
        while self.bytes > self.max_bytes
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.held.remove(&oldest).map_or(0, |datagram| datagram.len());
        }
    }

    /// The datagrams of a packet of the stream in `header`; two where it came in pieces, none where it is not held.
    pub fn packet(&self, header: &Header, seq: MediaSeq) -> impl Iterator<Item = &Bytes> {
        let header = Header { seq, ..*header };
        let keys = [false, true].map(|second| key(&header, second));
        keys.into_iter().filter_map(|key| self.held.get(&key))
    }
}

const fn key(header: &Header, second: bool) -> Key {
    (header.origin, header.track, header.layer, header.seq, second)
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
        let mut cache = SealedCache::new(100);
        for seq in 0..20 {
            cache.keep(&header(seq), Bytes::from(vec![seq as u8; 10]));
        }
        let held = |cache: &SealedCache, seq| cache.packet(&header(0), MediaSeq(seq)).count();
        assert_eq!([9, 10, 19].map(|seq| held(&cache, seq)), [0, 1, 1]);
        let piece = |piece| Header { piece, ..header(30) };
        cache.keep(&piece(Piece::First), Bytes::from_static(b"first"));
        cache.keep(&piece(Piece::Second), Bytes::from_static(b"second"));
        assert_eq!(held(&cache, 30), 2);
        assert!(cache.bytes <= 100);
    }
}
