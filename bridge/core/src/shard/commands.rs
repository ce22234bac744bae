//! Commands of the node: rooms, sessions, tracks, subscriptions, routes.

use super::io::ShardFact;
use super::{Route, ShardCore};
use crate::forward::track::{Picture, Source, Track, TrackIdentity};
use crate::red::may_be_repeated;
use crate::relay::ingress::Origin;
use crate::room::Room;
use crate::room::member::{Member, Rights};
use crate::rtc::Session;
use bytes::Bytes;
use relay_proto::id::{
    Epoch, Identity, LayerSet, NodeId, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid,
};
use relay_proto::room::{LeaveCause, SealKey, TrackRecord};
use relay_proto::seal::Seal;
use relay_proto::session::{AnnouncedTrack, EndCause, TrackWish};
use std::time::Instant;

impl ShardCore {
    pub(super) fn open_room(&mut self, room: RoomName, epoch: Epoch, seal_key: &SealKey) {
        let loudest_sounds = self.config.limits.loudest_sounds;
        let opened = Room::new(room.clone(), epoch, Seal::new(seal_key), loudest_sounds);
        let slot = self.rooms.insert(opened) as u32;
        self.room_slots.insert(room, slot);
    }

    pub(super) fn close_room(&mut self, now: Instant, room: &RoomName) {
        let Some(&slot) = self.room_slots.get(room) else {
            return;
        };
        // Nobody should be in it any more; whoever still is may not outlive it.
        for member in self.rooms[slot as usize].members.clone() {
            // Its other connection may have taken it along.
            let Some(session) = self.members.get(member as usize).map(|member| member.session) else {
                continue;
            };
            tracing::error!(%session, %room, "session in a room that closes");
            self.close_session(now, session);
            self.end(session, EndCause::Left(LeaveCause::Removed));
        }
        self.room_slots.remove(room);
        let room = self.rooms.remove(slot as usize);
        for track in room.tracks {
            self.forget_track(track);
        }
    }

    pub(super) fn open_session(
        &mut self,
        now: Instant,
        session: SessionId,
        room: &RoomName,
        (participant, identity): (ParticipantSid, Identity),
        rights: Rights,
    ) {
        let Some(&room_slot) = self.room_slots.get(room) else {
            tracing::error!(%session, %room, "session for a room that was never opened here");
            return self.end(session, EndCause::NotServing);
        };
        if self.members.len() >= self.config.limits.max_sessions {
            return self.end(session, EndCause::LimitReached("max_sessions".into()));
        }
        self.sessions_opened += 1;
        let rtc = Session::new(self.config.rtc.clone(), self.session_seed(), now);
        let slot = self.members.vacant_key() as u32;
        self.mux.insert(slot, rtc.ufrag());
        let mut member = Member::new(session, room_slot, (participant, identity), rights, rtc);
        member.packets_left = self.config.limits.max_packets_per_tick;
        self.members.insert(member);
        self.session_slots.insert(session, slot);
        self.rooms[room_slot as usize].members.push(slot);
    }

    /// A seed no other session of this shard has: the shard's seed, hashed with the number of the session.
    pub(super) fn session_seed(&self) -> [u8; 32] {
        let mut context = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
        context.update(&self.seed);
        context.update(&self.sessions_opened.to_be_bytes());
        let digest = context.finish();
        digest
            .as_ref()
            .try_into()
            .expect("invariant: SHA-256 has 32 bytes")
    }

    pub(super) fn end(&mut self, session: SessionId, cause: EndCause) {
        self.facts.push_back(ShardFact::SessionEnded { session, cause });
    }

    pub(super) fn close_session(&mut self, now: Instant, session: SessionId) {
        let slots = [
            self.session_slots.remove(&session),
            self.second_slots.remove(&session),
        ];
        for slot in slots.into_iter().flatten() {
            self.remove_member(now, slot);
        }
    }

    fn remove_member(&mut self, now: Instant, slot: u32) {
        self.mux.remove(slot);
        let member = self.members.remove(slot as usize);
        self.counters.refused += *member.rtc.counters();
        self.talkative.retain(|other| *other != slot);
        if let Some(room) = self.rooms.get_mut(member.room as usize) {
            room.members.retain(|other| *other != slot);
            room.speakers.forget(&member.participant);
        }
        for downlink in &member.downlinks {
            self.remove_leg(now, slot, &downlink.track);
        }
        for track in &member.uplinks {
            self.remove_track(now, *track);
        }
    }

    pub(super) fn announce_track(&mut self, session: SessionId, track: AnnouncedTrack) {
        let max = self.config.limits.max_tracks_per_participant;
        let Some(member) = self.member_mut(session) else {
            return;
        };
        member
            .announced
            .retain(|other| other.record.sid != track.record.sid);
        if member.announced.len() < max {
            member.announced.push(track);
        } else {
            tracing::warn!(%session, track = %track.record.sid, limit = max, "track over the limit is not announced");
        }
    }

    pub(super) fn set_track_muted(
        &mut self,
        now: Instant,
        session: SessionId,
        track: &TrackSid,
        muted: bool,
    ) {
        let Some(member) = self.member_mut(session) else {
            return;
        };
        let Some(announced) = member
            .announced
            .iter_mut()
            .find(|other| other.record.sid == *track)
        else {
            return;
        };
        announced.record.muted = muted;
        if let Some(&slot) = self.track_slots.get(track) {
            self.mute_track(now, slot, muted);
        }
    }

    pub(super) fn set_subscription(
        &mut self,
        now: Instant,
        session: SessionId,
        tracks: Vec<TrackSid>,
        wanted: bool,
    ) {
        let max = self.config.limits.max_wishes_per_viewer;
        let Some(member) = self
            .viewer_slot(session)
            .and_then(|slot| self.members.get_mut(slot as usize))
        else {
            return;
        };
        for track in tracks {
            if !member.set_subscription(track, wanted, max) {
                tracing::warn!(%session, limit = max, "subscription over the limit is ignored");
                break;
            }
        }
        member.tracks_changed(now);
    }

    pub(super) fn set_track_wish(
        &mut self,
        now: Instant,
        session: SessionId,
        tracks: Vec<TrackSid>,
        wish: TrackWish,
    ) {
        let max = self.config.limits.max_wishes_per_viewer;
        let Some(slot) = self.viewer_slot(session) else {
            return;
        };
        self.members[slot as usize].cramped = true;
        for track in tracks {
            if !self.members[slot as usize].set_wish(track.clone(), wish, max) {
                tracing::warn!(%session, limit = max, "wish over the limit is ignored");
                break;
            }
            let Some(&track_slot) = self.track_slots.get(&track) else {
                continue;
            };
            let track = &mut self.tracks[track_slot as usize];
            if let Some(leg) = track.legs.iter_mut().find(|leg| leg.session == slot) {
                leg.choice.set_wish(wish.enabled, wish.max_layer);
            }
            track.retarget(now);
            self.tell_publisher(now, track_slot);
            self.tell_demand(track_slot);
        }
    }

    pub(super) fn send_data(&mut self, now: Instant, session: SessionId, reliable: bool, payload: Bytes) {
        let Some(slot) = self.viewer_slot(session) else {
            return;
        };
        if let Err(error) = self.members[slot as usize].rtc.send_data(now, reliable, payload) {
            tracing::debug!(%session, %error, "data message not sent");
        }
        self.talkative(slot);
    }

    pub(super) fn join_origin(
        &mut self,
        now: Instant,
        room: &RoomName,
        origin: NodeId,
        epoch: Epoch,
        seal_key: &SealKey,
    ) {
        let Some(&slot) = self.room_slots.get(room) else {
            return;
        };
        let known = self.rooms[slot as usize].origins.get(&origin).map(Origin::epoch);
        if known == Some(epoch) {
            return;
        }
        if known.is_some() {
            self.drop_origin(now, room, origin);
        }
        self.rooms[slot as usize]
            .origins
            .insert(origin, Origin::new(epoch, Seal::new(seal_key)));
    }

    pub(super) fn drop_origin(&mut self, now: Instant, room: &RoomName, origin: NodeId) {
        let Some(&slot) = self.room_slots.get(room) else {
            return;
        };
        self.rooms[slot as usize].origins.remove(&origin);
        let tracks = self.rooms[slot as usize].tracks.clone();
        for track in tracks {
            let identity = &self.tracks[track as usize].identity;
            // A sibling shard's tracks have our own node as their origin: the tracks of our clients stay.
            if identity.origin == origin && self.tracks[track as usize].source == Source::Remote {
                self.remove_track(now, track);
            } else {
                self.tracks[track as usize].set_peer_demand(origin, LayerSet::NONE, now);
            }
        }
    }

    pub(super) fn upsert_remote_track(
        &mut self,
        now: Instant,
        room: &RoomName,
        origin: NodeId,
        participant: ParticipantSid,
        record: &TrackRecord,
    ) {
        let Some(codec) = record.codec else {
            return;
        };
        if let Some(&slot) = self.track_slots.get(&record.sid) {
            if self.tracks[slot as usize].identity.origin == origin {
                self.mute_track(now, slot, record.muted);
            } else {
                tracing::warn!(%room, ?origin, track = %record.sid, "remote track refused: its id belongs to another node");
            }
            return;
        }
        let Some(&room_slot) = self.room_slots.get(room) else {
            return;
        };
        let held = &self.rooms[room_slot as usize];
        if !held.origins.contains_key(&origin)
            || held.tracks.len() >= self.config.limits.max_remote_tracks_per_room
        {
            tracing::warn!(%room, ?origin, track = %record.sid, "remote track refused: unknown origin or over the limit");
            return;
        }
        let identity = TrackIdentity {
            sid: record.sid.clone(),
            alias: record.alias,
            origin,
            room: room_slot,
            stream_id: stream_id(&participant, record),
            participant,
            codec,
            picture: Picture::of(record, codec, record.simulcast),
            redundant: may_be_repeated(record),
        };
        self.add_track(now, Track::new(identity, Source::Remote, record.muted));
    }

    pub(super) fn remove_remote_track(&mut self, now: Instant, origin: NodeId, track: TrackAlias) {
        if let Some(&slot) = self.alias_slots.get(&(origin, track))
            && self.tracks[slot as usize].source == Source::Remote
        {
            self.remove_track(now, slot);
        }
    }

    pub(super) fn set_peer_demand(
        &mut self,
        now: Instant,
        peer: NodeId,
        track: TrackAlias,
        layers: LayerSet,
    ) {
        if let Some(&slot) = self.alias_slots.get(&(self.config.node, track)) {
            self.tracks[slot as usize].set_peer_demand(peer, layers, now);
            self.tell_publisher(now, slot);
            self.request_keyframes(now, slot);
        }
    }

    pub(super) fn set_route(&mut self, node: NodeId, via: Option<NodeId>, max_datagram_bytes: usize) {
        match via {
            Some(via) => self.routes.insert(
                node,
                Route {
                    via,
                    max_datagram_bytes,
                },
            ),
            None => self.routes.remove(&node),
        };
    }

    pub(super) fn member_mut(&mut self, session: SessionId) -> Option<&mut Member> {
        let slot = *self.session_slots.get(&session)?;
        self.members.get_mut(slot as usize)
    }

    /// Something besides media waits in this session.
    pub(super) fn talkative(&mut self, slot: u32) {
        if let Some(member) = self.members.get_mut(slot as usize) {
            member.stir();
        }
        if !self.talkative.contains(&slot) {
            self.talkative.push(slot);
        }
    }
}

/// Stream id viewers see: the participant and its group, so that a camera and its microphone play in step.
pub(super) fn stream_id(participant: &ParticipantSid, record: &TrackRecord) -> String {
    let group = if record.stream.is_empty() {
        record.sid.as_str()
    } else {
        &record.stream
    };
    format!("{participant}|{group}")
}
