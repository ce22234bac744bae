use super::super::testing::{Chance, FakeShards, Path};
use super::super::view::LinkState;
use super::{Net, join, leave, ms, net_of, seen, unlinked_net};
use std::time::Duration;

fn state(net: &Net, node: usize, peer: usize) -> LinkState {
    let view = net.core(node).expect("the node runs").view();
    let peer = net.id(peer);
    view.links
        .iter()
        .find(|link| link.peer == peer)
        .map_or(LinkState::Connecting, |link| link.state)
}

fn is_alive(net: &Net, node: usize, peer: usize) -> bool {
    let view = net.core(node).expect("the node runs").view();
    let peer = net.id(peer);
    view.nodes.iter().any(|known| known.id == peer && known.alive)
}

#[test]
fn five_percent_loss_for_an_hour_never_takes_a_link_down() {
    let path = Path {
        jitter: ms(10),
        loss: 0.05,
        ..Path::of_ms(80)
    };
    let mut net = unlinked_net(11, &["fra", "sin"], path);
    net.run(ms(3_000));
    assert_eq!(state(&net, 0, 1), LinkState::Up);
    net.take_closed(0);
    net.take_closed(1);
    net.run(Duration::from_secs(3_600));
    assert_eq!((net.take_closed(0), net.take_closed(1)), (vec![], vec![]));
    let link = net.core(0).expect("the node runs").view().links.remove(0);
    assert!((ms(160)..ms(185)).contains(&link.rtt.unwrap()), "{:?}", link.rtt);
    assert!((30_000..200_000).contains(&link.loss.0), "{:?}", link.loss);
}

#[test]
fn nodes_whose_machine_stands_still_keep_their_links() {
    let mut net = net_of(8, &["fra", "sin", "syd"]);
    (0..3).for_each(|node| drop(net.take_closed(node)));
    for round in 1..=5 {
        for node in 0..3 {
            net.stall(node, ms(700 * round));
        }
        net.run(ms(700 * round + 2_000));
    }
    for node in 0..3 {
        assert_eq!(net.take_closed(node), vec![], "node {node}");
        assert_eq!(net.core(node).expect("the node runs").view().counters.stalls, 5);
    }
    net.cut(0, 1);
    net.run(ms(1_000));
    assert_eq!(
        state(&net, 0, 1),
        LinkState::Down,
        "a stall excuses nothing after it"
    );
}

#[test]
fn nodes_that_get_a_core_only_now_and_then_keep_their_links() {
    for seed in 0..10 {
        let mut net = unlinked_net(seed, &["fra", "sin", "syd"], Path::of_ms(125));
        net.run(ms(3_000));
        (0..3).for_each(|node| drop(net.take_closed(node)));
        let mut chance = Chance::new(seed);
        for turn in 0..300 {
            net.stall(turn % 3, ms(50) + chance.up_to(ms(350)));
            net.run(ms(140) + chance.up_to(ms(100)));
        }
        for node in 0..3 {
            assert_eq!(net.take_closed(node), vec![], "seed {seed}, node {node}");
        }
        net.kill(0, FakeShards::default());
        for _ in 0..20 {
            net.stall(1, ms(200));
            net.run(ms(250));
        }
        assert_eq!(
            state(&net, 1, 0),
            LinkState::Down,
            "seed {seed}: stalls must not hide a death"
        );
    }
}

#[test]
fn a_killed_node_is_dead_everywhere_within_two_seconds_over_330_ms_links() {
    for seed in 0..20 {
        let mut net = unlinked_net(seed, &["fra", "sin", "syd"], Path::of_ms(165));
        net.run(ms(3_000));
        for node in 0..3 {
            join(&mut net, node, 1, "r", ["ann", "ben", "eve"][node]);
        }
        net.run(ms(2_000 + seed * 13));
        assert_eq!(seen(&net, 1, "r"), ["ann", "ben", "eve"]);
        net.kill(0, FakeShards::default());
        net.run(ms(1_000));
        assert_eq!(state(&net, 1, 0), LinkState::Down, "seed {seed}");
        net.run(ms(1_000));
        for node in 1..3 {
            let view = net.core(node).expect("the node runs").view();
            let dead = view
                .nodes
                .iter()
                .find(|known| known.id == net.id(0))
                .expect("the dead node stays listed");
            assert_eq!(
                dead.facts.as_ref().map(|facts| facts.name.as_str()),
                Some("fra"),
                "for people"
            );
            assert!(!is_alive(&net, node, 0), "seed {seed}");
            assert_eq!(seen(&net, node, "r"), ["ben", "eve"], "seed {seed}");
            assert_eq!(net.core(node).unwrap().view().rooms[0].participants.len(), 2);
        }
    }
}

#[test]
fn a_cut_link_is_no_death_while_another_node_reaches_both_ends() {
    let mut net = net_of(3, &["fra", "sin", "syd"]);
    join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    net.cut(0, 1);
    net.run(ms(10_000));
    assert_eq!(
        (state(&net, 0, 1), state(&net, 1, 0)),
        (LinkState::Down, LinkState::Down)
    );
    assert!(is_alive(&net, 0, 1) && is_alive(&net, 1, 0));
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben"]);
    assert_eq!(seen(&net, 1, "r"), ["ann", "ben"]);
    let other = net.id(1);
    assert!(
        !net.shards(0).routes.contains_key(&other),
        "media has no way for now"
    );
    net.heal(0, 1);
    net.run(ms(3_000));
    assert_eq!(
        (state(&net, 0, 1), state(&net, 1, 0)),
        (LinkState::Up, LinkState::Up)
    );
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben"]);
    assert!(net.shards(0).routes.contains_key(&other));
}

#[test]
fn when_the_last_path_is_cut_both_sides_bury_each_other_and_meet_again() {
    let mut net = net_of(4, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(1_000));
    net.cut(0, 1);
    net.run(ms(2_000));
    assert_eq!(
        (seen(&net, 0, "r"), seen(&net, 1, "r")),
        (vec!["ann".to_owned()], vec!["ben".to_owned()])
    );
    join(&mut net, 0, 2, "r", "cyd");
    leave(&mut net, 0, ann);
    net.heal(0, 1);
    net.run(ms(3_000));
    assert_eq!(seen(&net, 0, "r"), ["ben", "cyd"]);
    assert_eq!(seen(&net, 1, "r"), ["ben", "cyd"]);
}

#[test]
fn rows_reach_a_node_over_a_detour_while_its_link_is_cut() {
    let mut net = net_of(5, &["fra", "sin", "syd"]);
    net.cut(0, 1);
    net.run(ms(2_000));
    join(&mut net, 1, 1, "new room", "ben");
    net.run(ms(500));
    let view = net.core(0).unwrap().view();
    let id = net.id(1);
    assert!(
        view.rooms.iter().any(|room| room.participants.contains_key(&id)),
        "{:?}",
        view.rooms
    );
}

#[test]
fn round_trips_of_all_pairs_are_known_everywhere() {
    let mut net = unlinked_net(6, &["fra", "sin", "syd"], Path::of_ms(80));
    net.set_path(1, 2, |path| path.delay = ms(46));
    net.set_path(0, 2, |path| path.delay = ms(125));
    net.run(ms(8_000));
    let (sin, syd) = (net.id(1), net.id(2));
    let view = net.core(0).unwrap().view();
    let rtt = view
        .rtts
        .iter()
        .find(|rtt| rtt.from == sin && rtt.to == syd)
        .unwrap();
    assert!(rtt.up && (90_000..95_000).contains(&rtt.rtt.0), "{rtt:?}");
    assert_eq!(view.rtts.len(), 6);
}

#[test]
fn a_stopping_node_is_gone_at_once() {
    let mut net = net_of(7, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    let now = net.now();
    net.with_core(0, |core| core.stop(now));
    let facts = net.take_facts(0);
    let stopped = relay_proto::session::EndCause::Left(relay_proto::room::LeaveCause::NodeStopped);
    assert_eq!(super::end_of(&facts, ann), Some(stopped));
    net.run(ms(100));
    assert_eq!(seen(&net, 1, "r"), ["ben"]);
    assert!(!is_alive(&net, 1, 0) && !is_alive(&net, 2, 0));
    net.run(ms(5_000));
    assert!(!is_alive(&net, 1, 0));
    let late = join(&mut net, 0, 9, "r", "zoe");
    let facts = net.take_facts(0);
    assert_eq!(
        super::end_of(&facts, late),
        Some(relay_proto::session::EndCause::NotServing)
    );
}
