//! Sessions of a hub: frames as they come from a socket, facts of the bridge, time, in any order.

use crate::fuzzing::{Random, Tally, throwing};
use livekit_protocol as proto;
use prost::Message as _;
use proto::signal_request::Message as Asked;
use relay_proto::id::{Identity, NodeId, ParticipantSid, SessionId, TrackSid};
use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState, Permission};
use relay_proto::session::{EndCause, SessionCommand, SessionFact};
use relay_proto::unit::UnixMillis;
use signaling::hub::Hub;
use signaling::protocol::{Join, decode_request};
use signaling::session::{Effect, Newcomer, Now, Site};
use signaling::sid::RandomSource;
use signaling::token::{Claims, Grants, TokenKeys};
use signaling::{Counters, Limits};
use std::sync::Arc;
use std::time::{Duration, Instant};

const INPUTS: u64 = 2_000;
/// Sessions a round has at most.
const SESSIONS: usize = 5;

/// Ids that follow from the round.
struct Ids(Random);

impl RandomSource for Ids {
    fn bytes(&mut self) -> [u8; 8] {
        self.0.next().to_be_bytes()
    }
}

/// One round.
pub(crate) fn round(random: &mut Random) -> Tally {
    let limits = Limits {
        waiting_sessions: 2,
        ..Limits::default()
    };
    let site = Site {
        node: "fra".to_owned(),
        region: "Frankfurt".to_owned(),
        software: "causeway".to_owned(),
        limits: limits.clone(),
        turn: None,
        simulate: true,
        keys: TokenKeys::default(),
        counters: Arc::new(Counters::default()),
    };
    let mut hub = Hub::new(site, Box::new(Ids(Random(random.next()))));
    let start = Instant::now();
    let mut elapsed = Duration::ZERO;
    let (mut serials, mut newest) = ([0; SESSIONS], 0);
    let mut sids: Vec<ParticipantSid> = Vec::new();
    let mut tally = Tally::default();
    for _ in 0..INPUTS {
        let now = Now {
            monotonic: start + elapsed,
            wall: UnixMillis(1_700_000_000_000 + elapsed.as_millis() as u64),
        };
        let at = random.below(SESSIONS);
        let id = session(serials[at]);
        let mut effects: Vec<Effect> = Vec::new();
        match random.below(10) {
            0 => {
                // Whoever comes again is another session.
                hub.disconnected(id, now, &mut effects);
                newest += 1;
                serials[at] = newest;
                hub.connected(session(newest), newcomer(random, &sids), now, &mut effects);
            }
            1 => hub.happened(fact(random, id), now, &mut effects),
            2 if random.once_in(6) => hub.disconnected(id, now, &mut effects),
            3 => {
                elapsed += Duration::from_millis(random.below(900) as u64);
                hub.timeout(now, &mut effects);
            }
            _ => {
                let mut frame = frame(random);
                if random.once_in(3) {
                    random.damage(&mut frame);
                }
                throwing(&frame);
                tally.inputs += 1;
                match decode_request(&frame) {
                    Ok(request) => {
                        tally.accepted += 1;
                        hub.requested(id, request, now, &mut effects);
                    }
                    Err(_) => hub.frame_malformed(id, now, &mut effects),
                }
            }
        }
        for effect in effects {
            match effect {
                Effect::Send { reply, .. } => drop(signaling::protocol::encode(&reply)),
                Effect::Command(SessionCommand::OpenSession(open)) => {
                    sids.push(open.participant.sid.clone());
                }
                // The connection is that session's from now on.
                Effect::Attach { session, .. } => serials[at] = session.serial,
                _ => {}
            }
        }
        assert!(
            hub.len() <= SESSIONS + limits.waiting_sessions,
            "more sessions than clients"
        );
    }
    tally
}

fn session(serial: u32) -> SessionId {
    SessionId {
        entry: NodeId::of("fra"),
        serial,
    }
}

fn newcomer(random: &mut Random, sids: &[ParticipantSid]) -> Newcomer {
    Newcomer {
        claims: Claims {
            sub: format!("user{}", random.below(3)),
            video: Grants {
                room_join: true,
                room: random.of(&["standup", "board"]).to_owned(),
                can_publish: Some(!random.once_in(5)),
                can_update_own_metadata: Some(random.once_in(2)),
                hidden: random.once_in(6),
                ..Grants::default()
            },
            ..Claims::default()
        },
        join: Join {
            auto_subscribe: random.once_in(2),
            reconnect: random.once_in(4),
            participant: (!sids.is_empty()).then(|| sids[random.below(sids.len())].clone()),
            follows: random.once_in(2),
            ..Join::default()
        },
        address: None,
    }
}

fn fact(random: &mut Random, session: SessionId) -> SessionFact {
    match random.below(8) {
        0..=2 => SessionFact::SessionOpened {
            session,
            participant: Box::new(participant(random)),
            others: (0..random.below(4)).map(|_| participant(random)).collect(),
        },
        3 => SessionFact::SessionEnded {
            session,
            cause: EndCause::Left(LeaveCause::ConnectionLost),
        },
        4 => SessionFact::OfferAnswered {
            session,
            offer_id: random.below(5) as u32,
            sdp: "v=0".to_owned(),
            sections: vec![("0".to_owned(), TrackSid("TR_1".to_owned()))],
        },
        5 => SessionFact::OfferRejected {
            session,
            offer_id: random.below(5) as u32,
            reason: "because".to_owned(),
        },
        6 => SessionFact::DataReceived {
            session,
            reliable: random.once_in(2),
            payload: random.noise(200),
        },
        _ => SessionFact::SectionsRequired {
            session,
            audios: random.next() as u32,
            videos: random.next() as u32,
        },
    }
}

fn participant(random: &mut Random) -> ParticipantRecord {
    ParticipantRecord {
        sid: ParticipantSid(format!("PA_{}", random.below(8))),
        identity: Identity(format!("user{}", random.below(8))),
        name: String::new(),
        metadata: String::new(),
        attributes: Vec::new(),
        permission: Permission {
            can_publish: true,
            can_subscribe: true,
            can_publish_data: true,
            can_update_metadata: true,
            hidden: random.once_in(8),
            sources: Vec::new(),
        },
        kind: 0,
        client_protocol: 0,
        capabilities: Vec::new(),
        joined_at: UnixMillis(1),
        home: NodeId::of("fra"),
        version: random.below(9) as u32,
        state: ParticipantState::Active,
        tracks: Vec::new(),
    }
}

/// A frame of any kind, as a client would send it.
fn frame(random: &mut Random) -> Vec<u8> {
    let tracks: Vec<String> = (0..random.below(40)).map(|at| format!("TR_{at}")).collect();
    let asked = match random.below(9) {
        0 => Asked::Offer(proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: "v=0\r\n".repeat(random.below(2_000)),
            id: random.next() as u32,
            ..proto::SessionDescription::default()
        }),
        1 => Asked::AddTrack(proto::AddTrackRequest {
            cid: format!("cid{}", random.below(60)),
            r#type: random.below(4) as i32,
            source: random.below(9) as i32,
            width: random.next() as u32,
            height: random.next() as u32,
            layers: vec![proto::VideoLayer::default(); random.below(12)],
            ..proto::AddTrackRequest::default()
        }),
        2 => Asked::Mute(proto::MuteTrackRequest {
            sid: "TR_1".to_owned(),
            muted: random.once_in(2),
        }),
        3 => Asked::Subscription(proto::UpdateSubscription {
            track_sids: tracks,
            subscribe: random.once_in(2),
            ..proto::UpdateSubscription::default()
        }),
        4 => Asked::TrackSetting(proto::UpdateTrackSettings {
            track_sids: tracks,
            disabled: random.once_in(2),
            width: random.next() as u32,
            height: random.next() as u32,
            fps: random.next() as u32,
            ..proto::UpdateTrackSettings::default()
        }),
        5 => Asked::UpdateMetadata(proto::UpdateParticipantMetadata {
            metadata: "m".repeat(random.below(100_000)),
            name: "n".repeat(random.below(1_000)),
            attributes: (0..random.below(200))
                .map(|at| (format!("a{at}"), "v".repeat(random.below(300))))
                .collect(),
            ..proto::UpdateParticipantMetadata::default()
        }),
        6 => Asked::Ping(random.next() as i64),
        7 if random.once_in(10) => Asked::Leave(proto::LeaveRequest::default()),
        7 => Asked::Trickle(proto::TrickleRequest {
            candidate_init: "{".repeat(random.below(3_000)),
            ..proto::TrickleRequest::default()
        }),
        _ => Asked::PingReq(proto::Ping {
            timestamp: random.next() as i64,
            rtt: random.next() as i64,
        }),
    };
    proto::SignalRequest { message: Some(asked) }.encode_to_vec()
}
