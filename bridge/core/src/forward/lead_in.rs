//! How a sound that was withheld begins: with what was just said, and without a hole that looks like loss.
//!
//! Voice is noticed a little after it has begun, so that the packets right before go along. Over a link a sound that goes on
//! after a while looks like one of which packets were lost. So what is withheld for no longer than [`SHORT`] is sent in full
//! when the sound goes on; after a longer time the first packet has the marker bit, which means just this (RFC 3551, section
//! 4.1), and a node that gets such a packet after silence does not miss what lies between. A node that does not know this asks
//! for it and gets it, in vain.

use super::track::{Incoming, Track};
use relay_proto::id::Layer;
use relay_proto::room::MediaKind;
use relay_proto::unit::MediaSeq;
use std::time::{Duration, Instant};

/// How much of what came before a sound begins is sent with it: a soft onset (a breath, an "h") is no longer.
const LEAD_IN: Duration = Duration::from_millis(100);
/// Withheld for no longer than this, all of it is sent.
const SHORT: Duration = Duration::from_millis(250);
/// A gap before a marked packet of another node is a pause after this silence. Shorter than [`SHORT`] by what two packets may
/// differ in their time on the way. (Clients set the bit as they like: a burst of losses is no pause.)
const PAUSE: Duration = Duration::from_millis(200);
/// Most packets before a sound's first that go along, however short each is.
const MAX_PACKETS: u32 = 25;

impl Track {
    /// The packet just taken in is not for anybody now.
    pub fn withhold(&mut self) {
        self.fresh.pop();
    }

    /// The packet `seq`, just taken in, goes on after others that were withheld: puts those to be sent with it before it, and
    /// returns the first of them. `before` is the newest packet that was forwarded earlier. Not a hot path: once in a hold.
    pub fn lead_in(
        &mut self,
        now: Instant,
        layer: Layer,
        seq: MediaSeq,
        before: Option<MediaSeq>,
    ) -> MediaSeq {
        let first = if let Some(before) = before
            && let Some(first) = self.all_after(layer, seq, before)
        {
            first
        } else {
            // Every receiver begins a new run: its numbers go on without a hole, and its time as if nothing had been left out.
            self.restart();
            self.retarget(now);
            let unsent = before.map_or(0, |before| before.0 + 1);
            let first = self.earliest_within(layer, seq, LEAD_IN, unsent);
            self.layers[usize::from(layer.0)].mark(first);
            first
        };
        self.fresh.pop();
        for at in (first.0..=seq.0).map(MediaSeq) {
            if self.layers[usize::from(layer.0)].packet(at).is_some() {
                self.fresh.push((layer, at));
            }
        }
        first
    }

    /// The first packet held after `before`, if it is so recent that all since then is sent.
    fn all_after(&self, layer: Layer, seq: MediaSeq, before: MediaSeq) -> Option<MediaSeq> {
        let missed = seq
            .0
            .checked_sub(before.0)
            .filter(|missed| *missed <= MAX_PACKETS)?;
        let layers = &self.layers[usize::from(layer.0)];
        let first = (seq.0 - missed + 1..=seq.0)
            .map(MediaSeq)
            .find(|at| layers.packet(*at).is_some())?;
        (self.earliest_within(layer, seq, SHORT, first.0) == first).then_some(first)
    }

    /// The earliest packet held that is not before number `from` and not older than `seq` by more than `span`.
    fn earliest_within(&self, layer: Layer, seq: MediaSeq, span: Duration, from: u32) -> MediaSeq {
        let layers = &self.layers[usize::from(layer.0)];
        let time = |seq| layers.packet(seq).map(|(meta, _)| meta.time.0);
        let Some(latest) = time(seq) else {
            return seq;
        };
        let ticks = span.as_millis() as u32 * (self.identity.codec.clock_rate() / 1_000);
        let mut earliest = seq;
        for at in (from..seq.0).rev().take(MAX_PACKETS as usize).map(MediaSeq) {
            match time(at) {
                Some(time) if latest.wrapping_sub(time) > ticks => break,
                Some(_) => earliest = at,
                None => {}
            }
        }
        earliest
    }

    /// Call before a packet of another node is taken in: where it ends a pause in a sound, what lies between is not missed, and
    /// every viewer begins a new run. Hot path: two comparisons.
    pub fn look_for_pause(&mut self, now: Instant, packet: &Incoming<'_>) {
        let is_marked_sound = packet.meta.marker && self.kind() == MediaKind::Audio;
        if is_marked_sound
            && let Some(state) = self.layers.get_mut(usize::from(packet.layer.0))
            && state.nack.jumps_after(packet.meta.seq, PAUSE, now)
        {
            state.nack.restart();
            self.restart();
            self.retarget(now);
        }
    }
}

#[cfg(test)]
mod tests;
