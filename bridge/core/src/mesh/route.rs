//! Which nodes are alive, and the way to each.
//!
//! A node is alive while a path of working links leads to it. [`RouteTable`] knows the links that media can take; which of
//! them it takes from where to where is the business of trees ([`super::plan`]).

use super::rows::RowStore;
use relay_proto::id::NodeId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The next hop to one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The peer whose link leads there.
    pub via: NodeId,
    /// Largest datagram that link takes, in bytes.
    pub max_datagram_bytes: usize,
}

/// The next hop to every node that media can reach.
#[derive(Debug, Default)]
pub(super) struct RouteTable {
    routes: BTreeMap<NodeId, Route>,
}

impl RouteTable {
    /// Sets or removes the way to `node`; answers whether that changed anything.
    pub(super) fn set(&mut self, node: NodeId, route: Option<Route>) -> bool {
        match route {
            Some(route) => self.routes.insert(node, route) != Some(route),
            None => self.routes.remove(&node).is_some(),
        }
    }

    /// Every way, by destination.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, Route)> + '_ {
        self.routes.iter().map(|(node, route)| (*node, *route))
    }
}

/// All nodes but `us` that a path of working links leads to.
///
/// Our own links are `direct`; of others' links we know what their rows say, and a link works while one end says
/// so and the other does not deny it. A row is believed only of nodes that were reached before: what a dead node
/// said of its links does not count. Cost: once over all link rows.
pub(super) fn reachable(us: NodeId, direct: &BTreeSet<NodeId>, rows: &RowStore) -> BTreeSet<NodeId> {
    let mut reached = direct.clone();
    let mut edge: VecDeque<NodeId> = direct.iter().copied().collect();
    while let Some(node) = edge.pop_front() {
        for (peer, up) in rows.links_of(node) {
            let denied = rows.link_is_up(peer, node) == Some(false);
            if up && !denied && peer != us && reached.insert(peer) {
                edge.push_back(peer);
            }
        }
    }
    reached
}
