//! How the signalling of one node drives media sessions on another: steps in both directions over the control stream of
//! their link, numbered, so that a lost link costs none of them.
//!
//! Commands go to the node with the media, facts come back. Who drives a session stands in its id
//! ([`crate::id::SessionId::entry`]): a node obeys a peer only for sessions that carry that peer's id, and believes a peer
//! only of sessions it has opened there. See `WIRE.md`, section 4d.

use crate::session::{SessionCommand, SessionFact};
use bincode::{Decode, Encode};

/// One message between two nodes about sessions that one drives on the other. Only to peers with
/// [`crate::version::Features::STEERING`].
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SteeringMessage {
    /// Where the sender stands: first on every link, and now and then to confirm what has come.
    Standing {
        /// Under which number the sender speaks now. It grows each time the sender ends all sessions with the receiver.
        own: u64,
        /// The number of the receiver that the sender listens to; 0 for none.
        hears: u64,
        /// The last step that came from there; 0 for none.
        received: u64,
        /// Whether the receiver shall answer with its own.
        asks: bool,
    },
    /// One step. A step whose number has come already is dropped.
    Step {
        /// The number of the receiver it is meant for: what was meant for a former one is dropped.
        to: u64,
        /// Grows by one from step to step, from 1.
        number: u64,
        /// What it says.
        step: SteeringStep,
    },
}

/// What a step says.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SteeringStep {
    /// For a session on the receiver, driven by the sender.
    Command(Box<SessionCommand>),
    /// About a session on the sender, driven by the receiver, or about a room with such sessions.
    Fact(Box<SessionFact>),
}
