use super::*;
use relay_proto::id::{Layer, LayerSet};
use relay_proto::session::PictureState;

#[test]
fn a_join_reply_holds_everything_clients_rely_on() {
    let reply = Reply::Join(Box::new(JoinReply {
        dual: false,
        room_sid: "RM_x".to_owned(),
        room_name: "standup".to_owned(),
        room_since: UnixMillis(5_000),
        participant: participant("PA_1", "ada"),
        others: vec![participant("PA_2", "bob")],
        region: "Frankfurt".to_owned(),
        node: "fra".to_owned(),
        software: "causeway 0.1.0".to_owned(),
        ice_servers: Vec::new(),
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
fn layers_nobody_watches_are_off_for_old_and_new_clients() {
    let reply = Reply::LayersWanted {
        track: "TR_1".into(),
        codec: Codec::Vp8,
        layers: LayerSet::only(Layer(0)).with(Layer(2)),
    };
    let Told::SubscribedQualityUpdate(update) = told(&encode(&reply)) else {
        panic!()
    };
    use proto::VideoQuality::{High, Low, Medium};
    #[expect(deprecated, reason = "older clients read nothing else")]
    let old = update.subscribed_qualities;
    let [codec] = update.subscribed_codecs.as_slice() else {
        panic!("{:?}", update.subscribed_codecs)
    };
    assert_eq!(codec.codec, "vp8");
    for qualities in [&old, &codec.qualities] {
        let said: Vec<_> = qualities
            .iter()
            .map(|each| (each.quality(), each.enabled))
            .collect();
        assert_eq!(said, [(Low, true), (Medium, false), (High, true)]);
    }
}

#[test]
fn a_picture_without_room_is_paused_and_comes_back() {
    let state = |paused| PictureState {
        participant: "PA_1".into(),
        track: "TR_1".into(),
        paused,
    };
    let reply = Reply::PicturesPaused(vec![state(true), state(false)]);
    let Told::StreamStateUpdate(update) = told(&encode(&reply)) else {
        panic!()
    };
    let said: Vec<_> = update.stream_states.iter().map(|each| each.state()).collect();
    assert_eq!(said, [proto::StreamState::Paused, proto::StreamState::Active]);
    assert!(
        update
            .stream_states
            .iter()
            .all(|each| each.track_sid == "TR_1" && each.participant_sid == "PA_1")
    );
}

#[test]
fn a_leave_says_reason_and_action() {
    let leave = |reason, action| match told(&encode(&Reply::Leave(Leave::of(reason, action)))) {
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

#[test]
fn whoever_is_sent_to_other_nodes_reads_them_in_their_order() {
    let node = |name: &str| NextNode {
        node: name.to_owned(),
        url: format!("wss://{name}.example"),
    };
    let Told::Leave(leave) = told(&encode(&Reply::Leave(Leave::to(vec![node("sin"), node("syd")])))) else {
        panic!()
    };
    assert_eq!(leave.action(), proto::leave_request::Action::Reconnect);
    let regions = leave.regions.unwrap().regions;
    let read: Vec<(&str, &str)> = regions
        .iter()
        .map(|region| (region.region.as_str(), region.url.as_str()))
        .collect();
    assert_eq!(read, [("sin", "wss://sin.example"), ("syd", "wss://syd.example")]);
    let Told::Leave(leave) = told(&encode(&Reply::Leave(Leave::to(Vec::new())))) else {
        panic!()
    };
    assert!(leave.regions.is_none());
}

#[test]
#[expect(deprecated, reason = "clients still read recorder from this field")]
fn a_recorder_is_named_as_such_in_its_permission() {
    for (kind, expected) in [(0, false), (crate::token::EGRESS, true)] {
        let record = ParticipantRecord {
            kind,
            ..participant("PA_x", "recorder")
        };
        let Told::Update(update) = told(&encode(&Reply::Update(vec![record]))) else {
            panic!()
        };
        let info = &update.participants[0];
        assert_eq!(
            (info.kind, info.permission.as_ref().unwrap().recorder),
            (kind, expected)
        );
    }
}
