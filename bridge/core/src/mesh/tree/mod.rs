//! The distribution tree of one origin over the nodes that host a conference: a light approximate shortest-path tree.
//!
//! Source: Khuller, Raghavachari and Young, *Balancing minimum spanning trees and shortest-path trees*, Algorithmica 14,
//! 1995. Their walk over the minimum spanning tree lets no node be further than `stretch` times its shortest way. Two
//! things of ours come after it: all together may be later by a quarter of what one may, and what may be cheaper within
//! these bounds is made so, one branch at a time: from that tree and from the shortest ways, because what is the cheapest change
//! can bar what is the cheapest tree. On five continents that comes within a few per cent of the cheapest trees there are (see
//! the tests).
//!
//! Pure and deterministic: ties go to the smaller node. What may not live here: who asks whom (that is `branch`).

mod draft;
#[cfg(test)]
mod tests;

use super::graph::{LatencyGraph, Length, ShortestPaths};
use draft::Draft;
use relay_proto::datagram::INITIAL_HOPS;
use relay_proto::id::NodeId;
use relay_proto::unit::PartsPerMillion;
use std::collections::{BTreeMap, BTreeSet};

/// How many times its shortest way a node may be from the origin, if nothing else is said: 1.2.
pub(super) const DEFAULT_STRETCH: PartsPerMillion = PartsPerMillion(1_200_000);

/// Most links from the origin to a node: it is the hop budget of datagrams.
const MAX_DEPTH: usize = INITIAL_HOPS as usize + 1;

/// Who gets the media of one origin from whom.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tree {
    parents: BTreeMap<NodeId, NodeId>,
}

impl Tree {
    /// The tree of `origin` over `hosts` (which may include it). Hosts that no way leads to are not in it. `paths` are those
    /// of the origin in `graph`. Cost: hosts² × log hosts, and twice more for each branch that is made cheaper.
    pub(super) fn over(
        graph: &LatencyGraph,
        paths: &ShortestPaths,
        origin: NodeId,
        hosts: &BTreeSet<NodeId>,
        stretch: PartsPerMillion,
    ) -> Self {
        let reached = hosts.iter().copied().filter(|host| paths.length(*host).is_some());
        let (within, leaves): (BTreeSet<_>, BTreeSet<_>) = reached
            .filter(|host| *host != origin)
            .partition(|host| graph.is_transit(*host) && graph.is_transit(origin));
        // Whoever does not speak of trees is sent to by the origin itself, or not at all.
        let linked = leaves
            .into_iter()
            .filter(|leaf| graph.length(origin, *leaf).is_some());
        let mut parents: BTreeMap<NodeId, NodeId> = linked.map(|leaf| (leaf, origin)).collect();
        if !within.is_empty() {
            let draft = Draft::spanning(graph, paths, origin, &within);
            parents.extend(draft.best(stretch).parents());
        }
        Self { parents }
    }

    /// From whom a node gets the media; none for the origin and for who is not in the tree.
    pub(super) fn parent(&self, node: NodeId) -> Option<NodeId> {
        self.parents.get(&node).copied()
    }

    /// Every node with its parent.
    #[cfg(test)]
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.parents.iter().map(|(node, parent)| (*node, *parent))
    }
}
