//! How signalling drives media: **commands** down, **facts** up.
//!
//! Signalling and the bridge know each other only through these types. They are wire types, so the signalling
//! of one node can drive a session on another.

use crate::id::{LayerSet, NodeId, ParticipantSid, RoomName, SessionId, TrackSid};
use crate::room::{
    Audience, Codec, ConnectionQuality, DataMessage, LeaveCause, ParticipantRecord, SpeakerLevel, TrackRecord,
};
use bincode::{Decode, Encode};

/// Opens a media session for a participant.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct OpenSession {
    /// Made by the signalling that opens it.
    pub session: SessionId,
    /// The conference.
    pub room: RoomName,
    /// The participant as the token and the client describe it. `home`, `version`, `state` and `tracks` are
    /// the bridge's and are overwritten.
    pub participant: ParticipantRecord,
    /// Whether every track of the room is wanted without asking.
    pub auto_subscribe: bool,
}

/// A track as its publisher announces it, before media.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct AnnouncedTrack {
    /// The client's own id of it; in the offer it stands in `a=msid`.
    pub cid: String,
    /// Everything else. `alias` and `codec` are the bridge's and are overwritten.
    pub record: TrackRecord,
}

/// What a viewer wants of a track it is subscribed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub struct TrackWish {
    /// Off means: send nothing (hidden tile).
    pub enabled: bool,
    /// Largest layer of use.
    pub max_layer: crate::id::Layer,
}

/// An order from signalling to the bridge.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SessionCommand {
    /// Answered by [`SessionFact::SessionOpened`] or [`SessionFact::SessionEnded`].
    OpenSession(Box<OpenSession>),
    /// Answered by [`SessionFact::OfferAnswered`] or [`SessionFact::OfferRejected`].
    ApplyOffer {
        /// Whose.
        session: SessionId,
        /// Number of the offer, echoed in the answer.
        offer_id: u32,
        /// The client's SDP.
        sdp: String,
    },
    /// A candidate of the client (a hint only: the bridge is ICE-lite and learns addresses from checks).
    AddCandidate {
        /// Whose.
        session: SessionId,
        /// `candidate:` line.
        candidate: String,
    },
    /// Answered by [`SessionFact::TrackAnnounced`] or [`SessionFact::TrackRefused`].
    AnnounceTrack {
        /// The publisher.
        session: SessionId,
        /// The track.
        track: Box<AnnouncedTrack>,
    },
    /// Mutes or unmutes a published track.
    SetTrackMuted {
        /// The publisher.
        session: SessionId,
        /// Its track.
        track: TrackSid,
        /// New state.
        muted: bool,
    },
    /// Changes what others see of a participant; absent fields stay.
    UpdateParticipant {
        /// Whose.
        session: SessionId,
        /// New display name.
        name: Option<String>,
        /// New metadata.
        metadata: Option<String>,
        /// Attributes to set; an empty value removes the key.
        attributes: Vec<(String, String)>,
    },
    /// Subscribes or unsubscribes.
    SetSubscription {
        /// The viewer.
        session: SessionId,
        /// The tracks.
        tracks: Vec<TrackSid>,
        /// Wanted or not.
        wanted: bool,
    },
    /// What a viewer wants of tracks.
    SetTrackWish {
        /// The viewer.
        session: SessionId,
        /// The tracks.
        tracks: Vec<TrackSid>,
        /// The wish.
        wish: TrackWish,
    },
    /// Sends a stamped message of a participant to the others in its room.
    SendData {
        /// The sender.
        session: SessionId,
        /// The message.
        message: DataMessage,
    },
    /// Ends a session.
    CloseSession {
        /// Whose.
        session: SessionId,
        /// Why; told to the others.
        cause: LeaveCause,
    },
    /// Says who may receive what a participant publishes; whoever no longer may loses it at once.
    SetAudience {
        /// The publisher.
        session: SessionId,
        /// Who may.
        audience: Audience,
    },
    /// As `SendData`, for a reliable message whose sender numbers them.
    SendReliable {
        /// The sender.
        session: SessionId,
        /// The message.
        message: DataMessage,
        /// Grows from message to message of the sender.
        sequence: u32,
    },
    /// Sends a client again what it has missed of reliable messages, as far as it is remembered.
    ReplayData {
        /// To whom.
        session: SessionId,
        /// The last message it has had of each sender.
        after: Vec<(ParticipantSid, u32)>,
    },
    /// Gives a session that was just opened a second connection: the bridge offers on it all the client shall receive,
    /// each time with [`SessionFact::OfferMade`]; the client's own offers only publish from then on.
    OfferToClient {
        /// Whose.
        session: SessionId,
    },
    /// The client's answer to an offer of the bridge. One that cannot be used ends the session.
    ApplyAnswer {
        /// Whose.
        session: SessionId,
        /// Number of the offer; 0 from clients that do not say.
        offer_id: u32,
        /// The client's SDP.
        sdp: String,
    },
    /// Opens a session whose media is on another node; the further commands for it go there too. From signalling to its own
    /// node, never on a link.
    OpenElsewhere {
        /// The node.
        node: NodeId,
        /// Why there, for people.
        reason: String,
        /// The session.
        open: Box<OpenSession>,
    },
}

/// Why a session ended or could not be opened.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum EndCause {
    /// As the command said, or the same identity joined again.
    Left(LeaveCause),
    /// The client's DTLS certificate is not the one its offer announced.
    FingerprintMismatch,
    /// No keys in time after the offer.
    HandshakeTimedOut,
    /// The client fell silent.
    ConsentExpired,
    /// A named limit is reached.
    LimitReached(String),
    /// The node takes no sessions now.
    NotServing,
}

/// What happened in a room that its clients must hear of.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum RoomChange {
    /// Somebody is new or changed (also the receiving client itself).
    ParticipantUpserted(Box<ParticipantRecord>),
    /// Somebody is gone; the record is the last one, in state `Disconnected`.
    ParticipantLeft {
        /// The last record.
        participant: Box<ParticipantRecord>,
        /// Why.
        cause: LeaveCause,
    },
    /// Changed levels only.
    SpeakersChanged(Vec<SpeakerLevel>),
    /// Who may receive what somebody publishes has changed. May come before that participant is told.
    AudienceChanged {
        /// The publisher.
        participant: ParticipantSid,
        /// Who may.
        audience: Audience,
    },
    /// The quality of somebody's connection has changed.
    QualityChanged {
        /// Whose.
        participant: ParticipantSid,
        /// What it is now.
        quality: ConnectionQuality,
    },
    /// Somebody has taken the place of another of the same identity. Clients know people by it, so they must be told in one
    /// breath, or they see somebody leave and come.
    ParticipantReplaced {
        /// The last record of the one that is gone.
        gone: Box<ParticipantRecord>,
        /// Who is there instead.
        participant: Box<ParticipantRecord>,
    },
}

/// Something that happened, told by the bridge to signalling.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub enum SessionFact {
    /// The session exists; offers may follow.
    SessionOpened {
        /// Which.
        session: SessionId,
        /// Its participant as others will see it.
        participant: Box<ParticipantRecord>,
        /// Everybody else in the room, on all nodes.
        others: Vec<ParticipantRecord>,
    },
    /// The session is over or could not be opened.
    SessionEnded {
        /// Which.
        session: SessionId,
        /// Why.
        cause: EndCause,
    },
    /// The answer to an offer.
    OfferAnswered {
        /// Whose.
        session: SessionId,
        /// Number of the offer.
        offer_id: u32,
        /// The answer; all candidates are in it.
        sdp: String,
        /// Every section that carries a track to the client: (mid, track). Always complete.
        sections: Vec<(String, TrackSid)>,
    },
    /// The offer cannot be used; the session stays as it was.
    OfferRejected {
        /// Whose.
        session: SessionId,
        /// Number of the offer.
        offer_id: u32,
        /// What is wrong, for people.
        reason: String,
    },
    /// The client should offer again, with this many more receiving sections (0 and 0: offer as it is).
    /// States all that is missing, and is stated anew after every answer that leaves something missing.
    SectionsRequired {
        /// Whose.
        session: SessionId,
        /// More audio sections.
        audios: u32,
        /// More video sections.
        videos: u32,
    },
    /// Keys are agreed and media can flow.
    TransportConnected {
        /// Whose.
        session: SessionId,
    },
    /// The announced track is known; the record is final but for the codec.
    TrackAnnounced {
        /// The publisher.
        session: SessionId,
        /// The client's own id of it.
        cid: String,
        /// The track.
        track: Box<TrackRecord>,
    },
    /// A track's media has ended (its section went away).
    TrackUnpublished {
        /// The publisher.
        session: SessionId,
        /// The track.
        track: TrackSid,
    },
    /// A message from a client, unstamped: signalling checks, stamps and sends it on with `SendData`.
    DataReceived {
        /// The sender.
        session: SessionId,
        /// On which kind of channel it came.
        reliable: bool,
        /// The client's bytes.
        payload: Vec<u8>,
    },
    /// A change in a room, once per room for all sessions of the receiving signalling in it.
    RoomChanged {
        /// Which room.
        room: RoomName,
        /// What.
        change: RoomChange,
    },
    /// The announced track may not be published; nothing is known of it.
    TrackRefused {
        /// The publisher.
        session: SessionId,
        /// The client's own id of it.
        cid: String,
        /// Why, for people.
        reason: String,
    },
    /// Pictures are not sent to a viewer any more, or again, for want of room on its path.
    PicturesPaused {
        /// The viewer.
        session: SessionId,
        /// Only what has changed.
        pictures: Vec<PictureState>,
    },
    /// Which layers of a track anybody on any node watches has changed: others need not be encoded.
    LayersWanted {
        /// The publisher.
        session: SessionId,
        /// Its track.
        track: TrackSid,
        /// What it is published in.
        codec: Codec,
        /// The layers, each by itself.
        layers: LayerSet,
    },
    /// Somebody on any node receives a track for the first time.
    TrackSubscribed {
        /// The publisher.
        session: SessionId,
        /// Its track.
        track: TrackSid,
    },
    /// The bridge offers; the next offer comes after the answer to this one.
    OfferMade {
        /// To whom.
        session: SessionId,
        /// Number of the offer.
        offer_id: u32,
        /// The offer; all candidates are in it.
        sdp: String,
        /// Every section that carries a track to the client: (mid, track). Always complete.
        sections: Vec<(String, TrackSid)>,
    },
    /// As `RoomChanged`, for the sessions of a room whose media is on another node, as that node tells it. From a node to its
    /// own signalling, never on a link.
    RoomChangedElsewhere {
        /// The node.
        node: NodeId,
        /// Which room.
        room: RoomName,
        /// What.
        change: RoomChange,
    },
}

/// Whether a viewer gets a picture.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct PictureState {
    /// Who publishes it.
    pub participant: ParticipantSid,
    /// The track.
    pub track: TrackSid,
    /// Not sent for want of room.
    pub paused: bool,
}

impl SessionCommand {
    /// The session the command is for.
    #[must_use]
    pub const fn session(&self) -> SessionId {
        match self {
            Self::OpenSession(open) | Self::OpenElsewhere { open, .. } => open.session,
            Self::ApplyOffer { session, .. }
            | Self::AddCandidate { session, .. }
            | Self::AnnounceTrack { session, .. }
            | Self::SetTrackMuted { session, .. }
            | Self::UpdateParticipant { session, .. }
            | Self::SetSubscription { session, .. }
            | Self::SetTrackWish { session, .. }
            | Self::SendData { session, .. }
            | Self::CloseSession { session, .. }
            | Self::SetAudience { session, .. }
            | Self::SendReliable { session, .. }
            | Self::ReplayData { session, .. }
            | Self::OfferToClient { session }
            | Self::ApplyAnswer { session, .. } => *session,
        }
    }
}

impl SessionFact {
    /// The session the fact is about; none where it is about a room.
    #[must_use]
    pub const fn session(&self) -> Option<SessionId> {
        match self {
            Self::SessionOpened { session, .. }
            | Self::SessionEnded { session, .. }
            | Self::OfferAnswered { session, .. }
            | Self::OfferRejected { session, .. }
            | Self::SectionsRequired { session, .. }
            | Self::TransportConnected { session }
            | Self::TrackAnnounced { session, .. }
            | Self::TrackUnpublished { session, .. }
            | Self::DataReceived { session, .. }
            | Self::TrackRefused { session, .. }
            | Self::PicturesPaused { session, .. }
            | Self::LayersWanted { session, .. }
            | Self::TrackSubscribed { session, .. }
            | Self::OfferMade { session, .. } => Some(*session),
            Self::RoomChanged { .. } | Self::RoomChangedElsewhere { .. } => None,
        }
    }
}
