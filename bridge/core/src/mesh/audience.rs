//! Who may receive what a participant publishes, and how good its connection is: said by its home node, told to every
//! host of the room. The bridge of the viewer keeps to the one; nobody is bound by the other.

use super::MeshCore;
use super::room::RemoteAudience;
use super::weight::Weight;
use crate::shard::io::ShardCommand;
use relay_proto::id::{Epoch, NodeId, ParticipantSid, RoomName, SessionId};
use relay_proto::room::{Audience, ConnectionQuality, ParticipantRecord, RoomEvent, RoomMessage};
use relay_proto::session::RoomChange;
use relay_proto::version::Features;
use tracing::{debug, warn};

impl MeshCore {
    pub(super) fn on_set_audience(&mut self, session: SessionId, audience: Audience) {
        let max = self.config.limits.max_audience_bytes;
        let Some(room) = self.room_of_mut(session) else {
            self.note_no_session(session);
            return;
        };
        let Some(member) = room.members.get_mut(&session) else {
            return;
        };
        if audience_bytes(&audience) > max {
            self.counters.commands_refused += 1;
            warn!(%session, limit = max, "audience refused: it is over the limit");
            return;
        }
        member.audience = Some(audience.clone());
        let veiled = member.veiled;
        let (name, participant) = (room.name.clone(), member.sid.clone());
        let hidden = room
            .record_of(session)
            .is_none_or(|record| record.permission.hidden);
        debug!(%session, room = %name, %participant, "audience changed");
        if !veiled {
            self.apply_audience(&name, &participant, audience.clone());
        }
        if !hidden {
            let event = RoomEvent::AudienceChanged {
                participant,
                audience,
            };
            self.tell_readers(&name, &event);
        }
    }

    /// Tells our shards and our signalling.
    pub(super) fn apply_audience(
        &mut self,
        name: &RoomName,
        participant: &ParticipantSid,
        audience: Audience,
    ) {
        self.tell_parts(
            name,
            &ShardCommand::SetAudience {
                room: name.clone(),
                participant: participant.clone(),
                audience: audience.clone(),
            },
        );
        let change = RoomChange::AudienceChanged {
            participant: participant.clone(),
            audience,
        };
        self.out.room_change(name, change);
    }

    pub(super) fn on_remote_audience(
        &mut self,
        from: NodeId,
        name: &RoomName,
        epoch: Epoch,
        participant: ParticipantSid,
        audience: Audience,
    ) {
        let limits = &self.config.limits;
        let (max_bytes, max_count) = (limits.max_audience_bytes, limits.max_participants_per_room);
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let record = room.roster.record(&participant);
        let known = room.audiences.get(&participant);
        let foreign =
            known.is_some_and(|known| known.home != from) || record.is_some_and(|record| record.home != from);
        // Whoever is told of may be restricted; of others there are no more than people.
        let full = known.is_none()
            && record.is_none()
            && audience != Audience::Everybody
            && self.weight_of(name, from).audiences >= max_count;
        let before = known.map_or_else(Weight::default, |known| weight_of(&known.audience));
        let mut audience = audience;
        let heavy = audience_bytes(&audience) > max_bytes
            || self
                .too_heavy(name, from, (before, weight_of(&audience)))
                .is_some();
        if foreign || full || heavy {
            self.counters.records_refused += 1;
            if self.counters.records_refused == 1 {
                warn!(room = %name, peer = %from, foreign, full, heavy, "audience of a participant of a peer refused");
            }
            if foreign || full {
                return;
            }
            // Rather nobody than everybody.
            audience = Audience::Only(Vec::new());
        }
        self.weigh(name, from, before, weight_of(&audience));
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        if audience == Audience::Everybody {
            room.audiences.remove(&participant);
        } else {
            let told = RemoteAudience {
                home: from,
                epoch,
                audience: audience.clone(),
            };
            room.audiences.insert(participant.clone(), told);
        }
        self.apply_audience(name, &participant, audience);
    }

    /// Somebody on another node has left.
    pub(super) fn forget_audience(&mut self, from: NodeId, name: &RoomName, participant: &ParticipantSid) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let known = room.audiences.get(participant);
        if let Some(known) = known.filter(|known| known.home == from) {
            let weight = weight_of(&known.audience);
            room.audiences.remove(participant);
            self.weigh(name, from, weight, Weight::default());
            self.apply_audience(name, participant, Audience::Everybody);
        }
    }

    /// Another node's stream up to `epoch` counts no more.
    pub(super) fn forget_audiences_of(&mut self, name: &RoomName, node: NodeId, epoch: Epoch) {
        let gone: Vec<ParticipantSid> = self
            .rooms
            .get(name)
            .into_iter()
            .flat_map(|room| &room.audiences)
            .filter(|(_, known)| known.home == node && known.epoch <= epoch)
            .map(|(participant, _)| participant.clone())
            .collect();
        for participant in gone {
            self.forget_audience(node, name, &participant);
        }
    }

    pub(super) fn on_quality_changed(&mut self, session: SessionId, quality: ConnectionQuality) {
        let Some(room) = self.room_of_mut(session) else {
            return;
        };
        let hidden = room
            .record_of(session)
            .is_none_or(|record| record.permission.hidden);
        let Some(member) = room.members.get_mut(&session) else {
            return;
        };
        member.quality = Some(quality);
        let (name, participant) = (room.name.clone(), member.sid.clone());
        if !hidden {
            let event = RoomEvent::QualityChanged {
                participant: participant.clone(),
                quality,
            };
            self.tell_readers(&name, &event);
        }
        self.show_quality(&name, participant, quality);
    }

    pub(super) fn on_remote_quality(
        &mut self,
        from: NodeId,
        name: &RoomName,
        participant: ParticipantSid,
        quality: ConnectionQuality,
    ) {
        let known = self
            .rooms
            .get(name)
            .and_then(|room| room.roster.record(&participant));
        if known.is_some_and(|record| record.home == from) {
            self.show_quality(name, participant, quality);
        } else {
            self.counters.room_messages_ignored += 1;
        }
    }

    fn show_quality(&mut self, name: &RoomName, participant: ParticipantSid, quality: ConnectionQuality) {
        let change = RoomChange::QualityChanged { participant, quality };
        self.out.room_change(name, change);
    }

    /// Tells a new reader the audiences of our participants: before it hears of their tracks.
    pub(super) fn tell_audiences(&mut self, name: &RoomName, reader: NodeId) {
        self.tell_of_members(name, reader, |participant, audience, _| {
            let audience = audience?;
            Some(RoomEvent::AudienceChanged {
                participant,
                audience,
            })
        });
    }

    /// Tells a new reader how good the connections of our participants are: after it has heard of them.
    pub(super) fn tell_qualities(&mut self, name: &RoomName, reader: NodeId) {
        self.tell_of_members(name, reader, |participant, _, quality| {
            let quality = quality?;
            Some(RoomEvent::QualityChanged { participant, quality })
        });
    }

    fn tell_of_members(
        &mut self,
        name: &RoomName,
        reader: NodeId,
        event: impl Fn(ParticipantSid, Option<Audience>, Option<ConnectionQuality>) -> Option<RoomEvent>,
    ) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        if !self
            .features_of(reader)
            .is_some_and(|features| features.has(Features::AUDIENCE))
        {
            return;
        }
        let shown = room.members.values().filter(|member| {
            room.roster
                .record(&member.sid)
                .is_some_and(|record| !record.permission.hidden)
        });
        let messages: Vec<RoomMessage> = shown
            .filter_map(|member| event(member.sid.clone(), member.audience.clone(), member.quality))
            .map(|event| RoomMessage {
                room: name.clone(),
                epoch: room.epoch,
                event,
            })
            .collect();
        for message in messages {
            self.tell_room_message(reader, message);
        }
    }
}

/// Makes a record what a peer may be told: without tracks in codecs it does not know, which it could not even read.
pub(super) fn as_told_to(features: Features, record: &mut ParticipantRecord) {
    record
        .tracks
        .retain(|track| track.codec.is_none_or(|codec| features.has(codec.needed())));
}

/// What a peer must be able to do to be told an event.
pub(super) const fn needed_for(event: &RoomEvent) -> Features {
    match event {
        RoomEvent::AudienceChanged { .. } | RoomEvent::QualityChanged { .. } => Features::AUDIENCE,
        RoomEvent::ReliableSent { .. } => Features::SEQUENCE,
        RoomEvent::Snapshot { .. }
        | RoomEvent::ParticipantUpserted(_)
        | RoomEvent::ParticipantLeft { .. }
        | RoomEvent::DataSent(_) => Features(0),
    }
}

/// What an audience weighs; everybody weighs nothing.
fn weight_of(audience: &Audience) -> Weight {
    const ENTRY_BYTES: usize = 200;
    match audience {
        Audience::Everybody => Weight::default(),
        Audience::Only(grants) => Weight {
            audiences: 1,
            ..Weight::of_bytes(ENTRY_BYTES + audience_bytes(audience) + grants.len() * 64)
        },
    }
}

/// Bytes of all names in an audience.
fn audience_bytes(audience: &Audience) -> usize {
    match audience {
        Audience::Everybody => 0,
        Audience::Only(grants) => grants
            .iter()
            .map(|grant| {
                let tracks = grant.tracks.iter().flatten();
                grant.viewer.as_str().len() + tracks.map(|track| track.as_str().len()).sum::<usize>()
            })
            .sum(),
    }
}
