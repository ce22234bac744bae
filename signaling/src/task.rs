//! The one task that owns the hub: it turns queues and the clock into calls and effects into queues.
//!
//! Nothing here waits for a client: a full queue closes that client. Nothing here waits for the bridge while it could
//! take facts from it: commands wait in a list, and while that list is long no requests are taken and data messages are
//! dropped and counted.

use crate::counters::Counters;
use crate::hub::Hub;
use crate::protocol::{Request, encode};
use crate::session::{Effect, Newcomer, Now};
use bytes::Bytes;
use relay_proto::id::SessionId;
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::mpsc;

/// Requests queued for the hub; connections wait beyond it.
pub(crate) const INPUT_QUEUE: usize = 1_024;
/// Commands waiting for the bridge from which on no requests are taken and data is dropped.
const WAITING_COMMANDS_MAX: usize = 4_096;

/// What a connection tells the hub.
#[derive(Debug)]
pub(crate) enum Input {
    /// A client has connected; its frames go into `outbox`.
    Connected {
        id: SessionId,
        newcomer: Box<Newcomer>,
        outbox: mpsc::Sender<Bytes>,
    },
    /// It has sent a request.
    Requested { id: SessionId, request: Request },
    /// It has sent a frame that is no request.
    Malformed { id: SessionId },
    /// It sends too much.
    Flooded { id: SessionId },
    /// Its connection is gone.
    Disconnected { id: SessionId },
}

/// The task between connections and bridge. Made by [`Signaling::new`](crate::Signaling::new); must be run.
pub struct FactsTask {
    pub(crate) hub: Hub,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) commands: mpsc::Sender<SessionCommand>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) outboxes: BTreeMap<SessionId, mpsc::Sender<Bytes>>,
    pub(crate) waiting: VecDeque<SessionCommand>,
}

impl FactsTask {
    /// Runs until `facts` ends (the bridge is gone) or every [`Signaling`](crate::Signaling) is dropped; then all
    /// connections close.
    pub async fn run_facts(mut self, mut facts: mpsc::Receiver<SessionFact>) {
        let commands = self.commands.clone();
        loop {
            let deadline = self.hub.next_deadline();
            tokio::select! {
                fact = facts.recv() => match fact {
                    Some(fact) => self.happened(fact),
                    None => break,
                },
                () = until(deadline) => self.apply(|hub, now, out| hub.timeout(now, out)),
                permit = commands.reserve(), if !self.waiting.is_empty() => match permit {
                    Ok(permit) => {
                        if let Some(command) = self.waiting.pop_front() {
                            permit.send(command);
                        }
                    }
                    Err(_) => break,
                },
                input = self.inputs.recv(), if self.waiting.len() < WAITING_COMMANDS_MAX => match input {
                    Some(input) => self.take(input),
                    None => break,
                },
            }
        }
        tracing::info!(sessions = self.hub.len(), "signalling has stopped");
    }

    fn happened(&mut self, fact: SessionFact) {
        let behind = self.waiting.len() >= WAITING_COMMANDS_MAX;
        if behind && matches!(fact, SessionFact::DataReceived { .. }) {
            self.counters.data_dropped.increment();
            return;
        }
        self.apply(|hub, now, out| hub.happened(fact, now, out));
    }

    fn take(&mut self, input: Input) {
        match input {
            Input::Connected { id, newcomer, outbox } => {
                self.outboxes.insert(id, outbox);
                self.apply(|hub, now, out| hub.connected(id, *newcomer, now, out));
            }
            Input::Requested { id, request } => {
                self.apply(|hub, now, out| hub.requested(id, request, now, out))
            }
            Input::Malformed { id } => self.apply(|hub, now, out| hub.frame_malformed(id, now, out)),
            Input::Flooded { id } => self.apply(|hub, _, out| hub.flooded(id, out)),
            Input::Disconnected { id } => {
                self.outboxes.remove(&id);
                self.apply(|hub, _, out| hub.disconnected(id, out));
            }
        }
    }

    /// Calls the hub and carries out what it wants; a client found not to read is told to the hub in turn.
    fn apply(&mut self, act: impl FnOnce(&mut Hub, Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        act(&mut self.hub, clock(), &mut effects);
        let mut queue = VecDeque::from(effects);
        while let Some(effect) = queue.pop_front() {
            let mut further = Vec::new();
            match effect {
                Effect::Command(command) => self.waiting.push_back(command),
                Effect::Send { to, reply } => {
                    let frame = encode(&reply);
                    for id in to {
                        self.send(id, frame.clone(), &mut further);
                    }
                }
                Effect::Close(id) => {
                    self.outboxes.remove(&id);
                }
            }
            queue.extend(further);
        }
    }

    fn send(&mut self, id: SessionId, frame: Bytes, further: &mut Vec<Effect>) {
        let Some(outbox) = self.outboxes.get(&id) else {
            return;
        };
        match outbox.try_send(frame) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.outboxes.remove(&id);
                self.hub.overflowed(id, further);
            }
            // The connection is closing and says so itself.
            Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
    }
}

/// Waits for the deadline; for ever where there is none.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// The time at the edge: everything inside is told it.
pub(crate) fn clock() -> Now {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
    Now {
        monotonic: Instant::now(),
        wall,
    }
}
