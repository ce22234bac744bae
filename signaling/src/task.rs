//! The one task that owns the hub: it turns queues and the clock into calls and effects into queues.
//!
//! Nothing here waits for a client: a full queue closes that client. Nothing here waits for the bridge while it could
//! take facts from it: commands wait in a list, and while that list is long no requests are taken and data messages are
//! dropped and counted.

use crate::counters::Counters;
use crate::hub::{DrainProgress, Hub};
use crate::protocol::{Request, encode};
use crate::session::{Effect, Newcomer, Now};
use bytes::Bytes;
use relay_proto::id::SessionId;
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::{mpsc, watch};

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
    /// The node is to empty itself in this time.
    Drain { within: Duration },
}

/// Where what a session is sent goes.
#[derive(Debug)]
pub(crate) enum Outlet {
    /// To its connection.
    Connected(mpsc::Sender<Bytes>),
    /// Nowhere yet: its connection is gone and another may come.
    Kept(VecDeque<Bytes>),
}

/// The task between connections and bridge. Made by [`Signaling::new`](crate::Signaling::new); must be run.
pub struct FactsTask {
    pub(crate) hub: Hub,
    /// Where it is said how far the node has come with emptying itself.
    pub(crate) drain: watch::Sender<Option<DrainProgress>>,
    pub(crate) inputs: mpsc::Receiver<Input>,
    pub(crate) commands: mpsc::Sender<SessionCommand>,
    pub(crate) counters: Arc<Counters>,
    /// The session of each connection, by the number the connection came with.
    pub(crate) connections: BTreeMap<SessionId, SessionId>,
    pub(crate) outlets: BTreeMap<SessionId, Outlet>,
    /// What a session is sent again once it has been told that it goes on; empty between two inputs.
    pub(crate) kept: BTreeMap<SessionId, VecDeque<Bytes>>,
    /// Frames kept for one session at most.
    pub(crate) kept_frames_max: usize,
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
                self.connections.insert(id, id);
                self.outlets.insert(id, Outlet::Connected(outbox));
                self.apply(|hub, now, out| hub.connected(id, *newcomer, now, out));
            }
            Input::Requested { id, request } => {
                self.of_connection(id, |hub, id, now, out| hub.requested(id, request, now, out));
            }
            Input::Malformed { id } => {
                self.of_connection(id, |hub, id, now, out| hub.frame_malformed(id, now, out));
            }
            Input::Flooded { id } => self.of_connection(id, |hub, id, _, out| hub.flooded(id, out)),
            Input::Disconnected { id } => self.disconnected(id),
            Input::Drain { within } => self.apply(|hub, now, _| hub.drain(within, now)),
        }
    }

    /// Lets the session of a connection do something; a connection that was replaced has none.
    fn of_connection(
        &mut self,
        connection: SessionId,
        act: impl FnOnce(&mut Hub, SessionId, Now, &mut Vec<Effect>),
    ) {
        if let Some(&session) = self.connections.get(&connection) {
            self.apply(|hub, now, out| act(hub, session, now, out));
        }
    }

    fn disconnected(&mut self, connection: SessionId) {
        let Some(session) = self.connections.remove(&connection) else {
            return;
        };
        let before = self.outlets.remove(&session);
        self.apply(|hub, now, out| hub.disconnected(session, now, out));
        // What the connection did not take any more is kept with what comes.
        if let Some(Outlet::Kept(mut missed)) = before
            && self.hub.is_waiting(session)
        {
            if let Some(Outlet::Kept(newer)) = self.outlets.remove(&session) {
                missed.extend(newer);
            }
            self.outlets.insert(session, Outlet::Kept(missed));
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
                // The connection says itself that it is closed.
                Effect::Close(id) | Effect::Disconnect(id) => {
                    self.outlets.remove(&id);
                }
                Effect::Keep(id) => {
                    self.outlets.insert(id, Outlet::Kept(VecDeque::new()));
                }
                Effect::Attach { connection, session } => self.attach(connection, session),
                Effect::SendKept(id) => self.send_kept(id, &mut further),
            }
            queue.extend(further);
        }
        if self.hub.is_draining() {
            self.drain.send_replace(self.hub.drain_progress(clock()));
        }
    }

    /// Lets a connection go on with a session. What the session had not been sent yet waits for `send_kept`.
    fn attach(&mut self, connection: SessionId, session: SessionId) {
        self.connections.retain(|_, of| *of != session);
        self.connections.insert(connection, session);
        let kept = match self.outlets.remove(&session) {
            Some(Outlet::Kept(kept)) => kept,
            Some(Outlet::Connected(_)) | None => VecDeque::new(),
        };
        self.kept.insert(session, kept);
        if let Some(outlet) = self.outlets.remove(&connection) {
            self.outlets.insert(session, outlet);
        }
    }

    fn send_kept(&mut self, session: SessionId, further: &mut Vec<Effect>) {
        for frame in self.kept.remove(&session).into_iter().flatten() {
            self.send(session, frame, further);
        }
    }

    fn send(&mut self, id: SessionId, frame: Bytes, further: &mut Vec<Effect>) {
        let overflows = match self.outlets.get_mut(&id) {
            None => false,
            Some(Outlet::Kept(kept)) => {
                kept.push_back(frame);
                kept.len() > self.kept_frames_max
            }
            Some(outlet @ Outlet::Connected(_)) => outlet.send(frame),
        };
        if overflows {
            self.outlets.remove(&id);
            self.hub.overflowed(id, further);
        }
    }
}

impl Outlet {
    /// Sends to the connection; whether its queue is full. One that closes says so itself: until then what it does not
    /// take is kept.
    fn send(&mut self, frame: Bytes) -> bool {
        let Self::Connected(outbox) = self else {
            return false;
        };
        match outbox.try_send(frame) {
            Ok(()) => false,
            Err(mpsc::error::TrySendError::Full(_)) => true,
            Err(mpsc::error::TrySendError::Closed(frame)) => {
                *self = Self::Kept(VecDeque::from([frame]));
                false
            }
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
