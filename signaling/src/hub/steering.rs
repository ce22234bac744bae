//! Clients whose media is on a nearer node than the one they are connected to.

use super::Hub;
use crate::session::{Newcomer, Session};
use relay_proto::id::{Identity, NodeId};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How long somebody whose media could not be brought up elsewhere is kept on this node.
const KEPT_HERE: Duration = Duration::from_secs(10 * 60);
/// People remembered for that; beyond it the oldest are tried elsewhere again.
const REMEMBERED_MAX: usize = 4_096;

/// Where the media of a session is, when that is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaPlace {
    /// The node.
    pub node: NodeId,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Why there, for people.
    pub reason: String,
}

/// People whose media did not come up on another node: that node may be full, or out of their reach.
#[derive(Debug, Default)]
pub(super) struct Unsteerable {
    people: VecDeque<(Instant, Identity)>,
    /// Sessions that are over since somebody last came.
    noted: Vec<Identity>,
}

impl Unsteerable {
    fn note(&mut self, who: Identity) {
        if self.noted.len() < REMEMBERED_MAX {
            self.noted.push(who);
        }
    }

    fn contains(&mut self, who: &Identity, now: Instant) -> bool {
        for noted in self.noted.drain(..) {
            self.people.push_back((now, noted));
        }
        let surplus = self.people.len().saturating_sub(REMEMBERED_MAX);
        self.people.drain(..surplus);
        let old = |at: Instant| now.saturating_duration_since(at) >= KEPT_HERE;
        while self.people.front().is_some_and(|(at, _)| old(*at)) {
            self.people.pop_front();
        }
        self.people.iter().any(|(_, known)| known == who)
    }
}

impl Hub {
    /// Where the media of a newcomer belongs, if not here. Whoever goes where it is sent has chosen its node itself.
    pub(super) fn media_for(&mut self, newcomer: &Newcomer, now: Instant) -> Option<MediaPlace> {
        if newcomer.join.follows || self.unsteerable.contains(&newcomer.claims.identity(), now) {
            return None;
        }
        let room = newcomer.claims.room();
        let place = self.next_nodes.media_for(newcomer.address, &room, now);
        if place.is_some() {
            self.site.counters.steered.increment();
        }
        place
    }

    /// Remembers whom it was of no use to steer: its next session has its media here.
    pub(super) fn note_unsteerable(&mut self, over: &Session) {
        if over.was_steered_in_vain() {
            self.unsteerable.note(over.identity().clone());
        }
    }
}

#[cfg(test)]
mod tests;
