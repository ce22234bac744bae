//! The nodes a track's media goes to next, and which packets each of them gets. The same for a track of this shard's own
//! clients, one of another node that goes on from here, and one that this node cannot even read.

use super::layer::{Admission, LayerActivity, LayerChoice};
use super::svc::SvcPosition;
use relay_proto::id::{Layer, LayerSet, MAX_LAYERS, NodeId};
use std::time::Instant;

/// A node that wants layers of a track. Each wanted layer is a choice of its own, made as a viewer's is.
#[derive(Debug)]
struct PeerDemand {
    node: NodeId,
    wanted: [Option<LayerChoice>; MAX_LAYERS],
    /// Of these it has what came before, from elsewhere: they go on with any packet.
    going_on: LayerSet,
}

/// The nodes that want something of one track.
#[derive(Debug, Default)]
pub struct Peers {
    list: Vec<PeerDemand>,
}

impl Peers {
    /// Sets what a node wants; choices that stay keep the layer they have. `nested`: layers share a stream. `goes_on`: it has
    /// what came before of all layers that are new. [`Self::retarget`] follows.
    pub fn set(&mut self, node: NodeId, layers: LayerSet, nested: bool, goes_on: bool) {
        let at = self.list.iter().position(|peer| peer.node == node);
        if layers.is_empty() {
            if let Some(at) = at {
                self.list.swap_remove(at);
            }
            return;
        }
        let at = at.unwrap_or_else(|| {
            self.list.push(PeerDemand {
                node,
                wanted: [None; MAX_LAYERS],
                going_on: LayerSet::NONE,
            });
            self.list.len() - 1
        });
        let before = self.list[at].wanted;
        let of_layers = || (0..).map(Layer).zip(before);
        // A choice in place of another goes on with the layer that one had, until its own has a keyframe.
        let mut replaced = of_layers()
            .filter(|(layer, _)| !layers.contains(*layer))
            .filter_map(|(_, choice)| choice);
        for (layer, choice) in of_layers() {
            let is_new = choice.is_none() && layers.contains(layer);
            let after = layers.contains(layer).then(|| {
                let mut choice = choice
                    .or_else(|| replaced.next())
                    .unwrap_or_else(|| LayerChoice::new(layer).among(nested));
                choice.set_wish(true, layer);
                choice
            });
            let peer = &mut self.list[at];
            peer.wanted[usize::from(layer.0)] = after;
            if is_new && goes_on {
                peer.going_on = peer.going_on.with(layer);
            }
        }
    }

    /// Looks again at which layer each choice should have; calls `in_use` with every layer that one has or waits for, and
    /// whether it waits for a keyframe of it.
    pub fn retarget(&mut self, activity: &LayerActivity, now: Instant, mut in_use: impl FnMut(Layer, bool)) {
        for peer in &mut self.list {
            for (layer, choice) in (0..).map(Layer).zip(&mut peer.wanted) {
                let Some(choice) = choice else {
                    continue;
                };
                let mut awaited = choice.retarget(activity, now);
                if peer.going_on.contains(layer) && choice.take_up() {
                    peer.going_on = peer.going_on.without(layer);
                    awaited = None;
                }
                if let Some(layer) = awaited {
                    in_use(layer, true);
                }
                if let Some(layer) = choice.current() {
                    in_use(layer, false);
                }
            }
        }
    }

    /// Lets all start again at a keyframe.
    pub fn restart(&mut self) {
        for choice in self
            .list
            .iter_mut()
            .flat_map(|peer| peer.wanted.iter_mut().flatten())
        {
            choice.reset();
        }
    }

    /// Collects into `nodes` who gets a packet of `layer`, each node once; all of a scalable stream (`nested`) goes to whoever
    /// wants any of it. Hot path: no allocation once `nodes` is as long as the longest list.
    pub fn next_hops(
        &mut self,
        (layer, position, keyframe): (Layer, SvcPosition, bool),
        nested: bool,
        nodes: &mut Vec<NodeId>,
    ) {
        nodes.clear();
        for peer in &mut self.list {
            let mut wanted = false;
            for choice in peer.wanted.iter_mut().flatten() {
                wanted |= if nested {
                    choice.admit_nested(position, keyframe);
                    true
                } else {
                    choice.admit(layer, keyframe) != Admission::Drop
                };
            }
            if wanted {
                nodes.push(peer.node);
            }
        }
    }

    /// Every node that wants something.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.list.iter().map(|peer| peer.node)
    }

    /// Whether a node wants something.
    #[must_use]
    pub fn contains(&self, node: NodeId) -> bool {
        self.nodes().any(|other| other == node)
    }

    /// Whether nobody wants anything.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Every choice of every node.
    pub fn choices(&self) -> impl Iterator<Item = &LayerChoice> {
        self.list.iter().flat_map(|peer| peer.wanted.iter().flatten())
    }
}
