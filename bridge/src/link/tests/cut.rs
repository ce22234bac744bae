//! A link that is cut from 50 to 5 Mbit/s under a meeting of thirty: sound stays whole, pictures are shed by what they are
//! and come back.

use super::meeting::Meeting;
use super::path::{Path, World};
use crate::link::RateLimits;
use bridge_core::allocation::Class;
use relay_proto::id::Layer;
use std::time::Duration;

fn classes() -> Vec<Class> {
    let mut classes = vec![Class::Other; 30];
    classes[11] = Class::Screen;
    classes[4] = Class::Speaker;
    classes
}

fn meeting() -> Meeting {
    let world = World::new(Path::of(50_000_000), RateLimits::default());
    Meeting::new(world, &classes(), 8)
}

const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_link_that_is_cut_keeps_all_sound_and_sheds_pictures_within_a_second() {
    let mut meeting = meeting();
    meeting.run(secs(4));
    assert!(meeting.shown().iter().all(|layer| *layer == Some(Layer(2))));
    meeting.world.path.bps = 5_000_000;
    let fall = meeting.run(secs(1));
    println!(
        "fall: {:?} lost, p99 {} ms, queue {:?}, offered {:?}",
        fall.sounds_lost,
        fall.sound_quantile(0.99),
        meeting.world.queue(),
        meeting.offered()
    );
    assert!(meeting.world.queue() <= Duration::from_millis(30));
    let after = meeting.run(secs(2));
    println!(
        "after: sounds {} lost {} p99 {} ms, pictures {:?}, broken {}, shown {:?}",
        after.sounds,
        after.sounds_lost,
        after.sound_quantile(0.99),
        after.pictures,
        after.broken,
        meeting.shown()
    );
    let narrow = meeting.run(secs(20));
    println!(
        "narrow: lost {} p99 {} ms queue {:?} over {} broken {} changes {:?} shown {:?} totals {:?}",
        narrow.sounds_lost,
        narrow.sound_quantile(0.99),
        narrow.longest_queue,
        narrow.queue_over_30_ms,
        narrow.broken,
        narrow.changes,
        meeting.shown(),
        meeting.world.lanes.allocator().totals()
    );
    assert_eq!(fall.sounds_lost + after.sounds_lost + narrow.sounds_lost, 0);
    assert!(
        narrow.sound_quantile(0.99) <= 38 + 30,
        "{}",
        narrow.sound_quantile(0.99)
    );
    assert_eq!(narrow.broken, 0, "nothing is thrown out of the middle");
    assert!(
        meeting.shown().iter().all(Option::is_some),
        "everybody has a picture: {:?}",
        meeting.shown()
    );
    assert!(meeting.shown()[11] > Some(Layer(0)), "the screen comes first");
}

#[test]
fn what_was_shed_comes_back_without_flapping() {
    let mut meeting = meeting();
    meeting.run(secs(4));
    meeting.world.path.bps = 5_000_000;
    meeting.run(secs(10));
    meeting.world.path.bps = 50_000_000;
    let back = meeting.run(secs(25));
    println!(
        "back: changes {:?} broken {} shown {:?} padding {} capacity {}",
        back.changes,
        back.broken,
        meeting.shown(),
        meeting.world.padding_bytes,
        meeting.world.estimate.capacity_bps()
    );
    assert!(
        meeting.shown().iter().all(|layer| *layer == Some(Layer(2))),
        "{:?}",
        meeting.shown()
    );
    assert_eq!(back.sounds_lost, 0);
    let calm = meeting.run(secs(20));
    println!(
        "calm: changes {:?} padding {}",
        calm.changes, meeting.world.padding_bytes
    );
    assert_eq!(calm.changes.iter().sum::<u64>(), 0);
    assert!(
        back.changes.iter().all(|changes| *changes <= 3),
        "{:?}",
        back.changes
    );
}
