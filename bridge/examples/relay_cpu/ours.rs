//! The middle as a node runs it: two links, and the shard of tracks that pass through between them.

use crate::AnyError;
use crate::load::{Middle, PACKETS_PER_SECOND, PAYLOAD_BYTES, runtime};
use crate::node::{Node, node, say_hello, wait_for_hello};
use bridge::link::lanes::Lane;
use bridge::link::{DatagramSink, Dialer, LinkHandle, LinkedPeers, RateLimits};
use bridge::shard::{LinkTable, PassingShard, TrackRoutes};
use bridge_core::rtc::{RtcConfig, RtcLimits};
use bridge_core::shard::io::{ShardCommand, ShardId};
use bridge_core::shard::limits::ShardLimits;
use bridge_core::shard::{ShardConfig, ShardCore};
use bytes::Bytes;
use relay_proto::datagram::Header;
use relay_proto::id::{Layer, LayerSet, NodeId, TrackAlias};
use relay_proto::unit::{MediaSeq, RtpTime};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Name of the threads whose time counts.
const MIDDLE: &str = "middle";
const TRACK: TrackAlias = TrackAlias(1);
/// The benchmark is not about finding out what loopback carries.
const RATES: RateLimits = RateLimits {
    initial_bps: 1_000_000_000,
    floor_bps: 500_000,
    cap_bps: 1_000_000_000,
};

/// Counts what arrives behind the middle.
#[derive(Debug)]
struct Count(Arc<AtomicU64>);

impl DatagramSink for Count {
    fn deliver(&self, _: NodeId, batch: &mut Vec<(Header, Bytes)>) {
        self.0.fetch_add(batch.len() as u64, Ordering::Relaxed);
        batch.clear();
    }

    fn flush(&self) {}
}

pub(crate) fn start() -> Result<Middle, AnyError> {
    let (middle, ends) = (runtime(MIDDLE)?, runtime("ends")?);
    let arrived = Arc::<AtomicU64>::default();
    let links = LinkTable::default();
    let (events, kept) = tokio::sync::mpsc::channel(1_024);
    let passing = Arc::new(PassingShard::new(core(), links.clone(), events));
    let routes = Arc::new(TrackRoutes::new(Vec::new()).with_passing(passing.clone()));
    let (near, far) = {
        let _entered = ends.enter();
        let count = || Arc::new(Count(arrived.clone()));
        (node("near", RATES, count())?, node("far", RATES, count())?)
    };
    let between = {
        let _entered = middle.enter();
        node("middle", RATES, routes.clone())?
    };
    let entry = between.0.local_addr()?;
    let exit = far.0.local_addr()?;
    let (mut near, mut far, mut between) = (near, far, between);
    dial(&ends, &near, entry);
    let into = ends
        .block_on(greet((&mut near, "near"), (&mut between, "middle")))?
        .0;
    dial(&middle, &between, exit);
    let onward = ends
        .block_on(greet((&mut between, "middle"), (&mut far, "far")))?
        .0;
    for (_, mut events) in [near, far, between] {
        // Nobody decides anything here, but events must be taken.
        ends.spawn(async move { while events.recv().await.is_some() {} });
    }
    links.select(NodeId::of("far"), Some(onward));
    lead(&passing, &routes);
    middle.spawn(async move { passing.run().await });
    let kept = (kept, middle);
    Ok(Middle::new(
        &ends.handle().clone(),
        arrived,
        MIDDLE,
        (kept, ends),
        move |seq| {
            into.send_datagram(Instant::now(), Lane::Video, datagram(seq));
        },
    ))
}

/// Lets a node call another one; the connection lives in `runtime`.
fn dial(runtime: &Runtime, (endpoint, _): &Node, to: SocketAddr) {
    let (_linked, linked) = watch::channel(LinkedPeers::new());
    let (dialer, _states) = Dialer::new(endpoint.clone(), to.to_string(), linked);
    runtime.spawn(dialer.run());
}

/// Both say hello on the link that has just come up, and have heard the other's; the ends of the link.
async fn greet(
    (caller, calling): (&mut Node, &str),
    (called, answering): (&mut Node, &str),
) -> Result<(LinkHandle, LinkHandle), AnyError> {
    let to = say_hello(&mut caller.1, calling).await?;
    let from = say_hello(&mut called.1, answering).await?;
    wait_for_hello(&mut caller.1).await?;
    wait_for_hello(&mut called.1).await?;
    Ok((to, from))
}

/// The track of the near end passes through here to the far one.
fn lead(passing: &PassingShard, routes: &TrackRoutes) {
    let (near, far) = (NodeId::of("near"), NodeId::of("far"));
    routes.set(near, TRACK, vec![ShardId::PASSING]);
    for node in [near, far] {
        let route = ShardCommand::SetRoute {
            node,
            via: Some(node),
            max_datagram_bytes: PAYLOAD_BYTES,
        };
        passing.command(Instant::now(), route);
    }
    let child = ShardCommand::SetChild {
        origin: near,
        track: TRACK,
        child: far,
        layers: LayerSet::only(Layer(0)),
        goes_on: true,
    };
    passing.command(Instant::now(), child);
}

fn datagram(seq: u32) -> Bytes {
    let mut header = Header::media(NodeId::of("near"), TRACK, Layer(0), MediaSeq(seq), RtpTime(0));
    // A layer that a busy moment has shed comes back with one.
    header.keyframe = seq.is_multiple_of(PACKETS_PER_SECOND);
    let mut bytes = header.encode().to_vec();
    bytes.resize(PAYLOAD_BYTES, 7);
    Bytes::from(bytes)
}

/// A shard without anybody.
fn core() -> ShardCore {
    let rtc = RtcConfig {
        certificate: bridge_core::rtc::testing::certificate(),
        candidates: Vec::new(),
        tcp_candidates: Vec::new(),
        shard: ShardId::PASSING,
        estimates_paths: true,
        limits: RtcLimits::default(),
    };
    let config = ShardConfig {
        node: NodeId::of("middle"),
        rtc: Arc::new(rtc),
        limits: ShardLimits::default(),
    };
    ShardCore::new(config, [1; 32])
}
