//! The replicated rows: ours, and what we hold of others'.
//!
//! Each node alone writes its rows; a higher version wins and nothing else merges. Everybody holds all rows, so
//! whoever lacks some asks with a digest and gets what is newer. A digest claims only what is held *without
//! gaps*: rows that came from their owner, in order. Rows passed on by others are kept but not claimed.

use super::config::MeshLimits;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::row::{
    DigestEntry, HostFacts, LinkFacts, NodeFacts, Row, RowKey, RowValue, RowVersion, TransitFacts,
};
use std::collections::BTreeMap;

/// What became of a row from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Accepted {
    /// It is news. `reborn`: the owner has restarted and everything older of it was dropped.
    New { reborn: bool },
    /// We hold this or a newer version.
    Stale,
    /// It claims to be ours.
    Ours,
    /// A limit is reached.
    OverLimit,
}

#[derive(Debug, Default)]
struct OwnerRows {
    rows: BTreeMap<RowKey, (RowVersion, RowValue)>,
    /// Newest incarnation seen.
    incarnation: u64,
    /// Everything up to here is held.
    complete_to: RowVersion,
    hosts: usize,
    gone: usize,
}

impl OwnerRows {
    fn put(&mut self, key: RowKey, version: RowVersion, value: RowValue) {
        let (hosts, gone) = weigh(&value);
        if let Some((_, old)) = self.rows.insert(key, (version, value)) {
            let (old_hosts, old_gone) = weigh(&old);
            self.hosts -= old_hosts;
            self.gone -= old_gone;
        }
        self.hosts += hosts;
        self.gone += gone;
    }

    fn forget_oldest_gone(&mut self, keep: usize) {
        if self.gone <= keep {
            return;
        }
        let oldest = self
            .rows
            .iter()
            .filter(|(_, (_, value))| *value == RowValue::Gone)
            .min_by_key(|(_, (version, _))| *version)
            .map(|(key, _)| key.clone());
        if let Some(key) = oldest {
            self.rows.remove(&key);
            self.gone -= 1;
        }
    }
}

fn weigh(value: &RowValue) -> (usize, usize) {
    (
        usize::from(matches!(value, RowValue::Host(_))),
        usize::from(matches!(value, RowValue::Gone)),
    )
}

#[derive(Debug)]
pub(super) struct RowStore {
    us: NodeId,
    newest: RowVersion,
    owners: BTreeMap<NodeId, OwnerRows>,
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
            limits,
        }
    }

    /// Writes one of our rows; answers it where it changed, to be sent to everybody.
    pub(super) fn write(&mut self, key: RowKey, value: RowValue) -> Option<Row> {
        let ours = self.owners.entry(self.us).or_default();
        let unchanged = match ours.rows.get(&key) {
            Some((_, held)) => *held == value,
            None => value == RowValue::Gone,
        };
        if unchanged {
            return None;
        }
        self.newest.counter += 1;
        ours.put(key.clone(), self.newest, value.clone());
        ours.complete_to = self.newest;
        ours.forget_oldest_gone(self.limits.max_gone_rows_per_owner);
        Some(Row {
            owner: self.us,
            key,
            version: self.newest,
            value,
        })
    }

    /// Takes a row from a peer.
    pub(super) fn accept(&mut self, row: Row) -> Accepted {
        if row.owner == self.us {
            return Accepted::Ours;
        }
        if !self.owners.contains_key(&row.owner) && self.owners.len() >= self.limits.max_nodes {
            return Accepted::OverLimit;
        }
        let owner = self.owners.entry(row.owner).or_default();
        if row.version.incarnation < owner.incarnation {
            return Accepted::Stale;
        }
        let reborn = owner.incarnation != 0 && row.version.incarnation > owner.incarnation;
        if reborn {
            *owner = OwnerRows::default();
        }
        owner.incarnation = row.version.incarnation;
        if owner
            .rows
            .get(&row.key)
            .is_some_and(|(held, _)| *held >= row.version)
        {
            return Accepted::Stale;
        }
        let is_new = !owner.rows.contains_key(&row.key);
        let full = match row.value {
            RowValue::Host(_) => owner.hosts >= self.limits.max_rooms_per_owner,
            RowValue::Link(_) => owner.rows.len() - owner.hosts - owner.gone > self.limits.max_nodes,
            RowValue::Node(_) | RowValue::Transit(_) | RowValue::Gone => false,
        };
        if is_new && full {
            return Accepted::OverLimit;
        }
        owner.put(row.key, row.version, row.value);
        owner.forget_oldest_gone(self.limits.max_gone_rows_per_owner);
        Accepted::New { reborn }
    }

    /// Notes that everything of `owner` up to `version` is held: the owner itself has sent it, in order.
    pub(super) fn claim(&mut self, owner: NodeId, version: RowVersion) {
        if let Some(rows) = self.owners.get_mut(&owner) {
            rows.complete_to = rows.complete_to.max(version);
        }
    }

    /// Drops everything held of a dead `owner`.
    pub(super) fn forget(&mut self, owner: NodeId) {
        if owner != self.us {
            self.owners.remove(&owner);
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
    pub(super) fn newer_than(&self, digest: &[DigestEntry], reader: NodeId) -> Vec<Row> {
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
            let mut rows: Vec<Row> = self.owners[&owner]
                .rows
                .iter()
                .filter(|(_, (version, _))| *version > after)
                .map(|(key, (version, value))| Row {
                    owner,
                    key: key.clone(),
                    version: *version,
                    value: value.clone(),
                })
                .collect();
            rows.sort_by_key(|row| row.version);
            answer.append(&mut rows);
        }
        answer
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
        match self.value(node, &RowKey::Link(peer))? {
            RowValue::Link(facts) => Some(facts.up),
            _ => None,
        }
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

    /// The epoch in which `node` hosts `room`, if it does.
    pub(super) fn host_epoch(&self, node: NodeId, room: &RoomName) -> Option<Epoch> {
        match self.value(node, &RowKey::Host(room.clone()))? {
            RowValue::Host(facts) => Some(facts.epoch),
            _ => None,
        }
    }

    /// Every room `node` hosts.
    pub(super) fn hosts_of(&self, node: NodeId) -> impl Iterator<Item = &HostFacts> + '_ {
        self.values(node).filter_map(|value| match value {
            RowValue::Host(facts) => Some(facts),
            _ => None,
        })
    }

    /// The version held of a row.
    pub(super) fn version(&self, node: NodeId, key: &RowKey) -> Option<RowVersion> {
        self.owners.get(&node)?.rows.get(key).map(|(version, _)| *version)
    }

    fn value(&self, node: NodeId, key: &RowKey) -> Option<&RowValue> {
        self.owners.get(&node)?.rows.get(key).map(|(_, value)| value)
    }

    fn values(&self, node: NodeId) -> impl Iterator<Item = &RowValue> + '_ {
        self.owners
            .get(&node)
            .into_iter()
            .flat_map(|owner| owner.rows.values().map(|(_, value)| value))
    }
}

/// Roughly how many bytes a row takes on the wire, from above.
pub(super) fn estimated_bytes(row: &Row) -> usize {
    const FIXED: usize = 96;
    let key = match &row.key {
        RowKey::Host(room) => room.as_str().len(),
        RowKey::Node | RowKey::Link(_) | RowKey::Transit => 0,
    };
    let value = match &row.value {
        RowValue::Node(facts) => {
            facts.name.as_str().len() + facts.region.len() + facts.public_url.len() + facts.software.len()
        }
        RowValue::Host(facts) => facts.room.as_str().len(),
        RowValue::Link(_) | RowValue::Transit(_) | RowValue::Gone => 0,
    };
    FIXED + key + value
}
