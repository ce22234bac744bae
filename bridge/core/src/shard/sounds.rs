//! Which sounds go on: the loudest of each room, to viewers and to links alike.
//!
//! Every shard chooses among what it knows: the sounds of its own publishers, and those of others that reach it. What it
//! withholds it keeps (cache, repair), so that whoever begins to speak is heard from the first syllable.

use super::ShardCore;
use crate::room::loudest::Verdict;
use relay_proto::id::Layer;
use relay_proto::unit::{AudioLevel, MediaSeq};
use std::time::Instant;

impl ShardCore {
    /// A packet of sound was taken in: the first packet that goes on with it, which is an earlier one where the sound has
    /// just been given a place; none where it is withheld. Hot path: no allocation.
    pub(super) fn sound_of(
        &mut self,
        now: Instant,
        slot: u32,
        (layer, seq): (Layer, MediaSeq),
        level: Option<AudioLevel>,
    ) -> Option<MediaSeq> {
        let track = &mut self.tracks[slot as usize];
        let room = &mut self.rooms[track.identity.room as usize];
        if let Some(level) = level {
            room.speakers.heard(&track.identity.participant, level, now);
        }
        match room.loudest.heard(slot, seq, level, now) {
            Verdict::Forward => Some(seq),
            Verdict::Withhold => {
                self.counters.sounds_withheld += 1;
                track.withhold();
                None
            }
            Verdict::Begin(before) => Some(track.lead_in(now, layer, seq, before)),
        }
    }

    /// A track is muted or not any more, here or at its origin.
    pub(super) fn mute_track(&mut self, now: Instant, slot: u32, muted: bool) {
        let track = &mut self.tracks[slot as usize];
        track.set_muted(muted);
        track.retarget(now);
        if muted {
            self.rooms[track.identity.room as usize].loudest.silence(slot);
        }
    }
}
