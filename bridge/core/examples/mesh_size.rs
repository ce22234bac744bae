//! What a large mesh costs each of its nodes: bytes per second at rest and while people come and go, and memory. In virtual
//! time, with the real `MeshCore`s; media is not part of it.
//!
//! `cargo run --release -p bridge-core --features sim --example mesh_size [nodes rooms people] [outside]`; with
//! `outside` the nodes meet by an imitated directory outside of the mesh.

use bridge_core::mesh::directory::DirectoryUse;
use bridge_core::mesh::testing::{FakeShards, FullMesh, Size, Traffic};
use peak_alloc::PeakAlloc;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

#[expect(clippy::print_stdout, reason = "its purpose")]
#[expect(
    clippy::disallowed_methods,
    reason = "virtual time has to begin somewhere, and real time is shown"
)]
fn main() {
    let numbers: Vec<usize> = std::env::args()
        .skip(1)
        .filter_map(|text| text.parse().ok())
        .collect();
    let directory = if std::env::args().any(|text| text == "outside") {
        DirectoryUse::OUTSIDE
    } else {
        DirectoryUse::ROWS
    };
    let size = match numbers[..] {
        [nodes, rooms, people] => Size { nodes, rooms, people },
        _ => Size {
            nodes: 50,
            rooms: 5_000,
            people: 20_000,
        },
    };
    println!(
        "{} nodes, {} rooms, {} people; rooms told by {directory:?}",
        size.nodes, size.rooms, size.people
    );
    let began = Instant::now();
    let mut full = FullMesh::with(1, began, size, directory);
    print(
        began,
        "linked, nobody there",
        &full.traffic(Duration::from_secs(10), 0),
    );
    full.fill();
    full.run(Duration::from_secs(10));
    print(
        began,
        "full, nobody comes or goes",
        &full.traffic(Duration::from_secs(20), 0),
    );
    let rate = (size.people / 100).max(1) as u64;
    let what = format!("{rate} people a second leave, as many join");
    let before = full.net.directory_counts();
    print(began, &what, &full.traffic(Duration::from_secs(10), rate));
    let (orders, answers) = full.net.directory_counts();
    if directory.outside {
        let per_second = |after: u64, before: u64| (after - before) as f64 / 10.0;
        println!(
            "  of the directory: {:.0} orders and {:.0} answers a second, of all nodes",
            per_second(orders, before.0),
            per_second(answers, before.1)
        );
    }
    full.net.kill(1, FakeShards::default());
    print(
        began,
        "a node is killed",
        &full.traffic(Duration::from_secs(5), 0),
    );
    full.net.start(1);
    print(
        began,
        "it starts again",
        &full.traffic(Duration::from_secs(10), 0),
    );
    for node in [0, size.nodes - 1] {
        let before = ALLOCATOR.current_usage();
        drop(full.net.take_core(node));
        let bytes = before - ALLOCATOR.current_usage();
        println!(
            "memory of the MeshCore of node {node}: {:.1} MiB",
            bytes as f64 / f64::from(1 << 20)
        );
    }
    if let Some(core) = full.net.core(1) {
        const LOOKS: u32 = 20;
        let looked_at = Instant::now();
        let rooms = (0..LOOKS).map(|_| core.view().rooms.len()).max();
        println!(
            "one look at everything (5 times a second, where anything has changed): {:.1} ms, {} rooms",
            (looked_at.elapsed() / LOOKS).as_secs_f64() * 1e3,
            rooms.unwrap_or_default()
        );
    }
    println!("{:.0} s of real time", began.elapsed().as_secs_f64());
}

#[expect(clippy::print_stdout, reason = "its purpose")]
fn print(began: Instant, what: &str, traffic: &Traffic) {
    let kib = |bytes: f64| bytes / 1_024.0;
    let what = format!(
        "{what} ({:.0} s of real time so far)",
        began.elapsed().as_secs_f64()
    );
    println!(
        "{what}: {:.2} KiB/s of each node (rows {:.2}, questions {:.3}, probes {:.2}); the most of one {:.2}",
        kib(traffic.per_node(|sent| sent.control + sent.probes)),
        kib(traffic.per_node(|sent| sent.rows)),
        kib(traffic.per_node(|sent| sent.questions)),
        kib(traffic.per_node(|sent| sent.probes)),
        kib(traffic.most as f64 / traffic.time.as_secs_f64()),
    );
}
