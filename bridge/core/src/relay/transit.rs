//! A track that only passes through this node: it hosts no conference of it and cannot open a packet.
//!
//! All it knows stands in the headers. That is enough to send each packet once to whoever wants its layer, to answer who
//! asks again from what has passed, and to ask the parent, once for all, for keyframes and for what has not come.

use super::seen::Seen;
use crate::forward::asked::Asked;
use crate::forward::keyframe::KeyframeRequester;
use crate::forward::layer::LayerActivity;
use crate::forward::peers::Peers;
use crate::forward::svc::SvcPosition;
use relay_proto::datagram::{Header, Piece};
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS, NodeId};
use relay_proto::unit::MediaSeq;
use std::time::Instant;

#[derive(Debug, Default)]
struct TransitLayer {
    /// Whole packets and first pieces, second pieces.
    seen: [Seen; 2],
    keyframe: KeyframeRequester,
    asked: Asked,
}

/// A track that passes through.
#[derive(Debug)]
pub struct TransitTrack {
    parent: NodeId,
    /// Whoever was the parent before: what is under way from it counts.
    parent_before: Option<NodeId>,
    parent_awaited: bool,
    peers: Peers,
    activity: LayerActivity,
    layers: [TransitLayer; MAX_LAYERS],
    newest_clock: Option<MediaSeq>,
}

impl TransitTrack {
    /// A track nobody wants yet, that comes from `parent`.
    #[must_use]
    pub fn new(parent: NodeId) -> Self {
        Self {
            parent,
            parent_before: None,
            parent_awaited: false,
            peers: Peers::default(),
            activity: LayerActivity::default(),
            layers: Default::default(),
            newest_clock: None,
        }
    }

    /// From whom it comes now, and whether that one's first packet is awaited.
    pub fn set_parent(&mut self, parent: NodeId, awaited: bool) {
        if self.parent != parent {
            self.parent_before = Some(self.parent);
            self.parent = parent;
        }
        self.parent_awaited = awaited;
    }

    /// From whom it comes, and whom feedback goes to.
    #[must_use]
    pub const fn parent(&self) -> NodeId {
        self.parent
    }

    /// Sets what a node wants; see [`Peers::set`].
    pub fn set_peer(&mut self, node: NodeId, layers: LayerSet, goes_on: bool, now: Instant) {
        self.peers.set(node, layers, false, goes_on);
        self.retarget(now);
    }

    /// Whether nobody wants it any more.
    #[must_use]
    pub const fn is_unwanted(&self) -> bool {
        self.peers.is_empty()
    }

    /// Whether a node gets it from here.
    #[must_use]
    pub fn feeds(&self, node: NodeId) -> bool {
        self.peers.contains(node)
    }

    /// The nodes that get it from here.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.peers.nodes()
    }

    /// A packet of media has come: collects into `nodes` who gets it, nobody where it has passed before. None where it comes
    /// from somebody it was not asked of. Hot path.
    pub fn media(
        &mut self,
        now: Instant,
        from: NodeId,
        header: &Header,
        nodes: &mut Vec<NodeId>,
    ) -> Option<()> {
        nodes.clear();
        self.admit(from)?;
        let layer = self.layers.get_mut(usize::from(header.layer.0))?;
        let second = usize::from(header.piece == Piece::Second);
        if !layer.seen[second].note(header.seq) {
            return Some(());
        }
        if self.activity.touch(header.layer, now) {
            self.retarget(now);
        }
        if header.keyframe {
            self.layers[usize::from(header.layer.0)].keyframe.satisfied();
        }
        let packet = (header.layer, SvcPosition::default(), header.keyframe);
        self.peers.next_hops(packet, false, nodes);
        nodes.retain(|node| *node != from);
        Some(())
    }

    /// A sender report has come; as [`Self::media`].
    pub fn clock(&mut self, from: NodeId, header: &Header, nodes: &mut Vec<NodeId>) -> Option<()> {
        nodes.clear();
        self.admit(from)?;
        if self.newest_clock < Some(header.seq) {
            self.newest_clock = Some(header.seq);
            nodes.extend(self.peers.nodes().filter(|node| *node != from));
        }
        Some(())
    }

    const fn admit(&self, from: NodeId) -> Option<()> {
        let asked =
            self.parent.0 == from.0 || matches!(self.parent_before, Some(before) if before.0 == from.0);
        if asked { Some(()) } else { None }
    }

    /// Whether this is the first packet of a parent that was awaited. True once.
    pub fn poll_parent(&mut self, from: NodeId) -> bool {
        from == self.parent && std::mem::take(&mut self.parent_awaited)
    }

    /// Somebody behind needs a keyframe.
    pub fn want_keyframe(&mut self, layer: Layer, now: Instant) {
        let layer = self
            .activity
            .best(layer, now)
            .or_else(|| self.activity.latest(layer))
            .unwrap_or(Layer(0));
        self.layers[usize::from(layer.0)].keyframe.want();
    }

    /// The next layer whose keyframe is to be asked for now.
    pub fn poll_keyframe(&mut self, now: Instant) -> Option<Layer> {
        let mut layers = (0..).map(Layer).zip(&mut self.layers);
        layers.find_map(|(layer, state)| state.keyframe.poll(now).then_some(layer))
    }

    /// Keeps of `seqs`, which `by` wants, those to ask the parent for now; see [`Asked::retain_fresh`].
    pub fn ask(&mut self, layer: Layer, seqs: &mut Vec<MediaSeq>, by: NodeId, now: Instant) {
        match self.layers.get_mut(usize::from(layer.0)) {
            Some(state) => state.asked.retain_fresh(seqs, by, now),
            None => seqs.clear(),
        }
    }

    /// Looks again at who should have which layer.
    pub fn retarget(&mut self, now: Instant) {
        let mut in_use = LayerSet::NONE;
        let layers = &mut self.layers;
        self.peers.retarget(&self.activity, now, |layer, waits| {
            in_use = in_use.with(layer);
            if waits {
                layers[usize::from(layer.0)].keyframe.want();
            }
        });
        for (layer, state) in (0..).map(Layer).zip(&mut self.layers) {
            if !in_use.contains(layer) {
                state.keyframe.give_up();
            }
        }
    }
}
