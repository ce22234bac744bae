//! A session that outlives its connection: for a while it waits, its media untouched, and goes on over a new one.

use super::{Around, Effect, Newcomer, Now, Phase, Session, Site};
use crate::protocol::{LeaveAction, LeaveReason, ReconnectReply, Reply, SyncState, WishedPicture};
use crate::sid::RandomSource;
use crate::turn::IceServer;
use relay_proto::id::TrackSid;
use relay_proto::room::LeaveCause;
use relay_proto::session::SessionCommand;
use std::collections::BTreeSet;

impl Session {
    /// The connection is gone. An open session waits for another one if it `may_wait`.
    pub fn disconnected(&mut self, may_wait: bool, now: Now, site: &Site, out: &mut Vec<Effect>) {
        if self.is_over() || self.is_waiting() || self.is_moving() {
            return;
        }
        // What a client with two connections could go on with would have to be offered anew: it joins anew instead.
        if self.is_live() && may_wait && !self.dual && !site.limits.resume_grace.is_zero() {
            self.waits_until = Some(now.monotonic + site.limits.resume_grace);
            tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, "connection lost: waiting for another");
            out.push(Effect::Keep(self.id));
        } else {
            self.lost(out);
        }
    }

    /// Nothing has come for long: the connection is worth nothing. Its session may be, to a client that was only held up.
    pub(super) fn fell_silent(&mut self, may_wait: bool, now: Now, site: &Site, out: &mut Vec<Effect>) {
        site.counters.closed_idle.increment();
        tracing::info!(session = %self.id, room = %self.room, "the client fell silent");
        out.push(Effect::Disconnect(self.id));
        self.disconnected(may_wait, now, site, out);
    }

    pub(super) fn waited_in_vain(&mut self, site: &Site, out: &mut Vec<Effect>) {
        site.counters.resume_waited_in_vain.increment();
        tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, "ended: the client did not come back");
        self.lost(out);
        out.push(Effect::Close(self.id));
    }

    fn lost(&mut self, out: &mut Vec<Effect>) {
        self.phase = Phase::Over;
        self.command(
            SessionCommand::CloseSession {
                session: self.id,
                cause: LeaveCause::ConnectionLost,
            },
            out,
        );
    }

    /// Whether whoever comes back is this session's client: the token says who it is, it says which session it means.
    #[must_use]
    pub fn is_of(&self, newcomer: &Newcomer) -> bool {
        self.is_live()
            && !self.is_moving()
            && !self.dual
            && newcomer.join.participant.as_ref() == Some(&self.sid)
            && self.identity == newcomer.claims.identity()
    }

    /// Goes on over a new connection: the first thing it is told. Its rights stay as they were.
    pub fn resumed(&mut self, now: Now, site: &Site, out: &mut Vec<Effect>) {
        site.counters.resumed.increment();
        tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, "resumed");
        self.waits_until = None;
        self.heard_at = now.monotonic;
        let reply = ReconnectReply {
            region: site.region.clone(),
            node: site.node.clone(),
            software: site.software.clone(),
            last_sequence: self.last_sequence,
            ice_servers: self.ice_servers(site, now),
        };
        self.tell(Reply::Reconnect(Box::new(reply)), out);
    }

    /// What helps the client to get its media through where it cannot reach the node itself; new credentials each time.
    pub(super) fn ice_servers(&self, site: &Site, now: Now) -> Vec<IceServer> {
        let servers = site.turn.iter();
        servers
            .map(|turn| turn.credentials(self.identity.as_str(), now.wall))
            .collect()
    }

    /// What the client brought along when it came back.
    pub fn brought(
        &mut self,
        newcomer: Newcomer,
        around: Around<'_>,
        random: &mut dyn RandomSource,
        out: &mut Vec<Effect>,
    ) {
        if let Some(state) = newcomer.join.state {
            self.sync_state(state, around, out);
        }
        for track in newcomer.join.tracks {
            if self.is_live() {
                self.add_track(track, around.site, random, out);
            }
        }
        if let Some(offer) = newcomer.join.offer.filter(|_| self.is_live()) {
            self.offer(offer, around.site, out);
        }
    }

    /// What the client believes of its session. What it got wrong about its subscriptions is put right; where it believes
    /// to publish what nobody here knows, it must join anew.
    pub(super) fn sync_state(&mut self, state: SyncState, around: Around<'_>, out: &mut Vec<Effect>) {
        let limit = around.site.limits.tracks_per_request;
        let known: BTreeSet<&TrackSid> = self.tracks.values().flatten().map(|track| &track.sid).collect();
        if !state.published.iter().take(limit).all(|sid| known.contains(sid)) {
            tracing::warn!(session = %self.id, room = %self.room, "the client publishes a track that is not known here");
            self.end(
                LeaveReason::StateMismatch,
                LeaveAction::Reconnect,
                LeaveCause::ConnectionLost,
                out,
            );
            return;
        }
        if !state.subscription.is_empty() {
            self.subscribe(state.subscription.into_iter(), state.wanted, around, out);
        }
        if !state.hidden.is_empty() {
            self.track_setting(state.hidden, WishedPicture::Nothing, around, out);
        }
        let mut after = state.received;
        after.truncate(around.site.limits.data_recipients);
        if !after.is_empty() {
            let session = self.id;
            self.command(SessionCommand::ReplayData { session, after }, out);
        }
    }

    /// Whether a reliable message is new: a client that came back sends again what it cannot know to have arrived.
    pub(super) fn is_new(&mut self, sequence: u32) -> bool {
        // Clients that count begin with 1.
        if sequence == 0 {
            return true;
        }
        let new = sequence > self.last_sequence;
        self.last_sequence = self.last_sequence.max(sequence);
        new
    }
}
