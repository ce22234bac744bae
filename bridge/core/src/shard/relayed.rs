//! Datagrams from links: other nodes' media, and their feedback on what they get from here.

use super::ShardCore;
use crate::allocation::Class;
use crate::forward::track::{Clock, Source};
use crate::relay::{egress, ingress};
use relay_proto::datagram::{
    HEADER_BYTES, Header, INITIAL_HOPS, Kind, MAX_NACK_SEQS, Piece, decode_allowance, decode_nack,
};
use relay_proto::id::{Layer, NodeId};
use relay_proto::room::MediaKind;
use relay_proto::unit::{MediaSeq, RtpTime};
use std::time::Instant;
use tracing::warn;

/// Most packets repaired for one node per tick (10 ms): about a millisecond of sealing.
pub(super) const MAX_PEER_REPAIRS_PER_TICK: usize = 512;

impl ShardCore {
    /// None where the datagram is refused.
    pub(super) fn relayed(&mut self, now: Instant, peer: NodeId, bytes: &mut [u8]) -> Option<()> {
        let (header, body) = Header::decode(bytes).ok()?;
        let Some(slot) = self.alias_slots.get(&(header.origin, header.track)).copied() else {
            return self.pass_through(now, peer, &header, bytes);
        };
        match header.kind {
            Kind::Media | Kind::Clock if !self.may_bring(peer, slot) => None,
            Kind::Media => self.relayed_media(now, (peer, slot), &header, bytes),
            Kind::Clock => self.relayed_clock(now, (peer, slot), &header, bytes),
            Kind::KeyframeRequest => {
                let track = &mut self.tracks[slot as usize];
                if !track.peers.contains(peer) {
                    return None;
                }
                track.want_keyframe(header.layer, now);
                self.request_keyframes(now, slot);
                Some(())
            }
            Kind::Nack => {
                let body = body.to_vec();
                self.repair_for_peer(now, (peer, slot), &header, &body)
            }
            Kind::Allowance => self.relayed_allowance(now, (peer, slot), &header, body),
            Kind::Ping | Kind::Pong | Kind::Padding | Kind::Parity => None,
        }
    }

    /// Whether media of a track is taken from a node; siblings bring what is published on them.
    fn may_bring(&mut self, peer: NodeId, slot: u32) -> bool {
        let track = &self.tracks[slot as usize];
        let may = track.identity.origin == self.config.node || track.is_asked_of(peer);
        if !may {
            self.counters.uninvited += 1;
            if self.counters.uninvited == 1 {
                warn!(%peer, origin = %track.identity.origin, "media dropped: that node was not asked for it");
            }
        }
        may
    }

    /// Another node's media packet: opened, then the same `ingest` a client's packet takes; as it came, it goes on to the
    /// nodes behind this one. Hot path.
    fn relayed_media(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        bytes: &mut [u8],
    ) -> Option<()> {
        let mut joined = std::mem::take(&mut self.joined);
        let answer = self.open_media(now, (peer, slot), header, (bytes, &mut joined));
        self.joined = joined;
        answer
    }

    fn open_media(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        (bytes, joined): (&mut [u8], &mut Vec<u8>),
    ) -> Option<()> {
        let track = &self.tracks[slot as usize];
        if track.source != Source::Remote {
            return None;
        }
        let (room, has_children) = (track.identity.room as usize, !track.peers.is_empty());
        let origin = self.rooms[room].origins.get_mut(&header.origin)?;
        let Some(sealed) = origin.assemble(header, bytes, joined).ok()? else {
            return Some(());
        };
        let goes_on = has_children && self.copy_onward(header, Piece::Whole, sealed);
        let origin = self.rooms[room].origins.get_mut(&header.origin)?;
        let body = origin.unseal(header, sealed).ok()?;
        let Ok((incoming, media)) = ingress::packet(header, body) else {
            return Some(());
        };
        let track = &mut self.tracks[slot as usize];
        let comes_back = track.came_from(peer, header.layer, now);
        if track.parent_awaited && track.parent == peer {
            track.parent_awaited = false;
            self.tell_parent_heard((header.origin, header.track), peer);
        }
        if comes_back {
            self.offer_changed(now, slot);
        }
        let track = &mut self.tracks[slot as usize];
        let waits = !track.fresh.is_empty();
        track.look_for_pause(now, &incoming);
        if !track.ingest(now, incoming) {
            return Some(());
        }
        if goes_on {
            self.forward_media(slot, peer, header);
        }
        let packet = (incoming.layer, incoming.meta.seq);
        let level = media.level.map(|(level, _)| level);
        let is_sound = self.tracks[slot as usize].kind() == MediaKind::Audio;
        if (!is_sound || self.sound_of(now, slot, packet, level).is_some()) && !waits {
            self.fresh.push(slot);
        }
        Some(())
    }

    /// Sends the packet just taken in, as it was copied, to the nodes behind that want it. What its origin has chosen to send
    /// goes on whether or not anybody here hears it.
    fn forward_media(&mut self, slot: u32, from: NodeId, header: &Header) {
        let track = &mut self.tracks[slot as usize];
        let layer = &track.layers[usize::from(header.layer.0)];
        let Some(meta) = layer.packet(header.seq).map(|(meta, _)| *meta) else {
            return;
        };
        let mut hops = std::mem::take(&mut self.hops);
        track.next_hops(header.layer, &meta, &mut hops);
        hops.retain(|node| *node != from);
        if !hops.is_empty() {
            let class = track.class;
            let datagram = self.take_onward();
            self.send_onward(&hops, header.audio, class, datagram);
        }
        self.hops = hops;
    }

    /// The node before us says what of a track its link to us has room for; the nodes behind hear it from here.
    fn relayed_allowance(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        body: &[u8],
    ) -> Option<()> {
        let largest = decode_allowance(body).ok()?;
        let track = &mut self.tracks[slot as usize];
        if track.kind() == MediaKind::Audio || !track.is_brought_by(peer) {
            return None;
        }
        let behind: Vec<NodeId> = track.demanding_nodes().filter(|node| *node != peer).collect();
        let passed_on = header.hops < INITIAL_HOPS;
        if track.set_offered(peer, passed_on, largest, now) {
            self.offer_changed(now, slot);
        }
        self.pass_on_allowance(header, body, &behind);
        Some(())
    }

    /// Tells the nodes behind what a link before this node has room for.
    pub(super) fn pass_on_allowance(&mut self, header: &Header, body: &[u8], nodes: &[NodeId]) {
        if !nodes.is_empty() && self.copy_onward(header, Piece::Whole, body) {
            let datagram = self.take_onward();
            self.send_onward(nodes, true, Class::Other, datagram);
        }
    }

    /// Other layers of a track come than before: viewers have chosen anew, and its parent is to know.
    pub(super) fn offer_changed(&mut self, now: Instant, slot: u32) {
        for leg in &self.tracks[slot as usize].legs {
            self.members[leg.session as usize].cramped = true;
        }
        self.request_keyframes(now, slot);
        self.tell_demand(slot);
    }

    fn relayed_clock(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        bytes: &mut [u8],
    ) -> Option<()> {
        let track = &self.tracks[slot as usize];
        let room = track.identity.room as usize;
        let is_new = track.source == Source::Remote && track.newest_clock < Some(header.seq);
        let goes_on = is_new
            && !track.peers.is_empty()
            && self.copy_onward(header, header.piece, &bytes[HEADER_BYTES..]);
        let origin = self.rooms[room].origins.get_mut(&header.origin)?;
        let mut joined = Vec::new();
        let body = origin.open(header, bytes, &mut joined).ok()??;
        let ntp = u64::from_be_bytes(body.try_into().ok()?);
        if is_new {
            self.tracks[slot as usize].newest_clock = Some(header.seq);
        }
        if goes_on {
            let datagram = self.take_onward();
            let nodes = self.tracks[slot as usize].demanding_nodes();
            let nodes: Vec<NodeId> = nodes.filter(|node| *node != peer).collect();
            self.send_onward(&nodes, true, Class::Other, datagram);
        }
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

    /// Sends packets again to one node, byte for byte as before, whoever has sealed them first. What never came here, because
    /// nobody had wanted it by then, the node before is asked for: where a branch has just moved under this node, that is all
    /// its nodes lost on the way they had.
    fn repair_for_peer(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        header: &Header,
        body: &[u8],
    ) -> Option<()> {
        let seqs = decode_nack(body).ok()?;
        let track = &self.tracks[slot as usize];
        if !track.peers.contains(peer) {
            return None;
        }
        let layer = track.layers.get(usize::from(header.layer.0))?;
        let given = self.peer_repairs.entry(peer).or_default();
        let room = &self.rooms[track.identity.room as usize];
        let is_local = matches!(track.source, Source::Local { .. });
        let (epoch, seal) = if is_local {
            (room.epoch, &room.seal)
        } else {
            let origin = room.origins.get(&track.identity.origin)?;
            (origin.epoch(), origin.seal())
        };
        let packet = |seq| {
            if is_local {
                layer.packet(seq).map(|(meta, payload)| (*meta, payload))
            } else {
                layer.as_it_came(seq)
            }
        };
        let (mut repairs, mut missing) = (Vec::new(), Vec::new());
        for seq in seqs.take(MAX_NACK_SEQS.min(MAX_PEER_REPAIRS_PER_TICK.saturating_sub(*given))) {
            let Some((meta, payload)) = packet(seq) else {
                missing.push(seq);
                continue;
            };
            let parts = (layer.descriptor(seq), payload);
            repairs.push(egress::media_datagram(
                &track.identity,
                epoch,
                header.layer,
                &meta,
                parts,
                seal,
            ));
        }
        *given += repairs.len();
        let (audio, class) = (track.kind() == MediaKind::Audio, track.class);
        for repair in repairs {
            self.relay_media(peer, audio, class, repair);
        }
        if !is_local {
            self.ask_before(now, (peer, slot), header.layer, missing);
        }
        Some(())
    }

    /// Asks the node before for what a node behind lacks and this one never had; it goes on when it comes.
    fn ask_before(
        &mut self,
        now: Instant,
        (peer, slot): (NodeId, u32),
        layer: Layer,
        mut missing: Vec<MediaSeq>,
    ) {
        let track = &mut self.tracks[slot as usize];
        let Some(state) = track.layers.get_mut(usize::from(layer.0)) else {
            return;
        };
        state.asked.retain_fresh(&mut missing, peer, now);
        if !missing.is_empty() {
            self.ask_again(slot, layer, &missing);
        }
    }
}
