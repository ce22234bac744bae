//! Which node a client is sent to: the mesh as it is known, turned into candidates for the ranking of `geo`.

use crate::config::SignalingConfig;
use crate::mesh_view::{MeshView, NodeView};
use geo::locate::{Anchor, Place};
use geo::rank::{Candidate, NodeState, RankError, RankRequest, Ranking, rank};
use geo::reserve::Reservations;
use relay_proto::id::{NodeId, RoomName};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

#[cfg(test)]
pub(crate) mod tests;

/// How long an assignment counts as load: until the node's own report surely contains it.
const RESERVATION_LIFETIME: Duration = Duration::from_secs(5);

/// Assigns clients to nodes and remembers for a moment whom it sent where.
#[derive(Debug)]
pub struct Placement {
    reservations: Reservations,
}

/// A client that asks for a node.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where it is.
    pub place: Place,
    /// Which conference it wants.
    pub room: &'a RoomName,
    /// Nodes it could not reach.
    pub exclude: &'a BTreeSet<String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            reservations: Reservations::new(RESERVATION_LIFETIME),
        }
    }
}

impl Placement {
    /// Ranks the nodes for a client and reserves a place on the best one. The URLs are what an SDK connects to.
    ///
    /// # Errors
    /// [`RankError`] when no node can take the client, with the reason for each.
    pub fn assign(
        &mut self,
        question: &Question<'_>,
        mesh: &MeshView,
        config: &SignalingConfig,
        now: Instant,
    ) -> Result<Ranking, RankError> {
        let candidates = self.candidates(question.room, mesh, config, now);
        let mut request = RankRequest::at(place_or_here(question.place.clone(), config));
        request.unreachable.clone_from(question.exclude);
        let ranking = rank(&request, &candidates, &config.policy)?;
        self.reservations.reserve(now, &ranking.best().name);
        Ok(ranking)
    }

    fn candidates(
        &self,
        room: &RoomName,
        mesh: &MeshView,
        config: &SignalingConfig,
        now: Instant,
    ) -> Vec<Candidate> {
        let names: BTreeMap<NodeId, &str> = mesh
            .nodes
            .iter()
            .map(|node| (node.id, node.name.as_str()))
            .collect();
        let hosts = mesh
            .rooms
            .get(room.as_str())
            .map(Vec::as_slice)
            .unwrap_or_default();
        let own = (!mesh.nodes.iter().any(|node| node.name == config.node)).then(|| this_node(config));
        let nodes = mesh.nodes.iter().chain(own.iter());
        nodes
            .map(|node| Candidate {
                name: node.name.clone(),
                region: node.region.clone(),
                country: None,
                point: node.point,
                url: websocket_url(&node.public_url),
                load: self
                    .reservations
                    .load(now, &node.name, node.load, config.node_capacity),
                state: node.state,
                participants_in_room: hosts
                    .iter()
                    .filter(|host| host.node == node.id)
                    .map(|host| host.participants)
                    .sum(),
                mesh_rtt_ms: mesh
                    .rtt_ms
                    .iter()
                    .filter(|((from, _), _)| *from == node.id)
                    .filter_map(|((_, to), rtt_ms)| Some(((*names.get(to)?).to_owned(), *rtt_ms)))
                    .collect(),
            })
            .collect()
    }
}

/// A client of whom nothing is known (a private address, no database) is taken to be near the node it asked.
fn place_or_here(place: Place, config: &SignalingConfig) -> Place {
    match place.anchor {
        Anchor::Nowhere => Place {
            anchor: Anchor::Node(config.node.clone()),
            ..place
        },
        _ => place,
    }
}

/// The node itself, as long as nobody has published the mesh.
fn this_node(config: &SignalingConfig) -> NodeView {
    NodeView {
        name: config.node.clone(),
        id: NodeId::of(&config.node),
        region: config.region.clone(),
        point: config.point,
        public_url: config.public_url.clone(),
        state: NodeState::Up,
        load: 0.0,
        participants: 0,
    }
}

/// The base URL that SDKs connect to, made of the one that browsers open.
#[must_use]
pub fn websocket_url(public_url: &str) -> String {
    let base = public_url.trim_end_matches('/');
    match base.split_once("://") {
        Some(("https", rest)) => format!("wss://{rest}"),
        Some(("http", rest)) => format!("ws://{rest}"),
        _ => base.to_owned(),
    }
}
