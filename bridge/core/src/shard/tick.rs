//! What time brings: timeouts of transports, repair, keyframes that are still missing, speakers, and offers to ask for.

use super::ShardCore;
use super::io::ShardFact;
use crate::bandwidth::BandwidthEstimator as _;
use crate::forward::leg::Leg;
use crate::forward::track::Source;
use crate::room::member::Member;
use crate::room::quality::Seen;
use crate::room::speaker;
use crate::rtc::RtcpOut;
use bytes::Bytes;
use relay_proto::datagram::{Header, Kind, MAX_NACK_SEQS, encode_nack};
use relay_proto::id::{Layer, MAX_LAYERS};
use relay_proto::room::MediaKind;
use relay_proto::unit::MediaSeq;
use std::time::{Duration, Instant};

/// Resolution of everything that waits on a shard.
const TICK: Duration = Duration::from_millis(10);
/// How often every receiver's layer is looked at again without a cause (a layer has gone silent, a keyframe is late).
/// It walks every leg, so it must not be every tick.
const REVIEW_INTERVAL: Duration = Duration::from_millis(100);

/// Sections of those who are asked for an offer in one tick, all together: what they answer comes back at about the same
/// time and is worked on by this thread, while media waits.
const SECTIONS_PER_TICK: u32 = 600;

impl ShardCore {
    /// Ticks run while there is anybody to serve.
    pub(super) fn schedule_tick(&mut self, now: Instant) {
        if self.members.is_empty() && self.transit.is_empty() {
            self.next_tick = None;
        } else if self.next_tick.is_none() {
            self.next_tick = Some(now + TICK);
        }
    }

    pub(super) fn tick(&mut self, now: Instant) {
        self.peer_repairs.clear();
        let slots: Vec<u32> = self.members.iter().map(|(slot, _)| slot as u32).collect();
        for slot in &slots {
            self.tick_member(now, *slot);
        }
        self.look_at_due_sections(now, &slots);
        let review = self.next_review.is_none_or(|at| at <= now);
        if review {
            self.next_review = Some(now + REVIEW_INTERVAL);
        }
        self.choose_layers(now, review);
        let slots: Vec<u32> = self.tracks.iter().map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            if review {
                if self.tracks[slot as usize].lapse(now) {
                    self.offer_changed(now, slot);
                }
                if self.tracks[slot as usize].poll_awaited(now) {
                    self.tell_demand(slot);
                }
                self.tracks[slot as usize].retarget(now);
                self.tell_publisher(now, slot);
            }
            self.request_keyframes(now, slot);
            self.ask_for_missing(now, slot);
        }
        self.tick_transit(now, review);
        if self.next_speakers.is_none_or(|at| at <= now) {
            self.next_speakers = Some(now + speaker::INTERVAL);
            self.tell_speakers(now);
        }
        self.next_tick = None;
        self.schedule_tick(now);
    }

    fn tick_member(&mut self, now: Instant, slot: u32) {
        // The end of a client's other connection, in this same tick, has taken this one along.
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        member.repairs_left = self.config.limits.max_repairs_per_tick;
        member.packets_left = self.config.limits.max_packets_per_tick;
        if member.is_resting(now) {
            return;
        }
        if member.rtc.poll_timeout().is_some_and(|at| at <= now) {
            member.rtc.handle_timeout(now);
            self.talkative(slot);
        }
        self.pad(now, slot);
        // Also without a timeout: a media packet may have moved the client's address.
        self.events_of(now, slot);
        self.refresh_pictures(now, slot);
        self.judge_connection(now, slot);
        self.judge_sound(now, slot);
        if let Some(member) = self.members.get_mut(slot as usize) {
            member.rest(now);
        }
    }

    /// Asks those for offers who are due, as many as one tick takes; the next one goes on behind them.
    fn look_at_due_sections(&mut self, now: Instant, slots: &[u32]) {
        let mut left = SECTIONS_PER_TICK;
        let first = slots.partition_point(|slot| *slot < self.asked_up_to);
        let (before, behind) = slots.split_at(first);
        for &slot in behind.iter().chain(before) {
            let Some(member) = self.members.get(slot as usize) else {
                continue;
            };
            if !member.is_asking_due(now) {
                continue;
            }
            if left == 0 {
                self.asked_up_to = slot;
                return;
            }
            left = left.saturating_sub(1 + member.sections());
            self.look_at_sections(now, slot);
        }
    }

    /// Looks how good a client's connection is, once a second.
    fn judge_connection(&mut self, now: Instant, slot: u32) {
        let is_due = |member: &Member| member.rtc.is_connected() && member.quality.is_due(now);
        if !self.members.get(slot as usize).is_some_and(is_due) {
            return;
        }
        let Some(uplink) = self.uplink_totals(slot) else {
            return;
        };
        let member = &mut self.members[slot as usize];
        let seen = Seen {
            uplink,
            estimate: member.path.estimate(),
            wanted: member.wanted,
            paused: !member.paused.is_empty(),
            silent: member.rtc.silent_for(now),
        };
        if let Some(quality) = member.quality.look(now, seen) {
            let session = member.session;
            self.facts
                .push_back(ShardFact::QualityChanged { session, quality });
        }
    }

    /// Looks, once a second, whether a client's sound is to repeat itself from now on.
    fn judge_sound(&mut self, now: Instant, slot: u32) {
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        if !member.redundancy.is_due(now) {
            return;
        }
        if member.redundancy.has_lost() {
            let mut unsent = 0;
            self.for_sounds(slot, |leg| unsent += leg.unsent());
            self.members[slot as usize].redundancy.leave_out(unsent);
        }
        let member = &mut self.members[slot as usize];
        let (sound, pictures) = (member.path.sound(), member.path.estimate());
        if member.redundancy.look(now, sound, pictures) {
            let depth = member.redundancy.depth();
            self.for_sounds(slot, |leg| leg.repeat_earlier(depth));
        }
    }

    /// Does something with every leg of sound to one viewer.
    fn for_sounds(&mut self, viewer: u32, mut action: impl FnMut(&mut Leg)) {
        for downlink in &self.members[viewer as usize].downlinks {
            if downlink.codec.kind() != MediaKind::Audio {
                continue;
            }
            let Some(&slot) = self.track_slots.get(&downlink.track) else {
                continue;
            };
            let legs = &mut self.tracks[slot as usize].legs;
            if let Some(leg) = legs.iter_mut().find(|leg| leg.session == viewer) {
                action(leg);
            }
        }
    }

    fn ask_for_missing(&mut self, now: Instant, slot: u32) {
        for layer in 0..MAX_LAYERS {
            let track = &mut self.tracks[slot as usize];
            if !track.repaired || track.layers[layer].nack.is_idle() {
                continue;
            }
            let missing = track.layers[layer].nack.due(now, MAX_NACK_SEQS);
            if !missing.is_empty() {
                self.ask_again(slot, Layer(layer as u8), &missing);
            }
        }
    }

    /// Asks whoever brings a track for packets of it again.
    pub(super) fn ask_again(&mut self, slot: u32, layer: Layer, missing: &[MediaSeq]) {
        let track = &self.tracks[slot as usize];
        match track.source {
            Source::Local { session, uplink } => {
                let member = &mut self.members[session as usize];
                if let Some(ssrc) = member.rtc.uplink_ssrc(uplink, layer) {
                    let seqs = missing.iter().map(|seq| seq.0 as u16).collect();
                    member.rtc.send_rtcp(RtcpOut::Nack { ssrc, seqs });
                    self.talkative(session);
                }
            }
            Source::Remote => {
                let (origin, upstream) = (track.identity.origin, track.upstream());
                let header = Header::plain(Kind::Nack, origin, track.identity.alias, layer);
                self.relay_to(upstream, true, Bytes::from(encode_nack(&header, missing)));
            }
        }
    }

    fn tell_speakers(&mut self, now: Instant) {
        for (_, room) in &mut self.rooms {
            let speakers = room.speakers.poll(now);
            if !speakers.is_empty() {
                self.facts.push_back(ShardFact::SpeakersChanged {
                    room: room.name.clone(),
                    speakers,
                });
            }
        }
    }
}
