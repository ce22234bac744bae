use super::super::roster::{Roster, RosterChange};
use super::super::testing::join_command;
use crate::shard::testing::bare_track;
use relay_proto::id::{NodeId, TrackAlias};
use relay_proto::room::{LeaveCause, MediaKind, ParticipantRecord, ParticipantState};
use relay_proto::session::SessionCommand;
use relay_proto::unit::UnixMillis;
use std::collections::BTreeSet;

fn record(sid: &str, identity: &str, joined_at: u64) -> ParticipantRecord {
    let SessionCommand::OpenSession(open) = join_command(NodeId(1), 1, "r", identity) else {
        unreachable!("invariant: a join command opens a session");
    };
    ParticipantRecord {
        sid: sid.into(),
        joined_at: UnixMillis(joined_at),
        ..open.participant
    }
}

fn listed(roster: &Roster) -> Vec<&str> {
    roster.listed().map(|record| record.sid.as_str()).collect()
}

#[test]
fn of_one_identity_the_last_to_join_is_listed() {
    let mut roster = Roster::default();
    roster.upsert(record("old", "ann", 1));
    let changes = roster.upsert(record("new", "ann", 2));
    let [RosterChange::Replaced { gone, record: come }] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((gone.sid.as_str(), come.sid.as_str()), ("old", "new"));
    assert_eq!(gone.state, ParticipantState::Disconnected);
    assert_eq!(listed(&roster), ["new"]);
}

#[test]
fn a_late_told_former_self_changes_nothing_for_clients() {
    let mut roster = Roster::default();
    roster.upsert(record("new", "ann", 2));
    assert!(roster.upsert(record("old", "ann", 1)).is_empty());
    assert!(
        roster
            .remove(&"old".into(), LeaveCause::DuplicateIdentity)
            .is_empty()
    );
    assert_eq!(listed(&roster), ["new"]);
}

#[test]
fn equal_times_are_decided_the_same_way_in_either_order() {
    let (a, b) = (record("a", "ann", 1), record("b", "ann", 1));
    let mut one = Roster::default();
    one.upsert(a.clone());
    one.upsert(b.clone());
    let mut other = Roster::default();
    other.upsert(b);
    other.upsert(a);
    assert_eq!((listed(&one), listed(&other)), (vec!["b"], vec!["b"]));
}

#[test]
fn when_the_last_leaves_first_the_other_is_listed_again() {
    let mut roster = Roster::default();
    roster.upsert(record("old", "ann", 1));
    roster.upsert(record("new", "ann", 2));
    let changes = roster.remove(&"new".into(), LeaveCause::ClientLeft);
    assert!(
        matches!(&changes[..], [RosterChange::Replaced { record: back, .. }] if back.sid.as_str() == "old")
    );
}

#[test]
fn hidden_participants_are_known_and_never_listed() {
    let mut roster = Roster::default();
    let mut ghost = record("ghost", "recorder", 1);
    ghost.permission.hidden = true;
    assert!(roster.upsert(ghost).is_empty());
    assert_eq!((roster.len(), listed(&roster).len()), (1, 0));
    assert!(roster.remove(&"ghost".into(), LeaveCause::ClientLeft).is_empty());
}

fn with_tracks(mut record: ParticipantRecord, home: u32, tracks: u32) -> ParticipantRecord {
    let track = |number: u32| {
        let sid = format!("TR_{}_{number}", record.sid.as_str());
        bare_track(sid.as_str().into(), TrackAlias(number), MediaKind::Audio)
    };
    record.tracks = (0..tracks).map(track).collect();
    record.home = NodeId(home);
    record
}

#[test]
fn whoever_is_sent_elsewhere_stays_listed_until_the_newcomer_brings_as_much() {
    let mut roster = Roster::default();
    roster.upsert(with_tracks(record("old", "ann", 1), 1, 2));
    assert!(roster.set_draining(&BTreeSet::from([NodeId(1)])).is_empty());
    let mut new = with_tracks(record("new", "ann", 2), 2, 0);
    assert!(roster.upsert(new.clone()).is_empty());
    new.state = ParticipantState::Active;
    new.version += 1;
    assert!(roster.upsert(new.clone()).is_empty());
    assert_eq!(
        (listed(&roster), roster.is_listed(&"new".into())),
        (vec!["old"], false)
    );
    let mut new = with_tracks(new, 2, 2);
    new.version += 1;
    let changes = roster.upsert(new);
    assert!(
        matches!(&changes[..], [RosterChange::Replaced { gone, record }] if gone.sid.as_str() == "old" && record.sid.as_str() == "new")
    );
    assert!(roster.remove(&"old".into(), LeaveCause::NodeStopped).is_empty());
}

#[test]
fn a_newcomer_is_listed_as_soon_as_nobody_holds_its_place() {
    for gone in [true, false] {
        let mut roster = Roster::default();
        roster.upsert(with_tracks(record("old", "ann", 1), 1, 1));
        roster.set_draining(&BTreeSet::from([NodeId(1)]));
        roster.upsert(with_tracks(record("new", "ann", 2), 2, 0));
        let changes = if gone {
            roster.remove(&"old".into(), LeaveCause::NodeStopped)
        } else {
            roster.set_draining(&BTreeSet::new())
        };
        assert!(
            matches!(&changes[..], [RosterChange::Replaced { .. }]),
            "{changes:?}"
        );
        assert_eq!(listed(&roster), ["new"]);
    }
}
