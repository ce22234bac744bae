use super::*;
use crate::config::GeoOverrides;
use crate::limits::Limits;
use crate::mesh_view::RoomHost;
use geo::locate::{DefaultReason, Precision, Source};
use geo::point::GeoPoint;
use geo::policy::Policy;
use relay_proto::id::RoomName;

pub(crate) fn config() -> SignalingConfig {
    SignalingConfig {
        node: "fra".to_owned(),
        region: "Frankfurt".to_owned(),
        point: GeoPoint::new(50.1, 8.7).unwrap(),
        public_url: "http://127.0.0.1:7880".to_owned(),
        software: "causeway".to_owned(),
        keys: BTreeMap::from([(
            "devkey".to_owned(),
            "a secret of at least 32 bytes, for tests".to_owned(),
        )]),
        anonymous_join: true,
        token_ttl: SignalingConfig::TOKEN_TTL,
        trusted_proxies: vec!["127.0.0.1/32".parse().unwrap()],
        overrides: GeoOverrides {
            query_parameter: Some("pretend".to_owned()),
            header: None,
        },
        steer_gain_ms: Some(SignalingConfig::STEER_GAIN_MS),
        policy: Policy::default(),
        node_capacity: 100,
        turn: None,
        simulate: false,
        limits: Limits::default(),
    }
}

pub(crate) fn mesh() -> MeshView {
    let node = |name: &str, region: &str, latitude, longitude, port| NodeView {
        name: name.to_owned(),
        id: NodeId::of(name),
        region: region.to_owned(),
        point: GeoPoint::new(latitude, longitude).unwrap(),
        public_url: format!("http://127.0.0.1:{port}"),
        state: NodeState::Up,
        load: 0.0,
        participants: 0,
        steers: name != "fra",
    };
    MeshView {
        nodes: vec![
            node("fra", "Frankfurt", 50.1, 8.7, 7880),
            node("sin", "Singapore", 1.35, 103.8, 7980),
            node("syd", "Sydney", -33.9, 151.2, 8080),
        ],
        ..MeshView::default()
    }
}

fn at(anchor: Anchor) -> Place {
    Place {
        anchor,
        country: None,
        city: None,
        precision: Precision::Default,
        source: Source::Default(DefaultReason::Unknown),
    }
}

fn order(place: Place, mesh: &MeshView, exclude: &[&str]) -> Vec<String> {
    let room = RoomName::from("standup");
    let exclude: BTreeSet<String> = exclude.iter().map(|name| (*name).to_owned()).collect();
    let question = Question {
        place,
        hosts: mesh.hosts(&room),
        exclude: &exclude,
    };
    let ranking = Placement::default()
        .assign(&question, mesh, &config(), Instant::now())
        .unwrap();
    ranking.ordered.into_iter().map(|node| node.name).collect()
}

#[test]
fn the_nearest_node_comes_first_and_excluded_ones_not_at_all() {
    let melbourne = at(Anchor::Point(GeoPoint::new(-37.8, 144.9).unwrap()));
    assert_eq!(order(melbourne.clone(), &mesh(), &[]), ["syd", "sin", "fra"]);
    assert_eq!(order(melbourne, &mesh(), &["syd"]), ["sin", "fra"]);
}

#[test]
fn somebody_of_whom_nothing_is_known_stays_where_they_came() {
    assert_eq!(order(at(Anchor::Nowhere), &mesh(), &[])[0], "fra");
}

#[test]
fn a_node_that_is_down_or_draining_takes_nobody() {
    let mut mesh = mesh();
    mesh.nodes[2].state = NodeState::Suspect;
    mesh.nodes[1].state = NodeState::Draining;
    let melbourne = at(Anchor::Point(GeoPoint::new(-37.8, 144.9).unwrap()));
    assert_eq!(order(melbourne, &mesh, &[]), ["fra"]);
}

#[test]
fn the_node_itself_is_known_before_the_mesh_is() {
    assert_eq!(order(at(Anchor::Nowhere), &MeshView::default(), &[]), ["fra"]);
}

#[test]
fn the_rest_of_the_room_and_measured_links_are_in_the_reasons() {
    let mut mesh = mesh();
    let (fra, sin) = (NodeId::of("fra"), NodeId::of("sin"));
    mesh.rooms.insert(
        "standup".to_owned(),
        vec![RoomHost {
            node: sin,
            participants: 3,
        }],
    );
    mesh.rtt_ms.insert((fra, sin), 160.0);
    let room = RoomName::from("standup");
    let exclude = BTreeSet::new();
    let question = Question {
        place: at(Anchor::Nowhere),
        hosts: mesh.hosts(&room),
        exclude: &exclude,
    };
    let ranking = Placement::default()
        .assign(&question, &mesh, &config(), Instant::now())
        .unwrap();
    let reasons: Vec<String> = ranking
        .ordered
        .iter()
        .flat_map(geo::rank::Ranked::sentences)
        .collect();
    assert!(reasons.iter().any(|reason| reason.contains("160")), "{reasons:?}");
}

#[test]
fn a_crowd_is_spread_before_the_nodes_report_it() {
    let mut placement = Placement::default();
    let exclude = BTreeSet::new();
    let now = Instant::now();
    let mut assigned: BTreeMap<String, u32> = BTreeMap::new();
    for _ in 0..150 {
        let question = Question {
            place: at(Anchor::Nowhere),
            hosts: &[],
            exclude: &exclude,
        };
        let ranking = placement.assign(&question, &mesh(), &config(), now).unwrap();
        *assigned.entry(ranking.best().name.clone()).or_default() += 1;
    }
    assert!(assigned["fra"] < 100 && assigned.len() > 1, "{assigned:?}");
}

/// People who come to `mesh`, where everybody asked answers from its own reservations, and the nodes report every half second
/// who has come. `meant_for` are the nodes' capacities. How many are on each node in the end.
fn rejoined(people: u32, dead: &str, mut mesh: MeshView, meant_for: &[(&str, u32)]) -> BTreeMap<String, u32> {
    const COME_IN: Duration = Duration::from_millis(400);
    const REPORT_EVERY: u32 = 75;
    mesh.nodes.retain(|node| node.name != dead);
    let room = RoomName::from("standup");
    let exclude = BTreeSet::from([dead.to_owned()]);
    let mut placements: Vec<Placement> = mesh.nodes.iter().map(|_| Placement::default()).collect();
    let start = Instant::now();
    let at_once = Duration::from_secs(2) / people;
    let mut coming: Vec<(Instant, String)> = Vec::new();
    let mut on: BTreeMap<String, u32> = mesh
        .nodes
        .iter()
        .map(|node| (node.name.clone(), node.participants))
        .collect();
    for number in 0..people {
        let now = start + at_once * number;
        if number % REPORT_EVERY == 0 {
            let (there, still): (Vec<_>, Vec<_>) = coming.drain(..).partition(|(at, _)| *at <= now);
            coming = still;
            for (_, name) in there {
                *on.entry(name).or_default() += 1;
            }
            for node in &mut mesh.nodes {
                let (_, capacity) = meant_for.iter().find(|(name, _)| *name == node.name).unwrap();
                node.participants = on[&node.name];
                node.load = node.participants as f32 / *capacity as f32;
            }
        }
        let question = Question {
            place: at(Anchor::Nowhere),
            hosts: mesh.hosts(&room),
            exclude: &exclude,
        };
        // Each asks the first of its list, which is not the same for all.
        let asked = (number % 2) as usize;
        let asked_config = SignalingConfig {
            node: mesh.nodes[asked].name.clone(),
            node_capacity: 1_000,
            ..config()
        };
        let ranking = placements[asked]
            .assign(&question, &mesh, &asked_config, now)
            .unwrap();
        coming.push((now + COME_IN, ranking.best().name.clone()));
    }
    for (_, name) in coming {
        *on.entry(name).or_default() += 1;
    }
    on
}

#[test]
fn the_people_of_a_dead_node_are_spread_over_the_others_by_their_capacity() {
    let mut mesh = mesh();
    // Two nodes of one place: nothing but load tells them apart.
    mesh.nodes[2].point = mesh.nodes[1].point;
    for (sin, syd) in [(300, 300), (400, 200), (250, 100)] {
        let on = rejoined(300, "fra", mesh.clone(), &[("sin", sin), ("syd", syd)]);
        assert_eq!(on.values().sum::<u32>(), 300, "nobody is left over: {on:?}");
        let fair = 300.0 * f64::from(sin) / f64::from(sin + syd);
        let off = (f64::from(on["sin"]) - fair).abs() / 300.0;
        assert!(off < 0.1, "meant for {sin} and {syd}: {on:?}");
    }
}

#[test]
fn a_nearer_node_is_not_filled_beyond_its_measure() {
    let on = rejoined(300, "fra", mesh(), &[("sin", 200), ("syd", 200)]);
    assert!(on["sin"] <= 195 && on["syd"] <= 195, "{on:?}");
}

#[test]
fn urls_for_sdks_are_made_of_urls_for_browsers() {
    assert_eq!(websocket_url("http://127.0.0.1:7880"), "ws://127.0.0.1:7880");
    assert_eq!(websocket_url("https://meet.example/"), "wss://meet.example");
    assert_eq!(websocket_url("wss://meet.example"), "wss://meet.example");
}

fn steered(place: Place, mesh: &MeshView, config: &SignalingConfig) -> Option<MediaPlace> {
    let room = RoomName::from("standup");
    let question = Question {
        place,
        hosts: mesh.hosts(&room),
        exclude: &BTreeSet::new(),
    };
    Placement::default().steer(&question, mesh, config, Instant::now())
}

#[test]
fn media_goes_to_the_nearest_node_that_takes_it_with_the_gain_as_reason() {
    let melbourne = || at(Anchor::Point(GeoPoint::new(-37.8, 144.9).unwrap()));
    let mut mesh = mesh();
    let place = steered(melbourne(), &mesh, &config()).unwrap();
    assert_eq!((place.node, place.name.as_str()), (NodeId::of("syd"), "syd"));
    assert!(place.reason.contains("ms nearer than here"), "{}", place.reason);
    mesh.nodes[2].steers = false;
    assert_eq!(steered(melbourne(), &mesh, &config()).unwrap().name, "sin");
    mesh.nodes[1].state = NodeState::Draining;
    assert_eq!(steered(melbourne(), &mesh, &config()), None);
}

#[test]
fn media_stays_where_the_gain_is_small_the_place_unknown_or_steering_off() {
    let melbourne = || at(Anchor::Point(GeoPoint::new(-37.8, 144.9).unwrap()));
    let paris = at(Anchor::Point(GeoPoint::new(48.9, 2.4).unwrap()));
    let with = |steer_gain_ms| SignalingConfig {
        steer_gain_ms,
        ..config()
    };
    assert_eq!(steered(paris, &mesh(), &config()), None);
    assert_eq!(steered(at(Anchor::Nowhere), &mesh(), &config()), None);
    assert_eq!(steered(melbourne(), &mesh(), &with(None)), None);
    assert_eq!(steered(melbourne(), &mesh(), &with(Some(10_000.0))), None);
}

#[test]
fn places_are_reserved_so_that_a_crowd_is_not_steered_to_one_node() {
    let melbourne = at(Anchor::Point(GeoPoint::new(-37.8, 144.9).unwrap()));
    let mut placement = Placement::default();
    let now = Instant::now();
    let names: BTreeSet<Option<String>> = (0..200)
        .map(|_| {
            let question = Question {
                place: melbourne.clone(),
                hosts: &[],
                exclude: &BTreeSet::new(),
            };
            let place = placement.steer(&question, &mesh(), &config(), now);
            place.map(|place| place.name)
        })
        .collect();
    assert!(
        names.contains(&Some("syd".to_owned())) && names.len() > 1,
        "{names:?}"
    );
}
