//! The smallest round trip of the last while.

use std::time::{Duration, Instant};

/// Keeps the minimum of two half windows, so that an old one is forgotten without a list of samples.
#[derive(Clone, Debug)]
pub(super) struct WindowedMin {
    half: Duration,
    current: Option<(Instant, Duration)>,
    previous: Option<Duration>,
}

impl WindowedMin {
    /// A window of `memory`; a sample is forgotten after half to all of it.
    pub(super) fn new(memory: Duration) -> Self {
        Self {
            half: memory / 2,
            current: None,
            previous: None,
        }
    }

    /// Takes a sample and returns the smallest known, the sample included.
    pub(super) fn offer(&mut self, now: Instant, sample: Duration) -> Duration {
        match &mut self.current {
            Some((started, least)) if now.saturating_duration_since(*started) < self.half => {
                *least = (*least).min(sample);
            }
            current => {
                self.previous = current.map(|(_, least)| least);
                *current = Some((now, sample));
            }
        }
        self.least().unwrap_or(sample)
    }

    /// The smallest known.
    pub(super) fn least(&self) -> Option<Duration> {
        let current = self.current.map(|(_, least)| least);
        match (current, self.previous) {
            (Some(current), Some(previous)) => Some(current.min(previous)),
            (one, other) => one.or(other),
        }
    }

    /// Forgets everything: the next sample stands alone.
    pub(super) fn forget(&mut self) {
        self.previous = None;
        self.current = None;
    }
}
