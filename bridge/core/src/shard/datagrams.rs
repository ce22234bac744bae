//! Datagrams from clients: media in, feedback, and what the transport has to tell.

use super::ShardCore;
use super::io::ShardFact;
use super::transmit::Transmit;
use crate::forward::cache::PacketMeta;
use crate::forward::keyframe::is_keyframe_start;
use crate::forward::svc::SvcPosition;
use crate::forward::track::{Clock, Incoming};
use crate::relay::egress;
use crate::rtc::{Received, RtcEvent, RtcpIn, RtpIn};
use relay_proto::datagram::encode_level;
use relay_proto::id::Layer;
use relay_proto::room::{Codec, MediaKind};
use relay_proto::session::EndCause;
use relay_proto::unit::{AudioLevel, MediaSeq, RtpTime};
use std::net::SocketAddr;
use std::time::Instant;

impl ShardCore {
    pub(super) fn datagram_of(&mut self, now: Instant, slot: u32, from: SocketAddr, bytes: &mut [u8]) {
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        match member.rtc.handle_datagram(now, from, bytes) {
            Received::Rtp(packet) => self.media_of(now, slot, &packet),
            Received::Rtcp(items) => {
                for item in items {
                    self.feedback_of(now, slot, item);
                }
                self.talkative(slot);
            }
            Received::Nothing => {
                self.events_of(now, slot);
                self.talkative(slot);
            }
        }
    }

    /// A client's media packet: the same `ingest` a relayed packet takes, then the next-hop nodes. Hot path.
    fn media_of(&mut self, now: Instant, slot: u32, packet: &RtpIn<'_>) {
        self.counters.packets_in += 1;
        let member = &mut self.members[slot as usize];
        let Some(left) = member.packets_left.checked_sub(1) else {
            return self.flooded(slot);
        };
        member.packets_left = left;
        let Some(&track_slot) = member.uplinks.get(packet.track) else {
            return;
        };
        let track = &mut self.tracks[track_slot as usize];
        let codec = track.identity.codec;
        let meta = PacketMeta {
            seq: track.extend(packet.layer, packet.seq),
            time: RtpTime(packet.time),
            marker: packet.marker,
            keyframe: is_keyframe_start(codec, packet.payload),
            level: encode_level(packet.level),
            position: SvcPosition::default(),
        };
        let incoming = Incoming {
            layer: packet.layer,
            meta,
            descriptor: packet
                .descriptor
                .filter(|_| codec == Codec::Av1)
                .unwrap_or_default(),
            payload: packet.payload,
        };
        if !packet.earlier.is_empty() {
            self.recover(now, (slot, track_slot), packet, incoming.meta.seq);
        }
        self.take_in(now, track_slot, incoming, packet.level.map(|(level, _)| level));
    }

    /// What was lost before a packet and is repeated by it comes first. It counts as taken from the client: one that jumps
    /// ahead with every number would have three packets forwarded for one.
    fn recover(&mut self, now: Instant, (slot, track_slot): (u32, u32), packet: &RtpIn<'_>, seq: MediaSeq) {
        for (at, block) in packet.earlier.blocks().iter().enumerate().rev() {
            let Some(seq) = seq.0.checked_sub(at as u32 + 1).map(MediaSeq) else {
                continue;
            };
            let layers = &self.tracks[track_slot as usize].layers;
            if !layers[usize::from(packet.layer.0)].lacks(seq) {
                continue;
            }
            let Some(left) = self.members[slot as usize].packets_left.checked_sub(1) else {
                return self.flooded(slot);
            };
            self.members[slot as usize].packets_left = left;
            let meta = PacketMeta {
                seq,
                time: RtpTime(packet.time.wrapping_sub(block.time_offset)),
                marker: false,
                keyframe: true,
                level: encode_level(None),
                position: SvcPosition::default(),
            };
            let incoming = Incoming {
                layer: packet.layer,
                meta,
                descriptor: &[],
                payload: block.payload,
            };
            self.counters.sounds_recovered += 1;
            self.take_in(now, track_slot, incoming, None);
        }
    }

    /// A packet of a local track: into its cache, to the viewers here, and to the next-hop nodes.
    fn take_in(&mut self, now: Instant, track_slot: u32, incoming: Incoming<'_>, level: Option<AudioLevel>) {
        let track = &mut self.tracks[track_slot as usize];
        let waits = !track.fresh.is_empty();
        if !track.ingest(now, incoming) {
            self.counters.packets_refused += 1;
            return;
        }
        let seq = incoming.meta.seq;
        let first = match track.kind() {
            MediaKind::Audio => self.sound_of(now, track_slot, (incoming.layer, seq), level),
            MediaKind::Video => Some(seq),
        };
        let Some(first) = first else {
            return;
        };
        if !waits {
            self.fresh.push(track_slot);
        }
        for seq in (first.0..=seq.0).map(MediaSeq) {
            self.relay_packet(track_slot, incoming.layer, seq);
        }
    }

    /// A client sends more than anybody could watch: what is over the limit goes nowhere, so that it costs nobody else.
    fn flooded(&mut self, slot: u32) {
        self.counters.packets_flooded += 1;
        let member = &mut self.members[slot as usize];
        if !std::mem::replace(&mut member.has_flooded, true) {
            let limit = self.config.limits.max_packets_per_tick;
            tracing::warn!(session = %member.session, limit, "a client sends more packets than are taken from one");
        }
    }

    /// Sends a local packet, if it is held, to every node that wants its layer: sealed once, each node once.
    fn relay_packet(&mut self, track_slot: u32, layer: Layer, seq: MediaSeq) {
        let track = &mut self.tracks[track_slot as usize];
        let Some((&meta, _)) = track.layers[usize::from(layer.0)].packet(seq) else {
            return;
        };
        let mut hops = std::mem::take(&mut self.hops);
        track.next_hops(layer, &meta, &mut hops);
        if !hops.is_empty()
            && let state = &track.layers[usize::from(layer.0)]
            && let Some((meta, payload)) = state.packet(seq)
        {
            let room = &self.rooms[track.identity.room as usize];
            let audio = track.kind() == MediaKind::Audio;
            let parts = (state.descriptor(seq), payload);
            let datagram =
                egress::media_datagram(&track.identity, room.epoch, layer, meta, parts, &room.seal);
            let class = track.class;
            for node in &hops {
                self.relay_media(*node, audio, class, datagram.clone());
            }
        }
        self.hops = hops;
    }

    fn feedback_of(&mut self, now: Instant, slot: u32, item: RtcpIn) {
        match item {
            RtcpIn::Arrivals(arrivals) => self.arrivals_of(now, slot, &arrivals),
            RtcpIn::Losses { expected, lost } => {
                self.members[slot as usize].redundancy.count(expected, lost);
            }
            RtcpIn::Pli { ssrc } => self.keyframe_wanted(now, slot, ssrc),
            RtcpIn::Nack { ssrc, seqs } => self.repair(now, slot, ssrc, &seqs),
            RtcpIn::SenderReport {
                track,
                layer,
                ntp,
                rtp_time,
            } => {
                let clock = Clock {
                    ntp,
                    time: RtpTime(rtp_time),
                };
                if let Some(&track_slot) = self.members[slot as usize].uplinks.get(track)
                    && self.clock_of(now, track_slot, layer, clock)
                {
                    self.relay_clock(track_slot, layer, clock);
                }
            }
        }
    }

    fn keyframe_wanted(&mut self, now: Instant, slot: u32, ssrc: u32) {
        let Some(track_slot) = self.track_of_ssrc(slot, ssrc) else {
            return;
        };
        let track = &mut self.tracks[track_slot as usize];
        let layer = track
            .legs
            .iter()
            .find(|leg| leg.session == slot)
            .and_then(|leg| leg.choice.current());
        if let Some(layer) = layer {
            let stream = track.stream_of(layer);
            track.layers[usize::from(stream.0)].keyframe.want();
            self.request_keyframes(now, track_slot);
        }
    }

    fn repair(&mut self, now: Instant, slot: u32, ssrc: u32, seqs: &[u16]) {
        let Some(track_slot) = self.track_of_ssrc(slot, ssrc) else {
            return;
        };
        let track = &mut self.tracks[track_slot as usize];
        let is_picture = track.kind() == MediaKind::Video;
        let member = &mut self.members[slot as usize];
        let Some(leg) = track.legs.iter_mut().find(|leg| leg.session == slot) else {
            return;
        };
        let Some(to) = member.rtc.remote_addr() else {
            return;
        };
        if is_picture && leg.choice.current().is_none() {
            // Stopped, for want of room or by wish: what comes next begins with a keyframe.
            self.counters.repairs_refused += seqs.len() as u64;
            return;
        }
        let queued = member.path.queued();
        for seq in seqs {
            let affords = is_picture || member.repaired.affords_sound(member.rtc.sent_bytes().beside);
            if member.repairs_left == 0 || !affords || !member.repaired.admit(now, ssrc, *seq, queued) {
                self.counters.repairs_refused += 1;
                continue;
            }
            let Some(mut outgoing) = member.rtc.outgoing(now) else {
                return;
            };
            let mut packet = Vec::new();
            if leg.write_retransmission(&track.layers, *seq, &mut outgoing, &mut packet) {
                member.repairs_left -= 1;
                if !is_picture {
                    member.redundancy.count(0, 1);
                    member.repaired.spend(packet.len() as u64);
                }
                self.counters.repairs_out += 1;
                let transmit = Transmit {
                    to,
                    segment_bytes: None,
                    is_picture,
                };
                self.repairs.push_back((transmit, packet));
            } else {
                self.counters.repairs_refused += 1;
            }
        }
    }

    fn track_of_ssrc(&self, slot: u32, ssrc: u32) -> Option<u32> {
        let downlink = self.members[slot as usize]
            .downlinks
            .iter()
            .find(|section| section.ssrc == ssrc)?;
        self.track_slots.get(&downlink.track).copied()
    }

    /// A publisher's sender report: kept for layer switches, and passed to every viewer in the viewer's time, so
    /// that sound and picture stay in step. False where it follows another too closely.
    pub(super) fn clock_of(&mut self, now: Instant, track_slot: u32, layer: Layer, clock: Clock) -> bool {
        let Some(track) = self.tracks.get_mut(track_slot as usize) else {
            return false;
        };
        let Some(state) = track.layers.get_mut(usize::from(layer.0)) else {
            return false;
        };
        if !state.take_clock(clock, now) {
            return false;
        }
        for leg in &track.legs {
            if leg.choice.current().map(|current| track.stream_of(current)) != Some(layer) {
                continue;
            }
            let Some(clock) = leg.sender_clock(&track.layers) else {
                continue;
            };
            let count = leg.count();
            let member = &mut self.members[leg.session as usize];
            member.rtc.send_rtcp(crate::rtc::RtcpOut::SenderReport {
                ssrc: leg.parameters().ssrc,
                ntp: clock.ntp,
                rtp_time: clock.time.0,
                packets: count.packets,
                bytes: count.bytes,
            });
            if !self.talkative.contains(&leg.session) {
                self.talkative.push(leg.session);
            }
        }
        true
    }

    fn relay_clock(&mut self, track_slot: u32, layer: Layer, clock: Clock) {
        let track = &self.tracks[track_slot as usize];
        let nodes: Vec<_> = track.demanding_nodes().collect();
        if nodes.is_empty() {
            return;
        }
        self.clocks_sent += 1;
        let room = &self.rooms[track.identity.room as usize];
        let datagram = egress::clock_datagram(
            &track.identity,
            room.epoch,
            layer,
            clock,
            self.clocks_sent,
            &room.seal,
        );
        for node in nodes {
            self.relay_to(node, true, datagram.clone());
        }
    }

    /// Takes what a session's transport has to tell.
    pub(super) fn events_of(&mut self, now: Instant, slot: u32) {
        while let Some(address) = self.members[slot as usize].rtc.poll_new_addr() {
            self.mux.learn(address, slot);
        }
        while let Some(event) = self
            .members
            .get_mut(slot as usize)
            .and_then(|member| member.rtc.poll_event())
        {
            let session = self.members[slot as usize].session;
            match event {
                RtcEvent::Connected => {
                    self.connect_legs(now, slot);
                    self.facts.push_back(ShardFact::TransportConnected { session });
                }
                RtcEvent::RemoteMoved => self.members[slot as usize].has_moved = true,
                RtcEvent::Data { .. } if self.facts.len() >= self.config.limits.max_queued_facts => {
                    // Reliable data may not be dropped silently, and facts may not pile up.
                    self.close_session(now, session);
                    self.end(session, EndCause::LimitReached("max_queued_facts".into()));
                    return;
                }
                RtcEvent::Data { reliable, payload } => {
                    self.facts.push_back(ShardFact::DataReceived {
                        session,
                        reliable,
                        payload,
                    });
                }
                RtcEvent::Ended(cause) => {
                    self.close_session(now, session);
                    self.end(session, cause);
                    return;
                }
            }
        }
    }

    /// Where a client's address has changed, what was in flight is lost: pictures start anew in both directions,
    /// and so does what is known of its path. Once per tick, because it looks at every track and a client can
    /// change its address with every packet.
    pub(super) fn refresh_pictures(&mut self, now: Instant, slot: u32) {
        let Some(member) = self.members.get_mut(slot as usize) else {
            return;
        };
        if !std::mem::take(&mut member.has_moved) {
            return;
        }
        member.path.begin_path(now);
        let received = member
            .downlinks
            .iter()
            .filter_map(|section| self.track_slots.get(&section.track));
        let tracks: Vec<u32> = member.uplinks.iter().chain(received).copied().collect();
        for track_slot in tracks {
            let track = &mut self.tracks[track_slot as usize];
            track.want_keyframe(Layer(2), now);
            self.request_keyframes(now, track_slot);
        }
    }
}
