//! How late the emulator delivers, beside how late this machine wakes a sleeping thread.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::wan::relay::enlarge_buffers;
use crate::wan::{LinkProperties, Namespaces, NamespacesConfig, NamespacesError, Wan, WanConfig, WanError};

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
    /// Between the first and the last arrival.
    pub received_per_second: f64,
    /// Datagrams that arrived after one sent later.
    pub reordered: u64,
    /// Arrival after the nominal delay, as the receiving program sees it: its own wake-up is included.
    pub link: Lateness,
    /// Wake-ups of a thread that slept for a millisecond, during the same run.
    pub floor: Lateness,
}

/// Sends through the relay with one delay and measures when it arrives.
///
/// # Errors
/// [`WanError`] if sockets or threads are refused.
pub fn measure(plan: AccuracyPlan) -> Result<Accuracy, WanError> {
    let receiver = open(Ipv4Addr::LOCALHOST)?;
    let config = WanConfig::dialled(
        ("near", "far"),
        v4_addr(&receiver)?,
        plan.link(),
        LinkProperties::default(),
    );
    let wan = Wan::start(&config, None)?;
    let entry = wan.listen_addr("near", "far").ok_or(WanError::Stopped)?;
    let path = Path {
        sender: open(Ipv4Addr::LOCALHOST)?,
        entry,
        receiver,
    };
    let accuracy = path.measure(plan)?;
    let delivered = wan.finish()?;
    Ok(Accuracy {
        delivered: delivered
            .link("near", "far")
            .map_or(0, |link| link.delivered.datagrams),
        ..accuracy
    })
}

/// The same between two regions that are network namespaces.
///
/// # Errors
/// [`NamespacesError`] if namespaces, sockets or threads are refused.
pub fn measure_between_namespaces(plan: AccuracyPlan) -> Result<Accuracy, NamespacesError> {
    let namespaces = two_regions(&plan.link())?;
    let accuracy = between_regions(&namespaces)?.measure(plan)?;
    let delivered = namespaces.finish()?;
    Ok(Accuracy {
        delivered: delivered
            .link("near", "far")
            .map_or(0, |link| link.delivered.datagrams),
        ..accuracy
    })
}

/// How many packets of 1,200 bytes a second pass between namespaces.
#[derive(Debug, Clone, Copy)]
pub struct Throughput {
    /// Arrivals per second at the highest rate tried at which at least 99.9 % arrived.
    pub lossless_per_second: f64,
    /// Arrivals per second when sent as fast as one thread can.
    pub fastest_per_second: f64,
    /// The same over loopback, without an emulator. With a core to spare the emulator can come out ahead: it takes
    /// the work of receiving off the sender.
    pub floor_per_second: f64,
}

/// Sends faster and faster through two regions with this delay until packets are missing. Takes about 15 s.
///
/// # Errors
/// As [`measure_between_namespaces`].
pub fn measure_throughput(delay: Duration) -> Result<Throughput, NamespacesError> {
    const RATES: [u32; 11] = [
        20_000, 30_000, 40_000, 50_000, 60_000, 80_000, 100_000, 120_000, 150_000, 180_000, 220_000,
    ];
    const AS_FAST_AS_IT_CAN: u32 = 10_000_000;
    let plan = |delay, datagrams_per_second| AccuracyPlan {
        delay,
        datagrams_per_second,
        duration: Duration::from_secs(1),
    };
    let namespaces = two_regions(&plan(delay, 0).link())?;
    let mut lossless_per_second = 0.0;
    for rate in RATES {
        let passed = between_regions(&namespaces)?.measure(plan(delay, rate))?;
        if passed.received * 1_000 < passed.sent * 999 {
            break;
        }
        lossless_per_second = passed.received_per_second;
    }
    let fastest = between_regions(&namespaces)?.measure(plan(delay, AS_FAST_AS_IT_CAN))?;
    namespaces.finish()?;
    let receiver = open(Ipv4Addr::LOCALHOST)?;
    let loopback = Path {
        entry: v4_addr(&receiver)?,
        sender: open(Ipv4Addr::LOCALHOST)?,
        receiver,
    };
    let floor = loopback.measure(plan(Duration::ZERO, AS_FAST_AS_IT_CAN))?;
    Ok(Throughput {
        lossless_per_second,
        fastest_per_second: fastest.received_per_second,
        floor_per_second: floor.received_per_second,
    })
}

impl AccuracyPlan {
    fn link(&self) -> LinkProperties {
        LinkProperties {
            delay: self.delay,
            ..LinkProperties::default()
        }
    }
}

fn two_regions(link: &LinkProperties) -> Result<Namespaces, NamespacesError> {
    Namespaces::create(&NamespacesConfig::pair("cw-accuracy", ("near", "far"), link))
}

fn between_regions(namespaces: &Namespaces) -> Result<Path, NamespacesError> {
    let socket_in = |region| -> Result<UdpSocket, NamespacesError> {
        let address = namespaces.address_of(region)?;
        Ok(namespaces.inside(region, || open(address))??)
    };
    let receiver = socket_in("far")?;
    Ok(Path {
        sender: socket_in("near")?,
        entry: v4_addr(&receiver)?,
        receiver,
    })
}

fn open(address: Ipv4Addr) -> Result<UdpSocket, WanError> {
    let socket = UdpSocket::bind((address, 0))?;
    enlarge_buffers(&socket)?;
    Ok(socket)
}

/// What datagrams travel: from one socket to an address, and on to another socket.
struct Path {
    sender: UdpSocket,
    entry: SocketAddrV4,
    receiver: UdpSocket,
}

impl Path {
    /// Everything but what the emulator itself counted.
    fn measure(&self, plan: AccuracyPlan) -> Result<Accuracy, WanError> {
        self.receiver
            .set_read_timeout(Some(plan.delay + Duration::from_secs(1)))?;
        let epoch = Instant::now();
        let sending = AtomicBool::new(true);
        let (sent, arrivals, wake_ups) = thread::scope(|scope| {
            let floor = scope.spawn(|| sleep_while(&sending));
            let arrivals = scope.spawn(|| receive_all(&self.receiver, epoch, plan.delay));
            let sent = send_all(&self.sender, self.entry, epoch, plan);
            sending.store(false, Ordering::Relaxed);
            (sent, arrivals.join(), floor.join())
        });
        let ended = |_| WanError::Stopped;
        let arrivals = arrivals.map_err(ended)??;
        let received = arrivals.lateness.len() as u64;
        Ok(Accuracy {
            plan,
            sent: sent?,
            delivered: 0,
            received,
            received_per_second: arrivals.per_second(),
            reordered: arrivals.reordered,
            link: Lateness::of(arrivals.lateness),
            floor: Lateness::of(wake_ups.map_err(ended)?),
        })
    }
}

fn v4_addr(socket: &UdpSocket) -> Result<SocketAddrV4, WanError> {
    match socket.local_addr()? {
        SocketAddr::V4(address) => Ok(address),
        SocketAddr::V6(_) => Err(io::Error::from(ErrorKind::AddrNotAvailable).into()),
    }
}

fn send_all(socket: &UdpSocket, entry: SocketAddrV4, epoch: Instant, plan: AccuracyPlan) -> io::Result<u64> {
    let start = Instant::now();
    let mut sent = 0_u64;
    let mut datagram = [0; DATAGRAM_BYTES];
    while start.elapsed() < plan.duration {
        // What is owed beyond this waits, so that an impossible rate still ends in time.
        const MOST_AT_ONCE: u64 = 1_000;
        let owed = (start.elapsed().as_secs_f64() * f64::from(plan.datagrams_per_second)) as u64;
        let owed = owed.min(sent + MOST_AT_ONCE);
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
    /// When the first and the last came, since the epoch.
    span: Option<(Duration, Duration)>,
}

impl Arrivals {
    fn per_second(&self) -> f64 {
        let seconds = self
            .span
            .map_or(0.0, |(first, last)| (last - first).as_secs_f64());
        if seconds == 0.0 {
            return 0.0;
        }
        (self.lateness.len() - 1) as f64 / seconds
    }
}

/// Receives until nothing comes for a second longer than the delay.
fn receive_all(socket: &UdpSocket, epoch: Instant, delay: Duration) -> io::Result<Arrivals> {
    let mut arrivals = Arrivals {
        lateness: Vec::new(),
        reordered: 0,
        span: None,
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
        arrivals.span = Some((arrivals.span.map_or(now, |(first, _)| first), now));
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

impl fmt::Display for Throughput {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "lossless up to:               {:.0} packets/s",
            self.lossless_per_second
        )?;
        writeln!(
            formatter,
            "sent as fast as it can:       {:.0} packets/s",
            self.fastest_per_second
        )?;
        write!(
            formatter,
            "floor (bare loopback):        {:.0} packets/s",
            self.floor_per_second
        )
    }
}
