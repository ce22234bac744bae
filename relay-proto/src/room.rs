//! What nodes tell each other about a conference they both host: one ordered stream per (origin, conference).
//!
//! The home node of a participant is the only writer of its record; everybody else keeps the newest version.

use crate::id::{Epoch, Identity, Layer, NodeId, ParticipantSid, RoomName, TrackAlias, TrackSid};
use crate::unit::{AudioLevel, Bitrate, UnixMillis};
use crate::version::Features;
use bincode::{Decode, Encode};

/// Media kind of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
}

/// Where a track comes from, as the publisher declares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum TrackSource {
    /// Not said.
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen or window.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
}

/// The codec of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub enum Codec {
    /// Opus at 48 kHz (RFC 7587).
    Opus,
    /// VP8 (RFC 7741).
    Vp8,
    /// H.264 (RFC 6184), packetization mode 1.
    H264,
    /// VP9 (RFC 9628), profile 0. Told only to peers with [`crate::version::Features::CODECS`].
    Vp9,
    /// AV1 (AOM's RTP payload format 1.0), main profile. Told only to peers with [`crate::version::Features::CODECS`] and
    /// [`crate::version::Features::DESCRIPTORS`].
    Av1,
}

impl Codec {
    /// MIME type as clients write it.
    #[must_use]
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Opus => "audio/opus",
            Self::Vp8 => "video/VP8",
            Self::H264 => "video/H264",
            Self::Vp9 => "video/VP9",
            Self::Av1 => "video/AV1",
        }
    }

    /// RTP clock rate in Hz.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Opus => 48_000,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => 90_000,
        }
    }

    /// Whether this is sound or pictures.
    #[must_use]
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::H264 | Self::Vp9 | Self::Av1 => MediaKind::Video,
        }
    }

    /// What a peer must be able to do to be told of a track in it: an unknown codec makes a whole message unreadable.
    #[must_use]
    pub const fn needed(self) -> Features {
        match self {
            Self::Opus | Self::Vp8 | Self::H264 => Features(0),
            Self::Vp9 => Features::CODECS,
            Self::Av1 => Features(Features::CODECS.0 | Features::DESCRIPTORS.0),
        }
    }
}

/// One layer as its publisher announced it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct LayerRecord {
    /// Which layer; 0 is the smallest.
    pub layer: Layer,
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// Highest rate the publisher aims at.
    pub bitrate: Bitrate,
}

/// Everything other nodes and clients know of a track.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrackRecord {
    /// Id clients see.
    pub sid: TrackSid,
    /// Id datagrams carry.
    pub alias: TrackAlias,
    /// Sound or pictures.
    pub kind: MediaKind,
    /// What it shows.
    pub source: TrackSource,
    /// The codec once negotiated; none while only announced. In an announcement: what the publisher would like.
    pub codec: Option<Codec>,
    /// The publisher's name for it.
    pub name: String,
    /// Group for lip sync (`camera`, `screen`), or empty.
    pub stream: String,
    /// Whether the publisher has muted it.
    pub muted: bool,
    /// Width in pixels of the largest layer; 0 for audio.
    pub width: u32,
    /// Height in pixels of the largest layer; 0 for audio.
    pub height: u32,
    /// Whether layers arrive as separate streams.
    pub simulcast: bool,
    /// Layers, smallest first; empty for audio.
    pub layers: Vec<LayerRecord>,
    /// Audio features and encryption, opaque to the mesh, copied to clients.
    pub client: ClientTrackFacts,
}

/// Facts about a track that only clients interpret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub struct ClientTrackFacts {
    /// Opus in two channels.
    pub stereo: bool,
    /// The publisher does not use discontinuous transmission.
    pub dtx_disabled: bool,
    /// The publisher does not want redundant audio.
    pub red_disabled: bool,
    /// Client-side encryption: 0 none, 1 GCM, 2 custom.
    pub encryption: u8,
    /// Audio feature numbers of the client protocol.
    pub audio_features: Vec<i32>,
}

/// What a participant may do, from its token.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Permission {
    /// May send tracks.
    pub can_publish: bool,
    /// May receive tracks.
    pub can_subscribe: bool,
    /// May send data.
    pub can_publish_data: bool,
    /// May change its own name, metadata and attributes.
    pub can_update_metadata: bool,
    /// Is not shown to others.
    pub hidden: bool,
    /// The only sources it may publish; empty means all.
    pub sources: Vec<TrackSource>,
}

/// Life cycle of a participant as clients see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum ParticipantState {
    /// Signalling is open.
    Joined,
    /// Media is connected.
    Active,
    /// Gone; sent once, then forgotten.
    Disconnected,
}

/// Everything other nodes and clients know of a participant.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct ParticipantRecord {
    /// Id clients see.
    pub sid: ParticipantSid,
    /// Identity from the token; one per room.
    pub identity: Identity,
    /// Display name.
    pub name: String,
    /// Free text of the application.
    pub metadata: String,
    /// Key-value pairs of the application, sorted by key.
    pub attributes: Vec<(String, String)>,
    /// What it may do.
    pub permission: Permission,
    /// Kind number of the client protocol (0 is a person).
    pub kind: i32,
    /// Client protocol number, for clients talking to each other.
    pub client_protocol: i32,
    /// Capability numbers of the client.
    pub capabilities: Vec<i32>,
    /// When it joined.
    pub joined_at: UnixMillis,
    /// The node its media session is on.
    pub home: NodeId,
    /// Grows with each change; an older one is dropped.
    pub version: u32,
    /// Where it is in its life.
    pub state: ParticipantState,
    /// What it publishes.
    pub tracks: Vec<TrackRecord>,
}

/// Who may receive what a participant publishes, as it has decided itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Encode, Decode)]
pub enum Audience {
    /// Everybody may receive everything.
    #[default]
    Everybody,
    /// Only these may, whether they are there or come later.
    Only(Vec<AudienceGrant>),
}

/// What one person may receive of a publisher.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AudienceGrant {
    /// Who.
    pub viewer: Identity,
    /// The only tracks; none means all, also future ones.
    pub tracks: Option<Vec<TrackSid>>,
}

impl Audience {
    /// Whether `viewer` may receive `track`. Cost: linear in the grants.
    #[must_use]
    pub fn admits(&self, viewer: &Identity, track: &TrackSid) -> bool {
        match self {
            Self::Everybody => true,
            Self::Only(grants) => grants.iter().any(|grant| {
                grant.viewer == *viewer && grant.tracks.as_ref().is_none_or(|tracks| tracks.contains(track))
            }),
        }
    }
}

/// How well the connection of a participant to its node carries media.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Encode, Decode)]
pub enum ConnectionQuality {
    /// Nothing authentic has come from it for so long that it is probably gone.
    Lost,
    /// Pictures or sound suffer.
    Poor,
    /// It shows now and then.
    Good,
    /// Nothing is amiss.
    Excellent,
}

/// How loud somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct SpeakerLevel {
    /// Who.
    pub participant: ParticipantSid,
    /// Smoothed level.
    pub level: AudioLevel,
    /// Whether they count as speaking now.
    pub active: bool,
}

/// Why a participant is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum LeaveCause {
    /// They left.
    ClientLeft,
    /// Their connection was lost.
    ConnectionLost,
    /// Somebody with the same identity joined later.
    DuplicateIdentity,
    /// The room was closed or they were removed.
    Removed,
    /// Their node is gone.
    NodeLost,
    /// Their node is shutting down.
    NodeStopped,
}

/// A message among participants, already stamped by the sender's signalling.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct DataMessage {
    /// Who sent it.
    pub from: ParticipantSid,
    /// Who shall get it; empty means everybody but the sender.
    pub to: Vec<Identity>,
    /// Ordered and repaired, or as it comes.
    pub reliable: bool,
    /// The bytes for the receiving clients, opaque to the mesh.
    pub payload: Vec<u8>,
}

/// The key that seals one node's media of one conference and epoch; never shown in debug output.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
pub struct SealKey(pub [u8; 32]);

impl std::fmt::Debug for SealKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealKey(…)")
    }
}

/// One step of a room stream.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RoomEvent {
    /// Everything the origin has in this conference; first in every stream, replaces what was known before.
    Snapshot {
        /// Opens this origin's media of this epoch.
        seal_key: SealKey,
        /// The participants homed on the origin.
        participants: Vec<ParticipantRecord>,
    },
    /// A participant is new or has changed.
    ParticipantUpserted(Box<ParticipantRecord>),
    /// A participant is gone.
    ParticipantLeft {
        /// Who.
        participant: ParticipantSid,
        /// Why.
        cause: LeaveCause,
    },
    /// A message for participants homed on the receiver.
    DataSent(DataMessage),
    /// Who may receive what a participant publishes. It may come before the snapshot that names the participant, so
    /// that nobody receives anything in between.
    AudienceChanged {
        /// The publisher.
        participant: ParticipantSid,
        /// Who may.
        audience: Audience,
    },
    /// The quality of a participant's connection has changed.
    QualityChanged {
        /// Whose.
        participant: ParticipantSid,
        /// What it is now.
        quality: ConnectionQuality,
    },
    /// A reliable message, as `DataSent`, with its sender's number of it.
    ReliableSent {
        /// The message.
        message: DataMessage,
        /// Grows from message to message of the sender.
        sequence: u32,
    },
}

/// One message of the room stream of (sender, room).
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct RoomMessage {
    /// Which conference.
    pub room: RoomName,
    /// The sender's epoch in it; older ones are dropped.
    pub epoch: Epoch,
    /// What happened.
    pub event: RoomEvent,
}
