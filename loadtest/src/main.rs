//! Command line of the load-test tools.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tools that put Causeway under test.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    #[command(subcommand)]
    command: Subcommands,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Measure figures of whole scenarios beside their floors and merge them into the report of `make bench`.
    Bench(commands::bench::Arguments),
    /// Measure what this machine allows at best.
    Floor(commands::floor::Arguments),
    /// Put two reports side by side.
    Compare(commands::compare::CompareArguments),
    /// Render a report again.
    Report(commands::compare::ReportArguments),
    /// Run a scenario and report delay, loss, gaps and cost.
    Run(Box<commands::run::Arguments>),
    /// List, show and check scenarios.
    Scenario(commands::scenario::Arguments),
    /// Write a picture and a tone that say who sends them.
    Signal(commands::signal::Arguments),
    /// Emulate the long-distance links between nodes on this machine.
    Wan(commands::wan::Arguments),
    /// Measure how late the emulator delivers, beside the machine's own lateness.
    WanAccuracy(commands::wan_accuracy::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Subcommands::Bench(arguments) => commands::bench::run(&arguments),
        Subcommands::Floor(arguments) => commands::floor::run(&arguments),
        Subcommands::Compare(arguments) => commands::compare::run_compare(&arguments),
        Subcommands::Report(arguments) => commands::compare::run_report(&arguments),
        Subcommands::Run(arguments) => commands::run::run(&arguments),
        Subcommands::Scenario(arguments) => commands::scenario::run(&arguments),
        Subcommands::Signal(arguments) => commands::signal::run(&arguments),
        Subcommands::Wan(arguments) => commands::wan::run(&arguments),
        Subcommands::WanAccuracy(arguments) => commands::wan_accuracy::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("loadtest: {error}");
            error.exit_code()
        }
    }
}
