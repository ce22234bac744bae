//! A viewer whose way to the node is a TCP connection.

use super::world::World;
use crate::rtc::TcpId;
use crate::shard::testing::SimClient;
use relay_proto::id::TrackSid;
use relay_proto::room::MediaKind;

/// Where a packet of a track goes, and whether as a picture.
fn sent_for(world: &mut World, speaker: usize, track: &TrackSid) -> Vec<(Option<TcpId>, bool)> {
    let client = &mut world.clients[speaker].1;
    let mut packet = client
        .packet(&format!("cid-{track}"), 0, true, b"payload")
        .unwrap();
    let from = client.address;
    world.shards[0].handle_datagram(world.now, from, &mut packet);
    let mut buf = Vec::new();
    std::iter::from_fn(|| world.shards[0].poll_transmit(world.now, &mut buf))
        .filter(|transmit| transmit.to != from)
        .map(|transmit| (TcpId::of(transmit.to), transmit.is_picture))
        .collect()
}

#[test]
fn media_goes_to_the_connection_pictures_apart_and_to_no_connection_that_is_gone() {
    let mut world = World::new();
    let id = TcpId::new(7);
    let speaker = world.join(0);
    let viewer = world.enter(0, |session, address| SimClient::new(session, id.address(address)));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    let face = world.publish(speaker, MediaKind::Video, &[]);
    world.send(speaker, &voice, 0, true);
    world.send(speaker, &face, 0, true);
    assert_eq!((world.heard(viewer, &voice), world.heard(viewer, &face)), (1, 1));
    assert_eq!(sent_for(&mut world, speaker, &voice), [(Some(id), false)]);
    assert_eq!(sent_for(&mut world, speaker, &face), [(Some(id), true)]);

    let address = world.clients[viewer].1.address;
    world.shards[0].handle_disconnect(address);
    world.shards[0].handle_disconnect(address);
    assert_eq!(sent_for(&mut world, speaker, &voice), []);
    assert_eq!(sent_for(&mut world, speaker, &face), []);
}
