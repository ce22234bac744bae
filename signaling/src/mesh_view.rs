//! What signalling knows of the mesh: a snapshot that the binary publishes whenever the mesh changes.

use geo::point::GeoPoint;
use geo::rank::NodeState;
use relay_proto::id::{NodeId, RoomName};
use std::collections::BTreeMap;

/// A snapshot of the mesh. Replaced as a whole, never changed in place.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MeshView {
    /// Every known node, this one included.
    pub nodes: Vec<NodeView>,
    /// Which nodes host a conference, by room name; all rooms, or those the node has to do with.
    pub rooms: BTreeMap<String, Vec<RoomHost>>,
    /// Smoothed round trips in milliseconds that the first node measured to the second.
    pub rtt_ms: BTreeMap<(NodeId, NodeId), f64>,
}

impl MeshView {
    /// Which nodes host a conference, as far as this says.
    #[must_use]
    pub fn hosts(&self, room: &RoomName) -> &[RoomHost] {
        self.rooms
            .get(room.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default()
    }
}

/// One node of the mesh.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeView {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: NodeId,
    /// The operator's label for the place.
    pub region: String,
    /// Where it is.
    pub point: GeoPoint,
    /// Base URL clients reach it at (`http://…` or `https://…`).
    pub public_url: String,
    /// Whether it takes clients, as this node sees it.
    pub state: NodeState,
    /// Used share of its capacity, 0 to 1.
    pub load: f32,
    /// Participants on it.
    pub participants: u32,
    /// Whether this node may open sessions there.
    pub steers: bool,
}

/// A node that hosts a conference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomHost {
    /// Which node.
    pub node: NodeId,
    /// Participants of the conference that are on it.
    pub participants: u32,
}
