//! What is gathered between two decisions.

use std::time::{Duration, Instant};

/// What is gathered between two decisions.
#[derive(Clone, Debug)]
pub(super) struct Round {
    pub(super) started: Instant,
    pub(super) min_rtt: Option<Duration>,
    pub(super) sent_bytes: u64,
    pub(super) delivered_bytes: u64,
    pub(super) marked: bool,
}

#[derive(Clone, Debug)]
pub(super) struct LossSample {
    pub(super) started: Instant,
    pub(super) delivered_packets: u64,
    pub(super) delivered_bytes: u64,
    pub(super) lost_bytes: u64,
}

impl Round {
    pub(super) const fn new(started: Instant) -> Self {
        Self {
            started,
            min_rtt: None,
            sent_bytes: 0,
            delivered_bytes: 0,
            marked: false,
        }
    }
}

impl LossSample {
    pub(super) const fn new(started: Instant) -> Self {
        Self {
            started,
            delivered_packets: 0,
            delivered_bytes: 0,
            lost_bytes: 0,
        }
    }

    pub(super) fn share(&self) -> f64 {
        let settled = self.delivered_bytes + self.lost_bytes;
        if settled == 0 {
            0.0
        } else {
            self.lost_bytes as f64 / settled as f64
        }
    }
}
