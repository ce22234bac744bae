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
    assert!(meeting.world.queue() <= Duration::from_millis(30));
    let shed = meeting.offered();
    assert!(
        shed.iter().filter(|layer| **layer == Some(Layer(0))).count() >= 28,
        "{shed:?}"
    );
    let after = meeting.run(secs(2));
    let narrow = meeting.run(secs(20));
    assert_eq!(fall.sounds_lost + after.sounds_lost + narrow.sounds_lost, 0);
    assert!(fall.sound_quantile(0.99) < 500, "{}", fall.sound_quantile(0.99));
    assert!(narrow.sound_quantile(0.99) <= 38 + 30);
    assert!(narrow.queue_over_30_ms < 200, "{}", narrow.queue_over_30_ms);
    assert_eq!(narrow.broken, 0, "nothing is thrown out of the middle");
    assert_eq!(narrow.changes.iter().sum::<u64>(), 0, "{:?}", narrow.changes);
    let shown = meeting.shown();
    assert!(
        shown.iter().all(Option::is_some),
        "everybody has a picture: {shown:?}"
    );
    assert!(shown[11] > Some(Layer(0)), "the screen comes first: {shown:?}");
}

#[test]
fn what_was_shed_comes_back_without_flapping() {
    let mut meeting = meeting();
    meeting.run(secs(4));
    meeting.world.path.bps = 5_000_000;
    meeting.run(secs(10));
    meeting.world.path.bps = 50_000_000;
    let all = |meeting: &Meeting| meeting.shown().iter().all(|layer| *layer == Some(Layer(2)));
    let mut seconds = 0;
    let mut changes = [0; 30];
    while !all(&meeting) {
        seconds += 1;
        assert!(seconds < 30, "{:?}", meeting.shown());
        let back = meeting.run(secs(1));
        assert_eq!(back.sounds_lost, 0);
        changes
            .iter_mut()
            .zip(&back.changes)
            .for_each(|(all, more)| *all += more);
    }
    assert!(changes.iter().all(|changes| *changes <= 3), "{changes:?}");
    let calm = meeting.run(secs(20));
    assert_eq!(calm.changes.iter().sum::<u64>(), 0, "{:?}", calm.changes);
}

#[test]
fn where_the_operator_allows_no_more_nothing_is_padded() {
    let limits = RateLimits {
        cap_bps: 6_000_000,
        ..RateLimits::default()
    };
    let world = World::new(Path::of(50_000_000), limits);
    let mut meeting = Meeting::new(world, &classes(), 8);
    meeting.run(secs(3));
    let narrow = meeting.run(secs(10));
    assert!(
        meeting.shown().iter().all(Option::is_some),
        "{:?}",
        meeting.shown()
    );
    assert_eq!((narrow.sounds_lost, meeting.world.padding_bytes), (0, 0));
}
