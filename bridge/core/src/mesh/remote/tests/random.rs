//! Whatever happens to links and nodes, both ends agree in the end on which sessions there are.

use super::mesh::{Net, ms, three};
use crate::mesh::testing::{Chance, FakeShards, join_command};
use relay_proto::id::{NodeId, SessionId};
use relay_proto::room::LeaveCause;
use relay_proto::session::SessionCommand;
use std::collections::BTreeSet;

const SEEDS: u64 = 60;
const STEPS: u64 = 40;

/// A room for each session: what clients are told of people in one room is checked elsewhere.
fn steer(net: &mut Net, entry: usize, media: usize, serial: u32) {
    let (of, node) = (net.id(entry), net.id(media));
    let name = format!("r{of}{serial}");
    let SessionCommand::OpenSession(open) = join_command(of, serial, &name, &name) else {
        unreachable!("the command opens a session");
    };
    let reason = String::new();
    net.command(entry, SessionCommand::OpenElsewhere { node, reason, open });
}

/// The sessions that the first drives on the second, as each of the two sees it.
fn shared(net: &Net, entry: usize, media: usize) -> (BTreeSet<SessionId>, BTreeSet<SessionId>) {
    let node: NodeId = net.id(media);
    let driven = net.core(entry).unwrap().remote.driven_on(node).collect();
    let hosted = net.core(media).unwrap().hosted_of(net.id(entry)).collect();
    (driven, hosted)
}

fn step(net: &mut Net, chance: &mut Chance, serial: &mut u32) {
    let mut pick = |n: u64| chance.next() % n;
    let (a, b) = (pick(3) as usize, pick(3) as usize);
    match pick(10) {
        0..=4 if a != b => {
            *serial += 1;
            steer(net, a, b, *serial);
        }
        5 => {
            let entry = net.id(a);
            let serial = 1 + pick(u64::from(*serial) + 1) as u32;
            let session = SessionId { entry, serial };
            let cause = LeaveCause::ClientLeft;
            net.command(a, SessionCommand::CloseSession { session, cause });
        }
        6 | 7 => net.cut(a, b),
        8 => net.heal(a, b),
        9 if net.core(a).is_some() => net.kill(a, FakeShards::default()),
        _ if net.core(a).is_none() => net.start(a),
        _ => {}
    }
    net.run(ms(pick(2_500)));
}

#[test]
fn nothing_is_left_behind_by_links_and_nodes_that_come_and_go() {
    let mut opened = 0;
    for seed in 0..SEEDS {
        let mut net = three();
        let mut chance = Chance::new(seed);
        let mut serial = 0;
        for _ in 0..STEPS {
            step(&mut net, &mut chance, &mut serial);
        }
        for a in 0..3 {
            for b in 0..3 {
                net.heal(a, b);
            }
            if net.core(a).is_none() {
                net.start(a);
            }
        }
        net.run(ms(15_000));
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let (driven, hosted) = shared(&net, a, b);
            assert_eq!(driven, hosted, "seed {seed}: of node {a} on node {b}");
            opened += driven.len();
            serial += 1;
            steer(&mut net, a, b, serial);
        }
        net.run(ms(1_000));
        for (a, b) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            let (driven, hosted) = shared(&net, a, b);
            assert!(
                !driven.is_empty() && driven == hosted,
                "seed {seed}: {a} cannot open on {b}"
            );
        }
    }
    assert!(
        opened > 0,
        "no session has outlived anything: the test shows nothing"
    );
}
