//! Clients that know one node alone, and get their media on another.

use crate::light_clients::{Room, Way, metric, plain_way, seen_by_all};
use crate::process::{Node, Ports, SECRET, causeway, flags};
use loadtest::trace::Codec;
use loadtest::worker::{Fact, Outcome};
use nix::sys::signal::Signal;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Everybody who comes to a node from this machine is taken to be in Sydney.
const ALL_IN_SYDNEY: &str = "[geo.overrides.networks]\n\"127.0.0.0/8\" = \"-33.9,151.2\"\n";

fn run(flags: &[String], ports: Ports) -> Node {
    let arguments: Vec<&str> = std::iter::once("node")
        .chain(flags.iter().map(String::as_str))
        .collect();
    Node::run(&arguments, ports)
}

fn syd(ports: Ports, peer: Ports) -> Node {
    let mut flags = flags("syd", ports, SECRET, &[peer.mesh]);
    flags.retain(|flag| !flag.starts_with("--node.l"));
    flags.extend(["--node.latitude=-33.9", "--node.longitude=151.2"].map(str::to_owned));
    run(&flags, ports)
}

/// A node in Frankfurt all of whose clients are in Sydney, and one there.
fn pair(more: &[&str]) -> (Node, Node) {
    let (here, there) = (Ports::free(), Ports::free());
    let mut of_fra = flags("fra", here, SECRET, &[there.mesh]);
    // A flag would be cut in two at the comma.
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("node.toml");
    std::fs::write(&file, ALL_IN_SYDNEY).unwrap();
    of_fra.extend(["--config".to_owned(), file.to_str().unwrap().to_owned()]);
    of_fra.extend(more.iter().map(|flag| (*flag).to_owned()));
    let mut fra = run(&of_fra, here);
    let mut syd = syd(there, here);
    fra.wait_until("linked and aware of the place", |node| {
        let mesh = node.mesh();
        let steers = mesh["peers"][0]["steers"] == !more.contains(&"--mesh.steer=false");
        steers && mesh["nodes"].as_array().is_some_and(|nodes| nodes.len() == 2)
    });
    syd.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    (fra, syd)
}

fn way(node: &Node) -> Way {
    plain_way(IpAddr::from([127, 0, 0, 1]), node.ports.http)
}

/// How many sessions the media thread of a node has.
fn sessions(node: &Node) -> Option<u32> {
    metric(node, "shard_sessions", "0").map(|sessions| sessions as u32)
}

/// Two stock clients of `fra`, one that chose `fra` itself, and one of `syd`.
fn meeting(fra: &Node, syd: &Node) -> Room {
    let ways = [way(fra), way(fra), way(fra), way(syd)];
    Room::open_among(&ways, Codec::Vp8, (4, 2), |id| id == 2)
}

fn ended(seen: &[Fact]) -> BTreeSet<u32> {
    let of = |fact: &Fact| match fact {
        Fact::Ended { id, .. } => Some(*id),
        _ => None,
    };
    seen.iter().filter_map(of).collect()
}

#[test]
fn stock_clients_of_one_node_have_their_media_on_the_nearer_one_and_see_everybody() {
    let (mut fra, syd) = pair(&[]);
    let room = meeting(&fra, &syd);
    for figures in seen_by_all(&room, 2).values() {
        assert_eq!(figures.audio.forged + figures.video.forged, 0, "{figures:?}");
        assert_eq!(figures.send_failed, 0);
    }
    assert_eq!((sessions(&fra), sessions(&syd)), (Some(1), Some(3)));
    fra.wait_until("telling operators", |node| {
        let mesh = node.mesh();
        let steered = mesh["steered"].as_array().map_or(0, Vec::len);
        steered == 2 && mesh["peers"][0]["steered_to"] == 2
    });
    let steered = fra.mesh()["steered"][0].clone();
    assert_eq!(
        (&steered["room"], &steered["media"]),
        (&"load".into(), &"syd".into())
    );
    let reason = steered["reason"].as_str().unwrap();
    assert!(reason.contains("ms nearer than here"), "{reason}");
    let url = format!("--url=http://127.0.0.1:{}", fra.ports.http);
    let status = causeway(&["mesh", "status", &url]).output().unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("2 of our clients have their media there"), "{text}");
    let metrics = fra.get("/metrics").unwrap();
    for line in [
        "causeway_link_steered_to{peer=\"syd\"} 2",
        "causeway_mesh_steered_total 2",
    ] {
        assert!(metrics.contains(line), "{line}:\n{metrics}");
    }
}

#[test]
fn where_it_is_turned_off_or_not_worth_it_media_stays_on_the_node_of_the_client() {
    for more in ["--mesh.steer=false", "--mesh.steer_gain=10s"] {
        let (fra, syd) = pair(&[more]);
        let room = meeting(&fra, &syd);
        seen_by_all(&room, 2);
        assert_eq!((sessions(&fra), sessions(&syd)), (Some(3), Some(1)), "{more}");
    }
}

#[test]
fn the_death_of_the_entry_ends_its_sessions_on_the_media_node() {
    let (mut fra, mut syd) = pair(&[]);
    let room = meeting(&fra, &syd);
    seen_by_all(&room, 2);
    fra.signal(Signal::SIGKILL);
    fra.wait();
    syd.wait_until("rid of the sessions of the dead", |node| {
        sessions(node) == Some(1)
    });
    syd.wait_until("telling operators", |node| {
        node.mesh()["peers"][0]["steered_from"] == 0
    });
    drop(room);
}

#[test]
fn the_death_of_the_media_node_sends_its_clients_back_to_their_node_which_serves_them() {
    let (mut fra, mut syd) = pair(&[]);
    let room = meeting(&fra, &syd);
    seen_by_all(&room, 2);
    syd.signal(Signal::SIGKILL);
    syd.wait();
    let seen = room.watch("told to come again", |seen| {
        ended(seen).is_superset(&[0, 1].into())
    });
    for fact in &seen {
        if let Fact::Ended { id: 0 | 1, outcome } = fact {
            assert!(
                matches!(outcome, Outcome::SentAway { reconnect: true, .. }),
                "{outcome}"
            );
        }
    }
    fra.wait_until("rid of them", |node| {
        node.mesh()["peers"][0]["steered_to"] == 0
            && node.mesh()["steered"].as_array().is_some_and(Vec::is_empty)
    });
    let again = Room::open_by(&[way(&fra)], Codec::Vp8, 2, 1);
    seen_by_all(&again, 1);
    assert!(sessions(&fra) >= Some(2));
}

#[test]
fn a_media_node_that_drains_gives_its_clients_back_and_ends_well() {
    let (mut fra, mut syd) = pair(&[]);
    let room = Room::open_by(&[way(&fra)], Codec::Vp8, 2, 0);
    seen_by_all(&room, 0);
    assert_eq!((sessions(&fra), sessions(&syd)), (Some(0), Some(2)));
    syd.signal(Signal::SIGTERM);
    room.watch("told to come again", |seen| ended(seen) == [0, 1].into());
    let status = syd.wait();
    assert!(status.success(), "{status}:\n{}", syd.log());
    assert!(!syd.log().contains("still had their media here"), "{}", syd.log());
    fra.wait_until("rid of them", |node| {
        node.mesh()["steered"].as_array().is_some_and(Vec::is_empty)
    });
}
