//! What every floor is offered and how its cost is read: paced bursts in, thread CPU time of whoever passes them on,
//! arrivals by the kernel's clock.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::packet::{HEADER_BYTES, Header, TAG_BYTES};
use super::socket::{Room, Socket};
use super::{FloorError, thread_cpu, wall_ns};
use crate::report::Distribution;
use crate::worker::microseconds;

/// Before the measurement, so that caches are warm and memory is there.
pub(super) const WARM_UP: Duration = Duration::from_millis(300);
/// Between two rounds over all receivers.
const DRAIN_EVERY: Duration = Duration::from_millis(2);
/// Share of packets that has to arrive, in percent.
const LEAST_PERCENT: u64 = 95;
const MOST_BURST: u32 = 512;
const MOST_PAYLOAD_BYTES: usize = 1_400;
/// Slower bursts would be taken for silence.
const SLOWEST_BURSTS: Duration = Duration::from_millis(500);

/// A paced stream of bursts, as frames of a camera are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Packets of a burst, 1 to 512. A video frame has about ten.
    pub burst: u32,
    /// Bytes behind the 20 of the header and before the 16 of the tag, 1 to 1,400.
    pub payload_bytes: usize,
    /// Packets offered a second, at least two bursts.
    pub packets_per_second: u32,
    /// How long, after 0.3 s that do not count.
    pub duration: Duration,
}

impl Default for Load {
    /// A camera: 200 bursts a second of ten packets of 1,100 bytes, for 3 s.
    fn default() -> Self {
        Self {
            burst: 10,
            payload_bytes: 1_100,
            packets_per_second: 2_000,
            duration: Duration::from_secs(3),
        }
    }
}

/// What came of a load.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed {
    /// CPU time of the thread that passed the packets on.
    pub cpu: Duration,
    /// Packets that arrived, at all receivers together.
    pub packets: u64,
    /// From sending by the publisher to arrival at the receiver's socket; [`None`] where the kernel stamps nothing.
    pub delay: Option<Distribution>,
}

impl Passed {
    /// CPU time per packet that arrived, in nanoseconds.
    #[must_use]
    pub fn cpu_ns_per_packet(&self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }
}

impl Load {
    /// Bytes of a packet on the wire without IP and UDP headers.
    pub(super) fn packet_bytes(&self, sealed: bool) -> usize {
        HEADER_BYTES + self.payload_bytes + if sealed { TAG_BYTES } else { 0 }
    }

    fn interval(&self) -> Duration {
        Duration::from_secs_f64(f64::from(self.burst) / f64::from(self.packets_per_second.max(1)))
    }

    pub(super) fn check(&self) -> Result<(), FloorError> {
        let refuse = |reason| Err(FloorError::Load(reason));
        if !(1..=MOST_BURST).contains(&self.burst) {
            return refuse("a burst has 1 to 512 packets");
        }
        if !(1..=MOST_PAYLOAD_BYTES).contains(&self.payload_bytes) {
            return refuse("a payload has 1 to 1,400 bytes");
        }
        if self.packets_per_second == 0 || self.interval() > SLOWEST_BURSTS {
            return refuse("at least two bursts a second are needed");
        }
        if self.duration.is_zero() {
            return refuse("a measurement takes time");
        }
        Ok(())
    }
}

/// How much the scheduler favours the thread that forwards.
const FORWARDER_NICE: i32 = -10;

/// A datagram of one byte opens and closes what is measured: it keeps its place among the packets.
pub(super) const MARK: [u8; 1] = [0];

/// Offers `load` to `pass`, which runs in a thread of its own and sends to the receivers. `compose` appends a packet to a
/// burst.
pub(super) fn measure(
    load: &Load,
    receivers: &[Socket],
    mut compose: impl FnMut(Header, &mut Vec<u8>) -> Result<(), FloorError>,
    pass: impl FnMut(&[u8], usize, &Socket) -> Result<(), FloorError> + Send,
) -> Result<Passed, FloorError> {
    load.check()?;
    let offer = |entry: SocketAddr, ended: &dyn Fn() -> bool| {
        offer(load, &Socket::open()?, entry, &mut compose, ended)
    };
    measure_offered(receivers, offer, pass)
}

/// As [`measure`], for what `offer` sends to the given address until it is done or the given question is answered with
/// yes; it answers how many packets every receiver has to get.
pub(super) fn measure_offered(
    receivers: &[Socket],
    offer: impl FnOnce(SocketAddr, &dyn Fn() -> bool) -> Result<u64, FloorError>,
    pass: impl FnMut(&[u8], usize, &Socket) -> Result<(), FloorError> + Send,
) -> Result<Passed, FloorError> {
    let entry = Socket::open()?;
    let stop = AtomicBool::new(false);
    let (offered, passed, drained) = thread::scope(|scope| {
        let drained = scope.spawn(|| drain(receivers, &stop));
        let passed = scope.spawn(|| pass_on(&entry, pass));
        let offered = offer(entry.address(), &|| passed.is_finished());
        let passed = passed.join();
        stop.store(true, Ordering::Relaxed);
        (offered, passed, drained.join())
    });
    let cpu = passed.map_err(|_| FloorError::Panicked)??;
    let delays = drained.map_err(|_| FloorError::Panicked)??;
    let expected = offered? * receivers.len() as u64;
    if delays.packets == 0 || delays.packets * 100 < expected * LEAST_PERCENT {
        return Err(FloorError::Overload {
            arrived: delays.packets,
            expected,
        });
    }
    Ok(Passed {
        cpu,
        packets: delays.packets,
        delay: Distribution::of_microseconds(&delays.delays),
    })
}

/// The thread whose cost is measured: from the first mark to the second.
fn pass_on(
    entry: &Socket,
    mut pass: impl FnMut(&[u8], usize, &Socket) -> Result<(), FloorError>,
) -> Result<Duration, FloorError> {
    // As nodes do for their media threads; where it is not allowed, it is not allowed to them either.
    let _ = rustix::process::setpriority_process(None, FORWARDER_NICE);
    let mut room = Room::new();
    let mut since = None;
    loop {
        let arrival = entry.wait(&mut room)?;
        if arrival.bytes != MARK {
            pass(arrival.bytes, arrival.segment, entry)?;
            continue;
        }
        let now = thread_cpu()?;
        match since {
            None => since = Some(now),
            Some(since) => return Ok(now.saturating_sub(since)),
        }
    }
}

/// Sends warm-up and measurement with a mark before and behind the latter; how many packets the latter had.
pub(super) fn offer(
    load: &Load,
    socket: &Socket,
    to: SocketAddr,
    compose: &mut impl FnMut(Header, &mut Vec<u8>) -> Result<(), FloorError>,
    ended: impl Fn() -> bool,
) -> Result<u64, FloorError> {
    let mut number = 0_u16;
    let mut burst = Vec::new();
    let mut send_for = |time: Duration, measured: bool| -> Result<u64, FloorError> {
        let start = Instant::now();
        let (mut next, mut offered) = (start, 0);
        while start.elapsed() < time && !ended() {
            burst.clear();
            let sent_ns = wall_ns()?;
            for _ in 0..load.burst {
                let header = Header {
                    number,
                    ssrc: 1,
                    sent_ns,
                    measured,
                };
                compose(header, &mut burst)?;
                number = number.wrapping_add(1);
            }
            socket.send(to, &burst, burst.len() / load.burst as usize)?;
            offered += u64::from(load.burst);
            next += load.interval();
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        Ok(offered)
    };
    send_for(WARM_UP, false)?;
    socket.send(to, &MARK, MARK.len())?;
    let offered = send_for(load.duration, true)?;
    socket.send(to, &MARK, MARK.len())?;
    Ok(offered)
}

struct Arrivals {
    packets: u64,
    delays: Histogram<u64>,
}

/// Empties the receivers until told to stop, and then until nothing is left. The kernel's stamps make its own lateness
/// harmless.
fn drain(receivers: &[Socket], stop: &AtomicBool) -> Result<Arrivals, FloorError> {
    let mut room = Room::new();
    let mut arrivals = Arrivals {
        packets: 0,
        delays: microseconds(),
    };
    loop {
        let last = stop.load(Ordering::Relaxed);
        let mut reads = 0;
        for receiver in receivers {
            while let Some(arrival) = receiver.take(&mut room)? {
                reads += 1;
                for header in arrival.datagrams().filter_map(Header::read) {
                    if !header.measured {
                        continue;
                    }
                    arrivals.packets += 1;
                    if let Some(arrived_ns) = arrival.arrived_ns {
                        let us = arrived_ns.saturating_sub(header.sent_ns) / 1_000;
                        arrivals.delays.saturating_record(us);
                    }
                }
            }
        }
        if last && reads == 0 {
            return Ok(arrivals);
        }
        thread::sleep(DRAIN_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short() -> Load {
        Load {
            burst: 4,
            payload_bytes: 100,
            packets_per_second: 400,
            duration: Duration::from_millis(200),
        }
    }

    fn plain(header: Header, out: &mut Vec<u8>) -> Result<(), FloorError> {
        header.write(out);
        out.resize(out.len() + 100, 1);
        Ok(())
    }

    #[test]
    fn who_passes_nothing_on_has_no_cost() {
        let receivers = [Socket::open().unwrap()];
        let error = measure(&short(), &receivers, plain, |_, _, _| Ok(())).unwrap_err();
        assert!(matches!(error, FloorError::Overload { arrived: 0, expected } if expected >= 4));
    }

    #[test]
    fn a_failure_on_the_way_ends_the_measurement() {
        let receivers = [Socket::open().unwrap()];
        let error = measure(&short(), &receivers, plain, |_, _, _| Err(FloorError::Cipher)).unwrap_err();
        assert!(matches!(error, FloorError::Cipher));
    }

    #[test]
    fn impossible_loads_are_refused_with_a_sentence() {
        for (load, part) in [
            (Load { burst: 0, ..short() }, "burst"),
            (
                Load {
                    payload_bytes: 1_401,
                    ..short()
                },
                "payload",
            ),
            (
                Load {
                    packets_per_second: 7,
                    ..short()
                },
                "two bursts",
            ),
            (
                Load {
                    duration: Duration::ZERO,
                    ..short()
                },
                "time",
            ),
        ] {
            let error = measure(&load, &[], plain, |_, _, _| Ok(()))
                .unwrap_err()
                .to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
