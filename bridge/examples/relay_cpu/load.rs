//! What every middle is offered, and how its cost is read.

use crate::AnyError;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Packets of a burst: about what a video frame has.
pub(crate) const BURST: u32 = 10;
pub(crate) const PACKETS_PER_SECOND: u32 = 20_000;
/// Bytes of a datagram within QUIC.
pub(crate) const PAYLOAD_BYTES: usize = 1_100;
/// Both links have found out what they carry.
const WARM_UP: Duration = Duration::from_secs(2);
/// Name of the threads whose time counts.
pub(crate) const MIDDLE: &str = "middle";

/// A runtime of one thread called `name`.
pub(crate) fn runtime(name: &str) -> Result<Runtime, AnyError> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()?)
}

/// What a run cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    cpu: Duration,
    packets: u64,
}

impl Cost {
    /// CPU per packet that arrived behind the middle.
    pub(crate) fn ns_per_packet(self) -> f64 {
        self.cpu.as_nanos() as f64 / self.packets as f64
    }
}

/// Sends through `send` on this thread, first to warm up and then for `time`; `arrived` counts what is behind the middle,
/// and the time is that of all threads whose name is one of `threads`. `middle` is what it is called.
///
/// # Errors
/// Where less than 95 % arrives: the figure would be of another load.
pub(crate) fn measure(
    time: Duration,
    (middle, threads): (&str, &[&str]),
    arrived: &Arc<AtomicU64>,
    mut send: impl FnMut(u32),
) -> Result<Cost, AnyError> {
    let mut seq = 0;
    let mut offer = |time: Duration| {
        let interval = Duration::from_secs_f64(f64::from(BURST) / f64::from(PACKETS_PER_SECOND));
        let (start, mut offered) = (Instant::now(), 0);
        let mut next = start;
        while next < start + time {
            for _ in 0..BURST {
                send(seq);
                seq += 1;
            }
            offered += u64::from(BURST);
            next += interval;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        // Everything is through before the clock is read.
        std::thread::sleep(Duration::from_millis(100));
        offered
    };
    offer(WARM_UP);
    let (before, cpu) = (arrived.load(Ordering::Relaxed), cpu_of(threads)?);
    let offered = offer(time);
    let cpu = cpu_of(threads)?.saturating_sub(cpu);
    let packets = arrived.load(Ordering::Relaxed) - before;
    if packets * 100 < offered * 95 {
        return Err(format!("{middle}: only {packets} of {offered} packets came through").into());
    }
    Ok(Cost { cpu, packets })
}

/// CPU time of this process's threads of these names, from the scheduler.
fn cpu_of(names: &[&str]) -> Result<Duration, AnyError> {
    let mut cpu = Duration::ZERO;
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if names.contains(&std::fs::read_to_string(task.join("comm"))?.trim()) {
            let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
            let spent = schedstat.split(' ').next().ok_or("empty schedstat")?;
            cpu += Duration::from_nanos(spent.parse()?);
        }
    }
    Ok(cpu)
}
