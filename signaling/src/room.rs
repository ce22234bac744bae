//! What this node's clients know of a room: a projection of facts, with no power over the room.

use relay_proto::id::{Identity, Layer, ParticipantSid, TrackSid};
use relay_proto::room::{ParticipantRecord, SpeakerLevel, TrackRecord};
use relay_proto::unit::UnixMillis;
use std::collections::BTreeMap;

#[cfg(test)]
mod tests;

/// Everybody in a room, on all nodes, and who of them is speaking.
#[derive(Debug, Default)]
pub struct Room {
    participants: BTreeMap<ParticipantSid, ParticipantRecord>,
    speaking: BTreeMap<ParticipantSid, SpeakerLevel>,
}

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

    /// Forgets somebody. `false` when nobody knew them.
    pub fn remove(&mut self, sid: &ParticipantSid) -> bool {
        self.speaking.remove(sid);
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
