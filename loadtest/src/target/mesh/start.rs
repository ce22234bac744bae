//! From a specification to nodes that see each other.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::layout::{Layout, NodePorts};
use super::links::Links;
use super::{Mesh, MeshSpec, Node, configuration};
use crate::target::TargetError;
use crate::target::process::Program;

/// All nodes have to be ready this soon, and to see each other so soon after.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks while waiting.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Starts, if ports turn out to be taken.
const TRIES: usize = 4;
/// How the system says that a port is taken (EADDRINUSE).
const PORT_TAKEN: &str = "Address already in use";

/// Starts a mesh on the ports that `layout` gives, which is asked again if they are taken.
pub(super) fn start(
    spec: &MeshSpec,
    folder: &Path,
    mut layout: impl FnMut() -> std::io::Result<Layout>,
) -> Result<Mesh, TargetError> {
    let mut tries = 1;
    loop {
        match try_once(spec, folder, layout().map_err(TargetError::Ports)?) {
            Err(error) if tries < TRIES && is_collision(&error) => tries += 1,
            outcome => return outcome,
        }
    }
}

/// Whether a node ended because somebody else has its port.
pub(super) fn is_collision(error: &TargetError) -> bool {
    matches!(error, TargetError::Ended { log, .. } if log.contains(PORT_TAKEN))
}

fn try_once(spec: &MeshSpec, folder: &Path, layout: Layout) -> Result<Mesh, TargetError> {
    make_new(folder)?;
    // From here on dropping it cleans up.
    let mut mesh = Mesh {
        nodes: Vec::new(),
        places: spec.places.clone(),
        links: Links::None,
        executable: spec.program_then.as_ref().unwrap_or(&spec.program).clone(),
        unclean_ends: 0,
        settings: spec.settings.clone(),
        folder: folder.to_owned(),
        api: configuration::api(spec.seed),
    };
    mesh.links = Links::start(spec, &layout.nodes)?;
    drop(layout.held);
    for (at, ports) in layout.nodes.iter().enumerate() {
        let node = start_node(&mesh, spec, at, *ports)?;
        mesh.nodes.push(node);
    }
    let names: Vec<String> = mesh.names().map(str::to_owned).collect();
    let Mesh { nodes, links, .. } = &mut mesh;
    await_all(nodes, "ready", |node| {
        links
            .ask(node, "/readyz")
            .is_ok_and(|answer| answer.status == 200)
    })?;
    await_all(nodes, "aware of all others", |node| sees_all(links, node, &names))?;
    Ok(mesh)
}

/// Makes a folder that is not there: it is going to be removed with all it holds.
fn make_new(folder: &Path) -> Result<(), TargetError> {
    if let Some(parent) = folder.parent() {
        fs::create_dir_all(parent).map_err(|source| of_file(parent, source))?;
    }
    fs::create_dir(folder).map_err(|source| match source.kind() {
        std::io::ErrorKind::AlreadyExists => TargetError::FolderExists(folder.to_owned()),
        _ => of_file(folder, source),
    })
}

fn of_file(path: &Path, source: std::io::Error) -> TargetError {
    TargetError::File {
        path: path.to_owned(),
        source,
    }
}

fn start_node(mesh: &Mesh, spec: &MeshSpec, at: usize, ports: NodePorts) -> Result<Node, TargetError> {
    let node = &spec.nodes[at];
    let address = mesh.links.address_of(&node.name)?;
    let peers = spec.nodes.iter().filter(|other| other.name != node.name);
    let peers = peers
        .map(|other| {
            let found = mesh.links.peer_address(&node.name, &other.name, ports);
            Ok(found?.to_string())
        })
        .collect::<Result<Vec<String>, TargetError>>()?;
    let namespace = mesh.links.namespace_of(&node.name)?;
    let data = mesh.folder.join(&node.name);
    fs::create_dir(&data).map_err(|source| of_file(&data, source))?;
    let config = mesh.folder.join(format!("{}.toml", node.name));
    let text = configuration::text(node, &mesh.api, address, ports, &peers, spec.shards, &data);
    fs::write(&config, text).map_err(|source| of_file(&config, source))?;
    let log = mesh.folder.join(format!("{}.log", node.name));
    Ok(Node {
        name: node.name.clone(),
        program: program(
            &node.name,
            &spec.program,
            (&config, &spec.settings),
            &log,
            namespace.as_deref(),
        )?,
        config,
        http: SocketAddr::from((address, ports.http)),
        namespace,
        log,
        spent: Duration::ZERO,
        at_end: Duration::ZERO,
        drains: false,
    })
}

/// Starts the program of a node with a configuration file and what goes beyond it.
pub(super) fn program(
    name: &str,
    program: &Path,
    (config, settings): (&Path, &[String]),
    log: &Path,
    namespace: Option<&str>,
) -> Result<Program, TargetError> {
    let config = config.to_string_lossy();
    let settings = settings.iter().map(|setting| format!("--{setting}"));
    let arguments: Vec<String> = ["node", "--config", &config]
        .map(str::to_owned)
        .into_iter()
        .chain(settings)
        .collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    Program::start(name, program, &arguments, log, namespace)
}

/// Looks at all nodes until `done` holds for each; fails as soon as one of them has ended.
fn await_all(
    nodes: &mut [Node],
    what: &'static str,
    done: impl Fn(&Node) -> bool,
) -> Result<(), TargetError> {
    let until = Instant::now() + READY_WITHIN;
    loop {
        for node in nodes.iter_mut() {
            node.program.must_run()?;
        }
        let Some(waiting) = nodes.iter().find(|node| !done(node)) else {
            return Ok(());
        };
        if Instant::now() >= until {
            return Err(TargetError::NotReady {
                node: waiting.name.clone(),
                what,
                seconds: READY_WITHIN.as_secs(),
                log: waiting.program.last_lines(),
            });
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Whether a node sees every other as up and knows where it is: before that nobody can be sent there.
fn sees_all(links: &Links, node: &Node, names: &[String]) -> bool {
    let Ok(answer) = links.ask(node, "/api/mesh") else {
        return false;
    };
    let feed: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let entries = |list: &str| feed[list].as_array().cloned().unwrap_or_default();
    let (peers, placed) = (entries("peers"), entries("nodes"));
    names.iter().filter(|name| **name != node.name).all(|name| {
        peers
            .iter()
            .any(|peer| peer["node"] == name.as_str() && peer["state"] == "up")
            && placed.iter().any(|node| node["node"] == name.as_str())
    })
}
