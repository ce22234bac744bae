use super::*;
use relay_proto::id::Epoch;

fn entry(node: &str, participants: Option<u32>) -> HostEntry {
    HostEntry {
        node: NodeId::of(node),
        incarnation: 1,
        epoch: Epoch(1),
        participants,
    }
}

fn publish(desk: &Desk, room: &str, participants: Option<u32>) {
    let order = DirectoryOrder::Publish(room.into(), entry("fra", participants));
    desk.order(Instant::now(), order);
}

#[test]
fn the_latest_word_of_each_room_is_said_once() {
    let desk = Desk::new(10, 10);
    for people in 1..100 {
        publish(&desk, "a", Some(people));
    }
    publish(&desk, "b", Some(1));
    let said = desk.unsaid(10);
    assert_eq!(said.len(), 2);
    publish(&desk, "b", Some(2));
    desk.said(&said);
    assert_eq!(
        desk.unsaid(10),
        [("b".into(), entry("fra", Some(2)))],
        "it changed on the way"
    );
    assert!(desk.lag(Instant::now() + Duration::from_secs(1)) >= Duration::from_secs(1));
    desk.said(&desk.unsaid(10));
    assert_eq!(desk.lag(Instant::now()), Duration::ZERO);
    desk.say_all_again(Instant::now());
    assert_eq!(desk.unsaid(10).len(), 2);
    assert_eq!(desk.unsaid(1).len(), 1);
}

#[test]
fn rooms_that_open_and_close_while_nobody_listens_leave_nothing() {
    let desk = Desk::new(10, 10);
    publish(&desk, "said", Some(1));
    desk.said(&desk.unsaid(10));
    for room in 0..1_000 {
        publish(&desk, &format!("room {room}"), Some(1));
        publish(&desk, &format!("room {room}"), None);
    }
    publish(&desk, "said", None);
    assert_eq!(desk.state().ours.len(), 1, "what was said has to be taken back");
    let left = desk.unsaid(10);
    assert_eq!(left, [("said".into(), entry("fra", None))]);
    desk.said(&left);
    desk.forget_left(&left[0].0, &left[0].1);
    let state = desk.state();
    assert!(state.ours.is_empty() && state.unsaid.is_empty() && state.held.is_empty());
}

#[test]
fn a_room_that_is_opened_again_is_not_forgotten_with_its_former_end() {
    let desk = Desk::new(10, 10);
    publish(&desk, "a", Some(1));
    desk.said(&desk.unsaid(10));
    publish(&desk, "a", None);
    desk.said(&desk.unsaid(10));
    publish(&desk, "a", Some(3));
    desk.forget_left(&"a".into(), &entry("fra", None));
    assert!(desk.speaks_of(&"a".into()));
    assert_eq!(desk.unsaid(10), [("a".into(), entry("fra", Some(3)))]);
}

#[test]
fn no_more_rooms_are_asked_for_at_once_than_the_limit_says() {
    let desk = Desk::new(2, 10);
    let now = Instant::now();
    assert!(desk.begin_to_ask(now, &"a".into()) && desk.begin_to_ask(now, &"b".into()));
    assert!(!desk.begin_to_ask(now, &"c".into()));
    assert!(
        desk.begin_to_ask(now, &"a".into()),
        "somebody else waits for the same answer"
    );
    desk.order(now, DirectoryOrder::Watch("d".into()));
    assert_eq!(desk.watched(), 3, "the core's rooms do not count");
    desk.end_watches(now + KEPT);
    assert_eq!(desk.watched(), 1);
    assert!(desk.begin_to_ask(now + KEPT, &"c".into()));
    let mut turned = desk.turned();
    turned.sort();
    let expected = [("a", false), ("b", false), ("c", true), ("d", true)];
    assert_eq!(turned, expected.map(|(room, watched)| (room.into(), watched)));
}

#[test]
fn what_is_known_of_a_room_is_bounded_and_told_to_whom_it_concerns() {
    let desk = Desk::new(10, 2);
    let now = Instant::now();
    desk.begin_to_ask(now, &"a".into());
    assert!(
        desk.learn_all(&"a".into(), vec![entry("sin", Some(2))]).is_none(),
        "not the core's"
    );
    assert!(!desk.begin_to_ask(now, &"a".into()), "it is known");
    desk.order(now, DirectoryOrder::Watch("a".into()));
    for (name, hosts) in [("syd", 2), ("per", 2)] {
        let answer = desk.learn_one(&"a".into(), NodeId::of(name), Some(entry(name, Some(1))));
        assert_eq!(answer.unwrap().hosts.len(), hosts);
    }
    desk.learn_one(&"a".into(), NodeId::of("syd"), Some(entry("syd", None)));
    publish(&desk, "a", Some(7));
    let hosts = desk.hosts(&"a".into());
    let people = |node: &str| {
        hosts
            .iter()
            .find(|host| host.node == NodeId::of(node))
            .map(|host| host.participants)
    };
    assert_eq!(
        (people("sin"), people("syd"), people("fra")),
        (Some(2), None, Some(7))
    );
    assert!(desk.learn_all(&"stranger".into(), Vec::new()).is_none());
}

#[tokio::test]
async fn a_join_waits_for_the_answer_and_not_at_all_where_nobody_will_give_one() {
    let desk = std::sync::Arc::new(Desk::new(10, 10));
    desk.ask(&"a".into()).await;
    assert_eq!(desk.counters().unanswered.load(Ordering::Relaxed), 1);
    desk.counters().connected.store(true, Ordering::Relaxed);
    let asking = tokio::spawn({
        let desk = desk.clone();
        async move {
            desk.ask(&"b".into()).await;
            desk.hosts(&"b".into())
        }
    });
    desk.changed().await;
    while desk.watched() < 2 {
        tokio::task::yield_now().await;
    }
    desk.learn_all(&"b".into(), vec![entry("sin", Some(2))]);
    assert_eq!(asking.await.unwrap().len(), 1);
    assert_eq!(desk.counters().unanswered.load(Ordering::Relaxed), 1);
}
