//! The plan of all trees: the graph of links, and what follows from it. Thrown away whenever rows change and made anew for
//! who asks.

use super::MeshCore;
use super::branch::BranchKey;
use super::graph::{LatencyGraph, ShortestPaths};
use super::tree::Tree;
use super::view::LinkState;
use relay_proto::id::{NodeId, RoomName};
use std::collections::{BTreeMap, BTreeSet};

/// What is known of the ways through the mesh.
#[derive(Debug, Default)]
pub(super) struct Plan {
    graph: Option<LatencyGraph>,
    paths: BTreeMap<NodeId, ShortestPaths>,
    /// Our parent in each tree; none where we are not in it.
    parents: BTreeMap<BranchKey, Option<NodeId>>,
    /// The same by origin and hosts: most conferences have the same few.
    by_hosts: BTreeMap<(NodeId, BTreeSet<NodeId>), Option<NodeId>>,
    /// Which peers of ours have no link to a node, and hear of its rows from us.
    strangers: BTreeMap<NodeId, Vec<NodeId>>,
    /// Lengths have changed since the trees were looked at.
    pub(super) stale: bool,
    /// A link of ours has been measured for the first time since then: trees need not wait for their turn.
    pub(super) measured: bool,
}

impl Plan {
    /// Links have changed.
    pub(super) fn forget(&mut self) {
        *self = Self {
            stale: true,
            measured: self.measured,
            ..Self::default()
        };
    }

    /// Who hosts a conference has changed.
    pub(super) fn forget_room(&mut self, room: &RoomName) {
        self.parents.retain(|(_, other), _| other != room);
    }
}

impl MeshCore {
    fn graph(&mut self) -> &LatencyGraph {
        if self.plan.graph.is_none() {
            let everybody: BTreeSet<NodeId> = self.alive.iter().copied().chain([self.us]).collect();
            let mut graph = LatencyGraph::of(&everybody, &self.rows);
            for (node, peer) in &self.peers {
                match peer.state.kind() {
                    LinkState::Up => {}
                    LinkState::Suspect => graph.distrust(self.us, *node),
                    LinkState::Connecting | LinkState::Down => graph.disconnect(self.us, *node),
                }
            }
            self.plan.graph = Some(graph);
        }
        self.plan
            .graph
            .as_ref()
            .expect("invariant: it was made in the lines above")
    }

    /// Which peers of ours have no link to `owner`: in a mesh where everybody is linked, nobody.
    pub(super) fn strangers_to(&mut self, owner: NodeId) -> &[NodeId] {
        let (peers, rows) = (&self.peers, &self.rows);
        self.plan.strangers.entry(owner).or_insert_with(|| {
            let peers = peers.keys().copied();
            peers
                .filter(|peer| *peer != owner && !rows.are_linked(*peer, owner))
                .collect()
        })
    }

    fn paths(&mut self, from: NodeId) -> &ShortestPaths {
        if !self.plan.paths.contains_key(&from) {
            let paths = self.graph().shortest(from);
            self.plan.paths.insert(from, paths);
        }
        &self.plan.paths[&from]
    }

    /// The neighbour next on the shortest way to a node.
    pub(super) fn next_hop(&mut self, to: NodeId) -> Option<NodeId> {
        let us = self.us;
        self.paths(to).before(us)
    }

    /// The same, if there is a link to it.
    pub(super) fn linked_parent_for(&mut self, origin: NodeId, room: &RoomName) -> Option<NodeId> {
        let parent = self.parent_for(origin, room);
        parent.filter(|parent| self.link_of(*parent).is_some())
    }

    /// From whom the media of `origin` in a conference is to come, as the tree or need says.
    pub(super) fn parent_for(&mut self, origin: NodeId, room: &RoomName) -> Option<NodeId> {
        let key = (origin, room.clone());
        let us = self.us;
        let planned = self.planned_parent(&key);
        let not_parents = self
            .branches
            .get(&key)
            .map(|branch| branch.not_parents(self.looked_at));
        let not_parents = not_parents.unwrap_or_default();
        let parent = planned.or_else(|| self.next_hop(origin));
        if parent.is_none_or(|parent| !not_parents.contains(&parent)) {
            return parent;
        }
        let mut graph = self.graph().clone();
        for node in not_parents {
            graph.disconnect(us, node);
        }
        let other = graph.shortest(origin).before(us);
        let answers = |node: &NodeId| {
            let peer = self.peers.get(node);
            peer.is_some_and(|peer| peer.state.kind() == LinkState::Up)
        };
        other
            .filter(answers)
            .or_else(|| self.child_in_need(&key))
            .or(other)
    }

    /// A child to ask where nobody else answers: the nearest that has a way to the origin without us. It hears by that that we
    /// have lost ours, and takes its own.
    fn child_in_need(&mut self, key: &BranchKey) -> Option<NodeId> {
        let us = self.us;
        let branch = self.branches.get(key)?;
        // Whoever has just asked us for what we asked of it has no other way.
        let lately = |child: &NodeId| {
            branch
                .avoided
                .get(child)
                .is_some_and(|until| *until > self.looked_at)
        };
        let children: Vec<NodeId> = branch
            .children
            .keys()
            .copied()
            .filter(|child| !lately(child))
            .collect();
        let graph = self.graph();
        let mut without_us = graph.clone();
        without_us.isolate(us);
        let paths = without_us.shortest(key.0);
        let way_over = |child: &NodeId| Some(graph.length(us, *child)? + paths.length(*child)?);
        children
            .into_iter()
            .filter(|child| graph.is_transit(*child))
            .filter_map(|child| Some((way_over(&child)?, child)))
            .min()
            .map(|(_, child)| child)
    }

    fn planned_parent(&mut self, key: &BranchKey) -> Option<NodeId> {
        if let Some(parent) = self.plan.parents.get(key) {
            return *parent;
        }
        let (origin, room) = key;
        let hosts = self.living_hosts(room);
        let same = (*origin, hosts);
        let known = self.plan.by_hosts.get(&same).copied();
        let parent = known.unwrap_or_else(|| self.plant(*origin, &same.1));
        self.plan.by_hosts.insert(same, parent);
        self.plan.parents.insert(key.clone(), parent);
        parent
    }

    /// Our parent in the tree of an origin over some hosts.
    fn plant(&mut self, origin: NodeId, hosts: &BTreeSet<NodeId>) -> Option<NodeId> {
        let said = self.rows.transit(origin).map(|facts| facts.stretch);
        let stretch = said.unwrap_or(self.config.stretch);
        let paths = self.paths(origin).clone();
        let tree = Tree::over(self.graph(), &paths, origin, hosts, stretch);
        tree.parent(self.us)
    }

    /// Links have changed: looks at every tree we have a part in.
    pub(super) fn replant(&mut self) {
        (self.plan.stale, self.plan.measured) = (false, false);
        let keys: Vec<BranchKey> = self.branches.keys().cloned().collect();
        for (origin, room) in keys {
            let parent = self.linked_parent_for(origin, &room);
            let branch = self.branches.get(&(origin, room.clone()));
            if branch.is_some_and(|branch| branch.parent != parent) {
                self.settle_branch(origin, &room);
            }
        }
        self.review_detours();
    }

    /// The nodes on the shortest way from us to a node, us first; empty where there is none.
    pub(super) fn way_from(&mut self, node: NodeId) -> Vec<NodeId> {
        let us = self.us;
        self.paths(node).back_from(us)
    }

    /// Whether all links of a way work, by what is known here.
    pub(super) fn is_open(&mut self, way: &[NodeId]) -> bool {
        let graph = self.graph();
        way.windows(2)
            .all(|pair| graph.length(pair[0], pair[1]).is_some())
    }

    /// Who hosts a conference has changed.
    pub(super) fn replant_room(&mut self, room: &RoomName) {
        self.plan.forget_room(room);
        let keys = self.branches.keys().filter(|(_, other)| other == room);
        let origins: Vec<NodeId> = keys.map(|(origin, _)| *origin).collect();
        for origin in origins {
            self.settle_branch(origin, room);
        }
    }
}
