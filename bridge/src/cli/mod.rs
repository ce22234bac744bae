//! The command line: what can be asked of `causeway`, and the answers that need no running node of our own.
//!
//! Flags of configuration keys come from the table in [`crate::config::keys`]. What may not live here: how a node works.

mod arguments;
mod ask;
mod drain;
mod mesh;
mod own_certificate;
mod run;
mod token;

use crate::config::{ConfigErrors, show};
use arguments::{command, load};
use clap::ArgMatches;
use std::io::Write as _;
use std::process::ExitCode;

/// What went wrong, for the terminal.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Exit code of a configuration or command line that cannot be used.
const UNUSABLE: u8 = 2;

/// Runs the command line of this process to its end.
#[must_use]
pub fn main() -> ExitCode {
    match dispatch(&command().get_matches()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error.to_string());
            let code = if error.is::<ConfigErrors>() { UNUSABLE } else { 1 };
            ExitCode::from(code)
        }
    }
}

fn dispatch(matches: &ArgMatches) -> Result<(), AnyError> {
    match matches.subcommand() {
        Some(("dev", matches)) => run::dev(matches),
        Some(("node", matches)) => run::node(matches),
        Some(("check-config", matches)) => check_config(matches),
        Some(("token", matches)) => token::dispatch(matches),
        Some(("mesh", matches)) => mesh::dispatch(matches),
        Some(("drain", matches)) => drain::drain(matches),
        _ => Err("no such command".into()),
    }
}

fn check_config(matches: &ArgMatches) -> Result<(), AnyError> {
    let (_, effective) = load(matches, |_| {})?;
    say(&show(&effective))
}

/// Writes to standard output.
fn say(text: &str) -> Result<(), AnyError> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    if !text.ends_with('\n') {
        out.write_all(b"\n")?;
    }
    Ok(())
}

fn say_error(text: &str) {
    // A terminal that is gone cannot be told.
    let _ = writeln!(std::io::stderr().lock(), "causeway: {text}");
}
