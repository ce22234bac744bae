//! What both paths are offered and how their cost is read: paced bursts in, the viewers' sockets out, thread CPU time.

use crate::AnyError;
use crate::arrivals::{self, Delays, Reader, is_media, wall_ns};
use bridge::shard::MediaSocket;
use bridge::shard::socket::open;
use bridge_core::shard::testing::SimClient;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Packets of a burst: about what a video frame has.
pub(crate) const BURST: usize = 10;
/// Packets that go out per second at most, to all viewers together: what the thread that empties their sockets keeps up
/// with on the other core.
const MOST_OUT_PER_SECOND: usize = 200_000;
/// Packets offered per second at most: a camera of 4.4 Mbit/s. Much less, and what viewers report costs as much as what
/// they get.
const MOST_IN_PER_SECOND: usize = 500;
/// Viewers whose packets' delays are measured, roughly.
const MOST_STAMPED: usize = 50;
/// How much the scheduler favours the floor, as it does a node's media threads.
pub(crate) const FORWARDER_NICE: i32 = -10;
/// RTP payload of each packet.
pub(crate) const PAYLOAD_BYTES: usize = 1_100;

/// The size of a run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Viewers of the one publisher.
    pub(crate) viewers: usize,
    /// Packets offered per second.
    pub(crate) packets_per_second: usize,
}

impl Shape {
    /// That of so many viewers.
    ///
    /// # Errors
    /// Where there are more than 900: each has a socket, and a process may have about a thousand.
    pub(crate) fn of(viewers: usize) -> Result<Self, AnyError> {
        if !(1..=900).contains(&viewers) {
            return Err("1 to 900 viewers are possible".into());
        }
        Ok(Self {
            viewers,
            packets_per_second: (MOST_OUT_PER_SECOND / viewers).clamp(BURST, MOST_IN_PER_SECOND),
        })
    }
}

/// What the forwarding of a load cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    cpu: Duration,
    packets: u64,
    sleeps: u64,
    time: Duration,
    /// Half of all packets are at their viewer so many microseconds after their burst left the publisher.
    pub(crate) p50_us: f64,
    /// 99 of 100 are.
    pub(crate) p99_us: f64,
}

impl Cost {
    /// CPU per packet that reached a viewer.
    pub(crate) fn ns_per_packet(self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }

    /// How often the thread went to sleep, a second.
    pub(crate) fn sleeps_per_second(self) -> f64 {
        self.sleeps as f64 / self.time.as_secs_f64()
    }
}

/// Clients behind the sockets of the viewers, in their order, where somebody is to report arrivals.
pub(crate) type Reporters = Arc<Mutex<Vec<SimClient>>>;

/// The sockets of the viewers, emptied by a thread of their own.
pub(crate) struct Viewers {
    addresses: Vec<SocketAddr>,
    reporters: Reporters,
    received: Arc<AtomicU64>,
    delays: Arc<Mutex<Delays>>,
    /// Nothing is offered: the other path has the processors.
    idle: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Viewers {
    /// Starts the thread; reports go to `node` once there are reporters.
    pub(crate) fn start(viewers: usize, node: SocketAddr) -> Result<Self, AnyError> {
        let sockets = (0..viewers)
            .map(|_| open(([127, 0, 0, 1], 0).into()))
            .collect::<Result<Vec<_>, _>>()?;
        let addresses = sockets
            .iter()
            .enumerate()
            .map(|(at, socket)| {
                // Stamps cost the reader time, so of hundreds of viewers every so manieth has them.
                if is_stamped(at, viewers) {
                    arrivals::stamp(socket)?;
                }
                socket.local_addr()
            })
            .collect::<Result<_, _>>()?;
        let SocketAddr::V4(node) = node else {
            return Err("the benchmark speaks IPv4 only".into());
        };
        let (received, stop) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let (reporters, delays) = (Reporters::default(), Arc::<Mutex<Delays>>::default());
        let idle = Arc::new(AtomicBool::new(false));
        let ends = (received.clone(), delays.clone(), stop.clone(), reporters.clone());
        let rests = idle.clone();
        let thread = std::thread::Builder::new()
            .name("viewers".into())
            .spawn(move || {
                let (count, delays, end, clients) = ends;
                let [mut stamped, mut plain] = [true, false].map(Reader::new);
                while !end.load(Ordering::Relaxed) {
                    if rests.load(Ordering::Relaxed) {
                        std::thread::sleep(Duration::from_millis(2));
                        continue;
                    }
                    let mut clients = clients.lock().unwrap_or_else(PoisonError::into_inner);
                    for (at, socket) in sockets.iter().enumerate() {
                        let reader = if is_stamped(at, viewers) {
                            &mut stamped
                        } else {
                            &mut plain
                        };
                        let empty = empty(socket, reader, clients.get_mut(at), (node, &count, &delays));
                        if let Err(error) = empty {
                            eprintln!("a viewer's socket fails: {error}");
                            return;
                        }
                    }
                    drop(clients);
                    std::thread::sleep(Duration::from_millis(2));
                }
            })?;
        Ok(Self {
            addresses,
            reporters,
            received,
            delays,
            idle,
            stop,
            thread,
        })
    }

    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Lets the viewers report what arrives.
    pub(crate) fn report(&self, clients: Vec<SimClient>) {
        *self.reporters.lock().unwrap_or_else(PoisonError::into_inner) = clients;
    }

    fn delays(&self) -> MutexGuard<'_, Delays> {
        self.delays.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        if self.thread.join().is_err() {
            eprintln!("the viewers' thread has panicked");
        }
    }
}

fn is_stamped(viewer: usize, viewers: usize) -> bool {
    viewer.is_multiple_of((viewers / MOST_STAMPED).max(1))
}

/// Takes what waits for one viewer, and sends what that one reports.
fn empty(
    socket: &UdpSocket,
    reader: &mut Reader,
    mut client: Option<&mut SimClient>,
    (node, count, delays): (SocketAddrV4, &AtomicU64, &Mutex<Delays>),
) -> Result<(), nix::Error> {
    let now = Instant::now();
    loop {
        let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = reader.receive(socket, |bytes, at_ns| {
            if is_media(bytes)
                && let Some(at_ns) = at_ns
            {
                delays.note_arrival(at_ns);
            }
            if let Some(client) = &mut client {
                client.note_arrival(now, bytes);
            }
        })?;
        if taken == 0 {
            break;
        }
        count.fetch_add(taken as u64, Ordering::Relaxed);
    }
    for feedback in client.into_iter().flat_map(|client| client.feedback(now)) {
        arrivals::send(socket, node, &feedback);
    }
    Ok(())
}

/// Before each measurement, so that what was at rest is warm, with a keyframe at its beginning.
const SETTLE: Duration = Duration::from_millis(200);

/// A forwarder between a publisher and viewers, ready to be offered a load.
pub(crate) struct Path {
    pub(crate) viewers: Viewers,
    pub(crate) publisher: MediaSocket,
    /// Where the forwarder takes packets.
    pub(crate) to: SocketAddr,
    /// Name of its thread.
    pub(crate) forwarder: &'static str,
    pub(crate) packets_per_second: usize,
    /// The next packet, of a keyframe if asked for.
    pub(crate) next_packet: Box<dyn FnMut(bool) -> Vec<u8>>,
    /// Ends the forwarder.
    pub(crate) end: Box<dyn FnOnce()>,
}

impl Path {
    /// Offers the load for a while and measures nothing.
    pub(crate) fn warm_up(&mut self, time: Duration) -> Result<(), AnyError> {
        self.viewers.idle.store(false, Ordering::Relaxed);
        self.offer(time)?;
        self.viewers.idle.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Offers paced bursts for `time`; what the forwarder spends on them is added to `cost`.
    ///
    /// # Errors
    /// Where less than 95 % reaches the viewers: the figure would be of another load.
    pub(crate) fn measure(&mut self, time: Duration, cost: &mut Cost) -> Result<(), AnyError> {
        self.viewers.idle.store(false, Ordering::Relaxed);
        self.offer(SETTLE)?;
        self.viewers.delays().measure(true);
        let (before, received) = (spent(self.forwarder)?, self.viewers.received());
        let offered = self.offer(time)?;
        let after = spent(self.forwarder)?;
        let packets = self.viewers.received() - received;
        self.viewers.delays().measure(false);
        self.viewers.idle.store(true, Ordering::Relaxed);
        let expected = offered * self.viewers.addresses.len() as u64;
        if packets * 100 < expected * 95 {
            let forwarder = self.forwarder;
            return Err(
                format!("{forwarder}: only {packets} of {expected} packets reached the viewers").into(),
            );
        }
        cost.cpu += after.cpu.saturating_sub(before.cpu);
        cost.sleeps += after.sleeps - before.sleeps;
        cost.packets += packets;
        cost.time += time;
        Ok(())
    }

    /// Reads the delays of what was measured since the last call.
    pub(crate) fn read_delays(&self, cost: &mut Cost) {
        let mut delays = self.viewers.delays();
        (cost.p50_us, cost.p99_us) = (delays.percentile(0.5), delays.percentile(0.99));
        delays.forget();
    }

    /// Ends the forwarder and the viewers.
    pub(crate) fn stop(self) {
        (self.end)();
        self.viewers.stop();
    }

    fn offer(&mut self, time: Duration) -> Result<u64, AnyError> {
        let interval = Duration::from_secs_f64(BURST as f64 / self.packets_per_second as f64);
        let (start, mut offered) = (Instant::now(), 0);
        let (mut next, mut burst, mut segment_bytes) = (start, Vec::new(), 0);
        while next < start + time {
            burst.clear();
            for _ in 0..BURST {
                let packet = (self.next_packet)(offered == 0 && burst.is_empty());
                segment_bytes = packet.len();
                burst.extend_from_slice(&packet);
            }
            // With one call: a burst that is written packet by packet is taken apart by whoever happens to be awake.
            self.viewers.delays().note_departure(wall_ns()?);
            self.publisher.send(self.to, &burst, Some(segment_bytes));
            offered += BURST as u64;
            next += interval;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        // Everything is out before the clock is read.
        std::thread::sleep(Duration::from_millis(100));
        Ok(offered)
    }
}

/// What a thread has used so far.
struct Spent {
    cpu: Duration,
    sleeps: u64,
}

/// CPU time of this process's thread called `name`, from the scheduler, and how often it went to sleep.
fn spent(name: &str) -> Result<Spent, AnyError> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == name {
            let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = schedstat.split(' ').next().ok_or("empty schedstat")?;
            let status = std::fs::read_to_string(task.join("status"))?;
            let mut lines = status.lines();
            let sleeps = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            return Ok(Spent {
                cpu: Duration::from_nanos(nanos.parse()?),
                sleeps: sleeps.ok_or("no count of switches")?.trim().parse()?,
            });
        }
    }
    Err(format!("no thread {name}").into())
}
