//! From one shard of a node to another: what would be a link between nodes is a queue here.

use super::inbox::ShardInbox;
use super::routes::TrackRoutes;
use crate::link::DatagramSink as _;
use bridge_core::relay::egress::RelayTransmit;
use bridge_core::shard::io::ShardId;
use relay_proto::datagram::Header;
use relay_proto::id::NodeId;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The other shards of a node, as one of them sees them.
#[derive(Debug)]
pub struct Siblings {
    node: NodeId,
    /// What the others call the owner of this value.
    own: NodeId,
    others: BTreeMap<NodeId, ShardInbox>,
    tracks: Arc<TrackRoutes>,
}

impl Siblings {
    /// Those of `shard` on `node`; `inboxes` are the shards' 0 to n in order.
    #[must_use]
    pub fn of(shard: ShardId, node: NodeId, inboxes: &[ShardInbox], tracks: Arc<TrackRoutes>) -> Self {
        let ids = (0..).map(ShardId);
        let others = ids
            .zip(inboxes)
            .filter(|(id, _)| *id != shard)
            .map(|(id, inbox)| (id.as_peer_of(node), inbox.clone()))
            .collect();
        Self {
            node,
            own: shard.as_peer_of(node),
            others,
            tracks,
        }
    }

    /// Takes what is for another shard of this node, and gives back what is for a link. Media names its shard; feedback
    /// names the node and finds the shard by its track. Cost for media: a look-up and a push; [`Self::ring`] follows.
    pub(super) fn take(&self, transmit: RelayTransmit) -> Option<RelayTransmit> {
        if let Some(sibling) = self.others.get(&transmit.via) {
            sibling.feed(self.own, transmit.bytes);
            return None;
        }
        if transmit.via != self.node {
            return Some(transmit);
        }
        if let Ok((header, _)) = Header::decode(&transmit.bytes) {
            self.tracks.deliver(self.own, &mut vec![(header, transmit.bytes)]);
        }
        None
    }

    /// Wakes whoever was fed since the last call.
    pub(super) fn ring(&self) {
        self.others.values().for_each(ShardInbox::ring_if_fed);
    }
}
