//! Sessions whose signalling is on one node and whose media is on another.
//!
//! Here is who may drive what, and what ends such sessions; how steps get over whole is in [`channel`]. The node with the
//! WebSocket (the *entry*) keeps a list of what it drives where; the node with the media keeps none, because the entry stands
//! in every [`SessionId`]: for it these are sessions like any other, whose facts go elsewhere ([`super::MeshCore::poll_output`]).
//!
//! All sessions between two nodes end on both when either process is gone, no way leads to it, or their link has been
//! gone for `limits.steering_lease`.

mod channel;
mod facts;
#[cfg(test)]
mod tests;

use super::MeshCore;
use crate::mesh::config::MeshConfig;
use crate::mesh::view::SteeredView;
use channel::{Channel, Pushed, Standing, Taken};
use relay_proto::control::ControlMessage;
use relay_proto::id::{NodeId, ParticipantSid, RoomName, SessionId};
use relay_proto::room::LeaveCause;
use relay_proto::session::{EndCause, OpenSession, SessionCommand, SessionFact};
use relay_proto::steering::{SteeringMessage, SteeringStep};
use relay_proto::unit::UnixMillis;
use relay_proto::version::Features;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Sessions that are sent away from a draining node at each refresh of rows.
const MOVES_AT_ONCE: usize = 16;
/// Sessions a view lists.
const LISTED_MAX: usize = 256;

/// What this node has to do with sessions of and on others.
#[derive(Debug, Default)]
pub(super) struct Remote {
    peers: BTreeMap<NodeId, RemotePeer>,
    /// The sessions of our signalling whose media is elsewhere.
    driven: BTreeMap<SessionId, Driven>,
    /// How many numbers this process has spoken under.
    numbers: u64,
}

#[derive(Debug)]
struct RemotePeer {
    channel: Channel,
    /// When all sessions between us are over, unless there is a link before.
    lease_ends: Option<Instant>,
    warned: bool,
}

#[derive(Debug)]
struct Driven {
    media: NodeId,
    room: RoomName,
    participant: ParticipantSid,
    reason: String,
}

impl Remote {
    /// When the first lease ends.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.peers.values().filter_map(|peer| peer.lease_ends).min()
    }

    /// Takes time in which this node stood still out of all leases.
    pub(super) fn on_stall(&mut self, late: Duration) {
        for peer in self.peers.values_mut() {
            peer.lease_ends = peer.lease_ends.map(|at| at + late);
        }
    }

    /// Drops what is known of a node that is gone and shares no session with us.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.peers.remove(&node);
    }

    /// Whether a session of our signalling has its media elsewhere.
    pub(super) fn drives(&self, session: SessionId) -> bool {
        self.driven.contains_key(&session)
    }

    fn driven_on(&self, node: NodeId) -> impl Iterator<Item = SessionId> + '_ {
        let there = self.driven.iter().filter(move |(_, driven)| driven.media == node);
        there.map(|(session, _)| *session)
    }
}

impl MeshCore {
    /// What this node says in its hello that it can do.
    pub(super) const fn features_offered(config: &MeshConfig) -> Features {
        if config.steering {
            Features::OURS
        } else {
            Features::OURS.without(Features::STEERING)
        }
    }

    /// Whether the media of a session may be opened on a peer now.
    pub(super) fn may_steer_to(&self, node: NodeId) -> bool {
        let open = self.remote.peers.get(&node);
        open.is_some_and(|peer| peer.channel.is_open()) && self.steers_with(node)
    }

    fn steers_with(&self, node: NodeId) -> bool {
        let peer = self.peers.get(&node);
        self.config.steering && peer.is_some_and(|peer| peer.features.has(Features::STEERING))
    }

    /// A number nobody of this node has spoken under: later processes begin with higher ones.
    const fn fresh_number(&mut self) -> u64 {
        self.remote.numbers += 1;
        self.incarnation + self.remote.numbers
    }

    /// There is a (new) link to a peer.
    pub(super) fn remote_linked(&mut self, node: NodeId) {
        if !self.steers_with(node) {
            return;
        }
        let own = self.fresh_number();
        let peer = self.remote.peers.entry(node).or_insert_with(|| RemotePeer {
            channel: Channel::new(own),
            lease_ends: None,
            warned: false,
        });
        peer.lease_ends = None;
        let standing = peer.channel.linked();
        self.send_steering(node, standing);
    }

    /// The link to a peer is gone.
    pub(super) fn remote_cut(&mut self, now: Instant, node: NodeId) {
        let shared = self.remote.driven_on(node).next().is_some() || self.hosted_of(node).next().is_some();
        let lease = self.config.limits.steering_lease;
        if let Some(peer) = self.remote.peers.get_mut(&node) {
            peer.channel.cut();
            peer.lease_ends = shared.then(|| now + lease);
        }
    }

    /// The sessions here that a peer drives.
    fn hosted_of(&self, entry: NodeId) -> impl Iterator<Item = SessionId> + '_ {
        let at = |serial| SessionId { entry, serial };
        self.sessions
            .range(at(0)..=at(u32::MAX))
            .map(|(session, _)| *session)
    }

    /// How many sessions here others drive.
    fn hosted(&self) -> usize {
        let ours = self.hosted_of(self.us).count();
        self.sessions.len() - ours
    }

    /// Ends every session that we drive there or that is driven from there, and speaks to that node as somebody new.
    pub(super) fn end_remote(&mut self, node: NodeId, cause: LeaveCause) {
        let own = self.fresh_number();
        let Some(peer) = self.remote.peers.get_mut(&node) else {
            return;
        };
        peer.lease_ends = None;
        let standing = peer.channel.begin_anew(own);
        self.end_shared(node, cause);
        if let Some(standing) = standing {
            self.send_steering(node, standing);
        }
    }

    fn end_shared(&mut self, node: NodeId, cause: LeaveCause) {
        let driven: Vec<SessionId> = self.remote.driven_on(node).collect();
        let hosted: Vec<SessionId> = self.hosted_of(node).collect();
        if !driven.is_empty() || !hosted.is_empty() {
            info!(peer = %node, driven = driven.len(), hosted = hosted.len(), ?cause, "sessions between two nodes end");
        }
        self.counters.steered_lost += driven.len() as u64;
        for session in driven {
            self.end_driven(session, cause);
        }
        for session in hosted {
            self.end_session(session, cause, None);
        }
    }

    fn end_driven(&mut self, session: SessionId, cause: LeaveCause) {
        self.remote.driven.remove(&session);
        let cause = EndCause::Left(cause);
        self.out.fact(SessionFact::SessionEnded { session, cause });
    }

    /// Tells our signalling that whatever it drives elsewhere is over: this node stops.
    pub(super) fn end_all_driven(&mut self, cause: LeaveCause) {
        for session in std::mem::take(&mut self.remote.driven).into_keys() {
            let cause = EndCause::Left(cause);
            self.out.fact(SessionFact::SessionEnded { session, cause });
        }
    }

    /// Leases that have run out.
    pub(super) fn end_leases(&mut self, now: Instant) {
        let over = |peer: &RemotePeer| peer.lease_ends.is_some_and(|at| at <= now);
        let peers = self.remote.peers.iter().filter(|(_, peer)| over(peer));
        for node in peers.map(|(node, _)| *node).collect::<Vec<_>>() {
            self.end_remote(node, LeaveCause::NodeLost);
        }
    }

    /// Confirms steps, and sends some of those away whose media is on a draining node.
    pub(super) fn refresh_remote(&mut self) {
        for node in self.remote.peers.keys().copied().collect::<Vec<_>>() {
            self.confirm_steps(node, true);
        }
        let draining = self.draining.clone();
        for node in draining {
            let some: Vec<SessionId> = self.remote.driven_on(node).take(MOVES_AT_ONCE).collect();
            for session in some {
                let cause = LeaveCause::NodeStopped;
                self.drive(node, SessionCommand::CloseSession { session, cause });
                self.end_driven(session, cause);
            }
        }
    }

    fn confirm_steps(&mut self, node: NodeId, due: bool) {
        let peer = self.remote.peers.get_mut(&node);
        if let Some(confirmation) = peer.and_then(|peer| peer.channel.confirmation(due)) {
            self.send_steering(node, confirmation);
        }
    }

    fn send_steering(&mut self, node: NodeId, message: SteeringMessage) {
        if let Some(link) = self.link_of(node) {
            self.out.control(link, ControlMessage::Steering(message));
        }
    }

    /// Opens a session of our signalling on another node. Where that is not possible any more its client is to join anew.
    pub(super) fn open_elsewhere(&mut self, media: NodeId, reason: String, open: Box<OpenSession>) {
        let session = open.session;
        if self.stopped || session.entry != self.us || !self.may_steer_to(media) {
            self.refuse_session(session, EndCause::NotServing);
            return;
        }
        info!(%session, room = %open.room, media = %media, reason, "session steered to another node");
        self.counters.steered += 1;
        let driven = Driven {
            media,
            room: open.room.clone(),
            participant: open.participant.sid.clone(),
            reason,
        };
        self.remote.driven.insert(session, driven);
        self.drive(media, SessionCommand::OpenSession(open));
    }

    /// Passes a command of our signalling on to the node with the session's media.
    pub(super) fn drive_session(&mut self, command: SessionCommand) {
        let session = command.session();
        let Some(media) = self.remote.driven.get(&session).map(|driven| driven.media) else {
            return;
        };
        let closed = match &command {
            SessionCommand::CloseSession { cause, .. } => Some(*cause),
            _ => None,
        };
        self.drive(media, command);
        if let Some(cause) = closed
            && self.remote.drives(session)
        {
            self.end_driven(session, cause);
        }
    }

    fn drive(&mut self, media: NodeId, command: SessionCommand) {
        self.push_step(media, SteeringStep::Command(Box::new(command)));
    }

    fn push_step(&mut self, node: NodeId, step: SteeringStep) {
        if let Err(error) = step.validate() {
            // The other node would take it for a breach, and everybody between the two would pay for it.
            self.counters.steps_dropped += 1;
            warn!(peer = %node, %error, "a step that is over the limits of the wire is dropped");
            return;
        }
        let max_bytes = self.config.limits.max_steering_bytes;
        let Some(peer) = self.remote.peers.get_mut(&node) else {
            return;
        };
        match peer.channel.push(step, max_bytes) {
            Pushed::Send(message) => self.send_steering(node, message),
            Pushed::Waits => {}
            Pushed::Dropped => self.counters.steps_dropped += 1,
            Pushed::Overflow => {
                warn!(peer = %node, "limits.steering_bytes is reached: the sessions shared with that node end");
                self.end_remote(node, LeaveCause::NodeLost);
            }
        }
    }

    /// A message of a peer about sessions that one of us drives on the other.
    pub(super) fn on_steering(&mut self, now: Instant, from: NodeId, message: SteeringMessage) {
        if !self.steers_with(from) {
            self.refuse_step(from, "it steers without having been told that it may");
            return;
        }
        let fresh = self.fresh_number();
        let Some(peer) = self.remote.peers.get_mut(&from) else {
            // Our own first word is on its way: the link is selected a moment later.
            return;
        };
        match message {
            SteeringMessage::Standing {
                own,
                hears,
                received,
                asks,
            } => {
                let standing = Standing {
                    own,
                    hears,
                    received,
                    asks,
                };
                let heard = peer.channel.on_standing(standing, fresh);
                if heard.anew {
                    self.end_shared(from, LeaveCause::NodeLost);
                }
                for reply in heard.replies {
                    self.send_steering(from, reply);
                }
            }
            SteeringMessage::Step { to, number, step } => match peer.channel.on_step(to, number, step) {
                Taken::Next(step) => {
                    self.on_next_step(now, from, step);
                    self.confirm_steps(from, false);
                }
                Taken::Old => self.counters.steps_dropped += 1,
                Taken::Gap => {
                    self.refuse_step(from, "it leaves steps out");
                    self.end_remote(from, LeaveCause::NodeLost);
                }
            },
        }
    }

    fn on_next_step(&mut self, now: Instant, from: NodeId, step: SteeringStep) {
        match step {
            SteeringStep::Command(command) => self.on_remote_command(now, from, *command),
            SteeringStep::Fact(fact) => self.on_remote_fact(from, *fact),
        }
    }

    fn on_remote_command(&mut self, now: Instant, from: NodeId, command: SessionCommand) {
        let session = command.session();
        if session.entry != from {
            self.refuse_step(from, "it gives commands for sessions of others");
            return;
        }
        match &command {
            SessionCommand::OpenElsewhere { .. } => {
                self.refuse_step(from, "it steers sessions through this node");
            }
            SessionCommand::OpenSession(_) if self.hosted() >= self.config.limits.max_steered_sessions => {
                self.counters.commands_refused += 1;
                warn!(%session, "session of another node refused: limits.steered_sessions is reached");
                self.refuse_session(session, EndCause::NotServing);
            }
            _ => self.on_command(now, self.wall_time(now), command),
        }
    }

    /// Wall time as this node reckons it from its start.
    fn wall_time(&self, now: Instant) -> UnixMillis {
        let age = now.saturating_duration_since(self.started);
        UnixMillis(self.incarnation + age.as_millis() as u64)
    }

    fn refuse_step(&mut self, from: NodeId, what: &'static str) {
        self.counters.steps_refused += 1;
        let peer = self.remote.peers.get_mut(&from);
        let first = peer.is_none_or(|peer| !std::mem::replace(&mut peer.warned, true));
        if first {
            warn!(peer = %from, what, "steering refused; further times are only counted");
        }
    }

    /// Sessions between this node and each other one, and some of them with reasons.
    pub(super) fn steered_views(&self) -> (BTreeMap<NodeId, (usize, usize)>, Vec<SteeredView>) {
        let mut counts: BTreeMap<NodeId, (usize, usize)> = BTreeMap::new();
        for driven in self.remote.driven.values() {
            counts.entry(driven.media).or_default().0 += 1;
        }
        for session in self.sessions.keys().filter(|session| session.entry != self.us) {
            counts.entry(session.entry).or_default().1 += 1;
        }
        let view = |driven: &Driven| SteeredView {
            room: driven.room.clone(),
            participant: driven.participant.clone(),
            media: driven.media,
            reason: driven.reason.clone(),
        };
        let listed = self.remote.driven.values().take(LISTED_MAX).map(view);
        (counts, listed.collect())
    }
}
