//! The `ShardCore`s of a simulated node, with their clients and what stands for the queues between them.

use crate::mesh::testing::ShardPort;
use crate::rtc::{RtcConfig, RtcLimits};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use crate::shard::limits::ShardLimits;
use crate::shard::testing::SimClient;
use crate::shard::{ShardConfig, ShardCore};
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, SessionId, TrackAlias};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often every client sends a packet of every track it has, if nothing else is said.
const MEDIA_INTERVAL: Duration = Duration::from_millis(200);

/// One client and what it sends.
pub(super) struct Attached {
    pub(super) client: SimClient,
    /// Where its session lives, once it is opened.
    shard: ShardId,
    pub(super) connected: bool,
    /// (cid, track id as payload); the track id is what viewers look for.
    pub(super) sends: Vec<(String, String)>,
}

pub(super) struct RealShards {
    node: NodeId,
    /// Those with clients, and behind them the one of tracks that pass through.
    cores: Vec<ShardCore>,
    pub(super) clients: BTreeMap<SessionId, Attached>,
    addresses: BTreeMap<SocketAddr, SessionId>,
    /// The shard of each local track.
    published: BTreeMap<TrackAlias, ShardId>,
    /// Datagrams for links.
    outbound: VecDeque<(NodeId, Vec<u8>)>,
    /// How often every client sends a packet of every track it has.
    pub(super) media_interval: Duration,
    next_media: Instant,
    buffer: Vec<u8>,
}

impl RealShards {
    /// `loudest`: how many sounds of a room are forwarded at once.
    pub(super) fn new(
        (node, shards): (NodeId, u8),
        rtc: &RtcConfig,
        loudest: usize,
        seed: u8,
        now: Instant,
    ) -> Self {
        let core = |shard| {
            let config = ShardConfig {
                node,
                rtc: Arc::new(RtcConfig {
                    shard: ShardId(shard),
                    ..rtc.clone()
                }),
                limits: ShardLimits {
                    loudest_sounds: loudest,
                    ..ShardLimits::default()
                },
            };
            ShardCore::new(config, [seed ^ shard; 32])
        };
        Self {
            node,
            cores: (0..shards).chain([ShardId::PASSING.0]).map(core).collect(),
            clients: BTreeMap::new(),
            addresses: BTreeMap::new(),
            published: BTreeMap::new(),
            outbound: VecDeque::new(),
            media_interval: MEDIA_INTERVAL,
            next_media: now,
            buffer: Vec::new(),
        }
    }

    pub(super) fn attach(&mut self, client: SimClient, sends: Vec<(String, String)>) {
        self.addresses.insert(client.address, client.session);
        self.clients.insert(
            client.session,
            Attached {
                client,
                shard: ShardId(0),
                connected: false,
                sends,
            },
        );
    }

    pub(super) fn detach(&mut self, session: SessionId) {
        if let Some(attached) = self.clients.remove(&session) {
            self.addresses.remove(&attached.client.address);
        }
    }

    /// Installs keys once the first offer is answered.
    pub(super) fn connect(&mut self, now: Instant, session: SessionId) {
        if let Some(attached) = self.clients.get_mut(&session)
            && !attached.connected
        {
            let core = &mut self.cores[usize::from(attached.shard.0)];
            attached.connected = core.install_keys(now, &attached.client);
        }
    }

    /// How many datagrams of other nodes were sent on, and how many sessions there are.
    pub(super) fn passed_on(&self) -> (u64, u64) {
        let counters = self.cores.iter().map(ShardCore::counters);
        counters.fold((0, 0), |(passed, sessions), counters| {
            (passed + counters.transit_out, sessions + counters.sessions)
        })
    }

    fn send_media(&mut self, now: Instant) {
        for attached in self.clients.values_mut().filter(|attached| attached.connected) {
            for (cid, track) in &attached.sends {
                if let Some(mut packet) = attached.client.packet(cid, 0, true, track.as_bytes()) {
                    let core = &mut self.cores[usize::from(attached.shard.0)];
                    core.handle_datagram(now, attached.client.address, &mut packet);
                }
            }
        }
        self.deliver(now);
    }

    /// What the shards send reaches their clients and each other at once.
    fn deliver(&mut self, now: Instant) {
        loop {
            for core in &mut self.cores {
                while let Some(transmit) = core.poll_transmit(now, &mut self.buffer) {
                    let session = self.addresses.get(&transmit.to);
                    if let Some(attached) = session.and_then(|session| self.clients.get_mut(session)) {
                        let segment = transmit.segment_bytes.unwrap_or(self.buffer.len());
                        for datagram in self.buffer.chunks_mut(segment) {
                            attached.client.receive(now, datagram);
                        }
                    }
                }
            }
            if !self.relay(now) {
                return;
            }
        }
    }

    /// Passes on what the shards have for each other and for links; false where there was nothing.
    fn relay(&mut self, now: Instant) -> bool {
        let mut any = false;
        for at in 0..self.cores.len() {
            let from = self.id(at);
            while let Some(transmit) = self.cores[at].poll_relay() {
                any = true;
                let mut bytes = transmit.bytes.to_vec();
                match self.sibling(transmit.via, &bytes) {
                    Some(to) => self.cores[usize::from(to.0)].handle_relay(
                        now,
                        from.as_peer_of(self.node),
                        &mut bytes,
                    ),
                    None => self.outbound.push_back((transmit.via, bytes)),
                }
            }
        }
        any
    }

    /// Which shard a core is.
    fn id(&self, at: usize) -> ShardId {
        if at + 1 == self.cores.len() {
            ShardId::PASSING
        } else {
            ShardId(at as u8)
        }
    }

    fn core(&mut self, shard: ShardId) -> &mut ShardCore {
        let last = self.cores.len() - 1;
        &mut self.cores[usize::from(shard.0).min(last)]
    }

    fn sibling(&self, via: NodeId, datagram: &[u8]) -> Option<ShardId> {
        if via == self.node {
            let (header, _) = Header::decode(datagram).ok()?;
            return self.published.get(&header.track).copied();
        }
        let mut shards = (1..self.cores.len() as u8).map(|at| ShardId(at - 1));
        shards.find(|shard| shard.as_peer_of(self.node) == via)
    }
}

impl ShardPort for RealShards {
    fn handle_command(&mut self, now: Instant, shard: ShardId, command: ShardCommand) {
        match &command {
            ShardCommand::OpenSession { session, .. } => {
                if let Some(attached) = self.clients.get_mut(session) {
                    attached.shard = shard;
                }
            }
            ShardCommand::AnnounceTrack { track, .. } => {
                self.published.insert(track.record.alias, shard);
            }
            _ => {}
        }
        self.core(shard).handle_command(now, command);
        self.deliver(now);
    }

    fn poll_fact(&mut self) -> Option<(ShardId, ShardFact)> {
        let (at, fact) = self
            .cores
            .iter_mut()
            .enumerate()
            .find_map(|(at, core)| Some((at, core.poll_fact()?)))?;
        Some((self.id(at), fact))
    }

    fn handle_datagram(&mut self, now: Instant, shard: ShardId, from: NodeId, mut bytes: Vec<u8>) {
        if shard == ShardId::PASSING {
            if let Ok((header, _)) = Header::decode(&bytes) {
                self.core(shard).handle_passing(now, from, &header, &bytes);
            }
        } else {
            self.core(shard).handle_relay(now, from, &mut bytes);
        }
        self.deliver(now);
    }

    fn poll_datagram(&mut self) -> Option<(NodeId, Vec<u8>)> {
        self.outbound.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_media <= now {
            self.next_media = now + self.media_interval;
            self.send_media(now);
        }
        for core in &mut self.cores {
            core.handle_timeout(now);
        }
        self.deliver(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let media = (!self.clients.is_empty()).then_some(self.next_media);
        let cores = self.cores.iter().filter_map(ShardCore::poll_timeout);
        cores.chain(media).min()
    }
}

pub(super) fn rtc_config(certificate: crate::rtc::Certificate) -> RtcConfig {
    RtcConfig {
        certificate,
        candidates: vec![SocketAddr::from(([127, 0, 0, 1], 7_882))],
        tcp_candidates: Vec::new(),
        shard: ShardId(0),
        estimates_paths: true,
        limits: RtcLimits::default(),
    }
}
