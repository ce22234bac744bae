//! Full clients: `PeerConnection`s of the `webrtc` crate in the rooms of light clients, as a control.
//!
//! A light client is our own reading of ICE, DTLS, RTP and its repair. Here an implementation by others, with its own
//! session descriptions, NACK and feedback, looks on in the same room: `figures` is what it got, `peer` the
//! connection, `session` its signalling (the same as that of light clients). All of them share one thread; a few are
//! enough, hundreds belong to [`crate::worker`].

mod figures;
mod peer;
mod session;

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use thiserror::Error;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::signalling::{Endpoint, Picture, SignallingError};
use crate::target::Entrance;
use crate::wan::NamespacesError;

pub use figures::{ControlFigures, ControlKind, ControlLeg};

/// A client has to be in this soon.
const JOINED_WITHIN: Duration = Duration::from_secs(30);
/// Its figures have to come this soon.
const FIGURES_WITHIN: Duration = Duration::from_secs(10);

/// Why there are no full clients.
#[derive(Debug, Error)]
pub enum FullError {
    /// The thread or its event loop could not be made.
    #[error("cannot start full clients: {0}")]
    Start(std::io::Error),
    /// One of them has failed.
    #[error("full client {id}: {reason}")]
    Failed {
        /// Its number.
        id: u32,
        /// Why.
        reason: ClientFailure,
    },
    /// They do not answer.
    #[error("full clients do not answer")]
    Silent,
}

/// Why one full client is out of its room.
#[derive(Debug, Error)]
pub enum ClientFailure {
    /// Its signalling.
    #[error(transparent)]
    Signalling(#[from] SignallingError),
    /// The `webrtc` crate.
    #[error("webrtc: {0}")]
    Peer(#[from] webrtc::error::Error),
    /// A socket.
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    /// The region it should be in.
    #[error(transparent)]
    Region(#[from] NamespacesError),
    /// The server sent it away.
    #[error("the server sent it away (reason {0})")]
    SentAway(i32),
    /// No path, or none any more.
    #[error("no media can flow: the connection is {0}")]
    Disconnected(&'static str),
}

/// Whom to let in.
#[derive(Clone, Debug)]
pub struct FullOrder {
    /// Its number in figures and errors.
    pub id: u32,
    /// The server.
    pub endpoint: Endpoint,
    /// Where it is, if not where this process is.
    pub entrance: Option<Entrance>,
    /// Token for the room.
    pub token: String,
    /// The size in which it looks at every camera.
    pub picture: Picture,
}

/// What a client is told once it is in.
enum Command {
    Restart,
    Finish,
}

/// What it says.
enum Said {
    Connected { id: u32, after: Duration },
    Failed { id: u32, reason: ClientFailure },
    Figures(ControlFigures),
}

/// All full clients of a run. Dropping it lets them leave.
pub struct FullClients {
    orders: Option<UnboundedSender<(FullOrder, UnboundedReceiver<Command>)>>,
    commands: Vec<UnboundedSender<Command>>,
    facts: Receiver<Said>,
    thread: Option<JoinHandle<()>>,
    connected: usize,
}

impl FullClients {
    /// Starts their thread; nobody joins yet.
    ///
    /// # Errors
    /// [`FullError::Start`].
    pub fn start() -> Result<Self, FullError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(FullError::Start)?;
        let (orders, taken) = unbounded_channel();
        let (said, facts) = channel();
        let thread = std::thread::Builder::new()
            .name("full".to_owned())
            .spawn(move || runtime.block_on(attend_all(taken, said)))
            .map_err(FullError::Start)?;
        Ok(Self {
            orders: Some(orders),
            commands: Vec::new(),
            facts,
            thread: Some(thread),
            connected: 0,
        })
    }

    /// Lets one in.
    ///
    /// # Errors
    /// [`FullError::Silent`] when the thread has ended.
    pub fn join(&mut self, order: FullOrder) -> Result<(), FullError> {
        let (commands, taken) = unbounded_channel();
        let orders = self.orders.as_ref().ok_or(FullError::Silent)?;
        orders.send((order, taken)).map_err(|_| FullError::Silent)?;
        self.commands.push(commands);
        Ok(())
    }

    /// Waits until all that were asked to are in; for each its number and how long it took.
    ///
    /// # Errors
    /// [`FullError`].
    pub fn await_joined(&mut self) -> Result<Vec<(u32, Duration)>, FullError> {
        let mut joined = Vec::new();
        let until = Instant::now() + JOINED_WITHIN;
        while self.connected < self.commands.len() {
            if let Said::Connected { id, after } = self.hear(until)? {
                joined.push((id, after));
                self.connected += 1;
            }
        }
        Ok(joined)
    }

    /// The warm-up is over: what they got is forgotten.
    ///
    /// # Errors
    /// [`FullError::Silent`] when one has ended.
    pub fn restart(&mut self) -> Result<(), FullError> {
        self.tell_all(|| Command::Restart)
    }

    /// What they got since the warm-up.
    ///
    /// # Errors
    /// [`FullError`].
    pub fn finish(&mut self) -> Result<Vec<ControlFigures>, FullError> {
        self.tell_all(|| Command::Finish)?;
        let mut all = Vec::new();
        let until = Instant::now() + FIGURES_WITHIN;
        while all.len() < self.commands.len() {
            if let Said::Figures(figures) = self.hear(until)? {
                all.push(figures);
            }
        }
        all.sort_by_key(|figures| figures.id);
        Ok(all)
    }

    fn tell_all(&self, command: impl Fn() -> Command) -> Result<(), FullError> {
        let told = self.commands.iter().all(|client| client.send(command()).is_ok());
        if told {
            return Ok(());
        }
        // Why it has ended is said already.
        match self
            .facts
            .try_iter()
            .find(|said| matches!(said, Said::Failed { .. }))
        {
            Some(Said::Failed { id, reason }) => Err(FullError::Failed { id, reason }),
            _ => Err(FullError::Silent),
        }
    }

    fn hear(&self, until: Instant) -> Result<Said, FullError> {
        let wait = until.saturating_duration_since(Instant::now());
        match self.facts.recv_timeout(wait) {
            Ok(Said::Failed { id, reason }) => Err(FullError::Failed { id, reason }),
            Ok(said) => Ok(said),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => Err(FullError::Silent),
        }
    }
}

impl Drop for FullClients {
    fn drop(&mut self) {
        self.orders = None;
        self.commands.clear();
        if let Some(thread) = self.thread.take() {
            // A panic has been printed; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// Runs every client that is ordered until it is told nothing more.
async fn attend_all(
    mut orders: UnboundedReceiver<(FullOrder, UnboundedReceiver<Command>)>,
    facts: Sender<Said>,
) {
    let mut clients = tokio::task::JoinSet::new();
    while let Some((order, commands)) = orders.recv().await {
        let facts = facts.clone();
        clients.spawn(async move {
            let id = order.id;
            if let Err(reason) = session::attend(order, commands, &facts).await {
                // Whoever no longer listens has ended the run.
                let _ = facts.send(Said::Failed { id, reason });
            }
        });
    }
    while clients.join_next().await.is_some() {}
}
