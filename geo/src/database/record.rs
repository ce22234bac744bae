//! One record of a database, in either of the two layouts that exist.
//!
//! *Nested*, as MaxMind and DB-IP ship it: `country.iso_code`, `location.latitude`, `city.names.en`. *Flat*, as
//! many repackaged files have it: `country_code`, `latitude`, `longitude`, `city`. Both are read by the same
//! struct, because a file may even mix them; unknown fields are skipped without being expanded.

use serde::Deserialize;

use crate::country::CountryCode;
use crate::point::GeoPoint;

/// Names of cities longer than this are cut: they are shown in logs and to people.
const CITY_NAME_MAX_CHARS: usize = 80;

#[derive(Deserialize)]
pub(super) struct Record<'a> {
    #[serde(borrow)]
    country: Option<TextOr<'a, Country<'a>>>,
    #[serde(borrow)]
    registered_country: Option<TextOr<'a, Country<'a>>>,
    location: Option<Location>,
    #[serde(borrow)]
    city: Option<TextOr<'a, City<'a>>>,
    country_code: Option<&'a str>,
    latitude: Option<f64>,
    longitude: Option<f64>,
}

/// Flat files use the same field names for plain text ("country": "Germany").
#[derive(Deserialize)]
#[serde(untagged)]
enum TextOr<'a, T> {
    Nested(T),
    Text(&'a str),
}

#[derive(Deserialize)]
struct Country<'a> {
    iso_code: Option<&'a str>,
}

#[derive(Deserialize)]
struct Location {
    latitude: Option<f64>,
    longitude: Option<f64>,
}

#[derive(Deserialize)]
struct City<'a> {
    #[serde(borrow)]
    names: Option<Names<'a>>,
}

#[derive(Deserialize)]
struct Names<'a> {
    en: Option<&'a str>,
}

/// What one record says, checked.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Answer {
    pub(crate) country: Option<CountryCode>,
    pub(crate) point: Option<GeoPoint>,
    pub(crate) city: Option<String>,
    pub(crate) nested: bool,
}

impl Record<'_> {
    /// Takes what is usable; an impossible coordinate or code counts as absent.
    pub(super) fn answer(&self) -> Answer {
        let nested = matches!(self.country, Some(TextOr::Nested(_))) || self.location.is_some();
        let code = iso_code(self.country.as_ref())
            .or(self.country_code)
            .or_else(|| iso_code(self.registered_country.as_ref()));
        let (latitude, longitude) = match &self.location {
            Some(location) => (location.latitude, location.longitude),
            None => (self.latitude, self.longitude),
        };
        let point = latitude
            .zip(longitude)
            .and_then(|(lat, lon)| GeoPoint::new(lat, lon).ok());
        let city = match &self.city {
            Some(TextOr::Nested(City { names: Some(names) })) => names.en,
            Some(TextOr::Text(name)) => Some(*name),
            Some(TextOr::Nested(City { names: None })) | None => None,
        };
        Answer {
            country: code.and_then(|text| text.parse().ok()),
            // Repackaged files write 0,0 where the vendor knows nothing; nobody joins from that buoy.
            point: point.filter(|p| p.latitude() != 0.0 || p.longitude() != 0.0),
            city: city.filter(|name| !name.is_empty()).map(|name| {
                name.chars()
                    .filter(|c| !c.is_control())
                    .take(CITY_NAME_MAX_CHARS)
                    .collect()
            }),
            nested,
        }
    }
}

fn iso_code<'a>(country: Option<&TextOr<'a, Country<'a>>>) -> Option<&'a str> {
    match country? {
        TextOr::Nested(country) => country.iso_code,
        // Some flat files put the code here and some the name: a name does not parse as a code.
        TextOr::Text(text) => Some(text).filter(|text| text.len() == 2).copied(),
    }
}
