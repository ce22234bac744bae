//! Media sent another way before anybody can have asked for it there.
//!
//! Where a link falls silent, the node that got media over it asks a third node, which may have to ask the origin first: by
//! then two more links have been crossed there and back. The node that sent the media knows as much at the same moment. It sends
//! what the silent peer wanted to the next node on the way that is left, for about as long as it takes until it is asked; a
//! packet goes on once, so whoever has it already is not hurt.

use super::MeshCore;
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::id::{LayerSet, NodeId, RoomName, TrackAlias};
use relay_proto::version::Features;
use std::time::{Duration, Instant};
use tracing::debug;

/// How long a node is sent what it has not asked for: two long round trips.
const LEAD: Duration = Duration::from_millis(800);

/// A track that a node is sent because another one wanted it.
#[derive(Debug)]
pub(super) struct Ahead {
    room: RoomName,
    origin: NodeId,
    track: TrackAlias,
    to: NodeId,
    /// The shard that sends it.
    shard: ShardId,
    until: Instant,
}

impl MeshCore {
    /// The link of a peer has fallen silent: what it was sent goes to the next node on the way to it that is left.
    pub(super) fn send_ahead(&mut self, silent: NodeId) {
        let Some(to) = self.next_hop(silent).filter(|to| *to != silent) else {
            return;
        };
        let speaks = self
            .features_of(to)
            .is_some_and(|features| features.has(Features::TREES));
        if !speaks || self.link_of(to).is_none() {
            return;
        }
        let wanted = self.sent_to(silent);
        debug!(peer = %silent, by = %to, tracks = wanted.len(), "media goes ahead another way");
        let until = self.looked_at + LEAD;
        for (room, origin, track, layers) in wanted {
            let branch = self.branches.get(&(origin, room.clone()));
            let comes_from_there = origin == to || branch.is_some_and(|branch| branch.parent == Some(to));
            // What it has asked for it gets anyway.
            if comes_from_there || !self.asked_of_us(&room, origin, track, to).is_empty() {
                continue;
            }
            let Some(shard) = self.shard_sending(&room, origin, track) else {
                continue;
            };
            self.ahead
                .retain(|ahead| (ahead.origin, ahead.track, ahead.to) != (origin, track, to));
            let ahead = Ahead {
                room,
                origin,
                track,
                to,
                shard,
                until,
            };
            self.tell_ahead(&ahead, layers);
            self.ahead.push(ahead);
        }
    }

    /// Ends what goes ahead for long enough: from now on nodes get what they have asked for.
    pub(super) fn end_ahead(&mut self, now: Instant) {
        let over: Vec<Ahead> = self.ahead.extract_if(.., |ahead| ahead.until <= now).collect();
        for ahead in over {
            // Whoever asks is told to the shard that sends by then.
            let still_there = self.shard_sending(&ahead.room, ahead.origin, ahead.track) == Some(ahead.shard);
            let layers = if still_there {
                self.asked_of_us(&ahead.room, ahead.origin, ahead.track, ahead.to)
            } else {
                LayerSet::NONE
            };
            self.tell_ahead(&ahead, layers);
        }
    }

    /// Everything a node gets from us, our own tracks and those of others.
    fn sent_to(&self, node: NodeId) -> Vec<(RoomName, NodeId, TrackAlias, LayerSet)> {
        let own = self.rooms.iter().flat_map(|(name, room)| {
            let wishes = room.demands.iter().filter(move |((from, _), _)| *from == node);
            wishes.map(|((_, track), layers)| (name.clone(), self.us, *track, *layers))
        });
        let others = self.branches.iter().flat_map(|((origin, name), branch)| {
            let wants = branch.children.get(&node).map(|child| &child.wants);
            let wants = wants.into_iter().flatten();
            wants.map(|(track, layers)| (name.clone(), *origin, *track, *layers))
        });
        own.chain(others).collect()
    }

    /// What a node has asked us for of a track.
    fn asked_of_us(&self, room: &RoomName, origin: NodeId, track: TrackAlias, node: NodeId) -> LayerSet {
        let asked = if origin == self.us {
            let room = self.rooms.get(room);
            room.and_then(|room| room.demands.get(&(node, track)))
        } else {
            let branch = self.branches.get(&(origin, room.clone()));
            branch.and_then(|branch| branch.children.get(&node)?.wants.get(&track))
        };
        asked.copied().unwrap_or_default()
    }

    /// The shard that sends a track on to other nodes.
    fn shard_sending(&self, name: &RoomName, origin: NodeId, track: TrackAlias) -> Option<ShardId> {
        if origin == self.us {
            let room = self.rooms.get(name);
            room.and_then(|room| room.shard_publishing(origin, track))
        } else {
            let branch = self.branches.get(&(origin, name.clone()));
            branch.and_then(|branch| branch.tracks.get(&track)?.shard)
        }
    }

    fn tell_ahead(&mut self, ahead: &Ahead, layers: LayerSet) {
        let command = ShardCommand::SetChild {
            origin: ahead.origin,
            track: ahead.track,
            child: ahead.to,
            layers,
            goes_on: true,
        };
        self.out.shard(ahead.shard, command);
    }
}
