//! Who may receive what: kept to here, at the viewer's bridge, whatever the viewer asks for.

use super::ShardCore;
use relay_proto::id::{ParticipantSid, RoomName, TrackSid};
use relay_proto::room::Audience;
use std::time::Instant;

impl ShardCore {
    /// Says who may receive a publisher. Whoever may no more gets nothing from this moment on, and is asked for an offer
    /// without it; whoever may now is asked for one with it. Cost: every section of the room once.
    pub(super) fn set_audience(
        &mut self,
        now: Instant,
        room: &RoomName,
        participant: ParticipantSid,
        audience: Audience,
    ) {
        let Some(&slot) = self.room_slots.get(room) else {
            return;
        };
        let room = &mut self.rooms[slot as usize];
        if audience == Audience::Everybody {
            room.audiences.remove(&participant);
        } else {
            room.audiences.insert(participant.clone(), audience);
        }
        let of_publisher = |track: &u32| self.tracks[*track as usize].identity.participant == participant;
        let tracks: Vec<u32> = room.tracks.iter().copied().filter(of_publisher).collect();
        let viewers = room.members.clone();
        for track in tracks {
            // Whoever it was awaited for may receive it no more.
            self.tracks[track as usize].awaited = None;
            self.tell_demand(track);
        }
        for viewer in viewers {
            for track in self.forbidden_to(viewer, &participant) {
                self.remove_leg(now, viewer, &track);
                let member = &mut self.members[viewer as usize];
                member.paused.remove(&track);
                member.section_ended(&track);
            }
            self.members[viewer as usize].tracks_changed(now);
        }
    }

    /// What a viewer receives of a publisher and may not.
    fn forbidden_to(&self, viewer: u32, publisher: &ParticipantSid) -> Vec<TrackSid> {
        let member = &self.members[viewer as usize];
        let room = &self.rooms[member.room as usize];
        member
            .downlinks
            .iter()
            .map(|section| &section.track)
            .filter(|track| {
                let slot = self.track_slots.get(*track);
                slot.is_some_and(|slot| self.tracks[*slot as usize].identity.participant == *publisher)
            })
            .filter(|track| !room.admits(&member.identity, publisher, track))
            .cloned()
            .collect()
    }
}
