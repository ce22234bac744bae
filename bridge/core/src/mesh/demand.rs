//! Demand: which layers of whose tracks are wanted over a link. A viewer counts upstream only through this.

use super::MeshCore;
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::{ControlMessage, TrackDemand};
use relay_proto::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use relay_proto::limit::MAX_DEMANDS;
use tracing::debug;

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
        let before = room.wanted(origin, track);
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
            self.tell_origin(name, origin, track, before);
        }
    }

    /// Tells an origin which layers our shards want together, where that is not what they wanted `before`.
    fn tell_origin(&mut self, name: &RoomName, origin: NodeId, track: TrackAlias, before: LayerSet) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let layers = room.wanted(origin, track);
        if let (Some(link), Some(host)) = (self.link_of(origin), room.origins.get(&origin))
            && layers != before
        {
            let (room, epoch) = (name.clone(), host.epoch);
            let tracks = vec![TrackDemand { track, layers }];
            self.out
                .control(link, ControlMessage::Demand { room, epoch, tracks });
        }
    }

    /// Tells an origin everything we want of it in all rooms, on a link that is new to it.
    pub(super) fn resend_all_demands(&mut self, origin: NodeId) {
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.resend_demands(&room, origin);
        }
    }

    /// Tells an origin everything we want of it, withdrawals included: it may have missed some on an old link.
    pub(super) fn resend_demands(&mut self, name: &RoomName, origin: NodeId) {
        let Some(link) = self.link_of(origin) else {
            return;
        };
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        let Some(host) = room.origins.get(&origin) else {
            return;
        };
        let told = room.roster.homed_on(origin).flat_map(|record| &record.tracks);
        let all: Vec<TrackDemand> = told
            .map(|track| TrackDemand {
                track: track.alias,
                layers: room.wanted(origin, track.alias),
            })
            .collect();
        for tracks in all.chunks(MAX_DEMANDS) {
            let (room, epoch) = (name.clone(), host.epoch);
            self.out.control(
                link,
                ControlMessage::Demand {
                    room,
                    epoch,
                    tracks: tracks.to_vec(),
                },
            );
        }
    }

    /// A peer wants something else of our tracks.
    pub(super) fn on_demand(&mut self, from: NodeId, name: &RoomName, epoch: Epoch, tracks: &[TrackDemand]) {
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
                let command = ShardCommand::SetPeerDemand {
                    peer: from,
                    track: *track,
                    layers: *layers,
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
