//! What a client is told.

use super::audience::quality_info;
use super::entry::{JoinReply, join_response};
use super::record::{participant_info, speaker_info, track_info};
use super::request::Unsupported;
use super::resume::{ReconnectReply, reconnect_response};
use bytes::Bytes;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_response::Message;
use relay_proto::id::{Layer, LayerSet, ParticipantSid, TrackSid};
use relay_proto::room::{Codec, ConnectionQuality, LeaveCause, ParticipantRecord, SpeakerLevel, TrackRecord};
use relay_proto::session::PictureState;
use relay_proto::unit::UnixMillis;

/// An answer to an offer, or an offer of ours.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leave {
    /// Why.
    pub reason: LeaveReason,
    /// What to do.
    pub action: LeaveAction,
    /// Nodes that would take the client, best first; empty where it may as well come back here.
    pub next_nodes: Vec<NextNode>,
}

impl Leave {
    /// Without a word on other nodes.
    #[must_use]
    pub const fn of(reason: LeaveReason, action: LeaveAction) -> Self {
        Self {
            reason,
            action,
            next_nodes: Vec::new(),
        }
    }

    /// The order to join anew, on one of these nodes.
    #[must_use]
    pub const fn to(next_nodes: Vec<NextNode>) -> Self {
        Self {
            reason: LeaveReason::ServerShutdown,
            action: LeaveAction::Reconnect,
            next_nodes,
        }
    }
}

/// A node that a client is sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextNode {
    /// Its name.
    pub node: String,
    /// What an SDK connects to.
    pub url: String,
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
    /// It goes on with its session. First of all frames of the new connection.
    Reconnect(Box<ReconnectReply>),
    /// Answer to its offer.
    Answer(Answer),
    /// What it shall receive; it is to answer with the same number.
    Offer(Answer),
    /// Somebody is new or changed.
    Update(Vec<ParticipantRecord>),
    /// Somebody is gone.
    Gone(Box<ParticipantRecord>, LeaveCause),
    /// Somebody is there in the place of somebody of the same identity, in one frame.
    Replaced {
        /// Who is gone.
        gone: Box<ParticipantRecord>,
        /// Who is there.
        participant: Box<ParticipantRecord>,
    },
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
    /// Whether it may receive a track has changed, or is no from the beginning.
    SubscriptionPermission {
        /// Who publishes it.
        participant: ParticipantSid,
        /// The track.
        track: TrackSid,
        /// It may.
        allowed: bool,
    },
    /// How good connections are: only what has changed.
    Qualities(Vec<(ParticipantSid, ConnectionQuality)>),
    /// Somebody receives its track for the first time.
    TrackSubscribed(TrackSid),
    /// The token to come back with.
    RefreshToken(String),
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
        Reply::Reconnect(reply) => Message::Reconnect(reconnect_response(reply)),
        Reply::Answer(answer) => Message::Answer(session_description("answer", answer)),
        Reply::Offer(offer) => Message::Offer(session_description("offer", offer)),
        Reply::Update(records) => update(
            records
                .iter()
                .map(|record| participant_info(record, None))
                .collect(),
        ),
        Reply::Gone(record, cause) => update(vec![participant_info(record, Some(*cause))]),
        Reply::Replaced { gone, participant } => update(vec![
            participant_info(gone, Some(LeaveCause::DuplicateIdentity)),
            participant_info(participant, None),
        ]),
        Reply::TrackPublished { cid, track } => Message::TrackPublished(proto::TrackPublishedResponse {
            cid: cid.clone(),
            track: Some(track_info(track)),
        }),
        Reply::Leave(leave) => Message::Leave(leave_request(leave)),
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
        Reply::SubscriptionPermission {
            participant,
            track,
            allowed,
        } => Message::SubscriptionPermissionUpdate(proto::SubscriptionPermissionUpdate {
            participant_sid: participant.0.clone(),
            track_sid: track.0.clone(),
            allowed: *allowed,
        }),
        Reply::Qualities(qualities) => Message::ConnectionQuality(proto::ConnectionQualityUpdate {
            updates: qualities
                .iter()
                .map(|(participant, quality)| quality_info(participant, *quality))
                .collect(),
        }),
        Reply::TrackSubscribed(track) => Message::TrackSubscribed(proto::TrackSubscribed {
            track_sid: track.0.clone(),
        }),
        Reply::RefreshToken(token) => Message::RefreshToken(token.clone()),
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

pub(super) fn millis(at: UnixMillis) -> i64 {
    i64::try_from(at.0).unwrap_or(i64::MAX)
}

const fn update(participants: Vec<proto::ParticipantInfo>) -> Message {
    Message::Update(proto::ParticipantUpdate { participants })
}

fn session_description(kind: &str, answer: &Answer) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: kind.to_owned(),
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

fn leave_request(leave: &Leave) -> proto::LeaveRequest {
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
        regions: regions_of(&leave.next_nodes),
    }
}

/// Nodes in the words of the protocol, whose regions have no order but that of the list.
fn regions_of(nodes: &[NextNode]) -> Option<proto::RegionSettings> {
    let region = |node: &NextNode| proto::RegionInfo {
        region: node.node.clone(),
        url: node.url.clone(),
        distance: 0,
    };
    (!nodes.is_empty()).then(|| proto::RegionSettings {
        regions: nodes.iter().map(region).collect(),
    })
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
