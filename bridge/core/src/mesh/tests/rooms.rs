use super::super::config::{MeshConfig, MeshLimits};
use super::super::testing::{FakeShards, MeshNet, Path, join_command};
use super::{Net, beginning, end_of, join, leave, ms, net_of, publish, seen};
use crate::shard::io::{ShardFact, ShardId};
use relay_proto::id::{SessionId, TrackSid};
use relay_proto::room::{DataMessage, LeaveCause, ParticipantRecord, ParticipantState, TrackSource};
use relay_proto::session::{EndCause, OpenSession, RoomChange, SessionCommand, SessionFact};
use std::num::NonZeroU8;

/// A join with something changed.
fn join_as(
    net: &mut Net,
    node: usize,
    serial: u32,
    identity: &str,
    change: impl FnOnce(&mut OpenSession),
) -> SessionId {
    let entry = net.id(node);
    let SessionCommand::OpenSession(mut open) = join_command(entry, serial, "r", identity) else {
        unreachable!("invariant: a join command opens a session");
    };
    change(&mut open);
    net.command(node, SessionCommand::OpenSession(open));
    SessionId { entry, serial }
}

fn record(net: &Net, node: usize, identity: &str) -> ParticipantRecord {
    net.clients(node).people(&"r".into()).expect("the room is open")[&identity.into()].clone()
}

fn refusal(facts: &[SessionFact]) -> Option<&str> {
    facts.iter().find_map(|fact| match fact {
        SessionFact::TrackRefused { reason, .. } => Some(reason.as_str()),
        _ => None,
    })
}

fn say(net: &mut Net, node: usize, session: SessionId, to: &[&str], text: &str) {
    let message = DataMessage {
        from: "PA_forged".into(),
        to: to.iter().map(|identity| (*identity).into()).collect(),
        reliable: true,
        payload: text.as_bytes().to_vec(),
    };
    net.command(node, SessionCommand::SendData { session, message });
}

fn heard(net: &mut Net, node: usize) -> Vec<(u32, String)> {
    let data = std::mem::take(&mut net.shards(node).data);
    data.into_iter()
        .map(|(session, text)| (session.serial, String::from_utf8(text).unwrap()))
        .collect()
}

#[test]
fn everybody_in_a_room_sees_everybody_on_all_nodes() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    for (node, identity) in [(0, "ann"), (1, "ben"), (2, "cyd"), (0, "dan")] {
        join(
            &mut net,
            node,
            identity.len() as u32 + node as u32 * 10 + u32::from(identity == "dan"),
            "r",
            identity,
        );
        net.run(ms(20));
    }
    join(&mut net, 0, 99, "another room", "zoe");
    net.run(ms(1_000));
    for node in 0..3 {
        assert_eq!(seen(&net, node, "r"), ["ann", "ben", "cyd", "dan"]);
    }
    assert_eq!(seen(&net, 0, "another room"), ["zoe"]);
    assert_eq!(record(&net, 2, "ann").state, ParticipantState::Active);
    assert_eq!(record(&net, 2, "ann").home, net.id(0));
}

#[test]
fn a_track_is_told_to_others_only_once_its_media_is_bound() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    net.take_facts(0);
    publish(&mut net, 0, ann, "TR_1");
    let alias = net
        .shards(0)
        .alias(&"TR_1".into())
        .expect("the shard has heard of it");
    let facts = net.take_facts(0);
    let announced = facts.iter().position(|fact| {
        matches!(fact, SessionFact::TrackAnnounced { cid, track, .. }
        if cid == "cid-TR_1" && track.alias == alias && track.codec.is_none())
    });
    let told = facts.iter().position(|fact| {
        matches!(fact, SessionFact::RoomChanged { change: RoomChange::ParticipantUpserted(record), .. }
        if !record.tracks.is_empty())
    });
    assert!(announced.unwrap() < told.unwrap(), "{facts:?}");
    net.run(ms(200));
    let track = &record(&net, 1, "ann").tracks[0];
    assert_eq!((track.sid.as_str(), track.alias), ("TR_1", alias));
    assert!(track.codec.is_some());
    let origin = net.id(0);
    assert_eq!(net.shards(1).remote_tracks(&"r".into()), [(origin, alias)].into());
    assert_eq!(net.routed(1, origin, alias), [ShardId(0)]);
    assert_eq!(net.routed(0, origin, alias), [ShardId(0)]);
}

#[test]
fn demand_reaches_the_origin_once_and_is_withdrawn_with_the_link() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    publish(&mut net, 0, ann, "TR_1");
    net.run(ms(1_000));
    let (peer, alias) = (net.id(1), net.shards(0).alias(&"TR_1".into()).unwrap());
    let wants = |net: &mut Net| net.shards(0).demands.contains_key(&(peer, alias));
    assert!(wants(&mut net));
    net.cut(0, 1);
    net.run(ms(2_000));
    assert!(!wants(&mut net));
    net.heal(0, 1);
    net.run(ms(2_000));
    assert!(wants(&mut net), "the demander tells its full demand again");
}

#[test]
fn an_unpublished_track_is_gone_everywhere() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    publish(&mut net, 0, ann, "TR_1");
    net.run(ms(500));
    net.take_facts(0);
    net.shards(0).unbind(&"TR_1".into());
    net.with_core(0, |_| {});
    assert!(
        net.take_facts(0)
            .iter()
            .any(|fact| matches!(fact, SessionFact::TrackUnpublished { .. }))
    );
    net.run(ms(500));
    assert!(record(&net, 1, "ann").tracks.is_empty());
    assert!(net.shards(1).remote_tracks(&"r".into()).is_empty());
    assert!(net.routed_tracks(0).is_empty() && net.routed_tracks(1).is_empty());
}

#[test]
fn mutes_and_updates_change_the_record_everywhere() {
    let mut net = net_of(1, &["fra", "sin"]);
    let session = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    publish(&mut net, 0, session, "TR_1");
    let track = TrackSid::from("TR_1");
    net.command(
        0,
        SessionCommand::SetTrackMuted {
            session,
            track,
            muted: true,
        },
    );
    let update = |attributes: &[(&str, &str)]| SessionCommand::UpdateParticipant {
        session,
        name: Some("Ann".to_owned()),
        metadata: None,
        attributes: attributes
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
            .collect(),
    };
    net.command(0, update(&[("b", "2"), ("a", "1")]));
    net.command(0, update(&[("b", ""), ("c", "3")]));
    net.run(ms(500));
    let seen = record(&net, 1, "ann");
    assert!(seen.tracks[0].muted);
    assert_eq!(seen.name, "Ann");
    let pairs: Vec<_> = seen
        .attributes
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    assert_eq!(pairs, [("a", "1"), ("c", "3")]);
}

#[test]
fn what_the_token_forbids_is_refused_with_a_reason() {
    let mut net = net_of(1, &["fra"]);
    let listener = join_as(&mut net, 0, 1, "listener", |open| {
        open.participant.permission.can_publish = false
    });
    publish(&mut net, 0, listener, "TR_1");
    assert_eq!(
        refusal(&net.take_facts(0)),
        Some("the token does not allow publishing")
    );
    let screen = join_as(&mut net, 0, 2, "screen", |open| {
        open.participant.permission.sources = vec![TrackSource::ScreenShare];
    });
    publish(&mut net, 0, screen, "TR_2");
    assert_eq!(
        refusal(&net.take_facts(0)),
        Some("the token does not allow this source")
    );
    let hidden = join_as(&mut net, 0, 3, "hidden", |open| {
        open.participant.permission.hidden = true
    });
    publish(&mut net, 0, hidden, "TR_3");
    assert!(refusal(&net.take_facts(0)).is_some());
    assert_eq!(net.shards(0).alias(&"TR_1".into()), None);
}

#[test]
fn tracks_and_texts_of_a_participant_are_bounded() {
    let mut net = net_of(1, &["fra"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    for n in 0..MeshLimits::default().max_tracks_per_participant {
        publish(&mut net, 0, ann, &format!("TR_{n}"));
    }
    assert_eq!(refusal(&net.take_facts(0)), None);
    publish(&mut net, 0, ann, "TR_more");
    assert_eq!(
        refusal(&net.take_facts(0)),
        Some("limit reached: tracks of a participant")
    );
    for n in 0..10 {
        net.command(
            0,
            SessionCommand::UpdateParticipant {
                session: ann,
                name: None,
                metadata: None,
                attributes: vec![(format!("key {n}"), "x".repeat(60_000))],
            },
        );
    }
    assert_eq!(record(&net, 0, "ann").attributes.len(), 2);
    let big = join_as(&mut net, 0, 2, "big", |open| {
        open.participant.metadata = "x".repeat(1 << 20)
    });
    assert!(matches!(
        end_of(&net.take_facts(0), big),
        Some(EndCause::LimitReached(_))
    ));
}

#[test]
fn sessions_over_the_limit_are_refused_by_its_name() {
    let mut config = MeshConfig::named("fra");
    config.limits.max_sessions = 2;
    let mut net: Net = MeshNet::new(1, beginning(), vec![config], Path::of_ms(1), |_| {
        FakeShards::default()
    });
    for serial in 1..=2 {
        join(&mut net, 0, serial, "r", &format!("p{serial}"));
    }
    let third = join(&mut net, 0, 3, "r", "p3");
    let limit = EndCause::LimitReached("sessions of this node".to_owned());
    assert_eq!(end_of(&net.take_facts(0), third), Some(limit));
}

#[test]
fn hidden_participants_are_never_told_to_others_and_hear_all() {
    let mut net = net_of(1, &["fra", "sin"]);
    join_as(&mut net, 0, 1, "recorder", |open| {
        open.participant.permission.hidden = true
    });
    let ben = join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    assert_eq!(seen(&net, 1, "r"), ["ben"]);
    assert_eq!(seen(&net, 0, "r"), ["ben"]);
    say(&mut net, 1, ben, &["recorder"], "only for you");
    net.run(ms(500));
    assert_eq!(heard(&mut net, 0), [(1, "only for you".to_owned())]);
}

#[test]
fn the_same_identity_joining_again_ends_the_earlier_session_wherever_it_is() {
    let mut net = net_of(1, &["fra", "sin"]);
    join(&mut net, 1, 9, "r", "ben");
    let first = join(&mut net, 0, 1, "r", "ann");
    let second = join(&mut net, 0, 2, "r", "ann");
    net.run(ms(500));
    let doubled = Some(EndCause::Left(LeaveCause::DuplicateIdentity));
    assert_eq!(end_of(&net.take_facts(0), first), doubled);
    join(&mut net, 1, 3, "r", "ann");
    net.run(ms(500));
    assert_eq!(end_of(&net.take_facts(0), second), doubled);
    assert_eq!(record(&net, 1, "ann").home, net.id(1));
    assert_eq!(seen(&net, 1, "r"), ["ann", "ben"]);
}

#[test]
fn who_joins_last_wins_even_where_the_clock_is_behind() {
    let mut net = net_of(1, &["fra"]);
    let entry = net.id(0);
    let now = net.now();
    net.with_core(0, |core| {
        core.handle_command(
            now,
            relay_proto::unit::UnixMillis(9_000),
            join_command(entry, 1, "r", "ann"),
        );
        core.handle_command(
            now,
            relay_proto::unit::UnixMillis(1_000),
            join_command(entry, 2, "r", "ann"),
        );
    });
    let facts = net.take_facts(0);
    let old = SessionId { entry, serial: 1 };
    assert_eq!(
        end_of(&facts, old),
        Some(EndCause::Left(LeaveCause::DuplicateIdentity))
    );
    assert_eq!(record(&net, 0, "ann").joined_at.0, 9_001);
    assert_eq!(seen(&net, 0, "r"), ["ann"]);
}

#[test]
fn data_goes_to_everybody_else_in_the_order_it_was_sent() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    net.set_path(0, 1, |path| (path.loss, path.jitter) = (0.1, ms(30)));
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 0, 2, "r", "dan");
    join(&mut net, 1, 1, "r", "ben");
    join(&mut net, 2, 1, "other", "eve");
    net.run(ms(1_000));
    for n in 0..50 {
        say(&mut net, 0, ann, &[], &n.to_string());
        net.run(ms(3));
    }
    net.run(ms(2_000));
    let expected = |serial: u32| (0..50).map(|n| (serial, n.to_string())).collect::<Vec<_>>();
    assert_eq!(heard(&mut net, 0), expected(2));
    assert_eq!(heard(&mut net, 1), expected(1));
    assert_eq!(heard(&mut net, 2), []);
}

#[test]
fn data_for_somebody_reaches_only_them() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 0, 2, "r", "dan");
    join(&mut net, 1, 1, "r", "ben");
    join(&mut net, 1, 2, "r", "bea");
    join(&mut net, 2, 1, "r", "eve");
    net.run(ms(1_000));
    say(&mut net, 0, ann, &["ben"], "psst");
    net.run(ms(500));
    assert_eq!(heard(&mut net, 0), []);
    assert_eq!(heard(&mut net, 1), [(1, "psst".to_owned())]);
    assert_eq!(heard(&mut net, 2), []);
}

#[test]
fn a_room_goes_to_the_least_loaded_shard_and_stays_there() {
    let mut config = MeshConfig::named("fra");
    config.shards = NonZeroU8::new(2).unwrap();
    let mut net: Net = MeshNet::new(1, beginning(), vec![config], Path::of_ms(1), |_| {
        FakeShards::default()
    });
    join(&mut net, 0, 1, "a", "p1");
    join(&mut net, 0, 2, "b", "p2");
    join(&mut net, 0, 3, "a", "p3");
    join(&mut net, 0, 4, "c", "p4");
    let shards = |net: &mut Net, room: &str| net.shards(0).shards_of(&room.into());
    assert_eq!(shards(&mut net, "a"), [ShardId(0)]);
    assert_eq!(shards(&mut net, "b"), [ShardId(1)]);
    assert_eq!(shards(&mut net, "c"), [ShardId(1)]);
    let now = net.now();
    net.with_core(0, |core| core.handle_shard_lost(now, ShardId(1)));
    let facts = net.take_facts(0);
    let entry = net.id(0);
    let lost = Some(EndCause::Left(LeaveCause::ConnectionLost));
    assert_eq!(end_of(&facts, SessionId { entry, serial: 2 }), lost);
    assert_eq!(end_of(&facts, SessionId { entry, serial: 1 }), None);
}

#[test]
fn a_room_that_closes_and_opens_again_has_no_ghosts() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ben = join(&mut net, 1, 1, "r", "ben");
    let ann = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, ann, "TR_1");
    net.run(ms(500));
    leave(&mut net, 0, ann);
    join(&mut net, 0, 2, "r", "cyd");
    leave(&mut net, 1, ben);
    join(&mut net, 1, 2, "r", "dan");
    net.run(ms(1_000));
    assert_eq!(seen(&net, 0, "r"), ["cyd", "dan"]);
    assert_eq!(seen(&net, 1, "r"), ["cyd", "dan"]);
    assert!(net.shards(1).remote_tracks(&"r".into()).is_empty());
}

#[test]
fn a_room_too_large_for_one_snapshot_is_told_in_full() {
    let mut small = MeshConfig::named("fra");
    small.limits.max_snapshot_bytes = 4_096;
    let configs = vec![small, MeshConfig::named("sin")];
    let mut net: Net = MeshNet::new(1, beginning(), configs, Path::of_ms(40), |_| {
        FakeShards::default()
    });
    net.run(ms(2_000));
    for serial in 0..40 {
        join(&mut net, 0, serial, "r", &format!("p{serial:02}"));
    }
    join(&mut net, 1, 1, "r", "z");
    net.run(ms(1_000));
    assert_eq!(seen(&net, 1, "r").len(), 41);
    net.cut(0, 1);
    net.run(ms(2_000));
    net.heal(0, 1);
    net.run(ms(2_000));
    assert_eq!(seen(&net, 1, "r").len(), 41);
}

#[test]
fn a_session_that_its_shard_ends_leaves_the_room() {
    let mut net = net_of(1, &["fra", "sin"]);
    let session = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    net.take_facts(0);
    net.shards(0).end_session(session, EndCause::ConsentExpired);
    net.with_core(0, |_| {});
    assert_eq!(
        end_of(&net.take_facts(0), session),
        Some(EndCause::ConsentExpired)
    );
    net.run(ms(200));
    assert_eq!(seen(&net, 1, "r"), ["ben"]);
    let again = ShardFact::SessionEnded {
        session,
        cause: EndCause::ConsentExpired,
    };
    net.shard_fact(0, ShardId(0), again);
    assert!(net.core(0).unwrap().view().counters.facts_ignored > 0);
}
