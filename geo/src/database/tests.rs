use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const NESTED_CITY: &[u8] = include_bytes!("../../tests/fixtures/nested-city.mmdb");
const NESTED_COUNTRY: &[u8] = include_bytes!("../../tests/fixtures/nested-country.mmdb");
const FLAT_V4: &[u8] = include_bytes!("../../tests/fixtures/flat-city-v4.mmdb");
const FLAT_V6: &[u8] = include_bytes!("../../tests/fixtures/flat-city-v6.mmdb");
const ASN: &[u8] = include_bytes!("../../tests/fixtures/asn.mmdb");

#[test]
fn files_say_what_they_are() {
    for (bytes, schema, detail, families, networks) in [
        (NESTED_CITY, Schema::Nested, Detail::Fine, Families::Both, 7),
        (NESTED_COUNTRY, Schema::Nested, Detail::Coarse, Families::Both, 3),
        (FLAT_V4, Schema::Flat, Detail::Fine, Families::V4, 2),
        (FLAT_V6, Schema::Flat, Detail::Fine, Families::V6, 1),
    ] {
        let info = open(bytes).unwrap().info().clone();
        assert_eq!(
            (info.schema, info.detail, info.families),
            (schema, detail, families),
            "{info}"
        );
        assert_eq!(
            (info.networks, info.size_bytes),
            (networks, bytes.len()),
            "{info}"
        );
        assert_eq!(info.built.to_string(), "2026-01-01");
        assert_eq!(info.age_days(info.built_epoch_s + 3 * 86_400 + 1), 3);
        assert_eq!(info.age_days(0), 0);
    }
    assert_eq!(
        open(NESTED_COUNTRY).unwrap().info().to_string(),
        "test.mmdb: Test-Country, data of 2026-01-01, IPv4 and IPv6, 3 networks, coarse: countries only"
    );
}

#[test]
fn both_layouts_give_country_point_and_city() {
    let nested = answer(NESTED_CITY, "20.1.2.3").unwrap();
    assert_eq!(nested.city.as_deref(), Some("Sapporo"));
    assert_eq!(nested.country.unwrap().as_str(), "JP");
    assert_eq!(nested.point.unwrap().to_string(), "43.06,141.35");
    let flat = answer(FLAT_V4, "20.1.2.3").unwrap();
    assert_eq!(flat.city.as_deref(), Some("Perth"));
    assert_eq!(flat.country.unwrap().as_str(), "AU");
    assert_eq!(flat.point.unwrap().to_string(), "-31.95,115.86");
    assert_eq!(
        answer(FLAT_V6, "2600:1::5").unwrap().city.as_deref(),
        Some("Cape Town")
    );
    assert_eq!(
        answer(NESTED_CITY, "2600:1::5").unwrap().city.as_deref(),
        Some("Seattle")
    );
}

#[test]
fn incomplete_records_give_what_is_usable_and_no_more() {
    let registered = answer(NESTED_CITY, "20.3.0.1").unwrap();
    assert_eq!(
        (registered.country.unwrap().as_str(), registered.point),
        ("KE", None)
    );
    let impossible = answer(NESTED_CITY, "20.4.0.1").unwrap();
    assert_eq!(
        (impossible.country.unwrap().as_str(), impossible.point),
        ("BR", None)
    );
    let no_place = answer(NESTED_CITY, "20.5.0.1").unwrap();
    assert_eq!((no_place.country, no_place.point), (None, None));
    let zero = answer(FLAT_V4, "20.6.0.1").unwrap();
    assert_eq!(
        (zero.country.unwrap().as_str(), zero.point, zero.city),
        ("CA", None, None)
    );
}

#[test]
fn a_file_answers_only_for_its_own_family() {
    assert_eq!(answer(FLAT_V4, "2600:1::5"), None);
    assert_eq!(answer(FLAT_V6, "20.1.2.3"), None);
}

#[test]
fn something_else_than_a_database_is_named_as_such() {
    for bytes in [&b""[..], b"hello", &NESTED_CITY[..NESTED_CITY.len() / 2]] {
        let error = open(bytes).unwrap_err();
        assert!(matches!(error, DatabaseError::NotADatabase { .. }), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("test.mmdb is not a MaxMind-format database"),
            "{error}"
        );
    }
}

#[test]
fn damage_inside_the_file_is_found_when_it_is_opened() {
    // Bytes are missing in the middle of a download; head and tail are there.
    let mut shortened = NESTED_CITY.to_vec();
    shortened.drain(100..600);
    // A record points to nowhere.
    let mut overwritten = NESTED_CITY.to_vec();
    overwritten[60..120].fill(0xFE);
    for bytes in [shortened, overwritten] {
        let error = Database::open("test.mmdb", bytes).unwrap_err();
        assert!(matches!(error, DatabaseError::Corrupt { .. }), "{error}");
        assert!(error.to_string().contains("test.mmdb is damaged"), "{error}");
    }
}

#[test]
fn a_search_tree_that_is_no_tree_is_refused_in_bounded_time() {
    let sound = open(NESTED_CITY).unwrap();
    let nodes = sound.reader.metadata().node_count;
    // Loop: every record points back to the root. Ladder: both records of a node point to the next node, which
    // makes 2^128 ways through 128 nodes, and the last one to "no data".
    let looped = vec![0; nodes as usize * 6];
    let ladder: Vec<u8> = (1..=nodes)
        .flat_map(|next| [next; 2])
        .flat_map(|next| next.to_be_bytes()[1..].to_vec())
        .collect();
    for tree in [looped, ladder] {
        let mut bytes = NESTED_CITY.to_vec();
        bytes[..tree.len()].copy_from_slice(&tree);
        let error = Database::open("test.mmdb", bytes).unwrap_err();
        assert!(matches!(error, DatabaseError::Corrupt { .. }), "{error}");
    }
}

#[test]
fn a_database_without_places_is_refused_with_its_type() {
    let error = open(ASN).unwrap_err();
    assert!(matches!(error, DatabaseError::NoPlaces { .. }), "{error}");
    assert!(error.to_string().contains("Test-ASN"), "{error}");
}

#[test]
fn every_country_of_the_embedded_database_has_a_point() {
    let database = crate::embedded::database();
    let mut countries = BTreeSet::new();
    let mut seen = HashSet::new();
    for found in database.reader.networks(WithinOptions::default()).unwrap() {
        let found = found.unwrap();
        if seen.insert(found.offset()) {
            countries.extend(found.decode::<Record<'_>>().unwrap().unwrap().answer().country);
        }
    }
    assert_eq!(countries.len(), 250);
    let without: Vec<_> = countries.iter().filter(|code| code.point().is_none()).collect();
    assert!(without.is_empty(), "{without:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn damaged_files_never_panic(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        cut in any::<prop::sample::Index>(),
        is_cut in prop::bool::weighted(0.2),
        address in any::<u32>(),
    ) {
        let mut bytes = NESTED_CITY.to_vec();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if is_cut {
            bytes.drain(..cut.index(bytes.len()));
        }
        if let Ok(database) = Database::open("test.mmdb", bytes) {
            for host in [address, 0x1401_0203] {
                let _ = database.answer(IpAddr::V4(host.into()));
            }
        }
    }
}

fn open(bytes: &[u8]) -> Result<Database, DatabaseError> {
    Database::open("test.mmdb", bytes.to_vec())
}

fn answer(bytes: &[u8], address: &str) -> Option<Answer> {
    open(bytes).unwrap().answer(address.parse().unwrap()).unwrap()
}
