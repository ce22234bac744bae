//! What goes into a shard and comes out of it, besides datagrams.

use relay_proto::id::{
    Epoch, Identity, LayerSet, NodeId, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid,
};
use relay_proto::room::{Audience, Codec, ConnectionQuality, SealKey, SpeakerLevel, TrackRecord};
use relay_proto::session::{AnnouncedTrack, EndCause, PictureState, TrackWish};

/// Number of a shard on its node, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u8);

impl ShardId {
    /// The shard of tracks that only pass through a node. It has no clients; shards with clients have smaller numbers.
    pub const PASSING: Self = Self(u8::MAX);

    /// What the other shards of `node` call this one where they name nodes: next hop, asker, keeper of a demand. It is
    /// the id of a node with a name that no node may have, and never leaves the process.
    #[must_use]
    pub const fn as_peer_of(self, node: NodeId) -> NodeId {
        let mut hash = node.0;
        let mut at = 0;
        let bytes = [0, self.0];
        while at < bytes.len() {
            hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
            at += 1;
        }
        NodeId(hash)
    }
}

/// An order from the node's `MeshCore` to a shard. Commands arrive in order and never fail: what they break
/// comes back as a fact.
#[derive(Clone, Debug)]
pub enum ShardCommand {
    /// A conference begins on this shard; first command of every room.
    OpenRoom {
        /// Which.
        room: RoomName,
        /// This node's epoch in it.
        epoch: Epoch,
        /// Seals what this node originates in it.
        seal_key: SealKey,
    },
    /// The conference has ended on this shard; every session in it is already closed, and all it knows of others goes.
    CloseRoom {
        /// Which.
        room: RoomName,
    },
    /// A client session begins.
    OpenSession {
        /// Which.
        session: SessionId,
        /// Its room (opened before).
        room: RoomName,
        /// Who it is.
        participant: ParticipantSid,
        /// By whom it is named in audiences.
        identity: Identity,
        /// May send tracks.
        can_publish: bool,
        /// May receive tracks.
        can_subscribe: bool,
        /// Wants every track without asking.
        auto_subscribe: bool,
    },
    /// A client session ends.
    CloseSession {
        /// Which.
        session: SessionId,
    },
    /// A client's offer.
    ApplyOffer {
        /// Whose.
        session: SessionId,
        /// Echoed in the answer.
        offer_id: u32,
        /// SDP.
        sdp: String,
    },
    /// A session that was just opened gets a second connection, on which the shard offers all it shall receive.
    OfferToClient {
        /// Whose.
        session: SessionId,
    },
    /// A client's answer to an offer of the shard.
    ApplyAnswer {
        /// Whose.
        session: SessionId,
        /// Which offer; 0 from clients that do not say.
        offer_id: u32,
        /// SDP.
        sdp: String,
    },
    /// A local track is announced; its media binds when an offer names its cid.
    AnnounceTrack {
        /// Publisher.
        session: SessionId,
        /// The track, alias already given.
        track: Box<AnnouncedTrack>,
    },
    /// A local track is muted or unmuted: muted tracks are not forwarded.
    SetTrackMuted {
        /// Publisher.
        session: SessionId,
        /// The track.
        track: TrackSid,
        /// New state.
        muted: bool,
    },
    /// Explicit subscription; also overrides the automatic one.
    SetSubscription {
        /// Viewer.
        session: SessionId,
        /// Tracks, local or remote.
        tracks: Vec<TrackSid>,
        /// Wanted or not.
        wanted: bool,
    },
    /// What a viewer wants of tracks.
    SetTrackWish {
        /// Viewer.
        session: SessionId,
        /// Tracks.
        tracks: Vec<TrackSid>,
        /// The wish.
        wish: TrackWish,
    },
    /// Bytes for a client's data channel.
    SendData {
        /// To whom.
        session: SessionId,
        /// Which channel.
        reliable: bool,
        /// The bytes.
        payload: bytes::Bytes,
    },
    /// Another node hosts the room too (or this one: on its other shards); its media of `epoch` opens with `seal_key`.
    /// Replaces an older epoch, whose tracks are gone.
    JoinOrigin {
        /// The room.
        room: RoomName,
        /// The other node.
        origin: NodeId,
        /// Its epoch in the room.
        epoch: Epoch,
        /// Opens its media.
        seal_key: SealKey,
    },
    /// Another node no longer hosts the room, or is dead: its tracks are gone.
    DropOrigin {
        /// The room.
        room: RoomName,
        /// The other node.
        origin: NodeId,
    },
    /// A track on another node exists or has changed (the origin has been joined before).
    UpsertRemoteTrack {
        /// The room.
        room: RoomName,
        /// Where it is published.
        origin: NodeId,
        /// By whom.
        participant: ParticipantSid,
        /// The track; `codec` is known.
        track: Box<TrackRecord>,
    },
    /// A track on another node is gone.
    RemoveRemoteTrack {
        /// The room.
        room: RoomName,
        /// Where it was.
        origin: NodeId,
        /// Which.
        track: TrackAlias,
    },
    /// What a peer wants of one of this shard's tracks; an empty set withdraws.
    SetPeerDemand {
        /// The node that wants it, or the sibling by [`ShardId::as_peer_of`].
        peer: NodeId,
        /// A local track.
        track: TrackAlias,
        /// Wanted layers.
        layers: LayerSet,
    },
    /// What a node behind this one wants of a track through this shard; an empty set withdraws. A track that the shard does
    /// not know passes through it sealed, from its origin if nothing else is said.
    SetChild {
        /// Where it is published; it may be this node.
        origin: NodeId,
        /// The track.
        track: TrackAlias,
        /// Who wants it.
        child: NodeId,
        /// Wanted layers.
        layers: LayerSet,
        /// It has had the layers that are new from elsewhere: they go on with any packet.
        goes_on: bool,
    },
    /// From whom a track of another node comes from now on, and whom feedback goes to. Until this is said: its origin.
    SetParent {
        /// Where it is published.
        origin: NodeId,
        /// The track.
        track: TrackAlias,
        /// From whom.
        parent: NodeId,
        /// The first packet from there is a fact, [`ShardFact::ParentHeard`].
        awaited: bool,
    },
    /// The next hop to a node and the largest datagram its link takes, in bytes. Sent at every change.
    SetRoute {
        /// Destination.
        node: NodeId,
        /// The peer whose link leads there, or none (nothing is sent).
        via: Option<NodeId>,
        /// Largest datagram, header included.
        max_datagram_bytes: usize,
    },
    /// Who may receive what somebody publishes, here or elsewhere. Comes before the participant's tracks where it is
    /// known before; whoever may receive no more loses it at once.
    SetAudience {
        /// The room.
        room: RoomName,
        /// The publisher.
        participant: ParticipantSid,
        /// Who may.
        audience: Audience,
    },
}

/// Something a shard tells its node.
#[derive(Clone, Debug)]
pub enum ShardFact {
    /// An offer is answered.
    OfferAnswered {
        /// Whose.
        session: SessionId,
        /// Which offer.
        offer_id: u32,
        /// SDP with all candidates.
        sdp: String,
        /// Every section that carries a track to the client.
        sections: Vec<(String, TrackSid)>,
    },
    /// The shard offers. The next offer comes after the answer to this one.
    OfferMade {
        /// To whom.
        session: SessionId,
        /// Which offer.
        offer_id: u32,
        /// SDP with all candidates.
        sdp: String,
        /// Every section that carries a track to the client.
        sections: Vec<(String, TrackSid)>,
    },
    /// An offer cannot be used.
    OfferRejected {
        /// Whose.
        session: SessionId,
        /// Which offer.
        offer_id: u32,
        /// For people.
        reason: String,
    },
    /// The client should offer again with this many more receiving sections.
    SectionsRequired {
        /// Whose.
        session: SessionId,
        /// More for audio.
        audios: u32,
        /// More for video.
        videos: u32,
    },
    /// Keys are agreed.
    TransportConnected {
        /// Whose.
        session: SessionId,
    },
    /// An announced track is bound to a section: others may now subscribe.
    TrackBound {
        /// Publisher.
        session: SessionId,
        /// Which.
        track: TrackSid,
        /// What was negotiated.
        codec: Codec,
        /// Whether layers arrive as separate streams.
        simulcast: bool,
    },
    /// A bound track's section went away.
    TrackUnbound {
        /// Publisher.
        session: SessionId,
        /// Which.
        track: TrackSid,
    },
    /// A client's data message.
    DataReceived {
        /// Whose.
        session: SessionId,
        /// On which channel.
        reliable: bool,
        /// The bytes.
        payload: Vec<u8>,
    },
    /// The shard has ended a session by itself (the session is already gone).
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        cause: EndCause,
    },
    /// Which pictures a viewer gets has changed, for want of room on its path.
    PicturesPaused {
        /// The viewer.
        session: SessionId,
        /// Only what changed.
        pictures: Vec<PictureState>,
    },
    /// Which layers of a local track are wanted by anybody has changed.
    LayersWanted {
        /// The publisher.
        session: SessionId,
        /// Its track.
        track: TrackSid,
        /// What it is published in.
        codec: Codec,
        /// The layers.
        layers: LayerSet,
    },
    /// Somebody on any node receives a local track for the first time.
    TrackSubscribed {
        /// The publisher.
        session: SessionId,
        /// Its track.
        track: TrackSid,
    },
    /// The quality of a client's connection has changed.
    QualityChanged {
        /// Whose.
        session: SessionId,
        /// What it is now.
        quality: ConnectionQuality,
    },
    /// Changed levels in a room (local and remote participants).
    SpeakersChanged {
        /// Which room.
        room: RoomName,
        /// Only what changed.
        speakers: Vec<SpeakerLevel>,
    },
    /// The first packet of a track has come from a new parent.
    ParentHeard {
        /// Where it is published.
        origin: NodeId,
        /// The track.
        track: TrackAlias,
        /// From whom.
        parent: NodeId,
    },
    /// What this shard's viewers want of a remote track; an empty set withdraws.
    DemandChanged {
        /// The room.
        room: RoomName,
        /// Where the track is.
        origin: NodeId,
        /// The track.
        track: TrackAlias,
        /// Wanted layers.
        layers: LayerSet,
    },
}
