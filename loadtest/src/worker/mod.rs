//! Threads that run hundreds of light clients each: one epoll, one timer wheel, no task per client.
//!
//! The shell around [`crate::client`] and [`crate::signalling`]: sockets and clocks are here and nowhere below. Commands
//! go down, facts come up; figures are handed over when asked for. What a scenario wants is decided in `crate::run`.

mod event_loop;
mod layout;
mod participant;
mod probe;
mod socket;
mod tally;
mod wheel;

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::sys::eventfd::{EfdFlags, EventFd};
use thiserror::Error;

pub use layout::{Layout, wanted_layer};
pub use participant::Order;
pub use tally::{PairKey, PairTally, Second, Tally, microseconds};

use crate::client::{ClientError, Identity, Leg, LegKey, ReceiverCounters, Source, StreamCounters, Talk};
use crate::signalling::SignallingError;

/// Why a participant is no longer there.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Outcome {
    /// It was told to go.
    #[error("it left")]
    Left,
    /// The server sent it away.
    #[error("the server sent it away (reason {reason})")]
    SentAway {
        /// Number of the protocol.
        reason: i32,
        /// Whether it should come back.
        reconnect: bool,
    },
    /// Signalling failed.
    #[error("{0}")]
    Signalling(SignallingError),
    /// Media failed.
    #[error("{0}")]
    Media(ClientError),
    /// No socket.
    #[error("cannot open a UDP socket: {0}")]
    Socket(String),
}

/// What a worker reports while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The server has let a participant in.
    Joined {
        /// Who.
        id: u32,
        /// Since it dialled.
        after: Duration,
    },
    /// Its media can flow.
    Connected {
        /// Who.
        id: u32,
        /// Since it dialled.
        after: Duration,
    },
    /// It has seen or heard the first frame of somebody.
    FirstFrame {
        /// Who.
        id: u32,
        /// Since it dialled.
        after: Duration,
    },
    /// It has seen the first whole picture of somebody.
    FirstPicture {
        /// Who.
        id: u32,
        /// Since it dialled.
        after: Duration,
    },
    /// The server wants it on one of these nodes, best first; it stays until it is there.
    SentAway {
        /// Who.
        id: u32,
        /// Names of the nodes.
        next: Vec<String>,
    },
    /// It is gone.
    Ended {
        /// Who.
        id: u32,
        /// Why.
        outcome: Outcome,
    },
}

/// How far a source has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SentSoFar {
    /// Which.
    pub key: LegKey,
    /// Number of its newest frame.
    pub sequence: u32,
    /// Whether it is being sent now.
    pub sending: bool,
    /// When it was sound, if it is a microphone.
    pub talks: Vec<Talk>,
}

/// Everything measured of one participant.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Who.
    pub id: u32,
    /// What it got of each source of each sender.
    pub legs: BTreeMap<LegKey, Leg>,
    /// Number of the newest frame of each of its own sources.
    pub sent: BTreeMap<Source, u32>,
    /// Audio streams together.
    pub audio: StreamCounters,
    /// Video streams together.
    pub video: StreamCounters,
    /// Beside the streams.
    pub receiver: ReceiverCounters,
    /// Offers it has made.
    pub offers: u64,
    /// Bytes of these and of the answers to them.
    pub offer_bytes: u64,
    /// Datagrams that came, of any kind.
    pub received: u64,
    /// Their bytes.
    pub received_bytes: u64,
    /// Datagrams sent.
    pub sent_packets: u64,
    /// Datagrams the kernel refused to send.
    pub send_failed: u64,
}

/// What a worker hands over at the end.
#[derive(Clone, Debug)]
pub struct Results {
    /// Every participant that was there since the figures began.
    pub participants: Vec<Figures>,
    /// Sums.
    pub tally: Tally,
    /// What the worker adds to delays it states: datagrams to a bare echo and back without the echo's own pause, in
    /// microseconds.
    pub own_delay_us: Histogram<u64>,
    /// CPU time of the thread since the figures began.
    pub cpu: Duration,
    /// The same stretch by the clock.
    pub wall: Duration,
}

/// Who is who in a run, known to all workers.
#[derive(Clone, Debug, Default)]
pub struct Roster {
    /// Number of each identity.
    pub identities: BTreeMap<String, u32>,
    /// Region of each number.
    pub regions: BTreeMap<u32, u16>,
}

/// What a worker is told.
enum Command {
    Join(Box<Order>),
    Leave(u32),
    SetActive {
        id: u32,
        source: Source,
        active: bool,
    },
    Restart,
    Sent(Sender<Vec<SentSoFar>>),
    Finish {
        sending: Arc<Vec<LegKey>>,
        results: Sender<Results>,
    },
    Stop,
}

/// A running worker. Dropping it ends the thread and everybody on it.
#[derive(Debug)]
pub struct Worker {
    commands: Sender<Command>,
    wake: Arc<EventFd>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    /// Starts a worker. Facts go to `facts`, which should be read: it is not bounded, but grows by a handful per
    /// participant only.
    ///
    /// # Errors
    /// What the system says about threads, epoll and event descriptors.
    pub fn start(
        identity: Identity,
        roster: Arc<Roster>,
        run_start: Instant,
        facts: Sender<Fact>,
    ) -> io::Result<Self> {
        let wake = Arc::new(EventFd::from_flags(
            EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC,
        )?);
        let (commands, receiver) = channel();
        let looping = event_loop::EventLoop::new(identity, roster, run_start, facts, Arc::clone(&wake))?;
        let thread = thread::Builder::new()
            .name("clients".to_owned())
            .spawn(move || looping.run(&receiver))?;
        Ok(Self {
            commands,
            wake,
            thread: Some(thread),
        })
    }

    /// Lets somebody in.
    pub fn join(&self, order: Order) {
        self.tell(Command::Join(Box::new(order)));
    }

    /// Lets somebody go.
    pub fn leave(&self, id: u32) {
        self.tell(Command::Leave(id));
    }

    /// Somebody speaks or falls silent, shares or stops.
    pub fn set_active(&self, id: u32, source: Source, active: bool) {
        self.tell(Command::SetActive { id, source, active });
    }

    /// The warm-up is over: figures begin anew.
    pub fn restart_figures(&self) {
        self.tell(Command::Restart);
    }

    /// Number of the newest frame of each source now, and whether it is being sent.
    #[must_use]
    pub fn sent(&self) -> Receiver<Vec<SentSoFar>> {
        let (sender, receiver) = channel();
        self.tell(Command::Sent(sender));
        receiver
    }

    /// Asks for the results; `sending` are the sources that are sent until now, in order.
    #[must_use]
    pub fn finish(&self, sending: Arc<Vec<LegKey>>) -> Receiver<Results> {
        let (results, receiver) = channel();
        self.tell(Command::Finish { sending, results });
        receiver
    }

    fn tell(&self, command: Command) {
        // A worker that has ended has told why in its last facts.
        if self.commands.send(command).is_ok() {
            let _ = self.wake.write(1);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.tell(Command::Stop);
        if let Some(thread) = self.thread.take() {
            // A panic of the worker has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}
