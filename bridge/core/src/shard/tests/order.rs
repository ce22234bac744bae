//! Commands in unkind orders: nobody may be left without what he wants, and no number may serve two packets.

use super::world::{NODE_A, NODE_B, World, record};
use crate::shard::io::ShardCommand;
use relay_proto::id::{NodeId, ParticipantSid, TrackSid};
use relay_proto::room::{Codec, MediaKind, TrackRecord};
use std::time::Duration;

impl World {
    /// Sequence numbers of what the shard of `publisher` sends to anybody for its next packet of `track`.
    fn numbers_of_next(&mut self, publisher: usize, track: &TrackSid) -> Vec<u16> {
        let (at, client) = &mut self.clients[publisher];
        let (at, from) = (*at, client.address);
        let mut packet = client.packet(&format!("cid-{track}"), 0, true, b"x").unwrap();
        self.shards[at].handle_datagram(self.now, from, &mut packet);
        let (mut numbers, mut buf) = (Vec::new(), Vec::new());
        while self.shards[at].poll_transmit(self.now, &mut buf).is_some() {
            numbers.push(u16::from_be_bytes([buf[2], buf[3]]));
        }
        numbers
    }

    fn upsert_remote(&mut self, at: usize, origin: NodeId, track: &TrackSid, publisher: usize, muted: bool) {
        let known = record(track, publisher, MediaKind::Audio);
        let track = TrackRecord {
            codec: Some(Codec::Opus),
            muted,
            ..known
        };
        let command = ShardCommand::UpsertRemoteTrack {
            room: "r".into(),
            origin,
            participant: ParticipantSid(format!("PA_{}", publisher + 1)),
            track: Box::new(track),
        };
        self.command(at, command);
    }

    fn mute(&mut self, publisher: usize, track: &TrackSid, muted: bool) {
        let (at, session) = (self.clients[publisher].0, self.clients[publisher].1.session);
        let command = ShardCommand::SetTrackMuted {
            session,
            track: track.clone(),
            muted,
        };
        self.command(at, command);
    }
}

#[test]
fn a_track_that_goes_and_comes_back_before_the_next_offer_is_received_again() {
    let mut world = World::new();
    let (speaker, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    let gone = ShardCommand::RemoveRemoteTrack {
        room: "r".into(),
        origin: NODE_A,
        track: record(&voice, speaker, MediaKind::Audio).alias,
    };
    world.command(1, gone);
    world.upsert_remote(1, NODE_A, &voice, speaker, false);
    world.pass(Duration::from_secs(1));
    let before = world.heard(viewer, &voice);
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), before + 1);
}

#[test]
fn a_room_that_closes_with_people_in_it_takes_them_along() {
    let mut world = World::new();
    let (speaker, _viewer) = (world.join(0), world.join(0));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    world.command(0, ShardCommand::CloseRoom { room: "r".into() });
    world.pass(Duration::from_secs(1));
    world.send(speaker, &voice, 0, true);
    let counters = world.shards[0].counters();
    assert_eq!((counters.sessions, counters.tracks, counters.rooms), (0, 0, 0));
}

#[test]
fn a_node_cannot_mute_a_track_of_another_by_claiming_its_id() {
    let mut world = World::new();
    let (speaker, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.upsert_remote(0, NODE_B, &voice, speaker, true);
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
}

#[test]
fn numbers_of_a_stream_go_on_when_an_offer_changes_its_parameters() {
    let mut world = World::new();
    let (speaker, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    assert_eq!(world.numbers_of_next(speaker, &voice), [1]);
    let client = &mut world.clients[viewer].1;
    let (session, sdp) = (
        client.session,
        client.offer().replace("a=extmap:4 ", "a=extmap:5 "),
    );
    let offer = ShardCommand::ApplyOffer {
        session,
        offer_id: 2,
        sdp,
    };
    world.command(0, offer);
    assert_eq!(
        world.numbers_of_next(speaker, &voice),
        [2],
        "the same SSRC under the same key must not count anew"
    );
}

#[test]
fn what_is_said_while_muted_is_heard_by_nobody_not_even_later() {
    let mut world = World::new();
    let (speaker, near, far) = (world.join(0), world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    world.mute(speaker, &voice, true);
    for _ in 0..5 {
        world.send(speaker, &voice, 0, true);
    }
    world.mute(speaker, &voice, false);
    world.send(speaker, &voice, 0, true);
    world.pass(Duration::from_secs(1));
    assert_eq!([near, far].map(|viewer| world.heard(viewer, &voice)), [2; 2]);
}
