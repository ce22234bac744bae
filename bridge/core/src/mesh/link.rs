//! Connections: up, messages, goodbye, down. One peer may have several links for a moment; one is selected.
//!
//! ```text
//! Greeting --hello accepted--> Established --we retire the spare--> Retiring --peer's goodbye or grace--> (closed)
//! ```

use super::children::ChildDemand;
use super::detector::Detector;
use super::exchange::Question;
use super::io::{CloseCause, LinkDirection, LinkId, MeshOutput};
use super::peer::PeerEvent;
use super::route::Route;
use super::rows::Told;
use super::{MeshCore, view::LinkState};
use crate::shard::io::ShardCommand;
use relay_proto::control::{ControlMessage, GoodbyeCause, Hello};
use relay_proto::id::NodeId;
use relay_proto::room::{LeaveCause, RoomEvent};
use std::time::Instant;
use tracing::{debug, info, warn};

/// Datagrams every QUIC path takes (RFC 9000 section 14) less the overhead of quinn's datagram frame.
const SAFE_DATAGRAM_BYTES: usize = 1_162;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkPhase {
    /// Our hello is sent; theirs must come until then.
    Greeting { until: Instant },
    /// Both have said hello. `peer_left`: the peer has retired it and waits for us to move.
    Established { peer: NodeId, peer_left: bool },
    /// A spare that we have said goodbye on.
    Retiring { peer: NodeId, until: Instant },
}

#[derive(Debug)]
pub(super) struct Link {
    pub(super) direction: LinkDirection,
    pub(super) phase: LinkPhase,
    pub(super) detector: Detector,
    pub(super) next_ping: Instant,
    max_datagram_bytes: usize,
    /// Whether the peer has ever sent a digest on it, the first message on a link it has selected.
    digest_seen: bool,
    /// A digest that came before we selected the link; answered then.
    pub(super) early_question: Option<Question>,
}

impl MeshCore {
    pub(super) fn on_link_up(&mut self, now: Instant, id: LinkId, direction: LinkDirection) {
        if self.stopped {
            self.out.goodbye(id, GoodbyeCause::Stopping);
            self.out.close(id, CloseCause::WeLeft(GoodbyeCause::Stopping));
            return;
        }
        if self.links.len() >= self.config.limits.max_links && !self.close_oldest_greeting() {
            self.counters.links_refused += 1;
            warn!(
                links = self.links.len(),
                "link refused: limits.max_links is reached"
            );
            self.out.close(id, CloseCause::LimitReached);
            return;
        }
        let (newest_version, oldest_version) = self.config.versions;
        let hello = Hello {
            newest_version,
            oldest_version,
            features: self.features,
            name: self.config.name.clone(),
            incarnation: self.incarnation,
            software: self.config.software.clone(),
        };
        self.out.control(id, ControlMessage::Hello(hello));
        let link = Link {
            direction,
            phase: LinkPhase::Greeting {
                until: now + self.config.timing.hello_timeout,
            },
            detector: Detector::new(self.config.timing, now),
            next_ping: now,
            max_datagram_bytes: SAFE_DATAGRAM_BYTES,
            digest_seen: false,
            early_question: None,
        };
        self.links.insert(id, link);
    }

    /// Whoever takes long to say hello gives way to who may be faster; false where all have said it.
    fn close_oldest_greeting(&mut self) -> bool {
        let greets = |link: &Link| matches!(link.phase, LinkPhase::Greeting { .. });
        let oldest = self
            .links
            .iter()
            .find(|(_, link)| greets(link))
            .map(|(id, _)| *id);
        let Some(oldest) = oldest else {
            return false;
        };
        self.counters.links_refused += 1;
        warn!(
            link = oldest.0,
            "link closed before its hello: limits.links is reached"
        );
        self.links.remove(&oldest);
        self.out.close(oldest, CloseCause::LimitReached);
        true
    }

    pub(super) fn on_control(&mut self, now: Instant, id: LinkId, message: ControlMessage) {
        let Some(link) = self.links.get(&id) else {
            return;
        };
        match (link.phase, message) {
            (LinkPhase::Greeting { .. }, ControlMessage::Hello(hello)) => self.on_hello(now, id, &hello),
            (_, ControlMessage::Goodbye(cause)) => self.on_goodbye(now, id, cause),
            (LinkPhase::Greeting { .. }, _) => self.violate(now, id, "a message before the hello"),
            (_, ControlMessage::Hello(_)) => self.violate(now, id, "a second hello"),
            (LinkPhase::Established { peer, .. }, message) => self.on_message(now, id, peer, message),
            (LinkPhase::Retiring { peer, .. }, message) => self.on_spare_message(peer, message),
        }
    }

    fn on_message(&mut self, now: Instant, id: LinkId, from: NodeId, message: ControlMessage) {
        if !self.speaks_on(id, from, &message) {
            self.on_spare_message(from, message);
            return;
        }
        match message {
            ControlMessage::RowDigest(digest) => {
                self.on_question(now, id, from, Question::Digest(digest));
            }
            ControlMessage::RowSummary { owners, others } => {
                self.on_question(now, id, from, Question::Summary { owners, others });
            }
            ControlMessage::Rows(rows) => {
                let rows = rows.into_iter().map(|row| Told { row, signature: None });
                self.on_rows(now, from, rows.collect());
            }
            ControlMessage::SignedRows(rows) => {
                let rows = rows.into_iter().map(|signed| Told {
                    row: signed.row,
                    signature: Some(signed.signature),
                });
                self.on_rows(now, from, rows.collect());
            }
            ControlMessage::Room(message) => self.on_room_message(from, message),
            ControlMessage::Demand { room, epoch, tracks } => {
                self.on_demand(from, &room, epoch, &tracks, false);
            }
            ControlMessage::TransitDemand {
                origin,
                room,
                epoch,
                goes_on,
                tracks,
            } => {
                let demand = ChildDemand {
                    origin,
                    room,
                    epoch,
                    goes_on,
                    tracks,
                };
                self.on_transit_demand(now, from, demand);
            }
            ControlMessage::Detour(message) => self.on_detour(now, from, message),
            ControlMessage::Steering(message) => self.on_steering(now, from, message),
            ControlMessage::Command { .. } | ControlMessage::Fact(_) => self.on_unsupported(from),
            // Both are dispatched before.
            ControlMessage::Hello(_) | ControlMessage::Goodbye(_) => {}
        }
    }

    /// Whether the peer speaks on this link: on the newest one it has sent a first digest on.
    fn speaks_on(&mut self, id: LinkId, from: NodeId, message: &ControlMessage) -> bool {
        let (Some(link), Some(peer)) = (self.links.get_mut(&id), self.peers.get_mut(&from)) else {
            return false;
        };
        let asks = matches!(
            message,
            ControlMessage::RowDigest(_) | ControlMessage::RowSummary { .. }
        );
        if asks && !link.digest_seen {
            link.digest_seen = true;
            peer.speaks_on = Some(id);
        }
        peer.speaks_on == Some(id)
    }

    /// On a link the peer has left or is about to, only data counts: all else is told again on the other one.
    fn on_spare_message(&mut self, from: NodeId, message: ControlMessage) {
        match message {
            ControlMessage::Room(message)
                if matches!(
                    message.event,
                    RoomEvent::DataSent(_) | RoomEvent::ReliableSent { .. }
                ) =>
            {
                self.on_room_message(from, message);
            }
            _ => self.counters.messages_on_spare += 1,
        }
    }

    fn on_unsupported(&mut self, from: NodeId) {
        self.counters.remote_sessions_unsupported += 1;
        if self.counters.remote_sessions_unsupported == 1 {
            warn!(peer = %from, "a peer's signalling wants a session here; this version does not serve that");
        }
    }

    /// Uses `id` for `node` from now on and tells everything anew on it.
    pub(super) fn select(&mut self, now: Instant, node: NodeId, id: LinkId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        let before = peer.state.kind();
        peer.state = peer.state.step(PeerEvent::LinkSelected(id));
        peer.has_our_rows = false;
        self.out.push(MeshOutput::SelectLink {
            peer: node,
            link: Some(id),
        });
        if before != LinkState::Up {
            info!(peer = %node, link = id.0, "peer is up");
        }
        self.set_route(node, self.links.get(&id).map(|link| link.max_datagram_bytes));
        self.write_link_row(node);
        self.ask_for_rows(node, false);
        self.remote_linked(node);
        self.on_topology_changed(now);
        self.tell_all_rooms(node);
        self.resend_all_demands(node);
        let early = self
            .links
            .get_mut(&id)
            .and_then(|link| link.early_question.take());
        if let Some(question) = early {
            self.on_question(now, id, node, question);
        }
    }

    fn on_goodbye(&mut self, now: Instant, id: LinkId, cause: GoodbyeCause) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        match (&mut link.phase, cause) {
            (LinkPhase::Established { peer, peer_left }, GoodbyeCause::DuplicateLink) => {
                *peer_left = true;
                let node = *peer;
                self.leave_spare(now, node, id);
            }
            (LinkPhase::Greeting { .. }, cause) => {
                self.counters.links_refused += 1;
                warn!(?cause, "the peer has refused our link; its log says more");
                self.drop_link(now, id, CloseCause::PeerLeft(cause));
            }
            (LinkPhase::Established { peer, .. }, GoodbyeCause::Stopping) => {
                let node = *peer;
                self.on_peer_stopping(now, node);
            }
            (_, cause) => {
                debug!(?cause, link = id.0, "goodbye");
                self.drop_link(now, id, CloseCause::PeerLeft(cause));
            }
        }
    }

    fn on_peer_stopping(&mut self, now: Instant, node: NodeId) {
        info!(peer = %node, "peer is stopping");
        for id in self.links_to(node) {
            self.links.remove(&id);
            self.out.close(id, CloseCause::PeerLeft(GoodbyeCause::Stopping));
        }
        if let Some(peer) = self.peers.get(&node) {
            self.departed.insert(node, peer.incarnation);
        }
        self.bury(node, LeaveCause::NodeStopped);
        self.alive.remove(&node);
        self.deselect(now, node);
    }

    /// Closes a link whose peer has broken the protocol.
    pub(super) fn violate(&mut self, now: Instant, id: LinkId, what: &'static str) {
        if !self.links.contains_key(&id) {
            return;
        }
        self.counters.protocol_violations += 1;
        warn!(link = id.0, what, "link closed: the peer has broken the protocol");
        self.out.goodbye(id, GoodbyeCause::ProtocolViolation);
        self.drop_link(now, id, CloseCause::WeLeft(GoodbyeCause::ProtocolViolation));
    }

    /// Closes a link and lives without it.
    pub(super) fn drop_link(&mut self, now: Instant, id: LinkId, cause: CloseCause) {
        self.out.close(id, cause);
        self.on_link_down(now, id);
    }

    pub(super) fn on_link_down(&mut self, now: Instant, id: LinkId) {
        let Some(link) = self.links.remove(&id) else {
            return;
        };
        let (LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. }) = link.phase else {
            return;
        };
        let selected = self.peers.get(&peer).and_then(|peer| peer.state.link()) == Some(id);
        match (selected, self.best_other_link(peer, id)) {
            (false, _) => {}
            (true, Some(other)) => self.select(now, peer, other),
            (true, None) => self.deselect(now, peer),
        }
        self.follow_speech(peer);
    }

    /// A peer is without a link.
    pub(super) fn deselect(&mut self, now: Instant, node: NodeId) {
        let Some(peer) = self.peers.get_mut(&node) else {
            return;
        };
        if peer.state.link().is_none() {
            return;
        }
        peer.state = peer.state.step(PeerEvent::LinkLost);
        peer.speaks_on = None;
        peer.has_our_rows = false;
        self.plan.forget();
        info!(peer = %node, "peer is down");
        self.out.push(MeshOutput::SelectLink {
            peer: node,
            link: None,
        });
        self.set_route(node, None);
        self.remote_cut(now, node);
        self.forget_reader(node);
        self.drop_child(node);
        self.write_link_row(node);
        self.on_topology_changed(now);
        if self.alive.contains(&node) {
            self.ask_about(&[node]);
            self.on_all_host_rows(node);
        }
    }

    pub(super) fn links_to(&self, node: NodeId) -> Vec<LinkId> {
        let leads_there = |link: &Link| match link.phase {
            LinkPhase::Established { peer, .. } | LinkPhase::Retiring { peer, .. } => peer == node,
            LinkPhase::Greeting { .. } => false,
        };
        self.links
            .iter()
            .filter(|(_, link)| leads_there(link))
            .map(|(id, _)| *id)
            .collect()
    }

    pub(super) fn on_link_mtu(&mut self, id: LinkId, max_datagram_bytes: usize) {
        let Some(link) = self.links.get_mut(&id) else {
            return;
        };
        link.max_datagram_bytes = max_datagram_bytes;
        let LinkPhase::Established { peer, .. } = link.phase else {
            return;
        };
        if self.peers.get(&peer).and_then(|peer| peer.state.link()) == Some(id) {
            self.set_route(peer, Some(max_datagram_bytes));
        }
    }

    /// Sets the direct way to a peer, or takes it away, and tells the shards.
    fn set_route(&mut self, node: NodeId, max_datagram_bytes: Option<usize>) {
        let route = max_datagram_bytes.map(|max_datagram_bytes| Route {
            via: node,
            max_datagram_bytes,
        });
        if !self.routes.set(node, route) {
            return;
        }
        let passing = self.passing_shard();
        for shard in self.shards.keys().chain(&passing) {
            let command = ShardCommand::SetRoute {
                node,
                via: route.map(|route| route.via),
                max_datagram_bytes: route.map_or(0, |route| route.max_datagram_bytes),
            };
            self.out.shard(*shard, command);
        }
    }

    pub(super) fn on_stop(&mut self, _now: Instant) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        info!("node is stopping");
        self.end_all_driven(LeaveCause::NodeStopped);
        self.end_all_sessions(LeaveCause::NodeStopped);
        for id in std::mem::take(&mut self.links).into_keys() {
            self.out.goodbye(id, GoodbyeCause::Stopping);
            self.out.close(id, CloseCause::WeLeft(GoodbyeCause::Stopping));
        }
    }
}
