//! What every middle is offered, and how its cost is read.

use crate::AnyError;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, Runtime};
use tokio::sync::mpsc;

/// Packets of a burst: about what a video frame has.
pub(crate) const BURST: u32 = 10;
pub(crate) const PACKETS_PER_SECOND: u32 = 20_000;
/// Bytes of a datagram within QUIC.
pub(crate) const PAYLOAD_BYTES: usize = 1_100;
/// Both links have found out what they carry.
const WARM_UP: Duration = Duration::from_secs(2);

/// A runtime of one thread called `name`.
pub(crate) fn runtime(name: &str) -> Result<Runtime, AnyError> {
    Ok(tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()?)
}

/// What a run cost.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cost {
    spent: Spent,
    packets: u64,
}

impl Cost {
    /// CPU per packet that arrived behind the middle.
    pub(crate) fn ns_per_packet(self) -> f64 {
        self.spent.cpu.as_nanos() as f64 / self.packets as f64
    }

    /// How often the middle began to run, per burst.
    pub(crate) fn runs_per_burst(self) -> f64 {
        self.spent.runs as f64 * f64::from(BURST) / self.packets as f64
    }
}

/// A middle between two ends, ready to be offered a load.
pub(crate) struct Middle {
    /// Each asks the near end for a burst.
    bursts: mpsc::Sender<()>,
    /// What has arrived at the far end.
    arrived: Arc<AtomicU64>,
    /// Name of the threads of the middle.
    threads: &'static str,
    /// What must live as long.
    _kept: Box<dyn Any>,
}

impl Middle {
    /// One whose near end sends through `send`, and whose threads are called `threads`. A burst is queued on the only thread of
    /// `ends` before that sends anything, so that it leaves as one, as from a node, whatever the middle is.
    pub(crate) fn new(
        ends: &Handle,
        arrived: Arc<AtomicU64>,
        threads: &'static str,
        kept: impl Any,
        mut send: impl FnMut(u32) + Send + 'static,
    ) -> Self {
        let (bursts, mut due) = mpsc::channel::<()>(64);
        ends.spawn(async move {
            let mut seq = 0;
            while due.recv().await.is_some() {
                for _ in 0..BURST {
                    send(seq);
                    seq += 1;
                }
            }
        });
        Self {
            bursts,
            arrived,
            threads,
            _kept: Box::new(kept),
        }
    }

    /// Lets the links find out what they carry.
    pub(crate) fn warm_up(&self) {
        self.offer(WARM_UP);
    }

    /// Offers the load for `time`; what the middle's threads spend on it is added to `cost`.
    ///
    /// # Errors
    /// Where less than 95 % arrives: the figure would be of another load.
    pub(crate) fn measure(&self, time: Duration, cost: &mut Cost) -> Result<(), AnyError> {
        let (before, spent) = (self.arrived.load(Ordering::Relaxed), spent_by(self.threads)?);
        let offered = self.offer(time);
        let spent = spent_by(self.threads)?.since(spent);
        let packets = self.arrived.load(Ordering::Relaxed) - before;
        if packets * 100 < offered * 95 {
            return Err(format!(
                "{}: only {packets} of {offered} packets came through",
                self.threads
            )
            .into());
        }
        cost.spent.cpu += spent.cpu;
        cost.spent.runs += spent.runs;
        cost.packets += packets;
        Ok(())
    }

    fn offer(&self, time: Duration) -> u64 {
        let interval = Duration::from_secs_f64(f64::from(BURST) / f64::from(PACKETS_PER_SECOND));
        let (start, mut offered) = (Instant::now(), 0);
        let mut next = start;
        while next < start + time {
            // One that finds the end too busy is not sent, and so counts as lost.
            let _ = self.bursts.try_send(());
            offered += u64::from(BURST);
            next += interval;
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
        }
        // Everything is through before the clock is read.
        std::thread::sleep(Duration::from_millis(50));
        offered
    }
}

/// What the scheduler says of threads.
#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    cpu: Duration,
    /// How often they began to run.
    runs: u64,
}

impl Spent {
    fn since(self, before: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(before.cpu),
            runs: self.runs.saturating_sub(before.runs),
        }
    }
}

/// What this process's threads of that name have spent.
fn spent_by(name: &str) -> Result<Spent, AnyError> {
    let mut spent = Spent::default();
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == name {
            let schedstat = std::fs::read_to_string(task.join("schedstat"))?;
            let mut fields = schedstat.split_whitespace();
            let cpu = fields.next().ok_or("empty schedstat")?.parse()?;
            spent.cpu += Duration::from_nanos(cpu);
            spent.runs += fields.nth(1).ok_or("short schedstat")?.parse::<u64>()?;
        }
    }
    Ok(spent)
}
