//! A directed link with its socket and counters.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};

use super::{WanError, open_udp};
use crate::wan::config::{LinkConfig, WanConfig};
use crate::wan::model::Link;
use crate::wan::stats::LinkStats;

/// One directed link of the running emulator.
pub(super) struct Pair {
    pub(super) from: String,
    pub(super) to: String,
    /// Where the sending node sends to, with the port really taken.
    pub(super) listen: SocketAddrV4,
    /// Where the receiving node listens.
    pub(super) forward_to: SocketAddrV4,
    pub(super) socket: UdpSocket,
    /// Index of the link of the other direction.
    pub(super) opposite: usize,
    pub(super) link: Link,
    /// How often the link was cut; datagrams that set out before a cut are lost to it.
    pub(super) cuts: u32,
    pub(super) stats: LinkStats,
}

impl Pair {
    /// Opens the sockets of all links, in the order of the configuration.
    pub(super) fn open_all(config: &WanConfig) -> Result<Vec<Self>, WanError> {
        config.links.iter().map(|link| Self::open(link, config)).collect()
    }

    fn open(link: &LinkConfig, config: &WanConfig) -> Result<Self, WanError> {
        let bind_error = |source| WanError::Bind {
            purpose: format!("link {} > {}", link.from, link.to),
            address: link.listen,
            source,
        };
        let is_opposite = |other: &LinkConfig| other.from == link.to && other.to == link.from;
        let opposite = config.links.iter().position(is_opposite);
        let socket = open_udp(link.listen).map_err(bind_error)?;
        let listen = match socket.local_addr().map_err(bind_error)? {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(_) => link.listen,
        };
        Ok(Self {
            from: link.from.clone(),
            to: link.to.clone(),
            listen,
            forward_to: link.forward_to,
            socket,
            opposite: opposite.expect("invariant: a checked configuration has both directions"),
            link: Link::new(link.properties.clone(), seed_of(link, config.seed)),
            cuts: 0,
            stats: LinkStats {
                from: link.from.clone(),
                to: link.to.clone(),
                ..LinkStats::default()
            },
        })
    }

    /// Loses everything from now on, also what is under way.
    pub(super) fn cut(&mut self) {
        self.cuts = self.cuts.wrapping_add(1);
        self.stats.cut = true;
    }

    /// Carries again.
    pub(super) fn heal(&mut self) {
        self.stats.cut = false;
    }
}

/// A seed per link that depends on its name alone, so that adding a link leaves the others' losses as they
/// were (FNV-1a over the names).
fn seed_of(link: &LinkConfig, seed: u64) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    let bytes = link.from.bytes().chain([b'>']).chain(link.to.bytes());
    bytes.fold(BASIS ^ seed, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(PRIME)
    })
}
