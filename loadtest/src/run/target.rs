//! One server under test, ours or not, behind the few things a run does with it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::RunError;
use crate::scenario::{FaultKind, Scenario};
use crate::signalling::Endpoint;
use crate::signalling::token::ApiKey;
use crate::target::{Attached, Counters, Entrance, Feed, Ground, Mesh, MeshSpec, NodeSpec, Sample};
use crate::wan::{Between, LinkStats};

/// Which server to test.
#[derive(Clone, Debug)]
pub enum TargetChoice {
    /// A mesh of our own nodes, one per region.
    Mesh {
        /// The program `causeway`.
        program: PathBuf,
        /// The program nodes are started again from; `None` for the same.
        program_then: Option<PathBuf>,
        /// Media threads of each node.
        shards: Option<u16>,
        /// Further configuration of each node, `key=value`.
        settings: Vec<String>,
        /// Where they run.
        ground: Ground,
    },
    /// A server that is there already; everybody connects to it.
    Attached(Attached),
}

impl TargetChoice {
    /// How tables call it.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Mesh { .. } => "causeway".to_owned(),
            Self::Attached(attached) => attached.url.clone(),
        }
    }
}

/// It runs.
pub(super) enum Running {
    Mesh(Box<Mesh>),
    Attached(Attached),
}

/// What can be seen of a server from outside at one moment.
pub(super) struct Look {
    pub(super) samples: Vec<Option<Sample>>,
    pub(super) counters: Vec<Option<Counters>>,
    pub(super) links: Vec<LinkStats>,
    pub(super) feeds: Vec<Option<Feed>>,
}

impl Running {
    pub(super) fn start(choice: &TargetChoice, scenario: &Scenario, folder: &Path) -> Result<Self, RunError> {
        match choice {
            TargetChoice::Attached(_) if !scenario.faults.is_empty() => Err(RunError::NotOurs),
            TargetChoice::Attached(attached) => Ok(Self::Attached(attached.clone())),
            TargetChoice::Mesh {
                program,
                program_then,
                shards,
                settings,
                ground,
            } => {
                let (with_node, without): (Vec<_>, Vec<_>) =
                    scenario.regions.iter().partition(|region| region.node);
                let nodes = with_node.into_iter().map(|region| NodeSpec {
                    name: region.name.clone(),
                    region: region.title.clone(),
                    latitude: region.latitude,
                    longitude: region.longitude,
                });
                let both = |link: &crate::scenario::LinkSpec| {
                    [
                        ((link.a, link.b), link.properties.clone()),
                        ((link.b, link.a), link.properties.clone()),
                    ]
                };
                let spec = MeshSpec {
                    program: program.clone(),
                    program_then: program_then.clone(),
                    nodes: nodes.collect(),
                    places: without.into_iter().map(|region| region.name.clone()).collect(),
                    links: scenario.links.iter().flat_map(both).collect::<BTreeMap<_, _>>(),
                    shards: *shards,
                    settings: with_sounds(settings, scenario),
                    seed: scenario.seed,
                    ground: *ground,
                };
                Ok(Self::Mesh(Box::new(Mesh::start(&spec, folder)?)))
            }
        }
    }

    pub(super) fn api(&self) -> &ApiKey {
        match self {
            Self::Mesh(mesh) => mesh.api(),
            Self::Attached(attached) => &attached.api,
        }
    }

    /// Where clients of each of the first `nodes` regions connect.
    pub(super) fn endpoints(&self, nodes: usize) -> Result<Vec<Endpoint>, RunError> {
        (0..nodes)
            .map(|node| match self {
                Self::Mesh(mesh) => Ok(mesh.endpoint(node)?),
                Self::Attached(attached) => Ok(attached.endpoint.clone()),
            })
            .collect()
    }

    /// The way to where people of each region are; none on loopback.
    pub(super) fn entrances(&self, regions: usize) -> Result<Vec<Option<Entrance>>, RunError> {
        (0..regions)
            .map(|region| match self {
                Self::Mesh(mesh) => Ok(mesh.entrance(region)?),
                Self::Attached(_) => Ok(None),
            })
            .collect()
    }

    /// Packets that the emulator was too slow for.
    pub(super) fn dropped_before_reading(&self) -> Result<u64, RunError> {
        match self {
            Self::Mesh(mesh) => Ok(mesh.dropped_before_reading()?),
            Self::Attached(_) => Ok(0),
        }
    }

    /// Nodes that were asked to drain and did not end in order in time.
    pub(super) fn unclean_ends(&mut self) -> u64 {
        match self {
            Self::Mesh(mesh) => mesh.unclean_ends(),
            Self::Attached(_) => 0,
        }
    }

    pub(super) fn look(&self) -> Look {
        match self {
            Self::Mesh(mesh) => Look {
                samples: mesh.samples(),
                counters: mesh.counters(),
                feeds: mesh.feeds(),
                links: mesh.link_stats().unwrap_or_default(),
            },
            Self::Attached(_) => Look {
                samples: Vec::new(),
                counters: Vec::new(),
                links: Vec::new(),
                feeds: Vec::new(),
            },
        }
    }

    /// Memory in use of each node, in KiB: 0 for one that does not run, nothing for servers that are not ours.
    pub(super) fn rss_kib(&self) -> Vec<u64> {
        let Self::Mesh(mesh) = self else {
            return Vec::new();
        };
        let samples = mesh.samples().into_iter();
        samples
            .map(|sample| sample.map_or(0, |sample| sample.rss_bytes / 1_024))
            .collect()
    }

    pub(super) fn cause(&mut self, fault: &FaultKind) -> Result<(), RunError> {
        let Self::Mesh(mesh) = self else {
            return Err(RunError::NotOurs);
        };
        match fault {
            FaultKind::Kill(node) => mesh.kill(node)?,
            FaultKind::Pause(node) => mesh.pause(node, true)?,
            FaultKind::Resume(node) => mesh.pause(node, false)?,
            FaultKind::Drain(node) => mesh.terminate(node)?,
            FaultKind::Restart(node) => mesh.restart(node)?,
            FaultKind::Cut(a, b) => mesh.cut(&Between::both(a, b))?,
            FaultKind::Heal(a, b) => mesh.heal(&Between::both(a, b))?,
            FaultKind::Degrade(a, b, change, _) => mesh.degrade(&Between::both(a, b), change.clone())?,
        }
        Ok(())
    }
}

/// The key of a node's configuration that says how many sounds of a room are forwarded.
const LOUDEST_SOUNDS: &str = "limits.loudest_sounds";
/// What a node takes without it.
const USUAL_SOUNDS: usize = 8;

/// `settings`, and how many sounds the scenario wants to have forwarded, where that is not what the node does anyhow: a
/// program from before there was a choice does not know the key.
fn with_sounds(settings: &[String], scenario: &Scenario) -> Vec<String> {
    let mut settings = settings.to_vec();
    let said = settings.iter().any(|setting| setting.starts_with(LOUDEST_SOUNDS));
    let all = scenario.loudest_sounds == 0 && scenario.microphones() <= USUAL_SOUNDS;
    if !said && !all && scenario.loudest_sounds != USUAL_SOUNDS {
        settings.push(format!("{LOUDEST_SOUNDS}={}", scenario.loudest_sounds));
    }
    settings
}
