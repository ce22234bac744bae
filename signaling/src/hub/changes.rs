//! What happened in a room, told to everybody there who may know.

use super::{Hub, send};
use crate::protocol::Reply;
use crate::room::RoomKey;
use crate::session::{Effect, Now};
use relay_proto::id::{ParticipantSid, SessionId, TrackSid};
use relay_proto::room::{Audience, ConnectionQuality, LeaveCause, ParticipantRecord, SpeakerLevel};
use relay_proto::session::RoomChange;

impl Hub {
    pub(super) fn room_changed(
        &mut self,
        key: &RoomKey,
        change: RoomChange,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        match change {
            RoomChange::ParticipantUpserted(record) => self.participant_upserted(key, *record, out),
            RoomChange::ParticipantLeft { participant, cause } => {
                self.participant_left(key, participant, cause, now, out);
            }
            RoomChange::ParticipantReplaced { gone, participant } => {
                self.participant_replaced(key, gone, participant, out);
            }
            RoomChange::SpeakersChanged(levels) => self.speakers_changed(key, levels, out),
            RoomChange::AudienceChanged {
                participant,
                audience,
            } => self.audience_changed(key, &participant, audience, out),
            RoomChange::QualityChanged { participant, quality } => {
                self.quality_changed(key, participant, quality, out)
            }
        }
    }

    /// Tells a client again what it was told of the room with its join: some know nobody yet at that moment, and drop what
    /// they are told of people they do not know (livekit-client 2.23).
    pub(super) fn media_connected(&self, id: SessionId, out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get(&id).filter(|session| session.is_live()) else {
            return;
        };
        if let Some(local) = self.rooms.get(session.room_key()) {
            session.tell_of_room(&local.room, out);
        }
    }

    fn participant_upserted(&mut self, key: &RoomKey, record: ParticipantRecord, out: &mut Vec<Effect>) {
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        // This node's own bridge keeps to a limit; of another one that must be seen here.
        let room_for_more = local.room.len() < self.site.limits.participants_per_room;
        if !room_for_more && local.room.participant(&record.sid).is_none() {
            self.site.counters.steered_refused.increment();
            return;
        }
        if local.room.upsert(&record) {
            self.show(key, record, None, out);
        }
    }

    /// Tells everybody but `but` of a record, and whom its tracks are kept from.
    pub(super) fn show(
        &self,
        key: &RoomKey,
        record: ParticipantRecord,
        but: Option<SessionId>,
        out: &mut Vec<Effect>,
    ) {
        let mut to = self.audience(key, Some(&record));
        to.retain(|member| Some(*member) != but);
        let kept = self.kept_of(key, &record, &to);
        send(to, Reply::Update(vec![record]), out);
        tell_permitted(kept, out);
    }

    /// Which tracks of a record are kept from which of these viewers.
    fn kept_of(&self, key: &RoomKey, record: &ParticipantRecord, viewers: &[SessionId]) -> Vec<Told> {
        let Some(local) = self.rooms.get(key) else {
            return Vec::new();
        };
        let viewers = viewers.iter().filter_map(|id| self.sessions.get(id));
        viewers
            .flat_map(|viewer| {
                let kept = local.room.kept_of(record, viewer);
                kept.into_iter()
                    .map(|(participant, track)| (viewer.id(), (participant, track, false)))
            })
            .collect()
    }

    fn participant_left(
        &mut self,
        key: &RoomKey,
        participant: Box<ParticipantRecord>,
        cause: LeaveCause,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let (window, limit) = (self.departure_window(), self.site.limits.departures_remembered);
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        if local.room.remove(&participant.sid) {
            if !participant.permission.hidden {
                let departures = &mut local.departures;
                departures.note(now.monotonic, &participant, cause, window, limit);
            }
            let to = self.audience(key, Some(&participant));
            send(to, Reply::Gone(participant, cause), out);
        }
    }

    /// Tells of an exchange in one breath. What is left here of the one that is gone the bridge ends, unless this node drains. (A
    /// newcomer may be exchanged for its former self first: where the room was not open before, that is told later.)
    fn participant_replaced(
        &mut self,
        key: &RoomKey,
        gone: Box<ParticipantRecord>,
        participant: Box<ParticipantRecord>,
        out: &mut Vec<Effect>,
    ) {
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        let known = local.room.remove(&gone.sid);
        if !local.room.upsert(&participant) {
            return;
        }
        if !known {
            return self.show(key, *participant, None, out);
        }
        let mut to = self.audience(key, Some(&participant));
        // The newcomer has not been told of its former self.
        let (own, others): (Vec<_>, Vec<_>) = to.drain(..).partition(|id| {
            let session = self.sessions.get(id);
            session.is_some_and(|session| *session.sid() == participant.sid)
        });
        let kept = self.kept_of(key, &participant, &others);
        send(own, Reply::Update(vec![(*participant).clone()]), out);
        let gone_sid = gone.sid.clone();
        send(others, Reply::Replaced { gone, participant }, out);
        tell_permitted(kept, out);
        if self.is_draining() {
            self.own_place_taken(key, &gone_sid, out);
        }
    }

    /// Somebody has taken the place of a session of this node that the bridge has not ended, because this node drains. One that
    /// was sent there has nothing more to do here, unless its client lets go by itself; any other one has a double.
    fn own_place_taken(&mut self, key: &RoomKey, sid: &ParticipantSid, out: &mut Vec<Effect>) {
        let members = self.rooms.get(key).into_iter().flat_map(|local| &local.sessions);
        let of_it = |id: &&SessionId| self.sessions.get(*id).is_some_and(|it| it.sid() == sid);
        let Some(id) = members.copied().find(|id| of_it(&id)) else {
            return;
        };
        self.with(id, |session, _| session.place_taken(out));
    }

    fn speakers_changed(&mut self, key: &RoomKey, levels: Vec<SpeakerLevel>, out: &mut Vec<Effect>) {
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        let told = local.room.speakers_changed(levels);
        if !told.is_empty() {
            send(self.audience(key, None), Reply::Speakers(told), out);
        }
    }

    fn audience_changed(
        &mut self,
        key: &RoomKey,
        publisher: &ParticipantSid,
        audience: Audience,
        out: &mut Vec<Effect>,
    ) {
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        let before = local.room.audience_changed(publisher, audience);
        let room = &self.rooms[key].room;
        let mut told = Vec::new();
        let members = self.rooms[key].sessions.iter();
        // Also those who wait for a connection: what is lifted meanwhile stands in no record.
        for viewer in members.filter_map(|id| self.sessions.get(id)) {
            if viewer.is_live() && viewer.can_subscribe() && viewer.sid() != publisher {
                let changed = room.permitted_anew(publisher, &before, viewer.identity());
                told.extend(changed.into_iter().map(|permitted| (viewer.id(), permitted)));
            }
        }
        tell_permitted(told, out);
    }

    fn quality_changed(
        &mut self,
        key: &RoomKey,
        participant: ParticipantSid,
        quality: ConnectionQuality,
        out: &mut Vec<Effect>,
    ) {
        let Some(local) = self.rooms.get_mut(key) else {
            return;
        };
        let Some(who) = local.room.quality_changed(&participant, quality).cloned() else {
            return;
        };
        let to = self.audience(key, Some(&who));
        send(to, Reply::Qualities(vec![(participant, quality)]), out);
    }
}

/// To whom is told whether it may receive a track of somebody.
type Told = (SessionId, (ParticipantSid, TrackSid, bool));

fn tell_permitted(told: Vec<Told>, out: &mut Vec<Effect>) {
    for (id, (participant, track, allowed)) in told {
        let reply = Reply::SubscriptionPermission {
            participant,
            track,
            allowed,
        };
        send(vec![id], reply, out);
    }
}
