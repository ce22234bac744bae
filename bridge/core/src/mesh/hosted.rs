//! Who hosts each room, as the rows say: an index, so that nobody who asks about one room looks at all nodes.

use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::row::{HostFacts, RowKey, RowValue};
use std::collections::BTreeMap;

/// What a node says of a room.
#[derive(Clone, Copy, Debug)]
struct Part {
    epoch: Epoch,
    participants: u32,
}

impl From<&HostFacts> for Part {
    fn from(facts: &HostFacts) -> Self {
        Self {
            epoch: facts.epoch,
            participants: facts.participants,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Hosted(BTreeMap<RoomName, BTreeMap<NodeId, Part>>);

impl Hosted {
    /// A row of `owner` has this value now.
    pub(super) fn note(&mut self, owner: NodeId, key: &RowKey, value: &RowValue) {
        let RowKey::Host(room) = key else {
            return;
        };
        if let RowValue::Host(facts) = value {
            self.0
                .entry(room.clone())
                .or_default()
                .insert(owner, facts.into());
        } else if let Some(hosts) = self.0.get_mut(room) {
            hosts.remove(&owner);
            if hosts.is_empty() {
                self.0.remove(room);
            }
        }
    }

    /// These rows of `owner` go.
    pub(super) fn forget<'a>(&mut self, owner: NodeId, keys: impl Iterator<Item = &'a RowKey>) {
        for key in keys {
            self.note(owner, key, &RowValue::Gone);
        }
    }

    /// The epoch in which `node` hosts `room`, if it does.
    pub(super) fn epoch(&self, node: NodeId, room: &RoomName) -> Option<Epoch> {
        Some(self.0.get(room)?.get(&node)?.epoch)
    }

    /// All rooms in order, each with how many people who hosts it says are there.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (&RoomName, BTreeMap<NodeId, u32>)> + '_ {
        self.0.iter().map(|(room, hosts)| {
            let people = hosts.iter().map(|(node, part)| (*node, part.participants));
            (room, people.collect())
        })
    }

    /// Who hosts `room`.
    pub(super) fn nodes(&self, room: &RoomName) -> impl Iterator<Item = NodeId> + '_ {
        self.0
            .get(room)
            .into_iter()
            .flat_map(|hosts| hosts.keys().copied())
    }
}
