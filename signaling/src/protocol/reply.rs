//! What a client is told.

use super::record::{participant_info, speaker_info, track_info};
use super::request::Unsupported;
use super::{PROTOCOL, PUBLISH_CODECS, SERVER_VERSION};
use crate::limits::{PING_INTERVAL_S, PING_TIMEOUT_S};
use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message;
use relay_proto::id::{Layer, LayerSet, TrackSid};
use relay_proto::room::{Codec, LeaveCause, ParticipantRecord, SpeakerLevel, TrackRecord};
use relay_proto::session::PictureState;
use relay_proto::unit::UnixMillis;

/// Everything a client learns when it joins.
#[derive(Clone, Debug, PartialEq)]
pub struct JoinReply {
    /// Id of the room.
    pub room_sid: String,
    /// Name of the room.
    pub room_name: String,
    /// When the first of those who are there came.
    pub room_since: UnixMillis,
    /// The client itself.
    pub participant: ParticipantRecord,
    /// Everybody else it may see.
    pub others: Vec<ParticipantRecord>,
    /// Region label of the node.
    pub region: String,
    /// Name of the node.
    pub node: String,
    /// The software, for people.
    pub software: String,
}

/// An answer to an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Number of the offer.
    pub offer_id: u32,
    /// The description.
    pub sdp: String,
    /// Every section that carries a track to the client. Complete: clients replace what they had.
    pub sections: Vec<(String, TrackSid)>,
}

/// What the client is to do once the session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveAction {
    /// Stop.
    Disconnect,
    /// Join anew.
    Reconnect,
}

/// Why the session is over, as the client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaveReason {
    /// It asked for it.
    ClientInitiated,
    /// Its connection is lost.
    ConnectionTimeout,
    /// Somebody joined with the same identity.
    DuplicateIdentity,
    /// It could not be let in.
    JoinFailure,
    /// Its media cannot be used.
    MediaFailure,
    /// It was removed.
    ParticipantRemoved,
    /// The node stops.
    ServerShutdown,
    /// What it believes of the session is not so.
    StateMismatch,
}

/// The last message of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Why.
    pub reason: LeaveReason,
    /// What to do.
    pub action: LeaveAction,
}

/// Why a request is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It was not refused.
    None,
    /// The participant may not do that.
    NotAllowed,
    /// A limit is reached.
    LimitExceeded,
    /// The node does not do that.
    Unsupported,
    /// It makes no sense.
    InvalidRequest,
}

/// What a client is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    /// It is in the room. First of all frames.
    Join(Box<JoinReply>),
    /// Answer to its offer.
    Answer(Answer),
    /// Somebody is new or changed.
    Update(Vec<ParticipantRecord>),
    /// Somebody is gone.
    Gone(Box<ParticipantRecord>, LeaveCause),
    /// Its track is announced.
    TrackPublished {
        /// Its own id of the track.
        cid: String,
        /// The track.
        track: Box<TrackRecord>,
    },
    /// The session is over.
    Leave(Leave),
    /// Answer to the old ping.
    Pong {
        /// The node's clock.
        at: UnixMillis,
    },
    /// Answer to the newer ping.
    PongWithTime {
        /// What the client sent.
        sent_ms: i64,
        /// The node's clock.
        at: UnixMillis,
    },
    /// Changed speakers only.
    Speakers(Vec<SpeakerLevel>),
    /// Pictures it does not get any more, or gets again, for want of room on its path.
    PicturesPaused(Vec<PictureState>),
    /// Layers of its track that anybody watches.
    LayersWanted {
        /// The track.
        track: TrackSid,
        /// What it is published in.
        codec: Codec,
        /// The layers.
        layers: LayerSet,
    },
    /// It should offer again with this many more receiving sections.
    SectionsRequired {
        /// More audio sections.
        audios: u32,
        /// More video sections.
        videos: u32,
    },
    /// What became of a request.
    RequestDone {
        /// The client's number of it.
        request_id: u32,
        /// Why not, or that it was done.
        refusal: Refusal,
        /// A sentence for people.
        message: String,
        /// The request, where clients find their call by it.
        about: Option<Box<Unsupported>>,
    },
}

/// The frame of `reply`. Cost: linear in its size.
#[must_use]
pub fn encode(reply: &Reply) -> Bytes {
    let message = match reply {
        Reply::Join(join) => Message::Join(join_response(join)),
        Reply::Answer(answer) => Message::Answer(session_description(answer)),
        Reply::Update(records) => update(
            records
                .iter()
                .map(|record| participant_info(record, None))
                .collect(),
        ),
        Reply::Gone(record, cause) => update(vec![participant_info(record, Some(*cause))]),
        Reply::TrackPublished { cid, track } => Message::TrackPublished(proto::TrackPublishedResponse {
            cid: cid.clone(),
            track: Some(track_info(track)),
        }),
        Reply::Leave(leave) => Message::Leave(leave_request(*leave)),
        Reply::Pong { at } => Message::Pong(millis(*at)),
        Reply::PongWithTime { sent_ms, at } => Message::PongResp(proto::Pong {
            last_ping_timestamp: *sent_ms,
            timestamp: millis(*at),
        }),
        Reply::Speakers(levels) => Message::SpeakersChanged(proto::SpeakersChanged {
            speakers: levels.iter().map(speaker_info).collect(),
        }),
        Reply::PicturesPaused(pictures) => Message::StreamStateUpdate(stream_states(pictures)),
        Reply::LayersWanted { track, codec, layers } => {
            Message::SubscribedQualityUpdate(subscribed_qualities(track, *codec, *layers))
        }
        Reply::SectionsRequired { audios, videos } => {
            Message::MediaSectionsRequirement(proto::MediaSectionsRequirement {
                num_audios: *audios,
                num_videos: *videos,
            })
        }
        Reply::RequestDone {
            request_id,
            refusal,
            message,
            about,
        } => Message::RequestResponse(proto::RequestResponse {
            request_id: *request_id,
            reason: refusal_code(*refusal).into(),
            message: message.clone(),
            request: about.as_ref().and_then(|about| about.echo.clone()),
        }),
    };
    proto::SignalResponse {
        message: Some(message),
    }
    .encode_to_vec()
    .into()
}

fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

const fn update(participants: Vec<proto::ParticipantInfo>) -> Message {
    Message::Update(proto::ParticipantUpdate { participants })
}

fn join_response(join: &JoinReply) -> proto::JoinResponse {
    let codecs = PUBLISH_CODECS.map(|mime| proto::Codec {
        mime: mime.to_owned(),
        fmtp_line: String::new(),
    });
    let since_ms = millis(join.room_since);
    let publishing = |record: &&ParticipantRecord| !record.tracks.is_empty();
    proto::JoinResponse {
        room: Some(proto::Room {
            sid: join.room_sid.clone(),
            name: join.room_name.clone(),
            creation_time: since_ms / 1_000,
            creation_time_ms: since_ms,
            enabled_codecs: codecs.to_vec(),
            num_participants: u32::try_from(join.others.len() + 1).unwrap_or(u32::MAX),
            num_publishers: u32::try_from(join.others.iter().filter(publishing).count()).unwrap_or(u32::MAX),
            ..proto::Room::default()
        }),
        participant: Some(participant_info(&join.participant, None)),
        other_participants: join
            .others
            .iter()
            .map(|record| participant_info(record, None))
            .collect(),
        server_version: SERVER_VERSION.to_owned(),
        server_region: join.region.clone(),
        subscriber_primary: false,
        ping_interval: i32::from(PING_INTERVAL_S),
        ping_timeout: i32::from(PING_TIMEOUT_S),
        server_info: Some(proto::ServerInfo {
            edition: proto::server_info::Edition::Standard.into(),
            version: SERVER_VERSION.to_owned(),
            protocol: PROTOCOL,
            region: join.region.clone(),
            node_id: join.node.clone(),
            debug_info: join.software.clone(),
            agent_protocol: 0,
        }),
        enabled_publish_codecs: codecs.to_vec(),
        fast_publish: true,
        ..proto::JoinResponse::default()
    }
}

fn session_description(answer: &Answer) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: "answer".to_owned(),
        sdp: answer.sdp.clone(),
        id: answer.offer_id,
        mid_to_track_id: answer
            .sections
            .iter()
            .map(|(mid, track)| (mid.clone(), track.0.clone()))
            .collect(),
    }
}

fn stream_states(pictures: &[PictureState]) -> proto::StreamStateUpdate {
    let state = |picture: &PictureState| proto::StreamStateInfo {
        participant_sid: picture.participant.0.clone(),
        track_sid: picture.track.0.clone(),
        state: if picture.paused {
            proto::StreamState::Paused.into()
        } else {
            proto::StreamState::Active.into()
        },
    };
    proto::StreamStateUpdate {
        stream_states: pictures.iter().map(state).collect(),
    }
}

/// Clients of different age read different fields of it: both say the same. A client with a single layer takes that
/// for the smallest.
fn subscribed_qualities(track: &TrackSid, codec: Codec, layers: LayerSet) -> proto::SubscribedQualityUpdate {
    use proto::VideoQuality::{High, Low, Medium};
    let qualities: Vec<proto::SubscribedQuality> = (0..)
        .map(Layer)
        .zip([Low, Medium, High])
        .map(|(layer, quality)| proto::SubscribedQuality {
            quality: quality.into(),
            enabled: layers.contains(layer),
        })
        .collect();
    let (_, name) = codec.mime().split_once('/').unwrap_or_default();
    proto::SubscribedQualityUpdate {
        track_sid: track.0.clone(),
        subscribed_codecs: vec![proto::SubscribedCodec {
            codec: name.to_lowercase(),
            qualities: qualities.clone(),
        }],
        #[expect(deprecated, reason = "older clients read nothing else")]
        subscribed_qualities: qualities,
    }
}

const fn leave_request(leave: Leave) -> proto::LeaveRequest {
    let (action, can_reconnect) = match leave.action {
        LeaveAction::Disconnect => (proto::leave_request::Action::Disconnect, false),
        LeaveAction::Reconnect => (proto::leave_request::Action::Reconnect, true),
    };
    let reason = match leave.reason {
        LeaveReason::ClientInitiated => proto::DisconnectReason::ClientInitiated,
        LeaveReason::ConnectionTimeout => proto::DisconnectReason::ConnectionTimeout,
        LeaveReason::DuplicateIdentity => proto::DisconnectReason::DuplicateIdentity,
        LeaveReason::JoinFailure => proto::DisconnectReason::JoinFailure,
        LeaveReason::MediaFailure => proto::DisconnectReason::MediaFailure,
        LeaveReason::ParticipantRemoved => proto::DisconnectReason::ParticipantRemoved,
        LeaveReason::ServerShutdown => proto::DisconnectReason::ServerShutdown,
        LeaveReason::StateMismatch => proto::DisconnectReason::StateMismatch,
    };
    proto::LeaveRequest {
        can_reconnect,
        reason: reason as i32,
        action: action as i32,
        regions: None,
    }
}

const fn refusal_code(refusal: Refusal) -> proto::request_response::Reason {
    match refusal {
        Refusal::None => proto::request_response::Reason::Ok,
        Refusal::NotAllowed => proto::request_response::Reason::NotAllowed,
        Refusal::LimitExceeded => proto::request_response::Reason::LimitExceeded,
        Refusal::Unsupported => proto::request_response::Reason::UnsupportedType,
        Refusal::InvalidRequest => proto::request_response::Reason::InvalidRequest,
    }
}
