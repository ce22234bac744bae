//! One shard with one room, driven by hand in virtual time.

use bridge_core::rtc::testing::{certificate, instant};
use bridge_core::rtc::{Certificate, RtcConfig, RtcLimits};
use bridge_core::shard::io::{ShardCommand, ShardFact, ShardId};
use bridge_core::shard::limits::ShardLimits;
use bridge_core::shard::testing::{SimClient, bare_track};
use bridge_core::shard::{ShardConfig, ShardCore};
use relay_proto::id::{Epoch, Identity, NodeId, ParticipantSid, SessionId, TrackAlias, TrackSid};
use relay_proto::room::{MediaKind, SealKey, TrackRecord};
use relay_proto::session::AnnouncedTrack;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// The node of the shard.
pub(crate) const NODE: NodeId = NodeId(1);
/// Another node that hosts the room.
pub(crate) const PEER: NodeId = NodeId(2);

/// Most datagrams kept for whoever asks.
const MOST_KEPT: usize = 1_000;

/// A shard, its time, and what it has said.
pub(crate) struct World {
    pub(crate) now: Instant,
    pub(crate) shard: ShardCore,
    /// Datagrams to clients since they were last taken.
    pub(crate) sent: Vec<(SocketAddr, Vec<u8>)>,
    /// The newest answer.
    pub(crate) answer: Option<(String, Vec<(String, TrackSid)>)>,
    /// Offers answered.
    pub(crate) answered: u64,
    /// Sessions the shard has ended.
    pub(crate) ended: u64,
}

fn shared_certificate() -> Certificate {
    static CERTIFICATE: OnceLock<Certificate> = OnceLock::new();
    CERTIFICATE.get_or_init(certificate).clone()
}

/// The session of a serial.
pub(crate) fn session(serial: u32) -> SessionId {
    SessionId { entry: NODE, serial }
}

/// The address of a serial's client.
pub(crate) fn address(serial: u32) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, serial as u8], 5_000))
}

impl World {
    /// A shard with an open room that `PEER` hosts too.
    pub(crate) fn new(seed: u64) -> Self {
        let rtc = RtcConfig {
            certificate: shared_certificate(),
            candidates: vec![SocketAddr::from(([127, 0, 0, 1], 7_882))],
            tcp_candidates: Vec::new(),
            shard: ShardId(0),
            estimates_paths: true,
            limits: RtcLimits::default(),
        };
        let config = ShardConfig {
            node: NODE,
            rtc: Arc::new(rtc),
            limits: ShardLimits::default(),
        };
        let mut seeds = [7; 32];
        seeds[..8].copy_from_slice(&seed.to_le_bytes());
        let mut world = Self {
            now: instant(),
            shard: ShardCore::new(config, seeds),
            sent: Vec::new(),
            answer: None,
            answered: 0,
            ended: 0,
        };
        world.command(ShardCommand::OpenRoom {
            room: "r".into(),
            epoch: Epoch(5),
            seal_key: SealKey([1; 32]),
        });
        world.command(ShardCommand::SetRoute {
            node: PEER,
            via: Some(PEER),
            max_datagram_bytes: 1_200,
        });
        world.command(ShardCommand::JoinOrigin {
            room: "r".into(),
            origin: PEER,
            epoch: Epoch(5),
            seal_key: SealKey([2; 32]),
        });
        world
    }

    /// Opens the session of a serial.
    pub(crate) fn open(&mut self, serial: u32) {
        self.command(ShardCommand::OpenSession {
            session: session(serial),
            room: "r".into(),
            participant: ParticipantSid(format!("PA_{serial}")),
            identity: Identity("fuzz".to_owned()),
            can_publish: true,
            can_subscribe: true,
            auto_subscribe: true,
        });
    }

    /// Opens a session, offers and has keys.
    pub(crate) fn join(&mut self, mut client: SimClient) -> SimClient {
        self.open(client.session.serial);
        self.offer(client.session, client.offer());
        if let Some((sdp, sections)) = self.answer.clone() {
            client.answered(&sdp, &sections);
        }
        self.shard.install_keys(self.now, &client);
        self.settle();
        client
    }

    /// Announces tracks a client's next offer names.
    pub(crate) fn announce(&mut self, serial: u32, cid: &str, kind: MediaKind) {
        let track = AnnouncedTrack {
            cid: cid.to_owned(),
            record: record(cid, serial, kind),
        };
        self.command(ShardCommand::AnnounceTrack {
            session: session(serial),
            track: Box::new(track),
        });
    }

    /// Applies an offer.
    pub(crate) fn offer(&mut self, session: SessionId, sdp: String) {
        self.command(ShardCommand::ApplyOffer {
            session,
            offer_id: 1,
            sdp,
        });
    }

    /// Gives the shard a command.
    pub(crate) fn command(&mut self, command: ShardCommand) {
        self.shard.handle_command(self.now, command);
        self.settle();
    }

    /// Gives the shard a datagram.
    pub(crate) fn datagram(&mut self, from: SocketAddr, mut bytes: Vec<u8>) {
        self.shard.handle_datagram(self.now, from, &mut bytes);
        self.settle();
    }

    /// Lets time pass, in steps of a tick.
    pub(crate) fn pass(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now += Duration::from_millis(10);
            self.shard.handle_timeout(self.now);
            self.settle();
        }
    }

    /// Drains the shard.
    pub(crate) fn settle(&mut self) {
        let mut buf = Vec::new();
        while let Some(transmit) = self.shard.poll_transmit(self.now, &mut buf) {
            let segment = transmit.segment_bytes.unwrap_or(buf.len()).max(1);
            for datagram in buf.chunks(segment) {
                if self.sent.len() < MOST_KEPT {
                    self.sent.push((transmit.to, datagram.to_vec()));
                }
            }
        }
        while self.shard.poll_relay().is_some() {}
        while let Some(fact) = self.shard.poll_fact() {
            match fact {
                ShardFact::OfferAnswered { sdp, sections, .. } => {
                    self.answer = Some((sdp, sections));
                    self.answered += 1;
                }
                ShardFact::SessionEnded { .. } => self.ended += 1,
                _ => {}
            }
        }
    }

    /// A line of the newest answer without its beginning.
    pub(crate) fn answered_line(&self, begins: &str) -> Option<String> {
        let (sdp, _) = self.answer.as_ref()?;
        sdp.lines()
            .find_map(|line| line.strip_prefix(begins))
            .map(str::to_owned)
    }

    /// SSRCs of the node in the newest answer.
    pub(crate) fn answered_ssrcs(&self) -> Vec<u32> {
        let sdp = self.answer.as_ref().map_or("", |(sdp, _)| sdp.as_str());
        sdp.lines()
            .filter_map(|line| line.strip_prefix("a=ssrc:")?.split(' ').next()?.parse().ok())
            .collect()
    }
}

/// A track of a participant.
pub(crate) fn record(cid: &str, serial: u32, kind: MediaKind) -> TrackRecord {
    bare_track(
        TrackSid(format!("TR_{cid}")),
        TrackAlias(serial * 8 + u32::from(kind == MediaKind::Video)),
        kind,
    )
}

/// Two clients with keys: the first publishes sound and three layers of picture, the second watches.
pub(crate) fn publisher_and_viewer(world: &mut World) -> (SimClient, SimClient) {
    let mut publisher = SimClient::new(session(1), address(1));
    publisher.publish_audio("mic");
    publisher.publish_video("cam", &["q", "h", "f"]);
    world.open(1);
    world.announce(1, "mic", MediaKind::Audio);
    world.announce(1, "cam", MediaKind::Video);
    world.offer(publisher.session, publisher.offer());
    world.shard.install_keys(world.now, &publisher);
    world.settle();
    let viewer = SimClient::reporting(session(2), address(2), world.now);
    let viewer = world.join(viewer);
    (publisher, viewer)
}
