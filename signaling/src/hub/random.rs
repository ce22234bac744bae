//! Whatever comes in whatever order, the books of the hub stay in order.

use super::*;
use crate::protocol::tests::participant;
use crate::protocol::{MetadataChange, Offer, WishedPicture};
use crate::session::tests::{Bench, id, newcomer};
use proptest::prelude::*;
use relay_proto::id::{Layer, RoomName, TrackSid};
use relay_proto::room::LeaveCause;
use relay_proto::session::{EndCause, RoomChange};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Step {
    Connect(u32, bool),
    Opened(u32),
    Ended(u32),
    Answered(u32),
    Sections(u32),
    Ask(u32, Request),
    Malformed(u32),
    Disconnected(u32),
    Overflowed(u32),
    Upserted(u32, u32),
    Left(u32),
    Pass(u64),
}

fn request() -> impl Strategy<Value = Request> {
    prop_oneof![
        Just(Request::Leave),
        Just(Request::Ping),
        Just(Request::Ignored),
        any::<u32>().prop_map(|id| Request::Offer(Offer {
            id,
            sdp: "v=0".to_owned()
        })),
        any::<bool>().prop_map(|everybody| Request::SubscriptionPermission(Box::new(
            crate::protocol::AudienceRequest {
                everybody,
                grants: Vec::new(),
            }
        ))),
        any::<bool>().prop_map(|muted| Request::Mute {
            track: TrackSid::from("TR_1"),
            muted
        }),
        Just(Request::TrackSetting {
            tracks: vec![TrackSid::from("TR_1")],
            picture: WishedPicture::UpTo(Layer(1))
        }),
        ".{0,20}".prop_map(|text| Request::UpdateMetadata(Box::new(MetadataChange {
            request_id: 1,
            name: text.clone(),
            metadata: text.clone(),
            attributes: vec![(text, String::new())],
        }))),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = 1_u32..5;
    prop_oneof![
        (who.clone(), any::<bool>()).prop_map(|(serial, resume)| Step::Connect(serial, resume)),
        who.clone().prop_map(Step::Opened),
        who.clone().prop_map(Step::Ended),
        who.clone().prop_map(Step::Answered),
        who.clone().prop_map(Step::Sections),
        (who.clone(), request()).prop_map(|(serial, request)| Step::Ask(serial, request)),
        who.clone().prop_map(Step::Malformed),
        who.clone().prop_map(Step::Disconnected),
        who.clone().prop_map(Step::Overflowed),
        (who.clone(), 0_u32..4).prop_map(|(serial, version)| Step::Upserted(serial, version)),
        who.prop_map(Step::Left),
        (0_u64..25_000).prop_map(Step::Pass),
    ]
}

fn record(serial: u32, version: u32) -> Box<ParticipantRecord> {
    Box::new(ParticipantRecord {
        version,
        ..participant(&format!("PA_{serial}"), &serial.to_string())
    })
}

fn run(bench: &mut Bench, step: Step) -> Vec<Effect> {
    let changed = |change| SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change,
    };
    let mut out = Vec::new();
    match step {
        Step::Connect(serial, resume) => {
            let mut who = newcomer(&serial.to_string());
            who.join.reconnect = resume;
            let known = bench.hub.sessions.get(&id(serial));
            who.join.participant = known.map(|session| session.sid().clone());
            // The shell never gives a number twice.
            return match known {
                Some(_) if resume => bench.connect(serial + 100, who),
                Some(_) => Vec::new(),
                None => bench.connect(serial, who),
            };
        }
        Step::Opened(serial) => {
            let (session, participant) = (id(serial), record(serial, 1));
            return bench.fact(SessionFact::SessionOpened {
                session,
                participant,
                others: Vec::new(),
            });
        }
        Step::Ended(serial) => {
            return bench.fact(SessionFact::SessionEnded {
                session: id(serial),
                cause: EndCause::NotServing,
            });
        }
        Step::Answered(serial) => {
            return bench.fact(SessionFact::OfferAnswered {
                session: id(serial),
                offer_id: 1,
                sdp: String::new(),
                sections: Vec::new(),
            });
        }
        Step::Sections(serial) => {
            return bench.fact(SessionFact::SectionsRequired {
                session: id(serial),
                audios: 0,
                videos: 1,
            });
        }
        Step::Ask(serial, request) => return bench.ask(serial, request),
        Step::Malformed(serial) => bench.hub.frame_malformed(id(serial), bench.now, &mut out),
        Step::Disconnected(serial) => bench.hub.disconnected(id(serial), bench.now, &mut out),
        Step::Overflowed(serial) => bench.hub.overflowed(id(serial), &mut out),
        Step::Upserted(serial, version) => {
            return bench.fact(changed(RoomChange::ParticipantUpserted(record(serial, version))));
        }
        Step::Left(serial) => {
            let participant = record(serial, 9);
            return bench.fact(changed(RoomChange::ParticipantLeft {
                participant,
                cause: LeaveCause::ClientLeft,
            }));
        }
        Step::Pass(ms) => return bench.pass(Duration::from_millis(ms)),
    }
    out
}

proptest! {
    #[test]
    fn the_books_stay_in_order(steps in proptest::collection::vec(step(), 0..200)) {
        let mut bench = Bench::new();
        for step in steps {
            let passed = matches!(step, Step::Pass(_));
            let effects = run(&mut bench, step);
            let hub = &bench.hub;
            prop_assert_eq!(hub.deadlines.len(), hub.sessions.len());
            // Time that has passed leaves nothing overdue.
            prop_assert!(!passed || hub.next_deadline().is_none_or(|at| at > bench.now.monotonic));
            let members: usize = hub.rooms.values().map(|room| room.sessions.len()).sum();
            prop_assert_eq!(members, hub.sessions.len());
            prop_assert!(hub.rooms.values().all(|room| !room.sessions.is_empty()));
            let waiting: BTreeSet<SessionId> = hub
                .sessions
                .values()
                .filter(|session| session.is_waiting())
                .map(Session::id)
                .collect();
            prop_assert_eq!(&waiting, &hub.waiting);
            let attached = effects.iter().filter_map(|effect| match effect {
                Effect::Attach { session, .. } => Some(session),
                _ => None,
            });
            for id in attached {
                prop_assert!(hub.sessions.contains_key(id) && !waiting.contains(id));
            }
            let closed = effects.iter().filter_map(|effect| match effect {
                Effect::Close(id) => Some(id),
                _ => None,
            });
            for id in closed {
                prop_assert!(!hub.sessions.contains_key(id));
            }
        }
    }
}
