//! Where connections come in.

use super::admission::Admission;
use super::connection;
use super::counters::TcpCounters;
use super::limits::TcpLimits;
use crate::dual;
use crate::shard::ShardInbox;
use axum::serve::Listener;
use bridge_core::rtc::TcpId;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpListener, TcpStream};

/// Media over TCP of one node.
#[derive(Debug)]
pub struct TcpMedia {
    pub(super) limits: TcpLimits,
    pub(super) counters: Arc<TcpCounters>,
    pub(super) inboxes: Vec<ShardInbox>,
    admission: Arc<Admission>,
    next_id: AtomicU32,
}

impl TcpMedia {
    /// For the shards with these inboxes, in order.
    #[must_use]
    pub fn new(limits: TcpLimits, inboxes: Vec<ShardInbox>) -> Arc<Self> {
        let counters = Arc::<TcpCounters>::default();
        Arc::new(Self {
            admission: Admission::new(limits, counters.clone()),
            limits,
            counters,
            inboxes,
            next_id: AtomicU32::new(0),
        })
    }

    /// What has become of connections.
    #[must_use]
    pub fn counters(&self) -> Arc<TcpCounters> {
        self.counters.clone()
    }

    /// Accepts connections for ever; waits where the system has no descriptors left, as the HTTP listeners do.
    pub async fn accept_all(self: Arc<Self>, mut listener: TcpListener) {
        loop {
            let (stream, from) = Listener::accept(&mut listener).await;
            self.take(stream, dual::canonical(from));
        }
    }

    /// Serves a connection in a task of its own, or closes it where there are too many.
    pub fn take(self: &Arc<Self>, stream: TcpStream, peer: SocketAddr) {
        if let Some(place) = self.admission.admit(peer.ip()) {
            let media = self.clone();
            tokio::spawn(async move { connection::serve(&media, stream, peer, place).await });
        }
    }

    pub(super) fn next_id(&self) -> TcpId {
        TcpId::new(self.next_id.fetch_add(1, Ordering::Relaxed))
    }
}
