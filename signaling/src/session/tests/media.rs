use super::*;
use crate::limits::SECTIONS_DEBOUNCE;
use crate::protocol::Answer;

fn answered(bench: &mut Bench, offer_id: u32) -> Vec<Effect> {
    bench.fact(SessionFact::OfferAnswered {
        session: id(1),
        offer_id,
        sdp: "v=0 answer".to_owned(),
        sections: vec![("3".to_owned(), TrackSid::from("TR_x"))],
    })
}

#[test]
fn an_answer_reaches_the_client_with_the_number_of_its_offer() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::Offer(offer(4)));
    let effects = answered(&mut bench, 4);
    let [
        Reply::Answer(Answer {
            offer_id: 4,
            sections,
            ..
        }),
    ] = replies(&effects, 1)[..]
    else {
        panic!()
    };
    assert_eq!(sections.len(), 1);
}

#[test]
fn an_unusable_first_offer_ends_the_session_with_a_clear_cause() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::Offer(offer(1)));
    let effects = bench.fact(SessionFact::OfferRejected {
        session: id(1),
        offer_id: 1,
        reason: "no fingerprint".to_owned(),
    });
    let told = replies(&effects, 1);
    assert!(matches!(told[0], Reply::RequestDone { message, .. } if message == "no fingerprint"));
    assert!(matches!(
        told[1],
        Reply::Leave(Leave {
            reason: LeaveReason::MediaFailure,
            ..
        })
    ));
    assert!(bench.hub.is_empty());
}

#[test]
fn an_unusable_later_offer_leaves_the_session_as_it_was() {
    let mut bench = Bench::with_limits(Limits {
        rejected_offers: 2,
        ..Limits::default()
    });
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::Offer(offer(1)));
    answered(&mut bench, 1);
    bench.ask(1, Request::Offer(offer(2)));
    bench.fact(SessionFact::OfferRejected {
        session: id(1),
        offer_id: 2,
        reason: "bad".to_owned(),
    });
    assert!(!bench.hub.is_empty());
    bench.ask(1, Request::Offer(offer(3)));
    answered(&mut bench, 3);
    for offer_id in [4, 5] {
        bench.fact(SessionFact::OfferRejected {
            session: id(1),
            offer_id,
            reason: "bad".to_owned(),
        });
    }
    assert!(bench.hub.is_empty());
    assert_eq!(bench.counters.closed_abuse.value(), 1);
}

#[test]
fn an_oversized_description_never_reaches_the_bridge() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::Offer(offer(1)));
    answered(&mut bench, 1);
    let sdp = "a".repeat(Limits::default().sdp_bytes + 1);
    let effects = bench.ask(1, Request::Offer(Offer { id: 2, sdp }));
    assert!(commands(&effects).is_empty());
    assert!(matches!(
        replies(&effects, 1)[..],
        [Reply::RequestDone {
            refusal: Refusal::InvalidRequest,
            ..
        }]
    ));
    assert!(!bench.hub.is_empty());
}

#[test]
fn a_flood_of_offers_never_reaches_the_bridge_and_ends_the_session() {
    let mut bench = Bench::with_limits(Limits {
        offers_per_second: 1,
        offer_burst: 3,
        ..Limits::default()
    });
    bench.join(1, newcomer("ada"));
    let mut applied = 0;
    for at in 1..20 {
        let effects = bench.ask(1, Request::Offer(offer(at)));
        applied += commands(&effects)
            .iter()
            .filter(|command| matches!(command, SessionCommand::ApplyOffer { .. }))
            .count();
        if applied == 1 {
            answered(&mut bench, 1);
        }
    }
    assert_eq!(applied, 3);
    assert!(bench.hub.is_empty());
}

#[test]
fn an_announced_track_is_published_under_the_clients_own_id() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.ask(1, Request::AddTrack(Box::new(camera("cam"))));
    let [SessionCommand::AnnounceTrack { track: announced, .. }] = commands(&effects)[..] else {
        panic!()
    };
    let record = announced.record.clone();
    assert!(record.sid.as_str().starts_with("TR_"));
    assert_eq!((record.layers.len(), record.simulcast), (1, false));
    let effects = bench.fact(SessionFact::TrackAnnounced {
        session: id(1),
        cid: "cam".to_owned(),
        track: Box::new(record.clone()),
    });
    assert_eq!(
        replies(&effects, 1),
        [&Reply::TrackPublished {
            cid: "cam".to_owned(),
            track: Box::new(record.clone())
        }]
    );
    // The same question has the same answer, and no second track.
    let effects = bench.ask(1, Request::AddTrack(Box::new(camera("cam"))));
    assert!(commands(&effects).is_empty());
    assert_eq!(replies(&effects, 1).len(), 1);

    let effects = bench.ask(
        1,
        Request::Mute {
            track: record.sid.clone(),
            muted: true,
        },
    );
    assert!(matches!(
        commands(&effects)[..],
        [SessionCommand::SetTrackMuted { muted: true, .. }]
    ));
    let effects = bench.ask(
        1,
        Request::Mute {
            track: TrackSid::from("TR_of_another"),
            muted: true,
        },
    );
    assert!(effects.is_empty());

    bench.fact(SessionFact::TrackUnpublished {
        session: id(1),
        track: record.sid.clone(),
    });
    let effects = bench.ask(1, Request::AddTrack(Box::new(camera("cam"))));
    let [SessionCommand::AnnounceTrack { track: again, .. }] = commands(&effects)[..] else {
        panic!()
    };
    assert_ne!(again.record.sid, record.sid);
}

#[test]
fn tracks_that_may_not_be_published_are_refused_at_once() {
    let refusal = |bench: &mut Bench, request: TrackRequest| {
        let effects = bench.ask(1, Request::AddTrack(Box::new(request)));
        assert!(commands(&effects).is_empty());
        match replies(&effects, 1)[..] {
            [Reply::RequestDone { refusal, .. }] => *refusal,
            ref other => panic!("{other:?}"),
        }
    };
    let mut bench = Bench::with_limits(Limits {
        tracks_per_participant: 1,
        ..Limits::default()
    });
    let mut who = newcomer("ada");
    who.claims.video.can_publish_sources = vec!["camera".to_owned()];
    bench.join(1, who);
    let microphone = TrackRequest {
        source: TrackSource::Microphone,
        ..camera("mic")
    };
    assert_eq!(refusal(&mut bench, microphone), Refusal::NotAllowed);
    assert_eq!(refusal(&mut bench, camera("")), Refusal::InvalidRequest);
    assert_eq!(
        refusal(
            &mut bench,
            TrackRequest {
                kind: None,
                ..camera("data")
            }
        ),
        Refusal::Unsupported
    );
    let backup = TrackRequest {
        second_encoding_of: Some(TrackSid::from("TR_1")),
        ..camera("b")
    };
    assert_eq!(refusal(&mut bench, backup), Refusal::Unsupported);
    bench.ask(1, Request::AddTrack(Box::new(camera("one"))));
    assert_eq!(refusal(&mut bench, camera("two")), Refusal::LimitExceeded);
}

#[test]
fn a_track_the_bridge_refuses_frees_its_place() {
    let mut bench = Bench::with_limits(Limits {
        tracks_per_participant: 1,
        ..Limits::default()
    });
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::AddTrack(Box::new(camera("one"))));
    let effects = bench.fact(SessionFact::TrackRefused {
        session: id(1),
        cid: "one".to_owned(),
        reason: "full".to_owned(),
    });
    assert!(matches!(
        replies(&effects, 1)[..],
        [Reply::RequestDone {
            refusal: Refusal::NotAllowed,
            ..
        }]
    ));
    assert_eq!(
        commands(&bench.ask(1, Request::AddTrack(Box::new(camera("two"))))).len(),
        1
    );
}

#[test]
fn subscriptions_name_known_tracks_once() {
    let mut bench = Bench::new();
    let mut bob = participant("PA_bob", "bob");
    bob.tracks.push(track("TR_bob"));
    bench.join_among(1, newcomer("ada"), vec![bob]);
    let effects = bench.ask(
        1,
        Request::Subscription {
            tracks: vec![TrackSid::from("TR_bob"), TrackSid::from("TR_unknown")],
            of_participants: vec![(ParticipantSid::from("PA_bob"), vec![TrackSid::from("TR_bob")])],
            wanted: false,
        },
    );
    let [
        SessionCommand::SetSubscription {
            tracks,
            wanted: false,
            ..
        },
    ] = commands(&effects)[..]
    else {
        panic!()
    };
    assert_eq!(tracks, &[TrackSid::from("TR_bob")]);
}

#[test]
fn how_a_tile_is_shown_becomes_the_largest_layer_of_use() {
    let mut bench = Bench::new();
    let mut bob = participant("PA_bob", "bob");
    bob.tracks.push(track("TR_bob"));
    bench.join_among(1, newcomer("ada"), vec![bob]);
    let wish = |bench: &mut Bench, picture| {
        let effects = bench.ask(
            1,
            Request::TrackSetting {
                tracks: vec![TrackSid::from("TR_bob")],
                picture,
            },
        );
        match commands(&effects)[..] {
            [SessionCommand::SetTrackWish { wish, .. }] => (wish.enabled, wish.max_layer),
            ref other => panic!("{other:?}"),
        }
    };
    assert_eq!(wish(&mut bench, WishedPicture::Nothing), (false, Layer(0)));
    assert_eq!(wish(&mut bench, WishedPicture::UpTo(Layer(1))), (true, Layer(1)));
    assert_eq!(
        wish(
            &mut bench,
            WishedPicture::Pixels {
                width: 300,
                height: 170
            }
        ),
        (true, Layer(0))
    );
    assert_eq!(
        wish(
            &mut bench,
            WishedPicture::Pixels {
                width: 1000,
                height: 600
            }
        ),
        (true, Layer(2))
    );
}

#[test]
fn section_requirements_are_gathered_and_the_last_one_counts() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let required = |bench: &mut Bench, audios, videos| {
        let fact = SessionFact::SectionsRequired {
            session: id(1),
            audios,
            videos,
        };
        assert!(bench.fact(fact).is_empty());
    };
    required(&mut bench, 0, 1);
    assert!(bench.pass(SECTIONS_DEBOUNCE / 2).is_empty());
    required(&mut bench, 1, 2);
    let effects = bench.pass(SECTIONS_DEBOUNCE / 2);
    assert_eq!(
        replies(&effects, 1),
        [&Reply::SectionsRequired { audios: 1, videos: 2 }]
    );
    assert!(bench.pass(SECTIONS_DEBOUNCE).is_empty());
}

#[test]
fn an_answer_supersedes_the_requirements_before_it() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let required = |bench: &mut Bench, videos| {
        bench.fact(SessionFact::SectionsRequired {
            session: id(1),
            audios: 0,
            videos,
        })
    };
    bench.ask(1, Request::Offer(offer(1)));
    required(&mut bench, 1);
    assert!(bench.pass(SECTIONS_DEBOUNCE * 3).is_empty());
    answered(&mut bench, 1);
    assert!(bench.pass(SECTIONS_DEBOUNCE * 3).is_empty());
    required(&mut bench, 0);
    let effects = bench.pass(SECTIONS_DEBOUNCE);
    assert_eq!(
        replies(&effects, 1),
        [&Reply::SectionsRequired { audios: 0, videos: 0 }]
    );
}

#[test]
fn a_rejected_offer_leaves_the_requirements_standing() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.ask(1, Request::Offer(offer(1)));
    answered(&mut bench, 1);
    bench.ask(1, Request::Offer(offer(2)));
    bench.fact(SessionFact::SectionsRequired {
        session: id(1),
        audios: 0,
        videos: 2,
    });
    assert!(bench.pass(SECTIONS_DEBOUNCE).is_empty());
    bench.fact(SessionFact::OfferRejected {
        session: id(1),
        offer_id: 2,
        reason: "bad".to_owned(),
    });
    let effects = bench.pass(Duration::ZERO);
    assert_eq!(
        replies(&effects, 1),
        [&Reply::SectionsRequired { audios: 0, videos: 2 }]
    );
}
