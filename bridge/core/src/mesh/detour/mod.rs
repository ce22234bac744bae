//! Room streams between nodes without a link: sealed end to end, passed on by nodes on the way, in order or not at all.
//!
//! ```text
//! no link, a way     --> a stream with a new number begins, with the snapshots of all rooms both host
//! way broken         --> another stream
//! a number missing   --> the reader asks for another stream (BeginAnew)
//! link               --> the link's own stream begins; detours are ignored
//! ```
//! What may not live here: what the steps mean (that is `stream`), and the way (that is `plan`).

mod seal;

use super::MeshCore;
use super::budget::Budget;
use relay_proto::codec::{decode_step, encode_step};
use relay_proto::control::{ControlMessage, DetourMessage, DetourStep};
use relay_proto::datagram::INITIAL_HOPS;
use relay_proto::id::{NodeId, RoomName};
use relay_proto::room::RoomMessage;
use relay_proto::version::Features;
pub(super) use seal::derive;
use seal::{Identity, Keys};
use std::collections::BTreeMap;
use std::time::Instant;
use tracing::{debug, info, warn};

/// Our stream to one node.
#[derive(Debug)]
struct Outgoing {
    stream: u32,
    /// Number of the next step.
    next: u32,
    /// The nodes on the way when it began, us first.
    way: Vec<NodeId>,
}

/// One node's stream to us.
#[derive(Debug)]
struct Incoming {
    stream: u32,
    next: u32,
    /// A step is missing: nothing of it counts any more.
    broken: bool,
}

/// All detours that end or pass here.
#[derive(Debug)]
pub(super) struct Detours {
    identity: Identity,
    next_stream: u32,
    outgoing: BTreeMap<NodeId, Outgoing>,
    incoming: BTreeMap<NodeId, Incoming>,
    keys: BTreeMap<NodeId, Keys>,
    allowances: BTreeMap<NodeId, Budget>,
}

impl Detours {
    /// None yet. Streams are numbered from the second of the start on, so that those of a restarted node are newer.
    pub(super) fn new(seed: &[u8; 32], incarnation: u64) -> Self {
        Self {
            identity: Identity::new(seed),
            next_stream: (incarnation / 1_000) as u32,
            outgoing: BTreeMap::new(),
            incoming: BTreeMap::new(),
            keys: BTreeMap::new(),
            allowances: BTreeMap::new(),
        }
    }

    /// The public key of this process.
    pub(super) const fn public_key(&self) -> [u8; 32] {
        self.identity.public()
    }

    /// A node is dead, or its process has been replaced.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.outgoing.remove(&node);
        self.incoming.remove(&node);
        self.keys.remove(&node);
        self.allowances.remove(&node);
    }

    /// Every node we speak to by a detour.
    pub(super) fn destinations(&self) -> Vec<NodeId> {
        self.outgoing.keys().copied().collect()
    }

    /// The way to a node, us first.
    pub(super) fn way(&self, node: NodeId) -> &[NodeId] {
        self.outgoing.get(&node).map_or(&[], |outgoing| &outgoing.way)
    }
}

impl MeshCore {
    /// Whether room messages reach a node, by a link or a detour; begins a detour where there is a way.
    pub(super) fn speaks_to(&mut self, node: NodeId) -> bool {
        if self.link_of(node).is_some() || self.detours.outgoing.contains_key(&node) {
            return true;
        }
        let way = self.way_to(node);
        if way.len() < 2 || !self.agree_on_keys(node) {
            return false;
        }
        info!(to = %node, ?way, "room streams take a detour");
        self.detours.next_stream += 1;
        let stream = self.detours.next_stream;
        self.counters.detours_begun += 1;
        let outgoing = Outgoing { stream, next: 0, way };
        self.detours.outgoing.insert(node, outgoing);
        true
    }

    /// The nodes on the way to another one without a link, us first; empty where there is none.
    fn way_to(&mut self, node: NodeId) -> Vec<NodeId> {
        let speaks = self.rows.transit(node).is_some() && self.alive.contains(&node);
        if !speaks {
            return Vec::new();
        }
        self.way_from(node)
    }

    /// Sends a room message to a node by its link or detour.
    pub(super) fn tell_room_message(&mut self, to: NodeId, message: RoomMessage) {
        match self.link_of(to) {
            Some(link) => self.out.control(link, ControlMessage::Room(message)),
            None => self.send_step(to, &DetourStep::Room(message)),
        }
    }

    fn send_step(&mut self, to: NodeId, step: &DetourStep) {
        let Some(via) = self
            .detours
            .outgoing
            .get(&to)
            .and_then(|outgoing| outgoing.way.get(1).copied())
        else {
            return;
        };
        let (Some(link), true) = (self.link_of(via), self.agree_on_keys(to)) else {
            return;
        };
        let bytes = match encode_step(step) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(to = %to, %error, "a room message does not fit a detour");
                return;
            }
        };
        let us = self.us;
        if let Some(outgoing) = self.detours.outgoing.get_mut(&to)
            && let Some(keys) = self.detours.keys.get(&to)
        {
            let mut message = DetourMessage {
                from: us,
                to,
                hops: INITIAL_HOPS,
                stream: outgoing.stream,
                number: outgoing.next,
                sealed: Vec::new(),
            };
            outgoing.next += 1;
            keys.seal(&mut message, bytes);
            self.out.control(link, ControlMessage::Detour(message));
        }
    }

    /// Makes sure of the keys between us and a node; false where it has told none.
    fn agree_on_keys(&mut self, node: NodeId) -> bool {
        let Some(public) = self.rows.transit(node).map(|facts| facts.public_key) else {
            return false;
        };
        if self
            .detours
            .keys
            .get(&node)
            .is_some_and(|keys| keys.public == public)
        {
            return true;
        }
        let keys = self.detours.identity.keys_with(self.us, node, public);
        let agreed = keys.is_some();
        match keys {
            Some(keys) => self.detours.keys.insert(node, keys),
            None => self.detours.keys.remove(&node),
        };
        agreed
    }

    /// A step of a detour has come, for us or for somebody behind us.
    pub(super) fn on_detour(&mut self, now: Instant, peer: NodeId, message: DetourMessage) {
        if message.to != self.us {
            return self.pass_on_detour(now, peer, message);
        }
        let from = message.from;
        if from == self.us || self.link_of(from).is_some() || !self.agree_on_keys(from) {
            self.counters.detours_ignored += 1;
            return;
        }
        let opened = self.detours.keys.get(&from).and_then(|keys| keys.open(&message));
        let step = opened.and_then(|bytes| decode_step(&bytes).ok());
        let Some(step) = step else {
            self.counters.detours_refused += 1;
            if self.counters.detours_refused == 1 {
                warn!(%peer, %from, "a step of a detour that was not sealed for us, or makes no sense");
            }
            return;
        };
        let in_order = self.is_next(from, &message);
        match step {
            DetourStep::BeginAnew { stream } => self.begin_anew(from, stream),
            DetourStep::Room(message) if in_order => self.on_room_message(from, message),
            DetourStep::Room(_) | DetourStep::Mark => {}
        }
    }

    /// Whether a step is the next one of the newest stream of its node; asks for another stream where one is missing.
    fn is_next(&mut self, from: NodeId, message: &DetourMessage) -> bool {
        let (stream, number) = (message.stream, message.number);
        let known = self.detours.incoming.entry(from).or_insert(Incoming {
            stream,
            next: 0,
            broken: false,
        });
        if stream < known.stream {
            return false;
        }
        if stream > known.stream {
            *known = Incoming {
                stream,
                next: 0,
                broken: false,
            };
        }
        if number < known.next {
            return false;
        }
        if number == known.next && !known.broken {
            known.next += 1;
            return true;
        }
        debug!(%from, stream, number, "steps of a detour are missing");
        known.next = number + 1;
        let was_broken = std::mem::replace(&mut known.broken, true);
        // Once for each loss; again with every mark, should the request be lost too.
        if !was_broken || message.sealed.len() <= MARK_BYTES {
            self.counters.detours_broken += 1;
            if self.speaks_to(from) {
                self.send_step(from, &DetourStep::BeginAnew { stream });
            }
        }
        false
    }

    fn begin_anew(&mut self, node: NodeId, stream: u32) {
        let current = self.detours.outgoing.get(&node).map(|outgoing| outgoing.stream);
        if current == Some(stream) {
            self.restart_detour(node);
        }
    }

    /// Begins another stream to a node, if there still is a way.
    fn restart_detour(&mut self, node: NodeId) {
        self.detours.outgoing.remove(&node);
        for room in self.rooms.values_mut() {
            room.readers.remove(&node);
        }
        self.tell_all_rooms(node);
    }

    fn pass_on_detour(&mut self, now: Instant, peer: NodeId, mut message: DetourMessage) {
        let (from, to) = (message.from, message.to);
        let next = if self.link_of(to).is_some() {
            Some(to)
        } else {
            self.next_hop(to)
        };
        let next = next.filter(|next| *next != peer && *next != from);
        let speaks = |next: &NodeId| {
            self.features_of(*next)
                .is_some_and(|features| features.has(Features::TREES))
        };
        let link = next.filter(speaks).and_then(|next| self.link_of(next));
        let (Some(link), Some(hops)) = (link, message.hops.checked_sub(1)) else {
            self.counters.detours_refused += 1;
            debug!(%peer, %from, %to, "a detour that leads nowhere from here");
            return;
        };
        if !self.may_pass(now, peer, message.sealed.len()) {
            self.counters.detours_refused += 1;
            if self.counters.detours_refused == 1 {
                warn!(%peer, %from, %to, "a detour refused: limits.detour_bytes_per_second is reached");
            }
            return;
        }
        message.hops = hops;
        self.out.control(link, ControlMessage::Detour(message));
    }

    /// Whether a peer may send so many bytes through us now: a second's worth at once.
    fn may_pass(&mut self, now: Instant, peer: NodeId, bytes: usize) -> bool {
        let rate = self.config.limits.max_detour_bytes_per_second as f64;
        let allowances = &mut self.detours.allowances;
        let allowance = allowances.entry(peer).or_insert_with(|| Budget::full(rate, now));
        allowance.take(now, rate, bytes as f64)
    }

    /// Links or nodes have changed: ends detours that a link has replaced or that lead nowhere, and begins others.
    pub(super) fn review_detours(&mut self) {
        for node in self.detours.destinations() {
            if self.link_of(node).is_some() {
                self.detours.outgoing.remove(&node);
                continue;
            }
            let way = self.detours.way(node).to_vec();
            if !self.is_open(&way) {
                debug!(to = %node, ?way, "a detour is broken");
                self.restart_detour(node);
            }
        }
        let unlinked: Vec<NodeId> = self
            .alive
            .iter()
            .copied()
            .filter(|node| self.link_of(*node).is_none() && !self.detours.outgoing.contains_key(node))
            .collect();
        for node in unlinked {
            let rooms: Vec<RoomName> = self.rooms.keys().cloned().collect();
            for room in rooms {
                self.on_host_row(node, &room);
            }
        }
    }

    /// Shows every reader behind a detour whether it has missed something.
    pub(super) fn mark_detours(&mut self) {
        for node in self.detours.destinations() {
            self.send_step(node, &DetourStep::Mark);
        }
    }
}

/// Longest sealed mark: its number and the tag.
const MARK_BYTES: usize = 17;
