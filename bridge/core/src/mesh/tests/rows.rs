use super::super::config::MeshLimits;
use super::super::rows::{Accepted, RowStore, Teller, Told};
use proptest::prelude::*;
use relay_proto::id::{Epoch, NodeId, RoomName};
use relay_proto::row::{DigestEntry, HostFacts, Row, RowKey, RowValue, RowVersion};
use std::collections::BTreeMap;

const US: NodeId = NodeId(1);
const PEER: NodeId = NodeId(2);

fn room(n: usize) -> RoomName {
    RoomName(format!("room {n}"))
}

fn host(n: usize, participants: u32) -> RowValue {
    RowValue::Host(HostFacts {
        room: room(n),
        epoch: Epoch(1),
        participants,
    })
}

fn row(owner: NodeId, n: usize, incarnation: u64, counter: u64) -> Told {
    let version = RowVersion { incarnation, counter };
    let row = Row {
        owner,
        key: RowKey::Host(room(n)),
        version,
        value: host(n, counter as u32),
    };
    Told { row, signature: None }
}

fn accept(store: &mut RowStore, told: Told) -> Accepted {
    store.accept(told, Teller::Owner)
}

fn write(store: &mut RowStore, n: usize, value: RowValue) -> Option<Told> {
    store.write(RowKey::Host(room(n)), value, |_| None)
}

/// How many people a node says are in each of its rooms.
fn people(store: &RowStore, node: NodeId) -> Vec<u32> {
    let of_node = |(_, hosts): (_, BTreeMap<NodeId, u32>)| hosts.get(&node).copied();
    store.rooms().filter_map(of_node).collect()
}

#[test]
fn the_newest_version_wins_whatever_the_order_of_arrival() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    assert_eq!(
        accept(&mut store, row(PEER, 0, 5, 2)),
        Accepted::New { reborn: false }
    );
    assert_eq!(accept(&mut store, row(PEER, 0, 5, 1)), Accepted::Stale);
    assert_eq!(accept(&mut store, row(PEER, 0, 5, 2)), Accepted::Stale);
    assert_eq!(people(&store, PEER), [2]);
}

#[test]
fn nobody_else_writes_our_rows() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    write(&mut store, 0, host(0, 1));
    assert_eq!(accept(&mut store, row(US, 0, 99, 99)), Accepted::Ours);
    assert_eq!(people(&store, US), [1]);
}

#[test]
fn a_restarted_owner_loses_all_rows_of_its_former_self() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    accept(&mut store, row(PEER, 0, 5, 1));
    accept(&mut store, row(PEER, 1, 5, 2));
    assert_eq!(
        accept(&mut store, row(PEER, 2, 6, 1)),
        Accepted::New { reborn: true }
    );
    assert_eq!(people(&store, PEER).len(), 1);
    assert_eq!(accept(&mut store, row(PEER, 0, 5, 9)), Accepted::Stale);
}

#[test]
fn an_unchanged_row_is_not_told_again() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    assert!(write(&mut store, 0, host(0, 1)).is_some());
    assert!(write(&mut store, 0, host(0, 1)).is_none());
    assert!(write(&mut store, 1, RowValue::Gone).is_none());
}

#[test]
fn rows_owners_and_tombstones_are_bounded() {
    let limits = MeshLimits {
        max_nodes: 3,
        max_rooms_per_owner: 4,
        max_gone_rows_per_owner: 2,
        ..MeshLimits::default()
    };
    let mut store = RowStore::new(US, 1, limits);
    for n in 0..10 {
        let accepted = accept(&mut store, row(PEER, n, 1, n as u64 + 1));
        let expected = if n < 4 {
            Accepted::New { reborn: false }
        } else {
            Accepted::OverLimit
        };
        assert_eq!(accepted, expected);
    }
    assert_eq!(
        accept(&mut store, row(NodeId(3), 0, 1, 1)),
        Accepted::New { reborn: false }
    );
    assert_eq!(accept(&mut store, row(NodeId(4), 0, 1, 1)), Accepted::OverLimit);
    for n in 0..100 {
        write(&mut store, n, host(n, 1));
        write(&mut store, n, RowValue::Gone);
    }
    assert_eq!(
        store
            .newer_than(&[], NodeId(9))
            .iter()
            .filter(|told| told.row.owner == US)
            .count(),
        2
    );
}

#[test]
fn a_digest_claims_only_what_came_from_its_owner() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    accept(&mut store, row(PEER, 0, 5, 7));
    let claimed = |store: &RowStore| {
        store
            .digest()
            .into_iter()
            .find(|entry| entry.owner == PEER)
            .unwrap()
            .newest
    };
    assert_eq!(claimed(&store), RowVersion::default());
    store.claim(
        PEER,
        RowVersion {
            incarnation: 5,
            counter: 7,
        },
    );
    assert_eq!(claimed(&store).counter, 7);
}

#[test]
fn a_reader_is_never_sent_its_own_rows() {
    let mut store = RowStore::new(US, 1, MeshLimits::default());
    accept(&mut store, row(PEER, 0, 5, 7));
    assert!(store.newer_than(&[], PEER).is_empty());
    assert_eq!(store.newer_than(&[], NodeId(9)).len(), 1);
    let digest = [DigestEntry {
        owner: PEER,
        newest: RowVersion {
            incarnation: 5,
            counter: 7,
        },
    }];
    assert!(store.newer_than(&digest, NodeId(9)).is_empty());
}

proptest! {
    #[test]
    fn two_stores_agree_after_exchanging_digests(
        ours in prop::collection::vec((2_u32..6, 0_usize..5, 1_u64..3, 1_u64..50), 0..60),
        theirs in prop::collection::vec((2_u32..6, 0_usize..5, 1_u64..3, 1_u64..50), 0..60),
    ) {
        let (a_id, b_id) = (NodeId(100), NodeId(101));
        let mut a = RowStore::new(a_id, 1, MeshLimits::default());
        let mut b = RowStore::new(b_id, 1, MeshLimits::default());
        // A version stands for one content, as with real owners: make the room follow from the counter.
        for (store, rows) in [(&mut a, ours), (&mut b, theirs)] {
            for (owner, _, incarnation, counter) in rows {
                accept(store, row(NodeId(owner), counter as usize % 5, incarnation, counter));
            }
        }
        for row in a.newer_than(&b.digest(), b_id) {
            accept(&mut b, row);
        }
        for row in b.newer_than(&a.digest(), a_id) {
            accept(&mut a, row);
        }
        let of_others = |store: &RowStore| {
            let mut rows = store.newer_than(&[], NodeId(7));
            rows.retain(|told| told.row.owner != a_id && told.row.owner != b_id);
            rows
        };
        prop_assert_eq!(of_others(&a), of_others(&b));
    }
}
