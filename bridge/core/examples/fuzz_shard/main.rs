//! Throws damaged and made-up input of clients and links at a shard for a bounded time, on stable Rust.
//!
//! `cargo run -p bridge-core --features sim --example fuzz_shard -- [--seconds N] [--seed N] [--round N]`
//!
//! Everything enters where it enters a node: commands with offers, datagrams from clients, datagrams from links. What
//! is protected by keys is damaged *before* it is protected, so that it reaches the code behind the keys. A panic ends
//! the run and says how to repeat it; so does a round that takes more memory than the limits of a shard allow.

#![allow(
    clippy::disallowed_methods,
    reason = "a tool and no part of the pure crate: it runs for a time and draws a seed"
)]
#![allow(
    clippy::print_stdout,
    reason = "a command-line tool reports on standard output"
)]

mod checks;
mod client;
mod data;
mod descriptors;
#[path = "../../../../relay-proto/examples/fuzzing/mod.rs"]
mod fuzzing;
mod handshake;
mod media;
mod offers;
mod reports;
mod world;

use fuzzing::Surface;
use std::process::ExitCode;

const MIB: usize = 1024 * 1024;

/// Every surface with the most memory a round may take: several times what was measured over a minute,
/// and far less than what is thrown at it would be if it stayed. Of offers most is the text itself.
const SURFACES: [Surface; 8] = [
    Surface {
        name: "offers",
        round: offers::round,
        most_bytes: 8 * MIB,
    },
    Surface {
        name: "checks and strays",
        round: checks::round,
        most_bytes: MIB,
    },
    Surface {
        name: "handshake",
        round: handshake::round,
        most_bytes: MIB,
    },
    Surface {
        name: "media",
        round: media::round,
        most_bytes: 2 * MIB,
    },
    Surface {
        name: "dependency descriptors",
        round: descriptors::round,
        most_bytes: MIB,
    },
    Surface {
        name: "reports",
        round: reports::round,
        most_bytes: 2 * MIB,
    },
    Surface {
        name: "data channels",
        round: data::round,
        most_bytes: 2 * MIB,
    },
    Surface {
        name: "relayed",
        round: media::relayed_round,
        most_bytes: 2 * MIB,
    },
];

fn main() -> ExitCode {
    fuzzing::run("fuzz_shard", &SURFACES)
}
