//! Whether something grows: a slope, and how well it is known. Pure.

use serde::{Deserialize, Serialize};

/// Stretches a series is cut into. The mean of each counts as one value, because neighbouring samples of memory are alike
/// and would make a slope look better known than it is (the method of batch means).
const STRETCHES: usize = 12;
/// Samples a stretch has to have.
const LEAST_PER_STRETCH: usize = 5;
/// 97.5th percentile of Student's t with `STRETCHES - 2` degrees of freedom: with the spread around the line estimated from
/// the same values, the slope is within so many standard errors in 95 of 100 runs.
const T_97_5: f64 = 2.228;

/// The straight line through samples of memory, by least squares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trend {
    /// Growth, in KiB a minute; negative where it shrinks.
    pub slope_kib_per_min: f64,
    /// Half of the 95 % confidence interval of the slope, in KiB a minute.
    pub noise_kib_per_min: f64,
    /// Mean, in KiB.
    pub mean_kib: f64,
    /// Standard deviation of the means of stretches around the line, in KiB.
    pub spread_kib: f64,
    /// Samples.
    pub samples: u64,
}

impl Trend {
    /// The line through samples, each a time in minutes and a size in KiB, in order of time. `None` for fewer than 60, or
    /// when all are of one time. Cost: linear.
    #[must_use]
    pub fn of(samples: &[(f64, f64)]) -> Option<Self> {
        if samples.len() < STRETCHES * LEAST_PER_STRETCH {
            return None;
        }
        let stretches: Vec<(f64, f64)> = (0..STRETCHES)
            .map(|at| {
                let from = at * samples.len() / STRETCHES;
                mean(&samples[from..(at + 1) * samples.len() / STRETCHES])
            })
            .collect();
        let (middle, mean_kib) = mean(&stretches);
        let sum = |of: &dyn Fn(&(f64, f64)) -> f64| stretches.iter().map(of).sum::<f64>();
        let squares = sum(&|(at, _)| (at - middle).powi(2));
        if squares <= 0.0 {
            return None;
        }
        let slope = sum(&|(at, kib)| (at - middle) * (kib - mean_kib)) / squares;
        let residues = sum(&|(at, kib)| (kib - mean_kib - slope * (at - middle)).powi(2));
        let spread_kib = (residues / (STRETCHES - 2) as f64).sqrt();
        Some(Self {
            slope_kib_per_min: slope,
            noise_kib_per_min: T_97_5 * spread_kib / squares.sqrt(),
            mean_kib,
            spread_kib,
            samples: samples.len() as u64,
        })
    }

    /// Growth that noise does not explain, in KiB a minute: 0 for what is flat within its noise, or shrinks.
    #[must_use]
    pub fn beyond_noise(&self) -> f64 {
        (self.slope_kib_per_min - self.noise_kib_per_min).max(0.0)
    }
}

fn mean(samples: &[(f64, f64)]) -> (f64, f64) {
    let count = samples.len().max(1) as f64;
    let sum = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>();
    (sum(|sample| sample.0) / count, sum(|sample| sample.1) / count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wan::model::random::SplitMix64;

    /// An hour of samples, one a second, around a line; noise keeps part of its value from second to second, as memory does.
    fn hour(seed: u64, slope: f64, noise_kib: f64, memory: f64) -> Vec<(f64, f64)> {
        let mut random = SplitMix64::new(seed);
        let mut wander = 0.0;
        (0..3_600)
            .map(|second| {
                let minute = f64::from(second) / 60.0;
                wander = memory * wander + (random.next_unit() - 0.5) * noise_kib;
                (minute, 20_000.0 + slope * minute + wander)
            })
            .collect()
    }

    #[test]
    fn a_line_without_noise_is_known_exactly() {
        let trend = Trend::of(&hour(1, 12.5, 0.0, 0.0)).unwrap();
        assert!((trend.slope_kib_per_min - 12.5).abs() < 1e-6, "{trend:?}");
        assert!(
            trend.noise_kib_per_min < 1e-6 && trend.spread_kib < 1e-6,
            "{trend:?}"
        );
        assert!((trend.beyond_noise() - 12.5).abs() < 1e-5);
        assert_eq!(trend.samples, 3_600);
    }

    #[test]
    fn flat_noise_is_flat_in_about_95_of_100_runs_also_when_it_wanders() {
        for memory in [0.0, 0.9, 0.98] {
            let outside = (0..400)
                .filter_map(|seed| Trend::of(&hour(seed, 0.0, 500.0, memory)))
                .filter(|trend| trend.slope_kib_per_min.abs() > trend.noise_kib_per_min)
                .count();
            assert!((8..=40).contains(&outside), "{outside} of 400 with {memory}");
        }
    }

    #[test]
    fn a_leak_is_found_beyond_the_noise() {
        let found = (0..100)
            .filter_map(|seed| Trend::of(&hour(seed, 10.0, 500.0, 0.9)))
            .filter(|trend| trend.beyond_noise() > 0.0)
            .count();
        assert!(found > 95, "{found} of 100");
    }

    #[test]
    fn too_little_says_nothing() {
        assert_eq!(Trend::of(&hour(1, 1.0, 1.0, 0.0)[..59]), None);
        assert_eq!(Trend::of(&[(1.0, 5.0); 100]), None);
        assert!(Trend::of(&hour(1, 1.0, 1.0, 0.0)[..60]).is_some());
    }

    proptest! {
        #[test]
        fn what_shrinks_or_only_wavers_has_not_grown(seed: u64, slope in -50.0_f64..-20.0) {
            let trend = Trend::of(&hour(seed, slope, 200.0, 0.9)).unwrap();
            prop_assert!(trend.beyond_noise() == 0.0 && trend.slope_kib_per_min < 0.0);
        }
    }
}
