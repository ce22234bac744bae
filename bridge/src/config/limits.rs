//! `[limits]`: each named limit is one key, even where several parts of the node hold to it.

use super::keys::Kind;
use super::reader::Reader;
use crate::directory::config::DirectoryLimits;
use crate::tcp::TcpLimits;
use bridge_core::mesh::config::MeshLimits;
use bridge_core::rtc::RtcLimits;
use bridge_core::shard::limits::ShardLimits;
use std::time::Duration;

/// The limits of every part of the node.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Of signalling.
    pub signaling: signaling::Limits,
    /// Of the control machine.
    pub mesh: MeshLimits,
    /// Of each media thread.
    pub shard: ShardLimits,
    /// Of each client's transport.
    pub rtc: RtcLimits,
    /// Of media over TCP.
    pub tcp: TcpLimits,
    /// Of the directory outside of the mesh.
    pub directory: DirectoryLimits,
}

impl Default for Limits {
    /// The parts' own defaults, with limits that several parts share set to one value.
    fn default() -> Self {
        let mut limits = Self {
            signaling: signaling::Limits::default(),
            mesh: MeshLimits::default(),
            shard: ShardLimits::default(),
            rtc: RtcLimits::default(),
            tcp: TcpLimits::default(),
            directory: DirectoryLimits::default(),
        };
        for limit in LIMITS {
            let value = (limit.read)(&limits);
            (limit.write)(&mut limits, value);
        }
        limits
    }
}

/// How a limit is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    Count,
    /// A count of which 0 means all.
    OrAll,
    Bytes,
    Millis,
}

/// One key of `[limits]`.
pub(super) struct Limit {
    pub(super) path: &'static str,
    pub(super) help: &'static str,
    unit: Unit,
    read: fn(&Limits) -> u64,
    write: fn(&mut Limits, u64),
}

impl Limit {
    pub(super) const fn kind(&self) -> Kind {
        match self.unit {
            Unit::Count | Unit::OrAll => Kind::Count,
            Unit::Bytes | Unit::Millis => Kind::Text,
        }
    }
}

/// `path, unit, help => fields`: the first field gives the default, all take the value.
macro_rules! limits {
    ($($path:literal, $unit:ident, $help:literal => $first:ident.$name:ident $(, $other:ident.$same:ident)*;)*) => {
        &[$(Limit {
            path: concat!("limits.", $path),
            help: $help,
            unit: Unit::$unit,
            read: |limits| Raw::raw(limits.$first.$name),
            write: |limits, value| {
                limits.$first.$name = Raw::of(value);
                $(limits.$other.$same = Raw::of(value);)*
            },
        }),*]
    };
}

/// A limit as a plain number: a count, bytes or milliseconds.
trait Raw: Copy {
    fn raw(self) -> u64;
    fn of(value: u64) -> Self;
}

impl Raw for usize {
    fn raw(self) -> u64 {
        self as u64
    }

    fn of(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Raw for u32 {
    fn raw(self) -> u64 {
        u64::from(self)
    }

    fn of(value: u64) -> Self {
        Self::try_from(value).unwrap_or(Self::MAX)
    }
}

impl Raw for Duration {
    fn raw(self) -> u64 {
        u64::try_from(self.as_millis()).unwrap_or(u64::MAX)
    }

    fn of(value: u64) -> Self {
        Self::from_millis(value)
    }
}

/// Every limit an operator can set.
pub(super) const LIMITS: &[Limit] = limits! {
    "sessions", Count, "sessions of the node" => signaling.sessions, mesh.max_sessions, shard.max_sessions;
    "pending_sessions", Count, "sessions that are still opening" => signaling.pending_sessions;
    "sessions_per_address", Count, "sessions of one address (IPv6: of one /64)" => signaling.sessions_per_address;
    "participants_per_room", Count, "participants of one room on all nodes" => mesh.max_participants_per_room, signaling.participants_per_room;
    "room_sessions_per_shard", Count, "sessions of one room on one media thread before another takes some" => mesh.max_room_sessions_per_shard;
    "rooms", Count, "rooms one node hosts" => mesh.max_rooms_per_owner;
    "nodes", Count, "nodes of the mesh" => mesh.max_nodes;
    "links", Count, "links of this node, greeting ones included" => mesh.max_links;
    "links_per_peer", Count, "links of one peer at once" => mesh.max_links_per_peer;
    "rows", Count, "rows of all other nodes together" => mesh.max_rows;
    "rows_per_second", Count, "rows one peer tells in a second; others' that have to be verified count four times" => mesh.max_rows_per_second;
    "row_questions_per_second", Count, "how often one peer asks for rows in a second" => mesh.max_row_questions_per_second;
    "peer_state_bytes", Bytes, "people, audiences and messages of one other node in all rooms here" => mesh.max_peer_state_bytes;
    "tracks_per_participant", Count, "tracks one participant publishes"
        => signaling.tracks_per_participant, mesh.max_tracks_per_participant, shard.max_tracks_per_participant;
    "tracks_per_viewer", Count, "tracks one client receives" => shard.max_tracks_per_viewer;
    "tracks_per_request", Count, "tracks named in one request" => signaling.tracks_per_request;
    "remote_tracks_per_room", Count, "tracks of other nodes in one room" => shard.max_remote_tracks_per_room, mesh.max_remote_tracks_per_room;
    "wishes_per_viewer", Count, "subscriptions remembered for one client" => shard.max_wishes_per_viewer;
    "repairs_per_tick", Count, "packets repaired for one client in 10 ms" => shard.max_repairs_per_tick;
    "packets_per_tick", Count, "media packets taken from one client in 10 ms" => shard.max_packets_per_tick;
    "loudest_sounds", OrAll, "sounds of one room that are forwarded at once: the loudest (0: all)" => shard.loudest_sounds;
    "queued_facts", Count, "facts of a shard that wait for the node" => shard.max_queued_facts;
    "transit_demands", Count, "tracks that nodes behind this one want through it, counted for each of them" => mesh.max_transit_demands;
    "transit_cache_bytes", Bytes, "packets that only pass through a media thread, kept for who asks again" => shard.max_transit_cache_bytes;
    "detour_bytes_per_second", Bytes, "what one node may send to others through this one besides media" => mesh.max_detour_bytes_per_second;
    "directory_questions", Count, "rooms watched in the directory only because somebody wants to join them" => directory.questions;
    "steered_sessions", Count, "sessions here whose clients are connected to other nodes" => mesh.max_steered_sessions;
    "steering_bytes", Bytes, "commands and facts that wait for one other node to confirm them" => mesh.max_steering_bytes;
    "steering_lease", Millis, "how long the link to a node may be gone before the sessions shared with it end" => mesh.steering_lease;
    "queued_relay", Count, "datagrams of a shard that wait for links" => shard.max_queued_relay;
    "frame_bytes", Bytes, "signalling frame of a client" => signaling.frame_bytes;
    "join_request_bytes", Bytes, "join request after decompression" => signaling.join_request_bytes;
    "join_body_bytes", Bytes, "body of a join API call" => signaling.join_body_bytes;
    "sdp_bytes", Bytes, "session description" => signaling.sdp_bytes, rtc.max_sdp_bytes;
    "frames_per_second", Count, "signalling frames of a client per second" => signaling.frames_per_second;
    "frame_burst", Count, "signalling frames of a client at once" => signaling.frame_burst;
    "offers_per_second", Count, "offers of a client per second" => signaling.offers_per_second;
    "offer_burst", Count, "offers of a client at once" => signaling.offer_burst;
    "malformed_frames", Count, "malformed frames before a client is closed" => signaling.malformed_frames;
    "rejected_offers", Count, "rejected offers before a client is closed" => signaling.rejected_offers;
    "name_bytes", Bytes, "display name" => signaling.name_bytes;
    "metadata_bytes", Bytes, "metadata of a participant" => signaling.metadata_bytes;
    "attributes", Count, "attributes of a participant" => signaling.attributes;
    "attributes_bytes", Bytes, "attributes of a participant together" => signaling.attributes_bytes;
    "participant_text_bytes", Bytes, "everything written about a participant" => mesh.max_participant_text_bytes;
    "audience_grants", Count, "people named when somebody says who may receive its tracks" => signaling.audience_grants;
    "audience_bytes", Bytes, "who may receive what one participant publishes" => signaling.audience_bytes, mesh.max_audience_bytes;
    "data_bytes", Bytes, "message among participants" => signaling.data_bytes, rtc.max_data_message_bytes;
    "history_bytes", Bytes, "reliable messages of one participant, remembered for clients that come back" => mesh.max_history_bytes;
    "data_recipients", Count, "recipients named in one message" => signaling.data_recipients;
    "queued_data_bytes", Bytes, "messages that wait for one client" => rtc.max_queued_data_bytes;
    "send_queue_frames", Count, "signalling frames that wait for one client" => signaling.send_queue_frames;
    "sections_per_offer", Count, "m-lines of an offer" => rtc.max_sections;
    "ssrcs_per_session", Count, "media streams one client sends" => rtc.max_ssrcs_per_session;
    "addresses_per_session", Count, "network addresses of one client" => rtc.max_addresses_per_session;
    "tcp_connections", Count, "media connections of clients by TCP" => tcp.connections;
    "tcp_connections_per_address", Count, "media connections of one address (IPv6: of one /64)" => tcp.connections_per_address;
    "tcp_greetings", Count, "media connections on which no session has answered yet" => tcp.greetings;
    "tcp_greetings_per_address", Count, "those of one address (IPv6: of one /64)" => tcp.greetings_per_address;
    "tcp_greeting_timeout", Millis, "from a media connection to the answer to its first check" => tcp.greeting_timeout;
    "tcp_frame_bytes", Bytes, "packet of a client by TCP" => tcp.frame_bytes;
    "tcp_queue_bytes", Bytes, "packets that wait for one media connection" => tcp.queue_bytes;
    "tcp_queue_time", Millis, "how long packets of pictures wait for it" => tcp.queue_time;
    "resume_grace", Millis, "how long a session without signalling connection waits for another" => signaling.resume_grace;
    "waiting_sessions", Count, "sessions that wait so at once" => signaling.waiting_sessions;
    "departures_remembered", Count, "people who have left a room, remembered for those who wait" => signaling.departures_remembered;
    "drain_batch", Count, "people a draining node sends to other nodes at once" => signaling.drain_batch;
    "drain_pause", Millis, "longest pause between two such batches" => signaling.drain_pause;
    "drain_tail", Millis, "time in which those are sent away whose client comes back to the same address" => signaling.drain_tail;
    "move_grace", Millis, "how long somebody who was sent away may still be heard and seen from here" => signaling.move_grace;
    "handshake_timeout", Millis, "from a client's first offer to media keys" => rtc.handshake_timeout;
    "consent_timeout", Millis, "silence of a client that ends its session" => rtc.consent_timeout;
};

/// Reads `[limits]`.
pub(super) fn read(reader: &mut Reader) -> Limits {
    let mut limits = Limits::default();
    for limit in LIMITS {
        let default = (limit.read)(&limits);
        let value = match limit.unit {
            Unit::Count | Unit::OrAll => reader.count_or(limit.path, default),
            Unit::Bytes => reader.size_or(limit.path, default),
            Unit::Millis => Raw::raw(reader.duration_or(limit.path, Duration::from_millis(default))),
        };
        if value == 0 && limit.unit != Unit::OrAll {
            reader.refuse(limit.path, "a limit of nothing lets nobody in");
        }
        (limit.write)(&mut limits, value);
    }
    limits
}
