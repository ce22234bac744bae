//! Two shards of two nodes, joined by hand, with simulated clients.

use super::sound::Bursts;
use crate::rtc::{RtcConfig, RtcLimits};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use crate::shard::limits::ShardLimits;
use crate::shard::testing::{SimClient, bare_track};
use crate::shard::{ShardConfig, ShardCore};
use relay_proto::id::{Epoch, Identity, Layer, NodeId, ParticipantSid, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{Codec, MediaKind, SealKey, TrackRecord};
use relay_proto::session::{AnnouncedTrack, TrackWish};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) const NODE_A: NodeId = NodeId(1);
pub(super) const NODE_B: NodeId = NodeId(2);
/// What shards of one node call each other.
pub(super) const SIBLINGS: [NodeId; 2] = [NodeId(101), NodeId(102)];

pub(super) struct World {
    pub(super) now: Instant,
    pub(super) shards: Vec<ShardCore>,
    pub(super) clients: Vec<(usize, SimClient)>,
    pub(super) facts: Vec<(usize, ShardFact)>,
    /// Datagrams that crossed a link, by direction: what "once per link" is counted on.
    pub(super) crossed: Vec<(NodeId, Vec<u8>)>,
    pub(super) lose_next: usize,
    /// Lines of viewers that do not have all the room in the world, by address.
    pub(super) lines: BTreeMap<SocketAddr, Line>,
}

/// A viewer's line: a queue that is served at a rate.
#[derive(Debug)]
pub(super) struct Line {
    rate: u64,
    free_at: Instant,
    /// Longest time a datagram has waited in the last second.
    pub(super) waited: Duration,
    /// What it loses.
    pub(super) loss: Option<Bursts>,
    /// How many datagrams it has lost.
    pub(super) lost: u64,
    flying: VecDeque<(Instant, Vec<u8>)>,
}

/// What a line delays, and how much it queues before it drops.
const LINE_DELAY: Duration = Duration::from_millis(20);
const LINE_QUEUE: Duration = Duration::from_millis(300);

pub(super) fn shard(node: NodeId) -> ShardCore {
    let rtc = RtcConfig {
        certificate: crate::rtc::testing::certificate(),
        candidates: vec!["127.0.0.1:7882".parse().unwrap()],
        tcp_candidates: Vec::new(),
        shard: ShardId(0),
        estimates_paths: true,
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
    pub(super) fn new() -> Self {
        Self::between([NODE_A, NODE_B])
    }

    /// Both shards belong to one node: what one publishes is for the other a remote track of its own node.
    pub(super) fn siblings() -> Self {
        Self::between([NODE_A; 2])
    }

    fn between(nodes: [NodeId; 2]) -> Self {
        let mut world = Self {
            now: crate::rtc::testing::instant(),
            shards: nodes.map(shard).into(),
            clients: Vec::new(),
            facts: Vec::new(),
            crossed: Vec::new(),
            lose_next: 0,
            lines: BTreeMap::new(),
        };
        for (at, other) in [(0, nodes[1]), (1, nodes[0])] {
            let own = SealKey([nodes[at].0 as u8 - 1; 32]);
            let others = SealKey([other.0 as u8 - 1; 32]);
            world.command(
                at,
                ShardCommand::OpenRoom {
                    room: "r".into(),
                    epoch: Epoch(5),
                    seal_key: own,
                },
            );
            for node in [other, SIBLINGS[1 - at]] {
                let route = ShardCommand::SetRoute {
                    node,
                    via: Some(node),
                    max_datagram_bytes: 1_200,
                };
                world.command(at, route);
            }
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

    /// Who a shard is for the other.
    fn hop(&self, at: usize) -> NodeId {
        let [first, second] = [0, 1].map(|at| self.shards[at].config.node);
        if first == second {
            SIBLINGS[at]
        } else {
            [first, second][at]
        }
    }

    pub(super) fn command(&mut self, at: usize, command: ShardCommand) {
        self.shards[at].handle_command(self.now, command);
        self.settle();
    }

    pub(super) fn join(&mut self, at: usize) -> usize {
        self.enter(at, SimClient::new)
    }

    /// Joins behind a line of `rate` bits a second, with a client that reports arrivals.
    pub(super) fn join_behind(&mut self, at: usize, rate: u64) -> usize {
        self.join_behind_as(at, rate, |client| client)
    }

    pub(super) fn join_behind_as(
        &mut self,
        at: usize,
        rate: u64,
        change: impl FnOnce(SimClient) -> SimClient,
    ) -> usize {
        let now = self.now;
        let index = self.enter(at, |session, address| {
            change(SimClient::reporting(session, address, now))
        });
        let line = Line {
            rate,
            free_at: now,
            waited: Duration::ZERO,
            loss: None,
            lost: 0,
            flying: VecDeque::new(),
        };
        self.lines.insert(self.clients[index].1.address, line);
        index
    }

    pub(super) fn widen(&mut self, index: usize, rate: u64) {
        let line = self.lines.get_mut(&self.clients[index].1.address).unwrap();
        line.rate = rate;
    }

    pub(super) fn queued_ms(&self, index: usize) -> u128 {
        self.lines[&self.clients[index].1.address].waited.as_millis()
    }

    pub(super) fn enter(
        &mut self,
        at: usize,
        client: impl FnOnce(SessionId, SocketAddr) -> SimClient,
    ) -> usize {
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
                identity: Identity(format!("person-{serial}")),
                can_publish: true,
                can_subscribe: true,
                auto_subscribe: true,
            },
        );
        let client = client(session, address);
        let index = self.clients.len();
        self.clients.push((at, client));
        self.offer(index);
        assert!(self.shards[at].install_keys(self.now, &self.clients[index].1));
        self.settle();
        index
    }

    pub(super) fn offer(&mut self, index: usize) {
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

    pub(super) fn publish(&mut self, index: usize, kind: MediaKind, rids: &[&str]) -> TrackSid {
        self.publish_as(index, kind, rids, |_| {})
    }

    /// Publishes a track of which `adapt` changes what is announced.
    pub(super) fn publish_as(
        &mut self,
        index: usize,
        kind: MediaKind,
        rids: &[&str],
        adapt: impl Fn(&mut TrackRecord),
    ) -> TrackSid {
        let (at, client) = &mut self.clients[index];
        let at = *at;
        let sid = TrackSid(format!("TR_{index}_{kind:?}"));
        let cid = format!("cid-{sid}");
        match kind {
            MediaKind::Audio => client.publish_audio(&cid),
            MediaKind::Video => client.publish_video(&cid, rids),
        }
        let mut record = record(&sid, index, kind);
        adapt(&mut record);
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
    pub(super) fn send(&mut self, index: usize, track: &TrackSid, stream: usize, keyframe: bool) {
        self.send_sized(index, track, stream, keyframe, 0);
    }

    /// The same with a payload of at least `bytes`.
    pub(super) fn send_sized(
        &mut self,
        index: usize,
        track: &TrackSid,
        stream: usize,
        keyframe: bool,
        bytes: usize,
    ) {
        let (at, client) = &mut self.clients[index];
        let payload = format!("{:bytes$}", format!("{track} layer {stream}"));
        let mut packet = client
            .packet(&format!("cid-{track}"), stream, keyframe, payload.as_bytes())
            .unwrap();
        let (at, from) = (*at, client.address);
        self.shards[at].handle_datagram(self.now, from, &mut packet);
        self.settle();
    }

    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(10);
            self.run_lines();
            for shard in &mut self.shards {
                shard.handle_timeout(self.now);
            }
            self.settle();
        }
    }

    /// Delivers what lines have carried by now, and feeds back.
    fn run_lines(&mut self) {
        for (at, client) in &mut self.clients {
            let Some(line) = self.lines.get_mut(&client.address) else {
                continue;
            };
            let has_come = |flying: &mut (Instant, Vec<u8>)| flying.0 <= self.now;
            while let Some((arrives, mut datagram)) = line.flying.pop_front_if(has_come) {
                client.receive(arrives, &mut datagram);
            }
            let said = client.feedback(self.now);
            for mut feedback in said.into_iter().chain(client.repairs(self.now)) {
                self.shards[*at].handle_datagram(self.now, client.address, &mut feedback);
            }
        }
    }

    /// Payload bytes a client has got of each track.
    pub(super) fn bytes_heard(&self, index: usize) -> BTreeMap<TrackSid, u64> {
        let heard = &self.clients[index].1.heard;
        heard
            .iter()
            .map(|(track, heard)| (track.clone(), heard.bytes))
            .collect()
    }

    pub(super) fn wish(&mut self, index: usize, track: &TrackSid, enabled: bool, max_layer: u8) {
        let (at, client) = &self.clients[index];
        let (at, session) = (*at, client.session);
        let wish = TrackWish {
            enabled,
            max_layer: Layer(max_layer),
        };
        let tracks = vec![track.clone()];
        self.command(
            at,
            ShardCommand::SetTrackWish {
                session,
                tracks,
                wish,
            },
        );
    }

    /// Carries everything to where it goes until nothing moves.
    pub(super) fn settle(&mut self) {
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

    pub(super) fn drain(&mut self, at: usize) -> bool {
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
                    match self.lines.get_mut(&client.address) {
                        Some(line) => line.carry(self.now, datagram),
                        None => {
                            client.receive(self.now, datagram);
                        }
                    }
                }
            }
        }
        while let Some(transmit) = self.shards[at].poll_relay() {
            moved = true;
            let from = self.hop(at);
            self.crossed.push((from, transmit.bytes.to_vec()));
            if self.lose_next > 0 {
                self.lose_next -= 1;
                continue;
            }
            self.shards[1 - at].handle_relay(self.now, from, &mut transmit.bytes.to_vec());
        }
        while let Some(fact) = self.shards[at].poll_fact() {
            moved = true;
            self.react(at, fact);
        }
        moved
    }

    /// What node and signalling would do.
    pub(super) fn react(&mut self, at: usize, fact: ShardFact) {
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
            ShardFact::OfferMade {
                session,
                offer_id,
                sdp,
                sections,
            } => self.answer(at, *session, *offer_id, sdp, sections),
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
                let peer = self.hop(at);
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

    pub(super) fn heard(&self, index: usize, track: &TrackSid) -> u64 {
        self.clients[index]
            .1
            .heard
            .get(track)
            .map_or(0, |heard| heard.packets)
    }

    pub(super) fn media_crossed(&self, from: NodeId) -> usize {
        use relay_proto::datagram::{Header, Kind};
        let is_media =
            |bytes: &[u8]| Header::decode(bytes).is_ok_and(|(header, _)| header.kind == Kind::Media);
        self.crossed
            .iter()
            .filter(|(node, bytes)| *node == from && is_media(bytes))
            .count()
    }
}

impl Line {
    fn carry(&mut self, now: Instant, datagram: &[u8]) {
        let begins = self.free_at.max(now);
        self.waited = begins - now;
        let is_lost = self.loss.as_mut().is_some_and(Bursts::loses);
        self.lost += u64::from(is_lost);
        if self.waited <= LINE_QUEUE && !is_lost {
            self.free_at = begins + Duration::from_micros(datagram.len() as u64 * 8_000_000 / self.rate);
            self.flying
                .push_back((self.free_at + LINE_DELAY, datagram.to_vec()));
        }
    }
}

pub(super) fn record(sid: &TrackSid, index: usize, kind: MediaKind) -> TrackRecord {
    bare_track(
        sid.clone(),
        TrackAlias(index as u32 * 2 + u32::from(kind == MediaKind::Video) + 1),
        kind,
    )
}
