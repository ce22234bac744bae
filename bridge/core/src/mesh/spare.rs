//! Two links of one pair: which one is kept, and how the spare goes without losing anything.
//!
//! The node with the smaller id decides alone, so that both sides never retire different ones: it keeps the one it
//! dialled itself. The other side follows its goodbye. A retiring link is still read for data messages and media.

use super::MeshCore;
use super::io::{CloseCause, LinkDirection, LinkId};
use super::link::{Link, LinkPhase};
use super::view::LinkState;
use relay_proto::control::GoodbyeCause;
use relay_proto::id::NodeId;
use std::time::Instant;
use tracing::debug;

impl MeshCore {
    /// Decides between the selected link of a peer and one that has just said hello.
    pub(super) fn place_link(&mut self, now: Instant, node: NodeId, new: LinkId) {
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
    pub(super) fn follow_speech(&mut self, node: NodeId) {
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

    /// The peer has retired a link: move to another one and answer, or stay until there is one.
    pub(super) fn leave_spare(&mut self, now: Instant, node: NodeId, id: LinkId) {
        let selected = self.peers.get(&node).and_then(|peer| peer.state.link());
        if selected == Some(id) {
            let Some(other) = self.best_other_link(node, id) else {
                return;
            };
            self.select(now, node, other);
        }
        self.retire(now, id);
    }

    pub(super) fn best_other_link(&self, node: NodeId, but: LinkId) -> Option<LinkId> {
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
}
