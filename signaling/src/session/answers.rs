//! What the bridge tells about one session, once it is open.

use super::{Effect, Now, PendingSections, Session, Site};
use crate::limits::SECTIONS_DEBOUNCE;
use crate::protocol::{Answer, LeaveAction, LeaveReason, Refusal, Reply, Stamp, inspect_data};
use crate::room::Room;
use relay_proto::id::TrackSid;
use relay_proto::room::{DataMessage, LeaveCause, TrackRecord};
use relay_proto::session::SessionCommand;

impl Session {
    /// The answer to an offer.
    pub fn offer_answered(&mut self, answer: Answer, out: &mut Vec<Effect>) {
        if self.is_live() {
            self.offer_open = false;
            self.answered_once = true;
            self.rejected_in_a_row = 0;
            // What the answer did not satisfy is required anew after it; what it did must not be asked for again.
            self.sections = None;
            self.tell(Reply::Answer(answer), out);
        }
    }

    /// An offer cannot be used. Without media the session is worth nothing; with it, it goes on as it was.
    pub fn offer_unusable(&mut self, offer_id: u32, reason: &str, site: &Site, out: &mut Vec<Effect>) {
        if self.is_live() {
            self.offer_open = false;
            self.offer_rejected(offer_id, reason, site, out);
        }
    }

    pub(super) fn offer_rejected(&mut self, offer_id: u32, reason: &str, site: &Site, out: &mut Vec<Effect>) {
        tracing::warn!(session = %self.id, room = %self.room, offer_id, reason, "offer rejected");
        self.rejected_in_a_row += 1;
        self.done(0, Refusal::InvalidRequest, reason, out);
        if !self.answered_once {
            self.end(
                LeaveReason::MediaFailure,
                LeaveAction::Disconnect,
                LeaveCause::ConnectionLost,
                out,
            );
        } else if self.rejected_in_a_row >= site.limits.rejected_offers {
            self.abused("too many unusable offers", site, out);
        }
    }

    /// The client should offer again. Requirements are gathered for a moment; a later one replaces an earlier one,
    /// because each says what is missing in all.
    pub fn sections_required(&mut self, audios: u32, videos: u32, now: Now) {
        if self.is_live() {
            let due = self
                .sections
                .map_or_else(|| now.monotonic + SECTIONS_DEBOUNCE, |pending| pending.due);
            self.sections = Some(PendingSections { audios, videos, due });
        }
    }

    pub(super) fn send_due_sections(&mut self, now: Now, out: &mut Vec<Effect>) {
        let due = self
            .sections
            .filter(|pending| !self.offer_open && pending.due <= now.monotonic);
        if let Some(PendingSections { audios, videos, .. }) = due {
            self.sections = None;
            self.tell(Reply::SectionsRequired { audios, videos }, out);
        }
    }

    /// Something about its media that the client is told as it is.
    pub fn tell_live(&self, reply: Reply, out: &mut Vec<Effect>) {
        if self.is_live() {
            self.tell(reply, out);
        }
    }

    /// The bridge knows an announced track.
    pub fn track_announced(&mut self, cid: String, track: Box<TrackRecord>, out: &mut Vec<Effect>) {
        if self.is_live() {
            tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, track = %track.sid,
                source = ?track.source, "track announced");
            self.tracks.insert(cid.clone(), Some(track.clone()));
            self.tell(Reply::TrackPublished { cid, track }, out);
        }
    }

    /// The bridge does not take an announced track.
    pub fn track_refused(&mut self, cid: &str, reason: &str, site: &Site, out: &mut Vec<Effect>) {
        if self.is_live() && self.tracks.remove(cid).is_some() {
            tracing::warn!(session = %self.id, room = %self.room, reason, "track refused");
            site.counters.refused_requests.increment();
            self.done(0, Refusal::NotAllowed, reason, out);
        }
    }

    /// A track's section went away: the client did that itself, so it is not told; its place is free again.
    pub fn track_unpublished(&mut self, sid: &TrackSid) {
        self.tracks
            .retain(|_, track| track.as_ref().is_none_or(|track| track.sid != *sid));
    }

    /// A message of the client for others: checked, stamped and handed back for the room.
    pub fn data_received(
        &mut self,
        reliable: bool,
        payload: &[u8],
        room: &Room,
        site: &Site,
        out: &mut Vec<Effect>,
    ) {
        if !self.is_live() || !self.permission.can_publish_data || payload.len() > site.limits.data_bytes {
            site.counters.data_dropped.increment();
            return;
        }
        let stamp = Stamp {
            identity: &self.identity,
            sid: &self.sid,
            reliable,
        };
        let incoming = match inspect_data(payload, stamp, site.limits.data_recipients) {
            Ok(incoming) => incoming,
            Err(error) => {
                tracing::debug!(session = %self.id, room = %self.room, %error, "data message dropped");
                site.counters.data_dropped.increment();
                return;
            }
        };
        if reliable && !self.is_new(incoming.sequence) {
            site.counters.data_repeated.increment();
            return;
        }
        let addressed = !(incoming.to.is_empty() && incoming.to_sids.is_empty());
        let mut to = incoming.to;
        to.extend(
            incoming
                .to_sids
                .iter()
                .filter_map(|sid| room.identity(sid))
                .cloned(),
        );
        if addressed && to.is_empty() {
            // Everybody it was meant for is gone; "nobody named" would make it a message to all.
            site.counters.data_dropped.increment();
            return;
        }
        site.counters.data_forwarded.increment();
        let message = DataMessage {
            from: self.sid.clone(),
            to,
            reliable,
            payload: incoming.stamped,
        };
        let session = self.id;
        let command = match incoming.sequence {
            sequence if reliable && sequence > 0 => SessionCommand::SendReliable {
                session,
                message,
                sequence,
            },
            _ => SessionCommand::SendData { session, message },
        };
        self.command(command, out);
    }
}
