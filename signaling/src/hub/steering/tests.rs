use super::*;
use crate::hub::NextNodes;
use crate::protocol::tests::participant;
use crate::protocol::{NextNode, Reply};
use crate::session::Effect;
use crate::session::tests::{Bench, Seeded, commands, id, newcomer, replies};
use relay_proto::id::RoomName;
use relay_proto::room::{LeaveCause, ParticipantRecord};
use relay_proto::session::{EndCause, OpenSession, RoomChange, SessionCommand, SessionFact};
use std::net::IpAddr;

/// Takes everybody's media to one node.
struct ToSydney;

impl NextNodes for ToSydney {
    fn for_client(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Vec<NextNode> {
        Vec::new()
    }

    fn any(&self) -> bool {
        true
    }

    fn media_for(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Option<MediaPlace> {
        Some(MediaPlace {
            node: NodeId::of("syd"),
            name: "syd".to_owned(),
            region: "Sydney".to_owned(),
            reason: "251 ms nearer than here".to_owned(),
        })
    }
}

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.hub = Hub::new(bench.site.clone(), Box::new(Seeded(1))).sending_to(Box::new(ToSydney));
    bench
}

fn follower(identity: &str) -> Newcomer {
    let mut who = newcomer(identity);
    who.join.follows = true;
    who
}

/// What the bridge is told of a client that connects; none where its media stays here.
fn sent_elsewhere(effects: &[Effect]) -> Option<OpenSession> {
    match commands(effects)[..] {
        [SessionCommand::OpenElsewhere { node, open, .. }] => {
            assert_eq!(*node, NodeId::of("syd"));
            Some((**open).clone())
        }
        [SessionCommand::OpenSession(_)] => None,
        _ => panic!("{effects:?}"),
    }
}

fn steer(bench: &mut Bench, serial: u32, identity: &str) -> ParticipantRecord {
    let effects = bench.connect(serial, newcomer(identity));
    let open = sent_elsewhere(&effects).unwrap();
    bench.fact(SessionFact::SessionOpened {
        session: id(serial),
        participant: Box::new(open.participant.clone()),
        others: Vec::new(),
    });
    open.participant
}

fn elsewhere(node: &str, change: RoomChange) -> SessionFact {
    SessionFact::RoomChangedElsewhere {
        node: NodeId::of(node),
        room: RoomName::from("standup"),
        change,
    }
}

fn upserted(identity: &str) -> RoomChange {
    RoomChange::ParticipantUpserted(Box::new(participant("PA_x", identity)))
}

#[test]
fn media_is_opened_on_the_nearer_node_and_others_read_its_name() {
    let mut bench = bench();
    let who = steer(&mut bench, 1, "kai");
    let of = |key: &str| {
        who.attributes
            .iter()
            .find(|(name, _)| name == key)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(of(crate::protocol::NODE_ATTRIBUTE), Some("syd"));
    assert_eq!(of(crate::protocol::REGION_ATTRIBUTE), Some("Sydney"));
    assert_eq!(bench.counters.steered.value(), 1);
}

#[test]
fn whoever_chose_its_node_itself_is_not_steered() {
    let mut bench = bench();
    let effects = bench.connect(1, follower("kai"));
    assert_eq!(sent_elsewhere(&effects), None);
}

#[test]
fn sessions_hear_of_their_room_from_the_bridge_that_has_their_media_alone() {
    let mut bench = bench();
    steer(&mut bench, 1, "kai");
    bench.join(2, follower("lea"));
    let update = Reply::Update(vec![participant("PA_x", "carl")]);
    let effects = bench.fact(elsewhere("syd", upserted("carl")));
    assert_eq!(
        (replies(&effects, 1), replies(&effects, 2)),
        (vec![&update], vec![])
    );
    let own = SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change: upserted("carl"),
    };
    let effects = bench.fact(own);
    assert_eq!(
        (replies(&effects, 1), replies(&effects, 2)),
        (vec![], vec![&update])
    );
    // A node without sessions of ours is heard by nobody.
    assert!(bench.fact(elsewhere("sin", upserted("eve"))).is_empty());
}

#[test]
fn a_node_cannot_fill_a_room_without_end() {
    let mut bench = Bench::with_limits(crate::limits::Limits {
        participants_per_room: 2,
        ..crate::limits::Limits::default()
    });
    bench.hub = Hub::new(bench.site.clone(), Box::new(Seeded(1))).sending_to(Box::new(ToSydney));
    steer(&mut bench, 1, "kai");
    for n in 0..10 {
        let record = participant(&format!("PA_{n}"), &format!("p{n}"));
        bench.fact(elsewhere(
            "syd",
            RoomChange::ParticipantUpserted(Box::new(record)),
        ));
    }
    assert_eq!(bench.counters.steered_refused.value(), 9);
}

#[test]
fn whose_media_never_came_up_elsewhere_is_served_here_for_a_while() {
    let mut bench = bench();
    steer(&mut bench, 1, "kai");
    let effects = bench.fact(SessionFact::SessionEnded {
        session: id(1),
        cause: EndCause::HandshakeTimedOut,
    });
    assert!(effects.contains(&Effect::Close(id(1))));
    let effects = bench.connect(2, newcomer("kai"));
    assert_eq!(sent_elsewhere(&effects), None);
    bench.now.monotonic += KEPT_HERE;
    let effects = bench.connect(3, newcomer("kai"));
    assert!(sent_elsewhere(&effects).is_some());
}

#[test]
fn whose_media_was_lost_with_its_node_is_placed_anew() {
    let mut bench = bench();
    steer(&mut bench, 1, "kai");
    bench.fact(SessionFact::TransportConnected { session: id(1) });
    bench.fact(SessionFact::SessionEnded {
        session: id(1),
        cause: EndCause::Left(LeaveCause::NodeLost),
    });
    let effects = bench.connect(2, newcomer("kai"));
    assert!(sent_elsewhere(&effects).is_some());
}

#[test]
fn a_client_that_comes_back_finds_its_session_wherever_its_media_is() {
    let mut bench = bench();
    let who = steer(&mut bench, 1, "kai");
    bench.join(2, follower("lea"));
    bench.disconnect(1);
    let mut again = newcomer("kai");
    again.join.reconnect = true;
    again.join.participant = Some(who.sid);
    let effects = bench.connect(3, again);
    let attached = Effect::Attach {
        connection: id(3),
        session: id(1),
    };
    assert!(effects.contains(&attached), "{effects:?}");
}
