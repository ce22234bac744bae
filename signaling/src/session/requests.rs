//! What a client asks for.

use super::{Around, Effect, Phase, Session, Site};
use crate::protocol::{Offer, Refusal, Reply, Request, TrackRequest, Unsupported, WishedPicture};
use crate::room::layer_for_pixels;
use crate::sid::{self, RandomSource};
use relay_proto::id::{Layer, TrackAlias, TrackSid};
use relay_proto::room::{LayerRecord, LeaveCause, MediaKind, TrackRecord};
use relay_proto::session::{AnnouncedTrack, SessionCommand, TrackWish};
use relay_proto::unit::Bitrate;
use std::collections::{BTreeMap, BTreeSet};

/// Longest id, name of a group and candidate of a client, in bytes.
const MAX_TEXT_BYTES: usize = 1_024;

impl Session {
    /// Serves a request. `room` is what is known of the session's room.
    pub fn request(
        &mut self,
        request: Request,
        around: Around<'_>,
        random: &mut dyn RandomSource,
        out: &mut Vec<Effect>,
    ) {
        let Around { site, now, .. } = around;
        self.heard(now);
        match request {
            // Clients that do not follow say goodbye before they come back by the address they know.
            Request::Leave if self.is_moving() && !self.follows => {}
            Request::Leave => self.leave(out),
            // Nothing but leaving makes sense before the client knows that it is in.
            _ if !self.is_live() => refused(site),
            Request::Offer(offer) => self.offer(offer, site, out),
            Request::Answer(answer) => self.answer(answer, site, out),
            Request::Candidate(candidate) => self.candidate(candidate, site, out),
            Request::AddTrack(track) => self.add_track(*track, site, random, out),
            Request::Mute { track, muted } => self.mute(track, muted, site, out),
            Request::Subscription {
                tracks,
                of_participants,
                wanted,
            } => {
                let named = tracks
                    .into_iter()
                    .chain(of_participants.into_iter().flat_map(|(_, tracks)| tracks));
                self.subscribe(named, wanted, around, out);
            }
            Request::TrackSetting { tracks, picture } => self.track_setting(tracks, picture, around, out),
            Request::Ping => self.tell(Reply::Pong { at: now.wall }, out),
            Request::PingWithTime { sent_ms } => self.tell(
                Reply::PongWithTime {
                    sent_ms,
                    at: now.wall,
                },
                out,
            ),
            Request::UpdateMetadata(change) => self.update_metadata(*change, around, out),
            Request::SubscriptionPermission(audience) => self.set_audience(*audience, around, out),
            Request::SyncState(state) => self.sync_state(*state, around, out),
            Request::Simulate(scenario) => self.simulate(scenario, around, out),
            Request::Unsupported(unsupported) => self.unsupported(unsupported, site, out),
            Request::Ignored => {}
        }
    }

    fn leave(&mut self, out: &mut Vec<Effect>) {
        if !self.is_over() {
            tracing::info!(session = %self.id, room = %self.room, participant = %self.sid, "left");
            self.phase = Phase::Over;
            self.command(
                SessionCommand::CloseSession {
                    session: self.id,
                    cause: LeaveCause::ClientLeft,
                },
                out,
            );
            out.push(Effect::Close(self.id));
        }
    }

    pub(super) fn offer(&mut self, offer: Offer, site: &Site, out: &mut Vec<Effect>) {
        if offer.sdp.len() > site.limits.sdp_bytes {
            self.offer_rejected(offer.id, "the session description is too large", site, out);
            return;
        }
        if !self.offers.take(self.heard_at) {
            self.offer_rejected(offer.id, "too many offers in a short time", site, out);
            return;
        }
        self.offer_open = true;
        self.command(
            SessionCommand::ApplyOffer {
                session: self.id,
                offer_id: offer.id,
                sdp: offer.sdp,
            },
            out,
        );
    }

    fn answer(&mut self, answer: Offer, site: &Site, out: &mut Vec<Effect>) {
        if !self.dual {
            refused(site);
        } else if answer.sdp.len() > site.limits.sdp_bytes {
            self.abused("an answer that is too large", site, out);
        } else {
            self.command(
                SessionCommand::ApplyAnswer {
                    session: self.id,
                    offer_id: answer.id,
                    sdp: answer.sdp,
                },
                out,
            );
        }
    }

    fn candidate(&self, candidate: String, site: &Site, out: &mut Vec<Effect>) {
        if candidate.len() > MAX_TEXT_BYTES {
            refused(site);
            return;
        }
        self.command(
            SessionCommand::AddCandidate {
                session: self.id,
                candidate,
            },
            out,
        );
    }

    pub(super) fn add_track(
        &mut self,
        request: TrackRequest,
        site: &Site,
        random: &mut dyn RandomSource,
        out: &mut Vec<Effect>,
    ) {
        match self.tracks.get(&request.cid) {
            // The client may not have seen the answer: the same question has the same answer.
            Some(Some(track)) => {
                self.tell(
                    Reply::TrackPublished {
                        cid: request.cid,
                        track: track.clone(),
                    },
                    out,
                );
                return;
            }
            Some(None) => return,
            None => {}
        }
        if let Err((refusal, message)) = self.may_publish(&request, site) {
            refused(site);
            self.done(0, refusal, message, out);
            return;
        }
        let Some(kind) = request.kind else { return };
        self.tracks.insert(request.cid.clone(), None);
        let track = AnnouncedTrack {
            cid: request.cid.clone(),
            record: record_of(request, kind, random),
        };
        self.command(
            SessionCommand::AnnounceTrack {
                session: self.id,
                track: Box::new(track),
            },
            out,
        );
    }

    fn may_publish(&self, request: &TrackRequest, site: &Site) -> Result<(), (Refusal, &'static str)> {
        let texts = [&request.cid, &request.name, &request.stream];
        let sources = &self.permission.sources;
        if request.kind.is_none() || request.second_encoding_of.is_some() {
            Err((
                Refusal::Unsupported,
                "only audio and video tracks in one codec can be published",
            ))
        } else if request.cid.is_empty() || texts.iter().any(|text| text.len() > MAX_TEXT_BYTES) {
            Err((
                Refusal::InvalidRequest,
                "the track has no client id, or a text that is too long",
            ))
        } else if !self.permission.can_publish || !(sources.is_empty() || sources.contains(&request.source)) {
            Err((
                Refusal::NotAllowed,
                "the access token does not allow publishing this source",
            ))
        } else if self.tracks.len() >= site.limits.tracks_per_participant {
            Err((Refusal::LimitExceeded, "too many tracks; unpublish one first"))
        } else {
            Ok(())
        }
    }

    fn mute(&mut self, sid: TrackSid, muted: bool, site: &Site, out: &mut Vec<Effect>) {
        let own = self.tracks.values_mut().flatten().find(|track| track.sid == sid);
        let Some(track) = own else {
            refused(site);
            return;
        };
        track.muted = muted;
        self.command(
            SessionCommand::SetTrackMuted {
                session: self.id,
                track: sid,
                muted,
            },
            out,
        );
    }

    pub(super) fn subscribe(
        &self,
        named: impl Iterator<Item = TrackSid>,
        wanted: bool,
        around: Around<'_>,
        out: &mut Vec<Effect>,
    ) {
        let named = named.take(around.site.limits.tracks_per_request);
        // A set, because clients name a track both ways at once.
        let known: BTreeSet<TrackSid> = named.filter(|sid| around.room.track(sid).is_some()).collect();
        if known.is_empty() || !self.permission.can_subscribe {
            refused(around.site);
            return;
        }
        let tracks = known.into_iter().collect();
        self.command(
            SessionCommand::SetSubscription {
                session: self.id,
                tracks,
                wanted,
            },
            out,
        );
    }

    pub(super) fn track_setting(
        &self,
        tracks: Vec<TrackSid>,
        picture: WishedPicture,
        around: Around<'_>,
        out: &mut Vec<Effect>,
    ) {
        let mut by_wish: BTreeMap<(bool, Layer), Vec<TrackSid>> = BTreeMap::new();
        for sid in tracks.into_iter().take(around.site.limits.tracks_per_request) {
            let Some(track) = around.room.track(&sid) else {
                continue;
            };
            let wish = match picture {
                WishedPicture::Nothing => (false, Layer(0)),
                WishedPicture::UpTo(layer) => (true, layer),
                WishedPicture::Pixels { width, height } => (true, layer_for_pixels(track, width, height)),
            };
            by_wish.entry(wish).or_default().push(sid);
        }
        for ((enabled, max_layer), tracks) in by_wish {
            let wish = TrackWish { enabled, max_layer };
            self.command(
                SessionCommand::SetTrackWish {
                    session: self.id,
                    tracks,
                    wish,
                },
                out,
            );
        }
    }

    fn unsupported(&self, unsupported: Box<Unsupported>, site: &Site, out: &mut Vec<Effect>) {
        refused(site);
        let message = format!("{} is not supported by this server", unsupported.what);
        self.tell(
            Reply::RequestDone {
                request_id: unsupported.request_id,
                refusal: Refusal::Unsupported,
                message,
                about: Some(unsupported),
            },
            out,
        );
    }

    pub(super) fn done(&self, request_id: u32, refusal: Refusal, message: &str, out: &mut Vec<Effect>) {
        self.tell(
            Reply::RequestDone {
                request_id,
                refusal,
                message: message.to_owned(),
                about: None,
            },
            out,
        );
    }
}

pub(super) fn refused(site: &Site) {
    site.counters.refused_requests.increment();
}

fn record_of(request: TrackRequest, kind: MediaKind, random: &mut dyn RandomSource) -> TrackRecord {
    let TrackRequest {
        width,
        height,
        mut layers,
        ..
    } = request;
    if kind == MediaKind::Video && layers.is_empty() {
        layers.push(LayerRecord {
            layer: Layer(0),
            width,
            height,
            bitrate: Bitrate(0),
        });
    }
    TrackRecord {
        sid: sid::track(random),
        alias: TrackAlias(0),
        kind,
        source: request.source,
        codec: request.codec,
        name: request.name,
        stream: request.stream,
        muted: request.muted,
        width,
        height,
        simulcast: layers.len() > 1,
        layers,
        client: request.client,
    }
}
