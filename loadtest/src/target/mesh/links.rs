//! The ground a mesh stands on: loopback with a relay between the nodes, or a network namespace for each of them.

use std::io::{Error, Result};
use std::net::{Ipv4Addr, SocketAddrV4};

use super::layout::NodePorts;
use super::{Ground, MeshSpec, Node};
use crate::target::http::{self, Answer};
use crate::target::{Entrance, TargetError};
use crate::wan::namespaces::RegionLink;
use crate::wan::{
    LinkConfig, LinkProperties, Namespaces, NamespacesConfig, Wan, WanConfig, WanHandle, WanStats,
};

/// Emulated links between the nodes of a mesh.
pub(super) enum Links {
    /// A single node has none.
    None,
    /// UDP through ports on loopback; everything else goes straight.
    Relay(Wan),
    /// All packets between regions.
    Namespaces(Namespaces),
}

/// From one node or place to another, in both orders.
fn pairs(spec: &MeshSpec) -> impl Iterator<Item = (usize, usize, LinkProperties)> + '_ {
    let all = 0..spec.nodes.len() + spec.places.len();
    all.clone()
        .flat_map(move |from| all.clone().map(move |to| (from, to)))
        .filter(|(from, to)| from != to)
        .map(|(from, to)| (from, to, spec.links.get(&(from, to)).cloned().unwrap_or_default()))
}

impl Links {
    /// A link from every node to every other.
    pub(super) fn start(spec: &MeshSpec, ports: &[NodePorts]) -> std::result::Result<Self, TargetError> {
        let nodes = spec.nodes.iter().map(|node| &node.name);
        let names: Vec<String> = nodes.chain(&spec.places).cloned().collect();
        let name = |at: usize| names[at].clone();
        match spec.ground {
            Ground::Namespaces => {
                let links = pairs(spec).map(|(from, to, properties)| RegionLink {
                    from: name(from),
                    to: name(to),
                    properties,
                });
                let config = NamespacesConfig {
                    seed: spec.seed,
                    regions: names.clone(),
                    links: links.collect(),
                    ..NamespacesConfig::default()
                };
                Ok(Self::Namespaces(Namespaces::create(&config)?))
            }
            Ground::Loopback if !spec.places.is_empty() => Err(TargetError::PlacesNeedNamespaces),
            Ground::Loopback if spec.nodes.len() < 2 => Ok(Self::None),
            Ground::Loopback => {
                let links = pairs(spec).map(|(from, to, properties)| LinkConfig {
                    from: name(from),
                    to: name(to),
                    listen: SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0),
                    forward_to: SocketAddrV4::new(Ipv4Addr::LOCALHOST, ports[to].mesh),
                    properties,
                });
                let config = WanConfig {
                    seed: spec.seed,
                    control: None,
                    links: links.collect(),
                };
                Ok(Self::Relay(Wan::start(&config, None)?))
            }
        }
    }

    /// Where a node listens.
    pub(super) fn address_of(&self, node: &str) -> std::result::Result<Ipv4Addr, TargetError> {
        match self {
            Self::None | Self::Relay(_) => Ok(Ipv4Addr::LOCALHOST),
            Self::Namespaces(regions) => Ok(regions.address_of(node)?),
        }
    }

    /// Where `from` finds `to`.
    pub(super) fn peer_address(
        &self,
        from: &str,
        to: &str,
        ports: NodePorts,
    ) -> std::result::Result<SocketAddrV4, TargetError> {
        match self {
            Self::Relay(wan) => {
                let found = wan.listen_addr(from, to);
                found.ok_or_else(|| TargetError::UnknownNode(to.to_owned()))
            }
            Self::None | Self::Namespaces(_) => Ok(SocketAddrV4::new(self.address_of(to)?, ports.mesh)),
        }
    }

    /// Name of the namespace a node runs in; none on loopback.
    pub(super) fn namespace_of(&self, node: &str) -> std::result::Result<Option<String>, TargetError> {
        match self {
            Self::None | Self::Relay(_) => Ok(None),
            Self::Namespaces(regions) => Ok(Some(regions.namespace_of(node)?.to_owned())),
        }
    }

    /// A way to where a node is; none on loopback.
    pub(super) fn entrance(&self, node: &str) -> std::result::Result<Option<Entrance>, TargetError> {
        match self {
            Self::None | Self::Relay(_) => Ok(None),
            Self::Namespaces(regions) => Ok(Some(regions.entrance(node)?)),
        }
    }

    /// Asks a node for a page, from where it is.
    pub(super) fn ask(&self, node: &Node, path: &str) -> Result<Answer> {
        let ask = || http::get(node.http, "localhost", path);
        match self {
            Self::None | Self::Relay(_) => ask(),
            Self::Namespaces(regions) => regions.inside(&node.name, ask).map_err(Error::other)?,
        }
    }

    /// Commands for the emulator; none with a single node.
    pub(super) fn handle(&self) -> Option<&WanHandle> {
        match self {
            Self::None => None,
            Self::Relay(wan) => Some(wan),
            Self::Namespaces(regions) => Some(regions),
        }
    }

    pub(super) fn stats(&self) -> std::result::Result<WanStats, TargetError> {
        match self.handle() {
            Some(handle) => Ok(handle.stats()?),
            None => Ok(WanStats::default()),
        }
    }

    /// Packets that the emulator was too slow to read; nothing measured over it counts if there are any.
    pub(super) fn dropped_before_reading(&self) -> std::result::Result<u64, TargetError> {
        let Self::Namespaces(regions) = self else {
            return Ok(0);
        };
        let mut sum = 0;
        for region in regions.regions() {
            sum += regions.dropped_before_reading(region)?;
        }
        Ok(sum)
    }
}
