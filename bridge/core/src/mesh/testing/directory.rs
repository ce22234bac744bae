//! An imitated directory outside of the mesh: what etcd and its adapter do together, with their delay and their leases.

use super::net::{MeshNet, NodeIndex, ShardPort};
use super::wires::Event;
use crate::mesh::directory::{DirectoryAnswer, DirectoryOrder, HostEntry};
use relay_proto::id::{NodeId, RoomName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// From an order until its effect is seen, and from there to an answer.
const DELAY: Duration = Duration::from_millis(10);
/// How long entries of a node stay that has died.
const LEASE: Duration = Duration::from_secs(10);

/// What it holds, and who wants to know.
#[derive(Debug, Default)]
pub(super) struct FakeDirectory {
    rooms: BTreeMap<RoomName, BTreeMap<NodeId, HostEntry>>,
    watchers: BTreeMap<RoomName, BTreeSet<NodeIndex>>,
    /// Nobody reaches it; what nodes say meanwhile waits at them.
    down: Option<Vec<(NodeIndex, DirectoryOrder)>>,
    orders: u64,
    answers: u64,
}

impl<S: ShardPort> MeshNet<S> {
    /// What the nodes have ordered of the outside directory, and how many answers it gave them, since the beginning.
    pub const fn directory_counts(&self) -> (u64, u64) {
        (self.directory.orders, self.directory.answers)
    }

    /// From now on nobody reaches the outside directory.
    pub fn stop_directory(&mut self) {
        self.directory.down.get_or_insert_default();
    }

    /// It works again: nodes repeat what it has not heard. `forgetful`: it holds nothing any more, and nodes say all of it again.
    pub fn start_directory(&mut self, forgetful: bool) {
        let waiting = self.directory.down.take().unwrap_or_default();
        if forgetful {
            // Whoever watches sees it empty before it fills again.
            let before = std::mem::take(&mut self.directory.rooms);
            for room in before.keys() {
                self.answer_watchers(room);
            }
            for (room, hosts) in before {
                for (node, entry) in hosts {
                    let index = (0..self.nodes.len()).find(|index| self.id(*index) == node);
                    let index = index.expect("invariant: only nodes of this net have entries");
                    self.order_directory(index, DirectoryOrder::Publish(room.clone(), entry));
                }
            }
        }
        for (index, order) in waiting {
            self.order_directory(index, order);
        }
    }

    pub(super) fn order_directory(&mut self, index: NodeIndex, order: DirectoryOrder) {
        if let Some(waiting) = &mut self.directory.down {
            waiting.push((index, order));
            return;
        }
        self.directory.orders += 1;
        self.schedule(self.now + DELAY, Event::DirectoryOrder { node: index, order });
    }

    pub(super) fn on_directory_order(&mut self, index: NodeIndex, order: DirectoryOrder) {
        match order {
            DirectoryOrder::Publish(room, entry) => {
                self.directory
                    .rooms
                    .entry(room.clone())
                    .or_default()
                    .insert(entry.node, entry);
                self.answer_watchers(&room);
                let hosts = self.directory.rooms.get_mut(&room);
                if let Some(hosts) = hosts.filter(|_| entry.participants.is_none()) {
                    hosts.remove(&entry.node);
                }
            }
            DirectoryOrder::Watch(room) => {
                self.directory
                    .watchers
                    .entry(room.clone())
                    .or_default()
                    .insert(index);
                self.answer_later(index, room);
            }
            DirectoryOrder::Unwatch(room) => {
                if let Some(watchers) = self.directory.watchers.get_mut(&room) {
                    watchers.remove(&index);
                }
            }
        }
    }

    fn answer_watchers(&mut self, room: &RoomName) {
        let watchers = self.directory.watchers.get(room).into_iter().flatten();
        for index in watchers.copied().collect::<Vec<_>>() {
            self.answer_later(index, room.clone());
        }
    }

    fn answer_later(&mut self, index: NodeIndex, room: RoomName) {
        let hosts = self.directory.rooms.get(&room).into_iter().flatten();
        let hosts = hosts.map(|(_, entry)| *entry).collect();
        self.directory.answers += 1;
        let answer = DirectoryAnswer { room, hosts };
        self.schedule(self.now + DELAY, Event::DirectoryAnswer { node: index, answer });
    }

    pub(super) fn on_directory_answer(&mut self, index: NodeIndex, answer: DirectoryAnswer) {
        self.with_core(index, |core| core.handle_directory(answer));
    }

    /// A process has ended: its entries stay for a lease, and it watches nothing.
    pub(super) fn forget_in_directory(&mut self, index: NodeIndex) {
        for watchers in self.directory.watchers.values_mut() {
            watchers.remove(&index);
        }
        let node = self.id(index);
        let entries = self.directory.rooms.values().filter_map(|hosts| hosts.get(&node));
        let incarnation = entries.map(|entry| entry.incarnation).max();
        if let Some(incarnation) = incarnation {
            self.schedule(
                self.now + LEASE,
                Event::LeaseEnds {
                    node: index,
                    incarnation,
                },
            );
        }
    }

    pub(super) fn on_lease_ends(&mut self, index: NodeIndex, incarnation: u64) {
        let node = self.id(index);
        let mut rooms = Vec::new();
        for (room, hosts) in &mut self.directory.rooms {
            if hosts
                .get(&node)
                .is_some_and(|entry| entry.incarnation <= incarnation)
            {
                hosts.remove(&node);
                rooms.push(room.clone());
            }
        }
        for room in rooms {
            self.answer_watchers(&room);
        }
    }
}
