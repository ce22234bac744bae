//! Tracks of a shard: how they come, go, gain and lose viewers, and what is asked of their origins.

use super::ShardCore;
use super::io::ShardFact;
use crate::allocation::Class;
use crate::forward::layer::Allowance;
use crate::forward::leg::{Leg, LegParameters};
use crate::forward::track::{Source, Track, TrackIdentity};
use crate::relay::egress::RelayTransmit;
use crate::rtc::{Downlink, RtcpOut};
use bytes::Bytes;
use relay_proto::datagram::{Header, Kind};
use relay_proto::id::{Layer, MAX_LAYERS, NodeId, TrackSid};
use relay_proto::room::MediaKind;
use std::time::{Duration, Instant};

/// How long the sound of a new track of another node is asked for before anybody has a section for it.
const AWAITED: Duration = Duration::from_secs(2);

impl ShardCore {
    /// A track has media from now on: everybody in the room may want it. Sound of another node is asked of it at once if
    /// anybody here wants it: it is on its way while viewers are asked for offers.
    pub(super) fn add_track(&mut self, now: Instant, mut track: Track) -> u32 {
        if track.source == Source::Remote && track.kind() == MediaKind::Audio {
            track.awaited = self.awaits(&track.identity).map(|layer| (layer, now + AWAITED));
        }
        let slot = self.tracks.vacant_key() as u32;
        self.track_slots.insert(track.identity.sid.clone(), slot);
        self.alias_slots
            .insert((track.identity.origin, track.identity.alias), slot);
        let room = &mut self.rooms[track.identity.room as usize];
        room.tracks.push(slot);
        if track.kind() == MediaKind::Audio {
            room.loudest.add(slot, &track.identity.participant);
        }
        for member in &room.members {
            self.members[*member as usize].tracks_changed(now);
        }
        self.tracks.insert(track);
        self.tell_demand(slot);
        slot
    }

    /// What the first of those wants who will receive a track once they have a section for it, if there are any.
    fn awaits(&self, track: &TrackIdentity) -> Option<Layer> {
        let room = &self.rooms[track.room as usize];
        let members = room.members.iter().map(|member| &self.members[*member as usize]);
        let mut wanting = members.filter(|member| {
            member.participant != track.participant
                && member.wants(&track.sid)
                && room.admits(&member.identity, &track.participant, &track.sid)
        });
        wanting.next().map(|member| member.wish(&track.sid).max_layer)
    }

    /// A track is gone: its viewers lose it at once and are asked for a new offer.
    pub(super) fn remove_track(&mut self, now: Instant, slot: u32) {
        let Some(track) = self.forget_track(slot) else {
            return;
        };
        let Some(room) = self.rooms.get_mut(track.identity.room as usize) else {
            return;
        };
        room.tracks.retain(|other| *other != slot);
        let mut is_heard = false;
        if track.kind() == MediaKind::Audio {
            is_heard = room.speakers.is_speaking(&track.identity.participant);
            room.speakers.silence(&track.identity.participant);
            room.loudest.remove(slot);
        }
        for member in &room.members {
            self.members[*member as usize].tracks_changed(now);
        }
        for leg in &track.legs {
            let member = &mut self.members[leg.session as usize];
            member.section_ended(&track.identity.sid);
            let is_seen = track.kind() == MediaKind::Video && member.wish(&track.identity.sid).enabled;
            if !track.muted && (is_heard || is_seen) {
                // Most likely somebody who changes over to another node, and is there under another id.
                member.misses_track(now);
            }
        }
        for member in &room.members {
            self.members[*member as usize].track_ended(&track.identity.sid);
        }
    }

    /// Removes a track from the shard's tables only.
    pub(super) fn forget_track(&mut self, slot: u32) -> Option<Track> {
        let track = self.tracks.try_remove(slot as usize)?;
        self.track_slots.remove(&track.identity.sid);
        self.alias_slots
            .remove(&(track.identity.origin, track.identity.alias));
        self.fresh.retain(|other| *other != slot);
        self.cursor = super::transmit::Cursor::default();
        Some(track)
    }

    pub(super) fn add_leg(&mut self, now: Instant, viewer: u32, downlink: &Downlink) {
        let Some(&slot) = self.track_slots.get(&downlink.track) else {
            return;
        };
        let wish = self.members[viewer as usize].wish(&downlink.track);
        let mut choice = self.tracks[slot as usize].choice(wish.max_layer);
        choice.set_wish(wish.enabled, wish.max_layer);
        let redundant = self.tracks[slot as usize].identity.redundant;
        let parameters = leg_parameters(downlink, redundant);
        let mut leg = Leg::new(viewer, downlink.track.clone(), downlink.codec, parameters, choice);
        let is_video = downlink.codec.kind() == MediaKind::Video;
        if is_video && leg.is_numberable() && self.members[viewer as usize].rtc.reports_arrivals() {
            // Chosen with all the others, at the next tick.
            leg.choice.begin_with(Allowance::nothing_yet(now));
            self.members[viewer as usize].cramped = true;
        }
        leg.repeat_earlier(self.members[viewer as usize].redundancy.depth());
        leg.connected = self.members[viewer as usize].rtc.is_connected();
        let track = &mut self.tracks[slot as usize];
        track.legs.push(leg);
        track.awaited = None;
        track.retarget(now);
        self.tell_publisher(now, slot);
        self.request_keyframes(now, slot);
        self.tell_demand(slot);
    }

    /// A client has keys: what it should receive may begin.
    pub(super) fn connect_legs(&mut self, now: Instant, viewer: u32) {
        let downlinks = &self.members[viewer as usize].downlinks;
        let slots: Vec<u32> = downlinks
            .iter()
            .filter_map(|section| self.track_slots.get(&section.track).copied())
            .collect();
        for slot in slots {
            let track = &mut self.tracks[slot as usize];
            for leg in track.legs.iter_mut().filter(|leg| leg.session == viewer) {
                leg.connected = true;
            }
            track.retarget(now);
            self.tell_publisher(now, slot);
            self.request_keyframes(now, slot);
        }
    }

    /// A stream goes on with other parameters. Its leg stays: one that began anew would use its numbers again.
    pub(super) fn renegotiate_leg(&mut self, viewer: u32, downlink: &Downlink) {
        let Some(&slot) = self.track_slots.get(&downlink.track) else {
            return;
        };
        let track = &mut self.tracks[slot as usize];
        let parameters = leg_parameters(downlink, track.identity.redundant);
        if let Some(leg) = track.legs.iter_mut().find(|leg| leg.session == viewer) {
            leg.renegotiate(parameters);
            if !leg.is_numberable() {
                // From now on nobody tells what becomes of it, and nobody could give it more room again.
                leg.choice.begin_with(Allowance::ALL);
            }
        }
    }

    pub(super) fn remove_leg(&mut self, now: Instant, viewer: u32, track: &TrackSid) {
        let Some(&slot) = self.track_slots.get(track) else {
            return;
        };
        self.tracks[slot as usize]
            .legs
            .retain(|leg| leg.session != viewer);
        self.tracks[slot as usize].retarget(now);
        self.cursor = super::transmit::Cursor::default();
        self.tell_demand(slot);
    }

    /// Tells the node when the viewers' demand on a remote track has changed.
    pub(super) fn tell_demand(&mut self, slot: u32) {
        let track = &mut self.tracks[slot as usize];
        let layers = track.viewers_demand();
        if track.source != Source::Remote || layers == track.told_demand {
            return;
        }
        track.told_demand = layers;
        self.facts.push_back(ShardFact::DemandChanged {
            room: self.rooms[track.identity.room as usize].name.clone(),
            origin: track.identity.origin,
            track: track.identity.alias,
            layers,
        });
    }

    /// Tells a publisher on this shard that a track is received for the first time, and which layers of its picture
    /// anybody watches where that has changed.
    pub(super) fn tell_publisher(&mut self, now: Instant, slot: u32) {
        let Some(track) = self.tracks.get_mut(slot as usize) else {
            return;
        };
        let Source::Local { session, .. } = track.source else {
            return;
        };
        let session = self.members[session as usize].session;
        if track.poll_first_receiver() {
            self.facts.push_back(ShardFact::TrackSubscribed {
                session,
                track: track.identity.sid.clone(),
            });
        }
        if let Some(layers) = track.poll_publishing(now) {
            self.facts.push_back(ShardFact::LayersWanted {
                session,
                track: track.identity.sid.clone(),
                codec: track.identity.codec,
                layers,
            });
        }
    }

    /// Sends the keyframe requests of a track that are wanted and due.
    pub(super) fn request_keyframes(&mut self, now: Instant, slot: u32) {
        let Some(track) = self.tracks.get_mut(slot as usize) else {
            return;
        };
        if track.kind() == MediaKind::Audio || track.muted {
            return;
        }
        for layer in 0..MAX_LAYERS as u8 {
            if self.tracks[slot as usize].layers[usize::from(layer)]
                .keyframe
                .poll(now)
            {
                self.counters.keyframe_requests += 1;
                self.request_keyframe(slot, Layer(layer));
            }
        }
    }

    fn request_keyframe(&mut self, slot: u32, layer: Layer) {
        let track = &self.tracks[slot as usize];
        match track.source {
            Source::Local { session, uplink } => {
                let member = &mut self.members[session as usize];
                if let Some(ssrc) = member.rtc.uplink_ssrc(uplink, layer) {
                    member.rtc.send_rtcp(RtcpOut::Pli { ssrc });
                    self.talkative(session);
                }
            }
            Source::Remote => {
                let header = Header::plain(
                    Kind::KeyframeRequest,
                    track.identity.origin,
                    track.identity.alias,
                    layer,
                );
                let upstream = track.upstream();
                self.relay_to(upstream, true, Bytes::copy_from_slice(&header.encode()));
            }
        }
    }

    /// Queues a datagram for a node, in two pieces where the path is too narrow. `audio` picks the lane; feedback
    /// goes with audio because it is small and urgent.
    pub(super) fn relay_to(&mut self, node: NodeId, audio: bool, datagram: Bytes) {
        self.relay_media(node, audio, Class::Other, datagram);
    }

    /// The same for a packet of a track of this `class`.
    pub(super) fn relay_media(&mut self, node: NodeId, audio: bool, class: Class, datagram: Bytes) {
        let Some(route) = self.routes.get(&node).copied() else {
            self.counters.relay_dropped += 1;
            return;
        };
        let (first, second) = crate::relay::egress::fit(datagram, route.max_datagram_bytes);
        for bytes in std::iter::once(first).chain(second) {
            if self.relay.len() >= self.config.limits.max_queued_relay {
                self.counters.relay_dropped += 1;
                return;
            }
            self.counters.relay_out += 1;
            self.relay.push_back(RelayTransmit {
                via: route.via,
                audio,
                class,
                bytes,
            });
        }
    }
}

/// What was negotiated; `redundant` says whether the track may be repeated at all.
fn leg_parameters(downlink: &Downlink, redundant: bool) -> LegParameters {
    LegParameters {
        pt: downlink.pt,
        ssrc: downlink.ssrc,
        rtx: downlink.rtx_pt.zip(downlink.rtx_ssrc),
        red: downlink.red_pt.filter(|_| redundant),
        descriptor: downlink.dependency_ext,
    }
}
