//! Where the join API sends people whose room is somewhere already.

use crate::light_clients::{Room, seen_by_all};
use crate::process::{Node, Ports, SECRET, flags, post};
use loadtest::trace::Codec;
use serde_json::Value;
use std::path::Path;

/// Says that whoever pretends to come from 10.1.0.1 is near Amsterdam, which is some 5 ms of round trip nearer to a node there
/// than to one in Frankfurt.
const PLACES: &str = r#"
[geo.overrides]
query_parameter = "pretend"
networks = { "10.1.0.0/16" = "52.2,5.1" }
"#;

fn node(name: &str, (latitude, longitude): (&str, &str), ports: Ports, peer: u16, config: &Path) -> Node {
    let place = |flag: String| match flag.split_once('=') {
        Some(("--node.latitude", _)) => format!("--node.latitude={latitude}"),
        Some(("--node.longitude", _)) => format!("--node.longitude={longitude}"),
        _ => flag,
    };
    let flags = flags(name, ports, SECRET, &[peer]).into_iter().map(place);
    let config = format!("--config={}", config.display());
    let all: Vec<String> = ["node".to_owned(), config].into_iter().chain(flags).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    Node::run(&all, ports)
}

/// The nodes that somebody near Amsterdam is sent to, best first, each with its reasons.
fn places(node: &Node, room: &str) -> Vec<(String, String)> {
    let body = format!(r#"{{"room":"{room}","name":"Ann"}}"#);
    let answer = post(node.ports.http, "/api/join?pretend=10.1.0.1", "", &body);
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    let answer: Value = serde_json::from_str(body).unwrap();
    let places = answer["alternatives"].as_array().unwrap().iter();
    let places = places.map(|place| {
        let name = place["node"].as_str().unwrap();
        (name.to_owned(), place["reasons"].to_string())
    });
    let places: Vec<_> = places.collect();
    assert_eq!(answer["node"], places[0].0.as_str(), "{answer}");
    places
}

#[test]
fn a_room_is_not_split_over_two_regions_five_milliseconds_apart() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    std::fs::write(&config, PLACES).unwrap();
    let (here, there) = (Ports::free(), Ports::free());
    let mut ams = node("ams", ("52.37", "4.90"), here, there.mesh, &config);
    let mut fra = node("fra", ("50.11", "8.68"), there, here.mesh, &config);
    ams.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    fra.wait_until("linked", |node| node.peer_state("ams").as_deref() == Some("up"));
    assert_eq!(places(&ams, "load")[0].0, "ams", "nobody is in the room yet");

    let room = Room::open(&[&fra], Codec::Vp8, 2, 0);
    seen_by_all(&room, 0);
    // What the other node knows comes over the mesh.
    ams.wait_until("told of the room", |node| places(node, "load")[0].0 == "fra");
    let found = places(&ams, "load");
    assert_eq!(found[1].0, "ams");
    assert!(found[1].1.contains("had to gain 5 ms"), "{}", found[1].1);
    assert_eq!(places(&fra, "load")[0].0, "fra", "whichever node is asked");
    assert_eq!(places(&ams, "another")[0].0, "ams");
}
