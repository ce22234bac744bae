//! The operator feed `/api/mesh`: peers, their links and traffic, rooms, nodes.

use super::tracks::TrackNames;
use super::view::state;
use crate::link::{LinkHandle, LinkStats, Media};
use bridge_core::mesh::io::LinkId;
use bridge_core::mesh::view::{LinkView, MeshView, NodeView, SteeredView, TreeView};
use geo::NodeState;
use relay_proto::id::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What the control task publishes for operators; figures of links are read when somebody asks.
#[derive(Clone, Debug)]
pub struct MeshFeed {
    pub(super) view: MeshView,
    pub(super) links: BTreeMap<LinkId, LinkHandle>,
    pub(super) names: TrackNames,
}

/// The answer of `GET /api/mesh`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MeshStatus {
    /// Name of the answering node.
    pub node: String,
    /// Its region.
    pub region: String,
    /// Its software version.
    pub version: String,
    /// The nodes it has (had) a link to.
    pub peers: Vec<PeerStatus>,
    /// All rooms of the mesh.
    pub rooms: Vec<RoomStatus>,
    /// All nodes of the mesh, this one included.
    pub nodes: Vec<NodeStatus>,
    /// The distribution trees by which this node gets, or passes on, media of others.
    #[serde(default)]
    pub trees: Vec<TreeStatus>,
    /// Sessions of clients of this node whose media is on another one: 256 of them at most.
    #[serde(default)]
    pub steered: Vec<SteeredStatus>,
    /// Entries of `mesh.peers` that are not linked, with the last failure.
    pub unreached: Vec<UnreachedPeer>,
}

/// A neighbour, as this node sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerStatus {
    /// Name.
    pub node: String,
    /// Region, empty before it has told.
    pub region: String,
    /// `up`, `suspect`, `down` or `connecting`.
    pub state: String,
    /// Number of the link in use on this node, none while there is none. All counters here are the link's: with
    /// another number they have begun anew.
    pub link: Option<u64>,
    /// Smoothed round trip.
    pub rtt_ms: Option<f64>,
    /// Pings without echo, 0 to 1.
    pub loss: f64,
    /// What the link in use has sent.
    pub sent: Amount,
    /// What the link in use has received.
    pub received: Amount,
    /// Datagrams dropped before the link.
    pub dropped: u64,
    /// Bits per second the link is taken to carry.
    pub rate_bps: u64,
    /// Bits per second the peer confirmed lately.
    #[serde(default)]
    pub used_bps: u64,
    /// Delay that stands in queues on the way there.
    #[serde(default)]
    pub queue_ms: f64,
    /// What is held back because the link carries no more.
    #[serde(default)]
    pub shed: ShedStatus,
    /// Bytes sent to find out whether it carries more.
    #[serde(default)]
    pub padding_bytes: u64,
    /// Parities of sound sent, of which the other end makes what was lost.
    #[serde(default)]
    pub parities: u64,
    /// Datagrams of sound that were lost and made from parities here.
    #[serde(default)]
    pub recovered: u64,
    /// Media sent, all streams together.
    #[serde(default)]
    pub media: MediaStatus,
    /// Whether this node may open sessions of its clients there.
    #[serde(default)]
    pub steers: bool,
    /// Sessions whose client is connected to this node and whose media is there.
    #[serde(default)]
    pub steered_to: usize,
    /// Sessions whose client is connected there and whose media is here.
    #[serde(default)]
    pub steered_from: usize,
    /// Media sent, per layer of each track.
    pub streams: Vec<StreamStatus>,
}

/// What of pictures does not cross a link for want of room.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct ShedStatus {
    /// Tracks of which larger layers do not cross.
    pub tracks: u64,
    /// Of these, tracks of which nothing crosses.
    pub paused: u64,
    /// Datagrams that did not cross so far.
    pub datagrams: u64,
}

/// Datagrams and their bytes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Amount {
    /// Number.
    pub datagrams: u64,
    /// Bytes without QUIC's own.
    pub bytes: u64,
}

/// One layer of one track on a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StreamStatus {
    /// Id clients know it by.
    pub track: String,
    /// The node it is published on.
    #[serde(default)]
    pub origin: String,
    /// Layer; 0 is the smallest.
    pub layer: u8,
    /// Media packets.
    pub datagrams: u64,
    /// Their bytes as they were published, without the relay's headers and seals.
    #[serde(default)]
    pub bytes: u64,
    /// Of these packets, those that had crossed before: repairs, and copies that nobody needs.
    #[serde(default)]
    pub repeated: u64,
}

/// Media on a link.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct MediaStatus {
    /// Packets.
    pub datagrams: u64,
    /// Their bytes as they were published, without the relay's headers and seals.
    pub bytes: u64,
    /// Of these packets, those that had crossed before.
    pub repeated: u64,
}

impl From<Media> for MediaStatus {
    fn from(media: Media) -> Self {
        Self {
            datagrams: media.datagrams,
            bytes: media.bytes,
            repeated: media.repeated,
        }
    }
}

impl MediaStatus {
    /// How often each packet crosses: 1 where each does once; none where nothing has.
    #[must_use]
    pub fn copies(&self) -> Option<f64> {
        let once = self.datagrams.saturating_sub(self.repeated);
        (once > 0).then(|| self.datagrams as f64 / once as f64)
    }
}

/// A room of the mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RoomStatus {
    /// Name.
    pub room: String,
    /// People in it, on all nodes.
    pub participants: u32,
}

/// A node of the mesh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Name.
    pub node: String,
    /// Region.
    pub region: String,
    /// Where clients reach it.
    pub url: String,
    /// `up`, `draining`, `suspect` or `down`.
    pub state: String,
    /// People on it.
    pub participants: u32,
}

/// This node's place in the distribution tree of one origin and room.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TreeStatus {
    /// The room.
    pub room: String,
    /// The node where the media is published.
    pub origin: String,
    /// The node from which it comes; none where no way leads to the origin.
    pub parent: Option<String>,
    /// Why from there.
    pub reason: String,
    /// The nodes that get it from here.
    pub children: Vec<String>,
    /// Nobody in the room is here: the media only passes through.
    pub transit: bool,
}

/// A session whose client is connected to this node and whose media is on another one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SteeredStatus {
    /// The room.
    pub room: String,
    /// Id of the participant.
    pub participant: String,
    /// The node with the media.
    pub media: String,
    /// Why there.
    pub reason: String,
}

/// A configured peer without a link.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct UnreachedPeer {
    /// `host:port` as configured.
    pub address: String,
    /// Why the last attempt failed; empty before the first has.
    pub reason: String,
}

impl MeshFeed {
    /// The feed with the figures of this moment.
    #[must_use]
    pub fn status(&self, unreached: Vec<UnreachedPeer>) -> MeshStatus {
        let us = self
            .view
            .nodes
            .iter()
            .find(|node| node.id == self.view.us)
            .and_then(|node| node.facts.as_ref());
        MeshStatus {
            node: us.map(|facts| facts.name.to_string()).unwrap_or_default(),
            region: us.map(|facts| facts.region.clone()).unwrap_or_default(),
            version: us.map(|facts| facts.software.clone()).unwrap_or_default(),
            peers: self.view.links.iter().map(|link| self.peer(link)).collect(),
            rooms: self.rooms(),
            nodes: self.view.nodes.iter().filter_map(node).collect(),
            trees: self.view.trees.iter().map(|tree| self.tree(tree)).collect(),
            steered: self
                .view
                .steered
                .iter()
                .map(|session| self.steered(session))
                .collect(),
            unreached,
        }
    }

    /// The view this feed is made of.
    #[must_use]
    pub const fn view(&self) -> &MeshView {
        &self.view
    }

    /// Links in use, by the name of the peer.
    pub fn links(&self) -> impl Iterator<Item = (&LinkView, Option<LinkStats>)> {
        self.view.links.iter().map(|link| (link, self.stats(link)))
    }

    fn stats(&self, link: &LinkView) -> Option<LinkStats> {
        link.link
            .and_then(|id| self.links.get(&id))
            .map(LinkHandle::stats)
    }

    fn peer(&self, link: &LinkView) -> PeerStatus {
        let stats = self.stats(link).unwrap_or_default();
        let facts = self
            .view
            .nodes
            .iter()
            .find(|node| node.id == link.peer)
            .and_then(|node| node.facts.as_ref());
        let streams = stats.sent.streams.iter().map(|(key, stream)| StreamStatus {
            track: self.names.name(key.origin, key.track),
            origin: self.node_name(key.origin),
            layer: key.layer.0,
            datagrams: stream.media.datagrams,
            bytes: stream.media.bytes,
            repeated: stream.media.repeated,
        });
        PeerStatus {
            node: link.name.to_string(),
            region: facts.map(|facts| facts.region.clone()).unwrap_or_default(),
            state: link.state.as_str().to_owned(),
            link: link.link.map(|id| id.0),
            rtt_ms: link.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
            loss: f64::from(link.loss.0) / 1_000_000.0,
            sent: Amount {
                datagrams: stats.sent.datagrams,
                bytes: stats.sent.bytes,
            },
            received: Amount {
                datagrams: stats.received.datagrams,
                bytes: stats.received.bytes,
            },
            dropped: stats.dropped.total() + stats.oversized,
            rate_bps: stats.rate_bps,
            used_bps: stats.delivered_bps,
            queue_ms: stats.queue.as_secs_f64() * 1_000.0,
            shed: ShedStatus {
                tracks: stats.shed.tracks,
                paused: stats.shed.paused,
                datagrams: stats.shed.datagrams,
            },
            padding_bytes: stats.padding_bytes,
            parities: stats.parities,
            recovered: stats.recovered,
            media: stats.sent.media.into(),
            steers: link.steers,
            steered_to: link.steered_to,
            steered_from: link.steered_from,
            streams: streams.collect(),
        }
    }

    fn tree(&self, tree: &TreeView) -> TreeStatus {
        TreeStatus {
            room: tree.room.to_string(),
            origin: self.node_name(tree.origin),
            parent: tree.parent.map(|parent| self.node_name(parent)),
            reason: tree.reason.as_str().to_owned(),
            children: tree.children.iter().map(|child| self.node_name(*child)).collect(),
            transit: !tree.hosted,
        }
    }

    fn steered(&self, session: &SteeredView) -> SteeredStatus {
        SteeredStatus {
            room: session.room.to_string(),
            participant: session.participant.to_string(),
            media: self.node_name(session.media),
            reason: session.reason.clone(),
        }
    }

    fn node_name(&self, id: NodeId) -> String {
        let known = self.view.nodes.iter().find(|node| node.id == id);
        let facts = known.and_then(|node| node.facts.as_ref());
        facts.map_or_else(|| id.to_string(), |facts| facts.name.to_string())
    }

    fn rooms(&self) -> Vec<RoomStatus> {
        let room = |room: &bridge_core::mesh::view::RoomView| RoomStatus {
            room: room.room.to_string(),
            // Whatever nodes claim.
            participants: room
                .participants
                .values()
                .fold(0, |sum, people| sum.saturating_add(*people)),
        };
        self.view.rooms.iter().map(room).collect()
    }
}

fn node(node: &NodeView) -> Option<NodeStatus> {
    let facts = node.facts.as_ref()?;
    let state = match state(node, facts.state) {
        NodeState::Up => "up",
        NodeState::Draining => "draining",
        NodeState::Suspect => "suspect",
        NodeState::Dead => "down",
    };
    Some(NodeStatus {
        node: facts.name.to_string(),
        region: facts.region.clone(),
        url: facts.public_url.clone(),
        state: state.to_owned(),
        participants: facts.participants,
    })
}
