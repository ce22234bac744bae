use super::super::roster::{Roster, RosterChange};
use super::super::testing::join_command;
use relay_proto::id::NodeId;
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState};
use relay_proto::session::SessionCommand;
use relay_proto::unit::UnixMillis;

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
    let [
        RosterChange::Delisted { record: gone, cause },
        RosterChange::Listed(come),
    ] = &changes[..]
    else {
        panic!("{changes:?}");
    };
    assert_eq!((gone.sid.as_str(), come.sid.as_str()), ("old", "new"));
    assert_eq!(*cause, LeaveCause::DuplicateIdentity);
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
        matches!(&changes[..], [RosterChange::Delisted { .. }, RosterChange::Listed(back)] if back.sid.as_str() == "old")
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
