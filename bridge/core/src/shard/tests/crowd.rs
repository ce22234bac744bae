//! What a large room costs each of its people while others come, go and change over to other nodes: offers are counted.

use super::second::join_dual;
use super::world::{NODE_B, World};
use crate::shard::io::{ShardCommand, ShardFact};
use crate::shard::testing::bare_track;
use relay_proto::id::{Layer, LayerSet, ParticipantSid, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{Codec, MediaKind, TrackRecord};
use relay_proto::session::TrackWish;
use std::time::Duration;

/// People on the other node, with a sound and a picture each.
const CROWD: u16 = 30;
/// Time in which everything asked for has come.
const REST: Duration = Duration::from_secs(2);
/// Time between two of those who change over.
const STEP: Duration = Duration::from_millis(50);

/// Both tracks of one of the crowd, who has changed over so often.
fn tracks(who: u16, times: u16) -> [TrackRecord; 2] {
    let alias = 2 * (CROWD * times + who);
    let track = |alias: u16, kind, codec| TrackRecord {
        codec: Some(codec),
        ..bare_track(TrackSid(format!("TR_{alias}")), TrackAlias(alias.into()), kind)
    };
    [
        track(alias, MediaKind::Audio, Codec::Opus),
        track(alias + 1, MediaKind::Video, Codec::Vp8),
    ]
}

impl World {
    fn come(&mut self, who: u16, times: u16) {
        for track in tracks(who, times) {
            let command = ShardCommand::UpsertRemoteTrack {
                room: "r".into(),
                origin: NODE_B,
                participant: ParticipantSid(format!("PA_{who}_{times}")),
                track: Box::new(track),
            };
            self.command(0, command);
        }
    }

    fn go(&mut self, who: u16, times: u16) {
        for track in tracks(who, times) {
            let command = ShardCommand::RemoveRemoteTrack {
                room: "r".into(),
                origin: NODE_B,
                track: track.alias,
            };
            self.command(0, command);
        }
    }

    /// Offers that a client has made and got answered, or was made.
    fn offers(&self, of: SessionId) -> usize {
        let is_one = |fact: &ShardFact| match fact {
            ShardFact::OfferMade { session, .. } => *session == of,
            ShardFact::OfferAnswered { session, .. } => *session == of,
            _ => false,
        };
        self.facts.iter().filter(|(_, fact)| is_one(fact)).count()
    }

    /// The client does not show this picture.
    fn look_away(&mut self, session: SessionId, track: TrackSid) {
        let wish = TrackWish {
            enabled: false,
            max_layer: Layer(2),
        };
        let tracks = vec![track];
        let command = ShardCommand::SetTrackWish {
            session,
            tracks,
            wish,
        };
        self.command(0, command);
    }

    /// Whether a client has sections for this one of the crowd.
    fn receives(&self, index: usize, who: u16, times: u16) -> bool {
        let wanted = tracks(who, times).map(|track| track.sid);
        let held: Vec<_> = self.clients[index].1.receives().collect();
        wanted.iter().all(|track| held.contains(&track))
    }
}

/// Somebody with one connection or with two, who receives a crowd: the index of the client that does.
fn amid_a_crowd(dual: bool) -> (World, usize) {
    let mut world = World::new();
    let viewer = if dual {
        join_dual(&mut world, 0).1
    } else {
        world.join(0)
    };
    for who in 0..CROWD {
        world.come(who, 0);
    }
    world.pass(REST);
    assert!((0..CROWD).all(|who| world.receives(viewer, who, 0)));
    (world, viewer)
}

#[test]
fn a_crowd_that_changes_over_costs_few_offers_and_all_are_received_in_the_end() {
    for dual in [false, true] {
        let (mut world, viewer) = amid_a_crowd(dual);
        let session = world.clients[viewer].1.session;
        for who in 0..CROWD {
            let [_, picture] = tracks(who, 0);
            world.look_away(session, picture.sid);
        }
        let before = world.offers(session);
        for who in 0..CROWD {
            world.go(who, 0);
            world.come(who, 1);
            world.pass(STEP);
        }
        world.pass(REST);
        assert!((0..CROWD).all(|who| world.receives(viewer, who, 1)));
        // The first at once, and then one in 300 ms (60 sections) for what has come up meanwhile: 1.5 s.
        let offers = world.offers(session) - before;
        assert!(
            (5..=7).contains(&offers),
            "{offers} offers, two connections: {dual}"
        );
    }
}

#[test]
fn one_who_changes_over_in_a_large_room_is_received_by_one_offer_at_once() {
    for dual in [false, true] {
        let (mut world, viewer) = amid_a_crowd(dual);
        let session = world.clients[viewer].1.session;
        for times in 1..4 {
            let before = world.offers(session);
            world.go(0, times - 1);
            world.come(0, times);
            world.pass(Duration::from_millis(80));
            assert!(world.receives(viewer, 0, times));
            world.pass(REST);
            assert_eq!(world.offers(session), before + 1, "two connections: {dual}");
        }
    }
}

#[test]
fn whoever_is_looked_at_is_received_again_at_once_also_while_a_crowd_changes_over() {
    for dual in [false, true] {
        let (mut world, viewer) = amid_a_crowd(dual);
        let session = world.clients[viewer].1.session;
        for who in 1..CROWD {
            let [_, picture] = tracks(who, 0);
            world.look_away(session, picture.sid);
        }
        world.pass(REST);
        let before = world.offers(session);
        for who in [1, 0, 2] {
            world.go(who, 0);
            world.come(who, 1);
            world.pass(Duration::from_millis(80));
            // The first comes at once, too; the last waits, because nobody looks at it.
            assert_eq!(
                world.receives(viewer, who, 1),
                who != 2,
                "{who}, two connections: {dual}"
            );
        }
        assert_eq!(world.offers(session), before + 2);
        world.pass(REST);
        assert!(world.receives(viewer, 2, 1));
    }
}

#[test]
fn new_sound_of_another_node_is_asked_of_it_before_anybody_has_a_section_for_it_and_not_for_ever() {
    let (mut world, _) = amid_a_crowd(false);
    let [sound, picture] = tracks(CROWD, 0);
    let demands = |world: &World, of: TrackAlias| -> Vec<LayerSet> {
        let of_track = |fact: &ShardFact| match fact {
            ShardFact::DemandChanged { track, layers, .. } if *track == of => Some(*layers),
            _ => None,
        };
        world
            .facts
            .iter()
            .filter_map(|(_, fact)| of_track(fact))
            .collect()
    };
    world.come(CROWD, 0);
    let wanted = LayerSet::NONE.with(Layer(2));
    assert_eq!(demands(&world, sound.alias), [wanted]);
    assert_eq!(demands(&world, picture.alias), []);
    world.pass(REST * 2);
    assert_eq!(demands(&world, sound.alias), [wanted], "it is received by now");
    // Its viewer offers nothing any more.
    world.clients.clear();
    let [sound, _] = tracks(CROWD + 1, 0);
    world.come(CROWD + 1, 0);
    world.pass(REST * 2);
    assert_eq!(demands(&world, sound.alias), [wanted, LayerSet::NONE]);
}
