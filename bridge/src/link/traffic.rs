//! What a link has carried so far.

use relay_proto::datagram::{Header, Kind};
use relay_proto::id::{Layer, NodeId, TrackAlias};
use std::collections::BTreeMap;

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

/// Counters of one direction of a link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams of every kind.
    pub datagrams: u64,
    /// Their bytes, headers of ours included, those of QUIC not.
    pub bytes: u64,
    /// Media datagrams per stream.
    pub streams: BTreeMap<StreamKey, u64>,
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
            *self.streams.entry(key).or_default() += 1;
        }
    }
}
