//! `loadtest floor` as people call it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::process::{Command, Output};

fn floor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
    command.arg("floor").args(arguments).output().unwrap()
}

#[test]
fn every_floor_prints_its_figures() {
    let arguments = ["--seconds", "1", "--pps", "400", "--burst", "4", "--viewers", "3"];
    let output = floor(&arguments);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for part in ["forward to 3 viewers", "encrypted hop", "bare datagram"] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(text.matches("ns/packet").count(), 3, "{text}");
    assert_eq!(text.matches("p99").count(), 7, "{text}");
    let one = floor(&["hop", "--seconds", "1", "--pps", "400", "--burst", "4"]);
    let text = String::from_utf8_lossy(&one.stdout);
    assert!(
        text.contains("encrypted hop") && !text.contains("forward"),
        "{text}"
    );
}

#[test]
fn what_cannot_be_offered_is_refused_with_a_sentence() {
    for (arguments, part) in [
        (&["--viewers", "0"][..], "1..=900"),
        (&["hop", "--pps", "2", "--burst", "512"], "two bursts a second"),
        (&["echoes"], "echo"),
    ] {
        let output = floor(arguments);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains(part), "{text}");
    }
}
