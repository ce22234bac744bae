//! `loadtest bench`: figures of whole scenarios into the one report.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use loadtest::bench::report;
use loadtest::bench::scenarios::{BenchError, Settings, measure};
use loadtest::run::RunError;

use super::{CommandError, signals};

#[derive(Args)]
pub(crate) struct Arguments {
    /// Names of metrics; all without.
    metrics: Vec<String>,
    /// Rounds of each scenario.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=20))]
    rounds: u64,
    /// The program `causeway`.
    #[arg(long, default_value = "target/release/causeway")]
    causeway: PathBuf,
    /// The report into which the figures are merged.
    #[arg(long, default_value = report::REPORT_PATH)]
    report: PathBuf,
}

pub(crate) fn run(arguments: &Arguments) -> Result<(), CommandError> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    signals::on_end(move || flag.store(true, Ordering::Relaxed))?;
    let settings = Settings {
        program: arguments.causeway.clone(),
        folder: std::env::temp_dir().join(format!("loadtest-bench-{}", std::process::id())),
        rounds: arguments.rounds as usize,
        stop,
    };
    let mut tell = |line: String| {
        // A reader that has gone away is no reason to end the measurement.
        let _ = writeln!(io::stdout(), "{line}");
    };
    let metrics = measure(&arguments.metrics, &settings, &mut tell).map_err(|error| match error {
        BenchError::Run(stopped @ RunError::Stopped) => CommandError::Run(stopped),
        other => CommandError::Refused(Box::new(other)),
    })?;
    let path = report::merge(&arguments.report, &metrics)?;
    writeln!(io::stdout(), "written to {}", path.display())?;
    Ok(())
}
