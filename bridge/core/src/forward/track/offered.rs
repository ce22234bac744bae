//! What of a remote track comes here at all: less than it has where a link on its way is too narrow.

use super::{LayerChoice, Source, Track};
use crate::forward::layer::TOP;
use relay_proto::datagram::ALLOWANCE_LEASE;
use relay_proto::id::{Layer, NodeId};
use std::time::Instant;

/// What the node before us has said, and who it is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offered {
    /// The node that brought the last packet.
    brought_by: Option<NodeId>,
    /// The largest layer that comes; none where nothing does.
    largest: Option<Layer>,
    /// Who said so, and when last.
    said: Option<(NodeId, Instant)>,
    changed_at: Option<Instant>,
}

impl Offered {
    pub(super) const fn everything() -> Self {
        Self {
            brought_by: None,
            largest: Some(TOP),
            said: None,
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

    /// A packet of `layer` has come from `peer`; true where that shows that more comes than was said: the track takes
    /// another way now. Hot path.
    pub fn came_from(&mut self, peer: NodeId, layer: Layer, now: Instant) -> bool {
        self.offered.brought_by = Some(peer);
        let of_others = self.offered.said.is_some_and(|(other, _)| other != peer);
        of_others && Some(layer) > self.offered.largest && self.offer(Some(TOP), None, now)
    }

    /// Whether `peer` may say what comes: it brings the track, or would, where `next_hop` is the way to its origin.
    #[must_use]
    pub fn is_brought_by(&self, peer: NodeId, next_hop: Option<NodeId>) -> bool {
        self.source == Source::Remote && self.offered.brought_by.or(next_hop) == Some(peer)
    }

    /// The node before us says what comes; true where that is something else than before.
    pub fn set_offered(&mut self, peer: NodeId, largest: Option<Layer>, now: Instant) -> bool {
        let said = (largest < Some(TOP)).then_some((peer, now));
        self.offer(largest, said, now)
    }

    /// Forgets what was not said again in time; true where more comes from now on.
    pub fn lapse(&mut self, now: Instant) -> bool {
        let over = |(_, at): (NodeId, Instant)| now.saturating_duration_since(at) > ALLOWANCE_LEASE;
        self.offered.said.is_some_and(over) && self.offer(Some(TOP), None, now)
    }

    fn offer(&mut self, largest: Option<Layer>, said: Option<(NodeId, Instant)>, now: Instant) -> bool {
        self.offered.said = said;
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
