//! Many values in a few: percentiles and the points of a curve.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Points of a curve at most.
const POINTS: usize = 48;

/// One point of a cumulative curve.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// A value, in the unit of the distribution.
    pub value: f64,
    /// Share of values not above it, 0 to 1.
    pub share: f64,
}

/// A distribution in milliseconds. One of nothing does not exist.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Distribution {
    /// How many values.
    pub count: u64,
    /// The smallest.
    pub min_ms: f64,
    /// The mean.
    pub mean_ms: f64,
    /// The median.
    pub p50_ms: f64,
    /// 90th percentile.
    pub p90_ms: f64,
    /// 95th percentile.
    pub p95_ms: f64,
    /// 99th percentile.
    pub p99_ms: f64,
    /// 99.9th percentile.
    pub p999_ms: f64,
    /// The largest.
    pub max_ms: f64,
    /// The curve, rising.
    pub curve: Vec<Point>,
}

impl Distribution {
    /// Of a histogram of microseconds; `None` for an empty one.
    #[must_use]
    pub fn of_microseconds(histogram: &Histogram<u64>) -> Option<Self> {
        if histogram.is_empty() {
            return None;
        }
        let ms = |us: u64| us as f64 / 1_000.0;
        let at = |quantile| ms(histogram.value_at_quantile(quantile));
        let mut curve: Vec<Point> = Vec::with_capacity(POINTS);
        for step in 1..=POINTS {
            // Closer together towards the tail, where people look.
            let left = 1.0 - step as f64 / POINTS as f64;
            let share = 1.0 - left * left;
            let value = at(share);
            match curve.last_mut() {
                Some(last) if last.value == value => last.share = share,
                _ => curve.push(Point { value, share }),
            }
        }
        Some(Self {
            count: histogram.len(),
            min_ms: ms(histogram.min()),
            mean_ms: histogram.mean() / 1_000.0,
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: ms(histogram.max()),
            curve,
        })
    }

    /// Of some values in milliseconds; `None` for none.
    #[must_use]
    pub fn of_ms(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut histogram = crate::worker::microseconds();
        for value in values {
            histogram.saturating_record((value.max(0.0) * 1_000.0).round() as u64);
        }
        Self::of_microseconds(&histogram)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_distribution() {
        assert_eq!(Distribution::of_ms([]), None);
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_the_sorted_values(mut values in proptest::collection::vec(0.0_f64..5_000.0, 1..400)) {
            let distribution = Distribution::of_ms(values.iter().copied()).unwrap();
            values.sort_by(f64::total_cmp);
            let at = |share: f64| values[((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1];
            for (seen, wanted) in [
                (distribution.p50_ms, at(0.5)),
                (distribution.p95_ms, at(0.95)),
                (distribution.p99_ms, at(0.99)),
                (distribution.max_ms, at(1.0)),
            ] {
                prop_assert!((seen - wanted).abs() <= wanted * 0.002 + 0.002, "{seen} and not {wanted}");
            }
            prop_assert!(distribution.curve.windows(2).all(|pair| pair[0].value < pair[1].value && pair[0].share < pair[1].share));
            prop_assert_eq!(distribution.curve.last().unwrap().share, 1.0);
        }
    }
}
