//! Offers and what follows from them: uplinks become tracks, downlinks become legs, and clients are asked for new
//! offers when what they should receive has changed.

use super::ShardCore;
use super::commands::stream_id;
use super::io::ShardFact;
use crate::forward::track::{Picture, Source, Track, TrackIdentity};
use crate::red::may_be_repeated;
use crate::rtc::{Downlink, Negotiated, Uplink, Wanted};
use relay_proto::id::{SessionId, TrackSid};
use relay_proto::room::{MediaKind, TrackRecord};
use std::collections::BTreeSet;
use std::time::Instant;

impl ShardCore {
    pub(super) fn apply_offer(&mut self, now: Instant, session: SessionId, offer_id: u32, sdp: &str) {
        let Some(&slot) = self.session_slots.get(&session) else {
            return;
        };
        let wanted = self.wanted_by(slot);
        let wanted: Vec<Wanted<'_>> = wanted
            .iter()
            .map(|track| &self.tracks[*track as usize].identity)
            .map(|track| Wanted {
                track: &track.sid,
                codec: track.codec,
                stream_id: &track.stream_id,
            })
            .collect();
        let member = &mut self.members[slot as usize];
        let announced = member.announced.clone();
        let announced: Vec<_> = announced
            .iter()
            .filter(|_| member.rights.publish)
            .map(|track| crate::rtc::Announced {
                cid: &track.cid,
                track: &track.record.sid,
                kind: track.record.kind,
                codec: track.record.codec,
                stereo: track.record.client.stereo,
                dtx_disabled: track.record.client.dtx_disabled,
                red_disabled: !may_be_repeated(&track.record),
            })
            .collect();
        match member.rtc.negotiate(now, sdp, &announced, &wanted) {
            Ok(negotiated) => self.negotiated(now, slot, offer_id, negotiated),
            Err(error) => {
                tracing::info!(%session, offer_id, %error, "offer rejected");
                let reason = error.to_string();
                self.facts.push_back(ShardFact::OfferRejected {
                    session,
                    offer_id,
                    reason,
                });
            }
        }
    }

    /// Track slots a client should receive, oldest first.
    pub(super) fn wanted_by(&self, slot: u32) -> Vec<u32> {
        let member = &self.members[slot as usize];
        let room = &self.rooms[member.room as usize];
        room.tracks
            .iter()
            .copied()
            .filter(|track| {
                let identity = &self.tracks[*track as usize].identity;
                identity.participant != member.participant
                    && member.wants(&identity.sid)
                    && room.admits(&member.identity, &identity.participant, &identity.sid)
            })
            .take(self.config.limits.max_tracks_per_viewer)
            .collect()
    }

    fn negotiated(&mut self, now: Instant, slot: u32, offer_id: u32, negotiated: Negotiated) {
        let member = &mut self.members[slot as usize];
        let session = member.session;
        member.answered(now);
        member.free_sections = (negotiated.free_audios, negotiated.free_videos);
        self.mux.insert(slot, self.members[slot as usize].rtc.ufrag());
        let sections = negotiated
            .downlinks
            .iter()
            .map(|section| (section.mid.clone(), section.track.clone()))
            .collect();
        self.facts.push_back(ShardFact::OfferAnswered {
            session,
            offer_id,
            sdp: negotiated.answer,
            sections,
        });
        self.bind_uplinks(now, slot, &negotiated.uplinks);
        self.bind_downlinks(now, slot, negotiated.downlinks);
        if negotiated.more_audios > 0 || negotiated.more_videos > 0 || negotiated.offer_again {
            self.ask_for_offer(now, slot, negotiated.more_audios, negotiated.more_videos);
        }
        self.talkative(slot);
    }

    fn bind_uplinks(&mut self, now: Instant, slot: u32, uplinks: &[Uplink]) {
        let session = self.members[slot as usize].session;
        let before = std::mem::take(&mut self.members[slot as usize].uplinks);
        let mut after = Vec::with_capacity(uplinks.len());
        for (index, uplink) in uplinks.iter().enumerate() {
            match self.track_slots.get(&uplink.track).copied() {
                Some(track_slot) => {
                    let track = &mut self.tracks[track_slot as usize];
                    track.source = Source::Local {
                        session: slot,
                        uplink: index,
                    };
                    track.repaired = is_repaired(uplink);
                    after.push(track_slot);
                }
                None => after.extend(self.bind_uplink(now, slot, index, uplink)),
            }
        }
        for track in before.into_iter().filter(|track| !after.contains(track)) {
            let sid = self.tracks[track as usize].identity.sid.clone();
            self.members[slot as usize]
                .announced
                .retain(|announced| announced.record.sid != sid);
            self.remove_track(now, track);
            self.facts
                .push_back(ShardFact::TrackUnbound { session, track: sid });
        }
        self.members[slot as usize].uplinks = after;
    }

    fn bind_uplink(&mut self, now: Instant, slot: u32, index: usize, uplink: &Uplink) -> Option<u32> {
        let member = &self.members[slot as usize];
        let session = member.session;
        let record = &member
            .announced
            .iter()
            .find(|track| track.record.sid == uplink.track)?
            .record;
        let identity = TrackIdentity {
            sid: record.sid.clone(),
            alias: record.alias,
            origin: self.config.node,
            room: member.room,
            participant: member.participant.clone(),
            stream_id: stream_id(&member.participant, record),
            codec: uplink.codec,
            picture: picture_of(record, uplink),
            redundant: may_be_repeated(record),
        };
        let mut track = Track::new(
            identity,
            Source::Local {
                session: slot,
                uplink: index,
            },
            record.muted,
        );
        track.repaired = is_repaired(uplink);
        let track = self.add_track(now, track);
        self.facts.push_back(ShardFact::TrackBound {
            session,
            track: uplink.track.clone(),
            codec: uplink.codec,
            simulcast: uplink.simulcast,
        });
        Some(track)
    }

    pub(super) fn bind_downlinks(&mut self, now: Instant, slot: u32, downlinks: Vec<Downlink>) {
        let before = std::mem::take(&mut self.members[slot as usize].downlinks);
        let same = |old: &Downlink, new: &Downlink| old.track == new.track && old.ssrc == new.ssrc;
        for gone in &before {
            if !downlinks.iter().any(|new| same(gone, new)) {
                self.remove_leg(now, slot, &gone.track);
            }
        }
        for new in downlinks.iter().filter(|new| !before.contains(new)) {
            if before.iter().any(|old| same(old, new)) {
                self.renegotiate_leg(slot, new);
            } else {
                self.add_leg(now, slot, new);
            }
        }
        self.members[slot as usize].downlinks = downlinks;
    }

    /// Asks a client for an offer if what it should receive is not what it receives.
    pub(super) fn look_at_sections(&mut self, now: Instant, slot: u32) {
        let wanted = self.wanted_by(slot);
        let wanted_sids: BTreeSet<&TrackSid> = wanted
            .iter()
            .map(|track| &self.tracks[*track as usize].identity.sid)
            .collect();
        let member = &self.members[slot as usize];
        let held: BTreeSet<&TrackSid> = member.downlinks.iter().map(|section| &section.track).collect();
        if wanted_sids == held {
            self.members[slot as usize].settle();
            return;
        }
        if member.answers {
            return self.make_offer(now, slot);
        }
        let missing = |kind| {
            wanted
                .iter()
                .map(|track| &self.tracks[*track as usize])
                .filter(|track| track.kind() == kind && !held.contains(&track.identity.sid))
                .count() as u32
        };
        let (free_audios, free_videos) = member.free_sections;
        let audios = missing(MediaKind::Audio).saturating_sub(free_audios);
        let videos = missing(MediaKind::Video).saturating_sub(free_videos);
        self.ask_for_offer(now, slot, audios, videos);
    }

    fn ask_for_offer(&mut self, now: Instant, slot: u32, audios: u32, videos: u32) {
        let member = &mut self.members[slot as usize];
        member.asked(now);
        self.facts.push_back(ShardFact::SectionsRequired {
            session: member.session,
            audios,
            videos,
        });
    }
}

/// What is known of a picture once negotiated: of separate streams there are as many as have been agreed on.
fn picture_of(record: &TrackRecord, uplink: &Uplink) -> Picture {
    let announced = Picture::of(record, uplink.codec, uplink.simulcast);
    Picture {
        layers: if announced.nested {
            announced.layers
        } else {
            usize::from(uplink.layers)
        },
        ..announced
    }
}

/// Pictures are asked for again whatever was negotiated: a hole in them is of no use to anybody.
fn is_repaired(uplink: &Uplink) -> bool {
    uplink.repaired || uplink.codec.kind() == MediaKind::Video
}
