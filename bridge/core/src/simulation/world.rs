//! The meeting: who joins, leaves, mutes and shares, which node dies, which link is cut.

use super::gaps::{Gaps, STEP};
use super::model::{Model, Person};
use super::shards::{RealShards, rtc_config};
use crate::mesh::config::MeshConfig;
use crate::mesh::directory::DirectoryUse;
use crate::mesh::testing::{Chance, MeshNet, Path, announce, join_command};
use crate::rtc::Certificate;
use crate::shard::testing::SimClient;
use relay_proto::id::{NodeId, SessionId, TrackSid};
use relay_proto::room::{LeaveCause, MediaKind};
use relay_proto::session::{SessionCommand, SessionFact};
use std::net::SocketAddr;
use std::num::NonZeroU8;
use std::time::Duration;

pub(super) const ROOM: &str = "meeting";
/// How often signalling looks at its facts.
pub(super) const SIGNALLING_STEP: Duration = Duration::from_millis(50);
/// One node with one shard, one with two, one with three, which spread the meeting as soon as they can.
fn config(name: &str) -> MeshConfig {
    let mut config = MeshConfig::named(name);
    let shards = match name {
        "fra" => 1,
        "sin" => 2,
        _ => 3,
    };
    config.has_passing_shard = true;
    config.shards = NonZeroU8::new(shards).expect("invariant: one, two or three");
    config.limits.max_room_sessions_per_shard = 2;
    config
}

/// What lies between two nodes where nothing else is said.
pub(super) fn usual_path() -> Path {
    Path {
        jitter: Duration::from_millis(3),
        loss: 0.005,
        ..Path::of_ms(60)
    }
}

pub(super) struct World {
    pub(super) seed: u64,
    pub(super) net: MeshNet<RealShards>,
    pub(super) names: Vec<&'static str>,
    certificate: Certificate,
    pub(super) model: Model,
    pub(super) chance: Chance,
    serial: u32,
    pub(super) log: Vec<String>,
    /// How to run this seed again.
    pub(super) replay: &'static str,
    media_interval: Option<Duration>,
    /// Who has learnt what since gaps are measured; none while they are not.
    pub(super) gaps: Option<Gaps>,
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
        let mut configs: Vec<MeshConfig> = names.iter().map(|name| config(name)).collect();
        if seed % 4 == 3 {
            let outside = |config: &mut MeshConfig| config.directory = DirectoryUse::OUTSIDE;
            configs.iter_mut().for_each(outside);
        }
        let path = usual_path();
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
            replay: "simulation",
            media_interval: None,
            gaps: None,
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
        let identity = format!("p{}", self.serial + 1);
        self.join_as(node, identity);
    }

    /// Somebody joins, perhaps not for the first time.
    pub(super) fn join_as(&mut self, node: usize, identity: String) {
        self.serial += 1;
        let entry = self.net.id(node);
        let session = SessionId {
            entry,
            serial: self.serial,
        };
        let name = format!("TR_{}", self.serial);
        let (voice, camera) = (format!("{name}_voice"), format!("{name}_camera"));
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
            identity,
            screen: None,
        });
    }

    /// Somebody publishes one more picture.
    pub(super) fn share(&mut self, at: usize) {
        let person = &mut self.model.people[at];
        if person.screen.is_some() {
            return;
        }
        let (node, session) = (person.node, person.session);
        let screen = format!("TR_{}_screen", session.serial);
        let cid = format!("cid-{screen}");
        let Some(attached) = self.net.shards(node).clients.get_mut(&session) else {
            return;
        };
        if !attached.connected {
            return;
        }
        self.model.people[at].screen = Some(TrackSid(screen.clone()));
        attached.client.publish_video(&cid, &[]);
        attached.sends.push((cid, screen.clone()));
        let sdp = attached.client.offer();
        self.net
            .command(node, announce(session, &screen, MediaKind::Video));
        self.net.command(
            node,
            SessionCommand::ApplyOffer {
                session,
                offer_id: 3,
                sdp,
            },
        );
    }

    pub(super) fn leave(&mut self, at: usize) {
        let person = self.model.people.remove(at);
        self.close(&person);
    }

    /// Ends somebody's session.
    pub(super) fn close(&mut self, person: &Person) {
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

    pub(super) fn mute(&mut self, at: usize) {
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

    /// How often everybody sends a packet of each track; also on nodes that start later.
    pub(super) fn set_media_interval(&mut self, interval: Duration) {
        self.media_interval = Some(interval);
        for node in 0..self.names.len() {
            self.net.shards(node).media_interval = interval;
        }
    }

    pub(super) fn chance(&mut self) -> &mut Chance {
        &mut self.chance
    }

    pub(super) fn kill(&mut self, node: usize) {
        let mut fresh = RealShards::new(
            (self.net.id(node), config(self.names[node]).shards.get()),
            &rtc_config(self.certificate.clone()),
            self.model.loudest,
            self.seed as u8 ^ self.serial as u8,
            self.net.now(),
        );
        if let Some(interval) = self.media_interval {
            fresh.media_interval = interval;
        }
        self.net.kill(node, fresh);
        self.model.people.retain(|person| person.node != node);
        self.model.draining.remove(&node);
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

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.net.now() + time;
        while self.net.now() < end {
            let step = if self.gaps.is_some() {
                STEP
            } else {
                SIGNALLING_STEP
            };
            self.net.run(step);
            for node in 0..self.names.len() {
                for fact in self.net.take_facts(node) {
                    self.react(node, fact);
                }
            }
            self.measure_gaps();
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
                    "seed {}: session {session} ended by itself: {cause:?}; before: {:?}",
                    self.seed, self.log
                );
                self.net.shards(node).detach(session);
            }
            _ => {}
        }
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
