//! Everything on a shard that could grow, with its bound.

/// Limits of one shard. Each is a key of `[limits]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardLimits {
    /// Most sessions at once.
    pub max_sessions: usize,
    /// Most tracks of one participant, announced or bound.
    pub max_tracks_per_participant: usize,
    /// Most tracks of one room that one client receives.
    pub max_tracks_per_viewer: usize,
    /// Most explicit subscriptions and wishes remembered per client.
    pub max_wishes_per_viewer: usize,
    /// Most remote tracks known per room.
    pub max_remote_tracks_per_room: usize,
    /// Most packets repaired for one client per tick (10 ms).
    pub max_repairs_per_tick: u32,
    /// Most media packets taken from one client per tick (10 ms); further ones are dropped and counted.
    pub max_packets_per_tick: u32,
    /// Most sounds of one room that are forwarded at once, to viewers and to links: the loudest. 0: all.
    pub loudest_sounds: usize,
    /// Most datagrams that wait for the shell in `poll_relay`; further ones are dropped and counted.
    pub max_queued_relay: usize,
    /// Most bytes of datagrams kept that only pass through, for those who ask again.
    pub max_transit_cache_bytes: usize,
    /// Facts that may wait for the node while clients send data; a client that sends more ends its session.
    pub max_queued_facts: usize,
}

impl Default for ShardLimits {
    fn default() -> Self {
        Self {
            max_sessions: 4_000,
            max_tracks_per_participant: 32,
            max_tracks_per_viewer: 400,
            max_wishes_per_viewer: 2_000,
            max_remote_tracks_per_room: 20_000,
            max_repairs_per_tick: 64,
            // A keyframe of 4K in three layers is some 300 packets, and arrives in more than one tick.
            max_packets_per_tick: 512,
            loudest_sounds: 8,
            max_queued_relay: 8_192,
            // Two seconds at 64 Mbit/s.
            max_transit_cache_bytes: 16 << 20,
            max_queued_facts: 16_384,
        }
    }
}
