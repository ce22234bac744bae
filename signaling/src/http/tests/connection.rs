use super::*;
use crate::protocol::tests::{frame, join_request, packed, told};
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_protocol as proto;
use proto::signal_request::Message as Asked;
use proto::signal_response::Message as Told;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A client of the node.
struct Client(Socket);

impl Client {
    /// Connects as browsers do: everything in the query.
    async fn connect(node: &Node, identity: &str, join: &proto::JoinRequest) -> Self {
        let (token, join) = (token_of(identity), packed(join, true));
        let url = format!(
            "ws://{}/rtc/v1?access_token={token}&join_request={join}",
            node.address
        );
        Self(connect_async(url).await.unwrap().0)
    }

    async fn joined(node: &Node, identity: &str) -> (Self, proto::JoinResponse) {
        let mut client = Self::connect(node, identity, &join_request(Some((1, "v=0 offer")))).await;
        let Told::Join(join) = client.next().await else {
            panic!("the first frame is join")
        };
        let Told::Answer(answer) = client.until_answer().await else {
            panic!()
        };
        assert_eq!(
            (answer.id, answer.mid_to_track_id["3"].as_str()),
            (1, "TR_remote")
        );
        (client, join)
    }

    async fn send(&mut self, message: Asked) {
        self.0.send(Message::Binary(frame(message).into())).await.unwrap();
    }

    /// The next message; none when the connection ends.
    async fn maybe_next(&mut self) -> Option<Told> {
        loop {
            match self.0.next().await? {
                Ok(Message::Binary(bytes)) => return Some(told(&bytes)),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    async fn next(&mut self) -> Told {
        let waited = tokio::time::timeout(Duration::from_secs(10), self.maybe_next()).await;
        waited.unwrap().expect("the connection is open")
    }

    async fn until(&mut self, wanted: impl Fn(&Told) -> bool) -> Told {
        loop {
            let message = self.next().await;
            if wanted(&message) {
                return message;
            }
        }
    }

    async fn until_answer(&mut self) -> Told {
        self.until(|message| matches!(message, Told::Answer(_))).await
    }

    /// The next update that shows `identity`.
    async fn until_seen(&mut self, identity: &str) -> proto::ParticipantInfo {
        let seen = |message: &Told| match message {
            Told::Update(update) => update.participants.iter().any(|one| one.identity == identity),
            _ => false,
        };
        let Told::Update(update) = self.until(seen).await else {
            unreachable!()
        };
        update
            .participants
            .into_iter()
            .find(|one| one.identity == identity)
            .unwrap()
    }
}

fn add_track() -> Asked {
    Asked::AddTrack(proto::AddTrackRequest {
        cid: "cid-mic".to_owned(),
        r#type: proto::TrackType::Audio.into(),
        source: proto::TrackSource::Microphone.into(),
        stream: "camera".to_owned(),
        ..proto::AddTrackRequest::default()
    })
}

#[tokio::test]
async fn two_clients_join_publish_mute_and_leave() {
    let node = node_with(Limits::default()).await;
    let (mut ada, join) = Client::joined(&node, "ada").await;
    assert_eq!(join.participant.unwrap().attributes["causeway.node"], "fra");
    let (mut bob, join) = Client::joined(&node, "bob").await;
    assert_eq!(join.other_participants[0].identity, "ada");
    assert_eq!(
        ada.until_seen("bob").await.state(),
        proto::participant_info::State::Joined
    );

    ada.send(add_track()).await;
    let Told::TrackPublished(published) = ada.until(|it| matches!(it, Told::TrackPublished(_))).await else {
        unreachable!()
    };
    let track = published.track.unwrap();
    assert_eq!(published.cid, "cid-mic");
    assert!(track.sid.starts_with("TR_"));
    assert_eq!(bob.until_seen("ada").await.tracks[0].sid, track.sid);

    ada.send(Asked::Mute(proto::MuteTrackRequest {
        sid: track.sid,
        muted: true,
    }))
    .await;
    assert!(bob.until_seen("ada").await.tracks[0].muted);

    ada.send(Asked::PingReq(proto::Ping {
        timestamp: 42,
        rtt: 0,
    }))
    .await;
    let Told::PongResp(pong) = ada.until(|it| matches!(it, Told::PongResp(_))).await else {
        unreachable!()
    };
    assert_eq!(pong.last_ping_timestamp, 42);

    ada.send(Asked::Leave(proto::LeaveRequest::default())).await;
    assert_eq!(
        bob.until_seen("ada").await.state(),
        proto::participant_info::State::Disconnected
    );
    while ada.maybe_next().await.is_some() {}
}

#[tokio::test]
async fn native_clients_pass_the_token_as_bearer_and_may_offer_later() {
    let node = node_with(Limits::default()).await;
    let url = format!(
        "ws://{}/rtc/v1?join_request={}",
        node.address,
        packed(&join_request(None), true)
    );
    let mut request = url.into_client_request().unwrap();
    let bearer = format!("Bearer {}", token_of("ada"));
    request
        .headers_mut()
        .insert("authorization", bearer.parse().unwrap());
    let mut client = Client(connect_async(request).await.unwrap().0);
    assert!(matches!(client.next().await, Told::Join(_)));
    let offer = proto::SessionDescription {
        sdp: "v=0".to_owned(),
        id: 0,
        ..Default::default()
    };
    client.send(Asked::Offer(offer)).await;
    let Told::Answer(answer) = client.until_answer().await else {
        unreachable!()
    };
    assert_eq!(answer.id, 0);
}

#[tokio::test]
async fn a_client_that_does_not_come_back_is_told_to_the_others() {
    let node = node_with(Limits {
        resume_grace: Duration::from_millis(50),
        ..Limits::default()
    })
    .await;
    let (ada, _) = Client::joined(&node, "ada").await;
    let (mut bob, _) = Client::joined(&node, "bob").await;
    drop(ada);
    let gone = bob.until_seen("ada").await;
    assert_eq!(
        gone.disconnect_reason(),
        proto::DisconnectReason::ConnectionTimeout
    );
}

/// What a client of a session asks for that has lost its connection.
fn resume_of(participant: &proto::ParticipantInfo) -> proto::JoinRequest {
    proto::JoinRequest {
        reconnect: true,
        participant_sid: participant.sid.clone(),
        ..join_request(None)
    }
}

#[tokio::test]
async fn a_client_goes_on_over_a_new_connection_and_misses_nothing() {
    let node = node_with(Limits::default()).await;
    let (ada, join) = Client::joined(&node, "ada").await;
    let ada_is = join.participant.unwrap();
    let (mut bob, _) = Client::joined(&node, "bob").await;
    drop(ada);
    // Bob changes while she is away; an answer comes for her.
    bob.send(add_track()).await;
    bob.until(|it| matches!(it, Told::TrackPublished(_))).await;
    let session = SessionId {
        entry: NodeId::of("fra"),
        serial: 1,
    };
    let late = SessionFact::OfferAnswered {
        session,
        offer_id: 5,
        sdp: "v=0 late".to_owned(),
        sections: Vec::new(),
    };
    node.facts.send(late).await.unwrap();

    let mut ada = Client::connect(&node, "ada", &resume_of(&ada_is)).await;
    let Told::Reconnect(reconnect) = ada.next().await else {
        panic!("the first frame is reconnect")
    };
    assert!(!reconnect.server_info.unwrap().version.is_empty());
    assert_eq!(ada.until_seen("bob").await.tracks.len(), 1);
    let Told::Answer(answer) = ada.until_answer().await else {
        unreachable!()
    };
    assert_eq!(answer.id, 5);
    // She can ask for things as before.
    ada.send(Asked::Ping(1)).await;
    ada.until(|it| matches!(it, Told::Pong(_))).await;
    ada.send(Asked::Leave(proto::LeaveRequest::default())).await;
    let gone = bob.until_seen("ada").await;
    assert_eq!(gone.sid, ada_is.sid, "for bob she was never away");
    assert_eq!(gone.disconnect_reason(), proto::DisconnectReason::ClientInitiated);
}

#[tokio::test]
async fn a_new_connection_closes_the_old_one_which_harms_the_session_no_more() {
    let node = node_with(Limits::default()).await;
    let (mut old, join) = Client::joined(&node, "ada").await;
    let ada_is = join.participant.unwrap();
    let mut new = Client::connect(&node, "ada", &resume_of(&ada_is)).await;
    assert!(matches!(new.next().await, Told::Reconnect(_)));
    while old.maybe_next().await.is_some() {}
    drop(old);
    for _ in 0..3 {
        new.send(Asked::Ping(1)).await;
        new.until(|it| matches!(it, Told::Pong(_))).await;
    }
    // And again, from the new one.
    let mut newest = Client::connect(&node, "ada", &resume_of(&ada_is)).await;
    assert!(matches!(newest.next().await, Told::Reconnect(_)));
    while new.maybe_next().await.is_some() {}
    assert_eq!(node.signaling.counters().resumed.value(), 2);
}

#[tokio::test]
async fn a_resume_gets_a_leave_as_its_first_frame() {
    let node = node_with(Limits::default()).await;
    let resume = proto::JoinRequest {
        reconnect: true,
        ..join_request(None)
    };
    let mut client = Client::connect(&node, "ada", &resume).await;
    let Told::Leave(leave) = client.next().await else {
        panic!()
    };
    assert_eq!(leave.action(), proto::leave_request::Action::Reconnect);
    assert!(client.maybe_next().await.is_none());
    assert_eq!(node.signaling.counters().refused_resume.value(), 1);
}

#[tokio::test]
async fn data_is_stamped_with_its_true_sender() {
    let node = node_with(Limits::default()).await;
    let (mut ada, join) = Client::joined(&node, "ada").await;
    let session = SessionId {
        entry: NodeId::of("fra"),
        serial: 1,
    };
    let payload = b"\x22\x07mallory\x2a\x03bob\x12\x00".to_vec();
    node.facts
        .send(SessionFact::DataReceived {
            session,
            reliable: true,
            payload,
        })
        .await
        .unwrap();
    let Told::Answer(echo) = ada.until_answer().await else {
        unreachable!()
    };
    assert_eq!(echo.sdp, format!("{} [bob]", join.participant.unwrap().sid));
}

#[tokio::test]
async fn malformed_frames_are_survived_and_an_oversized_one_is_not() {
    let node = node_with(Limits::default()).await;
    let (mut ada, _) = Client::joined(&node, "ada").await;
    ada.0.send(Message::Binary(vec![0xff; 100].into())).await.unwrap();
    ada.0.send(Message::Text("{}".into())).await.unwrap();
    ada.send(Asked::Ping(1)).await;
    ada.until(|it| matches!(it, Told::Pong(_))).await;
    assert_eq!(node.signaling.counters().malformed_frames.value(), 2);

    ada.0
        .send(Message::Binary(vec![0; Limits::default().frame_bytes + 1].into()))
        .await
        .unwrap();
    let mut code = None;
    while let Some(received) = ada.0.next().await {
        match received {
            Ok(Message::Close(close)) => code = close.map(|close| u16::from(close.code)),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    assert_eq!(code, Some(1009));
}

#[tokio::test]
async fn a_flood_of_frames_ends_the_session() {
    let node = node_with(Limits {
        frames_per_second: 1,
        frame_burst: 20,
        ..Limits::default()
    })
    .await;
    let (mut ada, _) = Client::joined(&node, "ada").await;
    for _ in 0..21 {
        ada.send(Asked::Ping(1)).await;
    }
    let leave = ada.until(|it| matches!(it, Told::Leave(_))).await;
    assert!(
        matches!(leave, Told::Leave(leave) if leave.action() == proto::leave_request::Action::Disconnect)
    );
    assert!(ada.maybe_next().await.is_none());
}

#[tokio::test]
async fn a_malformed_first_description_ends_the_session_with_a_reason() {
    let node = node_with(Limits::default()).await;
    let mut ada = Client::connect(&node, "ada", &join_request(Some((1, "garbage")))).await;
    let Told::RequestResponse(why) = ada.until(|it| matches!(it, Told::RequestResponse(_))).await else {
        unreachable!()
    };
    assert_eq!(why.message, "not a description");
    let Told::Leave(leave) = ada.next().await else {
        panic!()
    };
    assert_eq!(leave.reason(), proto::DisconnectReason::MediaFailure);
}

#[tokio::test]
async fn a_client_that_does_not_read_harms_nobody_else() {
    let node = node_with(Limits {
        send_queue_frames: 8,
        ..Limits::default()
    })
    .await;
    let (_deaf, _) = Client::joined(&node, "deaf").await;
    let (mut ada, _) = Client::joined(&node, "ada").await;
    let metadata = "x".repeat(30_000);
    let mut record = crate::protocol::tests::participant("PA_x", "carl");
    record.metadata = metadata;
    while node.signaling.counters().closed_slow.value() == 0 {
        record.version += 1;
        let change = relay_proto::session::RoomChange::ParticipantUpserted(Box::new(record.clone()));
        let fact = SessionFact::RoomChanged {
            room: "standup".into(),
            change,
        };
        node.facts.send(fact).await.unwrap();
        ada.until_seen("carl").await;
    }
    ada.send(Asked::Ping(1)).await;
    ada.until(|it| matches!(it, Told::Pong(_))).await;
}

#[tokio::test]
async fn sessions_of_one_address_are_limited_and_given_back() {
    let node = node_with(Limits {
        sessions_per_address: 1,
        ..Limits::default()
    })
    .await;
    let (ada, _) = Client::joined(&node, "ada").await;
    let join = packed(&join_request(None), false);
    let url = || {
        format!(
            "ws://{}/rtc/v1?access_token={}&join_request={join}",
            node.address,
            token_of("bob")
        )
    };
    let Err(Error::Http(response)) = connect_async(url()).await else {
        panic!()
    };
    assert_eq!(response.status(), 429);
    drop(ada);
    while connect_async(url()).await.is_err() {}
}

#[tokio::test]
async fn a_request_line_of_64000_bytes_is_taken() {
    let node = node_with(Limits::default()).await;
    // Incompressible, so that the parameter is really that long.
    let mut seed = 1_u64;
    let noise: String = (0..58_000)
        .map(|_| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            char::from(b' ' + u8::try_from((seed >> 33) % 94).unwrap())
        })
        .collect();
    let request = join_request(Some((1, &format!("v=0 {noise}"))));
    let length = packed(&request, true).len();
    assert!((64_000..65_000).contains(&length), "{length}");
    let mut ada = Client::connect(&node, "ada", &request).await;
    assert!(matches!(ada.next().await, Told::Join(_)));
}

#[tokio::test]
async fn only_sessions_that_are_still_opening_count_as_pending() {
    let node = node_with(Limits {
        pending_sessions: 1,
        ..Limits::default()
    })
    .await;
    let (_ada, _) = Client::joined(&node, "ada").await;
    let (_bob, _) = Client::joined(&node, "bob").await;
}

#[tokio::test]
async fn a_client_of_version_0_is_offered_what_it_receives() {
    let node = node_with(Limits::default()).await;
    let token = token_of("ada");
    let query = "auto_subscribe=0&sdk=swift&version=2.0&protocol=16&client_protocol=1";
    let url = format!("ws://{}/rtc?access_token={token}&{query}", node.address);
    let mut client = Client(connect_async(url).await.unwrap().0);
    let Told::Join(join) = client.next().await else {
        panic!("the first frame is join")
    };
    assert!(join.subscriber_primary);
    let Told::Offer(offer) = client.until(|message| matches!(message, Told::Offer(_))).await else {
        panic!()
    };
    assert_eq!((offer.r#type.as_str(), offer.id), ("offer", 1));
    let answer = |r#type: &str| proto::SessionDescription {
        r#type: r#type.to_owned(),
        sdp: "v=0 offer".to_owned(),
        id: 1,
        ..proto::SessionDescription::default()
    };
    client.send(Asked::Answer(answer("answer"))).await;
    client.send(Asked::Offer(answer("offer"))).await;
    client.until_answer().await;
}
