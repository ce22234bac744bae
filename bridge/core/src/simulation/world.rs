//! The meeting: who joins, leaves, mutes, which node dies, which link is cut; and whether everybody receives exactly
//! whom they should.

use super::model::{Model, Person};
use super::shards::{RealShards, rtc_config};
use crate::mesh::config::MeshConfig;
use crate::mesh::testing::{Chance, MeshNet, Path, SentMedia, announce, join_command};
use crate::rtc::Certificate;
use crate::shard::testing::SimClient;
use relay_proto::id::{Layer, NodeId, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{LeaveCause, MediaKind};
use relay_proto::session::{SessionCommand, SessionFact};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::{Duration, Instant};

const ROOM: &str = "meeting";
/// How often signalling looks at its facts.
const SIGNALLING_STEP: Duration = Duration::from_millis(50);
/// Longest time until an event has had all its effects: a link is dialled again, a snapshot crosses, clients offer.
const SETTLE: Duration = Duration::from_secs(8);
/// How long is looked at who receives whom.
const WINDOW: Duration = Duration::from_secs(2);

/// One node with one shard, one with two, one with three, which spread the meeting as soon as they can.
fn config(name: &str) -> MeshConfig {
    let mut config = MeshConfig::named(name);
    let shards = match name {
        "fra" => 1,
        "sin" => 2,
        _ => 3,
    };
    config.shards = NonZeroU8::new(shards).expect("invariant: one, two or three");
    config.limits.max_room_sessions_per_shard = 2;
    config
}

pub(super) struct World {
    seed: u64,
    net: MeshNet<RealShards>,
    names: Vec<&'static str>,
    certificate: Certificate,
    model: Model,
    chance: Chance,
    serial: u32,
    log: Vec<String>,
}

impl World {
    /// A mesh that forwards all sounds.
    pub(super) fn new(seed: u64, names: &[&'static str]) -> Self {
        Self::forwarding(0, seed, names)
    }

    /// A mesh that forwards at most so many sounds at once.
    pub(super) fn forwarding(loudest: usize, seed: u64, names: &[&'static str]) -> Self {
        let began = crate::rtc::testing::instant();
        let certificate = crate::rtc::testing::certificate();
        let configs = names.iter().map(|name| config(name)).collect();
        let path = Path {
            jitter: Duration::from_millis(3),
            loss: 0.005,
            ..Path::of_ms(60)
        };
        let net = MeshNet::new(seed, began, configs, path, |config| {
            let node = NodeId::of(config.name.as_str());
            let shards = (node, config.shards.get());
            RealShards::new(
                shards,
                &rtc_config(certificate.clone()),
                loudest,
                seed as u8,
                began,
            )
        });
        let mut world = Self {
            seed,
            net,
            names: names.to_vec(),
            certificate,
            model: Model {
                loudest,
                nodes: names.len(),
                ..Model::default()
            },
            chance: Chance::new(seed),
            serial: 0,
            log: Vec::new(),
        };
        world.run(Duration::from_secs(3));
        world
    }

    pub(super) fn fill(&mut self, people: usize) {
        for at in 0..people {
            self.join(at % self.names.len());
            self.run(SIGNALLING_STEP);
        }
    }

    pub(super) fn join(&mut self, node: usize) {
        self.serial += 1;
        let entry = self.net.id(node);
        let session = SessionId {
            entry,
            serial: self.serial,
        };
        let identity = format!("p{}", self.serial);
        let (voice, camera) = (format!("TR_{identity}_voice"), format!("TR_{identity}_camera"));
        let address = SocketAddr::from((
            [10, node as u8, (self.serial >> 8) as u8, self.serial as u8],
            5_000,
        ));
        let mut client = SimClient::new(session, address);
        let cids = [format!("cid-{voice}"), format!("cid-{camera}")];
        client.publish_audio(&cids[0]);
        client.publish_video(&cids[1], &[]);
        let sdp = client.offer();
        let sends = cids.into_iter().zip([voice.clone(), camera.clone()]).collect();
        self.net.shards(node).attach(client, sends);
        self.net
            .command(node, join_command(entry, self.serial, ROOM, &identity));
        self.net
            .command(node, announce(session, &voice, MediaKind::Audio));
        self.net
            .command(node, announce(session, &camera, MediaKind::Video));
        self.net.command(
            node,
            SessionCommand::ApplyOffer {
                session,
                offer_id: 1,
                sdp,
            },
        );
        let (voice, camera) = (TrackSid(voice), TrackSid(camera));
        self.model.people.push(Person {
            node,
            session,
            voice,
            camera,
            muted: false,
            level: super::model::TALK,
        });
    }

    fn leave(&mut self, at: usize) {
        let person = self.model.people.remove(at);
        let cause = LeaveCause::ClientLeft;
        self.net.command(
            person.node,
            SessionCommand::CloseSession {
                session: person.session,
                cause,
            },
        );
        self.net.shards(person.node).detach(person.session);
    }

    fn mute(&mut self, at: usize) {
        let person = &mut self.model.people[at];
        person.muted = !person.muted;
        let (node, session, track, muted) = (person.node, person.session, person.voice.clone(), person.muted);
        self.net.command(
            node,
            SessionCommand::SetTrackMuted {
                session,
                track,
                muted,
            },
        );
    }

    /// Everybody talks as loudly as `level` says, by order of joining.
    pub(super) fn talk(&mut self, level: impl Fn(usize) -> u8) {
        for (at, person) in self.model.people.iter_mut().enumerate() {
            person.level = level(at);
            let attached = self.net.shards(person.node).clients.get_mut(&person.session);
            attached
                .expect("invariant: attached while in the model")
                .client
                .level = Some(person.level);
        }
    }

    pub(super) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    pub(super) fn kill(&mut self, node: usize) {
        let fresh = RealShards::new(
            (self.net.id(node), config(self.names[node]).shards.get()),
            &rtc_config(self.certificate.clone()),
            self.model.loudest,
            self.seed as u8 ^ self.serial as u8,
            self.net.now(),
        );
        self.net.kill(node, fresh);
        self.model.people.retain(|person| person.node != node);
        self.model.dead.insert(node);
    }

    pub(super) fn start(&mut self, node: usize) {
        self.net.start(node);
        self.model.dead.remove(&node);
        self.run(Duration::from_secs(3));
    }

    pub(super) fn cut(&mut self, a: usize, b: usize) {
        self.net.cut(a, b);
        self.model.cut.insert((a.min(b), a.max(b)));
    }

    pub(super) fn heal(&mut self, a: usize, b: usize) {
        self.net.heal(a, b);
        self.model.cut.remove(&(a.min(b), a.max(b)));
    }

    /// Something happens; answers what.
    pub(super) fn random_event(&mut self) -> String {
        let nodes = self.names.len() as u64;
        let (a, b) = (
            self.chance.below(nodes) as usize,
            self.chance.below(nodes) as usize,
        );
        let what = match self.chance.below(9) {
            0 if self.model.dead.is_empty() => {
                self.kill(a);
                format!("kill {}", self.names[a])
            }
            1 | 2 if self.model.dead.contains(&a) => {
                self.start(a);
                format!("start {}", self.names[a])
            }
            3 if a != b => {
                self.cut(a, b);
                format!("cut {} {}", self.names[a], self.names[b])
            }
            4 | 5 if self.model.cut.contains(&(a.min(b), a.max(b))) => {
                self.heal(a, b);
                format!("heal {} {}", self.names[a], self.names[b])
            }
            _ => self.come_and_go(),
        };
        self.log.push(what.clone());
        what
    }

    /// A link is cut or healed; answers which. No node is ever without any.
    pub(super) fn random_link(&mut self) -> String {
        let nodes = self.names.len() as u64;
        let pairs = |a: usize, b: usize| (a.min(b), a.max(b));
        let (a, b) = loop {
            let (a, b) = (
                self.chance.below(nodes) as usize,
                self.chance.below(nodes) as usize,
            );
            if a != b {
                break pairs(a, b);
            }
        };
        let what = if self.model.cut.contains(&(a, b)) {
            self.heal(a, b);
            format!("heal {} {}", self.names[a], self.names[b])
        } else {
            self.cut(a, b);
            format!("cut {} {}", self.names[a], self.names[b])
        };
        self.log.push(what.clone());
        what
    }

    fn come_and_go(&mut self) -> String {
        let (mut joined, mut left, mut muted) = (0, 0, 0);
        for _ in 0..5 {
            let people = self.model.people.len() as u64;
            match self.chance.below(3) {
                0 if people > 3 => {
                    let at = self.chance.below(people) as usize;
                    self.leave(at);
                    left += 1;
                }
                1 if people > 0 => {
                    let at = self.chance.below(people) as usize;
                    self.mute(at);
                    muted += 1;
                }
                _ => {
                    let node = self.chance.below(self.names.len() as u64) as usize;
                    if !self.model.dead.contains(&node) {
                        self.join(node);
                        joined += 1;
                    }
                }
            }
            self.run(SIGNALLING_STEP);
        }
        format!("{joined} joined, {left} left, {muted} (un)muted")
    }

    fn run(&mut self, time: Duration) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            self.net.run(SIGNALLING_STEP);
            for node in 0..self.names.len() {
                for fact in self.net.take_facts(node) {
                    self.react(node, fact);
                }
            }
        }
    }

    /// What a client does with what signalling tells it.
    fn react(&mut self, node: usize, fact: SessionFact) {
        let now = self.net.now();
        match fact {
            SessionFact::OfferAnswered {
                session,
                sdp,
                sections,
                ..
            } => {
                let shards = self.net.shards(node);
                if let Some(attached) = shards.clients.get_mut(&session) {
                    attached.client.answered(&sdp, &sections);
                    shards.connect(now, session);
                }
            }
            SessionFact::SectionsRequired {
                session,
                audios,
                videos,
            } => {
                let Some(attached) = self.net.shards(node).clients.get_mut(&session) else {
                    return;
                };
                attached.client.add_sections(audios, videos);
                let sdp = attached.client.offer();
                self.net.command(
                    node,
                    SessionCommand::ApplyOffer {
                        session,
                        offer_id: 2,
                        sdp,
                    },
                );
            }
            SessionFact::OfferRejected { reason, .. } => {
                panic!("seed {}: offer rejected: {reason}", self.seed)
            }
            SessionFact::SessionEnded { session, cause } => {
                let known = self.model.people.iter().any(|person| person.session == session);
                assert!(
                    !known,
                    "seed {}: session {session} ended by itself: {cause:?}",
                    self.seed
                );
            }
            _ => {}
        }
    }

    /// Lets an event have its effects, then compares who receives whom with who should.
    pub(super) fn check(&mut self, after: &str) {
        self.run(SETTLE);
        let start = self.net.now();
        self.net.take_media();
        self.run(WINDOW);
        self.assert_one_copy(after);
        let received = self.received_since(start);
        let (expected, possible) = (self.model.expected(), self.model.possible());
        let missing: Vec<_> = expected.difference(&received).take(8).collect();
        let ghosts: Vec<_> = received.difference(&possible).take(8).collect();
        self.model.assert_few_sounds(self.seed, after, &received);
        assert!(
            missing.is_empty() && ghosts.is_empty(),
            "seed {}: after \"{after}\" (before: {:?}): {} of {} received\n  not received: {missing:?}\n  received but should not be: \
             {ghosts:?}\n  replay: SIM_SEED={} cargo test -p bridge-core simulation",
            self.seed,
            self.log,
            received.len(),
            expected.len(),
            self.seed
        );
    }

    /// A layer of a track comes to a node from one neighbour, each packet once but for what was lost.
    fn assert_one_copy(&mut self, after: &str) {
        let mut senders: BTreeMap<(usize, NodeId, TrackAlias, Layer), BTreeSet<usize>> = BTreeMap::new();
        let mut packets: BTreeMap<_, usize> = BTreeMap::new();
        let media = self.net.take_media();
        for SentMedia { from, to, header } in &media {
            let stream = (*to, header.origin, header.track, header.layer);
            senders.entry(stream).or_default().insert(*from);
            *packets.entry((*from, stream, header.seq)).or_default() += 1;
        }
        for (stream, senders) in senders {
            let view = self.net.core(stream.0).map(|core| core.view().trees);
            let tree = view.into_iter().flatten().find(|tree| tree.origin == stream.1);
            assert_eq!(
                senders.len(),
                1,
                "seed {}: after \"{after}\" (before: {:?}): {stream:?} comes from {senders:?}; {tree:?}",
                self.seed,
                self.log,
            );
        }
        // Half a per cent is lost each way. Each shard asks for what it misses, and twice, so times would say little.
        let again = packets.values().filter(|times| **times > 1).count();
        eprintln!(
            "AGAIN {again} of {} max {:?}",
            media.len(),
            packets.values().max()
        );
        assert!(
            again * 20 <= media.len(),
            "seed {}: after \"{after}\": {again} of {} were sent again",
            self.seed,
            media.len()
        );
    }

    /// Lets time pass; answers for how long at most any viewer of one node had nothing of any picture of another one's people.
    pub(super) fn longest_gap(&mut self, publishers: usize, viewers: usize, time: Duration) -> Duration {
        let cameras = self
            .model
            .people
            .iter()
            .filter(|person| person.node == publishers);
        let cameras: Vec<TrackSid> = cameras.map(|person| person.camera.clone()).collect();
        let began = self.net.now();
        let (mut last, mut longest) = (BTreeMap::new(), Duration::ZERO);
        while self.net.now() < began + time {
            self.run(SIGNALLING_STEP);
            let now = self.net.now();
            for (session, attached) in &self.net.shards(viewers).clients {
                for camera in &cameras {
                    let heard = attached.client.heard.get(camera).and_then(|heard| heard.at);
                    let last = last.entry((*session, camera.clone())).or_insert(began);
                    *last = heard.map_or(*last, |at| at.max(*last));
                    longest = longest.max(now.saturating_duration_since(*last));
                }
            }
        }
        longest
    }

    /// How many datagrams of others a node has sent on, and how many sessions it has.
    pub(super) fn passed_on(&mut self, node: usize) -> (u64, u64) {
        self.net.shards(node).passed_on()
    }

    pub(super) fn join_on(&mut self, nodes: &[usize], people: usize) {
        for at in 0..people {
            self.join(nodes[at % nodes.len()]);
            self.run(SIGNALLING_STEP);
        }
    }

    fn received_since(&mut self, start: Instant) -> BTreeSet<(SessionId, TrackSid)> {
        let mut received = BTreeSet::new();
        for node in 0..self.names.len() {
            for (session, attached) in &self.net.shards(node).clients {
                for (track, heard) in &attached.client.heard {
                    if heard.at.is_some_and(|at| at > start) {
                        assert_eq!(heard.payload, track.0.as_bytes(), "the media of another track");
                        received.insert((*session, track.clone()));
                    }
                }
            }
        }
        received
    }

    /// What has happened, for comparing runs: per client and track, how many packets came.
    pub(super) fn trace(&mut self) -> Vec<String> {
        let mut lines = self.log.clone();
        for node in 0..self.names.len() {
            for (session, attached) in &self.net.shards(node).clients {
                for (track, heard) in &attached.client.heard {
                    lines.push(format!("{session} {track} {}", heard.packets));
                }
            }
        }
        lines
    }
}
