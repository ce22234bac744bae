//! Facts of shards: passed up to signalling, or taken apart where the mesh has a say.

use super::MeshCore;
use crate::shard::io::{ShardFact, ShardId};
use relay_proto::id::{RoomName, SessionId};
use relay_proto::room::{LeaveCause, SpeakerLevel};
use relay_proto::session::{EndCause, RoomChange, SessionFact};
use std::time::Instant;

impl MeshCore {
    #[expect(clippy::too_many_lines, reason = "a dispatcher: one call per arm")]
    pub(super) fn on_shard_fact(&mut self, _now: Instant, shard: ShardId, fact: ShardFact) {
        if !self.is_of(shard, &fact) {
            // It crossed with the end of its session or room.
            self.counters.facts_ignored += 1;
            return;
        }
        match fact {
            ShardFact::OfferAnswered {
                session,
                offer_id,
                sdp,
                sections,
            } => {
                self.out.fact(SessionFact::OfferAnswered {
                    session,
                    offer_id,
                    sdp,
                    sections,
                });
            }
            ShardFact::OfferMade {
                session,
                offer_id,
                sdp,
                sections,
            } => {
                self.out.fact(SessionFact::OfferMade {
                    session,
                    offer_id,
                    sdp,
                    sections,
                });
            }
            ShardFact::OfferRejected {
                session,
                offer_id,
                reason,
            } => {
                self.out.fact(SessionFact::OfferRejected {
                    session,
                    offer_id,
                    reason,
                });
            }
            ShardFact::SectionsRequired {
                session,
                audios,
                videos,
            } => {
                self.out.fact(SessionFact::SectionsRequired {
                    session,
                    audios,
                    videos,
                });
            }
            ShardFact::DataReceived {
                session,
                reliable,
                payload,
            } => {
                self.out.fact(SessionFact::DataReceived {
                    session,
                    reliable,
                    payload,
                });
            }
            ShardFact::PicturesPaused { session, pictures } => {
                self.out.fact(SessionFact::PicturesPaused { session, pictures });
            }
            ShardFact::LayersWanted {
                session,
                track,
                codec,
                layers,
            } => {
                self.out.fact(SessionFact::LayersWanted {
                    session,
                    track,
                    codec,
                    layers,
                });
            }
            ShardFact::TrackSubscribed { session, track } => {
                self.out.fact(SessionFact::TrackSubscribed { session, track });
            }
            ShardFact::QualityChanged { session, quality } => self.on_quality_changed(session, quality),
            ShardFact::TransportConnected { session } => self.on_transport_connected(session),
            ShardFact::TrackBound {
                session,
                track,
                codec,
                simulcast,
            } => {
                self.on_track_bound(session, &track, codec, simulcast);
            }
            ShardFact::TrackUnbound { session, track } => self.on_track_unbound(session, track),
            ShardFact::SessionEnded { session, cause } => self.on_session_ended(session, cause),
            ShardFact::ParentHeard {
                origin,
                track,
                parent,
            } => self.on_parent_heard(origin, track, parent),
            ShardFact::SpeakersChanged { room, speakers } => self.on_speakers_changed(shard, &room, speakers),
            ShardFact::DemandChanged {
                room,
                origin,
                track,
                layers,
            } => {
                self.on_demand_changed(shard, &room, (origin, track), layers);
            }
        }
    }

    /// Whether the fact is about something that (still) lives on that shard.
    fn is_of(&self, shard: ShardId, fact: &ShardFact) -> bool {
        let session = match fact {
            ShardFact::OfferAnswered { session, .. }
            | ShardFact::OfferRejected { session, .. }
            | ShardFact::OfferMade { session, .. }
            | ShardFact::SectionsRequired { session, .. }
            | ShardFact::DataReceived { session, .. }
            | ShardFact::PicturesPaused { session, .. }
            | ShardFact::LayersWanted { session, .. }
            | ShardFact::TransportConnected { session }
            | ShardFact::TrackSubscribed { session, .. }
            | ShardFact::QualityChanged { session, .. }
            | ShardFact::TrackBound { session, .. }
            | ShardFact::TrackUnbound { session, .. }
            | ShardFact::SessionEnded { session, .. } => session,
            ShardFact::ParentHeard { .. } => return true,
            ShardFact::SpeakersChanged { room, .. } | ShardFact::DemandChanged { room, .. } => {
                return self
                    .rooms
                    .get(room)
                    .is_some_and(|room| room.parts.contains_key(&shard));
            }
        };
        self.shard_of(*session) == Some(shard)
    }

    fn on_session_ended(&mut self, session: SessionId, cause: EndCause) {
        let left = match &cause {
            EndCause::Left(left) => *left,
            EndCause::FingerprintMismatch
            | EndCause::HandshakeTimedOut
            | EndCause::ConsentExpired
            | EndCause::LimitReached(_)
            | EndCause::NotServing => LeaveCause::ConnectionLost,
        };
        self.end_session(session, left, Some(cause));
    }

    /// Every shard of a room hears everybody: each is believed of its own people, the first of those on other nodes.
    fn on_speakers_changed(&mut self, shard: ShardId, name: &RoomName, mut speakers: Vec<SpeakerLevel>) {
        let Some(room) = self.rooms.get(name) else {
            return;
        };
        if room.parts.len() > 1 {
            let first = room.parts.keys().next().copied();
            speakers.retain(|speaker| room.shard_of(&speaker.participant).or(first) == Some(shard));
        }
        if !speakers.is_empty() {
            self.out.room_change(name, RoomChange::SpeakersChanged(speakers));
        }
    }
}
