//! Which address is the client's: the peer's, or what trusted proxies say.

use geo::cidr::Cidr;
use std::net::{IpAddr, SocketAddr};

#[cfg(test)]
mod tests;

/// Forwarded entries looked at; more than any honest chain of proxies has.
const MAX_HOPS: usize = 32;

/// The client's address: `peer`, unless it is a trusted proxy. Then the right-most entry of `forwarded_for` (the values
/// of all `X-Forwarded-For` headers in order) that is not itself a trusted proxy.
///
/// An entry that is no address ends the search: what stands left of it was written by nobody who is trusted, so the
/// proxy right of it counts as the client.
#[must_use]
pub fn client_address<'a>(
    peer: IpAddr,
    forwarded_for: impl DoubleEndedIterator<Item = &'a str>,
    trusted: &[Cidr],
) -> IpAddr {
    let is_trusted = |address: IpAddr| trusted.iter().any(|net| net.contains(address));
    let mut client = peer.to_canonical();
    if !is_trusted(client) {
        return client;
    }
    let entries = forwarded_for.rev().flat_map(|header| header.rsplit(','));
    for entry in entries.take(MAX_HOPS) {
        let Some(address) = parsed(entry) else { break };
        client = address;
        if !is_trusted(client) {
            break;
        }
    }
    client
}

/// An address with or without port and brackets.
fn parsed(entry: &str) -> Option<IpAddr> {
    let entry = entry.trim();
    let bare = entry.trim_start_matches('[').trim_end_matches(']');
    let address = bare.parse::<IpAddr>().ok();
    let with_port = || entry.parse::<SocketAddr>().ok().map(|socket| socket.ip());
    address.or_else(with_port).map(|address| address.to_canonical())
}
