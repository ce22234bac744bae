//! Sessions of this node: opened and closed by signalling, ended by shards, doubled identities and the node's stop.

use super::MeshCore;
use super::publish::text_bytes;
use super::room::{Member, Room};
use super::roster::RosterChange;
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::ControlMessage;
use relay_proto::id::{NodeId, ParticipantSid, RoomName, SessionId};
use relay_proto::room::{Audience, LeaveCause, ParticipantRecord, ParticipantState, RoomEvent};
use relay_proto::row::NodeState;
use relay_proto::session::{EndCause, OpenSession, SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::BTreeMap;
use std::time::Instant;
use tracing::{debug, info, warn};

impl MeshCore {
    pub(super) fn on_command(&mut self, now: Instant, unix_now: UnixMillis, command: SessionCommand) {
        let command = match self.within_limits(command) {
            Ok(command) => command,
            Err((command, reason)) => return self.refuse_command(command, reason),
        };
        if self.remote.drives(command.session()) {
            return self.drive_session(command);
        }
        match command {
            SessionCommand::OpenElsewhere { node, reason, open } => self.open_elsewhere(node, reason, open),
            SessionCommand::OpenSession(open) => self.on_open_session(now, unix_now, *open),
            SessionCommand::CloseSession { session, cause } => self.on_close_session(session, cause),
            SessionCommand::AnnounceTrack { session, track } => self.on_announce_track(session, track),
            SessionCommand::SetTrackMuted {
                session,
                track,
                muted,
            } => {
                self.on_set_track_muted(session, track, muted);
            }
            SessionCommand::UpdateParticipant {
                session,
                name,
                metadata,
                attributes,
            } => {
                self.on_update_participant(session, name, metadata, attributes);
            }
            SessionCommand::SendData { session, message } => self.on_send_data(session, message, 0),
            SessionCommand::SendReliable {
                session,
                message,
                sequence,
            } => self.on_send_data(session, message, sequence),
            SessionCommand::ReplayData { session, after } => self.on_replay_data(session, &after),
            SessionCommand::SetAudience { session, audience } => self.on_set_audience(session, audience),
            SessionCommand::ApplyOffer {
                session,
                offer_id,
                sdp,
            } => self.on_apply_offer(session, offer_id, sdp),
            SessionCommand::OfferToClient { session } => {
                self.pass_to_shard(session, ShardCommand::OfferToClient { session });
            }
            SessionCommand::ApplyAnswer {
                session,
                offer_id,
                sdp,
            } => self.on_apply_answer(session, offer_id, sdp),
            // The bridge is ICE-lite: it learns the client's addresses from its checks alone (RFC 8445 section 2.5).
            SessionCommand::AddCandidate { .. } => {}
            SessionCommand::SetSubscription {
                session,
                tracks,
                wanted,
            } => {
                self.pass_to_shard(
                    session,
                    ShardCommand::SetSubscription {
                        session,
                        tracks,
                        wanted,
                    },
                );
            }
            SessionCommand::SetTrackWish {
                session,
                tracks,
                wish,
            } => {
                self.pass_to_shard(
                    session,
                    ShardCommand::SetTrackWish {
                        session,
                        tracks,
                        wish,
                    },
                );
            }
        }
    }

    /// Applies the limits of the wire: what is over them could not be told to peers.
    fn within_limits(&self, command: SessionCommand) -> Result<SessionCommand, (SessionCommand, String)> {
        let message = ControlMessage::Command {
            entry: self.us,
            command: Box::new(command),
        };
        let checked = message.validate();
        let ControlMessage::Command { command, .. } = message else {
            unreachable!("invariant: the message was built as a command three lines above");
        };
        match checked {
            Ok(()) => Ok(*command),
            Err(error) => Err((*command, error.to_string())),
        }
    }

    fn refuse_command(&mut self, command: SessionCommand, reason: String) {
        self.counters.commands_refused += 1;
        let session = command.session();
        warn!(%session, reason, "command refused");
        match command {
            SessionCommand::OpenSession(_) | SessionCommand::OpenElsewhere { .. } => {
                self.refuse_session(session, EndCause::LimitReached(reason))
            }
            SessionCommand::AnnounceTrack { track, .. } => {
                self.out.fact(SessionFact::TrackRefused {
                    session,
                    cid: track.cid,
                    reason,
                });
            }
            SessionCommand::ApplyOffer { offer_id, .. } => {
                self.out.fact(SessionFact::OfferRejected {
                    session,
                    offer_id,
                    reason,
                });
            }
            SessionCommand::AddCandidate { .. }
            | SessionCommand::SetTrackMuted { .. }
            | SessionCommand::UpdateParticipant { .. }
            | SessionCommand::SetSubscription { .. }
            | SessionCommand::SetTrackWish { .. }
            | SessionCommand::SendData { .. }
            | SessionCommand::SetAudience { .. }
            | SessionCommand::SendReliable { .. }
            | SessionCommand::ReplayData { .. }
            | SessionCommand::OfferToClient { .. }
            | SessionCommand::ApplyAnswer { .. }
            | SessionCommand::CloseSession { .. } => {}
        }
    }

    pub(super) fn refuse_session(&mut self, session: SessionId, cause: EndCause) {
        info!(%session, ?cause, "session refused");
        self.out.fact(SessionFact::SessionEnded { session, cause });
    }

    pub(super) fn pass_to_shard(&mut self, session: SessionId, command: ShardCommand) {
        match self.shard_of(session) {
            Some(shard) => self.out.shard(shard, command),
            None => self.note_no_session(session),
        }
    }

    /// The room of a session of this node.
    pub(super) fn room_of(&self, session: SessionId) -> Option<&Room> {
        self.rooms.get(self.sessions.get(&session)?)
    }

    /// The shard that a session of this node lives on.
    pub(super) fn shard_of(&self, session: SessionId) -> Option<ShardId> {
        Some(self.room_of(session)?.members.get(&session)?.shard)
    }

    pub(super) fn room_of_mut(&mut self, session: SessionId) -> Option<&mut Room> {
        self.rooms.get_mut(self.sessions.get(&session)?)
    }

    /// A command that crossed with the end of its session, which signalling already knows of.
    pub(super) fn note_no_session(&mut self, session: SessionId) {
        self.counters.commands_without_session += 1;
        debug!(%session, "command for a session that is gone");
    }

    fn on_open_session(&mut self, now: Instant, unix_now: UnixMillis, open: OpenSession) {
        let session = open.session;
        if self.sessions.contains_key(&session) {
            self.counters.commands_refused += 1;
            warn!(%session, "session opened twice: the second command is ignored");
            return;
        }
        let serves = !self.stopped && self.state == NodeState::Serving;
        let Some(shard) = self.shard_for(&open.room).filter(|_| serves) else {
            self.refuse_session(session, EndCause::NotServing);
            return;
        };
        self.make_room_in(&open.room, self.us);
        if let Some(limit) = self.limit_against(&open) {
            self.counters.commands_refused += 1;
            self.refuse_session(session, EndCause::LimitReached(limit.to_owned()));
            return;
        }
        self.open_room(now, &open.room);
        let joined_at = self.joining_time(&open.room, &open.participant, unix_now);
        self.close_doubles(&open.room, &open.participant);
        self.open_part(&open.room, shard);
        self.add_member(open, shard, joined_at);
    }

    fn limit_against(&self, open: &OpenSession) -> Option<&'static str> {
        let limits = &self.config.limits;
        if self.sessions.len() >= limits.max_sessions {
            return Some("sessions of this node");
        }
        if text_bytes(&open.participant) > limits.max_participant_text_bytes {
            return Some("text of a participant");
        }
        let Some(room) = self.rooms.get(&open.room) else {
            return (self.rooms.len() >= limits.max_rooms_per_owner).then_some("rooms of this node");
        };
        if room.roster.len() >= limits.max_participants_per_room {
            return Some("participants of the room");
        }
        let taken = room.roster.record(&open.participant.sid).is_some();
        taken.then_some("participant id: it is taken")
    }

    fn open_room(&mut self, now: Instant, name: &RoomName) {
        if self.rooms.contains_key(name) {
            return;
        }
        let age = now.saturating_duration_since(self.started);
        let unix_s = self.incarnation / 1_000 + age.as_secs();
        let (epoch, seal_key) = self.epochs.open(name, unix_s as u32);
        info!(room = %name, epoch = epoch.0, "room opened");
        let mut room = Room::open(name.clone(), epoch, seal_key);
        room.roster.set_draining(&self.draining);
        self.rooms.insert(name.clone(), room);
        self.publish_room(name);
        self.tell_all_hosts(name);
    }

    /// Later than everybody of the same identity, whatever the clocks of other nodes say: who comes last, wins.
    fn joining_time(&self, room: &RoomName, who: &ParticipantRecord, unix_now: UnixMillis) -> UnixMillis {
        let newest = self
            .rooms
            .get(room)
            .and_then(|room| room.roster.newest_of(&who.identity));
        newest.map_or(unix_now, |newest| {
            UnixMillis(unix_now.0.max(newest.joined_at.0.saturating_add(1)))
        })
    }

    /// Ends the sessions of this node with the identity of somebody who joins now.
    fn close_doubles(&mut self, room: &RoomName, who: &ParticipantRecord) {
        let doubles = self.local_sessions_as(room, who, None);
        for session in doubles {
            self.leave_room(session, LeaveCause::DuplicateIdentity, None);
        }
    }

    fn local_sessions_as(
        &self,
        room: &RoomName,
        who: &ParticipantRecord,
        but: Option<&ParticipantSid>,
    ) -> Vec<SessionId> {
        let Some(room) = self.rooms.get(room) else {
            return Vec::new();
        };
        room.roster
            .with_identity(&who.identity)
            .filter(|record| record.home == self.us && Some(&record.sid) != but)
            .filter_map(|record| room.session_of(&record.sid))
            .collect()
    }

    /// Ends our sessions that somebody of the same identity, here or elsewhere, has replaced.
    pub(super) fn close_replaced(&mut self, room: &RoomName, who: &ParticipantRecord) {
        // Most likely we have sent it there ourselves: signalling knows when nothing is left of it here.
        if self.state == NodeState::Draining {
            return;
        }
        let newest = self
            .rooms
            .get(room)
            .and_then(|room| room.roster.newest_of(&who.identity));
        let Some(newest) = newest.map(|newest| newest.sid.clone()) else {
            return;
        };
        for session in self.local_sessions_as(room, who, Some(&newest)) {
            self.end_session(session, LeaveCause::DuplicateIdentity, None);
        }
    }

    fn add_member(&mut self, open: OpenSession, shard: ShardId, joined_at: UnixMillis) {
        let OpenSession {
            session,
            room: name,
            participant: mut record,
            auto_subscribe,
        } = open;
        record.home = self.us;
        record.version = 1;
        record.state = ParticipantState::Joined;
        record.joined_at = joined_at;
        record.tracks.clear();
        let Some(room) = self.rooms.get_mut(&name) else {
            return;
        };
        let member = Member {
            sid: record.sid.clone(),
            shard,
            announced: BTreeMap::new(),
            audience: None,
            quality: None,
            veiled: false,
        };
        room.members.insert(session, member);
        room.parts.entry(shard).or_default().sessions += 1;
        self.sessions.insert(session, name.clone());
        if let Some(slot) = self.shards.get_mut(&shard) {
            slot.sessions += 1;
        }
        let command = ShardCommand::OpenSession {
            session,
            room: name.clone(),
            participant: record.sid.clone(),
            identity: record.identity.clone(),
            can_publish: record.permission.can_publish,
            can_subscribe: record.permission.can_subscribe,
            auto_subscribe,
        };
        self.out.shard(shard, command);
        info!(%session, room = %name, participant = %record.sid, "session opened");
        let (gone, come): (Vec<_>, Vec<_>) = room
            .roster
            .upsert(record.clone())
            .into_iter()
            .partition(|change| matches!(change, RosterChange::Delisted { .. }));
        let others = room
            .roster
            .listed()
            .filter(|other| other.identity != record.identity)
            .cloned()
            .collect();
        // Whoever is replaced must be gone before the newcomer is there: clients know both by one identity.
        self.show(&name, gone);
        let participant = Box::new(record.clone());
        self.out.fact(SessionFact::SessionOpened {
            session,
            participant,
            others,
        });
        self.show(&name, come);
        self.veil(&name, session);
        self.tell_readers_of(&name, &record);
    }

    fn on_close_session(&mut self, session: SessionId, cause: LeaveCause) {
        if self.sessions.contains_key(&session) {
            self.end_session(session, cause, None);
        } else {
            self.note_no_session(session);
        }
    }

    /// Ends a session. `ended_by_shard`: why the shard has already ended it, if that is how it came.
    pub(super) fn end_session(
        &mut self,
        session: SessionId,
        cause: LeaveCause,
        ended_by_shard: Option<EndCause>,
    ) {
        let room = self.sessions.get(&session).cloned();
        self.leave_room(session, cause, ended_by_shard);
        if let Some(room) = room {
            self.close_room_if_empty(&room);
        }
    }

    /// Ends a session and leaves its room open, even where it was the last.
    fn leave_room(&mut self, session: SessionId, cause: LeaveCause, ended_by_shard: Option<EndCause>) {
        let Some(name) = self.sessions.remove(&session) else {
            return;
        };
        let member = self
            .rooms
            .get_mut(&name)
            .and_then(|room| room.members.remove(&session));
        let Some(member) = member else {
            return;
        };
        let shard = member.shard;
        if ended_by_shard.is_none() {
            self.out.shard(shard, ShardCommand::CloseSession { session });
        }
        info!(%session, room = %name, participant = %member.sid, ?cause, "session ended");
        let end = ended_by_shard.unwrap_or(EndCause::Left(cause));
        self.out.fact(SessionFact::SessionEnded { session, cause: end });
        self.forget_tracks(&name, &member);
        let record = self
            .rooms
            .get(&name)
            .and_then(|room| room.roster.record(&member.sid))
            .cloned();
        if record.is_some_and(|record| !record.permission.hidden) {
            let left = RoomEvent::ParticipantLeft {
                participant: member.sid.clone(),
                cause,
            };
            self.tell_readers(&name, &left);
        }
        let changes = self
            .rooms
            .get_mut(&name)
            .map(|room| {
                room.histories.remove(&member.sid);
                room.roster.remove(&member.sid, cause)
            })
            .unwrap_or_default();
        self.show(&name, changes);
        if member.audience.is_some() || member.veiled {
            self.apply_audience(&name, &member.sid, Audience::Everybody);
        }
        self.uncount_session(&name, shard);
    }

    fn close_room_if_empty(&mut self, name: &RoomName) {
        if self.rooms.get(name).is_none_or(|room| !room.members.is_empty()) {
            return;
        }
        let Some(room) = self.rooms.remove(name) else {
            return;
        };
        for origin in room.origins.keys() {
            for track in room.roster.homed_on(*origin).flat_map(|record| &record.tracks) {
                // To nobody, or to the shard that sends it on to others.
                self.route_remote(name, *origin, track.alias);
            }
        }
        self.forget_weights(room.weights);
        info!(room = %name, epoch = room.epoch.0, "room closed");
        self.publish_room(name);
    }

    pub(super) fn end_all_sessions(&mut self, cause: LeaveCause) {
        let sessions: Vec<SessionId> = self.sessions.keys().copied().collect();
        for session in sessions {
            self.end_session(session, cause, None);
        }
    }

    pub(super) fn on_shard_lost(&mut self, _now: Instant, shard: ShardId) {
        if self.shards.remove(&shard).is_none() {
            return;
        }
        warn!(shard = shard.0, "shard lost: its sessions end");
        let on_it: Vec<SessionId> = self
            .rooms
            .values()
            .flat_map(|room| &room.members)
            .filter(|(_, member)| member.shard == shard)
            .map(|(session, _)| *session)
            .collect();
        for session in on_it {
            let end = EndCause::Left(LeaveCause::ConnectionLost);
            self.end_session(session, LeaveCause::ConnectionLost, Some(end));
        }
        self.out.forget_shard(shard);
        self.replace_all(None, shard);
    }

    /// The peers' link in use.
    pub(super) fn link_of(&self, node: NodeId) -> Option<super::io::LinkId> {
        self.peers.get(&node).and_then(|peer| peer.state.link())
    }
}
