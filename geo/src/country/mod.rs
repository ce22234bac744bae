//! Countries: the two-letter code and one point for each.
//!
//! A country database says only "DE". To compare distances a country needs a place: [`CountryCode::point`] looks
//! it up in a table of all ISO 3166-1 codes (plus `XK`), made by `data/make_country_points.py`. For most
//! countries this is the visual centre of the largest polygon. For about fifty the people live elsewhere (Canada,
//! Russia, Australia, Egypt, Brazil, ...): these have a point near the people, with the reason in the table.
//! Nothing else about countries lives here.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::point::GeoPoint;

mod table;

/// An ISO 3166-1 alpha-2 country code, upper case. `XK` (Kosovo, user-assigned) occurs in databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CountryCode([u8; 2]);

/// A country code is not two ASCII letters.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("country code {0:?} is not two letters, such as \"DE\"")]
pub struct CountryCodeError(String);

impl CountryCode {
    /// The code as text, such as `DE`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("invariant: both bytes are ASCII letters, checked by from_str")
    }

    /// The point that stands for the country; `None` for codes that are not assigned.
    ///
    /// A table look-up in about eight comparisons.
    #[must_use]
    pub fn point(self) -> Option<GeoPoint> {
        let found = table::POINTS
            .binary_search_by(|row| row.0.cmp(self.as_str()))
            .ok()?;
        let (_, latitude, longitude) = table::POINTS[found];
        GeoPoint::new(latitude, longitude).ok()
    }
}

impl FromStr for CountryCode {
    type Err = CountryCodeError;

    fn from_str(text: &str) -> Result<Self, CountryCodeError> {
        match text.as_bytes() {
            [a, b] if a.is_ascii_alphabetic() && b.is_ascii_alphabetic() => {
                Ok(Self([a.to_ascii_uppercase(), b.to_ascii_uppercase()]))
            }
            // Bounded, because the text may come from a file that is not ours.
            _ => Err(CountryCodeError(text.chars().take(16).collect())),
        }
    }
}

impl fmt::Display for CountryCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_sorted_unique_and_valid() {
        assert!(table::POINTS.windows(2).all(|pair| pair[0].0 < pair[1].0));
        for (code, latitude, longitude) in table::POINTS {
            assert!(code.parse::<CountryCode>().is_ok(), "{code}");
            assert!(GeoPoint::new(latitude, longitude).is_ok(), "{code}");
        }
    }

    #[test]
    fn overseas_territory_does_not_move_the_mother_country() {
        // Within a radius of a city of the mainland; naive centroids of the whole country are outside.
        for (code, latitude, longitude, km) in [
            ("FR", 48.86, 2.35, 400.0),
            ("NL", 52.37, 4.90, 100.0),
            ("PT", 38.72, -9.14, 300.0),
            ("ES", 40.42, -3.70, 100.0),
            ("NO", 59.91, 10.75, 100.0),
            ("DK", 55.68, 12.57, 300.0),
            ("GB", 51.51, -0.13, 200.0),
            ("US", 38.63, -90.20, 400.0),
            ("CA", 43.65, -79.38, 300.0),
            ("RU", 55.76, 37.62, 400.0),
            ("AU", -33.87, 151.21, 400.0),
            ("BR", -23.55, -46.63, 400.0),
            ("NZ", -36.85, 174.76, 200.0),
            ("CL", -33.45, -70.67, 100.0),
            ("EC", -0.18, -78.47, 200.0),
            ("FJ", -18.14, 178.44, 100.0),
            ("GF", 4.92, -52.31, 200.0),
            ("RE", -20.88, 55.45, 50.0),
            ("JP", 35.68, 139.69, 200.0),
            ("DE", 50.11, 8.68, 200.0),
            ("SG", 1.29, 103.85, 50.0),
        ] {
            let city = GeoPoint::new(latitude, longitude).unwrap();
            let distance_km = code
                .parse::<CountryCode>()
                .unwrap()
                .point()
                .unwrap()
                .distance_km(city);
            assert!(
                distance_km < km,
                "{code} is {distance_km} km from where its people are"
            );
        }
    }

    #[test]
    fn codes_are_two_letters_in_upper_case() {
        assert_eq!("de".parse::<CountryCode>().unwrap().to_string(), "DE");
        for bad in ["", "D", "DEU", "D1", "ÄÖ", "  "] {
            assert!(bad.parse::<CountryCode>().is_err(), "{bad:?}");
        }
        assert_eq!("ZZ".parse::<CountryCode>().unwrap().point(), None);
    }
}
