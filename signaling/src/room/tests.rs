use super::*;
use crate::protocol::tests::{participant, track};
use relay_proto::unit::AudioLevel;

fn level(sid: &str, active: bool) -> SpeakerLevel {
    SpeakerLevel {
        participant: ParticipantSid::from(sid),
        level: AudioLevel(30),
        active,
    }
}

#[test]
fn versions_only_rise() {
    let mut room = Room::default();
    let mut record = participant("PA_1", "ada");
    record.version = 5;
    assert!(room.upsert(&record));
    assert!(!room.upsert(&record));
    assert!(!room.upsert(&ParticipantRecord {
        version: 4,
        name: "old".to_owned(),
        ..record.clone()
    }));
    assert!(room.upsert(&ParticipantRecord {
        version: 6,
        name: "new".to_owned(),
        ..record
    }));
    assert_eq!(
        room.participant(&ParticipantSid::from("PA_1")).unwrap().name,
        "new"
    );
}

#[test]
fn silence_is_told_once() {
    let mut room = Room::default();
    room.upsert(&participant("PA_1", "ada"));
    assert!(room.speakers_changed(vec![level("PA_1", false)]).is_empty());
    assert_eq!(room.speakers_changed(vec![level("PA_1", true)]).len(), 1);
    assert_eq!(room.speakers_changed(vec![level("PA_1", true)]).len(), 1);
    assert_eq!(room.speakers().len(), 1);
    assert_eq!(
        room.speakers_changed(vec![level("PA_1", false)]),
        [level("PA_1", false)]
    );
    assert!(room.speakers_changed(vec![level("PA_1", false)]).is_empty());
    assert!(room.speakers().is_empty());
}

#[test]
fn levels_of_strangers_and_of_those_who_left_are_dropped() {
    let mut room = Room::default();
    assert!(room.speakers_changed(vec![level("PA_9", true)]).is_empty());
    room.upsert(&participant("PA_1", "ada"));
    room.speakers_changed(vec![level("PA_1", true)]);
    assert!(room.remove(&ParticipantSid::from("PA_1")));
    assert!(!room.remove(&ParticipantSid::from("PA_1")));
    assert!(room.speakers().is_empty() && room.is_empty());
}

#[test]
fn the_smallest_layer_that_fills_the_tile_is_chosen_in_either_orientation() {
    let track = track("TR_1");
    assert_eq!(layer_for_pixels(&track, 100, 50), Layer(0));
    assert_eq!(layer_for_pixels(&track, 320, 180), Layer(0));
    assert_eq!(layer_for_pixels(&track, 321, 181), Layer(1));
    assert_eq!(layer_for_pixels(&track, 181, 321), Layer(1));
    assert_eq!(layer_for_pixels(&track, 4000, 3000), Layer(2));
}
