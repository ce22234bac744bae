//! Many seeds: a thousand meetings to which anything happens, and a hundred of which links and nodes break, with the gaps.
//!
//! `SIM_SEED=<n>` replays one seed, `SIM_SEEDS=<n>` runs more (`SIM_FROM=<n>` further ones), each by the name of its test.

use super::checks::Troubles;
use super::gaps::Distribution;
use super::world::World;
use std::time::Duration;

const NAMES: [&str; 4] = ["fra", "sin", "syd", "nyc"];

#[expect(
    clippy::disallowed_methods,
    reason = "which seeds to run is the developer's choice, not the core's"
)]
fn seeds(first: u64, count: u64) -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    if let Some(seed) = number("SIM_SEED") {
        return vec![seed];
    }
    let first = number("SIM_FROM").unwrap_or(0) + first;
    (first..first + number("SIM_SEEDS").unwrap_or(count)).collect()
}

/// A small meeting on three or four nodes to which a few things happen.
fn meeting(seed: u64, replay: &'static str) {
    let nodes = 3 + (seed % 2) as usize;
    let mut world = World::new(seed, &NAMES[..nodes]);
    world.replay = replay;
    let people = 2 + world.chance().below(4) as usize;
    world.fill(people);
    world.check("everybody has joined");
    for _ in 0..2 + seed % 3 {
        // Sometimes the next thing happens before the last one has had its effects.
        let mut what = world.anything();
        while world.chance().happens(0.35) {
            let pause = world.chance().below(1_500);
            world.run(Duration::from_millis(pause));
            what = world.anything();
        }
        world.check(&what);
    }
}

/// A node that had lost its parent asked none of its children, though they had other ways.
#[test]
fn seed_10865_a_node_whose_neighbours_are_all_behind_it_finds_a_way() {
    meeting(10_865, "seed_10865");
}

/// What viewers wanted while there was nobody to ask for it was forgotten, and not asked for once there was.
#[test]
fn seed_15106_what_is_wanted_while_no_way_leads_to_it_is_asked_for_later() {
    meeting(15_106, "seed_15106");
}

/// Four tests of 250 seeds, so that they share the cores.
macro_rules! meetings {
    ($($name:ident: $first:literal;)*) => {
        $(#[test]
        fn $name() {
            for seed in seeds($first, 250) {
                meeting(seed, stringify!($name));
            }
        })*
    };
}

meetings! {
    whatever_happens_everybody_has_what_they_should_seeds_1_to_250: 1;
    whatever_happens_everybody_has_what_they_should_seeds_251_to_500: 251;
    whatever_happens_everybody_has_what_they_should_seeds_501_to_750: 501;
    whatever_happens_everybody_has_what_they_should_seeds_751_to_1000: 751;
}

/// A hundred sequences of cuts, heals and kills. Ghosts and stuck viewers are counted; what a cut costs
/// those who are still joined by some way is measured.
#[test]
fn a_hundred_sequences_of_cuts_and_kills_leave_no_ghost_and_nobody_stuck() {
    let (mut ghosts, mut stuck, mut others) = (0, 0, 0);
    let (mut sounds, mut pictures) = (Distribution::default(), Distribution::default());
    let mut first = None;
    let seeds = seeds(1, 100);
    for seed in &seeds {
        let mut world = World::new(seed ^ 0xc07, &NAMES);
        world.set_media_interval(Duration::from_millis(20));
        world.fill(6);
        world.check("everybody has joined");
        for _ in 0..4 {
            let what = world.break_or_mend();
            let (voices, cameras) = world.gaps_in(Duration::from_secs(3));
            if what.starts_with("cut") {
                sounds.extend(voices);
                pictures.extend(cameras);
            }
            let troubles = world.settle();
            ghosts += troubles.ghosts.len();
            stuck += troubles.stuck.len();
            others += troubles.others.len();
            if troubles != Troubles::default() {
                first.get_or_insert_with(|| format!("seed {seed}, after {what:?}: {troubles:?}"));
            }
        }
    }
    eprintln!(
        "{} sequences: {ghosts} ghosts, {stuck} stuck viewers; after a cut without sound: {sounds}; without pictures: {pictures}",
        seeds.len()
    );
    assert_eq!((ghosts, stuck, others), (0, 0, 0), "{first:?}");
    assert!(sounds.len() > 500, "there were cuts");
    // Half a per cent of everything is lost: a lost demand comes 180 ms later.
    assert!(sounds.quantile(1.0) <= Duration::from_millis(500), "{sounds}");
    assert!(pictures.quantile(1.0) <= Duration::from_secs(1), "{pictures}");
}
