//! A client comes back: which session it means, and what it has missed.

use super::{Hub, send};
use crate::limits::IDLE_TIMEOUT;
use crate::protocol::{Leave, LeaveAction, LeaveReason, Reply};
use crate::room::RoomKey;
use crate::session::{Around, Effect, Newcomer, Now};
use relay_proto::id::SessionId;
use relay_proto::room::{LeaveCause, ParticipantRecord};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Somebody who has left, and why.
type Departure = (Box<ParticipantRecord>, LeaveCause);

/// Who has left a room lately. A client may have missed it from the moment its connection went silent.
#[derive(Debug, Default)]
pub(super) struct Departures {
    gone: VecDeque<(Instant, Box<ParticipantRecord>, LeaveCause)>,
    /// When the newest of those left who had to be forgotten early.
    forgotten: Option<Instant>,
}

impl Departures {
    pub(super) fn note(
        &mut self,
        now: Instant,
        who: &ParticipantRecord,
        cause: LeaveCause,
        window: Duration,
        limit: usize,
    ) {
        let old = |at: &Instant| now.saturating_duration_since(*at) >= window;
        while self.gone.front().is_some_and(|(at, ..)| old(at)) {
            self.gone.pop_front();
        }
        self.gone.push_back((now, Box::new(who.clone()), cause));
        if self.gone.len() > limit
            && let Some((at, ..)) = self.gone.pop_front()
        {
            self.forgotten = Some(at);
        }
    }

    /// Everybody who has left within `window`; none where some of them are forgotten.
    fn since(&self, now: Instant, window: Duration) -> Option<Vec<Departure>> {
        let recent = |at: Instant| now.saturating_duration_since(at) < window;
        if self.forgotten.is_some_and(recent) {
            return None;
        }
        let gone = self.gone.iter().filter(|(at, ..)| recent(*at));
        Some(gone.map(|(_, who, cause)| (who.clone(), *cause)).collect())
    }
}

impl Hub {
    /// Whether a session waits for a new connection.
    #[must_use]
    pub fn is_waiting(&self, id: SessionId) -> bool {
        self.waiting.contains(&id)
    }

    /// How long departures are remembered: a connection may be silent for long before it counts as lost.
    pub(super) fn departure_window(&self) -> Duration {
        IDLE_TIMEOUT + self.site.limits.resume_grace
    }

    /// Goes on with the session a client means, or sends it to join anew.
    pub(super) fn resume(
        &mut self,
        connection: SessionId,
        newcomer: Newcomer,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        match self.missed_by(&newcomer, now.monotonic) {
            Some((id, gone)) => self.go_on(connection, id, newcomer, gone, now, out),
            None if self.is_draining() => self.send_on(connection, &newcomer, now, out),
            None => self.refuse_resume(connection, &newcomer, out),
        }
    }

    /// The session a client means and who has left meanwhile; none where it cannot go on.
    fn missed_by(&self, newcomer: &Newcomer, now: Instant) -> Option<(SessionId, Vec<Departure>)> {
        let first = RoomKey {
            name: newcomer.claims.room(),
            media: None,
        };
        let views = self.rooms.range(first.clone()..);
        let mut views = views.take_while(|(key, _)| key.name == first.name);
        let (id, local) = views.find_map(|(_, local)| {
            let mut sessions = local.sessions.iter().filter_map(|id| self.sessions.get(id));
            let session = sessions.find(|session| session.is_of(newcomer))?;
            Some((session.id(), local))
        })?;
        Some((id, local.departures.since(now, self.departure_window())?))
    }

    fn refuse_resume(&self, connection: SessionId, newcomer: &Newcomer, out: &mut Vec<Effect>) {
        self.site.counters.refused_resume.increment();
        tracing::info!(session = %connection, room = %newcomer.claims.room(), "resume refused: the client is to join anew");
        let leave = Leave::of(LeaveReason::StateMismatch, LeaveAction::Reconnect);
        send(vec![connection], Reply::Leave(leave), out);
        out.push(Effect::Close(connection));
    }

    fn go_on(
        &mut self,
        connection: SessionId,
        id: SessionId,
        newcomer: Newcomer,
        gone: Vec<Departure>,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        self.with_room(id, |session, local, site, random| {
            out.push(Effect::Attach {
                connection,
                session: id,
            });
            session.cut_resume(false, out);
            session.resumed(now, site, out);
            session.cut_resume(true, out);
            for (who, cause) in gone {
                // Clients know people by identity: whoever is there again must not be taken away.
                if local.room.with_identity(&who.identity).is_none() {
                    send(vec![id], Reply::Gone(who, cause), out);
                }
            }
            send(vec![id], Reply::Update(local.room.shown_to(session.sid())), out);
            session.tell_of_room(&local.room, out);
            out.push(Effect::SendKept(id));
            let around = Around {
                site,
                room: &local.room,
                now,
            };
            session.brought(newcomer, around, random, out);
        });
    }
}
