//! A mesh of our own nodes on this machine, joined by emulated links, and the faults it can be put through.

mod configuration;
mod layout;
mod links;
mod start;

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;

use self::layout::Layout;
use self::links::Links;
use super::process::Program;
use super::{Counters, Entrance, Feed, Sample, TargetError};
use crate::signalling::Endpoint;
use crate::signalling::token::ApiKey;
use crate::wan::change::PropertyChange;
use crate::wan::{Between, LinkProperties};

/// Before a node that is started again is killed for not ending by itself.
const RESTART_GRACE: Duration = Duration::from_secs(2);

/// A node of a mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSpec {
    /// Its name, unique in the mesh.
    pub name: String,
    /// What people call the place.
    pub region: String,
    /// Degrees, south negative.
    pub latitude: f64,
    /// Degrees, west negative.
    pub longitude: f64,
}

/// Where the nodes of a mesh run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// All on loopback; links carry what nodes send to each other.
    #[default]
    Loopback,
    /// Each in a network namespace, its clients too; links carry everything between regions. Needs root, and two regions
    /// at least. Whoever starts such a mesh holds SIGINT and SIGTERM back and drops it in the end.
    Namespaces,
}

/// A mesh to start.
#[derive(Clone, Debug)]
pub struct MeshSpec {
    /// The program `causeway`.
    pub program: PathBuf,
    /// The program nodes are started again from; `None` for the same.
    pub program_then: Option<PathBuf>,
    /// Its nodes.
    pub nodes: Vec<NodeSpec>,
    /// Places where people are and no node is. Only namespaces have them.
    pub places: Vec<String>,
    /// Properties of each directed link, from and to by place in `nodes` and then `places`; what is not named is perfect.
    pub links: BTreeMap<(usize, usize), LinkProperties>,
    /// Media threads of each node; `None` for the node's own choice.
    pub shards: Option<u16>,
    /// Further configuration of each node, `key=value`.
    pub settings: Vec<String>,
    /// Seed of the links.
    pub seed: u64,
    /// Where they run.
    pub ground: Ground,
}

struct Node {
    name: String,
    program: Program,
    config: PathBuf,
    http: SocketAddr,
    /// Namespace it runs in.
    namespace: Option<String>,
    log: PathBuf,
    /// CPU time of its former processes.
    spent: Duration,
    /// CPU time of its process when it was last told to end.
    at_end: Duration,
    /// It was asked to end in order, and nobody has looked yet whether it did.
    drains: bool,
}

impl Node {
    fn sample(&self) -> Option<Sample> {
        let mut sample = Sample::of(self.program.pid()?)?;
        sample.cpu += self.spent;
        Some(sample)
    }

    /// Keeps what its process has cost: nobody can tell once it is gone.
    fn note_cpu(&mut self) {
        if let Some(sample) = self.program.pid().and_then(Sample::of) {
            self.at_end = sample.cpu;
        }
    }
}

/// A running mesh. Dropping it ends all processes and removes its files.
pub struct Mesh {
    nodes: Vec<Node>,
    places: Vec<String>,
    links: Links,
    /// What nodes are started again from.
    executable: PathBuf,
    /// Nodes that were asked to end in order and had not when they were started again.
    unclean_ends: u64,
    settings: Vec<String>,
    folder: PathBuf,
    api: ApiKey,
}

impl Mesh {
    /// Starts all nodes and waits, at most two minutes, until each sees every other. Logs and configurations go to
    /// `folder`, which is made and in the end removed. If another program has just taken one of the ports, it tries again
    /// with others.
    ///
    /// Call it, and [`Self::restart`], from a thread that lives as long as the mesh: on systems with `setpriv` the nodes are
    /// killed when that thread ends, so that nothing outlives a killed process.
    ///
    /// # Errors
    /// [`TargetError`]; nothing is left behind.
    pub fn start(spec: &MeshSpec, folder: &Path) -> Result<Self, TargetError> {
        let nodes = spec.nodes.len();
        start::start(spec, folder, || match spec.ground {
            Ground::Loopback => Layout::free(nodes),
            Ground::Namespaces => Ok(Layout::fixed(nodes)),
        })
    }

    /// What tokens for this mesh are signed with.
    #[must_use]
    pub fn api(&self) -> &ApiKey {
        &self.api
    }

    /// Names of the nodes, in the order of the specification.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.nodes.iter().map(|node| node.name.as_str())
    }

    /// Where clients of a node connect.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`].
    pub fn endpoint(&self, node: usize) -> Result<Endpoint, TargetError> {
        let node = self
            .nodes
            .get(node)
            .ok_or_else(|| TargetError::UnknownNode(node.to_string()))?;
        let url = format!("http://{}", node.http);
        Endpoint::resolve(&url, None).map_err(|error| TargetError::Server {
            url,
            reason: error.to_string(),
        })
    }

    /// What each node costs so far, its former processes included (memory is that of the present one); `None` for one
    /// that is gone.
    #[must_use]
    pub fn samples(&self) -> Vec<Option<Sample>> {
        self.nodes.iter().map(Node::sample).collect()
    }

    /// The counters of each node; `None` for one that does not answer.
    #[must_use]
    pub fn counters(&self) -> Vec<Option<Counters>> {
        let read = |node: &Node| {
            let answer = self.links.ask(node, "/metrics").ok()?;
            (answer.status == 200).then(|| Counters::parse(&answer.body))
        };
        self.nodes.iter().map(read).collect()
    }

    /// What each node says of the media on its links; `None` for one that does not answer.
    #[must_use]
    pub fn feeds(&self) -> Vec<Option<Feed>> {
        let read = |node: &Node| {
            let answer = self.links.ask(node, "/api/mesh").ok()?;
            (answer.status == 200).then(|| Feed::parse(&answer.body))?
        };
        self.nodes.iter().map(read).collect()
    }

    /// What the links have carried; empty with a single node.
    ///
    /// # Errors
    /// [`TargetError::Wan`] when the emulator has ended.
    pub fn link_stats(&self) -> Result<Vec<crate::wan::LinkStats>, TargetError> {
        Ok(self.links.stats()?.links)
    }

    /// A way to where a node is, or to a place without one (counted on after the nodes), for its clients; none on
    /// loopback.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`].
    pub fn entrance(&self, at: usize) -> Result<Option<Entrance>, TargetError> {
        let nodes = self.names();
        let mut names = nodes.chain(self.places.iter().map(String::as_str));
        let name = names
            .nth(at)
            .ok_or_else(|| TargetError::UnknownNode(at.to_string()))?;
        self.links.entrance(name)
    }

    /// Packets that were lost because this machine was too slow for the emulator: more than none spoil a measurement.
    ///
    /// # Errors
    /// [`TargetError::Namespaces`].
    pub fn dropped_before_reading(&self) -> Result<u64, TargetError> {
        self.links.dropped_before_reading()
    }

    /// Kills a node at once.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`].
    pub fn kill(&mut self, node: &str) -> Result<(), TargetError> {
        let node = self.node(node)?;
        node.note_cpu();
        node.program.kill();
        Ok(())
    }

    /// Stops a node's time, or lets it go on.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`], or [`TargetError::Signal`] if it is gone.
    pub fn pause(&mut self, node: &str, paused: bool) -> Result<(), TargetError> {
        let signal = if paused { Signal::SIGSTOP } else { Signal::SIGCONT };
        self.node(node)?.program.signal(signal)
    }

    /// Asks a node to end in order.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`].
    pub fn terminate(&mut self, node: &str) -> Result<(), TargetError> {
        let node = self.node(node)?;
        node.note_cpu();
        node.drains = true;
        node.program.ask_to_end();
        Ok(())
    }

    /// Starts a node again that has ended, or ends and starts it; the same configuration. Does not wait until it is
    /// ready.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`], [`TargetError::Program`].
    pub fn restart(&mut self, node: &str) -> Result<(), TargetError> {
        let (executable, settings) = (self.executable.clone(), self.settings.clone());
        let node = self.node(node)?;
        node.note_cpu();
        let unclean = std::mem::take(&mut node.drains) && !node.program.has_ended_in_order();
        if !node.program.has_ended() {
            node.program.ask_to_end();
            if node.program.wait(RESTART_GRACE).is_none() {
                node.program.kill();
            }
        }
        node.spent += std::mem::take(&mut node.at_end);
        node.program = start::program(
            &node.name,
            &executable,
            (&node.config, &settings),
            &node.log,
            node.namespace.as_deref(),
        )?;
        self.unclean_ends += u64::from(unclean);
        Ok(())
    }

    /// How many nodes were asked to end in order ([`Self::terminate`]) and had not ended with code 0 when they were started
    /// again, or have not by now.
    pub fn unclean_ends(&mut self) -> u64 {
        let late = self.nodes.iter_mut().filter(|node| node.drains);
        let late = late.filter_map(|node| (!node.program.has_ended_in_order()).then_some(()));
        self.unclean_ends + late.count() as u64
    }

    /// Cuts both directions between two nodes.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn cut(&self, between: &Between) -> Result<(), TargetError> {
        self.links.handle().map_or(Ok(()), |wan| Ok(wan.cut(between)?))
    }

    /// Heals what was cut.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn heal(&self, between: &Between) -> Result<(), TargetError> {
        self.links.handle().map_or(Ok(()), |wan| Ok(wan.heal(between)?))
    }

    /// Changes properties of a link.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn degrade(&self, between: &Between, change: PropertyChange) -> Result<(), TargetError> {
        self.links
            .handle()
            .map_or(Ok(()), |wan| Ok(wan.set(between, change)?))
    }

    fn node(&mut self, name: &str) -> Result<&mut Node, TargetError> {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.ok_or_else(|| TargetError::UnknownNode(name.to_owned()))
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // All at once, so that nobody waits for the others' grace.
        for node in &mut self.nodes {
            node.program.ask_to_end();
        }
        self.nodes.clear();
        self.links = Links::None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests;
