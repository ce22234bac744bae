//! Rules of one session, shown through the hub: that is how sessions are driven.

use super::*;
use crate::hub::Hub;
use crate::protocol::tests::{participant, track};
use crate::protocol::{Offer, Refusal, Request, TrackRequest, WishedPicture};
use crate::sid::RandomSource;
use crate::token::{Claims, Grants};
use relay_proto::id::{Layer, NodeId, TrackSid};
use relay_proto::room::{MediaKind, ParticipantRecord, TrackSource};
use relay_proto::session::{EndCause, OpenSession, SessionFact};
use std::time::Duration;

mod dual;
mod media;
mod own;
mod resume;
mod rules;
mod simulation;

/// Predictable ids.
pub(crate) struct Seeded(pub(crate) u64);

impl RandomSource for Seeded {
    fn bytes(&mut self) -> [u8; 8] {
        self.0 = self.0.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        self.0.to_be_bytes()
    }
}

pub(crate) const SECRET: &str = "a secret that is long enough for a signature";

/// A hub with a clock of its own.
pub(crate) struct Bench {
    pub(crate) hub: Hub,
    pub(crate) site: Site,
    pub(crate) counters: Arc<Counters>,
    pub(crate) now: Now,
}

pub(crate) fn id(serial: u32) -> SessionId {
    SessionId {
        entry: NodeId::of("fra"),
        serial,
    }
}

pub(crate) fn newcomer(identity: &str) -> Newcomer {
    Newcomer {
        claims: Claims {
            sub: identity.to_owned(),
            exp: 1_700_000_000 + 6 * 60 * 60,
            name: identity.to_uppercase(),
            video: Grants {
                room_join: true,
                room: "standup".to_owned(),
                can_update_own_metadata: Some(true),
                ..Grants::default()
            },
            ..Claims::default()
        },
        join: Join {
            auto_subscribe: true,
            ..Join::default()
        },
        address: None,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with_limits(Limits::default())
    }

    pub(crate) fn with_limits(limits: Limits) -> Self {
        let counters = Arc::new(Counters::default());
        let site = Site {
            node: "fra".to_owned(),
            region: "Frankfurt".to_owned(),
            software: "causeway".to_owned(),
            limits,
            turn: None,
            simulate: true,
            keys: TokenKeys(Arc::new(BTreeMap::from([("key".to_owned(), SECRET.to_owned())]))),
            counters: Arc::clone(&counters),
        };
        let now = Now {
            monotonic: Instant::now(),
            wall: UnixMillis(1_700_000_000_000),
        };
        Self {
            hub: Hub::new(site.clone(), Box::new(Seeded(1))),
            site,
            counters,
            now,
        }
    }

    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Effect> {
        self.now.monotonic += time;
        let mut out = Vec::new();
        self.hub.timeout(self.now, &mut out);
        out
    }

    pub(crate) fn connect(&mut self, serial: u32, newcomer: Newcomer) -> Vec<Effect> {
        let mut out = Vec::new();
        self.hub.connected(id(serial), newcomer, self.now, &mut out);
        out
    }

    pub(crate) fn ask(&mut self, serial: u32, request: Request) -> Vec<Effect> {
        let mut out = Vec::new();
        self.hub.requested(id(serial), request, self.now, &mut out);
        out
    }

    pub(crate) fn disconnect(&mut self, serial: u32) -> Vec<Effect> {
        let mut out = Vec::new();
        self.hub.disconnected(id(serial), self.now, &mut out);
        out
    }

    pub(crate) fn fact(&mut self, fact: SessionFact) -> Vec<Effect> {
        let mut out = Vec::new();
        self.hub.happened(fact, self.now, &mut out);
        out
    }

    /// Connects and opens; returns the participant and what the client and the bridge were told on opening.
    pub(crate) fn join(&mut self, serial: u32, newcomer: Newcomer) -> (ParticipantRecord, Vec<Effect>) {
        self.join_among(serial, newcomer, Vec::new())
    }

    pub(crate) fn join_among(
        &mut self,
        serial: u32,
        newcomer: Newcomer,
        others: Vec<ParticipantRecord>,
    ) -> (ParticipantRecord, Vec<Effect>) {
        let effects = self.connect(serial, newcomer);
        let [Effect::Command(SessionCommand::OpenSession(open))] = effects.as_slice() else {
            panic!("{effects:?}")
        };
        let OpenSession { participant, .. } = (**open).clone();
        let effects = self.fact(SessionFact::SessionOpened {
            session: id(serial),
            participant: Box::new(participant.clone()),
            others,
        });
        (participant, effects)
    }
}

pub(crate) fn commands(effects: &[Effect]) -> Vec<&SessionCommand> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Command(command) => Some(command),
            _ => None,
        })
        .collect()
}

pub(crate) fn replies(effects: &[Effect], serial: u32) -> Vec<&Reply> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send { to, reply } if to.contains(&id(serial)) => Some(reply),
            _ => None,
        })
        .collect()
}

fn camera(cid: &str) -> TrackRequest {
    TrackRequest {
        cid: cid.to_owned(),
        kind: Some(MediaKind::Video),
        source: TrackSource::Camera,
        name: String::new(),
        stream: "camera".to_owned(),
        muted: false,
        width: 1280,
        height: 720,
        layers: Vec::new(),
        client: relay_proto::room::ClientTrackFacts::default(),
        codec: None,
        second_encoding_of: None,
    }
}

fn offer(offer_id: u32) -> Offer {
    Offer {
        id: offer_id,
        sdp: "v=0".to_owned(),
    }
}
