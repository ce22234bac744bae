//! From distance to round trip, and what a measurement adds.
//!
//! A prediction of `BASE_MS + distance * 2 / FIBRE_KM_PER_MS * ROUTE_FACTOR`. It is meant for **comparing**
//! nodes, where a common error cancels out; as an absolute figure it is good to about a third.

use crate::point::GeoPoint;

/// Speed of light in glass, km per millisecond: 299.8 / 1.468 (group index of standard single-mode fibre, ITU-T
/// G.652).
pub const FIBRE_KM_PER_MS: f64 = 204.2;
/// How much longer the way of a cable is than the great circle, routers included. Frankfurt-Singapore 160 ms,
/// Singapore-Sydney 92 ms and Frankfurt-Sydney 250 ms give 1.49 to 1.59 against [`FIBRE_KM_PER_MS`].
pub const ROUTE_FACTOR: f64 = 1.5;
/// Access line and equipment on both ends, milliseconds of round trip: what remains at no distance.
pub const BASE_MS: f64 = 4.0;
/// Round trip assumed where neither place nor measurement is known. The same for all nodes: it decides nothing
/// between two unknown ones, and loses against a measured node on the same continent.
pub const UNKNOWN_RTT_MS: f64 = 100.0;
/// So many samples of a measurement weigh as much as the prediction.
const HALF_TRUST_SAMPLES: f64 = 1.0;
/// A round trip above this is a fault of the measurement, not a path.
const PLAUSIBLE_RTT_MAX_MS: f64 = 10_000.0;

/// A measured round trip.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Smallest or smoothed round trip, milliseconds.
    pub rtt_ms: f64,
    /// Probes behind it.
    pub samples: u32,
}

impl Measured {
    /// Whether the figure can be a path at all: a finite number of milliseconds from at least one sample.
    #[must_use]
    pub fn is_plausible(&self) -> bool {
        self.samples > 0 && plausible_rtt(self.rtt_ms).is_some()
    }
}

/// `rtt_ms` when it can be a round trip at all.
pub(crate) fn plausible_rtt(rtt_ms: f64) -> Option<f64> {
    (0.0..=PLAUSIBLE_RTT_MAX_MS).contains(&rtt_ms).then_some(rtt_ms)
}

/// Predicted round trip over `distance_km`, milliseconds; at least [`BASE_MS`].
#[must_use]
pub fn predicted_rtt_ms(distance_km: f64) -> f64 {
    BASE_MS + distance_km.max(0.0) * 2.0 / FIBRE_KM_PER_MS * ROUTE_FACTOR
}

/// Predicted round trip between two points, milliseconds.
#[must_use]
pub fn between_points_ms(a: GeoPoint, b: GeoPoint) -> f64 {
    predicted_rtt_ms(a.distance_km(b))
}

/// Blends a prediction with a measurement: `n` samples weigh `n / (n + 1)`.
///
/// One probe may have met a busy moment and counts half; ten leave the prediction a tenth. Implausible measurements
/// are ignored.
#[must_use]
pub fn blend_ms(predicted_ms: f64, measured: Option<Measured>) -> f64 {
    match measured.filter(Measured::is_plausible) {
        Some(Measured { rtt_ms, samples }) => {
            let samples = f64::from(samples);
            let weight = samples / (samples + HALF_TRUST_SAMPLES);
            predicted_ms + (rtt_ms - predicted_ms) * weight
        }
        None => predicted_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_match_known_routes_within_a_tenth() {
        for (km, rtt_ms) in [(10_260.0, 160.0), (6_300.0, 92.0), (16_480.0, 250.0)] {
            let predicted = predicted_rtt_ms(km);
            assert!(
                (predicted / rtt_ms - 1.0).abs() < 0.1,
                "{km} km: {predicted} ms, known {rtt_ms}"
            );
        }
    }

    #[test]
    fn more_samples_move_the_blend_towards_the_measurement() {
        let blended = |samples| {
            blend_ms(
                100.0,
                Some(Measured {
                    rtt_ms: 20.0,
                    samples,
                }),
            )
        };
        assert!((blended(1) - 60.0).abs() < 1e-9);
        assert!((blended(3) - 40.0).abs() < 1e-9);
        assert!(blended(9) < 30.0);
    }

    #[test]
    fn impossible_measurements_are_ignored() {
        for rtt_ms in [f64::NAN, f64::INFINITY, -1.0, 1e9] {
            assert_eq!(blend_ms(50.0, Some(Measured { rtt_ms, samples: 5 })), 50.0);
        }
        assert_eq!(
            blend_ms(
                50.0,
                Some(Measured {
                    rtt_ms: 10.0,
                    samples: 0
                })
            ),
            50.0
        );
    }
}
