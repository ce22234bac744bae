//! Media that goes on from here to other nodes: of tracks this shard knows, opened and kept as well, and of tracks that only
//! pass through. What comes is copied once, whatever the number of nodes behind; a child is never its own parent.

use super::ShardCore;
use super::io::ShardFact;
use crate::allocation::Class;
use crate::relay::transit::TransitTrack;
use bytes::Bytes;
use relay_proto::datagram::{
    HEADER_BYTES, Header, Kind, MAX_NACK_SEQS, Piece, decode_allowance, decode_nack, encode_nack,
};
use relay_proto::id::{LayerSet, NodeId, TrackAlias};
use relay_proto::unit::MediaSeq;
use std::time::Instant;

impl ShardCore {
    /// What a node behind this one wants of a track, whoever publishes it.
    pub(super) fn set_child(
        &mut self,
        now: Instant,
        (origin, track): (NodeId, TrackAlias),
        child: NodeId,
        layers: LayerSet,
        goes_on: bool,
    ) {
        if let Some(&slot) = self.alias_slots.get(&(origin, track)) {
            self.tracks[slot as usize].set_peer_demand(child, layers, goes_on, now);
            self.tell_publisher(now, slot);
            self.request_keyframes(now, slot);
            return;
        }
        if origin == self.config.node {
            return;
        }
        let key = (origin, track);
        if !layers.is_empty() {
            let passing = self
                .transit
                .entry(key)
                .or_insert_with(|| TransitTrack::new(origin));
            passing.set_peer(child, layers, goes_on, now);
            self.request_transit_keyframes(now, key);
        } else if let Some(passing) = self.transit.get_mut(&key) {
            passing.set_peer(child, layers, goes_on, now);
            if passing.is_unwanted() {
                self.transit.remove(&key);
            }
        }
    }

    /// From whom a track of another node comes from now on.
    pub(super) fn set_parent(
        &mut self,
        (origin, track): (NodeId, TrackAlias),
        parent: NodeId,
        awaited: bool,
    ) {
        if let Some(&slot) = self.alias_slots.get(&(origin, track)) {
            self.tracks[slot as usize].set_parent(parent, awaited);
        } else if let Some(passing) = self.transit.get_mut(&(origin, track)) {
            passing.set_parent(parent, awaited);
        }
    }

    /// A datagram of a track that is not known here: it passes through, or is refused. Hot path.
    pub(super) fn pass_through(
        &mut self,
        now: Instant,
        from: NodeId,
        header: &Header,
        bytes: &[u8],
    ) -> Option<()> {
        let key = (header.origin, header.track);
        match header.kind {
            Kind::Media | Kind::Clock => self.pass_on(now, from, header, bytes),
            Kind::KeyframeRequest => {
                let passing = self.transit.get_mut(&key).filter(|passing| passing.feeds(from))?;
                passing.want_keyframe(header.layer, now);
                self.request_transit_keyframes(now, key);
                Some(())
            }
            Kind::Nack => self.repair_in_passing(now, from, header, &bytes[HEADER_BYTES..]),
            Kind::Allowance => {
                decode_allowance(&bytes[HEADER_BYTES..]).ok()?;
                let passing = self
                    .transit
                    .get(&key)
                    .filter(|passing| passing.parent() == from)?;
                let behind: Vec<NodeId> = passing.nodes().filter(|node| *node != from).collect();
                self.pass_on_allowance(header, &bytes[HEADER_BYTES..], &behind);
                Some(())
            }
            Kind::Ping | Kind::Pong | Kind::Padding | Kind::Parity => None,
        }
    }

    fn pass_on(&mut self, now: Instant, from: NodeId, header: &Header, bytes: &[u8]) -> Option<()> {
        let key = (header.origin, header.track);
        let mut hops = std::mem::take(&mut self.hops);
        let passing = self.transit.get_mut(&key);
        let admitted = passing.and_then(|passing| {
            if header.kind == Kind::Media {
                passing.media(now, from, header, &mut hops)?;
            } else {
                passing.clock(from, header, &mut hops)?;
            }
            Some(passing.poll_parent(from))
        });
        if admitted.is_some()
            && !hops.is_empty()
            && self.copy_onward(header, header.piece, &bytes[HEADER_BYTES..])
        {
            if header.kind == Kind::Media {
                self.sealed.keep(header, &self.onward);
            }
            let datagram = self.take_onward();
            self.send_onward(&hops, header.audio, Class::Other, datagram);
        }
        self.hops = hops;
        if admitted? {
            self.tell_parent_heard(key, from);
        }
        Some(())
    }

    /// Prepares a datagram for the nodes behind, with one hop less; false where it has none left.
    pub(super) fn copy_onward(&mut self, header: &Header, piece: Piece, sealed: &[u8]) -> bool {
        let Some(hops) = header.hops.checked_sub(1) else {
            self.counters.transit_expired += 1;
            return false;
        };
        self.onward.clear();
        self.onward.reserve_exact(HEADER_BYTES + sealed.len());
        let header = Header {
            hops,
            piece,
            ..*header
        };
        self.onward.extend_from_slice(&header.encode());
        self.onward.extend_from_slice(sealed);
        true
    }

    /// What was prepared last, in a buffer of its own: one that many datagrams share is counted by all threads that hold any of
    /// them, which cost a twentieth of what passing through takes (measured: `relay_cpu`), and is held by the last of them.
    pub(super) fn take_onward(&mut self) -> Bytes {
        Bytes::from(std::mem::take(&mut self.onward))
    }

    pub(super) fn send_onward(&mut self, nodes: &[NodeId], audio: bool, class: Class, datagram: Bytes) {
        self.counters.transit_out += nodes.len() as u64;
        let Some((last, others)) = nodes.split_last() else {
            return;
        };
        for node in others {
            self.relay_media(*node, audio, class, datagram.clone());
        }
        self.relay_media(*last, audio, class, datagram);
    }

    pub(super) fn tell_parent_heard(&mut self, (origin, track): (NodeId, TrackAlias), parent: NodeId) {
        self.facts.push_back(ShardFact::ParentHeard {
            origin,
            track,
            parent,
        });
    }

    /// Sends again what has passed and is still held; asks the parent for the rest.
    fn repair_in_passing(&mut self, now: Instant, from: NodeId, header: &Header, body: &[u8]) -> Option<()> {
        let key = (header.origin, header.track);
        let passing = self.transit.get_mut(&key).filter(|passing| passing.feeds(from))?;
        let given = self.peer_repairs.entry(from).or_default();
        let (mut repairs, mut missing): (Vec<Bytes>, Vec<MediaSeq>) = (Vec::new(), Vec::new());
        for seq in decode_nack(body).ok()?.take(MAX_NACK_SEQS) {
            if *given >= super::relayed::MAX_PEER_REPAIRS_PER_TICK {
                break;
            }
            let before = repairs.len();
            repairs.extend(self.sealed.packet(header, seq).map(Bytes::copy_from_slice));
            if repairs.len() == before {
                missing.push(seq);
            } else {
                *given += 1;
            }
        }
        passing.ask(header.layer, &mut missing, from, now);
        let parent = passing.parent();
        for repair in repairs {
            let audio = Header::decode(&repair).is_ok_and(|(header, _)| header.audio);
            self.relay_to(from, audio, repair);
        }
        if !missing.is_empty() {
            let ask = Header::plain(Kind::Nack, header.origin, header.track, header.layer);
            self.relay_to(parent, true, Bytes::from(encode_nack(&ask, &missing)));
        }
        Some(())
    }

    fn request_transit_keyframes(&mut self, now: Instant, key: (NodeId, TrackAlias)) {
        while let Some(passing) = self.transit.get_mut(&key)
            && let Some(layer) = passing.poll_keyframe(now)
        {
            let parent = passing.parent();
            self.counters.keyframe_requests += 1;
            let header = Header::plain(Kind::KeyframeRequest, key.0, key.1, layer);
            self.relay_to(parent, true, Bytes::copy_from_slice(&header.encode()));
        }
    }

    /// What time brings to tracks that pass through; `review` as for others.
    pub(super) fn tick_transit(&mut self, now: Instant, review: bool) {
        if self.transit.is_empty() {
            return;
        }
        let keys: Vec<(NodeId, TrackAlias)> = self.transit.keys().copied().collect();
        for key in keys {
            if let Some(passing) = self.transit.get_mut(&key).filter(|_| review) {
                passing.retarget(now);
            }
            self.request_transit_keyframes(now, key);
        }
    }
}
