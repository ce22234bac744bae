//! From an admitted client to an open session.

use super::renewal::Renewal;
use super::simulation::Simulation;
use super::{Around, Effect, Now, Phase, Session, Site};
use crate::hub::MediaPlace;
use crate::limits::TokenBucket;
use crate::protocol::{ClientFacts, Join, JoinReply, Leave, LeaveAction, LeaveReason, Reply};
use crate::protocol::{NODE_ATTRIBUTE, REGION_ATTRIBUTE, SERVER_ATTRIBUTES};
use crate::room::{Room, RoomKey};
use crate::sid::{self, RandomSource};
use crate::token::Claims;
use relay_proto::id::{NodeId, SessionId};
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState};
use relay_proto::session::{EndCause, OpenSession, SessionCommand};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A client that may come in.
#[derive(Clone, Debug)]
pub struct Newcomer {
    /// What its token says; checked.
    pub claims: Claims,
    /// What it says of itself.
    pub join: Join,
    /// Where it comes from; none where that does not matter.
    pub address: Option<IpAddr>,
}

impl Session {
    /// Starts a session: asks the bridge to open it, here or where its `media` belongs.
    pub fn open(
        id: SessionId,
        newcomer: Newcomer,
        media: Option<MediaPlace>,
        site: &Site,
        random: &mut dyn RandomSource,
        now: Now,
        out: &mut Vec<Effect>,
    ) -> Self {
        let Newcomer {
            claims,
            join,
            address,
        } = newcomer;
        let participant = participant_of(id, &claims, &join, (site, media.as_ref()), random, now);
        let session = Self {
            id,
            room: claims.room(),
            room_key: RoomKey {
                name: claims.room(),
                media: media.as_ref().map(|place| place.node),
            },
            had_media: false,
            sid: participant.sid.clone(),
            identity: participant.identity.clone(),
            permission: participant.permission.clone(),
            address,
            dual: join.dual,
            follows: join.follows,
            moves_until: None,
            heard_at: now.monotonic,
            sections: None,
            offer_open: false,
            offers: TokenBucket::new(
                site.limits.offers_per_second,
                site.limits.offer_burst,
                now.monotonic,
            ),
            answered_once: false,
            rejected_in_a_row: 0,
            malformed: 0,
            waits_until: None,
            last_sequence: 0,
            simulation: Simulation::default(),
            renewal: Renewal::of(claims, &participant, now),
            tracks: BTreeMap::new(),
            phase: Phase::Over,
        };
        session.log_opening(&join.client);
        let open = OpenSession {
            session: id,
            room: session.room.clone(),
            auto_subscribe: join.auto_subscribe && participant.permission.can_subscribe,
            participant,
        };
        let open = Box::new(open);
        let command = match media {
            None => SessionCommand::OpenSession(open),
            Some(MediaPlace { node, reason, .. }) => SessionCommand::OpenElsewhere { node, reason, open },
        };
        session.command(command, out);
        Self {
            phase: Phase::Opening(Box::new(join)),
            ..session
        }
    }

    fn log_opening(&self, client: &ClientFacts) {
        tracing::info!(
            session = %self.id,
            room = %self.room,
            participant = %self.sid,
            sdk = client.sdk,
            sdk_version = client.version.get(..32).unwrap_or(&client.version),
            protocol = client.protocol,
            "opening"
        );
    }

    /// The bridge has opened the session: the client hears of it first, then its tracks and its offer go down.
    pub fn opened(
        &mut self,
        participant: &ParticipantRecord,
        others: Vec<ParticipantRecord>,
        around: Around<'_>,
        random: &mut dyn RandomSource,
        out: &mut Vec<Effect>,
    ) {
        let Phase::Opening(join) = std::mem::replace(&mut self.phase, Phase::Live) else {
            return;
        };
        let Around { site, room, now } = around;
        self.heard_at = now.monotonic;
        let visible = |other: &ParticipantRecord| !other.permission.hidden && other.identity != self.identity;
        self.tell(
            Reply::Join(Box::new(JoinReply {
                room_sid: sid::room(&self.room),
                room_name: self.room.0.clone(),
                room_since: room.since(),
                participant: participant.clone(),
                others: others.into_iter().filter(visible).collect(),
                region: site.region.clone(),
                node: site.node.clone(),
                software: site.software.clone(),
                dual: self.dual,
                ice_servers: self.ice_servers(site, now),
            })),
            out,
        );
        if self.dual {
            self.command(SessionCommand::OfferToClient { session: self.id }, out);
        }
        self.tell_of_room(room, out);
        for track in join.tracks {
            self.add_track(track, site, random, out);
        }
        if let Some(offer) = join.offer {
            self.offer(offer, site, out);
        }
    }

    /// Everything about the room that does not stand in records.
    pub fn tell_of_room(&self, room: &Room, out: &mut Vec<Effect>) {
        let speakers = room.speakers();
        if !speakers.is_empty() {
            self.tell(Reply::Speakers(speakers), out);
        }
        let qualities = room.qualities();
        if !qualities.is_empty() {
            self.tell(Reply::Qualities(qualities), out);
        }
        for (participant, track) in room.kept_from(self) {
            let allowed = false;
            self.tell(
                Reply::SubscriptionPermission {
                    participant,
                    track,
                    allowed,
                },
                out,
            );
        }
    }

    /// The bridge has ended the session, or could not open it.
    pub fn ended(&mut self, cause: &EndCause, out: &mut Vec<Effect>) {
        if self.is_moving() {
            self.moved(out);
        } else if !self.is_over() {
            let leave = leave_for(cause);
            tracing::info!(session = %self.id, room = %self.room, ?cause, action = ?leave.action, "ended by the bridge");
            self.bid_farewell(leave, out);
        }
    }
}

/// What a client is told when the bridge ends its session. It is sent to join anew where that can help.
fn leave_for(cause: &EndCause) -> Leave {
    use LeaveAction::{Disconnect, Reconnect};
    let (reason, action) = match cause {
        EndCause::Left(LeaveCause::ClientLeft) => (LeaveReason::ClientInitiated, Disconnect),
        EndCause::Left(LeaveCause::DuplicateIdentity) => (LeaveReason::DuplicateIdentity, Disconnect),
        EndCause::Left(LeaveCause::Removed) => (LeaveReason::ParticipantRemoved, Disconnect),
        EndCause::Left(LeaveCause::ConnectionLost)
        | EndCause::ConsentExpired
        | EndCause::HandshakeTimedOut => (LeaveReason::ConnectionTimeout, Reconnect),
        EndCause::Left(LeaveCause::NodeLost | LeaveCause::NodeStopped) | EndCause::NotServing => {
            (LeaveReason::ServerShutdown, Reconnect)
        }
        EndCause::FingerprintMismatch => (LeaveReason::MediaFailure, Disconnect),
        EndCause::LimitReached(_) => (LeaveReason::JoinFailure, Disconnect),
    };
    Leave::of(reason, action)
}

/// The participant as token and client describe it.
fn participant_of(
    id: SessionId,
    claims: &Claims,
    join: &Join,
    (site, media): (&Site, Option<&MediaPlace>),
    random: &mut dyn RandomSource,
    now: Now,
) -> ParticipantRecord {
    let permission = claims.permission();
    let mut metadata = claims.metadata.clone();
    let mut attributes = claims.attributes.clone();
    let limits = &site.limits;
    if permission.can_update_metadata {
        if !join.metadata.is_empty() && join.metadata.len() <= limits.metadata_bytes {
            metadata.clone_from(&join.metadata);
        }
        let mut merged = attributes.clone();
        merged.extend(join.attributes.clone());
        merged.retain(|_, value| !value.is_empty());
        if attributes_fit(&merged, limits) {
            attributes = merged;
        }
    }
    attributes.retain(|key, _| !key.starts_with(SERVER_ATTRIBUTES));
    let here = (&site.node, &site.region);
    let (node, region) = media.map_or(here, |place| (&place.name, &place.region));
    attributes.insert(NODE_ATTRIBUTE.to_owned(), node.clone());
    attributes.insert(REGION_ATTRIBUTE.to_owned(), region.clone());
    ParticipantRecord {
        sid: sid::participant(random),
        identity: claims.identity(),
        name: claims.name.clone(),
        metadata,
        attributes: attributes.into_iter().collect(),
        permission,
        kind: claims.kind_number(),
        client_protocol: join.client.client_protocol,
        capabilities: join
            .client
            .capabilities
            .iter()
            .copied()
            .take(MAX_CAPABILITIES)
            .collect(),
        joined_at: now.wall,
        home: NodeId(id.entry.0),
        version: 0,
        state: ParticipantState::Joined,
        tracks: Vec::new(),
    }
}

/// Capabilities a client may list.
const MAX_CAPABILITIES: usize = 32;

/// Longest key of an attribute, in bytes; less than what may be a label between nodes.
const MAX_KEY_BYTES: usize = 1_024;

/// Whether attributes keep to the limits.
pub(super) fn attributes_fit(attributes: &BTreeMap<String, String>, limits: &crate::limits::Limits) -> bool {
    let bytes: usize = attributes
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let keys_fit = attributes.keys().all(|key| key.len() <= MAX_KEY_BYTES);
    keys_fit && attributes.len() <= limits.attributes && bytes <= limits.attributes_bytes
}
