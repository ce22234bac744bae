//! The loop of a shard's thread: take a batch in, drain everything out, sleep until there is more.

use super::inbox::{Delivery, Inbox, inbox};
use super::route::LinkTable;
use super::socket::{MediaSocket, ReceiveBatch};
use bridge_core::shard::counters::ShardCounters;
use bridge_core::shard::io::{ShardFact, ShardId};
use bridge_core::shard::{ShardConfig, ShardCore};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::time::TimeSpec;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Commands and datagrams taken from the inbox before the socket has its turn again.
const MAX_INBOX_TURN: usize = 64;
/// How often counters are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(500);
/// Longest sleep: a lost wake-up costs no more than this.
const LONGEST_SLEEP: Duration = Duration::from_secs(1);

/// What a shard's thread needs.
pub struct ShardSettings {
    /// Its number.
    pub shard: ShardId,
    /// Its core's configuration.
    pub config: ShardConfig,
    /// Its randomness.
    pub seed: [u8; 32],
    /// Its socket.
    pub socket: MediaSocket,
    /// Where facts go. A full queue holds facts back in the core, never the thread.
    pub facts: mpsc::Sender<(ShardId, ShardFact)>,
}

/// A running shard.
#[derive(Debug)]
pub struct ShardThread {
    inbox: Inbox,
    counters: Arc<Mutex<ShardCounters>>,
    thread: JoinHandle<()>,
}

struct Shard {
    id: ShardId,
    core: ShardCore,
    socket: MediaSocket,
    delivery: Delivery,
    links: Arc<LinkTable>,
    facts: mpsc::Sender<(ShardId, ShardFact)>,
    counters: Arc<Mutex<ShardCounters>>,
    next_publish: Instant,
    batch: ReceiveBatch,
    out: Vec<u8>,
}

impl ShardThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// What the system says where it has no thread or descriptor left.
    pub fn start(settings: ShardSettings, links: Arc<LinkTable>) -> std::io::Result<Self> {
        let (inbox, delivery) = inbox()?;
        let counters = Arc::new(Mutex::new(ShardCounters::default()));
        let published = counters.clone();
        let name = format!("shard-{}", settings.shard.0);
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(move || Shard::new(settings, delivery, links, published).run())?;
        Ok(Self {
            inbox,
            counters,
            thread,
        })
    }

    /// How to reach it.
    #[must_use]
    pub const fn inbox(&self) -> &Inbox {
        &self.inbox
    }

    /// Its counters, at most half a second old.
    #[must_use]
    pub fn counters(&self) -> ShardCounters {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends it after what waits, and waits for that.
    pub fn stop(self) {
        self.inbox.stop();
        if self.thread.join().is_err() {
            tracing::error!("a shard's thread has panicked");
        }
    }
}

impl Shard {
    fn new(
        settings: ShardSettings,
        delivery: Delivery,
        links: Arc<LinkTable>,
        counters: Arc<Mutex<ShardCounters>>,
    ) -> Self {
        Self {
            id: settings.shard,
            core: ShardCore::new(settings.config, settings.seed),
            socket: settings.socket,
            delivery,
            links,
            facts: settings.facts,
            counters,
            next_publish: Instant::now(),
            batch: ReceiveBatch::default(),
            out: Vec::new(),
        }
    }

    fn run(&mut self) {
        loop {
            let now = Instant::now();
            let busy = self.turn(now);
            if self.delivery.is_stopping() && !busy {
                break;
            }
            if !busy {
                self.sleep(now);
            }
        }
    }

    /// One batch in, everything out; whether there was anything.
    fn turn(&mut self, now: Instant) -> bool {
        let mut taken = self.take_inbox(now);
        let core = &mut self.core;
        taken += self.socket.receive(&mut self.batch, |from, bytes| {
            core.handle_datagram(now, from, bytes)
        });
        self.core.handle_timeout(now);
        self.drain(now);
        if now >= self.next_publish {
            self.next_publish = now + PUBLISH_INTERVAL;
            *self.counters.lock().unwrap_or_else(PoisonError::into_inner) = self.core.counters();
        }
        taken > 0
    }

    fn take_inbox(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        while taken < MAX_INBOX_TURN
            && let Some(command) = self.delivery.next_command()
        {
            self.core.handle_command(now, command);
            taken += 1;
        }
        while taken < 2 * MAX_INBOX_TURN
            && let Some((from, datagram)) = self.delivery.next_datagram()
        {
            match datagram.try_into_mut() {
                Ok(mut bytes) => self.core.handle_relay(now, from, &mut bytes),
                Err(shared) => self.core.handle_relay(now, from, &mut shared.to_vec()),
            }
            taken += 1;
        }
        taken
    }

    fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.core.poll_transmit(now, &mut self.out) {
            self.socket.send(transmit.to, transmit.segment_bytes, &self.out);
        }
        while let Some(transmit) = self.core.poll_relay() {
            self.links.send(now, transmit);
        }
        loop {
            match self.facts.try_reserve() {
                Ok(place) => match self.core.poll_fact() {
                    Some(fact) => place.send((self.id, fact)),
                    None => break,
                },
                Err(TrySendError::Full(())) => break,
                Err(TrySendError::Closed(())) => {
                    while self.core.poll_fact().is_some() {}
                    break;
                }
            }
        }
    }

    fn sleep(&self, now: Instant) {
        let until = self
            .core
            .poll_timeout()
            .map_or(LONGEST_SLEEP, |at| at.saturating_duration_since(now));
        let timeout = TimeSpec::from(until.min(LONGEST_SLEEP));
        let mut fds = [
            PollFd::new(self.socket.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.delivery.as_fd(), PollFlags::POLLIN),
        ];
        match ppoll(&mut fds, Some(timeout), None) {
            Ok(_) if fds[1].any() == Some(true) => self.delivery.hear(),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => tracing::error!(%errno, "a shard cannot wait for its socket"),
        }
    }
}
