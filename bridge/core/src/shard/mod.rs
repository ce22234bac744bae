//! The media machine of one thread: client sessions, tracks, fan-out and repair of the rooms placed on it.
//!
//! [`ShardCore`] routes; each kind of input has a file of its own: `commands` (from the node), `datagrams` (from
//! clients), `relayed` (from links), `tick` (time), and `transmit` (what goes out). What a room or a track *is* lives
//! in [`crate::room`] and [`crate::forward`]. A shard shares nothing with its siblings and holds no lock.

mod audience;
mod commands;
pub mod counters;
mod datagrams;
pub mod io;
pub mod limits;
mod negotiate;
mod pictures;
mod relayed;
mod second;
mod sounds;
#[cfg(any(test, feature = "sim"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod tick;
mod tracks;
mod transit;
mod transmit;

use crate::forward::track::Track;
use crate::relay::egress::RelayTransmit;
use crate::relay::sealed::SealedCache;
use crate::relay::transit::TransitTrack;
use crate::room::Room;
use crate::room::member::Member;
use crate::rtc::{Mux, RtcConfig};
use counters::ShardCounters;
use io::{ShardCommand, ShardFact};
use limits::ShardLimits;
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, RoomName, SessionId, TrackAlias, TrackSid};
use slab::Slab;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
pub use transmit::Transmit;

/// Configuration of a shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    /// The node it belongs to.
    pub node: NodeId,
    /// Certificate, candidates and limits of its clients' transports.
    pub rtc: Arc<RtcConfig>,
    /// Its own limits.
    pub limits: ShardLimits,
}

/// Where media for a node goes.
#[derive(Clone, Copy, Debug)]
struct Route {
    via: NodeId,
    max_datagram_bytes: usize,
}

/// The media machine of one thread.
pub struct ShardCore {
    config: ShardConfig,
    seed: [u8; 32],
    sessions_opened: u64,
    clocks_sent: u32,
    mux: Mux,
    members: Slab<Member>,
    rooms: Slab<Room>,
    tracks: Slab<Track>,
    session_slots: BTreeMap<SessionId, u32>,
    /// Where a client receives on a connection of its own: that one.
    second_slots: BTreeMap<SessionId, u32>,
    room_slots: BTreeMap<RoomName, u32>,
    track_slots: HashMap<TrackSid, u32>,
    alias_slots: HashMap<(NodeId, TrackAlias), u32>,
    routes: BTreeMap<NodeId, Route>,
    /// Tracks with packets of the current batch.
    fresh: Vec<u32>,
    cursor: transmit::Cursor,
    /// Sessions with something to send besides media.
    talkative: Vec<u32>,
    /// Packets repaired for other nodes in this tick.
    peer_repairs: BTreeMap<NodeId, usize>,
    /// Repairs and padding, ready to go.
    repairs: VecDeque<(Transmit, Vec<u8>)>,
    /// Reused for choosing layers.
    allocating: pictures::Scratch,
    facts: VecDeque<ShardFact>,
    relay: VecDeque<RelayTransmit>,
    counters: ShardCounters,
    next_tick: Option<Instant>,
    next_review: Option<Instant>,
    next_speakers: Option<Instant>,
    /// Whose turn it is to be asked for an offer where one tick did not do for all.
    asked_up_to: u32,
    /// Reused per packet: next hops, and a joined datagram.
    hops: Vec<NodeId>,
    joined: Vec<u8>,
    /// Tracks that only pass through.
    transit: BTreeMap<(NodeId, TrackAlias), TransitTrack>,
    /// What has passed through, for those who ask again.
    sealed: SealedCache,
    /// The datagram that goes on.
    onward: Vec<u8>,
}

impl std::fmt::Debug for ShardCore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShardCore")
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

impl ShardCore {
    /// An empty shard. All its randomness comes from `seed`, which must not repeat in production.
    #[must_use]
    pub fn new(config: ShardConfig, seed: [u8; 32]) -> Self {
        Self {
            mux: Mux::new(config.limits.max_sessions),
            sealed: SealedCache::new(config.limits.max_transit_cache_bytes),
            config,
            seed,
            sessions_opened: 0,
            clocks_sent: 0,
            members: Slab::new(),
            rooms: Slab::new(),
            tracks: Slab::new(),
            session_slots: BTreeMap::new(),
            second_slots: BTreeMap::new(),
            room_slots: BTreeMap::new(),
            track_slots: HashMap::new(),
            alias_slots: HashMap::new(),
            routes: BTreeMap::new(),
            fresh: Vec::new(),
            cursor: transmit::Cursor::default(),
            talkative: Vec::new(),
            peer_repairs: BTreeMap::new(),
            repairs: VecDeque::new(),
            allocating: pictures::Scratch::default(),
            facts: VecDeque::new(),
            relay: VecDeque::new(),
            counters: ShardCounters::default(),
            next_tick: None,
            next_review: None,
            next_speakers: None,
            asked_up_to: 0,
            hops: Vec::new(),
            joined: Vec::new(),
            transit: BTreeMap::new(),
            onward: Vec::new(),
        }
    }

    /// Carries out a command of the node. Never fails: what it breaks comes back as a fact.
    #[expect(clippy::too_many_lines, reason = "a dispatcher: one call per arm")]
    pub fn handle_command(&mut self, now: Instant, command: ShardCommand) {
        match command {
            ShardCommand::OpenRoom {
                room,
                epoch,
                seal_key,
            } => self.open_room(room, epoch, &seal_key),
            ShardCommand::CloseRoom { room } => self.close_room(now, &room),
            ShardCommand::OpenSession {
                session,
                room,
                participant,
                identity,
                can_publish,
                can_subscribe,
                auto_subscribe,
            } => {
                let rights = crate::room::member::Rights {
                    publish: can_publish,
                    subscribe: can_subscribe,
                    auto_subscribe,
                };
                self.open_session(now, session, &room, (participant, identity), rights);
            }
            ShardCommand::CloseSession { session } => self.close_session(now, session),
            ShardCommand::ApplyOffer {
                session,
                offer_id,
                sdp,
            } => self.apply_offer(now, session, offer_id, &sdp),
            ShardCommand::OfferToClient { session } => self.offer_to_client(now, session),
            ShardCommand::ApplyAnswer {
                session,
                offer_id,
                sdp,
            } => self.apply_answer(now, session, offer_id, &sdp),
            ShardCommand::AnnounceTrack { session, track } => self.announce_track(session, *track),
            ShardCommand::SetTrackMuted {
                session,
                track,
                muted,
            } => self.set_track_muted(now, session, &track, muted),
            ShardCommand::SetSubscription {
                session,
                tracks,
                wanted,
            } => {
                self.set_subscription(now, session, tracks, wanted);
            }
            ShardCommand::SetTrackWish {
                session,
                tracks,
                wish,
            } => self.set_track_wish(now, session, tracks, wish),
            ShardCommand::SendData {
                session,
                reliable,
                payload,
            } => self.send_data(now, session, reliable, payload),
            ShardCommand::JoinOrigin {
                room,
                origin,
                epoch,
                seal_key,
            } => {
                self.join_origin(now, &room, origin, epoch, &seal_key);
            }
            ShardCommand::DropOrigin { room, origin } => self.drop_origin(now, &room, origin),
            ShardCommand::UpsertRemoteTrack {
                room,
                origin,
                participant,
                track,
            } => {
                self.upsert_remote_track(now, &room, origin, participant, &track);
            }
            ShardCommand::RemoveRemoteTrack {
                room: _,
                origin,
                track,
            } => self.remove_remote_track(now, origin, track),
            ShardCommand::SetPeerDemand { peer, track, layers } => {
                self.set_peer_demand(now, peer, track, layers)
            }
            ShardCommand::SetChild {
                origin,
                track,
                child,
                layers,
                goes_on,
            } => self.set_child(now, (origin, track), child, layers, goes_on),
            ShardCommand::SetParent {
                origin,
                track,
                parent,
                awaited,
            } => self.set_parent((origin, track), parent, awaited),
            ShardCommand::SetRoute {
                node,
                via,
                max_datagram_bytes,
            } => self.set_route(node, via, max_datagram_bytes),
            ShardCommand::SetAudience {
                room,
                participant,
                audience,
            } => self.set_audience(now, &room, participant, audience),
        }
        self.schedule_tick(now);
    }

    /// Takes a datagram from a client, opening it in place. Hot path.
    pub fn handle_datagram(&mut self, now: Instant, from: SocketAddr, bytes: &mut [u8]) {
        self.counters.datagrams_in += 1;
        match self.mux.classify(from, bytes) {
            Some(slot) => self.datagram_of(now, slot, from, bytes),
            None => self.counters.datagrams_unknown += 1,
        }
    }

    /// A client's TCP connection is gone, by its [`crate::rtc::TcpId::address`]: nothing more is sent there.
    pub fn handle_disconnect(&mut self, address: SocketAddr) {
        if let Some(slot) = self.mux.forget(address)
            && let Some(member) = self.members.get_mut(slot as usize)
        {
            member.rtc.forget_addr(address);
        }
    }

    /// Takes a datagram from the link of `peer`, opening it in place. Hot path.
    pub fn handle_relay(&mut self, now: Instant, peer: NodeId, bytes: &mut [u8]) {
        self.counters.relay_in += 1;
        if self.relayed(now, peer, bytes).is_none() {
            self.counters.relay_refused += 1;
        }
    }

    /// As [`Self::handle_relay`] on a shard that knows no track, [`ShardId::PASSING`], with the decoded `header` of the whole
    /// datagram: nothing is opened, so nothing is written.
    /// Hot path.
    ///
    /// [`ShardId::PASSING`]: io::ShardId::PASSING
    pub fn handle_passing(&mut self, now: Instant, peer: NodeId, header: &Header, bytes: &[u8]) {
        self.counters.relay_in += 1;
        if self.pass_through(now, peer, header, bytes).is_none() {
            self.counters.relay_refused += 1;
        }
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.next_tick.is_some_and(|at| at <= now) {
            self.tick(now);
        }
    }

    /// When `handle_timeout` is due; none while there is nothing to wait for.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<Instant> {
        self.next_tick
    }

    /// The next fact.
    pub fn poll_fact(&mut self) -> Option<ShardFact> {
        self.facts.pop_front()
    }

    /// The next datagram for a link.
    pub fn poll_relay(&mut self) -> Option<RelayTransmit> {
        self.relay.pop_front()
    }

    /// What the shard has done.
    #[must_use]
    pub fn counters(&self) -> ShardCounters {
        let mut refused = self.counters.refused;
        for (_, member) in &self.members {
            refused += *member.rtc.counters();
        }
        ShardCounters {
            refused,
            sessions: self.members.len() as u64,
            rooms: self.rooms.len() as u64,
            tracks: self.tracks.len() as u64,
            transit_tracks: self.transit.len() as u64,
            sounds_forwarded: self
                .rooms
                .iter()
                .map(|(_, room)| room.loudest.placed() as u64)
                .sum(),
            legs: self.tracks.iter().map(|(_, track)| track.legs.len() as u64).sum(),
            ..self.counters
        }
    }
}
