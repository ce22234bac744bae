//! Answers commands with facts as a bridge does, without any media: everybody in a room hears of everybody.

use relay_proto::id::{RoomName, SessionId, TrackSid};
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState};
use relay_proto::session::{EndCause, RoomChange, SessionCommand, SessionFact};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

#[derive(Default)]
pub(super) struct FakeBridge {
    sessions: BTreeMap<SessionId, (RoomName, ParticipantRecord)>,
}

impl FakeBridge {
    pub(super) async fn run(
        mut self,
        mut orders: mpsc::Receiver<SessionCommand>,
        facts: mpsc::Sender<SessionFact>,
    ) {
        while let Some(command) = orders.recv().await {
            for fact in self.obey(command) {
                facts.send(fact).await.unwrap();
            }
        }
    }

    #[expect(clippy::too_many_lines, reason = "a dispatcher: one arm per command")]
    fn obey(&mut self, command: SessionCommand) -> Vec<SessionFact> {
        match command {
            SessionCommand::OpenSession(open) => {
                let participant = ParticipantRecord {
                    version: 1,
                    ..open.participant
                };
                let others = self.others(&open.room);
                self.sessions
                    .insert(open.session, (open.room, participant.clone()));
                let opened = SessionFact::SessionOpened {
                    session: open.session,
                    participant: Box::new(participant),
                    others,
                };
                vec![opened, self.changed(open.session)]
            }
            SessionCommand::ApplyOffer {
                session,
                offer_id,
                sdp,
            } if sdp.starts_with("v=0") => {
                let sections = vec![("3".to_owned(), "TR_remote".into())];
                let sdp = format!("v=0 answer to {offer_id}");
                vec![SessionFact::OfferAnswered {
                    session,
                    offer_id,
                    sdp,
                    sections,
                }]
            }
            SessionCommand::ApplyOffer {
                session, offer_id, ..
            } => {
                vec![SessionFact::OfferRejected {
                    session,
                    offer_id,
                    reason: "not a description".to_owned(),
                }]
            }
            SessionCommand::AnnounceTrack { session, track } => {
                let record = Box::new(track.record);
                self.change(session, |participant| participant.tracks.push((*record).clone()));
                let announced = SessionFact::TrackAnnounced {
                    session,
                    cid: track.cid,
                    track: record,
                };
                vec![announced, self.changed(session)]
            }
            SessionCommand::SetTrackMuted {
                session,
                track,
                muted,
            } => vec![self.muted(session, &track, muted)],
            SessionCommand::UpdateParticipant { session, name, .. } => {
                self.change(session, |participant| participant.name = name.unwrap_or_default());
                vec![self.changed(session)]
            }
            SessionCommand::SendData { session, message }
            | SessionCommand::SendReliable { session, message, .. } => {
                // Loops the message back as if the client had sent it, so that tests can see what was stamped.
                vec![SessionFact::OfferAnswered {
                    session,
                    offer_id: 1_000,
                    sdp: format!("{} {:?}", message.from, message.to),
                    sections: Vec::new(),
                }]
            }
            SessionCommand::CloseSession { session, cause } => self.closed(session, cause),
            SessionCommand::OfferToClient { session } => vec![SessionFact::OfferMade {
                session,
                offer_id: 1,
                sdp: "an offer".to_owned(),
                sections: Vec::new(),
            }],
            SessionCommand::AddCandidate { .. }
            | SessionCommand::OpenElsewhere { .. }
            | SessionCommand::ApplyAnswer { .. }
            | SessionCommand::SetSubscription { .. }
            | SessionCommand::SetTrackWish { .. }
            | SessionCommand::SetAudience { .. }
            | SessionCommand::ReplayData { .. } => Vec::new(),
        }
    }

    fn muted(&mut self, session: SessionId, track: &TrackSid, muted: bool) -> SessionFact {
        self.change(session, |participant| {
            for own in participant.tracks.iter_mut().filter(|own| own.sid == *track) {
                own.muted = muted;
            }
        });
        self.changed(session)
    }

    fn others(&self, room: &RoomName) -> Vec<ParticipantRecord> {
        self.sessions
            .values()
            .filter(|(of, _)| of == room)
            .map(|(_, record)| record.clone())
            .collect()
    }

    fn change(&mut self, session: SessionId, act: impl FnOnce(&mut ParticipantRecord)) {
        let (_, participant) = self.sessions.get_mut(&session).unwrap();
        act(participant);
        participant.version += 1;
    }

    fn changed(&self, session: SessionId) -> SessionFact {
        let (room, participant) = &self.sessions[&session];
        let change = RoomChange::ParticipantUpserted(Box::new(participant.clone()));
        SessionFact::RoomChanged {
            room: room.clone(),
            change,
        }
    }

    fn closed(&mut self, session: SessionId, cause: LeaveCause) -> Vec<SessionFact> {
        let Some((room, participant)) = self.sessions.remove(&session) else {
            return Vec::new();
        };
        let gone = ParticipantRecord {
            state: ParticipantState::Disconnected,
            ..participant
        };
        let change = RoomChange::ParticipantLeft {
            participant: Box::new(gone),
            cause,
        };
        vec![
            SessionFact::RoomChanged { room, change },
            SessionFact::SessionEnded {
                session,
                cause: EndCause::Left(cause),
            },
        ]
    }
}
