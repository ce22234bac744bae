//! Free ports on loopback.

use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, UdpSocket};

/// Tries for a row of free ports.
const TRIES: usize = 64;

/// A free TCP port.
pub(super) fn tcp() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// The first of `count` free UDP ports in a row.
pub(super) fn udp_row(count: u16) -> std::io::Result<u16> {
    let mut last = std::io::Error::other("none was tried");
    for _ in 0..TRIES {
        let first = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        let start = first.local_addr()?.port();
        let Some(end) = start.checked_add(count) else {
            continue;
        };
        let rest: Result<Vec<UdpSocket>, _> = (start + 1..end)
            .map(|port| UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))
            .collect();
        match rest {
            Ok(_) => return Ok(start),
            Err(error) => last = error,
        }
    }
    Err(last)
}
