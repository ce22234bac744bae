//! `loadtest wan` with regions, as operators and scripts use it: what it says, and that it leaves nothing behind.
//! Where namespaces are not possible, those tests that need them say that they did nothing.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use loadtest::wan::Namespaces;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Far beyond any delay used here; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this machine and user can have namespaces; says so if not.
fn possible() -> bool {
    match Namespaces::possible() {
        Ok(()) => true,
        Err(error) => {
            eprintln!("skipped: {error}");
            false
        }
    }
}

/// Namespaces there are whose name begins so.
fn names(prefix: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/run/netns") else {
        return Vec::new();
    };
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(prefix))
        .collect()
}

fn scratch_file(name: &str, text: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn emulator(config: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["wan", "--config"]).arg(config);
    command.stdout(Stdio::piped()).spawn().unwrap()
}

#[test]
fn the_program_removes_everything_after_each_signal() {
    if !possible() {
        return;
    }
    for (prefix, signal) in [
        ("cwt-int", Signal::SIGINT),
        ("cwt-term", Signal::SIGTERM),
        ("cwt-hup", Signal::SIGHUP),
    ] {
        let text =
            format!("prefix = \"{prefix}\"\ncontrol = \"127.0.0.1:0\"\nmatrix = \"five-continents\"\n");
        let mut child = emulator(&scratch_file(&format!("{prefix}.toml"), &text));
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut lines = Vec::new();
        for _ in 0..6 {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            lines.push(line);
        }
        assert!(
            lines[0].starts_with("wan ready: 20 links, control 127.0.0.1:"),
            "{lines:?}"
        );
        let fra = format!(
            "region fra: namespace {prefix}-{}-fra, address 198.18.1.1\n",
            child.id()
        );
        assert!(lines.contains(&fra), "{lines:?}");
        assert_eq!(names(prefix).len(), 5);
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let mut summary = String::new();
        output.read_to_string(&mut summary).unwrap();
        assert!(summary.contains("fra > syd: 0 offered"), "{summary}");
        assert!(child.wait().unwrap().success());
        assert!(names(prefix).is_empty());
    }
}

#[test]
fn a_signal_while_regions_are_made_leaves_nothing() {
    if !possible() {
        return;
    }
    let prefix = "cwt-early";
    let text = format!("prefix = \"{prefix}\"\nmatrix = \"five-continents\"\n");
    let mut child = emulator(&scratch_file("early.toml", &text));
    let start = Instant::now();
    while names(prefix).is_empty() {
        assert!(start.elapsed() < PATIENCE, "no namespace was made");
        std::thread::sleep(Duration::from_millis(1));
    }
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(names(prefix).is_empty());
}

/// Two regions whose links have addresses or not, for a process that finds no `ip`.
fn without_iproute2(name: &str, addresses: bool) -> Command {
    let mut text = "[[regions]]\nname = \"a\"\n[[regions]]\nname = \"b\"\n".to_owned();
    for (from, to) in [("a", "b"), ("b", "a")] {
        text += &format!("[[links]]\nfrom = \"{from}\"\nto = \"{to}\"\ndelay = \"8ms\"\n");
        if addresses {
            text += "listen = \"127.0.0.1:0\"\nforward_to = \"127.0.0.1:9\"\n";
        }
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.args(["wan", "--config"]).arg(scratch_file(name, &text));
    command.env("PATH", "/nowhere");
    command
}

#[test]
fn where_namespaces_are_not_possible_one_sentence_says_so() {
    let output = without_iproute2("impossible.toml", false).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("not possible here") && said.contains("run it as root"),
        "{said}"
    );
}

#[test]
fn where_namespaces_are_not_possible_the_relay_stands_in() {
    let mut command = without_iproute2("fallback.toml", true);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "wan ready: 2 links\n");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("not possible here") && said.contains("the relay carries"),
        "{said}"
    );
}
