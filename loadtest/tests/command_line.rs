//! The program as operators and scripts use it.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests fail by panicking, as the tests do"
)]

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

fn loadtest() -> Command {
    Command::new(env!("CARGO_BIN_EXE_loadtest"))
}

fn scratch_file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

fn config_file(name: &str, extra: &str) -> PathBuf {
    let path = scratch_file(name);
    let link = |from: &str, to: &str, forward_to: u16| {
        format!(
            "[[links]]\nfrom = \"{from}\"\nto = \"{to}\"\nlisten = \"127.0.0.1:0\"\n\
             forward_to = \"127.0.0.1:{forward_to}\"\ndelay = \"80ms\"\n"
        )
    };
    let text = link("fra", "sin", 7990) + &link("sin", "fra", 7890) + extra;
    std::fs::write(&path, text).unwrap();
    path
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn output_of(command: &mut Command) -> Output {
    command.output().unwrap()
}

#[test]
fn the_emulator_says_when_it_is_ready_and_ends_cleanly_on_either_signal() {
    for (name, signal) in [("sigterm", Signal::SIGTERM), ("sigint", Signal::SIGINT)] {
        let config = config_file(&format!("{name}.toml"), "");
        let capture = scratch_file(&format!("{name}.pcap"));
        let mut command = loadtest();
        command
            .args(["wan", "--config"])
            .arg(config)
            .arg("--capture")
            .arg(&capture);
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert_eq!(line, "wan ready: 2 links\n");
        kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
        let mut summary = String::new();
        output.read_to_string(&mut summary).unwrap();
        assert!(summary.contains("fra > sin: 0 offered"), "{summary}");
        assert!(child.wait().unwrap().success());
        assert_eq!(std::fs::metadata(capture).unwrap().len(), 24);
    }
}

#[test]
fn an_unknown_key_or_a_missing_file_is_named() {
    let config = config_file("unknown.toml", "latency = \"1ms\"\n");
    let output = output_of(loadtest().args(["wan", "--config"]).arg(config));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("unknown field `latency`"),
        "{}",
        text(&output.stderr)
    );

    let output = output_of(loadtest().args(["wan", "--config", "there-is-no-such.toml"]));
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains("there-is-no-such.toml"),
        "{}",
        text(&output.stderr)
    );
}

#[test]
fn the_signal_files_have_the_promised_form() {
    let (picture, sound) = (scratch_file("out.y4m"), scratch_file("out.wav"));
    let mut command = loadtest();
    command.args(["signal", "--id", "3", "--seconds", "2", "--size", "64x32"]);
    let output = output_of(command.arg("--picture").arg(&picture).arg("--sound").arg(&sound));
    assert!(output.status.success(), "{}", text(&output.stderr));
    let picture = std::fs::read(picture).unwrap();
    assert!(picture.starts_with(b"YUV4MPEG2 W64 H32 F15:1 "));
    assert!(std::fs::read(sound).unwrap().starts_with(b"RIFF"));
}

#[test]
fn wrong_arguments_are_refused_with_a_sentence() {
    for (arguments, part) in [
        (
            &["signal", "--id", "16", "--seconds", "1", "--sound", "x.wav"][..],
            "from 0 to 15",
        ),
        (&["signal", "--id", "1", "--seconds", "1"], "--picture"),
        (
            &[
                "signal",
                "--id",
                "1",
                "--seconds",
                "1",
                "--size",
                "321x180",
                "--picture",
                "x.y4m",
            ],
            "multiple of 8",
        ),
        (
            &["signal", "--id", "1", "--seconds", "0", "--sound", "x.wav"],
            "1..=3600",
        ),
    ] {
        let output = output_of(loadtest().args(arguments));
        assert!(!output.status.success());
        assert!(
            text(&output.stderr).contains(part),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
    }
}
