//! What client and server say, in our own words, and its form on the wire (crate `livekit-protocol`).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as ToServer;
use proto::signal_response::Message as ToClient;

use super::SignallingError;
use crate::client::Source;

/// Version of the protocol we state; 17 is the newest without pre-negotiated data channels.
const PROTOCOL: i32 = 17;
/// Participants and tracks taken from one message.
const MOST_ENTRIES: usize = 20_000;

/// A client's first words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// Number of the offer.
    pub offer_id: u32,
    /// The offer.
    pub sdp: String,
    /// Tracks announced at once.
    pub tracks: Vec<PublishedTrack>,
    /// Whether we go where the server sends us.
    pub follows: bool,
}

/// A track we publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedTrack {
    /// Our id of it, which the offer repeats.
    pub cid: String,
    /// What it is.
    pub source: Source,
    /// Size and name of each layer, smallest first; empty for sound.
    pub layers: Vec<Picture>,
}

/// A size in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
}

/// What a client says later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// A new offer.
    Offer {
        /// Its number.
        id: u32,
        /// Its text.
        sdp: String,
    },
    /// A track it wants to publish.
    AddTrack(PublishedTrack),
    /// It falls silent or speaks again.
    Mute {
        /// The server's id of the track.
        sid: String,
        /// New state.
        muted: bool,
    },
    /// How large it shows tracks; without a size not at all.
    TrackSetting {
        /// The server's ids.
        sids: Vec<String>,
        /// How large.
        picture: Option<Picture>,
    },
    /// It goes.
    Leave,
}

/// A track of somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Track {
    /// The server's id.
    pub sid: String,
    /// What it is; `None` for something else.
    pub source: Option<Source>,
}

/// Somebody in the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Participant {
    /// The server's id.
    pub sid: String,
    /// Who it is.
    pub identity: String,
    /// Has left.
    pub gone: bool,
    /// Published tracks.
    pub tracks: Vec<Track>,
}

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// We are in.
    Joined {
        /// Our own id.
        sid: String,
        /// Who else is there.
        others: Vec<Participant>,
        /// Name and version of the server.
        server: String,
        /// Where it is, if it says so.
        region: String,
    },
    /// Answer to an offer.
    Answer {
        /// Number of the offer.
        id: u32,
        /// Its text.
        sdp: String,
        /// Server's id of the track in each section.
        tracks: BTreeMap<String, String>,
    },
    /// Our track has an id.
    TrackPublished {
        /// Our own id of it.
        cid: String,
        /// The server's.
        sid: String,
    },
    /// Somebody came, went or changed.
    Participants(Vec<Participant>),
    /// A new offer with so many more sections is wanted.
    MediaSectionsRequired {
        /// For sound.
        audios: usize,
        /// For pictures.
        videos: usize,
    },
    /// The server sends us away.
    Left {
        /// Its reason, as the protocol's number.
        reason: i32,
        /// Whether to come back.
        reconnect: bool,
        /// To which of its nodes, best first; empty where it does not say.
        next: Vec<String>,
    },
    /// It is over.
    Closed(SignallingError),
}

/// A message that is more about the connection than about the room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    Event(Event),
    /// How often to ping and how long to wait, in seconds.
    Joined {
        event: Event,
        ping_interval_s: u64,
        ping_timeout_s: u64,
    },
    /// Nothing for us.
    Nothing,
}

/// The `join_request` parameter.
pub(super) fn write_join(join: Join) -> String {
    write_parameter(&proto::JoinRequest {
        add_track_requests: join.tracks.into_iter().map(write_track).collect(),
        publisher_offer: Some(write_offer(join.offer_id, join.sdp)),
        ..about_us()
    })
}

/// The same of somebody who has nothing to send, to ask whether it would be let in.
pub(super) fn write_inquiry() -> String {
    write_parameter(&about_us())
}

fn about_us() -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            sdk: proto::client_info::Sdk::Rust as i32,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol: PROTOCOL,
            ..Default::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: true,
            adaptive_stream: true,
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn write_parameter(request: &proto::JoinRequest) -> String {
    let wrapped = proto::WrappedJoinRequest {
        compression: proto::wrapped_join_request::Compression::None as i32,
        join_request: request.encode_to_vec(),
    };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

pub(super) fn write_request(request: Request) -> Vec<u8> {
    let message = match request {
        Request::Offer { id, sdp } => ToServer::Offer(write_offer(id, sdp)),
        Request::AddTrack(track) => ToServer::AddTrack(write_track(track)),
        Request::Mute { sid, muted } => ToServer::Mute(proto::MuteTrackRequest { sid, muted }),
        Request::TrackSetting { sids, picture } => ToServer::TrackSetting(proto::UpdateTrackSettings {
            track_sids: sids,
            disabled: picture.is_none(),
            width: picture.map_or(0, |picture| picture.width),
            height: picture.map_or(0, |picture| picture.height),
            ..Default::default()
        }),
        Request::Leave => ToServer::Leave(proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            ..Default::default()
        }),
    };
    wrap(message)
}

pub(super) fn write_ping(now_ms: i64) -> Vec<u8> {
    wrap(ToServer::PingReq(proto::Ping {
        timestamp: now_ms,
        rtt: 0,
    }))
}

fn wrap(message: ToServer) -> Vec<u8> {
    let request = proto::SignalRequest {
        message: Some(message),
    };
    request.encode_to_vec()
}

fn write_offer(id: u32, sdp: String) -> proto::SessionDescription {
    proto::SessionDescription {
        r#type: "offer".to_owned(),
        sdp,
        id,
        ..Default::default()
    }
}

fn write_track(track: PublishedTrack) -> proto::AddTrackRequest {
    let (kind, source, stream) = match track.source {
        Source::Audio => (proto::TrackType::Audio, proto::TrackSource::Microphone, "camera"),
        Source::Camera => (proto::TrackType::Video, proto::TrackSource::Camera, "camera"),
        Source::Screen => (proto::TrackType::Video, proto::TrackSource::ScreenShare, "screen"),
    };
    let layers = &track.layers;
    let rids = crate::client::RIDS;
    // Qualities count from the largest layer down: two layers are medium and high, one is high.
    let layer = |(at, picture): (usize, &Picture)| proto::VideoLayer {
        quality: (at + 3 - layers.len().min(3)).min(2) as i32,
        width: picture.width,
        height: picture.height,
        spatial_layer: at as i32,
        rid: rids.get(at).map_or("", |rid| rid).to_owned(),
        ..Default::default()
    };
    let largest = layers.last();
    proto::AddTrackRequest {
        name: stream.to_owned(),
        r#type: kind as i32,
        source: source as i32,
        stream: stream.to_owned(),
        width: largest.map_or(0, |picture| picture.width),
        height: largest.map_or(0, |picture| picture.height),
        layers: layers.iter().enumerate().map(layer).collect(),
        disable_red: false,
        cid: track.cid,
        ..Default::default()
    }
}

/// Reads one message; unknown kinds are nothing.
pub(super) fn read(bytes: &[u8]) -> Result<Heard, SignallingError> {
    let response = proto::SignalResponse::decode(bytes)
        .map_err(|_| SignallingError::Protocol("a message is no protobuf of it".to_owned()))?;
    let event = match response.message {
        Some(ToClient::Join(join)) => return Ok(read_join(join)),
        Some(ToClient::Answer(answer)) => Event::Answer {
            id: answer.id,
            sdp: answer.sdp,
            tracks: answer.mid_to_track_id.into_iter().collect(),
        },
        Some(ToClient::TrackPublished(published)) => Event::TrackPublished {
            cid: published.cid,
            sid: published.track.unwrap_or_default().sid,
        },
        Some(ToClient::Update(update)) => Event::Participants(read_participants(update.participants)),
        Some(ToClient::MediaSectionsRequirement(required)) => Event::MediaSectionsRequired {
            audios: required.num_audios as usize,
            videos: required.num_videos as usize,
        },
        Some(ToClient::Leave(leave)) => Event::Left {
            reason: leave.reason,
            reconnect: leave.action != proto::leave_request::Action::Disconnect as i32,
            next: leave
                .regions
                .map(|list| list.regions.into_iter().map(|region| region.region).collect())
                .unwrap_or_default(),
        },
        _ => return Ok(Heard::Nothing),
    };
    Ok(Heard::Event(event))
}

fn read_join(join: proto::JoinResponse) -> Heard {
    let info = join.server_info.unwrap_or_default();
    let event = Event::Joined {
        sid: join.participant.unwrap_or_default().sid,
        others: read_participants(join.other_participants),
        server: info.version,
        region: info.region,
    };
    Heard::Joined {
        event,
        ping_interval_s: u64::try_from(join.ping_interval).unwrap_or(0),
        ping_timeout_s: u64::try_from(join.ping_timeout).unwrap_or(0),
    }
}

fn read_participants(participants: Vec<proto::ParticipantInfo>) -> Vec<Participant> {
    let source = |number| match proto::TrackSource::try_from(number) {
        Ok(proto::TrackSource::Microphone) => Some(Source::Audio),
        Ok(proto::TrackSource::Camera) => Some(Source::Camera),
        Ok(proto::TrackSource::ScreenShare) => Some(Source::Screen),
        _ => None,
    };
    let read = |participant: proto::ParticipantInfo| Participant {
        gone: participant.state == proto::participant_info::State::Disconnected as i32,
        tracks: participant
            .tracks
            .into_iter()
            .take(MOST_ENTRIES)
            .map(|track| Track {
                source: source(track.source),
                sid: track.sid,
            })
            .collect(),
        sid: participant.sid,
        identity: participant.identity,
    };
    participants.into_iter().take(MOST_ENTRIES).map(read).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_words_hold_offer_and_tracks() {
        let join = Join {
            offer_id: 1,
            sdp: "v=0".to_owned(),
            tracks: vec![PublishedTrack {
                cid: "cam".to_owned(),
                source: Source::Camera,
                layers: vec![
                    Picture {
                        width: 640,
                        height: 360,
                    },
                    Picture {
                        width: 1_280,
                        height: 720,
                    },
                ],
            }],
            follows: false,
        };
        let bytes = URL_SAFE_NO_PAD.decode(write_join(join)).unwrap();
        let wrapped = proto::WrappedJoinRequest::decode(bytes.as_slice()).unwrap();
        let request = proto::JoinRequest::decode(wrapped.join_request.as_slice()).unwrap();
        let offer = request.publisher_offer.unwrap();
        assert_eq!((offer.id, offer.sdp.as_str()), (1, "v=0"));
        let track = &request.add_track_requests[0];
        assert_eq!((track.width, track.height), (1_280, 720));
        let layers: Vec<(i32, &str)> = track
            .layers
            .iter()
            .map(|layer| (layer.quality, layer.rid.as_str()))
            .collect();
        assert_eq!(layers, [(1, "q"), (2, "h")]);
    }

    #[test]
    fn who_is_there_is_read() {
        let camera = proto::TrackInfo {
            sid: "TR_1".to_owned(),
            source: proto::TrackSource::Camera as i32,
            ..Default::default()
        };
        let other = proto::ParticipantInfo {
            sid: "PA_1".to_owned(),
            identity: "p1".to_owned(),
            tracks: vec![camera],
            state: proto::participant_info::State::Active as i32,
            ..Default::default()
        };
        let join = proto::JoinResponse {
            other_participants: vec![other],
            ping_interval: 5,
            ping_timeout: 15,
            ..Default::default()
        };
        let response = proto::SignalResponse {
            message: Some(ToClient::Join(join)),
        };
        let Heard::Joined {
            event: Event::Joined { others, .. },
            ping_interval_s,
            ping_timeout_s,
        } = read(&response.encode_to_vec()).unwrap()
        else {
            panic!("joined");
        };
        assert_eq!((ping_interval_s, ping_timeout_s), (5, 15));
        assert_eq!(others[0].tracks[0].source, Some(Source::Camera));
        assert!(!others[0].gone);
    }

    proptest! {
        #[test]
        fn garbage_is_never_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&bytes);
        }
    }
}
