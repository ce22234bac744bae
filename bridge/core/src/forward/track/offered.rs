//! What of a remote track comes here at all: less than it has where a link on its way is too narrow.

use super::{LayerChoice, Source, Track};
use relay_proto::datagram::ALLOWANCE_LEASE;
use relay_proto::id::{Layer, NodeId};
use std::time::Instant;

/// What has been said of a track, and by whom.
#[derive(Clone, Copy, Debug)]
struct Said {
    largest: Option<Layer>,
    by: NodeId,
    at: Instant,
}

/// What the node before us says of its link to us, and of what it is told itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    /// The node that brought the last packet.
    brought_by: Option<NodeId>,
    /// Of the link to us; of links before that.
    said: [Option<Said>; 2],
    /// The largest layer that comes; none where nothing does.
    largest: Option<Layer>,
    changed_at: Option<Instant>,
}

impl Offered {
    pub(super) const fn everything() -> Self {
        Self {
            brought_by: None,
            said: [None; 2],
            largest: Some(Layer::TOP),
            changed_at: None,
        }
    }
}

impl Track {
    /// The largest layer that comes here; none where nothing does, for want of room on a link.
    #[must_use]
    pub const fn offered(&self) -> Option<Layer> {
        self.offered.largest
    }

    /// Since when nothing comes, for want of room on a link.
    #[must_use]
    pub fn withheld_since(&self) -> Option<Instant> {
        self.offered.changed_at.filter(|_| self.offered.largest.is_none())
    }

    /// From whom it comes from now on, and whether the node is to be told of that one's first packet.
    pub fn set_parent(&mut self, parent: NodeId, awaited: bool) {
        if self.parent != parent {
            self.parent_before = Some(self.parent);
            self.parent = parent;
        }
        self.parent_awaited = awaited;
        self.offered.brought_by = None;
    }

    /// Whether media of this track is taken from `peer`: it was asked for it. Another one that has the key, as every host of
    /// the conference has, could otherwise put packets of its own in. Hot path.
    #[must_use]
    pub fn is_asked_of(&self, peer: NodeId) -> bool {
        self.parent == peer || self.parent_before == Some(peer)
    }

    /// Of whom what is missing is asked: of who brought the newest packet, and so has those before it, or will; before
    /// anything has come, of the parent. Where a link has fallen silent, media may come from elsewhere before anybody has been
    /// asked for it there.
    #[must_use]
    pub fn upstream(&self) -> NodeId {
        self.offered.brought_by.unwrap_or(self.parent)
    }

    /// A packet of `layer` has come from `peer`; true where that shows that more comes than was said: the track takes
    /// another way now. Hot path.
    pub fn came_from(&mut self, peer: NodeId, layer: Layer, now: Instant) -> bool {
        self.offered.brought_by = Some(peer);
        if Some(layer) <= self.offered.largest {
            return false;
        }
        for said in &mut self.offered.said {
            *said = said.filter(|said| said.by == peer);
        }
        self.offer(now)
    }

    /// Whether `peer` may say what comes: it brings the track, or would, being its parent.
    #[must_use]
    pub fn is_brought_by(&self, peer: NodeId) -> bool {
        self.source == Source::Remote && self.offered.brought_by.unwrap_or(self.parent) == peer
    }

    /// The node before us says what comes, of its own link or `passed_on` of another; true where that is something else
    /// than before.
    pub fn set_offered(&mut self, by: NodeId, passed_on: bool, largest: Option<Layer>, now: Instant) -> bool {
        let said = (largest < Some(Layer::TOP)).then_some(Said { largest, by, at: now });
        self.offered.said[usize::from(passed_on)] = said;
        self.offer(now)
    }

    /// Forgets what was not said again in time; true where more comes from now on.
    pub fn lapse(&mut self, now: Instant) -> bool {
        for said in &mut self.offered.said {
            *said = said.filter(|said| now.saturating_duration_since(said.at) <= ALLOWANCE_LEASE);
        }
        self.offer(now)
    }

    /// The least of what holds is what comes.
    fn offer(&mut self, now: Instant) -> bool {
        let said = self.offered.said.iter().flatten();
        let largest = said.map(|said| said.largest).fold(Some(Layer::TOP), Ord::min);
        if self.offered.largest == largest {
            return false;
        }
        self.offered.largest = largest;
        self.offered.changed_at = Some(now);
        for leg in &mut self.legs {
            leg.choice.offer(largest);
        }
        for (layer, state) in (0..).map(Layer).zip(&mut self.layers) {
            if Some(layer) > largest {
                // What of it has not come will not.
                state.nack.restart();
            }
        }
        self.retarget(now);
        true
    }

    /// A choice for a receiver of this track that would like `max`.
    #[must_use]
    pub const fn choice(&self, max: Layer) -> LayerChoice {
        let mut choice = LayerChoice::new(max).among(self.identity.picture.nested);
        choice.offer(self.offered.largest);
        choice
    }
}
