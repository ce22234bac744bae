//! The only tests that know the protobuf messages; what other tests need of them is exported here.

mod data;
mod joining;
mod random;
mod replies;
mod requests;
mod resuming;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{URL_SAFE, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use livekit_protocol as proto;
use proptest::prelude::*;
use prost::Message as _;
use proto::signal_request::Message as Asked;
use proto::signal_response::Message as Told;
use relay_proto::id::{Identity, Layer, NodeId, ParticipantSid, TrackAlias, TrackSid};
use relay_proto::room::{
    ClientTrackFacts, Codec, LayerRecord, LeaveCause, MediaKind, ParticipantRecord, ParticipantState,
    Permission, SpeakerLevel, TrackRecord, TrackSource,
};
use relay_proto::unit::{AudioLevel, Bitrate, UnixMillis};
use std::io::Write as _;

const LIMIT: usize = 1024 * 1024;

/// The frame of a request.
pub(crate) fn frame(message: Asked) -> Vec<u8> {
    proto::SignalRequest {
        message: Some(message),
    }
    .encode_to_vec()
}

/// What a frame of the server says.
pub(crate) fn told(frame: &[u8]) -> Told {
    proto::SignalResponse::decode(frame).unwrap().message.unwrap()
}

/// A `join_request` parameter.
pub(crate) fn packed(request: &proto::JoinRequest, gzip: bool) -> String {
    let bytes = request.encode_to_vec();
    let (compression, join_request) = if gzip {
        (proto::wrapped_join_request::Compression::Gzip, zipped(&bytes))
    } else {
        (proto::wrapped_join_request::Compression::None, bytes)
    };
    let wrapped = proto::WrappedJoinRequest {
        compression: compression.into(),
        join_request,
    };
    URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec())
}

pub(crate) fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// The join request of an ordinary client.
pub(crate) fn join_request(offer: Option<(u32, &str)>) -> proto::JoinRequest {
    proto::JoinRequest {
        client_info: Some(proto::ClientInfo {
            protocol: 17,
            client_protocol: 2,
            version: "2.23.0".to_owned(),
            capabilities: vec![1, 7],
            ..proto::ClientInfo::default()
        }),
        connection_settings: Some(proto::ConnectionSettings {
            auto_subscribe: true,
            ..proto::ConnectionSettings::default()
        }),
        publisher_offer: offer.map(|(id, sdp)| proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: sdp.to_owned(),
            id,
            ..proto::SessionDescription::default()
        }),
        ..proto::JoinRequest::default()
    }
}

pub(crate) fn track(sid: &str) -> TrackRecord {
    TrackRecord {
        sid: TrackSid::from(sid),
        alias: TrackAlias(1),
        kind: MediaKind::Video,
        source: TrackSource::Camera,
        codec: Some(Codec::Vp8),
        name: "cam".to_owned(),
        stream: "camera".to_owned(),
        muted: true,
        width: 1280,
        height: 720,
        simulcast: true,
        layers: [(0, 320, 180), (1, 640, 360), (2, 1280, 720)]
            .map(|(layer, width, height)| LayerRecord {
                layer: Layer(layer),
                width,
                height,
                bitrate: Bitrate(150_000),
            })
            .to_vec(),
        client: ClientTrackFacts {
            encryption: 1,
            ..ClientTrackFacts::default()
        },
    }
}

pub(crate) fn participant(sid: &str, identity: &str) -> ParticipantRecord {
    ParticipantRecord {
        sid: ParticipantSid::from(sid),
        identity: Identity::from(identity),
        name: identity.to_uppercase(),
        metadata: "m".to_owned(),
        attributes: vec![(REGION_ATTRIBUTE.to_owned(), "Frankfurt".to_owned())],
        permission: Permission {
            can_publish: true,
            can_subscribe: true,
            can_publish_data: true,
            can_update_metadata: true,
            hidden: false,
            sources: Vec::new(),
        },
        kind: 0,
        client_protocol: 2,
        capabilities: vec![1, 7],
        joined_at: UnixMillis(1_700_000_000_500),
        home: NodeId::of("fra"),
        version: 1,
        state: ParticipantState::Active,
        tracks: Vec::new(),
    }
}

#[test]
fn the_codec_of_a_publisher_is_known_by_name_or_mime_type() {
    let codec = |names: &[&str]| {
        let request = proto::AddTrackRequest {
            simulcast_codecs: names
                .iter()
                .map(|name| proto::SimulcastCodec {
                    codec: (*name).to_owned(),
                    ..proto::SimulcastCodec::default()
                })
                .collect(),
            ..proto::AddTrackRequest::default()
        };
        request::track_request_of(request).codec
    };
    assert_eq!(codec(&["vp9", "vp8"]), Some(Codec::Vp9));
    assert_eq!(codec(&["video/AV1"]), Some(Codec::Av1));
    assert_eq!(codec(&["h264"]), Some(Codec::H264));
    assert_eq!(codec(&["theora"]), None);
    assert_eq!(codec(&[""]), None);
    assert_eq!(codec(&[]), None);
}
