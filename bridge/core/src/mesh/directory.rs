//! The room directory: which nodes host which room. A port with two adapters: rows of the mesh, which tell every node of every
//! room, and a directory outside, which tells of a room those who ask for it.
//!
//! The rest of the machine asks `MeshCore::host_epoch` and is told of every change, whichever adapter it comes from. An outside
//! directory only introduces hosts to each other: what they tell each other then is the mesh's. So whoever speaks of a room is
//! a host of it before it is listed, and whoever is not listed any more stays one while it lives and has not said that it has
//! left; a directory that forgets, or cannot be reached, parts nobody.

use super::MeshCore;
use super::io::MeshOutput;
use super::rows::Told;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::row::{HostFacts, RowValue};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How soon all others hear how many people are in a room, where that has neither doubled nor halved: placement weighs nodes by
/// it, and in a large room somebody comes or goes at every moment.
const RECOUNT: Duration = Duration::from_secs(5);

/// Where a node tells of its rooms. What others tell in rows is read in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectoryUse {
    /// In rows: every node hears of every room.
    pub rows: bool,
    /// In a directory outside of the mesh: whoever wants to know of a room asks.
    pub outside: bool,
}

impl DirectoryUse {
    /// Rows alone.
    pub const ROWS: Self = Self {
        rows: true,
        outside: false,
    };
    /// A directory outside alone.
    pub const OUTSIDE: Self = Self {
        rows: false,
        outside: true,
    };
}

/// What an outside directory holds of one node in one room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HostEntry {
    /// Which node.
    pub node: NodeId,
    /// Start of its process, in milliseconds since 1970.
    pub incarnation: u64,
    /// Of its part in the room.
    pub epoch: Epoch,
    /// How many people are there, roughly; none once the node has left the room.
    pub participants: Option<u32>,
}

/// What `MeshCore` wants of an outside directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DirectoryOrder {
    /// Hold this for as long as the node lives, in the place of what it said last.
    Publish(RoomName, HostEntry),
    /// Say who hosts the room now, and again whenever that changes.
    Watch(RoomName),
    /// No more of the room.
    Unwatch(RoomName),
}

/// Answer of an outside directory: everything it holds of one room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirectoryAnswer {
    /// Which room.
    pub room: RoomName,
    /// One entry for each node; more than `limits.nodes` are not looked at.
    pub hosts: Vec<HostEntry>,
}

/// What is known by way of the outside directory: of our rooms, and of those that pass through here.
#[derive(Debug, Default)]
pub(super) struct Outside {
    ours: BTreeMap<RoomName, HostEntry>,
    watched: BTreeMap<RoomName, BTreeMap<NodeId, HostEntry>>,
}

impl Outside {
    /// Who is known to host a room.
    pub(super) fn hosts(&self) -> impl Iterator<Item = (&RoomName, &HostEntry)> + '_ {
        self.watched
            .iter()
            .flat_map(|(room, hosts)| hosts.values().map(move |entry| (room, entry)))
    }

    fn entry(&self, node: NodeId, room: &RoomName) -> Option<&HostEntry> {
        self.watched.get(room)?.get(&node)
    }
}

impl MeshCore {
    /// The epoch in which `node` hosts `room`, if it does.
    pub(super) fn host_epoch(&self, node: NodeId, room: &RoomName) -> Option<Epoch> {
        let in_rows = self.rows.host_epoch(node, room);
        if !self.config.directory.outside {
            return in_rows;
        }
        let entry = if node == self.us {
            self.outside.ours.get(room)
        } else {
            let entry = self.outside.entry(node, room);
            entry.filter(|entry| self.is_current(entry))
        };
        in_rows.max(entry.map(|entry| entry.epoch))
    }

    /// Who hosts `room` and lives; this node too, where it does.
    pub(super) fn living_hosts(&self, room: &RoomName) -> BTreeSet<NodeId> {
        let listed = self
            .outside
            .watched
            .get(room)
            .into_iter()
            .flat_map(BTreeMap::values);
        let listed = listed
            .filter(|entry| self.is_current(entry))
            .map(|entry| entry.node);
        let us = self.outside.ours.get(room).map(|entry| entry.node);
        let all = self.rows.hosting(room).chain(listed).chain(us);
        all.filter(|node| *node == self.us || self.alive.contains(node))
            .collect()
    }

    /// Whether an entry is of the process of its node that the mesh knows, or of a later one.
    pub(super) fn is_current(&self, entry: &HostEntry) -> bool {
        self.process_of(entry.node)
            .is_none_or(|known| entry.incarnation >= known)
    }

    /// The newest process of a node that the mesh knows: by its hello, which comes before its rows, or by them.
    fn process_of(&self, node: NodeId) -> Option<u64> {
        let linked = self.peers.get(&node).map(|peer| peer.incarnation);
        self.rows.incarnation(node).max(linked)
    }

    /// Says that this node hosts `room`, or does no more.
    pub(super) fn publish_room(&mut self, room: &RoomName) {
        let told = self.write_room(room);
        self.push_our_rows(told.as_slice());
    }

    /// Says anew how many people are in our rooms, where it is time: all in one message.
    pub(super) fn refresh_rooms(&mut self) {
        let now = self.looked_at;
        let due = self.rooms.values().filter(|room| {
            let people = room.members.len() as u32;
            room.told.is_none_or(|(told, at)| {
                let waited = now.saturating_duration_since(at) >= RECOUNT;
                told != people && (waited || told.abs_diff(people) >= told.min(people))
            })
        });
        let due: Vec<RoomName> = due.map(|room| room.name.clone()).collect();
        let told: Vec<Told> = due.iter().filter_map(|room| self.write_room(room)).collect();
        self.push_our_rows(&told);
    }

    fn write_room(&mut self, room: &RoomName) -> Option<Told> {
        let facts = self.rooms.get(room).map(|open| HostFacts {
            room: room.clone(),
            epoch: open.epoch,
            participants: open.members.len() as u32,
        });
        let hosted = self.host_epoch(self.us, room);
        if self.config.directory.outside {
            self.publish_outside(room, facts.as_ref());
        }
        if let (Some(open), Some(facts)) = (self.rooms.get_mut(room), &facts) {
            open.told = Some((facts.participants, self.looked_at));
        }
        let value = facts.map_or(RowValue::Gone, RowValue::Host);
        let told = if self.config.directory.rows {
            self.write_room_row(room, value)
        } else {
            None
        };
        if self.host_epoch(self.us, room) != hosted {
            self.replant_room(room);
        }
        told
    }

    fn publish_outside(&mut self, room: &RoomName, facts: Option<&HostFacts>) {
        let told = self.outside.ours.get(room).copied();
        let entry = match (facts, told) {
            (Some(facts), _) => HostEntry {
                node: self.us,
                incarnation: self.incarnation,
                epoch: facts.epoch,
                participants: Some(facts.participants),
            },
            (None, Some(told)) => HostEntry {
                participants: None,
                ..told
            },
            (None, None) => return,
        };
        if told == Some(entry) {
            return;
        }
        if facts.is_some() {
            self.outside.ours.insert(room.clone(), entry);
            self.watch_room(room);
        } else {
            self.outside.ours.remove(room);
        }
        let order = DirectoryOrder::Publish(room.clone(), entry);
        self.out.push(MeshOutput::Directory(order));
    }

    /// Wants to know who hosts a room, for as long as it is open here or its media passes through here.
    pub(super) fn watch_room(&mut self, room: &RoomName) {
        if self.config.directory.outside && !self.outside.watched.contains_key(room) {
            self.outside.watched.insert(room.clone(), BTreeMap::new());
            let order = DirectoryOrder::Watch(room.clone());
            self.out.push(MeshOutput::Directory(order));
        }
    }

    /// Watches what is wanted and nothing else.
    pub(super) fn review_watches(&mut self) {
        if !self.config.directory.outside {
            return;
        }
        let passing: BTreeSet<&RoomName> = self.branches.keys().map(|(_, room)| room).collect();
        let watched = self.outside.watched.keys();
        let idle = watched.filter(|room| !self.rooms.contains_key(*room) && !passing.contains(room));
        for room in idle.cloned().collect::<Vec<_>>() {
            self.outside.watched.remove(&room);
            let order = DirectoryOrder::Unwatch(room);
            self.out.push(MeshOutput::Directory(order));
        }
    }

    /// The outside directory says who hosts a room.
    pub(super) fn on_directory(&mut self, answer: DirectoryAnswer) {
        let DirectoryAnswer { room, hosts } = answer;
        let Some(known) = self.outside.watched.get(&room).cloned() else {
            // It crossed with the end of the watch.
            return;
        };
        let max = self.config.limits.max_nodes;
        let said = hosts.into_iter().take(max).filter(|entry| entry.node != self.us);
        let said: BTreeMap<NodeId, HostEntry> = said.map(|entry| (entry.node, entry)).collect();
        let nodes: BTreeSet<NodeId> = known.keys().chain(said.keys()).copied().collect();
        let before: BTreeMap<NodeId, Option<Epoch>> = nodes
            .iter()
            .map(|node| (*node, self.host_epoch(*node, &room)))
            .collect();
        let mut after = BTreeMap::new();
        for node in nodes {
            let (known, said) = (known.get(&node).copied(), said.get(&node).copied());
            if let Some(entry) = self.resolved(&room, known, said) {
                after.insert(node, entry);
            }
        }
        self.outside.watched.insert(room.clone(), after);
        let moved = before.into_iter();
        let moved: Vec<NodeId> = moved
            .filter(|(node, epoch)| self.host_epoch(*node, &room) != *epoch)
            .map(|(node, _)| node)
            .collect();
        for node in &moved {
            self.on_host_row(*node, &room);
        }
        for node in moved {
            self.on_rehosted(node, &room);
        }
    }

    /// What counts of a node in a room: what is known already, or what the directory says.
    fn resolved(
        &self,
        room: &RoomName,
        known: Option<HostEntry>,
        said: Option<HostEntry>,
    ) -> Option<HostEntry> {
        let newness = |entry: &HostEntry| (entry.incarnation, entry.epoch);
        match (known, said) {
            (Some(known), Some(said)) if newness(&said) < newness(&known) => Some(known),
            (_, Some(said)) => said.participants.is_some().then_some(said),
            (Some(known), None) => self.speaks_of(known.node, room).then_some(known),
            (None, None) => None,
        }
    }

    /// Whether a living node tells us of its people in a room.
    fn speaks_of(&self, node: NodeId, room: &RoomName) -> bool {
        let room = self.rooms.get(room);
        self.alive.contains(&node) && room.is_some_and(|room| room.origins.contains_key(&node))
    }

    /// A node tells of its people in a room of ours: it hosts it, whether it is listed already or not.
    pub(super) fn note_speaker(&mut self, node: NodeId, room: &RoomName, epoch: Epoch) {
        if !self.config.directory.outside || self.host_epoch(node, room) >= Some(epoch) {
            return;
        }
        let entry = HostEntry {
            node,
            incarnation: self.process_of(node).unwrap_or_default(),
            epoch,
            participants: Some(0),
        };
        if let Some(hosts) = self.outside.watched.get_mut(room) {
            hosts.insert(node, entry);
            self.on_host_row(node, room);
            self.on_rehosted(node, room);
        }
    }

    /// How many rooms are looked after in the outside directory.
    #[must_use]
    pub fn watched_rooms(&self) -> usize {
        self.outside.watched.len()
    }
}
