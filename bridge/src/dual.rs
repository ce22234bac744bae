//! Sockets on `[::]` that take IPv4 too, whatever the system's default is, and one form for every address.
//!
//! Such a socket shows an IPv4 address as a mapped one (RFC 4291 section 2.5.5.2). Nothing behind the sockets ever sees
//! that form: a client is one client, by whichever socket it comes.

use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, listen, setsockopt, socket, sockopt,
};
use std::io;
use std::net::{SocketAddr, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, OwnedFd};

/// Connections that wait to be accepted, as the standard library has it.
const BACKLOG: i32 = 128;

/// A UDP socket bound to `address`.
///
/// # Errors
/// Whatever the system says about the address.
pub(crate) fn udp(address: SocketAddr) -> io::Result<UdpSocket> {
    if address.is_ipv4() {
        return UdpSocket::bind(address);
    }
    let socket = unbound(SockType::Datagram)?;
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(socket.into())
}

/// A TCP listener bound to `address`, non-blocking.
///
/// # Errors
/// Whatever the system says about the address.
pub(crate) fn tcp(address: SocketAddr) -> io::Result<TcpListener> {
    let listener = if address.is_ipv4() {
        TcpListener::bind(address)?
    } else {
        let socket = unbound(SockType::Stream)?;
        // As the standard library does: a restarted node gets its port again.
        setsockopt(&socket, sockopt::ReuseAddr, &true)?;
        bind(socket.as_raw_fd(), &SockaddrStorage::from(address))?;
        listen(&socket, Backlog::new(BACKLOG)?)?;
        socket.into()
    };
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A socket of family IPv6 that takes IPv4 too.
fn unbound(kind: SockType) -> io::Result<OwnedFd> {
    let socket = socket(AddressFamily::Inet6, kind, SockFlag::SOCK_CLOEXEC, None)?;
    setsockopt(&socket, sockopt::Ipv6V6Only, &false)?;
    Ok(socket)
}

/// `address` as a socket of family IPv6 takes it. Hot path: no branch but the family.
#[must_use]
pub(crate) const fn mapped(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) => SocketAddr::V6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)),
        SocketAddr::V6(_) => address,
    }
}

/// `address` in the form everything else in the node knows: a mapped one as the IPv4 address it is, no flow label.
#[must_use]
pub(crate) const fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => SocketAddr::new(std::net::IpAddr::V4(v4), v6.port()),
            None => SocketAddr::V6(SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id())),
        },
        SocketAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_form() {
        for (shown, known) in [
            ("[::ffff:192.0.2.1]:7", "192.0.2.1:7"),
            ("192.0.2.1:7", "192.0.2.1:7"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
        ] {
            let shown: SocketAddr = shown.parse().unwrap();
            let known: SocketAddr = known.parse().unwrap();
            assert_eq!(canonical(shown), known);
            assert_eq!(canonical(mapped(known)), known);
        }
        let flowing = SocketAddrV6::new("2001:db8::1".parse().unwrap(), 7, 99, 0);
        assert_eq!(canonical(flowing.into()), "[2001:db8::1]:7".parse().unwrap());
    }

    #[test]
    fn a_listener_on_the_ipv6_wildcard_takes_both_families() {
        let listener = tcp("[::]:0".parse().unwrap()).unwrap();
        listener.set_nonblocking(false).unwrap();
        let port = listener.local_addr().unwrap().port();
        for local in ["127.0.0.1", "::1"] {
            let client = std::net::TcpStream::connect((local, port)).unwrap();
            let (_, from) = listener.accept().unwrap();
            assert_eq!(canonical(from), client.local_addr().unwrap());
        }
    }
}
