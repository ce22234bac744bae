//! What is repaired, what is not, and how much of it anybody can ask for.

use super::world::{NODE_A, NODE_B, World, record};
use crate::rtc::testing::PeerSrtp;
use relay_proto::datagram::{Header, Kind, MAX_NACK_SEQS, encode_nack};
use relay_proto::id::Layer;
use relay_proto::room::MediaKind;
use relay_proto::unit::MediaSeq;
use std::time::Duration;

impl World {
    fn crossed_of(&self, kind: Kind) -> usize {
        let is = |bytes: &[u8]| Header::decode(bytes).is_ok_and(|(header, _)| header.kind == kind);
        self.crossed.iter().filter(|(_, bytes)| is(bytes)).count()
    }
}

#[test]
fn what_nobody_watched_is_not_asked_for_afterwards() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &camera, 0, true);
    world.wish(viewer, &camera, false, 2);
    for _ in 0..20 {
        world.send(publisher, &camera, 0, false);
    }
    world.wish(viewer, &camera, true, 2);
    world.crossed.clear();
    world.send(publisher, &camera, 0, true);
    world.send(publisher, &camera, 0, false);
    world.pass(Duration::from_secs(1));
    assert_eq!(
        (world.crossed_of(Kind::Nack), world.media_crossed(NODE_A)),
        (0, 2)
    );
}

#[test]
fn a_node_that_asks_without_end_is_given_what_a_tick_has_room_for() {
    let mut world = World::new();
    let (publisher, _viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    for round in 0..100 {
        world.send(publisher, &camera, 0, round == 0);
    }
    let alias = record(&camera, publisher, MediaKind::Video).alias;
    let header = Header::plain(Kind::Nack, NODE_A, alias, Layer(0));
    // The first number of a client here is 100, lifted by one cycle.
    let seqs: Vec<MediaSeq> = (0x1_0000 + 110..).map(MediaSeq).take(MAX_NACK_SEQS).collect();
    let ask = |world: &mut World| {
        let before = world.shards[0].counters().relay_out;
        for _ in 0..100 {
            let mut nack = encode_nack(&header, &seqs);
            world.shards[0].handle_relay(world.now, NODE_B, &mut nack);
        }
        let given = world.shards[0].counters().relay_out - before;
        world.settle();
        given
    };
    assert_eq!(ask(&mut world), 512);
    assert_eq!(ask(&mut world), 0);
    world.pass(Duration::from_millis(10));
    assert_eq!(ask(&mut world), 512);
}

#[test]
fn a_flood_of_sender_reports_is_passed_on_a_few_times_a_second() {
    let mut world = World::new();
    let (speaker, _viewer) = (world.join(0), world.join(1));
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    world.crossed.clear();
    for report in 0..1_000_u64 {
        let client = &mut world.clients[speaker].1;
        let from = client.address;
        let mut sealed = client.rtcp(PeerSrtp::sender_report(1_070, report << 32, report as u32));
        world.shards[0].handle_datagram(world.now, from, &mut sealed);
        world.pass(Duration::from_millis(u64::from(report % 2 == 0)));
    }
    let crossed = world.crossed_of(Kind::Clock);
    assert!((40..=110).contains(&crossed), "{crossed} clocks in five seconds");
}
