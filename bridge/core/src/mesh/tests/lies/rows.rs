//! Rows of other nodes. `fra`, `liar` and `syd` in a line, the liar in the middle: the worst place.

use super::super::super::author::{Author, Authority as _};
use super::super::super::testing::TestAuthority;
use super::super::super::view::MeshCounters;
use super::super::{Net, join, ms, net_of, seen};
use relay_proto::control::ControlMessage;
use relay_proto::id::{NodeId, RoomName};
use relay_proto::row::{
    HostFacts, IdentityFacts, LinkFacts, Row, RowKey, RowValue, RowVersion, Signature, SignedRow,
    TransitFacts,
};
use relay_proto::unit::{Micros, PartsPerMillion};
use relay_proto::version::Features;

const FRA: usize = 0;
const LIAR: usize = 1;
const SYD: usize = 2;

fn line() -> Net {
    let mut net = net_of(5, &["fra", "liar", "syd"]);
    net.cut(FRA, SYD);
    net.run(ms(3_000));
    join(&mut net, FRA, 1, "r", "ann");
    join(&mut net, SYD, 1, "r", "sue");
    net.run(ms(6_000));
    assert_eq!(seen(&net, FRA, "r"), ["ann", "sue"], "by a detour over the liar");
    net
}

fn incarnation_of(net: &Net, node: usize) -> u64 {
    let core = net.core(node).unwrap();
    core.rows.incarnation(net.id(node)).unwrap()
}

fn counters(net: &Net) -> MeshCounters {
    net.core(FRA).unwrap().view().counters
}

fn newest(incarnation: u64) -> RowVersion {
    RowVersion {
        incarnation,
        counter: u64::MAX,
    }
}

/// What a liar would like to be said of `syd`: that it hosts nothing, has another key for detours, and no links.
fn wishes(net: &Net, incarnation: u64) -> Vec<Row> {
    let owner = net.id(SYD);
    let row = |key, value| Row {
        owner,
        key,
        version: newest(incarnation),
        value,
    };
    let transit = TransitFacts {
        features: Features::OURS,
        stretch: PartsPerMillion(1_200_000),
        public_key: [9; 32],
    };
    vec![
        row(RowKey::Host("r".into()), RowValue::Gone),
        row(RowKey::Transit, RowValue::Transit(transit)),
        row(RowKey::Link(net.id(LIAR)), RowValue::Gone),
    ]
}

fn identity(net: &Net, incarnation: u64, facts: IdentityFacts) -> Row {
    Row {
        owner: net.id(SYD),
        key: RowKey::Identity,
        version: newest(incarnation),
        value: RowValue::Identity(facts),
    }
}

fn signed_by(author: &Author, rows: Vec<Row>) -> ControlMessage {
    let sign = |row: Row| SignedRow {
        signature: author.sign(&row),
        row,
    };
    ControlMessage::SignedRows(rows.into_iter().map(sign).collect())
}

/// Everything still works between the two ends, and nothing of the lie is held.
fn assert_untouched(net: &mut Net, transit: &TransitFacts) {
    net.run(ms(1_000));
    assert_eq!(seen(net, FRA, "r"), ["ann", "sue"]);
    let syd = net.id(SYD);
    assert_eq!(net.core(FRA).unwrap().rows.transit(syd), Some(transit));
    join(net, SYD, 77, "r", "zoe");
    net.run(ms(2_000));
    assert_eq!(
        seen(net, FRA, "r"),
        ["ann", "sue", "zoe"],
        "its steps still arrive"
    );
}

#[test]
fn rows_of_a_node_behind_cannot_be_rewritten_on_the_way() {
    let mut net = line();
    let transit = net.core(FRA).unwrap().rows.transit(net.id(SYD)).unwrap().clone();
    let liar = Author::new(&[66; 32], net.now());
    let incarnation = incarnation_of(&net, SYD);
    let own = TestAuthority(net.id(LIAR)).vouch(liar.public()).unwrap();
    let old = counters(&net).rows_refused;
    for incarnation in [incarnation, incarnation + 1, u64::MAX] {
        let rows = wishes(&net, incarnation);
        net.say(LIAR, FRA, ControlMessage::Rows(rows.clone()));
        net.say(LIAR, FRA, signed_by(&liar, rows.clone()));
        let mut with_key = vec![identity(&net, incarnation, own.clone())];
        with_key.extend(rows);
        net.say(LIAR, FRA, signed_by(&liar, with_key));
    }
    assert_untouched(&mut net, &transit);
    assert_eq!(counters(&net).rows_refused - old, 3 * (3 + 3 + 4));
}

#[test]
fn an_honest_row_counts_for_its_own_version_and_place_only() {
    let mut net = line();
    let transit = net.core(FRA).unwrap().rows.transit(net.id(SYD)).unwrap().clone();
    let syd = net.id(SYD);
    let told = net.core(LIAR).unwrap().rows.newer_than(&[], net.id(FRA));
    let host = told
        .into_iter()
        .find(|told| told.row.owner == syd && matches!(told.row.value, RowValue::Host(_)))
        .unwrap();
    let signature = host.signature.unwrap();
    let newer = Row {
        version: newest(host.row.version.incarnation),
        ..host.row.clone()
    };
    let elsewhere = Row {
        key: RowKey::Host("another".into()),
        value: RowValue::Host(HostFacts {
            room: "another".into(),
            epoch: relay_proto::id::Epoch(1),
            participants: 1,
        }),
        ..host.row
    };
    let gone = Row {
        value: RowValue::Gone,
        ..newer.clone()
    };
    let rows = [newer, elsewhere, gone].map(|row| SignedRow { row, signature });
    let old = counters(&net).rows_refused;
    net.say(LIAR, FRA, ControlMessage::SignedRows(rows.into()));
    assert_untouched(&mut net, &transit);
    assert_eq!(counters(&net).rows_refused - old, 3);
    let another: RoomName = "another".into();
    assert_eq!(net.core(FRA).unwrap().rows.host_epoch(syd, &another), None);
}

/// With a shared secret anybody can issue certificates in any name. Then the first key of a process counts for as long as
/// that one lives, and of nodes with a link their own word alone.
#[test]
fn who_has_the_secret_of_the_mesh_does_not_replace_the_key_of_a_node_that_lives() {
    let mut net = line();
    let transit = net.core(FRA).unwrap().rows.transit(net.id(SYD)).unwrap().clone();
    let forger = Author::new(&[66; 32], net.now());
    let proof = TestAuthority(net.id(SYD)).vouch(forger.public()).unwrap();
    let incarnation = incarnation_of(&net, SYD);
    let forged = |net: &Net, incarnation| {
        let mut rows = vec![identity(net, incarnation, proof.clone())];
        rows.extend(wishes(net, incarnation));
        signed_by(&forger, rows)
    };
    let lie = forged(&net, incarnation);
    net.say(LIAR, FRA, lie);
    assert_untouched(&mut net, &transit);
    // A restart it can invent, for those who have no link to the node itself.
    let lie = forged(&net, incarnation + 1_000);
    net.say(LIAR, FRA, lie.clone());
    net.run(ms(200));
    assert_ne!(
        seen(&net, FRA, "r"),
        ["ann", "sue", "zoe"],
        "or the test shows nothing"
    );
    // With a link its word counts, and nobody else's.
    net.heal(FRA, SYD);
    net.run(ms(4_000));
    assert_eq!(seen(&net, FRA, "r"), ["ann", "sue", "zoe"]);
    let overheard = counters(&net).rows_overheard;
    net.say(LIAR, FRA, lie);
    net.run(ms(1_000));
    assert_eq!(seen(&net, FRA, "r"), ["ann", "sue", "zoe"]);
    assert_eq!(net.core(FRA).unwrap().rows.transit(net.id(SYD)), Some(&transit));
    assert_eq!(counters(&net).rows_overheard, overheard + 4);
}

#[test]
fn a_node_speaks_for_the_process_that_has_said_hello_and_for_no_other() {
    let mut net = line();
    let (liar, incarnation) = (net.id(LIAR), incarnation_of(&net, LIAR));
    let own = |incarnation, counter| Row {
        owner: liar,
        key: RowKey::Host("r".into()),
        version: RowVersion { incarnation, counter },
        value: RowValue::Host(HostFacts {
            room: "r".into(),
            epoch: relay_proto::id::Epoch(9),
            participants: 9,
        }),
    };
    let old = counters(&net).rows_refused;
    let rows = vec![
        own(incarnation - 1, 900),
        own(incarnation + 1, 900),
        own(u64::MAX, 1),
    ];
    net.say(LIAR, FRA, ControlMessage::Rows(rows));
    net.run(ms(1_000));
    assert_eq!(counters(&net).rows_refused - old, 3);
    let held = net.core(FRA).unwrap().rows.host_epoch(liar, &"r".into());
    assert_eq!(held, None);
    net.say(LIAR, FRA, ControlMessage::Rows(vec![own(incarnation, 900)]));
    net.run(ms(1_000));
    let held = net.core(FRA).unwrap().rows.host_epoch(liar, &"r".into());
    assert_eq!(
        held,
        Some(relay_proto::id::Epoch(9)),
        "of itself it may say what it likes"
    );
}

#[test]
fn a_node_that_signs_its_own_rows_wrongly_harms_nobody_who_passes_them_on() {
    let mut net = line();
    // What the liar says of itself on its own link counts there; beyond, nobody could check it, so it ends there.
    let (liar, incarnation) = (net.id(LIAR), incarnation_of(&net, LIAR));
    let row = Row {
        owner: liar,
        key: RowKey::Host("q".into()),
        version: RowVersion {
            incarnation,
            counter: 900,
        },
        value: RowValue::Host(HostFacts {
            room: "q".into(),
            epoch: relay_proto::id::Epoch(9),
            participants: 9,
        }),
    };
    let signature = Signature([3; 64]);
    net.say(
        LIAR,
        FRA,
        ControlMessage::SignedRows(vec![SignedRow { row, signature }]),
    );
    net.run(ms(500));
    let room: RoomName = "q".into();
    net.with_core(FRA, |core| {
        assert!(core.rows.host_epoch(liar, &room).is_some());
        assert!(!core.rows.is_provable(liar, &RowKey::Host(room.clone())));
        assert!(
            core.rows.is_provable(liar, &RowKey::Transit),
            "honest ones are passed on"
        );
    });
}

#[test]
fn a_link_that_one_end_claims_alone_draws_no_media_to_it() {
    let mut net = net_of(6, &["fra", "liar", "syd"]);
    let (liar, syd, incarnation) = (net.id(LIAR), net.id(SYD), incarnation_of(&net, LIAR));
    let near = |peer: NodeId, counter| Row {
        owner: liar,
        key: RowKey::Link(peer),
        version: RowVersion { incarnation, counter },
        value: RowValue::Link(LinkFacts {
            peer,
            up: true,
            rtt: Micros(1),
            loss: PartsPerMillion(0),
        }),
    };
    let fra = net.id(FRA);
    let claims = vec![near(fra, u64::MAX - 1), near(syd, u64::MAX)];
    net.say(LIAR, FRA, ControlMessage::Rows(claims));
    net.run(ms(1_000));
    net.with_core(FRA, |core| assert_eq!(core.next_hop(syd), Some(syd)));
    // Neither does a node nobody else has heard of draw anything.
    net.say(LIAR, FRA, ControlMessage::Rows(vec![near(NodeId(77), u64::MAX)]));
    net.run(ms(1_000));
    assert!(net.core(FRA).unwrap().rows.node(NodeId(77)).is_none());
}
