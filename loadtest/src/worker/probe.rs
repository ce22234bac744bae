//! How well this worker measures: datagrams to a bare echo, sent and read in the midst of everything else.
//!
//! The echo is a thread that does nothing but send back what it gets, with the kernel's time of arrival and its own time of
//! sending. What is left of a datagram's time there and back without the echo's own pause is what this worker adds to a
//! delay it states: from reading the clock until the kernel has the datagram, and from there to the kernel's stamp at the
//! other end. An idle process needs some tens of microseconds; what is beyond is error.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use nix::poll::{PollFd, PollFlags, poll};

use super::participant::now;
use super::socket::{MediaSocket, ReadBuffer};
use super::tally::microseconds;
use crate::client::Burst;

/// Between two probes.
const INTERVAL: Duration = Duration::from_millis(50);
/// How often the echo looks whether it should end.
const LOOK_EVERY_MS: u16 = 200;
/// A probe is three times (sent, arrived at the echo, sent back; nanoseconds since 1970), padded to the size of a media
/// packet.
const PROBE_BYTES: usize = 1_100;
const TIME_BYTES: usize = 8;

/// The probe of one worker.
pub(super) struct Probe {
    socket: MediaSocket,
    echo: Echo,
    next: Instant,
    delay_us: Histogram<u64>,
}

impl Probe {
    pub(super) fn start() -> io::Result<Self> {
        Ok(Self {
            socket: MediaSocket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST))?,
            echo: Echo::start()?,
            next: Instant::now(),
            delay_us: microseconds(),
        })
    }

    pub(super) fn descriptor(&self) -> &UdpSocket {
        self.socket.descriptor()
    }

    pub(super) fn rest(&self, now: Instant) -> Duration {
        self.next.saturating_duration_since(now)
    }

    pub(super) fn send_due(&mut self, at: Instant) {
        if at < self.next {
            return;
        }
        self.next = at + INTERVAL;
        let mut bytes = vec![0; PROBE_BYTES];
        bytes[..8].copy_from_slice(&now().unix_ns.to_be_bytes());
        self.socket.send(&Burst {
            to: self.echo.address,
            segment_bytes: bytes.len(),
            bytes,
        });
    }

    pub(super) fn receive(&mut self, buffer: &mut ReadBuffer) {
        let delays = &mut self.delay_us;
        self.socket.receive(buffer, |_, arrived, datagram| {
            if let (Some([sent, at_echo, sent_back]), Some(arrived)) = (times(datagram), arrived) {
                let own_ns = at_echo.saturating_sub(sent) + arrived.saturating_sub(sent_back);
                delays.saturating_record(own_ns / 1_000);
            }
        });
    }

    pub(super) fn restart(&mut self) {
        self.delay_us.reset();
    }

    pub(super) fn delay_us(&self) -> &Histogram<u64> {
        &self.delay_us
    }
}

struct Echo {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// The three times at the beginning of a probe.
fn times(datagram: &[u8]) -> Option<[u64; 3]> {
    let mut times = [0; 3];
    for (time, bytes) in times.iter_mut().zip(datagram.chunks_exact(TIME_BYTES)) {
        *time = u64::from_be_bytes(*bytes.first_chunk()?);
    }
    (datagram.len() >= 3 * TIME_BYTES).then_some(times)
}

impl Echo {
    fn start() -> io::Result<Self> {
        let socket = MediaSocket::bind(IpAddr::V4(Ipv4Addr::LOCALHOST))?;
        let address = socket.descriptor().local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("echo".to_owned())
            .spawn(move || send_back(socket, &stopped))?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
    }
}

fn send_back(mut socket: MediaSocket, stopped: &AtomicBool) {
    let mut buffer = ReadBuffer::new();
    while !stopped.load(Ordering::Relaxed) {
        let mut readable = [PollFd::new(socket.descriptor().as_fd(), PollFlags::POLLIN)];
        // Whatever makes it fail: the loop looks again, and ends when it is told to.
        let _ = poll(&mut readable, LOOK_EVERY_MS);
        let mut answers = Vec::new();
        socket.receive(&mut buffer, |from, arrived, datagram| {
            if let (Some(arrived), true) = (arrived, datagram.len() >= 3 * TIME_BYTES) {
                let mut bytes = datagram.to_vec();
                bytes[TIME_BYTES..2 * TIME_BYTES].copy_from_slice(&arrived.to_be_bytes());
                answers.push((from, bytes));
            }
        });
        for (to, mut bytes) in answers {
            bytes[2 * TIME_BYTES..3 * TIME_BYTES].copy_from_slice(&now().unix_ns.to_be_bytes());
            socket.send(&Burst {
                to,
                segment_bytes: bytes.len(),
                bytes,
            });
        }
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_of_the_echo_is_left_out() {
        let mut probe = Probe::start().unwrap();
        let mut buffer = ReadBuffer::new();
        for _ in 0..5 {
            probe.next = Instant::now();
            probe.send_due(Instant::now());
            let before = probe.delay_us.len();
            while probe.delay_us.len() == before {
                let mut readable = [PollFd::new(probe.socket.descriptor().as_fd(), PollFlags::POLLIN)];
                assert!(poll(&mut readable, 10_000_u16).unwrap() > 0, "the echo answers");
                probe.receive(&mut buffer);
            }
        }
        assert_eq!(probe.delay_us().len(), 5);
        let whole = [1_000_u64, 5_000, 905_000].map(u64::to_be_bytes).concat();
        assert_eq!(times(&whole), Some([1_000, 5_000, 905_000]));
        assert_eq!(times(&whole[..20]), None);
    }
}
