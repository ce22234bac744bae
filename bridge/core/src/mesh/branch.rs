//! Our place in the distribution trees: for each (origin, conference) whom we get its media from, who gets it from us, and
//! what has been asked of whom. Pure bookkeeping; who asks when is in `demand`.

use crate::shard::io::ShardId;
use relay_proto::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// For how long somebody is asked who gets the same from us: two long round trips.
const TURNED: Duration = Duration::from_secs(1);

/// Which tree: its origin and conference.
pub(super) type BranchKey = (NodeId, RoomName);

/// What one node wants through us.
#[derive(Debug)]
pub(super) struct Child {
    /// When it is forgotten if it says nothing.
    pub(super) until: Instant,
    pub(super) wants: BTreeMap<TrackAlias, LayerSet>,
}

/// What has been asked for of one track.
#[derive(Debug, Default)]
pub(super) struct Asked {
    /// What the parent has been told.
    pub(super) told: LayerSet,
    /// Who was asked before and still is, until media comes from the parent.
    pub(super) before: Option<NodeId>,
    /// The parent has been asked for it since this moment, while another one still is.
    pub(super) since: Option<Instant>,
    /// The shard that sends it on to the children.
    pub(super) shard: Option<ShardId>,
}

/// Our part of one tree.
#[derive(Debug)]
pub(super) struct Branch {
    /// The origin's, in the conference.
    pub(super) epoch: Epoch,
    pub(super) parent: Option<NodeId>,
    pub(super) tracks: BTreeMap<TrackAlias, Asked>,
    pub(super) children: BTreeMap<NodeId, Child>,
    /// Nodes that have asked us for what we asked of them, and until when they are no parents.
    pub(super) avoided: BTreeMap<NodeId, Instant>,
    /// Who is asked although it gets this from us, and until when.
    turned: Option<(NodeId, Instant)>,
}

impl Branch {
    pub(super) const fn new(epoch: Epoch) -> Self {
        Self {
            epoch,
            parent: None,
            tracks: BTreeMap::new(),
            children: BTreeMap::new(),
            avoided: BTreeMap::new(),
            turned: None,
        }
    }

    /// What the children want of a track, `but` excepted: nobody is asked for what it wants of us.
    pub(super) fn children_want(&self, track: TrackAlias, but: Option<NodeId>) -> LayerSet {
        self.children
            .iter()
            .filter(|(child, _)| Some(**child) != but)
            .filter_map(|(_, child)| child.wants.get(&track))
            .fold(LayerSet::NONE, |all, layers| all.union(*layers))
    }

    /// Every child that wants something of a track.
    pub(super) fn children_of(&self, track: TrackAlias) -> Vec<(NodeId, LayerSet)> {
        self.children
            .iter()
            .filter_map(|(node, child)| Some((*node, *child.wants.get(&track)?)))
            .collect()
    }

    /// Every track that is asked for or wanted by a child.
    pub(super) fn known_tracks(&self) -> BTreeSet<TrackAlias> {
        let wanted = self.children.values().flat_map(|child| child.wants.keys());
        self.tracks.keys().chain(wanted).copied().collect()
    }

    /// Who cannot be the parent now: whoever gets it from us, and whoever did lately.
    pub(super) fn not_parents(&self, now: Instant) -> BTreeSet<NodeId> {
        let lately = self.avoided.iter().filter(|(_, until)| **until > now);
        self.children
            .keys()
            .chain(lately.map(|(node, _)| node))
            .copied()
            .collect()
    }

    /// Whether `child` may be the parent all the same: the link of the one before is silent (`lost`), and the only way left leads
    /// over somebody who gets it from us. That one looks elsewhere once we ask, and until then nothing comes back, because
    /// nobody is asked for what it wants of us. Should it have no other way, there is none, and that is known after a while.
    pub(super) fn turns_round(&mut self, child: NodeId, lost: bool, now: Instant) -> bool {
        if self.avoided.contains_key(&child) {
            return false;
        }
        if lost && self.turned.is_none_or(|(_, until)| until <= now) {
            self.turned = Some((child, now + TURNED));
        }
        self.turned
            .is_some_and(|(node, until)| node == child && until > now)
    }

    /// How many wishes of children it holds.
    pub(super) fn wishes(&self) -> usize {
        self.children.values().map(|child| child.wants.len()).sum()
    }

    /// Whether it can be forgotten.
    pub(super) fn is_idle(&self) -> bool {
        let asks = |asked: &Asked| !asked.told.is_empty() || asked.before.is_some();
        self.children.is_empty() && !self.tracks.values().any(asks)
    }
}
