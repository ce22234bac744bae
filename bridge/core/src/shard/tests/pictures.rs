//! What a viewer on a narrow path gets: a real shard, its real packets and feedback, an emulated line.

use super::world::{NODE_A, World};
use crate::shard::io::ShardFact;
use crate::shard::testing::SimClient;
use relay_proto::id::{LayerSet, TrackSid};
use relay_proto::room::MediaKind;
use std::collections::BTreeMap;
use std::time::Duration;

/// Packets of a frame of each stream, every 40 ms: 200, 400 and 1,400 kbit/s.
const PACKETS: [usize; 3] = [1, 2, 7];
const PACKET_BYTES: usize = 1_000;
const FRAME: Duration = Duration::from_millis(40);
/// The same in media time.
const FRAME_TICKS: u32 = 3_600;

/// Sends `seconds` of the pictures of `publishers`: a keyframe of every stream each second, as if all asked.
pub(super) fn film(world: &mut World, publishers: &[(usize, TrackSid)], seconds: u32) {
    film_frames(world, publishers, seconds * 25);
}

fn film_frames(world: &mut World, publishers: &[(usize, TrackSid)], frames: u32) {
    for (index, _) in publishers {
        world.clients[*index].1.picture_steps = PACKETS.map(|packets| FRAME_TICKS / packets as u32);
    }
    for frame in 0..frames {
        for (index, camera) in publishers {
            for (stream, packets) in PACKETS.into_iter().enumerate() {
                for packet in 0..packets {
                    world.send_sized(
                        *index,
                        camera,
                        stream,
                        frame % 25 == 0 && packet == 0,
                        PACKET_BYTES,
                    );
                }
            }
        }
        world.pass(FRAME);
    }
}

/// What the viewer of each track got in a second.
pub(super) fn kilobits(world: &mut World, publishers: &[(usize, TrackSid)], viewer: usize) -> Vec<u64> {
    let before = world.bytes_heard(viewer);
    film(world, publishers, 1);
    let after = world.bytes_heard(viewer);
    let of = |bytes: &BTreeMap<TrackSid, u64>, track| bytes.get(track).copied().unwrap_or(0);
    publishers
        .iter()
        .map(|(_, track)| (of(&after, track) - of(&before, track)) * 8 / 1_000)
        .collect()
}

pub(super) fn paused(world: &World) -> BTreeMap<TrackSid, bool> {
    let mut paused = BTreeMap::new();
    for (_, fact) in &world.facts {
        if let ShardFact::PicturesPaused { pictures, .. } = fact {
            for picture in pictures {
                paused.insert(picture.track.clone(), picture.paused);
            }
        }
    }
    paused
}

pub(super) fn meeting(publishers: usize) -> (World, Vec<(usize, TrackSid)>) {
    let mut world = World::new();
    let publishers = (0..publishers)
        .map(|_| {
            let index = world.join(0);
            (index, world.publish(index, MediaKind::Video, &["q", "h", "f"]))
        })
        .collect();
    (world, publishers)
}

#[test]
fn on_a_wide_path_everything_is_sharp_within_seconds() {
    let (mut world, publishers) = meeting(3);
    let viewer = world.join_behind(0, 20_000_000);
    film(&mut world, &publishers, 6);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
    assert!(paused(&world).is_empty());
}

#[test]
fn on_a_narrow_path_pictures_become_small_and_none_is_lost() {
    let (mut world, publishers) = meeting(3);
    let viewer = world.join_behind(0, 1_200_000);
    film(&mut world, &publishers, 8);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 150), "{got:?}");
    let sum: u64 = got.iter().sum();
    assert!((600..=1_200).contains(&sum), "{got:?}");
    assert!(world.queued_ms(viewer) < 200, "{} ms", world.queued_ms(viewer));
}

#[test]
fn where_not_even_small_pictures_fit_some_pause_and_say_so_until_there_is_room() {
    let (mut world, publishers) = meeting(4);
    let viewer = world.join_behind(0, 500_000);
    film(&mut world, &publishers, 10);
    let got = kilobits(&mut world, &publishers, viewer);
    let shown = got.iter().filter(|rate| **rate > 0).count();
    assert!((1..=2).contains(&shown), "{got:?}");
    assert_eq!(
        paused(&world).values().filter(|paused| **paused).count(),
        4 - shown
    );
    world.widen(viewer, 20_000_000);
    film(&mut world, &publishers, 15);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
    assert!(paused(&world).values().all(|paused| !paused));
}

#[test]
fn with_temporal_layers_fewer_frames_come_before_any_picture_pauses() {
    let (mut world, publishers) = meeting(4);
    for (_, client) in &mut world.clients {
        client.divide_in_time();
    }
    let viewer = world.join_behind(0, 500_000);
    film(&mut world, &publishers, 10);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| (40..200).contains(rate)), "{got:?}");
    assert!(paused(&world).values().all(|paused| !paused));
    world.widen(viewer, 20_000_000);
    film(&mut world, &publishers, 15);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
}

#[test]
fn hidden_pictures_cost_nothing_not_even_padding() {
    let (mut world, publishers) = meeting(3);
    let viewer = world.join_behind(0, 600_000);
    film(&mut world, &publishers, 6);
    let padding = |world: &World| world.shards[0].counters().padding_bytes_out;
    assert!(padding(&world) > 0, "more is wished for than there is room for");
    for (_, track) in &publishers {
        world.wish(viewer, track, false, 2);
    }
    film(&mut world, &publishers, 1);
    let before = padding(&world);
    film(&mut world, &publishers, 6);
    assert_eq!(padding(&world), before);
}

#[test]
fn pictures_whose_arrivals_nobody_can_report_are_not_held_back() {
    let (mut world, publishers) = meeting(3);
    let viewer = world.join_behind_as(0, 20_000_000, SimClient::without_retransmissions);
    film(&mut world, &publishers, 3);
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
}

#[test]
fn the_path_of_one_viewer_does_not_make_the_pictures_of_another_smaller() {
    let (mut world, publishers) = meeting(2);
    let (narrow, wide) = (world.join_behind(0, 400_000), world.join_behind(0, 20_000_000));
    film(&mut world, &publishers, 8);
    let before = world.bytes_heard(narrow).values().sum::<u64>();
    let got = kilobits(&mut world, &publishers, wide);
    let after = world.bytes_heard(narrow).values().sum::<u64>();
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
    assert!((after - before) * 8 < 450_000);
}

#[test]
fn a_publisher_is_told_which_layers_are_watched_on_any_node() {
    let (mut world, publishers) = meeting(1);
    let told = |world: &World| {
        world.facts.iter().rev().find_map(|(_, fact)| match fact {
            ShardFact::LayersWanted { layers, .. } => Some(*layers),
            _ => None,
        })
    };
    film(&mut world, &publishers, 7);
    assert_eq!(told(&world), Some(LayerSet::NONE), "nobody watches");
    let near = world.join(0);
    world.wish(near, &publishers[0].1, true, 0);
    film(&mut world, &publishers, 7);
    assert_eq!(told(&world), Some(LayerSet(0b001)));
    let far = world.join(1);
    film(&mut world, &publishers, 1);
    assert!(
        told(&world).is_some_and(|layers| layers.0 & 0b100 != 0),
        "the other node's viewer wants all"
    );
    assert!(world.media_crossed(NODE_A) > 0);
    world.wish(far, &publishers[0].1, false, 0);
    film(&mut world, &publishers, 7);
    assert_eq!(told(&world), Some(LayerSet(0b001)));
}

/// A link falls silent, and all that waited comes at once by another way: seen as single pictures that paused for two
/// seconds, since for a moment they seemed much dearer.
#[test]
fn what_was_held_back_on_a_link_and_comes_at_once_seems_no_dearer() {
    let (mut world, publishers) = meeting(4);
    let viewer = world.join_behind(1, 100_000_000);
    film(&mut world, &publishers, 10);
    let wanted = |world: &World| {
        let of_viewers = world.shards[1].members.iter();
        of_viewers.map(|(_, member)| member.wanted.0).sum::<u64>()
    };
    let (before, crossed) = (wanted(&world), world.crossed.len());
    world.lose_next = usize::MAX;
    film_frames(&mut world, &publishers, 15);
    world.lose_next = 0;
    for (from, mut datagram) in world.crossed.split_off(crossed) {
        if from == NODE_A {
            let now = world.now;
            world.shards[1].handle_relay(now, from, &mut datagram);
        }
    }
    world.settle();
    for _ in 0..25 {
        film_frames(&mut world, &publishers, 1);
        let after = wanted(&world);
        assert!(after < before * 115 / 100, "{before}, then {after}");
    }
    let got = kilobits(&mut world, &publishers, viewer);
    assert!(got.iter().all(|rate| *rate > 1_300), "{got:?}");
}
