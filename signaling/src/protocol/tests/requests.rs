use super::*;

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
