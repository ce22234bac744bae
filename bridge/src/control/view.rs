//! The core's view of the mesh, in the words of signalling.

use bridge_core::mesh::view::{LinkState, MeshView, NodeView};
use geo::{GeoPoint, NodeState};
use relay_proto::id::NodeId;
use relay_proto::row;
use signaling::mesh_view;
use std::collections::BTreeMap;

/// What signalling ranks nodes with: every node that has told where it is.
pub(super) fn for_signaling(view: &MeshView) -> mesh_view::MeshView {
    let hosts = |participants: &BTreeMap<NodeId, u32>| {
        let host = |(node, participants): (&NodeId, &u32)| mesh_view::RoomHost {
            node: *node,
            participants: *participants,
        };
        participants.iter().map(host).collect()
    };
    mesh_view::MeshView {
        nodes: view
            .nodes
            .iter()
            .filter_map(|known| {
                node(
                    known,
                    view.links.iter().any(|link| link.peer == known.id && link.steers),
                )
            })
            .collect(),
        rooms: view
            .rooms
            .iter()
            .map(|room| (room.room.to_string(), hosts(&room.participants)))
            .collect(),
        rtt_ms: view
            .rtts
            .iter()
            .filter(|rtt| rtt.up)
            .map(|rtt| ((rtt.from, rtt.to), f64::from(rtt.rtt.0) / 1_000.0))
            .collect(),
    }
}

fn node(node: &NodeView, steers: bool) -> Option<mesh_view::NodeView> {
    let facts = node.facts.as_ref()?;
    let degrees = |thousandths: i32| f64::from(thousandths) / 1_000.0;
    // A peer that claims to stand outside the globe is left out of the ranking.
    let point = GeoPoint::new(degrees(facts.latitude.0), degrees(facts.longitude.0)).ok()?;
    Some(mesh_view::NodeView {
        name: facts.name.to_string(),
        id: node.id,
        region: facts.region.clone(),
        point,
        public_url: facts.public_url.clone(),
        state: state(node, facts.state),
        load: facts.load.0 as f32 / 1_000_000.0,
        participants: facts.participants,
        steers,
    })
}

/// How this node sees another: dead without a live path, whatever it last said of itself.
pub(super) fn state(node: &NodeView, said: row::NodeState) -> NodeState {
    match (node.alive, node.link, said) {
        (false, ..) => NodeState::Dead,
        (true, _, row::NodeState::Draining) => NodeState::Draining,
        (true, Some(LinkState::Suspect), _) => NodeState::Suspect,
        (true, _, row::NodeState::Serving) => NodeState::Up,
    }
}
