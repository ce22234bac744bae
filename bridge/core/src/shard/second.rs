//! Clients with two connections: one to publish on, where they offer, and one to receive on, where the shard offers.
//!
//! The second connection is a member of its own with the same session: it has its own transport, path and legs, and
//! the first one wants nothing. Whatever ends one ends both. What may not live here: what is offered ([`crate::rtc`]).

use super::ShardCore;
use super::io::ShardFact;
use crate::room::member::{Member, Rights};
use crate::rtc::{Session, Wanted};
use relay_proto::id::{SessionId, TrackSid};
use relay_proto::room::LeaveCause;
use relay_proto::session::EndCause;
use std::time::Instant;

impl ShardCore {
    /// Gives a session its second connection and makes the first offer: the client connects by it, tracks or not.
    pub(super) fn offer_to_client(&mut self, now: Instant, session: SessionId) {
        let Some(&first) = self.session_slots.get(&session) else {
            return;
        };
        if self.second_slots.contains_key(&session) {
            return;
        }
        if self.members.len() >= self.config.limits.max_sessions {
            self.close_session(now, session);
            return self.end(session, EndCause::LimitReached("max_sessions".into()));
        }
        self.sessions_opened += 1;
        let rtc = Session::new(self.config.rtc.clone(), self.session_seed(), now);
        let member = &mut self.members[first as usize];
        let rights = Rights {
            publish: false,
            ..member.rights
        };
        member.rights.subscribe = false;
        let who = (member.participant.clone(), member.identity.clone());
        let room = member.room;
        let mut second = Member::new(session, room, who, rights, rtc);
        second.answers = true;
        second.packets_left = self.config.limits.max_packets_per_tick;
        let slot = self.members.insert(second) as u32;
        self.mux.insert(slot, self.members[slot as usize].rtc.ufrag());
        self.second_slots.insert(session, slot);
        self.rooms[room as usize].members.push(slot);
        self.make_offer(now, slot);
    }

    /// Offers what a client should receive now, unless an offer waits for its answer: then what has changed is looked at
    /// after that.
    pub(super) fn make_offer(&mut self, now: Instant, slot: u32) {
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
        let Some(offered) = member.rtc.offer(now, &wanted) else {
            member.asked(now);
            return;
        };
        member.offered(now);
        self.facts.push_back(ShardFact::OfferMade {
            session: member.session,
            offer_id: offered.offer_id,
            sdp: offered.sdp,
            sections: offered.sections,
        });
    }

    /// Binds what the client takes. An answer that cannot be used ends the session: nothing could be offered any more.
    pub(super) fn apply_answer(&mut self, now: Instant, session: SessionId, offer_id: u32, sdp: &str) {
        let Some(&slot) = self.second_slots.get(&session) else {
            return;
        };
        let member = &mut self.members[slot as usize];
        let accepted = match member.rtc.accept(offer_id, sdp) {
            Ok(Some(accepted)) => accepted,
            Ok(None) => {
                tracing::debug!(%session, offer_id, "answer to no offer that waits for one");
                return;
            }
            Err(error) => {
                tracing::warn!(%session, offer_id, %error, "answer rejected");
                self.close_session(now, session);
                return self.end(session, EndCause::Left(LeaveCause::Removed));
            }
        };
        // What has ended, or is not for this client any more, since the offer was made gets no leg by its answer.
        let wanted = self.wanted_by(slot);
        let is_wanted = |sid: &TrackSid| {
            self.track_slots
                .get(sid)
                .is_some_and(|track| wanted.contains(track))
        };
        let mut downlinks = accepted.downlinks;
        let taken = downlinks.len();
        downlinks.retain(|downlink| is_wanted(&downlink.track));
        let overtaken = downlinks.len() < taken;
        self.members[slot as usize].accepted(now);
        self.bind_downlinks(now, slot, downlinks);
        if accepted.offer_again || overtaken {
            self.make_offer(now, slot);
        }
        self.talkative(slot);
    }

    /// The member of a session that receives.
    pub(super) fn viewer_slot(&self, session: SessionId) -> Option<u32> {
        let second = self.second_slots.get(&session);
        second.or_else(|| self.session_slots.get(&session)).copied()
    }

    /// Media packets expected from a member's client and received, on whichever connection it publishes; none where
    /// another member speaks for both.
    pub(super) fn uplink_totals(&self, slot: u32) -> Option<(u64, u64)> {
        let session = self.members.get(slot as usize)?.session;
        let first = *self.session_slots.get(&session)?;
        (self.viewer_slot(session) == Some(slot)).then(|| self.members[first as usize].rtc.received_totals())
    }
}
