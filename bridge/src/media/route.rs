//! Who gets a datagram: the shard behind a track, and the link behind a peer. Written by the mesh task, read by the
//! link readers and the shards.

use super::inbox::Inbox;
use crate::link::lanes::Lane;
use crate::link::{DatagramSink, LinkHandle};
use bridge_core::relay::egress::RelayTransmit;
use bridge_core::shard::io::ShardId;
use bytes::Bytes;
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, TrackAlias};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};
use std::time::Instant;

/// Which shard has a track.
#[derive(Debug)]
pub struct TrackTable {
    inboxes: Vec<Inbox>,
    shards: RwLock<HashMap<(NodeId, TrackAlias), ShardId>>,
    unknown: AtomicU64,
}

impl TrackTable {
    /// An empty table over the shards' inboxes, in order of their ids.
    #[must_use]
    pub fn new(inboxes: Vec<Inbox>) -> Self {
        Self {
            inboxes,
            shards: RwLock::default(),
            unknown: AtomicU64::new(0),
        }
    }

    /// Sets or clears the shard of a track.
    pub fn route(&self, origin: NodeId, track: TrackAlias, shard: Option<ShardId>) {
        let mut shards = self.shards.write().unwrap_or_else(PoisonError::into_inner);
        match shard {
            Some(shard) => shards.insert((origin, track), shard),
            None => shards.remove(&(origin, track)),
        };
    }

    /// Datagrams of tracks nobody here has; a few are normal around joins and leaves.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown.load(Ordering::Relaxed)
    }
}

impl DatagramSink for TrackTable {
    fn deliver(&self, from: NodeId, header: &Header, datagram: Bytes) {
        let key = (header.origin, header.track);
        let shard = self
            .shards
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
            .copied();
        match shard.and_then(|shard| self.inboxes.get(usize::from(shard.0))) {
            Some(inbox) => inbox.datagram(from, datagram),
            None => {
                self.unknown.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Which link leads to a peer.
#[derive(Debug, Default)]
pub struct LinkTable {
    links: RwLock<HashMap<NodeId, LinkHandle>>,
    unroutable: AtomicU64,
}

impl LinkTable {
    /// Sets or clears the link of a peer.
    pub fn select(&self, peer: NodeId, link: Option<LinkHandle>) {
        let mut links = self.links.write().unwrap_or_else(PoisonError::into_inner);
        match link {
            Some(link) => links.insert(peer, link),
            None => links.remove(&peer),
        };
    }

    /// Puts a shard's datagram on the lane it belongs to; drops and counts it where the peer has no link.
    pub fn send(&self, now: Instant, transmit: RelayTransmit) {
        let links = self.links.read().unwrap_or_else(PoisonError::into_inner);
        match links.get(&transmit.via) {
            Some(link) => {
                let lane = if transmit.audio { Lane::Audio } else { Lane::Video };
                link.send_datagram(now, lane, transmit.bytes);
            }
            None => {
                self.unroutable.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Datagrams for peers without a link.
    #[must_use]
    pub fn unroutable(&self) -> u64 {
        self.unroutable.load(Ordering::Relaxed)
    }
}
