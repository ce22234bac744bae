//! TCP connections of clients (RFC 6544) as addresses, so that everything that knows addresses knows them, too.
//!
//! A connection is written as the peer's address of family IPv6 (RFC 4291 section 2.5.5.2 for IPv4) whose flow label holds
//! its number. No two connections are the same address, not even where a client takes its port again.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

/// Marks the flow label. Labels on the wire have 20 bits (RFC 8200 section 3), so no datagram's sender looks like this.
const MARK: u32 = 1 << 31;

/// Number of a TCP connection, never given again before 2^31 others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TcpId(u32);

impl TcpId {
    /// The id with a number; its highest bit is ignored.
    #[must_use]
    pub const fn new(number: u32) -> Self {
        Self(number & !MARK)
    }

    /// How the connection with `peer` is written.
    #[must_use]
    pub const fn address(self, peer: SocketAddr) -> SocketAddr {
        let (ip, scope) = match peer {
            SocketAddr::V4(v4) => (v4.ip().to_ipv6_mapped(), 0),
            SocketAddr::V6(v6) => (*v6.ip(), v6.scope_id()),
        };
        SocketAddr::V6(SocketAddrV6::new(ip, peer.port(), MARK | self.0, scope))
    }

    /// The connection an address stands for; none for that of a datagram. Hot path: two comparisons.
    #[must_use]
    pub const fn of(address: SocketAddr) -> Option<Self> {
        match address {
            SocketAddr::V6(v6) if v6.flowinfo() & MARK != 0 => Some(Self(v6.flowinfo() & !MARK)),
            _ => None,
        }
    }
}

/// Headers of IP and UDP (RFC 791, RFC 8200, RFC 768).
const UDP_IPV4_BYTES: usize = 28;
const UDP_IPV6_BYTES: usize = 48;
/// Headers of IP and TCP with timestamps (RFC 7323), and the length before each packet (RFC 4571), where every packet has
/// a segment of its own.
const TCP_IPV4_BYTES: usize = 20 + 32 + 2;
const TCP_IPV6_BYTES: usize = 40 + 32 + 2;

/// Bytes a packet to `address` takes on the wire besides its own.
pub(super) fn below_bytes(address: SocketAddr) -> usize {
    let is_tcp = TcpId::of(address).is_some();
    match (is_tcp, address.ip().to_canonical()) {
        (false, IpAddr::V4(_)) => UDP_IPV4_BYTES,
        (false, IpAddr::V6(_)) => UDP_IPV6_BYTES,
        (true, IpAddr::V4(_)) => TCP_IPV4_BYTES,
        (true, IpAddr::V6(_)) => TCP_IPV6_BYTES,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_its_connection_and_who_is_there() {
        for peer in ["192.0.2.1:1000", "[2001:db8::1]:1000"] {
            let peer: SocketAddr = peer.parse().unwrap();
            let [one, other] = [0, u32::MAX].map(TcpId::new);
            assert_eq!(TcpId::of(peer), None);
            for id in [one, other] {
                let address = id.address(peer);
                assert_eq!(TcpId::of(address), Some(id));
                assert_eq!(
                    (address.ip().to_canonical(), address.port()),
                    (peer.ip(), peer.port())
                );
            }
            assert_ne!(one.address(peer), other.address(peer));
            assert_eq!(below_bytes(one.address(peer)), below_bytes(peer) + 26);
        }
    }
}
