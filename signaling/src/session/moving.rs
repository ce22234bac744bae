//! A session whose client is sent to another node. It stays for a while, so that the client may come in there before it
//! lets go here, and so that others do not see it leave and come back.

use super::{Effect, Session};
use crate::protocol::{Leave, LeaveAction, LeaveReason, NextNode, Reply};
use relay_proto::room::LeaveCause;
use relay_proto::session::SessionCommand;
use std::net::IpAddr;
use std::time::Instant;

impl Session {
    /// Whether its client was sent to another node.
    #[must_use]
    pub const fn is_moving(&self) -> bool {
        self.is_live() && self.moves_until.is_some()
    }

    /// Whether the client goes to the nodes it is told of.
    #[must_use]
    pub const fn follows(&self) -> bool {
        self.follows
    }

    /// Where the client comes from, as far as that is known.
    #[must_use]
    pub const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// Sends the client to one of `next_nodes` and keeps the session `until` then at the latest. One whose connection is
    /// lost ends now: whoever comes back for it is told where to go.
    pub fn move_away(&mut self, next_nodes: Vec<NextNode>, until: Instant, out: &mut Vec<Effect>) {
        if !self.is_live() || self.is_moving() {
            return;
        }
        if self.is_waiting() {
            self.move_is_over(out);
            return;
        }
        tracing::info!(
            session = %self.id,
            room = %self.room,
            participant = %self.sid,
            to = next_nodes.first().map(|next| next.node.as_str()),
            follows = self.follows,
            "sent to another node"
        );
        self.moves_until = Some(until);
        self.tell(Reply::Leave(Leave::to(next_nodes)), out);
    }

    /// Somebody of the same identity is shown in its place.
    pub fn place_taken(&mut self, out: &mut Vec<Effect>) {
        match (self.is_moving(), self.follows) {
            // It lets go once it hears something there.
            (true, true) => {}
            (true, false) => self.move_is_over(out),
            (false, _) => self.end(
                LeaveReason::DuplicateIdentity,
                LeaveAction::Disconnect,
                LeaveCause::DuplicateIdentity,
                out,
            ),
        }
    }

    /// Ends what is left here of a client that was sent away.
    pub(super) fn move_is_over(&mut self, out: &mut Vec<Effect>) {
        self.command(
            SessionCommand::CloseSession {
                session: self.id,
                cause: LeaveCause::NodeStopped,
            },
            out,
        );
        self.moved(out);
    }

    /// The bridge has ended a session whose client was sent away: most likely it has come in elsewhere. It has been told
    /// what to do and is told nothing else, least of all that somebody has taken its place.
    pub(super) fn moved(&mut self, out: &mut Vec<Effect>) {
        tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, "gone to another node");
        self.phase = super::Phase::Over;
        out.push(Effect::Close(self.id));
    }
}
