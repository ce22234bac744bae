//! The link of a node: lanes, pace and the rate controller.

use crate::AnyError;
use crate::load::{Arrivals, Measured, ONE_WAY, Path, offer};
use crate::node::{node, say_hello, wait_for_hello};
use bridge::link::lanes::Lane;
use bridge::link::{DatagramSink, Dialer, LinkedPeers, RateLimits};
use bytes::Bytes;
use relay_proto::datagram::Header;
use relay_proto::id::NodeId;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

struct Sink(Arc<Arrivals>);

impl DatagramSink for Sink {
    fn deliver(&self, _: NodeId, batch: &mut Vec<(Header, Bytes)>) {
        for (_, datagram) in batch.drain(..) {
            self.0.note(&datagram);
        }
    }

    fn flush(&self) {}
}

pub(crate) fn measure(path: Path) -> Result<Measured, AnyError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let epoch = Instant::now();
    let arrivals = Arc::new(Arrivals::new(epoch));
    let _entered = runtime.enter();
    let (near, mut near_events) = node("near", RateLimits::default(), Arc::new(Sink(arrivals.clone())))?;
    let (far, mut far_events) = node("far", RateLimits::default(), Arc::new(Sink(arrivals.clone())))?;
    let (wan, entry) = path.start(far.local_addr()?)?;
    let (_linked, linked) = watch::channel(LinkedPeers::new());
    let (dialer, _states) = Dialer::new(near.clone(), entry.to_string(), linked);
    let dialling = runtime.spawn(dialer.run());
    let link = runtime.block_on(async {
        let link = say_hello(&mut near_events, "near").await?;
        say_hello(&mut far_events, "far").await?;
        wait_for_hello(&mut far_events).await?;
        Ok::<_, AnyError>(link)
    })?;
    // Nobody decides anything here, but events must be taken.
    runtime.spawn(async move { while near_events.recv().await.is_some() {} });
    runtime.spawn(async move { while far_events.recv().await.is_some() {} });
    std::thread::sleep(Duration::from_secs(1));
    let sent = offer(path, epoch, |audio, datagram| {
        link.send_datagram(
            Instant::now(),
            if audio { Lane::Audio } else { Lane::Video },
            datagram,
        );
    });
    std::thread::sleep(ONE_WAY + Duration::from_millis(500));
    let measured = arrivals.measured(sent);
    let stats = link.stats();
    println!(
        "  (rate {} Mbit/s, loss seen {} ppm, dropped {:?}, oversized {})",
        stats.rate_bps / 1_000_000,
        stats.loss_ppm,
        stats.dropped,
        stats.oversized
    );
    dialling.abort();
    runtime.block_on(async { tokio::join!(near.close(), far.close()) });
    wan.finish()?;
    Ok(measured)
}
