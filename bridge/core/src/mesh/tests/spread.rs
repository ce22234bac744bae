//! One room on several shards of one node.

use super::super::config::MeshConfig;
use super::super::testing::{FakeShards, MeshNet, Path};
use super::{Net, beginning, end_of, join, leave, ms, publish, seen, unlinked_net_of};
use crate::shard::io::{ShardFact, ShardId};
use relay_proto::id::{LayerSet, SessionId};
use relay_proto::room::{LeaveCause, SpeakerLevel};
use relay_proto::session::{EndCause, RoomChange, SessionFact};
use relay_proto::unit::AudioLevel;
use std::num::NonZeroU8;

fn config(name: &str, shards: u8, fill: usize) -> MeshConfig {
    let mut config = MeshConfig::named(name);
    config.shards = NonZeroU8::new(shards).unwrap();
    config.limits.max_room_sessions_per_shard = fill;
    config
}

fn node_with(shards: u8, fill: usize) -> Net {
    MeshNet::new(
        1,
        beginning(),
        vec![config("fra", shards, fill)],
        Path::of_ms(1),
        |_| FakeShards::default(),
    )
}

fn shards_of(net: &mut Net, room: &str) -> Vec<u8> {
    let shards = net.shards(0).shards_of(&room.into());
    shards.into_iter().map(|shard| shard.0).collect()
}

#[test]
fn a_room_takes_the_next_shard_when_one_has_its_fill_and_leaves_it_with_its_last_session() {
    let mut net = node_with(3, 2);
    let people: Vec<SessionId> = (1..=3)
        .map(|serial| join(&mut net, 0, serial, "r", &format!("p{serial}")))
        .collect();
    assert_eq!(shards_of(&mut net, "r"), [0, 1]);
    leave(&mut net, 0, people[2]);
    assert_eq!(shards_of(&mut net, "r"), [0]);
    for session in &people[..2] {
        leave(&mut net, 0, *session);
    }
    assert!(shards_of(&mut net, "r").is_empty());
}

#[test]
fn with_every_shard_full_a_room_is_shared_evenly() {
    let mut net = node_with(2, 1);
    for serial in 1..=6 {
        let session = join(&mut net, 0, serial, "r", &format!("p{serial}"));
        publish(&mut net, 0, session, &format!("TR_{serial}"));
    }
    let shards = net.shards(0);
    let on = |shard| shards.tracks_told(&"r".into(), ShardId(shard)).len();
    assert_eq!((on(0), on(1)), (3, 3), "each is told of what the other publishes");
}

#[test]
fn who_sends_weighs_more_than_who_watches() {
    let mut net = node_with(2, 4);
    for serial in 1..=4 {
        let session = join(&mut net, 0, serial, "r", &format!("p{serial}"));
        publish(&mut net, 0, session, &format!("TR_{serial}"));
    }
    for serial in 5..=16 {
        join(&mut net, 0, serial, "r", &format!("p{serial}"));
    }
    let shards = net.shards(0);
    let on = |shard| shards.sessions_on(ShardId(shard));
    assert_eq!((on(0), on(1)), (6, 10));
}

#[test]
fn siblings_want_each_others_tracks_until_they_leave() {
    let mut net = node_with(2, 1);
    let ann = join(&mut net, 0, 1, "r", "ann");
    publish(&mut net, 0, ann, "TR_1");
    let ben = join(&mut net, 0, 2, "r", "ben");
    let us = net.id(0);
    let alias = net.shards(0).alias(&"TR_1".into()).unwrap();
    let key = (ShardId(1).as_peer_of(us), alias);
    assert_eq!(net.shards(0).demands.get(&key), Some(&LayerSet(1)));
    leave(&mut net, 0, ben);
    assert!(net.shards(0).demands.is_empty());
    let cyd = join(&mut net, 0, 3, "r", "cyd");
    assert!(
        net.shards(0).demands.contains_key(&key),
        "and again with the next"
    );
    leave(&mut net, 0, ann);
    assert!(net.shards(0).tracks_told(&"r".into(), ShardId(1)).is_empty());
    leave(&mut net, 0, cyd);
}

#[test]
fn a_shard_that_takes_up_a_room_hears_of_other_nodes_and_they_of_what_both_want_together() {
    let configs = vec![config("fra", 2, 1), config("sin", 1, 40)];
    let mut net = unlinked_net_of(2, configs, Path::of_ms(5));
    net.run(ms(2_000));
    let far = join(&mut net, 1, 1, "r", "far");
    publish(&mut net, 1, far, "TR_far");
    join(&mut net, 0, 1, "r", "ann");
    net.run(ms(500));
    let ben = join(&mut net, 0, 2, "r", "ben");
    net.run(ms(500));
    assert_eq!(seen(&net, 0, "r"), ["ann", "ben", "far"]);
    let (origin, us) = (net.id(1), net.id(0));
    let alias = net.shards(1).alias(&"TR_far".into()).unwrap();
    let told = [(origin, alias)].into();
    assert_eq!(net.shards(0).tracks_told(&"r".into(), ShardId(1)), told);
    let now = net.now();
    let wants = |net: &mut Net| net.shards(1).demands.get(&(us, alias)).copied();
    let fact = |layers| ShardFact::DemandChanged {
        room: "r".into(),
        origin,
        track: alias,
        layers,
    };
    net.shard_fact(0, ShardId(1), fact(LayerSet(0b100)));
    net.run(ms(100));
    assert_eq!(wants(&mut net), Some(LayerSet(0b101)));
    assert_eq!(net.routed(0, origin, alias), [ShardId(0), ShardId(1)]);
    net.shard_fact(0, ShardId(0), fact(LayerSet::NONE));
    net.run(ms(100));
    assert_eq!(net.routed(0, origin, alias), [ShardId(1)], "only who wants it");
    net.shard_fact(0, ShardId(0), fact(LayerSet(1)));
    leave(&mut net, 0, ben);
    net.run(ms(100));
    assert_eq!(
        wants(&mut net),
        Some(LayerSet(1)),
        "what ben wanted has gone with his shard"
    );
    net.with_core(0, |core| core.handle_shard_lost(now, ShardId(0)));
    net.run(ms(500));
    assert_eq!(wants(&mut net), None);
}

#[test]
fn a_lost_shard_takes_only_its_own_people() {
    let mut net = node_with(2, 1);
    let ann = join(&mut net, 0, 1, "r", "ann");
    let ben = join(&mut net, 0, 2, "r", "ben");
    publish(&mut net, 0, ben, "TR_ben");
    let now = net.now();
    net.with_core(0, |core| core.handle_shard_lost(now, ShardId(1)));
    let facts = net.take_facts(0);
    let lost = Some(EndCause::Left(LeaveCause::ConnectionLost));
    assert_eq!((end_of(&facts, ann), end_of(&facts, ben)), (None, lost));
    assert!(net.shards(0).tracks_told(&"r".into(), ShardId(0)).is_empty());
    join(&mut net, 0, 3, "r", "cyd");
    assert_eq!(
        shards_of(&mut net, "r"),
        [0, 1],
        "the fake shard 1 was never told to close"
    );
}

#[test]
fn a_speaker_is_told_once_by_the_shard_that_knows_best() {
    let configs = vec![config("fra", 2, 1), config("sin", 1, 40)];
    let mut net = unlinked_net_of(3, configs, Path::of_ms(5));
    net.run(ms(2_000));
    for (node, serial, who) in [(1, 1, "far"), (0, 1, "ann"), (0, 2, "ben")] {
        join(&mut net, node, serial, "r", who);
    }
    net.run(ms(500));
    net.take_facts(0);
    let sid = |net: &Net, who: &str| {
        let people = net.clients(0).people(&"r".into()).unwrap();
        let mut all = people.values();
        all.find(|record| record.identity.as_str() == who)
            .unwrap()
            .sid
            .clone()
    };
    let all: Vec<SpeakerLevel> = ["ann", "ben", "far"]
        .map(|who| SpeakerLevel {
            participant: sid(&net, who),
            level: AudioLevel(20),
            active: true,
        })
        .into();
    let mut told = Vec::new();
    for shard in [1, 0] {
        let room = "r".into();
        let speakers = all.clone();
        net.shard_fact(0, ShardId(shard), ShardFact::SpeakersChanged { room, speakers });
        for fact in net.take_facts(0) {
            if let SessionFact::RoomChanged {
                change: RoomChange::SpeakersChanged(speakers),
                ..
            } = fact
            {
                told.push((shard, speakers.len()));
            }
        }
    }
    assert_eq!(
        told,
        [(1, 1), (0, 2)],
        "ben by his own shard; ann, and far of another node, by the first"
    );
}
