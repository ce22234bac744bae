//! The life of one established link: from the end of the handshake to its last event.

use super::event::{CloseReason, DatagramSink, LinkEvent, OpenedLink};
use super::explain::close_reason;
use super::handle::{LinkHandle, MAX_QUEUED_CONTROL, Shared};
use super::tls::PeerNames;
use super::transport::SMALLEST_MTU;
use super::{LinkEstimate, pump, reader, writer};
use bridge_core::mesh::io::{LinkDirection, LinkId};
use quinn::Connection;
use relay_proto::id::NodeId;
use rustls::pki_types::CertificateDer;
use std::sync::{Arc, OnceLock};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};

/// Where a link reports to.
#[derive(Clone)]
pub(super) struct Outlets {
    pub(super) events: mpsc::Sender<LinkEvent>,
    pub(super) sink: Arc<dyn DatagramSink>,
}

/// What a link was, once it is over.
#[derive(Debug)]
pub(super) struct EndedLink {
    /// Who was there, if it said hello.
    pub(super) peer: Option<NodeId>,
    /// Why it ended.
    pub(super) reason: CloseReason,
    /// UDP payload the path took.
    pub(super) mtu: u16,
}

impl EndedLink {
    /// A link whose task has panicked or went down with the runtime.
    pub(super) fn failed(error: &JoinError) -> Self {
        let reason = CloseReason::Lost(format!("the link's task failed: {error}"));
        Self {
            peer: None,
            reason,
            mtu: SMALLEST_MTU,
        }
    }
}

/// Runs a link until it ends.
pub(super) async fn run_link(
    link: LinkId,
    direction: LinkDirection,
    connection: Connection,
    estimate: Arc<LinkEstimate>,
    outlets: Outlets,
) -> EndedLink {
    let names = peer_names(&connection);
    let (control, queue) = mpsc::channel(MAX_QUEUED_CONTROL);
    let shared = Arc::new(Shared {
        link,
        direction,
        connection: connection.clone(),
        estimate,
        control,
        lanes: std::sync::Mutex::default(),
        lanes_filled: tokio::sync::Notify::new(),
        sent: std::sync::Mutex::default(),
        received: std::sync::Mutex::default(),
        refused: std::sync::atomic::AtomicU64::new(0),
        oversized: std::sync::atomic::AtomicU64::new(0),
        padding_bytes: std::sync::atomic::AtomicU64::new(0),
        recovered: std::sync::atomic::AtomicU64::new(0),
        parities: std::sync::atomic::AtomicU64::new(0),
        peer_features: OnceLock::new(),
        close_reason: OnceLock::new(),
    });
    let handle = LinkHandle(shared.clone());
    let peer = Arc::new(OnceLock::new());
    let opened = LinkEvent::Opened(OpenedLink {
        link,
        direction,
        handle: handle.clone(),
    });
    if outlets.events.send(opened).await.is_err() {
        connection.close(quinn::VarInt::from_u32(0), b"stopping");
    }

    let mut parts = JoinSet::new();
    parts.spawn(reader::read_control(
        shared.clone(),
        names,
        peer.clone(),
        outlets.events.clone(),
    ));
    parts.spawn(reader::read_datagrams(
        shared.clone(),
        peer.clone(),
        outlets.events.clone(),
        outlets.sink.clone(),
    ));
    parts.spawn(writer::write_control(shared.clone(), queue));
    parts.spawn(pump::pump(shared.clone(), peer.clone(), outlets.sink));
    parts.spawn(pump::watch_datagram_limit(shared.clone(), outlets.events.clone()));
    let first = first_end(&mut parts, &connection).await;
    shared.close_now(first);
    parts.shutdown().await;

    let reason = shared
        .close_reason
        .get()
        .cloned()
        .expect("invariant: close_now has set a reason");
    let ended = EndedLink {
        peer: peer.get().copied(),
        reason: reason.clone(),
        mtu: handle.mtu(),
    };
    // Where nobody listens any more, the node is stopping.
    let _ = outlets.events.send(LinkEvent::Closed { link, reason }).await;
    ended
}

async fn first_end(parts: &mut JoinSet<CloseReason>, connection: &Connection) -> CloseReason {
    tokio::select! {
        Some(ended) = parts.join_next() => ended.unwrap_or_else(|panic| {
            CloseReason::Lost(format!("a task of the link failed: {panic}"))
        }),
        error = connection.closed() => close_reason(&error),
    }
}

fn peer_names(connection: &Connection) -> PeerNames {
    connection
        .peer_identity()
        .and_then(|identity| identity.downcast::<Vec<CertificateDer<'static>>>().ok())
        .and_then(|chain| chain.first().map(PeerNames::of))
        .unwrap_or_else(PeerNames::none)
}
