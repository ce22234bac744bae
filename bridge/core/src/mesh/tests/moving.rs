//! A node drains: it takes nobody, all nodes know it, and its people change over to others without leaving.

use super::super::testing::FakeShards;
use super::{Net, end_of, join, leave, ms, net_of, publish, seen};
use crate::mesh::view::MeshView;
use relay_proto::id::{NodeId, ParticipantSid, SessionId};
use relay_proto::room::{Audience, LeaveCause};
use relay_proto::row::NodeState;
use relay_proto::session::{EndCause, RoomChange, SessionFact};
use std::collections::BTreeMap;

fn drain(net: &mut Net, node: usize) {
    net.with_core(node, |core| core.drain());
}

/// Who is shown as that person on a node.
fn shown(net: &Net, node: usize, identity: &str) -> (NodeId, ParticipantSid) {
    let people = net.clients(node).people(&"r".into()).expect("the room is open");
    let record = &people[&identity.into()];
    (record.home, record.sid.clone())
}

/// What the clients of a node have been told of people since it was last asked, but for changes of who is there.
fn told(net: &mut Net, node: usize) -> Vec<String> {
    let facts = net.take_facts(node).into_iter();
    facts
        .filter_map(|fact| match fact {
            SessionFact::RoomChanged { change, .. } => match change {
                RoomChange::ParticipantLeft { participant, .. } => Some(format!("-{}", participant.identity)),
                RoomChange::ParticipantReplaced { participant, .. } => {
                    Some(format!("={}", participant.identity))
                }
                _ => None,
            },
            _ => None,
        })
        .collect()
}

/// `ann` on fra, who publishes, `ben` on sin, `cyd` on syd; fra drains, and `ann` has come to syd as well.
fn on_the_way() -> (Net, SessionId, SessionId) {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let old = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, old, "TR_old");
    join(&mut net, 1, 1, "r", "ben");
    join(&mut net, 2, 1, "r", "cyd");
    net.run(ms(500));
    drain(&mut net, 0);
    net.run(ms(500));
    for node in 0..3 {
        net.take_facts(node);
    }
    let new = join(&mut net, 2, 2, "r", "ann");
    net.run(ms(500));
    (net, old, new)
}

#[test]
fn a_draining_node_takes_nobody_and_all_nodes_know_it() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    net.run(ms(500));
    drain(&mut net, 0);
    net.run(ms(200));
    let state = |view: MeshView| {
        let of_fra = |id: NodeId| view.nodes.iter().find(|node| node.id == id)?.facts.clone();
        of_fra(NodeId::of("fra")).map(|facts| facts.state)
    };
    for node in 0..3 {
        let view = net.core(node).expect("it runs").view();
        assert_eq!(state(view), Some(NodeState::Draining), "as node {node} sees it");
    }
    net.take_facts(0);
    let late = join(&mut net, 0, 2, "r", "ben");
    let facts = net.take_facts(0);
    assert_eq!(end_of(&facts, late), Some(EndCause::NotServing));
    assert_eq!(end_of(&facts, ann), None);
    assert_eq!(seen(&net, 0, "r"), ["ann"]);
}

#[test]
fn whoever_changes_over_is_shown_where_it_was_until_it_brings_what_it_had() {
    let (mut net, old, new) = on_the_way();
    let fra = net.id(0);
    for node in 0..3 {
        assert_eq!(shown(&net, node, "ann").0, fra, "as node {node} sees it");
        assert_eq!(told(&mut net, node), Vec::<String>::new());
    }
    let veiled: Vec<Audience> = net.shards(2).audiences(&"r".into()).into_values().collect();
    assert_eq!(
        veiled,
        [Audience::Only(Vec::new())],
        "nobody on syd may receive it yet"
    );

    publish(&mut net, 2, new, "TR_new");
    net.run(ms(500));
    let syd = net.id(2);
    for node in 0..3 {
        assert_eq!(shown(&net, node, "ann").0, syd, "as node {node} sees it");
        assert_eq!(told(&mut net, node), ["=ann"]);
    }
    assert_eq!(net.shards(2).audiences(&"r".into()), BTreeMap::new());
    let alias = net.shards(2).alias(&"TR_new".into()).expect("it is announced");
    assert_eq!(net.shards(1).remote_tracks(&"r".into()), [(syd, alias)].into());

    // What is left of it is its client's and signalling's to end, and nobody hears of it.
    leave(&mut net, 0, old);
    net.run(ms(500));
    for node in 1..3 {
        assert_eq!(told(&mut net, node), Vec::<String>::new());
        assert_eq!(seen(&net, node, "r"), ["ann", "ben", "cyd"]);
    }
}

#[test]
fn whoever_opens_the_room_at_its_new_node_is_out_of_sight_as_soon_as_that_hears_of_its_former_self() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let old = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, old, "TR_old");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    drain(&mut net, 0);
    net.run(ms(500));
    net.take_facts(2);
    let new = join(&mut net, 2, 1, "r", "ann");
    net.run(ms(500));
    assert_eq!(end_of(&net.take_facts(2), new), None, "it goes on");
    let (fra, syd) = (net.id(0), net.id(2));
    for node in 0..3 {
        assert_eq!(shown(&net, node, "ann").0, fra, "as node {node} sees it");
    }
    assert_eq!(net.shards(2).audiences(&"r".into()).len(), 1);
    publish(&mut net, 2, new, "TR_new");
    net.run(ms(500));
    for node in 0..3 {
        assert_eq!(shown(&net, node, "ann").0, syd, "as node {node} sees it");
    }
    assert_eq!(net.shards(2).audiences(&"r".into()), BTreeMap::new());
    leave(&mut net, 2, new);
    net.run(ms(500));
    assert_eq!(shown(&net, 1, "ann").0, fra);
}

#[test]
fn whoever_lets_go_first_is_shown_at_the_next_node_at_once() {
    let (mut net, old, _) = on_the_way();
    leave(&mut net, 0, old);
    net.run(ms(500));
    for node in 1..3 {
        assert_eq!(shown(&net, node, "ann").0, net.id(2), "as node {node} sees it");
        assert_eq!(told(&mut net, node), ["=ann"]);
    }
    assert_eq!(net.shards(2).audiences(&"r".into()), BTreeMap::new());
}

#[test]
fn whoever_does_not_arrive_is_still_there_and_a_node_that_stops_takes_its_people_along() {
    let (mut net, _, new) = on_the_way();
    leave(&mut net, 2, new);
    net.run(ms(500));
    assert_eq!(shown(&net, 1, "ann").0, net.id(0));
    assert_eq!(told(&mut net, 1), Vec::<String>::new());
    let now = net.now();
    net.with_core(0, |core| core.stop(now));
    net.run(ms(500));
    assert_eq!(seen(&net, 1, "r"), ["ben", "cyd"]);
    assert_eq!(told(&mut net, 1), ["-ann"]);
}

#[test]
fn a_node_that_dies_while_it_drains_leaves_whoever_has_come_elsewhere() {
    let (mut net, _, _) = on_the_way();
    net.kill(0, FakeShards::default());
    net.run(ms(3_000));
    for node in 1..3 {
        assert_eq!(shown(&net, node, "ann").0, net.id(2));
        assert_eq!(told(&mut net, node), ["=ann"]);
    }
}

#[test]
fn without_a_drain_whoever_comes_elsewhere_replaces_its_former_self_at_once() {
    let mut net = net_of(1, &["fra", "sin"]);
    let old = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, old, "TR_old");
    net.run(ms(500));
    net.take_facts(0);
    join(&mut net, 1, 1, "r", "ann");
    net.run(ms(500));
    let end = end_of(&net.take_facts(0), old);
    assert_eq!(end, Some(EndCause::Left(LeaveCause::DuplicateIdentity)));
    assert_eq!(shown(&net, 1, "ann").0, net.id(1));
}
