//! The sockets of a directed link.

use std::net::{SocketAddr, SocketAddrV4, UdpSocket};

use super::open_udp;
use crate::wan::config::{LinkConfig, WanConfig};
use crate::wan::error::WanError;

/// Where one directed link begins and ends.
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
        })
    }
}
