//! Connections: hello, refusals, duplicates, goodbye. One peer may have several links for a moment; one is selected.
//!
//! ```text
//! Greeting --hello accepted--> Established --we retire the spare--> Retiring --peer's goodbye or grace--> (closed)
//! ```
//! Of two links the node with the smaller id decides alone, so that both sides never retire different ones: it
//! keeps the one it dialled itself. The other side follows its goodbye. A retiring link is still read for data
//! messages and media, so that nothing in flight is lost.

use super::detector::Detector;
use super::io::{CloseCause, LinkDirection, LinkId, MeshOutput};
use super::peer::{Peer, PeerEvent, PeerState};
use super::route::Route;
use super::{MeshCore, view::LinkState};
use crate::shard::io::ShardCommand;
use relay_proto::control::{ControlMessage, GoodbyeCause, Hello};
use relay_proto::id::NodeId;
use relay_proto::room::{LeaveCause, RoomEvent};
use relay_proto::version::{Features, agree};
use std::time::Instant;
use tracing::{debug, info, warn};

/// Datagrams every QUIC path takes (RFC 9000 section 14) less the overhead of quinn's datagram frame.
const SAFE_DATAGRAM_BYTES: usize = 1_162;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkPhase {
    /// Our hello is sent; theirs must come until then.
    Greeting { until: Instant },
    /// Both have said hello. `peer_left`: the peer has retired it and waits for us to move.
    Established { peer: NodeId, peer_left: bool },
    /// A spare that we have said goodbye on.
    Retiring { peer: NodeId, until: Instant },
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) direction: LinkDirection,
    pub(super) phase: LinkPhase,
    pub(super) detector: Detector,
    pub(super) next_ping: Instant,
    max_datagram_bytes: usize,
    /// Whether the peer has ever sent a digest on it, the first message on a link it has selected.
    digest_seen: bool,
}

/// Who says hello with what, checked.
enum Greeting {
    Welcome,
    Refused(GoodbyeCause, CloseCause),
}

impl MeshCore {
    pub(super) fn on_link_up(&mut self, now: Instant, id: LinkId, direction: LinkDirection) {
        if self.stopped {
            self.out.goodbye(id, GoodbyeCause::Stopping);
            self.out.close(id, CloseCause::WeLeft(GoodbyeCause::Stopping));
            return;
        }
        if self.links.len() >= self.config.limits.max_links {
            self.counters.links_refused += 1;
            warn!(
                links = self.links.len(),
                "link refused: limits.max_links is reached"
            );
            self.out.close(id, CloseCause::LimitReached);
            return;
        }
        let (newest_version, oldest_version) = self.config.versions;
        let hello = Hello {
            newest_version,
            oldest_version,
            features: Features::OURS,
            name: self.config.name.clone(),
            incarnation: self.incarnation,
            software: self.config.software.clone(),
        };
        self.out.control(id, ControlMessage::Hello(hello));
        let link = Link {
            direction,
            phase: LinkPhase::Greeting {
                until: now + self.config.timing.hello_timeout,
            },
            detector: Detector::new(self.config.timing, now),
            next_ping: now,
            max_datagram_bytes: SAFE_DATAGRAM_BYTES,
            digest_seen: false,
        };
        self.links.insert(id, link);
    }

    pub(super) fn on_control(&mut self, now: Instant, id: LinkId, message: ControlMessage) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        match (link.phase, message) {
            (LinkPhase::Greeting { .. }, ControlMessage::Hello(hello)) => self.on_hello(now, id, &hello),
            (_, ControlMessage::Goodbye(cause)) => self.on_goodbye(now, id, cause),
            (LinkPhase::Greeting { .. }, _) => self.violate(now, id, "a message before the hello"),
            (_, ControlMessage::Hello(_)) => self.violate(now, id, "a second hello"),
            (LinkPhase::Established { peer, .. }, message) => self.on_message(now, id, peer, message),
            (LinkPhase::Retiring { peer, .. }, message) => self.on_spare_message(peer, message),
        }
    }

    fn on_message(&mut self, now: Instant, id: LinkId, from: NodeId, message: ControlMessage) {
        if !self.speaks_on(id, from, &message) {
            self.on_spare_message(from, message);
            return;
        }
        match message {
            ControlMessage::RowDigest(digest) => self.on_digest(id, from, &digest),
            ControlMessage::Rows(rows) => self.on_rows(now, from, rows),
            ControlMessage::Room(message) => self.on_room_message(from, message),
            ControlMessage::Demand { room, epoch, tracks } => self.on_demand(from, &room, epoch, &tracks),
            ControlMessage::Command { .. } | ControlMessage::Fact(_) => self.on_unsupported(from),
            // Both are dispatched before.
            ControlMessage::Hello(_) | ControlMessage::Goodbye(_) => {}
        }
    }

    /// Whether the peer speaks on this link: on the newest one it has sent a first digest on.
    fn speaks_on(&mut self, id: LinkId, from: NodeId, message: &ControlMessage) -> bool {
        let (Some(link), Some(peer)) = (self.links.get_mut(&id), self.peers.get_mut(&from)) else {
            return false;
        };
        if matches!(message, ControlMessage::RowDigest(_)) && !link.digest_seen {
            link.digest_seen = true;
            peer.speaks_on = Some(id);
        }
        peer.speaks_on == Some(id)
    }

    /// On a link the peer has left or is about to, only data counts: all else is told again on the other one.
    fn on_spare_message(&mut self, from: NodeId, message: ControlMessage) {
        match message {
            ControlMessage::Room(message) if matches!(message.event, RoomEvent::DataSent(_)) => {
                self.on_room_message(from, message);
            }
            _ => self.counters.messages_on_spare += 1,
        }
    }

    fn on_unsupported(&mut self, from: NodeId) {
        self.counters.remote_sessions_unsupported += 1;
        if self.counters.remote_sessions_unsupported == 1 {
            warn!(peer = %from, "a peer's signalling wants a session here; this version does not serve that");
        }
    }

    fn on_hello(&mut self, now: Instant, id: LinkId, hello: &Hello) {
        let node = NodeId::of(hello.name.as_str());
        match self.greet(node, hello) {
            Greeting::Refused(goodbye, cause) => {
                self.counters.links_refused += 1;
                self.out.goodbye(id, goodbye);
                self.out.close(id, cause);
                self.links.remove(&id);
            }
            Greeting::Welcome => self.on_welcome(now, id, node, hello),
        }
    }

    fn greet(&mut self, node: NodeId, hello: &Hello) -> Greeting {
        let ours = self.config.versions;
        let theirs = (hello.newest_version, hello.oldest_version);
        if agree(ours, theirs).is_none() {
            warn!(
                peer = %hello.name, software = %hello.software,
                our_newest = ours.0, our_oldest = ours.1, their_newest = theirs.0, their_oldest = theirs.1,
                "peer refused: no protocol version is spoken by both; upgrade the older side"
            );
            return refused(GoodbyeCause::VersionMismatch);
        }
        if node == self.us {
            let itself = hello.name == self.config.name && hello.incarnation == self.incarnation;
            if itself {
                warn!(name = %hello.name, "the node has connected to itself; take its own address off the peer list");
                return Greeting::Refused(GoodbyeCause::NameTaken, CloseCause::SelfConnection);
            }
            warn!(peer = %hello.name, ours = %self.config.name, "peer refused: it bears our name or id; rename one node");
            return refused(GoodbyeCause::NameTaken);
        }
        if let Some(holder) = self.holder_of(node)
            && holder != hello.name.as_str()
        {
            warn!(peer = %hello.name, holder, "peer refused: its id is that of another name; rename one node");
            return refused(GoodbyeCause::NameTaken);
        }
        let linked = self.peers.get(&node).filter(|peer| peer.state.link().is_some());
        if linked.is_some_and(|peer| peer.incarnation > hello.incarnation) {
            warn!(peer = %hello.name, "peer refused: a node of that name that started later is linked; rename one node");
            return refused(GoodbyeCause::NameTaken);
        }
        if !self.peers.contains_key(&node) && !self.make_room_for_a_peer() {
            warn!(peer = %hello.name, "peer refused: limits.max_nodes is reached");
            return Greeting::Refused(GoodbyeCause::ProtocolViolation, CloseCause::LimitReached);
        }
        Greeting::Welcome
    }

    /// The name under which a live node of that id is known.
    fn holder_of(&self, node: NodeId) -> Option<&str> {
        let linked = self.peers.get(&node).filter(|peer| peer.state.link().is_some());
        linked
            .map(|peer| peer.name.as_str())
            .or_else(|| self.rows.node(node).map(|facts| facts.name.as_str()))
    }

    /// Forgets a dead peer where there are too many.
    fn make_room_for_a_peer(&mut self) -> bool {
        if self.peers.len() + 1 < self.config.limits.max_nodes {
            return true;
        }
        let alive = &self.alive;
        let dead = self
            .peers
            .iter()
            .find(|(node, peer)| peer.state.link().is_none() && !alive.contains(node))
            .map(|(node, _)| *node);
        let Some(dead) = dead else {
            return false;
        };
        self.peers.remove(&dead);
        self.departed.remove(&dead);
        self.forget_link_row(dead);
        true
    }

    fn on_welcome(&mut self, now: Instant, id: LinkId, node: NodeId, hello: &Hello) {
        let known = self.peers.get(&node).map(|peer| peer.incarnation);
        let row = self.rows.incarnation(node);
        if known.into_iter().chain(row).any(|held| held != hello.incarnation) {
            self.on_peer_restarted(now, node);
        }
        self.departed.remove(&node);
        let peer = self.peers.entry(node).or_insert_with(|| Peer {
            name: hello.name.clone(),
            incarnation: hello.incarnation,
            features: Features::default(),
            state: PeerState::Connecting,
            speaks_on: None,
            has_our_rows: false,
        });
        peer.name = hello.name.clone();
        peer.incarnation = hello.incarnation;
        peer.features = Features::OURS.common(hello.features);
        if let Some(link) = self.links.get_mut(&id) {
            link.phase = LinkPhase::Established {
                peer: node,
                peer_left: false,
            };
            link.detector = Detector::new(self.config.timing, now);
            link.next_ping = now;
        }
        info!(peer = %hello.name, software = %hello.software, link = id.0, "peer has said hello");
        self.place_link(now, node, id);
    }

    /// Drops whatever is known of a peer's former process; its new one is at the door.
    fn on_peer_restarted(&mut self, now: Instant, node: NodeId) {
        info!(peer = %node, "peer has restarted");
        for id in self.links_to(node) {
            self.links.remove(&id);
            self.out.close(id, CloseCause::PeerRestarted);
        }
        self.deselect(now, node);
        self.alive.remove(&node);
        self.bury(node, LeaveCause::NodeLost);
    }

    /// Decides between the selected link of a peer and one that has just said hello.
    fn place_link(&mut self, now: Instant, node: NodeId, new: LinkId) {
        let Some(current) = self.peers.get(&node).and_then(|peer| peer.state.link()) else {
            self.select(now, node, new);
            return;
        };
        let take_new = self.prefers(node, current, new);
        if take_new {
            self.select(now, node, new);
        }
        if self.us < node {
            self.retire(now, if take_new { current } else { new });
        }
    }

    fn prefers(&self, node: NodeId, current: LinkId, new: LinkId) -> bool {
        let (Some(old_link), Some(new_link)) = (self.links.get(&current), self.links.get(&new)) else {
            return true;
        };
        let ailing = self
            .peers
            .get(&node)
            .is_some_and(|peer| peer.state.kind() == LinkState::Suspect);
        let left = matches!(old_link.phase, LinkPhase::Established { peer_left: true, .. });
        if ailing || left {
            return true;
        }
        let by_smaller = |link: &Link| (link.direction == LinkDirection::Dialled) == (self.us < node);
        match (by_smaller(old_link), by_smaller(new_link)) {
            (true, false) => false,
            (false, true) => true,
            // A node that dials again has lost its old link, so the one that was dialled takes the newest.
            _ => new_link.direction == LinkDirection::Accepted,
        }
    }

    /// Uses `id` for `node` from now on and tells everything anew on it.
    pub(super) fn select(&mut self, now: Instant, node: NodeId, id: LinkId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let before = peer.state.kind();
        peer.state = peer.state.step(PeerEvent::LinkSelected(id));
        peer.has_our_rows = false;
        self.out.push(MeshOutput::SelectLink {
            peer: node,
            link: Some(id),
        });
        if before != LinkState::Up {
            info!(peer = %node, link = id.0, "peer is up");
        }
        self.set_route(node, self.links.get(&id).map(|link| link.max_datagram_bytes));
        self.write_link_row(node);
        self.out
            .control(id, ControlMessage::RowDigest(self.rows.digest()));
        self.on_topology_changed(now);
        self.tell_all_rooms(node);
    }

    /// Says goodbye on a spare link and reads it a little longer.
    fn retire(&mut self, now: Instant, id: LinkId) {
        let until = now + self.config.timing.retire_grace;
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        let LinkPhase::Established { peer, peer_left } = link.phase else {
            return;
        };
        debug!(peer = %peer, link = id.0, "spare link retired");
        self.out.goodbye(id, GoodbyeCause::DuplicateLink);
        link.phase = LinkPhase::Retiring { peer, until };
        if peer_left {
            self.links.remove(&id);
            self.out
                .close(id, CloseCause::WeLeft(GoodbyeCause::DuplicateLink));
        }
        self.follow_speech(peer);
    }

    /// After a link has gone, the peer speaks on the selected one.
    fn follow_speech(&mut self, node: NodeId) {
        let links = &self.links;
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let still_read = peer
            .speaks_on
            .and_then(|id| links.get(&id))
            .is_some_and(|link| matches!(link.phase, LinkPhase::Established { .. }));
        if !still_read {
            peer.speaks_on = peer.state.link();
        }
    }

    fn on_goodbye(&mut self, now: Instant, id: LinkId, cause: GoodbyeCause) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match (&mut link.phase, cause) {
            (LinkPhase::Established { peer, peer_left }, GoodbyeCause::DuplicateLink) => {
                *peer_left = true;
                let node = *peer;
                self.leave_spare(now, node, id);
            }
            (LinkPhase::Greeting { .. }, cause) => {
                self.counters.links_refused += 1;
                warn!(?cause, "the peer has refused our link; its log says more");
                self.drop_link(now, id, CloseCause::PeerLeft(cause));
            }
            (LinkPhase::Established { peer, .. }, GoodbyeCause::Stopping) => {
                let node = *peer;
                self.on_peer_stopping(now, node);
            }
            (_, cause) => {
                debug!(?cause, link = id.0, "goodbye");
                self.drop_link(now, id, CloseCause::PeerLeft(cause));
            }
        }
    }

    /// The peer has retired a link: move to another one and answer, or stay until there is one.
    fn leave_spare(&mut self, now: Instant, node: NodeId, id: LinkId) {
        let selected = self.peers.get(&node).and_then(|peer| peer.state.link());
        if selected == Some(id) {
            let Some(other) = self.best_other_link(node, id) else {
                return;
            };
            self.select(now, node, other);
        }
        self.retire(now, id);
    }

    fn best_other_link(&self, node: NodeId, but: LinkId) -> Option<LinkId> {
        self.links
            .iter()
            .rev()
            .find(|(id, link)| {
                **id != but
                    && link.phase
                        == LinkPhase::Established {
                            peer: node,
                            peer_left: false,
                        }
            })
            .map(|(id, _)| *id)
    }

    fn on_peer_stopping(&mut self, now: Instant, node: NodeId) {
        info!(peer = %node, "peer is stopping");
        for id in self.links_to(node) {
            self.links.remove(&id);
            self.out.close(id, CloseCause::PeerLeft(GoodbyeCause::Stopping));
        }
        if let Some(peer) = self.peers.get(&node) {
            self.departed.insert(node, peer.incarnation);
        }
        self.bury(node, LeaveCause::NodeStopped);
        self.alive.remove(&node);
        self.deselect(now, node);
    }

    /// Closes a link whose peer has broken the protocol.
    pub(super) fn violate(&mut self, now: Instant, id: LinkId, what: &'static str) {
        if !self.links.contains_key(&id) {
            return;
        }
        self.counters.protocol_violations += 1;
        warn!(link = id.0, what, "link closed: the peer has broken the protocol");
        self.out.goodbye(id, GoodbyeCause::ProtocolViolation);
        self.drop_link(now, id, CloseCause::WeLeft(GoodbyeCause::ProtocolViolation));
    }

    /// Closes a link and lives without it.
    pub(super) fn drop_link(&mut self, now: Instant, id: LinkId, cause: CloseCause) {
        self.out.close(id, cause);
        self.on_link_down(now, id);
    }

    pub(super) fn on_link_down(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        let (LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. }) = link.phase else {
            return;
        };
        let selected = self.peers.get(&peer).and_then(|peer| peer.state.link()) == Some(id);
        match (selected, self.best_other_link(peer, id)) {
            (false, _) => {}
            (true, Some(other)) => self.select(now, peer, other),
            (true, None) => self.deselect(now, peer),
        }
        self.follow_speech(peer);
    }

    /// A peer is without a link.
    fn deselect(&mut self, now: Instant, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.state.link().is_none() {
            return;
        }
        peer.state = peer.state.step(PeerEvent::LinkLost);
        peer.speaks_on = None;
        peer.has_our_rows = false;
        info!(peer = %node, "peer is down");
        self.out.push(MeshOutput::SelectLink {
            peer: node,
            link: None,
        });
        self.set_route(node, None);
        self.forget_reader(node);
        self.write_link_row(node);
        self.ask_everybody();
        self.on_topology_changed(now);
    }

    fn links_to(&self, node: NodeId) -> Vec<LinkId> {
        let leads_there = |link: &Link| match link.phase {
            LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. } => peer == node,
            LinkPhase::Greeting { .. } => false,
        };
        self.links
            .iter()
            .filter(|(_, link)| leads_there(link))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn on_link_mtu(&mut self, id: LinkId, max_datagram_bytes: usize) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.max_datagram_bytes = max_datagram_bytes;
        let LinkPhase::Established { peer, .. } = link.phase else {
            return;
        };
        if self.peers.get(&peer).and_then(|peer| peer.state.link()) == Some(id) {
            self.set_route(peer, Some(max_datagram_bytes));
        }
    }

    /// Sets the direct way to a peer, or takes it away, and tells the shards.
    fn set_route(&mut self, node: NodeId, max_datagram_bytes: Option<usize>) {
        let route = max_datagram_bytes.map(|max_datagram_bytes| Route {
            via: node,
            max_datagram_bytes,
        });
        if !self.routes.set(node, route) {
            return;
        }
        for shard in self.shards.keys() {
            let command = ShardCommand::SetRoute {
                node,
                via: route.map(|route| route.via),
                max_datagram_bytes: route.map_or(0, |route| route.max_datagram_bytes),
            };
            self.out.shard(*shard, command);
        }
    }

    pub(super) fn on_stop(&mut self, _now: Instant) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        info!("node is stopping");
        self.end_all_sessions(LeaveCause::NodeStopped);
        for id in std::mem::take(&mut self.links).into_keys() {
            self.out.goodbye(id, GoodbyeCause::Stopping);
            self.out.close(id, CloseCause::WeLeft(GoodbyeCause::Stopping));
        }
    }
}

const fn refused(cause: GoodbyeCause) -> Greeting {
    Greeting::Refused(cause, CloseCause::WeLeft(cause))
}
