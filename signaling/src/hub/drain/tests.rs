use super::*;
use crate::protocol::tests::participant;
use crate::protocol::{LeaveAction, Request};
use crate::session::tests::{Bench, commands, id, newcomer, replies};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use relay_proto::room::{LeaveCause, ParticipantRecord, ParticipantState};
use relay_proto::session::{EndCause, RoomChange, SessionCommand, SessionFact};

const TWO_MINUTES: Duration = Duration::from_secs(120);

/// Sends everybody to the same nodes and counts them.
struct Always(Vec<&'static str>);

impl NextNodes for Always {
    fn for_client(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Vec<NextNode> {
        let node = |name: &&str| NextNode {
            node: (*name).to_owned(),
            url: format!("wss://{name}.example"),
        };
        self.0.iter().map(node).collect()
    }

    fn any(&self) -> bool {
        !self.0.is_empty()
    }
}

fn limits() -> Limits {
    Limits {
        drain_batch: 5,
        ..Limits::default()
    }
}

fn follower(name: &str) -> Newcomer {
    let mut newcomer = newcomer(name);
    newcomer.join.follows = true;
    newcomer
}

/// A node with so many people, of whom the first `followers` follow.
fn filled(people: u32, followers: u32, limits: Limits) -> Bench {
    let mut bench = Bench::with_limits(limits);
    bench.hub = Hub::new(bench.site.clone(), Box::new(crate::session::tests::Seeded(1)))
        .sending_to(Box::new(Always(vec!["sin", "syd"])));
    for serial in 1..=people {
        let name = serial.to_string();
        let who = if serial <= followers {
            follower(&name)
        } else {
            newcomer(&name)
        };
        bench.join(serial, who);
    }
    bench
}

/// Lets time pass up to the next thing that is due.
fn step(bench: &mut Bench) -> Vec<Effect> {
    let at = bench.hub.next_deadline().expect("something is due");
    bench.pass(at.saturating_duration_since(bench.now.monotonic))
}

fn sent_away(effects: &[Effect]) -> Vec<u32> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Send {
                to,
                reply: Reply::Leave(leave),
            } => {
                assert_eq!(leave.action, LeaveAction::Reconnect);
                let names: Vec<&str> = leave.next_nodes.iter().map(|next| next.node.as_str()).collect();
                assert_eq!(names, ["sin", "syd"]);
                Some(to[0].serial)
            }
            _ => None,
        })
        .collect()
}

fn progress(bench: &Bench) -> DrainProgress {
    bench.hub.drain_progress(bench.now).unwrap()
}

#[test]
fn people_go_in_small_batches_spread_over_the_time_and_those_who_follow_go_first() {
    let mut bench = filled(12, 7, limits());
    bench.hub.drain(TWO_MINUTES, bench.now);
    let start = bench.now.monotonic;
    let mut batches = Vec::new();
    while progress(&bench).moved < 12 {
        let away = sent_away(&step(&mut bench));
        for serial in &away {
            // Each has come in elsewhere before the next batch.
            bench.fact(SessionFact::SessionEnded {
                session: id(*serial),
                cause: EndCause::Left(LeaveCause::DuplicateIdentity),
            });
        }
        if !away.is_empty() {
            batches.push((bench.now.monotonic.duration_since(start).as_secs(), away));
        }
    }
    assert_eq!(
        batches,
        [
            (1, vec![1, 2, 3, 4, 5]),
            (2, vec![6, 7]),
            (3, vec![8, 9, 10, 11, 12])
        ]
    );
    let end = progress(&bench);
    assert!(end.done && end.left == 0 && bench.hub.is_empty(), "{end:?}");
    assert_eq!(bench.counters.moved.value(), 12);
}

#[test]
fn batches_come_faster_where_the_time_is_short_and_grow_where_it_is_shorter_still() {
    for (people, within_s) in [(400, 20), (3_000, 12)] {
        let mut bench = filled(people, people, limits());
        bench.hub.drain(Duration::from_secs(within_s), bench.now);
        let start = bench.now.monotonic;
        while progress(&bench).moved < people as usize {
            step(&mut bench);
        }
        let took = bench.now.monotonic.duration_since(start);
        let last_batch_by = Duration::from_secs(within_s) - limits().move_grace;
        assert!(
            took <= last_batch_by + SHORTEST_PAUSE,
            "{people} people took {took:?}"
        );
        assert!(took >= last_batch_by / 2, "{people} people took {took:?} only");
    }
}

#[test]
fn the_next_batch_waits_while_two_are_on_their_way_and_there_is_time() {
    for (within, expected) in [
        (TWO_MINUTES, [1, 2, 6, 7]),
        (Duration::from_secs(9), [1, 2, 3, 4]),
    ] {
        let mut bench = filled(20, 20, limits());
        bench.hub.drain(within, bench.now);
        let start = bench.now.monotonic;
        let mut batches = Vec::new();
        while progress(&bench).moved < 20 {
            // Nobody comes in elsewhere: each stays for the whole grace.
            let away = sent_away(&step(&mut bench));
            if !away.is_empty() {
                batches.push((bench.now.monotonic.duration_since(start).as_secs(), away.len()));
            }
        }
        assert_eq!(batches, expected.map(|second| (second, 5)), "within {within:?}");
    }
}

#[test]
fn whoever_was_sent_away_is_still_there_for_a_while_and_hears_nothing_of_being_replaced() {
    let mut bench = filled(2, 2, limits());
    bench.hub.drain(TWO_MINUTES, bench.now);
    assert_eq!(sent_away(&step(&mut bench)), [1, 2]);
    // One comes in elsewhere: the bridge ends the session that is left here.
    let effects = bench.fact(SessionFact::SessionEnded {
        session: id(1),
        cause: EndCause::Left(LeaveCause::DuplicateIdentity),
    });
    assert_eq!(effects, [Effect::Close(id(1))]);
    // The other one does not.
    let effects = bench.pass(limits().move_grace);
    assert!(matches!(
        commands(&effects)[..],
        [SessionCommand::CloseSession {
            cause: LeaveCause::NodeStopped,
            ..
        }]
    ));
    assert!(progress(&bench).done);
}

#[test]
fn a_client_that_follows_may_let_go_and_others_say_goodbye_in_vain() {
    let mut bench = filled(2, 1, limits());
    bench.hub.drain(TWO_MINUTES, bench.now);
    assert_eq!(sent_away(&step(&mut bench)), [1]);
    assert_eq!(commands(&bench.ask(1, Request::Leave)).len(), 1);
    assert_eq!(sent_away(&step(&mut bench)), [2]);
    // Otherwise the others would see it leave and come back.
    assert!(bench.ask(2, Request::Leave).is_empty() && bench.disconnect(2).is_empty());
    assert_eq!(progress(&bench).left, 1);
}

#[test]
fn whoever_comes_meanwhile_is_sent_on_and_whoever_comes_back_goes_on_until_his_turn() {
    let mut bench = filled(1, 1, limits());
    let sid = bench.hub.sessions[&id(1)].sid().clone();
    bench.disconnect(1);
    bench.hub.drain(TWO_MINUTES, bench.now);
    let effects = bench.connect(2, follower("new"));
    assert_eq!(sent_away(&effects), [2]);
    assert_eq!(effects.last(), Some(&Effect::Close(id(2))));
    let mut back = follower("1");
    back.join.reconnect = true;
    back.join.participant = Some(sid);
    let effects = bench.connect(3, back.clone());
    assert!(matches!(replies(&effects, 1)[0], Reply::Reconnect(_)));
    assert_eq!(sent_away(&step(&mut bench)), [1]);
    let effects = bench.connect(4, back);
    assert_eq!(sent_away(&effects), [4], "what is left of it is not gone on with");
    assert_eq!(bench.counters.sent_on.value(), 2);
}

#[test]
fn a_session_that_waits_for_a_connection_ends_at_its_turn() {
    let mut bench = filled(1, 1, limits());
    bench.disconnect(1);
    bench.hub.drain(TWO_MINUTES, bench.now);
    assert_eq!(commands(&step(&mut bench)).len(), 1);
    assert!(bench.hub.is_empty() && progress(&bench).done);
}

#[test]
fn a_drain_with_nowhere_to_go_is_over_at_once_and_one_whose_nodes_go_lasts_to_its_deadline() {
    let mut bench = Bench::new();
    bench.join(1, newcomer("ada"));
    bench.hub.drain(TWO_MINUTES, bench.now);
    assert!(progress(&bench).done && bench.hub.next_batch().is_none());

    struct Full;
    impl NextNodes for Full {
        fn for_client(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Vec<NextNode> {
            Vec::new()
        }

        fn any(&self) -> bool {
            true
        }
    }
    let mut bench = Bench::new();
    bench.hub =
        Hub::new(bench.site.clone(), Box::new(crate::session::tests::Seeded(1))).sending_to(Box::new(Full));
    bench.join(1, newcomer("ada"));
    let within = Duration::from_secs(8);
    bench.hub.drain(within, bench.now);
    let start = bench.now.monotonic;
    while !progress(&bench).done {
        assert!(sent_away(&step(&mut bench)).is_empty());
    }
    assert_eq!(bench.now.monotonic.duration_since(start), within);
    assert_eq!(progress(&bench).left, 1);
}

#[test]
fn a_drain_is_over_when_the_other_nodes_have_gone_too() {
    struct Until(Arc<AtomicBool>);
    impl NextNodes for Until {
        fn for_client(&mut self, _: Option<IpAddr>, _: &RoomName, _: Instant) -> Vec<NextNode> {
            Vec::new()
        }

        fn any(&self) -> bool {
            self.0.load(Ordering::Relaxed)
        }
    }
    let there = Arc::new(AtomicBool::new(true));
    let mut bench = Bench::new();
    bench.hub = Hub::new(bench.site.clone(), Box::new(crate::session::tests::Seeded(1)))
        .sending_to(Box::new(Until(Arc::clone(&there))));
    bench.join(1, newcomer("ada"));
    bench.hub.drain(TWO_MINUTES, bench.now);
    step(&mut bench);
    assert!(!progress(&bench).done);
    there.store(false, Ordering::Relaxed);
    step(&mut bench);
    assert!(progress(&bench).done && progress(&bench).left == 1);
}

#[test]
fn a_second_order_gives_a_new_time() {
    let mut bench = filled(300, 300, limits());
    bench.hub.drain(TWO_MINUTES, bench.now);
    step(&mut bench);
    bench.hub.drain(Duration::from_secs(10), bench.now);
    assert_eq!(progress(&bench).time_left, Duration::from_secs(10));
    assert_eq!((progress(&bench).people, progress(&bench).moved), (300, 5));
    while !progress(&bench).done {
        step(&mut bench);
    }
    assert_eq!(progress(&bench).moved, 300);
}

fn replaced(bench: &mut Bench, gone: &ParticipantRecord, participant: &ParticipantRecord) -> Vec<Effect> {
    let gone = ParticipantRecord {
        state: ParticipantState::Disconnected,
        ..gone.clone()
    };
    bench.fact(SessionFact::RoomChanged {
        room: RoomName::from("standup"),
        change: RoomChange::ParticipantReplaced {
            gone: Box::new(gone),
            participant: Box::new(participant.clone()),
        },
    })
}

#[test]
fn an_exchange_is_told_in_one_frame_and_each_of_both_hears_of_itself_alone() {
    let mut bench = filled(0, 0, limits());
    let former = participant("PA_former", "ann");
    bench.join_among(1, newcomer("ben"), vec![former.clone()]);
    let (ann, effects) = bench.join_among(2, follower("ann"), vec![former.clone()]);
    assert!(
        replies(&effects, 1).is_empty(),
        "ben goes on seeing the former self"
    );
    let Reply::Join(join) = replies(&effects, 2)[0] else {
        panic!("{effects:?}")
    };
    let others: Vec<&str> = join.others.iter().map(|other| other.identity.as_str()).collect();
    assert!(!others.contains(&"ann"), "{others:?}");
    let effects = replaced(&mut bench, &former, &ann);
    let [Reply::Replaced { gone, participant }] = replies(&effects, 1)[..] else {
        panic!("{effects:?}")
    };
    assert_eq!((&gone.sid, &participant.sid), (&former.sid, &ann.sid));
    assert_eq!(replies(&effects, 2), [&Reply::Update(vec![ann])]);
}

#[test]
fn a_newcomer_that_is_exchanged_for_its_former_self_goes_on() {
    let mut bench = Bench::new();
    let (ann, _) = bench.join(1, follower("ann"));
    let former = participant("PA_former", "ann");
    assert!(replaced(&mut bench, &ann, &former).is_empty());
    assert_eq!(
        replies(&replaced(&mut bench, &former, &ann), 1),
        [&Reply::Update(vec![ann])]
    );
}

#[test]
fn whoever_follows_lets_go_by_itself_and_what_is_left_of_others_goes_with_their_place() {
    for (who, moved, ends) in [
        (follower("ann"), true, false),
        (newcomer("ann"), true, true),
        (newcomer("ann"), false, true),
    ] {
        let mut bench = filled(0, 0, limits());
        let (ann, _) = bench.join(1, who);
        bench.hub.drain(TWO_MINUTES, bench.now);
        if moved {
            assert_eq!(sent_away(&step(&mut bench)), [1]);
        }
        let effects = replaced(&mut bench, &ann, &participant("PA_elsewhere", "ann"));
        assert_eq!(commands(&effects).len(), usize::from(ends), "{effects:?}");
        let told = replies(&effects, 1);
        let of_its_double = told
            .iter()
            .any(|reply| matches!(reply, Reply::Leave(leave) if leave.action == LeaveAction::Disconnect));
        assert_eq!(of_its_double, !moved, "{told:?}");
    }
}
