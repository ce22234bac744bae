use super::*;
use crate::protocol::{AudienceRequest, GrantRequest, ReconnectReply, SyncState};
use crate::turn::IceServer;
use proto::signal_request::Message as Asked;
use proto::signal_response::Message as Told;
use relay_proto::room::ConnectionQuality;

#[test]
fn what_a_client_believes_is_read_from_all_its_fields() {
    let tracks = |sids: &[&str]| sids.iter().map(|sid| (*sid).to_owned()).collect::<Vec<_>>();
    let state = proto::SyncState {
        subscription: Some(proto::UpdateSubscription {
            track_sids: tracks(&["TR_a"]),
            subscribe: true,
            participant_tracks: vec![proto::ParticipantTracks {
                participant_sid: "PA_x".to_owned(),
                track_sids: tracks(&["TR_b"]),
            }],
        }),
        publish_tracks: vec![proto::TrackPublishedResponse {
            cid: "cid".to_owned(),
            track: Some(proto::TrackInfo {
                sid: "TR_own".to_owned(),
                ..proto::TrackInfo::default()
            }),
        }],
        track_sids_disabled: tracks(&["TR_c"]),
        datachannel_receive_states: vec![proto::DataChannelReceiveState {
            publisher_sid: "PA_x".to_owned(),
            last_seq: 7,
        }],
        ..proto::SyncState::default()
    };
    let read = SyncState {
        subscription: vec![TrackSid::from("TR_a"), TrackSid::from("TR_b")],
        wanted: true,
        hidden: vec![TrackSid::from("TR_c")],
        published: vec![TrackSid::from("TR_own")],
        received: vec![(ParticipantSid::from("PA_x"), 7)],
    };
    let asked = frame(Asked::SyncState(state.clone()));
    assert_eq!(
        decode_request(&asked),
        Ok(Request::SyncState(Box::new(read.clone())))
    );
    // It may come with the resume itself.
    let resume = proto::JoinRequest {
        reconnect: true,
        participant_sid: "PA_me".to_owned(),
        sync_state: Some(state),
        ..join_request(None)
    };
    let join = decode_join(&packed(&resume, true), LIMIT).unwrap();
    assert_eq!((join.reconnect, join.state), (true, Some(read)));
    assert_eq!(join.participant, Some(ParticipantSid::from("PA_me")));
    assert_eq!(
        decode_join(&packed(&join_request(None), true), LIMIT)
            .unwrap()
            .participant,
        None
    );
}

#[test]
fn who_may_receive_what_is_read_by_identity_or_id_and_by_track() {
    let permission = |identity: &str, sid: &str, all_tracks, tracks: &[&str]| proto::TrackPermission {
        participant_identity: identity.to_owned(),
        participant_sid: sid.to_owned(),
        all_tracks,
        track_sids: tracks.iter().map(|sid| (*sid).to_owned()).collect(),
    };
    let asked = proto::SubscriptionPermission {
        all_participants: false,
        track_permissions: vec![
            permission("bob", "", true, &[]),
            permission("", "PA_x", false, &["TR_1"]),
        ],
    };
    let grant = |identity: &str, sid: &str, tracks| GrantRequest {
        identity: Identity::from(identity),
        participant: ParticipantSid::from(sid),
        tracks,
    };
    assert_eq!(
        decode_request(&frame(Asked::SubscriptionPermission(asked))),
        Ok(Request::SubscriptionPermission(Box::new(AudienceRequest {
            everybody: false,
            grants: vec![
                grant("bob", "", None),
                grant("", "PA_x", Some(vec![TrackSid::from("TR_1")]))
            ],
        })))
    );
}

#[test]
fn a_resumed_client_is_told_where_it_is_and_how_far_its_messages_came() {
    let reply = Reply::Reconnect(Box::new(ReconnectReply {
        region: "Frankfurt".to_owned(),
        node: "fra".to_owned(),
        software: "causeway".to_owned(),
        last_sequence: 9,
        ice_servers: vec![IceServer {
            urls: vec!["turn:turn.example.org".to_owned()],
            username: "9:ada".to_owned(),
            credential: "secret".to_owned(),
        }],
    }));
    let Told::Reconnect(reconnect) = told(&encode(&reply)) else {
        panic!()
    };
    assert_eq!(reconnect.last_message_seq, 9);
    let server = &reconnect.ice_servers[0];
    assert_eq!(server.urls, ["turn:turn.example.org"]);
    assert_eq!(
        (server.username.as_str(), server.credential.as_str()),
        ("9:ada", "secret")
    );
    // Clients put it in the place of what they were told on joining.
    let info = reconnect.server_info.unwrap();
    assert_eq!(
        (info.region.as_str(), info.node_id.as_str()),
        ("Frankfurt", "fra")
    );
    assert_eq!((info.version.as_str(), info.protocol), (SERVER_VERSION, PROTOCOL));
}

#[test]
fn qualities_permissions_first_viewers_and_tokens_are_told_in_their_own_messages() {
    let participant = ParticipantSid::from("PA_x");
    let track = TrackSid::from("TR_1");
    let qualities = [
        (ConnectionQuality::Lost, proto::ConnectionQuality::Lost),
        (ConnectionQuality::Poor, proto::ConnectionQuality::Poor),
        (ConnectionQuality::Good, proto::ConnectionQuality::Good),
        (ConnectionQuality::Excellent, proto::ConnectionQuality::Excellent),
    ];
    for (ours, theirs) in qualities {
        let Told::ConnectionQuality(update) =
            told(&encode(&Reply::Qualities(vec![(participant.clone(), ours)])))
        else {
            panic!()
        };
        assert_eq!(update.updates[0].participant_sid, "PA_x");
        assert_eq!(update.updates[0].quality(), theirs);
    }
    let permission = Reply::SubscriptionPermission {
        participant,
        track: track.clone(),
        allowed: false,
    };
    let Told::SubscriptionPermissionUpdate(update) = told(&encode(&permission)) else {
        panic!()
    };
    assert_eq!(
        (
            update.participant_sid.as_str(),
            update.track_sid.as_str(),
            update.allowed
        ),
        ("PA_x", "TR_1", false)
    );
    let Told::TrackSubscribed(subscribed) = told(&encode(&Reply::TrackSubscribed(track))) else {
        panic!()
    };
    assert_eq!(subscribed.track_sid, "TR_1");
    let Told::RefreshToken(token) = told(&encode(&Reply::RefreshToken("t".to_owned()))) else {
        panic!()
    };
    assert_eq!(token, "t");
}
