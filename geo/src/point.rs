//! Points on the globe and the distance between them.

use std::fmt;

use thiserror::Error;

/// Mean radius of the earth, kilometres (IUGG mean radius R1).
const EARTH_RADIUS_KM: f64 = 6371.0088;

/// A place on the globe in degrees; always valid, because every constructor checks.
///
/// Latitude is -90 (south pole) to 90 (north pole), longitude is -180 to 180, positive towards the east.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    latitude: f64,
    longitude: f64,
}

/// Why two numbers are not a place.
#[derive(Debug, Clone, Copy, PartialEq, Error)]
#[non_exhaustive]
pub enum PointError {
    /// The latitude is not a number between -90 and 90.
    #[error("latitude {0} is not between -90 and 90 degrees")]
    Latitude(f64),
    /// The longitude is not a number between -180 and 180.
    #[error("longitude {0} is not between -180 and 180 degrees")]
    Longitude(f64),
}

impl GeoPoint {
    /// Makes a point of degrees.
    ///
    /// # Errors
    /// [`PointError`] when a value is out of range or not a number.
    pub const fn new(latitude: f64, longitude: f64) -> Result<Self, PointError> {
        if !(latitude >= -90.0 && latitude <= 90.0) {
            return Err(PointError::Latitude(latitude));
        }
        if !(longitude >= -180.0 && longitude <= 180.0) {
            return Err(PointError::Longitude(longitude));
        }
        Ok(Self { latitude, longitude })
    }

    /// Latitude in degrees, -90 to 90.
    #[must_use]
    pub const fn latitude(self) -> f64 {
        self.latitude
    }

    /// Longitude in degrees, -180 to 180.
    #[must_use]
    pub const fn longitude(self) -> f64 {
        self.longitude
    }

    /// Great-circle distance to `other` in kilometres, 0 to about 20,015.
    ///
    /// Haversine on a sphere: at most 0.5 % off the ellipsoid, far below the error of any address database.
    #[must_use]
    pub fn distance_km(self, other: Self) -> f64 {
        let (lat_a, lat_b) = (self.latitude.to_radians(), other.latitude.to_radians());
        let half_lat = (lat_b - lat_a) / 2.0;
        let half_lon = (other.longitude - self.longitude).to_radians() / 2.0;
        let h = half_lat.sin().powi(2) + lat_a.cos() * lat_b.cos() * half_lon.sin().powi(2);
        // Rounding may lift h a hair above 1 for antipodes; asin would then be NaN.
        2.0 * EARTH_RADIUS_KM * h.clamp(0.0, 1.0).sqrt().asin()
    }
}

impl fmt::Display for GeoPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.2},{:.2}", self.latitude, self.longitude)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(latitude: f64, longitude: f64) -> GeoPoint {
        GeoPoint::new(latitude, longitude).unwrap()
    }

    #[test]
    fn out_of_range_and_nan_are_refused() {
        assert_eq!(GeoPoint::new(90.1, 0.0), Err(PointError::Latitude(90.1)));
        assert_eq!(GeoPoint::new(0.0, -180.5), Err(PointError::Longitude(-180.5)));
        assert!(GeoPoint::new(f64::NAN, 0.0).is_err());
        assert!(GeoPoint::new(0.0, f64::INFINITY).is_err());
    }

    #[test]
    fn known_distances_are_within_one_percent() {
        let (frankfurt, singapore, sydney) = (point(50.11, 8.68), point(1.35, 103.82), point(-33.87, 151.21));
        for (a, b, km) in [
            (frankfurt, singapore, 10_260.0),
            (singapore, sydney, 6_300.0),
            (frankfurt, sydney, 16_480.0),
            (point(0.0, 179.5), point(0.0, -179.5), 111.2),
        ] {
            assert!(
                (a.distance_km(b) / km - 1.0).abs() < 0.01,
                "{a} to {b}: {}",
                a.distance_km(b)
            );
        }
    }

    proptest! {
        #[test]
        fn distance_is_a_symmetric_finite_number(
            a in (-90.0..=90.0, -180.0..=180.0), b in (-90.0..=90.0, -180.0..=180.0),
        ) {
            let (a, b) = (point(a.0, a.1), point(b.0, b.1));
            let km = a.distance_km(b);
            prop_assert!((0.0..=20_016.0).contains(&km));
            prop_assert!((km - b.distance_km(a)).abs() < 1e-6);
            prop_assert!(a.distance_km(a) < 1e-6);
        }
    }
}
