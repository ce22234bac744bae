//! Sessions that lose their connection and go on over another.

use super::*;
use crate::protocol::SyncState;
use crate::turn::TurnServers;
use livekit_protocol as proto;
use prost::Message as _;
use relay_proto::id::{ParticipantSid, RoomName};
use relay_proto::room::{Audience, ConnectionQuality, ParticipantState};
use relay_proto::session::RoomChange;

fn returning(identity: &str, sid: &ParticipantSid) -> Newcomer {
    let mut who = newcomer(identity);
    who.join.reconnect = true;
    who.join.participant = Some(sid.clone());
    who
}

fn room_changed(bench: &mut Bench, change: RoomChange) -> Vec<Effect> {
    bench.fact(SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change,
    })
}

fn leaves(bench: &mut Bench, sid: &str, identity: &str) -> Vec<Effect> {
    let participant = Box::new(ParticipantRecord {
        state: ParticipantState::Disconnected,
        ..participant(sid, identity)
    });
    let cause = LeaveCause::ClientLeft;
    room_changed(bench, RoomChange::ParticipantLeft { participant, cause })
}

fn refused(effects: &[Effect], connection: u32) -> bool {
    assert_eq!(effects.last(), Some(&Effect::Close(id(connection))));
    matches!(
        replies(effects, connection)[..],
        [Reply::Leave(Leave {
            action: LeaveAction::Reconnect,
            ..
        })]
    )
}

/// What the client of session 1 is told, frame by frame.
fn told(effects: &[Effect]) -> Vec<String> {
    replies(effects, 1)
        .into_iter()
        .map(|reply| match reply {
            Reply::Reconnect(reply) => format!("reconnect {}", reply.last_sequence),
            Reply::Gone(who, _) => format!("gone {}", who.sid),
            Reply::Update(people) => {
                let mut people: Vec<_> = people.iter().map(|who| who.identity.to_string()).collect();
                people.sort();
                format!("update {}", people.join(" "))
            }
            other => format!("{other:?}").split(['(', ' ']).next().unwrap().to_owned(),
        })
        .collect()
}

#[test]
fn a_lost_connection_costs_the_media_session_nothing_if_another_comes_in_time() {
    let mut bench = Bench::new();
    let carl = participant("PA_x", "carl");
    let (ada, _) = bench.join_among(1, newcomer("ada"), vec![carl, participant("PA_y", "dora")]);
    let lost = bench.disconnect(1);
    assert_eq!(lost, [Effect::Keep(id(1))]);
    // Others' news are not for it now; they are told whole when it comes back.
    assert!(leaves(&mut bench, "PA_x", "carl").is_empty());
    assert!(bench.pass(Duration::from_secs(14)).is_empty());
    let effects = bench.connect(7, returning("ada", &ada.sid));
    assert_eq!(
        effects[0],
        Effect::Attach {
            connection: id(7),
            session: id(1)
        }
    );
    assert_eq!(told(&effects), ["reconnect 0", "gone PA_x", "update ada dora"]);
    assert_eq!(effects.last(), Some(&Effect::SendKept(id(1))));
    assert!(commands(&effects).is_empty(), "the bridge notices nothing");
    assert_eq!((bench.hub.len(), bench.counters.resumed.value()), (1, 1));
    // It is as good as new: it hears, asks, and falls silent as before.
    assert_eq!(replies(&leaves(&mut bench, "PA_y", "dora"), 1).len(), 1);
    assert_eq!(commands(&bench.ask(1, Request::Offer(offer(2)))).len(), 1);
    assert!(bench.pass(Duration::from_millis(19_999)).is_empty());
    assert!(bench.hub.len() == 1 && !bench.pass(Duration::from_millis(1)).is_empty());
}

#[test]
fn whoever_does_not_come_back_in_time_is_gone() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join(1, newcomer("ada"));
    bench.disconnect(1);
    assert!(bench.pass(Duration::from_millis(14_999)).is_empty());
    let effects = bench.pass(Duration::from_millis(1));
    assert_eq!(
        commands(&effects),
        [&SessionCommand::CloseSession {
            session: id(1),
            cause: LeaveCause::ConnectionLost
        }]
    );
    assert!(bench.hub.is_empty());
    assert!(refused(&bench.connect(2, returning("ada", &ada.sid)), 2));
    assert_eq!(bench.counters.refused_resume.value(), 1);
}

#[test]
fn a_session_that_is_not_open_yet_does_not_wait_and_where_too_many_wait_nobody_else_does() {
    let mut bench = Bench::with_limits(Limits {
        waiting_sessions: 1,
        ..Limits::default()
    });
    bench.connect(1, newcomer("ada"));
    assert_eq!(commands(&bench.disconnect(1)).len(), 1);
    for serial in 2..4 {
        bench.join(serial, newcomer(&serial.to_string()));
    }
    assert!(commands(&bench.disconnect(2)).is_empty());
    assert_eq!(commands(&bench.disconnect(3)).len(), 1);
    assert_eq!(bench.hub.len(), 1);
}

#[test]
fn only_the_same_person_with_the_right_session_and_room_goes_on() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join(1, newcomer("ada"));
    bench.disconnect(1);
    let mut elsewhere = returning("ada", &ada.sid);
    elsewhere.claims.video.room = "board".to_owned();
    let mut unnamed = returning("ada", &ada.sid);
    unnamed.join.participant = None;
    let strangers = [
        returning("eve", &ada.sid),
        returning("ada", &ParticipantSid::from("PA_wrong")),
        elsewhere,
        unnamed,
    ];
    for (serial, stranger) in (2..).zip(strangers) {
        assert!(refused(&bench.connect(serial, stranger), serial));
    }
    assert_eq!(
        told(&bench.connect(9, returning("ada", &ada.sid)))[0],
        "reconnect 0"
    );
}

#[test]
fn a_new_connection_replaces_one_that_only_seems_to_live() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    // Sent, and lost on the way: the client must hear it again.
    assert_eq!(replies(&leaves(&mut bench, "PA_x", "carl"), 1).len(), 1);
    bench.pass(Duration::from_secs(16));
    let effects = bench.connect(2, returning("ada", &ada.sid));
    assert_eq!(told(&effects), ["reconnect 0", "gone PA_x", "update ada"]);
}

#[test]
fn nobody_is_taken_away_who_has_come_again_meanwhile() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    bench.disconnect(1);
    leaves(&mut bench, "PA_x", "carl");
    room_changed(
        &mut bench,
        RoomChange::ParticipantUpserted(Box::new(participant("PA_again", "carl"))),
    );
    let effects = bench.connect(2, returning("ada", &ada.sid));
    assert_eq!(told(&effects), ["reconnect 0", "update ada carl"]);
}

#[test]
fn where_more_have_left_than_are_remembered_the_client_joins_anew() {
    let mut bench = Bench::with_limits(Limits {
        departures_remembered: 3,
        ..Limits::default()
    });
    let people: Vec<_> = (0..4)
        .map(|at| participant(&format!("PA_{at}"), &format!("guest-{at}")))
        .collect();
    let (ada, _) = bench.join_among(1, newcomer("ada"), people);
    let (bob, _) = bench.join(2, newcomer("bob"));
    for at in 0..4 {
        leaves(&mut bench, &format!("PA_{at}"), &format!("guest-{at}"));
    }
    bench.disconnect(1);
    assert!(refused(&bench.connect(3, returning("ada", &ada.sid)), 3));
    // What was forgotten is so old after a while that nobody can have missed it.
    for _ in 0..7 {
        bench.pass(Duration::from_secs(5));
        bench.ask(2, Request::Ping);
    }
    bench.disconnect(2);
    let effects = bench.connect(4, returning("bob", &bob.sid));
    assert!(matches!(effects[0], Effect::Attach { .. }), "{effects:?}");
}

#[test]
fn what_does_not_stand_in_records_is_told_again() {
    let mut bench = Bench::new();
    let carl = ParticipantRecord {
        tracks: vec![track("TR_cam")],
        ..participant("PA_x", "carl")
    };
    let (ada, _) = bench.join_among(1, newcomer("ada"), vec![carl]);
    let publisher = || ParticipantSid::from("PA_x");
    let permit = |audience| RoomChange::AudienceChanged {
        participant: publisher(),
        audience,
    };
    room_changed(&mut bench, permit(Audience::Only(Vec::new())));
    bench.disconnect(1);
    // Lifted and set again while it is away: the one is kept for it, the other told with the rest.
    let lifted = room_changed(&mut bench, permit(Audience::Everybody));
    assert_eq!(told(&lifted), ["SubscriptionPermission"]);
    room_changed(&mut bench, permit(Audience::Only(Vec::new())));
    room_changed(
        &mut bench,
        RoomChange::QualityChanged {
            participant: publisher(),
            quality: ConnectionQuality::Good,
        },
    );
    let effects = bench.connect(2, returning("ada", &ada.sid));
    assert_eq!(
        told(&effects),
        [
            "reconnect 0",
            "update ada carl",
            "Qualities",
            "SubscriptionPermission"
        ]
    );
}

#[test]
fn what_the_client_believes_is_put_right_or_sends_it_to_join_anew() {
    let mut bench = Bench::new();
    let carl = ParticipantRecord {
        tracks: vec![track("TR_cam"), track("TR_mic")],
        ..participant("PA_x", "carl")
    };
    let (ada, _) = bench.join_among(1, newcomer("ada"), vec![carl]);
    bench.ask(1, Request::AddTrack(Box::new(camera("cid"))));
    bench.fact(SessionFact::TrackAnnounced {
        session: id(1),
        cid: "cid".to_owned(),
        track: Box::new(track("TR_own")),
    });
    bench.disconnect(1);
    bench.connect(2, returning("ada", &ada.sid));
    let state = |published: &str| SyncState {
        subscription: vec![TrackSid::from("TR_mic")],
        wanted: false,
        hidden: vec![TrackSid::from("TR_cam")],
        published: vec![TrackSid::from(published)],
        received: vec![(ParticipantSid::from("PA_x"), 7)],
    };
    let effects = bench.ask(1, Request::SyncState(Box::new(state("TR_own"))));
    assert!(matches!(
        commands(&effects)[..],
        [
            SessionCommand::SetSubscription { wanted: false, .. },
            SessionCommand::SetTrackWish { .. },
            SessionCommand::ReplayData { after, .. },
        ] if *after == [(ParticipantSid::from("PA_x"), 7)]
    ));
    let effects = bench.ask(1, Request::SyncState(Box::new(state("TR_unknown"))));
    assert!(matches!(
        replies(&effects, 1)[..],
        [Reply::Leave(Leave {
            reason: LeaveReason::StateMismatch,
            action: LeaveAction::Reconnect,
            ..
        })]
    ));
    assert!(bench.hub.is_empty());
}

#[test]
fn the_bridge_may_end_a_session_while_it_waits() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join(1, newcomer("ada"));
    bench.disconnect(1);
    let effects = bench.fact(SessionFact::SessionEnded {
        session: id(1),
        cause: EndCause::ConsentExpired,
    });
    assert_eq!(effects.last(), Some(&Effect::Close(id(1))));
    assert!(refused(&bench.connect(2, returning("ada", &ada.sid)), 2));
}

#[test]
fn reliable_messages_sent_again_after_a_resume_are_passed_on_once() {
    let mut bench = Bench::new();
    let (ada, _) = bench.join(1, newcomer("ada"));
    let say = |bench: &mut Bench, sequence, reliable| {
        let packet = proto::DataPacket {
            sequence,
            ..proto::DataPacket::default()
        };
        let effects = bench.fact(SessionFact::DataReceived {
            session: id(1),
            reliable,
            payload: packet.encode_to_vec(),
        });
        commands(&effects).len()
    };
    for sequence in 1..=5 {
        assert_eq!(say(&mut bench, sequence, true), 1);
    }
    bench.disconnect(1);
    let effects = bench.connect(2, returning("ada", &ada.sid));
    assert_eq!(told(&effects)[0], "reconnect 5");
    let passed: Vec<usize> = (4..=7).map(|sequence| say(&mut bench, sequence, true)).collect();
    assert_eq!(passed, [0, 0, 1, 1]);
    assert_eq!(bench.counters.data_repeated.value(), 2);
    // Messages without a number, and lossy ones, are nobody's repetition.
    assert_eq!(
        [(0, true), (0, true), (3, false)].map(|(at, reliable)| say(&mut bench, at, reliable)),
        [1, 1, 1]
    );
}

#[test]
fn credentials_for_turn_are_given_on_joining_and_new_ones_on_coming_back() {
    let mut bench = Bench::new();
    let site = Site {
        turn: Some(TurnServers {
            urls: vec!["turn:turn.example.org".to_owned()],
            secret: "a secret of coturn".to_owned(),
            ttl: Duration::from_secs(600),
        }),
        ..bench.site.clone()
    };
    bench.hub = Hub::new(site, Box::new(Seeded(1)));
    let (ada, joined) = bench.join(1, newcomer("ada"));
    bench.disconnect(1);
    bench.now.wall.0 += 3_000;
    let back = bench.connect(7, returning("ada", &ada.sid));
    let [Reply::Join(join)] = replies(&joined, 1)[..1] else {
        panic!("{joined:?}");
    };
    let [Reply::Reconnect(reconnect)] = replies(&back, 1)[..1] else {
        panic!("{back:?}");
    };
    assert_eq!(join.ice_servers[0].username, "1700000600:ada");
    assert_eq!(reconnect.ice_servers[0].username, "1700000603:ada");
    assert_eq!(reconnect.ice_servers[0].urls, ["turn:turn.example.org"]);
    assert_ne!(
        join.ice_servers[0].credential,
        reconnect.ice_servers[0].credential
    );
}
