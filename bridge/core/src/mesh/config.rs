//! What a `MeshCore` is told at start: who the node is, how fast it judges links, and how much it holds at most.

use super::author::Authority;
use super::directory::DirectoryUse;
use relay_proto::id::NodeName;
use relay_proto::unit::{MilliDegrees, PartsPerMillion};
use relay_proto::version::{OLDEST_SPOKEN_VERSION, PROTOCOL_VERSION};
use std::num::NonZeroU8;
use std::sync::Arc;
use std::time::Duration;

/// Everything a `MeshCore` needs to know of its node. The shell has checked it (names within the wire's limits).
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// The node's name; unique in the mesh.
    pub name: NodeName,
    /// The operator's label for the place.
    pub region: String,
    /// Latitude of the node.
    pub latitude: MilliDegrees,
    /// Longitude of the node.
    pub longitude: MilliDegrees,
    /// Base URL clients reach the node at.
    pub public_url: String,
    /// Version of the software, for people.
    pub software: String,
    /// How many shards the node runs; their ids are 0 to `shards` - 1.
    pub shards: NonZeroU8,
    /// Tracks that only pass through are `ShardId::PASSING`'s; else any shard's. Default: no.
    pub has_passing_shard: bool,
    /// Newest and oldest protocol version spoken. Default: this build's. Change it only to test upgrades.
    pub versions: (u16, u16),
    /// How many times its shortest way a node may be from this one in the trees of what is published here, in millionths;
    /// at least 1,000,000. Default 1,200,000.
    pub stretch: PartsPerMillion,
    /// Who says whose key signs which node's rows; without it this node proves nothing to others and believes of every node
    /// its own word alone.
    pub authority: Option<Arc<dyn Authority>>,
    /// Whether rows that others pass on need not be signed: for a mesh with nodes that cannot sign yet. Default false.
    pub unsigned_rows: bool,
    /// Whether other nodes may drive sessions here, and this node sessions there. Default true.
    pub steering: bool,
    /// Where this node tells of its rooms; the same on all nodes of a mesh. Default: in rows.
    pub directory: DirectoryUse,
    /// How fast links are judged.
    pub timing: MeshTiming,
    /// How much is held at most.
    pub limits: MeshLimits,
}

impl MeshConfig {
    /// A node called `name` with one shard, nowhere, and default timing and limits.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            region: String::new(),
            latitude: MilliDegrees(0),
            longitude: MilliDegrees(0),
            public_url: String::new(),
            software: String::new(),
            shards: NonZeroU8::MIN,
            has_passing_shard: false,
            versions: (PROTOCOL_VERSION, OLDEST_SPOKEN_VERSION),
            stretch: super::tree::DEFAULT_STRETCH,
            authority: None,
            unsigned_rows: false,
            steering: true,
            directory: DirectoryUse::ROWS,
            timing: MeshTiming::default(),
            limits: MeshLimits::default(),
        }
    }
}

/// How fast links are judged and rows refreshed.
///
/// The defaults judge a killed node within 165 + 750 + 100 ms on a link of 330 ms round trip, and expect one
/// false verdict in some 300 hours of 5 % random loss each way: seven echoes in a row must be missing, each with
/// a chance of 9.75 %.
#[derive(Clone, Copy, Debug)]
pub struct MeshTiming {
    /// Between two pings on a link; half of it where media comes by the link. Default 100 ms.
    pub ping_interval: Duration,
    /// Echoes missing in a row before a link is suspect; one more where media comes by it. Default 3.
    pub suspect_after_missed: u32,
    /// Silence of every kind after which a link that carried media is suspect. Default 150 ms: at least one ping of each side
    /// and one echo are missing then.
    pub busy_silence: Duration,
    /// Echoes missing in a row before a link is down. Default 7.
    pub down_after_missed: u32,
    /// Most time that measured jitter adds to either verdict. Default 50 ms.
    pub jitter_allowance: Duration,
    /// How much longer a new link may take for its first echo. Default 500 ms.
    pub first_echo_grace: Duration,
    /// How long a new link may take for its hello. Default 5 s.
    pub hello_timeout: Duration,
    /// How long a spare link is still read after its goodbye. Default 1 s.
    pub retire_grace: Duration,
    /// Between two refreshes of rows that change smoothly (round trips, load, counts). Default 500 ms.
    pub row_refresh: Duration,
    /// Between two digests to each peer, which heal what a lost link lost. Default 5 s.
    pub digest_interval: Duration,
}

impl Default for MeshTiming {
    fn default() -> Self {
        Self {
            ping_interval: Duration::from_millis(100),
            suspect_after_missed: 3,
            busy_silence: Duration::from_millis(150),
            down_after_missed: 7,
            jitter_allowance: Duration::from_millis(50),
            first_echo_grace: Duration::from_millis(500),
            hello_timeout: Duration::from_secs(5),
            retire_grace: Duration::from_secs(1),
            row_refresh: Duration::from_millis(500),
            digest_interval: Duration::from_secs(5),
        }
    }
}

/// The largest size of everything in a `MeshCore` that can grow. Over a limit, input is dropped and counted.
#[derive(Clone, Copy, Debug)]
pub struct MeshLimits {
    /// Nodes known, this one included. Default 1,024.
    pub max_nodes: usize,
    /// Links at once, those still greeting included; the oldest of these gives way to a new one. Default 2,048.
    pub max_links: usize,
    /// Links of one peer at once. Default 4: two that cross, and what is left of the ones before.
    pub max_links_per_peer: usize,
    /// Rooms one owner may host, and this node too. Default 16,384.
    pub max_rooms_per_owner: usize,
    /// Rows of all other nodes together; each takes about 300 bytes. Default 262,144.
    pub max_rows: usize,
    /// Rows one peer may tell in a second, and at once; others' that have to be verified count four times. Default 16,384.
    pub max_rows_per_second: usize,
    /// How often one peer may ask for rows in a second, and at once. Default 8.
    pub max_row_questions_per_second: usize,
    /// Gone rows kept per owner. Default 1,024.
    pub max_gone_rows_per_owner: usize,
    /// Sessions on this node. Default 4,096.
    pub max_sessions: usize,
    /// Sessions of one room on one shard before the next shard takes some; once every shard has that many, they share
    /// the rest. Default 40 (measured: at 84 people who all send, one shard is full).
    pub max_room_sessions_per_shard: usize,
    /// Participants of one room over the whole mesh. Default 4,096.
    pub max_participants_per_room: usize,
    /// Tracks of other nodes in one room; one node brings half of them at most. Default 20,000.
    pub max_remote_tracks_per_room: usize,
    /// Bytes of people, audiences and remembered messages that one other node has in all rooms here, by their estimated size.
    /// Default 64 MiB.
    pub max_peer_state_bytes: usize,
    /// Tracks of one participant, announced ones included. Default 16.
    pub max_tracks_per_participant: usize,
    /// Bytes of name, metadata, attributes and track names of one participant together. Default 128 KiB.
    pub max_participant_text_bytes: usize,
    /// Bytes of all names in the audience of one participant. Default 64 KiB.
    pub max_audience_bytes: usize,
    /// Bytes of reliable messages remembered of one participant for clients that come back. Default 64 KiB.
    pub max_history_bytes: usize,
    /// Bytes of participants, by their estimated size, in one snapshot; the rest follows one by one. Default 512 KiB.
    pub max_snapshot_bytes: usize,
    /// Tracks that nodes behind this one want through it, counted for each of them, half of which one node may want; one that
    /// only passes through takes 1.3 KiB. Default 16,384.
    pub max_transit_demands: usize,
    /// Bytes a second that one peer may send through this node to others on detours; also most at once. Default 32 MiB: all people of a large node.
    pub max_detour_bytes_per_second: usize,
    /// Sessions here that other nodes drive. Default 2,048.
    pub max_steered_sessions: usize,
    /// Bytes of commands and facts that wait for one other node to confirm them. Default 4 MiB.
    pub max_steering_bytes: usize,
    /// How long the link to a node may be gone before the sessions shared with it end. Default 5 s.
    pub steering_lease: Duration,
    /// Bytes of rows, by their estimated size, in one message. Default 256 KiB.
    pub max_rows_message_bytes: usize,
}

impl Default for MeshLimits {
    fn default() -> Self {
        Self {
            max_nodes: 1_024,
            max_links: 2_048,
            max_links_per_peer: 4,
            max_rooms_per_owner: 16_384,
            max_rows: 262_144,
            max_rows_per_second: 16_384,
            max_row_questions_per_second: 8,
            max_gone_rows_per_owner: 1_024,
            max_sessions: 4_096,
            max_room_sessions_per_shard: 40,
            max_participants_per_room: 4_096,
            max_remote_tracks_per_room: 20_000,
            max_peer_state_bytes: 64 << 20,
            max_tracks_per_participant: 16,
            max_participant_text_bytes: 128 << 10,
            max_audience_bytes: 64 << 10,
            max_history_bytes: 64 << 10,
            max_snapshot_bytes: 512 << 10,
            max_transit_demands: 16_384,
            max_detour_bytes_per_second: 32 << 20,
            max_steered_sessions: 2_048,
            max_steering_bytes: 4 << 20,
            steering_lease: Duration::from_secs(5),
            max_rows_message_bytes: 256 << 10,
        }
    }
}
