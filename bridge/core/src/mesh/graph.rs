//! Who is how far from whom, by the rows of links: what distribution trees and detours are computed from. Pure: all nodes
//! that hold the same rows have the same graph, but for what each knows of its own links.

use super::rows::RowStore;
use relay_proto::id::NodeId;
use relay_proto::row::LinkFacts;
use relay_proto::unit::Micros;
use std::collections::{BTreeMap, BTreeSet};

/// What a link is taken for before its round trip is known: further than any real one, so that trees do not rush to it.
const UNMEASURED: Micros = Micros(500_000);
/// What a hop costs besides its round trip, in microseconds there and back: measured on five continents, a packet is 0.3 ms
/// later for each node it passes through. A way over further nodes must be shorter by this for each of them.
const FORWARDING: u64 = 1_000;
/// Least step in which round trips count.
const LEAST_STEP: u32 = 1_000;
/// What is added to a link of ours that misses echoes: it is taken where there is no other.
const SUSPECT: u64 = 1_000_000;

/// A length in the graph: microseconds of round trip, hops included.
pub(super) type Length = u64;

/// Nodes and the lengths of the links between them.
#[derive(Clone, Debug, Default)]
pub(super) struct LatencyGraph {
    links: BTreeMap<NodeId, BTreeMap<NodeId, Length>>,
    /// Who forwards for others.
    transit: BTreeSet<NodeId>,
}

impl LatencyGraph {
    /// The graph of those `alive` (us included) as rows tell. Cost: once over all link rows.
    pub(super) fn of(alive: &BTreeSet<NodeId>, rows: &RowStore) -> Self {
        let mut graph = Self::default();
        for node in alive {
            if rows.transit(*node).is_some() {
                graph.transit.insert(*node);
            }
            for said in rows.link_facts_of(*node).filter(|facts| facts.up) {
                let other = rows.link_facts(said.peer, *node);
                // As for who is alive: a link works while one end says so and the other does not deny it.
                if alive.contains(&said.peer) && other.is_none_or(|facts| facts.up) {
                    graph.connect(*node, said.peer, length(said, other));
                }
            }
        }
        graph
    }

    /// Sets the length of a link.
    pub(super) fn connect(&mut self, a: NodeId, b: NodeId, length: Length) {
        self.links.entry(a).or_default().insert(b, length);
        self.links.entry(b).or_default().insert(a, length);
    }

    /// Takes a link out.
    pub(super) fn disconnect(&mut self, a: NodeId, b: NodeId) {
        for (from, to) in [(a, b), (b, a)] {
            if let Some(links) = self.links.get_mut(&from) {
                links.remove(&to);
            }
        }
    }

    /// Takes a node out.
    pub(super) fn isolate(&mut self, node: NodeId) {
        for other in self
            .links
            .remove(&node)
            .into_iter()
            .flatten()
            .map(|(other, _)| other)
        {
            if let Some(links) = self.links.get_mut(&other) {
                links.remove(&node);
            }
        }
    }

    /// Lets a link count only where there is no other way.
    pub(super) fn distrust(&mut self, a: NodeId, b: NodeId) {
        if let Some(length) = self.length(a, b) {
            self.connect(a, b, length + SUSPECT);
        }
    }

    /// Says that a node forwards for others.
    #[cfg(test)]
    pub(super) fn set_transit(&mut self, node: NodeId) {
        self.transit.insert(node);
    }

    /// Whether a node forwards for others.
    pub(super) fn is_transit(&self, node: NodeId) -> bool {
        self.transit.contains(&node)
    }

    /// The length of the link of two nodes, if they have one.
    pub(super) fn length(&self, a: NodeId, b: NodeId) -> Option<Length> {
        self.links.get(&a)?.get(&b).copied()
    }

    /// The shortest ways from `origin`, over nodes that forward. Ties go to fewer hops, then to the smaller node before.
    /// Source: Dijkstra 1959. Cost: links × log nodes.
    pub(super) fn shortest(&self, origin: NodeId) -> ShortestPaths {
        let mut paths = ShortestPaths {
            origin,
            reached: BTreeMap::new(),
        };
        let mut edge = BTreeSet::from([(0, 0, origin, origin)]);
        while let Some((length, hops, node, before)) = edge.pop_first() {
            if paths.reached.contains_key(&node) {
                continue;
            }
            paths.reached.insert(node, (length, before));
            if node != origin && !self.is_transit(node) {
                continue;
            }
            for (next, further) in self.links.get(&node).into_iter().flatten() {
                if !paths.reached.contains_key(next) {
                    edge.insert((length + further, hops + 1, *next, node));
                }
            }
        }
        paths
    }
}

/// The shortest ways from one node.
#[derive(Clone, Debug)]
pub(super) struct ShortestPaths {
    origin: NodeId,
    /// Length, and the node before.
    reached: BTreeMap<NodeId, (Length, NodeId)>,
}

impl ShortestPaths {
    /// How far a node is, if there is a way.
    pub(super) fn length(&self, node: NodeId) -> Option<Length> {
        self.reached.get(&node).map(|(length, _)| *length)
    }

    /// The node before on the way.
    pub(super) fn before(&self, node: NodeId) -> Option<NodeId> {
        let (_, before) = self.reached.get(&node)?;
        (node != self.origin).then_some(*before)
    }

    /// The nodes from `node` back to the origin, both included; empty where there is no way.
    pub(super) fn back_from(&self, node: NodeId) -> Vec<NodeId> {
        let mut way = Vec::new();
        let mut at = self.reached.contains_key(&node).then_some(node);
        while let Some(node) = at {
            way.push(node);
            at = self.before(node);
        }
        way
    }
}

/// The length of a link of which one end, or both, say this. The larger counts, so that nobody draws media to itself by a short
/// round trip that the other end does not have; what one end says alone is further than any real link.
pub(super) fn length(one: &LinkFacts, other: Option<&LinkFacts>) -> Length {
    let larger = one.rtt.max(other.map_or(UNMEASURED, |other| other.rtt));
    let larger = if larger == Micros(0) { UNMEASURED } else { larger };
    quantised(larger) + FORWARDING
}

/// A round trip to the nearest step of a 64th, so that ways of one length are of one length. Jitter is kept away from trees
/// before: rows tell the least of many round trips, and only once it has moved (`gossip`). Steps of a sixteenth, always upwards,
/// took as much as trees may be late (measured on five continents: 1.15 times the link traffic of the best trees; 1.01 with
/// these and round trips that are told again once they have settled).
fn quantised(rtt: Micros) -> Length {
    let step = ((1_u32 << rtt.0.max(1).ilog2()) / 64).max(LEAST_STEP);
    u64::from(rtt.0.saturating_add(step / 2) / step).max(1) * u64::from(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trips_count_in_steps_of_a_64th_of_their_power_of_two() {
        let steps = [0, 1, 1_500, 20_000, 20_900, 100_000, 200_000].map(|rtt| quantised(Micros(rtt)));
        assert_eq!(steps, [1_000, 1_000, 2_000, 20_000, 21_000, 100_352, 200_704]);
    }

    #[test]
    fn nobody_makes_a_link_shorter_than_its_other_end_says_or_invents_one() {
        let said = |rtt| LinkFacts {
            peer: NodeId(9),
            up: true,
            rtt: Micros(rtt),
            loss: relay_proto::unit::PartsPerMillion(0),
        };
        assert_eq!(
            length(&said(1), Some(&said(200_000))),
            length(&said(200_000), Some(&said(1)))
        );
        assert!(length(&said(1), Some(&said(200_000))) > 200_000);
        assert!(length(&said(1), None) > 500_000);
        assert!(length(&said(0), Some(&said(0))) > 500_000);
        assert!(length(&said(0), Some(&said(20_000))) < 30_000);
    }

    #[test]
    fn a_way_over_others_is_taken_where_it_is_clearly_shorter_and_only_over_those_who_forward() {
        let [a, b, c] = [1, 2, 3].map(NodeId);
        let mut graph = LatencyGraph::default();
        for (from, to, length) in [(a, b, 100), (a, c, 40), (c, b, 30)] {
            graph.connect(from, to, length);
        }
        assert_eq!(graph.shortest(a).back_from(b), [b, a]);
        graph.set_transit(c);
        assert_eq!(graph.shortest(a).back_from(b), [b, c, a]);
        assert_eq!(graph.shortest(a).length(b), Some(70));
        graph.disconnect(a, c);
        assert_eq!(graph.shortest(a).before(b), Some(a));
        assert!(graph.shortest(NodeId(9)).back_from(b).is_empty());
    }
}
