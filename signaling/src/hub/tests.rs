use super::*;
use crate::protocol::tests::participant;
use crate::session::tests::{Bench, commands, id, newcomer, replies};
use relay_proto::id::{Identity, ParticipantSid, RoomName};
use relay_proto::room::{LeaveCause, ParticipantState, SpeakerLevel};
use relay_proto::session::{RoomChange, SessionCommand};
use relay_proto::unit::AudioLevel;

fn changed(bench: &mut Bench, change: RoomChange) -> Vec<Effect> {
    bench.fact(SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change,
    })
}

fn upserted(record: &ParticipantRecord) -> RoomChange {
    RoomChange::ParticipantUpserted(Box::new(record.clone()))
}

#[test]
fn a_change_of_a_room_reaches_all_its_sessions_and_no_other() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.join(2, newcomer("bob"));
    let mut elsewhere = newcomer("eve");
    elsewhere.claims.video.room = "board".to_owned();
    bench.join(3, elsewhere);
    let record = participant("PA_x", "carl");
    let effects = changed(&mut bench, upserted(&record));
    assert_eq!(
        effects,
        [Effect::Send {
            to: vec![id(1), id(2)],
            reply: Reply::Update(vec![record.clone()])
        }]
    );
    assert!(changed(&mut bench, upserted(&record)).is_empty());
    let mut older = record;
    older.version = 0;
    assert!(changed(&mut bench, upserted(&older)).is_empty());
}

#[test]
fn whoever_comes_is_told_to_those_who_are_there_exactly_once() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let (bob, effects) = bench.join(2, newcomer("bob"));
    assert_eq!(replies(&effects, 1), [&Reply::Update(vec![bob.clone()])]);
    assert_eq!(replies(&effects, 2).len(), 1);
    assert!(changed(&mut bench, upserted(&bob)).is_empty());
}

#[test]
fn a_leaver_is_announced_once_with_the_cause() {
    let mut bench = Bench::new();
    bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    let gone = ParticipantRecord {
        state: ParticipantState::Disconnected,
        ..participant("PA_x", "carl")
    };
    let left = || RoomChange::ParticipantLeft {
        participant: Box::new(gone.clone()),
        cause: LeaveCause::NodeLost,
    };
    let effects = changed(&mut bench, left());
    assert_eq!(
        replies(&effects, 1),
        [&Reply::Gone(Box::new(gone.clone()), LeaveCause::NodeLost)]
    );
    assert!(changed(&mut bench, left()).is_empty());
}

#[test]
fn hidden_participants_are_seen_by_themselves_only() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    let mut spy = newcomer("spy");
    spy.claims.video.hidden = true;
    let (mut record, _) = bench.join(2, spy);
    let mut other_spy = participant("PA_spy", "other-spy");
    other_spy.permission.hidden = true;
    let (_, effects) = bench.join_among(3, newcomer("carl"), vec![record.clone(), other_spy]);
    let Reply::Join(join) = replies(&effects, 3)[0] else {
        panic!()
    };
    assert!(join.others.is_empty());
    record.version = 2;
    let effects = changed(&mut bench, upserted(&record));
    assert_eq!(
        effects,
        [Effect::Send {
            to: vec![id(2)],
            reply: Reply::Update(vec![record])
        }]
    );
}

#[test]
fn a_session_that_is_not_open_hears_nothing_of_its_room() {
    let mut bench = Bench::new();
    bench.connect(1, newcomer("ada"));
    assert!(changed(&mut bench, upserted(&participant("PA_x", "carl"))).is_empty());
}

#[test]
fn speakers_are_told_to_all_and_to_whoever_comes_later() {
    let mut bench = Bench::new();
    bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    let level = SpeakerLevel {
        participant: ParticipantSid::from("PA_x"),
        level: AudioLevel(20),
        active: true,
    };
    let effects = changed(&mut bench, RoomChange::SpeakersChanged(vec![level.clone()]));
    assert_eq!(replies(&effects, 1), [&Reply::Speakers(vec![level.clone()])]);
    let (_, effects) = bench.join(2, newcomer("bob"));
    assert_eq!(replies(&effects, 2)[1], &Reply::Speakers(vec![level]));
}

fn data(bench: &mut Bench, payload: &[u8]) -> Vec<Effect> {
    bench.fact(SessionFact::DataReceived {
        session: id(1),
        reliable: true,
        payload: payload.to_vec(),
    })
}

#[test]
fn data_is_stamped_addressed_and_sent_on() {
    let mut bench = Bench::new();
    let (own, _) = bench.join_among(1, newcomer("ada"), vec![participant("PA_x", "carl")]);
    // To everybody: an empty user packet.
    let effects = data(&mut bench, &[0x12, 0x00]);
    let [SessionCommand::SendData { message, .. }] = commands(&effects)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!(
        (&message.from, message.to.len(), message.reliable),
        (&own.sid, 0, true)
    );
    assert!(message.payload.windows(3).any(|window| window == b"ada"));
    // To one by identity: field 5.
    let effects = data(&mut bench, b"\x2a\x03bob");
    let [SessionCommand::SendData { message, .. }] = commands(&effects)[..] else {
        panic!()
    };
    assert_eq!(message.to, [Identity::from("bob")]);
    // To one by id, inside the user packet.
    let effects = data(&mut bench, b"\x12\x06\x1a\x04PA_x");
    let [SessionCommand::SendData { message, .. }] = commands(&effects)[..] else {
        panic!()
    };
    assert_eq!(message.to, [Identity::from("carl")]);
    // To one by id who is gone: not to everybody.
    assert!(data(&mut bench, b"\x12\x06\x1a\x04PA_z").is_empty());
    assert_eq!(
        (
            bench.counters.data_forwarded.value(),
            bench.counters.data_dropped.value()
        ),
        (3, 1)
    );
}

#[test]
fn data_without_permission_or_form_is_dropped_and_counted() {
    let mut bench = Bench::new();
    let mut mute = newcomer("ada");
    mute.claims.video.can_publish_data = Some(false);
    bench.join(1, mute);
    assert!(data(&mut bench, &[0x12, 0x00]).is_empty());
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    assert!(data(&mut bench, &[0xff; 10]).is_empty());
    assert!(data(&mut bench, &vec![0; 70_000]).is_empty());
    assert_eq!(bench.counters.data_dropped.value(), 2);
}

#[test]
fn rooms_and_deadlines_do_not_outlive_their_sessions() {
    let mut bench = Bench::new();
    for serial in 1..50 {
        bench.join(serial, newcomer(&serial.to_string()));
    }
    assert_eq!(
        (bench.counters.sessions.value(), bench.counters.rooms.value()),
        (49, 1)
    );
    for serial in 1..50 {
        bench.ask(serial, Request::Leave);
    }
    assert!(bench.hub.is_empty() && bench.hub.rooms.is_empty() && bench.hub.deadlines.is_empty());
    assert_eq!(
        (bench.counters.sessions.value(), bench.counters.rooms.value()),
        (0, 0)
    );
}

#[test]
fn facts_about_unknown_sessions_and_rooms_are_ignored() {
    let mut bench = Bench::new();
    assert!(changed(&mut bench, upserted(&participant("PA_x", "carl"))).is_empty());
    assert!(data(&mut bench, &[0x12, 0x00]).is_empty());
    let fact = SessionFact::SectionsRequired {
        session: id(77),
        audios: 1,
        videos: 0,
    };
    assert!(bench.fact(fact).is_empty());
}
