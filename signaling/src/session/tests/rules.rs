use super::*;

#[test]
fn join_comes_first_and_the_first_offer_right_after_it() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    who.join.offer = Some(offer(1));
    who.join.tracks = vec![camera("cam")];
    let (_, effects) = bench.join(1, who);
    let Effect::Send {
        reply: Reply::Join(join),
        ..
    } = &effects[0]
    else {
        panic!("{effects:?}")
    };
    assert!(join.room_sid.starts_with("RM_") && join.participant.sid.as_str().starts_with("PA_"));
    assert!(matches!(
        effects[1],
        Effect::Command(SessionCommand::AnnounceTrack { .. })
    ));
    assert!(matches!(
        &effects[2],
        Effect::Command(SessionCommand::ApplyOffer { offer_id: 1, .. })
    ));
    assert_eq!(effects.len(), 3);
}

#[test]
fn a_client_without_an_offer_sends_it_later() {
    let mut bench = Bench::new();
    let (_, effects) = bench.join(1, newcomer("ada"));
    assert_eq!(effects.len(), 1);
    let effects = bench.ask(1, Request::Offer(offer(1)));
    assert!(matches!(
        commands(&effects)[..],
        [SessionCommand::ApplyOffer { offer_id: 1, .. }]
    ));
}

#[test]
fn the_participant_is_what_token_and_client_say_and_where_it_is() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    who.claims.attributes.insert("team".to_owned(), "red".to_owned());
    who.join.attributes.insert("mood".to_owned(), "good".to_owned());
    who.join
        .attributes
        .insert("causeway.node".to_owned(), "forged".to_owned());
    who.join.client.client_protocol = 2;
    who.join.client.capabilities = vec![1];
    let (participant, _) = bench.join(1, who);
    let of = |key: &str| {
        participant
            .attributes
            .iter()
            .find(|(k, _)| k == key)
            .map(|(_, v)| v.as_str())
    };
    assert_eq!(of("causeway.node"), Some("fra"));
    assert_eq!(of("causeway.region"), Some("Frankfurt"));
    assert_eq!((of("team"), of("mood")), (Some("red"), Some("good")));
    assert!(participant.attributes.is_sorted());
    assert_eq!(
        (participant.client_protocol, participant.capabilities),
        (2, vec![1])
    );
    assert_eq!(participant.name, "ADA");
}

#[test]
fn who_may_not_change_its_metadata_cannot_smuggle_it_in_on_joining() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    who.claims.video.can_update_own_metadata = None;
    who.join.metadata = "admin".to_owned();
    who.join.attributes.insert("role".to_owned(), "admin".to_owned());
    let (participant, _) = bench.join(1, who);
    assert_eq!(participant.metadata, "");
    assert!(!participant.attributes.iter().any(|(key, _)| key == "role"));
}

#[test]
fn pings_are_answered_and_keep_the_session_alive() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    for _ in 0..10 {
        assert!(bench.pass(Duration::from_secs(15)).is_empty());
        let effects = bench.ask(1, Request::PingWithTime { sent_ms: 42 });
        assert_eq!(
            replies(&effects, 1),
            [&Reply::PongWithTime {
                sent_ms: 42,
                at: bench.now.wall
            }]
        );
    }
    assert_eq!(
        replies(&bench.ask(1, Request::Ping), 1),
        [&Reply::Pong { at: bench.now.wall }]
    );
}

#[test]
fn a_silent_client_loses_its_connection_and_later_its_session() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    assert!(bench.pass(Duration::from_millis(19_999)).is_empty());
    let effects = bench.pass(Duration::from_millis(1));
    assert_eq!(effects, [Effect::Disconnect(id(1)), Effect::Keep(id(1))]);
    assert_eq!(bench.counters.closed_idle.value(), 1);
    // The connection says that it is closed.
    assert!(bench.disconnect(1).is_empty());
    let effects = bench.pass(Duration::from_secs(15));
    assert_eq!(
        commands(&effects),
        [&SessionCommand::CloseSession {
            session: id(1),
            cause: LeaveCause::ConnectionLost
        }]
    );
    assert!(bench.hub.is_empty() && bench.hub.next_deadline().is_none());
}

#[test]
fn a_session_the_bridge_does_not_open_ends_before_the_client_gives_up() {
    let mut bench = Bench::new();
    bench.connect(1, newcomer("ada"));
    let effects = bench.pass(Duration::from_secs(4));
    assert!(matches!(replies(&effects, 1)[..], [Reply::Leave(_)]));
    assert!(bench.hub.is_empty());
}

#[test]
fn leaving_closes_the_session_both_ways() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.ask(1, Request::Leave);
    assert_eq!(
        effects,
        [
            Effect::Command(SessionCommand::CloseSession {
                session: id(1),
                cause: LeaveCause::ClientLeft
            }),
            Effect::Close(id(1)),
        ]
    );
    assert!(
        bench
            .fact(SessionFact::SessionEnded {
                session: id(1),
                cause: EndCause::NotServing
            })
            .is_empty()
    );
}

#[test]
fn the_bridge_ends_a_session_with_the_right_reason_and_action() {
    use LeaveAction::{Disconnect, Reconnect};
    for (cause, reason, action) in [
        (
            EndCause::Left(LeaveCause::DuplicateIdentity),
            LeaveReason::DuplicateIdentity,
            Disconnect,
        ),
        (
            EndCause::Left(LeaveCause::Removed),
            LeaveReason::ParticipantRemoved,
            Disconnect,
        ),
        (
            EndCause::Left(LeaveCause::NodeStopped),
            LeaveReason::ServerShutdown,
            Reconnect,
        ),
        (
            EndCause::FingerprintMismatch,
            LeaveReason::MediaFailure,
            Disconnect,
        ),
        (
            EndCause::ConsentExpired,
            LeaveReason::ConnectionTimeout,
            Reconnect,
        ),
        (
            EndCause::LimitReached("rooms".to_owned()),
            LeaveReason::JoinFailure,
            Disconnect,
        ),
    ] {
        let mut bench = Bench::new();
        bench.join(1, newcomer("ada"));
        let effects = bench.fact(SessionFact::SessionEnded {
            session: id(1),
            cause,
        });
        assert_eq!(replies(&effects, 1), [&Reply::Leave(Leave::of(reason, action))]);
        assert_eq!(effects.last(), Some(&Effect::Close(id(1))));
        assert!(bench.hub.is_empty());
    }
}

#[test]
fn metadata_is_changed_where_the_token_allows_it_and_confirmed() {
    let change = |attributes: &[(&str, &str)]| {
        Request::UpdateMetadata(Box::new(crate::protocol::MetadataChange {
            request_id: 9,
            name: "Ada L.".to_owned(),
            metadata: String::new(),
            attributes: attributes
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }))
    };
    let refusal = |effects: &[Effect]| match replies(effects, 1)[..] {
        [
            Reply::RequestDone {
                request_id: 9,
                refusal,
                ..
            },
        ] => *refusal,
        ref other => panic!("{other:?}"),
    };
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.ask(1, change(&[("hand", "up")]));
    assert_eq!(refusal(&effects), Refusal::None);
    let [
        SessionCommand::UpdateParticipant {
            name,
            metadata,
            attributes,
            ..
        },
    ] = commands(&effects)[..]
    else {
        panic!()
    };
    assert_eq!(
        (name.as_deref(), metadata, attributes.len()),
        (Some("Ada L."), &None, 1)
    );

    let effects = bench.ask(1, change(&[("causeway.node", "syd")]));
    assert_eq!(refusal(&effects), Refusal::NotAllowed);
    assert!(commands(&effects).is_empty());
    for (key, value) in [
        ("long".to_owned(), "x".repeat(40_000)),
        ("k".repeat(2_000), "v".to_owned()),
    ] {
        let effects = bench.ask(1, change(&[(&key, &value)]));
        assert_eq!(refusal(&effects), Refusal::LimitExceeded);
    }

    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    who.claims.video.can_update_own_metadata = None;
    bench.join(1, who);
    assert_eq!(refusal(&bench.ask(1, change(&[]))), Refusal::NotAllowed);
}

#[test]
fn malformed_frames_are_counted_and_too_many_close_the_session() {
    let mut bench = Bench::with_limits(Limits {
        malformed_frames: 3,
        ..Limits::default()
    });
    bench.join(1, newcomer("ada"));
    let mut effects = Vec::new();
    bench.hub.frame_malformed(id(1), bench.now, &mut effects);
    bench.hub.frame_malformed(id(1), bench.now, &mut effects);
    assert!(effects.is_empty() && !bench.hub.is_empty());
    bench.hub.frame_malformed(id(1), bench.now, &mut effects);
    assert!(matches!(
        replies(&effects, 1)[..],
        [Reply::Leave(Leave {
            action: LeaveAction::Disconnect,
            ..
        })]
    ));
    assert!(bench.hub.is_empty());
    assert_eq!(bench.counters.malformed_frames.value(), 3);
}

#[test]
fn a_client_that_does_not_read_is_closed_without_a_word() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let mut effects = Vec::new();
    bench.hub.overflowed(id(1), &mut effects);
    assert!(replies(&effects, 1).is_empty());
    assert_eq!(effects.last(), Some(&Effect::Close(id(1))));
    assert_eq!(bench.counters.closed_slow.value(), 1);
}
