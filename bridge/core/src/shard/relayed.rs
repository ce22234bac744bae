//! Datagrams from links: other nodes' media, and their feedback on ours.

use super::ShardCore;
use crate::forward::track::{Clock, Source};
use crate::relay::{egress, ingress};
use bytes::Bytes;
use relay_proto::datagram::{Header, INITIAL_HOPS, Kind, decode_allowance, decode_nack};
use relay_proto::id::NodeId;
use relay_proto::room::MediaKind;
use relay_proto::unit::RtpTime;
use std::time::Instant;

/// Most packets repaired for one node per tick (10 ms): about a millisecond of sealing.
const MAX_PEER_REPAIRS_PER_TICK: usize = 512;

impl ShardCore {
    /// None where the datagram is refused.
    pub(super) fn relayed(&mut self, now: Instant, peer: NodeId, bytes: &mut [u8]) -> Option<()> {
        let (header, body) = Header::decode(bytes).ok()?;
        let slot = *self.alias_slots.get(&(header.origin, header.track))?;
        match header.kind {
            Kind::Media => self.relayed_media(now, (peer, slot), &header, bytes),
            Kind::Clock => self.relayed_clock(now, slot, &header, bytes),
            Kind::KeyframeRequest => {
                self.local_track(slot)?;
                let track = &mut self.tracks[slot as usize];
                track.demanding_nodes().find(|node| *node == peer)?;
                track.want_keyframe(header.layer, now);
                self.request_keyframes(now, slot);
                Some(())
            }
            Kind::Nack => {
                self.local_track(slot)?;
                let body = body.to_vec();
                self.repair_for_peer(peer, slot, &header, &body)
            }
            Kind::Allowance => self.relayed_allowance(now, (peer, slot), &header, body),
            Kind::Ping | Kind::Pong | Kind::Padding | Kind::Parity => None,
        }
    }

    /// Feedback is for the node a track is published on.
    fn local_track(&self, slot: u32) -> Option<()> {
        matches!(self.tracks[slot as usize].source, Source::Local { .. }).then_some(())
    }

    /// Another node's media packet: opened, then the same `ingest` a client's packet takes. Hot path.
    fn relayed_media(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        bytes: &mut [u8],
    ) -> Option<()> {
        let track = &mut self.tracks[slot as usize];
        if track.source != Source::Remote {
            return None;
        }
        let room = &mut self.rooms[track.identity.room as usize];
        let origin = room.origins.get_mut(&header.origin)?;
        let mut joined = std::mem::take(&mut self.joined);
        let opened = origin.open(header, bytes, &mut joined);
        let refused = opened.is_err();
        let comes_back = !refused && track.came_from(peer, header.layer, now);
        if let Ok(Some(body)) = opened
            && let Ok((incoming, media)) = ingress::packet(header, body)
        {
            let waits = !track.fresh.is_empty();
            track.look_for_pause(now, &incoming);
            let taken = track.ingest(now, incoming);
            let packet = (incoming.layer, incoming.meta.seq);
            let level = media.level.map(|(level, _)| level);
            let is_sound = track.kind() == MediaKind::Audio;
            let goes_on = taken && (!is_sound || self.sound_of(now, slot, packet, level).is_some());
            if goes_on && !waits {
                self.fresh.push(slot);
            }
        }
        self.joined = joined;
        if comes_back {
            self.offer_changed(now, slot);
        }
        (!refused).then_some(())
    }

    /// The node before us says what of a track its link to us has room for.
    fn relayed_allowance(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        body: &[u8],
    ) -> Option<()> {
        let largest = decode_allowance(body).ok()?;
        let track = &mut self.tracks[slot as usize];
        let next_hop = self.routes.get(&track.identity.origin).map(|route| route.via);
        if track.kind() == MediaKind::Audio || !track.is_brought_by(peer, next_hop) {
            return None;
        }
        let passed_on = header.hops < INITIAL_HOPS;
        if track.set_offered(peer, passed_on, largest, now) {
            self.offer_changed(now, slot);
        }
        Some(())
    }

    /// Other layers of a track come than before: viewers have chosen anew, and its origin is to know.
    pub(super) fn offer_changed(&mut self, now: Instant, slot: u32) {
        for leg in &self.tracks[slot as usize].legs {
            self.members[leg.session as usize].cramped = true;
        }
        self.request_keyframes(now, slot);
        self.tell_demand(slot);
    }

    fn relayed_clock(&mut self, now: Instant, slot: u32, header: &Header, bytes: &mut [u8]) -> Option<()> {
        let track = &self.tracks[slot as usize];
        let room = &mut self.rooms[track.identity.room as usize];
        let origin = room.origins.get_mut(&header.origin)?;
        let mut joined = Vec::new();
        let body = origin.open(header, bytes, &mut joined).ok()??;
        let ntp = u64::from_be_bytes(body.try_into().ok()?);
        self.clock_of(
            now,
            slot,
            header.layer,
            Clock {
                ntp,
                time: RtpTime(header.time.0),
            },
        );
        Some(())
    }

    /// Sends packets of a local track again to one node, byte for byte as before.
    fn repair_for_peer(&mut self, peer: NodeId, slot: u32, header: &Header, body: &[u8]) -> Option<()> {
        let seqs = decode_nack(body).ok()?;
        let track = &self.tracks[slot as usize];
        if !track.demanding_nodes().any(|node| node == peer) {
            return None;
        }
        let layer = track.layers.get(usize::from(header.layer.0))?;
        let given = self.peer_repairs.entry(peer).or_default();
        let room = &self.rooms[track.identity.room as usize];
        let repairs: Vec<Bytes> = seqs
            .filter_map(|seq| Some((layer.packet(seq)?, layer.descriptor(seq))))
            .take(MAX_PEER_REPAIRS_PER_TICK - *given)
            .map(|((meta, payload), descriptor)| {
                egress::media_datagram(
                    &track.identity,
                    room.epoch,
                    header.layer,
                    meta,
                    (descriptor, payload),
                    &room.seal,
                )
            })
            .collect();
        *given += repairs.len();
        let (audio, class) = (track.kind() == MediaKind::Audio, track.class);
        for repair in repairs {
            self.relay_media(peer, audio, class, repair);
        }
        Some(())
    }
}
