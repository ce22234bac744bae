//! Virtual time, the nodes and the connections between them.

use super::authority::TestAuthority;
use super::chance::Chance;
use super::clients::ClientsView;
use super::directory::FakeDirectory;
use super::pipe::{End, Path};
use super::wires::Event;
use crate::mesh::MeshCore;
use crate::mesh::config::MeshConfig;
use crate::mesh::io::{CloseCause, LinkId};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Number of a node in a [`MeshNet`], from 0.
pub type NodeIndex = usize;

/// What stands behind the shards of one node.
pub trait ShardPort {
    /// A command of the node's `MeshCore`.
    fn handle_command(&mut self, now: Instant, shard: ShardId, command: ShardCommand);
    /// The next fact for it.
    fn poll_fact(&mut self) -> Option<(ShardId, ShardFact)>;
    /// A media datagram arrived from a peer, for the shard its track is routed to.
    fn handle_datagram(&mut self, _now: Instant, _shard: ShardId, _from: NodeId, _bytes: Vec<u8>) {}
    /// The next media datagram and the peer whose link it takes.
    fn poll_datagram(&mut self) -> Option<(NodeId, Vec<u8>)> {
        None
    }
    /// Time has passed.
    fn handle_timeout(&mut self, _now: Instant) {}
    /// When to call `handle_timeout` at the latest.
    fn poll_timeout(&self) -> Option<Instant> {
        None
    }
}

/// The wall clock when a net begins.
const BEGINNING: UnixMillis = UnixMillis(1_790_000_000_000);

pub(super) struct Node<S> {
    pub(super) config: MeshConfig,
    pub(super) core: Option<MeshCore>,
    /// When its machine wants to be woken.
    pub(super) core_due: Option<Instant>,
    /// What it has put on links.
    pub(super) sent: SentBytes,
    pub(super) shards: S,
    pub(super) clients: ClientsView,
    pub(super) dials: Vec<NodeIndex>,
    pub(super) selected: BTreeMap<NodeId, LinkId>,
    pub(super) tracks: BTreeMap<(NodeId, TrackAlias), Vec<ShardId>>,
    pub(super) next_link: u64,
    pub(super) links: BTreeMap<LinkId, (usize, usize)>,
    pub(super) closed: Vec<CloseCause>,
    /// Until when the process gets no processor.
    pub(super) stands_until: Option<Instant>,
}

/// How soon after a stall a node reads what has waited for it: it looks at its clock first, the worse order.
const READS_AFTER_STALL: Duration = Duration::from_micros(500);

impl<S> Node<S> {
    fn reads_at(&self) -> Option<Instant> {
        self.stands_until.map(|until| until + READS_AFTER_STALL)
    }
}

/// Several nodes and everything between them.
pub struct MeshNet<S> {
    pub(super) now: Instant,
    pub(super) began: Instant,
    pub(super) events: BTreeMap<(Instant, u64), Event>,
    pub(super) serial: u64,
    pub(super) nodes: Vec<Node<S>>,
    pub(super) connections: Vec<[End; 2]>,
    pub(super) paths: BTreeMap<(NodeIndex, NodeIndex), Path>,
    pub(super) chance: Chance,
    /// Facts told to each node's signalling since they were last taken.
    pub(super) facts: Vec<Vec<SessionFact>>,
    pub(super) directory: FakeDirectory,
    /// The media sent on links since it was first asked for, if it was.
    pub(super) media: Option<Vec<SentMedia>>,
}

/// Bytes that a node has put on links since it was first asked for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentBytes {
    /// Frames of control messages, each with its length word.
    pub control: u64,
    /// Of them, rows.
    pub rows: u64,
    /// Of them, questions for rows.
    pub questions: u64,
    /// Probes and their echoes, without the headers of QUIC and below.
    pub probes: u64,
}

/// A datagram of media that was put on a link.
#[derive(Clone, Copy, Debug)]
pub struct SentMedia {
    /// Who sent it.
    pub from: NodeIndex,
    /// To whom.
    pub to: NodeIndex,
    /// Its header.
    pub header: Header,
}

impl<S: ShardPort> MeshNet<S> {
    /// Nodes of those configurations, all running, each dialling every other; all paths as `path`.
    pub fn new(
        seed: u64,
        began: Instant,
        configs: Vec<MeshConfig>,
        path: Path,
        shards: impl FnMut(&MeshConfig) -> S,
    ) -> Self {
        let count = configs.len();
        let mut shards = shards;
        let prove = |mut config: MeshConfig| {
            let us = NodeId::of(config.name.as_str());
            config
                .authority
                .get_or_insert_with(|| Arc::new(TestAuthority(us)));
            config
        };
        let configs = configs.into_iter().map(prove);
        let nodes = configs.enumerate().map(|(index, config)| Node {
            shards: shards(&config),
            core: None,
            core_due: None,
            sent: SentBytes::default(),
            clients: ClientsView::default(),
            dials: (0..count).filter(|other| *other != index).collect(),
            selected: BTreeMap::new(),
            tracks: BTreeMap::new(),
            next_link: 1,
            links: BTreeMap::new(),
            closed: Vec::new(),
            stands_until: None,
            config,
        });
        let mut net = Self {
            now: began,
            began,
            events: BTreeMap::new(),
            serial: 0,
            nodes: nodes.collect(),
            connections: Vec::new(),
            paths: BTreeMap::new(),
            chance: Chance::new(seed),
            facts: (0..count).map(|_| Vec::new()).collect(),
            directory: FakeDirectory::default(),
            media: None,
        };
        for from in 0..count {
            for to in 0..count {
                net.paths.insert((from, to), path);
            }
        }
        for index in 0..count {
            net.start(index);
        }
        net
    }

    /// Virtual time.
    pub const fn now(&self) -> Instant {
        self.now
    }

    /// Virtual wall time.
    pub fn unix_now(&self) -> UnixMillis {
        UnixMillis(BEGINNING.0 + (self.now - self.began).as_millis() as u64)
    }

    /// The machine of a running node.
    pub fn core(&self, node: NodeIndex) -> Option<&MeshCore> {
        self.nodes[node].core.as_ref()
    }

    /// The shards of a node.
    pub fn shards(&mut self, node: NodeIndex) -> &mut S {
        &mut self.nodes[node].shards
    }

    /// What a node's signalling has been told.
    pub fn clients(&self, node: NodeIndex) -> &ClientsView {
        &self.nodes[node].clients
    }

    /// The id of a node.
    pub fn id(&self, node: NodeIndex) -> NodeId {
        NodeId::of(self.nodes[node].config.name.as_str())
    }

    /// Which shards a node hands datagrams of a track to.
    pub fn routed(&self, node: NodeIndex, origin: NodeId, track: TrackAlias) -> Vec<ShardId> {
        let shards = self.nodes[node].tracks.get(&(origin, track));
        shards.cloned().unwrap_or_default()
    }

    /// Every route of tracks at a node.
    pub fn routed_tracks(&self, node: NodeIndex) -> BTreeSet<(NodeId, TrackAlias)> {
        self.nodes[node].tracks.keys().copied().collect()
    }

    /// Takes what media was sent on links since the last call; nothing was noted before the first.
    pub fn take_media(&mut self) -> Vec<SentMedia> {
        self.media.replace(Vec::new()).unwrap_or_default()
    }

    /// Takes what a node has put on links since the last call.
    pub fn take_sent(&mut self, node: NodeIndex) -> SentBytes {
        std::mem::take(&mut self.nodes[node].sent)
    }

    /// Takes the machine of a node out, as if its process had ended.
    pub fn take_core(&mut self, node: NodeIndex) -> Option<MeshCore> {
        self.nodes[node].core_due = None;
        self.nodes[node].core.take()
    }

    /// Takes the facts told to a node's signalling since the last call.
    pub fn take_facts(&mut self, node: NodeIndex) -> Vec<SessionFact> {
        std::mem::take(&mut self.facts[node])
    }

    /// Takes the causes of all links a node has closed since the last call.
    pub fn take_closed(&mut self, node: NodeIndex) -> Vec<CloseCause> {
        std::mem::take(&mut self.nodes[node].closed)
    }

    /// Changes the path between two nodes, both ways.
    pub fn set_path(&mut self, a: NodeIndex, b: NodeIndex, change: impl Fn(&mut Path)) {
        for pair in [(a, b), (b, a)] {
            change(
                self.paths
                    .get_mut(&pair)
                    .expect("invariant: every pair has its path"),
            );
        }
        self.resume(a, b);
    }

    /// Cuts the path between two nodes: nothing comes through, nobody is told.
    pub fn cut(&mut self, a: NodeIndex, b: NodeIndex) {
        self.set_path(a, b, |path| path.cut = true);
    }

    /// Heals a cut path.
    pub fn heal(&mut self, a: NodeIndex, b: NodeIndex) {
        self.set_path(a, b, |path| path.cut = false);
    }

    fn resume(&mut self, a: NodeIndex, b: NodeIndex) {
        let now = self.now;
        let mut due = Vec::new();
        for (connection, ends) in self.connections.iter_mut().enumerate() {
            let nodes = (ends[0].node, ends[1].node);
            if nodes != (a, b) && nodes != (b, a) {
                continue;
            }
            for (end, from) in [(0, nodes.1), (1, nodes.0)] {
                let path = self.paths[&(from, ends[end].node)];
                if !path.cut {
                    let arrivals = ends[end].resume(now, &path, &mut self.chance);
                    due.extend(arrivals.into_iter().map(|at| (at, connection, end)));
                }
            }
        }
        for (at, connection, end) in due {
            self.schedule(at, Event::Frame { connection, end });
        }
    }

    /// Starts a node that does not run, as a new process.
    pub fn start(&mut self, index: NodeIndex) {
        let seed = std::array::from_fn(|_| self.chance.next() as u8);
        let unix_now = self.unix_now();
        let node = &mut self.nodes[index];
        assert!(node.core.is_none(), "node {index} runs already");
        let core = MeshCore::new(node.config.clone(), seed, self.now, unix_now);
        node.core_due = core.poll_timeout().map(|(at, _)| at);
        node.core = Some(core);
        for to in self.nodes[index].dials.clone() {
            self.schedule(self.now, Event::Dial { from: index, to });
        }
    }

    /// Kills a node: its process is gone, nobody is told. `shards` are those of the process after it.
    pub fn kill(&mut self, index: NodeIndex, shards: S) {
        let node = &mut self.nodes[index];
        node.core = None;
        node.shards = shards;
        node.clients = ClientsView::default();
        node.selected.clear();
        node.tracks.clear();
        for (connection, end) in std::mem::take(&mut node.links).into_values() {
            self.connections[connection][end].open = false;
        }
        self.forget_in_directory(index);
    }

    /// Lets a node stand still: it gets no processor for `duration`, and what arrives waits for it.
    pub fn stall(&mut self, index: NodeIndex, duration: Duration) {
        self.nodes[index].stands_until = Some(self.now + duration);
    }

    /// Gives a command to a running node.
    pub fn command(&mut self, index: NodeIndex, command: SessionCommand) {
        let (now, unix_now) = (self.now, self.unix_now());
        self.with_core(index, |core| core.handle_command(now, unix_now, command));
    }

    /// Lets a node's shard tell something.
    pub fn shard_fact(&mut self, index: NodeIndex, shard: ShardId, fact: ShardFact) {
        let now = self.now;
        self.with_core(index, |core| core.handle_shard_fact(now, shard, fact));
    }

    /// Does anything to a running node's machine, then what it asks for.
    pub fn with_core(&mut self, index: NodeIndex, act: impl FnOnce(&mut MeshCore)) {
        let Some(core) = self.nodes[index].core.as_mut() else {
            return;
        };
        act(core);
        self.drain(index);
    }

    /// Lets time pass.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(at) = self.next_at().filter(|at| *at <= end) {
            self.now = self.now.max(at);
            self.step();
        }
        self.now = end;
    }

    fn next_at(&self) -> Option<Instant> {
        let event = self.events.keys().next().map(|(at, _)| *at);
        let timers = self.nodes.iter().filter_map(|node| {
            node.core.as_ref()?;
            let due_at = node
                .core_due
                .into_iter()
                .chain(node.shards.poll_timeout())
                .min()?;
            Some(node.stands_until.map_or(due_at, |until| due_at.max(until)))
        });
        event.into_iter().chain(timers).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            match self.nodes[self.reader(&event)].reads_at() {
                Some(reads_at) if now < reads_at => self.schedule(reads_at, event),
                _ => self.happen(event),
            }
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            if node.stands_until.is_some_and(|until| now < until) {
                continue;
            }
            let Some(core) = node.core.as_mut() else {
                continue;
            };
            let core_due = node.core_due.is_some_and(|at| at <= now);
            let shards_due = node.shards.poll_timeout().is_some_and(|at| at <= now);
            if core_due {
                core.handle_timeout(now);
            }
            if shards_due {
                node.shards.handle_timeout(now);
            }
            if core_due || shards_due {
                self.drain(index);
            }
        }
    }

    pub(super) fn schedule(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.events.insert((at.max(self.now), self.serial), event);
    }
}
