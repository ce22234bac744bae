//! Virtual time, the nodes and the connections between them.

use super::chance::Chance;
use super::clients::ClientsView;
use super::pipe::{End, Frame, Path};
use crate::mesh::MeshCore;
use crate::mesh::config::MeshConfig;
use crate::mesh::io::{CloseCause, LinkDirection, LinkId, MeshOutput};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::codec;
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::session::{SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};
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

/// How long a node waits before it dials a peer again.
const DIAL_BACKOFF: Duration = Duration::from_millis(400);
/// The wall clock when a net begins.
const BEGINNING: UnixMillis = UnixMillis(1_790_000_000_000);

struct Node<S> {
    config: MeshConfig,
    core: Option<MeshCore>,
    shards: S,
    clients: ClientsView,
    dials: Vec<NodeIndex>,
    selected: BTreeMap<NodeId, LinkId>,
    tracks: BTreeMap<(NodeId, TrackAlias), ShardId>,
    next_link: u64,
    links: BTreeMap<LinkId, (usize, usize)>,
    closed: Vec<CloseCause>,
}

#[derive(Clone, Debug)]
enum Event {
    Dial {
        from: NodeIndex,
        to: NodeIndex,
    },
    Connected {
        connection: usize,
        end: usize,
        direction: LinkDirection,
    },
    Frame {
        connection: usize,
        end: usize,
    },
    Datagram {
        connection: usize,
        end: usize,
        bytes: Vec<u8>,
        probe: bool,
    },
}

/// Several nodes and everything between them.
pub struct MeshNet<S> {
    now: Instant,
    began: Instant,
    events: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    nodes: Vec<Node<S>>,
    connections: Vec<[End; 2]>,
    paths: BTreeMap<(NodeIndex, NodeIndex), Path>,
    chance: Chance,
    /// Facts told to each node's signalling since they were last taken.
    facts: Vec<Vec<SessionFact>>,
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
        let nodes = configs.into_iter().enumerate().map(|(index, config)| Node {
            shards: shards(&config),
            core: None,
            clients: ClientsView::default(),
            dials: (0..count).filter(|other| *other != index).collect(),
            selected: BTreeMap::new(),
            tracks: BTreeMap::new(),
            next_link: 1,
            links: BTreeMap::new(),
            closed: Vec::new(),
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

    /// Which shard a node hands datagrams of a track to.
    pub fn routed(&self, node: NodeIndex, origin: NodeId, track: TrackAlias) -> Option<ShardId> {
        self.nodes[node].tracks.get(&(origin, track)).copied()
    }

    /// Every route of tracks at a node.
    pub fn routed_tracks(&self, node: NodeIndex) -> BTreeSet<(NodeId, TrackAlias)> {
        self.nodes[node].tracks.keys().copied().collect()
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
        node.core = Some(MeshCore::new(node.config.clone(), seed, self.now, unix_now));
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
            let core = node.core.as_ref()?.poll_timeout().map(|(at, _)| at);
            core.into_iter().chain(node.shards.poll_timeout()).min()
        });
        event.into_iter().chain(timers).min()
    }

    fn step(&mut self) {
        let now = self.now;
        while let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= now) {
            let event = entry.remove();
            self.happen(event);
        }
        for index in 0..self.nodes.len() {
            let node = &mut self.nodes[index];
            let Some(core) = node.core.as_mut() else {
                continue;
            };
            let core_due = core.poll_timeout().is_some_and(|(at, _)| at <= now);
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

    fn schedule(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.events.insert((at.max(self.now), self.serial), event);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Dial { from, to } => self.on_dial(from, to),
            Event::Connected {
                connection,
                end,
                direction,
            } => self.on_connected(connection, end, direction),
            Event::Frame { connection, end } => self.on_frame(connection, end),
            Event::Datagram {
                connection,
                end,
                bytes,
                probe,
            } => {
                self.on_datagram(connection, end, bytes, probe);
            }
        }
    }

    /// What the shell does: dial whoever has no link, again and again.
    fn on_dial(&mut self, from: NodeIndex, to: NodeIndex) {
        if self.nodes[from].core.is_none() {
            return;
        }
        let pause = DIAL_BACKOFF + self.chance.up_to(DIAL_BACKOFF / 4);
        self.schedule(self.now + pause, Event::Dial { from, to });
        let (there, back) = (self.paths[&(from, to)], self.paths[&(to, from)]);
        let linked = self.nodes[from].selected.contains_key(&self.id(to));
        let stopped = self.nodes[from]
            .core
            .as_ref()
            .is_none_or(|core| core.poll_timeout().is_none());
        if linked || stopped || there.cut || back.cut || self.nodes[to].core.is_none() {
            return;
        }
        let dialler = End::new(from, self.new_link(from, 0));
        let acceptor = End::new(to, self.new_link(to, 1));
        let connection = self.connections.len();
        self.connections.push([dialler, acceptor]);
        let accepted_at = self.now + there.delay;
        let direction = LinkDirection::Dialled;
        self.schedule(
            accepted_at + back.delay,
            Event::Connected {
                connection,
                end: 0,
                direction,
            },
        );
        let direction = LinkDirection::Accepted;
        self.schedule(
            accepted_at,
            Event::Connected {
                connection,
                end: 1,
                direction,
            },
        );
    }

    fn new_link(&mut self, node: NodeIndex, end: usize) -> LinkId {
        let connection = self.connections.len();
        let node = &mut self.nodes[node];
        let link = LinkId(node.next_link);
        node.next_link += 1;
        node.links.insert(link, (connection, end));
        link
    }

    fn on_connected(&mut self, connection: usize, end: usize, direction: LinkDirection) {
        let now = self.now;
        let [ours, theirs] = ends(&mut self.connections[connection], end);
        if !ours.open {
            return;
        }
        if !theirs.open && end == 0 {
            // The acceptor has died in the meantime; the dialler's handshake would time out.
            ours.open = false;
            return;
        }
        let (node, link) = (ours.node, ours.link);
        self.with_core(node, |core| core.handle_link_up(now, link, direction));
    }

    fn on_frame(&mut self, connection: usize, end: usize) {
        let now = self.now;
        let ours = &mut self.connections[connection][end];
        let Some((_, frame)) = ours.inbound.pop_front() else {
            return;
        };
        if !ours.open {
            return;
        }
        let (node, link) = (ours.node, ours.link);
        match frame {
            Frame::Control(message) => {
                self.with_core(node, |core| core.handle_control(now, link, *message));
            }
            Frame::Close => {
                ours.open = false;
                self.nodes[node].links.remove(&link);
                self.with_core(node, |core| core.handle_link_down(now, link));
            }
        }
    }

    fn on_datagram(&mut self, connection: usize, end: usize, bytes: Vec<u8>, probe: bool) {
        let now = self.now;
        let from = self.connections[connection][1 - end].node;
        let ours = &self.connections[connection][end];
        if !ours.open {
            return;
        }
        let (node, link) = (ours.node, ours.link);
        if probe {
            self.with_core(node, |core| core.handle_probe(now, link, &bytes));
            return;
        }
        let Ok((header, _)) = relay_proto::datagram::Header::decode(&bytes) else {
            return;
        };
        let from = self.id(from);
        if let Some(shard) = self.routed(node, header.origin, header.track) {
            self.nodes[node].shards.handle_datagram(now, shard, from, bytes);
            self.drain(node);
        }
    }

    fn drain(&mut self, index: NodeIndex) {
        loop {
            let node = &mut self.nodes[index];
            let Some(core) = node.core.as_mut() else {
                return;
            };
            if let Some(output) = core.poll_output() {
                self.obey(index, output);
            } else if let Some((shard, fact)) = node.shards.poll_fact() {
                core.handle_shard_fact(self.now, shard, fact);
            } else if let Some((peer, bytes)) = node.shards.poll_datagram() {
                if let Some(link) = node.selected.get(&peer).copied() {
                    self.send_datagram(index, link, bytes, false);
                }
            } else {
                return;
            }
        }
    }

    fn obey(&mut self, index: NodeIndex, output: MeshOutput) {
        match output {
            MeshOutput::SendControl { link, message } => {
                codec::encode(&message).expect("invariant: a core sends nothing that the codec refuses");
                self.send_frame(index, link, Frame::Control(message));
            }
            MeshOutput::SendDatagram { link, bytes } => self.send_datagram(index, link, bytes, true),
            MeshOutput::CloseLink { link, cause } => {
                self.nodes[index].closed.push(cause);
                self.send_frame(index, link, Frame::Close);
                if let Some((connection, end)) = self.nodes[index].links.remove(&link) {
                    self.connections[connection][end].open = false;
                }
            }
            MeshOutput::SelectLink { peer, link } => {
                let selected = &mut self.nodes[index].selected;
                match link {
                    Some(link) => selected.insert(peer, link),
                    None => selected.remove(&peer),
                };
            }
            MeshOutput::ToShard { shard, command } => {
                self.nodes[index].shards.handle_command(self.now, shard, command);
            }
            MeshOutput::RouteTrack { origin, track, shard } => {
                let tracks = &mut self.nodes[index].tracks;
                match shard {
                    Some(shard) => tracks.insert((origin, track), shard),
                    None => tracks.remove(&(origin, track)),
                };
            }
            MeshOutput::ToSignaling(fact) => {
                self.nodes[index].clients.note(&fact);
                self.facts[index].push(fact);
            }
        }
    }

    fn send_frame(&mut self, from: NodeIndex, link: LinkId, frame: Frame) {
        let Some(&(connection, end)) = self.nodes[from].links.get(&link) else {
            return;
        };
        let theirs = &mut self.connections[connection][1 - end];
        let path = self.paths[&(from, theirs.node)];
        if let Some(at) = theirs.send(self.now, frame, &path, &mut self.chance) {
            self.schedule(
                at,
                Event::Frame {
                    connection,
                    end: 1 - end,
                },
            );
        }
    }

    fn send_datagram(&mut self, from: NodeIndex, link: LinkId, bytes: Vec<u8>, probe: bool) {
        let Some(&(connection, end)) = self.nodes[from].links.get(&link) else {
            return;
        };
        let to = self.connections[connection][1 - end].node;
        if let Some(at) = self.paths[&(from, to)].datagram_arrival(self.now, &mut self.chance) {
            self.schedule(
                at,
                Event::Datagram {
                    connection,
                    end: 1 - end,
                    bytes,
                    probe,
                },
            );
        }
    }
}

/// Both ends, the one called `end` first.
const fn ends(connection: &mut [End; 2], end: usize) -> [&mut End; 2] {
    let [first, second] = connection;
    if end == 0 {
        [first, second]
    } else {
        [second, first]
    }
}
