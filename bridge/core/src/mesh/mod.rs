//! The control machine of a node: peers and their liveness, replicated rows, rooms and who is in them.
//!
//! [`MeshCore`] is handed what happens and says what to do; it opens nothing, waits for nothing and never looks at a
//! clock. This file holds the machine, the entry of every input and nothing else: what an input *means* stands in
//! the file of its subject.
//!
//! | file | subject |
//! |---|---|
//! | `link`, `hello`, `spare` | connections; who may come in; two links of one pair |
//! | `peer`, `detector`, `liveness` | the life of a peer; its pulse; what is due when |
//! | `directory` | who hosts which room: by rows, or by a directory outside |
//! | `rows`, `hosted`, `gossip`, `route` | replicated facts; who gets them; who is alive, and the way there |
//! | `author`, `belief`, `exchange`, `budget` | who wrote a row; whose word counts; who asks whom, and how often |
//! | `graph`, `tree`, `plan` | how far nodes are from each other; distribution trees; both kept in step with rows |
//! | `branch`, `demand`, `children` | our place in each tree; what we ask of our parent; who asks us |
//! | `room`, `roster`, `epoch`, `weight` | one conference; everybody in it; its epoch and key; what each node has in it |
//! | `session`, `publish`, `fact` | commands of signalling; tracks; facts of shards |
//! | `spread`, `moving` | one room on several shards of this node; people on their way to another node |
//! | `remote` | sessions whose signalling is on one node and whose media is on another |
//! | `stream`, `data`, `detour` | what nodes of one room tell each other; without a link, over others |
//! | `view`, `config`, `io` | read-only copies; settings and limits; inputs and outputs |
//!
//! What may not live here: media (that is [`crate::shard`]), sockets, the client protocol.

mod ahead;
mod audience;
pub mod author;
mod belief;
mod branch;
mod budget;
mod children;
pub mod config;
mod data;
mod demand;
mod description;
mod detector;
mod detour;
pub mod directory;
mod epoch;
mod exchange;
mod fact;
mod gossip;
mod graph;
mod hello;
mod history;
mod hosted;
pub mod io;
mod link;
mod liveness;
mod moving;
mod outbox;
mod peer;
mod plan;
mod publish;
mod remote;
mod room;
mod roster;
mod route;
mod rows;
mod session;
mod spare;
mod spread;
mod stream;
#[cfg(any(test, feature = "sim"))]
pub mod testing;
mod tree;
pub mod view;
mod weight;

use crate::shard::io::{ShardFact, ShardId};
use ahead::Ahead;
use author::Author;
use branch::{Branch, BranchKey};
use config::MeshConfig;
use detour::Detours;
use directory::{DirectoryAnswer, Outside};
use epoch::EpochSource;
use exchange::Asking;
use io::{LinkDirection, LinkId, MeshOutput, MeshTimer};
use link::Link;
use liveness::Agenda;
use outbox::Outbox;
use peer::Peer;
use plan::Plan;
use relay_proto::control::ControlMessage;
use relay_proto::id::{NodeId, RoomName, SessionId, TrackAlias};
use relay_proto::row::NodeState;
use relay_proto::session::SessionCommand;
use relay_proto::unit::{PartsPerMillion, UnixMillis};
use relay_proto::version::Features;
use remote::Remote;
use room::Room;
pub use route::Route;
use route::RouteTable;
use rows::RowStore;
use spread::ShardSlot;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use view::MeshCounters;

/// The control machine of one node. Call `handle_*`, then drain [`Self::poll_output`], then see [`Self::poll_timeout`].
#[derive(Debug)]
pub struct MeshCore {
    config: MeshConfig,
    us: NodeId,
    /// Start time of this process in milliseconds since 1970.
    incarnation: u64,
    started: Instant,
    /// When time last passed for this machine.
    looked_at: Instant,
    state: NodeState,
    stopped: bool,
    load: PartsPerMillion,
    /// When everybody was last told how many people are here.
    counted_at: Instant,
    links: BTreeMap<LinkId, Link>,
    peers: BTreeMap<NodeId, Peer>,
    /// Nodes that a path of working links leads to; without us.
    alive: BTreeSet<NodeId>,
    /// Nodes that send their people elsewhere; we may be one.
    draining: BTreeSet<NodeId>,
    /// Nodes that have said they stop, with their incarnation: what is still heard of it is old.
    departed: BTreeMap<NodeId, u64>,
    rows: RowStore,
    /// What this node can do.
    features: Features,
    /// Signs our rows, where the authority of the mesh proves our key.
    author: Option<Author>,
    asking: Asking,
    outside: Outside,
    routes: RouteTable,
    epochs: EpochSource,
    rooms: BTreeMap<RoomName, Room>,
    /// Roughly how many bytes each node has in all rooms here.
    weighed: BTreeMap<NodeId, usize>,
    sessions: BTreeMap<SessionId, RoomName>,
    shards: BTreeMap<ShardId, ShardSlot>,
    plan: Plan,
    branches: BTreeMap<BranchKey, Branch>,
    detours: Detours,
    remote: Remote,
    next_alias: TrackAlias,
    /// Media that goes where nobody has asked for it yet.
    ahead: Vec<Ahead>,
    agenda: Agenda,
    out: Outbox,
    counters: MeshCounters,
}

impl MeshCore {
    /// A node alone in its mesh. `seed` must be secret and fresh: the seal keys come from it. `unix_now` is the
    /// wall time of `now`.
    #[must_use]
    pub fn new(config: MeshConfig, seed: [u8; 32], now: Instant, unix_now: UnixMillis) -> Self {
        let us = NodeId::of(config.name.as_str());
        let shards = (0..config.shards.get())
            .map(|n| (ShardId(n), ShardSlot::default()))
            .collect();
        let mut core = Self {
            us,
            incarnation: unix_now.0,
            started: now,
            looked_at: now,
            state: NodeState::Serving,
            stopped: false,
            load: PartsPerMillion(0),
            counted_at: now,
            links: BTreeMap::new(),
            peers: BTreeMap::new(),
            alive: BTreeSet::new(),
            draining: BTreeSet::new(),
            departed: BTreeMap::new(),
            rows: RowStore::new(us, unix_now.0, config.limits),
            features: Self::features_offered(&config),
            author: config.authority.as_ref().map(|_| Author::new(&seed, now)),
            asking: Asking::default(),
            outside: Outside::default(),
            routes: RouteTable::default(),
            epochs: EpochSource::new(&seed),
            rooms: BTreeMap::new(),
            weighed: BTreeMap::new(),
            sessions: BTreeMap::new(),
            shards,
            plan: Plan::default(),
            branches: BTreeMap::new(),
            detours: Detours::new(&seed, unix_now.0),
            remote: Remote::default(),
            next_alias: TrackAlias(1),
            ahead: Vec::new(),
            agenda: Agenda::new(&config.timing, now),
            out: Outbox::default(),
            counters: MeshCounters::default(),
            config,
        };
        if core.author.is_none() {
            core.features = core.features.without(Features::SIGNED);
        }
        core.introduce_siblings();
        core.write_identity_row(now);
        core.write_node_row();
        core.write_transit_row();
        core
    }

    /// This node.
    #[must_use]
    pub const fn us(&self) -> NodeId {
        self.us
    }

    /// A connection to some peer is established; who it is, its hello will tell.
    pub fn handle_link_up(&mut self, now: Instant, link: LinkId, direction: LinkDirection) {
        self.on_link_up(now, link, direction);
    }

    /// A control message arrived on a link.
    pub fn handle_control(&mut self, now: Instant, link: LinkId, message: ControlMessage) {
        self.on_control(now, link, message);
    }

    /// A ping or pong arrived on a link (whole datagram).
    pub fn handle_probe(&mut self, now: Instant, link: LinkId, datagram: &[u8]) {
        self.on_probe(now, link, datagram);
    }

    /// How many datagrams of every kind have come over a link so far, and when the last one did. To be told before
    /// [`Self::handle_timeout`]: media does not come through here, and its silence says something too.
    pub fn handle_heard(&mut self, link: LinkId, datagrams: u64, last_at: Instant) {
        self.on_heard(link, datagrams, last_at);
    }

    /// The peer's bytes on a link cannot be read (codec error): the link is closed with a goodbye.
    pub fn handle_malformed_control(&mut self, now: Instant, link: LinkId) {
        self.violate(now, link, "control bytes that do not decode");
    }

    /// A connection is gone. Ignored for links that this machine has closed itself.
    pub fn handle_link_down(&mut self, now: Instant, link: LinkId) {
        self.on_link_down(now, link);
    }

    /// The largest datagram a link takes, header included, is known or has changed.
    pub fn handle_link_mtu(&mut self, _now: Instant, link: LinkId, max_datagram_bytes: usize) {
        self.on_link_mtu(link, max_datagram_bytes);
    }

    /// An order from this node's signalling. `unix_now` is the wall time of `now`.
    pub fn handle_command(&mut self, now: Instant, unix_now: UnixMillis, command: SessionCommand) {
        self.on_command(now, unix_now, command);
    }

    /// Something a shard tells.
    pub fn handle_shard_fact(&mut self, now: Instant, shard: ShardId, fact: ShardFact) {
        self.on_shard_fact(now, shard, fact);
    }

    /// The outside directory says who hosts a room; after [`DirectoryOrder::Watch`](directory::DirectoryOrder::Watch).
    pub fn handle_directory(&mut self, answer: DirectoryAnswer) {
        self.on_directory(answer);
    }

    /// A shard is gone with everything on it: its sessions end, its rooms close, it gets no new ones.
    pub fn handle_shard_lost(&mut self, now: Instant, shard: ShardId) {
        self.on_shard_lost(now, shard);
    }

    /// Time has passed; call at the instant [`Self::poll_timeout`] named, or later, or earlier.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.on_timeout(now);
    }

    /// The used share of the node's capacity; told to others with the next row refresh.
    pub fn set_load(&mut self, load: PartsPerMillion) {
        self.load = load;
    }

    /// Takes no new sessions from now on and says so to all nodes; those that are here go on.
    pub fn drain(&mut self) {
        self.on_drain();
    }

    /// Stops the node: every session ends with `NodeStopped`, every peer gets a goodbye. Nothing is served after.
    pub fn stop(&mut self, now: Instant) {
        self.on_stop(now);
    }

    /// The next thing to do. Drain until none after every input.
    pub fn poll_output(&mut self) -> Option<MeshOutput> {
        loop {
            match self.out.pop()? {
                MeshOutput::ToSignaling(fact) => {
                    if let Some(output) = self.direct(fact) {
                        return Some(output);
                    }
                }
                output => return Some(output),
            }
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest, and what for. None once stopped.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<(Instant, MeshTimer)> {
        self.next_deadline()
    }
}

#[cfg(test)]
mod tests;
