//! A link on the way of a remote track is too narrow, and the node before us says so.

use super::pictures::{film, kilobits, paused};
use super::world::{NODE_A, NODE_B, World, record};
use crate::shard::io::ShardFact;
use relay_proto::datagram::encode_allowance;
use relay_proto::id::{Layer, LayerSet, NodeId, TrackSid};
use relay_proto::room::MediaKind;

struct Far {
    world: World,
    publishers: Vec<(usize, TrackSid)>,
    viewer: usize,
}

/// Two publishers on one node, a viewer on another, to whom everything has come for a while.
fn far() -> Far {
    let mut world = World::new();
    let publishers: Vec<_> = (0..2)
        .map(|_| {
            let index = world.join(0);
            (index, world.publish(index, MediaKind::Video, &["q", "h", "f"]))
        })
        .collect();
    let viewer = world.join_behind(1, 20_000_000);
    film(&mut world, &publishers, 8);
    let mut far = Far {
        world,
        publishers,
        viewer,
    };
    assert!(far.got().iter().all(|rate| *rate > 1_300));
    far
}

impl Far {
    fn got(&mut self) -> Vec<u64> {
        kilobits(&mut self.world, &self.publishers, self.viewer)
    }

    /// `from` says what of the first publisher's picture crosses.
    fn tell(&mut self, from: NodeId, largest: Option<Layer>) {
        let (index, sid) = &self.publishers[0];
        let alias = record(sid, *index, MediaKind::Video).alias;
        let mut told = encode_allowance(NODE_A, alias, largest);
        let now = self.world.now;
        self.world.shards[1].handle_relay(now, from, &mut told);
        self.world.settle();
    }

    /// What was last asked for of it.
    fn demand(&self) -> Option<LayerSet> {
        let (index, sid) = &self.publishers[0];
        let alias = record(sid, *index, MediaKind::Video).alias;
        self.world.facts.iter().rev().find_map(|(_, fact)| match fact {
            ShardFact::DemandChanged { track, layers, .. } if *track == alias => Some(*layers),
            _ => None,
        })
    }
}

#[test]
fn viewers_take_what_crosses_at_once_and_ask_for_that() {
    let mut far = far();
    far.tell(NODE_A, Some(Layer(0)));
    assert_eq!(far.demand(), Some(LayerSet::only(Layer(0))));
    film(&mut far.world, &far.publishers, 1);
    far.tell(NODE_A, Some(Layer(0)));
    let got = far.got();
    assert!((150..300).contains(&got[0]) && got[1] > 1_300, "{got:?}");
    assert!(
        paused(&far.world).is_empty(),
        "a smaller picture is none that pauses"
    );
    far.tell(NODE_A, Some(Layer(2)));
    assert_eq!(far.demand(), Some(LayerSet::only(Layer(2))));
    film(&mut far.world, &far.publishers, 2);
    assert!(far.got()[0] > 1_300);
}

#[test]
fn what_is_not_said_again_lapses() {
    let mut far = far();
    far.tell(NODE_A, Some(Layer(0)));
    film(&mut far.world, &far.publishers, 4);
    assert_eq!(far.demand(), Some(LayerSet::only(Layer(2))));
    assert!(far.got()[0] > 1_300);
}

#[test]
fn a_picture_of_which_nothing_crosses_pauses_and_says_so() {
    let mut far = far();
    let track = far.publishers[0].1.clone();
    for _ in 0..3 {
        far.tell(NODE_A, None);
        film(&mut far.world, &far.publishers, 1);
    }
    assert_eq!(far.demand(), Some(LayerSet::NONE));
    assert_eq!(paused(&far.world).get(&track), Some(&true));
    far.tell(NODE_A, None);
    let got = far.got();
    assert!(got[0] == 0 && got[1] > 1_300, "{got:?}");
    far.tell(NODE_A, Some(Layer(2)));
    film(&mut far.world, &far.publishers, 3);
    assert_eq!(paused(&far.world).get(&track), Some(&false));
    assert!(far.got()[0] > 1_300);
}

#[test]
fn of_what_holds_for_two_links_on_the_way_the_least_comes() {
    let mut far = far();
    let (index, sid) = &far.publishers[0];
    let alias = record(sid, *index, MediaKind::Video).alias;
    let mut passed_on = encode_allowance(NODE_A, alias, Some(Layer(0)));
    passed_on[relay_proto::datagram::HOPS_OFFSET] -= 1;
    let now = far.world.now;
    far.world.shards[1].handle_relay(now, NODE_A, &mut passed_on);
    far.tell(NODE_A, Some(Layer(1)));
    assert_eq!(far.demand(), Some(LayerSet::only(Layer(0))));
    film(&mut far.world, &far.publishers, 1);
    far.tell(NODE_A, Some(Layer(1)));
    film(&mut far.world, &far.publishers, 2);
    assert_eq!(
        far.demand(),
        Some(LayerSet::only(Layer(1))),
        "the other has lapsed"
    );
}

#[test]
fn only_the_node_that_brings_a_track_is_believed() {
    let mut far = far();
    let before = far.demand();
    let refused = far.world.shards[1].counters().relay_refused;
    far.tell(NodeId(77), None);
    far.tell(NODE_B, Some(Layer(0)));
    assert_eq!(far.demand(), before);
    assert_eq!(far.world.shards[1].counters().relay_refused, refused + 2);
    let now = far.world.now;
    let (index, sid) = &far.publishers[0];
    let alias = record(sid, *index, MediaKind::Video).alias;
    far.world.shards[0].handle_relay(now, NODE_B, &mut encode_allowance(NODE_A, alias, None));
    far.world.settle();
    assert!(far.got()[0] > 1_300, "its own node knows better");
}
