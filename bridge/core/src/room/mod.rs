//! Who is in a conference on this shard, and what each of them wants to receive.
//!
//! [`Room`] is an index: its members, its tracks (local and remote), and the nodes its remote tracks come from.
//! [`member::Member`] is one client with its subscriptions. [`speaker`] decides who is speaking. Packets never pass
//! through here.

pub mod member;
pub mod repaired;
pub mod speaker;

use crate::relay::ingress::Origin;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::seal::Seal;
use speaker::SpeakerDetector;
use std::collections::BTreeMap;

/// A conference on this shard.
#[derive(Debug)]
pub struct Room {
    /// Its name.
    pub name: RoomName,
    /// This node's epoch in it.
    pub epoch: Epoch,
    /// Seals what this node originates.
    pub seal: Seal,
    /// Session slots, in order of arrival.
    pub members: Vec<u32>,
    /// Track slots, in order of arrival.
    pub tracks: Vec<u32>,
    /// Other nodes that host it.
    pub origins: BTreeMap<NodeId, Origin>,
    /// Who is speaking.
    pub speakers: SpeakerDetector,
}

impl Room {
    /// An empty room.
    #[must_use]
    pub fn new(name: RoomName, epoch: Epoch, seal: Seal) -> Self {
        Self {
            name,
            epoch,
            seal,
            members: Vec::new(),
            tracks: Vec::new(),
            origins: BTreeMap::new(),
            speakers: SpeakerDetector::default(),
        }
    }
}
