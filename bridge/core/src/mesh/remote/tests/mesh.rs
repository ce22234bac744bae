//! Sessions that one node drives on another, in whole meshes.

use crate::mesh::config::MeshConfig;
use crate::mesh::testing::{FakeShards, MeshNet, NodeIndex, Path, announce, join_command};
use crate::mesh::view::SteeredView;
use relay_proto::id::{RoomName, SessionId};
use relay_proto::room::{DataMessage, LeaveCause, MediaKind};
use relay_proto::session::{EndCause, OpenSession, RoomChange, SessionCommand, SessionFact};
use std::time::{Duration, Instant};

pub(super) type Net = MeshNet<FakeShards>;

pub(super) const ENTRY: NodeIndex = 0;
pub(super) const MEDIA: NodeIndex = 1;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[expect(clippy::disallowed_methods, reason = "virtual time has to begin somewhere")]
fn net_of(configs: Vec<MeshConfig>) -> Net {
    let mut net = MeshNet::new(7, Instant::now(), configs, Path::of_ms(40), |_| {
        FakeShards::default()
    });
    net.run(ms(2_000));
    net
}

pub(super) fn three() -> Net {
    net_of(["fra", "syd", "iad"].map(MeshConfig::named).to_vec())
}

fn opened(net: &Net, serial: u32, identity: &str) -> (SessionId, Box<OpenSession>) {
    let entry = net.id(ENTRY);
    let SessionCommand::OpenSession(open) = join_command(entry, serial, "room", identity) else {
        unreachable!("the command opens a session");
    };
    (SessionId { entry, serial }, open)
}

/// Opens a session of the entry node with its media on the other one.
fn steer(net: &mut Net, serial: u32, identity: &str) -> SessionId {
    let (session, open) = opened(net, serial, identity);
    let node = net.id(MEDIA);
    let reason = "251 ms nearer".to_owned();
    net.command(ENTRY, SessionCommand::OpenElsewhere { node, reason, open });
    session
}

pub(super) fn steered(identity: &str) -> (Net, SessionId) {
    let mut net = three();
    let session = steer(&mut net, 1, identity);
    net.run(ms(500));
    (net, session)
}

fn join(net: &mut Net, node: NodeIndex, serial: u32, identity: &str) -> SessionId {
    let entry = net.id(node);
    net.command(node, join_command(entry, serial, "room", identity));
    SessionId { entry, serial }
}

fn end_of(facts: &[SessionFact], of: SessionId) -> Option<EndCause> {
    facts.iter().find_map(|fact| match fact {
        SessionFact::SessionEnded { session, cause } if *session == of => Some(cause.clone()),
        _ => None,
    })
}

fn people(net: &Net, node: NodeIndex) -> Vec<String> {
    let people = net.clients(node).people(&RoomName::from("room"));
    people
        .map(|people| people.keys().map(ToString::to_string).collect())
        .unwrap_or_default()
}

/// Nothing is left of sessions between nodes, on any of them.
fn assert_nothing_left(net: &Net) {
    for node in [ENTRY, MEDIA] {
        let Some(core) = net.core(node) else {
            continue;
        };
        let view = core.view();
        assert_eq!(view.steered, [], "{}", view.us);
        for link in view.links {
            assert_eq!((link.steered_to, link.steered_from), (0, 0), "{}", view.us);
        }
    }
}

#[test]
fn a_session_is_opened_where_its_media_is_and_told_of_where_its_client_is() {
    let (mut net, session) = steered("kai");
    let media = net.id(MEDIA);
    let facts = net.take_facts(ENTRY);
    let told = facts.iter().find_map(|fact| match fact {
        SessionFact::SessionOpened {
            session: of,
            participant,
            ..
        } if *of == session => Some(participant.home),
        _ => None,
    });
    assert_eq!(told, Some(media));
    assert_eq!(net.shards(MEDIA).shards_of(&RoomName::from("room")).len(), 1);
    assert!(net.shards(ENTRY).shards_of(&RoomName::from("room")).is_empty());
    let view = net.core(ENTRY).unwrap().view();
    assert_eq!(
        view.steered,
        [SteeredView {
            room: "room".into(),
            participant: format!("PA_{}1", net.id(ENTRY)).into(),
            media,
            reason: "251 ms nearer".to_owned(),
        }]
    );
    let there = net.core(MEDIA).unwrap().view();
    let link = there.links.iter().find(|link| link.peer == net.id(ENTRY));
    assert_eq!(link.map(|link| link.steered_from), Some(1));
    assert!(end_of(&net.take_facts(MEDIA), session).is_none());
}

#[test]
fn commands_go_there_in_order_and_everybody_sees_the_participant_at_home_there() {
    let (mut net, session) = steered("kai");
    let other = join(&mut net, 2, 1, "lea");
    net.run(ms(500));
    assert_eq!(people(&net, 2), ["kai", "lea"]);
    net.take_facts(ENTRY);
    net.command(ENTRY, announce(session, "TR_1", MediaKind::Audio));
    for muted in [true, false, true] {
        let track = "TR_1".into();
        net.command(
            ENTRY,
            SessionCommand::SetTrackMuted {
                session,
                track,
                muted,
            },
        );
    }
    net.run(ms(500));
    let seen = net.clients(2).people(&"room".into()).unwrap()[&"kai".into()].clone();
    assert_eq!((seen.home, seen.tracks.len()), (net.id(MEDIA), 1));
    assert!(seen.tracks[0].muted);
    // The entry's own bridge knows nothing of the room; what it is told comes from the other one, in its order.
    let versions: Vec<u32> = net
        .take_facts(ENTRY)
        .into_iter()
        .filter_map(|fact| match fact {
            SessionFact::RoomChangedElsewhere {
                node,
                change: RoomChange::ParticipantUpserted(record),
                ..
            } if node == net.id(MEDIA) && record.identity.as_str() == "kai" => Some(record.version),
            _ => None,
        })
        .collect();
    assert!(versions.len() >= 2 && versions.is_sorted(), "{versions:?}");
    let message = DataMessage {
        from: "".into(),
        to: Vec::new(),
        reliable: true,
        payload: b"hi".to_vec(),
    };
    net.command(ENTRY, SessionCommand::SendData { session, message });
    net.run(ms(500));
    assert_eq!(net.shards(2).data, [(other, b"hi".to_vec())]);
}

#[test]
fn whoever_leaves_is_gone_everywhere() {
    let (mut net, session) = steered("kai");
    join(&mut net, 2, 1, "lea");
    net.run(ms(500));
    let cause = LeaveCause::ClientLeft;
    net.command(ENTRY, SessionCommand::CloseSession { session, cause });
    net.run(ms(500));
    assert_eq!(people(&net, 2), ["lea"]);
    assert_eq!(
        end_of(&net.take_facts(ENTRY), session),
        Some(EndCause::Left(cause))
    );
    assert_nothing_left(&net);
}

#[test]
fn a_session_that_the_media_node_ends_ends_at_its_entry() {
    let (mut net, session) = steered("kai");
    net.shards(MEDIA).end_session(session, EndCause::ConsentExpired);
    net.run(ms(500));
    assert_eq!(
        end_of(&net.take_facts(ENTRY), session),
        Some(EndCause::ConsentExpired)
    );
    assert_nothing_left(&net);
}

#[test]
fn a_link_that_is_gone_for_less_than_the_lease_costs_nothing() {
    let (mut net, session) = steered("kai");
    net.cut(ENTRY, MEDIA);
    net.run(ms(2_500));
    net.command(ENTRY, announce(session, "TR_1", MediaKind::Audio));
    net.run(ms(500));
    net.heal(ENTRY, MEDIA);
    net.run(ms(3_000));
    let facts = net.take_facts(ENTRY);
    assert_eq!(end_of(&facts, session), None);
    let announced = facts
        .iter()
        .filter(|fact| matches!(fact, SessionFact::TrackAnnounced { .. }))
        .count();
    assert_eq!(announced, 1);
    let view = net.core(ENTRY).unwrap().view();
    assert_eq!((view.steered.len(), view.counters.steered_lost), (1, 0));
}

#[test]
fn a_link_that_is_gone_for_longer_than_the_lease_ends_the_session_on_both_sides() {
    let (mut net, session) = steered("kai");
    join(&mut net, 2, 1, "lea");
    net.cut(ENTRY, MEDIA);
    net.run(ms(8_000));
    let lost = Some(EndCause::Left(LeaveCause::NodeLost));
    assert_eq!(end_of(&net.take_facts(ENTRY), session), lost);
    assert_eq!(people(&net, 2), ["lea"]);
    assert_nothing_left(&net);
    net.heal(ENTRY, MEDIA);
    net.run(ms(3_000));
    assert_nothing_left(&net);
    steer(&mut net, 2, "kai");
    net.run(ms(500));
    assert_eq!(people(&net, 2), ["kai", "lea"]);
}

#[test]
fn a_dead_entry_leaves_no_ghost_and_its_next_process_begins_anew() {
    let (mut net, session) = steered("kai");
    join(&mut net, 2, 1, "lea");
    net.run(ms(500));
    net.kill(ENTRY, FakeShards::default());
    net.run(ms(2_000));
    assert_eq!(people(&net, 2), ["lea"]);
    assert_nothing_left(&net);
    net.start(ENTRY);
    net.run(ms(2_000));
    // The same session number as in the process before.
    assert_eq!(steer(&mut net, 1, "kai"), session);
    net.run(ms(500));
    assert_eq!(people(&net, 2), ["kai", "lea"]);
}

#[test]
fn an_entry_that_comes_back_before_it_was_missed_has_lost_its_sessions_all_the_same() {
    let (mut net, session) = steered("kai");
    join(&mut net, 2, 1, "lea");
    net.run(ms(500));
    net.kill(ENTRY, FakeShards::default());
    net.run(ms(100));
    net.start(ENTRY);
    net.run(ms(2_000));
    assert_eq!(people(&net, 2), ["lea"]);
    assert_nothing_left(&net);
    assert_eq!(steer(&mut net, 1, "kai"), session);
    net.run(ms(500));
    assert_eq!(people(&net, 2), ["kai", "lea"]);
}

#[test]
fn a_dead_media_node_is_told_to_the_client_within_a_second_and_a_half() {
    let (mut net, session) = steered("kai");
    net.take_facts(ENTRY);
    net.kill(MEDIA, FakeShards::default());
    net.run(ms(1_500));
    let lost = Some(EndCause::Left(LeaveCause::NodeLost));
    assert_eq!(end_of(&net.take_facts(ENTRY), session), lost);
    assert_nothing_left(&net);
    // Nobody can be steered there now: whoever is all the same joins anew.
    let again = steer(&mut net, 2, "kai");
    assert_eq!(end_of(&net.take_facts(ENTRY), again), Some(EndCause::NotServing));
}

#[test]
fn a_media_node_that_stops_or_drains_gives_its_sessions_back() {
    let (mut net, session) = steered("kai");
    let now = net.now();
    net.with_core(MEDIA, |core| core.stop(now));
    net.run(ms(500));
    let stopped = Some(EndCause::Left(LeaveCause::NodeStopped));
    assert_eq!(end_of(&net.take_facts(ENTRY), session), stopped);

    let (mut net, session) = steered("kai");
    net.with_core(MEDIA, |core| core.drain());
    net.run(ms(1_500));
    assert_eq!(end_of(&net.take_facts(ENTRY), session), stopped);
    assert_nothing_left(&net);
}

#[test]
fn a_full_media_node_sends_the_client_back_to_where_it_comes_from() {
    let mut configs = ["fra", "syd"].map(MeshConfig::named).to_vec();
    configs[MEDIA].limits.max_steered_sessions = 1;
    let mut net = net_of(configs);
    let first = steer(&mut net, 1, "kai");
    let second = steer(&mut net, 2, "lea");
    net.run(ms(500));
    let facts = net.take_facts(ENTRY);
    assert_eq!(end_of(&facts, first), None);
    assert_eq!(end_of(&facts, second), Some(EndCause::NotServing));
}

#[test]
fn a_node_that_does_not_steer_neither_takes_sessions_nor_gives_any_away() {
    for turned_off in [ENTRY, MEDIA] {
        let mut configs = ["fra", "syd"].map(MeshConfig::named).to_vec();
        configs[turned_off].steering = false;
        let mut net = net_of(configs);
        let session = steer(&mut net, 1, "kai");
        net.run(ms(500));
        let facts = net.take_facts(ENTRY);
        assert_eq!(end_of(&facts, session), Some(EndCause::NotServing));
        assert!(!net.core(ENTRY).unwrap().view().links[0].steers);
        assert_nothing_left(&net);
    }
}
