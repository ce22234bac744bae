//! More is being sent than the link hands out: seen from a few acknowledgements, long before a queue has stood for rounds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Shortest time, and fewest packets, over which the smallest round trip is taken.
const WINDOW: Duration = Duration::from_millis(10);
const WINDOW_PACKETS: u32 = 10;
/// A queue that grows by less than this from one window to the next is not growing,
const GROWS_BY: Duration = Duration::from_millis(2);
/// nor by less than this part of the time in which its packets were sent: less shows as a standing queue soon enough.
const GROWS_PER_SENT: f64 = 0.15;
/// Windows in a row in which it must grow. One is a path that has become longer.
const GROWING_WINDOWS: u32 = 2;
/// What the link hands out is measured over the last windows, at least this long.
const MEASURED_OVER: Duration = Duration::from_millis(40);
/// Windows remembered for that.
const WINDOWS: usize = 8;

#[derive(Clone, Copy, Debug)]
struct Window {
    elapsed: Duration,
    bytes: u64,
    /// The smallest round trip, and when that packet was sent.
    least: (Duration, Instant),
}

/// Watches a queue grow.
#[derive(Clone, Debug)]
pub(super) struct Overuse {
    began: Option<Instant>,
    packets: u32,
    bytes: u64,
    least: Option<(Duration, Instant)>,
    windows: VecDeque<Window>,
    growing: u32,
    collapsing: u32,
}

/// A queue that grows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Growing {
    /// The smallest round trip of the last window.
    pub(super) rtt: Duration,
    /// Less than half of what was sent has come out of it.
    pub(super) collapses: bool,
}

impl Overuse {
    pub(super) fn new() -> Self {
        Self {
            began: None,
            packets: 0,
            bytes: 0,
            least: None,
            windows: VecDeque::with_capacity(WINDOWS),
            growing: 0,
            collapsing: 0,
        }
    }

    /// Begins anew.
    pub(super) fn forget(&mut self) {
        self.began = None;
        (self.packets, self.bytes, self.least) = (0, 0, None);
        (self.growing, self.collapsing) = (0, 0);
        self.windows.clear();
    }

    /// A packet sent at `sent` is acknowledged. Hot path.
    pub(super) fn acknowledged(&mut self, now: Instant, sent: Instant, bytes: u64) {
        let rtt = now.saturating_duration_since(sent);
        if self.least.is_none_or(|(least, _)| rtt < least) {
            self.least = Some((rtt, sent));
        }
        self.began.get_or_insert(now);
        self.packets += 1;
        self.bytes += bytes;
    }

    /// A batch of acknowledgements has ended. Answers where a queue has been growing throughout the last windows.
    pub(super) fn look(&mut self, now: Instant) -> Option<Growing> {
        let (began, least) = (self.began?, self.least?);
        let elapsed = now.saturating_duration_since(began);
        if elapsed < WINDOW || self.packets < WINDOW_PACKETS {
            return None;
        }
        let before = self.windows.back().map(|window| window.least);
        let grows_by = |part: f64| {
            before.is_some_and(|before| {
                let sent_in = least.1.saturating_duration_since(before.1);
                least.0 > before.0 + GROWS_BY.max(sent_in.mul_f64(part))
            })
        };
        let counted = |so_far, grows| if grows { so_far + 1 } else { 0 };
        self.growing = counted(self.growing, grows_by(GROWS_PER_SENT));
        self.collapsing = counted(self.collapsing, grows_by(1.0));
        if self.windows.len() == WINDOWS {
            self.windows.pop_front();
        }
        self.windows.push_back(Window {
            elapsed,
            bytes: self.bytes,
            least,
        });
        (self.began, self.packets, self.bytes, self.least) = (Some(now), 0, 0, None);
        (self.growing >= GROWING_WINDOWS).then_some(Growing {
            rtt: least.0,
            collapses: self.collapsing >= GROWING_WINDOWS,
        })
    }

    /// Bits a second that were handed out over the last windows; none before there was one.
    pub(super) fn delivered_bps(&self) -> Option<u64> {
        let (mut bytes, mut elapsed) = (0, Duration::ZERO);
        for window in self.windows.iter().rev() {
            bytes += window.bytes;
            elapsed += window.elapsed;
            if elapsed >= MEASURED_OVER {
                break;
            }
        }
        (!elapsed.is_zero()).then(|| (bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64)
    }
}
