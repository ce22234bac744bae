//! Which port everything of a mesh listens on.

use std::io::Result;

use super::super::ports::Ports;

/// UDP ports a node may take from its media port upwards, one per shard.
const MEDIA_PORTS: u16 = 16;

/// Ports of one node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodePorts {
    pub(super) http: u16,
    pub(super) media: u16,
    pub(super) mesh: u16,
}

/// Ports of all nodes, held until the nodes start.
#[derive(Debug)]
pub(super) struct Layout {
    pub(super) nodes: Vec<NodePorts>,
    /// Dropped to let the nodes have them.
    pub(super) held: Ports,
}

impl Layout {
    /// The same ports for so many nodes that each have an address of their own.
    pub(super) fn fixed(nodes: usize) -> Self {
        let ports = NodePorts {
            http: 7_880,
            media: 7_881,
            mesh: 7_900,
        };
        Self {
            nodes: vec![ports; nodes],
            held: Ports::default(),
        }
    }

    /// Free ports for so many nodes.
    pub(super) fn free(nodes: usize) -> Result<Self> {
        let mut held = Ports::default();
        let nodes = (0..nodes).map(|_| {
            Ok(NodePorts {
                http: held.tcp()?,
                media: held.udp_row(MEDIA_PORTS)?,
                mesh: held.udp_row(1)?,
            })
        });
        let nodes = nodes.collect::<Result<_>>()?;
        Ok(Self { nodes, held })
    }
}
