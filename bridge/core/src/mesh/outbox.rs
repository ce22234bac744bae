//! Outputs waiting for the shell, in order.

use super::io::{CloseCause, LinkId, MeshOutput};
use crate::shard::io::{ShardCommand, ShardId};
use relay_proto::control::{ControlMessage, GoodbyeCause};
use relay_proto::id::{NodeId, RoomName, TrackAlias};
use relay_proto::session::{RoomChange, SessionFact};
use std::collections::VecDeque;

/// The queue behind `poll_output`. Emptied after every input, so it needs no bound of its own.
#[derive(Debug, Default)]
pub(super) struct Outbox(VecDeque<MeshOutput>);

impl Outbox {
    pub(super) fn pop(&mut self) -> Option<MeshOutput> {
        self.0.pop_front()
    }

    pub(super) fn push(&mut self, output: MeshOutput) {
        self.0.push_back(output);
    }

    pub(super) fn control(&mut self, link: LinkId, message: ControlMessage) {
        self.push(MeshOutput::SendControl {
            link,
            message: Box::new(message),
        });
    }

    pub(super) fn goodbye(&mut self, link: LinkId, cause: GoodbyeCause) {
        self.control(link, ControlMessage::Goodbye(cause));
    }

    pub(super) fn close(&mut self, link: LinkId, cause: CloseCause) {
        self.push(MeshOutput::CloseLink { link, cause });
    }

    pub(super) fn shard(&mut self, shard: ShardId, command: ShardCommand) {
        self.push(MeshOutput::ToShard { shard, command });
    }

    /// Drops what waits for a shard that is no more.
    pub(super) fn forget_shard(&mut self, lost: ShardId) {
        self.0
            .retain(|output| !matches!(output, MeshOutput::ToShard { shard, .. } if *shard == lost));
    }

    pub(super) fn route_track(&mut self, origin: NodeId, track: TrackAlias, shards: Vec<ShardId>) {
        self.push(MeshOutput::RouteTrack {
            origin,
            track,
            shards,
        });
    }

    pub(super) fn fact(&mut self, fact: SessionFact) {
        self.push(MeshOutput::ToSignaling(fact));
    }

    pub(super) fn room_change(&mut self, room: &RoomName, change: RoomChange) {
        self.fact(SessionFact::RoomChanged {
            room: room.clone(),
            change,
        });
    }
}
