//! What a process has cost so far, as the system tells anybody.

use std::fs;
use std::time::{Duration, Instant};

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// A look at a process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// CPU time of all its threads since they began.
    pub cpu: Duration,
    /// Memory in use, in bytes.
    pub rss_bytes: u64,
    /// The part of it that no file backs, in bytes: without the program's own code, which comes in as it is first used.
    pub anonymous_bytes: u64,
    /// The most it has ever had in use, in bytes.
    pub peak_rss_bytes: u64,
}

/// What a process cost between two looks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// CPU time.
    pub cpu: Duration,
    /// Time by the clock.
    pub wall: Duration,
}

impl Sample {
    /// Looks at a process; `None` if it is gone.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let kib = |key: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.split_whitespace().next()?.parse().ok()
        };
        Some(Self {
            at: Instant::now(),
            cpu: cpu_of(pid)?,
            rss_bytes: kib("VmRSS:")? * 1024,
            anonymous_bytes: kib("RssAnon:")? * 1024,
            peak_rss_bytes: kib("VmHWM:")? * 1024,
        })
    }

    /// The cost since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Cost {
        Cost {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            wall: self.at.saturating_duration_since(earlier.at),
        }
    }
}

/// By the scheduler, in nanoseconds, over all threads it has and had: unlike the sum over `/proc/PID/task`, which forgets
/// threads that have ended.
fn cpu_of(pid: u32) -> Option<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(i32::try_from(pid).ok()?)).ok()?;
    clock_gettime(clock).ok().map(Duration::from)
}

#[cfg(test)]
mod tests {
    use nix::time::ClockId;

    use super::*;

    #[test]
    fn work_costs_cpu_and_memory_is_there() {
        let pid = std::process::id();
        let before = Sample::of(pid).unwrap();
        let mut sum = 0_u64;
        while Sample::of(pid).unwrap().since(&before).cpu < Duration::from_millis(20) {
            sum = (0..100_000).fold(sum, |sum, value| sum ^ (value * 7));
        }
        std::hint::black_box(sum);
        let after = Sample::of(pid).unwrap();
        assert!(after.rss_bytes > 100_000 && after.peak_rss_bytes >= before.rss_bytes);
        assert!((1..after.rss_bytes).contains(&after.anonymous_bytes));
    }

    #[test]
    fn a_thread_that_has_ended_has_still_cost_something() {
        let pid = std::process::id();
        let before = Sample::of(pid).unwrap();
        let work = || {
            let start = clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap();
            let spent = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap() - start;
            while Duration::from(spent()) < Duration::from_millis(20) {}
        };
        std::thread::spawn(work).join().unwrap();
        let cost = Sample::of(pid).unwrap().since(&before);
        assert!(cost.cpu >= Duration::from_millis(20), "{cost:?}");
    }

    #[test]
    fn a_process_that_is_not_there_has_no_sample() {
        assert_eq!(Sample::of(u32::MAX), None);
    }
}
