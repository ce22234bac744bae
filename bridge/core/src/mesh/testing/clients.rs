//! What clients would see: the mirror of everything a node tells its signalling, and commands of imitated clients.

use crate::shard::testing::bare_track;
use relay_proto::id::{Identity, NodeId, ParticipantSid, RoomName, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{
    Audience, ConnectionQuality, MediaKind, ParticipantRecord, ParticipantState, Permission, TrackRecord,
    TrackSource,
};
use relay_proto::session::{AnnouncedTrack, OpenSession, RoomChange, SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use std::collections::{BTreeMap, BTreeSet};

/// What the clients of one node see. Panics where the facts contradict each other: that is what it is for.
#[derive(Clone, Debug, Default)]
pub struct ClientsView {
    rooms: BTreeMap<RoomName, SeenRoom>,
    sessions: BTreeMap<SessionId, RoomName>,
}

#[derive(Clone, Debug, Default)]
struct SeenRoom {
    sessions: BTreeSet<SessionId>,
    people: BTreeMap<Identity, ParticipantRecord>,
    audiences: BTreeMap<ParticipantSid, Audience>,
    qualities: BTreeMap<ParticipantSid, ConnectionQuality>,
}

impl ClientsView {
    pub(super) fn note(&mut self, fact: &SessionFact) {
        match fact {
            SessionFact::SessionOpened {
                session,
                participant,
                others,
            } => {
                self.note_opened(*session, participant, others);
            }
            SessionFact::SessionEnded { session, .. } => self.note_ended(*session),
            SessionFact::RoomChanged { room, change } => self.note_change(room, change),
            _ => {}
        }
    }

    fn note_opened(&mut self, session: SessionId, who: &ParticipantRecord, others: &[ParticipantRecord]) {
        let room = RoomName::from(who.metadata.as_str());
        self.sessions.insert(session, room.clone());
        let seen = self.rooms.entry(room).or_default();
        let people: BTreeMap<Identity, ParticipantRecord> = others
            .iter()
            .map(|other| (other.identity.clone(), other.clone()))
            .collect();
        assert_eq!(
            people.len(),
            others.len(),
            "one identity twice in what a newcomer is told"
        );
        assert!(
            !people.contains_key(&who.identity),
            "a newcomer is told of its own former self"
        );
        let mut there = std::mem::take(&mut seen.people);
        let former = there.remove(&who.identity);
        if !seen.sessions.is_empty() {
            assert_eq!(
                people, there,
                "a newcomer is told something else than those who are there"
            );
        }
        seen.people = people;
        // Those who are there go on seeing it until they are told otherwise.
        let former = former.filter(|_| !seen.sessions.is_empty());
        seen.people
            .extend(former.map(|former| (former.identity.clone(), former)));
        seen.sessions.insert(session);
    }

    fn note_ended(&mut self, session: SessionId) {
        let Some(room) = self.sessions.remove(&session) else {
            return;
        };
        let Some(seen) = self.rooms.get_mut(&room) else {
            return;
        };
        seen.sessions.remove(&session);
        if seen.sessions.is_empty() {
            self.rooms.remove(&room);
        }
    }

    fn note_change(&mut self, room: &RoomName, change: &RoomChange) {
        let Some(seen) = self.rooms.get_mut(room) else {
            return;
        };
        match change {
            RoomChange::ParticipantUpserted(record) => {
                let old = seen.people.insert(record.identity.clone(), (**record).clone());
                if let Some(old) = old {
                    assert_eq!(
                        old.sid, record.sid,
                        "{}: replaced without having left",
                        record.identity
                    );
                    assert!(
                        old.version < record.version,
                        "{}: told an old version",
                        record.identity
                    );
                }
            }
            RoomChange::ParticipantLeft { participant, .. } => {
                let old = seen.people.remove(&participant.identity);
                assert_eq!(
                    old.map(|old| old.sid).as_ref(),
                    Some(&participant.sid),
                    "somebody has left who was not there"
                );
                assert_eq!(participant.state, ParticipantState::Disconnected);
            }
            RoomChange::ParticipantReplaced { gone, participant } => {
                assert_eq!(gone.identity, participant.identity);
                assert_ne!(gone.sid, participant.sid);
                let old = seen
                    .people
                    .insert(participant.identity.clone(), (**participant).clone());
                // Whoever has just come was not told of its former self.
                assert!(
                    old.is_none_or(|old| old.sid == gone.sid),
                    "another one is gone than was there"
                );
                assert_eq!(gone.state, ParticipantState::Disconnected);
            }
            RoomChange::SpeakersChanged(_) => {}
            RoomChange::AudienceChanged {
                participant,
                audience,
            } => {
                seen.audiences.insert(participant.clone(), audience.clone());
            }
            RoomChange::QualityChanged { participant, quality } => {
                seen.qualities.insert(participant.clone(), *quality);
            }
        }
    }

    /// Who may receive a participant, as far as the clients of the node have been told.
    #[must_use]
    pub fn audience(&self, room: &RoomName, participant: &ParticipantSid) -> Option<&Audience> {
        self.rooms.get(room)?.audiences.get(participant)
    }

    /// How good a participant's connection is, as far as the clients of the node have been told.
    #[must_use]
    pub fn quality(&self, room: &RoomName, participant: &ParticipantSid) -> Option<ConnectionQuality> {
        self.rooms.get(room)?.qualities.get(participant).copied()
    }

    /// Whom the clients in a room see, themselves included; none where no client of the node is in it.
    #[must_use]
    pub fn people(&self, room: &RoomName) -> Option<&BTreeMap<Identity, ParticipantRecord>> {
        self.rooms.get(room).map(|seen| &seen.people)
    }
}

/// A command that opens a session. The room's name is kept in the metadata, so that [`ClientsView`] knows it.
#[must_use]
pub fn join_command(entry: NodeId, serial: u32, room: &str, identity: &str) -> SessionCommand {
    let participant = ParticipantRecord {
        sid: format!("PA_{entry}{serial}").into(),
        identity: identity.into(),
        name: identity.to_owned(),
        metadata: room.to_owned(),
        attributes: Vec::new(),
        permission: Permission {
            can_publish: true,
            can_subscribe: true,
            can_publish_data: true,
            can_update_metadata: true,
            hidden: false,
            sources: Vec::new(),
        },
        kind: 0,
        client_protocol: 0,
        capabilities: Vec::new(),
        joined_at: UnixMillis(0),
        home: entry,
        version: 0,
        state: ParticipantState::Joined,
        tracks: Vec::new(),
    };
    SessionCommand::OpenSession(Box::new(OpenSession {
        session: SessionId { entry, serial },
        room: room.into(),
        participant,
        auto_subscribe: true,
    }))
}

/// A microphone (or camera) as its publisher announces it.
#[must_use]
pub fn announce(session: SessionId, sid: &str, kind: MediaKind) -> SessionCommand {
    let source = match kind {
        MediaKind::Audio => TrackSource::Microphone,
        MediaKind::Video => TrackSource::Camera,
    };
    let record = TrackRecord {
        source,
        stream: "camera".to_owned(),
        ..bare_track(TrackSid::from(sid), TrackAlias(0), kind)
    };
    let cid = format!("cid-{sid}");
    SessionCommand::AnnounceTrack {
        session,
        track: Box::new(AnnouncedTrack { cid, record }),
    }
}
