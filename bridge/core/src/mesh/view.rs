//! What a node knows of its mesh, for the operator feed, placement and logs. Read-only copies.

use super::detector::Detector;
use super::io::LinkId;
use super::peer::Peer;
use super::{MeshCore, Route};
use relay_proto::id::{NodeId, NodeName, ParticipantSid, RoomName};
use relay_proto::row::NodeFacts;
use relay_proto::unit::{Micros, PartsPerMillion};
use relay_proto::version::Features;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a peer is in its life, without the data of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LinkState {
    /// Known, never linked.
    Connecting,
    /// Linked and answering.
    Up,
    /// Linked, some echoes missing.
    Suspect,
    /// Not linked any more.
    Down,
}

impl LinkState {
    /// The state as the operator feed writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Down => "down",
        }
    }
}

/// The link to one peer, measured by this node.
#[derive(Clone, Debug)]
pub struct LinkView {
    /// The other end.
    pub peer: NodeId,
    /// Its name.
    pub name: NodeName,
    /// State of the peer.
    pub state: LinkState,
    /// The link in use, if any.
    pub link: Option<LinkId>,
    /// Smoothed round trip of the link in use.
    pub rtt: Option<Duration>,
    /// Smallest round trip of the link in use.
    pub min_rtt: Option<Duration>,
    /// Smoothed difference of successive round trips.
    pub jitter: Duration,
    /// Smoothed share of pings without echo.
    pub loss: PartsPerMillion,
    /// Whether sessions may be opened there now by this node.
    pub steers: bool,
    /// Sessions of this node's signalling whose media is there.
    pub steered_to: usize,
    /// Sessions here that are driven from there.
    pub steered_from: usize,
}

/// One node of the mesh.
#[derive(Clone, Debug)]
pub struct NodeView {
    /// Which.
    pub id: NodeId,
    /// What it says of itself, or last said; none before its row has arrived.
    pub facts: Option<NodeFacts>,
    /// Whether a live path leads to it (always true for this node). Dead nodes stay listed while peers of ours.
    pub alive: bool,
    /// State of our link to it; none for this node.
    pub link: Option<LinkState>,
}

/// One room and where its participants are.
#[derive(Clone, Debug)]
pub struct RoomView {
    /// Which.
    pub room: RoomName,
    /// Participants per node that hosts it.
    pub participants: BTreeMap<NodeId, u32>,
}

/// One entry of the round-trip matrix: what `from` says of its link to `to`.
#[derive(Clone, Copy, Debug)]
pub struct RttView {
    /// Who measured.
    pub from: NodeId,
    /// The other end.
    pub to: NodeId,
    /// Whether the link carries traffic.
    pub up: bool,
    /// Smoothed round trip.
    pub rtt: Micros,
}

/// Our place in the distribution tree of one origin and room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TreeView {
    /// The conference.
    pub room: RoomName,
    /// Where the media is published.
    pub origin: NodeId,
    /// From whom it comes; none where there is no way.
    pub parent: Option<NodeId>,
    /// Why from there.
    pub reason: ParentReason,
    /// Who gets it from us.
    pub children: Vec<NodeId>,
    /// Whether this node hosts the conference; else the media only passes through.
    pub hosted: bool,
}

/// A session of this node's signalling whose media is on another node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SteeredView {
    /// The conference.
    pub room: RoomName,
    /// Who.
    pub participant: ParticipantSid,
    /// The node with the media.
    pub media: NodeId,
    /// Why there.
    pub reason: String,
}

/// Why a node is the parent of another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParentReason {
    /// It is the origin.
    Direct,
    /// There is no link to the origin, or it does not answer.
    Unlinked,
    /// One copy serves both: the way is hardly longer.
    Shared,
    /// No way leads to the origin.
    Unreachable,
}

impl ParentReason {
    /// The reason as the operator feed writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct link",
            Self::Unlinked => "no link to the origin",
            Self::Shared => "one copy serves both",
            Self::Unreachable => "no way",
        }
    }
}

/// Everything at once. Lists are sorted by id or name.
#[derive(Clone, Debug)]
pub struct MeshView {
    /// This node.
    pub us: NodeId,
    /// All nodes, this one included.
    pub nodes: Vec<NodeView>,
    /// Our links.
    pub links: Vec<LinkView>,
    /// All rooms of the mesh.
    pub rooms: Vec<RoomView>,
    /// Round trips between all nodes.
    pub rtts: Vec<RttView>,
    /// The distribution trees that this node gets media by.
    pub trees: Vec<TreeView>,
    /// Some of the sessions whose media is elsewhere.
    pub steered: Vec<SteeredView>,
    /// What was dropped or refused.
    pub counters: MeshCounters,
}

/// Inputs that were dropped or refused since start. The first of each kind is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeshCounters {
    /// Links refused at the hello.
    pub links_refused: u64,
    /// Messages that broke the protocol.
    pub protocol_violations: u64,
    /// Datagrams that were no probes.
    pub bad_probes: u64,
    /// Times this node looked at the clock more than a ping interval late: it stood still, not its peers.
    pub stalls: u64,
    /// Rows a peer sent in our name.
    pub rows_in_our_name: u64,
    /// Rows over a limit.
    pub rows_over_limit: u64,
    /// Rows told by others of nodes that tell us themselves: not looked at. No lie by itself.
    pub rows_overheard: u64,
    /// Rows refused: not signed by whom they are of, of another process, or without proof of their key.
    pub rows_refused: u64,
    /// Rows over the rate of who told them; asked for again later.
    pub rows_over_rate: u64,
    /// Questions for rows over the rate of who asked.
    pub row_questions_refused: u64,
    /// Control messages on a link the peer no longer speaks on.
    pub messages_on_spare: u64,
    /// Room messages of a room not hosted here, of an old epoch or without a snapshot before.
    pub room_messages_ignored: u64,
    /// Records a peer may not write (foreign home, foreign or hidden participant) or over a limit.
    pub records_refused: u64,
    /// People of the node with the most in a full room that gave way to those of others.
    pub participants_evicted: u64,
    /// Data messages in the name of somebody homed elsewhere.
    pub data_refused: u64,
    /// Demands for an unknown room, epoch or track.
    pub demands_ignored: u64,
    /// Demands through us over the limit.
    pub transit_demands_refused: u64,
    /// Times the media of an origin in a room was asked of another node than before.
    pub parents_changed: u64,
    /// Room streams to nodes without a link begun.
    pub detours_begun: u64,
    /// Steps of such streams that came in vain: there is a link, or their node has told no key.
    pub detours_ignored: u64,
    /// Steps refused: not sealed for us, or leading nowhere, or over the limit of who sent them.
    pub detours_refused: u64,
    /// Times a step was missing, so that a stream had to begin anew.
    pub detours_broken: u64,
    /// Session commands and facts from other nodes; this build does not serve them.
    pub remote_sessions_unsupported: u64,
    /// Sessions of this node's signalling opened on other nodes.
    pub steered: u64,
    /// Of these, ended because their node or the link to it was lost.
    pub steered_lost: u64,
    /// Steps between nodes that came again, too late, or were not worth the wait.
    pub steps_dropped: u64,
    /// Steps between nodes refused: about sessions of others, or out of order.
    pub steps_refused: u64,
    /// Commands for sessions that do not exist (any more).
    pub commands_without_session: u64,
    /// Commands over a limit or without permission.
    pub commands_refused: u64,
    /// Shard facts about sessions, rooms or tracks that are gone.
    pub facts_ignored: u64,
}

impl MeshCore {
    /// Everything known of the mesh, as it stands now. Cost: a copy of all rows' facts; for a feed, not per packet.
    #[must_use]
    pub fn view(&self) -> MeshView {
        let (steered_counts, steered) = self.steered_views();
        MeshView {
            us: self.us,
            nodes: self.node_views(),
            links: self
                .peers
                .iter()
                .map(|(node, peer)| self.link_view(*node, peer, &steered_counts))
                .collect(),
            rooms: self.room_views(),
            rtts: self.rtt_views(),
            trees: self.tree_views(),
            steered,
            counters: self.counters,
        }
    }

    fn tree_views(&self) -> Vec<TreeView> {
        let reason = |origin: NodeId, parent: Option<NodeId>| match parent {
            None => ParentReason::Unreachable,
            Some(parent) if parent == origin => ParentReason::Direct,
            Some(_) => {
                let link = self.peers.get(&origin).map(|peer| peer.state.kind());
                if link == Some(LinkState::Up) {
                    ParentReason::Shared
                } else {
                    ParentReason::Unlinked
                }
            }
        };
        self.branches
            .iter()
            .map(|((origin, room), branch)| TreeView {
                room: room.clone(),
                origin: *origin,
                parent: branch.parent,
                reason: reason(*origin, branch.parent),
                children: branch.children.keys().copied().collect(),
                hosted: self.rooms.contains_key(room),
            })
            .collect()
    }

    fn node_views(&self) -> Vec<NodeView> {
        let known: BTreeSet<NodeId> = self.rows.owners().chain(self.peers.keys().copied()).collect();
        let view = |id: NodeId| NodeView {
            id,
            facts: self
                .rows
                .node(id)
                .or_else(|| self.peers.get(&id)?.last_facts.as_ref())
                .cloned(),
            alive: id == self.us || self.alive.contains(&id),
            link: (id != self.us).then(|| {
                self.peers
                    .get(&id)
                    .map_or(LinkState::Connecting, |peer| peer.state.kind())
            }),
        };
        known.into_iter().map(view).collect()
    }

    fn link_view(&self, node: NodeId, peer: &Peer, steered: &BTreeMap<NodeId, (usize, usize)>) -> LinkView {
        let (steered_to, steered_from) = steered.get(&node).copied().unwrap_or_default();
        let link = peer.state.link();
        let detector = link.and_then(|id| self.links.get(&id)).map(|link| &link.detector);
        LinkView {
            peer: node,
            name: peer.name.clone(),
            state: peer.state.kind(),
            link,
            rtt: detector.and_then(Detector::smoothed_rtt),
            min_rtt: detector.and_then(Detector::min_rtt),
            jitter: detector.map(Detector::jitter).unwrap_or_default(),
            loss: detector.map(Detector::loss).unwrap_or_default(),
            steers: self.may_steer_to(node),
            steered_to,
            steered_from,
        }
    }

    fn room_views(&self) -> Vec<RoomView> {
        let mut rooms: BTreeMap<&RoomName, BTreeMap<NodeId, u32>> = self.rows.rooms().collect();
        let listed = self.outside.hosts();
        for (room, entry) in
            listed.filter(|(_, entry)| self.alive.contains(&entry.node) && self.is_current(entry))
        {
            let participants = entry.participants.unwrap_or_default();
            rooms.entry(room).or_default().insert(entry.node, participants);
        }
        for room in self.rooms.values() {
            rooms
                .entry(&room.name)
                .or_default()
                .insert(self.us, room.members.len() as u32);
        }
        rooms
            .into_iter()
            .map(|(room, participants)| RoomView {
                room: room.clone(),
                participants,
            })
            .collect()
    }

    fn rtt_views(&self) -> Vec<RttView> {
        let of = |from: NodeId| {
            self.rows.link_facts_of(from).map(move |facts| RttView {
                from,
                to: facts.peer,
                up: facts.up,
                rtt: facts.rtt,
            })
        };
        self.rows.owners().flat_map(of).collect()
    }

    /// What both this node and a peer can do: as its hello said, else as its row does.
    #[must_use]
    pub fn features_of(&self, peer: NodeId) -> Option<Features> {
        let linked = self.peers.get(&peer).map(|peer| peer.features);
        let said = || Some(self.features.common(self.rows.transit(peer)?.features));
        linked.or_else(said)
    }

    /// The routes media takes, by destination.
    pub fn routes(&self) -> impl Iterator<Item = (NodeId, Route)> + '_ {
        self.routes.iter()
    }
}
