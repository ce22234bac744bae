//! Demand: which layers of whose tracks are wanted over a link. A viewer counts upstream only through this.

use super::MeshCore;
use crate::shard::io::ShardCommand;
use relay_proto::control::{ControlMessage, TrackDemand};
use relay_proto::id::{Epoch, LayerSet, NodeId, RoomName, TrackAlias};
use relay_proto::limit::MAX_DEMANDS;
use tracing::debug;

impl MeshCore {
    /// A shard's viewers want something else of a remote track.
    pub(super) fn on_demand_changed(
        &mut self,
        name: &RoomName,
        origin: NodeId,
        track: TrackAlias,
        layers: LayerSet,
    ) {
        let link = self.link_of(origin);
        let room = self.rooms.get_mut(name);
        let Some(host) = room.and_then(|room| room.origins.get_mut(&origin)) else {
            self.counters.facts_ignored += 1;
            return;
        };
        let Some(wanted) = host.wanted.get_mut(&track) else {
            // The track has gone while the shard changed its mind.
            self.counters.facts_ignored += 1;
            return;
        };
        *wanted = layers;
        if let Some(link) = link {
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
        let room = self.rooms.get(name);
        let Some(host) = room.and_then(|room| room.origins.get(&origin)) else {
            return;
        };
        let all: Vec<TrackDemand> = host
            .wanted
            .iter()
            .map(|(track, layers)| TrackDemand {
                track: *track,
                layers: *layers,
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
            if !room.publishes(us, *track) {
                self.counters.demands_ignored += 1;
                continue;
            }
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
                self.out.shard(room.shard, command);
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
            let command = ShardCommand::SetPeerDemand {
                peer,
                track,
                layers: LayerSet::NONE,
            };
            self.out.shard(room.shard, command);
        }
    }
}
