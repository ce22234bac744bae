//! All sessions of a node: takes in requests, facts and time, and hands out effects.
//!
//! A room's facts go to all its sessions here; a session's facts go to that session. Rules of one session are in
//! [`session`](crate::session), rules of one room in [`room`](crate::room); here is only the routing.

use crate::protocol::{Answer, Reply, Request};
use crate::room::{Room, RoomKey};
use crate::session::{Around, Effect, Newcomer, Now, Session, Site};
use crate::sid::RandomSource;
use drain::Drain;
pub use drain::{DrainProgress, NextNodes};
use relay_proto::id::SessionId;
use relay_proto::room::ParticipantRecord;
use relay_proto::session::SessionFact;
use resume::Departures;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
pub use steering::MediaPlace;
use steering::Unsteerable;

mod changes;
mod drain;
#[cfg(test)]
mod random;
mod resume;
mod steering;
#[cfg(test)]
mod tests;

/// A room with its sessions on this node.
#[derive(Debug, Default)]
struct LocalRoom {
    room: Room,
    sessions: BTreeSet<SessionId>,
    departures: Departures,
}

/// All sessions of a node.
pub struct Hub {
    site: Site,
    random: Box<dyn RandomSource + Send>,
    sessions: BTreeMap<SessionId, Session>,
    rooms: BTreeMap<RoomKey, LocalRoom>,
    /// Sessions without a connection.
    waiting: BTreeSet<SessionId>,
    /// When each session wants to be woken; at most one entry per session.
    deadlines: BTreeSet<(Instant, SessionId)>,
    /// Where clients are sent while this node drains.
    next_nodes: Box<dyn NextNodes + Send>,
    drain: Option<Drain>,
    unsteerable: Unsteerable,
}

impl Hub {
    /// Starts without sessions. `random` makes ids.
    #[must_use]
    pub fn new(site: Site, random: Box<dyn RandomSource + Send>) -> Self {
        Self {
            site,
            random,
            sessions: BTreeMap::new(),
            rooms: BTreeMap::new(),
            waiting: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            next_nodes: Box::new(drain::Nowhere),
            drain: None,
            unsteerable: Unsteerable::default(),
        }
    }

    /// The same hub, with `next_nodes` to send clients to while it drains; without them a drain is over at once.
    #[must_use]
    pub fn sending_to(self, next_nodes: Box<dyn NextNodes + Send>) -> Self {
        Self { next_nodes, ..self }
    }

    /// When [`timeout`](Self::timeout) must be called at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let sessions = self.deadlines.first().map(|(at, _)| *at);
        sessions.into_iter().chain(self.next_batch()).min()
    }

    /// Number of sessions.
    #[must_use]
    pub fn len(&self) -> usize {
        self.sessions.len()
    }

    /// Whether there is no session.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.sessions.is_empty()
    }

    /// A client has connected, with a number nobody had before. One that wants to go on with a session keeps that session's
    /// number from then on.
    pub fn connected(&mut self, id: SessionId, newcomer: Newcomer, now: Now, out: &mut Vec<Effect>) {
        if newcomer.join.reconnect {
            return self.resume(id, newcomer, now, out);
        }
        if self.is_draining() {
            return self.send_on(id, &newcomer, now, out);
        }
        let media = self.media_for(&newcomer, now.monotonic);
        let session = Session::open(id, newcomer, media, &self.site, self.random.as_mut(), now, out);
        self.rooms
            .entry(session.room_key().clone())
            .or_default()
            .sessions
            .insert(id);
        self.sessions.insert(id, session);
        self.site.counters.sessions_opened.increment();
        self.settle(id, None);
    }

    /// A client has sent a request.
    pub fn requested(&mut self, id: SessionId, request: Request, now: Now, out: &mut Vec<Effect>) {
        self.with_room(id, |session, local, site, random| {
            let around = Around {
                site,
                room: &local.room,
                now,
            };
            session.request(request, around, random, out);
        });
    }

    /// A client has sent a frame that is no request.
    pub fn frame_malformed(&mut self, id: SessionId, now: Now, out: &mut Vec<Effect>) {
        self.with(id, |session, site| session.malformed_frame(now, site, out));
    }

    /// A client sends more frames than it may.
    pub fn flooded(&mut self, id: SessionId, out: &mut Vec<Effect>) {
        self.with(id, |session, site| session.abused("too many frames", site, out));
    }

    /// A client's connection is gone.
    pub fn disconnected(&mut self, id: SessionId, now: Now, out: &mut Vec<Effect>) {
        let may_wait = self.may_wait();
        self.with(id, |session, site| session.disconnected(may_wait, now, site, out));
    }

    /// Whether another session may wait for a new connection.
    fn may_wait(&self) -> bool {
        self.waiting.len() < self.site.limits.waiting_sessions
    }

    /// A client's queue is full.
    pub fn overflowed(&mut self, id: SessionId, out: &mut Vec<Effect>) {
        self.with(id, |session, site| session.overflowed(site, out));
    }

    /// Does everything that is due.
    pub fn timeout(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some((_, id)) = self
            .deadlines
            .first()
            .copied()
            .filter(|(at, _)| *at <= now.monotonic)
        {
            // Here and now: one that no session has any more would come up for ever.
            self.deadlines.pop_first();
            let may_wait = self.may_wait();
            self.with(id, |session, site| session.timeout(may_wait, now, site, out));
        }
        self.move_batch(now.monotonic, out);
    }

    /// Takes in a fact of the bridge.
    #[expect(clippy::too_many_lines, reason = "a dispatcher: one call per arm")]
    pub fn happened(&mut self, fact: SessionFact, now: Now, out: &mut Vec<Effect>) {
        match fact {
            SessionFact::SessionOpened {
                session,
                participant,
                others,
            } => {
                self.session_opened(session, &participant, others, now, out);
            }
            SessionFact::SessionEnded { session, cause } => self.with(session, |it, _| it.ended(&cause, out)),
            SessionFact::OfferAnswered {
                session,
                offer_id,
                sdp,
                sections,
            } => {
                let answer = Answer {
                    offer_id,
                    sdp,
                    sections,
                };
                self.with(session, |it, _| it.offer_answered(answer, out));
            }
            SessionFact::OfferMade {
                session,
                offer_id,
                sdp,
                sections,
            } => {
                let offer = Reply::Offer(Answer {
                    offer_id,
                    sdp,
                    sections,
                });
                self.with(session, |it, _| it.tell_live(offer, out));
            }
            SessionFact::OfferRejected {
                session,
                offer_id,
                reason,
            } => {
                self.with(session, |it, site| {
                    it.offer_unusable(offer_id, &reason, site, out)
                });
            }
            SessionFact::SectionsRequired {
                session,
                audios,
                videos,
            } => {
                self.with(session, |it, _| it.sections_required(audios, videos, now));
            }
            SessionFact::PicturesPaused { session, pictures } => {
                self.with(session, |it, _| {
                    it.tell_live(Reply::PicturesPaused(pictures), out)
                });
            }
            SessionFact::LayersWanted {
                session,
                track,
                codec,
                layers,
            } => {
                let wanted = Reply::LayersWanted { track, codec, layers };
                self.with(session, |it, _| it.tell_live(wanted, out));
            }
            SessionFact::TrackSubscribed { session, track } => {
                self.with(session, |it, _| it.tell_live(Reply::TrackSubscribed(track), out));
            }
            SessionFact::TransportConnected { session } => {
                tracing::debug!(%session, "media connected");
                self.with(session, |it, _| it.media_connected());
                self.media_connected(session, out);
            }
            SessionFact::TrackAnnounced { session, cid, track } => {
                self.with(session, |it, _| it.track_announced(cid, track, out));
            }
            SessionFact::TrackRefused { session, cid, reason } => {
                self.with(session, |it, site| it.track_refused(&cid, &reason, site, out));
            }
            SessionFact::TrackUnpublished { session, track } => {
                self.with(session, |it, _| it.track_unpublished(&track));
            }
            SessionFact::DataReceived {
                session,
                reliable,
                payload,
            } => {
                self.data_received(session, reliable, &payload, out);
            }
            SessionFact::RoomChanged { room, change } => {
                let key = RoomKey {
                    name: room,
                    media: None,
                };
                self.room_changed(&key, change, now, out);
            }
            SessionFact::RoomChangedElsewhere { node, room, change } => {
                let key = RoomKey {
                    name: room,
                    media: Some(node),
                };
                self.room_changed(&key, change, now, out);
            }
        }
    }

    fn session_opened(
        &mut self,
        id: SessionId,
        participant: &ParticipantRecord,
        others: Vec<ParticipantRecord>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let told = self.with_room(id, |session, local, site, random| {
            // The facts about these may come later and are old news then, so whoever is here already is told now. But not of a
            // newcomer whose former self is still shown: of the exchange there is a fact of its own.
            let former = local.room.with_identity(&participant.identity);
            let alone = former.is_none_or(|former| former.sid == participant.sid);
            let news: Vec<ParticipantRecord> = others
                .iter()
                .chain(alone.then_some(participant))
                .filter(|record| local.room.upsert(record))
                .cloned()
                .collect();
            let around = Around {
                site,
                room: &local.room,
                now,
            };
            session.opened(participant, others, around, random, out);
            (session.room_key().clone(), news)
        });
        let Some((key, news)) = told else {
            return;
        };
        for record in news {
            self.show(&key, record, Some(id), out);
        }
    }

    fn data_received(&mut self, id: SessionId, reliable: bool, payload: &[u8], out: &mut Vec<Effect>) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let Some(local) = self.rooms.get(session.room_key()) else {
            return;
        };
        session.data_received(reliable, payload, &local.room, &self.site, out);
    }

    /// The sessions that may hear of `about`: all open ones of the room with a connection; of somebody hidden only that
    /// one itself. Whoever comes back is told everything.
    fn audience(&self, key: &RoomKey, about: Option<&ParticipantRecord>) -> Vec<SessionId> {
        let hears = |session: &&Session| {
            session.is_live()
                && !session.is_waiting()
                && about.is_none_or(|record| {
                    let own = record.sid == *session.sid();
                    // Nobody is told of somebody of the own identity, who comes or goes while one moves.
                    own || (!record.permission.hidden && record.identity != *session.identity())
                })
        };
        let members = self.rooms.get(key).into_iter().flat_map(|local| &local.sessions);
        members
            .filter_map(|id| self.sessions.get(id))
            .filter(hears)
            .map(Session::id)
            .collect()
    }

    /// Lets a session do something and keeps the books.
    fn with(&mut self, id: SessionId, act: impl FnOnce(&mut Session, &Site)) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let before = session.deadline();
        act(session, &self.site);
        self.settle(id, before);
    }

    /// The same with the session's room; none where there is no such session.
    fn with_room<R>(
        &mut self,
        id: SessionId,
        act: impl FnOnce(&mut Session, &mut LocalRoom, &Site, &mut dyn RandomSource) -> R,
    ) -> Option<R> {
        let session = self.sessions.get_mut(&id)?;
        let before = session.deadline();
        let local = self.rooms.entry(session.room_key().clone()).or_default();
        let done = act(session, local, &self.site, self.random.as_mut());
        self.settle(id, before);
        Some(done)
    }

    /// Brings the books in line with a session: its deadline was `before`; if it is over it is forgotten.
    fn settle(&mut self, id: SessionId, before: Option<Instant>) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if let Some(at) = before {
            self.deadlines.remove(&(at, id));
        }
        if session.is_waiting() {
            self.waiting.insert(id);
        } else {
            self.waiting.remove(&id);
        }
        if session.is_over() {
            let key = session.room_key().clone();
            if let Some(over) = self.sessions.remove(&id) {
                self.note_unsteerable(&over);
            }
            self.forget_in_room(&key, id);
        } else if let Some(at) = session.deadline() {
            self.deadlines.insert((at, id));
        }
        self.site.counters.sessions.set(self.sessions.len());
        self.site.counters.rooms.set(self.rooms.len());
    }

    fn forget_in_room(&mut self, key: &RoomKey, id: SessionId) {
        if let Some(local) = self.rooms.get_mut(key) {
            local.sessions.remove(&id);
            if local.sessions.is_empty() {
                self.rooms.remove(key);
            }
        }
    }
}

fn send(to: Vec<SessionId>, reply: Reply, out: &mut Vec<Effect>) {
    if !to.is_empty() {
        out.push(Effect::Send { to, reply });
    }
}
