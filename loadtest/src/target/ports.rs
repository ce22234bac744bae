//! Free ports on loopback, for programs that are told their ports.
//!
//! They are taken below the range from which the system serves sockets that ask for any port: a node that is down for a
//! while finds its ports free again, whatever clients have opened meanwhile.

use std::fs;
use std::io::{Error, Result};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};

/// Lowest port used.
const FIRST: u16 = 10_240;
/// Tries for a row of free ports.
const TRIES: usize = 256;
/// Where the range begins on a system that does not say.
const USUAL_EPHEMERAL: u16 = 32_768;

/// Ports taken for programs that have not started yet. They are held, so that none is given twice, until this is dropped.
#[derive(Debug, Default)]
pub(super) struct Ports {
    tcp: Vec<TcpListener>,
    udp: Vec<UdpSocket>,
}

impl Ports {
    /// A free TCP port.
    pub(super) fn tcp(&mut self) -> Result<u16> {
        let (port, listener) = search(1, |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)))?;
        self.tcp.push(listener);
        Ok(port)
    }

    /// The first of `count` free UDP ports in a row, whose TCP port is free, too: nodes take media by both.
    pub(super) fn udp_row(&mut self, count: u16) -> Result<u16> {
        let (port, row) = search(count, |port| {
            let row = (port..port + count).map(|port| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)));
            let row = row.collect::<Result<Vec<_>>>()?;
            Ok((TcpListener::bind((Ipv4Addr::LOCALHOST, port))?, row))
        })?;
        let (listener, row) = row;
        self.tcp.push(listener);
        self.udp.extend(row);
        Ok(port)
    }
}

/// Tries random places for `count` ports until `bind` succeeds.
fn search<T>(count: u16, bind: impl Fn(u16) -> Result<T>) -> Result<(u16, T)> {
    let end = ephemeral_begin().saturating_sub(count);
    // Without room below the range its own ports have to do.
    let end = if end > FIRST { end } else { u16::MAX - count };
    let mut last = Error::other("none was tried");
    for _ in 0..TRIES {
        let mut random = [0; 2];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| Error::other("no randomness"))?;
        let port = FIRST + u16::from_be_bytes(random) % (end - FIRST);
        match bind(port) {
            Ok(bound) => return Ok((port, bound)),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn ephemeral_begin() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let begin = range.split_whitespace().next().and_then(|port| port.parse().ok());
    begin.unwrap_or(USUAL_EPHEMERAL)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_port_is_given_twice_and_none_that_a_client_could_take() {
        let mut ports = Ports::default();
        let mut seen = BTreeSet::new();
        for _ in 0..20 {
            let row = ports.udp_row(16).unwrap();
            assert!((row..row + 16).all(|port| seen.insert(port)));
            assert!(ephemeral_begin() <= FIRST + 16 || row + 16 <= ephemeral_begin());
        }
        let port = ports.tcp().unwrap();
        assert!(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_err());
        drop(ports);
        TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
    }

    #[test]
    fn a_row_beside_what_is_taken_is_tried_elsewhere() {
        let tries = std::cell::Cell::new(0);
        let found = search(1, |_| {
            tries.set(tries.get() + 1);
            if tries.get() < 5 {
                Err(Error::other("taken"))
            } else {
                Ok(())
            }
        });
        assert!(found.is_ok() && tries.get() == 5);
        let none = search(1, |_| Err::<(), _>(Error::other("taken")));
        assert_eq!(none.unwrap_err().to_string(), "taken");
    }
}
