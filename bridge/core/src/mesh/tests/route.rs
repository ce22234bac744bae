use super::super::config::MeshLimits;
use super::super::route::{Route, RouteTable, reachable};
use super::super::rows::{RowStore, Teller, Told};
use relay_proto::id::NodeId;
use relay_proto::row::{LinkFacts, Row, RowKey, RowValue, RowVersion};
use relay_proto::unit::{Micros, PartsPerMillion};
use std::collections::BTreeSet;

const US: NodeId = NodeId(1);
const NEAR: NodeId = NodeId(2);
const FAR: NodeId = NodeId(3);

fn rows(links: &[(NodeId, NodeId, bool)]) -> RowStore {
    let mut rows = RowStore::new(US, 1, MeshLimits::default());
    for (counter, (owner, peer, up)) in links.iter().enumerate() {
        let facts = LinkFacts {
            peer: *peer,
            up: *up,
            rtt: Micros(0),
            loss: PartsPerMillion(0),
        };
        let row = Row {
            owner: *owner,
            key: RowKey::Link(*peer),
            version: RowVersion {
                incarnation: 1,
                counter: counter as u64,
            },
            value: RowValue::Link(facts),
        };
        rows.accept(Told { row, signature: None }, Teller::Owner);
    }
    rows
}

fn alive(direct: &[NodeId], links: &[(NodeId, NodeId, bool)]) -> BTreeSet<NodeId> {
    reachable(US, &direct.iter().copied().collect(), &rows(links))
}

#[test]
fn a_node_behind_a_linked_one_is_alive() {
    assert_eq!(alive(&[NEAR], &[(NEAR, FAR, true)]), [NEAR, FAR].into());
    assert_eq!(
        alive(&[NEAR], &[(NEAR, FAR, true), (FAR, NEAR, true)]),
        [NEAR, FAR].into()
    );
}

#[test]
fn a_link_that_one_end_denies_leads_nowhere() {
    assert_eq!(
        alive(&[NEAR], &[(NEAR, FAR, true), (FAR, NEAR, false)]),
        [NEAR].into()
    );
    assert_eq!(
        alive(&[NEAR], &[(NEAR, FAR, false), (FAR, NEAR, true)]),
        [NEAR].into()
    );
}

#[test]
fn what_an_unreachable_node_says_of_its_links_does_not_count() {
    assert_eq!(
        alive(&[], &[(NEAR, FAR, true), (FAR, NEAR, true)]),
        BTreeSet::new()
    );
    assert_eq!(alive(&[], &[(FAR, US, true)]), BTreeSet::new());
}

#[test]
fn the_route_table_tells_only_changes() {
    let mut table = RouteTable::default();
    let route = Route {
        via: NEAR,
        max_datagram_bytes: 1_200,
    };
    assert!(table.set(NEAR, Some(route)));
    assert!(!table.set(NEAR, Some(route)));
    assert_eq!(table.iter().collect::<Vec<_>>(), [(NEAR, route)]);
    assert!(table.set(NEAR, None));
    assert!(!table.set(NEAR, None));
}
