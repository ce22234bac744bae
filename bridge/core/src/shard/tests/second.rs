//! Clients with two connections: they publish on the one, and are offered on the other what they receive.

use super::world::World;
use crate::rtc::testing::{AnswererSide, answer};
use crate::shard::io::{ShardCommand, ShardFact};
use crate::shard::testing::SimClient;
use relay_proto::id::{ParticipantSid, SessionId, TrackSid};
use relay_proto::room::{Audience, LeaveCause, MediaKind};
use relay_proto::session::EndCause;
use std::time::Duration;

/// Longer than changes are gathered before they become an offer.
const SOON: Duration = Duration::from_millis(200);

impl World {
    /// What a client with two connections does: the one it receives on is a client of its own here, entered last.
    pub(super) fn answer(
        &mut self,
        at: usize,
        session: SessionId,
        offer_id: u32,
        sdp: &str,
        sections: &[(String, TrackSid)],
    ) {
        let of_session = |(_, client): &&mut (usize, SimClient)| client.session == session;
        if let Some((_, client)) = self.clients.iter_mut().rev().find(of_session) {
            client.answered(sdp, sections);
        }
        let answer = ShardCommand::ApplyAnswer {
            session,
            offer_id,
            sdp: answer(sdp, &AnswererSide::default()),
        };
        self.shards[at].handle_command(self.now, answer);
    }
}

/// Joins with two connections: the client that publishes, and the one that receives.
pub(super) fn join_dual(world: &mut World, at: usize) -> (usize, usize) {
    let publisher = world.join(at);
    let session = world.clients[publisher].1.session;
    let address = format!("10.1.0.{}:5000", world.clients.len()).parse().unwrap();
    let viewer = world.clients.len();
    world.clients.push((at, SimClient::new(session, address)));
    world.command(at, ShardCommand::OfferToClient { session });
    assert!(world.shards[at].install_second_keys(world.now, &world.clients[viewer].1));
    world.settle();
    (publisher, viewer)
}

fn session_of(world: &World, index: usize) -> SessionId {
    world.clients[index].1.session
}

fn offers_to(world: &World, session: SessionId) -> Vec<&String> {
    let offers = world.facts.iter().filter_map(|(_, fact)| match fact {
        ShardFact::OfferMade { session: to, sdp, .. } if *to == session => Some(sdp),
        _ => None,
    });
    offers.collect()
}

#[test]
fn somebody_with_two_connections_hears_sees_and_is_heard_here_and_on_another_node() {
    let mut world = World::new();
    let (near, far) = (world.join(0), world.join(1));
    let here = world.publish(near, MediaKind::Audio, &[]);
    let (publisher, viewer) = join_dual(&mut world, 0);
    let there = world.publish(far, MediaKind::Video, &[]);
    let own = world.publish(publisher, MediaKind::Audio, &[]);
    world.pass(SOON);
    for _ in 0..20 {
        world.send(near, &here, 0, true);
        world.send(far, &there, 0, true);
        world.send(publisher, &own, 0, true);
    }
    assert_eq!(world.heard(viewer, &here), 20);
    assert_eq!(world.heard(viewer, &there), 20);
    assert_eq!([near, far].map(|other| world.heard(other, &own)), [20; 2]);
    assert_eq!(world.heard(viewer, &own), 0, "nobody hears himself");
    assert_eq!(
        world.heard(publisher, &here),
        0,
        "nothing comes on the first connection"
    );
}

#[test]
fn changes_close_together_become_one_offer_and_sections_serve_again() {
    let mut world = World::new();
    let speaker = world.join(0);
    let (publisher, viewer) = join_dual(&mut world, 0);
    let session = session_of(&world, publisher);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let picture = world.publish(speaker, MediaKind::Video, &[]);
    assert_eq!(world.clients[viewer].1.receives().count(), 2);
    for (wanted, left) in [(false, 0), (true, 2)] {
        let before = offers_to(&world, session).len();
        for track in [&voice, &picture] {
            let tracks = vec![track.clone()];
            world.command(
                0,
                ShardCommand::SetSubscription {
                    session,
                    tracks,
                    wanted,
                },
            );
        }
        world.pass(SOON);
        assert_eq!(
            offers_to(&world, session).len(),
            before + 1,
            "one offer for two tracks"
        );
        assert_eq!(world.clients[viewer].1.receives().count(), left);
    }
    let sections = offers_to(&world, session)
        .last()
        .unwrap()
        .matches("\r\nm=")
        .count();
    assert_eq!(sections, 3, "data, one sound and one picture");
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
}

#[test]
fn an_unusable_answer_ends_both_connections() {
    let mut world = World::new();
    let (publisher, _) = join_dual(&mut world, 0);
    let session = session_of(&world, publisher);
    assert_eq!(world.shards[0].counters().sessions, 2);
    let bad = ShardCommand::ApplyAnswer {
        session,
        offer_id: 0,
        sdp: "nothing".to_owned(),
    };
    world.command(0, bad.clone());
    assert_eq!(world.shards[0].counters().sessions, 2, "no offer waits for it");
    let speaker = world.join(0);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let unsubscribe = ShardCommand::SetSubscription {
        session,
        tracks: vec![voice],
        wanted: false,
    };
    world.command(0, unsubscribe);
    // The offer is made, and the bad answer overtakes the good one of `settle`.
    let made = offers_to(&world, session).len();
    world.now += SOON;
    world.shards[0].handle_timeout(world.now);
    world.shards[0].handle_command(world.now, bad);
    world.settle();
    assert_eq!(offers_to(&world, session).len(), made + 1);
    assert_eq!(world.shards[0].counters().sessions, 1, "the speaker is left");
    let ends: Vec<_> = world
        .facts
        .iter()
        .filter_map(|(_, fact)| match fact {
            ShardFact::SessionEnded { session: of, cause } if *of == session => Some(cause),
            _ => None,
        })
        .collect();
    assert_eq!(ends, [&EndCause::Left(LeaveCause::Removed)]);
    // The end of the one within a tick in which the other is still to come.
    world.pass(SOON);
}

#[test]
fn a_track_taken_back_between_offer_and_answer_is_not_sent() {
    let mut world = World::new();
    let speaker = world.join(0);
    let (publisher, viewer) = join_dual(&mut world, 0);
    let session = session_of(&world, publisher);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let subscribe = |wanted| ShardCommand::SetSubscription {
        session,
        tracks: vec![voice.clone()],
        wanted,
    };
    world.command(0, subscribe(false));
    world.pass(SOON);
    world.command(0, subscribe(true));
    let made = offers_to(&world, session).len();
    world.now += SOON;
    world.shards[0].handle_timeout(world.now);
    let nobody = ShardCommand::SetAudience {
        room: "r".into(),
        participant: ParticipantSid("PA_1".to_owned()),
        audience: Audience::Only(Vec::new()),
    };
    world.shards[0].handle_command(world.now, nobody);
    world.settle();
    assert!(
        offers_to(&world, session).len() > made + 1,
        "what was overtaken is offered anew"
    );
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 0);
}
