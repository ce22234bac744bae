//! Audiences and connection qualities over several nodes: told to all, to those who come later and after a cut link.

use super::super::testing::announce;
use super::{Net, join, leave, ms, net_of};
use relay_proto::id::{ParticipantSid, SessionId};
use relay_proto::room::{Audience, AudienceGrant, ConnectionQuality, MediaKind};
use relay_proto::session::SessionCommand;
use std::collections::BTreeMap;

fn only(viewer: &str) -> Audience {
    Audience::Only(vec![AudienceGrant {
        viewer: viewer.into(),
        tracks: None,
    }])
}

fn allow(net: &mut Net, node: usize, session: SessionId, audience: Audience) {
    net.command(node, SessionCommand::SetAudience { session, audience });
}

fn sid(net: &Net, node: usize, identity: &str) -> ParticipantSid {
    let people = net.clients(node).people(&"r".into()).expect("the room is open");
    people[&identity.into()].sid.clone()
}

/// What the shard of a node and its clients have been told.
fn told(net: &mut Net, node: usize) -> BTreeMap<ParticipantSid, Audience> {
    let audiences = net.shards(node).audiences(&"r".into());
    for (participant, audience) in &audiences {
        let of_clients = net.clients(node).audience(&"r".into(), participant);
        assert_eq!(of_clients, Some(audience), "clients and shard are told the same");
    }
    audiences
}

#[test]
fn every_node_keeps_to_an_audience_until_it_is_lifted() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    join(&mut net, 2, 1, "r", "cyd");
    net.run(ms(500));
    net.command(0, announce(ann, "TR_1", MediaKind::Audio));
    let who = sid(&net, 0, "ann");
    for audience in [only("ben"), only("cyd"), Audience::Only(Vec::new())] {
        allow(&mut net, 0, ann, audience.clone());
        net.run(ms(300));
        for node in 0..3 {
            assert_eq!(
                told(&mut net, node),
                BTreeMap::from([(who.clone(), audience.clone())])
            );
        }
    }
    allow(&mut net, 0, ann, Audience::Everybody);
    net.run(ms(300));
    for node in 0..3 {
        assert_eq!(told(&mut net, node), BTreeMap::new());
    }
}

#[test]
fn a_node_that_comes_later_keeps_to_it_before_it_hears_of_the_tracks() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    net.command(0, announce(ann, "TR_1", MediaKind::Audio));
    allow(&mut net, 0, ann, only("ben"));
    net.run(ms(500));
    net.take_facts(1);
    join(&mut net, 1, 1, "r", "cyd");
    net.run(ms(500));
    let who = sid(&net, 1, "ann");
    assert_eq!(told(&mut net, 1), BTreeMap::from([(who, only("ben"))]));
    use relay_proto::session::{RoomChange, SessionFact};
    let facts = net.take_facts(1);
    let at = |wanted: fn(&RoomChange) -> bool| {
        facts
            .iter()
            .position(|fact| matches!(fact, SessionFact::RoomChanged { change, .. } if wanted(change)))
    };
    let bound = at(|change| matches!(change, RoomChange::AudienceChanged { .. }));
    let track = at(|change| matches!(change, RoomChange::ParticipantUpserted(who) if !who.tracks.is_empty()));
    assert!(bound.unwrap() < track.unwrap(), "{facts:?}");
}

#[test]
fn a_cut_link_loses_no_change_of_an_audience() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    let dan = join(&mut net, 0, 2, "r", "dan");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    allow(&mut net, 0, ann, only("ben"));
    net.run(ms(500));
    net.cut(0, 1);
    net.run(ms(3_000));
    allow(&mut net, 0, ann, Audience::Everybody);
    allow(&mut net, 0, dan, only("ann"));
    net.run(ms(500));
    net.heal(0, 1);
    net.run(ms(10_000));
    let who = sid(&net, 1, "dan");
    assert_eq!(told(&mut net, 1), BTreeMap::from([(who, only("ann"))]));
}

#[test]
fn whoever_leaves_takes_the_audience_along() {
    let mut net = net_of(1, &["fra", "sin"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 0, 2, "r", "dan");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    allow(&mut net, 0, ann, only("ben"));
    net.run(ms(500));
    leave(&mut net, 0, ann);
    net.run(ms(500));
    for node in 0..2 {
        assert_eq!(told(&mut net, node), BTreeMap::new());
    }
}

#[test]
fn an_audience_over_its_limit_changes_nothing() {
    let mut net = net_of(1, &["fra"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    net.run(ms(100));
    allow(&mut net, 0, ann, only("ben"));
    let many = (0..2_000).map(|serial| AudienceGrant {
        viewer: format!("{serial:0>200}").as_str().into(),
        tracks: None,
    });
    allow(&mut net, 0, ann, Audience::Only(many.collect()));
    net.run(ms(100));
    let who = sid(&net, 0, "ann");
    assert_eq!(told(&mut net, 0), BTreeMap::from([(who, only("ben"))]));
    assert_eq!(net.core(0).unwrap().view().counters.commands_refused, 1);
}

#[test]
fn how_good_a_connection_is_reaches_every_node_also_one_that_comes_later() {
    let mut net = net_of(1, &["fra", "sin", "syd"]);
    let ann = join(&mut net, 0, 1, "r", "ann");
    join(&mut net, 1, 1, "r", "ben");
    net.run(ms(500));
    net.shards(0).judge(ann, ConnectionQuality::Poor);
    net.run(ms(500));
    join(&mut net, 2, 1, "r", "cyd");
    net.run(ms(500));
    let who = sid(&net, 0, "ann");
    for node in 0..3 {
        let quality = net.clients(node).quality(&"r".into(), &who);
        assert_eq!(quality, Some(ConnectionQuality::Poor), "node {node}");
    }
    net.shards(0).judge(ann, ConnectionQuality::Excellent);
    net.run(ms(500));
    for node in 0..3 {
        let quality = net.clients(node).quality(&"r".into(), &who);
        assert_eq!(quality, Some(ConnectionQuality::Excellent), "node {node}");
    }
}
