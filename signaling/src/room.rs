//! What this node's clients know of a room: a projection of facts, with no power over the room.

use crate::session::Session;
use relay_proto::id::{Identity, Layer, NodeId, ParticipantSid, RoomName, TrackSid};
use relay_proto::room::{Audience, ConnectionQuality, ParticipantRecord, SpeakerLevel, TrackRecord};
use relay_proto::unit::UnixMillis;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// A room as one bridge tells of it. Two bridges tell of one room in two orders, so sessions whose media is on another
/// node have a copy of their own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoomKey {
    /// The room.
    pub name: RoomName,
    /// The node whose bridge tells; none for this node's.
    pub media: Option<NodeId>,
}

/// Everybody in a room, on all nodes, and who of them is speaking.
#[derive(Debug, Default)]
pub struct Room {
    participants: BTreeMap<ParticipantSid, ParticipantRecord>,
    speaking: BTreeMap<ParticipantSid, SpeakerLevel>,
    qualities: BTreeMap<ParticipantSid, ConnectionQuality>,
    /// Publishers that not everybody may receive; they need not be known yet.
    audiences: BTreeMap<ParticipantSid, Audience>,
}

/// A track of somebody, and whether one may receive it now.
type Permitted = (ParticipantSid, TrackSid, bool);

impl Room {
    /// Takes in a record. `false` when it is old news: clients must not see it.
    pub fn upsert(&mut self, record: &ParticipantRecord) -> bool {
        match self.participants.get(&record.sid) {
            Some(known) if known.version > record.version || known == record => false,
            _ => {
                self.participants.insert(record.sid.clone(), record.clone());
                true
            }
        }
    }

    /// Number of people.
    #[must_use]
    pub fn len(&self) -> usize {
        self.participants.len()
    }

    /// Forgets somebody. `false` when nobody knew them.
    pub fn remove(&mut self, sid: &ParticipantSid) -> bool {
        self.speaking.remove(sid);
        self.qualities.remove(sid);
        self.participants.remove(sid).is_some()
    }

    /// Takes in changed levels and returns what clients must be told: whoever is speaking, and once whoever fell silent.
    pub fn speakers_changed(&mut self, levels: Vec<SpeakerLevel>) -> Vec<SpeakerLevel> {
        let mut told = Vec::with_capacity(levels.len());
        for level in levels {
            let visible = self
                .participants
                .get(&level.participant)
                .is_some_and(|who| !who.permission.hidden);
            let was_speaking = self.speaking.remove(&level.participant).is_some();
            if visible && level.active {
                self.speaking.insert(level.participant.clone(), level.clone());
            }
            if visible && (level.active || was_speaking) {
                told.push(level);
            }
        }
        told
    }

    /// Takes in how good somebody's connection is. Whose it is, if clients may know them.
    pub fn quality_changed(
        &mut self,
        sid: &ParticipantSid,
        quality: ConnectionQuality,
    ) -> Option<&ParticipantRecord> {
        let who = self.participants.get(sid)?;
        self.qualities.insert(sid.clone(), quality);
        Some(who)
    }

    /// How good connections are, for somebody who has just come; of hidden people nothing.
    #[must_use]
    pub fn qualities(&self) -> Vec<(ParticipantSid, ConnectionQuality)> {
        let shown = self.qualities.iter().filter(|(sid, _)| {
            self.participants
                .get(*sid)
                .is_some_and(|who| !who.permission.hidden)
        });
        shown.map(|(sid, quality)| (sid.clone(), *quality)).collect()
    }

    /// Takes in who may receive somebody, and returns who could before.
    pub fn audience_changed(&mut self, sid: &ParticipantSid, audience: Audience) -> Audience {
        let before = if audience == Audience::Everybody {
            self.audiences.remove(sid)
        } else {
            self.audiences.insert(sid.clone(), audience)
        };
        before.unwrap_or_default()
    }

    /// What a change of an audience means to one who may receive tracks.
    #[must_use]
    pub fn permitted_anew(
        &self,
        publisher: &ParticipantSid,
        before: &Audience,
        viewer: &Identity,
    ) -> Vec<Permitted> {
        let now = self.audiences.get(publisher).unwrap_or(&Audience::Everybody);
        let tracks = self
            .participants
            .get(publisher)
            .map(|record| record.tracks.as_slice())
            .unwrap_or_default();
        tracks
            .iter()
            .map(|track| (&track.sid, now.admits(viewer, &track.sid)))
            .filter(|(track, allowed)| before.admits(viewer, track) != *allowed)
            .map(|(track, allowed)| (publisher.clone(), track.clone(), allowed))
            .collect()
    }

    /// The tracks of `record` that `viewer` may not receive. Cost: nothing where everybody may.
    #[must_use]
    pub fn kept_of(&self, record: &ParticipantRecord, viewer: &Session) -> Vec<(ParticipantSid, TrackSid)> {
        let audience = self.audiences.get(&record.sid);
        let Some(audience) = audience.filter(|_| viewer.can_subscribe() && record.sid != *viewer.sid())
        else {
            return Vec::new();
        };
        record
            .tracks
            .iter()
            .filter(|track| !audience.admits(viewer.identity(), &track.sid))
            .map(|track| (record.sid.clone(), track.sid.clone()))
            .collect()
    }

    /// All tracks of the room that `viewer` may not receive.
    #[must_use]
    pub fn kept_from(&self, viewer: &Session) -> Vec<(ParticipantSid, TrackSid)> {
        self.audiences
            .keys()
            .filter_map(|sid| self.participants.get(sid))
            .flat_map(|record| self.kept_of(record, viewer))
            .collect()
    }

    /// Who is speaking now, for somebody who has just come.
    #[must_use]
    pub fn speakers(&self) -> Vec<SpeakerLevel> {
        self.speaking.values().cloned().collect()
    }

    /// Somebody by id.
    #[must_use]
    pub fn participant(&self, sid: &ParticipantSid) -> Option<&ParticipantRecord> {
        self.participants.get(sid)
    }

    /// The identity of somebody.
    #[must_use]
    pub fn identity(&self, sid: &ParticipantSid) -> Option<&Identity> {
        self.participants.get(sid).map(|record| &record.identity)
    }

    /// Somebody by identity. Cost: linear in the people of the room.
    #[must_use]
    pub fn with_identity(&self, identity: &Identity) -> Option<&ParticipantRecord> {
        self.participants
            .values()
            .find(|record| record.identity == *identity)
    }

    /// Everybody whom `viewer` may see, itself included.
    #[must_use]
    pub fn shown_to(&self, viewer: &ParticipantSid) -> Vec<ParticipantRecord> {
        self.participants
            .values()
            .filter(|record| !record.permission.hidden || record.sid == *viewer)
            .cloned()
            .collect()
    }

    /// A track by id. Cost: linear in the tracks of the room.
    #[must_use]
    pub fn track(&self, sid: &TrackSid) -> Option<&TrackRecord> {
        self.participants
            .values()
            .flat_map(|record| &record.tracks)
            .find(|track| track.sid == *sid)
    }

    /// When the first of those who are there came.
    #[must_use]
    pub fn since(&self) -> UnixMillis {
        self.participants
            .values()
            .map(|record| record.joined_at)
            .min()
            .unwrap_or_default()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.participants.is_empty()
    }
}

/// The smallest layer of `track` that fills `width` by `height` pixels, else the largest. Compared by the shorter side,
/// so that a picture on its side counts the same.
#[must_use]
pub fn layer_for_pixels(track: &TrackRecord, width: u32, height: u32) -> Layer {
    let wanted = width.min(height);
    let fills = track
        .layers
        .iter()
        .find(|layer| layer.width.min(layer.height) >= wanted);
    fills
        .or_else(|| track.layers.last())
        .map_or_else(Layer::default, |layer| layer.layer)
}
