//! One conference as this node hosts it: an index of who and what is where. It decides nothing.

use super::history::History;
use super::roster::Roster;
use super::weight::Weight;
use crate::shard::io::ShardId;
use relay_proto::id::{Epoch, LayerSet, NodeId, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{Audience, ConnectionQuality, ParticipantRecord, SealKey, TrackRecord};
use std::collections::BTreeMap;
use std::time::Instant;

/// A participant of this node. Its record stands in the roster.
#[derive(Debug)]
pub(super) struct Member {
    pub(super) sid: ParticipantSid,
    /// Where its session lives.
    pub(super) shard: ShardId,
    /// Announced and not bound: nobody else knows of them.
    pub(super) announced: BTreeMap<TrackSid, TrackRecord>,
    /// Who may receive what it publishes, once it has said so.
    pub(super) audience: Option<Audience>,
    /// How good its connection is, once that is known.
    pub(super) quality: Option<ConnectionQuality>,
    /// Nobody receives it yet: it is still shown on the node that sends it here.
    pub(super) veiled: bool,
}

/// What a peer has told of the audience of one of its participants.
#[derive(Debug)]
pub(super) struct RemoteAudience {
    pub(super) home: NodeId,
    /// Of the stream that told it.
    pub(super) epoch: Epoch,
    /// For shards that take up the room later.
    pub(super) audience: Audience,
}

/// Another node that hosts the room, as its stream tells.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) epoch: Epoch,
    pub(super) seal_key: SealKey,
}

/// The part of a room that one of our shards has.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// How many of the room's sessions live there.
    pub(super) sessions: usize,
    /// The tracks it has been told of, published elsewhere, and which layers its viewers want of them.
    pub(super) wanted: BTreeMap<(NodeId, TrackAlias), LayerSet>,
}

#[derive(Debug)]
pub(super) struct Room {
    pub(super) name: RoomName,
    pub(super) epoch: Epoch,
    pub(super) seal_key: SealKey,
    /// Our shards that have sessions in it.
    pub(super) parts: BTreeMap<ShardId, Part>,
    /// Who is homed here, by session.
    pub(super) members: BTreeMap<SessionId, Member>,
    /// Everybody, here and elsewhere.
    pub(super) roster: Roster,
    /// Whom we hear of it from.
    pub(super) origins: BTreeMap<NodeId, Origin>,
    /// Participants elsewhere that not everybody may receive; they need not be known yet.
    pub(super) audiences: BTreeMap<ParticipantSid, RemoteAudience>,
    /// Reliable messages for clients that come back, by sender.
    pub(super) histories: BTreeMap<ParticipantSid, History>,
    /// Who has our snapshot and gets every step after it, with their epoch at that time.
    pub(super) readers: BTreeMap<NodeId, Epoch>,
    /// What each other node has in it.
    pub(super) weights: BTreeMap<NodeId, Weight>,
    /// How many people we have said are here, and when.
    pub(super) told: Option<(u32, Instant)>,
    /// What peers want of our tracks.
    pub(super) demands: BTreeMap<(NodeId, TrackAlias), LayerSet>,
}

impl Room {
    /// A room nobody is in yet.
    pub(super) fn open(name: RoomName, epoch: Epoch, seal_key: SealKey) -> Self {
        Self {
            name,
            epoch,
            seal_key,
            parts: BTreeMap::new(),
            members: BTreeMap::new(),
            roster: Roster::default(),
            origins: BTreeMap::new(),
            audiences: BTreeMap::new(),
            histories: BTreeMap::new(),
            readers: BTreeMap::new(),
            weights: BTreeMap::new(),
            told: None,
            demands: BTreeMap::new(),
        }
    }

    /// The record of a local session.
    pub(super) fn record_of(&self, session: SessionId) -> Option<&ParticipantRecord> {
        self.roster.record(&self.members.get(&session)?.sid)
    }

    /// The session of a participant homed here.
    pub(super) fn session_of(&self, sid: &ParticipantSid) -> Option<SessionId> {
        self.members
            .iter()
            .find(|(_, member)| member.sid == *sid)
            .map(|(session, _)| *session)
    }

    /// The shard on which one of our own tracks is published.
    pub(super) fn shard_publishing(&self, us: NodeId, alias: TrackAlias) -> Option<ShardId> {
        let publisher = self
            .roster
            .homed_on(us)
            .find(|record| record.tracks.iter().any(|track| track.alias == alias))?;
        self.shard_of(&publisher.sid)
    }

    /// The shard of a participant homed here.
    pub(super) fn shard_of(&self, sid: &ParticipantSid) -> Option<ShardId> {
        Some(self.members.get(&self.session_of(sid)?)?.shard)
    }

    /// The layers that viewers on any of our shards want of a track published elsewhere.
    pub(super) fn wanted(&self, origin: NodeId, track: TrackAlias) -> LayerSet {
        let wants = self
            .parts
            .values()
            .filter_map(|part| part.wanted.get(&(origin, track)));
        LayerSet(wants.fold(0, |all, layers| all | layers.0))
    }
}
