use proptest::prelude::*;

use super::*;
use crate::locate::{DefaultReason, Source};
use crate::policy::{Clients, Nodes, ResidencyRule, Zone};

#[test]
fn nearest_node_wins_in_an_empty_mesh() {
    let ranking = ranked(&request(CAIRO), &mesh());
    assert_eq!(names(&ranking), ["fra", "sin", "iad", "syd"]);
    assert!(matches!(ranking.best().reasons[0], Reason::Distance { .. }));
    assert!(
        ranking.best().sentences()[0].starts_with("about 29"),
        "{:?}",
        ranking.best().sentences()
    );
}

#[test]
fn a_room_is_not_split_for_a_small_gain() {
    // Dublin is about 4 ms nearer to this client than Frankfurt: below the 5 ms that splitting must gain.
    let client = (51.8, -0.5);
    let mut nodes = [node("dub", 53.3, -6.3), node("fra", 50.1, 8.7)];
    assert_eq!(ranked(&request(client), &nodes).best().name, "dub");
    nodes[1].participants_in_room = 3;
    let ranking = ranked(&request(client), &nodes);
    assert_eq!(ranking.best().name, "fra");
    assert!(
        ranking
            .best()
            .reasons
            .contains(&Reason::HostsRoom { participants: 3 })
    );
    assert!(
        ranking.ordered[1]
            .reasons
            .contains(&Reason::SplitsRoom { split_gain_ms: 5.0 })
    );
}

#[test]
fn a_room_is_split_for_a_large_gain() {
    let mut nodes = mesh();
    nodes[0].participants_in_room = 20; // fra
    assert_eq!(ranked(&request(MELBOURNE), &nodes).best().name, "syd");
    assert_eq!(ranked(&request(MUMBAI), &nodes).best().name, "sin");
}

#[test]
fn a_client_between_two_nodes_goes_where_the_room_is() {
    // Kenya: Frankfurt is 16 ms nearer than Singapore, but everybody else is in Singapore, 160 ms from Frankfurt.
    let mut nodes = mesh();
    nodes[0].mesh_rtt_ms.insert("sin".to_owned(), 160.0);
    assert_eq!(ranked(&request((-1.2, 36.9)), &nodes).best().name, "fra");
    nodes[2].participants_in_room = 4;
    assert_eq!(ranked(&request((-1.2, 36.9)), &nodes).best().name, "sin");
}

#[test]
fn of_two_nodes_equally_near_the_one_with_the_better_way_to_the_room_wins() {
    let mut nodes = [
        node("a", 50.0, 8.0),
        node("b", 50.0, 8.0),
        node("far", 1.3, 103.8),
    ];
    nodes[2].participants_in_room = 5;
    nodes[0].mesh_rtt_ms.insert("far".to_owned(), 240.0);
    // Measured by the other end: counts as well.
    nodes[2].mesh_rtt_ms.insert("b".to_owned(), 160.0);
    let ranking = ranked(&request((50.0, 8.0)), &nodes);
    assert_eq!(names(&ranking)[..2], ["b", "a"]);
    assert!(ranking.best().reasons.contains(&Reason::OthersAway {
        participants: 5,
        mean_rtt_ms: 160.0
    }));
}

#[test]
fn a_dead_node_does_not_count_as_where_the_room_is() {
    let mut nodes = mesh();
    nodes[0].participants_in_room = 9;
    nodes[0].state = NodeState::Dead;
    let ranking = ranked(&request(CAIRO), &nodes);
    assert!(
        ranking
            .ordered
            .iter()
            .flat_map(|n| &n.reasons)
            .all(|r| !matches!(r, Reason::SplitsRoom { .. }))
    );
}

#[test]
fn measurements_correct_a_wrong_place() {
    let mut request = request(CAIRO); // the database is wrong: the client is in Sydney
    for (name, rtt_ms) in [("fra", 255.0), ("sin", 95.0), ("syd", 6.0)] {
        request
            .measured
            .insert(name.to_owned(), Measured { rtt_ms, samples: 3 });
    }
    let ranking = ranked(&request, &mesh());
    assert_eq!(ranking.best().name, "syd");
    assert!(
        ranking
            .best()
            .reasons
            .iter()
            .any(|reason| reason.code() == "measured")
    );
}

#[test]
fn load_moves_clients_to_a_neighbour_but_not_across_an_ocean() {
    let mut nodes = [
        node("fra-1", 50.1, 8.7),
        node("fra-2", 50.1, 8.7),
        node("syd", -33.9, 151.2),
    ];
    assert_eq!(ranked(&request(CAIRO), &nodes).best().name, "fra-1");
    nodes[0].load = 0.3;
    assert_eq!(ranked(&request(CAIRO), &nodes).best().name, "fra-2");
    nodes[1].load = 0.9;
    nodes[0].load = 0.9;
    assert_eq!(names(&ranked(&request(CAIRO), &nodes)), ["fra-1", "fra-2", "syd"]);
}

#[test]
fn nodes_that_cannot_take_the_client_are_listed_with_the_reason() {
    let mut nodes = vec![node("ok", 0.0, 0.0)];
    for (name, state) in [
        ("a", NodeState::Draining),
        ("b", NodeState::Suspect),
        ("c", NodeState::Dead),
    ] {
        nodes.push(Candidate {
            state,
            ..node(name, 50.0, 8.0)
        });
    }
    nodes.push(Candidate {
        load: 0.96,
        ..node("d", 50.0, 8.0)
    });
    nodes.push(Candidate {
        load: f32::NAN,
        ..node("e", 50.0, 8.0)
    });
    nodes.push(node("f", 50.0, 8.0));
    nodes.push(node("ok", 50.0, 8.0));
    let mut request = request((50.0, 8.0));
    request.unreachable.insert("f".to_owned());
    let ranking = ranked(&request, &nodes);
    assert_eq!(names(&ranking), ["ok"]);
    let whys: Vec<_> = ranking
        .excluded
        .iter()
        .map(|e| (e.name.as_str(), e.why.code()))
        .collect();
    let expected = [
        ("a", "draining"),
        ("b", "suspect"),
        ("c", "dead"),
        ("d", "full"),
        ("e", "full"),
        ("f", "unreachable"),
        ("ok", "duplicate_name"),
    ];
    assert_eq!(whys, expected);
}

#[test]
fn nobody_left_is_an_error_that_names_every_node() {
    assert_eq!(
        rank(&request(CAIRO), &[], &Policy::default()),
        Err(RankError::NoCandidates)
    );
    let nodes = [
        Candidate {
            state: NodeState::Draining,
            ..node("fra", 50.1, 8.7)
        },
        Candidate {
            load: 1.0,
            ..node("sin", 1.3, 103.8)
        },
    ];
    let error = rank(&request(CAIRO), &nodes, &Policy::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no node can take this client: fra is draining; sin is full (100 % loaded)"
    );
}

#[test]
fn a_wish_goes_before_distance_and_an_unmet_one_is_said() {
    let mut request = request(CAIRO);
    request.wish = Some(Wish::Node("syd".to_owned()));
    let ranking = ranked(&request, &mesh());
    assert_eq!(
        (names(&ranking)[0], &ranking.best().reasons[0]),
        ("syd", &Reason::Asked)
    );
    assert_eq!(ranking.unmet_wish, None);

    let mut nodes = mesh();
    nodes[3].state = NodeState::Draining;
    let ranking = ranked(&request, &nodes);
    assert_eq!(ranking.best().name, "fra");
    assert_eq!(ranking.unmet_wish, request.wish);
}

#[test]
fn an_override_is_a_preference_and_the_clients_own_wish_beats_it() {
    let mut request = request(CAIRO);
    request.place.precision = Precision::Override;
    request.place.anchor = Anchor::Region("SIN".to_owned());
    assert_eq!(ranked(&request, &mesh()).best().name, "sin");
    request.place.anchor = Anchor::Node("syd".to_owned());
    assert_eq!(names(&ranked(&request, &mesh()))[..2], ["syd", "sin"]);
    request.wish = Some(Wish::Region("IAD".to_owned()));
    assert_eq!(ranked(&request, &mesh()).best().name, "iad");
}

#[test]
fn the_default_region_is_a_place_and_not_a_preference() {
    let mut request = request(CAIRO);
    request.place.precision = Precision::Default;
    request.place.source = Source::Default(DefaultReason::Unknown);
    request.place.anchor = Anchor::Region("SIN".to_owned());
    let ranking = ranked(&request, &mesh());
    assert_eq!(names(&ranking)[..2], ["sin", "syd"]);
    assert!(!ranking.best().reasons.contains(&Reason::Asked));
}

#[test]
fn with_no_place_at_all_load_room_and_name_decide() {
    let mut request = request(CAIRO);
    request.place.anchor = Anchor::Nowhere;
    let mut nodes = mesh();
    assert_eq!(ranked(&request, &nodes).best().name, "fra");
    assert_eq!(ranked(&request, &nodes).best().reasons[0], Reason::PlaceUnknown);
    nodes[3].participants_in_room = 2;
    assert_eq!(ranked(&request, &nodes).best().name, "syd");
}

#[test]
fn residency_rules_bind_whom_they_name() {
    let country = |code: &str| code.parse::<CountryCode>().unwrap();
    let mut nodes = mesh();
    nodes[0].country = Some(country("DE"));
    nodes[1].country = Some(country("US"));
    let policy = Policy {
        residency: vec![
            ResidencyRule {
                clients: Clients::From(vec![country("DE"), country("FR")]),
                nodes: Nodes::Only(vec![Zone::Country(country("DE"))]),
            },
            ResidencyRule {
                clients: Clients::All,
                nodes: Nodes::Never(vec![Zone::Region("SYD".to_owned())]),
            },
        ],
        ..Policy::default()
    };
    let mut german = request(MELBOURNE);
    german.place.country = Some(country("DE"));
    let ranking = rank(&german, &nodes, &policy).unwrap();
    assert_eq!(names(&ranking), ["fra"]);
    assert_eq!(
        ranking.excluded[0].why.to_string(),
        "is forbidden by the residency rule: clients from DE or FR only on nodes in country DE"
    );
    assert_eq!(
        names(&rank(&request(MELBOURNE), &nodes, &policy).unwrap()),
        ["sin", "fra", "iad"]
    );
}

#[test]
fn a_node_of_unknown_country_fails_rules_by_country() {
    let code = "DE".parse().unwrap();
    for nodes in [
        Nodes::Only(vec![Zone::Country(code)]),
        Nodes::Never(vec![Zone::Country(code)]),
    ] {
        let rule = ResidencyRule {
            clients: Clients::All,
            nodes,
        };
        assert!(rule.forbids(None, "X", None), "{rule}");
    }
}

fn any_state() -> impl Strategy<Value = NodeState> {
    prop_oneof![
        4 => Just(NodeState::Up),
        1 => Just(NodeState::Draining),
        1 => Just(NodeState::Suspect),
        1 => Just(NodeState::Dead),
    ]
}

prop_compose! {
    fn any_candidate()(
        index in 0..12u8,
        point in (-90.0..=90.0, -180.0..=180.0),
        load in prop_oneof![8 => 0.0f32..1.2, 1 => Just(f32::NAN)],
        state in any_state(),
        participants_in_room in prop_oneof![0..1u32, 0..50u32],
        mesh_rtt_ms in prop::collection::btree_map(
            (0..12u8).prop_map(name_of), prop_oneof![0.0..300.0, Just(f64::NAN)], 0..4,
        ),
    ) -> Candidate {
        Candidate { load, state, participants_in_room, mesh_rtt_ms, ..node(&name_of(index), point.0, point.1) }
    }
}

prop_compose! {
    fn any_request()(
        point in (-90.0..=90.0, -180.0..=180.0),
        unreachable in prop::collection::btree_set((0..12u8).prop_map(name_of), 0..3),
        measured in prop::collection::btree_map((0..12u8).prop_map(name_of), (0.0..400.0, 0..9u32), 0..4),
        wish in prop::option::of((0..12u8).prop_map(|index| Wish::Node(name_of(index)))),
        is_known in any::<bool>(),
    ) -> RankRequest {
        let mut request = request(point);
        if !is_known {
            request.place.anchor = Anchor::Nowhere;
        }
        let measured = measured.into_iter().map(|(name, (rtt_ms, samples))| (name, Measured { rtt_ms, samples }));
        RankRequest { unreachable, wish, measured: measured.collect(), ..request }
    }
}

proptest! {
    #[test]
    fn order_of_candidates_does_not_matter(
        request in any_request(),
        (given, shuffled) in prop::collection::vec(any_candidate(), 0..10)
            .prop_map(unique)
            .prop_flat_map(|nodes| (Just(nodes.clone()), Just(nodes).prop_shuffle())),
    ) {
        let policy = Policy::default();
        prop_assert_eq!(rank(&request, &given, &policy), rank(&request, &shuffled, &policy));
    }

    #[test]
    fn every_candidate_is_in_exactly_one_list_and_the_excluded_are_never_chosen(
        request in any_request(), nodes in prop::collection::vec(any_candidate(), 1..10),
    ) {
        let (ordered, excluded) = match rank(&request, &nodes, &Policy::default()) {
            Ok(ranking) => (ranking.ordered, ranking.excluded),
            Err(RankError::AllExcluded { excluded }) => (Vec::new(), excluded),
            Err(error) => return Err(TestCaseError::fail(error.to_string())),
        };
        prop_assert_eq!(ordered.len() + excluded.len(), nodes.len());
        for ranked in &ordered {
            prop_assert!(!request.unreachable.contains(&ranked.name));
            prop_assert!(ranked.cost_ms.is_finite() && !ranked.reasons.is_empty());
            prop_assert!(nodes.iter().any(|n| n.name == ranked.name && n.state == NodeState::Up && n.load < 0.95));
        }
        let asked = |ranked: &Ranked| ranked.reasons[0] == Reason::Asked;
        for pair in ordered.windows(2) {
            prop_assert!((!asked(&pair[0]), pair[0].cost_ms) <= (!asked(&pair[1]), pair[1].cost_ms));
        }
    }

    #[test]
    fn more_load_never_improves_a_position(
        request in any_request(), nodes in prop::collection::vec(any_candidate(), 1..10),
        which in any::<prop::sample::Index>(), more in 0.0f32..0.5,
    ) {
        let mut nodes = unique(nodes);
        let which = which.index(nodes.len());
        let name = nodes[which].name.clone();
        let before = position(&request, &nodes, &name);
        nodes[which].load += more;
        let after = position(&request, &nodes, &name);
        prop_assert!(after >= before, "{before} became {after}");
    }
}

/// Position in the ranking; excluded nodes stand behind everything.
fn position(request: &RankRequest, nodes: &[Candidate], name: &str) -> usize {
    rank(request, nodes, &Policy::default())
        .ok()
        .and_then(|ranking| ranking.ordered.iter().position(|ranked| ranked.name == name))
        .unwrap_or(usize::MAX)
}

const CAIRO: (f64, f64) = (30.0, 31.2);
const MUMBAI: (f64, f64) = (19.1, 72.9);
const MELBOURNE: (f64, f64) = (-37.8, 145.0);

fn mesh() -> Vec<Candidate> {
    vec![
        node("fra", 50.1, 8.7),
        node("iad", 39.0, -77.5),
        node("sin", 1.3, 103.8),
        node("syd", -33.9, 151.2),
    ]
}

fn node(name: &str, latitude: f64, longitude: f64) -> Candidate {
    Candidate {
        name: name.to_owned(),
        region: name.to_uppercase(),
        country: None,
        point: GeoPoint::new(latitude, longitude).unwrap(),
        url: format!("wss://{name}.example.org"),
        load: 0.0,
        state: NodeState::Up,
        participants_in_room: 0,
        mesh_rtt_ms: BTreeMap::new(),
    }
}

fn request((latitude, longitude): (f64, f64)) -> RankRequest {
    RankRequest::at(Place {
        anchor: Anchor::Point(GeoPoint::new(latitude, longitude).unwrap()),
        country: None,
        city: None,
        precision: Precision::City,
        source: Source::Database("test".to_owned()),
    })
}

fn ranked(request: &RankRequest, nodes: &[Candidate]) -> Ranking {
    rank(request, nodes, &Policy::default()).unwrap()
}

fn names(ranking: &Ranking) -> Vec<&str> {
    ranking
        .ordered
        .iter()
        .map(|ranked| ranked.name.as_str())
        .collect()
}

fn name_of(index: u8) -> String {
    format!("n{index:02}")
}

/// The first candidate of each name.
fn unique(nodes: Vec<Candidate>) -> Vec<Candidate> {
    let mut seen = BTreeSet::new();
    nodes
        .into_iter()
        .filter(|node| seen.insert(node.name.clone()))
        .collect()
}
