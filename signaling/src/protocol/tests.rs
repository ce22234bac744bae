//! The only tests that know the protobuf messages; what other tests need of them is exported here.

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
fn a_join_request_is_read_with_and_without_compression_and_padding() {
    let request = join_request(Some((1, "v=0 offer")));
    for gzip in [false, true] {
        let parameter = packed(&request, gzip);
        let padded = URL_SAFE.encode(URL_SAFE_NO_PAD.decode(&parameter).unwrap());
        let standard = padded.replace('-', "+").replace('_', "/");
        for parameter in [parameter, padded, standard] {
            let join = decode_join(&parameter, LIMIT).unwrap();
            assert_eq!(
                join.offer,
                Some(Offer {
                    id: 1,
                    sdp: "v=0 offer".to_owned()
                })
            );
            assert!(join.auto_subscribe && !join.reconnect);
            assert_eq!(
                (join.client.client_protocol, join.client.capabilities),
                (2, vec![1, 7])
            );
        }
    }
}

#[test]
fn a_broken_join_request_says_what_is_wrong() {
    let wrapped = |compression: i32, join_request: Vec<u8>| {
        URL_SAFE_NO_PAD.encode(
            proto::WrappedJoinRequest {
                compression,
                join_request,
            }
            .encode_to_vec(),
        )
    };
    assert_eq!(decode_join("§§§", LIMIT), Err(JoinError::Base64));
    assert_eq!(
        decode_join(&URL_SAFE.encode([0xff; 9]), LIMIT),
        Err(JoinError::Protobuf)
    );
    assert_eq!(
        decode_join(&wrapped(0, vec![0xff; 9]), LIMIT),
        Err(JoinError::Protobuf)
    );
    assert_eq!(
        decode_join(&wrapped(9, Vec::new()), LIMIT),
        Err(JoinError::Compression(9))
    );
    assert_eq!(
        decode_join(&wrapped(1, b"no gzip".to_vec()), LIMIT),
        Err(JoinError::Gzip)
    );
    let mut cut = zipped(&join_request(None).encode_to_vec());
    cut.truncate(cut.len() / 2);
    assert_eq!(decode_join(&wrapped(1, cut), LIMIT), Err(JoinError::Gzip));
}

#[test]
fn a_gzip_bomb_is_given_up_at_the_limit() {
    let bomb = zipped(&vec![0; 64 * 1024 * 1024]);
    assert!(bomb.len() < 100_000);
    let wrapped = proto::WrappedJoinRequest {
        compression: 1,
        join_request: bomb,
    };
    let parameter = URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec());
    assert_eq!(
        decode_join(&parameter, LIMIT),
        Err(JoinError::TooLarge { limit: LIMIT })
    );
    assert_eq!(
        decode_join(&"A".repeat(2 * LIMIT), LIMIT),
        Err(JoinError::TooLarge { limit: LIMIT })
    );
}

#[test]
fn a_track_request_is_mapped_with_its_layers_in_order() {
    let layer = |quality: proto::VideoQuality, width, height| proto::VideoLayer {
        quality: quality.into(),
        width,
        height,
        bitrate: 100_000,
        ..proto::VideoLayer::default()
    };
    let request = proto::AddTrackRequest {
        cid: "cid-1".to_owned(),
        r#type: proto::TrackType::Video.into(),
        source: proto::TrackSource::ScreenShare.into(),
        width: 1280,
        height: 720,
        layers: vec![
            layer(proto::VideoQuality::High, 1280, 720),
            layer(proto::VideoQuality::Low, 320, 180),
            layer(proto::VideoQuality::Medium, 640, 360),
        ],
        encryption: proto::encryption::Type::Gcm.into(),
        stream: "screen".to_owned(),
        ..proto::AddTrackRequest::default()
    };
    let Ok(Request::AddTrack(track)) = decode_request(&frame(Asked::AddTrack(request))) else {
        panic!()
    };
    assert_eq!(track.kind, Some(MediaKind::Video));
    assert_eq!(track.source, TrackSource::ScreenShare);
    let widths: Vec<(u8, u32)> = track
        .layers
        .iter()
        .map(|layer| (layer.layer.0, layer.width))
        .collect();
    assert_eq!(widths, [(0, 320), (1, 640), (2, 1280)]);
    assert_eq!(track.client.encryption, 1);
}

#[test]
#[expect(deprecated, reason = "older clients use these fields")]
fn stereo_and_dtx_are_understood_in_old_and_new_form() {
    let old = proto::AddTrackRequest {
        stereo: true,
        disable_dtx: true,
        ..proto::AddTrackRequest::default()
    };
    let new = proto::AddTrackRequest {
        audio_features: vec![
            proto::AudioTrackFeature::TfStereo.into(),
            proto::AudioTrackFeature::TfNoDtx.into(),
        ],
        disable_red: true,
        ..proto::AddTrackRequest::default()
    };
    for (request, red_disabled) in [(old, false), (new, true)] {
        let Ok(Request::AddTrack(track)) = decode_request(&frame(Asked::AddTrack(request))) else {
            panic!()
        };
        assert!(track.client.stereo && track.client.dtx_disabled);
        assert_eq!(track.client.red_disabled, red_disabled);
        assert!(track.layers.is_empty());
    }
}

#[test]
fn track_settings_become_wishes() {
    let wish =
        |setting: proto::UpdateTrackSettings| match decode_request(&frame(Asked::TrackSetting(setting))) {
            Ok(Request::TrackSetting { picture, .. }) => picture,
            other => panic!("{other:?}"),
        };
    let setting = proto::UpdateTrackSettings::default;
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            disabled: true,
            ..setting()
        }),
        WishedPicture::Nothing
    );
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            quality: 0,
            ..setting()
        }),
        WishedPicture::UpTo(Layer(0))
    );
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            quality: 1,
            ..setting()
        }),
        WishedPicture::UpTo(Layer(1))
    );
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            quality: 2,
            ..setting()
        }),
        WishedPicture::UpTo(Layer(2))
    );
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            quality: 3,
            ..setting()
        }),
        WishedPicture::Nothing
    );
    assert_eq!(
        wish(proto::UpdateTrackSettings {
            width: 320,
            height: 180,
            ..setting()
        }),
        WishedPicture::Pixels {
            width: 320,
            height: 180
        }
    );
}

#[test]
fn unknown_variants_and_cosmetic_requests_are_ignored() {
    // Field 60, length-delimited, empty: a variant of the future.
    assert_eq!(decode_request(&[0xe2, 0x03, 0x00]), Ok(Request::Ignored));
    assert_eq!(decode_request(&[]), Ok(Request::Ignored));
    let sync = Asked::SyncState(proto::SyncState::default());
    assert_eq!(decode_request(&frame(sync)), Ok(Request::Ignored));
    let end = proto::TrickleRequest {
        candidate_init: r#"{"candidate":""}"#.to_owned(),
        ..Default::default()
    };
    assert_eq!(decode_request(&frame(Asked::Trickle(end))), Ok(Request::Ignored));
    assert_eq!(decode_request(&[0xff; 4]), Err(MalformedFrame));
}

#[test]
fn a_trickled_candidate_is_its_line() {
    let trickle = proto::TrickleRequest {
        candidate_init: r#"{"candidate":"candidate:1 1 udp 1 192.0.2.1 9 typ host","sdpMid":"0"}"#.to_owned(),
        ..proto::TrickleRequest::default()
    };
    assert_eq!(
        decode_request(&frame(Asked::Trickle(trickle))),
        Ok(Request::Candidate(
            "candidate:1 1 udp 1 192.0.2.1 9 typ host".to_owned()
        ))
    );
}

#[test]
fn requests_that_clients_wait_for_are_told_apart() {
    let publish = Asked::PublishDataTrackRequest(proto::PublishDataTrackRequest::default());
    let Ok(Request::Unsupported(unsupported)) = decode_request(&frame(publish)) else {
        panic!()
    };
    let reply = Reply::RequestDone {
        request_id: unsupported.request_id,
        refusal: Refusal::Unsupported,
        message: String::new(),
        about: Some(unsupported),
    };
    let Told::RequestResponse(response) = told(&encode(&reply)) else {
        panic!()
    };
    assert_eq!(
        response.reason(),
        proto::request_response::Reason::UnsupportedType
    );
    assert!(matches!(
        response.request,
        Some(proto::request_response::Request::PublishDataTrack(_))
    ));
}

#[test]
fn a_join_reply_holds_everything_clients_rely_on() {
    let reply = Reply::Join(Box::new(JoinReply {
        room_sid: "RM_x".to_owned(),
        room_name: "standup".to_owned(),
        room_since: UnixMillis(5_000),
        participant: participant("PA_1", "ada"),
        others: vec![participant("PA_2", "bob")],
        region: "Frankfurt".to_owned(),
        node: "fra".to_owned(),
        software: "causeway 0.1.0".to_owned(),
    }));
    let Told::Join(join) = told(&encode(&reply)) else {
        panic!()
    };
    let own = join.participant.unwrap();
    let permission = own.permission.unwrap();
    assert!(permission.can_publish && permission.can_subscribe && permission.can_publish_data);
    assert_eq!((own.client_protocol, own.capabilities), (2, vec![1, 7]));
    assert_eq!(own.region, "Frankfurt");
    let server = join.server_info.unwrap();
    assert!(!server.version.is_empty() && server.protocol == 17 && PROTOCOL < 18);
    assert_eq!((join.ping_interval, join.ping_timeout), (5, 15));
    assert!(!join.subscriber_primary && join.sif_trailer.is_empty() && join.ice_servers.is_empty());
    assert_eq!(join.room.unwrap().sid, "RM_x");
    assert_eq!(join.other_participants[0].identity, "bob");
    assert!(
        join.enabled_publish_codecs
            .iter()
            .any(|codec| codec.mime == "video/VP8")
    );
}

#[test]
fn an_answer_has_the_number_of_its_offer_and_every_section() {
    let reply = Reply::Answer(Answer {
        offer_id: 7,
        sdp: "v=0".to_owned(),
        sections: vec![
            ("3".to_owned(), TrackSid::from("TR_a")),
            ("4".to_owned(), TrackSid::from("TR_b")),
        ],
    });
    let Told::Answer(answer) = told(&encode(&reply)) else {
        panic!()
    };
    assert_eq!((answer.id, answer.r#type.as_str()), (7, "answer"));
    assert_eq!(answer.mid_to_track_id["3"], "TR_a");
    assert_eq!(answer.mid_to_track_id.len(), 2);
}

#[test]
#[expect(deprecated, reason = "clients still read these fields")]
fn records_reach_clients_unchanged() {
    let mut record = participant("PA_1", "ada");
    record.tracks.push(track("TR_1"));
    let Told::Update(update) = told(&encode(&Reply::Update(vec![record.clone()]))) else {
        panic!()
    };
    let info = &update.participants[0];
    assert_eq!(info.state(), proto::participant_info::State::Active);
    assert_eq!(
        (info.joined_at, info.joined_at_ms),
        (1_700_000_000, 1_700_000_000_500)
    );
    let track = &info.tracks[0];
    assert_eq!(track.mime_type, "video/VP8");
    assert_eq!(
        (track.width, track.height, track.muted, track.simulcast),
        (1280, 720, true, true)
    );
    assert_eq!(track.stream, "camera");
    assert_eq!(track.encryption(), proto::encryption::Type::Gcm);
    let qualities: Vec<_> = track.layers.iter().map(proto::VideoLayer::quality).collect();
    use proto::VideoQuality::{High, Low, Medium};
    assert_eq!(qualities, [Low, Medium, High]);

    let gone = Reply::Gone(Box::new(record), LeaveCause::NodeLost);
    let Told::Update(update) = told(&encode(&gone)) else {
        panic!()
    };
    assert_eq!(
        update.participants[0].state(),
        proto::participant_info::State::Disconnected
    );
    assert_eq!(update.participants[0].identity, "ada");
}

#[test]
fn levels_are_linear_and_silence_is_zero() {
    let speaker = |level, active| SpeakerLevel {
        participant: ParticipantSid::from("PA_1"),
        level: AudioLevel(level),
        active,
    };
    let reply = Reply::Speakers(vec![speaker(0, true), speaker(20, true), speaker(20, false)]);
    let Told::SpeakersChanged(changed) = told(&encode(&reply)) else {
        panic!()
    };
    let levels: Vec<f32> = changed.speakers.iter().map(|speaker| speaker.level).collect();
    assert!((levels[0] - 1.0).abs() < 1e-6 && (levels[1] - 0.1).abs() < 1e-6);
    assert_eq!(levels[2], 0.0);
}

#[test]
fn a_leave_says_reason_and_action() {
    let leave = |reason, action| match told(&encode(&Reply::Leave(Leave { reason, action }))) {
        Told::Leave(leave) => (leave.reason(), leave.action(), leave.can_reconnect),
        other => panic!("{other:?}"),
    };
    use proto::leave_request::Action;
    assert_eq!(
        leave(LeaveReason::DuplicateIdentity, LeaveAction::Disconnect),
        (
            proto::DisconnectReason::DuplicateIdentity,
            Action::Disconnect,
            false
        )
    );
    assert_eq!(
        leave(LeaveReason::StateMismatch, LeaveAction::Reconnect),
        (proto::DisconnectReason::StateMismatch, Action::Reconnect, true)
    );
}

fn stamped(payload: &[u8], reliable: bool) -> Result<Incoming, DataError> {
    let (identity, sid) = (Identity::from("ada"), ParticipantSid::from("PA_1"));
    inspect_data(
        payload,
        Stamp {
            identity: &identity,
            sid: &sid,
            reliable,
        },
        10,
    )
}

#[test]
#[expect(deprecated, reason = "older clients read and write these fields")]
fn a_data_message_carries_its_true_sender_and_nothing_else_changes() {
    let user = proto::UserPacket {
        payload: b"hello".to_vec(),
        participant_identity: "mallory".to_owned(),
        participant_sid: "PA_evil".to_owned(),
        destination_identities: vec!["carl".to_owned()],
        destination_sids: vec!["PA_9".to_owned()],
        topic: Some("chat".to_owned()),
        ..proto::UserPacket::default()
    };
    let packet = proto::DataPacket {
        participant_identity: "mallory".to_owned(),
        participant_sid: "PA_evil".to_owned(),
        destination_identities: vec!["bob".to_owned()],
        sequence: 77,
        value: Some(proto::data_packet::Value::User(user)),
        ..proto::DataPacket::default()
    };
    let incoming = stamped(&packet.encode_to_vec(), false).unwrap();
    assert_eq!(incoming.to, [Identity::from("bob"), Identity::from("carl")]);
    assert_eq!(incoming.to_sids, [ParticipantSid::from("PA_9")]);
    let out = proto::DataPacket::decode(incoming.stamped.as_slice()).unwrap();
    assert_eq!(
        (out.participant_identity.as_str(), out.participant_sid.as_str()),
        ("ada", "PA_1")
    );
    assert_eq!((out.sequence, out.kind()), (77, proto::data_packet::Kind::Lossy));
    let Some(proto::data_packet::Value::User(user)) = out.value else {
        panic!()
    };
    assert_eq!(
        (user.payload.as_slice(), user.topic.as_deref()),
        (b"hello".as_slice(), Some("chat"))
    );
    assert_eq!(
        (user.participant_identity.as_str(), user.participant_sid.as_str()),
        ("ada", "PA_1")
    );
}

#[test]
fn data_of_unknown_kind_passes_untouched() {
    // Field 99, length-delimited, three bytes.
    let unknown = [0x9a, 0x06, 0x03, 1, 2, 3];
    let incoming = stamped(&unknown, true).unwrap();
    assert!(incoming.to.is_empty() && incoming.stamped.starts_with(&unknown));
    let out = proto::DataPacket::decode(incoming.stamped.as_slice()).unwrap();
    assert_eq!(out.participant_identity, "ada");
}

#[test]
#[expect(deprecated, reason = "the variant is what must be refused")]
fn forged_speaker_updates_and_crowds_of_recipients_are_refused() {
    let speaker = proto::DataPacket {
        value: Some(proto::data_packet::Value::Speaker(
            proto::ActiveSpeakerUpdate::default(),
        )),
        ..proto::DataPacket::default()
    };
    assert_eq!(stamped(&speaker.encode_to_vec(), true), Err(DataError::Forbidden));
    let crowd = proto::DataPacket {
        destination_identities: (0..11).map(|n| n.to_string()).collect(),
        ..proto::DataPacket::default()
    };
    assert_eq!(
        stamped(&crowd.encode_to_vec(), true),
        Err(DataError::TooManyRecipients)
    );
    assert_eq!(stamped(&[0x2a, 0x7f], true), Err(DataError::Malformed));
    assert_eq!(stamped(&[0x28, 0x01], true), Err(DataError::Malformed));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        let _ = decode_request(&bytes);
        let _ = decode_join(&URL_SAFE_NO_PAD.encode(&bytes), LIMIT);
        let _ = stamped(&bytes, true);
        for compression in 0..2 {
            let wrapped = proto::WrappedJoinRequest { compression, join_request: bytes.clone() };
            let _ = decode_join(&URL_SAFE_NO_PAD.encode(wrapped.encode_to_vec()), LIMIT);
        }
    }

    #[test]
    fn random_text_never_panics(text in ".{0,200}") {
        let _ = decode_join(&text, LIMIT);
    }

    #[test]
    fn damaged_requests_never_panic(at in 0_usize..200, value in any::<u8>()) {
        let mut bytes = frame(Asked::Offer(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: "v=0".repeat(50),
            id: 3,
            ..proto::SessionDescription::default()
        }));
        let at = at % bytes.len();
        bytes[at] = value;
        let _ = decode_request(&bytes);
        let _ = stamped(&bytes, false);
    }

    #[test]
    fn whatever_passes_is_a_message_of_its_true_sender(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(incoming) = stamped(&bytes, true)
            && let Ok(out) = proto::DataPacket::decode(incoming.stamped.as_slice())
        {
            prop_assert_eq!(out.participant_identity, "ada");
            prop_assert_eq!(out.participant_sid, "PA_1");
        }
    }
}
