//! One room on several shards of this node.
//!
//! A shard has a *part* of a room: the sessions that live there, and what it was told of everybody else. It takes other
//! shards of its node for other nodes: their tracks have this node as origin, what it wants of them is a demand, and
//! media between two shards is a relay datagram, sealed like any other. So nothing in a shard knows of siblings but the
//! names they go by ([`ShardId::as_peer_of`]).

use super::MeshCore;
use super::room::{Part, Room};
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::id::{LayerSet, NodeId, ParticipantSid, RoomName, TrackAlias};
use relay_proto::room::{Audience, ParticipantRecord, TrackRecord};
use tracing::info;

/// Largest datagram between two shards of a node, in bytes: it never leaves the process, so it is never cut in two.
const MAX_SIBLING_DATAGRAM_BYTES: usize = 64 << 10;

/// What the node knows of one shard.
#[derive(Debug, Default)]
pub(super) struct ShardSlot {
    pub(super) sessions: usize,
}

impl MeshCore {
    /// Tells every shard the ways to its siblings, and that what is for a track of this node goes by the track.
    pub(super) fn introduce_siblings(&mut self) {
        let shards: Vec<ShardId> = self.shards.keys().copied().collect();
        if shards.len() < 2 {
            return;
        }
        for shard in &shards {
            let siblings = shards.iter().filter(|other| *other != shard);
            let names = siblings.map(|other| other.as_peer_of(self.us)).chain([self.us]);
            for node in names {
                let command = ShardCommand::SetRoute {
                    node,
                    via: Some(node),
                    max_datagram_bytes: MAX_SIBLING_DATAGRAM_BYTES,
                };
                self.out.shard(*shard, command);
            }
        }
    }

    /// The shard for one more session of a room: the one that has the room already, until it has its fill; then the next;
    /// and where all are full, the one with the least to do. Each track of the room that is published there counts as one
    /// more session (measured, S11: sending sound and a picture adds what 0.9 to 1.8 who watch cost).
    pub(super) fn shard_for(&self, room: &RoomName) -> Option<ShardId> {
        let parts = self.rooms.get(room).map(|room| &room.parts);
        let max = self.config.limits.max_room_sessions_per_shard;
        let (chosen, _) = self.shards.iter().min_by_key(|(id, slot)| {
            let here = parts.and_then(|parts| parts.get(id));
            let full = here.is_some_and(|part| part.sessions >= max);
            // A shard is told of every track but those it publishes: one less told is one more published.
            let told = here.map_or(0, |part| part.wanted.len());
            let load = slot.sessions as i64 - told as i64;
            (full, here.is_none(), load, **id)
        })?;
        Some(*chosen)
    }

    /// Makes a shard ready for sessions of an open room: it learns of everybody who is not on it.
    pub(super) fn open_part(&mut self, name: &RoomName, shard: ShardId) {
        let us = self.us;
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if room.parts.contains_key(&shard) {
            return;
        }
        room.parts.insert(shard, Part::default());
        info!(room = %name, shard = shard.0, "a shard takes up the room");
        let open = ShardCommand::OpenRoom {
            room: name.clone(),
            epoch: room.epoch,
            seal_key: room.seal_key.clone(),
        };
        self.out.shard(shard, open);
        let ours = (us, room.epoch, &room.seal_key);
        let others = room
            .origins
            .iter()
            .map(|(node, origin)| (*node, origin.epoch, &origin.seal_key));
        for (origin, epoch, seal_key) in std::iter::once(ours).chain(others) {
            let command = ShardCommand::JoinOrigin {
                room: name.clone(),
                origin,
                epoch,
                seal_key: seal_key.clone(),
            };
            self.out.shard(shard, command);
        }
        for (participant, audience) in audiences(room) {
            let command = ShardCommand::SetAudience {
                room: name.clone(),
                participant,
                audience,
            };
            self.out.shard(shard, command);
        }
        let people: Vec<ParticipantRecord> = room.roster.listed().cloned().collect();
        for record in people {
            self.tell_tracks(name, shard, &[], &record);
        }
    }

    /// Counts a session that has ended; a shard without any leaves the room, and wants nothing of it any more.
    pub(super) fn uncount_session(&mut self, name: &RoomName, shard: ShardId) {
        if let Some(slot) = self.shards.get_mut(&shard) {
            slot.sessions = slot.sessions.saturating_sub(1);
        }
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let Some(part) = room.parts.get_mut(&shard) else {
            return;
        };
        part.sessions = part.sessions.saturating_sub(1);
        if part.sessions > 0 {
            return;
        }
        let told = std::mem::take(&mut part.wanted);
        room.parts.remove(&shard);
        self.out
            .shard(shard, ShardCommand::CloseRoom { room: name.clone() });
        self.replace_all(Some(name), shard);
        for ((origin, track), layers) in told {
            self.route_remote(name, origin, track);
            if layers.is_empty() {
                continue;
            }
            if origin == self.us {
                self.tell_sibling(name, shard, track, LayerSet::NONE);
            } else {
                self.settle_track(origin, name, track);
            }
        }
    }

    /// Tells every shard that has a part of the room.
    pub(super) fn tell_parts(&mut self, name: &RoomName, command: &ShardCommand) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        for shard in room.parts.keys() {
            self.out.shard(*shard, command.clone());
        }
    }

    /// Tells the shard that publishes one of our tracks what another shard wants of it.
    pub(super) fn tell_sibling(
        &mut self,
        name: &RoomName,
        asker: ShardId,
        track: TrackAlias,
        layers: LayerSet,
    ) {
        let room = self.rooms.get(name);
        let Some(publishing) = room.and_then(|room| room.shard_publishing(self.us, track)) else {
            return;
        };
        let command = ShardCommand::SetPeerDemand {
            peer: asker.as_peer_of(self.us),
            track,
            layers,
        };
        self.out.shard(publishing, command);
    }

    /// Keeps what shards know of tracks that others publish in step with a record.
    pub(super) fn show_tracks(
        &mut self,
        name: &RoomName,
        before: &[TrackRecord],
        record: &ParticipantRecord,
    ) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let shards: Vec<ShardId> = room.parts.keys().copied().collect();
        for shard in shards {
            self.tell_tracks(name, shard, before, record);
        }
        let gone = before
            .iter()
            .filter(|old| record.tracks.iter().all(|track| track.alias != old.alias));
        if record.home != self.us {
            for old in gone {
                self.forget_branch_track(&(record.home, name.clone()), old.alias);
                self.out.route_track(record.home, old.alias, Vec::new());
            }
        }
    }

    /// Tells one shard how somebody's tracks have changed, unless it publishes them itself.
    fn tell_tracks(
        &mut self,
        name: &RoomName,
        shard: ShardId,
        before: &[TrackRecord],
        record: &ParticipantRecord,
    ) {
        let origin = record.home;
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let publishes = room.shard_of(&record.sid) == Some(shard);
        let Some(part) = room.parts.get_mut(&shard) else {
            return;
        };
        for old in before {
            let track = old.alias;
            let gone = record.tracks.iter().all(|track| track.alias != old.alias);
            if gone && part.wanted.remove(&(origin, track)).is_some() {
                let room = name.clone();
                let command = ShardCommand::RemoveRemoteTrack { room, origin, track };
                self.out.shard(shard, command);
            }
        }
        if publishes {
            return;
        }
        let mut told = Vec::new();
        for track in &record.tracks {
            let old = before.iter().find(|old| old.alias == track.alias);
            if old == Some(track) {
                continue;
            }
            let command = ShardCommand::UpsertRemoteTrack {
                room: name.clone(),
                origin,
                participant: record.sid.clone(),
                track: Box::new(track.clone()),
            };
            self.out.shard(shard, command);
            // From now on there is something to want; nothing is wanted yet.
            part.wanted.entry((origin, track.alias)).or_insert_with(|| {
                told.push(track.alias);
                LayerSet::NONE
            });
        }
        for track in told {
            self.introduce_track(name, shard, (origin, track));
        }
    }

    /// A shard has been told of a track: it learns from whom it comes, and who is behind.
    fn introduce_track(&mut self, name: &RoomName, shard: ShardId, (origin, track): (NodeId, TrackAlias)) {
        let key = (origin, name.clone());
        if let Some(branch) = self.branches.get(&key) {
            let asked = branch.tracks.get(&track);
            let awaited = asked.is_some_and(|asked| asked.before.is_some());
            let has_forgotten = asked.is_some_and(|asked| asked.shard == Some(shard));
            let (parent, before) = (branch.parent, asked.and_then(|asked| asked.before));
            // Also the one before: what still comes from it is taken.
            if let Some(before) = before {
                self.tell_parent_to(shard, (origin, track), before, false);
            }
            if let Some(parent) = parent.filter(|parent| *parent != origin || before.is_some()) {
                self.tell_parent_to(shard, (origin, track), parent, awaited);
            }
            self.replace(&key, track, has_forgotten);
        }
        self.route_remote(name, origin, track);
    }

    /// Says which shards get the datagrams of a track of another node: those that want something of it, and the one that sends
    /// it on to nodes behind. While there is neither, the first: the track is known all the same.
    pub(super) fn route_remote(&mut self, name: &RoomName, origin: NodeId, track: TrackAlias) {
        if origin == self.us {
            return;
        }
        let parts = self.rooms.get(name).into_iter().flat_map(|room| &room.parts);
        let told = parts.filter_map(|(shard, part)| Some((*shard, *part.wanted.get(&(origin, track))?)));
        let (wanting, idle): (Vec<_>, Vec<_>) = told.partition(|(_, layers)| !layers.is_empty());
        let mut shards: Vec<ShardId> = wanting.into_iter().map(|(shard, _)| shard).collect();
        let branch = self.branches.get(&(origin, name.clone()));
        let sends_on = branch.and_then(|branch| branch.tracks.get(&track)?.shard);
        shards.extend(sends_on.filter(|shard| !shards.contains(shard)));
        if shards.is_empty() {
            shards.extend(idle.first().map(|(shard, _)| *shard));
        }
        self.out.route_track(origin, track, shards);
    }
}

/// Everybody whom not everybody may receive.
fn audiences(room: &Room) -> Vec<(ParticipantSid, Audience)> {
    let ours = room.members.values().filter_map(|member| {
        let audience = member.audience.clone()?;
        Some((member.sid.clone(), audience))
    });
    let theirs = room
        .audiences
        .iter()
        .map(|(sid, told)| (sid.clone(), told.audience.clone()));
    ours.chain(theirs)
        .filter(|(_, audience)| *audience != Audience::Everybody)
        .collect()
}
