//! Whether trees lead where they should, by what shards were told.

use super::{NAMES, Run};
use relay_proto::id::{NodeId, TrackAlias};
use std::collections::{BTreeMap, BTreeSet};

impl Run {
    /// Whom a node sends a track on to, by what its shards were told.
    fn fed_by(&mut self, node: usize, origin: usize, alias: TrackAlias) -> Vec<usize> {
        let (origin_id, ids) = (self.net.id(origin), NAMES.map(NodeId::of));
        let shards = self.net.shards(node);
        let wanting: Vec<NodeId> = if node == origin {
            let of_track = shards.demands.keys().filter(|(_, track)| *track == alias);
            of_track.map(|(peer, _)| *peer).collect()
        } else {
            let passing = shards.passing().keys();
            let of_track = passing.filter(|(_, of, track, _)| (*of, *track) == (origin_id, alias));
            of_track.map(|(_, _, _, child)| *child).collect()
        };
        let place = |id: &NodeId| ids.iter().position(|known| known == id);
        wanting.iter().filter_map(place).collect()
    }

    pub(super) fn check_tree(
        &mut self,
        origin: usize,
        alias: TrackAlias,
        room: &'static str,
    ) -> Result<(), String> {
        let hosts: BTreeSet<usize> = self
            .running()
            .into_iter()
            .filter(|node| self.model.hosts(*node, room) && self.model.reachable(origin, *node))
            .collect();
        let mut fed = BTreeMap::from([(origin, origin)]);
        let mut edge = vec![origin];
        while let Some(parent) = edge.pop() {
            for child in self.fed_by(parent, origin, alias) {
                if !self.model.linked(parent, child) {
                    return Err(format!("{} feeds {} without a link", NAMES[parent], NAMES[child]));
                }
                if let Some(other) = fed.insert(child, parent) {
                    return Err(format!(
                        "{} gets track {} of {} from {} and {}",
                        NAMES[child], alias.0, NAMES[origin], NAMES[parent], NAMES[other]
                    ));
                }
                edge.push(child);
            }
        }
        for node in self.running() {
            let leads_on = fed
                .iter()
                .any(|(child, parent)| *parent == node && *child != node);
            let expected = hosts.contains(&node) || leads_on;
            if fed.contains_key(&node) != expected {
                return Err(format!(
                    "{} in the tree of track {} of {} in {room}: {}",
                    NAMES[node], alias.0, NAMES[origin], !expected
                ));
            }
        }
        Ok(())
    }

    /// Nothing passes through a node that no tree leads through.
    pub(super) fn check_passing(&mut self, node: usize) -> Result<(), String> {
        let tracks: BTreeSet<(NodeId, TrackAlias)> = self
            .net
            .shards(node)
            .passing()
            .keys()
            .map(|(_, origin, track, _)| (*origin, *track))
            .collect();
        let mut published = BTreeSet::new();
        for person in self.model.people.clone() {
            let Some(track) = person.track else { continue };
            let alias = self.net.shards(person.node).alias(&track.as_str().into());
            published.extend(alias.map(|alias| (self.net.id(person.node), alias)));
        }
        match tracks.iter().find(|track| !published.contains(track)) {
            Some(ghost) => Err(format!("{} sends on {ghost:?}, which is no more", NAMES[node])),
            None => Ok(()),
        }
    }
}
