//! Throws damaged and made-up input at everything a client can say to signalling, for a bounded time, on stable Rust.
//!
//! `cargo run -p signaling --example fuzz_signalling -- [--seconds N] [--seed N] [--round N]`
//!
//! Frames, join requests (with gzip that unpacks to far too much), tokens and messages among participants go to their
//! decoders, and what is decoded drives sessions of a hub in any order with facts of the bridge and time.

#![allow(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]

#[path = "../../../relay-proto/examples/fuzzing/mod.rs"]
mod fuzzing;
mod sessions;
mod texts;

use fuzzing::Surface;
use std::process::ExitCode;

const MIB: usize = 1024 * 1024;

/// Every surface with the most memory a round may take: a join request may unpack to 1 MiB, a frame may have 256 KiB,
/// and decoded protobuf takes a few times its length.
const SURFACES: [Surface; 3] = [
    Surface {
        name: "join requests and messages",
        round: texts::round,
        most_bytes: 16 * MIB,
    },
    Surface {
        name: "tokens",
        round: texts::tokens_round,
        most_bytes: 4 * MIB,
    },
    Surface {
        name: "sessions",
        round: sessions::round,
        most_bytes: 16 * MIB,
    },
];

fn main() -> ExitCode {
    fuzzing::run("fuzz_signalling", &SURFACES)
}
