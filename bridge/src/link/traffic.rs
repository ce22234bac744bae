//! What a link has carried so far.

use bridge_core::relay::seen::Seen;
use relay_proto::datagram::{HEADER_BYTES, Header, Kind, Piece};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use relay_proto::seal::TAG_BYTES;
use std::collections::BTreeMap;
use std::time::Instant;

/// Most streams counted by name; a link that carries more counts the rest only in its totals.
const MAX_COUNTED_STREAMS: usize = 8_192;

/// One layer of one track on a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamKey {
    /// Where the track is published.
    pub origin: NodeId,
    /// The track.
    pub track: TrackAlias,
    /// The layer.
    pub layer: Layer,
}

/// Media on a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Media {
    /// Packets; one in two pieces is one.
    pub datagrams: u64,
    /// Their bytes as they were published, without the relay's headers and seals.
    pub bytes: u64,
    /// Packets that had crossed before: repairs, and copies that nobody needs.
    pub repeated: u64,
}

impl Media {
    fn add(&mut self, header: &Header, bytes: usize, repeated: bool) {
        // The seal spans both pieces; its tag ends the second one.
        let tag = if header.piece == Piece::First {
            0
        } else {
            TAG_BYTES
        };
        self.bytes += bytes.saturating_sub(HEADER_BYTES + tag) as u64;
        if header.piece != Piece::Second {
            self.datagrams += 1;
            self.repeated += u64::from(repeated);
        }
    }
}

/// Counters of one direction of a link.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    /// Datagrams of every kind.
    pub datagrams: u64,
    /// Their bytes, headers of ours included, those of QUIC not.
    pub bytes: u64,
    /// Media among them, of the streams that are counted by name or were.
    pub media: Media,
    /// When the last one came; of what is sent nobody asks.
    pub last_at: Option<Instant>,
    /// Media per stream.
    pub streams: BTreeMap<StreamKey, Stream>,
}

/// One layer of one track, and which numbers of it have crossed.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// What has crossed.
    pub media: Media,
    seen: Seen,
}

impl Traffic {
    pub(super) fn count(&mut self, header: Option<&Header>, bytes: usize) {
        self.datagrams += 1;
        self.bytes += bytes as u64;
        let Some(header) = header.filter(|header| header.kind == Kind::Media) else {
            return;
        };
        let key = StreamKey {
            origin: header.origin,
            track: header.track,
            layer: header.layer,
        };
        if self.streams.len() < MAX_COUNTED_STREAMS || self.streams.contains_key(&key) {
            let stream = self.streams.entry(key).or_default();
            let repeated = header.piece != Piece::Second && !stream.seen.note(header.seq);
            stream.media.add(header, bytes, repeated);
            self.media.add(header, bytes, repeated);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use relay_proto::unit::{MediaSeq, RtpTime};

    #[test]
    fn copies_and_repairs_are_told_from_what_crosses_once() {
        let mut traffic = Traffic::default();
        let header = |seq, piece| {
            let header = Header::media(NodeId(1), TrackAlias(2), Layer(1), MediaSeq(seq), RtpTime(0));
            Header { piece, ..header }
        };
        traffic.count(Some(&header(1, Piece::Whole)), HEADER_BYTES + 100 + TAG_BYTES);
        traffic.count(Some(&header(2, Piece::First)), HEADER_BYTES + 70);
        traffic.count(Some(&header(2, Piece::Second)), HEADER_BYTES + 30 + TAG_BYTES);
        traffic.count(Some(&header(1, Piece::Whole)), HEADER_BYTES + 100 + TAG_BYTES);
        traffic.count(None, 9);
        let all = Media {
            datagrams: 3,
            bytes: 300,
            repeated: 1,
        };
        assert_eq!((traffic.datagrams, traffic.media), (5, all));
        assert_eq!(
            traffic
                .streams
                .values()
                .map(|stream| stream.media)
                .collect::<Vec<_>>(),
            [all]
        );
    }
}
