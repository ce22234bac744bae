//! Real public addresses by city, for demonstrations ("pretend to be in Tokyo") and tests.
//!
//! All are in networks of universities (Rabat: the national research network), which rarely move. The country is checked
//! in a test against the embedded data; the city is where the institution is.

use std::net::{IpAddr, Ipv4Addr};

/// An address that belongs to a city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// City in English; may occur more than once.
    pub city: &'static str,
    /// ISO 3166-1 code of its country.
    pub country: &'static str,
    /// An address there.
    pub address: IpAddr,
}

const fn sample(city: &'static str, country: &'static str, octets: [u8; 4]) -> Sample {
    let [a, b, c, d] = octets;
    Sample {
        city,
        country,
        address: IpAddr::V4(Ipv4Addr::new(a, b, c, d)),
    }
}

/// Addresses of cities on six continents, from west to east. On a mesh of Frankfurt, Singapore and Sydney the
/// node is Frankfurt up to Berlin, then Singapore up to Tokyo, then Sydney, wherever the rest of the room is.
pub const SAMPLES: &[Sample] = &[
    sample("Berkeley", "US", [128, 32, 1, 1]),
    sample("Boston", "US", [18, 9, 22, 169]),
    sample("Sao Paulo", "BR", [143, 107, 1, 1]),
    sample("Rabat", "MA", [196, 200, 131, 1]),
    sample("London", "GB", [128, 16, 5, 1]),
    sample("Frankfurt", "DE", [141, 2, 1, 1]),
    sample("Berlin", "DE", [141, 20, 1, 1]),
    sample("Berlin", "DE", [130, 149, 7, 1]),
    sample("Mumbai", "IN", [103, 21, 124, 1]),
    sample("Singapore", "SG", [137, 132, 1, 1]),
    sample("Singapore", "SG", [155, 69, 1, 1]),
    sample("Jakarta", "ID", [152, 118, 24, 1]),
    sample("Tokyo", "JP", [133, 11, 0, 1]),
    sample("Melbourne", "AU", [128, 250, 1, 1]),
    sample("Sydney", "AU", [129, 78, 5, 1]),
    sample("Sydney", "AU", [149, 171, 1, 1]),
    sample("Auckland", "NZ", [130, 216, 1, 1]),
];
