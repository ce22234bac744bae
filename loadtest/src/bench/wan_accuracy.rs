//! How late the emulator delivers, beside how late this machine wakes a sleeping thread.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::wan::relay::enlarge_buffers;
use crate::wan::{LinkProperties, Wan, WanConfig, WanError};

const DATAGRAM_BYTES: usize = 1_200;
const TICK: Duration = Duration::from_millis(1);

/// What to measure.
#[derive(Debug, Clone, Copy)]
pub struct AccuracyPlan {
    /// One-way delay of the emulated link.
    pub delay: Duration,
    /// Datagrams of 1,200 bytes per second, sent in bursts each millisecond.
    pub datagrams_per_second: u32,
    /// How long to send.
    pub duration: Duration,
}

/// How late things happened, beyond what was asked for.
#[derive(Debug, Clone, Copy)]
pub struct Lateness {
    /// Half were not later.
    pub p50: Duration,
    /// 99 % were not later.
    pub p99: Duration,
    /// The latest.
    pub max: Duration,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Accuracy {
    /// The plan.
    pub plan: AccuracyPlan,
    /// Datagrams sent.
    pub sent: u64,
    /// Datagrams the emulator delivered.
    pub delivered: u64,
    /// Datagrams received.
    pub received: u64,
    /// Datagrams that arrived after one sent later.
    pub reordered: u64,
    /// Arrival after the nominal delay, as the receiving program sees it: its own wake-up is included.
    pub link: Lateness,
    /// Wake-ups of a thread that slept for a millisecond, during the same run.
    pub floor: Lateness,
}

/// Sends through an emulator with one delay and measures when it arrives.
///
/// # Errors
/// [`WanError`] if sockets or threads are refused.
pub fn measure(plan: AccuracyPlan) -> Result<Accuracy, WanError> {
    let receiver = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    enlarge_buffers(&receiver)?;
    receiver.set_read_timeout(Some(plan.delay + Duration::from_secs(1)))?;
    let delayed = LinkProperties {
        delay: plan.delay,
        ..LinkProperties::default()
    };
    let config = WanConfig::dialled(
        ("near", "far"),
        v4_addr(&receiver)?,
        delayed,
        LinkProperties::default(),
    );
    let wan = Wan::start(&config, None)?;
    let entry = wan.listen_addr("near", "far").ok_or(WanError::Stopped)?;
    let epoch = Instant::now();
    let sending = AtomicBool::new(true);

    let (sent, arrivals, wake_ups) = thread::scope(|scope| {
        let floor = scope.spawn(|| sleep_while(&sending));
        let arrivals = scope.spawn(|| receive_all(&receiver, epoch, plan.delay));
        let sent = send_all(entry, epoch, plan);
        sending.store(false, Ordering::Relaxed);
        (sent, arrivals.join(), floor.join())
    });
    let ended = |_| WanError::Stopped;
    let arrivals = arrivals.map_err(ended)??;
    let wan_stats = wan.finish()?;
    Ok(Accuracy {
        plan,
        sent: sent?,
        delivered: wan_stats
            .link("near", "far")
            .map_or(0, |link| link.delivered.datagrams),
        received: arrivals.lateness.len() as u64,
        reordered: arrivals.reordered,
        link: Lateness::of(arrivals.lateness),
        floor: Lateness::of(wake_ups.map_err(ended)?),
    })
}

fn v4_addr(socket: &UdpSocket) -> io::Result<SocketAddrV4> {
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(ErrorKind::AddrNotAvailable.into()),
    }
}

fn send_all(entry: SocketAddrV4, epoch: Instant, plan: AccuracyPlan) -> io::Result<u64> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let start = Instant::now();
    let mut sent = 0_u64;
    let mut datagram = [0; DATAGRAM_BYTES];
    while start.elapsed() < plan.duration {
        let owed = (start.elapsed().as_secs_f64() * f64::from(plan.datagrams_per_second)) as u64;
        for number in sent..owed {
            let sent_at = epoch.elapsed().as_nanos() as u64;
            datagram[..8].copy_from_slice(&number.to_be_bytes());
            datagram[8..16].copy_from_slice(&sent_at.to_be_bytes());
            socket.send_to(&datagram, entry)?;
        }
        sent = sent.max(owed);
        thread::sleep(TICK);
    }
    Ok(sent)
}

struct Arrivals {
    lateness: Vec<Duration>,
    reordered: u64,
}

/// Receives until nothing comes for a second longer than the delay.
fn receive_all(socket: &UdpSocket, epoch: Instant, delay: Duration) -> io::Result<Arrivals> {
    let mut arrivals = Arrivals {
        lateness: Vec::new(),
        reordered: 0,
    };
    let mut datagram = [0; DATAGRAM_BYTES];
    let mut expected = 0;
    loop {
        match socket.recv(&mut datagram) {
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Ok(arrivals);
            }
            Err(error) => return Err(error),
        }
        let now = epoch.elapsed();
        let number = read_u64(&datagram[..8]);
        let sent_at = Duration::from_nanos(read_u64(&datagram[8..16]));
        arrivals.lateness.push(now.saturating_sub(sent_at + delay));
        arrivals.reordered += u64::from(number < expected);
        expected = expected.max(number + 1);
    }
}

fn read_u64(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn sleep_while(sending: &AtomicBool) -> Vec<Duration> {
    let mut lateness = Vec::new();
    while sending.load(Ordering::Relaxed) {
        let before = Instant::now();
        thread::sleep(TICK);
        lateness.push(before.elapsed().saturating_sub(TICK));
    }
    lateness
}

impl Lateness {
    fn of(mut samples: Vec<Duration>) -> Self {
        samples.sort_unstable();
        let at = |share: f64| {
            let index = (samples.len() as f64 * share) as usize;
            samples
                .get(index.min(samples.len().saturating_sub(1)))
                .copied()
                .unwrap_or_default()
        };
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

impl fmt::Display for Lateness {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |duration: Duration| duration.as_secs_f64() * 1e3;
        let (p50, p99, max) = (
            milliseconds(self.p50),
            milliseconds(self.p99),
            milliseconds(self.max),
        );
        write!(formatter, "p50 {p50:.3} ms, p99 {p99:.3} ms, max {max:.3} ms")
    }
}

impl fmt::Display for Accuracy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AccuracyPlan {
            delay,
            datagrams_per_second,
            duration,
        } = self.plan;
        writeln!(
            formatter,
            "one-way delay {delay:?}, {datagrams_per_second} datagrams/s for {duration:?}"
        )?;
        writeln!(
            formatter,
            "sent {}, delivered {}, received {}, reordered {}",
            self.sent, self.delivered, self.received, self.reordered
        )?;
        writeln!(formatter, "lateness of the link:        {}", self.link)?;
        write!(formatter, "floor (1 ms sleep wakes up): {}", self.floor)
    }
}
