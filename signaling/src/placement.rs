//! Which node a client is sent to: the mesh as it is known, turned into candidates for the ranking of `geo`.

use crate::config::SignalingConfig;
use crate::hub::MediaPlace;
use crate::mesh_view::{MeshView, NodeView, RoomHost};
use geo::locate::{Anchor, Place};
use geo::rank::{Candidate, NodeState, RankError, RankRequest, Ranking, Reason, rank};
use geo::reserve::Reservations;
use relay_proto::id::NodeId;
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
    /// What each node last reported.
    reports: BTreeMap<NodeId, Report>,
}

/// What a node reported of itself, as far as reservations are concerned.
#[derive(Clone, Copy, Debug)]
struct Report {
    participants: u32,
    /// Participants it is meant for, as its load shows; the operator tells only the node itself.
    capacity: Option<u32>,
}

/// A client that asks for a node.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// Where it is.
    pub place: Place,
    /// Who hosts the conference it wants.
    pub hosts: &'a [RoomHost],
    /// Nodes it could not reach.
    pub exclude: &'a BTreeSet<String>,
}

impl Default for Placement {
    fn default() -> Self {
        Self {
            reservations: Reservations::new(RESERVATION_LIFETIME),
            reports: BTreeMap::new(),
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
        self.take_reports(mesh);
        let candidates = self.candidates(question.hosts, mesh, config, now);
        let mut request = RankRequest::at(place_or_here(question.place.clone(), config));
        request.unreachable.clone_from(question.exclude);
        let ranking = rank(&request, &candidates, &config.policy)?;
        self.reservations.reserve(now, &ranking.best().name);
        Ok(ranking)
    }

    /// Where the media of a client that is connected here belongs, if not here, and reserves a place there. Only nodes this
    /// one may open sessions on count, and less than the configured gain is not worth the longer way of commands.
    pub fn steer(
        &mut self,
        question: &Question<'_>,
        mesh: &MeshView,
        config: &SignalingConfig,
        now: Instant,
    ) -> Option<MediaPlace> {
        let least_gain_ms = config.steer_gain_ms?;
        let may = |node: &&NodeView| node.steers && node.name != config.node;
        if !mesh.nodes.iter().any(|node| may(&node)) {
            return None;
        }
        self.take_reports(mesh);
        let mut candidates = self.candidates(question.hosts, mesh, config, now);
        let steers = |name: &str| mesh.nodes.iter().filter(may).any(|node| node.name == name);
        candidates.retain(|candidate| candidate.name == config.node || steers(&candidate.name));
        let request = RankRequest::at(place_or_here(question.place.clone(), config));
        let ranking = rank(&request, &candidates, &config.policy).ok()?;
        let best = ranking.best();
        let here = ranking.ordered.iter().find(|ranked| ranked.name == config.node);
        if best.name == config.node {
            return None;
        }
        let gain_ms = here.map(|here| here.access_rtt_ms - best.access_rtt_ms);
        let asked = best.reasons.contains(&Reason::Asked);
        if !asked && gain_ms.is_some_and(|gain_ms| gain_ms < least_gain_ms) {
            return None;
        }
        self.reservations.reserve(now, &best.name);
        let gain = gain_ms.map_or_else(
            || "this node takes nobody".to_owned(),
            |gain_ms| format!("{gain_ms:.0} ms nearer than here"),
        );
        let reasons = best.sentences().join("; ");
        Some(MediaPlace {
            node: NodeId::of(&best.name),
            name: best.name.clone(),
            region: best.region.clone(),
            reason: format!("{gain}: {reasons}"),
        })
    }

    /// Learns from what the nodes report: who has arrived is no reservation any more.
    fn take_reports(&mut self, mesh: &MeshView) {
        self.reports
            .retain(|id, _| mesh.nodes.iter().any(|node| node.id == *id));
        for node in &mesh.nodes {
            let before = self.reports.get(&node.id).copied();
            let known = before.map_or(node.participants, |report| report.participants);
            self.reservations
                .arrived(&node.name, node.participants.saturating_sub(known));
            let report = Report {
                participants: node.participants,
                capacity: capacity_of(node).or_else(|| before?.capacity),
            };
            self.reports.insert(node.id, report);
        }
    }

    /// Load of a node with its reservations.
    fn load_of(&self, node: &NodeView, config: &SignalingConfig, now: Instant) -> f32 {
        let report = self.reports.get(&node.id);
        let capacity = report
            .and_then(|report| report.capacity)
            .unwrap_or(config.node_capacity);
        self.reservations.load(now, &node.name, node.load, capacity)
    }

    fn candidates(
        &self,
        hosts: &[RoomHost],
        mesh: &MeshView,
        config: &SignalingConfig,
        now: Instant,
    ) -> Vec<Candidate> {
        let names: BTreeMap<NodeId, &str> = mesh
            .nodes
            .iter()
            .map(|node| (node.id, node.name.as_str()))
            .collect();
        let own = (!mesh.nodes.iter().any(|node| node.name == config.node)).then(|| this_node(config));
        let nodes = mesh.nodes.iter().chain(own.iter());
        nodes
            .map(|node| Candidate {
                name: node.name.clone(),
                region: node.region.clone(),
                country: None,
                point: node.point,
                url: websocket_url(&node.public_url),
                load: self.load_of(node, config, now),
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

/// How many participants a node is meant for, as far as what it reports shows that; a full one could hide it.
fn capacity_of(node: &NodeView) -> Option<u32> {
    let shows = node.participants > 0 && node.load > 0.0 && node.load < 1.0;
    // Counts are far below 2^24, where f32 is exact.
    shows.then(|| (node.participants as f32 / node.load).round().max(1.0) as u32)
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
        steers: false,
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
