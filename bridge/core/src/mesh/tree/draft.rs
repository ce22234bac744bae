//! A tree while it is made: nodes by their place in a list, so that every step is plain arithmetic.

use super::{LatencyGraph, Length, MAX_DEPTH, ShortestPaths};
use relay_proto::id::NodeId;
use relay_proto::unit::PartsPerMillion;
use std::collections::{BTreeMap, BTreeSet};

const MILLION: u64 = 1_000_000;

/// How late a node of the tree is, and what hangs on it.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Length of the way from the origin in the tree.
    late: Length,
    /// Links of that way.
    depth: usize,
    /// Most links from here down to a leaf.
    height: usize,
    /// Hosts at and below it.
    hosts: u64,
    /// By how much everything below may still be later.
    slack: Length,
}

/// A tree that spans some nodes of a graph.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    /// Ascending.
    nodes: Vec<NodeId>,
    root: usize,
    is_host: Vec<bool>,
    /// Length of each link; none where there is none.
    links: Vec<Vec<Option<Length>>>,
    /// Length of each node's shortest way, and the node before on it.
    shortest: Vec<(Length, usize)>,
    parents: Vec<usize>,
}

impl Draft {
    /// The minimum spanning tree over `hosts` and the nodes on their shortest ways. Source: Prim 1957.
    pub(super) fn spanning(
        graph: &LatencyGraph,
        paths: &ShortestPaths,
        origin: NodeId,
        hosts: &BTreeSet<NodeId>,
    ) -> Self {
        let ways = hosts.iter().flat_map(|host| paths.back_from(*host));
        let nodes: Vec<NodeId> = ways
            .chain([origin])
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect();
        let place: BTreeMap<NodeId, usize> = nodes.iter().enumerate().map(|(at, node)| (*node, at)).collect();
        let shortest = nodes.iter().map(|node| {
            let before = paths.before(*node).and_then(|before| place.get(&before).copied());
            (
                paths.length(*node).unwrap_or_default(),
                before.unwrap_or_else(|| place[&origin]),
            )
        });
        let links = nodes
            .iter()
            .map(|from| nodes.iter().map(|to| graph.length(*from, *to)).collect());
        let mut draft = Self {
            root: place[&origin],
            is_host: nodes.iter().map(|node| hosts.contains(node)).collect(),
            links: links.collect(),
            shortest: shortest.collect(),
            parents: vec![place[&origin]; nodes.len()],
            nodes,
        };
        draft.span();
        draft
    }

    fn span(&mut self) {
        let mut outside: BTreeSet<usize> = (0..self.nodes.len()).filter(|at| *at != self.root).collect();
        let mut nearest: Vec<Option<(Length, usize)>> = vec![None; self.nodes.len()];
        let mut newest = self.root;
        while !outside.is_empty() {
            for at in &outside {
                if let Some(length) = self.links[newest][*at] {
                    let known = nearest[*at].get_or_insert((length, newest));
                    *known = (*known).min((length, newest));
                }
            }
            let next = outside
                .iter()
                .filter_map(|at| nearest[*at].map(|(length, parent)| (length, *at, parent)))
                .min();
            let Some((_, at, parent)) = next else {
                // The shortest ways of all lie within, so something is always near.
                debug_assert!(false, "invariant: shortest ways connect the nodes of a draft");
                return;
            };
            self.parents[at] = parent;
            outside.remove(&at);
            newest = at;
        }
    }

    fn children(&self) -> Vec<Vec<usize>> {
        let mut children = vec![Vec::new(); self.nodes.len()];
        for (at, parent) in self.parents.iter().enumerate() {
            if at != self.root {
                children[*parent].push(at);
            }
        }
        children
    }

    fn allowed(&self, at: usize, stretch: PartsPerMillion) -> Length {
        self.shortest[at].0 * u64::from(stretch.0) / MILLION
    }

    /// The cheaper of two drafts within the bounds: what this one becomes, and what the shortest ways do; of two that cost the
    /// same, that which is earlier.
    pub(super) fn best(mut self, stretch: PartsPerMillion) -> Self {
        let mut direct = self.clone();
        direct.parents = self.shortest.iter().map(|(_, before)| *before).collect();
        self.bound(stretch);
        for draft in [&mut self, &mut direct] {
            draft.cheapen(stretch);
        }
        let judge = |draft: &Self| {
            let places = draft.places(stretch);
            (draft.cost(&places), draft.together(&places))
        };
        if judge(&direct) < judge(&self) {
            direct
        } else {
            self
        }
    }

    /// Length of all its links together; those to who has no host below count as none.
    fn cost(&self, places: &[Place]) -> Length {
        (0..self.nodes.len())
            .filter(|at| *at != self.root && places[*at].hosts > 0)
            .filter_map(|at| self.links[self.parents[at]][at])
            .sum()
    }

    /// Lets no node be later than `stretch` times its shortest way, nor all hosts together by more than a quarter of that,
    /// nor any deeper than datagrams get.
    fn bound(&mut self, stretch: PartsPerMillion) {
        self.walk(stretch);
        let most: Length = self.most_together(stretch);
        loop {
            let places = self.places(stretch);
            let too_deep = |at: &usize| places[*at].depth > MAX_DEPTH;
            let together = self.together(&places);
            let on_detour = |at: &usize| places[*at].late > self.shortest[*at].0 || too_deep(at);
            let worst = (0..self.nodes.len())
                .filter(|at| self.is_host[*at] && on_detour(at))
                .max_by_key(|at| (too_deep(at), places[*at].late - self.shortest[*at].0, *at));
            match worst {
                Some(at) if too_deep(&at) || together > most => {
                    if !self.attach(at) {
                        return;
                    }
                }
                _ => return,
            }
        }
    }

    /// The walk of Khuller, Raghavachari and Young: down the spanning tree and up again, shortening what is reached by the
    /// way, and giving a node that is still too late its shortest way.
    fn walk(&mut self, stretch: PartsPerMillion) {
        let children = self.children();
        let mut late: Vec<Length> = vec![Length::MAX; self.nodes.len()];
        late[self.root] = 0;
        // (node, its next child)
        let mut stack = vec![(self.root, 0)];
        while let Some((at, next)) = stack.last_mut() {
            let (at, child) = (*at, children[*at].get(*next).copied());
            *next += 1;
            if let Some(child) = child {
                self.relax(&mut late, at, child);
                if late[child] > self.allowed(child, stretch) {
                    self.take_shortest(&mut late, child);
                }
                stack.push((child, 0));
            } else {
                stack.pop();
                if let Some((parent, _)) = stack.last() {
                    self.relax(&mut late, at, *parent);
                }
            }
        }
    }

    fn relax(&mut self, late: &mut [Length], from: usize, to: usize) {
        if let Some(length) = self.links[from][to]
            && late[from].saturating_add(length) < late[to]
        {
            late[to] = late[from] + length;
            self.parents[to] = from;
        }
    }

    fn take_shortest(&mut self, late: &mut [Length], node: usize) {
        let mut at = node;
        while at != self.root && late[at] > self.shortest[at].0 {
            let (length, before) = self.shortest[at];
            late[at] = length;
            self.parents[at] = before;
            at = before;
        }
    }

    /// Gives a node its shortest way; false where it has it.
    fn attach(&mut self, node: usize) -> bool {
        let (mut at, mut changed) = (node, false);
        while at != self.root {
            let before = self.shortest[at].1;
            changed |= std::mem::replace(&mut self.parents[at], before) != before;
            at = before;
        }
        changed
    }

    /// Takes up, again and again, the change of one parent that makes the tree cheapest and keeps its bounds.
    fn cheapen(&mut self, stretch: PartsPerMillion) {
        let most = self.most_together(stretch);
        // Each step makes the tree cheaper, so it ends; the bound is for lengths from hostile rows.
        for _ in 0..self.nodes.len() * 4 {
            let Some((at, parent)) = self.best_change(stretch, most) else {
                return;
            };
            self.parents[at] = parent;
        }
    }

    fn best_change(&self, stretch: PartsPerMillion, most: Length) -> Option<(usize, usize)> {
        let places = self.places(stretch);
        let spare = most.saturating_sub(self.together(&places));
        let mut best: Option<(Length, std::cmp::Reverse<(usize, usize)>)> = None;
        for at in (0..self.nodes.len()).filter(|at| *at != self.root && places[*at].hosts > 0) {
            for parent in (0..self.nodes.len()).filter(|parent| *parent != at) {
                let Some(length) = self.links[parent][at] else {
                    continue;
                };
                let later = (places[parent].late + length).saturating_sub(places[at].late);
                let fits = later <= places[at].slack
                    && later.saturating_mul(places[at].hosts) <= spare
                    && places[parent].depth + 1 + places[at].height <= MAX_DEPTH;
                if !fits || self.is_below(parent, at) {
                    continue;
                }
                let gain = self.gain(&places, at, parent);
                let change = gain.map(|gain| (gain, std::cmp::Reverse((at, parent))));
                if change.is_some_and(|change| best.is_none_or(|best| best < change)) {
                    best = change;
                }
            }
        }
        best.map(|(_, std::cmp::Reverse(change))| change)
    }

    /// By how much the tree is cheaper with another parent for a node, if it is; links to who has no host below count as none.
    fn gain(&self, places: &[Place], at: usize, parent: usize) -> Option<Length> {
        let link = |at: usize| self.links[self.parents[at]][at].unwrap_or(Length::MAX);
        let mut saved = link(at);
        let mut left = self.parents[at];
        let serves_only =
            |node: usize| node != self.root && !self.is_host[node] && places[node].hosts == places[at].hosts;
        while serves_only(left) && !self.is_below(parent, left) {
            saved = saved.saturating_add(link(left));
            left = self.parents[left];
        }
        let mut added = self.links[parent][at]?;
        let mut taken = parent;
        while taken != self.root && places[taken].hosts == 0 {
            added = added.saturating_add(link(taken));
            taken = self.parents[taken];
        }
        saved.checked_sub(added).filter(|gain| *gain > 0)
    }

    fn is_below(&self, node: usize, above: usize) -> bool {
        let mut at = node;
        while at != self.root {
            if at == above {
                return true;
            }
            at = self.parents[at];
        }
        above == self.root
    }

    fn most_together(&self, stretch: PartsPerMillion) -> Length {
        let least: Length = self.hosts().map(|at| self.shortest[at].0).sum();
        least + least * u64::from(stretch.0.saturating_sub(MILLION as u32) / 4) / MILLION
    }

    fn hosts(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.nodes.len()).filter(|at| self.is_host[*at])
    }

    fn together(&self, places: &[Place]) -> Length {
        self.hosts().map(|at| places[at].late).sum()
    }

    fn places(&self, stretch: PartsPerMillion) -> Vec<Place> {
        let children = self.children();
        let mut places = vec![Place::default(); self.nodes.len()];
        let mut order = vec![self.root];
        let mut next = 0;
        while let Some(at) = order.get(next).copied() {
            next += 1;
            for child in &children[at] {
                let length = self.links[at][*child].unwrap_or_default();
                places[*child].late = places[at].late + length;
                places[*child].depth = places[at].depth + 1;
                order.push(*child);
            }
        }
        for at in order.into_iter().rev() {
            let slack = self.allowed(at, stretch).saturating_sub(places[at].late);
            let below = children[at].iter().map(|child| places[*child]);
            let (mut height, mut hosts, mut least) = (0, u64::from(self.is_host[at]), slack);
            for child in below {
                height = height.max(child.height + 1);
                hosts += child.hosts;
                least = least.min(child.slack);
            }
            let place = &mut places[at];
            (place.height, place.hosts, place.slack) = (height, hosts, least);
        }
        places
    }

    /// Every node and its parent; who hosts nothing and has nobody below is left out.
    pub(super) fn parents(&self) -> Vec<(NodeId, NodeId)> {
        let places = self.places(PartsPerMillion(0));
        (0..self.nodes.len())
            .filter(|at| *at != self.root && places[*at].hosts > 0)
            .map(|at| (self.nodes[at], self.nodes[self.parents[at]]))
            .collect()
    }
}
