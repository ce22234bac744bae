//! Which shards a datagram is for, and which link leads to a node. Written by the control task, read by links and
//! shards.

use super::inbox::ShardInbox;
use super::passing::PassingShard;
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

    fn feed(&self, shards: Option<&[ShardId]>, from: NodeId, datagram: Bytes) {
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
}

impl DatagramSink for TrackRoutes {
    /// Cost: one look-up for each row of datagrams of the same track, under a lock that is only ever written when tracks or
    /// wishes change.
    fn deliver(&self, from: NodeId, batch: &mut Vec<(Header, Bytes)>) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let (mut passing, mut found) = (None, None);
        for (header, datagram) in batch.drain(..) {
            let key = (header.origin, header.track);
            let shards = match found {
                Some((of, shards)) if of == key => shards,
                _ => routes.get(&key).map(Vec::as_slice),
            };
            found = Some((key, shards));
            match (shards, &self.passing) {
                (Some([ShardId::PASSING]), Some(shard)) => passing
                    .get_or_insert_with(|| shard.begin())
                    .pass(from, &header, &datagram),
                _ => self.feed(shards, from, datagram),
            }
        }
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

/// What a batch of a shard leaves for links.
#[derive(Debug, Default)]
pub(super) struct Departures {
    /// Datagrams for nodes without a link.
    pub(super) unlinked: u64,
    /// By peer; all empty between two batches, and one for each linked peer that anything was for.
    waiting: Vec<(NodeId, Vec<RelayTransmit>)>,
}

impl Departures {
    /// Puts a datagram with those for the same next hop. [`Self::send`] follows.
    pub(super) fn hand_over(&mut self, transmit: RelayTransmit) {
        let known = self.waiting.iter().position(|(via, _)| *via == transmit.via);
        let at = known.unwrap_or_else(|| {
            self.waiting.push((transmit.via, Vec::new()));
            self.waiting.len() - 1
        });
        self.waiting[at].1.push(transmit);
    }

    /// Gives each link what is for it, all at once: a queue is locked and a link woken once per batch. What is for a node
    /// without a link is gone, as on a cut cable.
    pub(super) fn send(&mut self, now: Instant, links: &LinkTable) {
        if self.waiting.iter().all(|(_, waiting)| waiting.is_empty()) {
            return;
        }
        let links = links.current();
        self.waiting.retain_mut(|(via, waiting)| {
            match links.get(via) {
                Some(link) if !waiting.is_empty() => link.send_all(now, waiting),
                Some(_) => {}
                None => self.unlinked += waiting.len() as u64,
            }
            links.contains_key(via)
        });
    }
}
