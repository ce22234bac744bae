//! A node that empties itself: nobody new comes in, and whoever is here is sent to other nodes in small batches.
//!
//! First go the clients that follow where they are sent. All others come back to the address they know, and may find this
//! node again until it has gone: they go last, and quickly.

use super::{Hub, MediaPlace, send};
use crate::limits::Limits;
use crate::protocol::{Leave, NextNode, Reply};
use crate::session::{Effect, Newcomer, Now, Session};
use relay_proto::id::{RoomName, SessionId};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Pauses between batches are not shorter than this; batches grow instead.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Says where clients are to go.
pub trait NextNodes {
    /// The nodes that would take a client, best first. A place on the first one is reserved.
    fn for_client(&mut self, address: Option<IpAddr>, room: &RoomName, now: Instant) -> Vec<NextNode>;

    /// Whether there is any node to go to.
    fn any(&self) -> bool;

    /// The node that a client's media is better placed on than here, if there is one. A place on it is reserved.
    fn media_for(&mut self, _address: Option<IpAddr>, _room: &RoomName, _now: Instant) -> Option<MediaPlace> {
        None
    }
}

/// Of a hub that has nowhere to send its clients.
pub(super) struct Nowhere;

impl NextNodes for Nowhere {
    fn for_client(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Vec<NextNode> {
        Vec::new()
    }

    fn any(&self) -> bool {
        false
    }
}

/// How far a node has come with emptying itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// People it began with.
    pub people: usize,
    /// How many were sent away.
    pub moved: usize,
    /// How many are still here: not sent away yet, or sent away and not gone.
    pub left: usize,
    /// Time until it stops, whoever is left.
    pub time_left: Duration,
    /// Nobody is left, nobody can be sent anywhere, or the time is over.
    pub done: bool,
}

/// A drain that is under way.
#[derive(Debug)]
pub(super) struct Drain {
    deadline: Instant,
    /// The last batch goes by then, which leaves its people time to come in elsewhere.
    moved_by: Instant,
    next_batch: Instant,
    /// Only those who do not follow are left.
    in_tail: bool,
    people: usize,
    moved: usize,
    done: bool,
}

impl Drain {
    fn new(within: Duration, people: usize, limits: &Limits, now: Instant) -> Self {
        let grace = limits.move_grace.min(within / 2);
        let mut drain = Self {
            deadline: now + within,
            moved_by: now + (within - grace),
            next_batch: now,
            in_tail: false,
            people,
            moved: 0,
            done: false,
        };
        drain.next_batch = now + drain.pace(people, limits, now).1;
        drain
    }

    /// How many go at once while `left` are not sent away yet, and the pause before the next batch.
    fn pace(&self, left: usize, limits: &Limits, now: Instant) -> (usize, Duration) {
        let time_left = self.moved_by.saturating_duration_since(now);
        let possible = (time_left.as_millis() / SHORTEST_PAUSE.as_millis()).max(1);
        let at_least = left.div_ceil(usize::try_from(possible).unwrap_or(usize::MAX));
        let batch = limits.drain_batch.max(at_least).max(1);
        let batches = u32::try_from(left.div_ceil(batch).max(1)).unwrap_or(u32::MAX);
        (batch, limits.drain_pause.min(time_left / batches))
    }

    /// Whether `left` people can wait a little for those on the way: they could still go at leisure after that.
    fn has_time(&self, left: usize, limits: &Limits, now: Instant) -> bool {
        let batches = u32::try_from(left.div_ceil(limits.drain_batch.max(1))).unwrap_or(u32::MAX);
        let time_left = self.moved_by.saturating_duration_since(now + SHORTEST_PAUSE);
        time_left >= limits.drain_pause.saturating_mul(batches)
    }

    /// Only those are left who do not follow: they are not kept waiting longer than necessary.
    fn enter_tail(&mut self, limits: &Limits, now: Instant) {
        if !std::mem::replace(&mut self.in_tail, true) {
            self.moved_by = self.moved_by.min(now + limits.drain_tail);
        }
    }
}

impl Hub {
    /// Sends everybody to other nodes in the time `within`. Said again, it gives a new time from now on.
    pub fn drain(&mut self, within: Duration, now: Now) {
        let limits = &self.site.limits;
        let before = self.drain.take();
        let mut drain = Drain::new(within, self.sessions.len(), limits, now.monotonic);
        if let Some(before) = before {
            (drain.people, drain.moved) = (before.people, before.moved);
        }
        drain.done = self.sessions.is_empty() || !self.next_nodes.any();
        tracing::info!(
            sessions = self.sessions.len(),
            within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
            "draining: nobody new is taken, and people are sent to other nodes"
        );
        self.drain = Some(drain);
    }

    /// Whether this node empties itself.
    #[must_use]
    pub const fn is_draining(&self) -> bool {
        self.drain.is_some()
    }

    /// How far it has come with that.
    #[must_use]
    pub fn drain_progress(&self, now: Now) -> Option<DrainProgress> {
        let drain = self.drain.as_ref()?;
        let left = self.sessions.len();
        Some(DrainProgress {
            people: drain.people,
            moved: drain.moved,
            left,
            time_left: drain.deadline.saturating_duration_since(now.monotonic),
            done: drain.done || left == 0,
        })
    }

    /// When the drain wants to be looked at next.
    pub(super) fn next_batch(&self) -> Option<Instant> {
        let drain = self.drain.as_ref().filter(|drain| !drain.done)?;
        Some(drain.next_batch.min(drain.deadline))
    }

    /// Sends the next batch away, where it is due.
    pub(super) fn move_batch(&mut self, now: Instant, out: &mut Vec<Effect>) {
        let Some(mut drain) = self.drain.take() else {
            return;
        };
        let stranded = now >= drain.next_batch && !self.next_nodes.any();
        if now >= drain.deadline || stranded {
            drain.done = true;
        } else if now >= drain.next_batch {
            let (followers, others) = self.to_be_moved();
            if followers.is_empty() {
                drain.enter_tail(&self.site.limits, now);
            }
            let left = followers.len() + others.len();
            let is_crowded = self.on_the_way() >= 2 * self.site.limits.drain_batch.max(1);
            if is_crowded && drain.has_time(left, &self.site.limits, now) {
                drain.next_batch = now + SHORTEST_PAUSE;
                self.drain = Some(drain);
                return;
            }
            let (batch, _) = drain.pace(left, &self.site.limits, now);
            let until = (now + self.site.limits.move_grace).min(drain.deadline);
            let turn = if followers.is_empty() { others } else { followers };
            let moved = self.move_some(&turn, batch, until, now, out);
            drain.moved += moved;
            let (_, pause) = drain.pace(left - moved, &self.site.limits, now);
            drain.next_batch = now + pause.max(SHORTEST_PAUSE);
        }
        self.drain = Some(drain);
    }

    /// Who was not sent away yet: those who follow, and those who do not.
    fn to_be_moved(&self) -> (Vec<SessionId>, Vec<SessionId>) {
        let here = self.sessions.values();
        let unmoved = here.filter(|session| session.is_live() && !session.is_moving());
        let (followers, others): (Vec<&Session>, Vec<&Session>) =
            unmoved.partition(|session| session.follows());
        let ids = |sessions: Vec<&Session>| sessions.into_iter().map(Session::id).collect();
        (ids(followers), ids(others))
    }

    /// How many were sent away and are still here: they are coming in elsewhere.
    fn on_the_way(&self) -> usize {
        let here = self.sessions.values();
        here.filter(|session| session.is_moving()).count()
    }

    /// Sends up to `batch` of these away; those whom no other node takes stay. How many it were.
    fn move_some(
        &mut self,
        turn: &[SessionId],
        batch: usize,
        until: Instant,
        now: Instant,
        out: &mut Vec<Effect>,
    ) -> usize {
        let mut moved = 0;
        for id in turn {
            if moved == batch {
                break;
            }
            let Some(session) = self.sessions.get(id) else {
                continue;
            };
            let next_nodes = self.next_nodes.for_client(session.address(), session.room(), now);
            if next_nodes.is_empty() {
                continue;
            }
            self.with(*id, |session, site| {
                site.counters.moved.increment();
                session.move_away(next_nodes, until, out);
            });
            moved += 1;
        }
        moved
    }

    /// Tells a client that has come to a draining node where to go instead.
    pub(super) fn send_on(
        &mut self,
        connection: SessionId,
        newcomer: &Newcomer,
        now: Now,
        out: &mut Vec<Effect>,
    ) {
        let room = newcomer.claims.room();
        let next_nodes = self.next_nodes.for_client(newcomer.address, &room, now.monotonic);
        self.site.counters.sent_on.increment();
        tracing::info!(session = %connection, %room, to = next_nodes.first().map(|next| next.node.as_str()), "sent on: this node drains");
        send(vec![connection], Reply::Leave(Leave::to(next_nodes)), out);
        out.push(Effect::Close(connection));
    }
}

#[cfg(test)]
mod tests;
