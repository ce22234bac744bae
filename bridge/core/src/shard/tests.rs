//! Two shards of two nodes, joined by hand, with simulated clients.

use super::io::{ShardCommand, ShardFact, ShardId};
use super::limits::ShardLimits;
use super::testing::SimClient;
use super::*;
use crate::rtc::{RtcConfig, RtcLimits};
use relay_proto::id::{Epoch, Layer, LayerSet, ParticipantSid};
use relay_proto::room::{Codec, MediaKind, SealKey, TrackRecord, TrackSource};
use relay_proto::session::{AnnouncedTrack, TrackWish};
use std::time::Duration;

const NODE_A: NodeId = NodeId(1);
const NODE_B: NodeId = NodeId(2);

struct World {
    now: Instant,
    shards: Vec<ShardCore>,
    clients: Vec<(usize, SimClient)>,
    facts: Vec<(usize, ShardFact)>,
    /// Datagrams that crossed a link, by direction: what "once per link" is counted on.
    crossed: Vec<(NodeId, Vec<u8>)>,
    lose_next: usize,
}

fn shard(node: NodeId) -> ShardCore {
    let rtc = RtcConfig {
        certificate: crate::rtc::testing::certificate(),
        candidates: vec!["127.0.0.1:7882".parse().unwrap()],
        shard: ShardId(0),
        limits: RtcLimits::default(),
    };
    let config = ShardConfig {
        node,
        rtc: Arc::new(rtc),
        limits: ShardLimits::default(),
    };
    ShardCore::new(config, [node.0 as u8; 32])
}

impl World {
    fn new() -> Self {
        let mut world = Self {
            now: Instant::now(),
            shards: vec![shard(NODE_A), shard(NODE_B)],
            clients: Vec::new(),
            facts: Vec::new(),
            crossed: Vec::new(),
            lose_next: 0,
        };
        for (at, other) in [(0, NODE_B), (1, NODE_A)] {
            let own = SealKey([at as u8; 32]);
            let others = SealKey([1 - at as u8; 32]);
            world.command(
                at,
                ShardCommand::OpenRoom {
                    room: "r".into(),
                    epoch: Epoch(5),
                    seal_key: own,
                },
            );
            let route = ShardCommand::SetRoute {
                node: other,
                via: Some(other),
                max_datagram_bytes: 1_200,
            };
            world.command(at, route);
            let join = ShardCommand::JoinOrigin {
                room: "r".into(),
                origin: other,
                epoch: Epoch(5),
                seal_key: others,
            };
            world.command(at, join);
        }
        world
    }

    fn command(&mut self, at: usize, command: ShardCommand) {
        self.shards[at].handle_command(self.now, command);
        self.settle();
    }

    fn join(&mut self, at: usize) -> usize {
        let serial = self.clients.len() as u32 + 1;
        let session = SessionId {
            entry: self.shards[at].config.node,
            serial,
        };
        let address = format!("10.0.0.{serial}:5000").parse().unwrap();
        self.command(
            at,
            ShardCommand::OpenSession {
                session,
                room: "r".into(),
                participant: ParticipantSid(format!("PA_{serial}")),
                can_publish: true,
                can_subscribe: true,
                auto_subscribe: true,
            },
        );
        let client = SimClient::new(session, address);
        let index = self.clients.len();
        self.clients.push((at, client));
        self.offer(index);
        assert!(self.shards[at].install_keys(self.now, &self.clients[index].1));
        self.settle();
        index
    }

    fn offer(&mut self, index: usize) {
        let (at, client) = &mut self.clients[index];
        let (at, session, sdp) = (*at, client.session, client.offer());
        self.command(
            at,
            ShardCommand::ApplyOffer {
                session,
                offer_id: 1,
                sdp,
            },
        );
    }

    fn publish(&mut self, index: usize, kind: MediaKind, rids: &[&str]) -> TrackSid {
        let (at, client) = &mut self.clients[index];
        let at = *at;
        let sid = TrackSid(format!("TR_{index}_{kind:?}"));
        let cid = format!("cid-{sid}");
        match kind {
            MediaKind::Audio => client.publish_audio(&cid),
            MediaKind::Video => client.publish_video(&cid, rids),
        }
        let record = record(&sid, index, kind);
        let session = client.session;
        let announced = AnnouncedTrack {
            cid,
            record: record.clone(),
        };
        self.command(
            at,
            ShardCommand::AnnounceTrack {
                session,
                track: Box::new(announced),
            },
        );
        self.offer(index);
        let codec = if kind == MediaKind::Audio {
            Codec::Opus
        } else {
            Codec::Vp8
        };
        self.command(
            1 - at,
            ShardCommand::UpsertRemoteTrack {
                room: "r".into(),
                origin: self.shards[at].config.node,
                participant: ParticipantSid(format!("PA_{}", index + 1)),
                track: Box::new(TrackRecord {
                    codec: Some(codec),
                    ..record
                }),
            },
        );
        self.pass(Duration::from_millis(500));
        sid
    }

    /// Sends a packet of the client's track; its payload names it.
    fn send(&mut self, index: usize, track: &TrackSid, stream: usize, keyframe: bool) {
        let (at, client) = &mut self.clients[index];
        let payload = format!("{track} layer {stream}");
        let mut packet = client
            .packet(&format!("cid-{track}"), stream, keyframe, payload.as_bytes())
            .unwrap();
        let (at, from) = (*at, client.address);
        self.shards[at].handle_datagram(self.now, from, &mut packet);
        self.settle();
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(10);
            for shard in &mut self.shards {
                shard.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    /// Carries everything to where it goes until nothing moves.
    fn settle(&mut self) {
        loop {
            let mut moved = false;
            for at in 0..self.shards.len() {
                moved |= self.drain(at);
            }
            if !moved {
                return;
            }
        }
    }

    fn drain(&mut self, at: usize) -> bool {
        let mut moved = false;
        let mut buf = Vec::new();
        while let Some(transmit) = self.shards[at].poll_transmit(self.now, &mut buf) {
            moved = true;
            let segment = transmit.segment_bytes.unwrap_or(buf.len());
            if let Some((_, client)) = self
                .clients
                .iter_mut()
                .find(|(_, client)| client.address == transmit.to)
            {
                for datagram in buf.chunks_mut(segment) {
                    client.receive(self.now, datagram);
                }
            }
        }
        while let Some(transmit) = self.shards[at].poll_relay() {
            moved = true;
            let from = self.shards[at].config.node;
            self.crossed.push((from, transmit.bytes.to_vec()));
            if self.lose_next > 0 {
                self.lose_next -= 1;
                continue;
            }
            let to = usize::from(transmit.via == NODE_B);
            self.shards[to].handle_relay(self.now, from, &mut transmit.bytes.to_vec());
        }
        while let Some(fact) = self.shards[at].poll_fact() {
            moved = true;
            self.react(at, fact);
        }
        moved
    }

    /// What node and signalling would do.
    fn react(&mut self, at: usize, fact: ShardFact) {
        match &fact {
            ShardFact::OfferAnswered {
                session,
                sdp,
                sections,
                ..
            } => {
                if let Some((_, client)) = self
                    .clients
                    .iter_mut()
                    .find(|(_, client)| client.session == *session)
                {
                    client.answered(sdp, sections);
                }
            }
            ShardFact::SectionsRequired {
                session,
                audios,
                videos,
            } => {
                if let Some(index) = self
                    .clients
                    .iter()
                    .position(|(_, client)| client.session == *session)
                {
                    self.clients[index].1.add_sections(*audios, *videos);
                    self.offer(index);
                }
            }
            ShardFact::DemandChanged { track, layers, .. } => {
                let peer = self.shards[at].config.node;
                let command = ShardCommand::SetPeerDemand {
                    peer,
                    track: *track,
                    layers: *layers,
                };
                self.shards[1 - at].handle_command(self.now, command);
            }
            _ => {}
        }
        self.facts.push((at, fact));
    }

    fn heard(&self, index: usize, track: &TrackSid) -> u64 {
        self.clients[index]
            .1
            .heard
            .get(track)
            .map_or(0, |heard| heard.packets)
    }

    fn media_crossed(&self, from: NodeId) -> usize {
        use relay_proto::datagram::{Header, Kind};
        let is_media =
            |bytes: &[u8]| Header::decode(bytes).is_ok_and(|(header, _)| header.kind == Kind::Media);
        self.crossed
            .iter()
            .filter(|(node, bytes)| *node == from && is_media(bytes))
            .count()
    }
}

fn record(sid: &TrackSid, index: usize, kind: MediaKind) -> TrackRecord {
    TrackRecord {
        sid: sid.clone(),
        alias: TrackAlias(index as u32 * 2 + u32::from(kind == MediaKind::Video) + 1),
        kind,
        source: TrackSource::Unknown,
        codec: None,
        name: String::new(),
        stream: String::new(),
        muted: false,
        width: 0,
        height: 0,
        simulcast: false,
        layers: Vec::new(),
        client: relay_proto::room::ClientTrackFacts::default(),
    }
}

#[test]
fn everybody_hears_everybody_and_a_stream_crosses_a_link_once_for_two_viewers() {
    let mut world = World::new();
    let (speaker, near) = (world.join(0), world.join(0));
    let far = [world.join(1), world.join(1)];
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    for _ in 0..20 {
        world.send(speaker, &voice, 0, true);
    }
    assert_eq!(
        [near, far[0], far[1]].map(|viewer| world.heard(viewer, &voice)),
        [20; 3]
    );
    assert_eq!(world.heard(speaker, &voice), 0, "nobody hears himself");
    assert_eq!(
        world.media_crossed(NODE_A),
        20,
        "one copy per packet, two viewers behind the link"
    );
}

#[test]
fn nothing_crosses_a_link_that_nobody_watches() {
    let mut world = World::new();
    let speaker = world.join(0);
    let voice = world.publish(speaker, MediaKind::Audio, &[]);
    world.send(speaker, &voice, 0, true);
    assert_eq!(world.media_crossed(NODE_A), 0);
    let viewer = world.join(1);
    world.pass(Duration::from_millis(500));
    world.send(speaker, &voice, 0, true);
    assert_eq!((world.heard(viewer, &voice), world.media_crossed(NODE_A)), (1, 1));
}

#[test]
fn a_viewer_gets_the_layer_it_wishes_for_and_the_link_carries_only_that() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &["q", "h", "f"]);
    let send_all = |world: &mut World, rounds: u32| {
        for round in 0..rounds {
            for stream in 0..3 {
                world.send(publisher, &camera, stream, round == 0);
            }
            world.pass(Duration::from_millis(30));
        }
    };
    send_all(&mut world, 3);
    send_all(&mut world, 3);
    let payload =
        |world: &World| String::from_utf8(world.clients[viewer].1.heard[&camera].payload.clone()).unwrap();
    assert!(payload(&world).ends_with("layer 2"), "{}", payload(&world));
    let wish = TrackWish {
        enabled: true,
        max_layer: Layer(0),
    };
    let session = world.clients[viewer].1.session;
    world.command(
        1,
        ShardCommand::SetTrackWish {
            session,
            tracks: vec![camera.clone()],
            wish,
        },
    );
    send_all(&mut world, 3);
    assert!(payload(&world).ends_with("layer 0"), "{}", payload(&world));
    world.crossed.clear();
    send_all(&mut world, 5);
    assert_eq!(world.media_crossed(NODE_A), 5);
}

#[test]
fn a_hidden_tile_costs_nothing_on_the_link() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &camera, 0, true);
    let session = world.clients[viewer].1.session;
    let wish = TrackWish {
        enabled: false,
        max_layer: Layer(2),
    };
    world.command(
        1,
        ShardCommand::SetTrackWish {
            session,
            tracks: vec![camera.clone()],
            wish,
        },
    );
    world.crossed.clear();
    world.send(publisher, &camera, 0, true);
    assert_eq!(world.media_crossed(NODE_A), 0);
}

#[test]
fn what_a_link_loses_is_repaired_from_the_origin() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let camera = world.publish(publisher, MediaKind::Video, &[]);
    world.send(publisher, &camera, 0, true);
    world.send(publisher, &camera, 0, true);
    let before = world.heard(viewer, &camera);
    world.lose_next = 2;
    for _ in 0..4 {
        world.send(publisher, &camera, 0, false);
    }
    assert_eq!(world.heard(viewer, &camera), before + 2);
    world.pass(Duration::from_millis(300));
    assert_eq!(world.heard(viewer, &camera), before + 4);
}

#[test]
fn more_tracks_than_sections_are_received_after_the_client_was_asked_for_more() {
    let mut world = World::new();
    let viewer = world.join(0);
    let tracks: Vec<(usize, TrackSid)> = (0..6)
        .map(|at| {
            let publisher = world.join(at % 2);
            (publisher, world.publish(publisher, MediaKind::Audio, &[]))
        })
        .collect();
    world.pass(Duration::from_secs(1));
    for (publisher, track) in &tracks {
        world.send(*publisher, track, 0, true);
        assert_eq!(world.heard(viewer, track), 1, "{track}");
    }
}

#[test]
fn a_muted_track_is_not_forwarded_and_comes_back() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    let session = world.clients[publisher].1.session;
    world.command(
        0,
        ShardCommand::SetTrackMuted {
            session,
            track: voice.clone(),
            muted: true,
        },
    );
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 0);
    world.command(
        0,
        ShardCommand::SetTrackMuted {
            session,
            track: voice.clone(),
            muted: false,
        },
    );
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
}

#[test]
fn a_session_that_closes_leaves_nothing_behind() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(0));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    world.send(publisher, &voice, 0, true);
    for index in [publisher, viewer] {
        let session = world.clients[index].1.session;
        world.command(0, ShardCommand::CloseSession { session });
    }
    let counters = world.shards[0].counters();
    assert_eq!((counters.sessions, counters.legs), (0, 0));
    assert_eq!(world.shards[0].poll_timeout(), None, "an empty shard sleeps");
    world.command(0, ShardCommand::CloseRoom { room: "r".into() });
    assert_eq!(world.shards[0].counters().tracks, 0);
}

#[test]
fn an_origin_that_dies_takes_its_tracks_along() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    world.send(publisher, &voice, 0, true);
    world.command(
        1,
        ShardCommand::DropOrigin {
            room: "r".into(),
            origin: NODE_A,
        },
    );
    world.pass(Duration::from_millis(500));
    assert_eq!(world.shards[1].counters().tracks, 0);
    assert_eq!(world.clients[viewer].1.receives().count(), 0);
}

#[test]
fn random_bytes_from_anywhere_change_nothing() {
    let mut world = World::new();
    let (publisher, viewer) = (world.join(0), world.join(1));
    let voice = world.publish(publisher, MediaKind::Audio, &[]);
    let mut random = 7_u64;
    for round in 0..20_000_u32 {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut junk: Vec<u8> = (0..(random >> 56) as u8)
            .map(|at| (random >> (at % 56)) as u8 ^ at)
            .collect();
        let from = if round % 2 == 0 {
            world.clients[publisher].1.address
        } else {
            "10.9.9.9:9".parse().unwrap()
        };
        world.shards[0].handle_datagram(world.now, from, &mut junk.clone());
        world.shards[1].handle_relay(world.now, NODE_A, &mut junk);
    }
    world.settle();
    world.send(publisher, &voice, 0, true);
    assert_eq!(world.heard(viewer, &voice), 1);
    assert_eq!(world.shards[0].counters().sessions, 1);
}

#[test]
fn demand_on_a_track_nobody_has_is_ignored() {
    let mut world = World::new();
    let demand = ShardCommand::SetPeerDemand {
        peer: NODE_B,
        track: TrackAlias(99),
        layers: LayerSet::only(Layer(0)),
    };
    world.command(0, demand);
    assert!(world.facts.is_empty());
}
