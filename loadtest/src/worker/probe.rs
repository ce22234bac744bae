//! How well this worker measures: datagrams to a bare echo, sent and read in the midst of everything else.
//!
//! The echo is a thread that does nothing but send back what it gets. A datagram's time there and back, from just before
//! the send to the kernel's time of arrival, holds everything that can falsify a client's delays: a late send, a busy
//! loop, a full queue. An idle process measures the same path in some tens of microseconds; what is beyond is error.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::participant::now;
use super::socket::{MediaSocket, ReadBuffer};
use super::tally::microseconds;
use crate::client::Burst;

/// Between two probes.
const INTERVAL: Duration = Duration::from_millis(50);
/// How often the echo looks whether it should end.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A probe is its time of sending, padded to the size of a media packet.
const PROBE_BYTES: usize = 1_100;

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
            if let (Some(sent), Some(arrived)) = (datagram.first_chunk(), arrived) {
                let there_and_back_ns = arrived.saturating_sub(u64::from_be_bytes(*sent));
                delays.saturating_record(there_and_back_ns / 1_000);
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

impl Echo {
    fn start() -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(LOOK_EVERY))?;
        let address = socket.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::Builder::new().name("echo".to_owned()).spawn(move || {
            let mut bytes = [0; 2_048];
            while !stopped.load(Ordering::Relaxed) {
                if let Ok((len, from)) = socket.recv_from(&mut bytes) {
                    // A lost probe is missed by nobody.
                    let _ = socket.send_to(&bytes[..len], from);
                }
            }
        })?;
        Ok(Self {
            address,
            stop,
            thread: Some(thread),
        })
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
