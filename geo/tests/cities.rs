//! Real public addresses on six continents, through the embedded database, to the expected node of a five-node
//! mesh.
//!
//! Networks are those of universities and national carriers, chosen because they have been in one country for
//! decades.

use std::collections::BTreeMap;

use geo::{
    Candidate, GeoPoint, Locator, LocatorSettings, NodeState, Policy, Precision, RankRequest, SAMPLES, rank,
};

/// Address, country, expected node.
const CASES: &[(&str, &str, &str)] = &[
    // Europe
    ("141.2.1.1", "DE", "fra"),
    ("141.20.1.1", "DE", "fra"),
    ("2001:638:504::1", "DE", "fra"),
    ("2003:c0::1", "DE", "fra"),
    ("131.111.8.42", "GB", "fra"),
    ("2001:630:212::1", "GB", "fra"),
    ("130.79.1.1", "FR", "fra"),
    ("2001:660:7301::1", "FR", "fra"),
    ("130.206.1.1", "ES", "fra"),
    ("147.102.1.1", "GR", "fra"),
    ("130.237.1.1", "SE", "fra"),
    ("93.158.134.3", "RU", "fra"),
    // Africa
    ("41.32.1.1", "EG", "fra"),
    ("196.200.131.1", "MA", "fra"),
    ("105.112.1.1", "NG", "fra"),
    ("41.90.1.1", "KE", "fra"),
    // North America
    ("18.9.22.169", "US", "iad"),
    ("128.32.1.1", "US", "iad"),
    ("2607:f140::1", "US", "iad"),
    ("142.150.1.1", "CA", "iad"),
    ("2607:f2c0::1", "CA", "iad"),
    ("132.248.1.1", "MX", "iad"),
    // South America
    ("143.107.1.1", "BR", "gru"),
    ("2001:12ff::1", "BR", "gru"),
    ("157.92.1.1", "AR", "gru"),
    ("146.83.1.1", "CL", "gru"),
    ("2800:300::1", "CL", "gru"),
    // Asia
    ("137.132.1.1", "SG", "sin"),
    ("165.21.1.1", "SG", "sin"),
    ("2406:3003::1", "SG", "sin"),
    ("152.118.24.1", "ID", "sin"),
    ("2001:448a::1", "ID", "sin"),
    ("103.21.124.1", "IN", "sin"),
    ("2409:4000::1", "IN", "sin"),
    ("133.11.0.1", "JP", "sin"),
    ("2001:200:0:8002::1", "JP", "sin"),
    ("143.248.1.1", "KR", "sin"),
    ("2001:da8::1", "CN", "sin"),
    ("158.108.1.1", "TH", "sin"),
    ("132.68.1.1", "IL", "fra"),
    ("94.200.1.1", "AE", "fra"),
    // Oceania
    ("129.78.5.1", "AU", "syd"),
    ("149.171.1.1", "AU", "syd"),
    ("128.250.1.1", "AU", "syd"),
    ("2001:388:1::1", "AU", "syd"),
    ("130.216.1.1", "NZ", "syd"),
    ("2404:4400::1", "NZ", "syd"),
];

#[test]
fn public_addresses_on_six_continents_reach_the_expected_node() {
    let locator = locator();
    let mesh = [
        node("fra", 50.11, 8.68),
        node("iad", 38.95, -77.45),
        node("gru", -23.55, -46.63),
        node("sin", 1.35, 103.82),
        node("syd", -33.87, 151.21),
    ];
    for (address, country, expected) in CASES {
        let place = locator.locate(address.parse().unwrap());
        assert_eq!(
            place.country.map(|c| c.to_string()).as_deref(),
            Some(*country),
            "{address}"
        );
        assert_eq!(place.precision, Precision::Country, "{address}");
        let ranking = rank(&RankRequest::at(place), &mesh, &Policy::default()).unwrap();
        assert_eq!(
            ranking.best().name,
            *expected,
            "{address} in {country}: {:#?}",
            ranking.ordered
        );
        assert_eq!(ranking.ordered.len(), mesh.len());
    }
}

/// The three-node mesh of the demonstration: whichever node the rest of the room is on, nobody is sent elsewhere
/// than to the nearest node.
#[test]
fn samples_stay_on_their_nearest_node_wherever_the_room_is() {
    let locator = locator();
    let mut mesh = [
        node("fra", 50.11, 8.68),
        node("sin", 1.35, 103.82),
        node("syd", -33.87, 151.21),
    ];
    for (a, b, rtt_ms) in [(0, 1, 160.0), (1, 2, 92.0), (0, 2, 250.0)] {
        let (name_a, name_b) = (mesh[a].name.clone(), mesh[b].name.clone());
        mesh[a].mesh_rtt_ms.insert(name_b, rtt_ms);
        mesh[b].mesh_rtt_ms.insert(name_a, rtt_ms);
    }
    for sample in SAMPLES {
        let expected = match sample.city {
            "Mumbai" | "Singapore" | "Jakarta" | "Tokyo" => "sin",
            "Melbourne" | "Sydney" | "Auckland" => "syd",
            _ => "fra",
        };
        for occupied in 0..8u32 {
            for (index, node) in mesh.iter_mut().enumerate() {
                node.participants_in_room = (occupied >> index & 1) * 2;
            }
            let request = RankRequest::at(locator.locate(sample.address));
            let ranking = rank(&request, &mesh, &Policy::default()).unwrap();
            assert_eq!(
                ranking.best().name,
                expected,
                "{} with room on {occupied:03b}",
                sample.city
            );
        }
    }
}

fn locator() -> Locator {
    Locator::new(LocatorSettings {
        databases: vec![geo::embedded::database()],
        ..LocatorSettings::default()
    })
}

fn node(name: &str, latitude: f64, longitude: f64) -> Candidate {
    Candidate {
        name: name.to_owned(),
        region: name.to_uppercase(),
        country: None,
        point: GeoPoint::new(latitude, longitude).expect("invariant: written in degrees above"),
        url: format!("wss://{name}.example.org"),
        load: 0.0,
        state: NodeState::Up,
        participants_in_room: 0,
        mesh_rtt_ms: BTreeMap::new(),
    }
}
