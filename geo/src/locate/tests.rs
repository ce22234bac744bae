use super::*;
use crate::slot::LocatorSlot;

const NESTED_CITY: &[u8] = include_bytes!("../../tests/fixtures/nested-city.mmdb");
const NESTED_COUNTRY: &[u8] = include_bytes!("../../tests/fixtures/nested-country.mmdb");
const FLAT_V4: &[u8] = include_bytes!("../../tests/fixtures/flat-city-v4.mmdb");
const FLAT_V6: &[u8] = include_bytes!("../../tests/fixtures/flat-city-v6.mmdb");

#[test]
fn finer_database_wins_whatever_the_order() {
    for files in [
        [("city", NESTED_CITY), ("country", NESTED_COUNTRY)],
        [("country", NESTED_COUNTRY), ("city", NESTED_CITY)],
    ] {
        let locator = locator(&files);
        assert_eq!(locator.detail(), Some(Detail::Fine));
        let place = at(&locator, "20.1.2.3");
        assert_eq!(
            (place.precision, place.city.as_deref()),
            (Precision::City, Some("Sapporo"))
        );
        assert_eq!(place.source, Source::Database("city".to_owned()));
        // Only the coarse one knows this network.
        let place = at(&locator, "20.9.0.1");
        assert_eq!(
            (place.precision, place.country.unwrap().as_str()),
            (Precision::Country, "DE")
        );
        assert_eq!(place.source, Source::Database("country".to_owned()));
        assert!(place.point().is_some());
    }
}

#[test]
fn among_equally_fine_databases_the_first_given_wins() {
    assert_eq!(
        at(&locator(&[("a", NESTED_CITY), ("b", FLAT_V4)]), "20.1.2.3")
            .city
            .as_deref(),
        Some("Sapporo")
    );
    assert_eq!(
        at(&locator(&[("b", FLAT_V4), ("a", NESTED_CITY)]), "20.1.2.3")
            .city
            .as_deref(),
        Some("Perth")
    );
}

#[test]
fn separate_files_for_each_family_work_together() {
    let locator = locator(&[("v4", FLAT_V4), ("v6", FLAT_V6)]);
    assert_eq!(at(&locator, "20.1.2.3").city.as_deref(), Some("Perth"));
    assert_eq!(at(&locator, "::ffff:20.1.2.3").city.as_deref(), Some("Perth"));
    assert_eq!(at(&locator, "2600:1::5").city.as_deref(), Some("Cape Town"));
}

#[test]
fn a_country_without_coordinates_gets_the_point_of_the_country() {
    let place = at(&locator(&[("city", NESTED_CITY)]), "20.2.0.1");
    assert_eq!(place.precision, Precision::Country);
    assert_eq!(place.point(), "FR".parse::<CountryCode>().unwrap().point());
    assert!(place.to_string().starts_with("country FR ("), "{place}");
}

#[test]
fn addresses_that_are_not_public_get_the_default_with_the_reason() {
    let locator = Locator::new(LocatorSettings {
        databases: vec![crate::embedded::database()],
        overrides: Vec::new(),
        default: Anchor::Region("Frankfurt".to_owned()),
    });
    for (address, words) in [
        ("127.0.0.1", "loopback"),
        ("::1", "loopback"),
        ("10.0.0.5", "private"),
        ("192.168.178.20", "private"),
        ("fd12::1", "private"),
        ("169.254.3.4", "link-local"),
        ("fe80::1", "link-local"),
        ("100.64.0.9", "carrier-shared"),
        ("203.0.113.7", "documentation"),
        ("2001:db8::7", "documentation"),
        ("::ffff:192.0.2.7", "documentation"),
        ("0.0.0.0", "reserved"),
    ] {
        let place = at(&locator, address);
        assert_eq!(place.anchor, Anchor::Region("Frankfurt".to_owned()), "{address}");
        assert_eq!(
            (place.precision, place.country),
            (Precision::Default, None),
            "{address}"
        );
        assert!(place.to_string().contains(words), "{address}: {place}");
    }
}

#[test]
fn unknown_public_addresses_get_the_default_with_the_reason() {
    let place = at(&locator(&[("city", NESTED_CITY)]), "8.8.8.8");
    assert_eq!(place.source, Source::Default(DefaultReason::Unknown));
    assert_eq!(place.anchor, Anchor::Nowhere);
    // The record is there, but says nothing about a place.
    let place = at(&locator(&[("city", NESTED_CITY)]), "20.5.0.1");
    assert_eq!(place.source, Source::Default(DefaultReason::Unknown));
    // "EU" is a code in databases, but no place.
    let place = at(&locator(&[("city", NESTED_CITY)]), "20.7.0.1");
    assert_eq!(place.source, Source::Default(DefaultReason::Unknown));
    let place = at(&locator(&[]), "8.8.8.8");
    assert_eq!(place.source, Source::Default(DefaultReason::NoDatabase));
    assert_eq!(locator(&[]).detail(), None);
}

#[test]
fn longest_override_wins_over_databases_and_over_not_public() {
    let point = GeoPoint::new(48.1, 11.6).unwrap();
    let rule = |net: &str, anchor| Override {
        net: net.parse().unwrap(),
        anchor,
    };
    let locator = Locator::new(LocatorSettings {
        databases: vec![open("city", NESTED_CITY)],
        overrides: vec![
            rule("10.0.0.0/8", Anchor::Region("Frankfurt".to_owned())),
            rule("10.1.0.0/16", Anchor::Node("fra-2".to_owned())),
            rule("20.1.0.0/16", Anchor::Point(point)),
        ],
        default: Anchor::Nowhere,
    });
    assert_eq!(
        at(&locator, "10.9.9.9").anchor,
        Anchor::Region("Frankfurt".to_owned())
    );
    let place = at(&locator, "10.1.2.3");
    assert_eq!(
        (place.anchor, place.precision),
        (Anchor::Node("fra-2".to_owned()), Precision::Override)
    );
    assert_eq!(place.source, Source::Override("10.1.0.0/16".parse().unwrap()));
    assert_eq!(at(&locator, "20.1.2.3").point(), Some(point));
    assert_eq!(at(&locator, "::ffff:20.1.2.3").point(), Some(point));
    assert_eq!(at(&locator, "2600:1::5").precision, Precision::City);
}

#[test]
fn a_failed_reload_leaves_the_old_data_in_place() {
    let slot = LocatorSlot::new(locator(&[("old", NESTED_CITY)]));
    let damaged = DatabaseFile {
        name: "new".to_owned(),
        bytes: NESTED_CITY[..400].to_vec(),
    };
    let good = DatabaseFile {
        name: "good".to_owned(),
        bytes: FLAT_V4.to_vec(),
    };
    let error = slot
        .reload(vec![good.clone(), damaged], LocatorSettings::default())
        .unwrap_err();
    assert!(error.to_string().starts_with("new is not"), "{error}");
    assert_eq!(at(&slot.current(), "20.1.2.3").city.as_deref(), Some("Sapporo"));

    let taken_before = slot.current();
    let fresh = slot.reload(vec![good], LocatorSettings::default()).unwrap();
    assert_eq!(
        fresh.loaded().map(|info| info.name.as_str()).collect::<Vec<_>>(),
        ["good"]
    );
    assert_eq!(at(&slot.current(), "20.1.2.3").city.as_deref(), Some("Perth"));
    assert_eq!(at(&taken_before, "20.1.2.3").city.as_deref(), Some("Sapporo"));
}

fn open(name: &str, bytes: &[u8]) -> Arc<Database> {
    Arc::new(Database::open(name, bytes.to_vec()).unwrap())
}

fn locator(files: &[(&str, &[u8])]) -> Locator {
    let databases = files.iter().map(|(name, bytes)| open(name, bytes)).collect();
    Locator::new(LocatorSettings {
        databases,
        ..LocatorSettings::default()
    })
}

fn at(locator: &Locator, address: &str) -> Place {
    locator.locate(address.parse().unwrap())
}
