//! A node that drains: its people are sent to another one, and it ends well.

use crate::light_clients::{Room, seen_by_all};
use crate::process::{Node, Ports, SECRET, causeway, flags, post};
use loadtest::trace::Codec;
use loadtest::worker::{Fact, Outcome};
use nix::sys::signal::Signal;
use signaling::token::{Claims, Grants, mint};
use std::collections::BTreeMap;

/// Two nodes, `fra` with further flags, and the flags of `fra`.
fn pair(more: &[&str]) -> (Node, Node, Vec<String>) {
    let (here, there) = (Ports::free(), Ports::free());
    let mut of_fra = flags("fra", here, SECRET, &[there.mesh]);
    of_fra.extend(more.iter().map(|flag| (*flag).to_owned()));
    let mut fra = Node::run(&arguments("node", &of_fra), here);
    let mut sin = Node::start("sin", there, SECRET, &[here.mesh]);
    fra.wait_until("linked", |node| state_of("sin", node).as_deref() == Some("up"));
    sin.wait_until("linked", |node| state_of("fra", node).as_deref() == Some("up"));
    (fra, sin, of_fra)
}

fn arguments<'a>(command: &'a str, flags: &'a [String]) -> Vec<&'a str> {
    std::iter::once(command)
        .chain(flags.iter().map(String::as_str))
        .collect()
}

/// What `node` says of the node called `name`.
fn state_of(name: &str, node: &Node) -> Option<String> {
    let mesh = node.mesh();
    let nodes = mesh["nodes"].as_array()?;
    let found = nodes.iter().find(|status| status["node"] == name)?;
    found["state"].as_str().map(str::to_owned)
}

/// Who was sent away, in order of their numbers: whose session is older, and goes first, is left to chance.
fn sent_away(seen: &[Fact]) -> Vec<u32> {
    let mut ids: Vec<u32> = seen
        .iter()
        .filter_map(|fact| match fact {
            Fact::Ended { id, outcome } => {
                let sent_away = matches!(outcome, Outcome::SentAway { reconnect: true, .. });
                assert!(sent_away, "{outcome}");
                Some(*id)
            }
            _ => None,
        })
        .collect();
    ids.sort_unstable();
    ids
}

#[test]
fn everybody_is_sent_to_the_other_node_and_the_drained_one_ends_well() {
    let (mut fra, mut sin, of_fra) = pair(&[
        "--limits.drain_batch=1",
        "--limits.drain_pause=200ms",
        "--limits.move_grace=1s",
    ]);
    let room = Room::open(&[&fra, &sin], Codec::Vp8, 4, 0);
    seen_by_all(&room, 0);
    let drain = causeway(&arguments("drain", &of_fra)).spawn().unwrap();
    sin.wait_until("told", |node| {
        state_of("fra", node).as_deref() == Some("draining")
    });
    let join = r#"{"room":"load","name":"Ann"}"#;
    let answer = post(sin.ports.http, "/api/join", "", join);
    assert!(
        answer.contains(r#""node":"sin""#) && !answer.contains("fra"),
        "{answer}"
    );
    assert!(fra.get("/readyz").unwrap().contains(" 503 "));

    let seen = room.watch("both are sent away", |seen| sent_away(seen).len() == 2);
    assert_eq!(sent_away(&seen), [0, 2]);
    let output = drain.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    assert!(
        said.contains("2 of 2 people sent to other nodes") && said.contains("fra has ended"),
        "{said}"
    );
    let status = fra.wait();
    assert!(status.success(), "{status}:\n{}", fra.log());
    assert!(!fra.log().contains("in time"), "{}", fra.log());
    sin.wait_until("told", |node| node.peer_state("fra").as_deref() != Some("up"));
}

#[test]
fn sigterm_drains_whoever_comes_is_sent_on_and_a_second_one_ends_the_node_at_once() {
    let (mut fra, sin, _) = pair(&["--node.drain_within=10m", "--limits.drain_pause=5m"]);
    let room = Room::open(&[&fra, &sin], Codec::Vp8, 2, 0);
    seen_by_all(&room, 0);
    fra.signal(Signal::SIGTERM);
    fra.wait_for_log(&["draining"]);
    let late = Room::open(&[&fra], Codec::Vp8, 1, 0);
    let seen = late.watch("sent on", |seen| !sent_away(seen).is_empty());
    assert!(
        !seen.iter().any(|fact| matches!(fact, Fact::Joined { .. })),
        "{seen:?}"
    );
    fra.signal(Signal::SIGTERM);
    let status = fra.wait();
    assert!(status.success(), "{status}:\n{}", fra.log());
    room.watch("ended by the stop", |seen| sent_away(seen) == [0]);
}

#[test]
fn a_node_with_nowhere_to_send_its_people_ends_at_once() {
    let ports = Ports::free();
    let mut of_fra = flags("fra", ports, SECRET, &[]);
    of_fra.push("--node.drain_within=10m".to_owned());
    let mut fra = Node::run(&arguments("node", &of_fra), ports);
    let room = Room::open(&[&fra], Codec::Vp8, 2, 0);
    seen_by_all(&room, 0);
    fra.signal(Signal::SIGTERM);
    assert!(fra.wait().success(), "{}", fra.log());
}

#[test]
fn only_operators_of_the_very_node_may_order_it_to_drain() {
    let ports = Ports::free();
    let fra = Node::start("fra", ports, SECRET, &[]);
    let keys = BTreeMap::from([("key".to_owned(), "a secret of an API key".to_owned())]);
    let token = |sub: &str, video: Grants| {
        let claims = Claims {
            sub: sub.to_owned(),
            exp: u64::MAX,
            video,
            ..Claims::default()
        };
        format!("Authorization: Bearer {}\r\n", mint(claims, &keys).unwrap())
    };
    let operator = || Grants {
        node_admin: true,
        ..Grants::default()
    };
    let participant = Grants {
        room_join: true,
        room: "load".to_owned(),
        ..Grants::default()
    };
    let order = |headers: &str| post(ports.http, "/api/drain", headers, r#"{"within_ms":1000}"#);
    for (headers, refusal) in [
        (String::new(), " 401 "),
        ("Authorization: Bearer x\r\n".to_owned(), " 401 "),
        (token("sin", operator()), " 403 "),
        (token("fra", participant), " 403 "),
    ] {
        let answer = order(&headers);
        assert!(answer.contains(refusal), "{headers}: {answer}");
    }
    assert!(fra.get("/readyz").unwrap().contains(" 200 "));
    assert!(fra.get("/api/drain").unwrap().contains(r#""state":"serving""#));
    assert!(order(&token("fra", operator())).contains(" 202 "));
}
