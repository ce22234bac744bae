//! What a shard has done, as plain numbers the shell exports.

use crate::rtc::RtcCounters;

/// Counters of one shard; they only grow (gauges are marked).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardCounters {
    /// Gauge: sessions now.
    pub sessions: u64,
    /// Gauge: rooms now.
    pub rooms: u64,
    /// Gauge: tracks now, local and remote.
    pub tracks: u64,
    /// Gauge: legs now.
    pub legs: u64,
    /// Gauge: sounds that are forwarded, of all rooms; 0 where all are.
    pub sounds_forwarded: u64,
    /// Datagrams from clients.
    pub datagrams_in: u64,
    /// Datagrams of no known session.
    pub datagrams_unknown: u64,
    /// Media packets from clients.
    pub packets_in: u64,
    /// Media packets refused: duplicate, too old, muted.
    pub packets_refused: u64,
    /// Media packets dropped because their client sends too many.
    pub packets_flooded: u64,
    /// Lost packets of sound that a later packet of the client repeated.
    pub sounds_recovered: u64,
    /// Packets of sound, from clients and links, that were not forwarded because others were louder.
    pub sounds_withheld: u64,
    /// What the transports of clients have refused, those of sessions that are over included.
    pub refused: RtcCounters,
    /// Batches of media to clients.
    pub batches_out: u64,
    /// Bytes of media to clients.
    pub bytes_out: u64,
    /// Packets sent again to clients.
    pub repairs_out: u64,
    /// Repairs refused: not held any more, or over the limit.
    pub repairs_refused: u64,
    /// Bytes of padding sent to find out how wide clients' paths are.
    pub padding_bytes_out: u64,
    /// Keyframes asked of clients and origins.
    pub keyframe_requests: u64,
    /// Datagrams from links.
    pub relay_in: u64,
    /// Datagrams from links that were dropped: unreadable, stale, broken seal, unknown track.
    pub relay_refused: u64,
    /// Of them, media of nodes that were not asked for it.
    pub uninvited: u64,
    /// Datagrams to links.
    pub relay_out: u64,
    /// Gauge: tracks that only pass through.
    pub transit_tracks: u64,
    /// Datagrams of other nodes sent on to others.
    pub transit_out: u64,
    /// Datagrams of other nodes not sent on because they had no hops left.
    pub transit_expired: u64,
    /// Datagrams to links dropped because too many waited or no route was known.
    pub relay_dropped: u64,
}
