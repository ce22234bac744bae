//! Demand: which layers of whose tracks are wanted over a link. A viewer counts upstream only through this.
//!
//! What our viewers and the nodes behind us want together is asked of one neighbour: our parent in the tree of the origin.
//! Where the parent changes, the new one is asked first, and the old one until media comes from the new one.

use super::MeshCore;
use super::branch::{Branch, BranchKey};
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::{ControlMessage, TrackDemand};
use relay_proto::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use relay_proto::limit::MAX_DEMANDS;
use relay_proto::version::Features;
use std::collections::BTreeSet;
use std::time::Duration;
use tracing::debug;

/// How long the parent before is still asked where no media comes from the new one: the track may be silent.
const OVERLAP: Duration = Duration::from_secs(5);

impl MeshCore {
    /// A shard's viewers want something else of a track that is published elsewhere.
    pub(super) fn on_demand_changed(
        &mut self,
        shard: ShardId,
        name: &RoomName,
        (origin, track): (NodeId, TrackAlias),
        layers: LayerSet,
    ) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let part = room.parts.get_mut(&shard);
        let Some(wanted) = part.and_then(|part| part.wanted.get_mut(&(origin, track))) else {
            // The track has gone while the shard changed its mind.
            self.counters.facts_ignored += 1;
            return;
        };
        *wanted = layers;
        if origin == self.us {
            self.tell_sibling(name, shard, track, layers);
        } else {
            self.route_remote(name, origin, track);
            self.settle_track(origin, name, track);
        }
    }

    /// What is wanted of a track here has changed: asks the parent.
    pub(super) fn settle_track(&mut self, origin: NodeId, room: &RoomName, track: TrackAlias) {
        let key = (origin, room.clone());
        self.grow_branch(&key);
        let parent = self.branches.get(&key).and_then(|branch| branch.parent);
        if parent.is_some() {
            self.ask(&key, &BTreeSet::from([track]), &BTreeSet::new());
            self.forget_idle_branch(&key);
        } else {
            self.settle_branch(origin, room);
        }
    }

    /// Makes a branch where this node hosts the conference and hears the origin; one of an older epoch of it is over.
    fn grow_branch(&mut self, key: &BranchKey) {
        let origin = self.rooms.get(&key.1).and_then(|room| room.origins.get(&key.0));
        let Some(epoch) = origin.map(|origin| origin.epoch) else {
            return;
        };
        if self.branches.get(key).is_some_and(|branch| branch.epoch < epoch) {
            self.fell_branch(key);
        }
        self.branches
            .entry(key.clone())
            .or_insert_with(|| Branch::new(epoch));
    }

    /// Looks again whom everything of one tree is to be asked of, and asks.
    pub(super) fn settle_branch(&mut self, origin: NodeId, room: &RoomName) {
        let key = (origin, room.clone());
        if !self.branches.contains_key(&key) {
            return;
        }
        let parent = self.linked_parent_for(origin, room);
        let going_on = self.move_to(&key, parent);
        let tracks = self.tracks_of(&key);
        self.ask(&key, &tracks, &going_on);
        self.forget_idle_branch(&key);
    }

    fn forget_idle_branch(&mut self, key: &BranchKey) {
        if self.branches.get(key).is_some_and(Branch::is_idle) && !self.waits_for_a_parent(key) {
            self.branches.remove(key);
        }
    }

    /// Whether viewers here want something of an origin that there is nobody to ask for. The branch stays: once there is a way,
    /// nothing else would ask.
    fn waits_for_a_parent(&self, key: &BranchKey) -> bool {
        let (origin, room) = key;
        let has_parent = self
            .branches
            .get(key)
            .is_some_and(|branch| branch.parent.is_some());
        let room = self
            .rooms
            .get(room)
            .filter(|room| room.origins.contains_key(origin));
        let of_origin = (*origin, TrackAlias(0))..=(*origin, TrackAlias(u32::MAX));
        !has_parent
            && room.is_some_and(|room| {
                let parts = room.parts.values();
                parts
                    .flat_map(|part| part.wanted.range(of_origin.clone()))
                    .any(|(_, layers)| !layers.is_empty())
            })
    }

    /// Every track that anybody here or behind us wants, or that has been asked for.
    fn tracks_of(&self, key: &BranchKey) -> BTreeSet<TrackAlias> {
        let parts = self
            .rooms
            .get(&key.1)
            .into_iter()
            .flat_map(|room| room.parts.values());
        let known = parts.flat_map(|part| {
            let of_origin = (key.0, TrackAlias(0))..=(key.0, TrackAlias(u32::MAX));
            part.wanted.range(of_origin).map(|((_, track), _)| *track)
        });
        let branch = self.branches.get(key).map(Branch::known_tracks);
        known.chain(branch.into_iter().flatten()).collect()
    }

    /// Changes the parent; answers which tracks the old one was asked for.
    fn move_to(&mut self, key: &BranchKey, parent: Option<NodeId>) -> BTreeSet<TrackAlias> {
        let Some(old) = self.branches.get(key).map(|branch| branch.parent) else {
            return BTreeSet::new();
        };
        if old == parent {
            return BTreeSet::new();
        }
        debug!(origin = %key.0, room = %key.1, ?old, ?parent, "another parent in the tree");
        self.counters.parents_changed += 1;
        let old = old.filter(|old| self.link_of(*old).is_some());
        let now = self.looked_at;
        let mut going_on = BTreeSet::new();
        let mut released = Vec::new();
        let mut told = Vec::new();
        let Some(branch) = self.branches.get_mut(key) else {
            return going_on;
        };
        branch.parent = parent;
        for (track, asked) in &mut branch.tracks {
            let was_asked = !asked.told.is_empty();
            asked.told = LayerSet::NONE;
            let mut left: Vec<NodeId> = asked.before.take().into_iter().collect();
            if was_asked {
                going_on.insert(*track);
                left.extend(old);
            }
            left.retain(|node| Some(*node) != parent);
            // Of two that still send, the newer one stays until the new parent does.
            asked.before = if parent.is_some() { left.pop() } else { None };
            asked.since = asked.before.map(|_| now);
            released.extend(left.into_iter().map(|node| (node, *track)));
            if let Some(parent) = parent {
                told.push((*track, parent, asked.before.is_some()));
            }
        }
        for (node, track) in released {
            self.release(key, node, track);
        }
        for (track, parent, awaited) in told {
            self.tell_parent(key, track, parent, awaited);
        }
        going_on
    }

    pub(super) fn release(&mut self, key: &BranchKey, node: NodeId, track: TrackAlias) {
        let layers = LayerSet::NONE;
        self.tell_demand(key, node, vec![TrackDemand { track, layers }], false);
    }

    /// Asks the parent for what of these tracks is wanted and it has not been told. `going_on`: those that were had from
    /// another parent.
    fn ask(&mut self, key: &BranchKey, tracks: &BTreeSet<TrackAlias>, going_on: &BTreeSet<TrackAlias>) {
        let Some(parent) = self.branches.get(key).and_then(|branch| branch.parent) else {
            return;
        };
        let (mut anew, mut on) = (Vec::new(), Vec::new());
        let (mut released, mut begun) = (Vec::new(), Vec::new());
        for track in tracks {
            let layers = self.wanted_of(key, *track, parent);
            let Some(branch) = self.branches.get_mut(key) else {
                return;
            };
            let known = branch.tracks.contains_key(track);
            if !known && layers.is_empty() {
                continue;
            }
            let asked = branch.tracks.entry(*track).or_default();
            if layers.is_empty() {
                released.extend(asked.before.take().map(|node| (node, *track)));
            }
            if asked.told != layers {
                if asked.told.is_empty() && !going_on.contains(track) {
                    begun.push(*track);
                }
                asked.told = layers;
                let demand = TrackDemand {
                    track: *track,
                    layers,
                };
                if going_on.contains(track) {
                    on.push(demand);
                } else {
                    anew.push(demand);
                }
            }
        }
        for track in begun.into_iter().filter(|_| parent != key.0) {
            self.tell_parent(key, track, parent, false);
        }
        self.tell_demand(key, parent, on, true);
        self.tell_demand(key, parent, anew, false);
        for (node, track) in released {
            self.release(key, node, track);
        }
    }

    /// What our viewers and the nodes behind us want of a track, but for what `parent` itself does. (Of a child that is asked in
    /// need that too: it wants it of us no more as soon as it hears that.)
    fn wanted_of(&self, key: &BranchKey, track: TrackAlias, parent: NodeId) -> LayerSet {
        let ours = self.rooms.get(&key.1).map(|room| room.wanted(key.0, track));
        let branch = self.branches.get(key);
        let theirs = branch.map(|branch| {
            let others = branch.children_want(track, Some(parent));
            let in_need = others.is_empty() && ours.unwrap_or_default().is_empty();
            if in_need && branch.children.contains_key(&parent) {
                branch.children_want(track, None)
            } else {
                others
            }
        });
        ours.unwrap_or_default().union(theirs.unwrap_or_default())
    }

    fn tell_demand(&mut self, key: &BranchKey, to: NodeId, demands: Vec<TrackDemand>, goes_on: bool) {
        let (origin, room) = key;
        let epoch = self.branches.get(key).map(|branch| branch.epoch);
        let (Some(link), Some(epoch)) = (self.link_of(to), epoch) else {
            return;
        };
        let speaks = self
            .features_of(to)
            .is_some_and(|features| features.has(Features::TREES));
        for tracks in demands.chunks(MAX_DEMANDS) {
            let (origin, room, tracks) = (*origin, room.clone(), tracks.to_vec());
            let message = if speaks {
                ControlMessage::TransitDemand {
                    origin,
                    room,
                    epoch,
                    goes_on,
                    tracks,
                }
            } else if to == origin {
                ControlMessage::Demand { room, epoch, tracks }
            } else {
                return;
            };
            self.out.control(link, message);
        }
    }

    /// Tells a node everything we want of it in all trees, on a link that is new to it.
    pub(super) fn resend_all_demands(&mut self, node: NodeId) {
        let keys: Vec<BranchKey> = self.branches.keys().cloned().collect();
        for key in keys {
            self.resend_demand_of(&key, node);
        }
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.resend_demands(&room, node);
        }
    }

    /// Tells an origin everything we want of it, withdrawals included: it may have missed some on an old link.
    pub(super) fn resend_demands(&mut self, name: &RoomName, origin: NodeId) {
        let key = (origin, name.clone());
        self.grow_branch(&key);
        self.settle_branch(origin, name);
        // Also where nothing is wanted any more: it may not know.
        self.grow_branch(&key);
        self.resend_demand_of(&key, origin);
        self.forget_idle_branch(&key);
    }

    /// Tells a node again what it has been told in one tree.
    fn resend_demand_of(&mut self, key: &BranchKey, node: NodeId) {
        let (origin, room) = key;
        let mut tracks = self
            .branches
            .get(key)
            .map(Branch::known_tracks)
            .unwrap_or_default();
        if node == *origin {
            let told = self
                .rooms
                .get(room)
                .into_iter()
                .flat_map(|room| room.roster.homed_on(node));
            tracks.extend(told.flat_map(|record| &record.tracks).map(|track| track.alias));
        }
        let Some(branch) = self.branches.get(key) else {
            return;
        };
        let is_parent = branch.parent == Some(node);
        if !is_parent && node != *origin {
            return;
        }
        let told = |track: &TrackAlias| {
            let asked = branch.tracks.get(track)?;
            let asked_there = is_parent || asked.before == Some(node);
            asked_there.then_some(asked.told)
        };
        let all = tracks.iter().map(|track| TrackDemand {
            track: *track,
            layers: told(track).unwrap_or_default(),
        });
        let all = all.collect();
        self.tell_demand(key, node, all, false);
    }

    /// Says again what is wanted over other nodes, and lets go of parents of which nothing is expected any more.
    pub(super) fn refresh_branches(&mut self) {
        self.expire_children(self.looked_at);
        let keys: Vec<BranchKey> = self.branches.keys().cloned().collect();
        for key in keys {
            self.release_overdue(&key);
            let parent = self.branches.get(&key).and_then(|branch| branch.parent);
            if let Some(parent) = parent.filter(|parent| *parent != key.0) {
                self.resend_demand_of(&key, parent);
            }
            let now = self.looked_at;
            let Some(branch) = self
                .branches
                .get_mut(&key)
                .filter(|branch| !branch.avoided.is_empty())
            else {
                continue;
            };
            branch.avoided.retain(|_, until| *until > now);
            self.settle_branch(key.0, &key.1);
        }
    }

    fn release_overdue(&mut self, key: &BranchKey) {
        let now = self.looked_at;
        let tracks = self.branches.get_mut(key).map(|branch| &mut branch.tracks);
        let overdue = tracks.into_iter().flatten().filter_map(|(track, asked)| {
            let since = asked.since?;
            let node = asked
                .before
                .take_if(|_| now.saturating_duration_since(since) >= OVERLAP)?;
            Some((node, *track))
        });
        let overdue: Vec<_> = overdue.collect();
        for (node, track) in overdue {
            self.release(key, node, track);
        }
    }

    /// Media comes from a new parent: the one before is not needed any more.
    pub(super) fn on_parent_heard(&mut self, origin: NodeId, track: TrackAlias, parent: NodeId) {
        let branches = self.branches.iter_mut().filter(|((of, _), _)| *of == origin);
        let heard = branches
            .filter(|(_, branch)| branch.parent == Some(parent))
            .find_map(|(key, branch)| {
                let before = branch.tracks.get_mut(&track)?.before.take()?;
                Some((key.clone(), before))
            });
        if let Some((key, before)) = heard {
            self.release(&key, before, track);
            self.forget_idle_branch(&key);
        }
    }

    /// A peer wants something else of our tracks, for itself and for those behind it.
    pub(super) fn on_demand(
        &mut self,
        from: NodeId,
        name: &RoomName,
        epoch: Epoch,
        tracks: &[TrackDemand],
        goes_on: bool,
    ) {
        let us = self.us;
        let Some(room) = self.rooms.get_mut(name).filter(|room| room.epoch == epoch) else {
            self.counters.demands_ignored += 1;
            debug!(room = %name, peer = %from, "demand for another epoch ignored");
            return;
        };
        for TrackDemand { track, layers } in tracks {
            let Some(shard) = room.shard_publishing(us, *track) else {
                self.counters.demands_ignored += 1;
                continue;
            };
            let before = if layers.is_empty() {
                room.demands.remove(&(from, *track))
            } else {
                room.demands.insert((from, *track), *layers)
            };
            if before.unwrap_or_default() != *layers {
                let command = ShardCommand::SetChild {
                    origin: us,
                    track: *track,
                    child: from,
                    layers: *layers,
                    goes_on,
                };
                self.out.shard(shard, command);
            }
        }
    }

    /// A peer wants nothing of our tracks in a room any more.
    pub(super) fn withdraw_demands(&mut self, name: &RoomName, peer: NodeId) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        let of_peer: Vec<TrackAlias> = room
            .demands
            .keys()
            .filter(|(node, _)| *node == peer)
            .map(|(_, track)| *track)
            .collect();
        for track in of_peer {
            room.demands.remove(&(peer, track));
            let Some(shard) = room.shard_publishing(self.us, track) else {
                continue;
            };
            let command = ShardCommand::SetPeerDemand {
                peer,
                track,
                layers: LayerSet::NONE,
            };
            self.out.shard(shard, command);
        }
    }
}
