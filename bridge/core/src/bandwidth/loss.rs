//! What is lost, and whether our own rate is the cause.
//!
//! A radio link loses some packets at any rate: backing off would not help and costs the picture. A short queue or a
//! policer loses in proportion to what is too much. So a loss counts as congestion where it is well above what the
//! path loses anyway, or so large that nothing good can come of it.

use super::PacketReport;
use std::time::{Duration, Instant};

/// Loss is looked at this often, and only over enough packets.
const INTERVAL: Duration = Duration::from_millis(1_000);
const MIN_PACKETS: u32 = 50;
/// Above the path's usual loss twice over and this, it is congestion.
const MARGIN: f64 = 0.08;
/// So much is congestion whatever is usual.
const UNUSUAL: f64 = 0.25;
/// Weight of one interval in what is usual: about ten seconds.
const USUAL_WEIGHT: f64 = 0.1;

/// Loss of the path.
#[derive(Debug, Default)]
pub(super) struct Loss {
    since: Option<Instant>,
    lost: u32,
    packets: u32,
    /// Not known before the first interval.
    usual: Option<f64>,
}

impl Loss {
    /// Takes the packets of one feedback; the loss fraction where it is congestion.
    pub(super) fn on_reports(&mut self, now: Instant, reports: &[PacketReport]) -> Option<f64> {
        self.packets += reports.len() as u32;
        self.lost += reports
            .iter()
            .filter(|report| report.arrived_us.is_none())
            .count() as u32;
        let since = *self.since.get_or_insert(now);
        if now.saturating_duration_since(since) < INTERVAL || self.packets < MIN_PACKETS {
            return None;
        }
        let fraction = f64::from(self.lost) / f64::from(self.packets);
        (self.since, self.lost, self.packets) = (Some(now), 0, 0);
        let usual = self.usual.unwrap_or_else(|| fraction.min(MARGIN));
        let congested = fraction > UNUSUAL || fraction > 2.0 * usual + MARGIN;
        self.usual = Some(usual + (fraction.min(UNUSUAL) - usual) * USUAL_WEIGHT);
        congested.then_some(fraction)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two seconds at 200 packets a second of which `lost` in a hundred are lost; whether it was congestion.
    fn feed(loss: &mut Loss, start: Instant, from_ms: u64, lost: u64) -> bool {
        let mut congested = false;
        for step in 0..40_u64 {
            let now = start + Duration::from_millis(from_ms + 50 * step);
            let report = |n: u64| PacketReport {
                sent_us: 0,
                arrived_us: ((step * 10 + n) * 7 % 100 >= lost).then_some(0),
                bytes: 1_000,
                beside: 0,
            };
            let reports: Vec<PacketReport> = (0..10).map(report).collect();
            congested |= loss.on_reports(now, &reports).is_some();
        }
        congested
    }

    #[test]
    fn what_a_radio_link_loses_is_no_congestion_and_much_more_than_that_is() {
        let start = crate::rtc::testing::instant();
        let mut loss = Loss::default();
        for second in 0..10 {
            assert!(!feed(&mut loss, start, second * 2_000, 5));
        }
        assert!(feed(&mut loss, start, 20_000, 20));
        let mut loss = Loss::default();
        assert!(!feed(&mut loss, start, 0, 0));
        assert!(
            feed(&mut loss, start, 2_000, 10),
            "where the path loses nothing else"
        );
    }
}
