//! Rows on their way: ours to everybody, others' to those who have no link to their owner; digests; the dead.

use super::MeshCore;
use super::author::RENEWAL;
use super::exchange::may_read;
use super::peer::PeerState;
use super::route::reachable;
use super::rows::{Accepted, Teller, Told};
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::room::LeaveCause;
use relay_proto::row::{LinkFacts, NodeFacts, Row, RowKey, RowValue, RowVersion, TransitFacts};
use relay_proto::unit::{Micros, PartsPerMillion};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use tracing::{error, info, warn};

/// How long a round trip stands as told before smaller changes of it are: what is remembered of it has passed by then.
const SETTLED: Duration = Duration::from_secs(8);
/// Least change of a round trip that is told, besides a part of it.
const RTT_STEP: Micros = Micros(1_000);
/// Least change of loss that is told: half a percent.
const LOSS_STEP: PartsPerMillion = PartsPerMillion(5_000);
/// Least change of load that is told: one percent.
const LOAD_STEP: PartsPerMillion = PartsPerMillion(10_000);
/// How soon all others hear how many people are on this node: well before those forget whom they have sent here
/// (`RESERVATION_LIFETIME` of signalling).
const RECOUNT: Duration = Duration::from_secs(2);

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
            features: self.features,
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
            && (facts.rtt == Micros(0) || !self.round_trip_has_moved(node, told.rtt, facts.rtt))
        {
            facts.rtt = told.rtt;
        } else if let Some(peer) = self.peers.get_mut(&node) {
            peer.round_trip_told_at = Some(self.looked_at);
        }
        self.write_row(RowKey::Link(node), RowValue::Link(facts));
    }

    pub(super) fn forget_link_row(&mut self, node: NodeId) {
        self.write_row(RowKey::Link(node), RowValue::Gone);
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

    /// Writes what proves the key of our rows, anew where it is time.
    pub(super) fn write_identity_row(&mut self, now: Instant) {
        let Some((author, authority)) = self.author.as_mut().zip(self.config.authority.clone()) else {
            return;
        };
        author.renew_at = now + RENEWAL;
        match authority.vouch(author.public()) {
            Some(facts) => self.write_row(RowKey::Identity, RowValue::Identity(facts)),
            None => warn!(
                "no certificate proves our rows any more: nodes without a link to this one will not believe them"
            ),
        }
    }

    fn write_row(&mut self, key: RowKey, value: RowValue) {
        let author = self.author.as_ref();
        let written = self.rows.write(key, value, |row| Some(author?.sign(row)));
        if let Some(told) = written {
            if is_of_ways(&told.row) {
                self.plan.forget();
            }
            self.push_our_rows(&[told]);
        }
    }

    /// Writes one of our rows that is about a room; it is not told yet.
    pub(super) fn write_room_row(&mut self, room: &RoomName, value: RowValue) -> Option<Told> {
        let author = self.author.as_ref();
        let key = RowKey::Host(room.clone());
        self.rows.write(key, value, |row| Some(author?.sign(row)))
    }

    /// Tells rows of ours to every peer.
    pub(super) fn push_our_rows(&mut self, rows: &[Told]) {
        if !rows.is_empty() {
            let peers = self.peers.keys();
            self.push_rows(peers.map(|peer| (*peer, rows.to_vec())).collect());
        }
    }

    /// Passes rows on to those who have no link to their owners.
    fn pass_on(&mut self, from: NodeId, rows: &[Told]) {
        let mut for_each: BTreeMap<NodeId, Vec<Told>> = BTreeMap::new();
        for told in rows {
            let strangers = self.strangers_to(told.row.owner).iter();
            for reader in strangers.filter(|reader| **reader != from) {
                for_each.entry(*reader).or_default().push(told.clone());
            }
        }
        self.push_rows(for_each);
    }

    /// Tells rows to those peers among the readers that hold the rest already.
    fn push_rows(&mut self, for_each: BTreeMap<NodeId, Vec<Told>>) {
        for (reader, mut rows) in for_each {
            let Some(peer) = self.peers.get(&reader).filter(|peer| peer.has_our_rows) else {
                continue;
            };
            let (Some(link), features) = (peer.state.link(), peer.features) else {
                continue;
            };
            rows.retain(|told| may_read(features, &told.row.key));
            if !rows.is_empty() {
                self.send_rows(link, features, rows);
            }
        }
    }

    /// Looks at what changes smoothly; tells it where it has moved enough to matter.
    pub(super) fn refresh_rows(&mut self) {
        let told = self.rows.node(self.us);
        let participants = self.sessions.len() as u32;
        let recount = self.looked_at.saturating_duration_since(self.counted_at) >= RECOUNT;
        if told.is_none_or(|told| {
            (recount && told.participants != participants) || told.load.0.abs_diff(self.load.0) >= LOAD_STEP.0
        }) {
            self.counted_at = self.looked_at;
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
        self.refresh_rooms();
    }

    fn link_has_moved(&self, node: NodeId) -> bool {
        let Some(now) = self.link_facts(node) else {
            return false;
        };
        let Some(told) = self.rows.link_facts_of(self.us).find(|facts| facts.peer == node) else {
            return true;
        };
        let rtt_moved = self.round_trip_has_moved(node, told.rtt, now.rtt);
        let loss_moved = told.loss.0.abs_diff(now.loss.0) > LOSS_STEP.0;
        now.up && (rtt_moved || loss_moved)
    }

    fn round_trip_has_moved(&self, node: NodeId, told: Micros, now: Micros) -> bool {
        let told_at = self.peers.get(&node).and_then(|peer| peer.round_trip_told_at);
        let stands = told_at.map_or(Duration::ZERO, |at| self.looked_at.saturating_duration_since(at));
        has_moved(told, now, stands)
    }

    /// Rows from a peer: its own, or passed on.
    pub(super) fn on_rows(&mut self, now: Instant, from: NodeId, mut rows: Vec<Told>) {
        // What proves the others comes first.
        rows.sort_by_key(|told| told.row.key != RowKey::Identity);
        let mut news = Vec::new();
        let mut own = None::<RowVersion>;
        let mut hosts = Vec::new();
        let mut rehosted = BTreeSet::new();
        let mut paths_changed = false;
        for told in rows {
            let row = &told.row;
            let Some(teller) = self.may_tell(now, from, &told) else {
                continue;
            };
            if row.owner == from {
                own = own.max(Some(row.version));
            }
            if let RowKey::Host(room) = &row.key {
                hosts.push((row.owner, room.clone(), row.version));
            }
            let worked = self.link_works(row);
            let hosted = self.hosts_by(row);
            if self.take_row(told.clone(), teller) {
                paths_changed |= self.link_works(row) != worked;
                if is_of_ways(row) {
                    self.plan.forget();
                }
                if let RowKey::Host(room) = &row.key
                    && self.hosts_by(row) != hosted
                {
                    rehosted.insert((row.owner, room.clone()));
                }
                news.push(told);
            }
        }
        if let Some(version) = own {
            self.rows.claim(from, version);
        }
        if news.iter().any(|told| told.row.key == RowKey::Node) {
            self.note_draining();
        }
        if paths_changed || news.iter().any(|told| !self.alive.contains(&told.row.owner)) {
            self.on_topology_changed(now);
        }
        news.retain(|told| self.alive.contains(&told.row.owner));
        for (owner, room, version) in hosts {
            if self.rows.version(owner, &RowKey::Host(room.clone())) == Some(version) {
                self.on_host_row(owner, &room);
            }
        }
        for (owner, room) in rehosted {
            self.on_rehosted(owner, &room);
        }
        self.pass_on(from, &news);
    }

    /// In which epoch the held version of a row says that its owner hosts its room, where it is about one.
    fn hosts_by(&self, row: &Row) -> Option<Epoch> {
        match &row.key {
            RowKey::Host(room) => self.host_epoch(row.owner, room),
            RowKey::Node | RowKey::Link(_) | RowKey::Transit | RowKey::Identity => None,
        }
    }

    /// A node hosts a room, or does no more, or anew: its own tree there is over, and it has another place in others.
    pub(super) fn on_rehosted(&mut self, owner: NodeId, room: &RoomName) {
        let key = (owner, room.clone());
        let hosted = self.host_epoch(owner, room);
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
            RowKey::Node | RowKey::Host(_) | RowKey::Transit | RowKey::Identity => None,
        }
    }

    /// Stores a row; answers whether it is news.
    fn take_row(&mut self, told: Told, teller: Teller) -> bool {
        let owner = told.row.owner;
        let incarnation = told.row.version.incarnation;
        if self.departed.get(&owner).is_some_and(|old| incarnation <= *old) {
            return false;
        }
        if teller == Teller::Owner {
            self.make_room_for_owner(owner);
        }
        match self.rows.accept(told, teller) {
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
            Accepted::Contradicts => {
                self.refuse_row(owner, owner, "it names another key than its owner has");
                false
            }
            Accepted::OverLimit => {
                self.counters.rows_over_limit += 1;
                if self.counters.rows_over_limit == 1 {
                    warn!(node = %owner, "row dropped: a limit (limits.nodes, limits.rooms, limits.rows) is reached");
                }
                false
            }
        }
    }

    /// Whoever has a link to us is not kept out by nodes that are only said to be there.
    fn make_room_for_owner(&mut self, owner: NodeId) {
        let limits = &self.config.limits;
        let full = self.rows.owner_count() >= limits.max_nodes || self.rows.len() >= limits.max_rows;
        if !full || self.rows.incarnation(owner).is_some() {
            return;
        }
        let heard_of = |node: &NodeId| *node != self.us && self.link_of(*node).is_none();
        let last = self.rows.owners().filter(heard_of).last();
        if let Some(node) = last {
            self.bury(node, LeaveCause::NodeLost);
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
        let unknown: Vec<NodeId> = alive
            .iter()
            .copied()
            .filter(|node| !direct.contains(node) && self.rows.node(*node).is_none())
            .collect();
        let lived = std::mem::replace(&mut self.alive, alive);
        for node in died {
            if lived.contains(&node) {
                info!(node = %node, "node is dead: no live path leads to it");
            }
            self.bury(node, LeaveCause::NodeLost);
        }
        self.plan.forget();
        self.ask_about(&unknown);
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

/// Whether a round trip has changed so much that it is told, where what was told before stands for so long: a tenth at once,
/// and later a 40th. The first ones are measured while everybody starts, and trees whose bound is a 20th go by them.
fn has_moved(told: Micros, now: Micros, stands: Duration) -> bool {
    let first = told == Micros(0) && now > Micros(0);
    let part = if stands < SETTLED { 10 } else { 40 };
    first || told.0.abs_diff(now.0) > RTT_STEP.0.max(told.0 / part)
}

/// Whether a row is about the ways through the mesh.
const fn is_of_ways(row: &Row) -> bool {
    matches!(row.key, RowKey::Link(_) | RowKey::Transit)
}

fn micros(duration: Duration) -> Micros {
    Micros(u32::try_from(duration.as_micros()).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_round_trip_is_told_however_short_and_later_ones_when_they_have_moved() {
        let moved = |told, now| has_moved(Micros(told), Micros(now), Duration::ZERO);
        let moved_since = |told, now| has_moved(Micros(told), Micros(now), SETTLED);
        assert!(
            moved(0, 400),
            "else a link within a city would count as unmeasured"
        );
        assert!(!moved(0, 0));
        assert!(!moved(400, 1_300) && moved(400, 1_500));
        assert!(!moved(100_000, 109_000) && moved(100_000, 89_000));
        assert!(moved_since(100_000, 103_000) && !moved_since(100_000, 102_000) && !moved_since(400, 1_300));
    }
}
