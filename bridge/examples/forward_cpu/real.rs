//! The real path: a shard's thread as a node runs it, with all its connected clients.

use crate::AnyError;
use crate::load::{self, Path, Shape, Viewers};
use bridge::shard::inbox::inbox;
use bridge::shard::socket::open;
use bridge::shard::{LinkTable, MediaSocket, ShardThread, Siblings, TrackRoutes};
use bridge_core::rtc::{RtcConfig, RtcLimits};
use bridge_core::shard::io::{ShardCommand, ShardFact, ShardId};
use bridge_core::shard::limits::ShardLimits;
use bridge_core::shard::testing::{SimClient, bare_track};
use bridge_core::shard::{ShardConfig, ShardCore};
use relay_proto::id::{Epoch, NodeId, ParticipantSid, SessionId, TrackAlias};
use relay_proto::room::{MediaKind, SealKey, TrackRecord, TrackSource};
use relay_proto::session::AnnouncedTrack;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

const NODE: NodeId = NodeId(1);
const CID: &str = "camera";
/// Until the paths of all viewers have been found wide enough; on a busy machine four seconds are too few, and padding counted.
const WARM_UP: Duration = Duration::from_secs(8);

pub(crate) fn start(shape: Shape) -> Result<Path, AnyError> {
    let socket = open(([127, 0, 0, 1], 0).into())?;
    let to = socket.local_addr()?;
    let viewers = Viewers::start(shape.viewers, to)?;
    let publisher = MediaSocket::new(open(([127, 0, 0, 1], 0).into())?);
    let (core, mut client, watching) = prepare(to, publisher.local_addr()?, viewers.addresses())?;
    viewers.report(watching);
    let (events, kept) = tokio::sync::mpsc::channel(1_024);
    let (inbox, receiving) = inbox()?;
    let tracks = Arc::new(TrackRoutes::new(vec![inbox.clone()]));
    let siblings = Siblings::of(ShardId(0), NODE, &[inbox], tracks);
    let ways = (LinkTable::default(), siblings);
    let thread = ShardThread::start(ShardId(0), core, socket, receiving, ways, events)?;
    let payload = vec![7; load::PAYLOAD_BYTES];
    let mut sent = 0_usize;
    let packets_per_second = shape.packets_per_second;
    let mut path = Path {
        viewers,
        publisher,
        to,
        forwarder: "shard-0",
        packets_per_second,
        // A keyframe a second: viewers begin at one, each when its path has been found wide enough.
        next_packet: Box::new(move |keyframe| {
            let keyframe = keyframe || sent.is_multiple_of(packets_per_second);
            sent += 1;
            client.packet(CID, 0, keyframe, &payload).unwrap_or_default()
        }),
        end: Box::new(move || {
            thread.stop();
            drop(kept);
        }),
    };
    path.warm_up(WARM_UP)?;
    Ok(path)
}

/// A shard with one publisher and its viewers, all connected and subscribed.
fn prepare(
    node: SocketAddr,
    from: SocketAddr,
    viewers: &[SocketAddr],
) -> Result<(ShardCore, SimClient, Vec<SimClient>), AnyError> {
    let rtc = RtcConfig {
        certificate: bridge_core::rtc::testing::certificate(),
        candidates: vec![node],
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
    let mut core = ShardCore::new(config, [1; 32]);
    let now = Instant::now();
    core.handle_command(
        now,
        ShardCommand::OpenRoom {
            room: "bench".into(),
            epoch: Epoch(1),
            seal_key: SealKey([2; 32]),
        },
    );
    let mut publisher = join(&mut core, now, 0, from)?;
    publisher.publish_video(CID, &[]);
    let track = AnnouncedTrack {
        cid: CID.to_owned(),
        record: camera(),
    };
    core.handle_command(
        now,
        ShardCommand::AnnounceTrack {
            session: publisher.session,
            track: Box::new(track),
        },
    );
    offer(&mut core, now, &mut publisher);
    let mut watching = Vec::new();
    for (at, address) in viewers.iter().enumerate() {
        watching.push(join(&mut core, now, at as u32 + 1, *address)?);
    }
    let legs = core.counters().legs;
    if legs != viewers.len() as u64 {
        return Err(format!("{legs} of {} viewers are subscribed", viewers.len()).into());
    }
    Ok((core, publisher, watching))
}

fn join(core: &mut ShardCore, now: Instant, serial: u32, address: SocketAddr) -> Result<SimClient, AnyError> {
    let session = SessionId { entry: NODE, serial };
    core.handle_command(
        now,
        ShardCommand::OpenSession {
            session,
            room: "bench".into(),
            participant: ParticipantSid(format!("PA_{serial}")),
            identity: format!("person-{serial}").into(),
            can_publish: true,
            can_subscribe: true,
            auto_subscribe: true,
        },
    );
    let mut client = SimClient::reporting(session, address, now);
    offer(core, now, &mut client);
    if !core.install_keys(now, &client) {
        return Err("no session".into());
    }
    Ok(client)
}

fn offer(core: &mut ShardCore, now: Instant, client: &mut SimClient) {
    let (session, sdp) = (client.session, client.offer());
    core.handle_command(
        now,
        ShardCommand::ApplyOffer {
            session,
            offer_id: 1,
            sdp,
        },
    );
    while let Some(fact) = core.poll_fact() {
        if let ShardFact::OfferRejected { reason, .. } = fact {
            eprintln!("offer rejected: {reason}");
        }
    }
}

fn camera() -> TrackRecord {
    TrackRecord {
        source: TrackSource::Camera,
        width: 1_280,
        height: 720,
        ..bare_track("TR_camera".into(), TrackAlias(1), MediaKind::Video)
    }
}
