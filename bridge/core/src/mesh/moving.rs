//! People on their way from a node that drains to another one: they come in there before they let go here.
//!
//! The newcomer stays out of sight until it brings what its former self has (the roster decides that): others go on seeing
//! and hearing the former self, and are then told of the exchange in one breath.

use super::MeshCore;
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::id::{NodeId, ParticipantSid, RoomName, SessionId, TrackSid};
use relay_proto::room::{Audience, ParticipantRecord};
use relay_proto::row::NodeState;
use relay_proto::session::RoomChange;
use std::collections::BTreeSet;
use tracing::{debug, info};

impl MeshCore {
    pub(super) fn on_drain(&mut self) {
        if std::mem::replace(&mut self.state, NodeState::Draining) == NodeState::Serving {
            info!("node drains: it takes no new sessions");
            self.write_node_row();
            self.note_draining();
        }
    }

    /// The state of a node may have changed.
    pub(super) fn note_draining(&mut self) {
        let drains = |node: &NodeId| {
            let said = self.rows.node(*node);
            said.is_some_and(|facts| facts.state == NodeState::Draining)
        };
        let nodes = self.rows.owners().chain([self.us]);
        let draining: BTreeSet<NodeId> = nodes.filter(drains).collect();
        if draining == self.draining {
            return;
        }
        self.draining = draining;
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for name in rooms {
            let changes = self
                .rooms
                .get_mut(&name)
                .map(|room| room.roster.set_draining(&self.draining))
                .unwrap_or_default();
            self.show(&name, changes);
        }
    }

    /// Keeps from our viewers what a newcomer publishes whose former self is still shown: they would be sent tracks of
    /// somebody they have not been told of.
    pub(super) fn veil(&mut self, name: &RoomName, session: SessionId) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let Some(member) = room.members.get_mut(&session) else {
            return;
        };
        let shown = room.roster.is_listed(&member.sid);
        let hidden = room
            .roster
            .record(&member.sid)
            .is_none_or(|record| record.permission.hidden);
        if shown || hidden {
            return;
        }
        member.veiled = true;
        let (shard, participant) = (member.shard, member.sid.clone());
        let own: Vec<TrackSid> = room
            .record_of(session)
            .into_iter()
            .flat_map(|record| room.roster.with_identity(&record.identity))
            .filter(|former| former.sid != participant)
            .flat_map(|former| &former.tracks)
            .map(|track| track.sid.clone())
            .collect();
        self.keep_own_from(shard, session, own);
        debug!(%session, room = %name, %participant, "comes in while it is still shown on another node");
        self.tell_audience(name, participant, Audience::Only(Vec::new()));
    }

    /// Lets our viewers receive somebody who is shown from now on.
    pub(super) fn unveil(&mut self, name: &RoomName, sid: &ParticipantSid) {
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.roster.is_listed(sid)) else {
            return;
        };
        let Some(member) = room.members.values_mut().find(|member| member.sid == *sid) else {
            return;
        };
        if !std::mem::take(&mut member.veiled) {
            return;
        }
        match member.audience.clone() {
            Some(audience) => self.apply_audience(name, sid, audience),
            None => self.tell_audience(name, sid.clone(), Audience::Everybody),
        }
    }

    /// Sessions of ours that have another self somewhere, which is shown from now on.
    fn step_aside(&mut self, name: &RoomName, shown: &ParticipantRecord) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let others = room.roster.with_identity(&shown.identity);
        let ours: Vec<(SessionId, ShardId)> = others
            .filter(|other| other.sid != shown.sid && other.home == self.us)
            .filter_map(|other| {
                let session = room.session_of(&other.sid)?;
                Some((session, room.members.get(&session)?.shard))
            })
            .collect();
        let tracks: Vec<TrackSid> = shown.tracks.iter().map(|track| track.sid.clone()).collect();
        for (session, shard) in ours {
            self.keep_own_from(shard, session, tracks.clone());
            // One that has just come, before this node knew of its former self.
            if !self.draining.contains(&self.us) && self.draining.contains(&shown.home) {
                self.veil(name, session);
            }
        }
    }

    /// Nobody receives what another self of it publishes: its client knows nobody of its own identity.
    fn keep_own_from(&mut self, shard: ShardId, session: SessionId, tracks: Vec<TrackSid>) {
        if !tracks.is_empty() {
            let wanted = false;
            let command = ShardCommand::SetSubscription {
                session,
                tracks,
                wanted,
            };
            self.out.shard(shard, command);
        }
    }

    /// Tells our shards alone.
    fn tell_audience(&mut self, name: &RoomName, participant: ParticipantSid, audience: Audience) {
        let room = name.clone();
        let command = ShardCommand::SetAudience {
            room,
            participant,
            audience,
        };
        self.tell_parts(name, &command);
    }

    /// Tells our signalling and the shards that somebody is there in the place of a former self.
    pub(super) fn show_replaced(
        &mut self,
        name: &RoomName,
        mut gone: Box<ParticipantRecord>,
        record: Box<ParticipantRecord>,
    ) {
        let before = std::mem::take(&mut gone.tracks);
        self.show_tracks(name, &before, &gone);
        self.step_aside(name, &record);
        self.show_tracks(name, &[], &record);
        let (home, sid) = (record.home, record.sid.clone());
        let change = RoomChange::ParticipantReplaced {
            gone,
            participant: record,
        };
        self.out.room_change(name, change);
        if home == self.us {
            self.unveil(name, &sid);
        }
    }
}
