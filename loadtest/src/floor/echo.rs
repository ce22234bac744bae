//! How late a bare datagram is on this machine: what a load generator cannot measure more exactly than.
//!
//! A thread returns every datagram at once. Both ends read each arrival twice: by the kernel's stamp, which a busy thread
//! cannot make later, and by the clock after the read, which includes the wake-up.

use std::net::SocketAddr;
use std::thread;

use hdrhistogram::Histogram;

use super::load::{Load, MARK, offer};
use super::packet::Header;
use super::socket::{Room, Socket};
use super::{FloorError, wall_ns};
use crate::report::Distribution;
use crate::worker::microseconds;

/// One delay, read in two ways.
#[derive(Clone, Debug, PartialEq)]
pub struct Readings {
    /// By the kernel's stamp; `None` where it states none.
    pub kernel: Option<Distribution>,
    /// By the clock of the thread that reads; `None` if nothing came.
    pub thread: Option<Distribution>,
}

/// What was measured.
#[derive(Clone, Debug, PartialEq)]
pub struct Echo {
    /// From sending to arrival at the thread that echoes.
    pub one_way: Readings,
    /// From sending to the return of the echo.
    pub round_trip: Readings,
}

/// Sends `load` over loopback to a thread that returns it. Takes the load's duration and 0.3 s, in three threads.
///
/// # Errors
/// [`FloorError`]; also [`FloorError::Overload`] when less than 95 % comes back.
pub fn echo(load: &Load) -> Result<Echo, FloorError> {
    load.check()?;
    let (near, far) = (Socket::open()?, Socket::open()?);
    let bytes = load.packet_bytes(false);
    let mut compose = |header: Header, burst: &mut Vec<u8>| {
        let start = burst.len();
        header.write(burst);
        burst.resize(start + bytes, 7);
        Ok(())
    };
    let (offered, one_way, round_trip) = thread::scope(|scope| {
        let one_way = scope.spawn(|| read(&far, true));
        let round_trip = scope.spawn(|| read(&near, false));
        let offered = offer(load, &near, far.address(), &mut compose, || one_way.is_finished());
        (offered, one_way.join(), round_trip.join())
    });
    let one_way = one_way.map_err(|_| FloorError::Panicked)??;
    let round_trip = round_trip.map_err(|_| FloorError::Panicked)??;
    let (arrived, expected) = (round_trip.thread.len(), offered?);
    if arrived * 100 < expected * 95 {
        return Err(FloorError::Overload { arrived, expected });
    }
    Ok(Echo {
        one_way: one_way.readings(),
        round_trip: round_trip.readings(),
    })
}

struct Delays {
    kernel: Histogram<u64>,
    thread: Histogram<u64>,
}

impl Delays {
    fn readings(&self) -> Readings {
        Readings {
            kernel: Distribution::of_microseconds(&self.kernel),
            thread: Distribution::of_microseconds(&self.thread),
        }
    }
}

/// Reads until the second mark, and returns what comes if `echoing`.
fn read(socket: &Socket, echoing: bool) -> Result<Delays, FloorError> {
    let mut room = Room::new();
    let mut delays = Delays {
        kernel: microseconds(),
        thread: microseconds(),
    };
    let mut marks = 0;
    while marks < 2 {
        let arrival = socket.wait(&mut room)?;
        let now = wall_ns()?;
        if echoing {
            let to: SocketAddr = arrival.from;
            socket.send(to, arrival.bytes, arrival.segment)?;
        }
        if arrival.bytes == MARK {
            marks += 1;
            continue;
        }
        for header in arrival.datagrams().filter_map(Header::read) {
            if !header.measured {
                continue;
            }
            let us = |at: u64| at.saturating_sub(header.sent_ns) / 1_000;
            delays.thread.saturating_record(us(now));
            if let Some(arrived_ns) = arrival.arrived_ns {
                delays.kernel.saturating_record(us(arrived_ns));
            }
        }
    }
    Ok(delays)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn every_datagram_is_read_in_four_ways_and_a_way_back_is_longer() {
        let load = Load {
            burst: 3,
            payload_bytes: 200,
            packets_per_second: 600,
            duration: Duration::from_millis(300),
        };
        let echo = echo(&load).unwrap();
        let kernel = [&echo.one_way, &echo.round_trip].map(|readings| readings.kernel.clone().unwrap());
        let thread = [&echo.one_way, &echo.round_trip].map(|readings| readings.thread.clone().unwrap());
        for seen in [&kernel[1], &thread[0], &thread[1]] {
            assert!(seen.count >= 3 && seen.count == kernel[0].count);
        }
        // Each of these holds packet by packet, so it holds for the extremes.
        assert!(kernel[0].max_ms <= thread[0].max_ms && kernel[1].max_ms <= thread[1].max_ms);
        assert!(kernel[0].min_ms <= kernel[1].min_ms);
    }
}
