//! A mesh of some size, bounded: what nodes say at rest and how much each holds. `examples/mesh_size` prints the same of a
//! large one.

use super::super::testing::{FullMesh, Size};
use super::{beginning, ms};
use std::time::Duration;

const SIZE: Size = Size {
    nodes: 12,
    rooms: 300,
    people: 1_200,
};

#[test]
fn at_rest_nodes_say_little_whatever_they_hold_and_a_node_that_starts_is_told_each_row_a_few_times() {
    let mut full = FullMesh::new(3, beginning(), SIZE);
    let empty = full.traffic(Duration::from_secs(10), 0);
    full.fill();
    full.run(Duration::from_secs(10));
    let rest = full.traffic(Duration::from_secs(10), 0);
    let [questions, before] = [&rest, &empty].map(|traffic| traffic.per_node(|sent| sent.questions));
    // Each peer is asked every five seconds for what of its rows is missing, in some thirty bytes.
    assert!(
        questions < 11.0 * 50.0 / 5.0 && before < 11.0 * 50.0 / 5.0,
        "{questions} {before}"
    );
    let rows = rest.per_node(|sent| sent.rows);
    assert!(
        rows < 500.0,
        "nothing changes but round trips: {rows} bytes a second"
    );
    // Each step is told once to each peer, and how many people are on a node every other second.
    let churn = full.traffic(Duration::from_secs(5), 12);
    let (steps, peers) = (2 * 12 * 5, 11);
    let bound = steps * peers * 200 + 12 * peers * 3 * 300;
    assert!(churn.all.rows < bound, "{} bytes of rows", churn.all.rows);
    // A node that starts anew: every row of the mesh reaches it from its owner, and about once more from others.
    let held = full.net.core(0).expect("it runs").view().rooms.len();
    assert!(held > 250, "{held}");
    full.net.kill(1, Default::default());
    full.run(ms(4_000));
    let quiet = full.traffic(Duration::from_secs(5), 0);
    full.net.start(1);
    let started = full.traffic(Duration::from_secs(5), 0);
    let all_rows = 300.0 * 2.5 * 200.0;
    let told = (started.all.rows - quiet.all.rows) as f64;
    assert!(
        told < 4.0 * all_rows,
        "{told} bytes of rows for a node that starts"
    );
}
