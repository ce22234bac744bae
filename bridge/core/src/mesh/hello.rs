//! The first message of a link: who may come in, and who is sent away with a clear reason.

use super::MeshCore;
use super::budget::Budget;
use super::detector::Detector;
use super::io::{CloseCause, LinkDirection, LinkId};
use super::link::LinkPhase;
use super::peer::{Peer, PeerState};
use relay_proto::control::{GoodbyeCause, Hello};
use relay_proto::id::NodeId;
use relay_proto::room::LeaveCause;
use relay_proto::version::{Features, agree};
use std::time::Instant;
use tracing::{info, warn};

/// Who says hello with what, checked.
enum Greeting {
    Welcome,
    /// This node has reached itself.
    Ourselves,
    /// What the peer is told, if it should know, and why the link closes.
    Refused(Option<GoodbyeCause>, CloseCause),
}

impl MeshCore {
    pub(super) fn on_hello(&mut self, now: Instant, id: LinkId, hello: &Hello) {
        let node = NodeId::of(hello.name.as_str());
        match self.greet(node, hello) {
            Greeting::Refused(goodbye, cause) => {
                self.counters.links_refused += 1;
                if let Some(goodbye) = goodbye {
                    self.out.goodbye(id, goodbye);
                }
                self.out.close(id, cause);
                self.links.remove(&id);
            }
            Greeting::Ourselves => self.on_own_hello(id, hello),
            Greeting::Welcome => self.on_welcome(now, id, node, hello),
        }
    }

    /// The end that was dialled from hangs up: whoever dialled has to know why, and would not if the other end, which gets
    /// the same hello, were faster.
    fn on_own_hello(&mut self, id: LinkId, hello: &Hello) {
        let direction = self.links.get(&id).map(|link| link.direction);
        if direction == Some(LinkDirection::Dialled) {
            warn!(name = %hello.name, "the node has connected to itself; take its own address off the peer list");
            self.counters.links_refused += 1;
            self.out.close(id, CloseCause::SelfConnection);
            self.links.remove(&id);
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
                return Greeting::Ourselves;
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
        let same_process = self
            .peers
            .get(&node)
            .is_some_and(|peer| peer.incarnation == hello.incarnation);
        if same_process && self.links_to(node).len() >= self.config.limits.max_links_per_peer {
            warn!(peer = %hello.name, "peer refused: it has limits.links_per_peer links already");
            return Greeting::Refused(None, CloseCause::LimitReached);
        }
        if !self.peers.contains_key(&node) && !self.make_room_for_a_peer() {
            warn!(peer = %hello.name, "peer refused: limits.max_nodes is reached");
            return Greeting::Refused(None, CloseCause::LimitReached);
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
        self.remote.forget(dead);
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
        let limits = &self.config.limits;
        let peer = self.peers.entry(node).or_insert_with(|| Peer {
            name: hello.name.clone(),
            incarnation: hello.incarnation,
            features: Features::default(),
            state: PeerState::Connecting,
            speaks_on: None,
            last_facts: None,
            round_trip_told_at: None,
            has_our_rows: false,
            told: Budget::full(limits.max_rows_per_second as f64, now),
            questions: Budget::full(limits.max_row_questions_per_second as f64, now),
        });
        peer.name = hello.name.clone();
        peer.incarnation = hello.incarnation;
        peer.features = self.features.common(hello.features);
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
}

const fn refused(cause: GoodbyeCause) -> Greeting {
    Greeting::Refused(Some(cause), CloseCause::WeLeft(cause))
}
