//! Rows on their way: ours to everybody, others' to those who have no link to their owner; digests; the dead.

use super::MeshCore;
use super::io::LinkId;
use super::peer::PeerState;
use super::route::reachable;
use super::rows::{Accepted, RowStore, estimated_bytes};
use relay_proto::control::ControlMessage;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::limit::MAX_ROWS;
use relay_proto::room::LeaveCause;
use relay_proto::row::{
    DigestEntry, HostFacts, LinkFacts, NodeFacts, Row, RowKey, RowValue, RowVersion, TransitFacts,
};
use relay_proto::unit::{Micros, PartsPerMillion};
use relay_proto::version::Features;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// Least change of a round trip that is told, besides a tenth of it.
const RTT_STEP: Micros = Micros(1_000);
/// Least change of loss that is told: half a percent.
const LOSS_STEP: PartsPerMillion = PartsPerMillion(5_000);
/// Least change of load that is told: one percent.
const LOAD_STEP: PartsPerMillion = PartsPerMillion(10_000);

impl MeshCore {
    /// Writes the row about this node and tells it where it has changed.
    pub(super) fn write_node_row(&mut self) {
        let facts = NodeFacts {
            name: self.config.name.clone(),
            region: self.config.region.clone(),
            latitude: self.config.latitude,
            longitude: self.config.longitude,
            public_url: self.config.public_url.clone(),
            software: self.config.software.clone(),
            state: self.state,
            load: self.load,
            participants: self.sessions.len() as u32,
        };
        self.write_row(RowKey::Node, RowValue::Node(facts));
    }

    /// Writes that this node takes part in distribution trees, and tells it.
    pub(super) fn write_transit_row(&mut self) {
        let facts = TransitFacts {
            features: Self::features_offered(&self.config),
            stretch: self.config.stretch,
            public_key: self.detours.public_key(),
        };
        self.write_row(RowKey::Transit, RowValue::Transit(facts));
    }

    /// Writes the row about our link to `node` and tells it.
    pub(super) fn write_link_row(&mut self, node: NodeId) {
        let Some(mut facts) = self.link_facts(node) else {
            return;
        };
        // Whatever else has changed: a round trip that has hardly moved stays as told, or trees would follow its jitter.
        if let Some(told) = self.rows.link_facts(self.us, node)
            && facts.up
            && told.up
            && (facts.rtt == Micros(0) || !has_moved(told.rtt, facts.rtt))
        {
            facts.rtt = told.rtt;
        }
        self.write_row(RowKey::Link(node), RowValue::Link(facts));
    }

    pub(super) fn forget_link_row(&mut self, node: NodeId) {
        self.write_row(RowKey::Link(node), RowValue::Gone);
    }

    /// Writes that this node hosts `room`, or does no more, and tells it.
    pub(super) fn write_host_row(&mut self, room: &RoomName) {
        let value = self.rooms.get(room).map_or(RowValue::Gone, |open| {
            RowValue::Host(HostFacts {
                room: room.clone(),
                epoch: open.epoch,
                participants: open.members.len() as u32,
            })
        });
        let hosted = self.rows.host_epoch(self.us, room);
        self.write_row(RowKey::Host(room.clone()), value);
        if self.rows.host_epoch(self.us, room) != hosted {
            self.replant_room(room);
        }
    }

    fn link_facts(&self, node: NodeId) -> Option<LinkFacts> {
        let peer = self.peers.get(&node)?;
        let detector = peer
            .state
            .link()
            .and_then(|id| self.links.get(&id))
            .map(|link| &link.detector);
        let rtt = detector
            .and_then(|detector| detector.least_rtt())
            .unwrap_or_default();
        Some(LinkFacts {
            peer: node,
            up: matches!(peer.state, PeerState::Up { .. } | PeerState::Suspect { .. }),
            rtt: micros(rtt),
            loss: detector.map_or(PartsPerMillion(0), |detector| detector.loss()),
        })
    }

    fn write_row(&mut self, key: RowKey, value: RowValue) {
        if let Some(row) = self.rows.write(key, value) {
            if is_of_ways(&row) {
                self.plan.forget();
            }
            self.push_rows(&[row], |_, _, _| true);
        }
    }

    /// Tells rows to every peer that holds the rest already and that `wants` lets have them.
    fn push_rows(&mut self, rows: &[Row], wants: impl Fn(&RowStore, NodeId, &Row) -> bool) {
        for (node, peer) in &self.peers {
            let (Some(link), true) = (peer.state.link(), peer.has_our_rows) else {
                continue;
            };
            let wanted: Vec<Row> = rows
                .iter()
                .filter(|row| may_read(peer.features, row) && wants(&self.rows, *node, row))
                .cloned()
                .collect();
            if !wanted.is_empty() {
                self.out.control(link, ControlMessage::Rows(wanted));
            }
        }
    }

    /// Looks at what changes smoothly; tells it where it has moved enough to matter.
    pub(super) fn refresh_rows(&mut self) {
        let told = self.rows.node(self.us);
        let participants = self.sessions.len() as u32;
        if told.is_none_or(|told| {
            told.participants != participants || told.load.0.abs_diff(self.load.0) >= LOAD_STEP.0
        }) {
            self.write_node_row();
        }
        let moved: Vec<NodeId> = self
            .peers
            .keys()
            .copied()
            .filter(|node| self.link_has_moved(*node))
            .collect();
        for node in moved {
            let told = self.rows.link_facts(self.us, node);
            self.plan.measured |= told.is_none_or(|told| told.rtt == Micros(0));
            self.write_link_row(node);
        }
        let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
        for room in rooms {
            self.write_host_row(&room);
        }
    }

    fn link_has_moved(&self, node: NodeId) -> bool {
        let Some(now) = self.link_facts(node) else {
            return false;
        };
        let Some(told) = self.rows.link_facts_of(self.us).find(|facts| facts.peer == node) else {
            return true;
        };
        let rtt_moved = has_moved(told.rtt, now.rtt);
        let loss_moved = told.loss.0.abs_diff(now.loss.0) > LOSS_STEP.0;
        now.up && (rtt_moved || loss_moved)
    }

    /// Asks every peer for what we lack.
    pub(super) fn ask_everybody(&mut self) {
        let links: Vec<LinkId> = self.peers.values().filter_map(|peer| peer.state.link()).collect();
        for link in links {
            self.out
                .control(link, ControlMessage::RowDigest(self.rows.digest()));
        }
    }

    /// A peer asks for what it lacks. On a link that we have not selected yet the answer waits until we have:
    /// only from then on does the peer get every later row there.
    pub(super) fn on_digest(&mut self, link: LinkId, from: NodeId, digest: Vec<DigestEntry>) {
        if self.link_of(from) != Some(link) {
            if let Some(link) = self.links.get_mut(&link) {
                link.early_digest = Some(digest);
            }
            return;
        }
        let features = self.features_of(from).unwrap_or_default();
        let mut rows = self.rows.newer_than(&digest, from);
        rows.retain(|row| may_read(features, row));
        let mut chunk = Vec::new();
        let mut bytes = 0;
        for row in rows {
            let size = estimated_bytes(&row);
            if bytes + size > self.config.limits.max_rows_message_bytes || chunk.len() == MAX_ROWS {
                self.out
                    .control(link, ControlMessage::Rows(std::mem::take(&mut chunk)));
                bytes = 0;
            }
            bytes += size;
            chunk.push(row);
        }
        if !chunk.is_empty() {
            self.out.control(link, ControlMessage::Rows(chunk));
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.has_our_rows = true;
        }
    }

    /// Rows from a peer: its own, or passed on.
    pub(super) fn on_rows(&mut self, now: Instant, from: NodeId, rows: Vec<Row>) {
        let mut news = Vec::new();
        let mut own = None::<RowVersion>;
        let mut hosts = Vec::new();
        let mut rehosted = BTreeSet::new();
        let mut paths_changed = false;
        for row in rows {
            if row.owner == from {
                own = own.max(Some(row.version));
            }
            if let RowKey::Host(room) = &row.key {
                hosts.push((row.owner, room.clone(), row.version));
            }
            let worked = self.link_works(&row);
            let hosted = self.hosts_by(&row);
            if self.take_row(row.clone()) {
                paths_changed |= self.link_works(&row) != worked;
                if is_of_ways(&row) {
                    self.plan.forget();
                }
                if let RowKey::Host(room) = &row.key
                    && self.hosts_by(&row) != hosted
                {
                    rehosted.insert((row.owner, room.clone()));
                }
                news.push(row);
            }
        }
        if let Some(version) = own {
            self.rows.claim(from, version);
        }
        if news.iter().any(|row| row.key == RowKey::Node) {
            self.note_draining();
        }
        if paths_changed || news.iter().any(|row| !self.alive.contains(&row.owner)) {
            self.on_topology_changed(now);
        }
        news.retain(|row| self.alive.contains(&row.owner));
        for (owner, room, version) in hosts {
            // While its owner is linked, a room closes in the order of the owner's own words: what others pass on
            // may overtake the last steps of its stream.
            let in_order = owner == from || self.link_of(owner).is_none();
            if in_order && self.rows.version(owner, &RowKey::Host(room.clone())) == Some(version) {
                self.on_host_row(owner, &room);
            }
        }
        for (owner, room) in rehosted {
            self.on_rehosted(owner, &room);
        }
        self.push_rows(&news, |held, reader, row| {
            reader != from && reader != row.owner && !linked(held, reader, row.owner)
        });
    }

    /// In which epoch the held version of a row says that its owner hosts its room, where it is about one.
    fn hosts_by(&self, row: &Row) -> Option<Epoch> {
        match &row.key {
            RowKey::Host(room) => self.rows.host_epoch(row.owner, room),
            RowKey::Node | RowKey::Link(_) | RowKey::Transit => None,
        }
    }

    /// A node hosts a room, or does no more, or anew: its own tree there is over, and it has another place in others.
    fn on_rehosted(&mut self, owner: NodeId, room: &RoomName) {
        let key = (owner, room.clone());
        let hosted = self.rows.host_epoch(owner, room);
        let known = self.branches.get(&key).map(|branch| branch.epoch);
        let heard = self
            .rooms
            .get(room)
            .is_some_and(|room| room.origins.contains_key(&owner));
        // What this node hears of the room itself ends in the order of the owner's own words.
        if !heard && known.is_some() && known != hosted {
            self.fell_branch(&key);
        }
        self.replant_room(room);
    }

    /// What the held version of a row says of its link, where it is about one: whether it works, and is measured.
    fn link_works(&self, row: &Row) -> Option<(bool, bool)> {
        match row.key {
            RowKey::Link(peer) => {
                let facts = self.rows.link_facts(row.owner, peer)?;
                Some((facts.up, facts.rtt > Micros(0)))
            }
            RowKey::Node | RowKey::Host(_) | RowKey::Transit => None,
        }
    }

    /// Stores a row; answers whether it is news.
    fn take_row(&mut self, row: Row) -> bool {
        let owner = row.owner;
        let incarnation = row.version.incarnation;
        if self.departed.get(&owner).is_some_and(|old| incarnation <= *old) {
            return false;
        }
        match self.rows.accept(row) {
            Accepted::New { reborn } => {
                if reborn {
                    info!(node = %owner, "node has restarted");
                    self.drop_origin_everywhere(owner, LeaveCause::NodeLost);
                    self.detours.forget(owner);
                }
                self.departed.remove(&owner);
                true
            }
            Accepted::Stale => false,
            Accepted::Ours => {
                self.on_row_in_our_name(incarnation);
                false
            }
            Accepted::OverLimit => {
                self.counters.rows_over_limit += 1;
                if self.counters.rows_over_limit == 1 {
                    warn!(node = %owner, "row dropped: a limit (max_nodes, max_rooms_per_owner) is reached");
                }
                false
            }
        }
    }

    fn on_row_in_our_name(&mut self, incarnation: u64) {
        if incarnation < self.incarnation {
            return;
        }
        self.counters.rows_in_our_name += 1;
        if self.counters.rows_in_our_name == 1 {
            error!(
                "a peer holds rows in our name that we have not written: two nodes of one name, or our clock went back"
            );
        }
    }

    /// Which nodes live may have changed: buries the dead and asks for the rows of those who are back.
    pub(super) fn on_topology_changed(&mut self, _now: Instant) {
        let direct: BTreeSet<NodeId> = self
            .peers
            .iter()
            .filter(|(_, peer)| peer.state.link().is_some())
            .map(|(node, _)| *node)
            .collect();
        let mut alive = reachable(self.us, &direct, &self.rows);
        alive.retain(|node| direct.contains(node) || !self.departed.contains_key(node));
        let died: BTreeSet<NodeId> = self
            .rows
            .owners()
            .chain(self.alive.iter().copied())
            .filter(|node| *node != self.us && !alive.contains(node))
            .collect();
        let is_back = alive
            .iter()
            .any(|node| !self.alive.contains(node) && self.rows.node(*node).is_none());
        let lived = std::mem::replace(&mut self.alive, alive);
        for node in died {
            if lived.contains(&node) {
                info!(node = %node, "node is dead: no live path leads to it");
            }
            self.bury(node, LeaveCause::NodeLost);
        }
        if is_back {
            self.ask_everybody();
        }
        self.plan.forget();
        self.replant();
    }

    /// Drops everything known of a dead node.
    pub(super) fn bury(&mut self, node: NodeId, cause: LeaveCause) {
        if let (Some(peer), Some(facts)) = (self.peers.get_mut(&node), self.rows.node(node)) {
            peer.last_facts = Some(facts.clone());
        }
        self.rows.forget(node);
        self.plan.forget();
        self.forget_reader(node);
        self.drop_child(node);
        self.detours.forget(node);
        self.end_remote(node, cause);
        self.drop_origin_everywhere(node, cause);
        let of_dead = self.branches.keys().filter(|(origin, _)| *origin == node);
        for key in of_dead.cloned().collect::<Vec<_>>() {
            self.fell_branch(&key);
        }
    }
}

/// Whether a round trip has changed so much that it is told.
fn has_moved(told: Micros, now: Micros) -> bool {
    let first = told == Micros(0) && now > Micros(0);
    first || told.0.abs_diff(now.0) > RTT_STEP.0.max(told.0 / 10)
}

/// Whether a row is about the ways through the mesh.
const fn is_of_ways(row: &Row) -> bool {
    matches!(row.key, RowKey::Link(_) | RowKey::Transit)
}

/// Whether a peer can read a row.
const fn may_read(features: Features, row: &Row) -> bool {
    !matches!(row.key, RowKey::Transit) || features.has(Features::TREES)
}

/// Whether both ends say that `a` and `b` are linked, so that rows need no detour.
fn linked(rows: &RowStore, a: NodeId, b: NodeId) -> bool {
    rows.link_is_up(a, b) == Some(true) && rows.link_is_up(b, a) == Some(true)
}

fn micros(duration: Duration) -> Micros {
    Micros(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_trip_is_told_however_short_and_later_ones_when_they_have_moved() {
        let moved = |told, now| has_moved(Micros(told), Micros(now));
        assert!(
            moved(0, 400),
            "else a link within a city would count as unmeasured"
        );
        assert!(!moved(0, 0));
        assert!(!moved(400, 1_300) && moved(400, 1_500));
        assert!(!moved(100_000, 109_000) && moved(100_000, 89_000));
    }
}
