use std::collections::BTreeSet;
use std::net::IpAddr;

use sha2::{Digest, Sha256};

use super::*;
use crate::database::{Detail, Families, Schema};
use crate::locate::{Locator, LocatorSettings, Precision, Source};
use crate::sample::SAMPLES;

#[test]
fn embedded_bytes_are_the_pinned_ones() {
    let raw = raw();
    assert_eq!(raw.len(), RAW_BYTES);
    let digest: String = Sha256::digest(&raw)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(digest, RAW_SHA256);
}

#[test]
fn what_is_said_about_the_data_is_what_the_file_says() {
    let info = database().info().clone();
    assert_eq!(info.built, date());
    assert_eq!(
        (info.schema, info.detail, info.families),
        (Schema::Flat, Detail::Coarse, Families::Both)
    );
    assert!(info.networks > 1_000_000, "{info}");
    let line = version_line();
    for part in ["2026-06-01", "DB-IP", "CC BY 4.0", "coarse", VERSION] {
        assert!(line.contains(part), "{line}");
    }
}

#[test]
fn samples_are_in_their_countries() {
    let locator = Locator::new(LocatorSettings {
        databases: vec![database()],
        ..LocatorSettings::default()
    });
    for sample in SAMPLES {
        let place = locator.locate(sample.address);
        assert_eq!(place.country.unwrap().as_str(), sample.country, "{}", sample.city);
        assert_eq!(place.precision, Precision::Country);
        assert_eq!(place.source, Source::Database(NAME.to_owned()));
    }
    let cities: BTreeSet<&str> = SAMPLES.iter().map(|sample| sample.city).collect();
    for city in [
        "Frankfurt",
        "Berlin",
        "Singapore",
        "Jakarta",
        "Sydney",
        "Melbourne",
    ] {
        assert!(cities.contains(city), "{city}");
    }
    let addresses: BTreeSet<IpAddr> = SAMPLES.iter().map(|sample| sample.address).collect();
    assert_eq!(addresses.len(), SAMPLES.len());
}
