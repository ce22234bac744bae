//! The shard of tracks that only pass through. It has no clients and no socket, hence no thread: whoever brings a datagram, a
//! link's reader, runs it. A thread between two links would be woken, and wake another, for every burst (measured:
//! `relay_cpu`).

use super::routes::{Departures, LinkTable};
use super::thread::{ShardEvent, ShardReport};
use bridge_core::shard::ShardCore;
use bridge_core::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::datagram::Header;
use relay_proto::id::NodeId;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Notify, mpsc};

/// How soon a fact that found the queue full is offered again.
const FACT_RETRY: Duration = Duration::from_millis(2);

/// That shard, for every thread that brings something. Its lock is held for as long as a batch takes.
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

    /// Begins to take what a link has brought; [`Self::flush`] follows.
    pub(super) fn begin(&self) -> Arrivals<'_> {
        let mut running = self.running();
        let now = *running.batch.get_or_insert_with(Instant::now);
        Arrivals { running, now }
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
        while let Some(transmit) = running.core.poll_relay() {
            running.departures.hand_over(transmit);
        }
        running.departures.send(now, &self.links);
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

/// The shard while it takes a batch: its lock is held.
pub(super) struct Arrivals<'a> {
    running: MutexGuard<'a, Running>,
    now: Instant,
}

impl Arrivals<'_> {
    /// Takes a datagram of a link. Hot path.
    pub(super) fn pass(&mut self, from: NodeId, header: &Header, datagram: &[u8]) {
        self.running.core.handle_passing(self.now, from, header, datagram);
    }
}

impl std::fmt::Debug for PassingShard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PassingShard").finish_non_exhaustive()
    }
}
