//! The program `causeway`.

use std::process::ExitCode;

fn main() -> ExitCode {
    bridge::cli::main()
}
