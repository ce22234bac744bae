//! Shards that answer every command at once and check that commands come in an order a shard can live with.

use super::net::ShardPort;
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use relay_proto::id::{Epoch, LayerSet, NodeId, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{Audience, Codec, ConnectionQuality, MediaKind, TrackRecord};
use relay_proto::session::EndCause;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

#[derive(Debug)]
struct FakeRoom {
    sessions: BTreeSet<SessionId>,
    origins: BTreeMap<NodeId, Epoch>,
    remote: BTreeMap<(NodeId, TrackAlias), TrackRecord>,
    audiences: BTreeMap<ParticipantSid, Audience>,
}

/// All shards of one node. Sessions connect and tracks bind at once; every remote track is wanted in its lowest layer.
#[derive(Debug, Default)]
pub struct FakeShards {
    rooms: BTreeMap<(RoomName, ShardId), FakeRoom>,
    sessions: BTreeMap<SessionId, (RoomName, ShardId)>,
    local: BTreeMap<TrackSid, (SessionId, TrackAlias)>,
    facts: VecDeque<(ShardId, ShardFact)>,
    /// What peers want of local tracks.
    pub demands: BTreeMap<(NodeId, TrackAlias), LayerSet>,
    passing: BTreeMap<(ShardId, NodeId, TrackAlias, NodeId), LayerSet>,
    /// The node they belong to, once a room has been opened.
    us: Option<NodeId>,
    /// What went to data channels, in order.
    pub data: Vec<(SessionId, Vec<u8>)>,
    /// The ways media takes.
    pub routes: BTreeMap<NodeId, usize>,
}

/// What the fake viewers want of every remote track.
const WANTED: LayerSet = LayerSet(1);

impl FakeShards {
    /// The shards that have a part of a room.
    #[must_use]
    pub fn shards_of(&self, room: &RoomName) -> Vec<ShardId> {
        let parts = self.rooms.keys().filter(|(name, _)| name == room);
        parts.map(|(_, shard)| *shard).collect()
    }

    /// How many sessions live on a shard.
    #[must_use]
    pub fn sessions_on(&self, shard: ShardId) -> usize {
        self.sessions.values().filter(|(_, on)| *on == shard).count()
    }

    fn on_any<'a>(&'a self, room: &RoomName) -> impl Iterator<Item = &'a FakeRoom> {
        self.shards_of(room)
            .into_iter()
            .filter_map(|shard| self.rooms.get(&(room.clone(), shard)))
    }

    /// The tracks a shard was told of, published elsewhere.
    #[must_use]
    pub fn tracks_told(&self, room: &RoomName, shard: ShardId) -> BTreeSet<(NodeId, TrackAlias)> {
        self.rooms
            .get(&(room.clone(), shard))
            .map(|part| part.remote.keys().copied().collect())
            .unwrap_or_default()
    }

    /// The remote tracks of a room, on any shard.
    #[must_use]
    pub fn remote_tracks(&self, room: &RoomName) -> BTreeSet<(NodeId, TrackAlias)> {
        self.on_any(room)
            .flat_map(|part| part.remote.keys().copied())
            .collect()
    }

    /// The record of a remote track.
    #[must_use]
    pub fn remote_track(&self, room: &RoomName, origin: NodeId, track: TrackAlias) -> Option<&TrackRecord> {
        self.on_any(room)
            .find_map(|part| part.remote.get(&(origin, track)))
    }

    /// The shard a local track is published on.
    #[must_use]
    pub fn shard_publishing(&self, alias: TrackAlias) -> Option<ShardId> {
        let mut local = self.local.values();
        let (session, _) = local.find(|(_, known)| *known == alias)?;
        Some(self.sessions.get(session)?.1)
    }

    /// The alias of a local track.
    #[must_use]
    pub fn alias(&self, track: &TrackSid) -> Option<TrackAlias> {
        self.local.get(track).map(|(_, alias)| *alias)
    }

    /// Lets a bound track's section go away.
    pub fn unbind(&mut self, track: &TrackSid) {
        let Some((session, alias)) = self.local.remove(track) else {
            return;
        };
        self.demands.retain(|(_, wanted), _| *wanted != alias);
        let shard = self.sessions[&session].1;
        self.facts.push_back((
            shard,
            ShardFact::TrackUnbound {
                session,
                track: track.clone(),
            },
        ));
    }

    /// Lets a shard end a session by itself; it minds a later command to close it.
    pub fn end_session(&mut self, session: SessionId, cause: EndCause) {
        let Some(shard) = self.sessions.get(&session).map(|(_, shard)| *shard) else {
            return;
        };
        self.close_session(shard, session);
        self.facts
            .push_back((shard, ShardFact::SessionEnded { session, cause }));
    }

    fn room(&mut self, shard: ShardId, name: &RoomName) -> &mut FakeRoom {
        self.rooms
            .get_mut(&(name.clone(), shard))
            .expect("a command names a room that is not open on that shard")
    }

    fn open_session(&mut self, shard: ShardId, session: SessionId, room: &RoomName) {
        assert!(
            self.room(shard, room).sessions.insert(session),
            "session opened twice"
        );
        self.sessions.insert(session, (room.clone(), shard));
        self.facts
            .push_back((shard, ShardFact::TransportConnected { session }));
    }

    fn close_session(&mut self, shard: ShardId, session: SessionId) {
        let (room, home) = self
            .sessions
            .remove(&session)
            .expect("an unknown session is closed");
        assert_eq!(home, shard, "a session is closed on another shard");
        self.room(shard, &room).sessions.remove(&session);
        let gone: BTreeSet<TrackAlias> = self
            .local
            .values()
            .filter(|(owner, _)| *owner == session)
            .map(|(_, alias)| *alias)
            .collect();
        self.local.retain(|_, (owner, _)| *owner != session);
        self.demands.retain(|(_, alias), _| !gone.contains(alias));
    }

    fn upsert_remote(&mut self, shard: ShardId, name: &RoomName, origin: NodeId, track: TrackRecord) {
        assert!(track.codec.is_some(), "a remote track without codec");
        let alias = track.alias;
        let is_new = !self.room(shard, name).remote.contains_key(&(origin, alias));
        if is_new {
            // A track that is known passes through no more; who is behind is said again.
            self.passing
                .retain(|(at, of, track, _), _| (*at, *of, *track) != (shard, origin, alias));
        }
        let room = self.room(shard, name);
        assert!(
            room.origins.contains_key(&origin),
            "a track of an origin that is not joined"
        );
        if room.remote.insert((origin, alias), track).is_none() {
            let fact = ShardFact::DemandChanged {
                room: name.clone(),
                origin,
                track: alias,
                layers: WANTED,
            };
            self.facts.push_back((shard, fact));
        }
    }

    fn drop_origin(&mut self, shard: ShardId, name: &RoomName, origin: NodeId) {
        let room = self.room(shard, name);
        assert!(
            room.origins.remove(&origin).is_some(),
            "an origin is dropped that is not joined"
        );
        room.remote.retain(|(node, _), _| *node != origin);
    }

    fn join_origin(&mut self, shard: ShardId, name: &RoomName, origin: NodeId, epoch: Epoch) {
        // The first of a room is always the node itself.
        self.us.get_or_insert(origin);
        let room = self.room(shard, name);
        let old = room.origins.insert(origin, epoch);
        assert!(
            old.is_none_or(|old| old < epoch),
            "an origin joins with an epoch that is not newer"
        );
        room.remote.retain(|(node, _), _| *node != origin);
    }

    fn set_audience(&mut self, shard: ShardId, name: &RoomName, who: ParticipantSid, audience: Audience) {
        let audiences = &mut self.room(shard, name).audiences;
        if audience == Audience::Everybody {
            audiences.remove(&who);
        } else {
            audiences.insert(who, audience);
        }
    }

    /// Who may receive whom in a room, as its shard was told; whoever is not in it is received by everybody.
    #[must_use]
    pub fn audiences(&self, room: &RoomName) -> BTreeMap<ParticipantSid, Audience> {
        let mut parts = self.on_any(room).map(|part| &part.audiences);
        let first = parts.next().cloned().unwrap_or_default();
        assert!(
            parts.all(|other| *other == first),
            "shards of a room know different audiences"
        );
        first
    }

    /// Lets a shard judge a connection.
    pub fn judge(&mut self, session: SessionId, quality: ConnectionQuality) {
        let shard = self.sessions[&session].1;
        self.facts
            .push_back((shard, ShardFact::QualityChanged { session, quality }));
    }

    fn set_child(&mut self, shard: ShardId, track: (NodeId, TrackAlias), child: NodeId, layers: LayerSet) {
        if Some(track.0) == self.us {
            return self.set_demand(shard, child, track.1, layers);
        }
        let key = (shard, track.0, track.1, child);
        if layers.is_empty() {
            self.passing.remove(&key);
        } else {
            self.passing.insert(key, layers);
        }
    }

    /// Who gets tracks of other nodes through this one, by (shard, origin, track, node behind).
    #[must_use]
    pub const fn passing(&self) -> &BTreeMap<(ShardId, NodeId, TrackAlias, NodeId), LayerSet> {
        &self.passing
    }

    fn set_demand(&mut self, shard: ShardId, peer: NodeId, track: TrackAlias, layers: LayerSet) {
        assert_eq!(
            self.shard_publishing(track),
            Some(shard),
            "demand for a track that is not local"
        );
        if layers.is_empty() {
            self.demands.remove(&(peer, track));
        } else {
            self.demands.insert((peer, track), layers);
        }
    }
}

impl ShardPort for FakeShards {
    #[expect(clippy::too_many_lines, reason = "a dispatcher")]
    fn handle_command(&mut self, _now: Instant, shard: ShardId, command: ShardCommand) {
        match command {
            ShardCommand::OpenRoom { room, .. } => {
                let open = FakeRoom {
                    sessions: BTreeSet::new(),
                    origins: BTreeMap::new(),
                    remote: BTreeMap::new(),
                    audiences: BTreeMap::new(),
                };
                let old = self.rooms.insert((room, shard), open);
                assert!(old.is_none(), "room opened twice on one shard");
            }
            ShardCommand::CloseRoom { room } => {
                let closed = self
                    .rooms
                    .remove(&(room, shard))
                    .expect("an unknown room is closed");
                assert!(closed.sessions.is_empty(), "a room is closed with sessions in it");
                self.passing.retain(|(at, origin, track, _), _| {
                    *at != shard || !closed.remote.contains_key(&(*origin, *track))
                });
            }
            ShardCommand::OpenSession { session, room, .. } => self.open_session(shard, session, &room),
            ShardCommand::CloseSession { session } => self.close_session(shard, session),
            ShardCommand::AnnounceTrack { session, track } => {
                let record = track.record;
                let codec = match record.kind {
                    MediaKind::Audio => Codec::Opus,
                    MediaKind::Video => Codec::Vp8,
                };
                let simulcast = record.kind == MediaKind::Video;
                self.local.insert(record.sid.clone(), (session, record.alias));
                let fact = ShardFact::TrackBound {
                    session,
                    track: record.sid,
                    codec,
                    simulcast,
                };
                self.facts.push_back((shard, fact));
            }
            ShardCommand::SendData { session, payload, .. } => self.data.push((session, payload.to_vec())),
            ShardCommand::JoinOrigin {
                room, origin, epoch, ..
            } => {
                self.join_origin(shard, &room, origin, epoch);
            }
            ShardCommand::DropOrigin { room, origin } => self.drop_origin(shard, &room, origin),
            ShardCommand::UpsertRemoteTrack {
                room, origin, track, ..
            } => {
                self.upsert_remote(shard, &room, origin, *track);
            }
            ShardCommand::RemoveRemoteTrack { room, origin, track } => {
                let gone = self.room(shard, &room).remote.remove(&(origin, track));
                assert!(gone.is_some(), "an unknown remote track is removed");
            }
            ShardCommand::SetPeerDemand { peer, track, layers } => {
                self.set_demand(shard, peer, track, layers)
            }
            ShardCommand::SetRoute {
                node,
                via,
                max_datagram_bytes,
            } => {
                match via {
                    Some(_) => self.routes.insert(node, max_datagram_bytes),
                    None => self.routes.remove(&node),
                };
            }
            ShardCommand::SetChild {
                origin,
                track,
                child,
                layers,
                ..
            } => self.set_child(shard, (origin, track), child, layers),
            ShardCommand::SetParent {
                origin,
                track,
                parent,
                awaited,
            } => {
                if awaited {
                    // As if media came from there at once.
                    let heard = ShardFact::ParentHeard {
                        origin,
                        track,
                        parent,
                    };
                    self.facts.push_back((shard, heard));
                }
            }
            ShardCommand::ApplyOffer { .. }
            | ShardCommand::OfferToClient { .. }
            | ShardCommand::ApplyAnswer { .. }
            | ShardCommand::SetTrackMuted { .. }
            | ShardCommand::SetSubscription { .. }
            | ShardCommand::SetTrackWish { .. } => {}
            ShardCommand::SetAudience {
                room,
                participant,
                audience,
            } => self.set_audience(shard, &room, participant, audience),
        }
    }

    fn poll_fact(&mut self) -> Option<(ShardId, ShardFact)> {
        self.facts.pop_front()
    }
}
