//! The replicated rows: ours, and what we hold of others'.
//!
//! Each node alone writes its rows; a higher version wins and nothing else merges. Everybody holds all rows, so
//! whoever lacks some asks with a digest or a summary and gets what is newer. Both claim only what is held *without
//! gaps*: rows that came from their owner, in order. Rows passed on by others are kept but not claimed.

use super::author::is_signed;
use super::config::MeshLimits;
use super::hosted::Hosted;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::row::{
    DigestEntry, IdentityFacts, LinkFacts, NodeFacts, OwnerSummary, Row, RowKey, RowValue, RowVersion,
    Signature, TransitFacts, mark,
};
use std::collections::BTreeMap;

/// A row with what its owner has signed it with, where it has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) row: Row,
    pub(super) signature: Option<Signature>,
}

/// Who has told a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Teller {
    /// Its owner, on its link: its signature has not been looked at.
    Owner,
    /// Somebody who passes it on: its signature is right, or not asked for.
    Other,
}

/// What became of a row from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is news. `reborn`: the owner has restarted and everything older of it was dropped.
    New { reborn: bool },
    /// We hold this or a newer version.
    Stale,
    /// It claims to be ours.
    Ours,
    /// It names another key than its owner has in this incarnation.
    Contradicts,
    /// A limit is reached.
    OverLimit,
}

#[derive(Debug)]
struct Held {
    version: RowVersion,
    value: RowValue,
    signature: Option<Signature>,
    /// Whether the signature is known to be right.
    checked: bool,
}

#[derive(Debug, Default)]
struct OwnerRows {
    rows: BTreeMap<RowKey, Held>,
    /// Newest incarnation seen.
    incarnation: u64,
    /// Everything up to here is held.
    complete_to: RowVersion,
    /// Something was not taken: nothing is claimed until it has been asked for again.
    gap: bool,
    /// Sum of the marks of all rows that are not gone.
    marks: u64,
    hosts: usize,
    gone: usize,
}

impl OwnerRows {
    fn put(&mut self, key: RowKey, held: Held) {
        self.count(&key, &held, true);
        if let Some(old) = self.rows.insert(key.clone(), held) {
            self.count(&key, &old, false);
        }
    }

    /// Counts a row in, or out.
    fn count(&mut self, key: &RowKey, held: &Held, comes: bool) {
        let counter = match held.value {
            RowValue::Gone => Some(&mut self.gone),
            RowValue::Host(_) => Some(&mut self.hosts),
            RowValue::Node(_) | RowValue::Link(_) | RowValue::Transit(_) | RowValue::Identity(_) => None,
        };
        match counter {
            Some(counter) if comes => *counter += 1,
            Some(counter) => *counter -= 1,
            None => {}
        }
        if held.value != RowValue::Gone {
            let mark = mark(key, held.version);
            self.marks = if comes {
                self.marks.wrapping_add(mark)
            } else {
                self.marks.wrapping_sub(mark)
            };
        }
    }

    fn forget_oldest_gone(&mut self, keep: usize) {
        if self.gone <= keep {
            return;
        }
        let oldest = self
            .rows
            .iter()
            .filter(|(_, held)| held.value == RowValue::Gone)
            .min_by_key(|(_, held)| held.version)
            .map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.rows.remove(&key);
            self.gone -= 1;
        }
    }

    fn identity(&self) -> Option<&IdentityFacts> {
        match &self.rows.get(&RowKey::Identity)?.value {
            RowValue::Identity(facts) => Some(facts),
            _ => None,
        }
    }

    /// The rows newer than `after`: what proves the others first, then by version.
    fn newer_than(&self, owner: NodeId, after: RowVersion) -> Vec<Told> {
        let newer = self.rows.iter().filter(|(_, held)| held.version > after);
        let mut newer: Vec<Told> = newer
            .map(|(key, held)| Told {
                row: Row {
                    owner,
                    key: key.clone(),
                    version: held.version,
                    value: held.value.clone(),
                },
                signature: held.signature,
            })
            .collect();
        newer.sort_by_key(|told| (told.row.key != RowKey::Identity, told.row.version));
        newer
    }
}

#[derive(Debug)]
pub(super) struct RowStore {
    us: NodeId,
    newest: RowVersion,
    owners: BTreeMap<NodeId, OwnerRows>,
    /// Who hosts each room, as the rows say.
    hosted: Hosted,
    limits: MeshLimits,
}

impl RowStore {
    pub(super) fn new(us: NodeId, incarnation: u64, limits: MeshLimits) -> Self {
        let newest = RowVersion {
            incarnation,
            counter: 0,
        };
        let ours = OwnerRows {
            incarnation,
            ..OwnerRows::default()
        };
        Self {
            us,
            newest,
            owners: BTreeMap::from([(us, ours)]),
            hosted: Hosted::default(),
            limits,
        }
    }

    /// Writes one of our rows; answers it where it changed, to be sent to everybody.
    pub(super) fn write(
        &mut self,
        key: RowKey,
        value: RowValue,
        sign: impl FnOnce(&Row) -> Option<Signature>,
    ) -> Option<Told> {
        let ours = self.owners.entry(self.us).or_default();
        let unchanged = match ours.rows.get(&key) {
            Some(held) => held.value == value,
            None => value == RowValue::Gone,
        };
        if unchanged {
            return None;
        }
        self.newest.counter += 1;
        let row = Row {
            owner: self.us,
            key: key.clone(),
            version: self.newest,
            value: value.clone(),
        };
        let signature = sign(&row);
        let held = Held {
            version: self.newest,
            value,
            signature,
            checked: true,
        };
        self.hosted.note(self.us, &key, &held.value);
        ours.put(key, held);
        ours.complete_to = self.newest;
        ours.forget_oldest_gone(self.limits.max_gone_rows_per_owner);
        Some(Told { row, signature })
    }

    /// Takes a row from a peer.
    pub(super) fn accept(&mut self, told: Told, teller: Teller) -> Accepted {
        let Told { row, signature } = told;
        if row.owner == self.us {
            return Accepted::Ours;
        }
        let limits = self.limits;
        let known = self.owners.contains_key(&row.owner);
        let full = self.len() >= limits.max_rows;
        if !known && (self.owners.len() >= limits.max_nodes || full) {
            return Accepted::OverLimit;
        }
        let owner = self.owners.entry(row.owner).or_default();
        if row.version.incarnation < owner.incarnation {
            return Accepted::Stale;
        }
        let reborn = owner.incarnation != 0 && row.version.incarnation > owner.incarnation;
        if let (RowValue::Identity(new), Some(old), false) = (&row.value, owner.identity(), reborn)
            && new.public_key != old.public_key
        {
            if teller == Teller::Other {
                return Accepted::Contradicts;
            }
            // The owner's own word: whatever was told under the other key is a lie.
            self.hosted.forget(row.owner, owner.rows.keys());
            *owner = OwnerRows::default();
        }
        if reborn {
            self.hosted.forget(row.owner, owner.rows.keys());
            *owner = OwnerRows::default();
        }
        owner.incarnation = row.version.incarnation;
        let held = owner.rows.get(&row.key);
        if held.is_some_and(|held| held.version >= row.version) {
            return Accepted::Stale;
        }
        let is_new = held.is_none();
        let over = match row.value {
            RowValue::Host(_) => owner.hosts >= limits.max_rooms_per_owner || full,
            RowValue::Link(_) => owner.rows.len() - owner.hosts - owner.gone > limits.max_nodes || full,
            RowValue::Node(_) | RowValue::Transit(_) | RowValue::Gone | RowValue::Identity(_) => false,
        };
        if is_new && over {
            return Accepted::OverLimit;
        }
        let held = Held {
            version: row.version,
            value: row.value,
            signature,
            checked: teller == Teller::Other,
        };
        self.hosted.note(row.owner, &row.key, &held.value);
        owner.put(row.key, held);
        owner.forget_oldest_gone(limits.max_gone_rows_per_owner);
        Accepted::New { reborn }
    }

    /// Whether a row of another owner can be passed on as it is: signed, rightly. Looks at each signature once.
    pub(super) fn is_provable(&mut self, node: NodeId, key: &RowKey) -> bool {
        let Some(owner) = self.owners.get_mut(&node) else {
            return false;
        };
        let Some(public_key) = owner.identity().map(|facts| facts.public_key) else {
            return false;
        };
        let Some(held) = owner.rows.get_mut(key) else {
            return false;
        };
        let Some(signature) = held.signature else {
            return false;
        };
        if !held.checked {
            let row = Row {
                owner: node,
                key: key.clone(),
                version: held.version,
                value: held.value.clone(),
            };
            held.checked = true;
            if !is_signed(&row, &signature, &public_key) {
                held.signature = None;
            }
        }
        held.signature.is_some()
    }

    /// How many rows of others are held.
    pub(super) fn len(&self) -> usize {
        let others = self.owners.iter().filter(|(owner, _)| **owner != self.us);
        others.map(|(_, rows)| rows.rows.len()).sum()
    }

    /// How many nodes have rows, us included.
    pub(super) fn owner_count(&self) -> usize {
        self.owners.len()
    }

    /// Notes that everything of `owner` up to `version` is held: the owner itself has sent it, in order.
    pub(super) fn claim(&mut self, owner: NodeId, version: RowVersion) {
        if let Some(rows) = self.owners.get_mut(&owner).filter(|rows| !rows.gap) {
            rows.complete_to = rows.complete_to.max(version);
        }
    }

    /// Something of `owner` was not taken: what is held of it may have gaps.
    pub(super) fn doubt(&mut self, owner: NodeId) {
        if let Some(rows) = self.owners.get_mut(&owner) {
            rows.complete_to = RowVersion::default();
            rows.gap = true;
        }
    }

    /// Drops everything held of a dead `owner`.
    pub(super) fn forget(&mut self, owner: NodeId) {
        if owner != self.us
            && let Some(rows) = self.owners.remove(&owner)
        {
            self.hosted.forget(owner, rows.rows.keys());
        }
    }

    /// What we hold without gaps, per owner.
    pub(super) fn digest(&self) -> Vec<DigestEntry> {
        self.owners
            .iter()
            .map(|(owner, rows)| DigestEntry {
                owner: *owner,
                newest: rows.complete_to,
            })
            .collect()
    }

    /// The rows somebody with `digest` lacks, `reader`'s own excepted: ours first, each owner's by version.
    pub(super) fn newer_than(&self, digest: &[DigestEntry], reader: NodeId) -> Vec<Told> {
        let held: BTreeMap<NodeId, RowVersion> =
            digest.iter().map(|entry| (entry.owner, entry.newest)).collect();
        let others = self
            .owners
            .keys()
            .copied()
            .filter(|owner| *owner != self.us && *owner != reader);
        let mut answer = Vec::new();
        for owner in std::iter::once(self.us).chain(others) {
            let after = held.get(&owner).copied().unwrap_or_default();
            answer.append(&mut self.owners[&owner].newer_than(owner, after));
        }
        answer
    }

    /// What we hold of one owner, to ask for the rest.
    pub(super) fn summary(&mut self, owner: NodeId) -> OwnerSummary {
        let held = self.owners.get_mut(&owner);
        let held = held.map(|held| {
            held.gap = false;
            &*held
        });
        OwnerSummary {
            owner,
            newest: held.map(|held| held.complete_to).unwrap_or_default(),
            marks: held.map(|held| held.marks).unwrap_or_default(),
        }
    }

    /// The rows of one owner that somebody with `held` of it lacks; none where both hold the same.
    pub(super) fn lacking(&self, owner: NodeId, held: Option<&OwnerSummary>) -> Vec<Told> {
        let Some(rows) = self.owners.get(&owner) else {
            return Vec::new();
        };
        match held {
            Some(held) if held.marks == rows.marks => Vec::new(),
            Some(held) => rows.newer_than(owner, held.newest),
            None => rows.newer_than(owner, RowVersion::default()),
        }
    }

    /// All owners, us included.
    pub(super) fn owners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.owners.keys().copied()
    }

    /// What `node` says of itself.
    pub(super) fn node(&self, node: NodeId) -> Option<&NodeFacts> {
        match self.value(node, &RowKey::Node)? {
            RowValue::Node(facts) => Some(facts),
            _ => None,
        }
    }

    /// The newest incarnation of `node` that its rows show.
    pub(super) fn incarnation(&self, node: NodeId) -> Option<u64> {
        self.owners.get(&node).map(|rows| rows.incarnation)
    }

    /// What `node` says of its links: the peer and whether it is up.
    pub(super) fn links_of(&self, node: NodeId) -> impl Iterator<Item = (NodeId, bool)> + '_ {
        self.link_facts_of(node).map(|facts| (facts.peer, facts.up))
    }

    /// What `node` says of its links.
    pub(super) fn link_facts_of(&self, node: NodeId) -> impl Iterator<Item = &LinkFacts> + '_ {
        self.values(node).filter_map(|value| match value {
            RowValue::Link(facts) => Some(facts),
            _ => None,
        })
    }

    /// Whether `node` says that its link to `peer` works; none where it says nothing.
    pub(super) fn link_is_up(&self, node: NodeId, peer: NodeId) -> Option<bool> {
        self.link_facts(node, peer).map(|facts| facts.up)
    }

    /// Whether both ends say that `a` and `b` are linked, so that rows need no detour.
    pub(super) fn are_linked(&self, a: NodeId, b: NodeId) -> bool {
        self.link_is_up(a, b) == Some(true) && self.link_is_up(b, a) == Some(true)
    }

    /// What `node` says of its link to `peer`.
    pub(super) fn link_facts(&self, node: NodeId, peer: NodeId) -> Option<&LinkFacts> {
        match self.value(node, &RowKey::Link(peer))? {
            RowValue::Link(facts) => Some(facts),
            _ => None,
        }
    }

    /// What `node` says of its part in distribution trees; none of nodes that do not speak of them.
    pub(super) fn transit(&self, node: NodeId) -> Option<&TransitFacts> {
        match self.value(node, &RowKey::Transit)? {
            RowValue::Transit(facts) => Some(facts),
            _ => None,
        }
    }

    /// The key that signs the rows of `node`, and its proof, in the newest incarnation known.
    pub(super) fn identity(&self, node: NodeId) -> Option<&IdentityFacts> {
        self.owners.get(&node)?.identity()
    }

    /// The epoch in which `node` hosts `room`, if it does.
    pub(super) fn host_epoch(&self, node: NodeId, room: &RoomName) -> Option<Epoch> {
        self.hosted.epoch(node, room)
    }

    /// Who hosts `room`.
    pub(super) fn hosting(&self, room: &RoomName) -> impl Iterator<Item = NodeId> + '_ {
        self.hosted.nodes(room)
    }

    /// All rooms in order, each with how many people who hosts it says are there.
    pub(super) fn rooms(&self) -> impl Iterator<Item = (&RoomName, BTreeMap<NodeId, u32>)> + '_ {
        self.hosted.rooms()
    }

    /// The version held of a row.
    pub(super) fn version(&self, node: NodeId, key: &RowKey) -> Option<RowVersion> {
        self.owners.get(&node)?.rows.get(key).map(|held| held.version)
    }

    fn value(&self, node: NodeId, key: &RowKey) -> Option<&RowValue> {
        self.owners.get(&node)?.rows.get(key).map(|held| &held.value)
    }

    fn values(&self, node: NodeId) -> impl Iterator<Item = &RowValue> + '_ {
        self.owners
            .get(&node)
            .into_iter()
            .flat_map(|owner| owner.rows.values().map(|held| &held.value))
    }
}

/// Roughly how many bytes a row takes on the wire with its signature, from above.
pub(super) fn estimated_bytes(row: &Row) -> usize {
    const FIXED: usize = 160;
    let key = match &row.key {
        RowKey::Host(room) => room.as_str().len(),
        RowKey::Node | RowKey::Link(_) | RowKey::Transit | RowKey::Identity => 0,
    };
    let value = match &row.value {
        RowValue::Node(facts) => {
            facts.name.as_str().len() + facts.region.len() + facts.public_url.len() + facts.software.len()
        }
        RowValue::Host(facts) => facts.room.as_str().len(),
        RowValue::Identity(facts) => {
            facts.endorsement.len() + facts.chain.iter().map(|der| der.len() + 8).sum::<usize>()
        }
        RowValue::Link(_) | RowValue::Transit(_) | RowValue::Gone => 0,
    };
    FIXED + key + value
}
