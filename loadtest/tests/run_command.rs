//! `loadtest run` and `loadtest scenario` as operators meet them when something is wrong.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn loadtest(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command
        .args(arguments)
        .args(["--out", env!("CARGO_TARGET_TMPDIR")]);
    command
}

fn refused(output: &Output, parts: &[&str]) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in: {said}");
    }
    assert!(!said.contains("panicked"), "{said}");
    let nodes = format!("nodes-{}", std::process::id());
    assert!(!PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(nodes).exists());
}

/// A server that answers every connection with what `answer` makes of the request.
fn server(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 65_536];
            let len = stream.read(&mut request).unwrap_or(0);
            let said = answer(&String::from_utf8_lossy(&request[..len]));
            // Whoever has gone away does not matter.
            let _ = stream.write_all(said.as_bytes());
        }
    });
    url
}

fn http(status: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn against(url: &str, more: &[&str]) -> Command {
    let mut arguments = vec![
        "run",
        "smoke",
        "--url",
        url,
        "--api-key",
        "key",
        "--api-secret",
        "a secret",
    ];
    arguments.extend(more);
    loadtest(&arguments)
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://{free}");
    refused(
        &against(&url, &[]).output().unwrap(),
        &[&url, "cannot be reached"],
    );
    let output = against("https://127.0.0.1:9", &["--ca", "no/such/file.pem"])
        .output()
        .unwrap();
    refused(&output, &["no/such/file.pem"]);
    let output = against("ftp://127.0.0.1", &[]).output().unwrap();
    refused(&output, &["ftp://127.0.0.1", "begin with"]);
}

#[test]
fn namespaces_are_for_a_mesh_of_our_own_with_regions() {
    let url = "http://127.0.0.1:9";
    refused(
        &against(url, &["--namespaces"]).output().unwrap(),
        &["--namespaces", "--url"],
    );
    let alone = loadtest(&["run", "s1-8", "--namespaces"]).output().unwrap();
    refused(&alone, &["regions"]);
}

#[test]
fn a_wrong_key_is_told_apart_from_another_protocol() {
    let wrong = server(|_| http("401 Unauthorized", "the key is unknown"));
    refused(
        &against(&wrong, &[]).output().unwrap(),
        &["API key \"key\"", "the key is unknown"],
    );
    let other = server(|_| http("404 Not Found", "no"));
    refused(
        &against(&other, &[]).output().unwrap(),
        &["does not speak the client protocol"],
    );
}

#[test]
fn garbage_is_an_error_and_no_report() {
    let garbage = server(|_| "\u{1}\u{2}garbage\r\n\r\n".to_owned());
    refused(
        &against(&garbage, &[]).output().unwrap(),
        &["the answer is no HTTP"],
    );
    // One that only pretends: it lets the check pass and refuses every client.
    let pretends = server(|request| {
        if request.contains("/validate") {
            http("200 OK", "success")
        } else {
            "HTTP/1.1 200 OK\r\n\r\n<html>".to_owned()
        }
    });
    let output = against(&pretends, &["--set", "warm_up=1s"]).output().unwrap();
    refused(&output, &["nobody could join", "HTTP 200"]);
}

#[test]
fn nonsense_in_a_scenario_is_refused_with_its_place() {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("nonsense.toml");
    std::fs::write(&path, "name = \"x\"\nduration = 5\n").unwrap();
    let file = path.to_string_lossy().into_owned();
    refused(
        &loadtest(&["run", &file]).output().unwrap(),
        &[&file, "line 2", "expected a string"],
    );
    refused(
        &loadtest(&["run", "s99"]).output().unwrap(),
        &["no scenario \"s99\"", "smoke"],
    );
    refused(
        &loadtest(&["run", "smoke", "--set", "colour=red"])
            .output()
            .unwrap(),
        &["only duration"],
    );
    refused(
        &loadtest(&["run", "nowhere.toml"]).output().unwrap(),
        &["nowhere.toml"],
    );
}

#[test]
fn a_program_that_is_not_there_is_named_with_a_way_to_get_it() {
    let output = loadtest(&["run", "smoke", "--causeway", "/nonexistent/causeway"])
        .output()
        .unwrap();
    refused(&output, &["/nonexistent/causeway", "cargo build"]);
}

#[test]
fn a_program_that_ends_at_once_is_reported_with_its_last_words() {
    let output = loadtest(&["run", "smoke", "--causeway", "/bin/echo"])
        .output()
        .unwrap();
    refused(&output, &["node fra ended", "node --config"]);
}

#[test]
fn the_same_seed_shows_the_same_list_and_files_can_be_checked() {
    let show = |seed: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        let set = format!("seed={seed}");
        let output = command
            .args(["scenario", "show", "s6", "--set", &set])
            .output()
            .unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    assert_eq!(show("5"), show("5"));
    assert!(show("5").contains("16.000  kill sin"));
    let listed = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["scenario", "list"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    for name in ["s1-8x10", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10"] {
        assert!(listed.lines().any(|line| line.starts_with(name)), "{name}");
    }
}

#[test]
fn a_signal_ends_a_run_and_leaves_nothing_behind() {
    // It lets the check pass and then keeps everybody waiting.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (asked, seen) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept() {
            let mut request = [0; 65_536];
            let len = stream.read(&mut request).unwrap_or(0);
            if String::from_utf8_lossy(&request[..len]).contains("/validate") {
                let _ = stream.write_all(http("200 OK", "success").as_bytes());
            } else {
                let _ = asked.send(());
                held.push(stream);
            }
        }
    });
    let mut child = against(&url, &[])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    seen.recv().unwrap();
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(
        (status.code(), said.contains("stopped")),
        (Some(1), true),
        "{said}"
    );
}
