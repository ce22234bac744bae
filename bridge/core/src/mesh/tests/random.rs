//! Random events against a model that is too stupid to be wrong: who should be listed where.
//!
//! Replay one seed: `MESH_SEED=<seed> cargo test -p bridge-core random_events`.

use super::super::config::MeshConfig;
use super::super::directory::DirectoryUse;
use super::super::testing::{Chance, FakeShards, Path, announce};
use super::{Net, join, leave, ms, unlinked_net_of};
use relay_proto::id::{NodeId, SessionId};
use relay_proto::room::MediaKind;
use relay_proto::session::SessionCommand;
use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

mod trees;

const NAMES: [&str; 4] = ["fra", "sin", "syd", "nyc"];
const ROOMS: [&str; 2] = ["north", "south"];
const SEEDS: u64 = 60;
const EVENTS: u64 = 40;

/// Every other node has three shards, and spreads every room over them as soon as it can.
fn config(name: &str) -> MeshConfig {
    let mut config = MeshConfig::named(name);
    let place = NAMES.iter().position(|other| *other == name);
    if place.is_some_and(|at| at % 2 == 1) {
        config.shards = NonZeroU8::new(3).unwrap();
        config.limits.max_room_sessions_per_shard = 1;
    }
    config
}

/// Somebody in a room.
#[derive(Clone)]
struct Person {
    node: usize,
    room: &'static str,
    identity: String,
    session: SessionId,
    track: Option<String>,
    muted: bool,
}

/// The truth: who is where, what runs, what is cut.
#[derive(Default)]
struct Model {
    people: Vec<Person>,
    dead: BTreeSet<usize>,
    cut: BTreeSet<(usize, usize)>,
    /// Whom one node knows of another's people in a room.
    known: BTreeMap<(usize, usize, &'static str), BTreeSet<String>>,
    serial: u32,
}

impl Model {
    fn homed(&self, node: usize, room: &str) -> impl Iterator<Item = &Person> {
        self.people
            .iter()
            .filter(move |person| person.node == node && person.room == room)
    }

    fn hosts(&self, node: usize, room: &str) -> bool {
        self.homed(node, room).next().is_some()
    }

    fn linked(&self, a: usize, b: usize) -> bool {
        let cut = self.cut.contains(&(a.min(b), a.max(b)));
        a != b && !cut && !self.dead.contains(&a) && !self.dead.contains(&b)
    }

    fn reachable(&self, from: usize, to: usize) -> bool {
        let mut reached = BTreeSet::from([from]);
        for _ in 0..NAMES.len() {
            let next: Vec<usize> = (0..NAMES.len())
                .filter(|node| reached.iter().any(|known| self.linked(*known, *node)))
                .collect();
            reached.extend(next);
        }
        reached.contains(&to)
    }

    /// Brings what nodes know of each other up to date: news wherever a way leads, nothing of who is out of reach.
    fn settle(&mut self) {
        for (a, b, room) in triples() {
            let both = self.hosts(a, room) && self.hosts(b, room);
            let key = (a, b, room);
            if both && self.reachable(a, b) {
                let people = self
                    .homed(b, room)
                    .map(|person| person.identity.clone())
                    .collect();
                self.known.insert(key, people);
            } else {
                self.known.remove(&key);
            }
        }
    }

    /// Whom the clients of a node should see in a room.
    fn listed(&self, node: usize, room: &'static str) -> BTreeSet<String> {
        if !self.hosts(node, room) {
            return BTreeSet::new();
        }
        let ours = self.homed(node, room).map(|person| person.identity.clone());
        let others = (0..NAMES.len()).filter_map(|other| self.known.get(&(node, other, room)));
        ours.chain(others.flat_map(|known| known.iter().cloned()))
            .collect()
    }
}

fn triples() -> impl Iterator<Item = (usize, usize, &'static str)> {
    let nodes = 0..NAMES.len();
    nodes
        .flat_map(|a| (0..NAMES.len()).map(move |b| (a, b)))
        .filter(|(a, b)| a != b)
        .flat_map(|(a, b)| ROOMS.map(|room| (a, b, room)))
}

struct Run {
    net: Net,
    /// Hosts find each other by a directory outside.
    outside: bool,
    model: Model,
    chance: Chance,
    log: Vec<String>,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x5eed);
        let path = Path {
            jitter: ms(5),
            loss: 0.01,
            ..Path::of_ms(20)
        };
        let mut configs = NAMES.map(config);
        let outside = seed % 3 == 2;
        if outside {
            for config in &mut configs {
                config.directory = DirectoryUse::OUTSIDE;
            }
        }
        let mut net = unlinked_net_of(seed, configs.into(), path);
        for a in 0..NAMES.len() {
            for b in a + 1..NAMES.len() {
                let delay = ms(5 + chance.below(160));
                net.set_path(a, b, |path| path.delay = delay);
            }
        }
        net.run(ms(4_000));
        Self {
            net,
            outside,
            model: Model::default(),
            chance,
            log: Vec::new(),
        }
    }

    /// One random event; answers how long its effects may take.
    fn event(&mut self) -> u64 {
        match self.chance.below(12) {
            0 => self.kill(),
            1 | 2 => self.restart(),
            3 => self.cut(),
            4 | 5 => self.heal(),
            _ => {
                for _ in 0..=self.chance.below(6) {
                    match self.chance.below(7) {
                        0 | 1 => self.leave(),
                        2 | 3 => self.mute(),
                        4 => self.join_again(),
                        _ => self.join(),
                    }
                    let pause = ms(self.chance.below(40));
                    self.net.run(pause);
                }
                2_000
            }
        }
    }

    fn running(&self) -> Vec<usize> {
        (0..NAMES.len())
            .filter(|node| !self.model.dead.contains(node))
            .collect()
    }

    fn join(&mut self) {
        let Some(&node) = self.chance.pick(&self.running()) else {
            return;
        };
        let room = ROOMS[self.chance.below(2) as usize];
        let identity = format!("p{}", self.model.serial + 1);
        self.join_as(node, room, identity);
    }

    /// Somebody joins a second time, on any node that can tell the first one's home of it.
    fn join_again(&mut self) {
        let Some(Person {
            node: home,
            room,
            identity,
            ..
        }) = self.chance.pick(&self.model.people).cloned()
        else {
            return;
        };
        let all_linked = self.model.cut.is_empty();
        let Some(&node) = self.chance.pick(&self.running()).filter(|_| all_linked) else {
            return;
        };
        // Whoever replaces must have heard of the first; within one node that is so at once.
        if node != home {
            self.net.run(ms(2_000));
        }
        self.join_as(node, room, identity.clone());
        if self.outside {
            // Whoever leaves again before its node has found the other one has replaced nobody.
            self.net.run(ms(200));
        }
        self.model
            .people
            .retain(|person| person.identity != identity || person.session.serial == self.model.serial);
    }

    fn join_as(&mut self, node: usize, room: &'static str, identity: String) {
        self.model.serial += 1;
        let serial = self.model.serial;
        self.log
            .push(format!("{identity} joins {room} on {}", NAMES[node]));
        let session = join(&mut self.net, node, serial, room, &identity);
        let track = self.chance.happens(0.5).then(|| format!("TR_{serial}"));
        if let Some(track) = &track {
            self.net.command(node, announce(session, track, MediaKind::Audio));
        }
        self.model.people.push(Person {
            node,
            room,
            identity,
            session,
            track,
            muted: false,
        });
    }

    fn leave(&mut self) {
        if self.model.people.is_empty() {
            return;
        }
        let at = self.chance.below(self.model.people.len() as u64) as usize;
        let person = self.model.people.remove(at);
        self.log.push(format!("{} leaves", person.identity));
        leave(&mut self.net, person.node, person.session);
    }

    fn mute(&mut self) {
        let mut publishers: Vec<&mut Person> = self
            .model
            .people
            .iter_mut()
            .filter(|person| person.track.is_some())
            .collect();
        if publishers.is_empty() {
            return;
        }
        let at = self.chance.below(publishers.len() as u64) as usize;
        let person = &mut publishers[at];
        person.muted = !person.muted;
        let track = person
            .track
            .clone()
            .expect("invariant: only publishers were taken");
        let (session, muted) = (person.session, person.muted);
        self.log.push(format!("{} muted: {muted}", person.identity));
        let command = SessionCommand::SetTrackMuted {
            session,
            track: track.into(),
            muted,
        };
        self.net.command(person.node, command);
    }

    fn kill(&mut self) -> u64 {
        let running = self.running();
        let Some(&node) = self.chance.pick(&running).filter(|_| running.len() > 2) else {
            return 0;
        };
        if self.chance.happens(0.3) {
            self.log.push(format!("{} stops", NAMES[node]));
            let now = self.net.now();
            self.net.with_core(node, |core| core.stop(now));
            self.net.run(ms(200));
        }
        self.log.push(format!("{} is killed", NAMES[node]));
        self.net.kill(node, FakeShards::default());
        self.model.dead.insert(node);
        self.model.people.retain(|person| person.node != node);
        2_000
    }

    fn restart(&mut self) -> u64 {
        let dead: Vec<usize> = self.model.dead.iter().copied().collect();
        let Some(&node) = self.chance.pick(&dead) else {
            return 0;
        };
        self.log.push(format!("{} starts again", NAMES[node]));
        self.net.start(node);
        self.model.dead.remove(&node);
        3_000
    }

    fn cut(&mut self) -> u64 {
        let (a, b) = (self.chance.below(4) as usize, self.chance.below(4) as usize);
        if a == b {
            return 0;
        }
        self.log.push(format!("{}-{} is cut", NAMES[a], NAMES[b]));
        self.net.cut(a, b);
        self.model.cut.insert((a.min(b), a.max(b)));
        2_000
    }

    fn heal(&mut self) -> u64 {
        let cuts: Vec<(usize, usize)> = self.model.cut.iter().copied().collect();
        let Some(&(a, b)) = self.chance.pick(&cuts) else {
            return 0;
        };
        self.log.push(format!("{}-{} is healed", NAMES[a], NAMES[b]));
        self.net.heal(a, b);
        self.model.cut.remove(&(a, b));
        3_000
    }

    fn check(&mut self) -> Result<(), String> {
        for node in self.running() {
            for room in ROOMS {
                self.check_list(node, room)?;
                self.check_tracks(node, room)?;
            }
            self.check_demand(node)?;
            self.check_passing(node)?;
        }
        Ok(())
    }

    fn check_list(&self, node: usize, room: &'static str) -> Result<(), String> {
        let people = self.net.clients(node).people(&room.into());
        let seen: BTreeSet<String> = people
            .map(|people| people.keys().map(ToString::to_string).collect())
            .unwrap_or_default();
        let expected = self.model.listed(node, room);
        if seen != expected {
            return Err(format!(
                "{} lists {seen:?} in {room}, not {expected:?}",
                NAMES[node]
            ));
        }
        for person in self.model.people.iter().filter(|person| person.room == room) {
            let fresh = self.model.reachable(node, person.node);
            let Some(record) = people.and_then(|people| people.get(&person.identity.as_str().into())) else {
                continue;
            };
            let tracks: Vec<(&str, bool)> = record
                .tracks
                .iter()
                .map(|track| (track.sid.as_str(), track.muted))
                .collect();
            let expected: Vec<(&str, bool)> = person
                .track
                .iter()
                .map(|track| (track.as_str(), person.muted))
                .collect();
            if fresh && tracks != expected {
                return Err(format!(
                    "{} knows {tracks:?} of {}, not {expected:?}",
                    NAMES[node], person.identity
                ));
            }
        }
        Ok(())
    }

    /// Every shard of a room knows the tracks of all listed people but those it publishes itself.
    fn check_tracks(&mut self, node: usize, room: &'static str) -> Result<(), String> {
        let us = self.net.id(node);
        let people = self.net.clients(node).people(&room.into());
        let listed: BTreeSet<_> = people
            .into_iter()
            .flat_map(|people| people.values())
            .flat_map(|record| record.tracks.iter().map(|track| (record.home, track.alias)))
            .collect();
        let shards = self.net.shards(node);
        for shard in shards.shards_of(&room.into()) {
            let own = |alias| shards.shard_publishing(alias) == Some(shard);
            let expected: BTreeSet<_> = listed
                .iter()
                .filter(|(home, alias)| *home != us || !own(*alias))
                .copied()
                .collect();
            let told = shards.tracks_told(&room.into(), shard);
            if told != expected {
                return Err(format!(
                    "shard {} of {} holds {told:?} in {room}, not {expected:?}",
                    shard.0, NAMES[node]
                ));
            }
        }
        let routed = self.net.routed_tracks(node);
        match listed.iter().find(|track| !routed.contains(track)) {
            Some(track) => Err(format!("{} does not route {track:?}", NAMES[node])),
            None => Ok(()),
        }
    }

    /// Of each track a tree leads to every node that hosts its room and can be reached, and to nobody else: each of them gets
    /// it from one neighbour, over a link that works. Siblings want those of rooms they have a part of.
    fn check_demand(&mut self, node: usize) -> Result<(), String> {
        let mut local = BTreeSet::new();
        let mut siblings_want = BTreeSet::new();
        for person in self.model.people.clone() {
            let Some(track) = person.track.filter(|_| person.node == node) else {
                continue;
            };
            let alias = self.net.shards(node).alias(&track.as_str().into());
            let alias = alias.ok_or_else(|| format!("{} has lost {track}", NAMES[node]))?;
            local.insert((self.net.id(node), alias));
            self.check_tree(node, alias, person.room)?;
            let us = self.net.id(node);
            let shards = self.net.shards(node);
            let publishing = shards.shard_publishing(alias);
            let siblings = shards.shards_of(&person.room.into());
            let siblings = siblings.into_iter().filter(|shard| Some(*shard) != publishing);
            siblings_want.extend(siblings.map(|shard| (shard.as_peer_of(us), alias)));
        }
        let nodes: BTreeSet<NodeId> = (0..NAMES.len()).map(|node| self.net.id(node)).collect();
        let wanted = self.net.shards(node).demands.keys().copied();
        let wanted: BTreeSet<_> = wanted.filter(|(peer, _)| !nodes.contains(peer)).collect();
        if wanted != siblings_want {
            return Err(format!(
                "of {} its shards want {wanted:?}, not {siblings_want:?}",
                NAMES[node]
            ));
        }
        let us = self.net.id(node);
        let routed: BTreeSet<_> = self
            .net
            .routed_tracks(node)
            .into_iter()
            .filter(|(origin, _)| *origin == us)
            .collect();
        if routed != local {
            return Err(format!(
                "{} routes {routed:?} of its own, not {local:?}",
                NAMES[node]
            ));
        }
        Ok(())
    }
}

fn run(seed: u64) {
    let mut run = Run::new(seed);
    for _ in 0..EVENTS {
        let patience = run.event();
        run.net.run(ms(patience));
        run.model.settle();
        if let Err(complaint) = run.check() {
            panic!(
                "{complaint}\nseed {seed}; replay: MESH_SEED={seed} cargo test -p bridge-core random_events\n{}",
                run.log.join("\n")
            );
        }
    }
}

#[test]
fn random_events_leave_everybody_listed_where_the_model_says() {
    match std::env::var_os("MESH_SEED").and_then(|seed| seed.to_str()?.parse().ok()) {
        Some(seed) => run(seed),
        None => (0..SEEDS).for_each(run),
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let trace = |seed: u64| {
        let mut run = Run::new(seed);
        let mut facts = Vec::new();
        for _ in 0..12 {
            let patience = run.event();
            run.net.run(ms(patience));
            facts.extend((0..NAMES.len()).map(|node| format!("{:?}", run.net.take_facts(node))));
        }
        facts
    };
    assert_eq!(trace(3), trace(3));
}
