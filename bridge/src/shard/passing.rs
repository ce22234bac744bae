//! The shard of tracks that only pass through. It has no clients and no socket, hence no thread: whoever brings a datagram, a
//! link's reader, runs it. A thread between two links would be woken, and wake another, for every burst (measured:
//! `relay_cpu`).

use super::routes::{Departures, LinkTable};
use super::thread::{ShardEvent, ShardReport};
use bridge_core::shard::ShardCore;
use bridge_core::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::id::NodeId;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// How soon a fact that found the queue full is offered again.
const FACT_RETRY: Duration = Duration::from_millis(2);

/// That shard, for every thread that brings something. Its lock is held for as long as a datagram or a batch takes.
pub struct PassingShard {
    running: Mutex<Running>,
    links: LinkTable,
    events: mpsc::Sender<ShardEvent>,
    /// Something has changed that may want a timeout.
    stirred: Notify,
}

struct Running {
    core: ShardCore,
    /// When the batch that is being brought has come.
    batch: Option<Instant>,
    /// A fact that found the queue full.
    unsent: Option<Box<ShardFact>>,
    departures: Departures,
}

impl PassingShard {
    /// One whose `core` knows nobody; facts go to `events`. [`Self::run`] has to run beside it.
    #[must_use]
    pub fn new(core: ShardCore, links: LinkTable, events: mpsc::Sender<ShardEvent>) -> Self {
        Self {
            running: Mutex::new(Running {
                core,
                batch: None,
                unsent: None,
                departures: Departures::default(),
            }),
            links,
            events,
            stirred: Notify::new(),
        }
    }

    /// Carries out a command.
    pub fn command(&self, now: Instant, command: ShardCommand) {
        let mut running = self.running();
        running.core.handle_command(now, command);
        self.drain(&mut running, now);
        drop(running);
        self.stirred.notify_one();
    }

    /// Takes a datagram of a link; [`Self::flush`] follows, once for many. Hot path: one lock that nobody holds for long.
    pub(super) fn pass(&self, from: NodeId, datagram: &[u8]) {
        let mut running = self.running();
        let now = *running.batch.get_or_insert_with(Instant::now);
        running.core.handle_passing(now, from, datagram);
    }

    /// Sends on what has been brought.
    pub(super) fn flush(&self) {
        let mut running = self.running();
        if let Some(now) = running.batch.take() {
            self.drain(&mut running, now);
            if running.unsent.is_some() {
                // Only others say so: told by itself, the loop of `run` would not wait before it tries again.
                self.stirred.notify_one();
            }
        }
    }

    /// Lets time pass for it, for ever.
    pub async fn run(&self) {
        loop {
            let due = {
                let running = self.running();
                let retry = running.unsent.as_ref().map(|_| Instant::now() + FACT_RETRY);
                running.core.poll_timeout().into_iter().chain(retry).min()
            };
            match due {
                Some(at) => tokio::select! {
                    () = tokio::time::sleep_until(at.into()) => {}
                    () = self.stirred.notified() => {}
                },
                None => self.stirred.notified().await,
            }
            let (mut running, now) = (self.running(), Instant::now());
            if running.core.poll_timeout().is_some_and(|at| at <= now) {
                running.core.handle_timeout(now);
            }
            self.drain(&mut running, now);
        }
    }

    /// What it has done. Its processor time is that of others.
    #[must_use]
    pub fn report(&self) -> ShardReport {
        let running = self.running();
        ShardReport {
            counters: running.core.counters(),
            unlinked: running.departures.unlinked,
            ..ShardReport::default()
        }
    }

    fn drain(&self, running: &mut Running, now: Instant) {
        let mut links = None;
        while let Some(transmit) = running.core.poll_relay() {
            let links = links.get_or_insert_with(|| self.links.current());
            running.departures.hand_over(links, now, transmit);
        }
        if let Some(links) = &links {
            running.departures.wake(links);
        }
        while let Some(fact) = running
            .unsent
            .take()
            .or_else(|| running.core.poll_fact().map(Box::new))
        {
            match self.events.try_send(ShardEvent::Fact(ShardId::PASSING, fact)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(ShardEvent::Fact(_, fact))) => {
                    running.unsent = Some(fact);
                    return;
                }
                // The node is stopping.
                Err(_) => return,
            }
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for PassingShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PassingShard").finish_non_exhaustive()
    }
}
