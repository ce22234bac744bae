//! Too much of what is allowed: each flood has a limit, and nobody else goes without for it.

use super::super::super::author::{Author, Authority as _};
use super::super::super::config::MeshConfig;
use super::super::super::io::{CloseCause, LinkDirection, LinkId, MeshOutput};
use super::super::super::testing::TestAuthority;
use super::super::refusals::Scene;
use super::super::{Net, join, ms, seen, unlinked_net_of};
use crate::mesh::testing::Path;
use relay_proto::control::{ControlMessage, Hello};
use relay_proto::id::{Epoch, NodeId};
use relay_proto::row::{HostFacts, LinkFacts, NodeFacts, Row, RowKey, RowValue, RowVersion, SignedRow};
use relay_proto::unit::{Micros, MilliDegrees, PartsPerMillion};
use relay_proto::version::Features;
use std::time::Duration;

const FRA: usize = 0;
const LIAR: usize = 1;
const SYD: usize = 2;

fn net(change: impl Fn(&mut MeshConfig)) -> Net {
    let configs = ["fra", "liar", "syd"].map(|name| {
        let mut config = MeshConfig::named(name);
        change(&mut config);
        config
    });
    let mut net = unlinked_net_of(9, configs.into(), Path::of_ms(20));
    net.run(ms(2_000));
    net
}

fn incarnation_of(net: &Net, node: usize) -> u64 {
    net.core(node).unwrap().rows.incarnation(net.id(node)).unwrap()
}

fn host(owner: NodeId, incarnation: u64, n: u64) -> Row {
    let room = format!("room {n}");
    Row {
        owner,
        key: RowKey::Host(room.as_str().into()),
        version: RowVersion {
            incarnation,
            counter: 1_000 + n,
        },
        value: RowValue::Host(HostFacts {
            room: room.into(),
            epoch: Epoch(1),
            participants: 1,
        }),
    }
}

#[test]
fn forged_signatures_cost_a_bounded_time_and_then_nothing() {
    let mut net = net(|_| {});
    net.cut(FRA, SYD);
    net.run(ms(3_000));
    let (syd, incarnation) = (net.id(SYD), incarnation_of(&net, SYD));
    let forger = Author::new(&[6; 32], net.now());
    let forged: Vec<SignedRow> = (0..1_000)
        .map(|n| {
            let row = host(syd, incarnation, n);
            let signature = forger.sign(&row);
            SignedRow { row, signature }
        })
        .collect();
    for _ in 0..20 {
        net.say(LIAR, FRA, ControlMessage::SignedRows(forged.clone()));
    }
    net.run(ms(100));
    let counters = net.core(FRA).unwrap().view().counters;
    // 16,384 a second, of which each forged one takes 260.
    assert!((60..=70).contains(&counters.rows_refused), "{counters:?}");
    assert!(counters.rows_over_rate > 19_000, "{counters:?}");
    // What the real one says arrives all the same, a little later.
    join(&mut net, SYD, 1, "q", "sue");
    net.run(ms(8_000));
    assert!(net.core(FRA).unwrap().rows.host_epoch(syd, &"q".into()).is_some());
}

fn nobody(n: u32) -> NodeId {
    NodeId::of(&format!("nobody {n}"))
}

const fn link_to(peer: NodeId) -> LinkFacts {
    LinkFacts {
        peer,
        up: true,
        rtt: Micros(9),
        loss: PartsPerMillion(0),
    }
}

/// Nodes that do not exist, each linked to the next, the first to `first`; with keys as only who has the secret can prove.
fn chain_of_nobodies(net: &Net, first: NodeId, count: u32) -> Vec<SignedRow> {
    let mut invented = Vec::new();
    for n in 0..count {
        let author = Author::new(&[n as u8; 32], net.now());
        let facts = TestAuthority(nobody(n)).vouch(author.public()).unwrap();
        let before = if n == 0 { first } else { nobody(n - 1) };
        let said = NodeFacts {
            name: format!("nobody {n}").into(),
            region: String::new(),
            latitude: MilliDegrees(0),
            longitude: MilliDegrees(0),
            public_url: String::new(),
            software: String::new(),
            state: relay_proto::row::NodeState::Serving,
            load: PartsPerMillion(0),
            participants: 0,
        };
        let values = [
            (RowKey::Identity, RowValue::Identity(facts)),
            (RowKey::Node, RowValue::Node(said)),
            (RowKey::Link(before), RowValue::Link(link_to(before))),
            (
                RowKey::Link(nobody(n + 1)),
                RowValue::Link(link_to(nobody(n + 1))),
            ),
        ];
        for (counter, (key, value)) in (1..).zip(values) {
            let row = Row {
                owner: nobody(n),
                key,
                version: RowVersion {
                    incarnation: 7,
                    counter,
                },
                value,
            };
            let signature = author.sign(&row);
            invented.push(SignedRow { row, signature });
        }
    }
    invented
}

#[test]
fn rooms_and_nodes_without_end_fill_their_share_and_keep_nobody_out() {
    let mut net = net(|config| {
        config.limits.max_rooms_per_owner = 50;
        config.limits.max_nodes = 20;
    });
    // Syd is dead; the liar has the secret of the mesh, and invents nodes until nobody else finds room.
    net.kill(SYD, Default::default());
    net.run(ms(3_000));
    let (liar, incarnation) = (net.id(LIAR), incarnation_of(&net, LIAR));
    let rooms = (0..1_000).map(|n| host(liar, incarnation, n));
    net.say(LIAR, FRA, ControlMessage::Rows(rooms.collect()));
    let invented = chain_of_nobodies(&net, liar, 100);
    let claim = Row {
        owner: liar,
        key: RowKey::Link(nobody(0)),
        version: RowVersion {
            incarnation,
            counter: 5_000,
        },
        value: RowValue::Link(link_to(nobody(0))),
    };
    net.say(LIAR, FRA, ControlMessage::Rows(vec![claim]));
    net.say(LIAR, FRA, ControlMessage::SignedRows(invented));
    net.run(ms(500));
    let core = net.core(FRA).unwrap();
    let hosted = core.rows.rooms().filter(|(_, hosts)| hosts.contains_key(&liar));
    assert_eq!(hosted.count(), 50);
    assert_eq!(core.rows.owner_count(), 20, "full");
    assert!(core.view().counters.rows_over_limit > 900);
    // The real one finds room.
    net.start(SYD);
    net.run(ms(3_000));
    join(&mut net, FRA, 1, "r", "ann");
    join(&mut net, SYD, 1, "r", "sue");
    net.run(ms(2_000));
    assert_eq!(seen(&net, FRA, "r"), ["ann", "sue"]);
    assert!(net.core(FRA).unwrap().rows.owner_count() <= 20);
}

#[test]
fn questions_without_end_are_answered_at_their_rate() {
    let mut scene = Scene::new();
    scene.core.handle_timeout(scene.now + Duration::from_secs(1));
    scene.now += Duration::from_secs(1);
    scene.outputs();
    for _ in 0..500 {
        scene.hear(ControlMessage::RowDigest(Vec::new()));
    }
    let answered = scene.outputs().into_iter().filter(|output| {
        matches!(output, MeshOutput::SendControl { message, .. } if matches!(**message, ControlMessage::Rows(_)))
    });
    assert_eq!(answered.count(), 8);
    assert_eq!(scene.core.view().counters.row_questions_refused, 492);
}

#[test]
fn links_of_one_node_and_links_without_a_hello_keep_nobody_out() {
    let mut config = MeshConfig::named("fra");
    config.limits.max_links = 10;
    let mut scene = Scene::of(config);
    let hello = |name: &str| {
        ControlMessage::Hello(Hello {
            newest_version: 1,
            oldest_version: 1,
            features: Features::OURS,
            name: name.into(),
            incarnation: 7,
            software: String::new(),
        })
    };
    let now = scene.now;
    let refused = |scene: &mut Scene| {
        let outputs = scene.outputs();
        let closed = outputs.iter().filter(|output| {
            matches!(
                output,
                MeshOutput::CloseLink {
                    cause: CloseCause::LimitReached,
                    ..
                }
            )
        });
        closed.count()
    };
    // Of `sin`, which has one link, three more are taken.
    for id in 2..9 {
        scene
            .core
            .handle_link_up(now, LinkId(id), LinkDirection::Accepted);
        scene.core.handle_control(now, LinkId(id), hello("sin"));
    }
    assert_eq!(refused(&mut scene), 4);
    // Many that say nothing: the oldest goes for each new one, and who says hello comes in.
    for id in 20..200 {
        scene
            .core
            .handle_link_up(now, LinkId(id), LinkDirection::Accepted);
    }
    assert_eq!(refused(&mut scene), 180 - 6);
    scene
        .core
        .handle_link_up(now, LinkId(300), LinkDirection::Accepted);
    scene.core.handle_control(now, LinkId(300), hello("syd"));
    assert!(
        scene
            .core
            .view()
            .links
            .iter()
            .any(|link| link.name.as_str() == "syd")
    );
}
