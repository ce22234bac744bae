//! What a link finds out about its path, with as much to send as there may be.

use super::path::{Path, World};
use crate::link::RateLimits;
use crate::link::lanes::Lane;
use bytes::Bytes;
use std::time::Duration;

const PACKET_BYTES: usize = 1_100;
const FRAME_MS: u64 = 33;

/// One track of `bps`, in frames at regular times, that takes what it gets.
struct Source {
    bps: u64,
    ms: u64,
    credit: f64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    sent: u64,
    arrived: u64,
    longest_queue: Duration,
    /// Milliseconds in which more than 30 ms stood in the queue.
    over_ms: u64,
}

impl Source {
    const fn of(bps: u64) -> Self {
        Self {
            bps,
            ms: 0,
            credit: 0.0,
        }
    }

    fn run(&mut self, world: &mut World, time: Duration) -> Seen {
        let mut seen = Seen::default();
        for _ in 0..time.as_millis() {
            self.ms += 1;
            // Eight cameras, each in its turn.
            if self.ms.is_multiple_of(FRAME_MS / 8) {
                self.credit += self.bps as f64 / 8_000.0 * (FRAME_MS / 8) as f64;
            }
            while self.credit >= PACKET_BYTES as f64 {
                self.credit -= PACKET_BYTES as f64;
                seen.sent += 1;
                world.push(Lane::Video, packet());
            }
            seen.arrived += world.step().len() as u64;
            let queue = world.queue();
            seen.longest_queue = seen.longest_queue.max(queue);
            seen.over_ms += u64::from(queue > Duration::from_millis(30));
        }
        seen
    }
}

/// No media: nothing chooses among it but its age.
fn packet() -> Bytes {
    Bytes::from(vec![0; PACKET_BYTES])
}

#[test]
fn random_loss_over_an_ocean_leaves_35_megabits_alone() {
    for loss in [0.001, 0.01] {
        let mut path = Path::of(40_000_000);
        path.loss = loss;
        let mut world = World::new(path, RateLimits::default());
        let mut source = Source::of(35_000_000);
        source.run(&mut world, Duration::from_secs(3));
        let seen = source.run(&mut world, Duration::from_secs(60));
        let lost = 1.0 - seen.arrived as f64 / seen.sent as f64;
        assert!(lost < loss * 1.15, "loss of {loss}: {lost}");
        assert!(seen.longest_queue <= Duration::from_millis(30), "{seen:?}");
    }
}

#[test]
fn a_link_cut_from_50_to_5_megabits_is_found_within_a_second_and_so_is_its_end() {
    for buffer_ms in [15, 60, 200, 1_000] {
        let mut path = Path::of(50_000_000);
        path.buffer = Duration::from_millis(buffer_ms);
        let mut world = World::new(path, RateLimits::default());
        let mut source = Source::of(45_000_000);
        source.run(&mut world, Duration::from_secs(5));
        assert!(world.estimate.capacity_bps() > 45_000_000);
        world.path.bps = 5_000_000;
        source.run(&mut world, Duration::from_millis(1_500 + buffer_ms));
        let found = world.estimate.capacity_bps();
        assert!(
            (3_500_000..5_200_000).contains(&found),
            "buffer of {buffer_ms} ms: {found}"
        );
        let narrow = source.run(&mut world, Duration::from_secs(20));
        let delivered = narrow.arrived * (PACKET_BYTES as u64 + 35) * 8 / 20;
        assert!(
            delivered > 3_900_000,
            "buffer of {buffer_ms} ms: {delivered} delivered"
        );
        assert!(
            narrow.over_ms < 500 && narrow.longest_queue < Duration::from_millis(60),
            "buffer of {buffer_ms} ms: {narrow:?}"
        );
        world.path.bps = 50_000_000;
        source.run(&mut world, Duration::from_secs(20));
        let found = world.estimate.capacity_bps();
        assert!(found > 40_000_000, "buffer of {buffer_ms} ms: {found}");
    }
}

#[test]
fn sound_passes_whatever_is_done_to_video() {
    let mut world = World::new(Path::of(50_000_000), RateLimits::default());
    let mut source = Source::of(45_000_000);
    source.run(&mut world, Duration::from_secs(2));
    world.path.bps = 5_000_000;
    for _ in 0..500 {
        source.run(&mut world, Duration::from_millis(20));
        for _ in 0..8 {
            world.push(Lane::Audio, Bytes::from(vec![0x10; 140]));
        }
        world.step();
        assert!(!matches!(world.lanes.next(), Some((Lane::Audio, _))));
    }
    assert_eq!(world.lanes.dropped().audio, 0);
}
