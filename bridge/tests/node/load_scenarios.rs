//! Whole scenarios of `loadtest` against meshes it starts itself, with faults.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loadtest::report::data::{Report, Run, Target};
use loadtest::run::{Options, RunError, TargetChoice, run};
use loadtest::scenario::Scenario;
use loadtest::target::{Attached, Ground};
use loadtest::wan::Namespaces;

const PLACES: &str = r#"
[[regions]]
name = "fra"
latitude = 50.11
longitude = 8.68
[[regions]]
name = "sin"
latitude = 1.35
longitude = 103.82
[[links]]
between = ["fra", "sin"]
delay = "40ms"
[[groups]]
region = "fra"
count = 2
role = "speaker"
arrive_within = "200ms"
[[groups]]
region = "sin"
count = 2
role = "speaker"
arrive_within = "200ms"
"#;

fn scenario(head: &str, faults: &str) -> Scenario {
    let text = format!("name = \"test\"\nspeech = \"always\"\n{head}\n{PLACES}\n{faults}");
    Scenario::from_toml(&text).unwrap()
}

fn mesh_on(ground: Ground) -> TargetChoice {
    TargetChoice::Mesh {
        program: PathBuf::from(env!("CARGO_BIN_EXE_causeway")),
        program_then: None,
        shards: Some(1),
        settings: Vec::new(),
        ground,
    }
}

fn options(scenario: Scenario, folder: &Path, stop: &Arc<AtomicBool>) -> Options {
    Options {
        scenario,
        targets: vec![mesh_on(Ground::Loopback)],
        workers: 1,
        open_one_in: 64,
        full: 0,
        browsers: 0,
        browser_script: PathBuf::new(),
        folder: folder.join("nodes"),
        stop: Arc::clone(stop),
    }
}

fn measure(scenario: Scenario) -> Report {
    measure_beside(scenario, 0)
}

/// Everybody on a server that is there already, for as long as it takes to see them in.
pub(crate) fn measure_attached(server: Attached) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let scenario = scenario("warm_up = \"2s\"\nduration = \"1s\"", "");
    let options = Options {
        targets: vec![TargetChoice::Attached(server)],
        ..options(scenario, folder.path(), &stop)
    };
    run(&options, Run::default(), &mut |_| ()).unwrap()
}

/// With so many full clients as a control.
fn measure_beside(scenario: Scenario, full: usize) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let options = Options {
        full,
        ..options(scenario, folder.path(), &stop)
    };
    let report = run(&options, Run::default(), &mut |_| ()).unwrap();
    assert!(!options.folder.exists(), "nothing is left behind");
    report
}

fn target(report: &Report) -> &Target {
    assert_eq!(report.targets.len(), 1);
    &report.targets[0]
}

#[test]
fn a_killed_node_is_a_gap_per_participant_and_its_people_come_back_elsewhere() {
    let kill = "[[faults]]\nat = \"5s\"\nkind = \"kill\"\nnode = \"sin\"\n";
    let report = measure(scenario("warm_up = \"3s\"\nduration = \"7s\"", kill));
    let target = target(&report);
    assert_eq!((target.joins.planned, target.joins.succeeded), (4, 4));
    let [fault] = &target.faults[..] else {
        panic!("one fault: {:?}", target.faults);
    };
    assert_eq!(fault.what, "kill sin");
    let moved: Vec<_> = fault.gaps.iter().filter(|gap| gap.rejoined).collect();
    assert_eq!(moved.len(), 2, "{fault:?}");
    assert!(
        moved
            .iter()
            .all(|gap| gap.region == "sin" && gap.audio_gap_ms > 0.0),
        "{fault:?}"
    );
    assert_eq!(fault.gaps.iter().filter(|gap| !gap.rejoined).count(), 2);
    let fra = target.nodes.iter().find(|node| node.name == "fra").unwrap();
    assert_eq!(fra.participants, 4, "everybody is in Frankfurt now");
}

#[test]
fn a_cut_link_is_seen_as_such_and_heals() {
    let cut = "[[faults]]\nat = \"5s\"\nkind = \"cut\"\nbetween = [\"fra\", \"sin\"]\n\
               [[faults]]\nat = \"7s\"\nkind = \"heal\"\nbetween = [\"fra\", \"sin\"]\n";
    let report = measure(scenario("warm_up = \"3s\"\nduration = \"12s\"", cut));
    let target = target(&report);
    let cut = &target.faults[0];
    // Nobody had to move, and everybody missed the other side for the two seconds at least.
    assert!(
        cut.gaps
            .iter()
            .all(|gap| !gap.rejoined && gap.audio_gap_ms >= 1_900.0),
        "{cut:?}"
    );
    let across = target
        .media
        .iter()
        .find(|media| media.from == "fra" && media.to == "sin" && media.kind == "audio");
    let across = across.unwrap();
    assert!(across.frames < across.frames_expected, "{across:?}");
    let within = target
        .media
        .iter()
        .find(|media| media.from == "fra" && media.to == "fra" && media.kind == "audio");
    let within = within.unwrap();
    // At home the cut cost nothing; a busy machine may still be late with some.
    assert!(within.frames * 10 >= within.frames_expected * 9, "{within:?}");
    assert!(across.gap_ms > within.gap_ms, "{across:?} {within:?}");
}

#[test]
fn full_clients_see_what_light_ones_see() {
    let report = measure_beside(scenario("warm_up = \"4s\"\nduration = \"4s\"", ""), 1);
    let target = target(&report);
    let full: Vec<_> = target
        .media
        .iter()
        .filter(|media| media.client == "full")
        .collect();
    let of = |from: &str, kind: &str| full.iter().find(|media| media.from == from && media.kind == kind);
    for from in ["fra", "sin"] {
        for kind in ["audio", "camera"] {
            let media = of(from, kind).unwrap_or_else(|| panic!("{kind} from {from}: {full:?}"));
            assert_eq!((media.to.as_str(), media.legs), ("fra", 2));
            // A busy machine may be late with the last ones.
            assert!(media.frames * 10 >= media.frames_expected * 9, "{media:?}");
        }
    }
    let far = of("sin", "audio").and_then(|media| media.delay.as_ref()).unwrap();
    assert!(far.p50_ms >= 40.0, "not faster than the link: {far:?}");
    assert_eq!(target.control.len(), 6, "{:?}", target.control);
    let layer = target.control.iter().find(|row| row.figure.starts_with("layer"));
    assert!(layer.unwrap().agrees, "{:?}", target.control);
}

/// Whether this machine and user can have namespaces; says so if not.
fn namespaces_possible() -> bool {
    let possible = Namespaces::possible();
    if let Err(error) = &possible {
        eprintln!("skipped: {error}");
    }
    possible.is_ok()
}

/// This process' namespaces that are there.
fn namespaces() -> Vec<String> {
    let listed = std::process::Command::new("ip")
        .args(["netns", "list"])
        .output()
        .unwrap();
    let mine = format!("cw-{}-", std::process::id());
    let listed = String::from_utf8(listed.stdout).unwrap();
    listed
        .lines()
        .filter(|line| line.starts_with(&mine))
        .map(str::to_owned)
        .collect()
}

#[test]
fn in_namespaces_people_who_move_cross_the_link_themselves() {
    if !namespaces_possible() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let kill = "[[faults]]\nat = \"5s\"\nkind = \"kill\"\nnode = \"sin\"\n";
    let scenario = scenario("warm_up = \"4s\"\nduration = \"6s\"", kill);
    let mut options = Options {
        full: 1,
        ..options(scenario, folder.path(), &stop)
    };
    options.targets = vec![mesh_on(Ground::Namespaces)];
    let mut most = 0;
    let report = run(&options, Run::default(), &mut |_| {
        most = namespaces().len().max(most)
    })
    .unwrap();
    assert_eq!((most, namespaces()), (2, Vec::new()), "made, and removed");
    let target = target(&report);
    let audio = |from: &str, to: &str, client: &str| {
        let media = target.media.iter().find(|media| {
            (media.from.as_str(), media.to.as_str()) == (from, to)
                && media.kind == "audio"
                && media.client == client
        });
        media.and_then(|media| media.delay.clone()).unwrap()
    };
    assert!(audio("sin", "fra", "light").min_ms >= 40.0);
    assert!(audio("sin", "fra", "full").min_ms >= 40.0);
    assert!(audio("fra", "fra", "light").min_ms < 40.0);
    // Who has moved to Frankfurt is heard at home by way of Frankfurt.
    let home = audio("sin", "sin", "light");
    assert!(home.min_ms < 40.0 && home.max_ms >= 80.0, "{home:?}");
    assert_eq!(target.faults[0].gaps.iter().filter(|gap| gap.rejoined).count(), 2);
    // In one test, because both count this process' namespaces.
    stop_a_run(Ground::Namespaces);
    assert_eq!(namespaces(), Vec::<String>::new());
}

#[test]
fn a_run_that_is_stopped_takes_its_nodes_with_it() {
    stop_a_run(Ground::Loopback);
}

fn stop_a_run(ground: Ground) {
    let folder = tempfile::tempdir().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut options = options(scenario("duration = \"1h\"", ""), folder.path(), &stop);
    options.targets = vec![mesh_on(ground)];
    let stopping = Arc::clone(&stop);
    let outcome = run(&options, Run::default(), &mut move |progress| {
        if progress.participants > 0 {
            stopping.store(true, Ordering::Relaxed);
        }
    });
    assert!(matches!(outcome, Err(RunError::Stopped)), "{outcome:?}");
    assert!(!options.folder.exists());
    let config = options.folder.to_string_lossy().into_owned();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(
            !String::from_utf8_lossy(&command).contains(&config),
            "{process:?} still runs"
        );
    }
}
