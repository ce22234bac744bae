//! Real nodes on loopback: they find each other, refuse strangers, and part in good order.

use crate::process::{Node, Ports, SECRET, causeway};
use bridge::link::tls::Identity;
use bridge::link::{
    CloseReason, DatagramSink, Dialer, LinkEndpoint, LinkEvent, LinkSettings, LinkedPeers, RateLimits,
};
use bytes::Bytes;
use nix::sys::signal::Signal;
use relay_proto::control::{ControlMessage, GoodbyeCause, Hello};
use relay_proto::datagram::Header;
use relay_proto::id::{NodeId, NodeName};
use relay_proto::version::Features;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

fn pair() -> (Node, Node) {
    let (here, there) = (Ports::free(), Ports::free());
    let mut a = Node::start("fra", here, SECRET, &[there.mesh]);
    let mut b = Node::start("sin", there, SECRET, &[here.mesh]);
    a.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
    b.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    (a, b)
}

#[test]
fn two_nodes_that_list_each_other_link_up_and_see_each_other() {
    let (mut a, b) = pair();
    a.wait_until("aware of both nodes", |node| {
        node.mesh()["nodes"].as_array().is_some_and(|all| all.len() == 2)
    });
    let mesh = a.mesh();
    let peer = &mesh["peers"][0];
    assert_eq!((&mesh["node"], &peer["node"]), (&"fra".into(), &"sin".into()));
    a.wait_until("measuring the round trip", |node| {
        node.mesh()["peers"][0]["rtt_ms"].is_f64()
    });
    assert!(a.mesh()["peers"][0]["sent"]["datagrams"].as_u64() > Some(0));
    let status = causeway(&[
        "mesh",
        "status",
        &format!("--url=http://127.0.0.1:{}", b.ports.http),
    ])
    .output()
    .unwrap();
    let text = String::from_utf8(status.stdout).unwrap();
    assert!(text.contains("fra") && text.contains("up"), "{text}");
}

#[test]
fn a_node_with_another_secret_is_kept_out_and_both_logs_say_why() {
    let (here, there) = (Ports::free(), Ports::free());
    let mut a = Node::start("fra", here, SECRET, &[]);
    let mut b = Node::start("sin", there, "another secret, also long enough", &[here.mesh]);
    a.wait_for_log(&["WARN", "not admitted to the mesh", "mesh.secret"]);
    b.wait_for_log(&[
        "WARN",
        "not linked",
        "certificate is not of this mesh",
        "mesh.secret",
    ]);
    assert_eq!(a.peer_state("sin"), None);
    b.wait_until("telling operators", |node| {
        !node.mesh()["unreached"][0]["reason"].is_null()
    });
    assert!(a.get("/healthz").unwrap().ends_with("ok"));
}

#[test]
fn an_unreachable_peer_is_logged_and_not_fatal() {
    let (here, nowhere) = (Ports::free(), Ports::free());
    let mut a = Node::start("fra", here, SECRET, &[nowhere.mesh]);
    a.wait_for_log(&["WARN", "not linked; will keep trying"]);
    assert!(a.get("/readyz").unwrap().contains(" 200 "));
    let mut late = Node::start("sin", nowhere, SECRET, &[]);
    late.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    a.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
}

#[test]
fn a_stopped_node_says_goodbye_and_ends_well() {
    let (mut a, mut b) = pair();
    b.signal(Signal::SIGTERM);
    a.wait_until("told", |node| node.peer_state("sin").as_deref() != Some("up"));
    let status = b.wait();
    assert!(status.success(), "{status}:\n{}", b.log());
    assert!(
        b.log().contains("node has stopped") && !b.log().contains("in time"),
        "{}",
        b.log()
    );
}

#[test]
fn a_killed_node_is_noticed_and_its_successor_is_linked_again() {
    let (mut a, mut b) = pair();
    let ports = b.ports;
    b.signal(Signal::SIGKILL);
    b.wait();
    a.wait_until("aware of the loss", |node| {
        node.peer_state("sin").as_deref() == Some("down")
    });
    let mut again = Node::start("sin", ports, SECRET, &[a.ports.mesh]);
    again.wait_until("linked", |node| node.peer_state("fra").as_deref() == Some("up"));
    a.wait_until("linked", |node| node.peer_state("sin").as_deref() == Some("up"));
}

#[test]
fn two_nodes_of_one_name_are_told_apart_from_one_that_dials_itself() {
    let ports = Ports::free();
    let mut own = Node::start("fra", ports, SECRET, &[ports.mesh]);
    own.wait_for_log(&["WARN", "lists this node itself"]);
    let other = Ports::free();
    let mut twin = Node::start("fra", other, SECRET, &[ports.mesh]);
    twin.wait_for_log(&["WARN", "same node.name"]);
}

struct Nowhere;

impl DatagramSink for Nowhere {
    fn deliver(&self, _: NodeId, batch: &mut Vec<(Header, Bytes)>) {
        batch.clear();
    }

    fn flush(&self) {}
}

/// Dials `node` as a peer that speaks protocol versions 8 and 9 only; returns how the link ended.
async fn link_from_the_future(node: &Node) -> CloseReason {
    let (sender, mut events) = mpsc::channel(64);
    let settings = LinkSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        rates: RateLimits::default(),
        initial_mtu: 1_200,
    };
    let identity = Identity::from_secret(SECRET, &NodeName::from("future")).unwrap();
    let endpoint = LinkEndpoint::bind(settings, identity, sender, Arc::new(Nowhere)).unwrap();
    let (_linked, linked) = watch::channel(LinkedPeers::new());
    let (dialer, _state) = Dialer::new(endpoint, format!("127.0.0.1:{}", node.ports.mesh), linked);
    tokio::spawn(dialer.run());
    loop {
        match events.recv().await.unwrap() {
            LinkEvent::Opened(opened) => opened
                .handle
                .send_control(Box::new(ControlMessage::Hello(Hello {
                    newest_version: 9,
                    oldest_version: 8,
                    features: Features::OURS,
                    name: NodeName::from("future"),
                    incarnation: 1,
                    software: "causeway/9".to_owned(),
                })))
                .unwrap(),
            LinkEvent::Closed { reason, .. } => return reason,
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_peer_of_a_future_protocol_is_told_so_and_the_log_says_what_to_do() {
    let mut node = Node::start("fra", Ports::free(), SECRET, &[]);
    let reason = link_from_the_future(&node).await;
    assert_eq!(reason, CloseReason::Peers(GoodbyeCause::VersionMismatch));
    node.wait_for_log(&["WARN", "no common protocol version; upgrade the older one"]);
    assert!(node.get("/readyz").unwrap().contains(" 200 "));
}
