//! How late light is: what no server between two places can beat. Pure.

use std::time::Duration;

use crate::wan::profiles::{MICROSECONDS_PER_KM, great_circle_km};

/// One-way delay of light in glass fibre along the great circle between two places, each latitude and longitude in
/// degrees; in whole microseconds. Real cables are about half as long again.
#[must_use]
pub fn light_in_fibre(one: (f64, f64), other: (f64, f64)) -> Duration {
    Duration::from_micros((great_circle_km(one, other) * MICROSECONDS_PER_KM).round() as u64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRANKFURT: (f64, f64) = (50.11, 8.68);
    const SYDNEY: (f64, f64) = (-33.87, 151.21);

    #[test]
    fn frankfurt_to_sydney_takes_82_ms() {
        // 16,480 km.
        let ms = light_in_fibre(FRANKFURT, SYDNEY).as_secs_f64() * 1e3;
        assert!((ms - 82.4).abs() < 0.5, "{ms}");
        assert_eq!(light_in_fibre(SYDNEY, SYDNEY), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn both_directions_are_alike_and_half_the_earth_is_the_most(
            a in -90.0_f64..=90.0, b in -180.0_f64..=180.0, c in -90.0_f64..=90.0, d in -180.0_f64..=180.0,
        ) {
            let there = light_in_fibre((a, b), (c, d));
            let back = light_in_fibre((c, d), (a, b));
            prop_assert!(there.abs_diff(back) <= Duration::from_micros(1));
            prop_assert!(there <= Duration::from_micros(100_100));
        }
    }
}
