//! Links that have a name: profiles of access and ocean links, and a matrix of regions.
//!
//! **Profiles** are round values of ours, per direction, of the size that regulators and measurement firms
//! publish: the FCC's "Measuring Broadband America" and Ofcom's "UK home broadband performance" for fixed lines
//! (round trips around 10 ms over fibre, little loss), Opensignal's and Ofcom's mobile reports for LTE (round
//! trips of 40 to 60 ms, tens of Mbit/s). Wi-Fi is a home network with neighbours: a short delay, a long jitter,
//! losses in small bursts. They are meant for comparing servers under equal conditions, not as a statement about
//! any network.
//!
//! **The matrix** is computed, not measured: great-circle distance between the cities, times 5 µs per km (light
//! in glass: refractive index about 1.5), times 1.5 because cables do not follow great circles. Real paths lie
//! within about a quarter of that; cloud providers publish their own inter-region round trips.

use std::time::Duration;

use thiserror::Error;

use super::model::{BitRate, GilbertElliott, LinkProperties, Loss, Probability};

/// Why a name was refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ProfileError {
    /// No such profile.
    #[error("`{0}` is not a profile: use fibre, wifi, lte or transoceanic")]
    UnknownProfile(String),
    /// No such matrix.
    #[error("`{0}` is not a matrix: use {FIVE_CONTINENTS}")]
    UnknownMatrix(String),
}

/// Numbers of one profile: one-way milliseconds, per cent, datagrams, Mbit/s.
struct Figures {
    delay_ms: u64,
    jitter_ms: u64,
    loss_percent: f64,
    burst_datagrams: f64,
    rate_mbit: u64,
    queue_ms: u64,
}

/// A burst of 1 means single losses.
const FIBRE: Figures = Figures {
    delay_ms: 4,
    jitter_ms: 1,
    loss_percent: 0.02,
    burst_datagrams: 1.0,
    rate_mbit: 100,
    queue_ms: 50,
};

const WIFI: Figures = Figures {
    delay_ms: 3,
    jitter_ms: 12,
    loss_percent: 0.5,
    burst_datagrams: 3.0,
    rate_mbit: 40,
    queue_ms: 100,
};

const LTE: Figures = Figures {
    delay_ms: 22,
    jitter_ms: 18,
    loss_percent: 0.3,
    burst_datagrams: 2.0,
    rate_mbit: 20,
    queue_ms: 200,
};

/// London to New York is 5,570 km: 42 ms by the rule of the matrix.
const TRANSOCEANIC: Figures = Figures {
    delay_ms: 42,
    jitter_ms: 1,
    loss_percent: 0.05,
    burst_datagrams: 1.0,
    rate_mbit: 1_000,
    queue_ms: 50,
};

/// The properties of a named profile.
///
/// # Errors
/// [`ProfileError::UnknownProfile`] lists the names.
pub fn profile(name: &str) -> Result<LinkProperties, ProfileError> {
    let figures = match name {
        "fibre" => FIBRE,
        "wifi" => WIFI,
        "lte" => LTE,
        "transoceanic" => TRANSOCEANIC,
        _ => return Err(ProfileError::UnknownProfile(name.to_owned())),
    };
    Ok(figures.properties())
}

impl Figures {
    fn properties(&self) -> LinkProperties {
        let mean = Probability::new(self.loss_percent / 100.0)
            .expect("invariant: every profile loses between 0 and 100 %");
        let loss = if self.burst_datagrams > 1.0 {
            let chain = GilbertElliott::with_mean(mean, self.burst_datagrams);
            Loss::Bursts(chain.expect("invariant: the losses of every profile fit in its bursts"))
        } else {
            Loss::Uniform(mean)
        };
        LinkProperties {
            delay: Duration::from_millis(self.delay_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            loss,
            rate: BitRate::from_bps(self.rate_mbit * 1_000_000),
            queue: Duration::from_millis(self.queue_ms),
            ..LinkProperties::default()
        }
    }
}

/// Name of the only matrix so far.
pub const FIVE_CONTINENTS: &str = "five-continents";

/// Region, latitude and longitude in degrees (of the city, which is known to the kilometre): Frankfurt, Ashburn
/// in Virginia, Sao Paulo, Singapore, Sydney. Names are those of their airports.
const CITIES: [(&str, f64, f64); 5] = [
    ("fra", 50.11, 8.68),
    ("iad", 39.04, -77.49),
    ("gru", -23.55, -46.63),
    ("sin", 1.35, 103.82),
    ("syd", -33.87, 151.21),
];

const EARTH_RADIUS_KM: f64 = 6_371.0;
/// Light in glass: refractive index about 1.5.
pub const MICROSECONDS_PER_KM: f64 = 5.0;
const DETOUR: f64 = 1.5;

/// Regions and the one-way delays between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Matrix {
    cities: &'static [(&'static str, f64, f64)],
}

impl Matrix {
    /// The matrix of this name.
    ///
    /// # Errors
    /// [`ProfileError::UnknownMatrix`] lists the names.
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        match name {
            FIVE_CONTINENTS => Ok(Self { cities: &CITIES }),
            _ => Err(ProfileError::UnknownMatrix(name.to_owned())),
        }
    }

    /// Its regions.
    pub fn regions(self) -> impl Iterator<Item = &'static str> {
        self.cities.iter().map(|(name, _, _)| *name)
    }

    /// One-way delay between two of its regions in whole milliseconds, at least 1; `None` for a region it does
    /// not have, and from a region to itself.
    pub fn delay(self, from: &str, to: &str) -> Option<Duration> {
        let distance_km = self.distance_km(from, to)?;
        let milliseconds = (distance_km * MICROSECONDS_PER_KM * DETOUR / 1_000.0).round();
        Some(Duration::from_millis((milliseconds as u64).max(1)))
    }

    /// The bound that physics sets: light in glass along the great circle. `None` as in [`Self::delay`].
    pub fn light_delay(self, from: &str, to: &str) -> Option<Duration> {
        let microseconds = self.distance_km(from, to)? * MICROSECONDS_PER_KM;
        Some(Duration::from_micros(microseconds as u64))
    }

    fn distance_km(self, from: &str, to: &str) -> Option<f64> {
        let place = |wanted: &str| self.cities.iter().find(|(name, _, _)| *name == wanted);
        let (from, to) = (place(from)?, place(to)?);
        (from.0 != to.0).then(|| great_circle_km((from.1, from.2), (to.1, to.2)))
    }
}

/// Distance over a sphere by the haversine formula; arguments are latitude and longitude in degrees.
#[must_use]
pub fn great_circle_km(one: (f64, f64), other: (f64, f64)) -> f64 {
    let (latitude, other_latitude) = (one.0.to_radians(), other.0.to_radians());
    let half_north = (other_latitude - latitude) / 2.0;
    let half_east = (other.1 - one.1).to_radians() / 2.0;
    let chord = half_north.sin().powi(2) + latitude.cos() * other_latitude.cos() * half_east.sin().powi(2);
    2.0 * EARTH_RADIUS_KM * chord.sqrt().min(1.0).asin()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_has_properties_and_other_names_are_refused() {
        for name in ["fibre", "wifi", "lte", "transoceanic"] {
            let properties = profile(name).unwrap();
            assert!(!properties.delay.is_zero() && properties.rate.is_some(), "{name}");
        }
        let error = profile("5g").unwrap_err().to_string();
        assert!(error.contains("`5g` is not a profile: use fibre"), "{error}");
        assert!(
            Matrix::named("mars")
                .unwrap_err()
                .to_string()
                .contains(FIVE_CONTINENTS)
        );
    }

    #[test]
    fn the_matrix_is_symmetric_and_close_to_the_cables_of_the_example() {
        let matrix = Matrix::named(FIVE_CONTINENTS).unwrap();
        for from in matrix.regions() {
            assert_eq!(matrix.delay(from, from), None);
            for to in matrix.regions().filter(|to| *to != from) {
                assert_eq!(matrix.delay(from, to), matrix.delay(to, from));
                assert!(matrix.light_delay(from, to) < matrix.delay(from, to));
            }
        }
        // The example's delays, which come from elsewhere.
        for (from, to, cable_ms) in [("fra", "sin", 80), ("sin", "syd", 46), ("fra", "syd", 125)] {
            let delay_ms = matrix.delay(from, to).unwrap().as_millis();
            assert!(delay_ms.abs_diff(cable_ms) <= 4, "{from} > {to}: {delay_ms} ms");
        }
    }

    #[test]
    fn a_known_distance_comes_out() {
        // A quarter of the equator.
        let quarter = great_circle_km((0.0, 0.0), (0.0, 90.0));
        assert!((quarter - EARTH_RADIUS_KM * std::f64::consts::FRAC_PI_2).abs() < 0.001);
    }
}
