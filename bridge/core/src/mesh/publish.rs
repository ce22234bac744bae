//! What participants of this node publish and say of themselves. Only here are their records changed.

use super::MeshCore;
use super::room::{Member, Room};
use crate::shard::io::ShardCommand;
use relay_proto::id::{RoomName, SessionId, TrackAlias, TrackSid};
use relay_proto::limit::MAX_ATTRIBUTES;
use relay_proto::room::{Codec, ParticipantRecord, ParticipantState, TrackRecord};
use relay_proto::session::{AnnouncedTrack, SessionFact};
use tracing::{debug, info, warn};

impl MeshCore {
    pub(super) fn on_announce_track(&mut self, session: SessionId, mut track: Box<AnnouncedTrack>) {
        let Some(room) = self.room_of(session) else {
            self.note_no_session(session);
            return;
        };
        if let Some(reason) = self.objection(room, session, &track.record) {
            self.counters.commands_refused += 1;
            info!(%session, reason, "track refused");
            let (cid, reason) = (track.cid, reason.to_owned());
            self.out.fact(SessionFact::TrackRefused { session, cid, reason });
            return;
        }
        let Some(shard) = self.shard_of(session) else {
            return;
        };
        track.record.alias = self.next_alias;
        self.next_alias = TrackAlias(self.next_alias.0.wrapping_add(1));
        let record = TrackRecord {
            // What it would like is for the shard only; what it gets is known once it is negotiated.
            codec: None,
            ..track.record.clone()
        };
        if let Some(member) = self.member_mut(session) {
            member.announced.insert(record.sid.clone(), record.clone());
        }
        self.out.route_track(self.us, record.alias, vec![shard]);
        let cid = track.cid.clone();
        self.out
            .shard(shard, ShardCommand::AnnounceTrack { session, track });
        self.out.fact(SessionFact::TrackAnnounced {
            session,
            cid,
            track: Box::new(record),
        });
    }

    /// Why a track may not be published, if so.
    fn objection(&self, room: &Room, session: SessionId, track: &TrackRecord) -> Option<&'static str> {
        let (record, member) = (room.record_of(session)?, room.members.get(&session)?);
        let permission = &record.permission;
        if !permission.can_publish {
            return Some("the token does not allow publishing");
        }
        if !permission.sources.is_empty() && !permission.sources.contains(&track.source) {
            return Some("the token does not allow this source");
        }
        if permission.hidden {
            return Some("a hidden participant cannot publish");
        }
        let count = record.tracks.len() + member.announced.len();
        if count >= self.config.limits.max_tracks_per_participant {
            return Some("limit reached: tracks of a participant");
        }
        let more = track.name.len() + track.stream.len();
        if text_bytes(record) + more > self.config.limits.max_participant_text_bytes {
            return Some("limit reached: text of a participant");
        }
        let taken = room
            .roster
            .listed()
            .any(|other| other.tracks.iter().any(|known| known.sid == track.sid))
            || room
                .members
                .values()
                .any(|member| member.announced.contains_key(&track.sid));
        taken.then_some("the track id is taken")
    }

    fn member_mut(&mut self, session: SessionId) -> Option<&mut Member> {
        self.room_of_mut(session)?.members.get_mut(&session)
    }

    pub(super) fn on_set_track_muted(&mut self, session: SessionId, track: TrackSid, muted: bool) {
        let Some(room) = self.room_of_mut(session) else {
            self.note_no_session(session);
            return;
        };
        let announced = room
            .members
            .get_mut(&session)
            .and_then(|member| member.announced.get_mut(&track));
        match announced {
            Some(announced) => announced.muted = muted,
            None => {
                let changed = self.change_record(session, |record| {
                    let known = record.tracks.iter_mut().find(|known| known.sid == track);
                    known.is_some_and(|known| std::mem::replace(&mut known.muted, muted) != muted)
                });
                if !changed {
                    debug!(%session, %track, "mute without effect: unknown track or unchanged");
                    return;
                }
            }
        }
        self.pass_to_shard(
            session,
            ShardCommand::SetTrackMuted {
                session,
                track,
                muted,
            },
        );
    }

    pub(super) fn on_update_participant(
        &mut self,
        session: SessionId,
        name: Option<String>,
        metadata: Option<String>,
        attributes: Vec<(String, String)>,
    ) {
        let Some(record) = self.room_of(session).and_then(|room| room.record_of(session)) else {
            self.note_no_session(session);
            return;
        };
        let mut updated = record.clone();
        if let Some(name) = name {
            updated.name = name;
        }
        if let Some(metadata) = metadata {
            updated.metadata = metadata;
        }
        merge_attributes(&mut updated.attributes, attributes);
        let too_long = text_bytes(&updated) > self.config.limits.max_participant_text_bytes;
        if too_long || updated.attributes.len() > MAX_ATTRIBUTES {
            self.counters.commands_refused += 1;
            warn!(%session, "update refused: the text or the attributes of the participant are over their limit");
            return;
        }
        self.change_record(session, |record| {
            let changed = *record != updated;
            *record = updated;
            changed
        });
    }

    /// Changes the record of a local participant and tells everybody. `change` answers whether it changed anything.
    fn change_record(
        &mut self,
        session: SessionId,
        change: impl FnOnce(&mut ParticipantRecord) -> bool,
    ) -> bool {
        let Some(room) = self.room_of_mut(session) else {
            return false;
        };
        let Some(mut record) = room.record_of(session).cloned() else {
            return false;
        };
        if !change(&mut record) {
            return false;
        }
        record.version += 1;
        let name = room.name.clone();
        let changes = room.roster.upsert(record.clone());
        self.tell_readers_of(&name, &record);
        self.show(&name, changes);
        true
    }

    pub(super) fn on_transport_connected(&mut self, session: SessionId) {
        self.out.fact(SessionFact::TransportConnected { session });
        self.change_record(session, |record| {
            std::mem::replace(&mut record.state, ParticipantState::Active) != ParticipantState::Active
        });
    }

    pub(super) fn on_track_bound(
        &mut self,
        session: SessionId,
        sid: &TrackSid,
        codec: Codec,
        simulcast: bool,
    ) {
        let announced = self
            .member_mut(session)
            .and_then(|member| member.announced.remove(sid));
        let Some(mut track) = announced else {
            self.counters.facts_ignored += 1;
            debug!(%session, track = %sid, "bound track is not announced (any more)");
            return;
        };
        track.codec = Some(codec);
        track.simulcast = simulcast;
        info!(%session, track = %sid, alias = track.alias.0, codec = codec.mime(), simulcast, "track published");
        self.change_record(session, |record| {
            record.tracks.push(track);
            true
        });
    }

    pub(super) fn on_track_unbound(&mut self, session: SessionId, sid: TrackSid) {
        let announced = self
            .member_mut(session)
            .and_then(|member| member.announced.remove(&sid));
        let mut gone = announced.map(|track| track.alias);
        self.change_record(session, |record| {
            let at = record.tracks.iter().position(|known| known.sid == sid);
            if let Some(at) = at {
                gone = Some(record.tracks.remove(at).alias);
            }
            at.is_some()
        });
        let Some(alias) = gone else {
            self.counters.facts_ignored += 1;
            return;
        };
        info!(%session, track = %sid, "track unpublished");
        if let Some(room) = self.room_of_mut(session) {
            room.demands.retain(|(_, track), _| *track != alias);
        }
        self.out.route_track(self.us, alias, Vec::new());
        self.out
            .fact(SessionFact::TrackUnpublished { session, track: sid });
    }

    /// Takes the tracks of somebody who leaves off the routes and demands.
    pub(super) fn forget_tracks(&mut self, name: &RoomName, member: &Member) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let published = room
            .roster
            .record(&member.sid)
            .into_iter()
            .flat_map(|record| &record.tracks);
        let gone: Vec<TrackAlias> = published
            .chain(member.announced.values())
            .map(|track| track.alias)
            .collect();
        room.demands.retain(|(_, track), _| !gone.contains(track));
        for alias in gone {
            self.out.route_track(self.us, alias, Vec::new());
        }
    }
}

/// Sets attributes, sorted by key; an empty value removes its key.
fn merge_attributes(attributes: &mut Vec<(String, String)>, changes: Vec<(String, String)>) {
    for (key, value) in changes {
        match attributes.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) if value.is_empty() => {
                attributes.remove(at);
            }
            Ok(at) => attributes[at].1 = value,
            Err(_) if value.is_empty() => {}
            Err(at) => attributes.insert(at, (key, value)),
        }
    }
}

/// Bytes of everything a participant says of itself.
pub(super) fn text_bytes(record: &ParticipantRecord) -> usize {
    let attributes: usize = record
        .attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let tracks: usize = record
        .tracks
        .iter()
        .map(|track| track.name.len() + track.stream.len())
        .sum();
    record.name.len() + record.metadata.len() + attributes + tracks
}
