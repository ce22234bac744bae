//! What lies between a node and its directory: what the node says of its rooms, what it wants to know of others', and what is
//! known. Everything here holds the latest word alone, so that a directory that is slow or gone makes nothing grow.

use bridge_core::mesh::directory::{DirectoryAnswer, DirectoryOrder, HostEntry};
use relay_proto::id::{NodeId, RoomName};
use signaling::RoomHost;
use signaling::directory::{Asking, RoomDirectory};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a join waits for the directory's answer at most; it is then placed by what is known.
const PATIENCE: Duration = Duration::from_millis(500);
/// How long a room is watched after somebody has asked to join it: the client is on its way to one of its nodes.
const KEPT: Duration = Duration::from_secs(30);

/// What has gone well and badly with the directory since start.
#[derive(Debug, Default)]
pub struct DirectoryCounters {
    /// Whether it can be reached now.
    pub connected: AtomicBool,
    /// Calls that failed, and connections that were lost or not made.
    pub errors: AtomicU64,
    /// Entries written to it.
    pub published: AtomicU64,
    /// Changes of others heard from it.
    pub heard: AtomicU64,
    /// Keys and values that are none of ours.
    pub garbage: AtomicU64,
    /// Times nobody could say who hosts a room somebody wanted to join: unreachable, slow, or too many asked at once.
    pub unanswered: AtomicU64,
}

/// Who hosts one room.
#[derive(Debug, Default)]
struct Watch {
    /// The core has asked for it, and hears of each change.
    for_core: bool,
    /// Somebody wants to join it, or did a moment ago.
    for_joins_until: Option<Instant>,
    /// The directory has said who hosts it, at least once.
    known: bool,
    hosts: BTreeMap<NodeId, HostEntry>,
}

#[derive(Debug, Default)]
struct State {
    /// What the node has last said of each room, until the directory need not hold it any more.
    ours: BTreeMap<RoomName, HostEntry>,
    /// What the directory may hold otherwise, and since when.
    unsaid: BTreeMap<RoomName, Instant>,
    /// The rooms of which the directory may hold anything of ours.
    held: BTreeSet<RoomName>,
    watches: BTreeMap<RoomName, Watch>,
    /// Watches that have begun or ended since the directory was last told.
    turned: BTreeSet<RoomName>,
}

/// The desk. Shared by the control task, signalling, and whoever speaks with the directory.
#[derive(Debug)]
pub struct Desk {
    state: Mutex<State>,
    changed: Notify,
    answered: Notify,
    counters: DirectoryCounters,
    max_asked: usize,
    max_hosts: usize,
}

impl Desk {
    /// An empty one. At most `max_asked` rooms are watched for joins alone, and of `max_hosts` nodes in one room is known.
    #[must_use]
    pub fn new(max_asked: usize, max_hosts: usize) -> Self {
        Self {
            state: Mutex::default(),
            changed: Notify::new(),
            answered: Notify::new(),
            counters: DirectoryCounters::default(),
            max_asked,
            max_hosts,
        }
    }

    /// How it goes.
    #[must_use]
    pub const fn counters(&self) -> &DirectoryCounters {
        &self.counters
    }

    /// How many rooms are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        self.state().watches.len()
    }

    /// For how long the oldest word of this node has not reached the directory; zero where all have.
    #[must_use]
    pub fn lag(&self, now: Instant) -> Duration {
        let oldest = self.state().unsaid.values().min().copied();
        oldest.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// Takes an order of the core; waits for nothing.
    pub fn order(&self, now: Instant, order: DirectoryOrder) {
        let mut state = self.state();
        match order {
            DirectoryOrder::Publish(room, entry)
                if entry.participants.is_none() && !state.held.contains(&room) =>
            {
                // It has never heard of the room: there is nothing to take back.
                state.ours.remove(&room);
                state.unsaid.remove(&room);
            }
            DirectoryOrder::Publish(room, entry) => {
                state.ours.insert(room.clone(), entry);
                state.unsaid.entry(room).or_insert(now);
            }
            DirectoryOrder::Watch(room) => {
                state.watches.entry(room.clone()).or_default().for_core = true;
                state.turned.insert(room);
            }
            DirectoryOrder::Unwatch(room) => {
                if let Some(watch) = state.watches.get_mut(&room) {
                    watch.for_core = false;
                    // Whoever leaves may come back at once.
                    watch.for_joins_until.get_or_insert(now);
                }
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole after every call, also after one that panicked.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to watch a room for somebody who wants to join it. Whether there is an answer to wait for.
    fn begin_to_ask(&self, now: Instant, room: &RoomName) -> bool {
        let mut state = self.state();
        let until = Some(now + KEPT);
        if let Some(watch) = state.watches.get_mut(room) {
            watch.for_joins_until = watch.for_joins_until.max(until);
            return !watch.known;
        }
        if state.watches.values().filter(|watch| !watch.for_core).count() >= self.max_asked {
            if self.counters.unanswered.load(Ordering::Relaxed) == 0 {
                tracing::warn!(
                    "a join is placed without the directory: limits.directory_questions is reached"
                );
            }
            return false;
        }
        let watch = Watch {
            for_joins_until: until,
            ..Watch::default()
        };
        state.watches.insert(room.clone(), watch);
        state.turned.insert(room.clone());
        drop(state);
        self.changed.notify_one();
        true
    }

    fn knows(&self, room: &RoomName) -> bool {
        self.state().watches.get(room).is_some_and(|watch| watch.known)
    }

    async fn answer_to(&self, room: &RoomName) {
        loop {
            let answered = self.answered.notified();
            if self.knows(room) {
                return;
            }
            answered.await;
        }
    }
}

impl RoomDirectory for Desk {
    fn ask<'a>(&'a self, room: &'a RoomName) -> Asking<'a> {
        Box::pin(async move {
            let waits = self.begin_to_ask(Instant::now(), room);
            let reached = self.counters.connected.load(Ordering::Relaxed);
            let told = waits && reached && tokio::time::timeout(PATIENCE, self.answer_to(room)).await.is_ok();
            if !told && !self.knows(room) {
                self.counters.unanswered.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    fn hosts(&self, room: &RoomName) -> Vec<RoomHost> {
        let state = self.state();
        let hosts = state
            .watches
            .get(room)
            .into_iter()
            .flat_map(|watch| watch.hosts.values());
        let own = state.ours.get(room);
        let host = |entry: &HostEntry| {
            Some(RoomHost {
                node: entry.node,
                participants: entry.participants?,
            })
        };
        let us = own.map(|entry| entry.node);
        let others = hosts.filter(|entry| Some(entry.node) != us);
        others.chain(own).filter_map(host).collect()
    }
}

/// What whoever speaks with the directory reads and writes.
#[cfg_attr(
    not(feature = "etcd"),
    expect(dead_code, reason = "there is no adapter in this build")
)]
impl Desk {
    /// Ends when something has changed since the last call.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// At most `max` rooms whose entries the directory may hold otherwise, oldest word first.
    pub(super) fn unsaid(&self, max: usize) -> Vec<(RoomName, HostEntry)> {
        let mut state = self.state();
        let mut rooms: Vec<(&Instant, &RoomName)> =
            state.unsaid.iter().map(|(room, at)| (at, room)).collect();
        rooms.sort();
        let entries = rooms.into_iter().take(max);
        let entries: Vec<(RoomName, HostEntry)> = entries
            .filter_map(|(_, room)| Some((room.clone(), *state.ours.get(room)?)))
            .collect();
        state.held.extend(entries.iter().map(|(room, _)| room.clone()));
        entries
    }

    /// The directory holds these.
    pub(super) fn said(&self, entries: &[(RoomName, HostEntry)]) {
        let mut state = self.state();
        for (room, entry) in entries {
            // Else something new was said meanwhile.
            if state.ours.get(room) == Some(entry) {
                state.unsaid.remove(room);
            }
        }
        self.counters
            .published
            .fetch_add(entries.len() as u64, Ordering::Relaxed);
    }

    /// The directory may hold nothing of ours.
    pub(super) fn say_all_again(&self, now: Instant) {
        let mut state = self.state();
        let rooms: Vec<RoomName> = state.ours.keys().cloned().collect();
        for room in rooms {
            state.unsaid.entry(room).or_insert(now);
        }
    }

    /// Forgets that this node has left a room, if that is still its last word.
    pub(super) fn forget_left(&self, room: &RoomName, entry: &HostEntry) {
        let mut state = self.state();
        if state.ours.get(room) == Some(entry) && entry.participants.is_none() {
            state.ours.remove(room);
            state.unsaid.remove(room);
            state.held.remove(room);
        }
    }

    /// Whether this node has said anything of a room that still counts.
    pub(super) fn speaks_of(&self, room: &RoomName) -> bool {
        self.state().ours.contains_key(room)
    }

    /// Ends watches that nobody wants any more.
    pub(super) fn end_watches(&self, now: Instant) {
        let mut state = self.state();
        let State { watches, turned, .. } = &mut *state;
        watches.retain(|room, watch| {
            let wanted = watch.for_core || watch.for_joins_until.is_some_and(|until| now < until);
            if !wanted {
                turned.insert(room.clone());
            }
            wanted
        });
    }

    /// The watches that have begun or ended since the last call: the room, and whether it is watched.
    pub(super) fn turned(&self) -> Vec<(RoomName, bool)> {
        let mut state = self.state();
        let turned = std::mem::take(&mut state.turned);
        turned
            .into_iter()
            .map(|room| {
                let watched = state.watches.contains_key(&room);
                (room, watched)
            })
            .collect()
    }

    /// Every watched room is to be asked for anew.
    pub(super) fn ask_all_again(&self) {
        let mut state = self.state();
        state.turned = state.watches.keys().cloned().collect();
    }

    /// One room is to be asked for anew.
    pub(super) fn ask_again(&self, room: RoomName) {
        self.state().turned.insert(room);
        self.changed.notify_one();
    }

    /// The directory says everything it holds of a room. What the core is to hear, if it wants to.
    pub(super) fn learn_all(&self, room: &RoomName, hosts: Vec<HostEntry>) -> Option<DirectoryAnswer> {
        self.learn(room, |known| {
            *known = hosts.into_iter().map(|entry| (entry.node, entry)).collect();
        })
    }

    /// The directory says what one node's entry is now. What the core is to hear, if it wants to.
    pub(super) fn learn_one(
        &self,
        room: &RoomName,
        node: NodeId,
        entry: Option<HostEntry>,
    ) -> Option<DirectoryAnswer> {
        let max = self.max_hosts;
        self.learn(room, |known| match entry {
            Some(entry) if known.len() < max || known.contains_key(&node) => {
                known.insert(node, entry);
            }
            Some(_) => {}
            None => {
                known.remove(&node);
            }
        })
    }

    fn learn(
        &self,
        room: &RoomName,
        change: impl FnOnce(&mut BTreeMap<NodeId, HostEntry>),
    ) -> Option<DirectoryAnswer> {
        let mut state = self.state();
        let watch = state.watches.get_mut(room)?;
        change(&mut watch.hosts);
        watch.known = true;
        let answer = watch.for_core.then(|| DirectoryAnswer {
            room: room.clone(),
            hosts: watch.hosts.values().copied().collect(),
        });
        drop(state);
        self.counters.heard.fetch_add(1, Ordering::Relaxed);
        self.answered.notify_waiters();
        answer
    }

    pub(super) const fn max_hosts(&self) -> usize {
        self.max_hosts
    }
}

#[cfg(test)]
mod tests;
