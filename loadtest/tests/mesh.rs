//! A mesh of real nodes, put through everything that can be done to it. Builds nothing: it takes the program that
//! `CAUSEWAY_BIN` names, or the one beside the `loadtest` under test, and says so where there is none.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use loadtest::signalling::token::ApiKey;
use loadtest::target::{Attached, Ground, Mesh, MeshSpec, NodeSpec, TargetError};
use loadtest::wan::change::PropertyChange;
use loadtest::wan::{Between, LinkProperties};

const NAMES: [&str; 3] = ["fra", "sin", "syd"];
/// Something that has to come true does so before this, on however busy a machine.
const SOON: Duration = Duration::from_secs(60);
/// Tells the test that is a process of its own where its mesh is to be.
const FOLDER: &str = "LOADTEST_MESH_FOLDER";

fn causeway() -> Option<PathBuf> {
    let named = std::env::var_os("CAUSEWAY_BIN").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("causeway");
    let found = Some(named.unwrap_or(beside)).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("skipped: there is no causeway beside this test; build it or set CAUSEWAY_BIN");
    }
    found
}

fn three_nodes(program: PathBuf) -> MeshSpec {
    let places = [(50.11, 8.68), (1.35, 103.82), (-33.87, 151.21)];
    let nodes = NAMES
        .iter()
        .zip(places)
        .map(|(name, (latitude, longitude))| NodeSpec {
            name: (*name).to_owned(),
            region: name.to_uppercase(),
            latitude,
            longitude,
        });
    let links = [(0, 1, 20), (1, 2, 10), (0, 2, 30)];
    let links = links.iter().flat_map(|(from, to, delay_ms)| {
        let properties = LinkProperties {
            delay: Duration::from_millis(*delay_ms),
            ..LinkProperties::default()
        };
        [((*from, *to), properties.clone()), ((*to, *from), properties)]
    });
    MeshSpec {
        program,
        program_then: None,
        nodes: nodes.collect(),
        links: links.collect::<BTreeMap<_, _>>(),
        shards: Some(1),
        settings: Vec::new(),
        places: Vec::new(),
        seed: 7,
        ground: Ground::Loopback,
    }
}

fn fresh_folder(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("causeway-mesh-test-{name}-{}", std::process::id()))
}

/// Processes whose command line names something in the folder.
fn processes_of(folder: &Path) -> Vec<String> {
    let inside = format!("{}/", folder.display());
    let command_of = |entry: fs::DirEntry| {
        let command = fs::read(entry.path().join("cmdline")).ok()?;
        Some(String::from_utf8_lossy(&command).replace('\0', " "))
    };
    let all = fs::read_dir("/proc").unwrap().flatten().filter_map(command_of);
    all.filter(|command| command.contains(&inside)).collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + SOON;
    while !done() {
        assert!(Instant::now() < end, "{what}: not within {SOON:?}");
        sleep(Duration::from_millis(50));
    }
}

/// Links that a node says stand; `None` while it does not answer.
fn links_up(mesh: &Mesh, node: usize) -> Option<f64> {
    mesh.counters()[node]
        .as_ref()?
        .values
        .get("causeway_link_up")
        .copied()
}

#[test]
fn a_mesh_lives_through_every_fault_and_leaves_nothing() {
    let Some(program) = causeway() else { return };
    let folder = fresh_folder("faults");
    let mut mesh = Mesh::start(&three_nodes(program), &folder).unwrap();
    assert!(mesh.names().eq(NAMES));
    assert_eq!(processes_of(&folder).len(), 3);
    for at in 0..3 {
        assert_eq!(links_up(&mesh, at), Some(2.0));
    }

    mesh.cut(&Between::both("fra", "sin")).unwrap();
    until("the cut is noticed at both ends", || {
        links_up(&mesh, 0) == Some(1.0) && links_up(&mesh, 1) == Some(1.0)
    });
    assert_eq!(links_up(&mesh, 2), Some(2.0));
    mesh.heal(&Between::both("fra", "sin")).unwrap();
    until("the link comes back", || links_up(&mesh, 0) == Some(2.0));

    let slower = PropertyChange::parse([("delay", "90ms")]).unwrap();
    mesh.degrade(&Between::both("sin", "syd"), slower).unwrap();
    mesh.pause("syd", true).unwrap();
    until("a standing node is missed", || links_up(&mesh, 0) == Some(1.0));
    mesh.pause("syd", false).unwrap();
    until("it is back", || links_up(&mesh, 0) == Some(2.0));

    let before = mesh.samples()[2].unwrap();
    mesh.kill("syd").unwrap();
    assert!(mesh.samples()[2].is_none() && mesh.samples()[0].is_some());
    assert_eq!(processes_of(&folder).len(), 2);
    until("a dead node is missed", || links_up(&mesh, 0) == Some(1.0));
    mesh.restart("syd").unwrap();
    until("a node that is started again is found", || {
        (0..3).all(|at| links_up(&mesh, at) == Some(2.0))
    });
    let after = mesh.samples()[2].unwrap();
    assert!(after.cpu > before.cpu && after.rss_bytes > 1_000_000, "{after:?}");

    mesh.terminate("sin").unwrap();
    until("a node that was asked to ends", || {
        processes_of(&folder).len() == 2
    });
    assert!(matches!(mesh.kill("nobody"), Err(TargetError::UnknownNode(_))));
    assert!(mesh.cut(&Between::both("fra", "nowhere")).is_err());
    let carried = mesh.link_stats().unwrap();
    assert!(carried.len() == 6 && carried.iter().all(|link| link.delivered.datagrams > 0));

    drop(mesh);
    assert_eq!(processes_of(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[test]
fn a_panic_ends_the_nodes() {
    let Some(program) = causeway() else { return };
    let folder = fresh_folder("panic");
    let spec = MeshSpec {
        nodes: three_nodes(program.clone()).nodes[..1].to_vec(),
        ..three_nodes(program)
    };
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let _mesh = Mesh::start(&spec, &folder).unwrap();
        assert_eq!(processes_of(&folder).len(), 1);
        panic!("on purpose");
    }));
    let message = outcome.unwrap_err();
    assert_eq!(message.downcast_ref::<&str>(), Some(&"on purpose"));
    assert_eq!(processes_of(&folder), Vec::<String>::new());
    assert!(!folder.exists());
}

#[test]
fn nodes_do_not_outlive_a_killed_process() {
    let setpriv = Command::new("setpriv").arg("--version").output();
    if causeway().is_none() || setpriv.is_err() {
        eprintln!("skipped: setpriv (util-linux) and causeway are needed");
        return;
    }
    let folder = fresh_folder("killed");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "holds_a_mesh_until_killed", "--ignored", "--nocapture"])
        .env(FOLDER, &folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().ends_with("mesh up")));
    assert_eq!(processes_of(&folder).len(), 3);
    holder.kill().unwrap();
    holder.wait().unwrap();
    until("the nodes are gone", || processes_of(&folder).is_empty());
    fs::remove_dir_all(folder).unwrap();
}

#[test]
#[ignore = "is run by another test, as a process to kill"]
#[expect(
    clippy::print_stdout,
    reason = "how the other test learns that the mesh is up"
)]
fn holds_a_mesh_until_killed() {
    let (Some(folder), Some(program)) = (std::env::var_os(FOLDER), causeway()) else {
        return;
    };
    let _mesh = Mesh::start(&three_nodes(program), Path::new(&folder)).unwrap();
    println!("mesh up");
    sleep(SOON);
}

#[test]
fn a_server_is_checked_before_it_is_tested() {
    let Some(program) = causeway() else { return };
    let folder = fresh_folder("attached");
    let mut spec = three_nodes(program);
    spec.nodes.truncate(1);
    let mesh = Mesh::start(&spec, &folder).unwrap();
    let url = format!("http://{}", mesh.endpoint(0).unwrap().address);
    Attached::check(&url, mesh.api().clone(), None).unwrap();
    let wrong = ApiKey {
        secret: "another secret of enough length".to_owned(),
        ..mesh.api().clone()
    };
    let error = Attached::check(&url, wrong, None).unwrap_err().to_string();
    assert!(error.contains("refuses the API key \"loadtest\""), "{error}");
    let key = mesh.api().clone();
    drop(mesh);
    let error = Attached::check(&url, key, None).unwrap_err().to_string();
    assert!(error.contains("cannot be reached"), "{error}");
}
