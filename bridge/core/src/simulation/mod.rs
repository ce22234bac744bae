//! Whole meetings in one thread of virtual time: real `MeshCore`s, real `ShardCore`s, real SDP, SRTP and relay seals;
//! only sockets, handshakes and wires are imitated.
//!
//! [`world`] runs the meeting, [`events`] happen to it, [`shards`] puts a `ShardCore` with its clients behind a simulated node,
//! [`model`] knows who should receive whom and is kept too simple to be wrong, [`checks`] compares. [`sequences`] are the many
//! seeds. A failing run prints its seed and how to replay it.

mod checks;
mod events;
mod gaps;
mod model;
mod sequences;
mod shards;
mod world;

use std::time::Duration;
use world::World;

/// Seeds of every run; `SIM_SEED=<n>` replays one, `SIM_SEEDS=<n>` runs more.
const SEEDS: u64 = 6;
/// Random events per seed.
const EVENTS: u64 = 8;

#[expect(
    clippy::disallowed_methods,
    reason = "which seeds to run is the developer's choice, not the core's"
)]
fn seeds() -> Vec<u64> {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse().ok());
    match number("SIM_SEED") {
        Some(seed) => vec![seed],
        None => (1..=number("SIM_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

#[test]
fn thirty_people_on_three_nodes_receive_exactly_whom_they_should_whatever_happens() {
    for seed in seeds() {
        let mut world = World::new(seed, &["fra", "sin", "syd"]);
        world.fill(30);
        world.check("everybody has joined");
        for _ in 0..EVENTS {
            let what = world.random_event();
            world.check(&what);
        }
    }
}

#[test]
fn a_killed_node_takes_only_its_own_people() {
    let mut world = World::new(77, &["fra", "sin", "syd"]);
    world.fill(12);
    world.check("everybody has joined");
    world.kill(1);
    world.check("sin was killed");
    world.start(1);
    world.join(1);
    world.check("sin is back, with somebody new");
}

#[test]
fn a_cut_link_is_a_detour_within_a_second_and_heals_without_a_gap() {
    for seed in seeds() {
        let mut world = World::new(seed, &["fra", "sin", "syd"]);
        world.fill(12);
        world.check("everybody has joined");
        for (a, b) in [(0, 2), (0, 1), (1, 2)] {
            world.cut(a, b);
            // Both directions at once would hide the second half of the gap behind the first.
            let gap = world.longest_gap(a, b, Duration::from_secs(4));
            assert!(
                gap <= Duration::from_secs(1),
                "seed {seed}: {gap:?} without pictures over a cut link"
            );
            world.check("a link is cut");
            world.heal(a, b);
            let gap = world.longest_gap(b, a, Duration::from_secs(6));
            // They are sent every 200 ms, and one may be lost.
            assert!(
                gap <= Duration::from_millis(700),
                "seed {seed}: {gap:?} without pictures over a healed link"
            );
            world.check("it is healed");
        }
    }
}

#[test]
fn a_node_that_hosts_nothing_passes_on_what_it_cannot_read() {
    let mut world = World::new(79, &["fra", "sin", "syd"]);
    world.join_on(&[0, 2], 8);
    world.check("nobody is on sin");
    assert_eq!(world.passed_on(1), (0, 0));
    world.cut(0, 2);
    world.check("fra and syd are cut");
    let (passed, sessions) = world.passed_on(1);
    assert!(passed > 0 && sessions == 0, "sin has passed on {passed}");
    world.join(1);
    world.check("somebody is on sin, too");
    world.heal(0, 2);
    world.check("fra and syd are healed");
}

#[test]
fn on_four_nodes_links_come_and_go_and_everybody_has_everything_once() {
    for seed in seeds() {
        let mut world = World::new(seed ^ 0x7ee5, &["fra", "sin", "syd", "nyc"]);
        world.join_on(&[0, 1, 2], 9);
        world.check("everybody has joined");
        for _ in 0..EVENTS {
            let what = world.random_link();
            world.check(&what);
        }
    }
}

#[test]
fn in_a_large_meeting_everybody_on_every_node_hears_whoever_of_the_loudest_speaks() {
    const PEOPLE: u64 = 20;
    const SILENT: u8 = 127;
    for seed in seeds() {
        let mut world = World::forwarding(8, seed, &["fra", "sin", "syd"]);
        world.fill(PEOPLE as usize);
        for phase in 0..4 {
            // From nobody to twelve of them, each 4 dB louder than the next.
            let talking = world.chance().below(13) as usize;
            let first = world.chance().below(PEOPLE) as usize;
            world.talk(|at| match (at + first) % PEOPLE as usize {
                rank if rank < talking => 4 + rank as u8 * 4,
                _ => SILENT,
            });
            world.check(&format!("phase {phase}: {talking} talk from {first} on"));
        }
        world.kill(1);
        world.check("sin was killed");
    }
}

#[test]
fn the_same_seed_gives_the_same_meeting() {
    let run = || {
        let mut world = World::new(5, &["fra", "sin"]);
        world.fill(6);
        world.random_event();
        world.check("any");
        world.trace()
    };
    assert_eq!(run(), run());
}
