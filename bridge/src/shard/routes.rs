//! Which shards a datagram is for, and which link leads to a node. Written by the control task, read by links and
//! shards.

use super::inbox::ShardInbox;
use super::passing::PassingShard;
use crate::link::lanes::Lane;
use crate::link::{DatagramSink, LinkHandle};
use bridge_core::relay::egress::RelayTransmit;
use bridge_core::shard::io::ShardId;
use bytes::Bytes;
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, TrackAlias};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

/// First number of the datagram kinds that are feedback: small, and worth more than any packet of media.
const FIRST_FEEDBACK_KIND: u8 = 2;

/// The shards of each track, by origin and alias.
#[derive(Debug)]
pub struct TrackRoutes {
    shards: Vec<ShardInbox>,
    passing: Option<Arc<PassingShard>>,
    routes: RwLock<HashMap<(NodeId, TrackAlias), Vec<ShardId>>>,
    unrouted: AtomicU64,
}

impl TrackRoutes {
    /// No routes yet, for shards 0 to n in order.
    #[must_use]
    pub fn new(shards: Vec<ShardInbox>) -> Self {
        Self {
            shards,
            passing: None,
            routes: RwLock::default(),
            unrouted: AtomicU64::new(0),
        }
    }

    /// The same with a shard of tracks that only pass through.
    #[must_use]
    pub fn with_passing(self, shard: Arc<PassingShard>) -> Self {
        Self {
            passing: Some(shard),
            ..self
        }
    }

    /// Routes a track, or forgets it where no shard is named.
    pub fn set(&self, origin: NodeId, track: TrackAlias, shards: Vec<ShardId>) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        if shards.is_empty() {
            routes.remove(&(origin, track));
        } else {
            routes.insert((origin, track), shards);
        }
    }

    /// Datagrams dropped because nobody here knows them: their track has just ended, or not begun.
    #[must_use]
    pub fn unrouted(&self) -> u64 {
        self.unrouted.load(Ordering::Relaxed)
    }

    /// Datagrams dropped because shards did not keep up.
    #[must_use]
    pub fn overflowed(&self) -> u64 {
        self.shards.iter().map(ShardInbox::dropped).sum()
    }
}

impl DatagramSink for TrackRoutes {
    /// Cost: one look-up under a lock that is only ever written when tracks or wishes change.
    fn deliver(&self, from: NodeId, header: &Header, datagram: Bytes) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let shards = routes.get(&(header.origin, header.track));
        if let (Some([ShardId::PASSING]), Some(passing)) = (shards.map(Vec::as_slice), &self.passing) {
            return passing.pass(from, &datagram);
        }
        let mut wanting = shards
            .into_iter()
            .flatten()
            .filter_map(|id| self.shards.get(usize::from(id.0)));
        let Some(first) = wanting.next() else {
            self.unrouted.fetch_add(1, Ordering::Relaxed);
            return;
        };
        for other in wanting {
            other.feed(from, datagram.clone());
        }
        first.feed(from, datagram);
    }

    fn flush(&self) {
        if let Some(passing) = &self.passing {
            passing.flush();
        }
        self.shards.iter().for_each(ShardInbox::ring_if_fed);
    }
}

/// The link in use to each peer.
#[derive(Clone, Debug, Default)]
pub struct LinkTable(Arc<RwLock<Arc<BTreeMap<NodeId, LinkHandle>>>>);

impl LinkTable {
    /// Puts `link` in use for `peer`, or none.
    pub fn select(&self, peer: NodeId, link: Option<LinkHandle>) {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let links = Arc::make_mut(&mut table);
        match link {
            Some(link) => links.insert(peer, link),
            None => links.remove(&peer),
        };
    }

    /// The table as it stands. Cost: one pointer copy under a lock.
    #[must_use]
    pub fn current(&self) -> Arc<BTreeMap<NodeId, LinkHandle>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What a batch of a shard leaves on links.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Datagrams for nodes without a link.
    pub(super) unlinked: u64,
    /// Peers whose links hold something that they have not been woken for; empty between two batches.
    fed: Vec<NodeId>,
}

impl Departures {
    /// Queues a datagram on the link of its next hop; without one it is gone, as on a cut cable. [`Self::wake`] follows.
    pub(super) fn hand_over(
        &mut self,
        links: &BTreeMap<NodeId, LinkHandle>,
        now: Instant,
        transmit: RelayTransmit,
    ) {
        let Some(link) = links.get(&transmit.via) else {
            self.unlinked += 1;
            return;
        };
        if transmit.audio || is_feedback(&transmit.bytes) {
            link.queue_datagram(now, Lane::Audio, transmit.bytes);
        } else {
            link.queue_picture(now, transmit.class, transmit.bytes);
        }
        if !self.fed.contains(&transmit.via) {
            self.fed.push(transmit.via);
        }
    }

    /// Wakes each link that was fed, once.
    pub(super) fn wake(&mut self, links: &BTreeMap<NodeId, LinkHandle>) {
        for link in self.fed.drain(..).filter_map(|peer| links.get(&peer)) {
            link.wake();
        }
    }
}

fn is_feedback(datagram: &[u8]) -> bool {
    datagram
        .first()
        .is_some_and(|byte| byte & 0x0f >= FIRST_FEEDBACK_KIND)
}
