use super::super::graph::{LatencyGraph, Length, length};
use super::{DEFAULT_STRETCH, MAX_DEPTH, Tree};
use proptest::prelude::*;
use relay_proto::id::NodeId;
use relay_proto::row::LinkFacts;
use relay_proto::unit::{Micros, PartsPerMillion};
use std::collections::{BTreeMap, BTreeSet};

/// A graph of nodes 0 to n that all forward, from (a, b, milliseconds).
fn graph(links: impl IntoIterator<Item = (u32, u32, u64)>) -> LatencyGraph {
    let mut graph = LatencyGraph::default();
    for (a, b, ms) in links {
        graph.connect(NodeId(a), NodeId(b), ms * 1_000);
        graph.set_transit(NodeId(a));
        graph.set_transit(NodeId(b));
    }
    graph
}

fn tree_of(graph: &LatencyGraph, origin: u32, hosts: impl IntoIterator<Item = u32>) -> Tree {
    let origin = NodeId(origin);
    let hosts = hosts.into_iter().map(NodeId).collect();
    Tree::over(graph, &graph.shortest(origin), origin, &hosts, DEFAULT_STRETCH)
}

/// The way from a node to the origin, both included. Fails where it goes round.
fn way(tree: &Tree, node: NodeId) -> Vec<NodeId> {
    let mut way = vec![node];
    while let Some(parent) = tree.parent(*way.last().unwrap()) {
        assert!(!way.contains(&parent), "{parent} comes twice in {way:?}");
        way.push(parent);
    }
    way
}

fn late(graph: &LatencyGraph, tree: &Tree, node: NodeId) -> Length {
    let way = way(tree, node);
    way.windows(2)
        .map(|pair| graph.length(pair[0], pair[1]).unwrap())
        .sum()
}

fn cost(graph: &LatencyGraph, tree: &Tree) -> Length {
    tree.iter()
        .map(|(node, parent)| graph.length(node, parent).unwrap())
        .sum()
}

/// Costs and mean delays over all origins, each beside what it is measured against.
struct Report {
    cost: Length,
    star: Length,
    late: Length,
    shortest: Length,
}

/// Trees by what rows tell of links, judged by how long these really are.
fn report(told: &LatencyGraph, graph: &LatencyGraph, nodes: u32) -> Report {
    let mut report = Report {
        cost: 0,
        star: 0,
        late: 0,
        shortest: 0,
    };
    for origin in 0..nodes {
        let tree = tree_of(told, origin, 0..nodes);
        let paths = graph.shortest(NodeId(origin));
        report.cost += cost(graph, &tree);
        for node in (0..nodes).filter(|node| *node != origin).map(NodeId) {
            report.star += graph.length(NodeId(origin), node).unwrap();
            report.late += late(graph, &tree, node);
            report.shortest += paths.length(node).unwrap();
        }
    }
    report
}

/// New York, Frankfurt, Singapore, Sydney, São Paulo: round trips in ms between cloud regions, rounded.
const CONTINENTS: [[u64; 5]; 5] = [
    [0, 82, 230, 200, 115],
    [82, 0, 160, 280, 200],
    [230, 160, 0, 93, 330],
    [200, 280, 93, 0, 310],
    [115, 200, 330, 310, 0],
];

/// What rows tell, and what is.
fn continents(nodes_each: u32) -> (LatencyGraph, LatencyGraph) {
    let nodes = 5 * nodes_each;
    let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
    let links: Vec<(u32, u32, u64)> = pairs
        .map(|(a, b)| {
            let (here, there) = ((a / nodes_each) as usize, (b / nodes_each) as usize);
            // Two of one continent are 12 ms apart, and not all as far from elsewhere.
            let ms = if here == there {
                12
            } else {
                CONTINENTS[here][there] + u64::from((a * 7 + b * 5) % 9) * u64::from(nodes_each - 1)
            };
            (a, b, ms)
        })
        .collect();
    let real = graph(links.iter().copied());
    let mut told = real.clone();
    for (a, b, ms) in links {
        // What a ping takes besides.
        let said = |jitter_us: u32| LinkFacts {
            peer: NodeId(b),
            up: true,
            rtt: Micros(ms as u32 * 1_000 + jitter_us),
            loss: PartsPerMillion(0),
        };
        told.connect(NodeId(a), NodeId(b), length(&said(200), Some(&said(600))));
    }
    (told, real)
}

/// The cheapest tree within the bounds, by trying all.
fn cheapest(graph: &LatencyGraph, origin: u32, nodes: u32) -> Length {
    let others: Vec<u32> = (0..nodes).filter(|node| *node != origin).collect();
    let paths = graph.shortest(NodeId(origin));
    let most = others
        .iter()
        .map(|node| paths.length(NodeId(*node)).unwrap())
        .sum::<Length>()
        * 105
        / 100;
    let mut least = Length::MAX;
    for choice in 0..nodes.pow(others.len() as u32) {
        let parent = |at: usize| choice / nodes.pow(at as u32) % nodes;
        let parents: BTreeMap<u32, u32> = others
            .iter()
            .enumerate()
            .map(|(at, node)| (*node, parent(at)))
            .collect();
        let lateness: Option<Vec<Length>> = others
            .iter()
            .map(|node| {
                let (mut at, mut late, mut steps) = (*node, 0, 0);
                while at != origin {
                    late += graph.length(NodeId(at), NodeId(parents[&at]))?;
                    at = parents[&at];
                    steps += 1;
                    if steps > nodes {
                        return None;
                    }
                }
                (late <= paths.length(NodeId(*node)).unwrap() * 12 / 10).then_some(late)
            })
            .collect();
        if lateness.is_some_and(|lateness| lateness.iter().sum::<Length>() <= most) {
            let cost = parents
                .iter()
                .map(|(node, parent)| graph.length(NodeId(*node), NodeId(*parent)).unwrap())
                .sum();
            least = least.min(cost);
        }
    }
    least
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is read for")]
fn on_five_continents_hardly_any_tree_within_the_bounds_is_cheaper() {
    let (told, graph) = continents(1);
    let least: Length = (0..5).map(|origin| cheapest(&graph, origin, 5)).sum();
    let Report {
        cost,
        star,
        late,
        shortest,
    } = report(&told, &graph, 5);
    println!(
        "one node on each continent: link traffic {:.3} of a star (no tree has less than {:.3}), mean delay {:.3} of the shortest",
        cost as f64 / star as f64,
        least as f64 / star as f64,
        late as f64 / shortest as f64
    );
    assert!(cost * 100 <= least * 105, "{cost}, and {least} would do");
    assert!(late * 100 <= shortest * 105);
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what the test is read for")]
fn two_nodes_on_each_continent_share_each_ocean() {
    let (told, graph) = continents(2);
    let Report {
        cost,
        star,
        late,
        shortest,
    } = report(&told, &graph, 10);
    println!(
        "two nodes on each continent: link traffic {:.3} of a star, mean delay {:.3} of the shortest",
        cost as f64 / star as f64,
        late as f64 / shortest as f64
    );
    assert!(cost * 10 <= star * 6, "{cost} of {star}");
    assert!(late * 100 <= shortest * 105, "{late} of {shortest}");
}

/// San Jose, Washington, Sydney, Melbourne. The cheapest change of Washington's tree for what is the spanning one first, Sydney
/// over Melbourne, would bar the cheaper one, Melbourne over Sydney, and be ten milliseconds later.
#[test]
fn two_pairs_over_one_ocean_have_the_cheapest_trees_within_the_bounds() {
    let graph = graph([
        (0, 1, 62),
        (0, 2, 148),
        (0, 3, 158),
        (1, 2, 198),
        (1, 3, 208),
        (2, 3, 12),
    ]);
    for origin in 0..4 {
        let tree = tree_of(&graph, origin, 0..4);
        assert_eq!(cost(&graph, &tree), cheapest(&graph, origin, 4), "{origin}");
        for node in (0..4).filter(|node| *node != origin).map(NodeId) {
            let direct = graph.length(NodeId(origin), node).unwrap();
            assert!(late(&graph, &tree, node) <= direct + 20_000, "{origin} {node}");
        }
    }
}

#[test]
fn a_node_that_hosts_nothing_stands_in_the_tree_where_there_is_no_other_way() {
    let graph = graph([(1, 2, 50), (2, 3, 50), (2, 4, 10)]);
    let tree = tree_of(&graph, 1, [1, 3]);
    assert_eq!(way(&tree, NodeId(3)), [3, 2, 1].map(NodeId));
    assert_eq!(
        tree.parent(NodeId(4)),
        None,
        "it hosts nothing, and nobody is behind it"
    );
}

#[test]
fn a_node_that_hosts_nothing_is_no_detour_where_a_host_is_as_near() {
    // Two ways of one length from 1 to 4: over 2, which hosts nothing, and over 3, which gets it anyway.
    let graph = graph([(1, 2, 50), (2, 4, 50), (1, 3, 50), (3, 4, 50)]);
    assert_eq!(tree_of(&graph, 1, [1, 3, 4]).parent(NodeId(4)), Some(NodeId(3)));
}

#[test]
fn whoever_does_not_speak_of_trees_gets_everything_from_the_origin_or_nothing() {
    let mut graph = graph([(1, 2, 10), (2, 3, 10)]);
    graph.connect(NodeId(1), NodeId(9), 300_000);
    graph.connect(NodeId(2), NodeId(9), 10_000);
    graph.connect(NodeId(2), NodeId(8), 10_000);
    let tree = tree_of(&graph, 1, [1, 2, 3, 8, 9]);
    assert_eq!(tree.parent(NodeId(9)), Some(NodeId(1)));
    assert_eq!(tree.parent(NodeId(8)), None);
    assert_eq!(tree.parent(NodeId(3)), Some(NodeId(2)));
    let old = tree_of(&graph, 9, [1, 2, 3]);
    assert_eq!(
        old.iter().map(|(_, parent)| parent).collect::<BTreeSet<_>>(),
        [NodeId(9)].into()
    );
    assert_eq!(old.parent(NodeId(3)), None);
}

#[test]
fn a_chain_longer_than_the_hop_budget_is_cut_short_by_direct_links() {
    let nodes: u32 = 9;
    let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b, u64::from(a - b) * 10)));
    let graph = graph(pairs);
    let tree = tree_of(&graph, 0, 0..nodes);
    for node in (0..nodes).map(NodeId) {
        assert!(way(&tree, node).len() <= MAX_DEPTH + 1, "{:?}", way(&tree, node));
    }
}

prop_compose! {
    /// A graph of up to nine nodes; each link exists four times out of five.
    fn graphs()(nodes in 2_u32..10)(
        nodes in Just(nodes),
        links in prop::collection::vec((0_u64..400, 0_u8..5), (nodes * nodes) as usize),
    ) -> (u32, LatencyGraph) {
        let pairs = (0..nodes).flat_map(|a| (0..a).map(move |b| (a, b)));
        let kept = pairs.zip(links).filter(|(_, (_, there))| *there > 0);
        (nodes, graph(kept.map(|((a, b), (ms, _))| (a, b, ms + 5))))
    }
}

proptest! {
    #[test]
    fn every_tree_spans_goes_nowhere_twice_and_keeps_its_bounds(
        (nodes, graph) in graphs(),
        chosen in 1_u32..512,
        stretch in prop::sample::select(vec![1_000_000_u32, 1_100_000, 1_200_000, 2_000_000]),
    ) {
        let origin = NodeId(0);
        let hosts: BTreeSet<NodeId> = (0..nodes).filter(|node| chosen & (1 << node) != 0).map(NodeId).collect();
        let paths = graph.shortest(origin);
        let tree = Tree::over(&graph, &paths, origin, &hosts, PartsPerMillion(stretch));
        let (mut together, mut least) = (0, 0);
        for host in hosts.iter().filter(|host| **host != origin) {
            let Some(shortest) = paths.length(*host) else {
                prop_assert_eq!(tree.parent(*host), None);
                continue;
            };
            prop_assert_eq!(way(&tree, *host).last().copied(), Some(origin));
            let late = late(&graph, &tree, *host);
            prop_assert!(late <= shortest * u64::from(stretch) / 1_000_000, "{late} is too late for {shortest}");
            together += late;
            least += shortest;
        }
        prop_assert!(together <= least + least * u64::from(stretch - 1_000_000) / 4_000_000);
        for (node, _) in tree.iter() {
            let leaf = tree.iter().all(|(_, parent)| parent != node);
            prop_assert!(!leaf || hosts.contains(&node), "{node} hosts nothing and leads nowhere");
        }
        prop_assert!(tree.parent(origin).is_none());
        if stretch > 1_000_000 {
            let factor = 1 + 2_000_000 / u64::from(stretch - 1_000_000);
            let spanning = Tree::over(&graph, &paths, origin, &hosts, PartsPerMillion(10_000_000));
            prop_assert!(cost(&graph, &tree) <= factor * cost(&graph, &spanning).max(1));
        }
        prop_assert_eq!(&tree, &Tree::over(&graph, &paths, origin, &hosts, PartsPerMillion(stretch)));
    }
}
