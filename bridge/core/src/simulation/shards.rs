//! A `ShardCore` with its clients, behind a simulated node.

use crate::mesh::testing::ShardPort;
use crate::rtc::{RtcConfig, RtcLimits};
use crate::shard::io::{ShardCommand, ShardFact, ShardId};
use crate::shard::limits::ShardLimits;
use crate::shard::testing::SimClient;
use crate::shard::{ShardConfig, ShardCore};
use relay_proto::id::{NodeId, SessionId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often every client sends a packet of every track it has.
const MEDIA_INTERVAL: Duration = Duration::from_millis(200);

/// One client and what it sends.
pub(super) struct Attached {
    pub(super) client: SimClient,
    pub(super) connected: bool,
    /// (cid, track id as payload); the track id is what viewers look for.
    pub(super) sends: Vec<(String, String)>,
}

pub(super) struct RealShards {
    pub(super) core: ShardCore,
    pub(super) clients: BTreeMap<SessionId, Attached>,
    addresses: BTreeMap<SocketAddr, SessionId>,
    next_media: Instant,
    buffer: Vec<u8>,
}

impl RealShards {
    pub(super) fn new(node: NodeId, rtc: RtcConfig, seed: u8, now: Instant) -> Self {
        let config = ShardConfig {
            node,
            rtc: Arc::new(rtc),
            limits: ShardLimits::default(),
        };
        Self {
            core: ShardCore::new(config, [seed; 32]),
            clients: BTreeMap::new(),
            addresses: BTreeMap::new(),
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
            attached.connected = self.core.install_keys(now, &attached.client);
        }
    }

    fn send_media(&mut self, now: Instant) {
        for attached in self.clients.values_mut().filter(|attached| attached.connected) {
            for (cid, track) in &attached.sends {
                if let Some(mut packet) = attached.client.packet(cid, 0, true, track.as_bytes()) {
                    self.core
                        .handle_datagram(now, attached.client.address, &mut packet);
                }
            }
        }
        self.deliver(now);
    }

    /// What the shard sends reaches its clients at once.
    fn deliver(&mut self, now: Instant) {
        while let Some(transmit) = self.core.poll_transmit(now, &mut self.buffer) {
            let session = self.addresses.get(&transmit.to);
            if let Some(attached) = session.and_then(|session| self.clients.get_mut(session)) {
                let segment = transmit.segment_bytes.unwrap_or(self.buffer.len());
                for datagram in self.buffer.chunks_mut(segment) {
                    attached.client.receive(now, datagram);
                }
            }
        }
    }
}

impl ShardPort for RealShards {
    fn handle_command(&mut self, now: Instant, _: ShardId, command: ShardCommand) {
        self.core.handle_command(now, command);
        self.deliver(now);
    }

    fn poll_fact(&mut self) -> Option<(ShardId, ShardFact)> {
        self.core.poll_fact().map(|fact| (ShardId(0), fact))
    }

    fn handle_datagram(&mut self, now: Instant, _: ShardId, from: NodeId, mut bytes: Vec<u8>) {
        self.core.handle_relay(now, from, &mut bytes);
        self.deliver(now);
    }

    fn poll_datagram(&mut self) -> Option<(NodeId, Vec<u8>)> {
        self.core
            .poll_relay()
            .map(|transmit| (transmit.via, transmit.bytes.to_vec()))
    }

    fn handle_timeout(&mut self, now: Instant) {
        if self.next_media <= now {
            self.next_media = now + MEDIA_INTERVAL;
            self.send_media(now);
        }
        self.core.handle_timeout(now);
        self.deliver(now);
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let media = (!self.clients.is_empty()).then_some(self.next_media);
        self.core.poll_timeout().into_iter().chain(media).min()
    }
}

pub(super) fn rtc_config(certificate: crate::rtc::Certificate) -> RtcConfig {
    RtcConfig {
        certificate,
        candidates: vec![SocketAddr::from(([127, 0, 0, 1], 7_882))],
        shard: ShardId(0),
        estimates_paths: true,
        limits: RtcLimits::default(),
    }
}
