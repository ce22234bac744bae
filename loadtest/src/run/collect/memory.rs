//! The memory of a node over the measurement.

use std::time::Instant;

use crate::report::Trend;
use crate::run::driver::OutcomeOfRun;

/// Memory of a node at the end of each second of the measurement.
pub(super) fn rss_of(outcome: &OutcomeOfRun, node: usize) -> Vec<u64> {
    let second = |at: Instant| at.saturating_duration_since(outcome.start).as_secs() as usize;
    let seconds = outcome.rss_kib.iter().skip(second(outcome.measured.0));
    let measured = seconds.take(second(outcome.measured.1).saturating_sub(second(outcome.measured.0)));
    measured.filter_map(|nodes| nodes.get(node).copied()).collect()
}

/// A node that was away for a while has no trend: it began anew.
pub(super) fn trend_of(rss_kib: &[u64]) -> Option<Trend> {
    if rss_kib.contains(&0) {
        return None;
    }
    let samples: Vec<(f64, f64)> = rss_kib
        .iter()
        .enumerate()
        .map(|(second, kib)| (second as f64 / 60.0, *kib as f64))
        .collect();
    Trend::of(&samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_was_away_for_a_while_has_no_trend() {
        let mut rss_kib: Vec<u64> = (0..120).map(|second| 9_000 + second).collect();
        let trend = trend_of(&rss_kib).unwrap();
        assert!((trend.slope_kib_per_min - 60.0).abs() < 1e-6, "{trend:?}");
        rss_kib[50] = 0;
        assert_eq!(trend_of(&rss_kib), None);
        assert_eq!(trend_of(&[]), None);
    }
}
