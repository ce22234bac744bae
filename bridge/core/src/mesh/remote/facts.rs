//! Facts of sessions that another node drives go there; facts of those that we drive elsewhere come from there.

use super::super::MeshCore;
use super::super::io::MeshOutput;
use super::super::stream::snapshot_len;
use relay_proto::id::{NodeId, RoomName, SessionId};
use relay_proto::session::{RoomChange, SessionFact};
use relay_proto::steering::SteeringStep;

impl MeshCore {
    /// Takes a fact to whom it is for. Gives it back where that is our own signalling.
    pub(in crate::mesh) fn direct(&mut self, fact: SessionFact) -> Option<MeshOutput> {
        match (fact.session(), &fact) {
            (Some(session), _) if session.entry != self.us => {
                self.tell_entry(session.entry, fact);
                None
            }
            (None, SessionFact::RoomChanged { room, .. }) => {
                for entry in self.entries_of(room) {
                    self.tell_entry(entry, fact.clone());
                }
                Some(MeshOutput::ToSignaling(fact))
            }
            _ => Some(MeshOutput::ToSignaling(fact)),
        }
    }

    /// The other nodes whose signalling has sessions in a room here. Cost: two look-ups for each.
    fn entries_of(&self, room: &RoomName) -> Vec<NodeId> {
        let Some(room) = self.rooms.get(room) else {
            return Vec::new();
        };
        let mut entries = Vec::new();
        let mut next = room.members.keys().next().copied();
        while let Some(session) = next {
            let entry = session.entry;
            if entry != self.us {
                entries.push(entry);
            }
            let last = SessionId {
                entry,
                serial: u32::MAX,
            };
            let behind = room
                .members
                .range((std::ops::Bound::Excluded(last), std::ops::Bound::Unbounded));
            next = behind.map(|(session, _)| *session).next();
        }
        entries
    }

    /// Sends a fact; what would not fit one message follows it in further ones.
    fn tell_entry(&mut self, entry: NodeId, fact: SessionFact) {
        let SessionFact::SessionOpened {
            session,
            participant,
            mut others,
        } = fact
        else {
            self.push_step(entry, SteeringStep::Fact(Box::new(fact)));
            return;
        };
        let fitting = snapshot_len(&others, self.config.limits.max_snapshot_bytes);
        let rest = others.split_off(fitting);
        let room = self.sessions.get(&session).cloned();
        let opened = SessionFact::SessionOpened {
            session,
            participant,
            others,
        };
        self.push_step(entry, SteeringStep::Fact(Box::new(opened)));
        let Some(room) = room else {
            return;
        };
        for record in rest {
            let fact = SessionFact::RoomChanged {
                room: room.clone(),
                change: RoomChange::ParticipantUpserted(Box::new(record)),
            };
            self.push_step(entry, SteeringStep::Fact(Box::new(fact)));
        }
    }

    /// A fact of a peer: about a session that we drive there, or a room with such sessions.
    pub(super) fn on_remote_fact(&mut self, from: NodeId, fact: SessionFact) {
        let Some(session) = fact.session() else {
            match fact {
                SessionFact::RoomChanged { room, change } => {
                    self.out.fact(SessionFact::RoomChangedElsewhere {
                        node: from,
                        room,
                        change,
                    });
                }
                _ => self.refuse_step(from, "it tells what only a node itself may tell"),
            }
            return;
        };
        let media = self.remote.driven.get(&session).map(|driven| driven.media);
        if media.is_none() && session.entry == self.us {
            // It crossed with the end of its session.
            self.counters.facts_ignored += 1;
        } else if media == Some(from) {
            if matches!(fact, SessionFact::SessionEnded { .. }) {
                self.remote.driven.remove(&session);
            }
            self.out.fact(fact);
        } else {
            self.refuse_step(from, "it tells of sessions that are not there");
        }
    }
}
