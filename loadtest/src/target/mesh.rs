//! A mesh of our own nodes on this machine, joined by emulated links, and the faults it can be put through.

use std::collections::BTreeMap;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::process::Program;
use super::{Counters, Sample, TargetError, http, ports};
use crate::signalling::Endpoint;
use crate::signalling::token::ApiKey;
use crate::wan::change::PropertyChange;
use crate::wan::{Between, LinkConfig, LinkProperties, Wan, WanConfig};

/// A node has to be ready, and to see the others, this soon.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// UDP ports a node may take from its media port upwards, one per shard.
const MEDIA_PORTS: u16 = 16;
const API_KEY: &str = "loadtest";

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

/// A mesh to start.
#[derive(Clone, Debug)]
pub struct MeshSpec {
    /// The program `causeway`.
    pub program: PathBuf,
    /// Its nodes.
    pub nodes: Vec<NodeSpec>,
    /// Properties of each directed link, from and to by place in `nodes`; what is not named is perfect.
    pub links: BTreeMap<(usize, usize), LinkProperties>,
    /// Media threads of each node; `None` for the node's own choice.
    pub shards: Option<u16>,
    /// Seed of the links.
    pub seed: u64,
}

struct Node {
    name: String,
    program: Program,
    config: PathBuf,
    http: SocketAddr,
    log: PathBuf,
}

/// A running mesh. Dropping it ends all processes and removes its files.
pub struct Mesh {
    nodes: Vec<Node>,
    wan: Option<Wan>,
    executable: PathBuf,
    folder: PathBuf,
    api: ApiKey,
}

impl Mesh {
    /// Starts all nodes and waits until each sees every other. Logs and configurations go to `folder`, which is made and
    /// in the end removed.
    ///
    /// # Errors
    /// [`TargetError`]; nothing is left behind.
    pub fn start(spec: &MeshSpec, folder: &Path) -> Result<Self, TargetError> {
        let file = |source| TargetError::File {
            path: folder.to_owned(),
            source,
        };
        fs::create_dir_all(folder).map_err(file)?;
        let mut mesh = Self {
            nodes: Vec::new(),
            wan: None,
            executable: spec.program.clone(),
            folder: folder.to_owned(),
            api: ApiKey {
                key: API_KEY.to_owned(),
                secret: secret(spec.seed),
            },
        };
        let meshes = ports::udp_row(spec.nodes.len() as u16).map_err(TargetError::Ports)?;
        let wan = start_links(spec, meshes)?;
        for at in 0..spec.nodes.len() {
            let node = mesh.start_node(spec, at, meshes + at as u16, wan.as_ref())?;
            mesh.nodes.push(node);
        }
        mesh.wan = wan;
        mesh.await_ready()?;
        mesh.await_joined()?;
        Ok(mesh)
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
        Endpoint::resolve(&url).map_err(|error| TargetError::Server {
            url,
            reason: error.to_string(),
        })
    }

    /// What each node costs so far; `None` for one that is gone.
    #[must_use]
    pub fn samples(&self) -> Vec<Option<Sample>> {
        self.nodes
            .iter()
            .map(|node| Sample::of(node.program.pid()))
            .collect()
    }

    /// The counters of each node; `None` for one that does not answer.
    #[must_use]
    pub fn counters(&self) -> Vec<Option<Counters>> {
        let read = |node: &Node| {
            let answer = http::get(node.http, "localhost", "/metrics").ok()?;
            (answer.status == 200).then(|| Counters::parse(&answer.body))
        };
        self.nodes.iter().map(read).collect()
    }

    /// What the links have carried; empty with a single node.
    ///
    /// # Errors
    /// [`TargetError::Wan`] when the emulator has ended.
    pub fn link_stats(&self) -> Result<Vec<crate::wan::LinkStats>, TargetError> {
        match &self.wan {
            Some(wan) => Ok(wan.stats()?.links),
            None => Ok(Vec::new()),
        }
    }

    /// Kills a node at once.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`].
    pub fn kill(&mut self, node: &str) -> Result<(), TargetError> {
        self.node(node)?.program.kill();
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
        self.node(node)?.program.ask_to_end();
        Ok(())
    }

    /// Starts a node again that has ended, or ends and starts it; the same configuration. Does not wait until it is
    /// ready.
    ///
    /// # Errors
    /// [`TargetError::UnknownNode`], [`TargetError::Program`].
    pub fn restart(&mut self, node: &str) -> Result<(), TargetError> {
        let executable = self.executable.clone();
        let node = self.node(node)?;
        if !node.program.has_ended() {
            node.program.ask_to_end();
            if node.program.wait(Duration::from_secs(2)).is_none() {
                node.program.kill();
            }
        }
        node.program = start_program(&node.name, &executable, &node.config, &node.log)?;
        Ok(())
    }

    /// Cuts both directions between two nodes.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn cut(&self, between: &Between) -> Result<(), TargetError> {
        self.wan.as_ref().map_or(Ok(()), |wan| Ok(wan.cut(between)?))
    }

    /// Heals what was cut.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn heal(&self, between: &Between) -> Result<(), TargetError> {
        self.wan.as_ref().map_or(Ok(()), |wan| Ok(wan.heal(between)?))
    }

    /// Changes properties of a link.
    ///
    /// # Errors
    /// [`TargetError::Wan`] for unknown nodes.
    pub fn degrade(&self, between: &Between, change: PropertyChange) -> Result<(), TargetError> {
        self.wan
            .as_ref()
            .map_or(Ok(()), |wan| Ok(wan.set(between, change)?))
    }

    fn node(&mut self, name: &str) -> Result<&mut Node, TargetError> {
        let found = self.nodes.iter_mut().find(|node| node.name == name);
        found.ok_or_else(|| TargetError::UnknownNode(name.to_owned()))
    }

    fn start_node(
        &self,
        spec: &MeshSpec,
        at: usize,
        mesh: u16,
        wan: Option<&Wan>,
    ) -> Result<Node, TargetError> {
        let node = &spec.nodes[at];
        let http = ports::tcp().map_err(TargetError::Ports)?;
        let media = ports::udp_row(MEDIA_PORTS).map_err(TargetError::Ports)?;
        let peers = spec.nodes.iter().filter(|other| other.name != node.name);
        let peers: Vec<String> = peers
            .filter_map(|other| wan?.listen_addr(&node.name, &other.name))
            .map(|address| format!("\"{address}\""))
            .collect();
        let config = self.folder.join(format!("{}.toml", node.name));
        let text = configuration(node, &self.api, [http, media, mesh], &peers, spec.shards);
        fs::write(&config, text).map_err(|source| TargetError::File {
            path: config.clone(),
            source,
        })?;
        let log = self.folder.join(format!("{}.log", node.name));
        Ok(Node {
            name: node.name.clone(),
            program: start_program(&node.name, &spec.program, &config, &log)?,
            config,
            http: SocketAddr::from((Ipv4Addr::LOCALHOST, http)),
            log,
        })
    }

    fn await_ready(&mut self) -> Result<(), TargetError> {
        for node in &mut self.nodes {
            wait(node, "ready", |node| {
                http::get(node.http, "localhost", "/readyz").is_ok_and(|answer| answer.status == 200)
            })?;
        }
        Ok(())
    }

    /// Waits until every node sees every other as up and knows where it is: before that nobody can be sent there.
    fn await_joined(&mut self) -> Result<(), TargetError> {
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        for node in &mut self.nodes {
            wait(node, "aware of all others", |node| {
                let Ok(answer) = http::get(node.http, "localhost", "/api/mesh") else {
                    return false;
                };
                let feed: Value = serde_json::from_str(&answer.body).unwrap_or_default();
                let entries = |list: &str| feed[list].as_array().cloned().unwrap_or_default();
                let up = |name: &String| {
                    entries("peers")
                        .iter()
                        .any(|peer| peer["node"] == name.as_str() && peer["state"] == "up")
                };
                let placed =
                    |name: &String| entries("nodes").iter().any(|node| node["node"] == name.as_str());
                names
                    .iter()
                    .filter(|name| **name != node.name)
                    .all(|name| up(name) && placed(name))
            })?;
        }
        Ok(())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // All at once, so that nobody waits for the others' grace.
        self.nodes.iter().for_each(|node| node.program.ask_to_end());
        self.nodes.clear();
        self.wan = None;
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn start_program(name: &str, program: &Path, config: &Path, log: &Path) -> Result<Program, TargetError> {
    let config = config.to_string_lossy();
    Program::start(name, program, &["node", "--config", &config], log)
}

fn wait(node: &mut Node, what: &'static str, done: impl Fn(&Node) -> bool) -> Result<(), TargetError> {
    let until = Instant::now() + READY_WITHIN;
    while !done(node) {
        node.program.must_run()?;
        if Instant::now() >= until {
            return Err(TargetError::NotReady {
                node: node.name.clone(),
                what,
                seconds: READY_WITHIN.as_secs(),
                log: node.program.last_lines(),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// A link from every node to every other; none for a single node.
fn start_links(spec: &MeshSpec, meshes: u16) -> Result<Option<Wan>, TargetError> {
    let mut links = Vec::new();
    for (from, a) in spec.nodes.iter().enumerate() {
        for (to, b) in spec.nodes.iter().enumerate().filter(|(to, _)| *to != from) {
            links.push(LinkConfig {
                from: a.name.clone(),
                to: b.name.clone(),
                listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
                forward_to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, meshes + to as u16),
                properties: spec.links.get(&(from, to)).cloned().unwrap_or_default(),
            });
        }
    }
    if links.is_empty() {
        return Ok(None);
    }
    let config = WanConfig {
        seed: spec.seed,
        control: None,
        links,
    };
    Ok(Some(Wan::start(&config, None)?))
}

fn configuration(
    node: &NodeSpec,
    api: &ApiKey,
    [http, media, mesh]: [u16; 3],
    peers: &[String],
    shards: Option<u16>,
) -> String {
    let NodeSpec {
        name,
        region,
        latitude,
        longitude,
    } = node;
    let ApiKey { key, secret } = api;
    let shards = shards.map_or_else(String::new, |shards| format!("shards = {shards}\n"));
    let peers = peers.join(", ");
    format!(
        "[node]\nname = \"{name}\"\nregion = {region:?}\nlatitude = {latitude:?}\nlongitude = {longitude:?}\n\n\
         [http]\nlisten = \"127.0.0.1:{http}\"\npublic_url = \"http://127.0.0.1:{http}\"\n\n\
         [media]\nudp_listen = \"127.0.0.1:{media}\"\nadvertise = [\"127.0.0.1\"]\n{shards}\n\
         [mesh]\nlisten = \"127.0.0.1:{mesh}\"\nsecret = \"{secret}\"\npeers = [{peers}]\n\n\
         [auth]\nanonymous_join = false\n\n[auth.keys]\n{key} = \"{secret}\"\n"
    )
}

/// A secret of its own for each run: two runs on one machine must not join.
fn secret(seed: u64) -> String {
    let mut random = [0; 16];
    // Without randomness the process number has to do: these nodes only ever listen on loopback.
    if aws_lc_rs::rand::fill(&mut random).is_err() {
        random[..4].copy_from_slice(&std::process::id().to_be_bytes());
        random[8..].copy_from_slice(&seed.to_be_bytes());
    }
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
