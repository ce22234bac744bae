//! What clients decide about themselves, and what others and their tokens make of it.

use super::*;
use crate::protocol::{AudienceRequest, GrantRequest, MetadataChange};
use crate::token::{TokenError, inspect};
use relay_proto::id::{Identity, ParticipantSid, RoomName};
use relay_proto::room::{Audience, AudienceGrant, ConnectionQuality};
use relay_proto::session::RoomChange;

fn only(viewers: &[(&str, &str, Option<&[&str]>)]) -> Request {
    let grants = viewers.iter().map(|(identity, sid, tracks)| GrantRequest {
        identity: Identity::from(*identity),
        participant: ParticipantSid::from(*sid),
        tracks: tracks.map(|tracks| tracks.iter().map(|sid| TrackSid::from(*sid)).collect()),
    });
    Request::SubscriptionPermission(Box::new(AudienceRequest {
        everybody: false,
        grants: grants.collect(),
    }))
}

fn audience(effects: &[Effect]) -> Audience {
    match commands(effects)[..] {
        [SessionCommand::SetAudience { audience, .. }] => audience.clone(),
        ref other => panic!("{other:?}"),
    }
}

fn refusals(effects: &[Effect]) -> Vec<Refusal> {
    replies(effects, 1)
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::RequestDone { refusal, .. } => Some(*refusal),
            _ => None,
        })
        .collect()
}

fn room_changed(bench: &mut Bench, change: RoomChange) -> Vec<Effect> {
    bench.fact(SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change,
    })
}

/// What each client is told of permissions.
fn permitted(effects: &[Effect]) -> Vec<(u32, &str, bool)> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send {
                to,
                reply: Reply::SubscriptionPermission { track, allowed, .. },
            } => Some((to[0].serial, track.as_str(), *allowed)),
            _ => None,
        })
        .collect()
}

fn publisher() -> ParticipantRecord {
    ParticipantRecord {
        tracks: vec![track("TR_cam"), track("TR_mic")],
        ..participant("PA_x", "carl")
    }
}

#[test]
fn an_audience_names_people_by_identity_or_by_the_id_of_somebody_who_is_there() {
    let mut bench = Bench::new();
    bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    let asked = only(&[
        ("bob", "", None),
        ("", "PA_x", Some(&["TR_1"])),
        ("", "PA_nobody", None),
    ]);
    let grant = |viewer: &str, tracks: Option<Vec<TrackSid>>| AudienceGrant {
        viewer: viewer.into(),
        tracks,
    };
    assert_eq!(
        audience(&bench.ask(1, asked)),
        Audience::Only(vec![
            grant("bob", None),
            grant("carl", Some(vec![TrackSid::from("TR_1")]))
        ])
    );
    let everybody = AudienceRequest {
        everybody: true,
        grants: Vec::new(),
    };
    let effects = bench.ask(1, Request::SubscriptionPermission(Box::new(everybody)));
    assert_eq!(audience(&effects), Audience::Everybody);
}

#[test]
fn an_audience_over_a_limit_or_of_one_who_may_not_publish_is_refused() {
    let mut bench = Bench::with_limits(Limits {
        audience_grants: 2,
        audience_bytes: 600,
        tracks_per_participant: 2,
        ..Limits::default()
    });
    bench.join(1, newcomer("ada"));
    let long = "x".repeat(200);
    for asked in [
        only(&[("a", "", None), ("b", "", None), ("c", "", None)]),
        only(&[("a", "", Some(&["TR_1", "TR_2", "TR_3"]))]),
        only(&[(&long, "", Some(&[&long])), (&long, "", Some(&[&long]))]),
        only(&[(&"x".repeat(257), "", None)]),
    ] {
        let effects = bench.ask(1, asked);
        assert_eq!(refusals(&effects), [Refusal::LimitExceeded]);
        assert!(commands(&effects).is_empty());
    }
    let mut bench = Bench::new();
    let mut viewer = newcomer("ada");
    viewer.claims.video.can_publish = Some(false);
    bench.join(1, viewer);
    assert_eq!(refusals(&bench.ask(1, only(&[]))), [Refusal::NotAllowed]);
}

#[test]
fn whoever_is_concerned_hears_of_a_permission_and_nobody_else() {
    let mut bench = Bench::new();
    bench.join_among(1, newcomer("ada"), vec![publisher()]);
    bench.join(2, newcomer("bob"));
    let mut deaf = newcomer("deaf");
    deaf.claims.video.can_subscribe = Some(false);
    bench.join(3, deaf);
    let set = |bench: &mut Bench, audience| {
        let participant = ParticipantSid::from("PA_x");
        room_changed(
            bench,
            RoomChange::AudienceChanged {
                participant,
                audience,
            },
        )
    };
    let only_ada_sees = |tracks: Option<Vec<TrackSid>>| {
        Audience::Only(vec![AudienceGrant {
            viewer: Identity::from("ada"),
            tracks,
        }])
    };
    let effects = set(&mut bench, only_ada_sees(Some(vec![TrackSid::from("TR_cam")])));
    assert_eq!(
        permitted(&effects),
        [(1, "TR_mic", false), (2, "TR_cam", false), (2, "TR_mic", false)]
    );
    let effects = set(&mut bench, only_ada_sees(None));
    assert_eq!(permitted(&effects), [(1, "TR_mic", true)]);

    // Whoever comes later hears it on joining, and of a later track with that track.
    let (_, effects) = bench.join(4, newcomer("dan"));
    assert_eq!(permitted(&effects), [(4, "TR_cam", false), (4, "TR_mic", false)]);
    let (_, effects) = bench.join_among(5, newcomer("eve"), vec![publisher()]);
    assert_eq!(permitted(&effects), [(5, "TR_cam", false), (5, "TR_mic", false)]);
    let mut more = publisher();
    more.version += 1;
    more.tracks = vec![track("TR_screen")];
    let effects = room_changed(&mut bench, RoomChange::ParticipantUpserted(Box::new(more)));
    assert!(matches!(
        &effects[0],
        Effect::Send {
            reply: Reply::Update(_),
            ..
        }
    ));
    assert_eq!(
        permitted(&effects),
        [
            (2, "TR_screen", false),
            (4, "TR_screen", false),
            (5, "TR_screen", false)
        ]
    );
    let effects = set(&mut bench, Audience::Everybody);
    assert_eq!(permitted(&effects).len(), 3);
    assert!(permitted(&effects).iter().all(|(_, _, allowed)| *allowed));
}

#[test]
fn how_good_connections_are_is_told_at_once_and_to_newcomers_but_not_of_hidden_people() {
    let mut bench = Bench::new();
    bench.join_among(1, newcomer("ada"), vec![publisher()]);
    let mut spy = newcomer("spy");
    spy.claims.video.hidden = true;
    let (spy, _) = bench.join(2, spy);
    let set = |bench: &mut Bench, participant: &ParticipantSid| {
        let change = RoomChange::QualityChanged {
            participant: participant.clone(),
            quality: ConnectionQuality::Poor,
        };
        room_changed(bench, change)
    };
    let carl = ParticipantSid::from("PA_x");
    let of_carl = Reply::Qualities(vec![(carl.clone(), ConnectionQuality::Poor)]);
    let effects = set(&mut bench, &carl);
    assert_eq!(
        (replies(&effects, 1), replies(&effects, 2)),
        (vec![&of_carl], vec![&of_carl])
    );
    let effects = set(&mut bench, &spy.sid);
    assert_eq!((replies(&effects, 1).len(), replies(&effects, 2).len()), (0, 1));
    let (_, effects) = bench.join(3, newcomer("dan"));
    assert_eq!(replies(&effects, 3).last(), Some(&&of_carl));
    // Again once its media is there: some clients know nobody yet when they have just joined.
    let effects = bench.fact(SessionFact::TransportConnected { session: id(3) });
    assert_eq!(replies(&effects, 3), [&of_carl]);
    assert!(set(&mut bench, &ParticipantSid::from("PA_nobody")).is_empty());
}

#[test]
fn a_publisher_hears_of_its_first_viewer() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let effects = bench.fact(SessionFact::TrackSubscribed {
        session: id(1),
        track: TrackSid::from("TR_1"),
    });
    assert_eq!(
        replies(&effects, 1),
        [&Reply::TrackSubscribed(TrackSid::from("TR_1"))]
    );
}

fn tokens(effects: &[Effect]) -> Vec<Claims> {
    let keys = BTreeMap::from([("key".to_owned(), SECRET.to_owned())]);
    replies(effects, 1)
        .into_iter()
        .filter_map(|reply| match reply {
            Reply::RefreshToken(token) => inspect(token, &keys, 0).ok(),
            _ => None,
        })
        .collect()
}

/// Lets time pass with a sign of life every five seconds.
fn stay(bench: &mut Bench, seconds: u64) -> Vec<Effect> {
    let mut all = Vec::new();
    for _ in 0..seconds / 5 {
        bench.now.wall.0 += 5_000;
        all.extend(bench.pass(Duration::from_secs(5)));
        all.extend(bench.ask(1, Request::Ping));
    }
    all
}

#[test]
fn a_token_is_replaced_before_it_ends_with_the_same_rights() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    let start = bench.now.wall.0 / 1_000;
    who.claims.exp = start + 3_600;
    who.claims.video.can_publish_sources = vec!["microphone".to_owned()];
    who.claims.video.can_publish_data = Some(false);
    let grants = who.claims.video.clone();
    bench.join(1, who);
    assert_eq!(tokens(&stay(&mut bench, 3_290)), []);
    let tokens_of = tokens(&stay(&mut bench, 15));
    let [renewed] = &tokens_of[..] else {
        panic!("{tokens_of:?}")
    };
    assert_eq!((renewed.sub.as_str(), &renewed.video), ("ada", &grants));
    assert_eq!(renewed.name, "ADA");
    assert!((start + 3_900..start + 3_920).contains(&renewed.exp));
    // From then on every five minutes.
    assert_eq!(tokens(&stay(&mut bench, 3_000)).len(), 10);
}

#[test]
fn a_token_that_ends_soon_is_replaced_at_once_and_one_that_never_ends_is_not() {
    for (left, expected) in [(60, 1), (u64::MAX / 2, 0)] {
        let mut bench = Bench::new();
        let mut who = newcomer("ada");
        who.claims.exp = bench.now.wall.0 / 1_000 + left;
        bench.join(1, who);
        assert_eq!(tokens(&bench.pass(Duration::ZERO)).len(), expected);
    }
}

#[test]
fn what_a_client_has_changed_of_itself_stands_in_its_next_token() {
    let mut bench = Bench::new();
    let (_, _) = bench.join(1, newcomer("ada"));
    let before = bench.now.wall.0 / 1_000 + 6 * 60 * 60;
    for (name, key, value) in [("Ada L.", "hand", "up"), ("", "hand", ""), ("", "mood", "calm")] {
        bench.ask(
            1,
            Request::UpdateMetadata(Box::new(MetadataChange {
                request_id: 1,
                name: name.to_owned(),
                metadata: String::new(),
                attributes: vec![(key.to_owned(), value.to_owned())],
            })),
        );
    }
    let renewed = tokens(&bench.pass(Duration::from_secs(2)));
    let [renewed] = &renewed[..] else {
        panic!("{renewed:?}")
    };
    assert_eq!(renewed.name, "Ada L.");
    let mood = ("mood".to_owned(), "calm".to_owned());
    assert_eq!(renewed.attributes, BTreeMap::from([mood]));
    assert_eq!(renewed.exp, before, "it does not end before the one it replaces");
}

#[test]
fn region_and_node_are_set_by_the_server_whatever_token_and_client_say() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    who.claims.attributes = BTreeMap::from([pair("causeway.node", "syd"), pair("role", "host")]);
    who.join.attributes = BTreeMap::from([
        pair("causeway.region", "Sydney"),
        pair("causeway.other", "x"),
        pair("seat", "3"),
    ]);
    let (record, _) = bench.join(1, who);
    assert_eq!(
        record.attributes,
        [
            pair("causeway.node", "fra"),
            pair("causeway.region", "Frankfurt"),
            pair("role", "host"),
            pair("seat", "3")
        ]
    );
}

#[test]
fn a_key_of_another_node_does_not_open_a_replaced_token() {
    let mut bench = Bench::new();
    let mut who = newcomer("ada");
    who.claims.exp = bench.now.wall.0 / 1_000 + 60;
    bench.join(1, who);
    let effects = bench.pass(Duration::ZERO);
    let [Reply::RefreshToken(token)] = replies(&effects, 1)[..] else {
        panic!("{effects:?}")
    };
    let others = BTreeMap::from([("key".to_owned(), "another secret that is as long".to_owned())]);
    assert_eq!(inspect(token, &others, 0), Err(TokenError::Forged));
}
