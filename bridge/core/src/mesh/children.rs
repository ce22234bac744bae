//! The nodes that get media through us: what they want, and which shard sends it on.

use super::MeshCore;
use super::branch::{Branch, BranchKey, Child};
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::TrackDemand;
use relay_proto::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use std::time::{Duration, Instant};
use tracing::{debug, warn};

/// A child that says nothing for this long wants nothing any more.
const LEASE: Duration = Duration::from_secs(20);
/// For how long a node that has asked us for what we asked of it is not asked again.
const AVOIDED: Duration = Duration::from_secs(2);

/// What a node says it wants of one origin's tracks.
pub(super) struct ChildDemand {
    pub(super) origin: NodeId,
    pub(super) room: RoomName,
    pub(super) epoch: Epoch,
    pub(super) goes_on: bool,
    pub(super) tracks: Vec<TrackDemand>,
}

/// How many wishes are held of all nodes behind us, and of the one that speaks.
struct Wishes {
    all: usize,
    of_child: usize,
}

impl MeshCore {
    /// A node wants something else of an origin's tracks through us.
    pub(super) fn on_transit_demand(&mut self, now: Instant, from: NodeId, demand: ChildDemand) {
        let ChildDemand {
            origin,
            room,
            epoch,
            goes_on,
            tracks,
        } = demand;
        if origin == self.us {
            return self.on_demand(from, &room, epoch, &tracks, goes_on);
        }
        self.watch_room(&room);
        let hosted = self.host_epoch(origin, &room);
        if hosted.is_some_and(|hosted| hosted > epoch) || origin == from || !self.alive.contains(&origin) {
            self.counters.demands_ignored += 1;
            debug!(%room, peer = %from, %origin, "demand through us for another epoch, or of nobody, ignored");
            return;
        }
        let key = (origin, room.clone());
        let known = self.branches.get(&key).map(|branch| branch.epoch);
        if let Some(known) = known.filter(|known| *known != epoch) {
            // The origin's own word counts; without it, the newer one. Nobody's tree ends because somebody invents an epoch.
            if hosted == Some(known) || (hosted != Some(epoch) && known > epoch) {
                self.counters.demands_ignored += 1;
                return;
            }
            self.fell_branch(&key);
        }
        let branch = self.branches.entry(key).or_insert_with(|| Branch::new(epoch));
        if branch.parent == Some(from) && tracks.iter().any(|demand| !demand.layers.is_empty()) {
            branch.avoided.insert(from, now + AVOIDED);
        }
        branch
            .children
            .entry(from)
            .or_insert_with(|| Child {
                until: now,
                wants: Default::default(),
            })
            .until = now + LEASE;
        let mut held = Wishes {
            all: self.branches.values().map(Branch::wishes).sum(),
            of_child: self.branches.values().map(|branch| branch.wishes_of(from)).sum(),
        };
        for demand in tracks {
            self.set_child_wish(&(origin, room.clone()), from, (demand, goes_on), &mut held);
        }
        self.forget_idle_children(&(origin, room.clone()));
        self.settle_branch(origin, &room);
    }

    /// `held`: how many wishes there are already.
    fn set_child_wish(
        &mut self,
        key: &BranchKey,
        child: NodeId,
        (TrackDemand { track, layers }, goes_on): (TrackDemand, bool),
        held: &mut Wishes,
    ) {
        let max = self.config.limits.max_transit_demands;
        let Some(known) = self
            .branches
            .get_mut(key)
            .and_then(|branch| branch.children.get_mut(&child))
        else {
            return;
        };
        let before = known.wants.get(&track).copied().unwrap_or_default();
        if before == layers {
            return;
        }
        // One node alone takes at most half, so that another one finds room.
        let full = held.all >= max || held.of_child >= max.div_ceil(2);
        if before.is_empty() && full {
            self.counters.transit_demands_refused += 1;
            if self.counters.transit_demands_refused == 1 {
                warn!(room = %key.1, peer = %child, "demand through us refused: limits.transit_demands is reached");
            }
            return;
        }
        if layers.is_empty() {
            known.wants.remove(&track);
        } else {
            known.wants.insert(track, layers);
            held.all += usize::from(before.is_empty());
            held.of_child += usize::from(before.is_empty());
        }
        let (placed, has_told) = self.place(key, track, goes_on);
        if let Some(shard) = placed.filter(|_| !has_told) {
            self.tell_child(shard, (key.0, track), (child, layers), goes_on);
        }
        self.route_remote(&key.1, key.0, track);
    }

    /// The shard that sends a track on to the children: moves it where it cannot stay, and tells the new one everything, which is
    /// said too. Where nobody is behind any more, the one that did; it has nothing to send on.
    fn place(&mut self, key: &BranchKey, track: TrackAlias, goes_on: bool) -> (Option<ShardId>, bool) {
        let (origin, room) = key;
        let origin = *origin;
        let Some(branch) = self.branches.get(key) else {
            return (None, false);
        };
        let at = branch.tracks.get(&track).and_then(|asked| asked.shard);
        let (children, parent) = (branch.children_of(track), branch.parent);
        let wanted = self.shard_sending_on(origin, room, track, at);
        let after = wanted.filter(|_| !children.is_empty());
        if at == after {
            return (at, false);
        }
        if let Some(branch) = self.branches.get_mut(key) {
            branch.tracks.entry(track).or_default().shard = after;
        }
        let Some(new) = after else {
            return (at, false);
        };
        if let Some(old) = at.filter(|old| self.is_running(*old)) {
            for (child, _) in &children {
                self.tell_child(old, (origin, track), (*child, LayerSet::NONE), false);
            }
        }
        for child in children {
            self.tell_child(new, (origin, track), child, goes_on);
        }
        if let Some(parent) = parent.filter(|parent| *parent != origin) {
            self.tell_parent_to(new, (origin, track), parent, false);
        }
        (after, true)
    }

    /// Tells a shard what a node behind us wants of a track; nothing withdraws it.
    fn tell_child(
        &mut self,
        shard: ShardId,
        (origin, track): (NodeId, TrackAlias),
        (child, layers): (NodeId, LayerSet),
        goes_on: bool,
    ) {
        let command = ShardCommand::SetChild {
            origin,
            track,
            child,
            layers,
            goes_on,
        };
        self.out.shard(shard, command);
    }

    /// Tells a shard from whom a track comes.
    pub(super) fn tell_parent_to(
        &mut self,
        shard: ShardId,
        (origin, track): (NodeId, TrackAlias),
        parent: NodeId,
        awaited: bool,
    ) {
        let command = ShardCommand::SetParent {
            origin,
            track,
            parent,
            awaited,
        };
        self.out.shard(shard, command);
    }

    /// Whether there is such a shard here.
    fn is_running(&self, shard: ShardId) -> bool {
        self.shards.contains_key(&shard) || self.passing_shard() == Some(shard)
    }

    /// The shard of tracks that only pass through, where there is one.
    pub(super) fn passing_shard(&self) -> Option<ShardId> {
        self.config.has_passing_shard.then_some(ShardId::PASSING)
    }

    /// Where a track is known, a shard that knows it; else the one of tracks that pass through, or where there is none any, the
    /// same for all tracks of an origin. `at` stays where it can.
    fn shard_sending_on(
        &self,
        origin: NodeId,
        room: &RoomName,
        track: TrackAlias,
        at: Option<ShardId>,
    ) -> Option<ShardId> {
        let parts = self.rooms.get(room).map(|room| &room.parts);
        let knows = |shard: &ShardId| {
            parts
                .and_then(|parts| parts.get(shard))
                .is_some_and(|part| part.wanted.contains_key(&(origin, track)))
        };
        let mut knowing = self.shards.keys().copied().filter(knows);
        if let Some(at) = at.filter(knows) {
            return Some(at);
        }
        knowing.next().or_else(|| self.passing_shard()).or_else(|| {
            let place = origin.0 as usize % self.shards.len().max(1);
            self.shards.keys().nth(place).copied()
        })
    }

    /// What is known of a track here has changed: whoever sends it on may be another shard now, or know of it no more. `anew`:
    /// that shard has forgotten the children.
    pub(super) fn replace(&mut self, key: &BranchKey, track: TrackAlias, anew: bool) {
        if let Some(asked) = self
            .branches
            .get_mut(key)
            .filter(|_| anew)
            .and_then(|branch| branch.tracks.get_mut(&track))
        {
            asked.shard = None;
        }
        self.place(key, track, true);
        self.route_remote(&key.1, key.0, track);
    }

    /// A shard has a conference no more (or, without one named, is lost): who sent things on from there does it elsewhere.
    pub(super) fn replace_all(&mut self, room: Option<&RoomName>, lost: ShardId) {
        let branches = self
            .branches
            .iter()
            .filter(|((_, other), _)| room.is_none_or(|room| other == room));
        let tracks: Vec<(BranchKey, TrackAlias)> = branches
            .flat_map(|(key, branch)| {
                let placed = branch
                    .tracks
                    .iter()
                    .filter(|(_, asked)| asked.shard == Some(lost));
                placed.map(|(track, _)| (key.clone(), *track))
            })
            .collect();
        for (key, track) in tracks {
            self.replace(&key, track, true);
        }
    }

    /// Shards that know a track are told from whom it comes.
    pub(super) fn tell_parent(&mut self, key: &BranchKey, track: TrackAlias, parent: NodeId, awaited: bool) {
        let (origin, room) = key;
        let parts = self.rooms.get(room).into_iter().flat_map(|room| &room.parts);
        let knowing = parts.filter(|(_, part)| part.wanted.contains_key(&(*origin, track)));
        let mut shards: Vec<ShardId> = knowing.map(|(shard, _)| *shard).collect();
        let placed = self
            .branches
            .get(key)
            .and_then(|branch| branch.tracks.get(&track)?.shard);
        shards.extend(placed.filter(|placed| !shards.contains(placed)));
        for shard in shards {
            self.tell_parent_to(shard, (*origin, track), parent, awaited);
        }
    }

    /// A node is behind us no more, of any tree.
    pub(super) fn drop_child(&mut self, child: NodeId) {
        let keys: Vec<BranchKey> = self
            .branches
            .iter()
            .filter(|(_, branch)| branch.children.contains_key(&child))
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            self.drop_child_of(&key, child);
            self.settle_branch(key.0, &key.1);
        }
    }

    fn drop_child_of(&mut self, key: &BranchKey, child: NodeId) {
        let gone = self
            .branches
            .get_mut(key)
            .and_then(|branch| branch.children.remove(&child));
        for track in gone.into_iter().flat_map(|gone| gone.wants.into_keys()) {
            let placed = self
                .branches
                .get(key)
                .and_then(|branch| branch.tracks.get(&track)?.shard);
            if let Some(shard) = placed {
                self.tell_child(shard, (key.0, track), (child, LayerSet::NONE), false);
            }
            self.place(key, track, true);
            self.route_remote(&key.1, key.0, track);
        }
    }

    fn forget_idle_children(&mut self, key: &BranchKey) {
        if let Some(branch) = self.branches.get_mut(key) {
            branch.children.retain(|_, child| !child.wants.is_empty());
        }
    }

    /// Forgets children that have said nothing for too long.
    pub(super) fn expire_children(&mut self, now: Instant) {
        let silent: Vec<(BranchKey, NodeId)> = self
            .branches
            .iter()
            .flat_map(|(key, branch)| {
                let silent = branch.children.iter().filter(|(_, child)| child.until <= now);
                silent.map(|(child, _)| (key.clone(), *child))
            })
            .collect();
        for (key, child) in silent {
            debug!(room = %key.1, peer = %child, "a node behind us has fallen silent");
            self.drop_child_of(&key, child);
            self.settle_branch(key.0, &key.1);
        }
    }

    /// A track has ended at its origin.
    pub(super) fn forget_branch_track(&mut self, key: &BranchKey, track: TrackAlias) {
        let Some(branch) = self.branches.get_mut(key) else {
            return;
        };
        let children = branch.children_of(track);
        for child in branch.children.values_mut() {
            child.wants.remove(&track);
        }
        let parent = branch.parent.filter(|parent| *parent != key.0);
        let asked = branch.tracks.remove(&track);
        // The origin knows; others who hold it for us alone do not.
        let told = asked.as_ref().filter(|asked| !asked.told.is_empty());
        let told = told
            .and(parent)
            .into_iter()
            .chain(asked.as_ref().and_then(|asked| asked.before));
        let told: Vec<NodeId> = told.filter(|node| *node != key.0).collect();
        branch.children.retain(|_, child| !child.wants.is_empty());
        if let Some(shard) = asked.and_then(|asked| asked.shard) {
            for (child, _) in children {
                self.tell_child(shard, (key.0, track), (child, LayerSet::NONE), false);
            }
        }
        for node in told {
            self.release(key, node, track);
        }
    }

    /// The origin has ended its part in a conference, or begun a new one: nothing of the tree counts any more.
    pub(super) fn fell_branch(&mut self, key: &BranchKey) {
        let tracks = self.branches.get(key).map(Branch::known_tracks);
        for track in tracks.into_iter().flatten() {
            let passing = self
                .branches
                .get(key)
                .and_then(|branch| branch.tracks.get(&track)?.shard);
            self.forget_branch_track(key, track);
            if passing.is_some() {
                self.route_remote(&key.1, key.0, track);
            }
        }
        self.branches.remove(key);
    }
}
