//! The life of one peer: whether we have a link to it and whether that link answers.
//!
//! ```text
//! state       LinkSelected   EchoesMissing   EchoHeard   LinkLost
//! Connecting  Up             -               -           -
//! Up          Up (new link)  Suspect         -           Down
//! Suspect     Up (new link)  -               Up          Down
//! Down        Up             -               -           -
//! ```
//! A dash leaves the state as it is. Whether a peer without a link is *dead* is not decided here but by the
//! routes: see [`super::route`].

use super::budget::Budget;
use super::io::LinkId;
use super::view::LinkState;
use relay_proto::id::NodeName;
use relay_proto::row::NodeFacts;
use relay_proto::version::Features;
use std::time::Instant;

/// Where a peer is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerState {
    Connecting,
    Up { link: LinkId },
    Suspect { link: LinkId },
    Down,
}

/// What can happen to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PeerEvent {
    LinkSelected(LinkId),
    EchoesMissing,
    EchoHeard,
    LinkLost,
}

impl PeerState {
    /// The state after `event`; the table stands at the head of this file.
    pub(super) const fn step(self, event: PeerEvent) -> Self {
        match (self, event) {
            (_, PeerEvent::LinkSelected(link)) => Self::Up { link },
            (Self::Up { link }, PeerEvent::EchoesMissing) => Self::Suspect { link },
            (Self::Suspect { link }, PeerEvent::EchoHeard) => Self::Up { link },
            (Self::Up { .. } | Self::Suspect { .. }, PeerEvent::LinkLost) => Self::Down,
            (state, _) => state,
        }
    }

    /// The link in use.
    pub(super) const fn link(self) -> Option<LinkId> {
        match self {
            Self::Up { link } | Self::Suspect { link } => Some(link),
            Self::Connecting | Self::Down => None,
        }
    }

    /// The state without its data.
    pub(super) const fn kind(self) -> LinkState {
        match self {
            Self::Connecting => LinkState::Connecting,
            Self::Up { .. } => LinkState::Up,
            Self::Suspect { .. } => LinkState::Suspect,
            Self::Down => LinkState::Down,
        }
    }
}

/// What we know of a node that has said hello to us.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) name: NodeName,
    /// Start time of its process.
    pub(super) incarnation: u64,
    /// What both sides can do.
    pub(super) features: Features,
    pub(super) state: PeerState,
    /// The link on which the peer speaks to us; what arrives on another one is out of order.
    pub(super) speaks_on: Option<LinkId>,
    /// What it said of itself before it died, for people.
    pub(super) last_facts: Option<NodeFacts>,
    /// When the round trip to it was told last.
    pub(super) round_trip_told_at: Option<Instant>,
    /// Whether it has our rows and may be sent deltas.
    pub(super) has_our_rows: bool,
    /// How many rows it may tell.
    pub(super) told: Budget,
    /// How often it may ask for rows.
    pub(super) questions: Budget,
}

#[cfg(test)]
mod tests {
    use super::{LinkId, PeerEvent, PeerState};

    #[test]
    fn the_table_of_transitions_holds() {
        use PeerEvent::{EchoHeard, EchoesMissing, LinkLost, LinkSelected};
        use PeerState::{Connecting, Down, Suspect, Up};
        let (old, new) = (LinkId(1), LinkId(2));
        let events = [LinkSelected(new), EchoesMissing, EchoHeard, LinkLost];
        let table = [
            (Connecting, [Up { link: new }, Connecting, Connecting, Connecting]),
            (
                Up { link: old },
                [Up { link: new }, Suspect { link: old }, Up { link: old }, Down],
            ),
            (
                Suspect { link: old },
                [Up { link: new }, Suspect { link: old }, Up { link: old }, Down],
            ),
            (Down, [Up { link: new }, Down, Down, Down]),
        ];
        for (state, expected) in table {
            for (event, after) in events.into_iter().zip(expected) {
                assert_eq!(state.step(event), after, "{state:?} after {event:?}");
            }
        }
    }
}
