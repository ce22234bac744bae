//! Requests of a connected client.

use super::audience::{AudienceRequest, audience_of};
use super::resume::{SyncState, sync_state_of};
use super::simulate::{Scenario, scenario_of};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message;
use relay_proto::id::{Layer, MAX_LAYERS, ParticipantSid, TrackSid};
use relay_proto::room::{ClientTrackFacts, Codec, LayerRecord, MediaKind, TrackSource};
use relay_proto::unit::Bitrate;
use thiserror::Error;

/// A session description of the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its number; the answer carries the same.
    pub id: u32,
    /// The description.
    pub sdp: String,
}

/// A track that a client wants to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackRequest {
    /// The client's own id of it.
    pub cid: String,
    /// Sound or pictures; none for anything else.
    pub kind: Option<MediaKind>,
    /// What it shows.
    pub source: TrackSource,
    /// Name for other clients.
    pub name: String,
    /// Group for lip sync.
    pub stream: String,
    /// Whether it starts muted.
    pub muted: bool,
    /// Width in pixels of the largest layer.
    pub width: u32,
    /// Height in pixels of the largest layer.
    pub height: u32,
    /// Layers, smallest first; at most [`MAX_LAYERS`].
    pub layers: Vec<LayerRecord>,
    /// What only clients interpret.
    pub client: ClientTrackFacts,
    /// The codec it wants to publish pictures in; what it offers decides whether it can.
    pub codec: Option<Codec>,
    /// Set when this is a second encoding of a track that exists.
    pub second_encoding_of: Option<TrackSid>,
}

/// How large a viewer shows a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WishedPicture {
    /// Not at all.
    Nothing,
    /// Up to this layer.
    UpTo(Layer),
    /// In this many pixels.
    Pixels {
        /// Width.
        width: u32,
        /// Height.
        height: u32,
    },
}

/// A change of what others see of a participant; empty texts mean "as it is".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetadataChange {
    /// The client's number of the request.
    pub request_id: u32,
    /// New name.
    pub name: String,
    /// New metadata.
    pub metadata: String,
    /// Attributes to set; an empty value removes the key.
    pub attributes: Vec<(String, String)>,
}

/// A request that is understood but not served. The name stands in the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsupported {
    /// What the client waits for: its own number of the request; 0 where the protocol has none.
    pub request_id: u32,
    /// What was asked for, for people.
    pub what: &'static str,
    /// The request, for clients that find their call by it.
    pub(super) echo: Option<proto::request_response::Request>,
}

/// A request of a connected client.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A new description of its sections.
    Offer(Offer),
    /// Its answer to an offer of ours.
    Answer(Offer),
    /// One of its addresses.
    Candidate(String),
    /// A track it wants to publish.
    AddTrack(Box<TrackRequest>),
    /// A change of one of its tracks.
    Mute {
        /// Which.
        track: TrackSid,
        /// New state.
        muted: bool,
    },
    /// What it wants to receive.
    Subscription {
        /// Tracks.
        tracks: Vec<TrackSid>,
        /// Tracks with the participant they belong to.
        of_participants: Vec<(ParticipantSid, Vec<TrackSid>)>,
        /// Wanted or not.
        wanted: bool,
    },
    /// How it shows what it receives.
    TrackSetting {
        /// Tracks.
        tracks: Vec<TrackSid>,
        /// How large.
        picture: WishedPicture,
    },
    /// It goes.
    Leave,
    /// A sign of life of old clients.
    Ping,
    /// A sign of life that is answered with the time.
    PingWithTime {
        /// The client's clock, milliseconds.
        sent_ms: i64,
    },
    /// A change of what others see of it.
    UpdateMetadata(Box<MetadataChange>),
    /// Who may receive its tracks.
    SubscriptionPermission(Box<AudienceRequest>),
    /// What it believes of its session, after a resume.
    SyncState(Box<SyncState>),
    /// A fault it wants to be shown; served where the node is told to.
    Simulate(Scenario),
    /// Understood, not served, and the client may be waiting.
    Unsupported(Box<Unsupported>),
    /// Needs no answer: cosmetic, a test aid, or of a newer client.
    Ignored,
}

/// A frame that is no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the frame is not a valid request")]
pub struct MalformedFrame;

/// Reads one frame. Cost: linear in its length.
///
/// # Errors
/// [`MalformedFrame`] when the bytes are not the protobuf message. Unknown variants are [`Request::Ignored`].
pub fn decode_request(frame: &[u8]) -> Result<Request, MalformedFrame> {
    let request = proto::SignalRequest::decode(frame).map_err(|_| MalformedFrame)?;
    Ok(request.message.map_or(Request::Ignored, request_of))
}

fn request_of(message: Message) -> Request {
    match message {
        Message::Offer(offer) => Request::Offer(offer_of(offer)),
        Message::Answer(answer) => Request::Answer(offer_of(answer)),
        Message::Trickle(trickle) => candidate_of(&trickle),
        Message::AddTrack(track) => Request::AddTrack(Box::new(track_request_of(track))),
        Message::Mute(mute) => Request::Mute {
            track: TrackSid(mute.sid),
            muted: mute.muted,
        },
        Message::Subscription(subscription) => subscription_of(subscription),
        Message::TrackSetting(setting) => track_setting_of(setting),
        Message::Leave(_) => Request::Leave,
        Message::Ping(_) => Request::Ping,
        Message::PingReq(ping) => Request::PingWithTime {
            sent_ms: ping.timestamp,
        },
        Message::UpdateMetadata(update) => update_metadata_of(update),
        Message::SubscriptionPermission(permission) => {
            Request::SubscriptionPermission(Box::new(audience_of(permission)))
        }
        Message::SyncState(state) => Request::SyncState(Box::new(sync_state_of(state))),
        Message::Simulate(wanted) => wanted.scenario.map_or(Request::Ignored, |scenario| {
            Request::Simulate(scenario_of(scenario))
        }),
        other => without_service(other),
    }
}

/// Requests that are not served: those a client waits for are told apart from those it does not.
fn without_service(message: Message) -> Request {
    use proto::request_response::Request as Echo;
    let (request_id, what, echo) = match message {
        Message::PublishDataTrackRequest(request) => {
            (0, "publishing data tracks", Some(Echo::PublishDataTrack(request)))
        }
        Message::UnpublishDataTrackRequest(request) => (
            0,
            "unpublishing data tracks",
            Some(Echo::UnpublishDataTrack(request)),
        ),
        Message::UpdateDataSubscription(_) => (0, "subscribing to data tracks", None),
        Message::StoreDataBlobRequest(request) => (request.request_id, "storing data", None),
        Message::GetDataBlobRequest(request) => (request.request_id, "reading stored data", None),
        _ => return Request::Ignored,
    };
    Request::Unsupported(Box::new(Unsupported {
        request_id,
        what,
        echo,
    }))
}

pub(super) fn offer_of(offer: proto::SessionDescription) -> Offer {
    Offer {
        id: offer.id,
        sdp: offer.sdp,
    }
}

/// The candidate line of the JSON text that browsers trickle; the empty end mark needs no command.
fn candidate_of(trickle: &proto::TrickleRequest) -> Request {
    serde_json::from_str::<serde_json::Value>(&trickle.candidate_init)
        .ok()
        .and_then(|init| Some(init.get("candidate")?.as_str()?.to_owned()))
        .filter(|candidate| !candidate.is_empty())
        .map_or(Request::Ignored, Request::Candidate)
}

fn subscription_of(subscription: proto::UpdateSubscription) -> Request {
    Request::Subscription {
        tracks: subscription.track_sids.into_iter().map(TrackSid).collect(),
        of_participants: subscription
            .participant_tracks
            .into_iter()
            .map(|of| {
                let tracks = of.track_sids.into_iter().map(TrackSid).collect();
                (ParticipantSid(of.participant_sid), tracks)
            })
            .collect(),
        wanted: subscription.subscribe,
    }
}

fn track_setting_of(setting: proto::UpdateTrackSettings) -> Request {
    let picture = match proto::VideoQuality::try_from(setting.quality) {
        _ if setting.disabled => WishedPicture::Nothing,
        // Adaptive clients send pixels, and then the quality field is only its default.
        _ if setting.width > 0 && setting.height > 0 => WishedPicture::Pixels {
            width: setting.width,
            height: setting.height,
        },
        Ok(proto::VideoQuality::Off) => WishedPicture::Nothing,
        Ok(proto::VideoQuality::Low) => WishedPicture::UpTo(Layer(0)),
        Ok(proto::VideoQuality::Medium) => WishedPicture::UpTo(Layer(1)),
        Ok(proto::VideoQuality::High) | Err(_) => WishedPicture::UpTo(Layer(2)),
    };
    Request::TrackSetting {
        tracks: setting.track_sids.into_iter().map(TrackSid).collect(),
        picture,
    }
}

fn update_metadata_of(update: proto::UpdateParticipantMetadata) -> Request {
    let mut attributes: Vec<(String, String)> = update.attributes.into_iter().collect();
    attributes.sort();
    Request::UpdateMetadata(Box::new(MetadataChange {
        request_id: update.request_id,
        name: update.name,
        metadata: update.metadata,
        attributes,
    }))
}

#[expect(deprecated, reason = "older clients say stereo and DTX in these fields only")]
pub(super) fn track_request_of(request: proto::AddTrackRequest) -> TrackRequest {
    use proto::AudioTrackFeature::{TfNoDtx, TfStereo};
    let kind = match proto::TrackType::try_from(request.r#type) {
        Ok(proto::TrackType::Audio) => Some(MediaKind::Audio),
        Ok(proto::TrackType::Video) => Some(MediaKind::Video),
        Ok(proto::TrackType::Data) | Err(_) => None,
    };
    let has = |feature: proto::AudioTrackFeature| request.audio_features.contains(&(feature as i32));
    TrackRequest {
        cid: request.cid,
        kind,
        source: source_of(request.source),
        name: request.name,
        stream: request.stream,
        muted: request.muted,
        width: request.width,
        height: request.height,
        layers: layers_of(kind, request.layers, &request.simulcast_codecs),
        client: ClientTrackFacts {
            stereo: request.stereo || has(TfStereo),
            dtx_disabled: request.disable_dtx || has(TfNoDtx),
            red_disabled: request.disable_red,
            encryption: u8::try_from(request.encryption).unwrap_or_default(),
            audio_features: request
                .audio_features
                .into_iter()
                .take(MAX_AUDIO_FEATURES)
                .collect(),
        },
        codec: request
            .simulcast_codecs
            .first()
            .and_then(|wish| codec_of(&wish.codec)),
        second_encoding_of: Some(request.sid).filter(|sid| !sid.is_empty()).map(TrackSid),
    }
}

/// The codec a client names, with or without its kind (`vp9`, `video/VP9`).
fn codec_of(name: &str) -> Option<Codec> {
    let name = name.rsplit('/').next().unwrap_or_default();
    [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Av1]
        .into_iter()
        .find(|codec| {
            codec
                .mime()
                .rsplit('/')
                .next()
                .is_some_and(|known| known.eq_ignore_ascii_case(name))
        })
}

/// Audio features a client may list.
const MAX_AUDIO_FEATURES: usize = 32;

pub(super) fn source_of(source: i32) -> TrackSource {
    match proto::TrackSource::try_from(source) {
        Ok(proto::TrackSource::Camera) => TrackSource::Camera,
        Ok(proto::TrackSource::Microphone) => TrackSource::Microphone,
        Ok(proto::TrackSource::ScreenShare) => TrackSource::ScreenShare,
        Ok(proto::TrackSource::ScreenShareAudio) => TrackSource::ScreenShareAudio,
        Ok(proto::TrackSource::Unknown) | Err(_) => TrackSource::Unknown,
    }
}

/// Layers in order of quality, numbered from 0: clients name simulcast streams in the same order, and the single layer
/// of a track without simulcast, whatever its quality, is layer 0.
fn layers_of(
    kind: Option<MediaKind>,
    mut layers: Vec<proto::VideoLayer>,
    codecs: &[proto::SimulcastCodec],
) -> Vec<LayerRecord> {
    if kind != Some(MediaKind::Video) {
        return Vec::new();
    }
    // Newer clients say the layers with the codec; the first codec is the track's own.
    if let (true, Some(first)) = (layers.is_empty(), codecs.first()) {
        layers = first.layers.clone();
    }
    layers.sort_by_key(|layer| (layer.quality, layer.width));
    layers.dedup_by_key(|layer| layer.quality);
    (0_u8..)
        .zip(layers.into_iter().take(MAX_LAYERS))
        .map(|(number, layer)| LayerRecord {
            layer: Layer(number),
            width: layer.width,
            height: layer.height,
            bitrate: Bitrate(u64::from(layer.bitrate)),
        })
        .collect()
}
