//! The loop of a media thread.

use super::connections::{Connections, TcpInput};
use super::inbox::{Bell, Receiving};
use super::priority;
use super::routes::{Departures, LinkTable};
use super::siblings::Siblings;
use super::socket::{BATCH, MediaSocket, SendFailures};
use bridge_core::rtc::TcpId;
use bridge_core::shard::ShardCore;
use bridge_core::shard::counters::ShardCounters;
use bridge_core::shard::io::{ShardFact, ShardId};
use nix::time::{ClockId, clock_gettime};
use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd as _;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Commands and relayed datagrams taken between two looks at the socket.
const INBOX_BATCH: usize = 256;
/// How soon a fact that found the queue full is offered again. Facts are never dropped: the core keeps them.
const FACT_RETRY: Duration = Duration::from_millis(2);
/// How much later than asked for a thread wakes for its core's timer alone. Most timers are then met by a packet that wakes
/// it anyway (measured: at fifty viewers half of all wakes were for timers).
const TIMER_SLACK: Duration = Duration::from_millis(4);
/// Where nothing but reports has come, so long nobody listens: viewers report at moments of their own, and a wake for each
/// costs more than what it says (measured: `forward_cpu`, 155 sleeps a second at fifty viewers instead of 290, and 3 % less
/// per packet). Media that comes meanwhile goes out that much later.
const REPORTS_PAUSE: Duration = Duration::from_micros(400);
/// How often counters are published.
const PUBLISH_INTERVAL: Duration = Duration::from_millis(250);
/// Largest send: one GSO batch.
const SEND_BUFFER_BYTES: usize = 64 << 10;

/// What a shard tells the control task.
#[derive(Debug)]
pub enum ShardEvent {
    /// A fact of its core.
    Fact(ShardId, Box<ShardFact>),
    /// The thread has ended, by order or by a failure.
    Ended(ShardId),
}

/// What a shard has done, for metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardReport {
    /// Of its core.
    pub counters: ShardCounters,
    /// Of its socket.
    pub failures: SendFailures,
    /// Datagrams for nodes without a link.
    pub unlinked: u64,
    /// Packets for TCP connections that were gone.
    pub unconnected: u64,
    /// Processor time of the thread.
    pub cpu: Duration,
}

/// A running media thread. It ends when told to, or when every sender of its inbox is gone.
#[derive(Debug)]
pub struct ShardThread {
    report: Arc<Mutex<ShardReport>>,
    bell: Arc<Bell>,
    thread: JoinHandle<()>,
}

impl ShardThread {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn start(
        shard: ShardId,
        core: ShardCore,
        socket: UdpSocket,
        inbox: Receiving,
        (links, siblings): (LinkTable, Siblings),
        events: mpsc::Sender<ShardEvent>,
    ) -> io::Result<Self> {
        let report = Arc::new(Mutex::default());
        let (published, bell) = (report.clone(), inbox.bell.clone());
        let thread = std::thread::Builder::new()
            .name(format!("shard-{}", shard.0))
            .spawn(move || {
                let _ended = Ended {
                    shard,
                    events: events.clone(),
                };
                let mut running = Running {
                    shard,
                    core,
                    socket: MediaSocket::new(socket),
                    inbox,
                    connections: Connections::default(),
                    links,
                    siblings,
                    events,
                    unsent: None,
                    send_buffer: Vec::with_capacity(SEND_BUFFER_BYTES),
                    report: published,
                    departures: Departures::default(),
                    published_at: Instant::now(),
                };
                if let Err(error) = priority::raise() {
                    tracing::info!(shard = shard.0, %error, "media has no priority over other work of this machine");
                }
                if let Err(error) = running.run() {
                    tracing::error!(shard = shard.0, %error, "a media thread has failed");
                }
            })?;
        Ok(Self { report, bell, thread })
    }

    /// What the shard has done, at most a quarter of a second old.
    #[must_use]
    pub fn report(&self) -> Arc<Mutex<ShardReport>> {
        self.report.clone()
    }

    /// Ends the thread and waits for it: at most as long as one batch takes.
    pub fn stop(self) {
        self.bell.stop();
        if self.thread.join().is_err() {
            tracing::error!("a media thread has panicked");
        }
    }
}

/// Says so when the thread ends, however it ends.
struct Ended {
    shard: ShardId,
    events: mpsc::Sender<ShardEvent>,
}

impl Drop for Ended {
    fn drop(&mut self) {
        // Nobody listens where the whole node stops; where the queue is full, the sender's end says the same.
        let _ = self.events.try_send(ShardEvent::Ended(self.shard));
    }
}

struct Running {
    shard: ShardId,
    core: ShardCore,
    socket: MediaSocket,
    inbox: Receiving,
    connections: Connections,
    links: LinkTable,
    siblings: Siblings,
    events: mpsc::Sender<ShardEvent>,
    /// A fact that found the queue full.
    unsent: Option<Box<ShardFact>>,
    send_buffer: Vec<u8>,
    report: Arc<Mutex<ShardReport>>,
    departures: Departures,
    published_at: Instant,
}

impl Running {
    fn run(&mut self) -> io::Result<()> {
        while !self.inbox.bell.is_stopping() {
            let now = Instant::now();
            let Some(taken) = self.take_inbox(now) else {
                return Ok(());
            };
            let (core, socket) = (&mut self.core, &mut self.socket);
            let mut reports = 0;
            let received = socket.receive(|from, bytes| {
                reports += usize::from(is_report(bytes));
                core.handle_datagram(now, from, bytes);
            })?;
            let by_tcp = self.take_tcp(now);
            if self.core.poll_timeout().is_some_and(|at| at <= now) {
                self.core.handle_timeout(now);
            }
            self.drain(now);
            self.publish(now);
            if received < BATCH && by_tcp < BATCH && taken < INBOX_BATCH {
                if reports > 0 && reports == received && by_tcp + taken == 0 {
                    std::thread::sleep(REPORTS_PAUSE);
                }
                self.sleep()?;
            }
        }
        Ok(())
    }

    /// Feeds what other threads have queued; returns how much, or none where all of them are gone.
    fn take_inbox(&mut self, now: Instant) -> Option<usize> {
        let mut taken = 0;
        while taken < INBOX_BATCH {
            match self.inbox.commands.try_recv() {
                Ok(command) => self.core.handle_command(now, command),
                Err(mpsc::error::TryRecvError::Empty) => break,
                Err(mpsc::error::TryRecvError::Disconnected) => return None,
            }
            taken += 1;
        }
        while taken < INBOX_BATCH {
            let Ok((from, datagram)) = self.inbox.relayed.try_recv() else {
                break;
            };
            // The packet's buffer is ours alone once QUIC has let go of it; else it is copied.
            let mut bytes = datagram
                .try_into_mut()
                .unwrap_or_else(|shared| shared.as_ref().into());
            self.core.handle_relay(now, from, &mut bytes);
            taken += 1;
        }
        Some(taken)
    }

    /// As much of clients' TCP connections as is taken from the socket.
    fn take_tcp(&mut self, now: Instant) -> usize {
        let mut taken = 0;
        while taken < BATCH
            && let Ok(input) = self.inbox.tcp.try_recv()
        {
            match input {
                TcpInput::Packet(from, mut bytes) => self.core.handle_datagram(now, from, &mut bytes),
                TcpInput::Connected(address, lanes) => self.connections.add(address, lanes),
                TcpInput::Disconnected(address) => {
                    self.connections.remove(address);
                    self.core.handle_disconnect(address);
                }
            }
            taken += 1;
        }
        taken
    }

    fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.core.poll_transmit(now, &mut self.send_buffer) {
            let (to, segment_bytes) = (transmit.to, transmit.segment_bytes);
            if let Some(connection) = TcpId::of(to) {
                let packets = (&self.send_buffer[..], segment_bytes);
                self.connections
                    .send(now, connection, packets, transmit.is_picture);
            } else {
                self.socket.send(to, &self.send_buffer, segment_bytes);
            }
        }
        while let Some(transmit) = self.core.poll_relay() {
            if let Some(transmit) = self.siblings.take(transmit) {
                self.departures.hand_over(transmit);
            }
        }
        self.departures.send(now, &self.links);
        self.siblings.ring();
        self.tell_facts();
    }

    fn tell_facts(&mut self) {
        while let Some(fact) = self.unsent.take().or_else(|| self.core.poll_fact().map(Box::new)) {
            match self.events.try_send(ShardEvent::Fact(self.shard, fact)) {
                Ok(()) => {}
                Err(mpsc::error::TrySendError::Full(ShardEvent::Fact(_, fact))) => {
                    self.unsent = Some(fact);
                    return;
                }
                // The node is stopping; the inbox will say so.
                Err(_) => return,
            }
        }
    }

    fn sleep(&mut self) -> io::Result<()> {
        let bell = self.inbox.bell.clone();
        bell.going_to_sleep();
        let waiting = !self.inbox.commands.is_empty()
            || !self.inbox.relayed.is_empty()
            || !self.inbox.tcp.is_empty()
            || self.inbox.commands.is_closed()
            || bell.is_stopping();
        if !waiting {
            let due = self
                .core
                .poll_timeout()
                .map(|at| (at + TIMER_SLACK).saturating_duration_since(Instant::now()));
            let retry = self.unsent.as_ref().map(|_| FACT_RETRY);
            let timeout = due.into_iter().chain(retry).chain([PUBLISH_INTERVAL]).min();
            self.socket.wait(bell.event.as_fd(), timeout)?;
        }
        bell.awake();
        Ok(())
    }

    fn publish(&mut self, now: Instant) {
        if now.duration_since(self.published_at) < PUBLISH_INTERVAL {
            return;
        }
        self.published_at = now;
        let report = ShardReport {
            counters: self.core.counters(),
            failures: self.socket.failures(),
            unlinked: self.departures.unlinked,
            unconnected: self.connections.unconnected,
            cpu: thread_cpu().unwrap_or_default(),
        };
        *self
            .report
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner) = report;
    }
}

/// Whether a datagram is RTCP (RFC 5761, section 4).
const fn is_report(datagram: &[u8]) -> bool {
    matches!(datagram, [_, 192..=223, ..])
}

/// Processor time of the calling thread; none where the system does not tell.
fn thread_cpu() -> Option<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID)
        .ok()
        .map(Duration::from)
}
