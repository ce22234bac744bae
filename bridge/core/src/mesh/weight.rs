//! How much of our memory each node takes in a room, so that none takes what others need: a node that brings too many people
//! makes room for those of others, and each has its bytes, its tracks and its audiences.

use super::MeshCore;
use super::publish::text_bytes;
use relay_proto::id::{NodeId, ParticipantSid, RoomName};
use relay_proto::room::{LeaveCause, ParticipantRecord};
use tracing::warn;

/// Roughly what a record takes besides its texts, and each of its tracks.
const RECORD_BYTES: usize = 512;
const TRACK_BYTES: usize = 256;

/// What one node has in one room.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// Records, audiences and remembered messages, roughly.
    pub(super) bytes: usize,
    pub(super) people: usize,
    pub(super) tracks: usize,
    pub(super) audiences: usize,
}

impl Weight {
    /// What a record weighs; nothing where there is none.
    pub(super) fn of_record(record: Option<&ParticipantRecord>) -> Self {
        record.map_or_else(Self::default, |record| Self {
            bytes: RECORD_BYTES + text_bytes(record) + record.tracks.len() * TRACK_BYTES,
            people: 1,
            tracks: record.tracks.len(),
            audiences: 0,
        })
    }

    /// What only takes bytes.
    pub(super) const fn of_bytes(bytes: usize) -> Self {
        Self {
            bytes,
            people: 0,
            tracks: 0,
            audiences: 0,
        }
    }

    const fn exchanged(self, before: Self, after: Self) -> Self {
        Self {
            bytes: (self.bytes + after.bytes).saturating_sub(before.bytes),
            people: (self.people + after.people).saturating_sub(before.people),
            tracks: (self.tracks + after.tracks).saturating_sub(before.tracks),
            audiences: (self.audiences + after.audiences).saturating_sub(before.audiences),
        }
    }
}

impl MeshCore {
    /// What a node has in a room.
    pub(super) fn weight_of(&self, name: &RoomName, node: NodeId) -> Weight {
        let room = self.rooms.get(name);
        room.and_then(|room| room.weights.get(&node).copied())
            .unwrap_or_default()
    }

    /// Why something of a node in a room may not be taken in the place of something else, if so.
    pub(super) fn too_heavy(
        &self,
        name: &RoomName,
        node: NodeId,
        (before, after): (Weight, Weight),
    ) -> Option<&'static str> {
        let limits = &self.config.limits;
        let held = self.weighed.get(&node).copied().unwrap_or_default();
        let grows = after.bytes > before.bytes;
        if grows && held + after.bytes > limits.max_peer_state_bytes + before.bytes {
            return Some("limits.peer_state_bytes is reached");
        }
        let tracks = self.weight_of(name, node).exchanged(before, after).tracks;
        // No node alone takes what the tracks of all others need.
        if after.tracks > before.tracks && tracks > limits.max_remote_tracks_per_room / 2 {
            return Some("it has half of limits.remote_tracks_per_room");
        }
        None
    }

    /// Counts what a node has in a room.
    pub(super) fn weigh(&mut self, name: &RoomName, node: NodeId, before: Weight, after: Weight) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let weight = room.weights.entry(node).or_default();
        let old = *weight;
        *weight = weight.exchanged(before, after);
        let new = *weight;
        if new == Weight::default() {
            room.weights.remove(&node);
        }
        self.count_bytes(node, old.bytes, new.bytes);
    }

    /// A room is closed: what nodes had in it is gone.
    pub(super) fn forget_weights(&mut self, weights: impl IntoIterator<Item = (NodeId, Weight)>) {
        for (node, weight) in weights {
            self.count_bytes(node, weight.bytes, 0);
        }
    }

    fn count_bytes(&mut self, node: NodeId, before: usize, after: usize) {
        let bytes = self.weighed.entry(node).or_default();
        *bytes = (*bytes + after).saturating_sub(before);
        if *bytes == 0 {
            self.weighed.remove(&node);
        }
    }

    /// Makes room in a full roster for somebody of `home`, where another node has more people in it than `home` would have:
    /// the last of that one's goes. False where there is no room.
    pub(super) fn make_room_in(&mut self, name: &RoomName, home: NodeId) -> bool {
        let max = self.config.limits.max_participants_per_room;
        let Some(room) = self.rooms.get(name) else {
            return true;
        };
        if room.roster.len() < max {
            return true;
        }
        let ours = room.members.len();
        let has = |node: NodeId| {
            let weight = room.weights.get(&node);
            weight.map_or(0, |weight| weight.people)
        };
        let wanted = if home == self.us { ours } else { has(home) } + 1;
        let largest = room
            .weights
            .iter()
            .filter(|(node, _)| **node != home)
            .max_by_key(|(_, weight)| weight.people)
            .filter(|(_, weight)| weight.people > wanted)
            .map(|(node, _)| *node);
        let Some(largest) = largest else {
            return false;
        };
        let last = room
            .roster
            .homed_on(largest)
            .last()
            .map(|record| record.sid.clone());
        let Some(last) = last else {
            return false;
        };
        self.evict(name, largest, &last);
        true
    }

    fn evict(&mut self, name: &RoomName, home: NodeId, sid: &ParticipantSid) {
        self.counters.participants_evicted += 1;
        if self.counters.participants_evicted == 1 {
            warn!(
                room = %name, peer = %home,
                "limits.participants_per_room is reached: people of the node with the most give way to those of others"
            );
        }
        self.on_remote_left(home, name, sid, LeaveCause::Removed);
    }
}
