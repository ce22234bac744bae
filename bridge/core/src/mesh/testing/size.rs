//! A large mesh full of people: what its nodes say to each other, at rest and while people come and go.

use super::chance::Chance;
use super::clients::{announce, join_command};
use super::fake_shards::FakeShards;
use super::net::{MeshNet, SentBytes};
use super::pipe::Path;
use crate::mesh::config::MeshConfig;
use crate::mesh::directory::DirectoryUse;
use relay_proto::id::SessionId;
use relay_proto::room::{LeaveCause, MediaKind};
use relay_proto::session::SessionCommand;
use std::time::{Duration, Instant};

/// How large.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Nodes, each linked with each.
    pub nodes: usize,
    /// Rooms, each on one to four nodes.
    pub rooms: usize,
    /// People, all with a voice.
    pub people: usize,
}

/// What the nodes have sent in some time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Traffic {
    /// How long.
    pub time: Duration,
    /// All nodes together.
    pub all: SentBytes,
    /// Of the node that has sent the most, control messages and probes.
    pub most: u64,
    nodes: u64,
}

impl Traffic {
    /// Bytes a second of one node, on average, of what `part` says.
    #[must_use]
    pub fn per_node(&self, part: impl Fn(&SentBytes) -> u64) -> f64 {
        part(&self.all) as f64 / self.time.as_secs_f64() / self.nodes as f64
    }
}

/// The mesh and its people.
pub struct FullMesh {
    /// The nodes.
    pub net: MeshNet<FakeShards>,
    size: Size,
    chance: Chance,
    people: Vec<(usize, SessionId)>,
    serial: u32,
}

impl FullMesh {
    /// An empty mesh, all links up. Links are as long as those of the world.
    #[must_use]
    pub fn new(seed: u64, began: Instant, size: Size) -> Self {
        Self::with(seed, began, size, DirectoryUse::ROWS)
    }

    /// The same, with rooms told of in that way.
    #[must_use]
    pub fn with(seed: u64, began: Instant, size: Size, directory: DirectoryUse) -> Self {
        let configs = (0..size.nodes)
            .map(|n| MeshConfig {
                directory,
                ..MeshConfig::named(&format!("node-{n}"))
            })
            .collect();
        let mut net = MeshNet::new(seed, began, configs, Path::of_ms(50), |_| FakeShards::default());
        let mut chance = Chance::new(seed);
        for a in 0..size.nodes {
            for b in a + 1..size.nodes {
                let delay = Duration::from_millis(5 + chance.below(120));
                net.set_path(a, b, |path| path.delay = delay);
            }
        }
        let mut full = Self {
            net,
            size,
            chance,
            people: Vec::new(),
            serial: 0,
        };
        full.run(Duration::from_secs(5));
        full
    }

    /// Lets everybody come in, a thousand a second.
    pub fn fill(&mut self) {
        for _ in 0..self.size.people {
            self.join();
            self.run(Duration::from_millis(1));
        }
    }

    /// Somebody joins one of the nodes of one of the rooms.
    fn join(&mut self) {
        let room = self.chance.below(self.size.rooms as u64) as usize;
        let spread = 1 + room % 4;
        let place = self.chance.below(spread as u64) as usize;
        // Any fixed choice of nodes that differs from room to room.
        let node = (room * 7 + place * 13) % self.size.nodes;
        self.serial += 1;
        let (entry, serial) = (self.net.id(node), self.serial);
        let (name, identity) = (format!("room {room}"), format!("person {serial}"));
        self.net
            .command(node, join_command(entry, serial, &name, &identity));
        let session = SessionId { entry, serial };
        let track = format!("TR_{serial}");
        self.net
            .command(node, announce(session, &track, MediaKind::Audio));
        self.people.push((node, session));
    }

    fn leave(&mut self) {
        if self.people.is_empty() {
            return;
        }
        let at = self.chance.below(self.people.len() as u64) as usize;
        let (node, session) = self.people.swap_remove(at);
        let cause = LeaveCause::ClientLeft;
        self.net
            .command(node, SessionCommand::CloseSession { session, cause });
    }

    /// Lets time pass.
    pub fn run(&mut self, time: Duration) {
        self.net.run(time);
        for node in 0..self.size.nodes {
            self.net.take_facts(node);
            self.net.take_closed(node);
        }
    }

    /// What is sent while as many people as `per_second` leave and as many join.
    pub fn traffic(&mut self, time: Duration, per_second: u64) -> Traffic {
        for node in 0..self.size.nodes {
            self.net.take_sent(node);
        }
        for _ in 0..time.as_secs() {
            for _ in 0..per_second {
                self.leave();
                self.join();
                self.run(Duration::from_secs(1) / per_second as u32);
            }
            if per_second == 0 {
                self.run(Duration::from_secs(1));
            }
        }
        let mut traffic = Traffic {
            time,
            nodes: self.size.nodes as u64,
            ..Traffic::default()
        };
        for node in 0..self.size.nodes {
            let sent = self.net.take_sent(node);
            traffic.all.control += sent.control;
            traffic.all.rows += sent.rows;
            traffic.all.questions += sent.questions;
            traffic.all.probes += sent.probes;
            traffic.most = traffic.most.max(sent.control + sent.probes);
        }
        traffic
    }
}
