//! One client's session: a state machine over its requests, the facts about it, and time.
//!
//! Every input returns effects; nothing here sends, waits or knows other sessions. What concerns a whole room is in
//! [`room`](crate::room), the routing in [`hub`](crate::hub).

mod answers;
mod moving;
mod opening;
mod own;
mod renewal;
mod requests;
mod resume;
mod simulation;
#[cfg(test)]
pub(crate) mod tests;

use crate::counters::Counters;
use crate::limits::{IDLE_TIMEOUT, Limits, OPEN_TIMEOUT, TokenBucket};
use crate::protocol::{Join, Leave, LeaveAction, LeaveReason, Reply};
use crate::room::{Room, RoomKey};
use crate::token::TokenKeys;
use crate::turn::TurnServers;
use relay_proto::id::{Identity, ParticipantSid, RoomName, SessionId};
use relay_proto::room::{LeaveCause, Permission, TrackRecord};
use relay_proto::session::SessionCommand;
use relay_proto::unit::UnixMillis;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

pub use opening::Newcomer;
use renewal::Renewal;
use simulation::Simulation;

/// The time, both ways it is needed.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// For deadlines.
    pub monotonic: Instant,
    /// For clients.
    pub wall: UnixMillis,
}

/// What sessions know of the node they are on.
#[derive(Clone, Debug)]
pub struct Site {
    /// Name of the node.
    pub node: String,
    /// Region label of the node.
    pub region: String,
    /// Version of the software.
    pub software: String,
    /// Named limits.
    pub limits: Limits,
    /// TURN servers clients get credentials for.
    pub turn: Option<TurnServers>,
    /// Whether clients may ask for faults; never in production.
    pub simulate: bool,
    /// Sign the tokens clients come back with.
    pub keys: TokenKeys,
    /// Figures.
    pub counters: Arc<Counters>,
}

/// What a session sees when it acts.
#[derive(Clone, Copy, Debug)]
pub struct Around<'a> {
    /// Its node.
    pub site: &'a Site,
    /// What is known of its room.
    pub room: &'a Room,
    /// The time.
    pub now: Now,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Tell the bridge.
    Command(SessionCommand),
    /// Tell these clients.
    Send {
        /// Whom.
        to: Vec<SessionId>,
        /// What.
        reply: Reply,
    },
    /// Close the connection once everything is sent. The session is gone.
    Close(SessionId),
    /// Close the connection once everything is sent. The session stays and hears of it.
    Disconnect(SessionId),
    /// The session waits for a new connection: keep what it is sent.
    Keep(SessionId),
    /// A new connection goes on with a session; it replaces the old one, if that is still there.
    Attach {
        /// The connection, by the number it came with.
        connection: SessionId,
        /// The session.
        session: SessionId,
    },
    /// Send what was kept.
    SendKept(SessionId),
}

/// Where a session is in its life.
#[derive(Debug)]
enum Phase {
    /// The bridge was asked to open it; what the client said on joining waits.
    Opening(Box<Join>),
    /// Requests are served.
    Live,
    /// Over; nothing has an effect any more.
    Over,
}

/// More sections that the client should offer, not sent yet.
#[derive(Clone, Copy, Debug)]
struct PendingSections {
    audios: u32,
    videos: u32,
    due: Instant,
}

/// A client's session.
#[derive(Debug)]
pub struct Session {
    id: SessionId,
    room: RoomName,
    room_key: RoomKey,
    /// Whether its media has ever come up.
    had_media: bool,
    sid: ParticipantSid,
    identity: Identity,
    permission: Permission,
    /// Where the client comes from, as far as that is known.
    address: Option<IpAddr>,
    phase: Phase,
    /// The client has two connections and is offered what it receives.
    dual: bool,
    /// The client goes to the nodes it is told of; others come back to the address they know.
    follows: bool,
    /// The client was sent to another node; until then it may still be heard and seen from here.
    moves_until: Option<Instant>,
    heard_at: Instant,
    sections: Option<PendingSections>,
    /// Whether an offer waits for its answer.
    offer_open: bool,
    offers: TokenBucket,
    answered_once: bool,
    rejected_in_a_row: u32,
    malformed: u32,
    /// Waits for a new connection until then.
    waits_until: Option<Instant>,
    /// The newest reliable message of the client.
    last_sequence: u32,
    renewal: Renewal,
    simulation: Simulation,
    /// Announced tracks by the client's own ids; none until the bridge knows them.
    tracks: BTreeMap<String, Option<Box<TrackRecord>>>,
}

impl Session {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> SessionId {
        self.id
    }

    /// Its room.
    #[must_use]
    pub const fn room(&self) -> &RoomName {
        &self.room
    }

    /// Its room, as the bridge with its media tells of it.
    #[must_use]
    pub const fn room_key(&self) -> &RoomKey {
        &self.room_key
    }

    /// Its media has come up.
    pub const fn media_connected(&mut self) {
        self.had_media = true;
    }

    /// Whether its media was to be on another node and has never come up there.
    #[must_use]
    pub const fn was_steered_in_vain(&self) -> bool {
        self.room_key.media.is_some() && !self.had_media
    }

    /// Its participant.
    #[must_use]
    pub const fn sid(&self) -> &ParticipantSid {
        &self.sid
    }

    /// Who it is.
    #[must_use]
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether it may receive tracks at all.
    #[must_use]
    pub const fn can_subscribe(&self) -> bool {
        self.permission.can_subscribe
    }

    /// Whether it is open.
    #[must_use]
    pub const fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live)
    }

    /// Whether it is open and waits for a new connection.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        self.is_live() && self.waits_until.is_some()
    }

    /// Whether nothing can come of it any more.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// When [`timeout`](Self::timeout) must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Opening(_) => Some(self.heard_at + OPEN_TIMEOUT),
            Phase::Live => {
                let silence_ends = self.waits_until.unwrap_or(self.heard_at + IDLE_TIMEOUT);
                // While an offer waits for its answer the requirement waits too: the answer may satisfy it.
                let sections = self
                    .sections
                    .filter(|_| !self.offer_open)
                    .map(|pending| pending.due);
                [
                    Some(silence_ends),
                    self.moves_until,
                    sections,
                    self.renewal.due(),
                    self.simulation.due(),
                ]
                .into_iter()
                .flatten()
                .min()
            }
            Phase::Over => None,
        }
    }

    /// Does what is due at `now`; a session whose client has fallen silent waits for a new connection if it `may_wait`.
    pub fn timeout(&mut self, may_wait: bool, now: Now, site: &Site, out: &mut Vec<Effect>) {
        match self.phase {
            Phase::Opening(_) if now.monotonic >= self.heard_at + OPEN_TIMEOUT => {
                tracing::warn!(session = %self.id, room = %self.room, "the bridge did not open the session in time");
                self.end(
                    LeaveReason::JoinFailure,
                    LeaveAction::Reconnect,
                    LeaveCause::ConnectionLost,
                    out,
                );
            }
            Phase::Live if self.moves_until.is_some_and(|until| until <= now.monotonic) => {
                self.move_is_over(out);
            }
            Phase::Live if self.waits_until.is_some_and(|until| until <= now.monotonic) => {
                self.waited_in_vain(site, out);
            }
            Phase::Live if self.waits_until.is_none() && now.monotonic >= self.heard_at + IDLE_TIMEOUT => {
                self.fell_silent(may_wait, now, site, out);
            }
            Phase::Live => {
                self.send_due_sections(now, out);
                self.renew_token(now, site, out);
                self.end_speech(now, out);
            }
            Phase::Opening(_) | Phase::Over => {}
        }
    }

    /// The client does not read what it is sent.
    pub fn overflowed(&mut self, site: &Site, out: &mut Vec<Effect>) {
        if !self.is_over() {
            site.counters.closed_slow.increment();
            tracing::info!(session = %self.id, room = %self.room, "closed: the client does not read");
            self.phase = Phase::Over;
            self.command(
                SessionCommand::CloseSession {
                    session: self.id,
                    cause: LeaveCause::ConnectionLost,
                },
                out,
            );
            out.push(Effect::Close(self.id));
        }
    }

    /// A frame could not be decoded.
    pub fn malformed_frame(&mut self, now: Now, site: &Site, out: &mut Vec<Effect>) {
        self.heard(now);
        self.malformed += 1;
        site.counters.malformed_frames.increment();
        if self.malformed == 1 {
            tracing::warn!(session = %self.id, room = %self.room, "malformed frame; further ones are only counted");
        }
        if self.malformed >= site.limits.malformed_frames {
            self.abused("too many malformed frames", site, out);
        }
    }

    /// Notes a sign of life. It does not give the bridge more time to open the session.
    fn heard(&mut self, now: Now) {
        if self.is_live() {
            self.heard_at = now.monotonic;
        }
    }

    /// Ends the session because the client broke the rules.
    pub fn abused(&mut self, why: &'static str, site: &Site, out: &mut Vec<Effect>) {
        if !self.is_over() {
            site.counters.closed_abuse.increment();
            tracing::warn!(session = %self.id, room = %self.room, why, "closed: the client breaks the rules");
            self.end(
                LeaveReason::StateMismatch,
                LeaveAction::Disconnect,
                LeaveCause::Removed,
                out,
            );
        }
    }

    /// Ends the session from this side: tells the client and the bridge.
    fn end(&mut self, reason: LeaveReason, action: LeaveAction, cause: LeaveCause, out: &mut Vec<Effect>) {
        if !self.is_over() {
            self.command(
                SessionCommand::CloseSession {
                    session: self.id,
                    cause,
                },
                out,
            );
            self.bid_farewell(Leave::of(reason, action), out);
        }
    }

    /// Tells the client that it is over.
    fn bid_farewell(&mut self, leave: Leave, out: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        self.tell(Reply::Leave(leave), out);
        out.push(Effect::Close(self.id));
    }

    fn tell(&self, reply: Reply, out: &mut Vec<Effect>) {
        out.push(Effect::Send {
            to: vec![self.id],
            reply,
        });
    }

    #[expect(clippy::unused_self, reason = "reads as the session giving the order")]
    fn command(&self, command: SessionCommand, out: &mut Vec<Effect>) {
        out.push(Effect::Command(command));
    }
}
